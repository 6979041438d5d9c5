// Quotas: so many requests in a period of the calendar, counted in a table in shared memory. Where a bucket has more
// keys than slots, the one with the fewest requests gives way. A new period empties the table.
import { PERIOD_MS, type Period } from "../../core/plan-limits.ts";
import { bucketAt, bucketsIn, findTag, NO_TAG, SLOTS, STRIDE, tableBytes, tagOf } from "./buckets.ts";

/** The table begins with a bucket's room of its own: the number of the period that is counted. */
const HEADER = STRIDE;
const HEADER_BYTES = HEADER * Int32Array.BYTES_PER_ELEMENT;
const TRIES = 8;
/** Buckets that are kept together where counts outlive the process: 4 KB. Each such part has a mark behind the table. */
const PART = 32;
const PART_BYTES = PART * STRIDE * Int32Array.BYTES_PER_ELEMENT;
/** Where a count stops: what is charged without asking may be more than a quota can be. */
const COUNT_MAX = 2 ** 31 - 1;

export class QuotaTable {
  /** Of the last `take`: requests that are left in the period. */
  remaining = 0;
  /** Of the last `take`, `charge` or `look`: what the key has used in the period. */
  used = 0;
  /** Keys of this thread's that drove out another. */
  evictions = 0;
  readonly #ints: Int32Array;
  readonly #buckets: number;
  readonly #marks: Int32Array;
  readonly #max: number;
  readonly #per: Period;
  #endsMs = 0;

  /** `memory` is the same for all threads, of `bytes`. */
  constructor(memory: SharedArrayBuffer, max: number, per: Period) {
    this.#ints = new Int32Array(memory);
    this.#buckets = Math.max(1, countOf(memory));
    this.#marks = marksOf(memory);
    this.#max = max;
    this.#per = per;
  }

  static bytes(keys: number): number {
    const bytes = tableBytes(keys);
    return HEADER_BYTES + bytes + Math.ceil(bucketsIn(bytes) / PART) * Int32Array.BYTES_PER_ELEMENT;
  }

  /** Tells each part that has changed since the last call, the number of the period first; nothing where none has. */
  static changes(memory: SharedArrayBuffer, tell: (offset: number, bytes: Uint8Array) => void): void {
    const marks = marksOf(memory);
    let isFirst = true;
    for (let part = 0; part < marks.length; part += 1) {
      if (marks[part] === 0 || Atomics.exchange(marks, part, 0) === 0) continue;
      if (isFirst) tell(0, new Uint8Array(memory, 0, HEADER_BYTES));
      isFirst = false;
      const from = HEADER_BYTES + part * PART_BYTES;
      tell(from, new Uint8Array(memory, from, Math.min(PART_BYTES, marks.byteOffset - from)));
    }
  }

  /** What was told is told again, as it could not be kept. */
  static mark(memory: SharedArrayBuffer): void {
    marksOf(memory).fill(1);
  }

  /** Takes over what `changes` has told, with zeros for the rest, unless something has been counted already. */
  static restore(memory: SharedArrayBuffer, kept: Uint8Array): void {
    const marks = marksOf(memory);
    if (new Int32Array(memory, 0, 1)[0] !== 0 || kept.length !== marks.byteOffset) return;
    new Uint8Array(memory).set(kept);
  }

  /** How long the file is that keeps it. */
  static keptBytes(memory: SharedArrayBuffer): number {
    return marksOf(memory).byteOffset;
  }

