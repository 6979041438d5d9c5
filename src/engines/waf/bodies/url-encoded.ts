// Arguments of query strings and forms, and cookies.
import { hasInvalidEscape, urlDecode } from "../transformations/url.ts";

/** An escape was not valid and stayed as it is (URLENCODED_ERROR). */
export const URLENCODED_INVALID = 1;
/** There are more arguments than the limit; those beyond it were not given out. */
export const URLENCODED_TOO_MANY = 2;

/** Takes one argument; both are bytes as Latin-1 characters. */
export type TakeArgument = (name: string, value: string) => void;

/**
 * Arguments of a query string or of a form (application/x-www-form-urlencoded): pieces between separators, a name up to
 * the first `=`, both decoded. A piece of no bytes is no argument. Returns URLENCODED_ bits, 0 when all is well.
 */
export function parseUrlEncoded(text: string, separator: string, countMax: number, take: TakeArgument): number {
  let found = 0;
  let outcome = hasInvalidEscape(text) ? URLENCODED_INVALID : 0;
  let equals = text.indexOf("=");
  for (let at = 0; at < text.length; ) {
    const next = text.indexOf(separator, at);
    const end = next < 0 ? text.length : next;
    if (end > at) {
      if (found === countMax) {
        outcome |= URLENCODED_TOO_MANY;
        break;
      }
      found += 1;
      // Looked for again only behind the last one, so that pieces without any do not cost the whole rest each.
      if (equals >= 0 && equals < at) equals = text.indexOf("=", at);
      if (equals < 0 || equals >= end) take(urlDecode(text.slice(at, end)), "");
      else take(urlDecode(text.slice(at, equals)), urlDecode(text.slice(equals + 1, end)));
    }
    at = end + separator.length;
  }
  return outcome;
}

const SPACE = 0x20;
const TAB = 0x09;

/**
 * Cookies of a Cookie field as ModSecurity has them in version 0: pieces between semicolons, without blanks before the
 * name, and nothing decoded. One without a name is left out. False when there are more than `countMax`.
 */
export function parseCookies(field: string, countMax: number, take: TakeArgument): boolean {
  let found = 0;
  for (let at = 0; at < field.length; ) {
    const next = field.indexOf(";", at);
    const end = next < 0 ? field.length : next;
    let start = at;
    while (start < end && isBlank(field.charCodeAt(start))) start += 1;
    const piece = field.slice(start, end);
    const equals = piece.indexOf("=");
    const name = equals < 0 ? piece : piece.slice(0, equals);
    if (name !== "") {
      if (found === countMax) return false;
      found += 1;
      take(name, equals < 0 ? "" : piece.slice(equals + 1));
    }
    at = end + 1;
  }
  return true;
}

const isBlank = (code: number): boolean => code === SPACE || code === TAB;
