// Decoding of what HTML, JavaScript, CSS and C write with escapes.
import { HEX, hexByte, isAlphanumeric, isHex, isOctal, isSpace, narrowed } from "./characters.ts";
import { laidOut } from "./scratch.ts";
import { fourHex } from "./url.ts";

const BACKSLASH = 0x5c;
const SEMICOLON = 0x3b;
const AMPERSAND = 0x26;
const LOWER_X = 0x78;
const UPPER_X = 0x58;
const LOWER_U = 0x75;
const LINE_FEED = 0x0a;

/** What letters after a backslash mean in C and JavaScript; 0 for the others. */
const CONTROL: Uint8Array = new Uint8Array(256);
for (const [letter, code] of [
  ["a", 0x07],
  ["b", 0x08],
  ["f", 0x0c],
  ["n", 0x0a],
  ["r", 0x0d],
  ["t", 0x09],
  ["v", 0x0b],
] as const)
  CONTROL[letter.charCodeAt(0)] = code;

/** What an escape stands for, a byte, and above it how many bytes it takes. */
const decoded = (size: number, byte: number): number => size * 256 + byte;

/** The input with what stands behind each backslash decoded; one at the very end stays. */
function decodeBackslashes(input: string, escapeAt: (bytes: Buffer, at: number, length: number) => number): string {
  const first = input.indexOf("\\");
  if (first < 0) return input;
  const length = input.length;
  const bytes = laidOut(input);
  let to = first;
  for (let at = first; at < length; to += 1) {
    if (bytes[at] !== BACKSLASH || at + 1 === length) {
      bytes[to] = bytes[at]!;
      at += 1;
    } else {
      const found = escapeAt(bytes, at, length);
      bytes[to] = found & 0xff;
      at += found >>> 8;
    }
  }
  return to === length ? input : bytes.latin1Slice(0, to);
}

/** `\uHHHH` (lower half, full-width forms as ASCII), `\xHH`, `\OOO`, `\n` and its like; of others the backslash goes. */
export const jsDecode = (input: string): string => decodeBackslashes(input, jsEscape);

function jsEscape(bytes: Buffer, at: number, length: number): number {
  const letter = bytes[at + 1]!;
  if (letter === LOWER_U && at + 5 < length && fourHex(bytes, at + 2))
    return decoded(6, narrowed(hexByte(bytes[at + 2]!, bytes[at + 3]!), hexByte(bytes[at + 4]!, bytes[at + 5]!)));
  if (letter === LOWER_X && hasTwoHex(bytes, at, length)) return decoded(4, hexByte(bytes[at + 2]!, bytes[at + 3]!));
  if (!isOctal(letter)) return control(letter);
  const digits = octalDigits(bytes, at + 1, length);
  // A third digit counts only below 400: more does not fit into a byte.
  const used = digits === 3 && letter > 0x33 ? 2 : digits;
  return decoded(1 + used, octal(bytes, at + 1, used));
}

/** The escapes of ANSI C; where one is not valid, only the backslash goes. */
export const escapeSeqDecode = (input: string): string => decodeBackslashes(input, cEscape);

function cEscape(bytes: Buffer, at: number, length: number): number {
  const letter = bytes[at + 1]!;
  const isX = letter === LOWER_X || letter === UPPER_X;
  if (isX && hasTwoHex(bytes, at, length)) return decoded(4, hexByte(bytes[at + 2]!, bytes[at + 3]!));
  if (!isOctal(letter)) return control(letter);
  const digits = octalDigits(bytes, at + 1, length);
  return decoded(1 + digits, octal(bytes, at + 1, digits) & 0xff);
}

const hasTwoHex = (bytes: Buffer, at: number, length: number): boolean =>
  at + 3 < length && isHex(bytes[at + 2]!) && isHex(bytes[at + 3]!);

const control = (letter: number): number => decoded(2, CONTROL[letter]! === 0 ? letter : CONTROL[letter]!);

function octalDigits(bytes: Buffer, from: number, length: number): number {
  let digits = 0;
  while (digits < 3 && from + digits < length && isOctal(bytes[from + digits]!)) digits += 1;
  return digits;
}

function octal(bytes: Buffer, from: number, digits: number): number {
  let value = 0;
  for (let at = from; at < from + digits; at += 1) value = value * 8 + bytes[at]! - 0x30;
  return value;
}

