import { describe, expect, test } from "bun:test";
import { type ExchangeOptions, exchangeOf } from "../pipeline/exchange.fixture.ts";
import { NO_SWITCHES } from "../pipeline/switches.ts";
import { compileConditions } from "../routing/conditions.ts";
import { Sticky } from "../upstream/sticky.ts";
import { compileSplit, possibleTargets, type SplitRules, type Target } from "./split.ts";

const target = (name: string, weight: number, header?: Record<string, string | true>): Target => ({
  name,
  weight,
  conditions: header === undefined ? null : compileConditions({ header }).others,
  identity: null,
});
const rulesOf = (targets: readonly Target[], more: Partial<SplitRules> = {}): SplitRules => ({
  route: "r",
  api: "r",
  targets,
  sticky: null,
  by: null,
  switches: { current: NO_SWITCHES },
  ...more,
});
const compiled = (targets: readonly Target[], sticky: Sticky | null) => compileSplit(rulesOf(targets, { sticky }));
const HOUR = 3_600_000;
let now = 1_800_000_000_000;
const stickyOf = (): Sticky =>
  new Sticky("route:r", { cookie: "group", ttl: HOUR, sameSite: "lax" }, new Uint8Array(32), () => now);

/** What a client that comes with `headers` is given: an upstream, and perhaps a cookie. */
function visit(pick: ReturnType<typeof compileSplit>, options: ExchangeOptions = {}, https = false) {
  const x = exchangeOf(options);
  if (https) x.scheme = "https";
  const name = pick(x);
  return { name, set: x.setCookies };
}
const withCookie = (set: string): ExchangeOptions => ({ headers: [["cookie", `a=1; ${set.split(";")[0]}`]] });

describe("with a cookie", () => {
  const even = [target("a", 1), target("b", 1)];

  test("clients stay, new ones go by weight", () => {
    const pick = compiled(even, stickyOf());
    const visits = [visit(pick), visit(pick), visit(pick), visit(pick)];
    expect(visits.map(({ name }) => name)).toEqual(["a", "b", "a", "b"]);
    for (const { name, set } of visits) {
      expect(set).toEqual([expect.stringMatching(/^group=.*; Path=\/; Max-Age=3600; HttpOnly; SameSite=Lax$/)]);
      for (let again = 0; again < 3; again += 1) expect(visit(pick, withCookie(set![0]!))).toEqual({ name, set: null });
    }
  });

  test("the cookie is only for https where the client speaks it", () => {
    const pick = compiled(even, stickyOf());
    expect(visit(pick, {}, true).set![0]).toEndWith("; Secure");
    expect(visit(pick).set![0]).not.toContain("Secure");
  });

  test("it is set again after half its time, and given anew after all of it", () => {
    const pick = compiled(even, stickyOf());
    const { set } = visit(pick); // "a"
    now += HOUR / 2 + 1000;
    const renewed = visit(pick, withCookie(set![0]!));
    expect(renewed).toEqual({ name: "a", set: [expect.stringContaining("group=")] });
    expect(renewed.set![0]).not.toBe(set![0]);
    now += HOUR;
    expect(visit(pick, withCookie(set![0]!)).name).toBe("b"); // whose turn it is
  });

  test("it is found though the servers do not get it", () => {
    const pick = compiled(even, stickyOf());
    const x = exchangeOf(withCookie(visit(pick).set![0]!));
    x.request.headers.remove("cookie");
    expect(pick(x)).toBe("a");
    expect(x.setCookies).toBeNull();
  });

  test("other weights move nobody; an upstream without weight keeps nobody", () => {
    const { set } = visit(compiled([target("a", 1), target("b", 9)].reverse(), stickyOf()));
    const kept = compiled([target("a", 1), target("b", 1)], stickyOf());
    visit(kept);
    expect(visit(kept, withCookie(set![0]!))).toEqual({ name: "b", set: null });
    const moved = visit(compiled([target("a", 1), target("b", 0)], stickyOf()), withCookie(set![0]!));
    expect(moved).toEqual({ name: "a", set: [expect.stringContaining("group=")] });
  });

  test("one that is forged counts as none", () => {
    const pick = compiled(even, stickyOf());
    expect(visit(pick, withCookie(`group=${"A".repeat(16)}.${Math.floor(now / 1000).toString(36)}`)).set).toHaveLength(
      1,
    );
  });
});

describe("with a match", () => {
  const canary = target("canary", 0, { "x-canary": "1" });
  const beta = target("beta", 1, { "x-beta": true });
  const fields = (...names: string[]): ExchangeOptions => ({ headers: names.map((name) => [name, "1"]) });

  test("the first target that fits wins, whatever its weight", () => {
    const pick = compiled([target("a", 1), canary, beta], null);
    expect(visit(pick, fields("x-canary")).name).toBe("canary");
    expect(visit(pick, fields("x-beta", "x-canary")).name).toBe("canary");
    expect(visit(pick, fields("x-beta")).name).toBe("beta");
    expect([visit(pick).name, visit(pick).name]).toEqual(["a", "beta"]);
  });

  test("it goes before the cookie, and gives none", () => {
    const pick = compiled([target("a", 1), canary], stickyOf());
    const cookie = withCookie(visit(pick).set![0]!).headers!;
    expect(visit(pick, { headers: [...cookie, ["x-canary", "1"]] })).toEqual({ name: "canary", set: null });
  });
});

test("a single target is chosen without looking", () => {
  const pick = compiled([target("a", 1)], null);
  expect([visit(pick), visit(pick)]).toEqual([
    { name: "a", set: null },
    { name: "a", set: null },
  ]);
});

const POSSIBLE: readonly (readonly [
  name: string,
  targets: readonly Target[],
  want: Readonly<Record<string, number>>,
])[] = [
  ["one", [target("a", 7)], { a: 1 }],
  ["by weight", [target("a", 3), target("b", 1), target("c", 0)], { a: 0.75, b: 0.25 }],
  ["by a match", [target("a", 3), target("b", 0, { "x-beta": "1" })], { b: 1 }],
  ["by a match that does not fit", [target("a", 3), target("b", 1, { "x-beta": "2" })], { a: 0.75, b: 0.25 }],
];
for (const [name, targets, want] of POSSIBLE)
  test(`possible: ${name}`, () => {
    const x = exchangeOf({ headers: [["x-beta", "1"]] });
    expect(
      Object.fromEntries(possibleTargets(rulesOf(targets), x, null).map((each) => [each.name, each.share])),
    ).toEqual(want);
  });
