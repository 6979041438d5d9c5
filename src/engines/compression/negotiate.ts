// Which content coding an answer gets: Accept-Encoding by RFC 9110 §12.5.3.
import { CODINGS, type Coding } from "../../http/content-codings.ts";

/** What a client takes. */
export interface Acceptance {
  /** The coding to use; null for none. */
  readonly coding: Coding | null;
  /** The content must not be sent as it is (`identity;q=0`), so it is encoded however little there is to gain. */
  readonly required: boolean;
  /** Those of Sluice's codings that may be sent, whatever was configured. */
  readonly accepted: readonly Coding[];
}

const NOTHING_ACCEPTED: Acceptance = Object.freeze({ coding: null, required: false, accepted: [] });

/** A longer field is nothing that a browser sends: it counts as if it were not there. */
const FIELD_BYTES_MAX = 1024;
/** Values of the field that are remembered: the browsers of a day send about a dozen. */
const REMEMBERED_MAX = 64;
/** A weight that the field does not give. */
const UNSAID = -1;

/** Chooses among codings, the best liked by the server first; remembers what it has read. */
export class Negotiator {
  readonly #offered: readonly Coding[];
  readonly #known = new Map<string, Acceptance>();
  /** What was asked last is often asked again, and found by one comparison. */
  #lastField: string | null = null;
  #last: Acceptance = NOTHING_ACCEPTED;

  constructor(offered: readonly Coding[]) {
    this.#offered = offered;
  }

  /** The choice for this value of Accept-Encoding (several fields joined by commas); null for a request without it. */
  choose(field: string | null): Acceptance {
    // Without the field anything may be sent, but who does not ask for a coding rarely knows one.
    if (field === null || field.length > FIELD_BYTES_MAX) return NOTHING_ACCEPTED;
    if (field === this.#lastField) return this.#last;
    let known = this.#known.get(field);
    if (known === undefined) {
      known = negotiate(field, this.#offered);
      if (this.#known.size >= REMEMBERED_MAX) this.#known.clear();
      this.#known.set(field, known);
    }
    this.#lastField = field;
    this.#last = known;
    return known;
  }
}

/**
 * The coding with the highest weight, the server's favourite among equal ones. A client that likes the content as it is
 * better than all of them gets it so. Members that are malformed are left out.
 */
export function negotiate(field: string, offered: readonly Coding[]): Acceptance {
  const weights = readWeights(field);
  const any = weights.get("*") ?? UNSAID;
  const weightOf = (name: string): number => weights.get(name) ?? any;
  const accepted = CODINGS.filter((coding) => weightOf(coding) > 0);
  let coding: Coding | null = null;
  let best = 0;
  for (const candidate of offered) {
    const weight = weightOf(candidate);
    if (weight <= best) continue;
    coding = candidate;
    best = weight;
  }
  // `*` speaks of identity as well, but only its 0 means something for it: nobody writes `*` to be spared of codings.
  const named = weights.get("identity");
  const required = named === 0 || (named === undefined && any === 0);
  if (named !== undefined && named > best) coding = null;
  return { coding, required, accepted };
}

/** The weight of each member by its lower-case name, the first one where it stands twice. */
function readWeights(field: string): Map<string, number> {
  const weights = new Map<string, number>();
  for (const member of field.split(",")) {
    const [coding = "", ...parameters] = member.split(";");
    const name = coding.trim().toLowerCase();
    const weight = readWeight(parameters);
    if (name === "" || weight === null) continue;
    const plain = name === "x-gzip" ? "gzip" : name; // RFC 9110 §8.4.1.3
    if (!weights.has(plain)) weights.set(plain, weight);
  }
  return weights;
}

/** RFC 9110 §12.4.2: a number of 0 to 1 with at most three digits behind the point; null for anything else. */
function readWeight(parameters: readonly string[]): number | null {
  if (parameters.length === 0) return 1;
  if (parameters.length > 1) return null;
  const parts = /^[ \t]*[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)[ \t]*$/.exec(parameters[0]!);
  return parts === null ? null : Number(parts[1]);
}
