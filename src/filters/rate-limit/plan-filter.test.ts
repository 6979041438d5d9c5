// Tokens of language models, which are known only when a request has ended; the rest is seen through the whole proxy
// (test/plans.test.ts).
import { expect, test } from "bun:test";
import { Endpoints } from "../../auth/endpoints.ts";
import { policySchema } from "../../config/schema.ts";
import { plansSchema } from "../../config/schema-plans.ts";
import type { PlanLimits } from "../../core/plan-limits.ts";
import type { ProxyEvent } from "../../pipeline/events.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import type { Exchange, Filter } from "../../pipeline/exchange.ts";
import { NO_CLAIMS } from "../../pipeline/identity.ts";
import { UNSHARED } from "../../pipeline/shared.ts";
import type { Tokens } from "../../pipeline/tokens.ts";
import { contextOf } from "../context.testing.ts";
import type { Policies } from "../definition.ts";
import { quota } from "./plan-filter.ts";

const OWN: PlanLimits = { quota: [{ count: 4, per: "day" }] };
const used = (input: number, output: number): Tokens => ({ input, output }) as Tokens;

const clock = { ms: 1000 };

function filterOf(plan: object, policy: object = {}): { filter: Filter; told: ProxyEvent[] } {
  const memories = new Map<string, SharedArrayBuffer>();
  const told: ProxyEvent[] = [];
  const shared = {
    ...UNSHARED,
    memory: (name: string, bytes: number) => {
      const memory = memories.get(name) ?? new SharedArrayBuffer(bytes);
      memories.set(name, memory);
      return memory;
    },
    now: () => clock.ms,
    wallNow: () => Date.parse("2026-11-24T12:00:00Z"),
    event: (event: ProxyEvent) => void told.push(event),
  };
  const policies = policySchema.parse({ quota: policy, auth: { basic: { users: { a: "$2b$04$x" } } } }) as Policies;
  const plans = plansSchema.parse({ gold: plan });
  const context = contextOf({ shared, plans, thresholds: [0.5, 1], endpoints: new Endpoints() });
  return { filter: quota.compile(policies, context)[0]!, told };
}

function exchange(headers: readonly (readonly [string, string])[] = []): Exchange {
  const x = exchangeOf({ headers });
  const known = { kind: "apiKey", user: "ann", issuer: "", groups: [], scopes: [], limits: null } as const;
  x.identity = { ...known, consumer: "ann", plan: "gold", claims: NO_CLAIMS };
  return x;
}

/** A request that reserves so many and takes so many; the fault where it was refused. */
function run(filter: Filter, reserved: number, tokens: Tokens | null): string {
  const x = exchange();
  const refused = filter.request!(x) as { code: string } | undefined;
  if (refused !== undefined) return refused.code;
  const over = reserved === 0 ? null : x.plan!.reserveTokens(x, reserved);
  x.tokens = over === null ? tokens : null;
  x.status = over === null ? 200 : 429;
  filter.finished!(x);
  return over === null ? "" : over.code;
}

/** What is used of each limit. */
const usedOf = (filter: Filter): number[] =>
  (filter as unknown as { describe(x: Exchange): { limits: { used: number }[] } })
    .describe(exchange())
    .limits.map((limit) => limit.used);

test("tokens are charged when they are known, beyond the quota too, and refused from then on", () => {
  const { filter } = filterOf({ tokens: "1000/d" });
  expect([run(filter, 0, used(300, 200)), usedOf(filter)]).toEqual(["", [500]]);
  expect([run(filter, 0, null), usedOf(filter)]).toEqual(["", [500]]);
  expect([run(filter, 0, used(600, 100)), usedOf(filter)]).toEqual(["", [1200]]);
  expect([run(filter, 0, used(1, 1)), usedOf(filter)]).toEqual(["limit.tokens", [1200]]);
});

