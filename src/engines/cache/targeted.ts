// Which field tells this cache what it may do: a targeted one (RFC 9213), else Cache-Control. A targeted field is a
// dictionary of structured fields, read strictly; one that is malformed or empty is not there.
import type { HeaderBlock } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";
import { type BareItem, type Member, parseDictionary } from "../../http/structured.ts";
import {
  beginDirectives,
  NO_DIRECTIVES,
  parseResponseDirectives,
  type ResponseDirectives,
  responseDirective,
} from "./cache-control.ts";

/** The targeted fields that concern us, the most specific one first (RFC 9213 §2.2). */
const TARGET_LIST: readonly string[] = ["sluice-cache-control", "cdn-cache-control"];

/** What the directives of an answer are, and whether they came from a targeted field: then Expires says nothing. */
export interface Instructions {
  readonly directives: ResponseDirectives;
  readonly targeted: boolean;
  /** The answer has a Cache-Control or targeted field at all. */
  readonly present: boolean;
}

const SILENT: Instructions = { directives: NO_DIRECTIVES, targeted: false, present: false };

/** The directives that an answer has for this cache. */
export function instructionsOf(response: HeaderBlock): Instructions {
  for (const name of TARGET_LIST) {
    const field = response.get(name);
    const directives = field === null ? null : parseTargeted(field);
    if (directives !== null) return { directives, targeted: true, present: true };
  }
  const field = response.getById(ID["cache-control"]);
  if (field === null) return SILENT;
  return { directives: parseResponseDirectives(field), targeted: false, present: true };
}

const NUMERIC: ReadonlySet<string> = new Set(["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"]);
const WITH_NAMES: ReadonlySet<string> = new Set(["private", "no-cache"]);
const BOOLEAN: ReadonlySet<string> = new Set([
  "no-store",
  "public",
  "must-revalidate",
  "proxy-revalidate",
  "must-understand",
  "no-transform",
  "immutable",
]);

/**
 * The directives of a targeted field; null when it is empty, no dictionary, or has a directive that we know with a
 * value of another type.
 */
export function parseTargeted(field: string): ResponseDirectives | null {
  const members = parseDictionary(field);
  if (members === null || members.size === 0) return null;
  const found = beginDirectives();
  for (const [name, member] of members) {
    const value = directiveValue(name, member);
    if (value === null) return null;
    if (value !== false) responseDirective(found, name, value === true ? undefined : value);
  }
  return found;
}

/** The value as Cache-Control would have it: true without one, false where the directive is off, null when it is wrong. */
function directiveValue(name: string, member: Member): string | boolean | null {
  if (NUMERIC.has(name)) return member.kind === "item" ? wholeNumber(member.value) : null;
  if (BOOLEAN.has(name)) return member.kind === "item" && member.value.kind === "boolean" ? member.value.value : null;
  if (!WITH_NAMES.has(name)) return true; // nothing that we know: any value will do
  if (member.kind === "list") return namesOf(member.items.map(({ value }) => value));
  return member.value.kind === "boolean" ? member.value.value : namesOf([member.value]);
}

function wholeNumber(value: BareItem): string | null {
  return value.kind === "integer" ? String(value.value) : null;
}

function namesOf(values: readonly BareItem[]): string | null {
  const names: string[] = [];
  for (const value of values) {
    if (value.kind !== "string" && value.kind !== "token") return null;
    names.push(value.value);
  }
  return names.join(",");
}
