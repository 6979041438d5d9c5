// Structured fields (RFC 9651), read strictly: a field is a dictionary, list or item, or it is nothing at all.

export type BareItem =
  | { readonly kind: "integer"; readonly value: number }
  | { readonly kind: "decimal"; readonly value: number }
  | { readonly kind: "string"; readonly value: string }
  | { readonly kind: "token"; readonly value: string }
  | { readonly kind: "bytes"; readonly value: Buffer }
  | { readonly kind: "boolean"; readonly value: boolean }
  /** Seconds since 1970. */
  | { readonly kind: "date"; readonly value: number }
  /** Unicode text. */
  | { readonly kind: "display"; readonly value: string };

export type Parameters = ReadonlyMap<string, BareItem>;
export interface Item {
  readonly kind: "item";
  readonly value: BareItem;
  readonly parameters: Parameters;
}
export interface InnerList {
  readonly kind: "list";
  readonly items: readonly Item[];
  readonly parameters: Parameters;
}
export type Member = Item | InnerList;
export type Dictionary = ReadonlyMap<string, Member>;

/** Longer fields are not read: a dictionary of 1024 short members, which RFC 9651 §3.2 asks for, takes about as much. */
const FIELD_LENGTH_MAX = 16_384;
const INTEGER_DIGITS_MAX = 15;
const DECIMAL_WHOLE_MAX = 12;
const DECIMAL_FRACTION_MAX = 3;

/**
 * A field as a dictionary; null when it is none. Several lines are to be joined by commas (RFC 9651 §4.2); text is one
 * character for each byte. An empty field is an empty dictionary. Of a key that comes again the last value counts.
 */
export function parseDictionary(field: string): Dictionary | null {
  return whole(field, (reader) => {
    const members = new Map<string, Member>();
    while (!reader.atEnd()) {
      const key = reader.key();
      members.delete(key);
      members.set(key, reader.eat("=") ? reader.member() : reader.bareTrue());
      if (!reader.nextMember()) break;
    }
    return members;
  });
}

/** A field as a list; null when it is none. An empty field is an empty list. */
export function parseList(field: string): readonly Member[] | null {
  return whole(field, (reader) => {
    const members: Member[] = [];
    while (!reader.atEnd()) {
      members.push(reader.member());
      if (!reader.nextMember()) break;
    }
    return members;
  });
}

/** A field as an item; null when it is none. */
export function parseItem(field: string): Item | null {
  return whole(field, (reader) => reader.item());
}

function whole<T>(field: string, read: (reader: Reader) => T): T | null {
  if (field.length > FIELD_LENGTH_MAX) return null;
  const reader = new Reader(field);
  reader.skipSpaces();
  const found = read(reader);
  reader.skipSpaces();
  return reader.failed || !reader.atEnd() ? null : found;
}

const TRUE: BareItem = { kind: "boolean", value: true };
const FALSE: BareItem = { kind: "boolean", value: false };
const NO_PARAMETERS: Parameters = new Map();
const NOTHING: BareItem = { kind: "integer", value: 0 };

const isLower = (code: number): boolean => code >= 0x61 && code <= 0x7a;
const isAlpha = (code: number): boolean => isLower(code | 0x20) && code < 0x80;
const isDigitCode = (code: number): boolean => code >= 0x30 && code <= 0x39;
const TOKEN_PUNCTUATION = "!#$%&'*+-.^_`|~:/";

/**
 * Reads on from `at`. Where the text is not as it must be, `failed` is set and the place is the end, so that every loop
 * ends; what is returned then means nothing.
 */
class Reader {
  readonly #text: string;
  #at = 0;
  failed = false;

  constructor(text: string) {
    this.#text = text;
  }

