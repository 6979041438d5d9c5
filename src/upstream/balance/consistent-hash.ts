// What has the same key goes to the same server, for as long as that server can be used.
import { type Balancer, type Candidates, NO_CANDIDATES } from "./contract.ts";
import { HashRing } from "./hash-ring.ts";
import { Usable } from "./usable.ts";

const UNCOUNTED = -1;

/** How often a request is passed on for load before the least busy server gets it: nearly all are at their bound. */
const PASSES_MAX = 64;

export class ConsistentHash implements Balancer {
  readonly keyed = true;
  /** Requests in flight that a server may have, against the average; 0 = any number. */
  readonly #maxLoad: number;
  #candidates = NO_CANDIDATES;
  readonly #usable = new Usable();
  /** Requests in flight at all usable servers, counted at most once for each pick. */
  #inFlight = UNCOUNTED;
  #ring = new HashRing([], NO_CANDIDATES.baseWeights);

  /** `maxLoad`: 1.25 lets a server have a quarter more than the average before others help out; undefined: no bound. */
  constructor(maxLoad: number | undefined) {
    this.#maxLoad = maxLoad ?? 0;
  }

  pick(key: number, tried: Uint8Array | null): number {
    const { weights } = this.#candidates;
    if (this.#usable.count === 0 || (tried !== null && !this.#isAnyLeft(tried))) return -1;
    const { owners } = this.#ring;
    const { length } = owners;
    let at = this.#ring.find(key >>> 0);
    let passes = 0;
    this.#inFlight = UNCOUNTED;
    for (let step = 0; step < length; step += 1) {
      const owner = owners[at]!;
      if (weights[owner]! > 0 && (tried === null || tried[owner] === 0)) {
        if (this.#maxLoad === 0 || this.#hasRoom(owner)) return owner;
        passes += 1;
        if (passes === PASSES_MAX) return this.#leastBusy(tried);
      }
      at = at + 1 === length ? 0 : at + 1;
    }
    return passes > 0 ? this.#leastBusy(tried) : -1;
  }

  #isAnyLeft(tried: Uint8Array): boolean {
    const { count, indices } = this.#usable;
    for (let at = 0; at < count; at += 1) if (tried[indices[at]!] === 0) return true;
    return false;
  }

  /** Whether the server stays within `maxLoad` times (average in flight + 1), by weight, with one request more. */
  #hasRoom(index: number): boolean {
    const { count, total } = this.#usable;
    const { weights, slots, stride, offset, inFlight } = this.#candidates;
    const taken = inFlight[slots[index]! * stride + offset]! + 1;
    const share = (this.#maxLoad * weights[index]!) / total;
    // One request is always welcome, or a light server of an idle fleet would lose its keys. Whatever an empty fleet
    // would allow needs no counting.
    if (taken <= Math.max(1, share * count)) return true;
    if (this.#inFlight === UNCOUNTED) this.#inFlight = this.#count();
    return taken <= share * (this.#inFlight + count);
  }

  #count(): number {
    const { count, places, inFlight } = this.#usable;
    let sum = 0;
    for (let at = 0; at < count; at += 1) sum += inFlight[places[at]!]!;
    return Math.max(sum, 0);
  }

  #leastBusy(tried: Uint8Array | null): number {
    const { count, indices, places, inverse, inFlight } = this.#usable;
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let at = 0; at < count; at += 1) {
      const load = (inFlight[places[at]!]! + 1) * inverse[at]!;
      if (load >= least || (tried !== null && tried[indices[at]!] !== 0)) continue;
      best = indices[at]!;
      least = load;
    }
    return best;
  }

  reset(candidates: Candidates): void {
    const before = this.#candidates;
    this.#candidates = candidates;
    if (!isSameRing(before, candidates)) this.#ring = new HashRing(candidates.ids, candidates.baseWeights);
    this.reweigh();
  }

  reweigh(): void {
    this.#usable.fill(this.#candidates, null);
  }

  observe(): void {}
}

function isSameRing(a: Candidates, b: Candidates): boolean {
  if (a.count !== b.count) return false;
  for (let i = 0; i < a.count; i += 1) {
    if (a.ids[i] !== b.ids[i] || a.baseWeights[i] !== b.baseWeights[i]) return false;
  }
  return true;
}
