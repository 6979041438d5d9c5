// Takes personal data out of what an event says, in whatever way it is written: as it is, percent-encoded, as
// base64, in
// entities and escapes, and these in each other.
import type { Params, ParamValue } from "../event.ts";

/** Finds what is personal in a text that is not encoded, in order and without overlaps. */
export type Finder = (text: string) => readonly { readonly from: number; readonly to: number }[];

export interface ScrubRules {
  readonly find: Finder;
  /** What stands in place of what is found. */
  readonly replacement: string;
  /** Names of parameters whose values are taken out whatever they are, in small letters. */
  readonly names: ReadonlySet<string>;
}

/** Encodings in each other that are looked through. Whoever wraps an address four times means to hide it. */
const DEPTH_MAX = 3;
/** Base64 of less than six bytes holds no address and no number. */
const BASE64_MIN = 8;
/** Values that come again and again: addresses of pages, titles, names of products. */
const MEMO_MAX = 4096;

export class Scrubber {
  readonly #rules: ScrubRules;
  #memo = new Map<string, string>();

  constructor(rules: ScrubRules) {
    this.#rules = rules;
  }

  /** The text without anything personal. */
  text(text: string): string {
    if (text.length < 5) return text; // nothing that is looked for is shorter
    const known = this.#memo.get(text);
    if (known !== undefined) return known;
    const clean = this.#scrubbed(text);
    // Texts that are new each time drive the others out once in a while, which costs little.
    if (this.#memo.size >= MEMO_MAX) this.#memo = new Map();
    this.#memo.set(text, clean);
    return clean;
  }

  params(params: Params): Params {
    const clean: Record<string, ParamValue> = Object.create(null) as Record<string, ParamValue>;
    for (const [name, value] of Object.entries(params)) {
      const known = this.text(name);
      clean[known] = this.#rules.names.has(name.toLowerCase()) ? this.#rules.replacement : this.#value(value);
    }
    return clean;
  }

  #value(value: ParamValue): ParamValue {
    if (typeof value === "string") return this.text(value);
    if (typeof value === "boolean" || Math.abs(value) < 10_000_000) return value;
    const text = String(value); // a number of a card or a phone is one too
    const clean = this.text(text);
    return clean === text ? value : clean;
  }

  #scrubbed(text: string): string {
    const plain = this.#marked(text);
    if (!mayBeEncoded(plain)) return plain;
    const pieces = plain.replace(TOKENS, (token) => (this.#hides(token, DEPTH_MAX) ? this.#rules.replacement : token));
    // What only shows where pieces are read together.
    return this.#hides(pieces, DEPTH_MAX) ? this.#rules.replacement : pieces;
  }

  #marked(text: string): string {
    const found = this.#rules.find(text);
    if (found.length === 0) return text;
    let made = "";
    let at = 0;
    for (const { from, to } of found) {
      made += text.slice(at, from) + this.#rules.replacement;
      at = to;
    }
    return made + text.slice(at);
  }

  /** Whether decoding it brings something to light. */
  #hides(text: string, depth: number): boolean {
    if (depth === 0) return false;
    for (const decode of DECODERS) {
      const decoded = decode(text);
      if (decoded === null || decoded === text) continue;
      if (this.#rules.find(decoded).length > 0 || this.#hides(decoded, depth - 1)) return true;
      for (const token of decoded.match(TOKENS) ?? [])
        if (token !== decoded && this.#hides(token, depth - 1)) return true;
    }
    return false;
  }
}

/** Between these no encoding reaches. */
const TOKENS = /[^\s&=?/;,"'<>|(){}[\]]{5,}/g;

const mayBeEncoded = (text: string): boolean =>
  text.includes("%") || text.includes("&") || text.includes("\\") || BASE64_WORD.test(text) || text.includes("=?");

/** What may be base64 has capitals and others: words and numbers are not looked at. */
const BASE64_WORD = /(?=[A-Za-z0-9+/_-]*[A-Z])(?=[A-Za-z0-9+/_-]*[a-z0-9])[A-Za-z0-9+/_-]{8}/;
const BASE64 = /^[A-Za-z0-9+/_-]+={0,2}$/;

type Decoder = (text: string) => string | null;

const DECODERS: readonly Decoder[] = [fromPercent, fromBase64, fromEntities, fromEscapes];

/** `%40`, also where other escapes make no sense. */
function fromPercent(text: string): string | null {
  if (!text.includes("%")) return null;
  return text
    .replaceAll("+", " ")
    .replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => Buffer.from(escapes.replaceAll("%", ""), "hex").toString());
}

function fromBase64(text: string): string | null {
  if (text.length < BASE64_MIN || !BASE64.test(text) || !/[A-Z]/.test(text)) return null;
  const decoded = Buffer.from(text, "base64").toString();
  // Bytes that are no text come out as replacement characters.
  return /^[\t\n\r\x20-\x7e\xa0-\ufffc]*$/.test(decoded) ? decoded : null;
}

function fromEntities(text: string): string | null {
  if (!text.includes("&")) return null;
  return text
    .replace(/&#x([0-9a-f]{1,6});?/gi, (_, hex: string) => character(Number.parseInt(hex, 16)))
    .replace(/&#(\d{1,7});?/g, (_, digits: string) => character(Number(digits)))
    .replaceAll("&commat;", "@")
    .replaceAll("&period;", ".")
    .replaceAll("&plus;", "+");
}

function fromEscapes(text: string): string | null {
  if (!text.includes("\\")) return null;
  return text.replace(
    /\\(?:u([0-9a-f]{4})|u\{([0-9a-f]{1,6})\}|x([0-9a-f]{2}))/gi,
    (_, ...codes: (string | undefined)[]) =>
      character(Number.parseInt(codes.slice(0, 3).find((code) => code !== undefined) ?? "", 16)),
  );
}

const character = (code: number): string => (code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "");
