// Nonces that have been used, in memory that all threads share: each is accepted once. Nothing gives way before its
// time, as whoever has many nonces could bring an old one back so; where there is no room the request is refused.
//
// A slot is one integer of 64 bits, so that it is taken in one step: 32 bits of the nonce's hash, and the second since
// 1970 in which it may be forgotten.

const SLOTS = 16;
/** With twice as many slots as nonces, 1 bucket in 250 has more nonces than room. */
const SLOTS_PER_NONCE = 2;
const SLOT_BYTES = BigUint64Array.BYTES_PER_ELEMENT;
const RANGE = 2 ** 32;
const SECOND_MS = 1000;

/** `full`: it cannot be remembered, and must not be accepted. */
export type NonceUse = "new" | "used" | "full";

export class Nonces {
  readonly #slots: BigUint64Array;
  readonly #buckets: number;

  /** `memory` is the same for all threads, of `bytes`. */
  constructor(memory: SharedArrayBuffer) {
    this.#slots = new BigUint64Array(memory);
    this.#buckets = Math.floor(this.#slots.length / SLOTS);
  }

  static bytes(count: number): number {
    return Math.ceil((count * SLOTS_PER_NONCE) / SLOTS) * SLOTS * SLOT_BYTES;
  }

  /** Takes the nonce with this hash until a time in milliseconds since 1970. */
  use(low: number, high: number, untilMs: number, nowMs: number): NonceUse {
    const slots = this.#slots;
    const first = Math.floor(((low >>> 0) / RANGE) * this.#buckets) * SLOTS;
    const tag = BigInt(high >>> 0);
    const now = Math.floor(nowMs / SECOND_MS);
    const mine = (tag << 32n) | BigInt(Math.ceil(untilMs / SECOND_MS) >>> 0);
    for (;;) {
      let free = -1;
      for (let at = first; at < first + SLOTS; at += 1) {
        const slot = Atomics.load(slots, at);
        const isAlive = Number(slot & 0xffff_ffffn) >= now;
        if (isAlive && slot >> 32n === tag) return "used";
        if (!isAlive && free < 0) free = at;
      }
      if (free < 0) return "full";
      const before = Atomics.load(slots, free);
      if (Number(before & 0xffff_ffffn) >= now) continue; // another thread was quicker
      if (Atomics.compareExchange(slots, free, before, mine) !== before) continue;
      return this.#isElsewhere(first, free, tag, now) ? "used" : "new";
    }
  }

  /** Whether another thread took the same nonce in another slot at the same time: then neither of them gets it. */
  #isElsewhere(first: number, mine: number, tag: bigint, now: number): boolean {
    for (let at = first; at < first + SLOTS; at += 1) {
      const slot = Atomics.load(this.#slots, at);
      if (at !== mine && slot >> 32n === tag && Number(slot & 0xffff_ffffn) >= now) return true;
    }
    return false;
  }
}
