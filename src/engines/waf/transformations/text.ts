// Case, blanks, NULs, parity: what changes bytes one by one.
import { isSpace } from "./characters.ts";
import { laidOut } from "./scratch.ts";

const SPACE = 0x20;
const NO_BREAK_SPACE = 0xa0;
/** Its first byte in UTF-8. */
const NO_BREAK_LEAD = 0xc2;

// Most bytes are above the blank: one comparison tells so.
const isBlank = (code: number): boolean => (code <= SPACE ? isSpace(code) : code === NO_BREAK_SPACE);

/** ASCII letters in lower case. */
export function lowercase(input: string): string {
  const length = input.length;
  let at = 0;
  for (; at < length; at += 1) {
    const code = input.charCodeAt(at);
    if (code >= 0x41 && code <= 0x5a) break;
  }
  if (at === length) return input;
  const bytes = laidOut(input);
  for (; at < length; at += 1) {
    const code = bytes[at]!;
    if (code >= 0x41 && code <= 0x5a) bytes[at] = code | 0x20;
  }
  return bytes.latin1Slice(0, length);
}

/** ASCII letters in upper case. */
export function uppercase(input: string): string {
  const length = input.length;
  let at = 0;
  for (; at < length; at += 1) {
    const code = input.charCodeAt(at);
    if (code >= 0x61 && code <= 0x7a) break;
  }
  if (at === length) return input;
  const bytes = laidOut(input);
  for (; at < length; at += 1) {
    const code = bytes[at]!;
    if (code >= 0x61 && code <= 0x7a) bytes[at] = code & 0xdf;
  }
  return bytes.latin1Slice(0, length);
}

/** Each run of white space, the no-break space included, as one blank. */
export function compressWhitespace(input: string): string {
  const length = input.length;
  let first = 0;
  for (; first < length; first += 1) {
    const code = input.charCodeAt(first);
    if (!isBlank(code)) continue;
    if (code !== SPACE || (first + 1 < length && isBlank(input.charCodeAt(first + 1)))) break;
  }
  if (first === length) return input;
  const bytes = laidOut(input);
  let to = first;
  let inBlanks = false;
  for (let at = first; at < length; at += 1) {
    const code = bytes[at]!;
    const blank = isBlank(code);
    if (!blank) bytes[to++] = code;
    else if (!inBlanks) bytes[to++] = SPACE;
    inBlanks = blank;
  }
  return bytes.latin1Slice(0, to);
}

/** What goes with blanks: the no-break space, which UTF-8 has as two bytes. Others that begin with the first one are rare. */
const isBlankByte = (code: number): boolean => code === NO_BREAK_LEAD || isBlank(code);

/** Without any white space, the no-break space included, as one byte and as two. */
export function removeWhitespace(input: string): string {
  const length = input.length;
  let first = 0;
  while (first < length && !isBlankByte(input.charCodeAt(first))) first += 1;
  if (first === length) return input;
  const bytes = laidOut(input);
  let to = first;
  for (let at = first + 1; at < length; at += 1) {
    const code = bytes[at]!;
    if (!isBlankByte(code)) bytes[to++] = code;
  }
  return bytes.latin1Slice(0, to);
}

/** Without NUL bytes. */
export function removeNulls(input: string): string {
  const first = input.indexOf("\0");
  if (first < 0) return input;
  const length = input.length;
  const bytes = laidOut(input);
  let to = first;
  for (let at = first + 1; at < length; at += 1) {
    const code = bytes[at]!;
    if (code !== 0) bytes[to++] = code;
  }
  return bytes.latin1Slice(0, to);
}

/** With blanks in place of NUL bytes. */
export function replaceNulls(input: string): string {
  const first = input.indexOf("\0");
  if (first < 0) return input;
  const length = input.length;
  const bytes = laidOut(input);
  for (let at = first; at < length; at += 1) if (bytes[at] === 0) bytes[at] = SPACE;
  return bytes.latin1Slice(0, length);
}

export function trimLeft(input: string): string {
  let start = 0;
  while (start < input.length && isSpace(input.charCodeAt(start))) start += 1;
  return start === 0 ? input : input.slice(start);
}

