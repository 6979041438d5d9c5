// A few short-lived records and locks that the threads of one machine share without any store: a table in shared
// memory. Each record is bounded; when there are too many, those that end first make room.
import { createHash } from "node:crypto";
import type { Lock, SharedState } from "../../state/shared-state.ts";

/** What sessions need of the state. */
export type Records = Pick<SharedState, "get" | "set" | "delete" | "lock">;

/** A session is one to two kilobytes, seldom more than eight. */
const VALUE_BYTES_MAX = 12_288;
/** 6 MB when all are used; pages that nobody has written to take nothing. */
const SLOTS = 512;
const WAYS = 8;
/** state (unused), tag (2), length, time (2 as a double, 8-byte aligned). */
const HEAD_INTS = 6;
const HEAD_BYTES = HEAD_INTS * 4;
const SLOT_BYTES = HEAD_BYTES + VALUE_BYTES_MAX;
/** The lock word, padded. */
const BEGIN = 8;

export class MemoryRecords implements Records {
  readonly #memory: SharedArrayBuffer;
  readonly #lock: SpinLock;
  readonly #ints: Int32Array;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #now: () => number;

  /** `now` is a clock that all threads share. */
  constructor(memory: SharedArrayBuffer, now: () => number) {
    this.#memory = memory;
    this.#ints = new Int32Array(memory);
    this.#lock = new SpinLock(this.#ints, 0);
    this.#bytes = Buffer.from(memory);
    this.#view = new DataView(memory);
    this.#now = now;
  }

  static readonly bytes: number = BEGIN + SLOTS * SLOT_BYTES;

  async get(key: string): Promise<string | null> {
    return this.#within((tag) => {
      const slot = this.#find(tag);
      return slot < 0 ? null : this.#valueAt(slot);
    }, key);
  }

  /** A value that is too long is not kept: to those who ask, it is gone. */
  async set(key: string, value: string, { ttlMs = 3_600_000 }: { readonly ttlMs?: number } = {}): Promise<void> {
    this.#within((tag) => this.#put(tag, value, ttlMs), key);
  }

  async delete(key: string): Promise<void> {
    this.#within((tag) => this.#free(this.#find(tag)), key);
  }

  async lock(key: string, ttlMs: number): Promise<Lock | null> {
    const name = `lock ${key}`;
    const owner = crypto.randomUUID();
    const taken = this.#within((tag) => {
      if (this.#find(tag) >= 0) return false;
      this.#put(tag, owner, ttlMs);
      return true;
    }, name);
    if (taken !== true) return null;
    const ifMine = (act: (slot: number) => void): boolean =>
      this.#within((tag) => {
        const slot = this.#find(tag);
        if (slot < 0 || this.#valueAt(slot) !== owner) return false;
        act(slot);
        return true;
      }, name) === true;
    return {
      token: 0,
      renew: async () => ifMine((slot) => this.#view.setFloat64(slot + 16, this.#now() + ttlMs, true)),
      release: async () => void ifMine((slot) => this.#free(slot)),
    };
  }

  /** Null in a plan that is only looked at, which has no memory. */
  #within<T>(work: (tag: readonly [low: number, high: number]) => T, key: string): T | null {
    if (this.#memory.byteLength === 0) return null;
    const tag = tagOf(key);
    this.#lock.take();
    try {
      return work(tag);
    } finally {
      this.#lock.free();
    }
  }

  #expiresAt(slot: number): number {
    return this.#view.getFloat64(slot + 16, true);
  }

  #valueAt(slot: number): string {
    const length = this.#view.getInt32(slot + 12, true);
    return this.#bytes.latin1Slice(slot + HEAD_BYTES, slot + HEAD_BYTES + length);
  }

  #find([low, high]: readonly [number, number]): number {
    const view = this.#view;
    for (let way = 0; way < WAYS; way += 1) {
      const slot = slotOf(low, way);
      if (view.getInt32(slot + 4, true) !== low || view.getInt32(slot + 8, true) !== high) continue;
      if (this.#expiresAt(slot) > this.#now()) return slot;
    }
    return -1;
  }

  #put(tag: readonly [number, number], value: string, ttlMs: number): void {
    let chosen = this.#find(tag);
    if (value.length > VALUE_BYTES_MAX) return this.#free(chosen);
    for (let way = 0; chosen < 0 && way < WAYS; way += 1)
      if (this.#expiresAt(slotOf(tag[0], way)) <= this.#now()) chosen = slotOf(tag[0], way);
    if (chosen < 0) chosen = this.#first(tag[0]);
    const view = this.#view;
    view.setInt32(chosen + 4, tag[0], true);
    view.setInt32(chosen + 8, tag[1], true);
    view.setInt32(chosen + 12, this.#bytes.latin1Write(value, chosen + HEAD_BYTES), true);
    view.setFloat64(chosen + 16, this.#now() + ttlMs, true);
  }

  /** That of a bucket which ends first. */
  #first(low: number): number {
    let first = slotOf(low, 0);
    for (let way = 1; way < WAYS; way += 1)
      if (this.#expiresAt(slotOf(low, way)) < this.#expiresAt(first)) first = slotOf(low, way);
    return first;
  }

  #free(slot: number): void {
    if (slot >= 0) this.#view.setFloat64(slot + 16, 0, true);
  }
}

const slotOf = (low: number, way: number): number => BEGIN + (((low >>> 0) % (SLOTS / WAYS)) * WAYS + way) * SLOT_BYTES;

/** 64 bits that stand for a key. */
export function tagOf(key: string): readonly [low: number, high: number] {
  const digest = createHash("sha256").update(key).digest();
  return [digest.readInt32LE(0), digest.readInt32LE(4)];
}

/** Longer than anybody holds it: whoever does has died. */
const SPINS_MAX = 2_000_000;

/** Keeps threads apart for the few microseconds of a copy. */
export class SpinLock {
  readonly #ints: Int32Array;
  readonly #at: number;

  constructor(ints: Int32Array, at: number) {
    this.#ints = ints;
    this.#at = at;
  }

  take(): void {
    for (let spins = 0; spins < SPINS_MAX; spins += 1)
      if (Atomics.compareExchange(this.#ints, this.#at, 0, 1) === 0) return;
  }

  free(): void {
    Atomics.store(this.#ints, this.#at, 0);
  }
}
