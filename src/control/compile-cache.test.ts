import { expect, test } from "bun:test";
import { checkConfig } from "../config/load.ts";
import type { ConfigInput } from "../config/schema.ts";
import { UNSET } from "../engines/cache/policy.ts";
import { compilePlan, type Plan, planProblems } from "./compile.ts";
import { explain, explanationText } from "./explain.ts";

const TO = "http://127.0.0.1:1";
const configOf = (routes: ConfigInput["routes"], defaults: ConfigInput["defaults"] = {}) =>
  checkConfig({ listeners: [{ address: ":8080" }], defaults, routes }).config;
const planOf = (...args: Parameters<typeof configOf>): Plan => compilePlan(configOf(...args));

test("`true` is the defaults", () => {
  const [written] = planOf([{ cache: {}, to: TO }]).caches;
  const [short] = planOf([{ cache: true, to: TO }]).caches;
  expect(short).toEqual(written!);
  expect(short!.policy).toMatchObject({ ttl: UNSET, staleIfError: UNSET, heuristicShare: 0, setCookie: "refuse" });
});

test("what is written", () => {
  const [rules] = planOf([
    {
      cache: {
        ttl: "1m",
        statusTtl: { 404: "10s" },
        staleIfError: "1d",
        heuristic: "10%",
        maxSize: "1MB",
        key: { query: { ignore: ["utm_*"] }, headers: ["X-A"], cookies: ["b"], device: true },
        tags: "Surrogate-Key",
      },
      to: TO,
    },
  ]).caches;
  expect(rules!.policy).toMatchObject({ ttl: 60_000, staleIfError: 86_400_000, heuristicShare: 0.1 });
  expect([...rules!.policy.ttlByStatus]).toEqual([[404, 10_000]]);
  expect([rules!.bodyMax, rules!.hasExtras, rules!.policy.keyedHeaders]).toEqual([1_048_576, true, ["x-a"]]);
  expect(rules!.key).toEqual({
    query: { ignore: ["utm_*"], allow: null, sort: false },
    headers: ["x-a"],
    cookies: ["b"],
    device: true,
  });
});

test("a default holds for routes that ask servers, and the largest memory for all of them", () => {
  const plan = planOf([{ to: TO }, { respond: {} }, { cache: false, to: TO }, { cache: { memory: "1GB" }, to: TO }], {
    cache: { memory: "1MB" },
  });
  expect(plan.caches.map((rules) => rules !== null)).toEqual([true, false, false, true]);
  expect(plan.cacheBytes).toBe(1_073_741_824);
  expect(planOf([{ respond: {} }], { cache: true }).cacheBytes).toBe(0);
});

const WRONG: readonly (readonly [route: NonNullable<ConfigInput["routes"]>[number], path: string])[] = [
  [{ cache: true, respond: {} }, "routes.0.cache"],
  [{ cache: { key: { headers: ["a", "b c"] } }, to: TO }, "routes.0.cache.key.headers.1"],
  [{ cache: { tags: "a b" }, to: TO }, "routes.0.cache.tags"],
];
for (const [route, path] of WRONG)
  test(`${path} is refused`, () =>
    expect(planProblems(configOf([route])).map((each) => each.path.join("."))).toEqual([path]));

test("explain says where an answer is looked for", () => {
  const config = configOf([{ cache: { key: { query: { ignore: ["utm_*"] } } }, to: TO }]);
  const lines = (method: string) => {
    const query = { method, url: "http://a.test/b?utm_x=1&c=2", headers: [], ip: null };
    return explanationText(explain(config, query))
      .split("\n")
      .filter((line) => line.startsWith("cache"));
  };
  expect(lines("GET")).toEqual(["cache      http://a.test/b?c=2"]);
  expect(lines("POST")).toEqual([]);
});
