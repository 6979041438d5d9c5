// Nanoseconds per route look-up with 10 and with 10,000 routes: `bun bench/routing.bench.ts`. The table is maps, so the
// second column should stay within a few times the first (the maps no longer fit the CPU's caches), never 1,000 times.
import type { MatchConfig } from "../src/config/schema.ts";
import type { RouteSubject } from "../src/routing/subject.ts";
import { compileRoutes } from "../src/routing/table.ts";

const LOOKUPS = 200_000;
const ROUNDS = 5;

interface Shape {
  readonly name: string;
  match(i: number): MatchConfig;
  subject(i: number): Partial<RouteSubject>;
}

const SHAPES: readonly Shape[] = [
  {
    name: "exact host",
    match: (i) => ({ host: `h${i}.example.com` }),
    subject: (i) => ({ host: `h${i}.example.com` }),
  },
  {
    name: "wildcard host",
    match: (i) => ({ host: `*.h${i}.example.com` }),
    subject: (i) => ({ host: `www.h${i}.example.com` }),
  },
  { name: "exact path", match: (i) => ({ path: `/pages/p${i}` }), subject: (i) => ({ path: `/pages/p${i}` }) },
  { name: "prefix", match: (i) => ({ path: `/svc${i}/*` }), subject: (i) => ({ path: `/svc${i}/a/b` }) },
  { name: "parameter", match: (i) => ({ path: `/svc${i}/:id` }), subject: (i) => ({ path: `/svc${i}/7` }) },
  {
    name: "host and prefix",
    match: (i) => ({ host: `h${i % 100}.example.com`, path: `/svc${i}/*` }),
    subject: (i) => ({ host: `h${i % 100}.example.com`, path: `/svc${i}/x` }),
  },
  { name: "no match", match: (i) => ({ path: `/svc${i}/*` }), subject: (i) => ({ path: `/none${i}` }) },
];

/** Median over the rounds of the nanoseconds per look-up. */
function measure(shape: Shape, routes: number): number {
  const table = compileRoutes(
    Array.from({ length: routes }, (_, i) => ({ name: `r${i}`, match: shape.match(i), value: i })),
  );
  const subjects = Array.from({ length: 1024 }, (_, i): RouteSubject => {
    const base = { host: "example.com", path: "/", method: "GET", query: "", ip: "192.0.2.1" };
    return { ...base, clientCert: null, header: () => null, ...shape.subject((i * 7919) % routes) };
  });
  let hits = 0;
  const times = Array.from({ length: ROUNDS }, () => {
    const start = performance.now();
    for (let i = 0; i < LOOKUPS; i += 1) if (table.find(subjects[i & 1023]!) !== null) hits += 1;
    return ((performance.now() - start) * 1e6) / LOOKUPS;
  });
  const expected = shape.name === "no match" ? 0 : LOOKUPS * ROUNDS;
  if (hits !== expected) throw new Error(`${shape.name}: ${hits} hits instead of ${expected}`);
  return times.sort((a, b) => a - b)[ROUNDS >> 1]!;
}

console.log("ns per look-up".padEnd(18), "10 routes".padStart(10), "10,000 routes".padStart(14));
for (const shape of SHAPES) {
  const [few, many] = [measure(shape, 10), measure(shape, 10_000)];
  console.log(shape.name.padEnd(18), few.toFixed(0).padStart(10), many.toFixed(0).padStart(14));
}
