// No-Vary-Search: which parts of the query an answer does not depend on. What is malformed, or not known here, leaves
// the query as it is: an answer is then found under its own address only.
import type { HeaderBlock } from "../../http/header-block.ts";
import { encodeComponent } from "../../http/path.ts";
import { type Member, parseDictionary } from "../../http/structured.ts";
import { queryPieces } from "./query-pieces.ts";

export interface SearchRule {
  /** The order of parameters with different names means nothing. */
  readonly anyOrder: boolean;
  /** `names` are what is left out of account; otherwise all but `names` is. */
  readonly listed: boolean;
  /** Of parameters, decoded, as one byte for each character. */
  readonly names: ReadonlySet<string>;
}

const KNOWN: ReadonlySet<string> = new Set(["key-order", "params", "except"]);

/** The rule of an answer; null when its whole query counts. */
export function searchRule(response: HeaderBlock): SearchRule | null {
  const field = response.get("no-vary-search");
  const members = field === null ? null : parseDictionary(field);
  if (members === null) return null;
  for (const key of members.keys()) if (!KNOWN.has(key)) return null;
  const anyOrder = flag(members.get("key-order"));
  const params = members.get("params");
  const except = members.get("except");
  if (anyOrder === null) return null;
  if (params?.kind === "list") {
    const names = stringsOf(params);
    return names === null || except !== undefined ? null : ruleOf(anyOrder, true, names);
  }
  const all = flag(params);
  if (all === null || (!all && except !== undefined)) return null;
  if (!all) return ruleOf(anyOrder, true, []);
  const kept = except === undefined ? [] : stringsOf(except);
  return kept === null ? null : ruleOf(anyOrder, false, kept);
}

function ruleOf(anyOrder: boolean, listed: boolean, names: readonly string[]): SearchRule | null {
  if (!anyOrder && listed && names.length === 0) return null;
  return { anyOrder, listed, names: new Set(names) };
}

/** A boolean member; false when it is not there, null when it is something else. */
function flag(member: Member | undefined): boolean | null {
  if (member === undefined) return false;
  return member.kind === "item" && member.value.kind === "boolean" ? member.value.value : null;
}

function stringsOf(member: Member): string[] | null {
  if (member.kind !== "list") return null;
  const names: string[] = [];
  for (const { value } of member.items) {
    if (value.kind !== "string") return null;
    for (const { name } of queryPieces(value.value.replaceAll("&", "%26").replaceAll("=", "%3D"))) names.push(name);
  }
  return names;
}

/**
 * The query in a form that is the same for all that the answer fits: parameters that count, decoded and encoded again
 * in one way, in their order or sorted by name.
 */
export function searchKey(rule: SearchRule, query: string): string {
  const kept = queryPieces(query).filter(({ name }) => rule.names.has(name) !== rule.listed);
  if (rule.anyOrder) kept.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)); // stable
  return kept.map(({ name, value }) => `${encodeComponent(name)}=${encodeComponent(value)}`).join("&");
}