test("an estimate that is reserved is settled with what it was, and one that is not there refuses", () => {
  const { filter } = filterOf({ tokens: ["1000/d", "1500/month"], quota: "10/d" });
  expect([run(filter, 400, used(10, 20)), usedOf(filter)]).toEqual(["", [1, 30, 30]]);
  expect([run(filter, 400, used(500, 200)), usedOf(filter)]).toEqual(["", [2, 730, 730]]);
  // A refused request costs nothing, neither tokens nor itself.
  expect([run(filter, 400, null), usedOf(filter)]).toEqual(["limit.tokens", [2, 730, 730]]);
  expect([run(filter, 200, null), usedOf(filter)]).toEqual(["", [3, 730, 730]]);
});

test("a soft quota of tokens is exceeded, and told of", () => {
  const { filter, told } = filterOf({ tokens: "1000/d", soft: true });
  expect([run(filter, 0, used(400, 200)), run(filter, 5000, used(400, 200)), run(filter, 0, null)]).toEqual([
    "",
    "",
    "",
  ]);
  expect(usedOf(filter)).toEqual([1200]);
  const shares = told.map((event) => (event.kind === "quota" ? [event.limit, event.unit, event.share] : []));
  expect(shares).toEqual([
    ["gold-tokens-day", "tokens", 50],
    ["gold-tokens-day", "tokens", 100],
  ]);
});

test("a consumer's own quota is told of at the same shares, whatever quotas the plan has", () => {
  // Of a quota of 1 all shares are the whole; a plan with a rate alone has none.
  for (const plan of [{ quota: "1/d" }, { rate: "1000/s" }]) {
    const { filter, told } = filterOf(plan);
    for (let i = 0; i < 4; i += 1) {
      const x = exchange();
      x.identity = { ...x.identity!, limits: OWN };
      expect(filter.request!(x)).toBeUndefined();
    }
    expect(told.map((event) => event.kind === "quota" && [event.used, event.of, event.share])).toEqual([
      [2, 4, 50],
      [4, 4, 100],
    ]);
  }
});

test("what is charged in the end is charged to the field that the request came with", () => {
  const { filter } = filterOf({ quota: "10/d", tokens: "1000/d" }, { per: "header:x-tenant", free: ["5xx"] });
  const x = exchange([["x-tenant", "a"]]);
  expect(filter.request!(x)).toBeUndefined();
  x.request.headers.remove("x-tenant"); // as `requestHeaders` may
  expect(x.plan!.reserveTokens(x, 100)).toBeNull();
  x.tokens = used(20, 10);
  x.status = 500;
  filter.finished!(x);
  const left = (headers: readonly (readonly [string, string])[]): unknown =>
    (filter as unknown as { describe(x: Exchange): { limits: { used: number }[] } })
      .describe(exchange(headers))
      .limits.map((limit) => limit.used);
  expect([left([["x-tenant", "a"]]), left([])]).toEqual([
    [0, 30],
    [0, 0],
  ]);
});

test("answers that are free give back what was taken, and leaving before there is one does not", () => {
  const { filter } = filterOf({ quota: "10/d" }, { free: ["4xx"] });
  const after = (status: number): number[] => {
    const x = exchange();
    filter.request!(x);
    x.status = status;
    filter.finished!(x);
    return usedOf(filter);
  };
  expect([404, 200, 429, 499].map(after)).toEqual([[0], [1], [1], [2]]);
});

test("a soft rate is exceeded by those who go beyond it, and not by what they have asked before", () => {
  const { filter } = filterOf({ rate: "1/s", burst: 2, soft: ["rate"] });
  const exceeded = (): string => {
    const x = exchange();
    expect(filter.request!(x)).toBeUndefined();
    return x.planExceeded;
  };
  expect(Array.from({ length: 5 }, exceeded)).toEqual(["", "", "gold", "gold", "gold"]);
  clock.ms += 1000;
  expect([exceeded(), exceeded()]).toEqual(["", "gold"]);
});
