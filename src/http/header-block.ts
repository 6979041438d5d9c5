// A header section as it came off the wire: bytes and offsets. Names and values become strings only when asked for,
// edits lie over it, and untouched lines are copied as byte ranges when it is written out again.
import { ID, ID_COUNT, idOf, NAMES } from "./header-names.ts";

/** A field that an edit put on top of what was received. Values are Latin-1 text without CR, LF or NUL. */
export interface AddedField {
  readonly name: string;
  readonly value: string;
}

const OFFSETS = 3; // per field: name start, name end, value start; the value's end comes fourth
const STRIDE = OFFSETS + 1;
const INITIAL_FIELDS = 24;

const NO_BYTES: Buffer = Buffer.alloc(0);

export class HeaderBlock {
  /** The bytes that the offsets point into; never changed once parsed. */
  bytes: Buffer = NO_BYTES;
  /** Received fields, removed ones included. */
  count = 0;
  /** Where the last line ends (after its CRLF). Lines lie one behind the other. */
  end = 0;
  /** Per field: name start, name end, value start, value end (OWS trimmed). */
  marks: Int32Array = new Int32Array(INITIAL_FIELDS * STRIDE);
  /** Per field: the id of its name (header-names.ts), 0 for unknown ones. */
  ids: Uint8Array = new Uint8Array(INITIAL_FIELDS);
  /** Per field: 1 once an edit took it away. */
  removed: Uint8Array = new Uint8Array(INITIAL_FIELDS);
  /** How many are removed: 0 spares every look at `removed`. */
  removedCount = 0;
  added: AddedField[] | null = null;
  /** Per field: 1 if it came as never to be indexed (RFC 7541 §6.2.3), which it stays; null while none did. */
  secret: Uint8Array | null = null;
  /** Of a request: somebody has shown who they are, in fields that may have been taken out since, or otherwise. */
  personal = false;
  #presentLow = 0;
  #presentHigh = 0;

  /** Starts anew over `bytes`, so that the arrays are used again. */
  reset(bytes: Buffer): void {
    this.bytes = bytes;
    if (this.removedCount > 0) this.removed.fill(0);
    this.count = 0;
    this.end = 0;
    this.removedCount = 0;
    this.added = null;
    this.secret = null;
    this.personal = false;
    this.#presentLow = 0;
    this.#presentHigh = 0;
  }

  /** Adds a received line; only the head readers call this. */
  push(id: number, nameStart: number, nameEnd: number, valueStart: number, valueEnd: number, lineEnd: number): void {
    const at = this.count;
    if (at === this.ids.length) this.#grow();
    const marks = this.marks;
    const m = at * STRIDE;
    marks[m] = nameStart;
    marks[m + 1] = nameEnd;
    marks[m + 2] = valueStart;
    marks[m + 3] = valueEnd;
    this.ids[at] = id;
    this.count = at + 1;
    this.end = lineEnd;
    if (id < 32) this.#presentLow |= 1 << id;
    else this.#presentHigh |= 1 << (id - 32);
  }

  /** Field `at` came as never to be indexed. */
  keepSecret(at: number): void {
    if (this.secret === null || this.secret.length <= at) {
      const secret = new Uint8Array(Math.max(this.ids.length, at + 1));
      if (this.secret !== null) secret.set(this.secret);
      this.secret = secret;
    }
    this.secret[at] = 1;
  }

