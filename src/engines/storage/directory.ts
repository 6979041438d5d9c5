// Which worker fills or holds the entry of a key: a table in memory that all workers share. It is a hint: who is named
// here may have nothing any more, and one in a million look-ups meets the entry of another key. But of all who claim a
// key at the same time, one gets it. A worker that is asked for what it does not have releases the key, and who asked
// claims it.
//
// A slot is one 32-bit number, so that it changes in one step: two bits of state, eight of the worker, and 22 of the
// hash. The other half of the hash chooses the bucket.

/** Slots that a key may lie in. They share a cache line with one other bucket. */
const WAYS = 8;
const BUCKETS_MIN = 128;

const STATE = 0b11;
const FREE = 0;
/** Wanted by a worker that has not yet made sure that no other wants it too. */
const CLAIMED = 1;
const FILLING = 2;
const HELD = 3;
const WORKER_SHIFT = 2;
const WORKER_MASK = 0xff;
const PRINT_SHIFT = 10;
/** State and worker of a slot; what lies above is the print. */
const BELOW_PRINT = (1 << PRINT_SHIFT) - 1;

/**
 * Looks at a claim of another worker before it counts as a fill. Workers settle their claims within some 100 ns; one
 * that is not settled after this long is of a thread that stands still, or has ended.
 */
const LOOKS_MAX = 10_000;

/** Workers that can be told apart. */
const WORKERS_MAX = WORKER_MASK + 1;
/** No worker: nobody has it, or there was no room to say so. */
export const NOBODY = -1;

export class Directory {
  readonly #slots: Int32Array;
  readonly #buckets: number;
  readonly #worker: number;

  /** `worker` is this thread's number, below 256. Throws when it is not. */
  constructor(memory: SharedArrayBuffer, worker: number) {
    if (worker >= WORKERS_MAX) throw new RangeError(`worker ${worker} cannot be told from others`);
    this.#slots = new Int32Array(memory);
    this.#buckets = this.#slots.length / WAYS;
    this.#worker = worker;
  }

  /** Memory for this many keys, at four bytes each and half full, which leaves few buckets too small for theirs. */
  static memory(keys: number): SharedArrayBuffer {
    let buckets = BUCKETS_MIN;
    while (buckets * WAYS < keys * 2) buckets *= 2;
    return new SharedArrayBuffer(buckets * WAYS * Int32Array.BYTES_PER_ELEMENT);
  }

  /** The worker that fills or holds the key, or NOBODY. */
  holder(low: number, high: number): number {
    const at = this.#find(low, high);
    return at < 0 ? NOBODY : workerOf(Atomics.load(this.#slots, at));
  }

  /**
   * Takes the key for this worker, which is going to fetch it, unless another fills or holds it.
   *
   * @returns this worker, when it has it now; the other; or NOBODY when there is no room left among fills: then the
   *   caller fetches without anyone knowing
   */
  claim(low: number, high: number): number {
    for (let looks = 1; ; looks += 1) {
      const found = this.#find(low, high);
      if (found >= 0) {
        const slot = Atomics.load(this.#slots, found);
        if (!samePrint(slot, high) || (slot & STATE) === FREE) continue; // it left meanwhile
        if ((slot & STATE) === CLAIMED && looks < LOOKS_MAX) continue; // it may not get it
        if (workerOf(slot) !== this.#worker) return workerOf(slot);
        // What is left of an earlier fill or copy of this worker, which knows that it has nothing.
        if (this.#swap(found, slot, this.#slot(FILLING, high))) return this.#worker;
        continue;
      }
      const at = this.#take(low, high);
      if (at === NO_ROOM) return NOBODY;
      if (at === LOST) continue;
      const other = this.#settle(low, high, at);
      if (other !== LOST) return other;
    }
  }

  /** The fill is done and its answer stored: the slot may be given to others when the bucket is full. */
  held(low: number, high: number): void {
    const at = this.#find(low, high);
    if (at < 0) {
      const free = this.#take(low, high);
      if (free >= 0) this.#swap(free, this.#slot(CLAIMED, high), this.#slot(HELD, high));
      return;
    }
    const slot = Atomics.load(this.#slots, at);
    if (workerOf(slot) === this.#worker && samePrint(slot, high)) this.#swap(at, slot, this.#slot(HELD, high));
  }

  /** This worker fills and holds the key no longer. */
  release(low: number, high: number): void {
    const at = this.#find(low, high);
    if (at < 0) return;
    const slot = Atomics.load(this.#slots, at);
    if (workerOf(slot) === this.#worker && samePrint(slot, high)) this.#swap(at, slot, FREE);
  }

  /** Frees all that a worker has: it is gone, or has been emptied. */
  forget(worker: number): void {
    for (let at = 0; at < this.#slots.length; at += 1) {
      const slot = Atomics.load(this.#slots, at);
      if ((slot & STATE) !== FREE && workerOf(slot) === worker) this.#swap(at, slot, FREE);
    }
  }

  /** Makes a claim a fill, unless another worker was first. */
  #settle(low: number, high: number, mine: number): number {
    const claim = this.#slot(CLAIMED, high);
    const first = this.#bucket(low);
    for (let at = first; at < first + WAYS; at += 1) {
      const slot = Atomics.load(this.#slots, at);
      if (at === mine || (slot & STATE) === FREE || !samePrint(slot, high)) continue;
      // Two claims: the one in the lower slot stays. Whoever fails to remove the other finds that it is a fill by now.
      if ((slot & STATE) === CLAIMED && mine < at && this.#swap(at, slot, FREE)) continue;
      this.#swap(mine, claim, FREE);
      return LOST;
    }
    return this.#swap(mine, claim, this.#slot(FILLING, high)) ? this.#worker : LOST;
  }

  /** Puts a claim into a free slot of the bucket, or else in place of what is held. */
  #take(low: number, high: number): number {
    const claim = this.#slot(CLAIMED, high);
    const first = this.#bucket(low);
    let held = NO_ROOM;
    for (let at = first; at < first + WAYS; at += 1) {
      const slot = Atomics.load(this.#slots, at);
      if ((slot & STATE) === FREE) return this.#swap(at, slot, claim) ? at : LOST;
      // Any of them would do; bits of the hash choose one, so that not always the same has to go.
      if ((slot & STATE) === HELD && (held === NO_ROOM || at - first === (high & (WAYS - 1)))) held = at;
    }
    if (held === NO_ROOM) return NO_ROOM;
    const slot = Atomics.load(this.#slots, held);
    return (slot & STATE) === HELD && this.#swap(held, slot, claim) ? held : LOST;
  }

  #find(low: number, high: number): number {
    const first = this.#bucket(low);
    for (let at = first; at < first + WAYS; at += 1) {
      const slot = Atomics.load(this.#slots, at);
      if ((slot & STATE) !== FREE && samePrint(slot, high)) return at;
    }
    return -1;
  }

  #bucket(low: number): number {
    return (low & (this.#buckets - 1)) * WAYS;
  }

  #slot(state: number, high: number): number {
    return (high & ~BELOW_PRINT) | (this.#worker << WORKER_SHIFT) | state;
  }

  #swap(at: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.#slots, at, from, to) === from;
  }
}

// What looking for a slot may come to beside one.
const NO_ROOM = -1;
const LOST = -2;

const workerOf = (slot: number): number => (slot >>> WORKER_SHIFT) & WORKER_MASK;
const samePrint = (slot: number, high: number): boolean => ((slot ^ high) & ~BELOW_PRINT) === 0;