  atEnd(): boolean {
    return this.#at >= this.#text.length;
  }
  #fail(): typeof NOTHING {
    this.failed = true;
    this.#at = this.#text.length;
    return NOTHING;
  }
  #code(): number {
    return this.#text.charCodeAt(this.#at); // NaN behind the end, which is like no other
  }
  eat(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at += 1;
    return true;
  }
  skipSpaces(): void {
    while (this.#code() === 0x20) this.#at += 1;
  }
  #skipBlanks(): void {
    while (this.#code() === 0x20 || this.#code() === 0x09) this.#at += 1;
  }

  /** Behind a member: whether a comma and another one follow. A comma at the end is an error. */
  nextMember(): boolean {
    this.#skipBlanks();
    if (this.atEnd()) return false;
    if (!this.eat(",")) {
      this.#fail();
      return false;
    }
    this.#skipBlanks();
    if (this.atEnd()) this.#fail();
    return !this.failed;
  }

  key(): string {
    const from = this.#at;
    const first = this.#code();
    if (!isLower(first) && first !== 0x2a) this.#fail();
    for (let code = this.#code(); ; code = this.#code()) {
      if (!isLower(code) && !isDigitCode(code) && !"_-.*".includes(this.#text[this.#at] ?? " ")) break;
      this.#at += 1;
    }
    return this.#text.slice(from, this.#at);
  }

  bareTrue(): Item {
    return { kind: "item", value: TRUE, parameters: this.#parameters() };
  }

  member(): Member {
    return this.eat("(") ? this.#innerList() : this.item();
  }

  item(): Item {
    const value = this.#bareItem();
    return { kind: "item", value, parameters: this.#parameters() };
  }

  #innerList(): InnerList {
    const items: Item[] = [];
    for (;;) {
      this.skipSpaces();
      if (this.eat(")")) break;
      items.push(this.item());
      const code = this.#code();
      if (code !== 0x20 && code !== 0x29) this.#fail();
      if (this.failed) break;
    }
    return { kind: "list", items, parameters: this.#parameters() };
  }

  #parameters(): Parameters {
    if (this.#text[this.#at] !== ";") return NO_PARAMETERS;
    const parameters = new Map<string, BareItem>();
    while (this.eat(";")) {
      this.skipSpaces();
      const key = this.key();
      parameters.delete(key);
      parameters.set(key, this.eat("=") ? this.#bareItem() : TRUE);
    }
    return parameters;
  }

  #bareItem(): BareItem {
    const code = this.#code();
    if (code === 0x2d || isDigitCode(code)) return this.#number();
    if (code === 0x2a || isAlpha(code)) return this.#token();
    if (this.eat('"')) return this.#string();
    if (this.eat(":")) return this.#bytes();
    if (this.eat("?")) return this.eat("1") ? TRUE : this.eat("0") ? FALSE : this.#fail();
    if (this.eat("@")) {
      const seconds = this.#number();
      return seconds.kind === "integer" ? { kind: "date", value: seconds.value } : this.#fail();
    }
    if (this.eat("%")) return this.#display();
    return this.#fail();
  }

  #digits(max: number): string {
    const from = this.#at;
    while (isDigitCode(this.#code())) this.#at += 1;
    const digits = this.#text.slice(from, this.#at);
    if (digits.length === 0 || digits.length > max) this.#fail();
    return digits;
  }

  #number(): BareItem {
    const sign = this.eat("-") ? -1 : 1;
    const digits = this.#digits(INTEGER_DIGITS_MAX);
    if (!this.eat(".")) return { kind: "integer", value: sign * Number(digits) + 0 };
    if (digits.length > DECIMAL_WHOLE_MAX) return this.#fail();
    const fraction = this.#digits(DECIMAL_FRACTION_MAX);
    return { kind: "decimal", value: sign * Number(`${digits}.${fraction}`) + 0 };
  }

  #token(): BareItem {
    const from = this.#at;
    for (let code = this.#code(); ; code = this.#code()) {
      if (!isAlpha(code) && !isDigitCode(code) && !TOKEN_PUNCTUATION.includes(this.#text[this.#at] ?? " ")) break;
      this.#at += 1;
    }
    return { kind: "token", value: this.#text.slice(from, this.#at) };
  }

  #string(): BareItem {
    let value = "";
    for (let from = this.#at; ; ) {
      const code = this.#code();
      if (code === 0x22) {
        value += this.#text.slice(from, this.#at);
        this.#at += 1;
        return { kind: "string", value };
      }
      if (!(code >= 0x20 && code < 0x7f)) return this.#fail();
      if (code === 0x5c) {
        value += this.#text.slice(from, this.#at);
        const escaped = this.#text[this.#at + 1];
        if (escaped !== '"' && escaped !== "\\") return this.#fail();
        from = this.#at + 1;
        this.#at += 2;
      } else this.#at += 1;
    }
  }

  #bytes(): BareItem {
    const end = this.#text.indexOf(":", this.#at);
    if (end < 0) return this.#fail();
    const base64 = this.#text.slice(this.#at, end);
    if (!/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) return this.#fail();
    this.#at = end + 1;
    return { kind: "bytes", value: Buffer.from(base64, "base64") };
  }

  /** RFC 9651 §4.2.10: `%"…"` with lower-case `%xx`, which must be UTF-8. */
  #display(): BareItem {
    if (!this.eat('"')) return this.#fail();
    const bytes: number[] = [];
    for (;;) {
      const code = this.#code();
      this.#at += 1;
      if (code === 0x22) break;
      if (!(code >= 0x20 && code < 0x7f)) return this.#fail();
      if (code !== 0x25) {
        bytes.push(code);
        continue;
      }
      const hex = this.#text.slice(this.#at, this.#at + 2);
      if (!/^[0-9a-f]{2}$/.test(hex)) return this.#fail();
      bytes.push(Number.parseInt(hex, 16));
      this.#at += 2;
    }
    try {
      return { kind: "display", value: UTF8.decode(Uint8Array.from(bytes)) };
    } catch {
      return this.#fail();
    }
  }
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