/**
 * CSS 2.x escapes: up to six digits and one blank after them, of which two digits are used; full-width forms as ASCII.
 * A backslash before a line feed goes with it, and one before anything else, or at the end, by itself.
 */
export function cssDecode(input: string): string {
  const first = input.indexOf("\\");
  if (first < 0) return input;
  const length = input.length;
  const bytes = laidOut(input);
  let to = first;
  for (let at = first; at < length; ) {
    if (bytes[at] !== BACKSLASH) {
      bytes[to++] = bytes[at++]!;
      continue;
    }
    at += 1;
    if (at === length) break;
    let digits = 0;
    while (digits < 6 && at + digits < length && isHex(bytes[at + digits]!)) digits += 1;
    if (digits > 0) {
      bytes[to++] = cssByte(bytes, at, digits);
      at += digits;
      if (at < length && isSpace(bytes[at]!)) at += 1;
    } else if (bytes[at] === LINE_FEED) at += 1;
    else bytes[to++] = bytes[at++]!;
  }
  return bytes.latin1Slice(0, to);
}

function cssByte(bytes: Buffer, from: number, digits: number): number {
  const end = from + digits;
  if (digits === 1) return HEX[bytes[from]!]!;
  const low = hexByte(bytes[end - 2]!, bytes[end - 1]!);
  if (digits < 4) return low;
  // Full-width forms have four digits; more of them only when they begin with zeros.
  for (let at = from; at < end - 4; at += 1) if (bytes[at] !== 0x30) return low;
  return narrowed(hexByte(bytes[end - 4]!, bytes[end - 3]!), low);
}

const NAMED: readonly (readonly [name: string, code: number])[] = [
  ["quot", 0x22],
  ["amp", 0x26],
  ["lt", 0x3c],
  ["gt", 0x3e],
  ["nbsp", 0xa0],
];

/** Numeric references (their lowest byte) and quot, amp, lt, gt, nbsp, with or without a semicolon. */
export function htmlEntityDecode(input: string): string {
  const first = input.indexOf("&");
  if (first < 0) return input;
  const length = input.length;
  const bytes = laidOut(input);
  let to = first;
  for (let at = first; at < length; ) {
    const code = bytes[at]!;
    if (code !== AMPERSAND || at + 1 === length) {
      bytes[to++] = code;
      at += 1;
      continue;
    }
    const isNumber = bytes[at + 1] === 0x23;
    const isHexadecimal = isNumber && at + 2 < length && (bytes[at + 2]! | 0x20) === LOWER_X;
    const start = isHexadecimal ? at + 3 : isNumber ? at + 2 : at + 1;
    const end = endOfReference(bytes, start, length, isNumber, isHexadecimal);
    const value = isNumber ? referenced(bytes, start, end, isHexadecimal ? 16 : 10) : named(bytes, start, end);
    if (value < 0) {
      while (at < end) bytes[to++] = bytes[at++]!;
      continue;
    }
    bytes[to++] = value;
    at = end < length && bytes[end] === SEMICOLON ? end + 1 : end;
  }
  return to === length ? input : bytes.latin1Slice(0, to);
}

function endOfReference(bytes: Buffer, start: number, length: number, number: boolean, hexadecimal: boolean): number {
  let end = start;
  if (hexadecimal) while (end < length && isHex(bytes[end]!)) end += 1;
  else if (number) while (end < length && bytes[end]! >= 0x30 && bytes[end]! <= 0x39) end += 1;
  else while (end < length && isAlphanumeric(bytes[end]!)) end += 1;
  return end;
}

/** The lowest byte of a number, -1 for no digits. What is too large for 63 bits ends at their largest, as in C. */
function referenced(bytes: Buffer, start: number, end: number, base: number): number {
  if (start >= end) return -1;
  let value = 0;
  let low = 0;
  for (let at = start; at < end; at += 1) {
    const digit = HEX[bytes[at]!]!;
    value = value * base + digit;
    low = (low * base + digit) & 0xff;
  }
  return value >= 2 ** 63 ? 0xff : low;
}

function named(bytes: Buffer, start: number, end: number): number {
  const size = end - start;
  if (size < 2 || size > 4) return -1;
  for (const [name, code] of NAMED) {
    if (name.length !== size) continue;
    let at = 0;
    while (at < size && (bytes[start + at]! | 0x20) === name.charCodeAt(at)) at += 1;
    if (at === size) return code;
  }
  return -1;
}
