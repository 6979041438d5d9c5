// A ring of points for consistent hashing: every server has points that depend on nothing but its id and how many it
// has, and serves the keys between its points and the ones before them. Whoever comes takes keys from all others;
// whoever goes leaves its keys to all others; nothing else moves.
import { hashText, mix } from "./hash.ts";

/**
 * Points of a server with the largest weight. The shares of equal servers scatter by 1/√512 = 4.4 %, so that even the
 * largest of many stays below 1.2 times its due. A thousand servers take 4 MB.
 */
const POINTS_MAX = 512;
/** Seed of the second half of a server's identity. */
const SECOND_SEED = 0x5bd1e995;
/** The golden ratio in 32 bits. */
const STEP = 0x9e3779b9;

export class HashRing {
  /** The server (its index) that each point belongs to, in the order of the points. 65,536 servers are the most. */
  readonly owners: Uint16Array;
  /** Ascending. */
  readonly points: Uint32Array;
  /** The first point of each bucket; keys are found through their highest bits. */
  readonly #starts: Uint32Array;
  readonly #shift: number;

  /** Servers of weight 0 have no points. Throws RangeError for more servers than can be. */
  constructor(ids: readonly string[], weights: Float64Array) {
    if (ids.length > 0x10000) throw new RangeError(`a ring holds 65536 servers, not ${ids.length}`);
    const first = Uint32Array.from(ids, (id) => hashText(id));
    const second = Uint32Array.from(ids, (id) => hashText(id, SECOND_SEED));
    const counts = pointCounts(weights, ids.length);
    const length = counts.reduce((sum, count) => sum + count, 0);
    // Two to four points in a bucket: short to walk through, and cheap to keep in order.
    const bits = Math.max(1, Math.ceil(Math.log2(Math.max(length, 4))) - 2);
    this.#shift = 32 - bits;
    this.points = new Uint32Array(length);
    this.owners = new Uint16Array(length);
    this.#starts = new Uint32Array((1 << bits) + 1);
    this.#build(ids, counts, first, second);
  }

  /** Sorts by bucket, and within each by insertion. */
  #build(ids: readonly string[], counts: Uint16Array, first: Uint32Array, second: Uint32Array): void {
    const { points, owners } = this;
    const starts = this.#starts;
    const shift = this.#shift;
    for (let owner = 0; owner < counts.length; owner += 1) {
      for (let nth = 0; nth < counts[owner]!; nth += 1) {
        const bucket = pointOf(first[owner]!, second[owner]!, nth) >>> shift;
        starts[bucket + 1] = starts[bucket + 1]! + 1;
      }
    }
    for (let bucket = 1; bucket < starts.length; bucket += 1) starts[bucket] = starts[bucket]! + starts[bucket - 1]!;
    const ends = starts.slice();
    for (let owner = 0; owner < counts.length; owner += 1) {
      for (let nth = 0; nth < counts[owner]!; nth += 1) {
        const point = pointOf(first[owner]!, second[owner]!, nth);
        const bucket = point >>> shift;
        const begin = starts[bucket]!;
        let at = ends[bucket]!;
        ends[bucket] = at + 1;
        while (at > begin && isAfter(points[at - 1]!, owners[at - 1]!, point, owner, ids)) {
          points[at] = points[at - 1]!;
          owners[at] = owners[at - 1]!;
          at -= 1;
        }
        points[at] = point;
        owners[at] = owner;
      }
    }
  }

  /** Where in `owners` the point at or after a key (unsigned, 32 bits) is; 0 beyond the last, for it is a ring. */
  find(key: number): number {
    const { points } = this;
    const { length } = points;
    let at = this.#starts[key >>> this.#shift]!;
    while (at < length && points[at]! < key) at += 1;
    return at === length ? 0 : at;
  }
}

function pointCounts(weights: Float64Array, count: number): Uint16Array {
  let largest = 0;
  for (let i = 0; i < count; i += 1) largest = Math.max(largest, weights[i]!);
  const counts = new Uint16Array(count);
  for (let i = 0; i < count; i += 1) {
    if (weights[i]! > 0) counts[i] = Math.max(1, Math.round((weights[i]! / largest) * POINTS_MAX));
  }
  return counts;
}

/** The nth point of a server. Its identity has 64 bits, so no two servers ever share all their points. */
function pointOf(first: number, second: number, nth: number): number {
  return mix(mix(first + Math.imul(nth, STEP)) ^ second);
}

/** Points of two servers may meet: then their ids decide, so that the order of the list does not matter. */
function isAfter(point: number, owner: number, other: number, otherOwner: number, ids: readonly string[]): boolean {
  return point > other || (point === other && ids[owner]! > ids[otherOwner]!);
}
