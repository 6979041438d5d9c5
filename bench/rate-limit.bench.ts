// Nanoseconds of one check of a rate limit, and how exact it is: `bun bench/rate-limit.bench.ts`. A check may cost 500 ns,
// its key included. Two threads, each with ten times what the limit lets through, must stay within 2 % of it, and ten
// million keys within the memory of a table that was made for a hundred thousand.
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { GcraTable } from "../src/engines/rate-limit/gcra.ts";
import { ALLOWED, Leases } from "../src/engines/rate-limit/leases.ts";
import { KeyHash } from "../src/engines/storage/key-hash.ts";
import { exchangeOf } from "../src/pipeline/exchange.fixture.ts";
import { requestKey } from "../src/pipeline/request-key.ts";
import { bench, finish } from "./per-call.ts";

const BUDGET_NS = 500;
const PER_SECOND = 100;
const RATE = { intervalMs: 1000 / PER_SECOND, burst: 10 };
const SECONDS = 10;
const OVERLOAD = 10;
const FLOOD = 10_000_000;
const KEYS = 100_000;

interface Half {
  readonly memory: SharedArrayBuffer;
  readonly startsAt: number;
}

/** One thread's half of the load: a request each millisecond or less, for ten seconds. */
async function load({ memory, startsAt }: Half): Promise<number> {
  const table = new GcraTable(memory, RATE);
  const everyMs = 1000 / (PER_SECOND * OVERLOAD) / 0.5;
  let allowed = 0;
  for (let sent = 0; sent < (SECONDS * 1000) / everyMs; ) {
    const now = Date.now() - startsAt;
    for (; sent * everyMs <= now && sent < (SECONDS * 1000) / everyMs; sent += 1)
      if (table.take(1, 2, 1, now)) allowed += 1;
    await Bun.sleep(1);
  }
  return allowed;
}

if (!isMainThread) {
  parentPort!.postMessage(await load(workerData as Half));
  process.exit(0);
}

const memory = new SharedArrayBuffer(GcraTable.bytes(KEYS));
const table = new GcraTable(memory, { intervalMs: 10, burst: 50 });
let now = 1000;
let n = 0;
bench("take: 10,000 keys, allowed", 0, BUDGET_NS, () => {
  n = (n + 1) % 10_000;
  now += 0.01;
  return table.take(Math.imul(n, 0x9e3779b1), n, 1, now) ? 1 : 0;
});
bench("take: one key, nearly always refused", 0, BUDGET_NS, () => {
  now += 0.001;
  return table.take(7, 7, 1, now) ? 1 : 1;
});

// What a limit of several machines takes from what this one has in hand.
const leases = new Leases(new SharedArrayBuffer(Leases.bytes(KEYS)));
leases.describe({ kind: "rate", step: 10, most: 1_000_000, lease: 1_000_000, cost: 1 });
leases.isServed = true;
for (let key = 0; key < 1000; key += 1) {
  leases.take(Math.imul(key, 0x9e3779b1), key, 1, now);
  for (const each of leases.wanted(1)) leases.grant(each, 1_000_000_000, 0, 0, null);
}
bench("take from a lease: 1000 keys", 0, BUDGET_NS, () => {
  n = (n + 1) % 1000;
  if (leases.take(Math.imul(n, 0x9e3779b1), n, 1, now) !== ALLOWED) throw new Error("nothing is in hand");
  return 1;
});

const addresses = Array.from({ length: 1000 }, (_, i) => exchangeOf({ ip: `10.${i >> 8}.${i & 255}.7` }));
const six = Array.from({ length: 1000 }, (_, i) => exchangeOf({ ip: `2001:db8:0:${(i + 1).toString(16)}::7` }));
const hash = new KeyHash(0x1234_5678_9abc_def0n);
const byAddress = requestKey(["ip"], hash);
for (const [name, list] of [
  ["IPv4", addresses],
  ["IPv6", six],
] as const)
  bench(`key and take: ${name}`, 0, BUDGET_NS, () => {
    n = (n + 1) % list.length;
    now += 0.01;
    byAddress.of(list[n]!);
    return table.take(byAddress.low, byAddress.high, 1, now) ? 1 : 1;
  });

// A million strangers a second, each remembered for a second, and one who asks ten thousand times as often as he may.
const flooded = new GcraTable(new SharedArrayBuffer(GcraTable.bytes(KEYS)), { intervalMs: 1000, burst: 10 });
const PER_MS = 1000;
const start = Bun.nanoseconds();
let passed = 0;
for (let i = 0; i < FLOOD; i += 1) {
  const at = 1000 + i / PER_MS;
  if (i % 100 === 0 && flooded.take(42, 42, 1, at)) passed += 1;
  flooded.take(Math.imul(i, 0x9e3779b1), Math.imul(i, 0x85ebca6b), 1, at);
}
const each = (Bun.nanoseconds() - start) / FLOOD;
const due = 10 + FLOOD / PER_MS / 1000;
console.log(
  `${FLOOD.toLocaleString("en")} keys in ${(GcraTable.bytes(KEYS) / 1e6).toFixed(1)} MB: ${each.toFixed(0)} ns each, ` +
    `${flooded.evictions.toLocaleString("en")} driven out; the one over his rate got ${passed} through of ${due} due`,
);
if (Math.abs(passed - due) > 1) throw new Error("a flood lets somebody through who is limited");

const shared = new SharedArrayBuffer(GcraTable.bytes(1000));
const startsAt = Date.now() + 200;
const halves = await Promise.all(
  [0, 1].map(
    () =>
      new Promise<number>((resolve, reject) => {
        const worker = new Worker(import.meta.filename, { workerData: { memory: shared, startsAt } satisfies Half });
        worker.once("message", resolve);
        worker.once("error", reject);
      }),
  ),
);
const allowed = halves.reduce((sum, half) => sum + half, 0);
const wanted = PER_SECOND * SECONDS;
const off = ((allowed - wanted) / wanted) * 100;
console.log(
  `two threads, ${OVERLOAD} x ${PER_SECOND}/s for ${SECONDS} s: ${allowed} let through (${off.toFixed(2)} %)`,
);
if (Math.abs(off) > 2) throw new Error("a rate of 100/s is not within 2 %");
finish();
