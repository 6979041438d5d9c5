// JSON (RFC 8259) as arguments: a value is named by the way to it, as ModSecurity v3 has it. No value is built and
// nothing recurses, so that depth costs a word each.
import { HEX } from "../transformations/characters.ts";
import type { TakeArgument } from "./url-encoded.ts";
import { isUtf8, utf8Of } from "./utf8.ts";

export interface JsonLimits {
  /** How many arrays and objects may be within each other. */
  readonly depth: number;
  /** How many arguments there may be. */
  readonly count: number;
}

/** Characters of all names together: 256 for each of a thousand. A long key over an array is in the name of each item. */
const NAMES_MAX = 256 * 1024;

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const LOWER_E = 0x65;
const LOWER_U = 0x75;

/** What single letters after a backslash mean; 0 for the others (RFC 8259 §7). */
const ESCAPED: Uint8Array = new Uint8Array(128);
for (const [letter, code] of ['""', "\\\\", "//", "b\b", "f\f", "n\n", "r\r", "t\t"] as const)
  ESCAPED[letter!.charCodeAt(0)] = code!.charCodeAt(0);

/** The last fault of `JsonReader.string`, for which no object is made. */
const NO_STRING = null;

/**
 * Gives each string, number, true, false (as they stand) and null (as nothing) to `take`: `json.a.b` in objects,
 * `json.a.array_0` in arrays, `empty-key` for a key of no bytes; a key that comes twice, twice. Strings are decoded to
 * UTF-8. Returns what is wrong, "" when nothing is; what came before has been given out.
 */
export function parseJson(text: string, limits: JsonLimits, take: TakeArgument): string {
  return new JsonReader(text, limits, take).read();
}

class JsonReader {
  readonly #text: string;
  readonly #limits: JsonLimits;
  readonly #take: TakeArgument;
  #at = 0;
  #fault = "";
  #taken = 0;
  #nameLength = 0;
  /** Of each container that is open: what names of its items begin with, and the next index, -1 in an object. */
  readonly #prefixes: string[] = [];
  readonly #indexes: number[] = [];
  /** Name of the item that is read. */
  #name = "json";

  constructor(text: string, limits: JsonLimits, take: TakeArgument) {
    this.#text = text;
    this.#limits = limits;
    this.#take = take;
  }

  read(): string {
    // A value is wanted at the beginning of each turn.
    for (;;) {
      const code = this.#next();
      let opened = false;
      if (code === OPEN_ARRAY || code === OPEN_OBJECT) opened = this.#open(code === OPEN_ARRAY);
      else this.#scalar(code);
      if (this.#fault !== "") return this.#fault;
      if (opened) continue;
      if (!this.#goOn()) return this.#fault;
    }
  }

  /** Passes over blanks; the byte behind them, NaN at the end. */
  #next(): number {
    const text = this.#text;
    let at = this.#at;
    let code = text.charCodeAt(at);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) {
      at += 1;
      code = text.charCodeAt(at);
    }
    this.#at = at;
    return code;
  }

