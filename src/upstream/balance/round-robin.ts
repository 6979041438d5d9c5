// In turn. With equal weights a turn is one step; otherwise it is the smooth weighted round-robin known from nginx:
// each server earns its weight with every pick, the one with most credit is chosen and pays the sum of all weights.
// Over as many picks as that sum each gets exactly its weight, spread out as evenly as can be.
import { type Balancer, type Candidates, NO_CANDIDATES } from "./contract.ts";
import { Usable } from "./usable.ts";

/** Credits closer than this share of all weights are the same: fractional weights leave rounding errors. */
const CREDIT_ERROR = 1e-9;

export class RoundRobin implements Balancer {
  readonly keyed = false;
  #candidates = NO_CANDIDATES;
  readonly #usable = new Usable();
  /** The position whose turn it is; with equal weights. */
  #next = 0;
  /** The index that had the last turn. */
  #last = -1;
  /** By index; with unequal weights. */
  #credit = new Float64Array(0);
  /** The sum of all weights that the credit was earned under. */
  #total = 0;

  pick(_key: number, tried: Uint8Array | null): number {
    return this.#usable.isEqual ? this.#pickEqual(tried) : this.#pickWeighted(tried);
  }

  #pickEqual(tried: Uint8Array | null): number {
    const { count, indices } = this.#usable;
    let at = this.#next;
    for (let step = 0; step < count; step += 1) {
      const index = indices[at]!;
      at = at + 1 === count ? 0 : at + 1;
      if (tried !== null && tried[index] !== 0) continue;
      this.#next = at;
      this.#last = index;
      return index;
    }
    return -1;
  }

  #pickWeighted(tried: Uint8Array | null): number {
    const { count, indices, weights, total } = this.#usable;
    const credit = this.#credit;
    const error = total * CREDIT_ERROR;
    let best = -1;
    let most = Number.NEGATIVE_INFINITY;
    let paid = 0;
    for (let at = 0; at < count; at += 1) {
      const index = indices[at]!;
      if (tried !== null && tried[index] !== 0) continue;
      const weight = weights[at]!;
      const earned = credit[index]! + weight;
      credit[index] = earned;
      paid += weight;
      if (earned > most) {
        best = index;
        most = earned + error;
      }
    }
    if (best < 0) return -1;
    credit[best] = credit[best]! - paid;
    this.#last = best;
    return best;
  }

  reset(candidates: Candidates): void {
    const before = this.#candidates;
    const credit = new Float64Array(candidates.count);
    const places = new Map(candidates.ids.map((id, index) => [id, index]));
    for (let i = 0; i < before.count; i += 1) {
      const index = places.get(before.ids[i]!);
      if (index !== undefined) credit[index] = this.#credit[i]!;
    }
    // The turn goes on where it was, or after the last server before that place that is still there.
    let last = this.#last;
    while (last >= 0 && !places.has(before.ids[last]!)) last -= 1;
    this.#last = last < 0 ? -1 : places.get(before.ids[last]!)!;
    this.#credit = credit;
    this.#candidates = candidates;
    this.reweigh();
  }

  reweigh(): void {
    const usable = this.#usable;
    const credit = this.#credit;
    usable.fill(this.#candidates, null);
    if (usable.count === 0) return; // nobody earns anything; new candidates may get their weights later
    this.#next = usable.positionAfter(this.#last);
    // Credit earned under other weights is worth as much in proportion, or whoever had much would get a burst. It must
    // not be dropped: while weights change all the time, the one with the highest would get everything.
    const scale = usable.isEqual || this.#total === 0 ? 0 : usable.total / this.#total;
    for (let i = 0; i < credit.length; i += 1) {
      credit[i] = this.#candidates.weights[i]! > 0 ? credit[i]! * scale : 0;
    }
    this.#total = usable.total;
  }

  observe(): void {}
}