  /** Milliseconds until the period is over, `wallMs` after 1970. */
  resetMs(wallMs: number): number {
    if (wallMs >= this.#endsMs) this.#begin(wallMs);
    return this.#endsMs - wallMs;
  }

  /**
   * Takes `cost` requests of what the key has left in the period of `wallMs`, or nothing where they are not there.
   * `max` is the key's own, where keys have different ones.
   */
  take(low: number, high: number, cost: number, wallMs: number, max = this.#max): boolean {
    if (wallMs >= this.#endsMs) this.#begin(wallMs);
    const ints = this.#ints;
    const bucket = HEADER + bucketAt(low, this.#buckets);
    const tag = tagOf(high);
    for (let tries = 0; tries < TRIES; tries += 1) {
      let at = findTag(ints, bucket, tag);
      if (at < 0) at = this.#claim(bucket, tag);
      if (at < 0) continue;
      const used = Atomics.load(ints, at + SLOTS);
      if (Atomics.load(ints, at) !== tag) continue; // it was given to another key meanwhile
      this.remaining = Math.max(0, max - used);
      this.used = used;
      if (used + cost > max) return false;
      if (Atomics.compareExchange(ints, at + SLOTS, used, used + cost) !== used) continue;
      this.#mark(bucket);
      this.remaining -= cost;
      this.used += cost;
      return true;
    }
    return true; // others have been quicker each time
  }

  /** Counts what was used already, whether it is there or not; below 0 what was not used after all. */
  charge(low: number, high: number, count: number, wallMs: number): void {
    if (wallMs >= this.#endsMs) this.#begin(wallMs);
    const ints = this.#ints;
    const bucket = HEADER + bucketAt(low, this.#buckets);
    const tag = tagOf(high);
    for (let tries = 0; tries < TRIES; tries += 1) {
      let at = findTag(ints, bucket, tag);
      if (at < 0) at = this.#claim(bucket, tag);
      if (at < 0) continue;
      const before = Atomics.load(ints, at + SLOTS);
      const used = Math.min(COUNT_MAX, Math.max(0, before + count));
      if (Atomics.compareExchange(ints, at + SLOTS, before, used) !== before) continue;
      this.#mark(bucket);
      this.used = used;
      return;
    }
  }

  /** What the key has used in the period of `wallMs`. */
  look(low: number, high: number, wallMs: number): number {
    if (wallMs >= this.#endsMs) this.#begin(wallMs);
    const at = findTag(this.#ints, HEADER + bucketAt(low, this.#buckets), tagOf(high));
    this.used = at < 0 ? 0 : Atomics.load(this.#ints, at + SLOTS);
    return this.used;
  }

  /** Gives back what `take` took, because another limit refused the request. */
  giveBack(low: number, high: number, cost: number): void {
    const bucket = HEADER + bucketAt(low, this.#buckets);
    const at = findTag(this.#ints, bucket, tagOf(high));
    if (at < 0) return;
    Atomics.sub(this.#ints, at + SLOTS, cost);
    this.#mark(bucket);
  }

  #mark(bucket: number): void {
    this.#marks[Math.floor((bucket - HEADER) / (PART * STRIDE))] = 1;
  }

  /** The first thread that sees a new period empties the table. */
  #begin(wallMs: number): void {
    const [number, endsMs] = periodOf(this.#per, wallMs);
    this.#endsMs = endsMs;
    const before = Atomics.load(this.#ints, 0);
    if (number <= before || Atomics.compareExchange(this.#ints, 0, before, number) !== before) return;
    if (before === 0) return;
    this.#ints.fill(0, HEADER);
    this.#marks.fill(1);
  }

  #claim(bucket: number, tag: number): number {
    const ints = this.#ints;
    let at = bucket;
    let least = Number.POSITIVE_INFINITY;
    for (let slot = bucket; slot < bucket + SLOTS && least > 0; slot += 1) {
      const used = ints[slot] === NO_TAG ? 0 : ints[slot + SLOTS]!;
      if (used >= least) continue;
      least = used;
      at = slot;
    }
    const before = Atomics.load(ints, at);
    const used = Atomics.load(ints, at + SLOTS);
    if (Atomics.compareExchange(ints, at, before, tag) !== before) return -1;
    if (least > 0) this.evictions += 1;
    Atomics.compareExchange(ints, at + SLOTS, used, 0);
    const first = findTag(ints, bucket, tag);
    if (first === at) return at;
    Atomics.compareExchange(ints, at, tag, NO_TAG);
    return first;
  }
}

/** How many buckets there are, each of which has its share of a mark. */
const countOf = (memory: SharedArrayBuffer): number =>
  Math.floor((((memory.byteLength - HEADER_BYTES) / Int32Array.BYTES_PER_ELEMENT) * PART) / (PART * STRIDE + 1));

function marksOf(memory: SharedArrayBuffer): Int32Array {
  const from = HEADER_BYTES + Math.max(0, countOf(memory)) * STRIDE * Int32Array.BYTES_PER_ELEMENT;
  return from <= memory.byteLength ? new Int32Array(memory, from) : new Int32Array(0);
}

/** The number of the period (UTC) since 1970, and when it ends. */
export function periodOf(per: Period, wallMs: number): [number: number, endsMs: number] {
  if (per !== "month") {
    const number = Math.floor(wallMs / PERIOD_MS[per]);
    return [number, (number + 1) * PERIOD_MS[per]];
  }
  const date = new Date(wallMs);
  const year = date.getUTCFullYear();
  const month = date.getUTCMonth();
  return [year * 12 + month, Date.UTC(year, month + 1, 1)];
}
