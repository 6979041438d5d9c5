import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Rng } from "../core/fuzz.testing.ts";
import { AdaptiveLimit } from "./adaptive-limit.ts";

type Service = "constant" | "exponential";

interface Setup {
  /** Requests that the server works on at a time; others stand in its queue. */
  readonly capacity: number;
  readonly serviceMs: number;
  readonly service?: Service;
  readonly max?: number;
  /** Requests that wait for a place, as a multiple of what the server can do; 3 as in an overload. */
  readonly load?: number;
}

/** A server with a queue (first come, first served) behind a limit, with requests coming at random. Time is simulated. */
class Simulation {
  now = 0;
  capacity: number;
  serviceMs: number;
  readonly limiter: AdaptiveLimit;
  done = 0;
  readonly limits: number[] = [];
  readonly #service: Service;
  readonly #load: number;
  readonly #rng: Rng;
  #nextArrival = 0;
  /** What waits for a place at the limit: bounded, as the real queue is. */
  #waiting = 0;
  #inFlight = 0;
  readonly #queue: number[] = [];
  /** When what the server works on is done, and when it was sent; unordered. */
  readonly #working: { readonly endsAt: number; readonly sentAt: number }[] = [];

  constructor({ capacity, serviceMs, service = "constant", max = 512, load = 3 }: Setup, seed: number) {
    this.capacity = capacity;
    this.serviceMs = serviceMs;
    this.#service = service;
    this.#load = load;
    this.#rng = new Rng(seed);
    // As coarse as the clocks that it gets.
    this.limiter = new AdaptiveLimit(max, () => Math.floor(this.now / 100) * 100);
  }

  run(ms: number): void {
    const until = this.now + ms;
    let nextLook = this.now;
    while (this.now < until) {
      const at = this.#firstToEnd();
      const endsAt = at < 0 ? Number.POSITIVE_INFINITY : this.#working[at]!.endsAt;
      this.now = Math.min(endsAt, this.#nextArrival);
      if (this.now >= nextLook) {
        this.limits.push(this.limiter.limit);
        nextLook += ms / 200;
      }
      if (endsAt <= this.#nextArrival) this.#end(at);
      else {
        this.#waiting = Math.min(1024, this.#waiting + 1);
        this.#nextArrival += (-Math.log(1 - this.#chance()) * this.serviceMs) / this.capacity / this.#load;
      }
      this.#send();
    }
  }

  /** Answers per millisecond, as a part of what the server could do, since the last call. */
  goodput(ms: number): number {
    const share = (this.done / ms) * (this.serviceMs / this.capacity);
    this.done = 0;
    return share;
  }

  #chance(): number {
    return this.#rng.below(1_000_000) / 1_000_000;
  }

  #firstToEnd(): number {
    let first = -1;
    for (let at = 0; at < this.#working.length; at += 1)
      if (first < 0 || this.#working[at]!.endsAt < this.#working[first]!.endsAt) first = at;
    return first;
  }

  #end(at: number): void {
    const { sentAt } = this.#working[at]!;
    this.#working[at] = this.#working.at(-1)!;
    this.#working.pop();
    this.limiter.sample(this.now - sentAt, this.#inFlight, false);
    this.#inFlight -= 1;
    this.done += 1;
    this.#work();
  }

  #send(): void {
    while (this.#waiting > 0 && this.#inFlight < this.limiter.limit) {
      this.#waiting -= 1;
      this.#inFlight += 1;
      this.#queue.push(this.now);
    }
    this.#work();
  }

  #work(): void {
    while (this.#queue.length > 0 && this.#working.length < this.capacity) {
      const factor = this.#service === "constant" ? 0.9 + 0.2 * this.#chance() : -Math.log(1 - this.#chance());
      this.#working.push({ sentAt: this.#queue.shift()!, endsAt: this.now + this.serviceMs * factor });
    }
  }
}

const SETUPS: readonly Setup[] = [
  { capacity: 2, serviceMs: 10 },
  { capacity: 10, serviceMs: 10 },
  { capacity: 30, serviceMs: 10 },
  { capacity: 100, serviceMs: 10 },
  { capacity: 100, serviceMs: 100 },
  { capacity: 10, serviceMs: 10, service: "exponential" },
  { capacity: 30, serviceMs: 10, service: "exponential" },
  { capacity: 100, serviceMs: 10, service: "exponential" },
];

/** Runs and says what became of it: the middle of the limits, and the goodput as a part of what is possible. */
function phase(sim: Simulation, ms: number): { readonly middle: number; readonly goodput: number } {
  sim.done = 0;
  sim.limits.length = 0;
  sim.run(ms);
  const sorted = sim.limits.toSorted((a, b) => a - b);
  return { middle: sorted[sorted.length >> 1]!, goodput: sim.goodput(ms) };
}

