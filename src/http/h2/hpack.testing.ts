// What the tests of HPACK share: a sink that keeps what it hears, and ways to write blocks.
import { HeaderBlock } from "../header-block.ts";
import { idOfBytes } from "../header-names.ts";
import type { FieldSink } from "./hpack-decoder.ts";
import type { HpackEncoder } from "./hpack-encoder.ts";
import type { HpackTable } from "./hpack-table.ts";

/** `name: value` of each field, and `skipped N` for one that was refused. Holds at most `max` bytes of lines. */
export class ListSink implements FieldSink {
  buffer: Buffer = Buffer.alloc(64);
  at = 0;
  readonly max: number;
  readonly heard: string[] = [];
  readonly flags: number[] = [];
  readonly ids: number[] = [];
  /** Set to drop every line as soon as it has been heard, as builders do with pseudo-header fields. */
  drops = false;

  constructor(max = Number.MAX_SAFE_INTEGER) {
    this.max = max;
  }

  room(bytes: number): boolean {
    const need = this.at + bytes;
    if (need > this.max) return false;
    if (need > this.buffer.length) this.buffer = Buffer.concat([this.buffer], need * 2);
    return true;
  }

  field(id: number, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, flags: number): void {
    const line = this.buffer.latin1Slice(nameStart, this.at);
    const [name, value] = [this.buffer.latin1Slice(nameStart, nameEnd), this.buffer.latin1Slice(valueStart, valueEnd)];
    if (line !== `${name}: ${value}\r\n`) throw new Error(`not a line: ${JSON.stringify(line)}`);
    this.heard.push(`${name}: ${value}`);
    this.ids.push(id);
    this.flags.push(flags);
    if (this.drops) this.at = nameStart;
  }

  skipped(size: number): void {
    this.heard.push(`skipped ${size}`);
    this.ids.push(0);
    this.flags.push(0);
  }
}

/** The entries of a table, the newest one first, as RFC 7541 writes them. */
export function entriesOf(table: HpackTable): string[] {
  const entries: string[] = [];
  for (let entry = table.inserted - 1; entry >= table.inserted - table.count; entry -= 1) {
    const length = table.length(entry);
    const line = Buffer.alloc(length);
    table.copy(table.start(entry), length, line, 0);
    entries.push(`${line.latin1Slice(0, length - 2)} #${table.meta(entry)}`);
  }
  return entries;
}

/** Bytes from hexadecimal digits; spaces are for the reader. */
export const hex = (digits: string): Buffer => Buffer.from(digits.replaceAll(" ", ""), "hex");

/** A literal with a new name, neither string coded. `first` is 0x40, 0x00 or 0x10. Up to 126 bytes each. */
export const literal = (first: number, name: string, value: string): Buffer =>
  Buffer.concat([
    Buffer.from([first, name.length]),
    Buffer.from(name, "latin1"),
    Buffer.from([value.length]),
    Buffer.from(value, "latin1"),
  ]);

/** A head block that was received: with bytes and marks, as the readers of heads make it. */
export function receivedBlock(fields: readonly (readonly [name: string, value: string])[]): HeaderBlock {
  const bytes = Buffer.from(fields.map(([name, value]) => `${name}: ${value}\r\n`).join(""), "latin1");
  const block = new HeaderBlock();
  block.reset(bytes);
  let at = 0;
  for (const [name, value] of fields) {
    const nameEnd = at + name.length;
    const end = nameEnd + 2 + value.length;
    block.push(name === "" ? 0 : idOfBytes(bytes, at, nameEnd), at, nameEnd, nameEnd + 2, end, end + 2);
    at = end + 2;
  }
  return block;
}

/** What `write` writes; it must stay within `max` bytes. */
export function encoded(encoder: HpackEncoder, max: number, write: () => void): Buffer {
  const out = Buffer.alloc(max + 64, 0xee);
  encoder.begin(out, 8);
  write();
  if (encoder.at > max + 8) throw new Error(`${encoder.at - 8} bytes, and not ${max}`);
  for (let i = 0; i < 8; i += 1) if (out[i] !== 0xee) throw new Error("written before its start");
  for (let i = max + 8; i < out.length; i += 1) if (out[i] !== 0xee) throw new Error("written behind its end");
  return out.subarray(8, encoder.at) as Buffer;
}