  #fail(what: string): false {
    this.#fault = `JSON: ${what} at byte ${this.#at}`;
    return false;
  }

  /** Goes into an array or object. True when a value is wanted next; an empty one is left again at once. */
  #open(array: boolean): boolean {
    if (this.#prefixes.length >= this.#limits.depth) return this.#fail("nested too deeply");
    this.#at += 1;
    this.#prefixes.push(array ? `${this.#name}.array_` : `${this.#name}.`);
    this.#indexes.push(array ? 0 : -1);
    if (this.#next() === (array ? CLOSE_ARRAY : CLOSE_OBJECT)) return false;
    return array ? this.#nameItem() : this.#key();
  }

  #nameItem(): true {
    const top = this.#indexes.length - 1;
    this.#name = this.#prefixes[top]! + this.#indexes[top]!;
    this.#indexes[top]! += 1;
    return true;
  }

  /** Reads a key and its colon. */
  #key(): boolean {
    if (this.#next() !== QUOTE) return this.#fail("a key is missing");
    const key = this.#string();
    if (key === NO_STRING) return false;
    if (this.#next() !== COLON) return this.#fail("a colon is missing");
    this.#at += 1;
    this.#name = this.#prefixes.at(-1)! + (key === "" ? "empty-key" : key);
    return true;
  }

  /** Behind a value: leaves what ends, and goes to the next item. False at the end, or with a fault. */
  #goOn(): boolean {
    for (;;) {
      const code = this.#next();
      const top = this.#indexes.length - 1;
      if (top < 0) return this.#at === this.#text.length ? false : this.#fail("something follows the value");
      const array = this.#indexes[top]! >= 0;
      if (code === (array ? CLOSE_ARRAY : CLOSE_OBJECT)) {
        this.#at += 1;
        this.#prefixes.pop();
        this.#indexes.pop();
        continue;
      }
      // Just opened and empty was handled above: anything else here stands behind an item.
      if (code !== COMMA) return this.#fail(Number.isNaN(code) ? "it ends too early" : "a comma is missing");
      this.#at += 1;
      return array ? this.#nameItem() : this.#key();
    }
  }

  #scalar(code: number): boolean {
    if (code === QUOTE) {
      const value = this.#string();
      return value === NO_STRING ? false : this.#give(value);
    }
    if (code === MINUS || isDigit(code)) return this.#number();
    for (const word of ["true", "false", "null"])
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return this.#give(word === "null" ? "" : word);
      }
    return this.#fail(Number.isNaN(code) ? "it ends too early" : "no value begins");
  }

  #give(value: string): boolean {
    this.#taken += 1;
    this.#nameLength += this.#name.length;
    if (this.#taken > this.#limits.count) return this.#fail("too many values");
    if (this.#nameLength > NAMES_MAX) return this.#fail("names are too long");
    this.#take(this.#name, value);
    return true;
  }

  #number(): boolean {
    const text = this.#text;
    const start = this.#at;
    let at = start;
    if (text.charCodeAt(at) === MINUS) at += 1;
    const first = text.charCodeAt(at);
    let end = digitsEnd(text, at);
    let valid = end > at && (first !== 0x30 || end === at + 1);
    if (valid && text.charCodeAt(end) === DOT) {
      at = end + 1;
      end = digitsEnd(text, at);
      valid = end > at;
    }
    if (valid && (text.charCodeAt(end) | 0x20) === LOWER_E) {
      const sign = text.charCodeAt(end + 1);
      at = sign === PLUS || sign === MINUS ? end + 2 : end + 1;
      end = digitsEnd(text, at);
      valid = end > at;
    }
    if (!valid) return this.#fail("a number is malformed");
    this.#at = end;
    return this.#give(text.slice(start, end));
  }

  /** The string that begins here, NO_STRING with a fault. */
  #string(): string | null {
    const text = this.#text;
    const start = this.#at + 1;
    let at = start;
    let from = start;
    let decoded = "";
    let wide = false;
    for (;;) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) break;
      if (code >= 0x80) wide = true;
      if (code === BACKSLASH) {
        decoded += text.slice(from, at);
        this.#at = at;
        const piece = this.#escape();
        if (piece === NO_STRING) return NO_STRING;
        decoded += piece;
        at = this.#at;
        from = at;
        continue;
      }
      // The comparison is false for the end as well, which is not a number.
      if (!(code >= 0x20)) {
        this.#at = at;
        this.#fail(Number.isNaN(code) ? "a string is not ended" : "a string has a control character");
        return NO_STRING;
      }
      at += 1;
    }
    this.#at = at + 1;
    if (wide && !isUtf8(text.slice(start, at))) {
      this.#fail("a string is not UTF-8");
      return NO_STRING;
    }
    return from === start ? text.slice(start, at) : decoded + text.slice(from, at);
  }

  /** What the escape that begins here means, in UTF-8. A surrogate without its other half is a question mark. */
  #escape(): string | null {
    const text = this.#text;
    const letter = text.charCodeAt(this.#at + 1);
    if (letter === LOWER_U) {
      const unit = fourDigits(text, this.#at + 2);
      if (unit >= 0) {
        this.#at += 6;
        if (unit < 0xd800 || unit > 0xdfff) return utf8Of(unit);
        if (unit > 0xdbff || text.charCodeAt(this.#at) !== BACKSLASH || text.charCodeAt(this.#at + 1) !== LOWER_U)
          return "?";
        const low = fourDigits(text, this.#at + 2);
        if (low < 0xdc00 || low > 0xdfff) return "?";
        this.#at += 6;
        return utf8Of(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
      }
    } else if (letter < 0x80 && ESCAPED[letter] !== 0) {
      this.#at += 2;
      return String.fromCharCode(ESCAPED[letter]!);
    }
    this.#fail("an escape is malformed");
    return NO_STRING;
  }
}

const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39;

function digitsEnd(text: string, from: number): number {
  let at = from;
  while (isDigit(text.charCodeAt(at))) at += 1;
  return at;
}

/** The number of four hexadecimal digits, negative when they are not there. */
function fourDigits(text: string, at: number): number {
  if (at + 4 > text.length) return -1;
  let value = 0;
  for (let next = at; next < at + 4; next += 1) {
    const digit = HEX[text.charCodeAt(next)]!;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}
