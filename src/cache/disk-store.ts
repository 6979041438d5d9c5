// The disk tier as a thread uses it that gives out answers: it reads the shared index and the segments by itself, and
// sends what is to be stored to the thread that writes.
import { read } from "node:fs";
import type { MessagePort } from "node:worker_threads";
import { DiskIndex, Place } from "../engines/storage/disk-index.ts";
import { KeyHash } from "../engines/storage/key-hash.ts";
import {
  type DiskRecord,
  decodeRecord,
  ENTRY,
  encodeRecord,
  LARGE,
  RECORD_BYTES_MAX,
  type RecordKind,
  type RecordView,
  recordBytes,
  TOMBSTONE,
} from "../engines/storage/record.ts";
import { DiskBoard } from "./disk-board.ts";
import { DiskChanges } from "./disk-changes.ts";
import { changesPath } from "./disk-folder.ts";
import type { DiskAnswer, DiskShare, DiskTask } from "./disk-message.ts";
import type { SweepRule } from "./disk-sweep.ts";
import { encodePointer, LargeBody, type LargePointer, LargeWriting, removeLarge } from "./large-file.ts";
import { Seen } from "./seen.ts";
import { readRecordBytes, readRecordInto } from "./segment.ts";
import { type SegmentFile, SegmentFiles } from "./segment-files.ts";

/** Bytes that wait to be written, over all threads: a second of a slow disk. Beyond, entries are not stored. */
export const QUEUE_BYTES_MAX = 64 * 1024 * 1024;
/**
 * Records up to this size are read at once, without the detour over the runtime's threads, which costs some 20 µs: as
 * much as copying this many bytes that the system has in memory, which is where records that are hit mostly are.
 */
const SYNC_BYTES_MAX = 65_536;

/** A thread that reads nothing for a while lets go of segments that are gone within this time. */
const FORGET_MS = 10_000;

const EMPTY = Buffer.alloc(0);

/** What is stored: see `DiskRecord`. */
export interface DiskEntry {
  readonly tags: Buffer;
  readonly meta: Buffer;
  readonly head: Buffer;
  readonly body: Buffer;
  /** Milliseconds since 1970. */
  readonly storedAt: number;
}

export class DiskStore {
  readonly #index: DiskIndex;
  readonly #board: DiskBoard;
  readonly #share: DiskShare;
  readonly #hash: KeyHash;
  readonly #changes: DiskChanges;
  readonly #files: SegmentFiles;
  readonly #port: MessagePort;
  readonly #place = new Place();
  /** What `view` reads into. */
  readonly #bytes = Buffer.allocUnsafeSlow(SYNC_BYTES_MAX);
  readonly #waiting = new Map<number, (removed: number) => void>();
  #seen = new Seen(0);
  /** Whether the key that was looked for last was found here shortly before. */
  wasSeen = false;
  #asked = 0;
  #isEnded = false;
  readonly #forgetting: NodeJS.Timeout;

