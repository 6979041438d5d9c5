import { describe, expect, test } from "bun:test";
import { Rng } from "../../core/fuzz.testing.ts";
import { addInFlight, candidatesOf, countPicks, equalWeights, idOf } from "./candidates.testing.ts";
import { ConsistentHash } from "./consistent-hash.ts";
import type { Candidates } from "./contract.ts";
import { hashText, mix } from "./hash.ts";
import { HashRing } from "./hash-ring.ts";

const KEYS = 50_000;
/** The server of each key, by its id. */
function placesOf(balancer: ConsistentHash, candidates: Candidates): string[] {
  return Array.from({ length: KEYS }, (_, i) => candidates.ids[balancer.pick(hashText(`user-${i}`), null)]!);
}

function hashed(candidates: Candidates, maxLoad?: number): ConsistentHash {
  const balancer = new ConsistentHash(maxLoad);
  balancer.reset(candidates);
  return balancer;
}

const idsOf = (count: number): string[] => Array.from({ length: count }, (_, i) => idOf(i));
const fleetOf = (ids: readonly string[]): Candidates => candidatesOf(equalWeights(ids.length), ids);

for (const count of [3, 10, 100]) {
  describe(`${count} servers`, () => {
    const ids = idsOf(count);
    const before = placesOf(hashed(fleetOf(ids)), fleetOf(ids));

    test("the order of the list does not matter", () => {
      const turned = fleetOf(ids.toReversed());
      expect(placesOf(hashed(turned), turned)).toEqual(before);
    });

    test("one more takes keys from the others, at most 1.2 times its share, and nothing else moves", () => {
      for (let newcomer = count; newcomer < count + 20; newcomer += 1) {
        const more = fleetOf([...ids, idOf(newcomer)]);
        const after = placesOf(hashed(more), more);
        const moved = after.filter((id, i) => id !== before[i]);
        expect(new Set(moved)).toEqual(new Set([idOf(newcomer)]));
        expect(moved.length).toBeLessThanOrEqual((1.2 * KEYS) / (count + 1));
      }
    });

    test("one less gives its keys to the others, at most 1.2 times its share, and nothing else moves", () => {
      for (let leaver = 0; leaver < count; leaver += Math.ceil(count / 20)) {
        const fewer = fleetOf(ids.toSpliced(leaver, 1));
        const after = placesOf(hashed(fewer), fewer);
        const moved = before.filter((id, i) => id !== after[i]);
        expect(new Set(moved)).toEqual(new Set([idOf(leaver)]));
        expect(moved.length).toBeLessThanOrEqual((1.2 * KEYS) / count);
      }
    });

    test("one that is down moves its keys to the same places as one that is gone, and they come back", () => {
      const fleet = fleetOf(ids);
      const balancer = hashed(fleet);
      fleet.weights[1] = 0;
      balancer.reweigh();
      const gone = fleetOf(ids.toSpliced(1, 1));
      expect(placesOf(balancer, fleet)).toEqual(placesOf(hashed(gone), gone));
      fleet.weights[1] = 0.05; // slow start: keys know nothing between here and away
      balancer.reweigh();
      expect(placesOf(balancer, fleet)).toEqual(before);
    });

    test("a request that was tried goes where it would if that server were down", () => {
      const fleet = fleetOf(ids);
      const balancer = hashed(fleet);
      const second = Array.from({ length: 2000 }, (_, i) => {
        const key = hashText(`user-${i}`);
        const tried = new Uint8Array(count);
        tried[balancer.pick(key, null)] = 1;
        return balancer.pick(key, tried);
      });
      for (let i = 0; i < second.length; i += 1) {
        const first = ids.indexOf(before[i]!);
        fleet.weights[first] = 0;
        balancer.reweigh();
        expect(balancer.pick(hashText(`user-${i}`), null)).toBe(second[i]!);
        fleet.weights[first] = 1;
      }
    });
  });
}

describe("shares", () => {
  const CASES: readonly (readonly [name: string, weights: readonly number[]])[] = [
    ["3 equal", equalWeights(3)],
    ["10 equal", equalWeights(10)],
    ["100 equal", equalWeights(100)],
    ["unequal", [4, 2, 1, 1]],
  ];
  for (const [name, weights] of CASES) {
    test(`${name}: as their weights say, up to the scatter of the points`, () => {
      const counts = countPicks(hashed(candidatesOf(weights)), weights.length, 500_000);
      const total = weights.reduce((sum, weight) => sum + weight);
      for (const [i, weight] of weights.entries()) {
        const due = (500_000 * weight) / total;
        expect(counts[i]! / due).toBeWithin(0.83, 1.17);
        expect(Math.abs(counts[i]! - due) / 500_000).toBeLessThan(0.02);
      }
    });
  }

  test("a server whose weight grows only takes keys", () => {
    const fleet = candidatesOf([4, 4, 2]);
    const before = placesOf(hashed(fleet), fleet);
    const heavier = candidatesOf([4, 4, 3]);
    const after = placesOf(hashed(heavier), heavier);
    const takers = new Set(after.filter((id, i) => id !== before[i]));
    expect(takers).toEqual(new Set([idOf(2)]));
  });

  test("one without configured weight has no keys", () => {
    const balancer = hashed(candidatesOf([1, 0, 1]));
    expect(countPicks(balancer, 3, 1000)[1]).toBe(0);
  });
});

