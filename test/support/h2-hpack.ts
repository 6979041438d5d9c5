// HPACK (RFC 7541) as the tests write and read it. It shares nothing with the codec under test: it writes literals alone,
// and its Huffman codes are made from the lists of characters below.

/** How a field stood in a header block (RFC 7541 §6). */
export type Representation = "indexed" | "incremental" | "plain" | "never";

export interface Decoded {
  readonly name: string;
  readonly value: string;
  readonly as: Representation;
}

/** Name and value; text has one character for each byte. */
export type Fields = readonly (readonly [name: string, value: string])[];

/** An integer behind a prefix of `bits` bits (RFC 7541 §5.1); `first` holds the bits in front of it. */
export function integer(value: number, bits: number, first = 0): number[] {
  const most = 2 ** bits - 1;
  if (value < most) return [first | value];
  const bytes = [first | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return [...bytes, rest];
}

const FIRST: Readonly<Record<Exclude<Representation, "indexed">, readonly [first: number, bits: number]>> = {
  incremental: [0x40, 6],
  plain: [0x00, 4],
  never: [0x10, 4],
};

/** A string as it is (RFC 7541 §5.2), or with Huffman codes. */
export function text(value: string, huffman = false): number[] {
  const bytes = huffman ? huffmanCode(value) : [...Buffer.from(value, "latin1")];
  return [...integer(bytes.length, 7, huffman ? 0x80 : 0), ...bytes];
}

/** A literal field whose name is a string, or the index of one. */
export function literal(
  name: string | number,
  value: string,
  as: Exclude<Representation, "indexed"> = "plain",
): Buffer {
  const [first, bits] = FIRST[as];
  const start = typeof name === "number" ? integer(name, bits, first) : [first, ...text(name)];
  return Buffer.from([...start, ...text(value)]);
}

/** A field that stands in a table. */
export const indexed = (index: number): Buffer => Buffer.from(integer(index, 7, 0x80));

/** Another size of the dynamic table. */
export const tableSize = (bytes: number): Buffer => Buffer.from(integer(bytes, 5, 0x20));

/** A header block of literals with names as they are. */
export const encodeFields = (fields: Fields): Buffer =>
  Buffer.concat(fields.map(([name, value]) => literal(name, value)));

// The characters whose codes have 5, 6, … 15 bits (RFC 7541 appendix B). Codes of one length follow each other in the
// order of the characters, so this is all there is to know. Longer codes are for characters that no test needs.
const BY_LENGTH: readonly (readonly [bits: number, characters: string])[] = [
  [5, "012aceiost"],
  [6, " %-./3456789=A_bdfghlmnpru"],
  [7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"],
  [8, "&*,;XZ"],
  [10, '!"()?'],
  [11, "'+|"],
  [12, "#>"],
  [13, "\0$@[]~"],
  [14, "^}"],
  [15, "<`{"],
];

/** Codes as text of 0 and 1. */
const CODES: ReadonlyMap<string, string> = new Map(
  (() => {
    const codes: [string, string][] = [];
    let [next, before] = [0, 0];
    for (const [bits, characters] of BY_LENGTH) {
      next <<= bits - before;
      before = bits;
      for (const character of characters) codes.push([character, (next++).toString(2).padStart(bits, "0")]);
    }
    return codes;
  })(),
);
const CHARACTERS: ReadonlyMap<string, string> = new Map([...CODES].map(([character, code]) => [code, character]));

/** Bytes of a text of 0 and 1, filled up with ones as the end of a string is (RFC 7541 §5.2), or with something else. */
export function bitsOf(bits: string, filling = "1"): number[] {
  const whole = bits.padEnd(Math.ceil(bits.length / 8) * 8, filling);
  return (whole.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2));
}

/** The codes of a text, as text of 0 and 1. */
export const huffmanBits = (value: string): string => [...value].map((each) => CODES.get(each)!).join("");
const huffmanCode = (value: string): number[] => bitsOf(huffmanBits(value));

function huffmanText(bytes: Buffer): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  let [value, code] = ["", ""];
  for (const bit of bits) {
    code += bit;
    const character = CHARACTERS.get(code);
    if (character === undefined) continue;
    value += character;
    code = "";
  }
  if (code.length > 7 || code.includes("0")) throw new Error(`not Huffman codes: ${bytes.toString("hex")}`);
  return value;
}

// RFC 7541 appendix A.
const STATIC: Fields =
  `:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200
:status 204|:status 206|:status 304|:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate
accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|content-disposition
content-encoding|content-language|content-length|content-location|content-range|content-type|cookie|date|etag|expect|expires
from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards
proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|set-cookie|strict-transport-security
transfer-encoding|user-agent|vary|via|www-authenticate`
    .split(/[|\n]/)
    .map((line) => {
      const space = line.indexOf(" ");
      return space < 0 ? [line, ""] : [line.slice(0, space), line.slice(space + 1)];
    });

/** The decoder's side of one connection. */
export class HeaderReader {
  readonly #table: (readonly [string, string])[] = [];
  #most = 4096;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  decode(block: Buffer): Decoded[] {
    this.#bytes = block;
    this.#at = 0;
    const fields: Decoded[] = [];
    while (this.#at < block.length) {
      const first = block[this.#at]!;
      if (first >= 0x80) {
        const [name, value] = this.#entry(this.#integer(7));
        fields.push({ name, value, as: "indexed" });
      } else if (first >= 0x40) fields.push(this.#literal(6, "incremental"));
      else if (first >= 0x20) this.#resize(this.#integer(5));
      else fields.push(this.#literal(4, first >= 0x10 ? "never" : "plain"));
    }
    return fields;
  }

  #literal(bits: number, as: Representation): Decoded {
    const index = this.#integer(bits);
    const name = index === 0 ? this.#text() : this.#entry(index)[0];
    const value = this.#text();
    if (as === "incremental") {
      this.#table.unshift([name, value]);
      this.#resize(this.#most);
    }
    return { name, value, as };
  }

  #entry(index: number): readonly [string, string] {
    const entry = index <= STATIC.length ? STATIC[index - 1] : this.#table[index - STATIC.length - 1];
    if (entry === undefined) throw new Error(`no entry ${index} in the table of the tests`);
    return entry;
  }

  #resize(most: number): void {
    this.#most = most;
    const size = () => this.#table.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
    while (size() > most) this.#table.pop();
  }

  #integer(bits: number): number {
    const most = 2 ** bits - 1;
    let value = this.#bytes[this.#at++]! & most;
    if (value < most) return value;
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  }

  #text(): string {
    const huffman = this.#bytes[this.#at]! >= 0x80;
    const length = this.#integer(7);
    const bytes = this.#bytes.subarray(this.#at, (this.#at += length));
    return huffman ? huffmanText(bytes) : bytes.latin1Slice();
  }
}
