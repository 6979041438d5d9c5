import { describe, expect, test } from "bun:test";
import { plansSchema } from "../../config/schema-plans.ts";
import { type PriorityConfig, prioritySchema } from "../../config/schema-traffic.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import { type Identity, NO_CLAIMS } from "../../pipeline/identity.ts";
import { contextOf } from "../context.testing.ts";
import type { Policies } from "../definition.ts";
import { levelIn, priority, priorityIdentified } from "./filter.ts";
import { type Level, Pressure } from "./overload.ts";

const LAG = 50;
/** Refused of 100 requests of each level. */
const refused = (pressure: Pressure): number[] =>
  ([0, 1, 2] as const).map((level: Level) => {
    let count = 0;
    for (let time = 0; time < 100; time += 1) if (pressure.refuses(level)) count += 1;
    return count;
  });
const ticks = (pressure: Pressure, count: number, lag: number, underWay = 0, most = Number.POSITIVE_INFINITY): void => {
  for (let time = 0; time < count; time += 1) pressure.measure(lag, LAG, underWay, most);
};

describe("pressure", () => {
  test("nobody is refused while all is well", () => {
    const pressure = new Pressure();
    ticks(pressure, 1000, LAG);
    expect(refused(pressure)).toEqual([0, 0, 0]);
  });

  test("a single late turn is no overload", () => {
    const pressure = new Pressure();
    ticks(pressure, 1, 2 * LAG);
    expect(refused(pressure)).toEqual([0, 0, 0]);
  });

  test("the least important go first, and some of the most important never", () => {
    const pressure = new Pressure();
    const seen: number[][] = [];
    for (let time = 0; time < 40; time += 1) {
      ticks(pressure, 1, 2 * LAG);
      seen.push(refused(pressure));
    }
    for (const [high, normal, low] of seen) {
      if (high! > 0) expect([normal, low]).toEqual([100, 100]);
      if (normal! > 0) expect(low).toBe(100);
    }
    expect(seen.some(([high, normal]) => high === 0 && normal! > 0)).toBe(true);
    ticks(pressure, 1000, 100 * LAG);
    expect(refused(pressure)).toEqual([90, 100, 100]);
  });

  test("it ends some seconds after the overload does", () => {
    const pressure = new Pressure();
    ticks(pressure, 1000, 100 * LAG);
    ticks(pressure, 220, 0);
    expect(refused(pressure)).toEqual([0, 0, 0]);
  });

  test("requests under way count as well", () => {
    const pressure = new Pressure();
    ticks(pressure, 20, 0, 100, 100);
    expect(refused(pressure)).toEqual([0, 0, 0]);
    ticks(pressure, 9, 0, 150, 100);
    const [high, normal, low] = refused(pressure);
    expect([high, normal]).toEqual([0, 0]);
    expect(Math.abs(low! - 45)).toBeLessThan(2);
  });
});

for (const [text, level] of [
  ["high", 0],
  ["normal", 1],
  ["low", 2],
  ["u=0", 0],
  ["u=3", 1],
  ["u=7, i", 2],
  ["6", 2],
  ["u=8", null],
  ["u=33", null],
  ["", null],
  [null, null],
] as const)
  test(`the level in ${text}`, () => expect(levelIn(text)).toBe(level));

const identity = (more: Partial<Identity>): Identity => ({
  ...{ kind: "apiKey", user: "ann", issuer: "", groups: [], scopes: [], plan: "", consumer: "", claims: NO_CLAIMS },
  limits: null,
  ...more,
});

describe("who has which level", () => {
  const config: Omit<PriorityConfig, "level"> = {
    header: "priority",
    consumers: { acme: "low" },
    plans: { gold: "high", free: "low" },
    groups: { staff: "high", guests: "low" },
  };
  const [filter] = priorityIdentified.compile(
    { priority: prioritySchema.parse(config) },
    contextOf({ scopeOf: () => "defaults" }),
  );
  const CASES: readonly (readonly [name: string, who: Partial<Identity> | null, trusted: boolean, want: number])[] = [
    ["nobody", null, false, 1],
    ["a plan", { plan: "gold" }, false, 0],
    ["a consumer before its plan", { plan: "gold", consumer: "acme" }, false, 2],
    ["the highest of several groups", { groups: ["guests", "staff"] }, false, 0],
    ["what a trusted proxy says", { plan: "gold" }, true, 2],
  ];
  for (const [name, who, trusted, want] of CASES)
    test(name, () => {
      const x = exchangeOf({ headers: [["priority", "u=6"]] });
      x.trusted = trusted;
      x.identity = who === null ? null : identity(who);
      expect(filter!.request!(x)).toBeUndefined();
      expect(x.priority).toBe(want);
    });

  test("plans say how important they are where the route says nothing else of them", () => {
    const plans = plansSchema.parse({ gold: { priority: "low" }, silver: { priority: "high" }, free: {} });
    const policies = { priority: prioritySchema.parse({ plans: { gold: "high" } }), auth: {} } as unknown as Policies;
    const [held] = priorityIdentified.compile(policies, contextOf({ plans }));
    const levels = ["gold", "silver", "free"].map((plan) => {
      const x = exchangeOf({});
      x.identity = identity({ plan });
      held!.request!(x);
      return x.priority;
    });
    expect(levels).toEqual([0, 0, 1]);
    const plain = { priority: prioritySchema.parse({}), auth: {} } as unknown as Policies;
    expect(priority.compile(plain, contextOf({ plans }))).toEqual([]);
  });

  test("it is looked at before auth where nobody has to be known", () => {
    const plain = { priority: prioritySchema.parse({ level: "low" }) };
    expect([priority, priorityIdentified].map((each) => each.compile(plain, contextOf()).length)).toEqual([1, 0]);
    expect(priority.compile({ priority: prioritySchema.parse(config) }, contextOf())).toEqual([]);
    expect(() => priorityIdentified.compile({ priority: prioritySchema.parse(config) }, contextOf())).toThrow("auth");
  });
});
