// Quotas: so many requests in a day or a month of the calendar, counted in a table in shared memory. Where a bucket has
// more keys than slots, the one with the fewest requests gives way. A new period empties the table.
import { bucketAt, bucketsIn, findTag, NO_TAG, SLOTS, STRIDE, tableBytes, tagOf } from "./buckets.ts";

export type Period = "day" | "month";

/** The table begins with a bucket's room of its own: the number of the period that is counted. */
const HEADER = STRIDE;
const HEADER_BYTES = HEADER * Int32Array.BYTES_PER_ELEMENT;
const DAY_MS = 86_400_000;
const TRIES = 8;

export class QuotaTable {
  /** Of the last `take`: requests that are left in the period. */
  remaining = 0;
  /** Keys of this thread's that drove out another. */
  evictions = 0;
  readonly #ints: Int32Array;
  readonly #buckets: number;
  readonly #max: number;
  readonly #per: Period;
  #endsMs = 0;

  /** `memory` is the same for all threads, of `bytes`. */
  constructor(memory: SharedArrayBuffer, max: number, per: Period) {
    this.#ints = new Int32Array(memory);
    this.#buckets = Math.max(1, bucketsIn(memory.byteLength - HEADER_BYTES));
    this.#max = max;
    this.#per = per;
  }

  static bytes(keys: number): number {
    return HEADER_BYTES + tableBytes(keys);
  }

  /** Milliseconds until the period is over, `wallMs` after 1970. */
  resetMs(wallMs: number): number {
    return this.#endsMs - wallMs;
  }

  /** Takes `cost` requests of what the key has left in the period of `wallMs`, or nothing where they are not there. */
  take(low: number, high: number, cost: number, wallMs: number): boolean {
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
      this.remaining = Math.max(0, this.#max - used);
      if (used + cost > this.#max) return false;
      if (Atomics.compareExchange(ints, at + SLOTS, used, used + cost) !== used) continue;
      this.remaining -= cost;
      return true;
    }
    return true; // others have been quicker each time
  }

  /** Gives back what `take` took, because another limit refused the request. */
  giveBack(low: number, high: number, cost: number): void {
    const at = findTag(this.#ints, HEADER + bucketAt(low, this.#buckets), tagOf(high));
    if (at >= 0) Atomics.sub(this.#ints, at + SLOTS, cost);
  }

  /** The first thread that sees a new period empties the table. */
  #begin(wallMs: number): void {
    const [number, endsMs] = periodOf(this.#per, wallMs);
    this.#endsMs = endsMs;
    const before = Atomics.load(this.#ints, 0);
    if (number <= before || Atomics.compareExchange(this.#ints, 0, before, number) !== before) return;
    if (before !== 0) this.#ints.fill(0, HEADER);
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

/** The number of the day or month (UTC) since 1970, and when it ends. */
function periodOf(per: Period, wallMs: number): [number: number, endsMs: number] {
  if (per === "day") {
    const day = Math.floor(wallMs / DAY_MS);
    return [day, (day + 1) * DAY_MS];
  }
  const date = new Date(wallMs);
  const year = date.getUTCFullYear();
  const month = date.getUTCMonth();
  return [year * 12 + month, Date.UTC(year, month + 1, 1)];
}
