// The byte classes of HTTP's grammar, as tables: one look-up for each byte, no regular expression on the hot path.
import { parseIp } from "../core/ip.ts";

export const CR = 0x0d;
export const LF = 0x0a;
export const SP = 0x20;
const TAB = 0x09;
export const COLON = 0x3a;

function byteClass(...members: readonly (string | readonly [from: number, to: number])[]): Uint8Array {
  const table = new Uint8Array(256);
  for (const member of members) {
    if (typeof member === "string") for (const char of member) table[char.charCodeAt(0)] = 1;
    else for (let byte = member[0]; byte <= member[1]; byte += 1) table[byte] = 1;
  }
  return table;
}

const ALPHA = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGIT = "0123456789";

/** RFC 9110 §5.6.2 tchar: 1 for each byte that a token may hold. */
export const TCHAR: Uint8Array = byteClass(ALPHA, DIGIT, "!#$%&'*+-.^_`|~");
/** 1 for each tchar, 3 for `_`, 0 for every other byte: the bits of a whole name can be gathered by AND and OR. */
export const NAME_BYTE: Uint8Array = TCHAR.map((is, byte) => (byte === 0x5f ? 3 : is));
/** RFC 9110 §5.5: bytes of a field value: visible ASCII, space, tab, obs-text. */
export const FIELD_BYTE: Uint8Array = byteClass("\t", [0x20, 0x7e], [0x80, 0xff]);
/**
 * Bytes of a request target. RFC 3986 plus the visible ASCII that browsers do not encode in queries; never `#`, space,
 * controls or bytes from 0x80, which other parsers cut or decode in ways of their own.
 */
export const TARGET_BYTE: Uint8Array = byteClass([0x21, 0x22], [0x24, 0x7e]);
/**
 * For each byte of a path what it may need: bit 1 nothing, if it stands alone; bit 2 a look at the byte before it
 * (slash and dot); bit 4 normalisation (percent and what RFC 3986 §3.3 does not allow in a path).
 */
export const PATH_BYTE: Uint8Array = new Uint8Array(256).fill(4);
for (const char of `${ALPHA}${DIGIT}-_~!$&'()*+,;=:@`) PATH_BYTE[char.charCodeAt(0)] = 1;
for (const char of "/.") PATH_BYTE[char.charCodeAt(0)] = 2;
/** RFC 3986 §3.2.2 reg-name without percent-encoding, and without the comma, which joins two Host fields into one. */
const HOST_BYTE: Uint8Array = byteClass(ALPHA, DIGIT, "-._~!$&'()*+;=");
/** The value of each hexadecimal digit, 255 for every other byte. */
export const HEX_VALUE: Uint8Array = new Uint8Array(256).fill(255);
for (let value = 0; value < 16; value += 1) {
  HEX_VALUE[value.toString(16).charCodeAt(0)] = value;
  HEX_VALUE[value.toString(16).toUpperCase().charCodeAt(0)] = value;
}

export const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39;
/** RFC 9110 §5.6.3: optional white space is space and tab, nothing else. */
export const isSpace = (byte: number): boolean => byte === SP || byte === TAB;

/**
 * The members of a comma-separated list (RFC 9110 §5.6.1), lower-case, white space trimmed. Empty members are kept as
 * "", so that the caller can refuse them.
 */
export function listMembers(value: string): string[] {
  return value.split(",").map((member) => trimSpace(member).toLowerCase());
}

/** Without the spaces and tabs around it. By hand: a regular expression takes quadratic time for spaces in the middle. */
export function trimSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start += 1;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

/**
 * Whether the text is an authority without user information: a host and an optional port (RFC 3986 §3.2). IPv6
 * addresses stand in brackets.
 */
export function isAuthority(text: string): boolean {
  if (text.length === 0 || text.length > 262) return false; // 255 bytes of a name (RFC 1035 §2.3.4) with `:65535`
  let end: number;
  if (text.charCodeAt(0) === 0x5b) {
    end = text.indexOf("]") + 1;
    const address = text.slice(1, end - 1);
    if (!address.includes(":") || parseIp(address) === null) return false;
  } else {
    end = 0;
    while (end < text.length) {
      const byte = text.charCodeAt(end);
      if (byte > 0xff || HOST_BYTE[byte] === 0) break;
      end += 1;
    }
    if (end === 0) return false;
  }
  if (end === text.length) return true;
  if (text.charCodeAt(end) !== COLON) return false;
  const port = text.slice(end + 1);
  if (port.length > 5) return false;
  for (let i = 0; i < port.length; i += 1) if (!isDigit(port.charCodeAt(i))) return false;
  return port === "" || Number(port) <= 65_535;
}
