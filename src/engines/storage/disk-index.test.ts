import { describe, expect, test } from "bun:test";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { BOARD_FOUND, BOARD_STOP, BOARD_TORN, highOf, lowOf, type ReaderData } from "./disk-index.testing.ts";
import { DiskIndex, Place } from "./disk-index.ts";
import { decodeSnapshot, encodeSnapshot, type SegmentState } from "./snapshot.ts";

const made = (entries: number): DiskIndex => new DiskIndex(DiskIndex.memory(entries));
const found = (index: DiskIndex, key: number): number[] | null => {
  const place = new Place();
  return index.find(lowOf(key), highOf(key), place) ? [place.segment, place.offset, place.bytes] : null;
};

describe("the index", () => {
  test("says the same as a map", () => {
    const step = fc.tuple(fc.constantFrom("set", "set", "delete"), fc.nat(40), fc.nat(1000));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const index = made(1000);
        const model = new Map<number, number>();
        for (const [what, key, value] of steps) {
          if (what === "set") {
            index.set(lowOf(key), highOf(key), value, value + 1, value + 2);
            model.set(key, value);
          } else expect(index.delete(lowOf(key), highOf(key))).toBe(model.delete(key));
          expect(index.entries).toBe(model.size);
        }
        for (let key = 0; key <= 40; key += 1) {
          const value = model.get(key);
          expect(found(index, key)).toEqual(value === undefined ? null : [value, value + 1, value + 2]);
          expect(index.has(lowOf(key), highOf(key))).toBe(value !== undefined);
        }
      }),
    );
  });

  test("takes 24 bytes for each of a million entries", () => {
    expect(DiskIndex.memory(1_000_000).byteLength).toBeLessThan(25_000_000);
  });

  test("has room for all that it was made for", () => {
    const index = made(100_000);
    for (let key = 0; key < 100_000; key += 1) index.set(lowOf(key), highOf(key), 1, key, 1);
    let missing = 0;
    for (let key = 0; key < 100_000; key += 1) if (found(index, key) === null) missing += 1;
    expect(missing).toBeLessThan(100);
  });

  test("over its size, gives up entries of the oldest segments", () => {
    const index = made(100);
    for (let key = 0; key < 2000; key += 1) index.set(lowOf(key), highOf(key), key, 0, 1);
    expect(index.entries).toBe(index.slots);
    expect(found(index, 1999)).toEqual([1999, 0, 1]);
    for (let key = 0; key < 500; key += 1) expect(found(index, key)).toBeNull();
  });

  test("a hash of zeros is one like others", () => {
    const index = made(10);
    index.set(0, 0, 1, 2, 3);
    const place = new Place();
    expect([index.find(0, 0, place), place.bytes, index.find(0, 5, place)]).toEqual([true, 3, false]);
  });

  test("remembers what was used until it is written again", () => {
    const index = made(10);
    index.set(1, 1, 1, 1, 1);
    const place = new Place();
    index.find(1, 1, place);
    expect(index.wasUsed(place.slot)).toBe(false);
    index.touch(place.slot);
    expect(index.wasUsed(place.slot)).toBe(true);
    index.set(1, 1, 2, 1, 1);
    expect(index.wasUsed(place.slot)).toBe(false);
  });

  test("a reader in another thread never sees halves of two writes", async () => {
    const memory = DiskIndex.memory(64);
    const board = new SharedArrayBuffer(12);
    const counts = new Int32Array(board);
    const workerData: ReaderData = { memory, board, keys: 8 };
    const worker = new Worker(new URL("./disk-index.testing.ts", import.meta.url), { workerData });
    const index = new DiskIndex(memory);
    const until = performance.now() + 10_000;
    for (let value = 1; Atomics.load(counts, BOARD_FOUND) < 200_000 && performance.now() < until; value += 1) {
      const key = value % 8;
      const at = value % 1_000_000;
      if (value % 11 === 0) index.delete(lowOf(key), highOf(key));
      else index.set(lowOf(key), highOf(key), at, at + key, at + key * 2);
    }
    Atomics.store(counts, BOARD_STOP, 1);
    await once(worker, "exit");
    expect(counts[BOARD_TORN]).toBe(0);
    expect(counts[BOARD_FOUND]).toBeGreaterThanOrEqual(200_000);
  }, 20_000);
});

describe("a snapshot", () => {
  const SEED = 0xfeed_0000_beefn;
  const SEGMENTS: readonly SegmentState[] = [
    { number: 7, birth: 0xffff_ffff, bytes: 1000 },
    { number: 8, birth: 5, bytes: 2000 },
  ];
  const filled = (): DiskIndex => {
    const index = made(500);
    for (let key = 0; key < 300; key += 1) index.set(lowOf(key), highOf(key), 7 + (key % 2), key * 3, key);
    return index;
  };

  test("restores the entries of the segments that are there", () => {
    const bytes = encodeSnapshot(filled(), SEED, SEGMENTS);
    const shifted = Buffer.concat([Buffer.from("x"), bytes]).subarray(1);
    const snapshot = decodeSnapshot(shifted, filled().buckets, SEED)!;
    expect(snapshot.segments).toEqual(SEGMENTS);
    const index = made(500);
    snapshot.restore(index, (segment) => segment === 8);
    expect(index.entries).toBe(150);
    for (let key = 0; key < 300; key += 1) expect(found(index, key)).toEqual(key % 2 === 1 ? [8, key * 3, key] : null);
  });

  test("of another size or seed, or damaged, is none", () => {
    const bytes = encodeSnapshot(filled(), SEED, SEGMENTS);
    const { buckets } = filled();
    expect(decodeSnapshot(bytes, buckets + 1, SEED)).toBeNull();
    expect(decodeSnapshot(bytes, buckets, SEED + 1n)).toBeNull();
    for (let end = 0; end < bytes.length; end += 1)
      expect(decodeSnapshot(bytes.subarray(0, end), buckets, SEED)).toBeNull();
    for (let at = 0; at < bytes.length; at += 1) {
      const damaged = Buffer.from(bytes);
      damaged[at]! ^= 1 << (at & 7);
      if (decodeSnapshot(damaged, buckets, SEED) !== null) throw new Error(`damage at ${at} was not seen`);
    }
  });
});
