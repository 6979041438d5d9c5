// CPU nanoseconds per choice of a server with 3, 100 and 1,000 of them: `bun bench/balance.bench.ts`. Budgets: 500 with
// 3 and 2,000 with 1,000. Every choice also counts a request in flight and ends an older one, as traffic does; there
// are four requests for each server at any time, so that no search finds an idle one. Then the time of a hash ring.
import type { UpstreamConfig } from "../src/config/schema.ts";
import type { Candidates } from "../src/upstream/balance/balancer.ts";
import { createBalancer } from "../src/upstream/balance/balancer.ts";
import { candidatesOf, equalWeights, mixedWeights } from "../src/upstream/balance/candidates.testing.ts";
import { hashAddress, hashText, mix } from "../src/upstream/balance/hash.ts";
import { HashRing } from "../src/upstream/balance/hash-ring.ts";

const PICKS = 200_000;
const ROUNDS = 5;
const SIZES = [3, 100, 1000] as const;
const IN_FLIGHT_EACH = 4;

const KINDS: readonly (readonly [name: string, kind: UpstreamConfig["balance"]])[] = [
  ["round-robin", "round-robin"],
  ["least-connections", "least-connections"],
  ["random", "random"],
  ["p2c", "p2c"],
  ["peak-ewma", "peak-ewma"],
  ["hash", { hash: "ip" }],
  ["hash, maxLoad 125 %", { hash: "ip", maxLoad: 1.25 }],
];

/** CPU time of this process: it survives a machine that has other things to do. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const median = (times: readonly number[]): number => times.toSorted((a, b) => a - b)[times.length >> 1]!;

/** Median over the rounds of the nanoseconds per pick. `isRetry`: one server was tried before. */
function measure(kind: UpstreamConfig["balance"], weights: readonly number[], isRetry: boolean): number {
  const candidates = candidatesOf(weights);
  const { count, inFlight, slots, stride, offset } = candidates;
  let now = 0;
  const balancer = createBalancer(kind, Math.random, () => now);
  balancer.reset(candidates);
  const tried = isRetry ? new Uint8Array(count).fill(1, 0, 1) : null;
  const going = new Int32Array(count * IN_FLIGHT_EACH).fill(-1);
  let next = 0;
  let sum = 0;
  const times = Array.from({ length: ROUNDS }, () => {
    const start = cpuMs();
    for (let i = 0; i < PICKS; i += 1) {
      const index = balancer.pick(mix(i), tried);
      sum += index;
      const ended = going[next]!;
      if (ended >= 0) {
        inFlight[slots[ended]! * stride + offset]! -= 1;
        balancer.observe(ended, 10 + (i & 7), false, now);
      }
      inFlight[slots[index]! * stride + offset]! += 1;
      going[next] = index;
      next = next + 1 === going.length ? 0 : next + 1;
      now += 0.01;
    }
    return ((cpuMs() - start) * 1e6) / PICKS;
  });
  if (sum <= 0) throw new Error("nothing was chosen");
  return median(times);
}

function time(task: () => void): number {
  return median(
    Array.from({ length: ROUNDS }, () => {
      const start = cpuMs();
      task();
      return cpuMs() - start;
    }),
  );
}

console.log("ns per pick".padEnd(32), ...SIZES.map((size) => `${size} servers`.padStart(13)));
for (const [name, kind] of KINDS) {
  for (const [variant, weightsOf, isRetry] of [
    ["", equalWeights, false],
    [", unequal", mixedWeights, false],
    [", unequal, retry", mixedWeights, true],
  ] as const) {
    const columns = SIZES.map((size) => measure(kind, weightsOf(size), isRetry).toFixed(0).padStart(13));
    console.log(`${name}${variant}`.padEnd(32), ...columns);
  }
}

console.log(`\n${"ms".padEnd(32)}`, ...SIZES.map((size) => `${size} servers`.padStart(13)));
const fleets: readonly Candidates[] = SIZES.map((size) => candidatesOf(equalWeights(size)));
const built = fleets.map((fleet) => time(() => new HashRing(fleet.ids, fleet.baseWeights)));
console.log("hash ring".padEnd(32), ...built.map((ms) => ms.toFixed(2).padStart(13)));
for (const name of ["round-robin", "least-connections", "random", "peak-ewma"] as const) {
  const reweighed = fleets.map((fleet) => {
    const balancer = createBalancer(name, Math.random, () => 0);
    balancer.reset(fleet);
    return time(() => {
      for (let i = 0; i < 1000; i += 1) balancer.reweigh();
    });
  });
  console.log(`1,000 × reweigh, ${name}`.padEnd(32), ...reweighed.map((ms) => ms.toFixed(2).padStart(13)));
}

console.log(`\n${"ns per hash".padEnd(32)}`);
for (const [name, hash, text] of [
  ["hashText, 32 characters", hashText, "0123456789abcdef0123456789abcdef"],
  ["hashAddress, IPv4", hashAddress, "203.0.113.77"],
  ["hashAddress, IPv6", hashAddress, "2001:db8:85a3::8a2e:370:7334"],
] as const) {
  let sum = 0;
  const ms = time(() => {
    for (let i = 0; i < PICKS; i += 1) sum ^= hash(text);
  });
  console.log(name.padEnd(32), ((ms * 1e6) / PICKS).toFixed(0).padStart(13), sum === 0 ? "" : " ");
}
