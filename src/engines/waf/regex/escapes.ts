// Reading the escapes of a pattern: which byte they stand for, or which set.
import { ESCAPED_SETS } from "./byte-set.ts";
import { type ByteSet, RegexError } from "./syntax.ts";

/** A place in a pattern. */
export class Cursor {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  get done(): boolean {
    return this.at >= this.text.length;
  }

  /** The character here, or "" at the end. */
  get here(): string {
    return this.text.charAt(this.at);
  }

  looksAt(text: string): boolean {
    return this.text.startsWith(text, this.at);
  }

  /** Goes past the text if it is here. */
  take(text: string): boolean {
    if (!this.looksAt(text)) return false;
    this.at += text.length;
    return true;
  }

  /** Takes characters as long as they fit, up to a number of them. */
  takeWhile(fits: (char: string) => boolean, most: number): string {
    const from = this.at;
    while (this.at < this.text.length && this.at - from < most && fits(this.here)) this.at += 1;
    return this.text.slice(from, this.at);
  }

  /** Everything up to the text, which is taken too. */
  takeUntil(text: string, what: string): string {
    const from = this.at;
    const end = this.text.indexOf(text, from);
    if (end < 0) throw new RegexError(`${what} has no end: expected "${text}"`, from);
    this.at = end + text.length;
    return this.text.slice(from, end);
  }
}

export const isDecimal = (char: string): boolean => char >= "0" && char <= "9";
const isOctal = (char: string): boolean => char >= "0" && char <= "7";
const isHex = (char: string): boolean =>
  isDecimal(char) || (char >= "a" && char <= "f") || (char >= "A" && char <= "F");
const isAlphanumeric = (char: string): boolean =>
  isDecimal(char) || (char >= "a" && char <= "z") || (char >= "A" && char <= "Z");

const CONTROLS: ReadonlyMap<string, number> = new Map([
  ["a", 7],
  ["e", 27],
  ["f", 12],
  ["n", 10],
  ["r", 13],
  ["t", 9],
]);

/**
 * Reads an escape that stands for a byte or a set of bytes, after its backslash. Null, with nothing taken, for a letter
 * that means something else, which the caller has to know.
 *
 * @throws RegexError for a byte above 255, and for a number that is cut short
 */
export function readEscape(cursor: Cursor): number | ByteSet | null {
  if (cursor.done) throw new RegexError("the pattern ends with a backslash: write \\\\ for one", cursor.at);
  const char = cursor.here;
  if (!isAlphanumeric(char)) {
    cursor.at += 1;
    return char.charCodeAt(0);
  }
  const set = ESCAPED_SETS.get(char);
  const control = CONTROLS.get(char);
  if (set !== undefined || control !== undefined) {
    cursor.at += 1;
    return set ?? control!;
  }
  const from = cursor.at;
  switch (char) {
    case "x":
      cursor.at += 1;
      if (cursor.take("{")) return inByte(Number.parseInt(braced(cursor, isHex), 16), from);
      return Number.parseInt(`0${cursor.takeWhile(isHex, 2)}`, 16);
    case "o":
      cursor.at += 1;
      if (!cursor.take("{")) throw new RegexError("\\o needs an octal number in braces: \\o{17}", from);
      return inByte(Number.parseInt(braced(cursor, isOctal), 8), from);
    case "0":
      return inByte(Number.parseInt(cursor.takeWhile(isOctal, 3), 8), from);
    case "c": {
      cursor.at += 1;
      const code = cursor.here.toUpperCase().charCodeAt(0);
      if (!(code >= 32 && code < 127)) throw new RegexError("\\c needs a printable ASCII character after it", from);
      cursor.at += 1;
      return code ^ 64;
    }
    default:
      return null;
  }
}

/** Up to three octal digits after a backslash: `\101`. */
export function readOctal(cursor: Cursor): number {
  const from = cursor.at;
  return inByte(Number.parseInt(cursor.takeWhile(isOctal, 3), 8), from);
}

function braced(cursor: Cursor, fits: (char: string) => boolean): string {
  const from = cursor.at;
  const digits = cursor.takeWhile(fits, 8);
  if (digits === "" || !cursor.take("}")) throw new RegexError("expected digits and a closing brace", from);
  return digits;
}

function inByte(value: number, offset: number): number {
  if (value <= 255) return value;
  throw new RegexError(`${value} is more than a byte: patterns are matched on bytes (0 to 255)`, offset);
}