describe("ring", () => {
  test("its ends meet: the highest keys belong to the first point", () => {
    const { ids, baseWeights } = fleetOf(idsOf(5));
    const ring = new HashRing(ids, baseWeights);
    expect(ring.owners).toHaveLength(5 * 512);
    expect(ring.find(0xffffffff)).toBe(0);
    expect(ring.find(0)).toBe(0);
  });

  test("points are found as by going through all of them", () => {
    const { ids, baseWeights } = candidatesOf([1, 7, 3, 500]);
    const ring = new HashRing(ids, baseWeights);
    const { points } = ring;
    expect(points).toEqual(points.toSorted());
    const rng = new Rng(1);
    for (let i = 0; i < 2000; i += 1) {
      const key = rng.oneIn(2) ? rng.below(2 ** 32) : rng.pick([...points.subarray(0, 20)]) + rng.below(3) - 1;
      const after = points.findIndex((point) => point >= key);
      expect(ring.find(key)).toBe(Math.max(after, 0));
    }
  });

  test("a thousand servers and the same thousand again", () => {
    const fleet = fleetOf(idsOf(1000));
    const balancer = hashed(fleet);
    const before = placesOf(balancer, fleet);
    balancer.reset(fleetOf(idsOf(1000)));
    expect(placesOf(balancer, fleet)).toEqual(before);
    expect(new Set(before).size).toBe(1000);
  });

  test("more servers than it can hold are refused", () => {
    expect(() => new HashRing(new Array(65_537).fill("a"), new Float64Array(65_537))).toThrow(RangeError);
  });
});

/** Half of all requests have one of a few keys. */
const skewedKey = (rng: Rng): number => mix(rng.oneIn(2) ? rng.below(3) : rng.below(100_000));

describe("maxLoad", () => {
  const CASES: readonly (readonly [maxLoad: number, weights: readonly number[]])[] = [
    [1.25, equalWeights(10)],
    [1.25, equalWeights(100)],
    [1.01, equalWeights(7)],
    [2, [4, 2, 1, 1, 8]],
  ];
  for (const [maxLoad, weights] of CASES) {
    test(`${maxLoad}, ${weights.length} servers: no server gets beyond it, however skewed the keys`, () => {
      const fleet = candidatesOf(weights);
      const balancer = hashed(fleet, maxLoad);
      const rng = new Rng(3);
      const total = weights.reduce((sum, weight) => sum + weight);
      const going: number[] = [];
      for (let i = 0; i < 20_000; i += 1) {
        while (going.length > 0 && rng.below(40 * weights.length) < going.length) {
          const [ended] = going.splice(rng.below(going.length), 1);
          addInFlight(fleet, ended!, -1);
        }
        const index = balancer.pick(skewedKey(rng), null);
        const bound = (maxLoad * (going.length + weights.length) * weights[index]!) / total;
        expect(addInFlight(fleet, index, 1)).toBeLessThanOrEqual(Math.max(1, bound) + 1e-9);
        going.push(index);
      }
    });
  }

  test("keys stay at home while there is room, and come back when there is again", () => {
    const fleet = candidatesOf(equalWeights(10));
    const balancer = hashed(fleet, 1.25);
    const plain = hashed(fleet);
    const key = hashText("somebody");
    const home = plain.pick(key, null);
    expect(balancer.pick(key, null)).toBe(home);
    addInFlight(fleet, home, 20);
    const next = balancer.pick(key, null);
    const tried = new Uint8Array(10);
    tried[home] = 1;
    expect(next).toBe(plain.pick(key, tried));
    addInFlight(fleet, home, -20);
    expect(balancer.pick(key, null)).toBe(home);
  });

  test("a light server of an idle fleet keeps its keys", () => {
    const fleet = candidatesOf([100, 100, 20]);
    const plain = hashed(fleet);
    expect(placesOf(hashed(fleet, 1.25), fleet)).toEqual(placesOf(plain, fleet));
  });

  test("the least busy one when all are at their bound or tried", () => {
    const fleet = candidatesOf([1, 1, 1, 1]);
    for (const [i, inFlight] of [9, 5, 3, 0].entries()) addInFlight(fleet, i, inFlight);
    const balancer = hashed(fleet, 0.01);
    expect(balancer.pick(1, null)).toBe(3);
    expect(balancer.pick(1, Uint8Array.of(0, 0, 0, 1))).toBe(2);
    expect(balancer.pick(1, Uint8Array.of(1, 1, 1, 1))).toBe(-1);
  });
});
