// A reader of JSON (RFC 8259) that keeps where everything lies, so that what is not changed goes out byte for byte:
// numbers keep all their digits, names their order, and white space its place. It is stricter than the grammar: a name
// that is there twice in an object is refused, as two readers could see two different values.
import { isUtf8 } from "node:buffer";

/** Deeper nesting is made to exhaust somebody's stack. */
const DEPTH_MAX = 64;

export const OBJECT = 1;
export const LIST = 2;
export const TEXT = 3;
/** A number, true, false or null. */
export const PLAIN = 4;
const NAME = 5;

// An entry of the table. Entries lie in the order of the text: behind an object come its names, each before its value.
/** Entries are as long as this. */
export const WIDTH = 4;
/** Where the token begins and ends: of texts with their quotes, of objects and lists with all that is in them. */
export const START = 1;
export const END = 2;
/** Where the entry behind this one and all in it is; of a name in its place the hash of it. */
export const NEXT = 3;

const ENTRIES_FIRST = 256;
/** A table for up to some 16,000 values is used again; a larger one would be held for seldom cases. */
const SPARE_MAX = 65_536;
let spare: Int32Array | null = null;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const LOWER_U = 0x75;

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= ZERO && byte <= NINE;

/** Bytes that may stand behind a backslash, but for `u`. */
const ESCAPES: Uint8Array = new Uint8Array(256);
for (const char of '"\\/bfnrt') ESCAPES[char.charCodeAt(0)] = 1;
const HEX: Uint8Array = new Uint8Array(256);
for (const char of "0123456789abcdefABCDEF") HEX[char.charCodeAt(0)] = 1;
/** Bytes that end the plain part of a text: its quote, a backslash, and control characters. */
const STOPS: Uint8Array = new Uint8Array(256);
STOPS.fill(1, 0, 0x20);
STOPS[QUOTE] = 1;
STOPS[BACKSLASH] = 1;
const SPACES: Uint8Array = new Uint8Array(256);
for (const char of " \t\r\n") SPACES[char.charCodeAt(0)] = 1;

const WORDS = [Buffer.from("true"), Buffer.from("false"), Buffer.from("null")];

const HASH_FIRST = 0x811c9dc5 | 0;
const HASH_FACTOR = 0x01000193;

/** The hash under which names are compared first; chosen names that have the same are told apart by their text. */
export function hashOf(bytes: Uint8Array): number {
  let hash = HASH_FIRST;
  for (let at = 0; at < bytes.length; at += 1) hash = Math.imul(hash ^ bytes[at]!, HASH_FACTOR);
  return hash;
}

export type ReadJson =
  | { readonly document: JsonDocument; readonly problem: null }
  | { readonly document: null; readonly problem: string };

/** Reads a JSON text in UTF-8; the bytes must stay as they are for as long as the document is used. */
export function readJson(bytes: Buffer): ReadJson {
  if (!isUtf8(bytes)) return { document: null, problem: "must be text in UTF-8" };
  const document = new JsonDocument(bytes);
  const problem = document.read();
  return problem === null ? { document, problem } : { document: null, problem };
}

/** The entries of what is open while a text is read, the outermost first. */
const opened: Int32Array = new Int32Array(DEPTH_MAX);

/** Members of an object whose names are compared with each other one by one. */
const FEW = 16;
const few: Int32Array = new Int32Array(FEW);

