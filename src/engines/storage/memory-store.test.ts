import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Rng } from "../../core/fuzz.testing.ts";
import { ENTRY_OVERHEAD_BYTES, ENTRY_SHARE, MemoryStore, NONE, SLOT_BYTES } from "./memory-store.ts";
import { lruHits, storeHits, zipfTrace } from "./trace.testing.ts";

/** A value of one slot's bytes. */
const ONE = SLOT_BYTES - ENTRY_OVERHEAD_BYTES;
const ROOM = 1000 * SLOT_BYTES;
const noted: number[] = [];
const store = (bytes = ROOM): MemoryStore => new MemoryStore(bytes, (_slot, value) => void noted.push(value));
/** Keys that differ in the upper half alone share a bucket. */
const HIGH = 7;

const put = (s: MemoryStore, key: number, bytes = ONE): number => s.put(key, HIGH, key, bytes);
const has = (s: MemoryStore, key: number): boolean => s.find(key, HIGH) !== NONE;
/** As a request asks for it. */
function get(s: MemoryStore, key: number): boolean {
  const slot = s.find(key, HIGH);
  s.touch(slot);
  return slot !== NONE;
}

describe("entries", () => {
  test("are found, replaced and removed", () => {
    const s = store();
    expect(get(s, 5)).toBe(false);
    const slot = put(s, 5, 10);
    expect([get(s, 5), s.value(slot)]).toEqual([true, 5]);
    expect(s.put(5, HIGH, 6, 20)).toBe(slot);
    expect([s.value(slot), s.entries, s.bytes]).toEqual([6, 1, 20 + ENTRY_OVERHEAD_BYTES]);
    s.remove(slot);
    expect([has(s, 5), s.nextSlot(0, s.slotsEnd)]).toEqual([false, s.slotsEnd]);
    expect(s.stats()).toEqual({ hits: 1, misses: 1, evictions: 0, entries: 0, bytes: 0, bytesMax: ROOM });
  });

  test("are told apart by both halves of the hash", () => {
    const s = store();
    for (let high = 1; high <= 5; high += 1) s.put(1, high, high, ONE);
    s.remove(s.find(1, 3));
    s.remove(s.find(1, 5));
    expect([1, 2, 3, 4, 5].map((high) => s.find(1, high) !== NONE)).toEqual([true, true, false, true, false]);
    expect(s.value(s.find(1, 4))).toBe(4);
  });

  test("take an eighth of the store at most", () => {
    expect(store().valueBytesMax).toBe(ROOM * ENTRY_SHARE - ENTRY_OVERHEAD_BYTES);
  });

  test("are told when they leave for others, and only then", () => {
    const s = store(SLOT_BYTES * 16);
    noted.length = 0;
    for (let key = 1; key <= 20; key += 1) put(s, key);
    const evicted = [...noted];
    expect(evicted.length).toBe(20 - s.entries);
    for (const key of evicted) expect(has(s, key)).toBe(false);
    put(s, 20);
    s.remove(s.find(20, HIGH));
    expect(noted).toEqual(evicted);
  });

  test("a replaced entry keeps its place, even where others have to leave for it", () => {
    const s = store(SLOT_BYTES * 16);
    for (let key = 1; key <= 15; key += 1) put(s, key);
    const slot = s.find(1, HIGH);
    expect(put(s, 1, 2 * SLOT_BYTES - 10)).toBe(slot);
    expect([has(s, 1), s.bytes <= SLOT_BYTES * 16]).toEqual([true, true]);
    s.recount(slot, ONE);
    expect(s.bytes).toBe(s.entries * SLOT_BYTES);
  });

  test("smaller ones than slots are made for leave earlier", () => {
    const s = store();
    for (let key = 1; key <= 5000; key += 1) put(s, key, 1);
    expect(s.entries).toBe(1000);
  });
});

