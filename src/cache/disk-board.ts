// What the threads of the disk tier share beside the index: whether it can be read, how much waits to be written,
// counts.

const READY = 0;
const QUEUED = 1;
const REFUSED = 2;
const STORED = 3;
const EVICTED = 4;
const FAILED = 5;
const ENTRIES = 6;
const OLDEST = 7;
const MEGABYTES = 8;
const DAMAGED = 9;
const GROWING = 10;
const HITS = 11;
const PURGES_BEGUN = 12;
const PURGES_DONE = 13;
const CHANGED = 14;
const FIELDS = 16;

const MEGABYTE = 1024 * 1024;

export interface DiskStats {
  /** False while segments are read after a start. */
  readonly ready: boolean;
  readonly entries: number;
  /** Bytes on the disk, in whole megabytes. */
  readonly bytes: number;
  readonly queuedBytes: number;
  readonly stored: number;
  /** Requests that were answered from it. */
  readonly hits: number;
  /** Entries not stored because too much waited to be written. */
  readonly refused: number;
  readonly evictedSegments: number;
  /** Records that could not be written. */
  readonly failed: number;
  /** Records that were not as they had been written when they were read, and so were not used. */
  readonly damaged: number;
}

export class DiskBoard {
  readonly #fields: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.#fields = new Int32Array(memory);
  }

  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(FIELDS * Int32Array.BYTES_PER_ELEMENT);
  }

  get isReady(): boolean {
    return Atomics.load(this.#fields, READY) === 1;
  }
  setReady(isReady: boolean): void {
    Atomics.store(this.#fields, READY, isReady ? 1 : 0);
  }

  /** Whether there is room for `bytes` more in the queue; they count from now on. */
  enqueue(bytes: number, max: number): boolean {
    if (Atomics.add(this.#fields, QUEUED, bytes) + bytes <= max) return true;
    Atomics.sub(this.#fields, QUEUED, bytes);
    Atomics.add(this.#fields, REFUSED, 1);
    return false;
  }
  dequeue(bytes: number): void {
    Atomics.sub(this.#fields, QUEUED, bytes);
  }

  /** The oldest segment that is there: files of older ones may be closed. */
  get oldestSegment(): number {
    return Atomics.load(this.#fields, OLDEST);
  }
  setOldestSegment(number: number): void {
    Atomics.store(this.#fields, OLDEST, number);
  }

  /** Blocks of large bodies that are being written. */
  get growingBlocks(): number {
    return Atomics.load(this.#fields, GROWING);
  }
  grow(blocks: number): void {
    Atomics.add(this.#fields, GROWING, blocks);
  }

  /** A purge begins, which reaches one record after the other. */
  beginPurge(): void {
    Atomics.add(this.#fields, PURGES_BEGUN, 1);
  }
  endPurge(): void {
    Atomics.add(this.#fields, PURGES_DONE, 1);
  }
  /**
   * The purges that there have been; -1 while one is under way. Who found the same number before and after reading a
   * record may put it elsewhere: no purge has passed by meanwhile.
   */
  get purges(): number {
    const begun = Atomics.load(this.#fields, PURGES_BEGUN);
    return Atomics.load(this.#fields, PURGES_DONE) === begun ? begun : -1;
  }

  /** Counts what has changed (disk-changes.ts). */
  countChange(): void {
    Atomics.add(this.#fields, CHANGED, 1);
  }
  get changed(): number {
    return Atomics.load(this.#fields, CHANGED);
  }

  countHit(): void {
    Atomics.add(this.#fields, HITS, 1);
  }
  countStored(): void {
    Atomics.add(this.#fields, STORED, 1);
  }
  countEvicted(): void {
    Atomics.add(this.#fields, EVICTED, 1);
  }
  countDamaged(): void {
    Atomics.add(this.#fields, DAMAGED, 1);
  }
  countFailed(): void {
    Atomics.add(this.#fields, FAILED, 1);
  }
  setSize(entries: number, bytes: number): void {
    Atomics.store(this.#fields, ENTRIES, entries);
    Atomics.store(this.#fields, MEGABYTES, Math.ceil(bytes / MEGABYTE));
  }

  stats(): DiskStats {
    const at = (field: number): number => Atomics.load(this.#fields, field) >>> 0;
    return {
      ready: this.isReady,
      entries: at(ENTRIES),
      bytes: at(MEGABYTES) * MEGABYTE,
      queuedBytes: at(QUEUED),
      stored: at(STORED),
      hits: at(HITS),
      refused: at(REFUSED),
      evictedSegments: at(EVICTED),
      failed: at(FAILED),
      damaged: at(DAMAGED),
    };
  }
}
