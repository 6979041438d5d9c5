// Traces of requests, and how many of them hit: in the memory store, and in LRU of the same size.
import type { Rng } from "../../core/fuzz.testing.ts";
import { ENTRY_OVERHEAD_BYTES, MemoryStore, NONE, SLOT_BYTES } from "./memory-store.ts";

/** Requests for `objects` objects; the n-th most popular is asked for in proportion to 1 / n^exponent. */
export function zipfTrace(rng: Rng, objects: number, requests: number, exponent: number): Int32Array {
  const sums = new Float64Array(objects);
  let sum = 0;
  for (let i = 0; i < objects; i += 1) sums[i] = sum += (i + 1) ** -exponent;
  return Int32Array.from({ length: requests }, () => {
    const at = (rng.below(1 << 30) / (1 << 30)) * sum;
    let [low, high] = [0, objects - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  });
}

/** Hits in the second half, with room for `entries` entries: the first half fills it. */
export function storeHits(trace: Int32Array, entries: number): number {
  const store = new MemoryStore(entries * SLOT_BYTES, () => {});
  let warm = 0;
  for (const [i, object] of trace.entries()) {
    if (i === trace.length >> 1) warm = store.stats().hits;
    const slot = store.find(object, 0);
    store.touch(slot);
    if (slot === NONE) store.put(object, 0, object, SLOT_BYTES - ENTRY_OVERHEAD_BYTES);
  }
  return store.stats().hits - warm;
}

/** The same with LRU: a ring of objects by age in two arrays, with the last place for its ends. */
export function lruHits(trace: Int32Array, entries: number): number {
  const ends = trace.reduce((max, object) => Math.max(max, object), 0) + 1;
  const newer = new Int32Array(ends + 1).fill(-1);
  const older = new Int32Array(ends + 1);
  newer[ends] = older[ends] = ends;
  const remove = (object: number): void => {
    newer[older[object]!] = newer[object]!;
    older[newer[object]!] = older[object]!;
    newer[object] = -1;
  };
  let [hits, stored] = [0, 0];
  for (const [i, object] of trace.entries()) {
    if (newer[object] !== -1) {
      if (i >= trace.length >> 1) hits += 1;
      remove(object);
    } else if (stored === entries) remove(newer[ends]!);
    else stored += 1;
    const newest = older[ends]!;
    newer[object] = ends;
    older[object] = newest;
    newer[newest] = older[ends] = object;
  }
  return hits;
}
