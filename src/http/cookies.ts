// Cookies of a request, found where they stand: no jar is made, and only what somebody asks for becomes a string.
import type { HeaderBlock } from "./header-block.ts";
import { ID } from "./header-names.ts";

const TAB = 0x09;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const SEMICOLON = 0x3b;
const EQUALS = 0x3d;

const isBlank = (code: number): boolean => code === SPACE || code === TAB;

/**
 * Where the value of the next cookie with this name begins, at or behind `from`; -1 when there is none. `field` is a
 * Cookie field (RFC 6265 §4.2.1); a comma and a space separate as a semicolon does, as several fields are joined so.
 */
export function cookieStart(field: string, name: string, from = 0): number {
  for (let at = field.indexOf(name, from); at >= 0; at = field.indexOf(name, at + 1)) {
    let after = at + name.length;
    while (isBlank(field.charCodeAt(after))) after += 1;
    if (field.charCodeAt(after) === EQUALS && beginsPair(field, at)) return after + 1;
  }
  return -1;
}

/** Whether only blanks stand between `at` and the separator, or the start, before it. */
function beginsPair(field: string, at: number): boolean {
  let before = at - 1;
  while (before >= 0 && isBlank(field.charCodeAt(before))) before -= 1;
  if (before < 0) return true;
  const code = field.charCodeAt(before);
  return code === SEMICOLON || (code === COMMA && before < at - 1);
}

/** Where the value that begins at `from` ends: at the semicolon, or at the comma that another cookie stands behind. */
function cookieEnd(field: string, from: number): number {
  // Byte by byte and not with indexOf, which would look through the rest of a long field again for each of its cookies.
  let at = from;
  for (; at < field.length; at += 1) {
    const code = field.charCodeAt(at);
    if (code === SEMICOLON) return at;
    if (code === COMMA && isBlank(field.charCodeAt(at + 1)) && namesCookie(field, at + 1)) return at;
  }
  return at;
}

/** Whether `name=` stands there. */
function namesCookie(field: string, from: number): boolean {
  for (let at = from; at < field.length; at += 1) {
    const code = field.charCodeAt(at);
    if (code === EQUALS) return at > from + 1; // a blank and a name at least
    if (code === SEMICOLON || code === COMMA) return false;
  }
  return false;
}

/** The value that begins at `from`, without blanks around it and without quotes. */
function valueAt(field: string, from: number): string {
  let start = from;
  let end = cookieEnd(field, from);
  while (start < end && isBlank(field.charCodeAt(start))) start += 1;
  while (end > start && isBlank(field.charCodeAt(end - 1))) end -= 1;
  const quoted = end - start > 1 && field.charCodeAt(start) === QUOTE && field.charCodeAt(end - 1) === QUOTE;
  return quoted ? field.slice(start + 1, end - 1) : field.slice(start, end);
}

/** Every value of a cookie in a Cookie field, in order. */
export function cookieValues(field: string | null, name: string): string[] {
  const values: string[] = [];
  if (field === null) return values;
  for (let at = cookieStart(field, name); at >= 0; at = cookieStart(field, name, at)) values.push(valueAt(field, at));
  return values;
}

/** The first value of a cookie in a Cookie field; null when there is none. */
export function firstCookie(field: string | null, name: string): string | null {
  if (field === null) return null;
  const at = cookieStart(field, name);
  return at < 0 ? null : valueAt(field, at);
}

/**
 * The Cookie field as the client sent it, several joined as one; null without any. What edits took away for the sake of
 * the servers is there all the same: the proxy's own cookies must be found.
 */
export function receivedCookies(headers: HeaderBlock): string | null {
  if (!headers.received(ID.cookie)) return null;
  let field: string | null = null;
  for (let at = 0; at < headers.count; at += 1) {
    if (headers.ids[at] !== ID.cookie) continue;
    field = field === null ? headers.valueAt(at) : `${field}; ${headers.valueAt(at)}`;
  }
  return field;
}
