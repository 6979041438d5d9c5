// A thread of disk-index.test.ts: reads one bucket after the other while the test writes them, and counts what does not
// belong together.
import { workerData } from "node:worker_threads";
import { DiskIndex, Place } from "./disk-index.ts";

export interface ReaderData {
  readonly memory: SharedArrayBuffer;
  /** [stop, reads that found something, torn reads] */
  readonly board: SharedArrayBuffer;
  readonly keys: number;
}

export const BOARD_STOP = 0;
export const BOARD_FOUND = 1;
export const BOARD_TORN = 2;

/** Both halves of the hash of a key. */
export const lowOf = (key: number): number => Math.imul(key + 1, 0x9e3779b1) >>> 0;
export const highOf = (key: number): number => Math.imul(key + 1, 0x85ebca6b) >>> 0;

function readOn({ memory, board, keys }: ReaderData): void {
  const counts = new Int32Array(board);
  const index = new DiskIndex(memory);
  const place = new Place();
  for (let key = 0; Atomics.load(counts, BOARD_STOP) === 0; key = (key + 1) % keys) {
    if (!index.find(lowOf(key), highOf(key), place)) continue;
    Atomics.add(counts, BOARD_FOUND, 1);
    // The writer gives a key the same number three times, with the key added.
    if (place.offset - place.segment !== key || place.bytes - place.offset !== key) Atomics.add(counts, BOARD_TORN, 1);
  }
}

if (workerData !== null && workerData !== undefined) readOn(workerData as ReaderData);
