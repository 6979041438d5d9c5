// Where the tables of limits find their keys: buckets of sixteen slots in memory that all threads share. A slot is a
// tag of 32 bits and a number of 32 bits; which bucket a key belongs to is said by the other half of its hash. Tags of
// a bucket fill one cache line, their numbers the next.

/** Slots of a bucket. With twice as many slots as keys, 1 bucket in 250 has more keys than room. */
export const SLOTS = 16;
/** Integers of a bucket: its tags, then its numbers. */
export const STRIDE = 2 * SLOTS;
const BUCKET_BYTES = STRIDE * Int32Array.BYTES_PER_ELEMENT;
/** Slots for each key that there is to be room for. */
const SLOTS_PER_KEY = 2;
/** What an empty slot has for a tag. */
export const NO_TAG = 0;
const RANGE = 2 ** 32;

/** Bytes of a table with room for so many keys: 16 for each of them. */
export const tableBytes = (keys: number): number => bucketsFor(keys) * BUCKET_BYTES;
const bucketsFor = (keys: number): number => Math.max(1, Math.ceil((keys * SLOTS_PER_KEY) / SLOTS));

/** How many buckets lie in `bytes`. */
export const bucketsIn = (bytes: number): number => Math.floor(bytes / BUCKET_BYTES);

/** Where the bucket of a key begins, of `count`; any count is spread over evenly. */
export const bucketAt = (low: number, count: number): number => Math.floor(((low >>> 0) / RANGE) * count) * STRIDE;

/** The tag of a key. */
export const tagOf = (high: number): number => ((high | 0) === NO_TAG ? 1 : high | 0);

/** Where the key's slot is; -1 when the bucket has none for it. */
export function findTag(ints: Int32Array, bucket: number, tag: number): number {
  const end = bucket + SLOTS;
  for (let at = bucket; at < end; at += 1) if (ints[at] === tag) return at;
  return -1;
}
