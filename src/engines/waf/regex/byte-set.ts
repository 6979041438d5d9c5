// Sets of bytes as Perl-like patterns name them. Letters are those of ASCII: patterns are matched on bytes.
import type { ByteSet } from "./syntax.ts";

function fromRanges(...ranges: readonly string[]): ByteSet {
  const set = new Uint8Array(256);
  for (const range of ranges) {
    const to = range.charCodeAt(range.length - 1);
    for (let byte = range.charCodeAt(0); byte <= to; byte += 1) set[byte] = 1;
  }
  return set;
}

export function inverted(set: ByteSet): ByteSet {
  return set.map((flag) => 1 - flag);
}

/** With each letter in the set, its other case too. */
export function withoutCase(set: ByteSet): ByteSet {
  const both = set.slice();
  for (let upper = 65; upper <= 90; upper += 1) {
    const any = set[upper]! | set[upper + 32]!;
    both[upper] = any;
    both[upper + 32] = any;
  }
  return both;
}

const single = new Map<number, ByteSet>();

/** The set of one byte, or of both cases of a letter. */
export function oneByte(byte: number, ignoreCase: boolean): ByteSet {
  const key = ignoreCase ? byte + 256 : byte;
  const known = single.get(key);
  if (known !== undefined) return known;
  const set = new Uint8Array(256);
  set[byte] = 1;
  const made = ignoreCase ? withoutCase(set) : set;
  single.set(key, made);
  return made;
}

export const ANY: ByteSet = new Uint8Array(256).fill(1);
export const LINE_FEED: ByteSet = fromRanges("\n");
export const NOT_LINE_FEED: ByteSet = inverted(LINE_FEED);
const DIGIT: ByteSet = fromRanges("09");
export const WORD: ByteSet = fromRanges("09", "AZ", "az", "_");
/** \s takes the vertical tab too, as PCRE does since 8.34. */
const SPACE: ByteSet = fromRanges("\t\r", " ");
/** \h and \v are those of Latin-1: with the no-break space, and with NEL. */
const HORIZONTAL: ByteSet = fromRanges("\t", " ", "\xa0");
export const VERTICAL: ByteSet = fromRanges("\n\r", "\x85");

/** What \d and its like stand for. */
export const ESCAPED_SETS: ReadonlyMap<string, ByteSet> = new Map([
  ["d", DIGIT],
  ["D", inverted(DIGIT)],
  ["w", WORD],
  ["W", inverted(WORD)],
  ["s", SPACE],
  ["S", inverted(SPACE)],
  ["h", HORIZONTAL],
  ["H", inverted(HORIZONTAL)],
  ["v", VERTICAL],
  ["V", inverted(VERTICAL)],
]);

/** What [:alpha:] and its like stand for. */
export const NAMED_SETS: ReadonlyMap<string, ByteSet> = new Map([
  ["alnum", fromRanges("09", "AZ", "az")],
  ["alpha", fromRanges("AZ", "az")],
  ["ascii", fromRanges("\x00\x7f")],
  ["blank", fromRanges("\t", " ")],
  ["cntrl", fromRanges("\x00\x1f", "\x7f")],
  ["digit", DIGIT],
  ["graph", fromRanges("!~")],
  ["lower", fromRanges("az")],
  ["print", fromRanges(" ~")],
  ["punct", fromRanges("!/", ":@", "[`", "{~")],
  ["space", SPACE],
  ["upper", fromRanges("AZ")],
  ["word", WORD],
  ["xdigit", fromRanges("09", "AF", "af")],
]);
