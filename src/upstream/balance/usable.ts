// The candidates that may be chosen right now, packed: position 0 to count - 1 in every column.
import { type Candidates, NO_CANDIDATES, type Random } from "./contract.ts";

/** Draws before those that were tried are sorted out at the cost of a pass over all: few of many are found sooner. */
const DRAWS_MAX = 8;

export class Usable {
  count = 0;
  /** Their indices among the candidates, ascending. */
  indices = new Int32Array(0);
  /** Where the requests in flight of each are counted. */
  places = new Int32Array(0);
  weights = new Float64Array(0);
  /** Mean weight divided by their own: times the requests in flight, a load that can be compared. */
  inverse = new Float64Array(0);
  /** Sum of all weights. */
  total = 0;
  /** Whether all have the same weight. */
  isEqual = true;
  inFlight: Int32Array = NO_CANDIDATES.inFlight;
  /** Sums of the weights up to each, itself included; not filled while they are equal. */
  #sums = new Float64Array(0);

  /** Takes every candidate that has a weight and was not tried. */
  fill(candidates: Candidates, tried: Uint8Array | null): this {
    if (this.indices.length < candidates.count) this.#grow(candidates.count);
    const { weights: given, slots, stride, offset } = candidates;
    const { indices, places, weights } = this;
    let count = 0;
    let total = 0;
    let isEqual = true;
    for (let i = 0; i < candidates.count; i += 1) {
      const weight = given[i]!;
      if (!(weight > 0) || (tried !== null && tried[i] !== 0)) continue;
      indices[count] = i;
      places[count] = slots[i]! * stride + offset;
      weights[count] = weight;
      if (weight !== weights[0]) isEqual = false;
      total += weight;
      count += 1;
    }
    this.count = count;
    this.total = total;
    this.isEqual = isEqual;
    this.inFlight = candidates.inFlight;
    this.#derive();
    return this;
  }

  #grow(capacity: number): void {
    this.indices = new Int32Array(capacity);
    this.places = new Int32Array(capacity);
    this.weights = new Float64Array(capacity);
    this.inverse = new Float64Array(capacity);
    this.#sums = new Float64Array(capacity);
  }

  #derive(): void {
    const { count, weights, inverse } = this;
    if (this.isEqual) {
      inverse.fill(1, 0, count);
      return;
    }
    const sums = this.#sums;
    const mean = this.total / count;
    let sum = 0;
    for (let at = 0; at < count; at += 1) {
      sum += weights[at]!;
      sums[at] = sum;
      inverse[at] = mean / weights[at]!;
    }
  }

  /**
   * The load of a position, to be compared: half-way to the next request, as seats are given out by Sainte-Laguë, or
   * servers of little weight would always round up. Idle servers are all alike: else the heaviest would get everything.
   */
  load(at: number): number {
    const taken = this.inFlight[this.places[at]!]!;
    return taken > 0 ? (taken + 0.5) * this.inverse[at]! : 0;
  }

  /** The first position whose index is above `index`; 0 when there is none. */
  positionAfter(index: number): number {
    for (let at = 0; at < this.count; at += 1) if (this.indices[at]! > index) return at;
    return 0;
  }

  /** A position by chance that was not tried, each as likely as its weight says; -1 when none is found soon. */
  draw(random: Random, tried: Uint8Array | null): number {
    for (let draws = 0; draws < DRAWS_MAX && this.count > 0; draws += 1) {
      const at = this.isEqual ? Math.floor(random() * this.count) : this.#find(random() * this.total);
      if (tried === null || tried[this.indices[at]!] === 0) return at;
    }
    return -1;
  }

  /** The same among all but position `first`. */
  drawOther(first: number, random: Random, tried: Uint8Array | null): number {
    for (let draws = 0; draws < DRAWS_MAX && this.count > 1; draws += 1) {
      const at = this.isEqual ? this.#otherEqual(first, random) : this.#otherWeighted(first, random);
      if (tried === null || tried[this.indices[at]!] === 0) return at;
    }
    return -1;
  }

  #otherEqual(first: number, random: Random): number {
    const at = Math.floor(random() * (this.count - 1));
    return at < first ? at : at + 1;
  }

  #otherWeighted(first: number, random: Random): number {
    const weight = this.weights[first]!;
    const drawn = random() * (this.total - weight);
    const at = this.#find(drawn < this.#sums[first]! - weight ? drawn : drawn + weight);
    if (at !== first) return at;
    return first + 1 < this.count ? first + 1 : first - 1; // sums are rounded
  }

  /** The first position whose sum lies above `drawn`. */
  #find(drawn: number): number {
    const sums = this.#sums;
    let low = 0;
    let high = this.count - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sums[middle]! > drawn) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}