  #grow(): void {
    const marks = new Int32Array(this.marks.length * 2);
    marks.set(this.marks);
    this.marks = marks;
    const ids = new Uint8Array(this.ids.length * 2);
    ids.set(this.ids);
    this.ids = ids;
    const removed = new Uint8Array(this.removed.length * 2);
    removed.set(this.removed);
    this.removed = removed;
  }

  /** Whether a field with this known id was received (edits not looked at: a quick "surely not"). */
  received(id: number): boolean {
    return (id < 32 ? this.#presentLow & (1 << id) : this.#presentHigh & (1 << (id - 32))) !== 0;
  }

  /** Where the line of field `at` begins and ends, CRLF included. */
  lineStart(at: number): number {
    return this.marks[at * STRIDE]!;
  }
  lineEnd(at: number): number {
    return at + 1 < this.count ? this.marks[(at + 1) * STRIDE]! : this.end;
  }
  valueStart(at: number): number {
    return this.marks[at * STRIDE + 2]!;
  }
  valueEnd(at: number): number {
    return this.marks[at * STRIDE + 3]!;
  }
  /** The name of received field `at`, as it was written. */
  nameAt(at: number): string {
    return this.bytes.latin1Slice(this.marks[at * STRIDE]!, this.marks[at * STRIDE + 1]!);
  }
  /** The value of received field `at`, one character for each byte. */
  valueAt(at: number): string {
    return this.bytes.latin1Slice(this.marks[at * STRIDE + 2]!, this.marks[at * STRIDE + 3]!);
  }

  /** The index of the first field with a known id that no edit removed; -1 when there is none. */
  indexOf(id: number, from = 0): number {
    if (!this.received(id)) return -1;
    for (let at = from; at < this.count; at += 1) if (this.ids[at] === id && this.removed[at] === 0) return at;
    return -1;
  }

  /** The value of the field, several joined by `, ` (RFC 9110 §5.3); null when absent. Any case of the name. */
  get(name: string): string | null {
    const all = this.getAll(name);
    return all.length === 0 ? null : all.length === 1 ? all[0]! : all.join(", ");
  }

  /** As `get`, for a known name; costs next to nothing when the field was not received and nothing was added. */
  getById(id: number): string | null {
    if (this.added !== null) return this.get(NAMES[id]!);
    if (!this.received(id)) return null;
    let value: string | null = null;
    for (let at = 0; at < this.count; at += 1) {
      if (this.ids[at] !== id || this.removed[at] !== 0) continue;
      value = value === null ? this.valueAt(at) : `${value}, ${this.valueAt(at)}`;
    }
    return value;
  }

  has(name: string): boolean {
    return this.get(name) !== null;
  }

  /** Every value of the field, in order. */
  getAll(name: string): string[] {
    const lower = name.toLowerCase();
    const id = idOf(lower);
    const values: string[] = [];
    if (id === 0 || this.received(id)) {
      for (let at = 0; at < this.count; at += 1) {
        if (this.removed[at] === 0 && this.#isNamed(at, id, lower)) values.push(this.valueAt(at));
      }
    }
    if (this.added !== null) {
      for (const field of this.added) if (isName(field, lower)) values.push(field.value);
    }
    return values;
  }

  #isNamed(at: number, id: number, lower: string): boolean {
    if (id !== 0) return this.ids[at] === id;
    if (this.ids[at] !== 0) return false;
    const start = this.marks[at * STRIDE]!;
    if (this.marks[at * STRIDE + 1]! - start !== lower.length) return false;
    const bytes = this.bytes;
    for (let i = 0; i < lower.length; i += 1) {
      const want = lower.charCodeAt(i);
      const byte = bytes[start + i]!;
      if (byte !== want && !(byte >= 0x41 && byte <= 0x5a && (byte | 0x20) === want)) return false;
    }
    return true;
  }

  /** Sets the field in place of any of that name. Throws RangeError for a name or value that no message may carry. */
  set(name: string, value: string): void {
    this.remove(name);
    this.add(name, value);
  }

  /** Adds a field beside any of that name. Throws RangeError for a name or value that no message may carry. */
  add(name: string, value: string): void {
    if (!isFieldName(name)) throw new RangeError(`not a field name: ${JSON.stringify(name)}`);
    if (!isFieldValue(value)) throw new RangeError(`not a field value for ${name}: ${JSON.stringify(value)}`);
    (this.added ??= []).push({ name, value });
  }

  remove(name: string): void {
    const lower = name.toLowerCase();
    this.removeReceived(lower);
    if (this.hasAdded(lower)) this.added = this.added!.filter((field) => !isName(field, lower));
  }

  /** Takes away what was received under this lower-case name; fields that edits added stay. */
  removeReceived(lower: string): void {
    const id = idOf(lower);
    if (id !== 0 && !this.received(id)) return;
    for (let at = 0; at < this.count; at += 1) if (this.#isNamed(at, id, lower)) this.removeAt(at);
  }

  removeAt(at: number): void {
    if (this.removed[at] === 0) this.removedCount += 1;
    this.removed[at] = 1;
  }

  /** Whether an edit added a field of this lower-case name. */
  hasAdded(lower: string): boolean {
    if (this.added === null) return false;
    for (const field of this.added) if (isName(field, lower)) return true;
    return false;
  }

  /** Calls back with every field that stands, received ones first. */
  forEach(each: (name: string, value: string) => void): void {
    for (let at = 0; at < this.count; at += 1) if (this.removed[at] === 0) each(this.nameAt(at), this.valueAt(at));
    if (this.added !== null) for (const field of this.added) each(field.name, field.value);
  }

  /** The fields that stand, as pairs. */
  entries(): [name: string, value: string][] {
    const pairs: [string, string][] = [];
    this.forEach((name, value) => {
      pairs.push([name, value]);
    });
    return pairs;
  }

  /**
   * Writes the lines that stand into `out` from `at` on and returns where they end. Received fields in `skip` are left
   * out; added ones go out unless they would meddle with the framing.
   * `lineAt` is where a start line begins that lies just before the fields and is to be copied with them; -1 for none.
   * Room needed: `maxLength()` bytes, and those of the start line.
   */
  writeTo(out: Buffer, at: number, skip: SkipSet, lineAt = -1): number {
    const { bytes, ids, removed, count, marks } = this;
    let to = at;
    let from = lineAt; // start of a run of lines to copy as one range
    const whole =
      this.removedCount === 0 && (this.#presentLow & skip.low) === 0 && (this.#presentHigh & skip.high) === 0;
    if (whole && from < 0 && count > 0) from = marks[0]!;
    const { table } = skip;
    for (let i = whole ? count : 0; i < count; i += 1) {
      if (table[ids[i]!] === 1 || removed[i] === 1) {
        if (from >= 0) {
          const stop = marks[i * STRIDE]!;
          bytes.copy(out, to, from, stop);
          to += stop - from;
          from = -1;
        }
      } else if (from < 0) from = marks[i * STRIDE]!;
    }
    if (from >= 0) {
      bytes.copy(out, to, from, this.end);
      to += this.end - from;
    }
    if (this.added !== null) {
      for (const field of this.added) {
        if (NEVER_ADDED.table[idOf(field.name.toLowerCase())] === 0) to = writeField(out, to, field.name, field.value);
      }
    }
    return to;
  }

  /** An upper bound of what `writeTo` writes. */
  maxLength(): number {
    let length = this.count === 0 ? 0 : this.end - this.marks[0]!;
    if (this.added !== null) for (const field of this.added) length += field.name.length + field.value.length + 4;
    return length;
  }

  /** A block of its own from name and value pairs. Throws RangeError as `add` does. */
  static of(fields: Iterable<readonly [string, string]>): HeaderBlock {
    const block = new HeaderBlock();
    for (const [name, value] of fields) block.add(name, value);
    return block;
  }
}

/** Whether a field has this lower-case name; most names differ in their length. */
const isName = ({ name }: AddedField, lower: string): boolean =>
  name.length === lower.length && name.toLowerCase() === lower;

/** Writes `name: value CRLF` and returns where it ends. */
function writeField(out: Buffer, at: number, name: string, value: string): number {
  let to = at + out.latin1Write(name, at);
  out[to] = 0x3a;
  out[to + 1] = 0x20;
  to += 2;
  to += out.latin1Write(value, to);
  out[to] = 0x0d;
  out[to + 1] = 0x0a;
  return to + 2;
}

/** Known names to leave out when a block is written: a table by id, and the same as bits for "surely none of them". */
export interface SkipSet {
  readonly table: Uint8Array;
  readonly low: number;
  readonly high: number;
}

/** The set of these ids. */
export function skipSet(...ids: readonly number[]): SkipSet {
  const table = new Uint8Array(ID_COUNT);
  let low = 0;
  let high = 0;
  for (const id of ids) {
    table[id] = 1;
    if (id < 32) low |= 1 << id;
    else high |= 1 << (id - 32);
  }
  return { table, low, high };
}

/** Fields that belong to one connection and never cross the proxy (RFC 9110 §7.6.1); `Connection` may name more. */
export const HOP_BY_HOP: readonly number[] = [
  ID.connection,
  ID["keep-alive"],
  ID["proxy-connection"],
  ID.te,
  ID.trailer,
  ID["transfer-encoding"],
  ID.upgrade,
  ID["proxy-authenticate"],
  ID["proxy-authorization"],
  ID["proxy-authentication-info"],
  ID["http2-settings"],
];

/** What proxies say of the hops before them; believed only from trusted peers (RFC 7239 §8.1). */
export const FORWARDING: readonly number[] = [
  ID.forwarded,
  ID["x-forwarded-for"],
  ID["x-forwarded-proto"],
  ID["x-forwarded-host"],
  ID["x-forwarded-port"],
  ID["x-forwarded-prefix"],
  ID["x-forwarded-server"],
  ID["x-forwarded-ssl"],
  ID["x-forwarded-scheme"],
  ID["x-forwarded-protocol"],
  ID["x-real-ip"],
  ID["x-request-id"],
];

// Framing and the connection are the codec's alone, whatever an edit says.
const NEVER_ADDED = skipSet(...HOP_BY_HOP, ID["content-length"]);

/** RFC 9110 §5.6.2: one or more token characters. */
export function isFieldName(name: string): boolean {
  return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name);
}

/** RFC 9110 §5.5: visible characters, space, tab and bytes from 0x80; nothing that could end the line. */
export function isFieldValue(value: string): boolean {
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(value);
}
