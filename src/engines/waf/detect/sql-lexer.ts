// Tokens of SQL, made one by one as they are asked for: the decision mostly falls at the second.
import { KIND, NO_WORD, type SqlWord, wordAt } from "./sql-words.ts";

const QUOTE = 0x22;
const HASH = 0x23;
const APOSTROPHE = 0x27;
const OPEN = 0x28;
const CLOSE = 0x29;
const STAR = 0x2a;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const SLASH = 0x2f;
const COLON = 0x3a;
const SEMICOLON = 0x3b;
const LESS = 0x3c;
const GREATER = 0x3e;
const QUESTION = 0x3f;
const AT = 0x40;
const PIPE = 0x7c;
const AMPERSAND = 0x26;
const BACKSLASH = 0x5c;
const BACKTICK = 0x60;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const TILDE = 0x7e;
const BANG = 0x21;
const NO_BREAK = 0xa0;

const WORD_START = 1;
const DIGIT = 2;
const HEX_LETTER = 4;
const OPERATOR = 8;
const COMPARE = 16;
const SPACE = 32;

const CLASS: Uint8Array = new Uint8Array(256).fill(WORD_START, 0x80);
for (const code of Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_$")) CLASS[code] = WORD_START;
for (const code of Buffer.from("ABCDEFabcdef")) CLASS[code] = WORD_START | HEX_LETTER;
for (const code of Buffer.from("0123456789")) CLASS[code] = DIGIT;
for (const code of Buffer.from("+-*/%^|&")) CLASS[code] = OPERATOR;
for (const code of Buffer.from("=<>")) CLASS[code] = COMPARE;
// SQL Server takes all control characters for blanks.
CLASS.fill(SPACE, 0x00, 0x21);
// The no-break space is a blank for MySQL; in UTF-8 it stands within letters.
CLASS[NO_BREAK] = WORD_START | SPACE;

/** The first bytes of characters that have one more byte at least, two more, three more. */
const LEADS = [0xc2, 0xe0, 0xf0];

/** What single bytes are as tokens. */
const SINGLE: Readonly<Record<number, number>> = {
  [OPEN]: KIND.open,
  [CLOSE]: KIND.close,
  [CLOSE_BRACE]: KIND.close,
  [COMMA]: KIND.comma,
  [SEMICOLON]: KIND.semicolon,
  [BANG]: KIND.not,
  [TILDE]: KIND.not,
};

/** Strings whose quote a letter may stand before: N'a', X'61', B'01', E'a'. */
const STRING_PREFIXES = "nNxXbBeE";

/** Tokens that there is room for at first, and how much of it stays: few values are long. */
const COLUMN_MIN = 64;
const COLUMN_KEPT = 4096;

/** What stood where a comment was looked for: none, one that was passed over, one that became the last token. */
const NONE = 0;
const PASSED = 1;
const TOKEN = 2;

export class SqlLexer {
  #text = "";
  #at = 0;
  #escapes = true;
  #conditional = false;
  /** Tokens that were made; what the columns hold beyond it is of other texts. */
  #count = 0;
  #kinds = new Uint8Array(COLUMN_MIN);
  #starts = new Int32Array(COLUMN_MIN);
  #ends = new Int32Array(COLUMN_MIN);
  readonly #words: SqlWord[] = new Array<SqlWord>(COLUMN_MIN).fill(NO_WORD);

  /**
   * Begins with a text. `quote` is the quote that the text is taken to stand in, 0 for none; `escapes` says that a
   * backslash takes its meaning from a quote. False when that quote does not come.
   */
  begin(text: string, quote: number, escapes: boolean): boolean {
    this.#text = text;
    this.#at = 0;
    this.#escapes = escapes;
    this.#conditional = false;
    this.#count = 0;
    if (this.#kinds.length > COLUMN_KEPT) this.#resize(COLUMN_MIN);
    if (quote === 0) return true;
    const end = this.#stringEnd(0, quote);
    if (end > text.length) return false;
    this.#push(KIND.string, 0, end, NO_WORD);
    return true;
  }

  kind(index: number): number {
    while (this.#count <= index) this.#read();
    return this.#kinds[index]!;
  }

  /** The word in lower case, for words that mean something; "" for other tokens. */
  word(index: number): string {
    this.kind(index);
    return this.#words[index]!.word;
  }

  /** Whether the token is a function that conditions of injections are commonly made with. */
  isCommonCall(index: number): boolean {
    return this.kind(index) === KIND.call && this.#words[index]!.common;
  }

  start(index: number): number {
    this.kind(index);
    return this.#starts[index]!;
  }

  /** Behind the token; beyond the text for a string that is not ended. */
  end(index: number): number {
    this.kind(index);
    return this.#ends[index]!;
  }

  /** The token as it stands. */
  slice(index: number): string {
    return this.#text.slice(this.start(index), this.end(index));
  }

  /** The letters of the tokens up to `count`. */
  fingerprint(count: number): string {
    let letters = "";
    for (let index = 0; index < count && this.kind(index) !== KIND.end; index += 1)
      letters += String.fromCharCode(this.#kinds[index]!);
    return letters;
  }

  #push(kind: number, start: number, end: number, word: SqlWord): void {
    const count = this.#count;
    if (count === this.#kinds.length) this.#resize(count * 2);
    this.#kinds[count] = kind;
    this.#starts[count] = start;
    this.#ends[count] = end;
    this.#words[count] = word;
    this.#count = count + 1;
    this.#at = end;
  }

  #resize(size: number): void {
    const kinds = this.#kinds.subarray(0, this.#count);
    const starts = this.#starts.subarray(0, this.#count);
    const ends = this.#ends.subarray(0, this.#count);
    this.#kinds = new Uint8Array(size);
    this.#starts = new Int32Array(size);
    this.#ends = new Int32Array(size);
    this.#kinds.set(kinds);
    this.#starts.set(starts);
    this.#ends.set(ends);
    this.#words.length = Math.min(size, this.#words.length);
    while (this.#words.length < size) this.#words.push(NO_WORD);
  }

  #read(): void {
    const text = this.#text;
    for (;;) {
      const start = this.#at;
      const code = text.charCodeAt(start);
      // The end is not a number, which no class knows.
      if (!(start < text.length)) return this.#push(KIND.end, start, start, NO_WORD);
      const kind = CLASS[code]!;
      if ((kind & SPACE) !== 0 && (code !== NO_BREAK || !this.#inWord(start))) {
        this.#at += 1;
        continue;
      }
      const comment = this.#comment(start, code);
      if (comment === PASSED) continue;
      if (comment === TOKEN) return;
      if ((kind & WORD_START) !== 0) return this.#word(start);
      if ((kind & DIGIT) !== 0 || (code === DOT && this.#isDigit(start + 1))) return this.#number(start);
      if (code === QUOTE || code === APOSTROPHE) {
        return this.#push(KIND.string, start, this.#stringEnd(start + 1, code), NO_WORD);
      }
      if (code === COLON && text.charCodeAt(start + 1) === COLON) {
        // A cast of PostgreSQL changes nothing of the shape.
        this.#at = this.#wordEnd(start + 2);
        continue;
      }
      if (code === AT && (text.charCodeAt(start + 1) === GREATER || text.charCodeAt(start + 1) === QUESTION))
        return this.#push(KIND.compare, start, start + 2, NO_WORD);
      if (code === AT) return this.#push(KIND.variable, start, this.#variableEnd(start), NO_WORD);
      if (code === BACKTICK) return this.#backtick(start);
      return this.#operator(start, code, kind);
    }
  }

  /** Whether the bytes before begin a character of UTF-8 of which this one, 0xa0, is a part. */
  #inWord(at: number): boolean {
    const text = this.#text;
    for (let back = 1; back <= 3 && back <= at; back += 1) {
      const code = text.charCodeAt(at - back);
      if (code >= 0xc2) return code >= LEADS[back - 1]!;
      if (code < 0x80) return false;
    }
    return false;
  }

  /** Passes over a comment that begins here; one that goes up to the end becomes a token. */
  #comment(start: number, code: number): number {
    const text = this.#text;
    const second = text.charCodeAt(start + 1);
    if (code === HASH || (code === MINUS && second === MINUS)) {
      const feed = text.indexOf("\n", start);
      if (feed < 0 || isBlankFrom(text, feed)) {
        this.#push(KIND.comment, start, text.length, NO_WORD);
        return TOKEN;
      }
      this.#at = feed + 1;
      return PASSED;
    }
    if (code === STAR && second === SLASH && (this.#conditional || this.#count === 0)) {
      this.#conditional = false;
      this.#at = start + 2;
      return PASSED;
    }
    if (code !== SLASH || second !== STAR) return NONE;
    if (text.charCodeAt(start + 2) === BANG) {
      // MySQL runs what stands in such a comment, when it has the version that the digits name.
      this.#conditional = true;
      this.#at = start + 3;
      while (this.#isDigit(this.#at)) this.#at += 1;
      return PASSED;
    }
    const end = text.indexOf("*/", start + 2);
    if (end < 0) {
      this.#push(KIND.comment, start, text.length, NO_WORD);
      return TOKEN;
    }
    this.#at = end + 2;
    return PASSED;
  }

  #isDigit(at: number): boolean {
    return (CLASS[this.#text.charCodeAt(at)]! & DIGIT) !== 0;
  }

  /** Behind the quote that ends a string; beyond the text when there is none. Doubled ones belong to the string. */
  #stringEnd(from: number, quote: number): number {
    const text = this.#text;
    const mark = quote === QUOTE ? '"' : "'";
    for (let at = text.indexOf(mark, from); at >= 0; at = text.indexOf(mark, at + 1)) {
      if (this.#escapes && this.#isEscaped(at, from)) continue;
      if (text.charCodeAt(at + 1) !== quote) return at + 1;
      at += 1;
    }
    return text.length + 1;
  }

  #isEscaped(at: number, from: number): boolean {
    let slashes = 0;
    while (at - slashes - 1 >= from && this.#text.charCodeAt(at - slashes - 1) === BACKSLASH) slashes += 1;
    return slashes % 2 === 1;
  }

  #variableEnd(start: number): number {
    const text = this.#text;
    let at = start + 1;
    if (text.charCodeAt(at) === AT) at += 1;
    const quote = text.charCodeAt(at);
    if (quote === BACKTICK || quote === QUOTE || quote === APOSTROPHE) {
      const end = text.indexOf(String.fromCharCode(quote), at + 1);
      return end < 0 ? text.length : end + 1;
    }
    return this.#wordEnd(at);
  }

  #wordEnd(from: number): number {
    const text = this.#text;
    let at = from;
    for (;;) {
      const code = text.charCodeAt(at);
      // A dot belongs to a word when a name follows it (`master..name`), and to a number otherwise (`or.1`).
      if (code === DOT && ((CLASS[text.charCodeAt(at + 1)]! & WORD_START) !== 0 || text.charCodeAt(at + 1) === DOT))
        at += 1;
      else if ((CLASS[code]! & (WORD_START | DIGIT)) === 0) return at;
      else if (code === NO_BREAK && !this.#inWord(at)) return at;
      else at += 1;
    }
  }

  #backtick(start: number): void {
    const end = this.#text.indexOf("`", start + 1);
    this.#push(KIND.name, start, end < 0 ? this.#text.length : end + 1, NO_WORD);
  }

  #word(start: number): void {
    const text = this.#text;
    const end = this.#wordEnd(start);
    const next = text.charCodeAt(end);
    if (end === start + 1 && (next === APOSTROPHE || next === QUOTE) && STRING_PREFIXES.includes(text[start]!))
      return this.#push(KIND.string, start, this.#stringEnd(end + 1, next), NO_WORD);
    const word = wordAt(text, start, end);
    const after = this.#behindBlanks(end);
    // Blanks may stand before the parenthesis of what is a function for certain.
    const call = text.charCodeAt(after) === OPEN && (after === end || word.call !== KIND.call);
    this.#push(call ? word.call : word.kind, start, end, word);
  }

  /** Behind blanks and comments that are ended. */
  #behindBlanks(from: number): number {
    const text = this.#text;
    let at = from;
    for (;;) {
      while ((CLASS[text.charCodeAt(at)]! & SPACE) !== 0) at += 1;
      if (text.charCodeAt(at) !== SLASH || text.charCodeAt(at + 1) !== STAR) return at;
      const end = text.indexOf("*/", at + 2);
      if (end < 0) return at;
      at = end + 2;
    }
  }

  /** A number; with letters behind it a name (`2nd`), unless these are a word of the language (`1or`, `1e1union`). */
  #number(start: number): void {
    const text = this.#text;
    let at = start;
    if (text.charCodeAt(at) === 0x30 && (text.charCodeAt(at + 1) | 0x20) === 0x78) {
      at += 2;
      while ((CLASS[text.charCodeAt(at)]! & (DIGIT | HEX_LETTER)) !== 0) at += 1;
    } else {
      while (this.#isDigit(at) || text.charCodeAt(at) === DOT) at += 1;
      // MySQL passes over `1.e` before a parenthesis, and nobody writes it but to hide what follows.
      if (text.charCodeAt(at - 1) === DOT && (text.charCodeAt(at) | 0x20) === 0x65 && text.charCodeAt(at + 1) === OPEN)
        return this.#push(KIND.weapon, start, at + 1, NO_WORD);
      if ((text.charCodeAt(at) | 0x20) === 0x65) {
        const sign = text.charCodeAt(at + 1);
        let exponent = sign === PLUS || sign === MINUS ? at + 2 : at + 1;
        if (this.#isDigit(exponent)) {
          while (this.#isDigit(exponent)) exponent += 1;
          at = exponent;
        }
      }
    }
    const end = this.#wordEnd(at);
    if (end > at && wordAt(text, at, end).kind !== KIND.name) return this.#push(KIND.number, start, at, NO_WORD);
    // `20.to_i` is a number with a method, and not a name.
    const named = end > at && text.charCodeAt(at - 1) !== DOT;
    return this.#push(named ? KIND.name : KIND.number, start, end > at && !named ? at : end, NO_WORD);
  }

  /** `<@`, and `?`, `?|` and `?&` before a string: some of what PostgreSQL compares JSON with. */
  #isJsonOperator(start: number, code: number, second: number): boolean {
    if (code === LESS && second === AT) return true;
    if (code !== QUESTION) return false;
    const next = second === PIPE || second === AMPERSAND ? start + 2 : start + 1;
    return this.#text.charCodeAt(this.#behindBlanks(next)) === APOSTROPHE;
  }

  #operator(start: number, code: number, kind: number): void {
    const text = this.#text;
    const second = text.charCodeAt(start + 1);
    if (this.#isJsonOperator(start, code, second)) return this.#push(KIND.compare, start, start + 2, NO_WORD);
    if (code === COLON && second === 0x3d) return this.#push(KIND.compare, start, start + 2, NO_WORD);
    if (code === MINUS && second === GREATER) {
      const end = text.charCodeAt(start + 2) === GREATER ? start + 3 : start + 2;
      return this.#push(KIND.operator, start, end, NO_WORD);
    }
    if (kind === COMPARE || (code === BANG && (second === 0x3d || second === 0x3c || second === 0x3e))) {
      let end = start + 1;
      while (CLASS[text.charCodeAt(end)] === COMPARE && end < start + 3) end += 1;
      return this.#push(KIND.compare, start, end, NO_WORD);
    }
    if ((code === 0x7c || code === 0x26) && second === code) return this.#push(KIND.logic, start, start + 2, NO_WORD);
    if (kind === OPERATOR) return this.#push(KIND.operator, start, start + 1, NO_WORD);
    if (code === OPEN_BRACE) {
      // MySQL takes `{name value}` for the value.
      const end = this.#wordEnd(start + 1);
      const named = end > start + 1 && this.#behindBlanks(end) > end;
      return this.#push(named ? KIND.open : KIND.other, start, named ? end : start + 1, NO_WORD);
    }
    return this.#push(SINGLE[code] ?? KIND.other, start, start + 1, NO_WORD);
  }
}

function isBlankFrom(text: string, from: number): boolean {
  for (let at = from; at < text.length; at += 1) if (CLASS[text.charCodeAt(at)] !== SPACE) return false;
  return true;
}
