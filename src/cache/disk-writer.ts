// What writes the disk tier, in a thread of its own: everything here waits for the disk. Records are appended to the
// newest segment; the oldest one goes when there is no room, and those of its records that were used meanwhile are
// appended anew.
//
// The index is what the records say, read in the order of their writing. So after a start it is the snapshot, and
// behind it what was appended later. Until all of that has been read, nobody reads the tier; what is written meanwhile
// is read last.
import { closeSync } from "node:fs";
import { type DiskIndex, Place } from "../engines/storage/disk-index.ts";
import { KeyHash } from "../engines/storage/key-hash.ts";
import {
  decodeRecord,
  encodeRecord,
  LARGE,
  lengthOf,
  readRecordHeader,
  releaseRecord,
  staleFront,
  TOMBSTONE,
} from "../engines/storage/record.ts";
import { decodeSnapshot, encodeSnapshot, type SegmentState } from "../engines/storage/snapshot.ts";
import type { DiskBoard } from "./disk-board.ts";
import type { DiskFolder } from "./disk-folder.ts";
import type { DiskSweep } from "./disk-sweep.ts";
import { DiskSync } from "./disk-sync.ts";
import { BLOCK_BYTES, decodePointer } from "./large-file.ts";
import { type LargeEntry, LargeFiles } from "./large-files.ts";
import {
  createSegment,
  cutOff,
  type OnRecord,
  openSegment,
  type Patch,
  patchSegment,
  readGoodRecord,
  SEGMENT_HEADER_BYTES,
  type Segment,
  scanSegment,
  writeAll,
} from "./segment.ts";

/** The part of a new segment that records of an evicted one may take: else a tier in which all is used would stand still. */
const SECOND_CHANCE_SHARE = 0.5;
/** Sealed segments after which a snapshot is made: so many are read at a start after a crash, in a tenth of a second. */
const SNAPSHOT_SEGMENTS = 8;
/** Above this part of the room, large bodies go for large bodies, and below it segments go. */
const LARGE_SHARE = 0.5;
/** After a failed write, nothing is tried for so long: a full or broken disk would be asked for each record. */
const PAUSE_MS = 1000;

export interface DiskWriterOptions {
  /** What all segments may take together; at least two segments. */
  readonly bytesMax: number;
  readonly segmentBytes: number;
  readonly onTrouble: (text: string) => void;
  /** The monotonic clock, in milliseconds. */
  readonly now: () => number;
}

/** A record on its way to the disk. */
interface Pending {
  readonly low: number;
  readonly high: number;
  readonly record: Buffer;
  /** For a tombstone: the segment that has what it removes, or NONE. For an entry: ENTRY_PENDING. */
  readonly buries: number;
}

const NO_BYTES = Buffer.alloc(0);
const NOTHING = { kind: TOMBSTONE, tags: NO_BYTES, meta: NO_BYTES, head: NO_BYTES, body: NO_BYTES } as const;
const NONE = -1;
const ENTRY_PENDING = -2;

export class DiskWriter {
  readonly #folder: DiskFolder;
  readonly #index: DiskIndex;
  readonly #board: DiskBoard;
  readonly #options: DiskWriterOptions;
  /** Oldest first; the last may be the one that is written. */
  #segments: Segment[] = [];
  #current: { segment: Segment; fd: number } | null = null;
  #pending: Pending[] = [];
  #sealed = 0;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  /** Segments to be read yet, and from where. Empty once the index is complete. */
  #replay: { segment: Segment; from: number }[] = [];
  /** The last number given to a segment: none is given twice, as threads may have the file of the first still open. */
  #last = 0;
  /** The first segment written since the start. */
  #firstOwn = 1;
  /** What all may take together. */
  bytesMax: number;
  /** What has changed cannot be kept: nothing is stored any more. */
  #distrusted = false;
  readonly #sync: DiskSync;
  readonly #place = new Place();
  readonly #large: LargeFiles;
  readonly #hash: KeyHash;

