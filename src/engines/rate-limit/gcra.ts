// Rates: the generic cell rate algorithm over a table in shared memory. A key's number is the time at which its bucket
// would be full again (the "theoretical arrival time"); each request puts it off by one interval, and is refused where
// that would lie further ahead than the burst allows. A number that lies in the past says nothing, so its slot is free.
//
// All threads see one number for each key and change it by compare-and-swap, so a rate is exact over all of them. Where
// more keys are alive than a bucket has slots, the one that is nearest to being forgotten gives way: a flood of keys
// that are seen once drives out its own kind, and those that are being limited stay.
import { bucketAt, bucketsIn, findTag, NO_TAG, SLOTS, STRIDE, tableBytes, tagOf } from "./buckets.ts";

/** Parts that time is counted in: microseconds at the finest, so that 2^31 of them are half an hour or more. */
const PARTS_PER_MS_MAX = 1000;
/** The longest burst in these parts: an eighth of what a number of 32 bits can tell apart from the past. */
const WINDOW_MAX = 2 ** 28;
/** Clocks of threads may differ by this much. */
const SKEW_MS = 1000;
/** What was not used for so many parts is swept out, long before its number could be taken for one in the future. */
const FORGOTTEN = -(2 ** 29);
/** How often the whole table is swept: far more often than 2^30 parts can take. */
const SWEEP_MS = 300_000;
/** Tries to get hold of a slot that others take at the same time. */
const TRIES = 8;

export interface Rate {
  /** Milliseconds between two requests at the steady rate. */
  readonly intervalMs: number;
  /** Requests that may come at once. */
  readonly burst: number;
}

export class GcraTable {
  /** Of the last `take`: requests that could follow at once. */
  remaining = 0;
  /** Of the last `take`: milliseconds until the whole burst is there again. */
  resetMs = 0;
  /** Of the last `take` that was refused: milliseconds until it may be tried again. */
  retryMs = 0;
  /** Keys of this thread's that drove out a living one. */
  evictions = 0;
  readonly #ints: Int32Array;
  readonly #buckets: number;
  readonly #perMs: number;
  /** Parts of one interval: a whole number, so that rates have no rounding error. */
  #step: number;
  #window: number;
  readonly #aheadMax: number;
  #swept = 0;

  /**
   * `memory` is the same for all threads, of `bytes`. `perMs`: in how many parts a millisecond is counted where keys
   * have different rates, of which `setRate` tells before each step; 0 for one rate and the best for it.
   */
  constructor(memory: SharedArrayBuffer, { intervalMs, burst }: Rate, perMs = 0) {
    this.#ints = new Int32Array(memory);
    this.#buckets = bucketsIn(memory.byteLength);
    this.#step = Math.max(1, Math.floor(Math.min(intervalMs * PARTS_PER_MS_MAX, WINDOW_MAX / burst)));
    this.#perMs = perMs === 0 ? this.#step / intervalMs : perMs;
    this.#window = this.#step * burst;
    this.#aheadMax = (perMs === 0 ? this.#window : WINDOW_MAX) + Math.ceil(SKEW_MS * this.#perMs);
  }

  /** The rate of the key that is asked about next, one that fits the table (`fits`). */
  setRate(intervalMs: number, burst: number): void {
    this.#step = Math.max(1, Math.round(intervalMs * this.#perMs));
    this.#window = Math.min(WINDOW_MAX, this.#step * burst);
  }

  /** Whether a table that counts in so many parts of a millisecond has room for the whole burst of a rate. */
  static fits(intervalMs: number, burst: number, perMs: number): boolean {
    return Math.max(1, Math.round(intervalMs * perMs)) * burst <= WINDOW_MAX;
  }

  /** Memory for so many keys: 16 bytes for each. */
  static readonly bytes: (keys: number) => number = tableBytes;

