// Addresses of pages, without what should not be known elsewhere.

export interface AddressRules {
  /** Names of query parameters whose values are taken out, in small letters. */
  readonly redact: ReadonlySet<string>;
  /** Names of those that are left out with their values, in small letters. */
  readonly remove: ReadonlySet<string>;
  /** What stands in place of a value. */
  readonly replacement: string;
}

/** By which advertisers know one click: personal data, and only of use to those who may have it. */
export const CLICK_IDS: readonly string[] = [
  "gclid",
  "wbraid",
  "gbraid",
  "dclid",
  "fbclid",
  "msclkid",
  "ttclid",
  "twclid",
  "li_fat_id",
  "yclid",
  "gad_source",
];

/** A page's address with its query parameters as the rules have it, and without user, password and fragment. */
export function cleanAddress(address: string, rules: AddressRules): string {
  const fragment = address.indexOf("#");
  const whole = withoutUser(fragment < 0 ? address : address.slice(0, fragment));
  const question = whole.indexOf("?");
  if (question < 0) return whole;
  const kept: string[] = [];
  for (const part of whole.slice(question + 1).split("&")) {
    const equals = part.indexOf("=");
    const name = decodedName(equals < 0 ? part : part.slice(0, equals));
    if (rules.remove.has(name)) continue;
    const hidden = equals >= 0 && rules.redact.has(name);
    kept.push(hidden ? `${part.slice(0, equals + 1)}${encodeURIComponent(rules.replacement)}` : part);
  }
  const path = whole.slice(0, question);
  return kept.length === 0 ? path : `${path}?${kept.join("&")}`;
}

/** `https://ann:secret@host/` says more than where the page is. */
const withoutUser = (address: string): string => address.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/?@]*@/i, "$1");

function decodedName(text: string): string {
  const spaced = text.replaceAll("+", " ");
  try {
    return decodeURIComponent(spaced).toLowerCase();
  } catch {
    return spaced.toLowerCase();
  }
}

/** `https://other.example/` of an address there; "" for what is none. */
export function originOf(address: string): string {
  const found = /^(https?:\/\/[^/?#@]+)(?:[/?#]|$)/i.exec(address);
  return found === null ? "" : `${found[1]!.toLowerCase()}/`;
}