export class JsonDocument {
  readonly bytes: Buffer;
  /** The table; entry 0 is the value itself. */
  table: Int32Array;
  #used = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
    this.table = spare ?? new Int32Array(ENTRIES_FIRST * WIDTH);
    spare = null;
  }

  /** The table may be used for another document from here on. */
  release(): void {
    if (this.table.length <= SPARE_MAX) spare = this.table;
    this.table = NOTHING;
  }

  /** The text of a string or name. */
  textAt(entry: number): string {
    const from = this.table[entry + START]!;
    const to = this.table[entry + END]!;
    const plain = this.bytes.toString("utf8", from + 1, to - 1);
    return plain.includes("\\") ? (JSON.parse(`"${plain}"`) as string) : plain;
  }

  /** Whether the name at this entry is the given one, whose hash and bytes these are. */
  isNamed(entry: number, hash: number, name: Uint8Array): boolean {
    const { table, bytes } = this;
    if (table[entry + NEXT] !== hash) return false;
    const from = table[entry + START]! + 1;
    if (table[entry + END]! - 1 - from === name.length) {
      let at = 0;
      while (at < name.length && bytes[from + at] === name[at]) at += 1;
      if (at === name.length) return true;
    }
    // It may be the same with escapes.
    return bytes.subarray(from, table[entry + END]!).includes(BACKSLASH) && this.textAt(entry) === name.toString();
  }

  /** Whether a member of the value at this entry has a name with this hash, or, however deep, anything in it. */
  hasName(entry: number, hash: number, isDeep: boolean): boolean {
    const { table } = this;
    const kind = table[entry];
    if (kind !== OBJECT && !(isDeep && kind === LIST)) return false;
    const end = table[entry + NEXT]!;
    let at = entry + WIDTH;
    while (at < end) {
      if (table[at] === NAME && table[at + NEXT] === hash) return true;
      at = isDeep ? at + WIDTH : table[at + WIDTH + NEXT]!;
    }
    return false;
  }

  /** Fills the table. Returns what is wrong; null for nothing. */
  read(): string | null {
    const { bytes } = this;
    let depth = 0;
    let at = this.#skip(0);
    for (;;) {
      const byte = bytes[at];
      const isObject = byte === OPEN_OBJECT;
      if (isObject || byte === OPEN_LIST) {
        if (depth === DEPTH_MAX) return `must not be nested more than ${DEPTH_MAX} deep`;
        opened[depth] = this.#push(isObject ? OBJECT : LIST, at, 0);
        depth += 1;
        at = this.#skip(at + 1);
        if (bytes[at] !== (isObject ? CLOSE_OBJECT : CLOSE_LIST)) {
          if (isObject && (at = this.#name(at)) < 0) return NOT_JSON;
          continue;
        }
      } else if ((at = this.#scalar(at)) < 0) return NOT_JSON;
      // A value is over, and perhaps what it stands in.
      for (;;) {
        at = this.#skip(at);
        if (depth === 0) return at === bytes.length ? null : NOT_JSON;
        const open = opened[depth - 1]!;
        const isMember = this.table[open] === OBJECT;
        const next = bytes[at];
        if (next === COMMA) {
          at = this.#skip(at + 1);
          if (isMember && (at = this.#name(at)) < 0) return NOT_JSON;
          break;
        }
        if (next !== (isMember ? CLOSE_OBJECT : CLOSE_LIST)) return NOT_JSON;
        at += 1;
        depth -= 1;
        this.table[open + END] = at;
        this.table[open + NEXT] = this.#used;
        if (isMember && !this.#isUnique(open)) return "must not have a name twice in an object";
      }
    }
  }

  #push(kind: number, start: number, end: number): number {
    const entry = this.#used;
    if (entry === this.table.length) {
      const larger = new Int32Array(this.table.length * 2);
      larger.set(this.table);
      this.table = larger;
    }
    const { table } = this;
    table[entry] = kind;
    table[entry + START] = start;
    table[entry + END] = end;
    this.#used = entry + WIDTH;
    table[entry + NEXT] = this.#used;
    return entry;
  }

  #skip(from: number): number {
    const { bytes } = this;
    let at = from;
    while (at < bytes.length && SPACES[bytes[at]!] === 1) at += 1;
    return at;
  }

  /** A name and its colon; -1 when there is none. Returns where the value begins. */
  #name(from: number): number {
    const { bytes } = this;
    if (bytes[from] !== QUOTE) return -1;
    let hash = HASH_FIRST;
    let at = from + 1;
    for (; at < bytes.length && STOPS[bytes[at]!] === 0; at += 1) hash = Math.imul(hash ^ bytes[at]!, HASH_FACTOR);
    const isPlain = bytes[at] === QUOTE;
    const end = isPlain ? at + 1 : this.#text(from);
    if (end < 0) return -1;
    const entry = this.#push(NAME, from, end);
    this.table[entry + NEXT] = isPlain ? hash : hashOf(Buffer.from(this.textAt(entry)));
    at = this.#skip(end);
    return bytes[at] === COLON ? this.#skip(at + 1) : -1;
  }

  #scalar(at: number): number {
    const byte = this.bytes[at];
    if (byte === QUOTE) {
      const end = this.#text(at);
      if (end >= 0) this.#push(TEXT, at, end);
      return end;
    }
    const end = byte === MINUS || isDigit(byte) ? this.#number(at) : this.#word(at);
    if (end >= 0) this.#push(PLAIN, at, end);
    return end;
  }

  /** Where a text that begins here is over; -1 when it is none. */
  #text(from: number): number {
    const { bytes } = this;
    let at = from + 1;
    for (;;) {
      while (at < bytes.length && STOPS[bytes[at]!] === 0) at += 1;
      if (bytes[at] === QUOTE) return at + 1;
      if (bytes[at] !== BACKSLASH) return -1;
      const escaped = bytes[at + 1] ?? 0;
      if (ESCAPES[escaped] === 1) at += 2;
      else {
        if (escaped !== LOWER_U) return -1;
        for (let digit = at + 2; digit < at + 6; digit += 1) if (HEX[bytes[digit] ?? 0] === 0) return -1;
        at += 6;
      }
    }
  }

  #number(from: number): number {
    const { bytes } = this;
    let at = bytes[from] === MINUS ? from + 1 : from;
    if (bytes[at] === ZERO) at += 1;
    else if ((at = this.#digits(at)) < 0) return -1;
    if (bytes[at] === DOT && (at = this.#digits(at + 1)) < 0) return -1;
    if (((bytes[at] ?? 0) | 0x20) !== 0x65) return at; // e, E
    const sign = bytes[at + 1];
    return this.#digits(sign === 0x2b || sign === MINUS ? at + 2 : at + 1);
  }

  #digits(from: number): number {
    let at = from;
    while (isDigit(this.bytes[at])) at += 1;
    return at === from ? -1 : at;
  }

  #word(at: number): number {
    const { bytes } = this;
    for (const word of WORDS) {
      let same = 0;
      while (same < word.length && bytes[at + same] === word[same]) same += 1;
      if (same === word.length) return at + same;
    }
    return -1;
  }

  #isUnique(object: number): boolean {
    const { table } = this;
    const end = table[object + NEXT]!;
    let count = 0;
    for (let at = object + WIDTH; at < end; at = table[at + WIDTH + NEXT]!) {
      if (count === FEW) return this.#isUniqueOfMany(object, end);
      const hash = table[at + NEXT];
      for (let other = 0; other < count; other += 1) {
        if (table[few[other]! + NEXT] === hash && this.textAt(few[other]!) === this.textAt(at)) return false;
      }
      few[count] = at;
      count += 1;
    }
    return true;
  }

  #isUniqueOfMany(object: number, end: number): boolean {
    const seen = new Set<string>();
    let count = 0;
    for (let at = object + WIDTH; at < end; at = this.table[at + WIDTH + NEXT]!) {
      seen.add(this.textAt(at));
      count += 1;
    }
    return seen.size === count;
  }
}

const NOT_JSON = "must be JSON";
const NOTHING: Int32Array = new Int32Array(0);
