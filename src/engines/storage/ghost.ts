// The ghost queue of S3-FIFO: hashes of keys that left the small queue without a second hit. Who comes back while it is
// remembered was worth keeping. Buckets in typed arrays; what falls out of a full bucket is the oldest in it.

const WAYS = 4;
const SLOTS_MIN = 1024;

export class Ghost {
  #hashes = new Uint32Array(SLOTS_MIN); // 0: nothing
  #stamps = new Uint32Array(SLOTS_MIN);
  #count = 0;

  /** Remembers a key by 32 bits of its hash. `entries` is how many entries the store has: as many of the last ghosts are of interest. */
  add(bits: number, entries: number): void {
    if (entries > this.#hashes.length) this.#grow(entries);
    const hash = nonZero(bits);
    const at = this.#find(hash);
    const slot = at >= 0 ? at : this.#oldest(hash);
    this.#hashes[slot] = hash;
    this.#count = (this.#count + 1) >>> 0;
    this.#stamps[slot] = this.#count;
  }

  /** Whether the key is among the last `entries` that were added; it is forgotten then. */
  take(bits: number, entries: number): boolean {
    const slot = this.#find(nonZero(bits));
    if (slot < 0) return false;
    this.#hashes[slot] = 0;
    return (this.#count - this.#stamps[slot]!) >>> 0 < entries;
  }

  clear(): void {
    this.#hashes.fill(0);
  }

  /** What was remembered is forgotten: moving it would stop the thread, and it comes anew in no time. */
  #grow(entries: number): void {
    let slots = this.#hashes.length;
    while (slots < entries) slots *= 2;
    this.#hashes = new Uint32Array(slots);
    this.#stamps = new Uint32Array(slots);
  }

  #bucket(hash: number): number {
    return (hash & (this.#hashes.length / WAYS - 1)) * WAYS;
  }

  #find(hash: number): number {
    const first = this.#bucket(hash);
    for (let slot = first; slot < first + WAYS; slot += 1) if (this.#hashes[slot] === hash) return slot;
    return -1;
  }

  #oldest(hash: number): number {
    const first = this.#bucket(hash);
    let oldest = first;
    let age = -1;
    for (let slot = first; slot < first + WAYS; slot += 1) {
      if (this.#hashes[slot] === 0) return slot;
      const itsAge = (this.#count - this.#stamps[slot]!) >>> 0;
      if (itsAge > age) [oldest, age] = [slot, itsAge];
    }
    return oldest;
  }
}

/** 0 stands for an empty slot. Keys that fall together cost a wrong guess, no more. */
const nonZero = (bits: number): number => bits || 1;
