// What a machine has in hand of limits that it shares with others: a table in shared memory. Threads take from a key's
// hand. Where that runs low they say so in a ring, and one thread (control/shared-limits.ts) gets more beside the
// traffic. Who comes for the first time is let through on credit, which is charged afterwards: one request of a key.
import { PERIODS, type Period } from "../../core/plan-limits.ts";
import { bucketAt, NO_TAG, SLOTS, tagOf } from "./buckets.ts";

/** Integers of the header; after it the ring, then the buckets. */
const HEADER = 64;
/** Keys that wait to be asked for: more than are asked for at a time. */
const RING = 4096;
/** A place that stays empty for so many looks belongs to a thread that has ended just then. */
const MISSING_MAX = 200;
/** Left free in the ring for threads that look at the same time. */
const RING_SPARE = 64;
const BUCKETS_FROM = HEADER + RING;
const SERVED = 0;
const KIND = 1;
const HEAD = 2;
const TAIL = 3;
const COST = 4;
/** Where numbers that are not whole begin, in eights of bytes. */
const SETTINGS = 8;

/** Words of a slot; those of a bucket lie together, the tags first. */
const HAND = SLOTS;
/** Let through and not charged yet. */
const OWED = 2 * SLOTS;
/** Asked for by clients since more was asked for. */
const DEMAND = 3 * SLOTS;
/** Whether it stands in the ring, or is being asked for. */
const ASKED = 4 * SLOTS;
/** Until when there is nothing, on the clock of the threads; 0 where that is not known. */
const UNTIL = 5 * SLOTS;
/** What others may still take. */
const LEFT = 6 * SLOTS;
/** Milliseconds until all of it is there again. */
const RESET = 7 * SLOTS;
const GRANT = 8 * SLOTS;
/** The key's own limit where keys have different ones: how many, and of a rate its step (a number that is not whole). */
const MOST = 9 * SLOTS;
const STEP = 10 * SLOTS;
const STRIDE = 11 * SLOTS;
const BYTES = Int32Array.BYTES_PER_ELEMENT;
const TRIES = 8;

/** That nothing is there holds for so long at most before it is asked again. */
const REFUSED_MAX_MS = 60_000;
/** After that time somebody who goes on asking is still refused at once, while it is asked again. */
const INSISTS_MS = 100;

/** Nothing is there. */
export const REFUSED = 0;
export const ALLOWED = 1;
/** It has been asked for, and is known in a moment. */
export const UNKNOWN = 2;
/** The store cannot be reached. */
export const AWAY = 3;
export type Taken = typeof REFUSED | typeof ALLOWED | typeof UNKNOWN | typeof AWAY;

export interface LeaseSettings {
  readonly kind: "rate" | Period;
  /** Of a rate: microseconds between two requests at the steady rate. */
  readonly step: number;
  /** Requests that may come at once, or in the period; 0 where keys have limits of their own. */
  readonly most: number;
  /** What is in hand at most; of no meaning where keys have limits of their own. */
  readonly lease: number;
  readonly cost: number;
}

/** What is to be asked for. */
export interface Wanted {
  readonly slot: number;
  /** The key's name: the same on all machines. */
  readonly key: string;
  readonly tag: number;
  readonly cost: number;
  readonly more: number;
  readonly owed: number;
  /** Of the key's own limit, or the table's. */
  readonly most: number;
  readonly step: number;
}

/** Beyond any number of requests in hand. */
const AWAITED_WORTH = 2 ** 31;
const LIMITED_WORTH = 2 ** 33;

const KINDS = ["rate", ...PERIODS] as const;

/** What a machine has in hand of a rate is soon used by it, or given back. */
const LEASE_US = 250_000;
/** And of a quota: what is lost when a machine ends abruptly. */
const QUOTA_LEASE = 0.01;

/** What is in hand at most of such a limit. */
export const leaseOf = (kind: LeaseSettings["kind"], most: number, step: number): number =>
  kind === "rate" ? Math.ceil(Math.max(1, Math.min(most / 4, LEASE_US / step))) : Math.floor(most * QUOTA_LEASE);

