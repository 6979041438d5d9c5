// When the disk itself has what was written, which is lost otherwise if the system stops: for purges at once, for what
// requests have changed within a second. What is merely stored can wait for the system, as losing it costs nothing.
import { fdatasyncSync } from "node:fs";
import type { DiskBoard } from "./disk-board.ts";
import type { DiskFolder } from "./disk-folder.ts";

/** What has changed is brought to the disk this often. */
const SYNC_MS = 1000;

export class DiskSync {
  readonly #folder: DiskFolder;
  readonly #board: DiskBoard;
  /** Changes that the disk has, and when it was last asked to take them. */
  #changed = 0;
  #syncedAt = Number.NEGATIVE_INFINITY;
  /** Segments that the disk may not have whole. */
  readonly #sealed = new Set<number>();

  constructor(folder: DiskFolder, board: DiskBoard) {
    this.#folder = folder;
    this.#board = board;
  }

  /** A segment has been written to its end. */
  sealed(number: number): void {
    this.#sealed.add(number);
  }
  /** A segment is gone. */
  gone(number: number): void {
    this.#sealed.delete(number);
  }

  /** Brings all to the disk, that of an open segment too. Throws the error of the file system. */
  all(fd: number | null): void {
    if (fd !== null) fdatasyncSync(fd);
    for (const number of this.#sealed) this.#folder.syncSegment(number);
    this.#sealed.clear();
    this.#changes();
  }

  /** Brings what has changed to the disk, if that is due. Throws the error of the file system. */
  sometimes(now: number): void {
    if (this.#board.changed === this.#changed || now - this.#syncedAt < SYNC_MS) return;
    this.#syncedAt = now;
    this.#changes();
  }

  #changes(): void {
    this.#changed = this.#board.changed;
    this.#folder.syncChanges();
  }
}
