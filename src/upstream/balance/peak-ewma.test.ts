import { describe, expect, test } from "bun:test";
import { addInFlight, candidatesOf, equalWeights, seededRandom } from "./candidates.testing.ts";
import { PeakEwma } from "./peak-ewma.ts";

/** Servers a, b, c… of equal weight on a clock that the test moves. */
function peakEwma(count: number) {
  const clock = { now: 1000 };
  const candidates = candidatesOf(equalWeights(count));
  const balancer = new PeakEwma(seededRandom(1), () => clock.now);
  balancer.reset(candidates);
  const picks = (times: number): number[] => {
    const counts = new Array<number>(count).fill(0);
    for (let i = 0; i < times; i += 1) counts[balancer.pick(0, null)]! += 1;
    return counts;
  };
  const measure = (...latencies: readonly number[]): void => {
    for (const [i, ms] of latencies.entries()) balancer.observe(i, ms, false, clock.now);
  };
  return { clock, candidates, balancer, picks, measure };
}

test("of two, the quicker one", () => {
  const { picks, measure } = peakEwma(2);
  measure(10, 20);
  expect(picks(100)).toEqual([100, 0]);
});

test("…unless too much waits there already", () => {
  const { candidates, picks, measure } = peakEwma(2);
  measure(10, 100);
  addInFlight(candidates, 0, 8);
  expect(picks(1)).toEqual([1, 0]);
  addInFlight(candidates, 0, 2);
  expect(picks(1)).toEqual([0, 1]);
});

test("latencies that are nearly alike leave it to requests in flight", () => {
  const { candidates, picks, measure } = peakEwma(2);
  measure(10, 11);
  const [a, b] = picks(1000);
  expect(Math.abs(a! - b!)).toBeLessThan(150);
  addInFlight(candidates, 0, 1);
  expect(picks(100)).toEqual([0, 100]);
});

describe("the mean", () => {
  test("jumps to a peak at once and comes down slowly", () => {
    const { clock, balancer, picks, measure } = peakEwma(2);
    measure(10, 20);
    balancer.observe(0, 200, false, clock.now);
    expect(picks(100)).toEqual([0, 100]);
    for (let i = 0; i < 50; i += 1) {
      clock.now += 100;
      measure(10, 20);
    }
    expect(picks(100)).toEqual([0, 100]); // 10 + 190 / e^0.5 = 125
    for (let i = 0; i < 400; i += 1) {
      clock.now += 100;
      measure(10, 20);
    }
    expect(picks(100)).toEqual([100, 0]); // 10 + 190 / e^4.5 = 12
  });

  test("decays while nobody asks, so that a slow server gets another chance", () => {
    const { clock, picks, measure, balancer } = peakEwma(2);
    measure(10, 60);
    clock.now += 15_000;
    balancer.observe(0, 10, false, clock.now);
    expect(picks(100)).toEqual([100, 0]); // 60 / e^1.5 = 13
    clock.now += 7000;
    balancer.observe(0, 10, false, clock.now);
    expect(picks(100)).toEqual([0, 100]); // 60 / e^2.2 = 7
  });
});

describe("a server never measured", () => {
  test("gets one request, and its share once that was answered", () => {
    const { clock, balancer, measure, picks } = peakEwma(4);
    measure(10, 10, 10);
    expect(picks(1000)[3]).toBe(1);
    clock.now += 5;
    measure(10, 10, 10, 12);
    expect(picks(4000)[3]).toBeWithin(850, 1150);
    balancer.reset(candidatesOf(equalWeights(4)));
    expect(picks(4000)[3]).toBeWithin(850, 1150);
  });

  test("gets another when the first is not answered in ten seconds", () => {
    const { clock, measure, picks } = peakEwma(3);
    measure(10, 10);
    expect(picks(300)[2]).toBe(1);
    clock.now += 9_000;
    measure(10, 10);
    expect(picks(300)[2]).toBe(0);
    clock.now += 1_000;
    expect(picks(300)[2]).toBe(1);
  });

  test("requests of other threads there do not keep this one away", () => {
    const { candidates, measure, picks } = peakEwma(3);
    measure(10, 10);
    addInFlight(candidates, 2, 3);
    expect(picks(300)[2]).toBe(1);
  });

  test("is what one becomes that nobody asked for half a minute", () => {
    const { clock, candidates, balancer, measure, picks } = peakEwma(3);
    measure(10, 10, 30_000);
    candidates.weights[2] = 0;
    balancer.reweigh();
    clock.now += 31_000;
    measure(10, 10);
    candidates.weights[2] = 1;
    balancer.reweigh();
    expect(picks(300)[2]).toBe(1);
  });

  test("nobody was: requests in flight decide", () => {
    const { candidates, picks } = peakEwma(2);
    addInFlight(candidates, 0, 1);
    expect(picks(100)).toEqual([0, 100]);
  });
});

describe("failures", () => {
  test("failing fast is not being fast", () => {
    const { clock, balancer, measure, picks } = peakEwma(3);
    measure(10, 10, 10);
    balancer.observe(2, 1, true, clock.now);
    expect(picks(300)[2]).toBe(0);
    clock.now += 20_000;
    measure(10, 10);
    expect(picks(300)[2]).toBe(0);
  });

  test("nor where answers usually take long", () => {
    const { clock, balancer, measure, picks } = peakEwma(3);
    measure(5000, 5000, 5000);
    balancer.observe(2, 1, true, clock.now);
    expect(picks(300)[2]).toBe(0);
  });
});

test("servers that stay keep what is known of them", () => {
  const { balancer, measure } = peakEwma(3);
  measure(10, 500, 20);
  balancer.reset(candidatesOf(equalWeights(2), ["10.0.0.1:8080", "10.0.0.0:8080"]));
  for (let i = 0; i < 100; i += 1) expect(balancer.pick(0, null)).toBe(1);
});