export class Leases {
  /** Of the last `take`. */
  remaining = 0;
  resetMs = 0;
  retryMs = 0;
  readonly #ints: Int32Array;
  readonly #floats: Float64Array;
  readonly #steps: Float32Array;
  readonly #buckets: number;
  /** How often the next place of the ring was found empty. */
  #missing = 0;
  /** Whether the last `claim` has made the slot, rather than found it made by another thread. */
  #isClaimed = false;

  constructor(memory: SharedArrayBuffer) {
    this.#ints = new Int32Array(memory);
    this.#steps = new Float32Array(memory);
    this.#floats = new Float64Array(memory, 0, memory.byteLength === 0 ? 0 : HEADER / 2);
    this.#buckets = Math.floor((this.#ints.length - BUCKETS_FROM) / STRIDE);
  }

  /** Memory for so many keys: 44 bytes for each of twice as many slots. */
  static bytes(keys: number): number {
    return (BUCKETS_FROM + Math.max(1, Math.ceil((2 * keys) / SLOTS)) * STRIDE) * BYTES;
  }

  /** Says in the memory what it is for, to those who do not know the configuration. */
  describe({ kind, step, most, lease, cost }: LeaseSettings): void {
    if (this.#ints.length === 0) return; // a plan that is only looked at
    this.#ints[KIND] = KINDS.indexOf(kind);
    this.#ints[COST] = cost;
    this.#floats.set([step, most, lease], SETTINGS);
  }
  get settings(): LeaseSettings {
    const [step = 0, most = 0, lease = 0] = this.#floats.subarray(SETTINGS, SETTINGS + 3);
    return { kind: KINDS[this.#ints[KIND]!] ?? "rate", step, most, lease, cost: this.#ints[COST]! };
  }

  /** Whether the store can be reached. */
  get isServed(): boolean {
    return Atomics.load(this.#ints, SERVED) === 1;
  }
  set isServed(served: boolean) {
    Atomics.store(this.#ints, SERVED, served ? 1 : 0);
  }

  /** `most` and `step` are the key's own, where keys have different ones; 0 for those of the table. */
  take(low: number, high: number, cost: number, nowMs: number, most = 0, step = 0): Taken {
    const ints = this.#ints;
    if (Atomics.load(ints, SERVED) !== 1) return AWAY;
    let slot = this.#find(low, high);
    if (slot < 0) {
      slot = this.#claim(low, high, nowMs);
      // Where another thread has been quicker its request is the one that is let through.
      if (slot < 0 || this.#isClaimed) return this.#first(slot, cost, most, step);
    }
    this.#own(slot, most, step);
    Atomics.add(ints, slot + DEMAND, cost);
    this.resetMs = ints[slot + RESET]!;
    for (let tries = 0; tries < TRIES; tries += 1) {
      const hand = Atomics.load(ints, slot + HAND);
      if (hand < cost) break;
      if (Atomics.compareExchange(ints, slot + HAND, hand, hand - cost) !== hand) continue;
      const rest = hand - cost;
      if (rest <= ints[slot + GRANT]! >> 1) this.#ask(slot);
      this.remaining = rest + ints[slot + LEFT]!;
      return ALLOWED;
    }
    this.remaining = 0;
    return this.#refusal(slot, nowMs);
  }

  /** The first request of a key is let through at once, and charged afterwards; without a slot it is not counted. */
  #first(slot: number, cost: number, most: number, step: number): Taken {
    const ints = this.#ints;
    if (slot >= 0) {
      this.#own(slot, most, step);
      Atomics.add(ints, slot + OWED, cost);
      Atomics.add(ints, slot + DEMAND, cost);
      this.#ask(slot);
    }
    this.remaining = 0;
    this.resetMs = 0;
    return ALLOWED;
  }

  #own(slot: number, most: number, step: number): void {
    if (this.#ints[slot + MOST] === most && (step === 0 || this.#steps[slot + STEP] === Math.fround(step))) return;
    this.#ints[slot + MOST] = most;
    this.#steps[slot + STEP] = step;
  }

  #refusal(slot: number, nowMs: number): Taken {
    const until = Atomics.load(this.#ints, slot + UNTIL);
    const waitMs = (until - (nowMs | 0)) | 0;
    const isKnown = until !== 0 && waitMs <= REFUSED_MAX_MS;
    this.retryMs = Math.max(1, waitMs);
    if (isKnown && waitMs > 0) return REFUSED;
    this.#ask(slot);
    return isKnown && waitMs > -INSISTS_MS ? REFUSED : UNKNOWN;
  }

  /** Whether what was UNKNOWN may be known by now. */
  isAnswered(low: number, high: number): boolean {
    const slot = this.#find(low, high);
    return slot < 0 || !this.isServed || Atomics.load(this.#ints, slot + ASKED) === 0;
  }

  giveBack(low: number, high: number, cost: number): void {
    const slot = this.#find(low, high);
    if (slot >= 0) Atomics.add(this.#ints, slot + HAND, cost);
  }

  /** Has it charged in a moment what was used without asking; below 0 what was not used after all. */
  charge(low: number, high: number, count: number, nowMs: number, most = 0, step = 0): void {
    if (this.#buckets < 1 || count === 0) return;
    const found = this.#find(low, high);
    const slot = found < 0 ? this.#claim(low, high, nowMs) : found;
    if (slot < 0) return;
    if (found < 0) this.#own(slot, most, step);
    Atomics.add(this.#ints, slot + OWED, count);
    this.#ask(slot);
  }

  /** Notes what was let through while the store was away. */
  owe(low: number, high: number, cost: number, nowMs: number): void {
    if (this.#buckets < 1) return;
    const found = this.#find(low, high);
    const slot = found < 0 ? this.#claim(low, high, nowMs) : found;
    if (slot >= 0) Atomics.add(this.#ints, slot + OWED, cost);
  }

  #bucket(low: number): number {
    return BUCKETS_FROM + (bucketAt(low, this.#buckets) / (2 * SLOTS)) * STRIDE;
  }

  #find(low: number, high: number): number {
    const bucket = this.#bucket(low);
    const tag = tagOf(high);
    for (let at = bucket; at < bucket + SLOTS; at += 1) if (this.#ints[at] === tag) return at;
    return -1;
  }

  /** A slot for a key: a free one, or that of the key with the least to lose. -1 when another was quicker. */
  #claim(low: number, high: number, nowMs: number): number {
    const ints = this.#ints;
    const bucket = this.#bucket(low);
    let at = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < SLOTS; i += 1) {
      // Each key begins elsewhere, so that those that are worth the same give way in turn.
      const slot = bucket + (((high >>> 0) + i) % SLOTS);
      const worth = ints[slot] === NO_TAG ? 0 : this.#worth(slot, nowMs);
      if (worth >= least) continue;
      least = worth;
      at = slot;
      if (worth === 0) break;
    }
    const tag = tagOf(high);
    const before = Atomics.load(ints, at);
    this.#isClaimed = false;
    if (before === tag) return at; // another thread has just made it
    if (Atomics.compareExchange(ints, at, before, tag) !== before) return -1;
    for (let word = at + HAND; word < at + STRIDE; word += SLOTS) Atomics.store(ints, word, 0);
    const first = this.#find(low, high);
    this.#isClaimed = first === at;
    if (this.#isClaimed) return at;
    Atomics.compareExchange(ints, at, tag, NO_TAG);
    return first;
  }

  /** How much is lost with a slot: those who are being limited stay the longest, then those who are asked for. */
  #worth(slot: number, nowMs: number): number {
    const ints = this.#ints;
    const until = ints[slot + UNTIL]!;
    if (until !== 0 && ((until - (nowMs | 0)) | 0) > -REFUSED_MAX_MS) return LIMITED_WORTH;
    const isAwaited = ints[slot + ASKED] !== 0 || ints[slot + OWED] !== 0;
    return 1 + Math.max(0, ints[slot + HAND]!) + (isAwaited ? AWAITED_WORTH : 0);
  }

  #ask(slot: number): void {
    const ints = this.#ints;
    if (Atomics.compareExchange(ints, slot + ASKED, 0, 1) !== 0) return;
    const queued = (Atomics.load(ints, TAIL) - Atomics.load(ints, HEAD)) | 0;
    if (queued >= RING - RING_SPARE) {
      Atomics.store(ints, slot + ASKED, 0);
      return;
    }
    const at = Atomics.add(ints, TAIL, 1) & (RING - 1);
    Atomics.store(ints, HEADER + at, slot);
  }

  // ——— The side of the one thread that asks the store.

  /** What is to be asked for now, at most `max`. */
  wanted(max: number): Wanted[] {
    const ints = this.#ints;
    const settings = this.settings;
    const { cost, kind } = settings;
    const found: Wanted[] = [];
    let head = Atomics.load(ints, HEAD);
    while (found.length < max && head !== Atomics.load(ints, TAIL)) {
      const slot = Atomics.exchange(ints, HEADER + (head & (RING - 1)), 0);
      if (slot === 0 && (this.#missing += 1) < MISSING_MAX) break; // a thread is about to write it
      this.#missing = 0;
      head = (head + 1) | 0;
      if (slot === 0) continue;
      const tag = Atomics.load(ints, slot);
      const demand = Atomics.exchange(ints, slot + DEMAND, 0);
      const owed = Atomics.exchange(ints, slot + OWED, 0);
      const own = ints[slot + MOST]!;
      const most = own === 0 ? settings.most : own;
      const step = own === 0 ? settings.step : this.#steps[slot + STEP]!;
      const lease = own === 0 ? settings.lease : Math.max(demand, leaseOf(kind, most, step));
      const room = Math.max(cost, Math.min(lease, 2 * demand)) - Atomics.load(ints, slot + HAND);
      const isShort = room >= cost && tag !== NO_TAG;
      const more = isShort ? room - cost : 0;
      found.push({ slot, key: keyOf(slot, tag), tag, cost: isShort ? cost : 0, more, owed, most, step });
    }
    Atomics.store(ints, HEAD, head);
    return found;
  }

  /**
   * Puts what the store has granted into the key's hand. False when the slot has become another key's meanwhile.
   * `retryMs` is until it may be asked again where nothing was granted.
   */
  grant({ slot, tag, cost }: Wanted, granted: number, left: number, resetMs: number, until: number | null): boolean {
    const ints = this.#ints;
    const isSame = Atomics.load(ints, slot) === tag;
    if (isSame && cost > 0) {
      Atomics.store(ints, slot + LEFT, left);
      Atomics.store(ints, slot + RESET, Math.min(resetMs, 2 ** 31 - 1));
      Atomics.store(ints, slot + GRANT, granted);
      Atomics.store(ints, slot + UNTIL, until === null ? 0 : until | 0 || 1);
      Atomics.add(ints, slot + HAND, granted);
    }
    Atomics.store(ints, slot + ASKED, 0);
    return isSame;
  }

  /** The store did not answer: it is still owed. */
  failed({ slot, tag, owed }: Wanted): void {
    if (Atomics.load(this.#ints, slot) === tag) Atomics.add(this.#ints, slot + OWED, owed);
    Atomics.store(this.#ints, slot + ASKED, 0);
  }

  handOf(slot: number, tag: number): number {
    return Atomics.load(this.#ints, slot) === tag ? Atomics.load(this.#ints, slot + HAND) : 0;
  }

  /** Takes all out of a hand that nobody uses; its key begins anew, unless it is known that nothing is there. */
  reclaim(slot: number, tag: number): number {
    const ints = this.#ints;
    if (Atomics.load(ints, slot) !== tag || Atomics.load(ints, slot + ASKED) !== 0) return 0;
    const hand = Atomics.exchange(ints, slot + HAND, 0);
    const isLimited = Atomics.load(ints, slot + UNTIL) !== 0;
    if (!isLimited && Atomics.load(ints, slot + OWED) === 0) Atomics.compareExchange(ints, slot, tag, NO_TAG);
    return hand;
  }
}

/** `until` that nothing is there, on the clock of the threads. */
export const refusedUntil = (nowMs: number, waitMs: number): number =>
  (nowMs + Math.min(REFUSED_MAX_MS, Math.max(1, waitMs))) | 0;

const keyOf = (slot: number, tag: number): string =>
  `${(Math.floor((slot - BUCKETS_FROM) / STRIDE)).toString(36)}.${(tag >>> 0).toString(36)}`;
