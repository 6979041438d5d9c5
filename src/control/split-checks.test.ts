import { expect, test } from "bun:test";
import { configOf } from "../../test/support/proxy.ts";
import { checkConfig } from "../config/load.ts";
import type { ConfigInput } from "../config/schema.ts";
import { planProblems } from "./compile.ts";

type RouteInput = NonNullable<ConfigInput["routes"]>[number];
const upstreams = { a: { servers: ["http://127.0.0.1:1"] }, b: { servers: ["http://127.0.0.1:2"] } };
const to = [
  { upstream: "a", weight: 1 },
  { upstream: "b", weight: 1 },
];
const auth = { apiKey: { keys: [{ name: "a", key: `sha256:${"0".repeat(64)}` }] } };
const CASES: readonly (readonly [name: string, route: RouteInput, want: string])[] = [
  ["by address", { to, split: { by: "ip" } }, ""],
  ["by who asks", { to, auth, split: { by: "user" } }, ""],
  ["by a cookie and who asks", { to, auth, split: { by: "consumer", cookie: "c", ttl: "1h" } }, ""],
  ["by nothing", { to, split: {} }, "routes[0].split"],
  ["nothing to split", { to: "a", split: { by: "ip" } }, "routes[0].split"],
  ["by who asks, and nobody is known", { to, split: { by: "user" } }, "routes[0].split.by"],
  ["a cookie's time without a cookie", { to, split: { by: "ip", ttl: "1h" } }, "routes[0].split.ttl"],
  ["for a plan", { auth, to: [to[0]!, { ...to[1]!, match: { plan: "gold" } }] }, ""],
  [
    "for a plan, and nobody is known",
    { to: [to[0]!, { ...to[1]!, match: { plan: "gold" } }] },
    "routes[0].to[1].match",
  ],
  ["for anybody", { auth, to: [to[0]!, { ...to[1]!, match: {} }] }, "routes[0].to[1].match"],
  ["levels of plans, and nobody is known", { to, priority: { plans: { gold: "high" } } }, "routes[0].priority"],
  ["a wait that is too long", { to, idempotency: { waitTimeout: "1m" } }, "routes[0].idempotency.waitTimeout"],
  ["an address that is none", { to, maintenance: { allow: ["home"] } }, "routes[0].maintenance.allow"],
  ["a page that is not there", { to, maintenance: { page: "/nowhere/page.html" } }, "routes[0].maintenance.page"],
  ["two pages", { to, maintenance: { page: "/a", body: "b" } }, "routes[0].maintenance.body"],
  ["coalescing beside a cache", { to, cache: true, coalesce: {} }, "routes[0].coalesce"],
  ["nothing to coalesce", { respond: {}, coalesce: {} }, "routes[0].coalesce"],
];
for (const [name, route, want] of CASES)
  test(name, () => {
    const { config } = checkConfig(configOf({ upstreams, routes: [route] }));
    const where = planProblems(config).map(({ path }) =>
      path
        .map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`))
        .join("")
        .slice(1),
    );
    expect(where).toEqual(want === "" ? [] : [want]);
  });
