import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { LatencyWindow } from "./latency-window.ts";

class Rig {
  now = 1000;
  readonly window = new LatencyWindow(() => this.now);

  observe(times: number, ms: number): void {
    for (let i = 0; i < times; i += 1) this.window.observe(ms);
  }
  /** After what was said last is no longer taken as the answer. */
  quantile(q: number): number {
    this.now += 100;
    return this.window.quantile(q);
  }
}

const near = (ms: number, want: number): void => {
  expect(ms).toBeGreaterThanOrEqual(want * 0.968);
  expect(ms).toBeLessThanOrEqual(want * 1.032);
};

describe("latency window", () => {
  for (const ms of [0.07, 0.1, 0.128, 0.5, 1, 1.024, 7.3, 99, 100, 1000, 4096, 59_999, 60_000])
    test(`${ms} ms, to 3.2 %`, () => {
      const rig = new Rig();
      rig.observe(100, ms);
      near(rig.quantile(0.5), ms);
      near(rig.quantile(0.95), ms);
    });

  const EDGES: readonly (readonly [ms: number, want: number])[] = [
    [0, 0.066],
    [-5, 0.066],
    [1e-9, 0.066],
    [80_000, 66_060],
    [1e12, 66_060],
    [Number.POSITIVE_INFINITY, 66_060],
  ];
  for (const [ms, want] of EDGES)
    test(`${ms} ms is the nearest there is`, () => {
      const rig = new Rig();
      rig.observe(20, ms);
      near(rig.quantile(0.5), want);
    });

  const RANKS: readonly (readonly [q: number, want: number])[] = [
    [0.01, 1],
    [0.5, 50],
    [0.9, 90],
    [0.95, 95],
    [0.99, 99],
    [0.999, 0],
  ];
  for (const [q, want] of RANKS)
    test(`p${q * 100} of 1 to 100 ms`, () => {
      const rig = new Rig();
      for (let ms = 100; ms >= 1; ms -= 1) rig.window.observe(ms);
      near(rig.quantile(q), want);
    });

  test("too few say nothing", () => {
    const rig = new Rig();
    expect(rig.quantile(0.95)).toBe(0);
    rig.observe(19, 10);
    expect(rig.quantile(0.5)).toBe(0);
    rig.observe(1, 10);
    near(rig.quantile(0.5), 10);
    near(rig.quantile(0.95), 10);
    expect(rig.quantile(0.99)).toBe(0);
    rig.observe(80, 10);
    near(rig.quantile(0.99), 10);
  });

  test("old latencies fade within half a minute, under traffic", () => {
    const rig = new Rig();
    rig.observe(1000, 10);
    const at: number[] = [];
    for (let second = 1; second <= 31; second += 1) {
      rig.now += 900;
      rig.observe(10, 500);
      if (rig.quantile(0.5) > 400) at.push(second);
    }
    expect(at[0]).toBeGreaterThan(14);
    expect(at[0]).toBeLessThanOrEqual(31);
  });

  test("and without", () => {
    const rig = new Rig();
    rig.observe(1000, 10);
    rig.now += 14_000;
    near(rig.quantile(0.5), 10);
    rig.now += 10_000;
    near(rig.quantile(0.5), 10);
    rig.now += 15_000;
    expect(rig.quantile(0.5)).toBe(0);
  });

  test("after a long pause the old half is not taken along", () => {
    const rig = new Rig();
    rig.observe(1000, 10);
    rig.now += 31_000;
    rig.observe(20, 500);
    near(rig.quantile(0.5), 500);
  });

  test("an answer holds for 100 ms, for that quantile alone", () => {
    const rig = new Rig();
    rig.observe(100, 10);
    near(rig.quantile(0.5), 10);
    rig.observe(900, 200);
    rig.now += 99;
    near(rig.window.quantile(0.5), 10);
    near(rig.window.quantile(0.95), 200);
    near(rig.window.quantile(0.5), 200);
  });

  test("agrees with sorting", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.064, max: 67_000, noNaN: true }), { minLength: 20, maxLength: 300 }),
        fc.integer({ min: 1, max: 95 }),
        (latencies, percent) => {
          const rig = new Rig();
          for (const ms of latencies) rig.window.observe(ms);
          const sorted = [...latencies].sort((a, b) => a - b);
          near(rig.quantile(percent / 100), sorted[Math.ceil((sorted.length * percent) / 100) - 1]!);
        },
      ),
    );
  });
});
