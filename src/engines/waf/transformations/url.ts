// Decoding and encoding of URLs.
import { bestFit } from "./best-fit.ts";
import { HEX, hexByte, isHex } from "./characters.ts";
import { laidOut, scratch } from "./scratch.ts";

const PERCENT = 0x25;
const PLUS = 0x2b;
const SPACE = 0x20;
const UPPER_U = 0x55;
const LOWER_U = 0x75;

/** Where the first byte stands that may be part of an escape; the length when there is none. */
function firstEscape(input: string): number {
  const percent = input.indexOf("%");
  const plus = input.indexOf("+");
  if (percent < 0) return plus < 0 ? input.length : plus;
  return plus < 0 || percent < plus ? percent : plus;
}

/** `%HH` and `+` decoded; invalid escapes stay as they are. */
export function urlDecode(input: string): string {
  const length = input.length;
  const first = firstEscape(input);
  if (first === length) return input;
  const bytes = laidOut(input);
  let changed = false;
  let to = first;
  for (let at = first; at < length; to += 1) {
    const code = bytes[at]!;
    if (code === PERCENT && at + 2 < length && isHex(bytes[at + 1]!) && isHex(bytes[at + 2]!)) {
      bytes[to] = hexByte(bytes[at + 1]!, bytes[at + 2]!);
      at += 3;
      changed = true;
    } else {
      if (code === PLUS) changed = true;
      bytes[to] = code === PLUS ? SPACE : code;
      at += 1;
    }
  }
  return changed ? bytes.latin1Slice(0, to) : input;
}

/** Whether `%HH` or `%` without two digits stands there: what ModSecurity calls an invalid encoding. */
export function hasInvalidEscape(input: string): boolean {
  for (let at = input.indexOf("%"); at >= 0; at = input.indexOf("%", at + 1)) {
    if (at + 2 >= input.length) return true;
    if (!isHex(input.charCodeAt(at + 1)) || !isHex(input.charCodeAt(at + 2))) return true;
  }
  return false;
}

/** As `urlDecode`, and `%uHHHH` as IIS has it: the ASCII that is most similar, else the lower half. */
export function urlDecodeUni(input: string): string {
  const length = input.length;
  const first = firstEscape(input);
  if (first === length) return input;
  const bytes = laidOut(input);
  let changed = false;
  let to = first;
  for (let at = first; at < length; to += 1) {
    const code = bytes[at]!;
    if (code !== PERCENT) {
      if (code === PLUS) changed = true;
      bytes[to] = code === PLUS ? SPACE : code;
      at += 1;
      continue;
    }
    const second = at + 1 < length ? bytes[at + 1]! : 0;
    if (second === LOWER_U || second === UPPER_U) {
      if (at + 5 < length && fourHex(bytes, at + 2)) {
        bytes[to] = bestFit(hexByte(bytes[at + 2]!, bytes[at + 3]!), hexByte(bytes[at + 4]!, bytes[at + 5]!));
        at += 6;
        changed = true;
        continue;
      }
    } else if (at + 2 < length && isHex(second) && isHex(bytes[at + 2]!)) {
      bytes[to] = hexByte(second, bytes[at + 2]!);
      at += 3;
      changed = true;
      continue;
    }
    bytes[to] = code;
    at += 1;
  }
  return changed ? bytes.latin1Slice(0, to) : input;
}

/** Whether four hexadecimal digits stand there. */
export function fourHex(bytes: Buffer, at: number): boolean {
  return (HEX[bytes[at]!]! | HEX[bytes[at + 1]!]! | HEX[bytes[at + 2]!]! | HEX[bytes[at + 3]!]!) >= 0;
}

const DIGITS = "0123456789abcdef";

/** Letters, digits and `*` stay, a blank becomes `+`, all others `%hh`. */
export function urlEncode(input: string): string {
  const length = input.length;
  let first = 0;
  while (first < length && staysInUrl(input.charCodeAt(first))) first += 1;
  if (first === length) return input;
  const bytes = scratch(length * 3);
  let to = bytes.latin1Write(input.slice(0, first), 0);
  for (let at = first; at < length; at += 1) {
    const code = input.charCodeAt(at);
    if (staysInUrl(code)) bytes[to++] = code;
    else if (code === SPACE) bytes[to++] = PLUS;
    else {
      bytes[to++] = PERCENT;
      bytes[to++] = DIGITS.charCodeAt(code >> 4);
      bytes[to++] = DIGITS.charCodeAt(code & 0x0f);
    }
  }
  return bytes.latin1Slice(0, to);
}

const staysInUrl = (code: number): boolean =>
  (code >= 0x30 && code <= 0x39) || (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || code === 0x2a;

/**
 * Each character of more than one byte in UTF-8 as `%uhhhh`, by its number. As in ModSecurity, NUL bytes go, and bytes
 * that begin a character which does not follow: what passes over them would otherwise see a word that rules do not see.
 */
export function utf8toUnicode(input: string): string {
  const length = input.length;
  let first = 0;
  while (first < length && isPlain(input.charCodeAt(first))) first += 1;
  if (first === length) return input;
  // Two bytes become six at most.
  const bytes = scratch(length * 3 + 2);
  let to = bytes.latin1Write(input.slice(0, first), 0);
  let changed = false;
  for (let at = first; at < length; ) {
    const code = input.charCodeAt(at);
    const size = code < 0x80 ? 1 : sequenceLength(input, at);
    if (size === 1) {
      if (code === 0 || (code >= 0xc0 && code < 0xf5)) changed = true;
      else bytes[to++] = code;
      at += 1;
      continue;
    }
    let point = code & (0xff >> (size + 1));
    for (let next = 1; next < size; next += 1) point = (point << 6) | (input.charCodeAt(at + next) & 0x3f);
    to = writePoint(bytes, to, point);
    at += size;
    changed = true;
  }
  return changed ? bytes.latin1Slice(0, to) : input;
}

const isPlain = (code: number): boolean => code < 0x80 && code !== 0;

/**
 * Bytes of the UTF-8 sequence that begins there, 1 when it is none. Overlong forms count as one, as they do for the
 * decoders that attackers write them for.
 */
function sequenceLength(input: string, at: number): number {
  const lead = input.charCodeAt(at);
  const size = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 1;
  if (at + size > input.length) return 1;
  for (let next = 1; next < size; next += 1) if ((input.charCodeAt(at + next) & 0xc0) !== 0x80) return 1;
  return size;
}

function writePoint(bytes: Buffer, from: number, point: number): number {
  let to = from;
  bytes[to++] = PERCENT;
  bytes[to++] = LOWER_U;
  for (let shift = point > 0xfffff ? 20 : point > 0xffff ? 16 : 12; shift >= 0; shift -= 4)
    bytes[to++] = DIGITS.charCodeAt((point >> shift) & 0x0f);
  return to;
}
