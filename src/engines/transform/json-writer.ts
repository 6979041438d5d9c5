// Puts a JSON value together again: what was not changed is copied as it lay, in pieces as long as can be.
import { END, NEXT, START, WIDTH } from "./json-document.ts";
import type { JsonNode } from "./json-node.ts";

const SCRATCH_BYTES = 65_536;
/** Bytes of UTF-8 that one character of a text can take. */
const UTF8_MAX = 3;

const COMMA = 0x2c;
const COLON = 0x3a;

/** Written again and again; what is made is copied out of it. */
const scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

class Writer {
  #bytes: Buffer = scratch;
  #max: number;
  #at = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Null when it became too long. */
  make(node: JsonNode): Buffer | null {
    this.#value(node);
    return this.#at > this.#max ? null : Buffer.from(this.#bytes.subarray(0, this.#at));
  }

  #value(node: JsonNode): void {
    if (this.#at > this.#max) return; // nothing of it is of use any more
    if (node.isRead) {
      const { bytes, table } = node.document!;
      this.#copy(bytes, table[node.entry + START]!, table[node.entry + END]!);
    } else if (node.isMade) this.#text(node.text);
    else if (node.isOpenObject) this.#members(node);
    else this.#items(node);
  }

  #members(node: JsonNode): void {
    const { nameEntries, nameTexts, items, document } = node;
    this.#byte(0x7b);
    // What lies behind each other in the document is copied at once, commas and white space between it included.
    let from = -1;
    let to = 0;
    let next = -1;
    for (let at = 0; at < items.length; at += 1) {
      const item = items[at]!;
      const name = nameEntries[at]!;
      const isAsRead = name >= 0 && item.isRead && item.document === document && item.entry === name + WIDTH;
      if (isAsRead && name === next) {
        to = document!.table[item.entry + END]!;
        next = document!.table[item.entry + NEXT]!;
        continue;
      }
      if (from >= 0) this.#copy(document!.bytes, from, to);
      if (at > 0) this.#byte(COMMA);
      from = -1;
      next = -1;
      if (isAsRead) {
        from = document!.table[name + START]!;
        to = document!.table[item.entry + END]!;
        next = document!.table[item.entry + NEXT]!;
        continue;
      }
      if (name < 0) this.#text(JSON.stringify(nameTexts[at]!));
      else this.#copy(document!.bytes, document!.table[name + START]!, document!.table[name + END]!);
      this.#byte(COLON);
      this.#value(item);
    }
    if (from >= 0) this.#copy(document!.bytes, from, to);
    this.#byte(0x7d);
  }

  #items({ items }: JsonNode): void {
    this.#byte(0x5b);
    for (let at = 0; at < items.length; at += 1) {
      if (at > 0) this.#byte(COMMA);
      this.#value(items[at]!);
    }
    this.#byte(0x5d);
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
  #byte(byte: number): void {
    this.#room(1);
    this.#bytes[this.#at] = byte;
    this.#at += 1;
  }
  #text(text: string): void {
    this.#room(text.length * UTF8_MAX);
    this.#at += this.#bytes.write(text, this.#at);
  }
  #copy(bytes: Buffer, from: number, to: number): void {
    this.#room(to - from);
    this.#at += bytes.copy(this.#bytes, this.#at, from, to);
  }
}

/** The JSON text of a value; null when it is longer than `max` bytes. */
export const writeJson = (node: JsonNode, max: number): Buffer | null => new Writer(max).make(node);
