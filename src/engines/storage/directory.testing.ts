// One of the threads of directory.test.ts: claims the keys of each round as soon as the round begins.
import { workerData } from "node:worker_threads";
import { Directory, NOBODY } from "./directory.ts";

export interface RaceData {
  readonly memory: SharedArrayBuffer;
  /** [round, threads ready for it or done with it, …]; wins by round and key behind it. */
  readonly board: SharedArrayBuffer;
  readonly worker: number;
  readonly threads: number;
  readonly rounds: number;
  readonly keys: number;
}

export const BOARD_ARRIVED = 0;
export const BOARD_WRONG = 1;
export const BOARD_WINS = 2;

function race({ memory, board, worker, threads, rounds, keys }: RaceData): void {
  const directory = new Directory(memory, worker);
  const counts = new Int32Array(board);
  for (let round = 0; round < rounds; round += 1) {
    Atomics.add(counts, BOARD_ARRIVED, 1);
    while (Atomics.load(counts, BOARD_ARRIVED) < (round + 1) * threads); // all begin together
    for (let key = 0; key < keys; key += 1) {
      // Threads go through the keys in different orders, so that they meet in the midst of things.
      const mine = (key * (worker * 2 + 1)) % keys;
      const low = Math.imul(round * keys + mine, 0x9e3779b1);
      const owner = directory.claim(low, (mine + 1) << 12);
      if (owner === worker) Atomics.add(counts, BOARD_WINS + round * keys + mine, 1);
      else if (owner === NOBODY) Atomics.add(counts, BOARD_WRONG, 1);
    }
  }
}

if (workerData !== null && workerData !== undefined) race(workerData as RaceData);
