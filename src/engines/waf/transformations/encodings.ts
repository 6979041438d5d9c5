// Base64, hexadecimal, digests: values as wholes.
import { createHash } from "node:crypto";
import { HEX, hexByte, isHex } from "./characters.ts";
import { laidOut, scratch } from "./scratch.ts";

const PAD = 0x3d;

/** Value of a digit of base64 (also of its form for URLs), -1 for others. */
const SIXTY_FOUR: Int8Array = new Int8Array(256).fill(-1);
for (let at = 0; at < 26; at += 1) {
  SIXTY_FOUR[0x41 + at] = at;
  SIXTY_FOUR[0x61 + at] = 26 + at;
}
for (let at = 0; at < 10; at += 1) SIXTY_FOUR[0x30 + at] = 52 + at;
for (const code of Buffer.from("+-")) SIXTY_FOUR[code] = 62;
for (const code of Buffer.from("/_")) SIXTY_FOUR[code] = 63;

const DASH = 0x2d;
const UNDERSCORE = 0x5f;

/** What base64 means up to the first byte that does not belong to it; the standard alphabet alone. */
export function base64Decode(input: string): string {
  const length = input.length;
  let end = 0;
  while (end < length) {
    const code = input.charCodeAt(end);
    if (SIXTY_FOUR[code]! < 0 || code === DASH || code === UNDERSCORE) break;
    end += 1;
  }
  return decoded64(input, end);
}

/** What base64 means when all that does not belong to it is passed over, as lenient decoders do (RFC 2045 §6.8). */
export function base64DecodeExt(input: string): string {
  return decoded64(input, input.length);
}

function decoded64(input: string, end: number): string {
  const bytes = scratch(end);
  let to = 0;
  let bits = 0;
  let held = 0;
  for (let at = 0; at < end; at += 1) {
    const code = input.charCodeAt(at);
    const digit = code === PAD ? -1 : SIXTY_FOUR[code]!;
    if (digit < 0) continue;
    bits = ((bits << 6) | digit) & 0xffff;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    bytes[to++] = (bits >> held) & 0xff;
  }
  return bytes.latin1Slice(0, to);
}

export function base64Encode(input: string): string {
  return input === "" ? input : laidOut(input).toString("base64", 0, input.length);
}

/** Pairs of hexadecimal digits as bytes. Digits are not checked, as in the C function that others copied. */
export function hexDecode(input: string): string {
  const pairs = input.length >> 1;
  if (input === "") return input;
  const bytes = scratch(pairs);
  for (let at = 0; at < pairs; at += 1)
    bytes[at] = (uncheckedDigit(input.charCodeAt(2 * at)) << 4) + uncheckedDigit(input.charCodeAt(2 * at + 1));
  return bytes.latin1Slice(0, pairs);
}

const uncheckedDigit = (code: number): number => (code >= 0x41 ? (code & 0xdf) - 0x41 + 10 : code - 0x30);

export function hexEncode(input: string): string {
  return input === "" ? input : laidOut(input).toString("hex", 0, input.length);
}

/** `0x616263` as `abc`, as MySQL reads it. */
export function sqlHexDecode(input: string): string {
  const lower = input.indexOf("0x");
  const upper = input.indexOf("0X");
  if (lower < 0 && upper < 0) return input;
  const length = input.length;
  const bytes = laidOut(input);
  let to = lower < 0 ? upper : upper < 0 || lower < upper ? lower : upper;
  for (let at = to; at < length; ) {
    if (bytes[at] === 0x30 && at + 3 < length && (bytes[at + 1]! | 0x20) === 0x78 && pairAt(bytes, at + 2)) {
      for (at += 2; at + 1 < length && pairAt(bytes, at); at += 2) bytes[to++] = hexByte(bytes[at]!, bytes[at + 1]!);
    } else bytes[to++] = bytes[at++]!;
  }
  return to === length ? input : bytes.latin1Slice(0, to);
}

const pairAt = (bytes: Buffer, at: number): boolean => isHex(bytes[at]!) && HEX[bytes[at + 1]!]! >= 0;

/** The number of bytes, in decimal. */
export const byteLength = (input: string): string => String(input.length);

/** The digest as sixteen bytes. */
export const md5 = (input: string): string => createHash("md5").update(input, "latin1").digest("latin1");

/** The digest as twenty bytes. */
export const sha1 = (input: string): string => createHash("sha1").update(input, "latin1").digest("latin1");
