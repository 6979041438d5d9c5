import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { RetryBudget } from "./retry-budget.ts";

/** `r100` a hundred requests, `w500` half a second passes, `t10` ten retries are wanted (the answer: how many may go). */
function run(share: number, script: string): number[] {
  let now = 5000;
  const budget = new RetryBudget(share, () => now);
  const granted: number[] = [];
  for (const step of script.split(" ")) {
    const count = Number(step.slice(1));
    if (step[0] === "w") now += count;
    if (step[0] === "r") for (let i = 0; i < count; i += 1) budget.request();
    if (step[0] === "t") granted.push(Array.from({ length: count }, () => budget.take()).filter(Boolean).length);
  }
  return granted;
}

const CASES: readonly (readonly [name: string, share: number, script: string, want: readonly number[]])[] = [
  ["begins with ten", 0.2, "t20", [10]],
  ["three a second without any request", 0.2, "t20 w1000 t20 w2000 t20", [10, 3, 6]],
  ["a third of a second is one", 0.2, "t20 w333 t1 w1 t1", [10, 0, 1]],
  ["the reserve saves up to ten", 0.2, "t20 w3600000 t20", [10, 10]],
  ["a share of the requests", 0.2, "t20 r100 t50", [10, 20]],
  ["on top of the reserve", 0.2, "r100 t50", [30]],
  ["ten tenths are one", 0.1, "t20 r10 t5", [10, 1]],
  ["four fifths are none", 0.2, "t20 r4 t5 r1 t5", [10, 0, 1]],
  ["a burst spends what ten seconds brought", 0.25, "r10000 w9000 r10000 t9999", [5010]],
  ["deposits outlive their span", 0.2, "t10 w9000 r1000 w9000 t9999", [10, 210]],
  ["but not for long", 0.2, "t10 r1000 w9999 r1000 w10001 r1 w9999 t9999", [10, 10]],
  ["nothing is left after a pause", 0.2, "r100000 w60000 t9999", [10]],
  ["a pause in retries does not lose the traffic's share", 0.2, "r50 w10000 r50 w10000 r50 w10000 r50 t9999", [30]],
  ["a share of nothing leaves the reserve", 0, "r100000 t20 w1000 t20", [10, 3]],
  ["everything may be tried again", 1, "t10 r100 t200", [10, 100]],
];

describe("retry budget", () => {
  for (const [name, share, script, want] of CASES)
    test(name, () => {
      expect(run(share, script)).toEqual([...want]);
    });

  test("retries never exceed share × requests + 3/s × time + 10", () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ do: fc.constant("r" as const), n: fc.integer({ min: 0, max: 300 }) }),
        fc.record({ do: fc.constant("t" as const), n: fc.integer({ min: 0, max: 100 }) }),
        fc.record({ do: fc.constant("w" as const), n: fc.integer({ min: 0, max: 15_000 }) }),
      ),
      { maxLength: 60 },
    );
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), steps, (share, script) => {
        let now = 0;
        let requests = 0;
        let retries = 0;
        const budget = new RetryBudget(share, () => now);
        for (const step of script) {
          if (step.do === "w") now += step.n;
          for (let i = 0; step.do === "r" && i < step.n; i += 1) {
            budget.request();
            requests += 1;
          }
          for (let i = 0; step.do === "t" && i < step.n; i += 1) if (budget.take()) retries += 1;
          expect(retries).toBeLessThanOrEqual(share * requests + (3 * now) / 1000 + 10 + 1e-6);
        }
      }),
    );
  });

  test("steady traffic with steady failures gets its whole share", () => {
    let now = 0;
    const budget = new RetryBudget(0.2, () => now);
    let retries = 0;
    for (let second = 0; second < 100; second += 1)
      for (let i = 0; i < 1000; i += 1) {
        now += 1;
        budget.request();
        if (i % 2 === 0 && budget.take()) retries += 1; // half of all requests fail
      }
    expect(retries).toBeGreaterThanOrEqual(20_000);
    expect(retries).toBeLessThanOrEqual(20_310);
  });
});