  constructor(folder: DiskFolder, index: DiskIndex, board: DiskBoard, options: DiskWriterOptions) {
    this.#folder = folder;
    this.#index = index;
    this.#board = board;
    this.#options = options;
    this.bytesMax = options.bytesMax;
    this.#sync = new DiskSync(folder, board);
    this.#hash = new KeyHash(folder.seed);
    const isNeeded = (entry: LargeEntry): boolean => this.#isNeeded(entry);
    this.#large = new LargeFiles(folder.path, { isNeeded, wasUsed: (entry) => this.#wasUsed(entry) });
  }

  /** Looks at what is there, and takes the snapshot. `replay` does the rest. */
  start(): void {
    for (const number of this.#folder.segments()) {
      const segment = openSegment(this.#folder.path, number);
      if (segment === null) this.#folder.removeSegment(number);
      else this.#segments.push(segment);
    }
    const bytes = this.#folder.readSnapshot();
    const snapshot = bytes && decodeSnapshot(bytes, this.#index.buckets, this.#folder.seed);
    const seen = new Map(snapshot?.segments.map((state) => [state.number, state]));
    const isSame = (segment: Segment): boolean => {
      const state = seen.get(segment.number);
      return state !== undefined && state.birth === segment.birth && state.bytes <= segment.bytes;
    };
    const known = new Set(this.#segments.filter(isSame).map(({ number }) => number));
    snapshot?.restore(this.#index, (number) => known.has(number));
    for (const segment of this.#segments) {
      const from = known.has(segment.number) ? seen.get(segment.number)!.bytes : SEGMENT_HEADER_BYTES;
      if (from < segment.bytes) this.#replay.push({ segment, from });
    }
    this.#last = this.#segments.at(-1)?.number ?? 0;
    this.#firstOwn = this.#last + 1;
    this.#report();
  }

  /** Reads one more segment into the index. True when all of them have been: then the tier is open. */
  replay(): boolean {
    const next = this.#replay.shift();
    if (next !== undefined) this.#readSegment(next.segment, next.from);
    if (this.#replay.length > 0) return false;
    for (const segment of this.#segments)
      if (segment.number >= this.#firstOwn) this.#readSegment(segment, SEGMENT_HEADER_BYTES);
    this.#large.load();
    this.#large.sweep();
    this.#report();
    this.#board.setReady(!this.#distrusted);
    return true;
  }

  /** What has changed could not be written down: all that is stored goes, and nothing is until the next start. */
  distrust(): void {
    this.#distrusted = true;
    this.#options.onTrouble("the disk tier of the cache cannot keep what has changed: it is given up");
    this.#board.setReady(false);
    this.#replay = [];
    try {
      this.#folder.distrust();
      this.#clear();
    } catch (error) {
      this.#options.onTrouble(`the disk tier of the cache cannot be emptied: ${textOf(error)}`);
    }
  }

  /** Writes what waits, and waits for the disk: what was purged stays so even if the system stops. */
  sync(): void {
    this.flush();
    try {
      this.#sync.all(this.#current?.fd ?? null);
    } catch (error) {
      this.#broken(error);
    }
  }

  /** For `flush` to write. */
  put(low: number, high: number, record: Buffer): void {
    this.#pending.push({ low, high, record, buries: ENTRY_PENDING });
  }

  /** Removes a key: for all readers at once, and on the disk with the next `flush`, by a tombstone. */
  delete(low: number, high: number, tombstone: Buffer): void {
    const isThere = this.#index.find(low, high, this.#place);
    this.#pending.push({ low, high, record: tombstone, buries: isThere ? this.#place.segment : NONE });
    this.#index.delete(low, high);
  }

  /** Writes what waits. */
  flush(): void {
    const pending = this.#pending;
    this.#pending = [];
    for (let from = 0; from < pending.length && !this.#distrusted; ) {
      const end = this.#fitting(pending, from);
      if (end === from) {
        if (!this.#roll()) {
          this.#fail(pending.slice(from));
          break;
        }
        continue;
      }
      const batch = pending.slice(from, end);
      if (this.#append(batch.map(({ record }) => record))) this.#enter(batch);
      else this.#fail(batch);
      from = end;
    }
    for (const { record } of pending) {
      this.#board.dequeue(record.length);
      releaseRecord(record);
    }
    this.tick();
  }

  /** What is to be done from time to time: room for large bodies, also while they grow. */
  tick(): void {
    if (this.#board.isReady) {
      this.#large.sweepSometimes(this.#options.now());
      this.#makeRoom(0);
    }
    this.#report();
    if (this.#distrusted) return;
    try {
      this.#sync.sometimes(this.#options.now());
    } catch {
      this.distrust();
    }
  }

  /** Removes more of what a purge is for; the index has to be complete. True when it is through. */
  sweep(sweep: DiskSweep): boolean {
    this.flush();
    const { what, staleAt } = sweep.rule;
    if (what === "all" && staleAt === null) {
      sweep.removed = this.#index.entries;
      this.#clear();
      return true;
    }
    const segment = this.#segments.find(({ number }) => number > sweep.last);
    if (segment === undefined) return true;
    sweep.last = segment.number;
    const stale: Patch[] = [];
    this.#readFronts(segment, SEGMENT_HEADER_BYTES, (header, front, offset) => {
      if (header.kind === TOMBSTONE || !sweep.matches(header, front)) return;
      const key = front.subarray(0, header.keyBytes);
      this.#hash.of(key);
      const { low, high } = this.#hash;
      const isThere = this.#index.find(low, high, this.#place);
      if (!isThere || this.#place.segment !== segment.number || this.#place.offset !== offset) return;
      sweep.removed += 1;
      if (staleAt !== null) {
        const bytes = staleFront(header, front, staleAt);
        if (bytes !== null) stale.push({ offset, bytes });
        return;
      }
      const tombstone = encodeRecord({ ...NOTHING, key: Buffer.from(key), storedAt: header.storedAt });
      this.#board.enqueue(tombstone.length, Number.POSITIVE_INFINITY);
      this.delete(low, high, tombstone);
    });
    this.#makeStale(segment, stale);
    this.flush();
    return false;
  }

  #makeStale({ number }: Segment, records: readonly Patch[]): void {
    try {
      patchSegment(this.#folder.path, number, records);
    } catch (error) {
      this.#options.onTrouble(`segment ${number} could not be changed, and is removed: ${textOf(error)}`);
      this.#drop(number);
    }
  }

  /** Writes what waits and the index, and gives the folder back. */
  close(): void {
    this.flush();
    const isComplete = this.#board.isReady;
    this.#board.setReady(false);
    if (isComplete) this.#snapshot();
    this.#seal();
    this.#folder.close();
  }

  #readSegment(segment: Segment, from: number): void {
    this.#readFronts(segment, from, (header, front, offset) => {
      this.#hash.of(front.subarray(0, header.keyBytes));
      const { low, high } = this.#hash;
      if (header.kind === TOMBSTONE) this.#index.delete(low, high);
      else this.#index.set(low, high, segment.number, offset, lengthOf(header));
    });
  }

  #readFronts(segment: Segment, from: number, onRecord: OnRecord): void {
    try {
      scanSegment(this.#folder.path, segment.number, from, onRecord);
    } catch (error) {
      this.#options.onTrouble(`segment ${segment.number} could not be read: ${textOf(error)}`);
    }
  }

  /** How many from `from` on go into the segment that is written. */
  #fitting(pending: readonly Pending[], from: number): number {
    if (this.#current === null) return from;
    const { bytes } = this.#current.segment;
    let room = this.#options.segmentBytes - bytes;
    let end = from;
    while (end < pending.length && (room -= pending[end]!.record.length) >= 0) end += 1;
    // A record that no segment has room for has one to itself.
    return end === from && bytes === SEGMENT_HEADER_BYTES ? from + 1 : end;
  }

  #append(records: readonly Buffer[]): boolean {
    const { segment, fd } = this.#current!;
    try {
      writeAll(fd, records, segment.bytes);
      return true;
    } catch (error) {
      this.#broken(error);
      return false;
    }
  }

  /** Says in the index where the records lie that have just been written at the end of the segment. */
  #enter(batch: readonly Pending[]): void {
    const { segment } = this.#current!;
    for (const { low, high, record, buries } of batch) {
      if (buries !== ENTRY_PENDING) this.#index.delete(low, high);
      // Else it is read when those of before the start have been: an older one may yet turn up.
      else if (this.#board.isReady) this.#index.set(low, high, segment.number, segment.bytes, record.length);
      this.#noteLarge(low, high, record);
      segment.bytes += record.length;
      this.#board.countStored();
    }
  }

  /** What cannot be written is lost; where a tombstone is, its record has to go with its segment, which needs no room. */
  #fail(batch: readonly Pending[]): void {
    for (const { low, high, record, buries } of batch) {
      this.#board.countFailed();
      this.#index.delete(low, high);
      if (buries !== ENTRY_PENDING) this.#drop(buries);
      this.#noteLarge(low, high, record); // the next sweep removes its file
    }
  }

  /** Begins a segment, and evicts others where there is no room for it. */
  #roll(): boolean {
    this.#seal();
    if (this.#options.now() < this.#pausedUntil) return false;
    try {
      this.#current = createSegment(this.#folder.path, this.#last + 1);
      this.#last += 1;
    } catch (error) {
      this.#broken(error);
      return false;
    }
    this.#segments.push(this.#current.segment);
    this.#makeRoom(this.#options.segmentBytes * SECOND_CHANCE_SHARE);
    return this.#current !== null;
  }

  /** Evicts until there is room for the segment that is written, and what large bodies take. */
  #makeRoom(chance: number): void {
    while (this.#size() > this.bytesMax) {
      const ofLarge = this.#largeBytes() > this.bytesMax * LARGE_SHARE || this.#segments.length <= 1;
      if (ofLarge && !this.#large.isEmpty) this.#large.evict();
      else if (this.#segments.length > 1) chance -= this.#evict(this.#segments[0]!, chance);
      else return;
    }
  }

  /** What all takes once the newest segment is full. */
  #size(): number {
    const left = this.#current === null ? 0 : this.#options.segmentBytes - this.#current.segment.bytes;
    return this.#segments.reduce((sum, { bytes }) => sum + bytes, left + this.#largeBytes());
  }

  #largeBytes(): number {
    return this.#large.bytes + this.#board.growingBlocks * BLOCK_BYTES;
  }

  #noteLarge(low: number, high: number, record: Buffer): void {
    if (readRecordHeader(record, 0)?.kind !== LARGE) return;
    const pointer = decodePointer(decodeRecord(record)!.body)!;
    this.#large.add({ ...pointer, low, high, segment: 0, offset: 0 });
  }

  /** Whether the record that the index knows leads to a large body. */
  #isNeeded(entry: LargeEntry): boolean {
    const place = this.#place;
    if (!this.#index.find(entry.low, entry.high, place)) return false;
    if (place.segment === entry.segment && place.offset === entry.offset) return true;
    const bytes = readGoodRecord(this.#folder.path, place);
    const record = bytes && decodeRecord(bytes);
    if (record?.kind !== LARGE || decodePointer(record.body)?.name !== entry.name) return false;
    entry.segment = place.segment;
    entry.offset = place.offset;
    return true;
  }

  /** Whether a large body was used since this was last asked. */
  #wasUsed(entry: LargeEntry): boolean {
    if (!this.#isNeeded(entry) || !this.#index.wasUsed(this.#place.slot)) return false;
    this.#index.untouch(this.#place.slot);
    return true;
  }

  #seal(): void {
    if (this.#current === null) return;
    closeSync(this.#current.fd);
    this.#sync.sealed(this.#current.segment.number);
    this.#current = null;
    this.#sealed += 1;
    if (this.#sealed % SNAPSHOT_SEGMENTS === 0 && this.#replay.length === 0) this.#snapshot();
  }

  /** Removes a segment; up to `bytesMax` of what was used in it is appended anew. Returns how much that was. */
  #evict(victim: Segment, bytesMax: number): number {
    const used: number[] = [];
    let bytes = 0;
    for (let slot = 0; slot < this.#index.slots; slot += 1) {
      if (!this.#index.read(slot, this.#place) || this.#place.segment !== victim.number) continue;
      const stays = this.#index.wasUsed(slot) && bytes + this.#place.bytes <= bytesMax;
      if (stays) bytes += this.#place.bytes;
      if (stays) used.push(slot);
      else this.#index.clear(slot);
    }
    if (used.length > 0) this.#appendAnew(used);
    this.#drop(victim.number);
    this.#large.sweep();
    this.#board.countEvicted();
    return bytes;
  }

  #appendAnew(slots: readonly number[]): void {
    for (const slot of slots) {
      this.#index.read(slot, this.#place);
      const record = readGoodRecord(this.#folder.path, this.#place);
      if (record === null || this.#current === null || !this.#append([record])) {
        this.#index.clear(slot);
        continue;
      }
      const { segment } = this.#current;
      this.#index.write(slot, this.#index.printOf(slot), segment.number, segment.bytes, record.length);
      segment.bytes += record.length;
    }
  }

  /** Removes a segment with all that is in it. */
  #drop(number: number): void {
    const at = this.#segments.findIndex((segment) => segment.number === number);
    if (at < 0) return;
    if (this.#current?.segment.number === number) this.#seal();
    this.#segments.splice(at, 1);
    this.#sync.gone(number);
    this.#replay = this.#replay.filter(({ segment }) => segment.number !== number);
    for (let slot = 0; slot < this.#index.slots; slot += 1)
      if (this.#index.read(slot, this.#place) && this.#place.segment === number) this.#index.clear(slot);
    this.#folder.removeSegment(number);
  }

  #clear(): void {
    for (let slot = 0; slot < this.#index.slots; slot += 1) this.#index.clear(slot);
    if (this.#current !== null) closeSync(this.#current.fd);
    this.#current = null;
    for (const { number } of this.#segments.splice(0)) {
      this.#sync.gone(number);
      this.#folder.removeSegment(number);
    }
    this.#large.sweep();
    this.#report();
  }

  #broken(error: unknown): void {
    this.#pausedUntil = this.#options.now() + PAUSE_MS;
    this.#options.onTrouble(`the disk tier of the cache cannot be written: ${textOf(error)}`);
    const current = this.#current;
    this.#current = null;
    if (current !== null && !cutOff(current)) this.#drop(current.segment.number);
    else if (current !== null) this.#sync.sealed(current.segment.number);
    if ((error as NodeJS.ErrnoException).code === "ENOSPC" && this.#segments.length > 1)
      this.#drop(this.#segments[0]!.number);
  }

  #snapshot(): void {
    const states: SegmentState[] = this.#segments.map(({ number, birth, bytes }) => ({ number, birth, bytes }));
    try {
      this.#folder.writeSnapshot(encodeSnapshot(this.#index, this.#folder.seed, states));
    } catch (error) {
      this.#options.onTrouble(`the index of the disk tier cannot be written: ${textOf(error)}`);
    }
  }

  #report(): void {
    this.#board.setOldestSegment(this.#segments[0]?.number ?? this.#last + 1);
    this.#board.setSize(
      this.#index.entries,
      this.#segments.reduce((sum, { bytes }) => sum + bytes, this.#large.bytes),
    );
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
