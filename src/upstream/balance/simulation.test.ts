// A small discrete-event simulation: requests come at random to four servers, one of which is ten times slower.
import { describe, expect, test } from "bun:test";
import type { UpstreamConfig } from "../../config/schema.ts";
import { createBalancer } from "./balancer.ts";
import { addInFlight, candidatesOf, equalWeights, seededRandom } from "./candidates.testing.ts";

const SERVERS = 4;
const SLOW = 3;
const REQUESTS = 40_000;
/** The first part of the run is not counted: nobody knows anything yet. */
const WARM_UP = 4_000;

interface Scene {
  /** Requests for each second. */
  readonly rate: number;
  /** Mean time for one request, in ms. */
  readonly serviceMs: readonly number[];
  /** Requests that a server works on at once; others wait there in line. */
  readonly workers: number;
}

interface Outcome {
  readonly p99: number;
  readonly shares: readonly number[];
}

function simulate(kind: UpstreamConfig["balance"], scene: Scene): Outcome {
  const random = seededRandom(11);
  const candidates = candidatesOf(equalWeights(SERVERS));
  let now = 0;
  const balancer = createBalancer(kind, seededRandom(12), () => now);
  balancer.reset(candidates);
  const freeAt = Array.from({ length: SERVERS }, () => new Array<number>(scene.workers).fill(0));
  const going: { end: number; index: number; ms: number }[] = []; // the next to end is the last
  const latencies: number[] = [];
  const counts = new Array<number>(SERVERS).fill(0);
  for (let i = 0; i < REQUESTS; i += 1) {
    now += (-Math.log(1 - random()) * 1000) / scene.rate;
    const arrival = now;
    while (going.length > 0 && going.at(-1)!.end <= arrival) {
      const { end, index, ms } = going.pop()!;
      now = end;
      addInFlight(candidates, index, -1);
      balancer.observe(index, ms, false, end);
    }
    now = arrival;
    const index = balancer.pick(0, null);
    addInFlight(candidates, index, 1);
    const workers = freeAt[index]!;
    const worker = workers.indexOf(Math.min(...workers));
    const end = Math.max(now, workers[worker]!) + scene.serviceMs[index]! * (0.5 + random());
    workers[worker] = end;
    const after = going.findLastIndex((other) => other.end > end);
    going.splice(after + 1, 0, { end, index, ms: end - now });
    if (i < WARM_UP) continue;
    latencies.push(end - now);
    counts[index]! += 1;
  }
  latencies.sort((a, b) => a - b);
  return {
    p99: latencies[Math.floor(latencies.length * 0.99)]!,
    shares: counts.map((count) => count / latencies.length),
  };
}

/** Round-robin gives the slow server more than it can do: 250 of 80 requests a second. */
const BUSY: Scene = { rate: 1000, serviceMs: [10, 10, 10, 100], workers: 8 };
/** Nobody ever waits: the slow server is only slow. */
const QUIET: Scene = { rate: 100, serviceMs: [10, 10, 10, 100], workers: 32 };
const ALIKE: Scene = { rate: 2000, serviceMs: [10, 10, 10, 10], workers: 8 };

describe("one of four servers is ten times slower", () => {
  for (const kind of ["p2c", "peak-ewma", "least-connections"] as const) {
    test(`${kind}: p99 at least twice as good as round-robin's under load`, () => {
      expect(simulate(kind, BUSY).p99 * 2).toBeLessThan(simulate("round-robin", BUSY).p99);
    });
  }

  test("peak-ewma: also where no server has a queue", () => {
    const { p99, shares } = simulate("peak-ewma", QUIET);
    expect(p99 * 2).toBeLessThan(simulate("round-robin", QUIET).p99);
    expect(shares[SLOW]).toBeLessThan(0.01);
    expect(shares[SLOW]).toBeGreaterThan(0); // it may have become quick
  });
});

for (const kind of ["p2c", "peak-ewma", "least-connections"] as const) {
  test(`${kind}: servers that are alike get alike shares`, () => {
    for (const share of simulate(kind, ALIKE).shares) expect(share).toBeWithin(0.22, 0.28);
  });
}
