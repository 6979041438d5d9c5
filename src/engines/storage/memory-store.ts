// The memory tier: what was used lately, bounded by bytes, after S3-FIFO (Yang and others, SOSP 2023, "FIFO queues are
// all you need for cache eviction"). New entries enter a small queue; those hit more than once there go to the main
// queue, and the rest leave as ghosts, so that a scan passes through a tenth of the store. A hit moves nothing: it
// counts up a number.
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
/**
 * What an entry costs beside its value and the characters of its key: its object, its place in the map, the string's
 * header and the ghost, 210 bytes as measured by bench/storage.bench.ts with a million entries, and what the collector
 * has not yet taken back.
 */
export const ENTRY_OVERHEAD_BYTES = 256;

class Entry<V> {
  readonly key: string | null;
  readonly value: V | null;
  /** With key and overhead. */
  readonly bytes: number;
  hits: number;
  queue: Queue<V> | null = null;
  newer: Entry<V> | null = null;
  older: Entry<V> | null = null;

  constructor(key: string | null, value: V | null, bytes: number, hits: number) {
    this.key = key;
    this.value = value;
    this.bytes = bytes;
    this.hits = hits;
  }
}

/** Entries by age, in a ring around one that is none. */
class Queue<V> {
  bytes = 0;
  readonly #ring = new Entry<V>(null, null, 0, 0);

  constructor() {
    this.clear();
  }

  clear(): void {
    this.bytes = 0;
    this.#ring.newer = this.#ring.older = this.#ring;
  }

  get oldest(): Entry<V> | null {
    const entry = this.#ring.newer;
    return entry === this.#ring ? null : entry;
  }

  push(entry: Entry<V>): void {
    const before = this.#ring.older!;
    entry.queue = this;
    entry.older = before;
    entry.newer = this.#ring;
    before.newer = entry;
    this.#ring.older = entry;
    this.bytes += entry.bytes;
  }

  remove(entry: Entry<V>): void {
    entry.older!.newer = entry.newer;
    entry.newer!.older = entry.older;
    entry.queue = entry.newer = entry.older = null;
    this.bytes -= entry.bytes;
  }
}

export interface MemoryStoreStats {
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
  readonly entries: number;
  readonly bytes: number;
  readonly bytesMax: number;
}

/**
 * Told of each entry that leaves because others need its room; not of those that are deleted or replaced. It must not
 * change the store.
 */
export type OnEvicted<V> = (key: string, value: V) => void;

export class MemoryStore<V> {
  readonly #entries = new Map<string, Entry<V>>();
  readonly #small = new Queue<V>();
  readonly #main = new Queue<V>();
  readonly #ghost = new Ghost();
  readonly #onEvicted: OnEvicted<V>;
  #bytesMax: number;
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  constructor(bytesMax: number, onEvicted: OnEvicted<V>) {
    this.#bytesMax = bytesMax;
    this.#onEvicted = onEvicted;
  }

  get(key: string): V | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) {
      this.#misses += 1;
      return undefined;
    }
    this.#hits += 1;
    if (entry.hits < HITS_MAX) entry.hits += 1;
    return entry.value!;
  }

  /** What is stored, without counting it as used. */
  peek(key: string): V | undefined {
    return this.#entries.get(key)?.value ?? undefined;
  }

  /** The largest value that is taken under a key of this length, in bytes; below zero: none is. */
  valueBytesMax(keyLength: number): number {
    return Math.floor(this.#bytesMax * ENTRY_SHARE) - keyLength - ENTRY_OVERHEAD_BYTES;
  }

  /**
   * Stores `value`, which takes `bytes` of memory, and replaces what is there under the key. False when it is too
   * large: then nothing is stored under the key any more.
   */
  put(key: string, value: V, bytes: number): boolean {
    const before = this.#entries.get(key);
    const isKnown = before !== undefined;
    const wasMain = before?.queue === this.#main;
    before?.queue?.remove(before);
    if (bytes > this.valueBytesMax(key.length)) {
      this.#entries.delete(key);
      return false;
    }
    const entry = new Entry(key, value, bytes + key.length + ENTRY_OVERHEAD_BYTES, before?.hits ?? 0);
    // Before room is made: the entry keeps its place in the map, and is in no queue that could evict it.
    this.#entries.set(key, entry);
    this.#shrink(this.#bytesMax - entry.bytes);
    const isMain = isKnown ? wasMain : this.#ghost.take(key, this.#entries.size);
    (isMain ? this.#main : this.#small).push(entry);
    return true;
  }

  /** Whether there was such an entry. */
  delete(key: string): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    this.#entries.delete(key);
    entry.queue!.remove(entry);
    return true;
  }

  clear(): void {
    this.#entries.clear();
    this.#small.clear();
    this.#main.clear();
    this.#ghost.clear();
  }

  /** Begins to delete the entries for which `isGone` says so, of those that are stored now. */
  sweep(isGone: (key: string, value: V) => boolean): Sweep<V> {
    return new Sweep(this.#entries, (key, entry) => isGone(key, entry.value!) && this.delete(key));
  }

  /** Sets another limit; what no longer fits is evicted at once. */
  resize(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#shrink(bytesMax);
  }

  get bytes(): number {
    return this.#small.bytes + this.#main.bytes;
  }

  get entries(): number {
    return this.#entries.size;
  }

  stats(): MemoryStoreStats {
    const counts = { hits: this.#hits, misses: this.#misses, evictions: this.#evictions };
    return { ...counts, entries: this.entries, bytes: this.bytes, bytesMax: this.#bytesMax };
  }

  #shrink(bytes: number): void {
    let chances = SECOND_CHANCES_MAX;
    while (this.bytes > bytes) {
      const ofSmall = this.#small.bytes > this.#bytesMax * SMALL_SHARE || this.#main.bytes === 0;
      const entry = (ofSmall ? this.#small : this.#main).oldest!;
      const stays = chances > 0 && entry.hits >= (ofSmall ? HITS_TO_STAY : 1);
      entry.queue!.remove(entry);
      if (stays) {
        chances -= 1;
        entry.hits = ofSmall ? 0 : entry.hits - 1;
        this.#main.push(entry);
      } else this.#evict(entry, ofSmall);
    }
  }

  #evict(entry: Entry<V>, ofSmall: boolean): void {
    this.#entries.delete(entry.key!);
    if (ofSmall) this.#ghost.add(entry.key!, this.#entries.size);
    this.#evictions += 1;
    this.#onEvicted(entry.key!, entry.value!);
  }
}

/** A walk over the entries of a store that stops in between, so that a purge of a million holds up no request. */
export class Sweep<V> {
  /** Entries deleted so far. */
  removed = 0;
  readonly #walk: MapIterator<[string, Entry<V>]>;
  readonly #remove: (key: string, entry: Entry<V>) => boolean;
  #left: number;

  constructor(entries: ReadonlyMap<string, Entry<V>>, remove: (key: string, entry: Entry<V>) => boolean) {
    this.#walk = entries.entries();
    this.#remove = remove;
    // A map is walked in the order of insertion: what comes behind these is newer than the sweep.
    this.#left = entries.size;
  }

  /** Looks at up to `entriesMax` more. True when it is through. */
  step(entriesMax: number): boolean {
    for (let looked = 0; looked < entriesMax && this.#left > 0; looked += 1) {
      this.#left -= 1;
      const next = this.#walk.next();
      if (next.done === true) {
        this.#left = 0;
        break;
      }
      if (this.#remove(next.value[0], next.value[1])) this.removed += 1;
    }
    return this.#left === 0;
  }
}
