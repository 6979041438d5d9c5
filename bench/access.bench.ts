// Nanoseconds of a look-up among 100,000 networks, as lists of bad addresses have them: `bun bench/access.bench.ts`. It may
// take 200 ns, the reading of the address included.
import { Rng } from "../src/core/fuzz.testing.ts";
import { parseCidr } from "../src/core/ip.ts";
import { IpMap, layOut } from "../src/core/ip-map.ts";
import { bench, finish } from "./per-call.ts";

const COUNT = 100_000;
const BUDGET_NS = 200;
const rng = new Rng(1);
const v4 = (): string => `${1 + rng.below(222)}.${rng.below(256)}.${rng.below(256)}.${rng.below(256)}`;
const v6 = (): string =>
  `2${rng.below(4096).toString(16).padStart(3, "0")}:${rng.below(65_536).toString(16)}:${rng.below(65_536).toString(16)}::1`;

for (const [name, address, prefixes] of [
  ["IPv4", v4, [16, 20, 22, 24, 24, 24, 32, 32]],
  ["IPv6", v6, [29, 32, 40, 48, 56, 64]],
] as const) {
  const networks = Array.from({ length: COUNT }, () => parseCidr(`${address()}/${rng.pick(prefixes)}`)!);
  const start = Bun.nanoseconds();
  const memory = layOut(networks);
  const ms = (Bun.nanoseconds() - start) / 1e6;
  const map = new IpMap(memory);
  const asked = Array.from({ length: 10_000 }, (_, i) => (i % 2 === 0 ? address() : address()));
  let at = 0;
  bench(`${COUNT} networks of ${name}, laid out in ${ms.toFixed(0)} ms`, memory.byteLength, BUDGET_NS, () => {
    at = (at + 1) % asked.length;
    return 1 + map.find(asked[at]!);
  });
}
finish();
