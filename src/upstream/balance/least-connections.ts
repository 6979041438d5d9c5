// The server with the fewest requests in flight for its weight.
import { type Balancer, type Candidates, NO_CANDIDATES } from "./contract.ts";
import { Usable } from "./usable.ts";

export class LeastConnections implements Balancer {
  readonly keyed = false;
  #candidates = NO_CANDIDATES;
  readonly #usable = new Usable();
  /** The position where the search begins, so that ties are served in rotation; with equal weights. */
  #next = 0;
  #last = -1;
  // With unequal weights ties go to the earliest start (start-time fair queueing): every pick costs a server the
  // inverse of its weight, and one that was not among the ties for a while does not save up.
  /** By index. */
  #start = new Float64Array(0);
  #time = 0;

  pick(_key: number, tried: Uint8Array | null): number {
    return this.#usable.isEqual ? this.#pickEqual(tried) : this.#pickWeighted(tried);
  }

  #pickEqual(tried: Uint8Array | null): number {
    const { count, indices, places, inFlight } = this.#usable;
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    let at = this.#next;
    for (let step = 0; step < count; step += 1) {
      const load = inFlight[places[at]!]!;
      if (load < least && (tried === null || tried[indices[at]!] === 0)) {
        best = at;
        least = load;
        if (load <= 0) break;
      }
      at = at + 1 === count ? 0 : at + 1;
    }
    if (best < 0) return -1;
    this.#next = best + 1 === count ? 0 : best + 1;
    this.#last = indices[best]!;
    return this.#last;
  }

  #pickWeighted(tried: Uint8Array | null): number {
    const usable = this.#usable;
    const { count, indices, inverse } = usable;
    const start = this.#start;
    let best = -1;
    let least = Number.POSITIVE_INFINITY;
    for (let at = 0; at < count; at += 1) {
      const load = usable.load(at);
      if (load > least || (tried !== null && tried[indices[at]!] !== 0)) continue;
      if (load === least && start[indices[at]!]! >= start[indices[best]!]!) continue;
      best = at;
      least = load;
    }
    if (best < 0) return -1;
    const index = indices[best]!;
    this.#time = Math.max(this.#time, start[index]!);
    start[index] = this.#time + inverse[best]!;
    this.#last = index;
    return index;
  }

  reset(candidates: Candidates): void {
    this.#candidates = candidates;
    this.#start = new Float64Array(candidates.count);
    this.#time = 0;
    this.#last = -1;
    this.reweigh();
  }

  reweigh(): void {
    this.#usable.fill(this.#candidates, null);
    this.#next = this.#usable.positionAfter(this.#last);
  }

  observe(): void {}
}
