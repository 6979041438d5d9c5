// The memory tier: what was used lately, bounded by bytes, after S3-FIFO (Yang and others, SOSP 2023, "FIFO queues are
// all you need for cache eviction"). New entries enter a small queue; those hit more than once there go to the main
// queue, and the rest leave as ghosts, so that a scan passes through a tenth of the store. A hit moves nothing: it
// counts up a number.
//
// An entry is a slot in typed arrays, found by the 64 bits of its key's hash, with a number as its value. There is no
// object for the collector to look at, and none that is left behind when an entry goes.
import { Ghost } from "./ghost.ts";

/** An entry may take this part of the store: a larger one would push out more than it can earn. */
export const ENTRY_SHARE = 1 / 8;
/** The part of the small queue, as measured in the paper over many traces. */
const SMALL_SHARE = 0.1;
/** Hits that are remembered. With three, an entry of the main queue survives three rounds without any. */
const HITS_MAX = 3;
/** Hits in the small queue that make an entry worth keeping. One is what a reload of a page makes. */
const HITS_TO_STAY = 2;
/**
 * Entries that one `put` gives another round before the next one leaves, whatever its hits. Giving a round takes some
 * 20 ns, but cold memory ten times that: with every entry hit, it would go over the whole store.
 */
const SECOND_CHANCES_MAX = 128;
/** What an entry counts beside its value: its slot (42 bytes), its bucket (up to 8), and its ghost (up to 16). */
export const ENTRY_OVERHEAD_BYTES = 66;
/** There is a slot for so many bytes each: smaller answers are rare, and leave earlier where there are only such. */
export const SLOT_BYTES = 512;
/** Slots to begin with. Twice as many are made when they are full: for a million of them that takes ten milliseconds. */
const SLOTS_MIN = 4096;

/** No slot. */
export const NONE = 0;

// Where a slot is. The first ones are the ends of the queues.
const FREE = 0;
const SMALL = 1;
const MAIN = 2;
const FIRST_SLOT = 3;

export interface MemoryStoreStats {
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
  readonly entries: number;
  readonly bytes: number;
  readonly bytesMax: number;
}

/**
 * Told of each entry that leaves because others need its room, not of those that are removed. It must not change the
 * store.
 */
export type OnEvicted = (slot: number, value: number) => void;

export class MemoryStore {
  // By slot: the hash of its key, the next slot of its bucket or of those that are free, its neighbours in its queue.
  #lows = new Uint32Array(0);
  #highs = new Uint32Array(0);
  #next = new Int32Array(0);
  #newer = new Int32Array(0);
  #older = new Int32Array(0);
  #values = new Float64Array(0);
  #bytes = new Float64Array(0);
  #hits = new Uint8Array(0);
  #queues = new Uint8Array(0);
  /** The first slot of each bucket. */
  #buckets = new Int32Array(0);
  /** Slots that were used and are free; those from `#unused` on never were. */
  #free = NONE;
  #unused = FIRST_SLOT;
  #entries = 0;
  /** Bytes in the queues. */
  #small = 0;
  #main = 0;
  readonly #ghost = new Ghost();
  readonly #onEvicted: OnEvicted;
  #bytesMax: number;
  #hitCount = 0;
  #misses = 0;
  #evictions = 0;

  constructor(bytesMax: number, onEvicted: OnEvicted) {
    this.#bytesMax = bytesMax;
    this.#onEvicted = onEvicted;
    this.#allocate(SLOTS_MIN);
    for (const end of [SMALL, MAIN]) this.#newer[end] = this.#older[end] = end;
  }

