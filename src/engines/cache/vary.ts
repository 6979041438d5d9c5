// Which variant of a stored answer fits a request (RFC 9111 §4.1). Values are compared in a normal form in which only
// what means something is left, so that clients that mean the same share a variant.
import { isSpace, SP, TCHAR, trimSpace } from "../../http/grammar.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import { ID, idOf } from "../../http/header-names.ts";
import { acceptedCoding, normalEncodings, normalLanguages, preferredLanguage } from "./negotiation.ts";

/** The fields of requests that an answer depends on. */
export interface VaryRule {
  /** Lower-case, sorted, each once. */
  readonly names: readonly string[];
  /** The names in one text, to compare rules by. */
  readonly text: string;
}

/** An answer that does not depend on the request's fields. */
export const NO_VARY: VaryRule = Object.freeze({ names: Object.freeze([]), text: "" });

/** An answer that depends on more fields than this has hardly a chance to be used again. */
const NAMES_MAX = 16;
/** How many variants one address may have: each costs a comparison for every request to it. */
export const VARIANTS_MAX = 64;

/**
 * The fields that an answer varies on; null when no later request can match: `*`, Cookie, what is no list of names, or
 * too many of them. `keyed` are lower-case names that are part of the key anyway.
 */
export function varyRule(response: HeaderBlock, keyed: readonly string[]): VaryRule | null {
  const field = response.getById(ID.vary);
  if (field === null) return NO_VARY;
  const names = new Set<string>();
  for (const member of field.split(",")) {
    const name = trimSpace(member).toLowerCase();
    if (name === "" || keyed.includes(name)) continue;
    if (name === "*" || name === "cookie" || !isToken(name)) return null;
    names.add(name);
  }
  if (names.size === 0) return NO_VARY;
  if (names.size > NAMES_MAX) return null;
  const sorted = [...names].sort();
  return { names: sorted, text: sorted.join() };
}

const TAB = 0x09;
const COMMA = 0x2c;

// Neither can stand in a field value, so no value can look like another one, or like none.
const ABSENT = "\u0001";
const BETWEEN = "\n";

/**
 * The values of the rule's fields in a request, in their normal form and in one text: two requests with the same one
 * are served by the same variant. A field that is not there is not the same as an empty one.
 */
export function variantKey(rule: VaryRule, request: HeaderBlock): string {
  let key = "";
  for (const name of rule.names) key += normalValue(name, request) + BETWEEN;
  return key;
}

/** The value of one field of a request in its normal form. */
export function normalValue(name: string, request: HeaderBlock): string {
  const id = idOf(name);
  const value = id === 0 ? request.get(name) : request.getById(id);
  if (value === null) return ABSENT;
  if (id === ID["accept-encoding"]) return normalEncodings(value);
  if (id === ID["accept-language"]) return normalLanguages(value);
  return normalList(value);
}

/** A stored variant, as far as selection looks at it. */
export interface Variant {
  readonly rule: VaryRule;
  /** The `variantKey` of the request that it answered. */
  readonly key: string;
  /** Its Content-Encoding and Content-Language, lower-case; "" without. */
  readonly encoding: string;
  readonly language: string;
}

/** What selection needs to know of an answer that is stored. */
export function variantOf(rule: VaryRule, request: HeaderBlock, response: HeaderBlock): Variant {
  const encoding = response.getById(ID["content-encoding"])?.toLowerCase() ?? "";
  return {
    rule,
    key: variantKey(rule, request),
    // What a server sends to those who have not asked for it, it sends to all.
    encoding: acceptedCoding(request.getById(ID["accept-encoding"]), encoding) ? encoding : "",
    language: response.get("content-language")?.toLowerCase() ?? "",
  };
}

/**
 * The index of the variant that a request gets: the last stored one that matches, so `variants` stand in the order in
 * which they came. -1 when none matches (`fwd=vary-miss`).
 */
export function selectVariant(variants: readonly Variant[], request: HeaderBlock): number {
  let rule = "";
  let key = "";
  for (let at = variants.length - 1; at >= 0; at -= 1) {
    const variant = variants[at]!;
    if (variant.rule.text !== rule) {
      rule = variant.rule.text;
      key = variantKey(variant.rule, request);
    }
    if (variant.key === key ? canRead(variant, request) : isPreferredLanguage(variant, request)) return at;
  }
  return -1;
}

/**
 * Codings that nobody sends are left out of the normal form, and a server may forget Vary: who cannot read a coding
 * must not get it all the same.
 */
function canRead({ encoding }: Variant, request: HeaderBlock): boolean {
  return encoding === "" || acceptedCoding(request.getById(ID["accept-encoding"]), encoding);
}

/**
 * Whether the variant differs in Accept-Language alone, and is in the one language that the request likes best: no
 * other answer could suit it better (RFC 9110 §12.5.4).
 */
function isPreferredLanguage(variant: Variant, request: HeaderBlock): boolean {
  const at = variant.language === "" ? -1 : variant.rule.names.indexOf("accept-language");
  if (at < 0) return false;
  const wanted = request.getById(ID["accept-language"]);
  if (wanted === null || preferredLanguage(wanted) !== variant.language) return false;
  const values = variantKey(variant.rule, request).split(BETWEEN);
  const same = variant.key.split(BETWEEN).every((value, index) => index === at || value === values[index]);
  return same && canRead(variant, request);
}

/** White space around commas means nothing in a list, and values that are none do not have it there by chance. */
function normalList(value: string): string {
  if (isNormal(value)) return value;
  let out = "";
  let quoted = false;
  for (let at = 0; at < value.length; at += 1) {
    const char = value[at]!;
    if (char === "\\" && quoted) {
      out += char + (value[at + 1] ?? "");
      at += 1;
      continue;
    }
    if (char === '"') quoted = !quoted;
    if (quoted || !isSpace(char.charCodeAt(0))) {
      out += char;
      continue;
    }
    let end = at;
    while (end < value.length && isSpace(value.charCodeAt(end))) end += 1;
    const besideComma = out === "" || out.endsWith(",") || end === value.length || value[end] === ",";
    if (!besideComma) out += " ";
    at = end - 1;
  }
  return out;
}

/** Whether the value has no white space but single spaces within, away from commas: true of nearly all. */
function isNormal(value: string): boolean {
  let before = COMMA;
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at);
    if (code === TAB || (code === SP && (before === SP || before === COMMA))) return false;
    if (code === COMMA && before === SP) return false;
    before = code;
  }
  return before !== SP;
}

function isToken(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) if (TCHAR[text.charCodeAt(at)] !== 1) return false;
  return text !== "";
}
