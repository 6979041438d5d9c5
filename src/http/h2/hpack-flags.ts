// What the decoder of a field section tells about each field beside its bytes: one small integer, gathered in the same
// pass that decodes or copies the bytes. HPACK and QPACK carry any bytes; RFC 9113 §8.2 says which of them a message
// may.
import { FIELD_BYTE, TCHAR } from "../grammar.ts";

/** The name is empty, or holds a byte that is not a lower-case token character and is no pseudo-header field below. */
export const BAD_NAME = 1;
/** The value begins or ends with white space, or holds a control byte (CR, LF and NUL among them). */
export const BAD_VALUE = 2;
/** Whoever passes the field on must write it as a literal that is never indexed (RFC 7541 §6.2.3). */
export const NEVER_INDEXED = 4;
/** The name holds `_`. */
export const UNDERSCORE = 8;

/** `flags >> PSEUDO_SHIFT` is which pseudo-header field it is (one of the numbers below), 0 for a regular field. */
export const PSEUDO_SHIFT = 4;
export const AUTHORITY = 1;
export const METHOD = 2;
export const PATH = 3;
export const SCHEME = 4;
export const STATUS = 5;
/** RFC 8441 §4. */
export const PROTOCOL = 6;

/** Every pseudo-header field by its number. */
export const PSEUDO_NAMES = ["", ":authority", ":method", ":path", ":scheme", ":status", ":protocol"] as const;
const PSEUDO_BYTES: readonly Uint8Array[] = PSEUDO_NAMES.map((name) => new TextEncoder().encode(name));

/** The number of the pseudo-header field whose name is `bytes[start, end)`; 0 when it is none. */
export function pseudoOf(bytes: Uint8Array, start: number, end: number): number {
  for (let number = 1; number < PSEUDO_BYTES.length; number += 1) {
    const name = PSEUDO_BYTES[number]!;
    if (name.length !== end - start) continue;
    let same = 0;
    while (same < name.length && bytes[start + same] === name[same]) same += 1;
    if (same === name.length) return number;
  }
  return 0;
}

/** Classes of bytes, to be gathered with OR over a string. */
export const NOT_IN_NAME = 1;
export const NOT_IN_VALUE = 2;
export const IS_UNDERSCORE = 4;

/** The classes of each byte: what may stand in a name (RFC 9113 §8.2.1: a token without upper case) and in a value. */
export const BYTE_CLASS: Uint8Array = new Uint8Array(256);
for (let byte = 0; byte < 256; byte += 1) {
  const upper = byte >= 0x41 && byte <= 0x5a;
  if (TCHAR[byte] === 0 || upper) BYTE_CLASS[byte]! |= NOT_IN_NAME;
  if (FIELD_BYTE[byte] === 0) BYTE_CLASS[byte]! |= NOT_IN_VALUE;
  if (byte === 0x5f) BYTE_CLASS[byte]! |= IS_UNDERSCORE;
}