export function trimRight(input: string): string {
  let end = input.length;
  while (end > 0 && isSpace(input.charCodeAt(end - 1))) end -= 1;
  return end === input.length ? input : input.slice(0, end);
}

export const trim = (input: string): string => trimLeft(trimRight(input));

const COMMAND_KEPT = 0;
const COMMAND_DROPPED = 1;
const COMMAND_BLANK = 2;
const COMMAND_JOINED = 3;

/** What a byte means to a shell, for `cmdLine`. */
const COMMAND: Uint8Array = new Uint8Array(256).fill(COMMAND_KEPT);
for (const code of Buffer.from("\"'\\^")) COMMAND[code] = COMMAND_DROPPED;
for (const code of Buffer.from(" ,;\t\r\n")) COMMAND[code] = COMMAND_BLANK;
for (const code of Buffer.from("/(")) COMMAND[code] = COMMAND_JOINED;

/**
 * Undoes what shells ignore: no quotes, backslashes and carets; commas and semicolons as blanks, one for each run, none
 * before `/` and `(`; in lower case.
 */
export function cmdLine(input: string): string {
  const length = input.length;
  let first = 0;
  while (first < length && isPlainCommand(input, first)) first += 1;
  if (first === length) return input;
  const bytes = laidOut(input);
  let changed = false;
  // The byte before `first` may be a single blank, which the next one may run on or take away.
  let to = first > 0 && bytes[first - 1] === SPACE ? first - 1 : first;
  let inBlanks = false;
  for (let at = to; at < length; at += 1) {
    const code = bytes[at]!;
    const kind = COMMAND[code]!;
    if (kind === COMMAND_DROPPED) continue;
    if (kind === COMMAND_BLANK) {
      if (inBlanks) continue;
      if (code !== SPACE) changed = true;
      bytes[to++] = SPACE;
      inBlanks = true;
      continue;
    }
    if (kind === COMMAND_JOINED && inBlanks) to -= 1;
    inBlanks = false;
    if (code >= 0x41 && code <= 0x5a) {
      bytes[to++] = code | 0x20;
      changed = true;
    } else bytes[to++] = code;
  }
  return changed || to !== length ? bytes.latin1Slice(0, to) : input;
}

/** Whether `cmdLine` leaves the byte alone as far as it and the next one tell. */
function isPlainCommand(input: string, at: number): boolean {
  const code = input.charCodeAt(at);
  if (code >= 0x41 && code <= 0x5a) return false;
  const kind = COMMAND[code]!;
  if (kind === COMMAND_KEPT || kind === COMMAND_JOINED) return true;
  return code === SPACE && at + 1 < input.length && COMMAND[input.charCodeAt(at + 1)] === COMMAND_KEPT;
}

/** Bit n says whether a number of four bits n has an odd number of ones. */
const ODD_ONES = 0x6996;

const isOdd = (code: number): boolean => ((ODD_ONES >> ((code ^ (code >> 4)) & 0x0f)) & 1) === 1;

function eachByte(input: string, changeTo: (code: number) => number): string {
  const length = input.length;
  let first = 0;
  for (; first < length; first += 1) {
    const code = input.charCodeAt(first);
    if (changeTo(code) !== code) break;
  }
  if (first === length) return input;
  const bytes = laidOut(input);
  for (let at = first; at < length; at += 1) bytes[at] = changeTo(bytes[at]!);
  return bytes.latin1Slice(0, length);
}

const evenParity = (code: number): number => (isOdd(code) ? code | 0x80 : code & 0x7f);
const oddParity = (code: number): number => (isOdd(code) ? code & 0x7f : code | 0x80);
const zeroParity = (code: number): number => code & 0x7f;

/** The eighth bit as even parity. */
export const parityEven7bit = (input: string): string => eachByte(input, evenParity);

/** The eighth bit as odd parity. */
export const parityOdd7bit = (input: string): string => eachByte(input, oddParity);

/** The eighth bit cleared. */
export const parityZero7bit = (input: string): string => eachByte(input, zeroParity);
