import { describe, expect, test } from "bun:test";
import { candidatesOf, countPicks, equalWeights } from "./candidates.testing.ts";
import { RoundRobin } from "./round-robin.ts";

function roundRobin(weights: readonly number[], ids?: readonly string[]) {
  const candidates = candidatesOf(weights, ids);
  const balancer = new RoundRobin();
  balancer.reset(candidates);
  return { balancer, candidates, pick: (times: number) => Array.from({ length: times }, () => balancer.pick(0, null)) };
}

const CYCLES: readonly (readonly [weights: readonly number[], cycle: number, counts: readonly number[]])[] = [
  [[1, 1, 1], 3, [1, 1, 1]],
  [[7, 7], 2, [1, 1]],
  [[5, 1, 1], 7, [5, 1, 1]],
  [[3, 0, 2], 5, [3, 0, 2]],
  [[1000, 1, 999], 2000, [1000, 1, 999]],
  [[0.5, 1, 1], 5, [1, 2, 2]],
  [[0.1, 0.2, 0.3, 0.4], 10, [1, 2, 3, 4]],
  [[10, 10, 0.5], 41, [20, 20, 1]],
  [[1 / 3, 1, 2 / 3], 6, [1, 3, 2]],
];

for (const [weights, cycle, counts] of CYCLES) {
  test(`weights ${weights.map((weight) => weight.toPrecision(3))}: exact in each of 2,000 cycles`, () => {
    const { balancer } = roundRobin(weights);
    for (let i = 0; i < 2000; i += 1) expect(countPicks(balancer, weights.length, cycle)).toEqual([...counts]);
  });
}

test("a heavy server's turns are spread out", () => {
  expect(roundRobin([5, 1, 1]).pick(7)).toEqual([0, 0, 1, 0, 2, 0, 0]);
});

test("shares stay within one pick of their due at any time", () => {
  const weights = [13, 8, 5, 3, 2, 1];
  const { balancer } = roundRobin(weights);
  const counts = weights.map(() => 0);
  for (let i = 1; i <= 320; i += 1) {
    const index = balancer.pick(0, null);
    counts[index] = counts[index]! + 1;
    for (const [at, weight] of weights.entries()) expect(Math.abs(counts[at]! - (i * weight) / 32)).toBeLessThan(2);
  }
});

test("what was tried loses its turn to the next", () => {
  const equal = roundRobin([1, 1, 1]).balancer;
  expect(equal.pick(0, Uint8Array.of(1, 0, 0))).toBe(1);
  expect(equal.pick(0, null)).toBe(2);
  const weighted = roundRobin([4, 2, 1]).balancer;
  expect(weighted.pick(0, Uint8Array.of(1, 0, 0))).toBe(1);
  expect(weighted.pick(0, Uint8Array.of(1, 1, 0))).toBe(2);
});

describe("changes of weights", () => {
  test("equal: the turn goes on where it was", () => {
    const { balancer, candidates, pick } = roundRobin(equalWeights(4));
    expect(pick(2)).toEqual([0, 1]);
    candidates.weights[2] = 0;
    balancer.reweigh();
    expect(pick(2)).toEqual([3, 0]);
    candidates.weights[2] = 1;
    balancer.reweigh();
    expect(pick(3)).toEqual([1, 2, 3]);
  });

  test("weights that change with every request starve nobody", () => {
    const { balancer, candidates } = roundRobin([1, 1, 1]);
    const counts = [0, 0, 0];
    for (let i = 0; i < 1000; i += 1) {
      candidates.weights[2] = 0.1 + i / 2000;
      balancer.reweigh();
      const index = balancer.pick(0, null);
      counts[index] = counts[index]! + 1;
    }
    // Due are the sums of weight / total over the 1,000 steps.
    expect(counts[0]).toBeWithin(425, 433);
    expect(counts[1]).toBeWithin(425, 433);
    expect(counts[2]).toBeWithin(140, 148);
  });

  test("credit earned under large weights gives no burst under small ones", () => {
    const { balancer, candidates, pick } = roundRobin([1000, 999, 500]);
    pick(2);
    candidates.weights.set([3, 2, 1]);
    balancer.reweigh();
    const counts = countPicks(balancer, 3, 60);
    for (const [i, due] of [30, 20, 10].entries()) expect(Math.abs(counts[i]! - due)).toBeLessThanOrEqual(1);
  });

  test("a server that comes back has neither debts nor savings", () => {
    const { balancer, candidates, pick } = roundRobin([3, 1, 2]);
    pick(1);
    candidates.weights[0] = 0;
    balancer.reweigh();
    countPicks(balancer, 3, 3000);
    candidates.weights[0] = 3;
    balancer.reweigh();
    expect(countPicks(balancer, 3, 60)).toEqual([30, 10, 20]);
  });
});

describe("changes of servers", () => {
  test("equal: the turn goes on after the last server, which may have moved or gone", () => {
    const { balancer, pick } = roundRobin(equalWeights(4), ["a", "b", "c", "d"]);
    expect(pick(2)).toEqual([0, 1]);
    balancer.reset(candidatesOf(equalWeights(4), ["x", "a", "b", "c"]));
    expect(pick(1)).toEqual([3]);
    balancer.reset(candidatesOf(equalWeights(3), ["a", "b", "d"]));
    expect(pick(2)).toEqual([2, 0]);
  });

  test("unequal: servers that stay keep their credit, also when weights come later", () => {
    const ids = ["a", "b", "c"];
    const whole = roundRobin([5, 1, 1], ids).pick(7);
    const { balancer, pick } = roundRobin([5, 1, 1], ids);
    const first = pick(3);
    const moved = candidatesOf([0, 0, 0], ["c", "a", "b"]);
    balancer.reset(moved);
    moved.weights.set([1, 5, 1]);
    balancer.reweigh();
    const names = [...first.map((i) => ids[i]), ...pick(4).map((i) => moved.ids[i])];
    expect(names).toEqual(whole.map((i) => ids[i]));
  });
});
