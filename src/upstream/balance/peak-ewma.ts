// Peak EWMA, after Finagle: of two servers drawn by chance, the one where a request will probably wait less. What is
// expected of a server is a decaying mean of its latencies that jumps at once to a higher peak and comes down slowly,
// times the requests that it has in flight and the one to come.
import { type Balancer, type Candidates, NO_CANDIDATES, type Random } from "./contract.ts";
import { Usable } from "./usable.ts";

/** How long a peak weighs: after this time without another, it counts 1/e. Finagle's and Linkerd's default. */
const DECAY_MS = 10_000;
/**
 * A server that nobody asked for so long has no latency any more: one that was slow or failed gets a request to show
 * what it does now, and one that comes back after minutes is not flooded because its mean has decayed to nothing.
 */
const FORGET_MS = 3 * DECAY_MS;
/** A failure counts as this many usual latencies: failing fast must not look like being fast. */
const FAILURE_FACTOR = 10;
/** The least that a failure counts. */
const FAILURE_MS_MIN = 1_000;
/** How much of each answer goes into the usual latency. */
const USUAL_PART = 1 / 64;
/** Means that differ by less than this factor are noise: then requests in flight and weights decide. */
const ALIKE = 1.25;
/** How long a server that was never measured is given to answer its first request before it gets another. */
const PROBE_MS = DECAY_MS;
const NEVER = Number.NEGATIVE_INFINITY;

export class PeakEwma implements Balancer {
  readonly keyed = false;
  readonly #random: Random;
  readonly #now: () => number;
  #candidates = NO_CANDIDATES;
  readonly #usable = new Usable();
  /** What a request that was tried before can still have. */
  readonly #rest = new Usable();
  /** By index, in ms, as of `#stamp`. */
  #latency = new Float64Array(0);
  /** When each was last measured. */
  #stamp = new Float64Array(0);
  /** When each was last chosen without being known. The board cannot tell: other threads have requests there too. */
  #probed = new Float64Array(0);
  /** Mean over all servers. */
  #usual = 0;

  constructor(random: Random, now: () => number) {
    this.#random = random;
    this.#now = now;
  }

  pick(_key: number, tried: Uint8Array | null): number {
    const index = this.#choose(this.#usable, tried);
    return index >= 0 || tried === null ? index : this.#choose(this.#rest.fill(this.#candidates, tried), null);
  }

  /** -1 when there is none, or when too many were tried to find two by chance. */
  #choose(usable: Usable, tried: Uint8Array | null): number {
    const { indices } = usable;
    const first = usable.draw(this.#random, tried);
    if (first < 0) return -1;
    if (usable.count === 1) return indices[first]!;
    const other = usable.drawOther(first, this.#random, tried);
    if (other < 0) return -1;
    const now = this.#now();
    const index = indices[this.#isBetter(usable, other, first, now) ? other : first]!;
    if (!this.#isKnown(index, now)) this.#probed[index] = now;
    return index;
  }

  /** Whether position `a` promises a shorter wait than `b`. */
  #isBetter(usable: Usable, a: number, b: number, now: number): boolean {
    const { indices, places, inverse, inFlight } = usable;
    const indexA = indices[a]!;
    const indexB = indices[b]!;
    const isKnownA = this.#isKnown(indexA, now);
    if (isKnownA !== this.#isKnown(indexB, now)) {
      // One that was never measured gets a request, and no other before that has shown something.
      return isKnownA ? now - this.#probed[indexB]! < PROBE_MS : now - this.#probed[indexA]! >= PROBE_MS;
    }
    if (!isKnownA) return usable.load(a) < usable.load(b);
    const latencyA = this.#expected(indexA, now);
    const latencyB = this.#expected(indexB, now);
    if (latencyA <= latencyB * ALIKE && latencyB <= latencyA * ALIKE) return usable.load(a) < usable.load(b);
    const loadA = inFlight[places[a]!]! * inverse[a]!;
    const loadB = inFlight[places[b]!]! * inverse[b]!;
    return latencyA * (loadA + 1) < latencyB * (loadB + 1);
  }

  #isKnown(index: number, now: number): boolean {
    return now - this.#stamp[index]! <= FORGET_MS;
  }

  #expected(index: number, now: number): number {
    return this.#latency[index]! * Math.exp(-Math.max(now - this.#stamp[index]!, 0) / DECAY_MS);
  }

  observe(index: number, ms: number, failed: boolean, now: number): void {
    if (!failed) this.#usual = this.#usual === 0 ? ms : this.#usual + (ms - this.#usual) * USUAL_PART;
    const sample = failed ? Math.max(ms, FAILURE_MS_MIN, this.#usual * FAILURE_FACTOR) : ms;
    const before = this.#latency[index]!;
    if (sample >= before || !this.#isKnown(index, now)) this.#latency[index] = sample;
    else
      this.#latency[index] = sample + (before - sample) * Math.exp(-Math.max(now - this.#stamp[index]!, 0) / DECAY_MS);
    this.#probed[index] = NEVER;
    this.#stamp[index] = now;
  }

  reset(candidates: Candidates): void {
    const before = this.#candidates;
    const latency = new Float64Array(candidates.count);
    const stamp = new Float64Array(candidates.count).fill(NEVER);
    const probed = new Float64Array(candidates.count).fill(NEVER);
    const places = new Map(candidates.ids.map((id, index) => [id, index]));
    for (let i = 0; i < before.count; i += 1) {
      const index = places.get(before.ids[i]!);
      if (index === undefined) continue;
      latency[index] = this.#latency[i]!;
      stamp[index] = this.#stamp[i]!;
      probed[index] = this.#probed[i]!;
    }
    this.#latency = latency;
    this.#stamp = stamp;
    this.#probed = probed;
    this.#candidates = candidates;
    this.reweigh();
  }

  reweigh(): void {
    this.#usable.fill(this.#candidates, null);
  }
}
