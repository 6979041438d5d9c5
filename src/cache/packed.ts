// A stored answer as one run of bytes, out of the collector's sight (core/own-memory.ts). As objects, each would take
// several times as much beside its content, and of the collector's time as well.
//
//   0 length of all   4 slot, count, purges and disk of its stamp
//   20 lengths of metadata, address, extra, tags, head and content   44 these, in this order
//
// Metadata, tags and head are those of the disk tier (disk-answer.ts). Numbers are little-endian, of four bytes.
import { type Handle, ownMemory } from "../core/own-memory.ts";
import { ENTRY } from "../engines/storage/record.ts";
import { Body } from "./body.ts";
import type { Stamp } from "./changes.ts";
import { entryOf, fitsRecord, headBytes, metaBytes, writeMeta } from "./disk-answer.ts";
import { Address, type Entry } from "./entry.ts";

/** Longer content would be dear to copy for somebody who takes a part of it. */
const CONTENT_BYTES_MAX = 65_536;
const META_LENGTH_AT = 20;
const FRONT_BYTES = 44;
/** Bytes of one unit of a text. */
const UTF8_MAX = 3;

const NOTHING = Buffer.alloc(0);

/** What is being packed or unpacked; it grows as it has to. */
let scratch = Buffer.allocUnsafeSlow(CONTENT_BYTES_MAX + 16_384);

/** Packs the answers of an address. 0 where that is not worth it, or something would be lost. */
export function pack(address: string, { variants }: Address): Handle {
  const entry = variants[0];
  if (entry === undefined || variants.length > 1 || !isSimple(entry)) return 0;
  const { stamp, body, extra } = entry;
  const tags = entry.tags.length === 0 ? "" : entry.tags.join(" ");
  const head = headBytes(entry);
  const most = FRONT_BYTES + metaBytes(entry) + (address.length + extra.length + tags.length) * UTF8_MAX + head;
  if (most + body.length > scratch.length) scratch = Buffer.allocUnsafeSlow(most + body.length);
  const bytes = scratch;
  bytes.writeInt32LE(stamp.slot, 4);
  bytes.writeInt32LE(stamp.count, 8);
  bytes.writeInt32LE(stamp.purges, 12);
  bytes.writeInt32LE(stamp.disk, 16);
  let at = writeMeta(bytes, FRONT_BYTES, entry, stamp.disk);
  bytes.writeInt32LE(at - FRONT_BYTES, META_LENGTH_AT);
  at = writeText(bytes, at, address, META_LENGTH_AT + 4);
  at = writeText(bytes, at, extra, META_LENGTH_AT + 8);
  at = writeText(bytes, at, tags, META_LENGTH_AT + 12);
  at += entry.storedHeaders.bytes.copy(bytes, at, 0, head);
  bytes.writeInt32LE(head, META_LENGTH_AT + 16);
  bytes.writeInt32LE(body.length, META_LENGTH_AT + 20);
  for (let piece = 0; piece < body.pieces; piece += 1) at += body.piece(piece)!.copy(bytes, at, 0, body.filled(piece));
  bytes.writeInt32LE(at, 0);
  return ownMemory.keep(bytes, at);
}

/** Writes a text, and its length at `lengthAt`. Returns where it ends. */
function writeText(bytes: Buffer, at: number, text: string, lengthAt: number): number {
  const length = text === "" ? 0 : bytes.write(text, at);
  bytes.writeInt32LE(length, lengthAt);
  return at + length;
}

/** Whether nothing would be lost but what is made again as it is needed. */
function isSimple(entry: Entry): boolean {
  const { body } = entry;
  return (
    entry.part === null &&
    body.done &&
    body.length <= CONTENT_BYTES_MAX &&
    body.coded === null &&
    body.backing === null &&
    fitsRecord(entry)
  );
}

/** The answers that have been packed. */
export function unpack(handle: Handle): Address {
  const length = packedBytes(handle);
  if (length > scratch.length) scratch = Buffer.allocUnsafeSlow(length);
  const bytes = scratch;
  ownMemory.copyTo(bytes, handle, 0, length);
  const metaEnd = FRONT_BYTES + bytes.readInt32LE(META_LENGTH_AT);
  const keyEnd = metaEnd + bytes.readInt32LE(META_LENGTH_AT + 4);
  const extraEnd = keyEnd + bytes.readInt32LE(META_LENGTH_AT + 8);
  const tagsEnd = extraEnd + bytes.readInt32LE(META_LENGTH_AT + 12);
  const headEnd = tagsEnd + bytes.readInt32LE(META_LENGTH_AT + 16);
  const content = Buffer.allocUnsafeSlow(bytes.readInt32LE(META_LENGTH_AT + 20));
  bytes.copy(content, 0, headEnd);
  const meta = bytes.subarray(FRONT_BYTES, metaEnd) as Buffer;
  const tags = bytes.subarray(extraEnd, tagsEnd) as Buffer;
  const head = bytes.subarray(tagsEnd, headEnd) as Buffer;
  const record = { kind: ENTRY, key: NOTHING, tags, meta, head, body: NOTHING, storedAt: 0 } as const;
  const body = Body.of(content.length === 0 ? [] : [content]);
  const stored = new Address();
  stored.add(entryOf(record, bytes.toString("utf8", keyEnd, extraEnd), stampOf(bytes), body)!);
  return stored;
}

const stampOf = (bytes: Buffer): Stamp => ({
  slot: bytes.readInt32LE(4),
  count: bytes.readInt32LE(8),
  purges: bytes.readInt32LE(12),
  disk: bytes.readInt32LE(16),
});

/** How long it is. */
export const packedBytes = (handle: Handle): number => ownMemory.int32(handle, 0);

/** The address that it is stored at. */
export function packedAddress(handle: Handle): string {
  const from = FRONT_BYTES + ownMemory.int32(handle, META_LENGTH_AT);
  return textAt(handle, from, ownMemory.int32(handle, META_LENGTH_AT + 4));
}

/** The rest of its key. */
export function packedExtra(handle: Handle): string {
  const from = FRONT_BYTES + ownMemory.int32(handle, META_LENGTH_AT) + ownMemory.int32(handle, META_LENGTH_AT + 4);
  return textAt(handle, from, ownMemory.int32(handle, META_LENGTH_AT + 8));
}

function textAt(handle: Handle, from: number, length: number): string {
  ownMemory.copyTo(scratch, handle, from, length);
  return scratch.toString("utf8", 0, length);
}

const time = Buffer.alloc(8);

/** From now on it is stale. Metadata begins with the time until which it is fresh. */
export function expirePacked(handle: Handle, now: number): void {
  ownMemory.copyTo(time, handle, FRONT_BYTES, time.length);
  if (time.readDoubleLE(0) <= now) return;
  time.writeDoubleLE(now, 0);
  ownMemory.overwrite(handle, FRONT_BYTES, time);
}
