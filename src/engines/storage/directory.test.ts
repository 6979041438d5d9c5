import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { BOARD_WINS, BOARD_WRONG, type RaceData } from "./directory.testing.ts";
import { Directory, NOBODY } from "./directory.ts";

const KEYS = 512;
const HIGH = 0x7e55_5000;
const BELOW = 0x3ff; // bits of the hash that are no part of the print

const pair = (): [Directory, Directory] => {
  const memory = Directory.memory(KEYS);
  return [new Directory(memory, 3), new Directory(memory, 255)];
};

describe("one after the other", () => {
  test("nobody has what nobody claimed", () => {
    expect(pair()[0].holder(1, HIGH)).toBe(NOBODY);
  });

  test("the first who claims gets it, and all see that", () => {
    const [a, b] = pair();
    expect(a.claim(1, HIGH)).toBe(3);
    expect(b.claim(1, HIGH)).toBe(3);
    expect([a.holder(1, HIGH), b.holder(1, HIGH)]).toEqual([3, 3]);
    a.held(1, HIGH);
    expect(b.claim(1, HIGH)).toBe(3);
  });

  test("what is released is free", () => {
    const [a, b] = pair();
    a.claim(1, HIGH);
    b.release(1, HIGH); // not its own
    expect(b.holder(1, HIGH)).toBe(3);
    a.release(1, HIGH);
    expect(b.claim(1, HIGH)).toBe(255);
  });

  test("other keys are other keys", () => {
    const [a, b] = pair();
    a.claim(1, HIGH);
    expect(b.claim(2, HIGH)).toBe(255);
    expect(b.claim(1, HIGH ^ 0x8000_0000)).toBe(255);
    expect(b.claim(1, HIGH ^ (BELOW + 1))).toBe(255);
    expect(b.claim(1, HIGH ^ 1)).toBe(3); // the print has 22 bits
  });

  test("a worker takes its own key again", () => {
    const [a] = pair();
    a.claim(1, HIGH);
    a.held(1, HIGH);
    expect(a.claim(1, HIGH)).toBe(3);
  });

  test("what a worker got elsewhere can be made known", () => {
    const [a, b] = pair();
    a.held(1, HIGH);
    expect(b.holder(1, HIGH)).toBe(3);
  });

  test("all of a worker is forgotten", () => {
    const [a, b] = pair();
    for (let key = 0; key < 50; key += 1) (key % 2 === 0 ? a : b).claim(key, HIGH);
    a.forget(255);
    for (let key = 0; key < 50; key += 1) expect(a.holder(key, HIGH)).toBe(key % 2 === 0 ? 3 : NOBODY);
  });
});

test("there is room for 256 workers", () => {
  expect(() => new Directory(Directory.memory(KEYS), 256)).toThrow("worker 256");
});

describe("a full bucket", () => {
  const prints = Array.from({ length: 8 }, (_, i) => (i + 1) << 10);

  test("of fills has no room, and keeps them all", () => {
    const [a, b] = pair();
    for (const print of prints) expect(a.claim(1, print)).toBe(3);
    expect(b.claim(1, 9 << 10)).toBe(NOBODY);
    b.held(1, 9 << 10);
    for (const print of prints) expect(b.holder(1, print)).toBe(3);
  });

  test("gives up what is held for a fill", () => {
    const [a, b] = pair();
    for (const print of prints) a.claim(1, print);
    a.held(1, prints[5]!);
    expect(b.claim(1, 9 << 10)).toBe(255);
    expect(b.holder(1, prints[5]!)).toBe(NOBODY);
    expect(b.holder(1, 9 << 10)).toBe(255);
  });
});

test("of threads that claim at once, exactly one gets each key", async () => {
  const [threads, rounds, keys] = [4, 40, 64];
  const board = new SharedArrayBuffer((BOARD_WINS + rounds * keys) * 4);
  // Small, so that buckets are shared by keys of several rounds, and claims meet in them.
  const memory = Directory.memory(rounds * keys);
  const workers = Array.from({ length: threads }, (_, worker) => {
    const workerData: RaceData = { memory, board, worker, threads, rounds, keys };
    return new Worker(new URL("./directory.testing.ts", import.meta.url), { workerData });
  });
  const ends = await Promise.all(workers.map((worker) => once(worker, "exit")));
  expect(ends.map(([code]) => code)).toEqual([0, 0, 0, 0]);
  const wins = new Int32Array(board);
  expect(wins[BOARD_WRONG]).toBe(0);
  expect([...new Set(wins.subarray(BOARD_WINS))]).toEqual([1]);
}, 20_000);
