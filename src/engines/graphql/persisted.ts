// Documents that clients have sent once and then name by their hash (automatically persisted queries), in memory that
// all threads share. It is a ring: what was stored first is overwritten first. Nothing is locked, as what is read
// proves itself: its SHA-256 is the name that it was asked for by.
import { createHash } from "node:crypto";

/** Integers before the table: where the ring is written next. */
const HEAD = 4;
const INT = Int32Array.BYTES_PER_ELEMENT;
/** Of an entry of the table: eight bytes of the hash, where its text lies, and its length. */
const STRIDE = 4;
/** Entries of a bucket: where all are taken, the one after the last that was taken gives way. */
const WAYS = 4;
/** Documents are about so long: there is an entry for each. */
const USUAL_BYTES = 1024;
/** A longer document is not stored, so that a few of them are not all that there is. */
const DOCUMENT_BYTES_MAX = 65_536;

export const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

export class PersistedDocuments {
  readonly #ints: Int32Array;
  readonly #ring: Buffer;
  readonly #buckets: number;

  /** What memory for about so many bytes of text takes. */
  static bytesFor(size: number): number {
    return (HEAD + bucketsFor(size) * WAYS * STRIDE) * INT + size;
  }

  /** `size` is what `bytesFor` was asked for; empty memory holds nothing. */
  constructor(memory: SharedArrayBuffer, size: number) {
    const isEmpty = memory.byteLength === 0;
    this.#buckets = isEmpty ? 0 : bucketsFor(size);
    this.#ints = new Int32Array(memory, 0, isEmpty ? 0 : HEAD + this.#buckets * WAYS * STRIDE);
    this.#ring = Buffer.from(memory, this.#ints.byteLength);
  }

  /** The document with this hash, in lower-case hexadecimal; null where it is not there, or no more. */
  get(hash: string): string | null {
    const { low, high, bucket } = this.#placeOf(hash);
    for (let way = 0; bucket >= 0 && way < WAYS; way += 1) {
      const at = bucket + way * STRIDE;
      if (this.#ints[at] !== low || this.#ints[at + 1] !== high) continue;
      const from = this.#ints[at + 2]!;
      const length = this.#ints[at + 3]!;
      if (from < 0 || length <= 0 || length > DOCUMENT_BYTES_MAX || from + length > this.#ring.length) continue;
      const text = this.#ring.toString("utf8", from, from + length);
      if (sha256(text) === hash) return text;
    }
    return null;
  }

  /** Stores a document under its hash, which whoever calls has compared. */
  add(hash: string, text: string): void {
    const bytes = Buffer.from(text);
    const { low, high, bucket } = this.#placeOf(hash);
    if (bucket < 0 || bytes.length > DOCUMENT_BYTES_MAX || bytes.length > this.#ring.length) return;
    const from = this.#take(bytes.length);
    bytes.copy(this.#ring, from);
    const ints = this.#ints;
    const at = this.#entryFor(bucket, low, high);
    ints[at + 3] = 0; // nobody finds half of it; and if so, the hash says that it is none
    ints[at] = low;
    ints[at + 1] = high;
    ints[at + 2] = from;
    Atomics.store(ints, at + 3, bytes.length);
  }

  #entryFor(bucket: number, low: number, high: number): number {
    for (let at = bucket; at < bucket + WAYS * STRIDE; at += STRIDE)
      if (this.#ints[at + 3] === 0 || (this.#ints[at] === low && this.#ints[at + 1] === high)) return at;
    const next = Atomics.add(this.#ints, 1, 1) & (WAYS - 1);
    return bucket + next * STRIDE;
  }

  /** Room in the ring; the rest before its end is left where it is too short. */
  #take(length: number): number {
    for (;;) {
      const head = Atomics.load(this.#ints, 0);
      const from = head + length > this.#ring.length ? 0 : head;
      if (Atomics.compareExchange(this.#ints, 0, head, from + length) === head) return from;
    }
  }

  #placeOf(hash: string): { readonly low: number; readonly high: number; readonly bucket: number } {
    const low = Number.parseInt(hash.slice(0, 8), 16) | 0;
    const high = Number.parseInt(hash.slice(8, 16), 16) | 0;
    const bucket = this.#buckets === 0 ? -1 : HEAD + ((low >>> 0) % this.#buckets) * WAYS * STRIDE;
    return { low, high, bucket };
  }
}

const bucketsFor = (size: number): number => Math.max(1, Math.ceil(size / USUAL_BYTES / WAYS));
