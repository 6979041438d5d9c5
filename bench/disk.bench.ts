// The disk tier of the cache: `bun bench/disk.bench.ts [entries] [folder]`, a million entries of 10 KB if not told
// otherwise (12 GB in the folder, which is removed). Nanoseconds per look-up into the index, microseconds per hit while
// the system has the records in memory, writes per second, time until the tier is open after an orderly end, after a
// crash, and without the snapshot; and a hundred kills in the midst of writing.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crashRound } from "../src/cache/disk-crash.testing.ts";
import { DiskStore } from "../src/cache/disk-store.ts";
import { DiskTier } from "../src/cache/disk-tier.ts";
import { DiskIndex, Place } from "../src/engines/storage/disk-index.ts";
import { KeyHash } from "../src/engines/storage/key-hash.ts";
import type { DiskRecord } from "../src/engines/storage/record.ts";

const entries = Number(process.argv[2] ?? 1_000_000);
const folder = mkdtempSync(join(process.argv[3] ?? tmpdir(), "sluice-disk-bench-"));
const BODY = Buffer.alloc(10_240, "body ");
const HEAD = Buffer.from(`HTTP/1.1 200 OK\r\n${"x-field: some value\r\n".repeat(12)}`);
const BYTES_MAX = entries * 12_000 + (1 << 30);
const HITS = 100_000;
const KILLS = 100;

const keyOf = (i: number): string => `https\0www.example.com\0/products/${i}`;
const since = (start: number): number => (Bun.nanoseconds() - start) / 1e6;

async function open(): Promise<{ tier: DiskTier; store: DiskStore; ms: number }> {
  const start = Bun.nanoseconds();
  const tier = await DiskTier.start({ path: join(folder, "cache"), bytesMax: BYTES_MAX, onTrouble: console.error });
  const store = new DiskStore(tier.share, tier.connect());
  while (!tier.stats().ready) await Bun.sleep(1);
  return { tier, store, ms: since(start) };
}

function lookUps(share: DiskTier["share"]): void {
  const index = new DiskIndex(share.index);
  const hash = new KeyHash(share.seed);
  const place = new Place();
  const halves = Array.from({ length: HITS }, (_, i): [number, number] => {
    hash.of(keyOf((i * 7919) % entries));
    return [hash.low, hash.high];
  });
  let [found, none] = [0, 0];
  const time = (flip: number): number => {
    const start = Bun.nanoseconds();
    for (const [low, high] of halves) if (index.find(low, (high ^ flip) >>> 0, place)) found += 1;
    return (Bun.nanoseconds() - start) / HITS;
  };
  time(0);
  found = 0;
  const hit = time(0);
  none = found;
  const miss = time(0x5555_5555);
  console.log(`${hit.toFixed(0)} ns per look-up (${none} of ${HITS} found), ${miss.toFixed(0)} ns without`);
}

function hits(store: DiskStore): void {
  let bytes = 0;
  const round = (): number => {
    const start = Bun.nanoseconds();
    for (let i = 0; i < HITS / 5; i += 1) {
      const record = store.get(keyOf((i * 7919) % entries)) as DiskRecord | null;
      bytes += record?.body.length ?? 0;
    }
    return (Bun.nanoseconds() - start) / (HITS / 5) / 1000;
  };
  round();
  console.log(`${round().toFixed(1)} µs per hit of ${BODY.length} bytes, ${bytes} bytes in all`);
}

async function fill(store: DiskStore): Promise<void> {
  const start = Bun.nanoseconds();
  const entry = { tags: Buffer.alloc(0), meta: Buffer.alloc(64), head: HEAD, body: BODY, storedAt: 0 };
  for (let i = 0; i < entries; i += 1) {
    while (!store.put(keyOf(i), entry)) await store.flushed();
    if (i % 1000 === 999) await store.flushed();
  }
  await store.flushed();
  const ms = since(start);
  console.log(`${entries} entries of ${BODY.length} bytes stored: ${((entries / ms) * 1000).toFixed(0)} a second`);
}

try {
  const first = await open();
  await fill(first.store);
  lookUps(first.tier.share);
  hits(first.store);
  first.store.close();
  const start = Bun.nanoseconds();
  await first.tier.close();
  console.log(`${since(start).toFixed(0)} ms to end`);
  for (const how of ["behind an orderly end", "without the snapshot"]) {
    if (how === "without the snapshot") rmSync(join(folder, "cache/index.snapshot"));
    const { tier, store, ms } = await open();
    console.log(`${ms.toFixed(0)} ms until open ${how}, ${tier.stats().entries} entries`);
    store.close();
    await tier.close();
  }
  let found = 0;
  for (let kill = 0; kill < KILLS; kill += 1) found += await crashRound(join(folder, "crash"), 1 + ((kill * 13) % 60));
  console.log(`${KILLS} kills in the midst of writing: ${found} entries found, none of them wrong, none lost`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
