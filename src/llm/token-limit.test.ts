import { expect, test } from "bun:test";
import type { LlmLimitConfig } from "../config/schema-llm.ts";
import { millis } from "../core/units.ts";
import { noUsage } from "../engines/llm/usage.ts";
import { Leases } from "../engines/rate-limit/leases.ts";
import { UNSHARED } from "../pipeline/shared.ts";
import { costOf, TokenLimit, WAIT } from "./token-limit.ts";

const MINUTE_MS = 60_000;
const CONFIG: LlmLimitConfig = {
  name: "tokens",
  count: "total",
  key: "ip",
  clients: 100,
  scope: "cluster",
  onStoreError: "local",
};

/** A limit with a clock of its own, and the memory that it counts in. */
function limitOf(config: Partial<LlmLimitConfig>, isShared = false) {
  const clock = { ms: 1_000_000 };
  const memories = new Map<string, SharedArrayBuffer>();
  const shared = { ...UNSHARED, now: () => clock.ms, wallNow: () => clock.ms };
  const memoryOf = (kind: string, _own: unknown, bytes: number): SharedArrayBuffer => {
    const memory = new SharedArrayBuffer(bytes);
    memories.set(kind, memory);
    return memory;
  };
  const limit = new TokenLimit({ ...CONFIG, ...config }, memoryOf, isShared, shared);
  return { limit, clock, memories };
}
const RATE = { count: 600, perMs: millis(MINUTE_MS) };

test("a rate: what is owed beyond the burst is paid off at the rate", () => {
  const { limit, clock } = limitOf({ tokens: RATE });
  expect(limit.take(1, 1, 100)).toBe(1);
  expect(limit.left).toBe('"tokens";r=500;t=10');
  limit.charge(1, 1, 1100); // it was 1200 in the end, of 600 that may be used at once
  expect(limit.take(1, 1, 1)).toBe(0);
  expect(limit.retryMs).toBeWithin(MINUTE_MS, MINUTE_MS + 200);
  clock.ms += MINUTE_MS + 200;
  expect(limit.take(1, 1, 1)).toBe(1);
  expect(limit.take(1, 1, 100)).toBe(0);
  limit.charge(1, 1, -500);
  expect(limit.take(1, 1, 100)).toBe(1);
  expect(limit.take(2, 2, 600)).toBe(1);
});

test("an estimate that is larger than the whole limit passes alone, and what was used of it is owed", () => {
  for (const config of [{ tokens: RATE }, { tokens: "600/day" }, { tokens: undefined, cost: "1/day" }] as const) {
    const { limit } = limitOf(config);
    const reserved = limit.reserved({ input: 0, output: 1e12 }, 1e9);
    expect([limit.take(1, 1, reserved), limit.take(1, 1, 1)]).toEqual([1, 0]);
    const used = Math.ceil(reserved / 10);
    limit.charge(1, 1, used - reserved);
    expect([limit.take(1, 1, reserved), limit.take(1, 1, reserved - used)]).toEqual([0, 1]);
  }
});

test("a quota, and what is counted", () => {
  const { limit } = limitOf({ tokens: "1000/day", count: "output" });
  const usage = { ...noUsage(), input: 900, output: 400 };
  expect(limit.amount(usage, 0)).toBe(400);
  expect([limit.take(1, 1, 400), limit.take(1, 1, 400), limit.take(1, 1, 400)]).toEqual([1, 1, 0]);
  limit.charge(1, 1, -300);
  expect(limit.take(1, 1, 400)).toBe(1);
  expect(limit.policy).toBe('"tokens";q=1000;w=86400');
});

test("money is counted to a millionth of a budget and finer, and told in hundredths", () => {
  const { limit } = limitOf({ tokens: undefined, cost: "2.50/month" });
  expect(limit.policy).toBe('"tokens";q=250;w=2592000');
  expect(limit.take(1, 1, limit.amount(noUsage(), 1.25))).toBe(1);
  expect(limit.left).toStartWith('"tokens";r=125;');
  expect(limit.take(1, 1, limit.amount(noUsage(), 1.250001))).toBe(0);
  expect(limit.take(1, 1, limit.amount(noUsage(), 1.249999))).toBe(1);
  const price = { input: 2, output: 10, cached: 1, cacheWritten: 4 };
  const usage = { input: 1000, cached: 300, cacheWritten: 200, output: 50, reasoning: 20 };
  expect(costOf(price, usage)).toBeCloseTo((500 * 2 + 300 + 200 * 4 + 50 * 10) / 1e6, 12);
  expect(costOf(undefined, usage)).toBe(0);
});

test("with other machines: the first is on credit, then what others have left is waited for", () => {
  const { limit, memories } = limitOf({ tokens: RATE }, true);
  expect(limit.take(1, 1, 100)).toBe(1); // the store is away: each machine for itself
  const asker = new Leases(memories.get("lease")!);
  asker.isServed = true;
  expect(limit.take(9, 9, 100)).toBe(1);
  expect(limit.take(9, 9, 100)).toBe(WAIT);
  const [first, ...none] = asker.wanted(10);
  expect([first!.owed, none]).toEqual([100, []]);
  // Little is in hand of a rate: the rest is charged.
  asker.grant(first!, 3, 50, 0, null);
  expect(limit.take(9, 9, 100)).toBe(1);
  limit.charge(9, 9, 40);
  expect(asker.wanted(10).map(({ owed }) => owed)).toEqual([137]);
  expect(limit.take(9, 9, 1)).toBe(WAIT);
  expect(limit.alone(9, 9, 1)).toBe(1);
});

test("what cannot be counted is said", () => {
  expect(() => limitOf({ tokens: "1000/day", burst: 5 })).toThrow("burst");
  expect(() => limitOf({ tokens: { count: 900_000_000, perMs: millis(1000) } })).toThrow("more than can be counted");
});
