// Bracket expressions: [a-z0-9_], [^"\\], [[:alpha:]].
import { inverted, NAMED_SETS, withoutCase } from "./byte-set.ts";
import { type Cursor, isDecimal, readEscape, readOctal } from "./escapes.ts";
import { type ByteSet, RegexError } from "./syntax.ts";

/**
 * Reads a bracket expression, after its opening bracket.
 *
 * @throws RegexError for what does not end, for ranges the wrong way round, and for unknown names and escapes
 */
export function readBracket(cursor: Cursor, ignoreCase: boolean): ByteSet {
  const from = cursor.at - 1;
  const negative = cursor.take("^");
  const set = new Uint8Array(256);
  // A closing bracket that comes first stands for itself.
  for (let first = true; first || cursor.here !== "]"; first = false) {
    if (cursor.done) throw new RegexError("this bracket expression has no closing bracket", from);
    const low = readMember(cursor);
    if (typeof low !== "number") add(set, low);
    else set.fill(1, low, readRangeEnd(cursor, low, set) + 1);
  }
  cursor.at += 1;
  const folded = ignoreCase ? withoutCase(set) : set;
  return negative ? inverted(folded) : folded;
}

/** The end of the range that begins with `low`; that itself where there is none. */
function readRangeEnd(cursor: Cursor, low: number, set: ByteSet): number {
  const from = cursor.at;
  if (cursor.here !== "-" || cursor.text.charAt(from + 1) === "]" || from + 1 >= cursor.text.length) return low;
  cursor.at += 1;
  const high = readMember(cursor);
  if (typeof high !== "number") {
    // A set ends no range: the hyphen stands for itself, as in Perl.
    set[0x2d] = 1;
    add(set, high);
    return low;
  }
  if (high < low) throw new RegexError("this range is the wrong way round", from);
  return high;
}

function add(set: ByteSet, more: ByteSet): void {
  for (let byte = 0; byte < 256; byte += 1) set[byte]! |= more[byte]!;
}

function readMember(cursor: Cursor): number | ByteSet {
  const from = cursor.at;
  if (cursor.looksAt("[:")) {
    const named = readNamed(cursor);
    if (named !== null) return named;
  }
  if (!cursor.take("\\")) {
    const code = cursor.text.charCodeAt(cursor.at);
    cursor.at += 1;
    if (code > 255) throw new RegexError("patterns are matched on bytes: write this character as bytes (\\xNN)", from);
    return code;
  }
  if (cursor.take("b")) return 8;
  if (cursor.here !== "0" && isDecimal(cursor.here)) return readOctal(cursor);
  const escaped = readEscape(cursor);
  if (escaped !== null) return escaped;
  throw new RegexError(`\\${cursor.here} means nothing within brackets: write ${cursor.here} for the letter`, from);
}

function readNamed(cursor: Cursor): ByteSet | null {
  const from = cursor.at;
  const end = cursor.text.indexOf(":]", from + 2);
  if (end < 0) return null;
  const name = cursor.text.slice(from + 2, end);
  if (!/^\^?[a-z]+$/.test(name)) return null;
  const negative = name.startsWith("^");
  const set = NAMED_SETS.get(negative ? name.slice(1) : name);
  if (set === undefined) throw new RegexError(`there is no character class [:${name}:]`, from);
  cursor.at = end + 2;
  return negative ? inverted(set) : set;
}
