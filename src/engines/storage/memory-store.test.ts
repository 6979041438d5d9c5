import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Rng } from "../../core/fuzz.testing.ts";
import { ENTRY_OVERHEAD_BYTES, ENTRY_SHARE, MemoryStore } from "./memory-store.ts";
import { lruHits, storeHits, zipfTrace } from "./trace.testing.ts";

const ROOM = 1000 * ENTRY_OVERHEAD_BYTES;
const noted: string[] = [];
const note = (key: string): void => void noted.push(key);
const store = (bytes = ROOM): MemoryStore<string> => new MemoryStore<string>(bytes, note);

describe("entries", () => {
  test("are found, replaced and deleted", () => {
    const s = store();
    expect(s.get("a")).toBeUndefined();
    expect(s.put("a", "one", 10)).toBe(true);
    expect(s.get("a")).toBe("one");
    s.put("a", "two", 20);
    expect([s.get("a"), s.entries, s.bytes]).toEqual(["two", 1, 20 + 1 + ENTRY_OVERHEAD_BYTES]);
    expect([s.delete("a"), s.delete("a"), s.peek("a")]).toEqual([true, false, undefined]);
    expect(s.stats()).toEqual({ hits: 2, misses: 1, evictions: 0, entries: 0, bytes: 0, bytesMax: ROOM });
  });

  test("above an eighth are refused, and what was there goes", () => {
    const s = store();
    s.put("a", "small", 1);
    const max = s.valueBytesMax(1);
    expect(max).toBe(ROOM * ENTRY_SHARE - 1 - ENTRY_OVERHEAD_BYTES);
    expect(s.put("a", "large", max + 1)).toBe(false);
    expect([s.peek("a"), s.bytes, s.entries]).toEqual([undefined, 0, 0]);
    expect(s.put("a", "fits", max)).toBe(true);
  });

  test("are told when they leave for others, and only then", () => {
    const s = store(ENTRY_OVERHEAD_BYTES * 16);
    noted.length = 0;
    for (let i = 0; i < 20; i += 1) s.put(`k${i}`, "", 0);
    const evicted = [...noted];
    expect(evicted.length).toBe(20 - s.entries);
    for (const key of evicted) expect(s.peek(key)).toBeUndefined();
    s.put("k19", "again", 0);
    s.delete("k19");
    s.clear();
    expect(noted).toEqual(evicted);
    expect([s.entries, s.bytes]).toEqual([0, 0]);
  });

  test("a replaced entry keeps its place, even where others have to leave for it", () => {
    const s = store(ENTRY_OVERHEAD_BYTES * 16);
    for (let i = 0; i < 15; i += 1) s.put(`k${i}`, "", 0);
    expect(s.put("k0", "bigger", ENTRY_OVERHEAD_BYTES - 10)).toBe(true);
    expect(s.peek("k0")).toBe("bigger");
    expect(s.bytes).toBeLessThanOrEqual(ENTRY_OVERHEAD_BYTES * 16);
  });
});

test("a smaller limit holds at once", () => {
  const s = store();
  for (let i = 0; i < 900; i += 1) s.put(`k${i}`, "", 0);
  for (let i = 0; i < 1800; i += 1) s.get(`k${i % 900}`);
  s.resize(ROOM / 2);
  expect(s.bytes).toBeLessThanOrEqual(ROOM / 2);
  expect(s.entries).toBeGreaterThan(400);
  s.resize(0);
  expect([s.bytes, s.entries, s.put("a", "", 0)]).toEqual([0, 0, false]);
});

describe("a sweep", () => {
  const filled = (): MemoryStore<string> => {
    const s = store();
    for (let i = 0; i < 100; i += 1) s.put(`/${i % 2 === 0 ? "even" : "odd"}/${i}`, "", 0);
    return s;
  };

  test("deletes in steps what it is told to", () => {
    const s = filled();
    const sweep = s.sweep((key) => key.startsWith("/odd/"));
    const done = Array.from({ length: 4 }, () => sweep.step(30));
    expect([done, sweep.removed, s.entries]).toEqual([[false, false, false, true], 50, 50]);
    expect(sweep.step(30)).toBe(true);
  });

  test("leaves alone what came after it began, and ends under traffic", () => {
    const s = filled();
    const sweep = s.sweep(() => true);
    let added = 0;
    for (let steps = 0; !sweep.step(7); steps += 1) {
      expect(steps).toBeLessThan(100);
      for (let i = 0; i < 10; i += 1) s.put(`/new/${added++}`, "", 0);
    }
    expect([sweep.removed, s.entries]).toEqual([100, added]);
  });

  test("copes with entries that go meanwhile", () => {
    const s = filled();
    const sweep = s.sweep(() => true);
    sweep.step(10);
    s.clear();
    expect(sweep.step(200)).toBe(true);
    expect(sweep.removed).toBe(10);
  });
});

test("holds what was put and not evicted, never above its bytes", () => {
  const step = fc.record({
    key: fc.integer({ min: 0, max: 30 }).map(String),
    what: fc.constantFrom("put", "put", "put", "get", "get", "delete", "resize"),
    bytes: fc.integer({ min: 0, max: 3 * ENTRY_OVERHEAD_BYTES }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const model = new Map<string, number>();
      let evictions = 0;
      let max = 24 * ENTRY_OVERHEAD_BYTES;
      const s = new MemoryStore<number>(max, (key, value) => {
        expect(model.get(key)).toBe(value);
        model.delete(key);
        evictions += 1;
      });
      for (const [i, { key, what, bytes }] of steps.entries()) {
        if (what === "put") {
          model.delete(key); // the old value may not be evicted any more
          if (s.put(key, i, bytes)) model.set(key, i);
          else expect(bytes).toBeGreaterThan(s.valueBytesMax(key.length));
        } else if (what === "get") expect(s.get(key)).toBe(model.get(key)!);
        else if (what === "delete") expect(s.delete(key)).toBe(model.delete(key));
        else s.resize((max = (bytes + 8) * 16));
        expect(s.bytes).toBeLessThanOrEqual(max);
        expect(s.entries).toBe(model.size);
      }
      for (const [key, value] of model) expect(s.peek(key)).toBe(value);
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
    const hot = Array.from({ length: 700 }, (_, i) => `hot${i}`);
    for (let round = 0; round < 4; round += 1) for (const key of hot) if (s.get(key) === undefined) s.put(key, "", 0);
    for (let i = 0; i < 200_000; i += 1) {
      s.put(`scan${i}`, "", 0);
      if (s.bytes > ROOM) throw new Error(`${s.bytes} bytes`);
    }
    const left = hot.filter((key) => s.peek(key) !== undefined).length;
    expect(left).toBeGreaterThan(hot.length * 0.9);
  });

  test("who comes back after leaving the small queue goes to the main one", () => {
    const s = store();
    s.put("back", "", 0);
    let scanned = 0;
    const scan = (count: number): void => {
      for (let i = 0; i < count; i += 1) s.put(`scan${scanned++}`, "", 0);
    };
    scan(1100);
    expect(s.peek("back")).toBeUndefined();
    s.put("back", "", 0);
    scan(700); // more than the small queue, less than the main one
    expect(s.peek("back")).toBe("");
  });
});
