// What it costs to hold a request to a plan and to meter it: `bun bench/plans.bench.ts`. A key takes 100 ns, each limit
// about as much, and what clients are told of it as much again.

import { Endpoints } from "../src/auth/endpoints.ts";
import { configSchema } from "../src/config/schema.ts";
import { SharedMemories } from "../src/control/shared.ts";
import { UsageMeter } from "../src/engines/usage/meter.ts";
import { UsageTable } from "../src/engines/usage/table.ts";
import type { Policies } from "../src/filters/definition.ts";
import { quota } from "../src/filters/rate-limit/plan-filter.ts";
import { exchangeOf } from "../src/pipeline/exchange.fixture.ts";
import type { Route } from "../src/pipeline/exchange.ts";
import { NO_CLAIMS } from "../src/pipeline/identity.ts";
import { bench, finish } from "./per-call.ts";

const CONSUMERS = 1000;
const MANY = 1_000_000_000;

const { plans } = configSchema.parse({
  listeners: [{ address: ":0" }],
  plans: {
    day: { quota: `${MANY}/d` },
    full: { rate: "1000000/s", burst: 1_000_000, quota: [`${MANY}/d`, `${MANY}/month`] },
  },
});

const exchanges = (plan: string) =>
  Array.from({ length: CONSUMERS }, (_, i) => {
    const x = exchangeOf({});
    const consumer = `consumer-${i}`;
    const known = { kind: "apiKey", user: consumer, issuer: "", groups: [], scopes: [], limits: null } as const;
    x.identity = { ...known, consumer, plan, claims: NO_CLAIMS };
    x.route = { name: "api", index: 0 } as unknown as Route;
    x.status = 200;
    return x;
  });

function measure(name: string, plan: string, headers: boolean, budgetNs: number): void {
  const shared = new SharedMemories().prepare(1, new Uint8Array(32));
  const policy = { per: "consumer", cost: 1, free: [], clients: 10_000, onStoreError: "local", headers } as const;
  const [filter] = quota.compile(
    { quota: policy, auth: {} } as unknown as Policies,
    {
      route: "api",
      params: [],
      scopeOf: () => "route api",
      shared,
      plans,
      thresholds: [0.8, 1],
      endpoints: new Endpoints(),
      state: null,
      servers: () => null,
    } as never,
  );
  const list = exchanges(plan);
  let n = 0;
  bench(name, 0, budgetNs, () => {
    const x = list[n]!;
    n = n + 1 === list.length ? 0 : n + 1;
    if (filter!.request!(x) !== undefined) throw new Error("refused");
    filter!.finished!(x);
    return 1;
  });
}

measure("a quota, clients are told nothing", "day", false, 500);
measure("a quota", "day", true, 800);
measure("a rate and two quotas", "full", true, 2000);

const meter = new UsageMeter(new SharedArrayBuffer(UsageTable.bytes(10_000)), ["api"]);
const list = exchanges("day");
let n = 0;
bench("metering", 0, 200, () => {
  const x = list[n]!;
  n = n + 1 === list.length ? 0 : n + 1;
  meter.record(x, 1, 1000);
  return 1;
});
finish();
