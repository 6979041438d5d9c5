import { describe, expect, test } from "bun:test";
import { Rng } from "../../core/fuzz.testing.ts";
import { SLOTS } from "./buckets.ts";
import { GcraTable } from "./gcra.ts";

const tableOf = (intervalMs: number, burst: number, keys = 1000): GcraTable =>
  new GcraTable(new SharedArrayBuffer(GcraTable.bytes(keys)), { intervalMs, burst });

/** How many of `times` requests at `nowMs` are let through. */
const taken = (table: GcraTable, times: number, nowMs: number, key = 1, cost = 1): number => {
  let allowed = 0;
  for (let i = 0; i < times; i += 1) if (table.take(key, key, cost, nowMs)) allowed += 1;
  return allowed;
};

describe("one key", () => {
  const CASES: readonly (readonly [name: string, intervalMs: number, burst: number, at: readonly number[]])[] = [
    ["100/s, burst 10", 10, 10, [10, 0, 1, 0, 2]],
    ["1/s, burst 1", 1000, 1, [1, 0, 0, 0, 0]],
    ["10/m, burst 3", 6000, 3, [3, 0, 0, 0, 0]],
    ["1000000/s, burst 1000", 0.001, 1000, [1000, 1000, 1000, 1000, 1000]],
  ];
  const TIMES = [0, 5, 10, 15, 30];
  for (const [name, intervalMs, burst, want] of CASES)
    test(name, () => {
      const table = tableOf(intervalMs, burst);
      const got = TIMES.map((ms) => taken(table, burst + 1, 1000 + ms));
      expect(got).toEqual([...want]);
    });

  test("says what is left, when all is there again, and when to come back", () => {
    const table = tableOf(100, 4);
    expect([table.take(1, 1, 1, 0), table.remaining, table.resetMs]).toEqual([true, 3, 100]);
    expect([table.take(1, 1, 3, 0), table.remaining, table.resetMs]).toEqual([true, 0, 400]);
    expect([table.take(1, 1, 1, 50), table.remaining, table.resetMs, table.retryMs]).toEqual([false, 0, 350, 50]);
    expect([table.take(1, 1, 2, 50), table.retryMs]).toEqual([false, 150]);
    expect([table.take(1, 1, 1, 100), table.remaining]).toEqual([true, 0]);
  });

  test("what is given back can be taken again", () => {
    const table = tableOf(1000, 2);
    expect(taken(table, 3, 0)).toBe(2);
    table.giveBack(1, 1, 2);
    expect(taken(table, 3, 0)).toBe(2);
  });

  test("a refused request costs nothing", () => {
    const table = tableOf(10, 1);
    taken(table, 1, 0);
    for (let ms = 0; ms < 10; ms += 1) expect(taken(table, 100, ms)).toBe(0);
    expect(taken(table, 1, 10)).toBe(1);
  });

  test("the rate is that of the configuration, in any unit, over as many requests as one likes", () => {
    for (const [intervalMs, burst] of [
      [10, 10],
      [1000 / 7, 3],
      [0.003, 100_000],
      [86_400_000 / 50_000, 5000],
      [0.0017, 1],
    ] as const) {
      const table = tableOf(intervalMs, burst);
      let allowed = 0;
      const start = 123_456_789;
      taken(table, burst, start);
      const spanMs = intervalMs * 10_000;
      for (let i = 1; i <= 40_000; i += 1) if (table.take(1, 1, 1, start + (spanMs * i) / 40_000)) allowed += 1;
      expect(Math.abs(allowed - 10_000)).toBeLessThanOrEqual(2);
    }
  });

  test("a key that was away for any time has its whole burst again", () => {
    // Around the points where numbers of 32 bits begin anew, too: half of those there are lie in 2147 s.
    const aways = [100, 1000, 60_000, 2_147_483, 4_294_967, 4_295_000, 8_589_934, 100_000_000];
    for (const away of aways) {
      const table = tableOf(10, 5, 100);
      expect(taken(table, 6, 0)).toBe(5);
      for (let now = 60_000; now < away; now += 60_000) table.sweep(now, 60_000);
      expect([away, taken(table, 6, away)]).toEqual([away, 5]);
    }
  });
});

describe("many keys", () => {
  test("do not touch one another", () => {
    const table = tableOf(1000, 3, 10_000);
    const rng = new Rng(1);
    const keys = Array.from({ length: 1000 }, () => rng.below(2 ** 32));
    for (let round = 0; round < 3; round += 1) for (const key of keys) expect(taken(table, 1, 0, key)).toBe(1);
    for (const key of keys) expect(taken(table, 1, 0, key)).toBe(0);
  });

  test("a flood of strangers drives out strangers, and not those who are limited", () => {
    const table = tableOf(1000, 10, 1000);
    const rng = new Rng(2);
    let allowed = 0;
    for (let i = 0; i < 200_000; i += 1) {
      if (i % 20 === 0) allowed += taken(table, 1, i / 1000, 77);
      table.take(rng.below(2 ** 32), rng.below(2 ** 32), 1, i / 1000);
    }
    expect(table.evictions).toBeGreaterThan(100_000);
    expect(allowed).toBe(10); // the burst, as 200 ms are not enough for another one
  });

  test("in a bucket with more keys than slots, all are let through at least", () => {
    const table = tableOf(1000, 1, 1);
    for (let key = 1; key <= SLOTS * 3; key += 1) expect(table.take(0, key, 1, 0)).toBe(true);
  });
});

test("keys of one table may have different rates", () => {
  const table = new GcraTable(new SharedArrayBuffer(GcraTable.bytes(100)), { intervalMs: 1, burst: 1 }, 16);
  const passed = (key: number, intervalMs: number, burst: number): number => {
    let count = 0;
    for (let now = 1000; now <= 11_000; now += 1) {
      table.setRate(intervalMs, burst);
      if (table.take(key, key, 1, now)) count += 1;
    }
    return count;
  };
  expect(passed(1, 10, 50)).toBe(1050);
  expect(passed(2, 1000, 1)).toBe(11);
});

const FITS: readonly (readonly [intervalMs: number, burst: number, perMs: number, want: boolean])[] = [
  [10, 100, 1000, true],
  [10, 1_000_000, 1000, false],
  [10, 1_000_000, 16, true],
  [86_400_000, 20, 16, false],
  [86_400_000, 20, 0.125, true],
  [86_400_000, 1000, 0.125, false],
];
for (const [intervalMs, burst, perMs, want] of FITS)
  test(`a burst of ${burst}, one each ${intervalMs} ms, in ${perMs} parts of a millisecond: ${want}`, () => {
    expect(GcraTable.fits(intervalMs, burst, perMs)).toBe(want);
  });