test("a smaller limit holds at once, and so does a larger one", () => {
  const s = store();
  for (let key = 1; key <= 900; key += 1) put(s, key);
  for (let i = 0; i < 1800; i += 1) get(s, (i % 900) + 1);
  s.resize(ROOM / 2);
  expect(s.bytes).toBeLessThanOrEqual(ROOM / 2);
  expect(s.entries).toBeGreaterThan(400);
  s.resize(0);
  expect([s.bytes, s.entries, s.valueBytesMax < 0]).toEqual([0, 0, true]);
  s.resize(20 * ROOM);
  for (let key = 1; key <= 15_000; key += 1) put(s, key);
  expect([s.entries, has(s, 1), has(s, 15_000)]).toEqual([15_000, true, true]);
});

test("a walk meets each entry once, and those that come meanwhile do not make it longer", () => {
  const s = store();
  for (let key = 1; key <= 100; key += 1) put(s, key);
  const met: number[] = [];
  const end = s.slotsEnd;
  for (let slot = s.nextSlot(0, end); slot < end; slot = s.nextSlot(slot + 1, end)) {
    met.push(s.value(slot));
    put(s, 1000 + met.length);
  }
  expect(met.sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
});

test("holds what was put and not evicted, never above its bytes", () => {
  const step = fc.record({
    key: fc.integer({ min: 0, max: 30 }),
    what: fc.constantFrom("put", "put", "put", "get", "get", "remove", "recount", "resize"),
    bytes: fc.integer({ min: 0, max: 3 * SLOT_BYTES }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const model = new Map<number, number>();
      let evictions = 0;
      let max = 40 * SLOT_BYTES;
      const s = new MemoryStore(max, (slot, value) => {
        expect(model.get(value)).toBe(slot);
        model.delete(value);
        evictions += 1;
      });
      for (const { key, what, bytes } of steps) {
        const slot = s.find(key, HIGH);
        expect(slot).toBe(model.get(key) ?? NONE);
        if (what === "put") {
          if (bytes <= s.valueBytesMax) model.set(key, put(s, key, bytes));
        } else if (what === "get") get(s, key);
        else if (what === "resize") s.resize((max = (bytes + 8) * 40));
        else if (slot === NONE) continue;
        else if (what === "recount") s.recount(slot, bytes);
        else {
          s.remove(slot);
          model.delete(key);
        }
        expect(s.bytes).toBeLessThanOrEqual(max);
        expect(s.entries).toBe(model.size);
      }
      for (const [key, slot] of model) expect([s.find(key, HIGH), s.value(slot)]).toEqual([slot, key]);
      expect(s.stats().evictions).toBe(evictions);
    }),
    { numRuns: 200 },
  );
});

describe("what is worth keeping", () => {
  test.each([0.7, 0.9, 1.1])("beats LRU of the same size on a Zipf trace of exponent %p", (exponent) => {
    const trace = zipfTrace(new Rng(7), 20_000, 150_000, exponent);
    const room = 2000;
    const [ours, lru] = [storeHits(trace, room), lruHits(trace, room)];
    expect(ours / lru).toBeGreaterThan(1.02);
  });

  test("a scan does not push out what is used", () => {
    const s = store();
    const hot = Array.from({ length: 700 }, (_, i) => i + 1);
    for (let round = 0; round < 4; round += 1) for (const key of hot) if (!get(s, key)) put(s, key);
    for (let i = 0; i < 200_000; i += 1) {
      put(s, 10_000 + i);
      if (s.bytes > ROOM) throw new Error(`${s.bytes} bytes`);
    }
    const left = hot.filter((key) => has(s, key)).length;
    expect(left).toBeGreaterThan(hot.length * 0.9);
  });

  test("who comes back after leaving the small queue goes to the main one", () => {
    const s = store();
    put(s, 1);
    let scanned = 10_000;
    const scan = (count: number): void => {
      for (let i = 0; i < count; i += 1) put(s, scanned++);
    };
    scan(1100);
    expect(has(s, 1)).toBe(false);
    put(s, 1);
    scan(700); // more than the small queue, less than the main one
    expect(has(s, 1)).toBe(true);
  });
});
