// What holds for every balancer, and the shares of those that do not go by keys.
import { describe, expect, test } from "bun:test";
import type { UpstreamConfig } from "../../config/schema.ts";
import { Rng } from "../../core/fuzz.testing.ts";
import { type Candidates, createBalancer } from "./balancer.ts";
import {
  addInFlight,
  candidatesOf,
  countPicks,
  equalWeights,
  mixedWeights,
  seededRandom,
} from "./candidates.testing.ts";

type Kind = UpstreamConfig["balance"];

const KEYLESS: readonly Kind[] = ["round-robin", "least-connections", "random", "p2c", "peak-ewma"];
const KEYED: readonly Kind[] = ["ip-hash", { hash: "header:x" }, { hash: "path", maxLoad: 1.25 }];
const ALL: readonly Kind[] = [...KEYLESS, ...KEYED];
const nameOf = (kind: Kind): string => JSON.stringify(kind);

function balancerFor(kind: Kind, candidates: Candidates, seed = 1, now = () => 0) {
  const balancer = createBalancer(kind, seededRandom(seed), now);
  balancer.reset(candidates);
  return balancer;
}

for (const kind of ALL) {
  describe(nameOf(kind), () => {
    test("wants a key or not", () => {
      expect(createBalancer(kind, Math.random, () => 0).keyed).toBe(KEYED.includes(kind));
    });

    test("without candidates nobody is chosen", () => {
      const balancer = createBalancer(kind, Math.random, () => 0);
      expect(balancer.pick(1, null)).toBe(-1);
      balancer.reset(candidatesOf([]));
      expect(balancer.pick(1, null)).toBe(-1);
      expect(balancer.pick(1, new Uint8Array(0))).toBe(-1);
    });

    test("never one without weight or already tried; -1 only when nobody is left", () => {
      const rng = new Rng(7);
      for (let round = 0; round < 150; round += 1) {
        const count = 1 + rng.below(rng.pick([3, 10, 60]));
        const isFlat = rng.oneIn(2);
        const base = Array.from({ length: count }, () => (isFlat ? 5 : 1 + rng.below(100)));
        const candidates = candidatesOf(base);
        let now = 0;
        const balancer = balancerFor(kind, candidates, round, () => now);
        for (let change = 0; change < 4; change += 1) {
          for (let i = 0; i < count; i += 1)
            candidates.weights[i] = rng.oneIn(3) ? 0 : base[i]! / (isFlat ? 1 : 1 + change);
          balancer.reweigh();
          // A request that is tried again until nobody is left has seen each server that can be used exactly once.
          const tried = new Uint8Array(count);
          const usable = candidates.weights.filter((weight) => weight > 0).length;
          for (let nth = 0; nth <= usable; nth += 1) {
            now += rng.below(20_000);
            const index = balancer.pick(rng.below(2 ** 32), nth === 0 ? null : tried);
            if (nth === usable) {
              expect(index).toBe(-1);
              break;
            }
            expect(candidates.weights[index]).toBeGreaterThan(0);
            expect(tried[index]).toBe(0);
            tried[index] = 1;
            addInFlight(candidates, index, rng.below(3));
            balancer.observe(index, rng.below(100), rng.oneIn(4), now);
          }
        }
      }
    });

    test("candidates may get their weights after they were replaced", () => {
      const candidates = candidatesOf([0, 0, 0]);
      candidates.baseWeights.fill(1);
      const balancer = balancerFor(kind, candidates);
      expect(balancer.pick(1, null)).toBe(-1);
      candidates.weights.set([0, 2, 0]);
      balancer.reweigh();
      expect(balancer.pick(1, null)).toBe(1);
      balancer.reset(candidatesOf([3]));
      expect(balancer.pick(1, null)).toBe(0);
    });

    test("fewer and more candidates than before", () => {
      const balancer = balancerFor(kind, candidatesOf(equalWeights(50)));
      for (const weights of [mixedWeights(3), equalWeights(200), mixedWeights(100), equalWeights(1)]) {
        balancer.reset(candidatesOf(weights));
        const counts = countPicks(balancer, weights.length, 100);
        expect(counts).toHaveLength(weights.length);
        expect(counts.reduce((sum, count) => sum + count)).toBe(100);
      }
    });
  });
}

