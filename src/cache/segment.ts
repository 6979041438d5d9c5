// A segment of the disk tier as a file: a header of 16 bytes, and records behind one another. One is written at a time,
// from its beginning to its end; what is written does not change any more.
import { randomBytes } from "node:crypto";
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, rmSync, writevSync } from "node:fs";
import { crc32 } from "node:zlib";
import type { Place } from "../engines/storage/disk-index.ts";
import {
  decodeRecord,
  lengthOf,
  RECORD_BYTES_MAX,
  RECORD_HEADER_BYTES,
  type RecordHeader,
  readRecordHeader,
} from "../engines/storage/record.ts";
import { FILE_MODE, segmentPath } from "./disk-folder.ts";

const MAGIC = 0x3167534c; // "LSg1"
export const SEGMENT_HEADER_BYTES = 16;
/** Buffers of one write (IOV_MAX of Linux is 1024). */
const BUFFERS_MAX = 512;
/** What a scan reads at once: header, key and tags of one large record, or several small records. */
const SCAN_BYTES = 16_384;

export interface Segment {
  readonly number: number;
  readonly birth: number;
  /** Length of the file, as far as it is in order. */
  bytes: number;
}

/** Makes the file of a segment and leaves it open for writing. Throws the error of the file system. */
export function createSegment(folder: string, number: number): { segment: Segment; fd: number } {
  const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
  const birth = randomBytes(4).readUInt32LE(0);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(number, 4);
  header.writeUInt32LE(birth, 8);
  header.writeUInt32LE(crc32(header.subarray(0, 12)), 12);
  const fd = openSync(segmentPath(folder, number), "wx", FILE_MODE);
  try {
    writeAll(fd, [header], 0);
  } catch (error) {
    closeSync(fd);
    rmSync(segmentPath(folder, number)); // else it would be in the way of the next attempt
    throw error;
  }
  return { segment: { number, birth, bytes: SEGMENT_HEADER_BYTES }, fd };
}

/** The segment in a file, or null when it is none, or that of another number. */
export function openSegment(folder: string, number: number): Segment | null {
  const fd = openSync(segmentPath(folder, number), "r");
  try {
    const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
    if (readSync(fd, header, 0, header.length, 0) < header.length || header.readUInt32LE(0) !== MAGIC) return null;
    if (header.readUInt32LE(12) !== crc32(header.subarray(0, 12)) || header.readUInt32LE(4) !== number) return null;
    return { number, birth: header.readUInt32LE(8), bytes: fstatSync(fd).size };
  } finally {
    closeSync(fd);
  }
}

/** Writes all of the buffers at a place of a file. Throws the error of the file system. */
export function writeAll(fd: number, buffers: readonly Buffer[], at: number): void {
  for (let first = 0; first < buffers.length; first += BUFFERS_MAX) {
    const batch = buffers.slice(first, first + BUFFERS_MAX);
    const bytes = batch.reduce((sum, { length }) => sum + length, 0);
    const written = writevSync(fd, batch, at);
    // Only a disk that has become full writes a part; the rest would fail as well.
    if (written < bytes) throw Object.assign(new Error("the disk is full"), { code: "ENOSPC" });
    at += bytes;
  }
}

/**
 * Closes a segment whose last write has failed. What of that is there would be found at the next start, whatever has
 * been purged meanwhile, so it goes. False: there is nothing else in it, or it cannot be cut off: the file has to go.
 */
export function cutOff({ segment, fd }: { readonly segment: Segment; readonly fd: number }): boolean {
  try {
    ftruncateSync(fd, segment.bytes);
    return segment.bytes > SEGMENT_HEADER_BYTES;
  } catch {
    return false;
  } finally {
    closeSync(fd);
  }
}

/** What a record begins with from now on. */
export interface Patch {
  readonly offset: number;
  readonly bytes: Buffer;
}

/**
 * Writes over the beginning of records, the one thing that changes in a segment, and waits for the disk. Who reads one
 * at that moment finds that its checksums do not hold, and so does who finds it written in part: it is not used then.
 * Throws the error of the file system.
 */
export function patchSegment(folder: string, number: number, patches: readonly Patch[]): void {
  if (patches.length === 0) return;
  const fd = openSync(segmentPath(folder, number), "r+");
  try {
    for (const { offset, bytes } of patches) writeAll(fd, [bytes], offset);
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Called with each record's header, its key (valid during the call alone), and where it lies. */
export type OnRecord = (header: RecordHeader, front: Buffer, offset: number) => void;

/**
 * Goes over the records from an offset on, up to the first that is not in order, without reading bodies. `front` is
 * key, tags, metadata and head of a record; those that are not as they were written are left out.
 */
export function scanSegment(folder: string, number: number, from: number, onRecord: OnRecord): void {
  const fd = openSync(segmentPath(folder, number), "r");
  try {
    const window = Buffer.allocUnsafeSlow(SCAN_BYTES);
    const { size } = fstatSync(fd);
    let [start, end] = [from, from];
    for (let offset = from; ; ) {
      if (offset + RECORD_HEADER_BYTES > end) {
        start = offset;
        end = offset + readSync(fd, window, 0, window.length, offset);
      }
      const header = readRecordHeader(window.subarray(0, end - start), offset - start);
      if (header === null || offset + lengthOf(header) > size) return; // torn when the process was killed
      const frontBytes = lengthOf(header) - header.bodyBytes - RECORD_HEADER_BYTES;
      const frontAt = offset - start + RECORD_HEADER_BYTES;
      let front = window.subarray(frontAt, Math.min(frontAt + frontBytes, end - start));
      if (front.length < frontBytes) {
        front = Buffer.allocUnsafeSlow(frontBytes);
        if (readSync(fd, front, 0, frontBytes, offset + RECORD_HEADER_BYTES) < frontBytes) return;
      }
      if (crc32(front) === header.frontChecksum) onRecord(header, front, offset);
      offset += lengthOf(header);
    }
  } finally {
    closeSync(fd);
  }
}

/** The bytes of a good record; null when it is damaged, or cannot be read: of no use either way. */
export function readGoodRecord(folder: string, place: Pick<Place, "segment" | "offset" | "bytes">): Buffer | null {
  try {
    const fd = openSync(segmentPath(folder, place.segment), "r");
    try {
      const record = readRecordBytes(fd, place.offset, place.bytes);
      return record !== null && decodeRecord(record) !== null ? record : null;
    } finally {
      closeSync(fd);
    }
  } catch {
    return null;
  }
}

/** The bytes of a record, or null when the file has fewer, or the length is that of none. */
export function readRecordBytes(fd: number, offset: number, bytes: number): Buffer | null {
  if (bytes < RECORD_HEADER_BYTES || bytes > RECORD_BYTES_MAX) return null;
  const buffer = Buffer.allocUnsafeSlow(bytes);
  return readRecordInto(buffer, fd, offset, bytes) ? buffer : null;
}

/** Reads a record into the first bytes of a buffer. False when the file has fewer, or cannot be read. */
export function readRecordInto(buffer: Buffer, fd: number, offset: number, bytes: number): boolean {
  try {
    return readSync(fd, buffer, 0, bytes, offset) === bytes;
  } catch {
    return false; // a disk that fails is one that has nothing
  }
}
