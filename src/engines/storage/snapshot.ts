// The index of the disk tier in a file, so that a start need not read every record. It says which segments it is of and
// how far it has seen them: what was appended later is read from the segments. One checksum covers all of it.
//
//   0 magic   4 buckets   8 segments   12 entries   16 seed (two words)
//   then each segment (number, birth, bytes seen), each entry (slot, print, segment, offset, bytes), and the checksum
import { crc32 } from "node:zlib";
import { type DiskIndex, Place } from "./disk-index.ts";

const MAGIC = 0x3163534e; // "NSc1"
const HEADER_WORDS = 6;
const SEGMENT_WORDS = 3;
const ENTRY_WORDS = 5;
const WORD = 4;

export interface SegmentState {
  readonly number: number;
  /** Chosen at random when the segment was made: another file of the same number is another segment. */
  readonly birth: number;
  readonly bytes: number;
}

export interface Snapshot {
  readonly segments: readonly SegmentState[];
  /** Puts the entries of the segments that are still there into an index, which has to be an empty one. */
  restore(index: DiskIndex, isThere: (segment: number) => boolean): void;
}

export function encodeSnapshot(index: DiskIndex, seed: bigint, segments: readonly SegmentState[]): Buffer {
  const words = HEADER_WORDS + segments.length * SEGMENT_WORDS + index.entries * ENTRY_WORDS;
  const bytes = Buffer.allocUnsafeSlow((words + 1) * WORD);
  const view = new Uint32Array(bytes.buffer, 0, words + 1);
  view.set([MAGIC, index.buckets, segments.length, index.entries, Number(seed & 0xffff_ffffn), Number(seed >> 32n)]);
  let at = HEADER_WORDS;
  for (const { number, birth, bytes } of segments) {
    view[at] = number;
    view[at + 1] = birth;
    view[at + 2] = bytes;
    at += SEGMENT_WORDS;
  }
  const place = new Place();
  for (let slot = 0; slot < index.slots; slot += 1) {
    if (!index.read(slot, place)) continue;
    view[at] = slot;
    view[at + 1] = index.printOf(slot);
    view[at + 2] = place.segment;
    view[at + 3] = place.offset;
    view[at + 4] = place.bytes;
    at += ENTRY_WORDS;
  }
  view[words] = crc32(bytes.subarray(0, words * WORD));
  return bytes;
}

/** What `encodeSnapshot` has written for an index of the same size and seed; else null, and for damage. */
export function decodeSnapshot(bytes: Buffer, buckets: number, seed: bigint): Snapshot | null {
  const words = bytes.length / WORD - 1;
  if (!Number.isSafeInteger(words) || words < HEADER_WORDS) return null;
  const view = new Uint32Array(new Uint8Array(bytes).buffer);
  if (view[0] !== MAGIC || view[words] !== crc32(bytes.subarray(0, words * WORD))) return null;
  if (view[1] !== buckets || (BigInt(view[5]!) << 32n) + BigInt(view[4]!) !== seed) return null;
  const [segments, entries] = [view[2]!, view[3]!];
  const firstEntry = HEADER_WORDS + segments * SEGMENT_WORDS;
  if (firstEntry + entries * ENTRY_WORDS !== words) return null;
  return {
    segments: Array.from({ length: segments }, (_, i) => {
      const at = HEADER_WORDS + i * SEGMENT_WORDS;
      return { number: view[at]!, birth: view[at + 1]!, bytes: view[at + 2]! };
    }),
    restore: (index, isThere) => {
      for (let at = firstEntry; at < words; at += ENTRY_WORDS)
        if (view[at]! < index.slots && isThere(view[at + 2]!))
          index.write(view[at]!, view[at + 1]! | 0, view[at + 2]!, view[at + 3]!, view[at + 4]!);
    },
  };
}