const WEIGHTS: readonly (readonly [name: string, weights: readonly number[]])[] = [
  ["equal", [1, 1, 1, 1]],
  ["unequal", [5, 3, 2]],
  ["one much heavier", [1, 1, 10]],
  ["one coming back slowly", [1, 1, 0.25]],
];

function expectShares(counts: readonly number[], weights: readonly number[], tolerance: number): void {
  const picks = counts.reduce((sum, count) => sum + count);
  const total = weights.reduce((sum, weight) => sum + weight);
  for (const [i, weight] of weights.entries()) {
    const due = (picks * weight) / total;
    expect(counts[i]! / due).toBeGreaterThan(1 - tolerance);
    expect(counts[i]! / due).toBeLessThan(1 + tolerance);
  }
}

for (const kind of KEYLESS) {
  for (const [name, weights] of WEIGHTS) {
    test(`${kind}: shares within 2 %, weights ${name}, idle servers`, () => {
      const balancer = balancerFor(kind, candidatesOf(weights));
      expectShares(countPicks(balancer, weights.length, 200_000), weights, 0.02);
    });

    test(`${kind}: shares within 2 %, weights ${name}, about 200 requests in flight that end at random`, () => {
      const candidates = candidatesOf(weights);
      let now = 0;
      const balancer = balancerFor(kind, candidates, 1, () => now);
      const rng = new Rng(5);
      const going: number[] = [];
      const counts = new Array<number>(weights.length).fill(0);
      for (let i = 0; i < 200_000; i += 1) {
        now += 0.1;
        while (rng.below(400) < going.length) {
          const place = rng.below(going.length);
          const ended = going[place]!;
          going[place] = going.at(-1)!;
          going.pop();
          addInFlight(candidates, ended, -1);
          balancer.observe(ended, 20, false, now);
        }
        const index = balancer.pick(0, null);
        addInFlight(candidates, index, 1);
        going.push(index);
        counts[index] = counts[index]! + 1;
      }
      expectShares(counts, weights, 0.02);
    });
  }
}

describe("least-connections", () => {
  test("fewest in flight for its weight", () => {
    const candidates = candidatesOf([1, 4, 2]);
    for (const [i, inFlight] of [2, 4, 3].entries()) addInFlight(candidates, i, inFlight);
    expect(balancerFor("least-connections", candidates).pick(0, null)).toBe(1);
    expect(balancerFor("least-connections", candidates).pick(0, Uint8Array.of(0, 1, 0))).toBe(2);
  });

  test("an idle fleet is served in rotation, whatever goes on elsewhere", () => {
    const candidates = candidatesOf([1, 1, 1, 1]);
    addInFlight(candidates, 2, 5);
    const balancer = balancerFor("least-connections", candidates);
    expect(Array.from({ length: 6 }, () => balancer.pick(0, null))).toEqual([0, 1, 3, 0, 1, 3]);
    balancer.reweigh();
    expect(balancer.pick(0, null)).toBe(0);
    balancer.reweigh();
    expect(balancer.pick(0, null)).toBe(1);
  });

  test("a server that was busy for long gets no burst when it is idle again", () => {
    const candidates = candidatesOf([2, 1, 1]);
    const balancer = balancerFor("least-connections", candidates);
    addInFlight(candidates, 2, 1);
    countPicks(balancer, 3, 3000);
    addInFlight(candidates, 2, -1);
    expect(countPicks(balancer, 3, 8)[2]).toBeLessThanOrEqual(3);
  });
});