  /** Makes room for so many slots, or as many as are needed. */
  #allocate(wanted: number): void {
    const slots = Math.min(wanted, FIRST_SLOT + Math.ceil(this.#bytesMax / SLOT_BYTES));
    if (slots <= this.#queues.length) return;
    this.#lows = copyInto(new Uint32Array(slots), this.#lows);
    this.#highs = copyInto(new Uint32Array(slots), this.#highs);
    this.#next = copyInto(new Int32Array(slots), this.#next);
    this.#newer = copyInto(new Int32Array(slots), this.#newer);
    this.#older = copyInto(new Int32Array(slots), this.#older);
    this.#values = copyInto(new Float64Array(slots), this.#values);
    this.#bytes = copyInto(new Float64Array(slots), this.#bytes);
    this.#hits = copyInto(new Uint8Array(slots), this.#hits);
    this.#queues = copyInto(new Uint8Array(slots), this.#queues);
    let buckets = 1;
    while (buckets < slots) buckets *= 2;
    this.#buckets = new Int32Array(buckets);
    for (let slot = FIRST_SLOT; slot < this.#unused; slot += 1) if (this.#queues[slot] !== FREE) this.#link(slot);
  }

  // ——— slots

  /** The slot with a key's hash, or NONE. The caller knows the key, and whether it is the same. */
  find(low: number, high: number): number {
    let slot = this.#buckets[low & (this.#buckets.length - 1)]!;
    while (slot !== NONE && (this.#lows[slot] !== low || this.#highs[slot] !== high)) slot = this.#next[slot]!;
    return slot;
  }

  #link(slot: number): void {
    const bucket = this.#lows[slot]! & (this.#buckets.length - 1);
    this.#next[slot] = this.#buckets[bucket]!;
    this.#buckets[bucket] = slot;
  }

  #unlink(slot: number): void {
    const bucket = this.#lows[slot]! & (this.#buckets.length - 1);
    const after = this.#next[slot]!;
    let at = this.#buckets[bucket]!;
    if (at === slot) {
      this.#buckets[bucket] = after;
      return;
    }
    while (this.#next[at] !== slot) at = this.#next[at]!;
    this.#next[at] = after;
  }

  #take(): number {
    const slot = this.#free;
    if (slot === NONE) {
      this.#unused += 1;
      return this.#unused - 1;
    }
    this.#free = this.#next[slot]!;
    return slot;
  }

  get #isFull(): boolean {
    if (this.#free !== NONE || this.#unused < this.#queues.length) return false;
    this.#allocate(this.#queues.length * 2);
    return this.#unused === this.#queues.length;
  }

  // ——— queues

  #push(queue: typeof SMALL | typeof MAIN, slot: number): void {
    const before = this.#older[queue]!;
    this.#older[slot] = before;
    this.#newer[slot] = queue;
    this.#newer[before] = slot;
    this.#older[queue] = slot;
    this.#queues[slot] = queue;
    this.#count(queue, this.#bytes[slot]!);
  }

  #pull(slot: number): void {
    const [newer, older] = [this.#newer[slot]!, this.#older[slot]!];
    this.#newer[older] = newer;
    this.#older[newer] = older;
    this.#count(this.#queues[slot]!, -this.#bytes[slot]!);
    this.#queues[slot] = FREE;
  }

  #count(queue: number, bytes: number): void {
    if (queue === SMALL) this.#small += bytes;
    else this.#main += bytes;
  }

  // ——— entries

  /** Counts a look-up: a hit of this slot, or, with NONE, a miss. */
  touch(slot: number): void {
    if (slot === NONE) this.#misses += 1;
    else {
      this.#hitCount += 1;
      if (this.#hits[slot]! < HITS_MAX) this.#hits[slot]! += 1;
    }
  }

  value(slot: number): number {
    return this.#values[slot]!;
  }
  setValue(slot: number, value: number): void {
    this.#values[slot] = value;
  }

  /** The largest value that is taken, in bytes; below zero: none is. */
  get valueBytesMax(): number {
    return Math.floor(this.#bytesMax * ENTRY_SHARE) - ENTRY_OVERHEAD_BYTES;
  }

  /**
   * Stores a value of so many bytes, `valueBytesMax` at most, in place of the one with the same hash, whose slot and
   * hits it gets. Returns the slot.
   */
  put(low: number, high: number, value: number, bytes: number): number {
    const before = this.find(low, high);
    const wasMain = before !== NONE && this.#queues[before] === MAIN;
    const counted = bytes + ENTRY_OVERHEAD_BYTES;
    // An entry that stays is in no queue that could evict it while room is made.
    if (before !== NONE) this.#pull(before);
    this.#shrink(this.#bytesMax - counted, before === NONE);
    const slot = before === NONE ? this.#take() : before;
    this.#values[slot] = value;
    this.#bytes[slot] = counted;
    if (before !== NONE) {
      this.#push(wasMain ? MAIN : SMALL, slot);
      return slot;
    }
    this.#lows[slot] = low;
    this.#highs[slot] = high;
    this.#hits[slot] = 0;
    this.#link(slot);
    this.#entries += 1;
    this.#push(this.#ghost.take(low, this.#entries) ? MAIN : SMALL, slot);
    return slot;
  }

  /** The value of a slot takes so many bytes from now on. Others may have to leave for that, or it itself. */
  recount(slot: number, bytes: number): void {
    const counted = bytes + ENTRY_OVERHEAD_BYTES;
    this.#count(this.#queues[slot]!, counted - this.#bytes[slot]!);
    this.#bytes[slot] = counted;
    this.#shrink(this.#bytesMax, false);
  }

  remove(slot: number): void {
    this.#pull(slot);
    this.#release(slot);
  }

  #release(slot: number): void {
    this.#unlink(slot);
    this.#next[slot] = this.#free;
    this.#free = slot;
    this.#entries -= 1;
  }

  /** Where the walk over all slots ends now. */
  get slotsEnd(): number {
    return this.#unused;
  }
  /** The first slot at or behind this one that has an entry, up to `end`; or `end`. */
  nextSlot(from: number, end: number): number {
    let slot = Math.max(from, FIRST_SLOT);
    while (slot < end && this.#queues[slot] === FREE) slot += 1;
    return slot;
  }

  /** Sets another limit; what no longer fits is evicted at once. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#shrink(bytesMax, false);
  }

  get bytes(): number {
    return this.#small + this.#main;
  }

  get entries(): number {
    return this.#entries;
  }

  stats(): MemoryStoreStats {
    const counts = { hits: this.#hitCount, misses: this.#misses, evictions: this.#evictions };
    return { ...counts, entries: this.entries, bytes: this.bytes, bytesMax: this.#bytesMax };
  }

  #shrink(bytes: number, needsSlot: boolean): void {
    let chances = SECOND_CHANCES_MAX;
    while (this.bytes > bytes || (needsSlot && this.#isFull)) {
      const ofSmall = this.#small > this.#bytesMax * SMALL_SHARE || this.#main === 0;
      const slot = this.#newer[ofSmall ? SMALL : MAIN]!;
      const hits = this.#hits[slot]!;
      const stays = chances > 0 && hits >= (ofSmall ? HITS_TO_STAY : 1);
      this.#pull(slot);
      if (stays) {
        chances -= 1;
        this.#hits[slot] = ofSmall ? 0 : hits - 1;
        this.#push(MAIN, slot);
      } else this.#evict(slot, ofSmall);
    }
  }

  #evict(slot: number, ofSmall: boolean): void {
    this.#release(slot);
    if (ofSmall) this.#ghost.add(this.#lows[slot]!, this.#entries);
    this.#evictions += 1;
    this.#onEvicted(slot, this.#values[slot]!);
  }
}

function copyInto<A extends Uint32Array | Int32Array | Float64Array | Uint8Array>(larger: A, before: A): A {
  larger.set(before as never);
  return larger;
}
