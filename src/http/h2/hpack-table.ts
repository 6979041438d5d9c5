// The dynamic table of HPACK (RFC 7541 §2.3.2, §4): one ring of bytes, which holds the lines of its fields in the order
// in which they came, and one array of numbers. Entries are known by how many were inserted before them.

/** What an entry counts beside its name and value (RFC 7541 §4.1). */
export const ENTRY_OVERHEAD = 32;
/** `: ` and CRLF in a line. */
const LINE_EXTRA = 4;

// Per entry: where its line begins in the ring, the line's length, the name's length, and a number of the owner's.
const STRIDE = 4;
const LENGTH = 1;
const NAME_LENGTH = 2;
const META = 3;

// Tables grow as they are used: many connections never see more than a handful of fields.
const BYTES_MIN = 512;
const ENTRIES_MIN = 8;

// Up to this many bytes a loop is faster than a call of the runtime.
const SHORT_COPY = 32;

const NO_BYTES: Buffer = Buffer.alloc(0);

export class HpackTable {
  /** What `size` may be at most (RFC 7541 §4.2). */
  max: number;
  /** The sum of name, value and 32 of every entry. */
  size = 0;
  count = 0;
  /** Entries inserted so far. The newest one is entry `inserted - 1`, the oldest one `inserted - count`. */
  inserted = 0;
  /** The ring; its length is a power of two, never more than the least one that is not below `max`. */
  bytes: Buffer = NO_BYTES;
  /** `position & mask` is where a position of the ring lies in `bytes`. */
  mask = -1;
  #marks: Int32Array = new Int32Array(ENTRIES_MIN * STRIDE);
  #entryMask = ENTRIES_MIN - 1;
  #next = 0;

  constructor(max: number) {
    this.max = max;
  }

  /** Whether the entry is (still) there. */
  has(entry: number): boolean {
    const age = (this.inserted - entry) | 0;
    return age > 0 && age <= this.count;
  }
  /** Where the line of an entry begins in the ring; it may go on at the ring's start. */
  start(entry: number): number {
    return this.#marks[(entry & this.#entryMask) * STRIDE]!;
  }
  /** Bytes of the entry's line, `name: value\r\n`. */
  length(entry: number): number {
    return this.#marks[(entry & this.#entryMask) * STRIDE + LENGTH]!;
  }
  nameLength(entry: number): number {
    return this.#marks[(entry & this.#entryMask) * STRIDE + NAME_LENGTH]!;
  }
  /** The number that was given with the entry. */
  meta(entry: number): number {
    return this.#marks[(entry & this.#entryMask) * STRIDE + META]!;
  }

  /** Copies `length` bytes from a position of the ring on. */
  copy(start: number, length: number, out: Uint8Array, at: number): void {
    const { bytes, mask } = this;
    if (length <= SHORT_COPY) {
      for (let i = 0; i < length; i += 1) out[at + i] = bytes[(start + i) & mask]!;
      return;
    }
    const first = bytes.length - start;
    if (length <= first) bytes.copy(out, at, start, start + length);
    else {
      bytes.copy(out, at, start, bytes.length);
      bytes.copy(out, at + first, 0, length - first);
    }
  }

  /** Changes what the table may hold; entries that no longer fit go, the oldest ones first. */
  resize(max: number): void {
    this.max = max;
    this.#evict(max);
  }

  /**
   * Adds the line `from[start, start + length)`. One that is larger than the table empties it, and is not added
   * (RFC 7541 §4.4).
   */
  insert(from: Buffer, start: number, length: number, nameLength: number, meta: number): void {
    const size = length - LINE_EXTRA + ENTRY_OVERHEAD;
    this.#evict(this.max - size);
    if (size > this.max) return;
    if (this.#used() + length > this.bytes.length) this.#growBytes(length);
    if (this.count > this.#entryMask) this.#growMarks();
    const at = this.#next;
    const first = this.bytes.length - at;
    if (length <= first) from.copy(this.bytes, at, start, start + length);
    else {
      from.copy(this.bytes, at, start, start + first);
      from.copy(this.bytes, 0, start + first, start + length);
    }
    const mark = (this.inserted & this.#entryMask) * STRIDE;
    this.#marks[mark] = at;
    this.#marks[mark + LENGTH] = length;
    this.#marks[mark + NAME_LENGTH] = nameLength;
    this.#marks[mark + META] = meta;
    this.#next = (at + length) & this.mask;
    this.inserted += 1;
    this.count += 1;
    this.size += size;
  }

  #used(): number {
    return this.size - this.count * (ENTRY_OVERHEAD - LINE_EXTRA);
  }

  #evict(max: number): void {
    while (this.size > max && this.count > 0) {
      this.size -= this.length(this.inserted - this.count) - LINE_EXTRA + ENTRY_OVERHEAD;
      this.count -= 1;
    }
  }

  /** The lines of an entry lie within the table's size, so that the ring never has to be larger than that. */
  #growBytes(length: number): void {
    const used = this.#used();
    let capacity = Math.max(BYTES_MIN, this.bytes.length);
    while (capacity < used + length) capacity *= 2;
    const grown = Buffer.allocUnsafeSlow(capacity);
    let at = 0;
    for (let entry = this.inserted - this.count; entry < this.inserted; entry += 1) {
      const bytes = this.length(entry);
      this.copy(this.start(entry), bytes, grown, at);
      this.#marks[(entry & this.#entryMask) * STRIDE] = at;
      at += bytes;
    }
    this.bytes = grown;
    this.mask = capacity - 1;
    this.#next = at & this.mask;
  }

  #growMarks(): void {
    const entryMask = this.#entryMask * 2 + 1;
    const marks = new Int32Array((entryMask + 1) * STRIDE);
    for (let entry = this.inserted - this.count; entry < this.inserted; entry += 1) {
      const from = (entry & this.#entryMask) * STRIDE;
      marks.set(this.#marks.subarray(from, from + STRIDE), (entry & entryMask) * STRIDE);
    }
    this.#marks = marks;
    this.#entryMask = entryMask;
  }
}