describe("under three times what a server can do", () => {
  for (const setup of SETUPS) {
    const { capacity, serviceMs, service = "constant" } = setup;
    for (const seed of capacity < 100 ? [1, 2, 3] : [1])
      test(`${capacity} at a time, ${serviceMs} ms, ${service}, seed ${seed}`, () => {
        const sim = new Simulation(setup, seed);
        // A small queue shows small differences: four at a time may have eight more waiting.
        const expectSettled = ({ middle, goodput }: { middle: number; goodput: number }, places: number): void => {
          expect(middle).toBeGreaterThanOrEqual(places);
          expect(middle).toBeLessThanOrEqual(3 * places + 10);
          expect(goodput).toBeGreaterThanOrEqual(0.9);
        };
        expect(phase(sim, 5000).goodput).toBeGreaterThanOrEqual(0.85); // begins at 20
        phase(sim, 10_000);
        expectSettled(phase(sim, 5000), capacity);

        sim.serviceMs = serviceMs / 3;
        expect(phase(sim, 12_000).goodput).toBeGreaterThanOrEqual(0.9);
        expectSettled(phase(sim, 5000), capacity);

        sim.serviceMs = serviceMs;
        expect(phase(sim, 10_000).goodput).toBeGreaterThanOrEqual(0.85);
        expectSettled(phase(sim, 20_000), capacity);
      });
  }

  test("half of the server is lost and comes back", () => {
    const sim = new Simulation({ capacity: 40, serviceMs: 10 }, 1);
    phase(sim, 15_000);
    sim.capacity = 20;
    phase(sim, 15_000);
    expect(phase(sim, 5000).middle).toBeLessThanOrEqual(60);
    sim.capacity = 40;
    phase(sim, 2000);
    const back = phase(sim, 5000);
    expect(back.middle).toBeGreaterThanOrEqual(40);
    expect(back.goodput).toBeGreaterThanOrEqual(0.9);
  });
});

describe("adaptive limit", () => {
  const feed = (limit: AdaptiveLimit, times: number, ms: number, inFlight?: number, failedOf = 0): void => {
    for (let i = 1; i <= times; i += 1) limit.sample(ms, inFlight ?? limit.limit, failedOf > 0 && i % failedOf === 0);
  };

  test("begins with 20, or what is allowed", () => {
    for (const [max, want] of [
      [512, 20],
      [20, 20],
      [3, 3],
      [1, 1],
    ] as const)
      expect(new AdaptiveLimit(max, () => 0).limit).toBe(want);
  });

  test("grows to its maximum and not beyond while there is no queue", () => {
    for (const max of [1, 3, 100, 512]) {
      const limit = new AdaptiveLimit(max, () => 0);
      feed(limit, 10_000, 10);
      expect(limit.limit).toBe(max);
    }
  });

  test("does not grow while less than half of it is used", () => {
    const limit = new AdaptiveLimit(512, () => 0);
    feed(limit, 100_000, 10, 9);
    expect(limit.limit).toBe(20);
    feed(limit, 200, 10, 10);
    expect(limit.limit).toBeGreaterThan(20);
  });

  test("a latency that grows by itself, with few in flight, is nobody's queue", () => {
    const limit = new AdaptiveLimit(512, () => 0);
    feed(limit, 1000, 10, 2);
    feed(limit, 1000, 500, 2);
    expect(limit.limit).toBe(20);
    feed(limit, 200, 500, 20);
    expect(limit.limit).toBeGreaterThan(20);
  });

  test("a server that fails everything gets the least, and recovers", () => {
    const limit = new AdaptiveLimit(512, () => 0);
    feed(limit, 10_000, 10);
    feed(limit, 10_000, 1, undefined, 1);
    expect(limit.limit).toBe(4);
    feed(limit, 10_000, 10);
    expect(limit.limit).toBeGreaterThan(400);
  });

  test("one failure of a hundred does little", () => {
    const limit = new AdaptiveLimit(512, () => 0);
    feed(limit, 10_000, 10);
    feed(limit, 10_000, 10, undefined, 100);
    expect(limit.limit).toBeGreaterThan(400);
  });

  test("a trial without an answer ends", () => {
    let now = 0;
    const limit = new AdaptiveLimit(100, () => now);
    feed(limit, 5000, 10);
    now += 20_000;
    feed(limit, 100, 10);
    expect(limit.limit).toBe(70);
    now += 199;
    expect(limit.limit).toBe(70);
    now += 1;
    expect(limit.limit).toBe(100);
  });

  test("whatever it is told, it is a whole number from four to its maximum", () => {
    const sample = fc.record({
      ms: fc.oneof(fc.double({ min: 0, max: 60_000, noNaN: true }), fc.constant(0), fc.constant(10)),
      inFlight: fc.integer({ min: 0, max: 1000 }),
      failed: fc.boolean(),
      times: fc.integer({ min: 1, max: 200 }),
      passes: fc.integer({ min: 0, max: 5000 }),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.array(sample), (max, samples) => {
        let now = 0;
        const limit = new AdaptiveLimit(max, () => now);
        for (const { ms, inFlight, failed, times, passes } of samples) {
          for (let i = 0; i < times; i += 1) limit.sample(ms, inFlight, failed);
          now += passes;
          const got = limit.limit;
          expect(Number.isInteger(got) && got >= Math.min(4, max) && got <= max).toBe(true);
        }
      }),
    );
  });
});
