// The memory tier of the cache: nanoseconds per hit, what an entry costs beside its value, hits beside LRU, and memory
// under a scan of ten million keys: `bun bench/storage.bench.ts`. A hit is one look-up in a map of a million strings,
// which do not fit the CPU's caches; an entry's overhead must stay below ENTRY_OVERHEAD_BYTES.
import { heapStats } from "bun:jsc";
import { Rng } from "../src/core/fuzz.testing.ts";
import { ENTRY_OVERHEAD_BYTES, MemoryStore } from "../src/engines/storage/memory-store.ts";
import { lruHits, storeHits, zipfTrace } from "../src/engines/storage/trace.testing.ts";

const ENTRIES = 1_000_000;
const SCANNED = 10_000_000;
const SCAN_ROOM = 256 * 1024 * 1024;
const MIB = 1024 * 1024;
const URL_START = "https\0www.example.com\0/products/";

const none = (): void => {};
/** Not a rope: that would be counted, and hashed, as it never is in a request. */
const keyOf = (i: number): string => Buffer.from(`${URL_START}${i}`, "latin1").latin1Slice();

function memory(): number {
  Bun.gc(true);
  const { heapSize, extraMemorySize } = heapStats();
  return heapSize + extraMemorySize;
}

function perHit(): void {
  const before = memory();
  const store = new MemoryStore<number>(ENTRIES * 1024, none);
  for (let i = 0; i < ENTRIES; i += 1) store.put(keyOf(i), i, 0);
  const each = (memory() - before) / ENTRIES - keyOf(ENTRIES / 2).length;
  const asked = Array.from({ length: 100_000 }, (_, i) => keyOf((i * 7919) % ENTRIES));
  for (const key of asked) store.get(key); // their hashes are kept with them from now on
  const start = Bun.nanoseconds();
  for (let round = 0; round < 10; round += 1) for (const key of asked) store.get(key);
  const nanos = (Bun.nanoseconds() - start) / (10 * asked.length);
  console.log(`${nanos.toFixed(0)} ns per hit among ${store.entries} entries`);
  console.log(`${each.toFixed(0)} bytes per entry beside key and value (counted as ${ENTRY_OVERHEAD_BYTES})`);
}

function perPut(): void {
  const store = new MemoryStore<number>(100_000 * ENTRY_OVERHEAD_BYTES, none);
  const keys = Array.from({ length: 500_000 }, (_, i) => keyOf(i));
  const start = Bun.nanoseconds();
  for (const key of keys) store.put(key, 0, 0);
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

/** One-off entries of a kilobyte, as crawlers make them. Resident memory includes the collector's slack. */
async function scan(): Promise<void> {
  Bun.gc(true);
  const before = process.memoryUsage.rss();
  const store = new MemoryStore<Buffer>(SCAN_ROOM, none);
  let highest = 0;
  for (let i = 0; i < SCANNED; i += 1) {
    store.put(keyOf(i), Buffer.allocUnsafeSlow(1024).fill(i), 1024);
    if (i % 1000 !== 0) continue;
    await Bun.sleep(0); // requests come in turns of the event loop
    highest = Math.max(highest, process.memoryUsage.rss() - before);
  }
  const [counted, resident] = [store.bytes / MIB, highest / MIB];
  console.log(
    `${SCANNED} keys scanned: ${counted.toFixed(0)} MiB counted, at most ${resident.toFixed(0)} MiB resident`,
  );
}

perHit();
perPut();
hitRatios();
await scan();
