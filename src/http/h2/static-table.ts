// The fields that both sides of HTTP/2 know from the start (RFC 7541 Appendix A), as they stand in a rendered head.
import { ID_COUNT, idOf } from "../header-names.ts";
import { PSEUDO_NAMES, PSEUDO_SHIFT } from "./hpack-flags.ts";

/** By index; index 0 is not used. */
export const STATIC_FIELDS: readonly (readonly [name: string, value: string])[] = [
  ["", ""],
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
];
/** Indices up to this one are static ones. */
export const STATIC_LAST = STATIC_FIELDS.length - 1;

/** `name: value\r\n` of every static field, one behind the other; that of `index` begins at `STATIC_STARTS[index]`. */
export const STATIC_LINES: Buffer = Buffer.from(STATIC_FIELDS.map(([name, value]) => `${name}: ${value}\r\n`).join(""));
export const STATIC_STARTS: Int32Array = new Int32Array(STATIC_FIELDS.length + 1);
export const STATIC_NAME_LENGTHS: Uint8Array = Uint8Array.from(STATIC_FIELDS, ([name]) => name.length);
/** The id (header-names.ts) of every static field's name, and its flags (hpack-flags.ts). */
export const STATIC_IDS: Uint8Array = Uint8Array.from(STATIC_FIELDS, ([name]) => idOf(name));
export const STATIC_FLAGS: Uint8Array = Uint8Array.from(
  STATIC_FIELDS,
  ([name]) => Math.max(0, (PSEUDO_NAMES as readonly string[]).indexOf(name)) << PSEUDO_SHIFT,
);
/** The first static field with the name that an id stands for; 0 without one. */
export const STATIC_BY_ID: Uint8Array = new Uint8Array(ID_COUNT);
/** The same by the number of a pseudo-header field. */
export const STATIC_BY_PSEUDO: Uint8Array = Uint8Array.from(PSEUDO_NAMES, (name) =>
  Math.max(0, name === "" ? 0 : STATIC_FIELDS.findIndex((field) => field[0] === name)),
);
// Static names that have no id, by their length: no two lengths have more than three of them.
const UNNUMBERED: number[][] = Array.from({ length: 32 }, () => []);

for (let index = 0; index < STATIC_FIELDS.length; index += 1) {
  const [name, value] = STATIC_FIELDS[index]!;
  STATIC_STARTS[index + 1] = STATIC_STARTS[index]! + name.length + value.length + 4;
  const id = STATIC_IDS[index]!;
  if (id !== 0 && STATIC_BY_ID[id] === 0) STATIC_BY_ID[id] = index;
  if (id === 0 && index > 0 && STATIC_FLAGS[index] === 0) UNNUMBERED[name.length]!.push(index);
}

/** The static field whose name is `bytes[start, end)`, lower-case and without an id; 0 without one. */
export function staticOf(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length >= UNNUMBERED.length) return 0;
  for (const index of UNNUMBERED[length]!) {
    const at = STATIC_STARTS[index]!;
    let same = 0;
    while (same < length && STATIC_LINES[at + same] === bytes[start + same]) same += 1;
    if (same === length) return index;
  }
  return 0;
}
