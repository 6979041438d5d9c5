// The body of an answer that is too large for a segment, in a file of its own. Who fetches the answer writes it; others
// may read behind. A record in a segment, with head and metadata, points to it once it is whole.
//
// Behind the body lie a checksum for each block of it, so that a range can be read without the rest, and a footer:
//   0 magic   4 blocks   8 length of the body (double)   16 both halves of the key's hash   24 checksum of all from the
//   end of the body up to here
import { randomBytes } from "node:crypto";
import { closeSync, fstatSync, openSync, read, readSync, renameSync, rmSync, write, writeSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { DiskBoard } from "./disk-board.ts";
import { FILE_MODE, LARGE_ENDING, UNFINISHED_ENDING } from "./disk-folder.ts";

const MAGIC = 0x31664c53; // "SLf1"
/** What is read and checked at once. A body of 10 GB has 160 KB of checksums. */
export const BLOCK_BYTES = 262_144;
const FOOTER_BYTES = 28;
const NAME_BYTES = 8;
/** A pointer in a record: the name of the file, and the length of the body. */
const POINTER_BYTES = NAME_BYTES + 8;

/** Where the body of a record is. */
export interface LargePointer {
  /** Without its ending. */
  readonly name: string;
  readonly bytes: number;
}

const largePath = (folder: string, name: string): string => join(folder, name + LARGE_ENDING);

export function encodePointer({ name, bytes }: LargePointer): Buffer {
  const pointer = Buffer.alloc(POINTER_BYTES);
  pointer.write(name, 0, "hex");
  pointer.writeDoubleLE(bytes, NAME_BYTES);
  return pointer;
}

export function decodePointer(body: Buffer): LargePointer | null {
  if (body.length !== POINTER_BYTES) return null;
  return { name: body.toString("hex", 0, NAME_BYTES), bytes: body.readDoubleLE(NAME_BYTES) };
}

export function removeLarge(folder: string, name: string): void {
  rmSync(largePath(folder, name), { force: true });
}

/** A body on its way to the disk. One write at a time; reads at any time. */
export class LargeWriting {
  /** Bytes that can be read by now. */
  written = 0;
  readonly #folder: string;
  readonly #board: DiskBoard;
  readonly #bytesMax: number;
  readonly #name = randomBytes(NAME_BYTES).toString("hex");
  readonly #fd: number;
  readonly #checksums: number[] = [];
  /** Reads and writes under way: the file is closed behind the last. */
  #users = 1;

  /** Throws the error of the file system when the file cannot be made. */
  constructor(folder: string, board: DiskBoard, bytesMax: number) {
    this.#folder = folder;
    this.#board = board;
    this.#bytesMax = bytesMax;
    this.#fd = openSync(this.#temporary, "wx+", FILE_MODE);
  }

  /** Appends a chunk, which may not change meanwhile. False when it is too much, or could not be written: then abort. */
  write(chunk: Buffer): Promise<boolean> {
    if (this.written + chunk.length > this.#bytesMax) return Promise.resolve(false);
    this.#users += 1;
    return new Promise((resolve) => {
      const next = (from: number): void => {
        write(this.#fd, chunk, from, chunk.length - from, this.written + from, (error, written) => {
          if (error === null && written > 0 && from + written < chunk.length) return next(from + written);
          const isWhole = error === null && from + written === chunk.length;
          if (isWhole) this.#count(chunk);
          this.#leave();
          resolve(isWhole);
        });
      };
      next(0);
    });
  }

  /** What is there from `at` on, a block at most; empty where nothing is yet, null when it cannot be read. */
  read(at: number): Promise<Buffer | null> {
    const bytes = Math.min(BLOCK_BYTES, this.written - at);
    if (bytes <= 0) return Promise.resolve(Buffer.alloc(0));
    const buffer = Buffer.allocUnsafeSlow(bytes);
    this.#users += 1;
    return new Promise((resolve) => {
      read(this.#fd, buffer, 0, bytes, at, (error, got) => {
        this.#leave();
        resolve(error === null && got === bytes ? buffer : null);
      });
    });
  }

  /** The body is whole. Throws the error of the file system when the rest cannot be written: then abort. */
  finish(low: number, high: number): LargePointer {
    const table = Buffer.alloc(this.#checksums.length * 4 + FOOTER_BYTES);
    for (const [i, checksum] of this.#checksums.entries()) table.writeUInt32LE(checksum, i * 4);
    const footer = table.length - FOOTER_BYTES;
    table.writeUInt32LE(MAGIC, footer);
    table.writeUInt32LE(this.#checksums.length, footer + 4);
    table.writeDoubleLE(this.written, footer + 8);
    table.writeUInt32LE(low, footer + 16);
    table.writeUInt32LE(high, footer + 20);
    table.writeUInt32LE(crc32(table.subarray(0, footer + 24)), footer + 24);
    if (writeSync(this.#fd, table, 0, table.length, this.written) < table.length) throw new Error("the disk is full");
    renameSync(this.#temporary, largePath(this.#folder, this.#name));
    return { name: this.#name, bytes: this.written };
  }

  /** Removes what there is of the file, unless it is finished. Readers that follow come to the end of what is written. */
  abort(): void {
    rmSync(this.#temporary, { force: true });
  }

  /** Nobody reads or writes any more; what is under way comes to its end. */
  close(): void {
    this.#leave();
  }

  get #temporary(): string {
    return largePath(this.#folder, this.#name) + UNFINISHED_ENDING;
  }

  #count(chunk: Buffer): void {
    for (let from = 0; from < chunk.length; ) {
      const block = Math.floor(this.written / BLOCK_BYTES);
      const end = Math.min(chunk.length, from + (block + 1) * BLOCK_BYTES - this.written);
      if (block === this.#checksums.length) this.#board.grow(1);
      this.#checksums[block] = crc32(chunk.subarray(from, end), this.#checksums[block] ?? 0);
      this.written += end - from;
      from = end;
    }
  }

  #leave(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    closeSync(this.#fd);
    this.#board.grow(-this.#checksums.length);
  }
}

export interface LargeFooter {
  readonly bytes: number;
  readonly low: number;
  readonly high: number;
  readonly checksums: Uint32Array;
}

/** What lies behind the body, or null when the file is not as it was written, or cannot be read. */
function readFooter(fd: number): LargeFooter | null {
  try {
    return footerOf(fd);
  } catch {
    return null;
  }
}

function footerOf(fd: number): LargeFooter | null {
  const { size } = fstatSync(fd);
  const footer = Buffer.alloc(FOOTER_BYTES);
  if (size < FOOTER_BYTES || readSync(fd, footer, 0, FOOTER_BYTES, size - FOOTER_BYTES) < FOOTER_BYTES) return null;
  const [blocks, bytes] = [footer.readUInt32LE(4), footer.readDoubleLE(8)];
  const isOurs = footer.readUInt32LE(0) === MAGIC && blocks === Math.ceil(bytes / BLOCK_BYTES);
  if (!isOurs || bytes + blocks * 4 + FOOTER_BYTES !== size) return null;
  const table = Buffer.alloc(blocks * 4 + FOOTER_BYTES);
  if (readSync(fd, table, 0, table.length, bytes) < table.length) return null;
  if (crc32(table.subarray(0, -4)) !== table.readUInt32LE(table.length - 4)) return null;
  const checksums = Uint32Array.from({ length: blocks }, (_, i) => table.readUInt32LE(i * 4));
  return { bytes, low: footer.readUInt32LE(16), high: footer.readUInt32LE(20), checksums };
}

/** The footer of a file by its name, or null when it is gone or damaged. */
export function largeFooter(folder: string, name: string): LargeFooter | null {
  let fd: number;
  try {
    fd = openSync(largePath(folder, name), "r");
  } catch {
    return null;
  }
  try {
    return readFooter(fd);
  } finally {
    closeSync(fd);
  }
}

/** A whole body that is read. It stays readable when its file is removed meanwhile. */
export class LargeBody {
  readonly bytes: number;
  readonly #fd: number;
  readonly #checksums: Uint32Array;
  #users = 1;

  private constructor(fd: number, { bytes, checksums }: LargeFooter) {
    this.#fd = fd;
    this.bytes = bytes;
    this.#checksums = checksums;
  }

  /** The body that a pointer leads to, or null when it is gone or damaged. */
  static open(folder: string, { name, bytes }: LargePointer): LargeBody | null {
    let fd: number;
    try {
      fd = openSync(largePath(folder, name), "r");
    } catch {
      return null;
    }
    const footer = readFooter(fd);
    if (footer !== null && footer.bytes === bytes) return new LargeBody(fd, footer);
    closeSync(fd);
    return null;
  }

  /** From `at` to the end of its block, checked; empty at the end of the body, null for damage. */
  read(at: number): Promise<Buffer | null> {
    const block = Math.floor(at / BLOCK_BYTES);
    const start = block * BLOCK_BYTES;
    const bytes = Math.min(BLOCK_BYTES, this.bytes - start);
    if (at >= this.bytes) return Promise.resolve(Buffer.alloc(0));
    const buffer = Buffer.allocUnsafeSlow(bytes);
    this.#users += 1;
    return new Promise((resolve) => {
      read(this.#fd, buffer, 0, bytes, start, (error, got) => {
        this.close();
        const isGood = error === null && got === bytes && crc32(buffer) === this.#checksums[block];
        resolve(isGood ? buffer.subarray(at - start) : null);
      });
    });
  }

  close(): void {
    this.#users -= 1;
    if (this.#users === 0) closeSync(this.#fd);
  }
}
