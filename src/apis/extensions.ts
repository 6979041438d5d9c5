// `x-sluice` in a document: what it may say of its own operations. Whoever writes the document does not run the proxy,
// so it sets only what the configuration names, and nothing that leads to files, servers or secrets.
import type { z } from "zod";
import { extensionSchema } from "../config/schema.ts";
import { partProblems } from "../config/shape.ts";
import { suggest } from "../config/suggest.ts";
import { at, fieldOf, fieldsAt, type Place, SpecError } from "../engines/openapi/index.ts";

export type Extension = z.output<typeof extensionSchema>;

/** Settings and where each of them stands. */
export interface Extensions {
  readonly values: Extension;
  readonly places: ReadonlyMap<string, Place>;
}

export const NO_EXTENSIONS: Extensions = { values: {}, places: new Map() };

const KEY = "x-sluice";
const KNOWN = Object.keys(extensionSchema.shape);

/** The rules by which a document may say anything. */
export interface ExtensionRules {
  readonly allowed: readonly string[];
  /** Upstreams that it may choose. */
  readonly upstreams: readonly string[];
}

/** The settings of an object of the document over those around it; `wrong` is told of all mistakes. */
export function readExtensions(
  fields: unknown,
  place: Place,
  rules: ExtensionRules,
  around: Extensions,
  wrong: (error: SpecError, at: "key" | "value") => void,
): Extensions {
  const found = fieldOf(fields, KEY);
  if (found === undefined) return around;
  const where = at(place, KEY);
  const taken: Record<string, unknown> = {};
  const places = new Map(around.places);
  for (const [key, value] of Object.entries(fieldsAt(found, where))) {
    const told = refusal(key, value, rules);
    if (told !== null) {
      wrong(new SpecError(told, at(where, key)), "key");
      continue;
    }
    taken[key] = value;
    places.set(key, at(where, key));
  }
  const parsed = extensionSchema.safeParse(taken);
  if (parsed.success) return { values: { ...around.values, ...parsed.data }, places };
  for (const { path, message, at: half } of partProblems(parsed.error.issues, taken))
    wrong(new SpecError(message, at(where, ...path)), half);
  return around;
}

function refusal(key: string, value: unknown, { allowed, upstreams }: ExtensionRules): string | null {
  if (!KNOWN.includes(key)) {
    const near = suggest(key, KNOWN);
    return `unknown key "${key}" in ${KEY}: ${near === null ? `the keys here are ${KNOWN.join(", ")}` : `did you mean "${near}"?`}`;
  }
  if (key === "to") {
    return typeof value === "string" && upstreams.includes(value)
      ? null
      : `a document chooses among the upstreams that \`openapi.upstreams\` names, and ${JSON.stringify(value)} is none of them`;
  }
  if (!allowed.includes(key))
    return `a document may not set \`${key}\` here: name it in \`openapi.extensions\` if it should`;
  if (value === false && key !== "mock" && key !== "hidden")
    return `a document cannot turn \`${key}\` off: \`openapi.operations\` of the configuration can`;
  if (key === "cache" && fieldOf(value, "disk") !== undefined)
    return "a document can name no files, so it cannot choose a disk for the cache";
  return null;
}
