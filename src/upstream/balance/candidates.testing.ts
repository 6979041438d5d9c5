// Candidates for tests and benchmarks, laid out as on the board: one cache line for each server.
import { Rng } from "../../core/fuzz.testing.ts";
import type { Balancer, Candidates, Random } from "./contract.ts";
import { mix } from "./hash.ts";

const STRIDE = 16;
const OFFSET = 1;

/** Servers with these weights; ids are addresses, slots begin at 1 as the board's do. */
export function candidatesOf(
  weights: readonly number[],
  ids: readonly string[] = weights.map((_, i) => idOf(i)),
): Candidates {
  return {
    count: weights.length,
    ids,
    weights: Float64Array.from(weights),
    baseWeights: Float64Array.from(weights),
    slots: Int32Array.from(weights, (_, i) => i + 1),
    inFlight: new Int32Array((weights.length + 1) * STRIDE),
    stride: STRIDE,
    offset: OFFSET,
  };
}

export const idOf = (i: number): string => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}:8080`;

/** Adds to a server's requests in flight; returns what there are then. */
export function addInFlight(candidates: Candidates, index: number, by: number): number {
  const at = candidates.slots[index]! * candidates.stride + candidates.offset;
  const now = candidates.inFlight[at]! + by;
  candidates.inFlight[at] = now;
  return now;
}

export const equalWeights = (count: number): number[] => new Array<number>(count).fill(1);

/** Weights from 1 to 10, in no order. */
export const mixedWeights = (count: number): number[] => Array.from({ length: count }, (_, i) => 1 + ((i * 7) % 10));

/** A source of chance that gives the same numbers for the same seed. */
export function seededRandom(seed: number): Random {
  const rng = new Rng(seed);
  return () => rng.below(2 ** 32) / 2 ** 32;
}

/** How often each server is chosen in so many picks, with a new key each time. */
export function countPicks(balancer: Balancer, count: number, picks: number): number[] {
  const counts = new Array<number>(count).fill(0);
  for (let i = 0; i < picks; i += 1) {
    const index = balancer.pick(mix(i), null);
    counts[index] = counts[index]! + 1;
  }
  return counts;
}