  /**
   * Takes `cost` requests from the key's bucket, or nothing where they are not there. `low` and `high` are the halves
   * of its hash; `nowMs` is a clock that all threads share.
   */
  take(low: number, high: number, cost: number, nowMs: number): boolean {
    const ints = this.#ints;
    const now = (nowMs * this.#perMs) | 0;
    const bucket = bucketAt(low, this.#buckets);
    const tag = tagOf(high);
    const wanted = cost * this.#step;
    for (let tries = 0; tries < TRIES; tries += 1) {
      let at = findTag(ints, bucket, tag);
      if (at < 0) at = this.#claim(bucket, tag, now);
      if (at < 0) continue;
      const full = Atomics.load(ints, at + SLOTS);
      if (Atomics.load(ints, at) !== tag) continue; // it was given to another key meanwhile
      const ahead = this.#ahead(full, now);
      const next = ahead + wanted;
      if (next > this.#window) {
        this.#tell(ahead);
        this.retryMs = (next - this.#window) / this.#perMs;
        return false;
      }
      if (Atomics.compareExchange(ints, at + SLOTS, full, (now + next) | 0) !== full) continue;
      this.#tell(next);
      return true;
    }
    // Others have been quicker each time: counting this one is not worth making it wait.
    this.#tell(wanted);
    return true;
  }

  /** Milliseconds until the key's whole burst is there again; 0 where it is. */
  aheadMs(low: number, high: number, nowMs: number): number {
    const at = findTag(this.#ints, bucketAt(low, this.#buckets), tagOf(high));
    if (at < 0) return 0;
    return this.#ahead(Atomics.load(this.#ints, at + SLOTS), (nowMs * this.#perMs) | 0) / this.#perMs;
  }

  /** Gives back what `take` took, because another limit refused the request. */
  giveBack(low: number, high: number, cost: number): void {
    const ints = this.#ints;
    const tag = tagOf(high);
    const at = findTag(ints, bucketAt(low, this.#buckets), tag);
    if (at < 0) return;
    Atomics.sub(ints, at + SLOTS, cost * this.#step);
  }

  /**
   * Counts what was used already, whether it is there or not; below 0 what was not used after all. Only in a table with
   * `perMs` there is room for much more than a burst: the rest of a debt is let go.
   */
  charge(low: number, high: number, count: number, nowMs: number): void {
    const ints = this.#ints;
    const now = (nowMs * this.#perMs) | 0;
    const bucket = bucketAt(low, this.#buckets);
    const tag = tagOf(high);
    for (let tries = 0; tries < TRIES; tries += 1) {
      let at = findTag(ints, bucket, tag);
      if (at < 0) at = this.#claim(bucket, tag, now);
      if (at < 0) continue;
      const full = Atomics.load(ints, at + SLOTS);
      if (Atomics.load(ints, at) !== tag) continue; // it was given to another key meanwhile
      const most = this.#aheadMax - Math.ceil(SKEW_MS * this.#perMs);
      const next = Math.min(most, Math.max(0, this.#ahead(full, now) + count * this.#step));
      if (Atomics.compareExchange(ints, at + SLOTS, full, (now + next) | 0) === full) return;
    }
  }

  /** How far ahead a number lies; 0 for one in the past, and for one so far ahead that it must be from long ago. */
  #ahead(full: number, now: number): number {
    const ahead = (full - now) | 0;
    return ahead < 0 || ahead > this.#aheadMax ? 0 : ahead;
  }

  #tell(ahead: number): void {
    this.remaining = ahead >= this.#window ? 0 : Math.floor((this.#window - ahead) / this.#step);
    this.resetMs = ahead / this.#perMs;
  }

  /** Takes a slot for a key: one that is free, or that of the key that is nearest to it. -1 when another was quicker. */
  #claim(bucket: number, tag: number, now: number): number {
    const ints = this.#ints;
    let at = bucket;
    let least = Number.POSITIVE_INFINITY;
    for (let slot = bucket; slot < bucket + SLOTS && least > 0; slot += 1) {
      const ahead = ints[slot] === NO_TAG ? 0 : this.#ahead(ints[slot + SLOTS]!, now);
      if (ahead >= least) continue;
      least = ahead;
      at = slot;
    }
    const before = Atomics.load(ints, at);
    const full = Atomics.load(ints, at + SLOTS);
    if (Atomics.compareExchange(ints, at, before, tag) !== before) return -1;
    if (least > 0) this.evictions += 1;
    // Unless somebody has counted a request there already.
    Atomics.compareExchange(ints, at + SLOTS, full, now);
    const first = findTag(ints, bucket, tag);
    if (first === at) return at;
    // Another thread has made room for the same key: the first slot counts.
    Atomics.compareExchange(ints, at, tag, NO_TAG);
    return first;
  }

  /** Clears what nobody has used for long, a part of the table at a time; `sinceMs` is the time since the last call. */
  sweep(nowMs: number, sinceMs: number): void {
    const ints = this.#ints;
    const now = (nowMs * this.#perMs) | 0;
    const part = Math.ceil((this.#buckets * Math.min(sinceMs, SWEEP_MS)) / SWEEP_MS);
    for (let done = 0; done < part; done += 1) {
      const bucket = this.#swept * STRIDE;
      for (let at = bucket; at < bucket + SLOTS; at += 1) {
        const tag = ints[at]!;
        if (tag === NO_TAG || ((ints[at + SLOTS]! - now) | 0) > FORGOTTEN) continue;
        Atomics.compareExchange(ints, at, tag, NO_TAG);
      }
      this.#swept = this.#swept + 1 >= this.#buckets ? 0 : this.#swept + 1;
    }
  }
}
