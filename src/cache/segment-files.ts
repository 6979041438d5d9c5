// The segments that a thread has open for reading. A file is closed when its segment is gone, or for one that is newer,
// but never while it is being read from.
import { closeSync, openSync } from "node:fs";
import { segmentPath } from "./disk-folder.ts";

/** Open files of one thread: with 64 MB each, 16 GB can be read without opening any. */
const FILES_MAX = 256;

export class SegmentFile {
  readonly number: number;
  readonly fd: number;
  /** Reads that are under way. */
  readers = 0;
  isDone = false;

  constructor(number: number, fd: number) {
    this.number = number;
    this.fd = fd;
  }
}

export class SegmentFiles {
  readonly #folder: string;
  readonly #open = new Map<number, SegmentFile>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The file of a segment, or null when it is gone. `oldest` is the oldest segment that is there. */
  get(number: number, oldest: number): SegmentFile | null {
    const known = this.#open.get(number);
    if (known !== undefined) return known;
    this.#makeRoom(oldest);
    try {
      const file = new SegmentFile(number, openSync(segmentPath(this.#folder, number), "r"));
      this.#open.set(number, file);
      return file;
    } catch {
      return null; // evicted since the look into the index, or not to be read: no answer either way
    }
  }

  /** A read that was counted in `readers` is over. */
  left(file: SegmentFile): void {
    file.readers -= 1;
    if (file.isDone && file.readers === 0) closeSync(file.fd);
  }

  close(): void {
    for (const file of this.#open.values()) this.#done(file);
  }

  /** Closes the files of segments that are gone: they take room on the disk until then. */
  forget(oldest: number): void {
    for (const file of this.#open.values()) if (file.number < oldest) this.#done(file);
  }

  #makeRoom(oldest: number): void {
    this.forget(oldest);
    if (this.#open.size < FILES_MAX) return;
    let first: SegmentFile | null = null;
    for (const file of this.#open.values()) if (first === null || file.number < first.number) first = file;
    this.#done(first!);
  }

  #done(file: SegmentFile): void {
    this.#open.delete(file.number);
    file.isDone = true;
    if (file.readers === 0) closeSync(file.fd);
  }
}