  /** `port` is one of `DiskTier.connect`. */
  constructor(share: DiskShare, port: MessagePort) {
    this.#share = share;
    this.#index = new DiskIndex(share.index);
    this.#board = new DiskBoard(share.board);
    this.#hash = new KeyHash(share.seed);
    this.#changes = new DiskChanges(share.changes, share.seed, changesPath(share.path));
    this.#files = new SegmentFiles(share.path);
    this.#port = port;
    port.on("message", ({ number, removed }: DiskAnswer) => {
      this.#waiting.get(number)?.(removed);
      this.#waiting.delete(number);
      if (this.#waiting.size === 0) port.unref();
    });
    port.on("close", () => this.#ended());
    port.unref(); // keeps nobody alive but who waits
    this.#forgetting = setInterval(() => this.#files.forget(this.#board.oldestSegment), FORGET_MS);
    this.#forgetting.unref();
  }

  /**
   * What is stored under the key, or null. A promise only where it has to be waited for. What does not hold against its
   * checksums is not there. With kind LARGE, `openLarge` has the body.
   */
  get(key: string): DiskRecord | null | Promise<DiskRecord | null> {
    const place = this.#place;
    this.#hash.of(key);
    const { low, high } = this.#hash;
    if (!this.#board.isReady || !this.#index.find(low, high, place)) return null;
    this.wasSeen = this.#seen.note(low, high);
    const file = this.#files.get(place.segment, this.#board.oldestSegment);
    if (file === null) return null;
    if (place.bytes > SYNC_BYTES_MAX) return this.#getLater(key, file, place.offset, place.bytes, place.slot);
    return this.#checked(key, place.slot, readRecordBytes(file.fd, place.offset, place.bytes));
  }

  /**
   * Reads what is stored under the key, where it is short and not to be kept in memory as well. False: `get` may have
   * it. `isOwn`: the bytes are for the caller to keep; else the next call reads over them.
   */
  view(key: string, isOwn: boolean, into: RecordView): boolean {
    const place = this.#place;
    this.#hash.of(key);
    const { low, high } = this.#hash;
    if (!this.#board.isReady || !this.#index.find(low, high, place) || place.bytes > SYNC_BYTES_MAX) return false;
    if (this.#seen.has(low, high)) return false;
    const file = this.#files.get(place.segment, this.#board.oldestSegment);
    const bytes = isOwn ? Buffer.allocUnsafeSlow(place.bytes) : this.#bytes;
    if (file === null || !readRecordInto(bytes, file.fd, place.offset, place.bytes)) return false;
    return into.read(bytes, place.bytes) && into.kind === ENTRY && into.isOf(key);
  }

  /** What was viewed last has been given out. */
  used(): void {
    this.#seen.note(this.#hash.low, this.#hash.high);
    this.#index.touch(this.#place.slot);
    this.#board.countHit();
  }

  /** Sets how much memory there is for what is found again and again. */
  remember(bytes: number): void {
    this.#seen = new Seen(bytes);
  }

  /** Whether something seems to be stored under the key: a hint, for one in some billions of keys a wrong one. */
  has(key: string): boolean {
    this.#hash.of(key);
    return this.#board.isReady && this.#index.find(this.#hash.low, this.#hash.high, this.#place);
  }

  /** Stores an entry in place of what is there. False when it is too large or too much waits: then nothing is there any more. */
  put(key: string, entry: DiskEntry): boolean {
    return this.#put(ENTRY, key, entry);
  }

  #put(kind: RecordKind, key: string, entry: DiskEntry): boolean {
    const { tags, meta, head, body, storedAt } = entry;
    const record: DiskRecord = { kind, key: Buffer.from(key), tags, meta, head, body, storedAt };
    const bytes = recordBytes(record);
    if (bytes > RECORD_BYTES_MAX || !this.#board.enqueue(bytes, QUEUE_BYTES_MAX)) {
      if (this.has(key) || !this.#board.isReady) this.delete(key, storedAt);
      return false;
    }
    this.#send("put", key, record);
    return true;
  }

  /** How often something has changed behind an address: an entry holds as long as that stays so. */
  changesOf(address: string): number {
    return this.#changes.count(address);
  }

  /** What is behind an address has changed: from now on, and after a restart, no entry of before holds. */
  change(address: string): void {
    this.#board.countChange();
    if (!this.#changes.change(address)) this.#port.postMessage({ kind: "distrust" } satisfies DiskTask);
  }

  /** Whether no purge is under way, and which: see `DiskBoard`. */
  get purges(): number {
    return this.#board.purges;
  }

  countHit(): void {
    this.#board.countHit();
  }

  /** Whether what was stored before the start can be found, and large bodies can be stored. */
  get isReady(): boolean {
    return this.#board.isReady;
  }

  /** Large bodies may be this long. */
  get largeBytesMax(): number {
    return this.#share.largeBytesMax;
  }

  /** Begins the file of a large body, which `putLarge` or `abort` ends; null when it cannot be made, or not yet. */
  beginLarge(): LargeWriting | null {
    if (!this.#board.isReady) return null; // a file without a record would be taken for a leftover
    try {
      return new LargeWriting(this.#share.path, this.#board, this.#share.largeBytesMax);
    } catch {
      return null; // no room, or too many open files: it is not stored then
    }
  }

  /**
   * Stores an entry whose body has been written; the one of `entry` is not looked at. Returns where that lies; null as
   * `put` returns false. Who reads from `writing` may go on until it closes it.
   */
  putLarge(key: string, entry: DiskEntry, writing: LargeWriting): LargePointer | null {
    this.#hash.of(key);
    let pointer: LargePointer;
    try {
      pointer = writing.finish(this.#hash.low, this.#hash.high);
    } catch {
      writing.abort();
      this.delete(key, entry.storedAt);
      return null;
    }
    if (this.putPointer(key, entry, pointer)) return pointer;
    removeLarge(this.#share.path, pointer.name);
    return null;
  }

  /** Stores an entry anew whose body lies in a file already. */
  putPointer(key: string, entry: DiskEntry, pointer: LargePointer): boolean {
    return this.#put(LARGE, key, { ...entry, body: encodePointer(pointer) });
  }

  /** The body that a pointer of a record leads to; null when it is gone or damaged. */
  openLarge(pointer: LargePointer): LargeBody | null {
    return LargeBody.open(this.#share.path, pointer);
  }

  /** Removes an entry, for other threads a moment later; `flushed` says when. */
  delete(key: string, now: number): void {
    const none = { tags: EMPTY, meta: EMPTY, head: EMPTY, body: EMPTY };
    const record: DiskRecord = { kind: TOMBSTONE, key: Buffer.from(key), ...none, storedAt: now };
    this.#board.enqueue(recordBytes(record), Number.POSITIVE_INFINITY); // never refused
    this.#send("delete", key, record);
  }

  /** Resolves once all that this thread has put and deleted is on its way to the disk, and seen by all. */
  async flushed(): Promise<void> {
    const number = this.#next();
    await this.#ask({ kind: "flush", number }, number);
  }

  /** Resolves once the disk itself has all that threads have put, deleted and changed so far. */
  async synced(): Promise<void> {
    const number = this.#next();
    await this.#ask({ kind: "sync", number }, number);
  }

  /**
   * Removes what a rule says, or makes it stale, and resolves to the number of entries. It takes a second for some GB;
   * until it is over, what is to go may still be found.
   */
  sweep(rule: SweepRule): Promise<number> {
    const number = this.#next();
    return this.#ask({ kind: "sweep", number, rule }, number);
  }

  #next(): number {
    this.#asked += 1;
    return this.#asked;
  }

  /** The thread that writes is gone: nothing will be answered any more. */
  #ended(): void {
    this.#isEnded = true;
    for (const resolve of this.#waiting.values()) resolve(0);
    this.#waiting.clear();
  }

  #ask(task: DiskTask, number: number): Promise<number> {
    if (this.#isEnded) return Promise.resolve(0);
    this.#port.ref();
    this.#port.postMessage(task);
    return new Promise((resolve) => this.#waiting.set(number, resolve));
  }

  /** Closes files and port. Reads under way come to their end. */
  close(): void {
    clearInterval(this.#forgetting);
    this.#files.close();
    this.#changes.close();
    this.#port.close();
  }

  #send(kind: "put" | "delete", key: string, record: DiskRecord): void {
    const bytes = encodeRecord(record);
    this.#hash.of(key);
    const task: DiskTask = { kind, low: this.#hash.low, high: this.#hash.high, record: bytes };
    this.#port.postMessage(task, [bytes.buffer as ArrayBuffer]);
  }

  #checked(key: string, slot: number, bytes: Buffer | null): DiskRecord | null {
    const record = bytes && decodeRecord(bytes);
    if (record === null) {
      this.#board.countDamaged();
      return null;
    }
    if (record.kind === TOMBSTONE || record.key.toString() !== key) return null; // of another key with the same hash
    this.#index.touch(slot);
    return record;
  }

  #getLater(key: string, file: SegmentFile, offset: number, bytes: number, slot: number): Promise<DiskRecord | null> {
    if (bytes > RECORD_BYTES_MAX) return Promise.resolve(null);
    file.readers += 1;
    const buffer = Buffer.allocUnsafeSlow(bytes);
    return new Promise((resolve) => {
      read(file.fd, buffer, 0, bytes, offset, (error, got) => {
        this.#files.left(file);
        resolve(this.#checked(key, slot, error === null && got === bytes ? buffer : null));
      });
    });
  }
}
