// Requests under way for each key, counted in a table in shared memory. A slot whose count is 0 is free. Each thread
// notes beside it what of a count is its own, so that this can be taken back when the thread is gone.
import { bucketAt, bucketsIn, findTag, NO_TAG, SLOTS, STRIDE, tableBytes, tagOf } from "./buckets.ts";

/** The table begins with a bucket's room of its own: how many buckets there are. */
const HEADER = STRIDE;
const INT_BYTES = Int32Array.BYTES_PER_ELEMENT;
const TRIES = 8;
const FULL = -2;
/** More keys have requests under way than there is room for: connections are bounded, so this one is let through. */
const UNCOUNTED = -2;

export class InFlight {
  readonly #ints: Int32Array;
  readonly #own: Int32Array;
  readonly #buckets: number;
  readonly #max: number;

  /** `memory` is the same for all threads, made for so many `keys`; `thread` is the number of this one, from 0. */
  constructor(memory: SharedArrayBuffer, thread: number, keys: number, max: number) {
    this.#ints = new Int32Array(memory);
    this.#buckets = bucketsIn(tableBytes(keys));
    this.#max = max;
    if (memory.byteLength > 0) this.#ints[0] = this.#buckets;
    // Where there is no room for its notes, a thread that ends abruptly takes what it had under way along.
    this.#own = notesOf(memory, this.#buckets, thread) ?? new Int32Array(this.#buckets * SLOTS);
  }

  /** Memory for so many keys and threads. */
  static bytes(keys: number, threads: number): number {
    const buckets = bucketsIn(tableBytes(keys));
    return (HEADER + buckets * (STRIDE + SLOTS * threads)) * INT_BYTES;
  }

  /** Takes back what a thread had under way, which is gone. */
  static forget(memory: SharedArrayBuffer, thread: number): void {
    const ints = new Int32Array(memory);
    const own = notesOf(memory, ints[0] ?? 0, thread);
    if (own === null) return;
    for (let note = 0; note < own.length; note += 1) {
      if (own[note] === 0) continue;
      Atomics.sub(ints, slotOf(note) + SLOTS, own[note]!);
      own[note] = 0;
    }
  }

  /**
   * Counts a request of the key. The slot, which `leave` wants back; -1 when it has its share under way already. `max`
   * is the key's own, where keys have different ones.
   */
  enter(low: number, high: number, max = this.#max): number {
    const ints = this.#ints;
    const bucket = HEADER + bucketAt(low, this.#buckets);
    const tag = tagOf(high);
    for (let tries = 0; tries < TRIES; tries += 1) {
      let at = findTag(ints, bucket, tag);
      if (at < 0) at = this.#claim(bucket, tag);
      if (at === FULL) return UNCOUNTED;
      if (at < 0) continue;
      let count = Atomics.load(ints, at + SLOTS);
      for (;;) {
        if (count >= max) return -1;
        const before = Atomics.compareExchange(ints, at + SLOTS, count, count + 1);
        if (before === count) break;
        count = before;
      }
      const note = noteOf(at);
      this.#own[note] = this.#own[note]! + 1;
      return at;
    }
    return UNCOUNTED;
  }

  leave(slot: number): void {
    if (slot === UNCOUNTED) return;
    Atomics.sub(this.#ints, slot + SLOTS, 1);
    const note = noteOf(slot);
    this.#own[note] = this.#own[note]! - 1;
  }

  /** A slot without anything under way, for a key; FULL when there is none, -1 when another was quicker. */
  #claim(bucket: number, tag: number): number {
    const ints = this.#ints;
    for (let at = bucket; at < bucket + SLOTS; at += 1) {
      if (Atomics.load(ints, at + SLOTS) !== 0) continue;
      const before = Atomics.load(ints, at);
      if (Atomics.compareExchange(ints, at, before, tag) !== before) return -1;
      const first = findTag(ints, bucket, tag);
      if (first === at) return at;
      Atomics.compareExchange(ints, at, tag, NO_TAG);
      return first;
    }
    return FULL;
  }
}

/** A thread's notes, by bucket and slot; null where there is no room for them. */
function notesOf(memory: SharedArrayBuffer, buckets: number, thread: number): Int32Array | null {
  const from = (HEADER + buckets * (STRIDE + SLOTS * thread)) * INT_BYTES;
  const length = buckets * SLOTS;
  return from + length * INT_BYTES <= memory.byteLength ? new Int32Array(memory, from, length) : null;
}
const noteOf = (slot: number): number => Math.floor((slot - HEADER) / STRIDE) * SLOTS + (slot % STRIDE);
const slotOf = (note: number): number => HEADER + Math.floor(note / SLOTS) * STRIDE + (note % SLOTS);
