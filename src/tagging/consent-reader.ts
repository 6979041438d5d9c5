// What somebody has agreed to, as far as his request says: cookies of consent platforms, and what his browser asks for.
import type { ConsentConfig } from "../config/schema-tagging.ts";
import {
  type Choice,
  type Consent,
  combined,
  DENIED,
  forAll,
  type Purpose,
  UNSET,
} from "../engines/tagging/consent/consent.ts";
import { consentOfCookiebot, consentOfMarks, consentOfOneTrust } from "../engines/tagging/consent/platforms.ts";
import { consentOfTcf } from "../engines/tagging/consent/tcf.ts";
import { firstCookie, receivedCookies } from "../http/cookies.ts";
import type { Exchange } from "../pipeline/exchange.ts";

interface Source {
  readonly cookie: string;
  read(value: string): Consent;
}

export class ConsentReader {
  readonly #sources: readonly Source[];
  readonly #gpc: Consent;
  readonly #dnt: Consent;
  readonly #default: Consent;
  readonly #regions: ReadonlyMap<string, Consent>;

  constructor({ from, gpc, dnt, default: byDefault, regions }: ConsentConfig) {
    this.#sources = from.map(sourceOf);
    this.#gpc = denying(gpc);
    this.#dnt = denying(dnt);
    this.#default = consentOf(byDefault);
    this.#regions = new Map(Object.entries(regions).map(([country, choices]) => [country, consentOf(choices)]));
  }

  /** What the request says. */
  of(x: Exchange): Consent {
    let consent = UNSET;
    const { headers } = x.request;
    if (headers.get("sec-gpc") === "1") consent = combined(consent, this.#gpc);
    if (headers.get("dnt") === "1") consent = combined(consent, this.#dnt);
    if (this.#sources.length === 0) return consent;
    const field = receivedCookies(headers);
    if (field === null) return consent;
    for (const { cookie, read } of this.#sources) {
      const value = firstCookie(field, cookie);
      if (value !== null) consent = combined(consent, read(value));
    }
    return consent;
  }

  /** What holds in a country ("" for one that is not known) where nobody has chosen. */
  defaultIn(country: string): Consent {
    return this.#regions.get(country) ?? this.#default;
  }
}

function sourceOf(source: ConsentConfig["from"][number]): Source {
  if ("tcf" in source) return { cookie: source.tcf, read: (value) => consentOfTcf(value, source.vendor) };
  if ("granted" in source)
    return { cookie: source.cookie, read: (value) => consentOfMarks(decoded(value), source.granted) };
  if (source.platform === "onetrust") return { cookie: source.cookie, read: consentOfOneTrust };
  return { cookie: source.cookie, read: (value) => consentOfCookiebot(decoded(value)) };
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}

function denying(purposes: readonly Purpose[]): Consent {
  if (purposes.length === 0) return UNSET;
  const consent: Record<Purpose, Choice> = { ...UNSET };
  for (const purpose of purposes) consent[purpose] = "denied";
  return consent;
}

const consentOf = (choices: ConsentConfig["default"]): Consent =>
  choices === "denied" ? DENIED : choices === "granted" ? forAll("granted") : choices;
