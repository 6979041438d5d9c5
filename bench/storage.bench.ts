// The memory tier of the cache: nanoseconds for a look-up and for an entry that comes, with the hash of its key and
// evictions, and hits beside LRU: `bun bench/storage.bench.ts`. A look-up is the hash of a string, and a chain of slots
// in arrays that do not fit the CPU's caches.
import { Rng } from "../src/core/fuzz.testing.ts";
import { KeyHash } from "../src/engines/storage/key-hash.ts";
import { ENTRY_OVERHEAD_BYTES, MemoryStore, SLOT_BYTES } from "../src/engines/storage/memory-store.ts";
import { lruHits, storeHits, zipfTrace } from "../src/engines/storage/trace.testing.ts";

const ENTRIES = 1_000_000;
const VALUE_BYTES = SLOT_BYTES - ENTRY_OVERHEAD_BYTES;
const URL_START = "https\nwww.example.com\n/products/";

const none = (): void => {};
/** Not a rope: that would be counted, and hashed, as it never is in a request. */
const keyOf = (i: number): string => Buffer.from(`${URL_START}${i}`, "latin1").latin1Slice();

function put(store: MemoryStore, hash: KeyHash, key: string): void {
  hash.of(key);
  store.put(hash.low, hash.high, 1, VALUE_BYTES);
}

function perLookUp(): void {
  const store = new MemoryStore(ENTRIES * SLOT_BYTES, none);
  const hash = new KeyHash(1n);
  for (let i = 0; i < ENTRIES; i += 1) put(store, hash, keyOf(i));
  const asked = Array.from({ length: 100_000 }, (_, i) => keyOf((i * 7919) % ENTRIES));
  const start = Bun.nanoseconds();
  for (let round = 0; round < 10; round += 1)
    for (const key of asked) {
      hash.of(key);
      store.touch(store.find(hash.low, hash.high));
    }
  const nanos = (Bun.nanoseconds() - start) / (10 * asked.length);
  console.log(`${nanos.toFixed(0)} ns per look-up among ${store.entries} entries`);
}

function perPut(): void {
  const store = new MemoryStore(100_000 * SLOT_BYTES, none);
  const hash = new KeyHash(1n);
  const keys = Array.from({ length: 500_000 }, (_, i) => keyOf(i));
  const start = Bun.nanoseconds();
  for (const key of keys) put(store, hash, key);
  console.log(`${((Bun.nanoseconds() - start) / keys.length).toFixed(0)} ns per new entry, with evictions`);
}

function hitRatios(): void {
  for (const exponent of [0.7, 0.9, 1.1]) {
    const trace = zipfTrace(new Rng(1), 1_000_000, 2_000_000, exponent);
    for (const room of [10_000, 100_000]) {
      const [ours, lru] = [storeHits(trace, room), lruHits(trace, room)].map((hits) => (200 * hits) / trace.length);
      console.log(
        `Zipf ${exponent}, room for ${room} of a million: ${ours!.toFixed(1)} % hits, LRU ${lru!.toFixed(1)} %`,
      );
    }
  }
}

perLookUp();
perPut();
hitRatios();
