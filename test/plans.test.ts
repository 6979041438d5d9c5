// Plans and quotas as clients meet them.
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import type { ConfigInput } from "../src/index.ts";
import { type Message, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

const keyOf = (name: string): string => `key-of-${name}-that-nobody-guesses`;
const hashOf = (name: string): string => `sha256:${createHash("sha256").update(keyOf(name)).digest("hex")}`;
/** A consumer with a key. */
const consumer = (name: string, more: object = {}) => ({ ...more, credentials: [{ apiKey: hashOf(name) }] });
const AUTH = { apiKey: { header: "x-api-key", consumers: true } } as const;

type Route = NonNullable<ConfigInput["routes"]>[number];
type Quota = Route["quota"];

const PLANS = {
  gold: { quota: ["4/d", "100/month"] },
  free: { quota: "2/d" },
  fast: { rate: "10/m", burst: 2 },
  soft: { quota: "1/d", rate: "1000/s", burst: 2, soft: true },
  trial: { rate: "1/h", burst: 1, quota: "1/h", soft: ["rate", "quota"] },
  one: { concurrent: 1 },
} as const;
const CONSUMERS = {
  ann: consumer("ann", { plan: "gold" }),
  bob: consumer("bob", { plan: "free" }),
  own: consumer("own", { plan: "free", limits: { quota: "3/d" } }),
  fast: consumer("fast", { plan: "fast" }),
  soft: consumer("soft", { plan: "soft" }),
  trial: consumer("trial", { plan: "trial" }),
  one: consumer("one", { plan: "one" }),
  none: consumer("none"),
};

const route = (path: string, quota: Quota, more: Partial<Route> = {}): Route => ({
  name: path.slice(1),
  match: { path },
  auth: AUTH,
  quota,
  ...(more.to === undefined ? { respond: { body: "ok" } } : {}),
  ...more,
});

const start = (routes: Route[]): Promise<TestProxy> =>
  startProxy({ plans: PLANS, consumers: CONSUMERS, routes } as never);
const ask = (proxy: TestProxy, path: string, name: string, fields: readonly string[] = []): Promise<Message> =>
  exchange(proxy.port, request(path, [`x-api-key: ${keyOf(name)}`, ...fields]));

/** The statuses of so many requests, one after the other. */
async function statuses(proxy: TestProxy, path: string, name: string, count: number): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < count; i += 1) found.push((await ask(proxy, path, name)).status);
  return found;
}

describe("a plan", () => {
  test("holds over all routes, each consumer for itself, and tells what is left", async () => {
    await using proxy = await start([route("/a", true), route("/b", true)]);
    const first = await ask(proxy, "/a", "ann");
    expect([first.status, first.field("ratelimit-policy")]).toEqual([
      200,
      '"gold-day";q=4;w=86400, "gold-month";q=100;w=2592000',
    ]);
    expect(first.field("ratelimit")).toMatch(/^"gold-day";r=3;t=\d+, "gold-month";r=99;t=\d+$/);
    expect(await statuses(proxy, "/b", "ann", 4)).toEqual([200, 200, 200, 429]);
    const refused = await ask(proxy, "/a", "ann");
    expect(refused.status).toBe(429);
    expect(refused.field("ratelimit")).toMatch(/^"gold-day";r=0;t=\d+$/);
    expect(Number(refused.field("retry-after"))).toBeWithin(1, 86_401);
    expect(JSON.parse(refused.body)).toMatchObject({ status: 429, detail: "The quota of requests is used up." });
    expect(await statuses(proxy, "/a", "bob", 3)).toEqual([200, 200, 429]);
  });

  test("gives way to what a consumer has of its own", async () => {
    await using proxy = await start([route("/a", true)]);
    expect(await statuses(proxy, "/a", "own", 4)).toEqual([200, 200, 200, 429]);
  });

  test("may have a rate", async () => {
    await using proxy = await start([route("/a", true)]);
    const answers = [await ask(proxy, "/a", "fast"), await ask(proxy, "/a", "fast"), await ask(proxy, "/a", "fast")];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(answers[0]!.field("ratelimit-policy")).toBe('"fast";q=10;w=60');
    expect(Number(answers[2]!.field("retry-after"))).toBeWithin(5, 7);
  });

  test("that is soft lets through what goes beyond, and marks it", async () => {
    await using proxy = await start([route("/a", true)]);
    const answers = [await ask(proxy, "/a", "soft"), await ask(proxy, "/a", "soft")];
    expect(answers.map((answer) => [answer.status, answer.field("x-quota-exceeded")])).toEqual([
      [200, null],
      [200, "soft-day"],
    ]);
    const tried = [await ask(proxy, "/a", "trial"), await ask(proxy, "/a", "trial")];
    expect(tried.map((answer) => [answer.status, answer.field("x-quota-exceeded")])).toEqual([
      [200, null],
      [200, "trial, trial-hour"],
    ]);
  });

  test("is refused to those who have none, unless there is a default", async () => {
    await using proxy = await start([route("/a", true), route("/b", { default: "free" })]);
    const refused = await ask(proxy, "/a", "none");
    expect([refused.status, JSON.parse(refused.body).detail]).toEqual([
      403,
      "There is no plan that lets you use this.",
    ]);
    expect(await statuses(proxy, "/b", "none", 3)).toEqual([200, 200, 429]);
  });

  test("of a policy counts there alone, in place of the one of the same name", async () => {
    await using proxy = await start([route("/a", { plans: { free: "1/d", gold: ["1/h", "5/d"] } }), route("/b", true)]);
    expect(await statuses(proxy, "/a", "bob", 2)).toEqual([200, 429]);
    expect(await statuses(proxy, "/b", "bob", 3)).toEqual([200, 200, 429]);
    expect(await statuses(proxy, "/a", "ann", 2)).toEqual([200, 429]);
    expect(await statuses(proxy, "/b", "ann", 1)).toEqual([200]);
  });

  test("may be that of an API key, and stand in the route alone", async () => {
    const keys = [
      { name: "acme", key: hashOf("acme"), plan: "gold" },
      { name: "guest", key: hashOf("guest"), plan: "free" },
    ];
    const auth = { apiKey: { header: "x-api-key", keys } };
    const quota: Quota = { per: "apiKey", plans: { gold: "2/d", free: "1/d" } };
    await using proxy = await startProxy({ routes: [{ auth, quota, respond: {} }] } as never);
    expect(await statuses(proxy, "/", "acme", 3)).toEqual([200, 200, 429]);
    expect(await statuses(proxy, "/", "guest", 2)).toEqual([200, 429]);
  });

  test("can be had without credentials, by address", async () => {
    await using proxy = await start([route("/a", { per: "ip", default: "free" }, { auth: false })]);
    expect(await statuses(proxy, "/a", "ann", 1)).toEqual([200]);
    expect(await statuses(proxy, "/a", "bob", 2)).toEqual([200, 429]);
  });

  test("goes on over a reload that changes its quota", async () => {
    const routes = [route("/a", true)];
    await using proxy = await start(routes);
    expect(await statuses(proxy, "/a", "bob", 3)).toEqual([200, 200, 429]);
    const plans = { ...PLANS, free: { quota: "3/d" } };
    await proxy.proxy.reload({
      listeners: [{ address: "127.0.0.1:0" }],
      admin: false,
      shutdown: { drain: "20ms" },
      plans,
      consumers: CONSUMERS,
      routes,
    } as never);
    expect(await statuses(proxy, "/a", "bob", 2)).toEqual([200, 429]);
  });

  test("leaves preflights alone, and its refusals can be read by pages", async () => {
    await using proxy = await start([route("/a", true, { cors: { origins: ["https://a.example"] } })]);
    const preflight = ["origin: https://a.example", "access-control-request-method: GET"];
    const answer = await exchange(proxy.port, request("/a", preflight).replace("GET", "OPTIONS"));
    expect(answer.status).toBe(204);
    await statuses(proxy, "/a", "bob", 2);
    const refused = await ask(proxy, "/a", "bob", ["origin: https://a.example"]);
    expect([refused.status, refused.field("access-control-allow-origin")]).toEqual([429, "https://a.example"]);
  });

  test("stands beside rate limits of the route, whose fields stay", async () => {
    await using proxy = await start([route("/a", true, { rateLimit: { rate: "10/m", burst: 5 } })]);
    const answer = await ask(proxy, "/a", "bob");
    expect(answer.all("ratelimit-policy")).toEqual(['"default";q=10;w=60', '"free-day";q=2;w=86400']);
    expect(answer.all("ratelimit").map((text) => text.split(";")[0])).toEqual(['"default"', '"free-day"']);
  });
});

describe("what a request costs", () => {
  test("is a number, and a refused request costs nothing", async () => {
    await using proxy = await start([route("/dear", { cost: 3 }), route("/a", true), route("/gift", { cost: 0 })]);
    expect(await statuses(proxy, "/dear", "ann", 2)).toEqual([200, 429]);
    expect(await statuses(proxy, "/a", "ann", 2)).toEqual([200, 429]);
    expect(await statuses(proxy, "/gift", "ann", 2)).toEqual([200, 200]);
  });

  test("is said by the server in a field, which clients do not get", async () => {
    // The second says nothing that can be understood: 1.
    const costs = ["2", "2.5", "100"];
    await using backend = await RawBackend.answering(
      () => `HTTP/1.1 200 OK\r\nX-Cost: ${costs.shift()}\r\nContent-Length: 0\r\n\r\n`,
    );
    await using proxy = await start([route("/a", { cost: "header:x-cost" }, { to: backend.url })]);
    const answers = [await ask(proxy, "/a", "ann"), await ask(proxy, "/a", "ann"), await ask(proxy, "/a", "ann")];
    expect(answers.map((answer) => [answer.status, answer.field("x-cost")])).toEqual([
      [200, null],
      [200, null],
      [200, null],
    ]);
    expect(await statuses(proxy, "/a", "ann", 1)).toEqual([429]);
    expect(JSON.parse((await ask(proxy, "/.auth/usage", "ann")).body).limits).toMatchObject([
      { used: 103, remaining: 0 },
      { used: 103, remaining: 0 },
    ]);
  });

  test("is given back where the answer is free", async () => {
    await using proxy = await start([
      route("/a", { free: ["4xx"] }, { respond: { status: 404 } }),
      route("/b", true, { respond: { status: 404 } }),
    ]);
    expect(await statuses(proxy, "/a", "bob", 5)).toEqual([404, 404, 404, 404, 404]);
    expect(await statuses(proxy, "/b", "bob", 3)).toEqual([404, 404, 429]);
  });

  test("is one place of those under way, until the answer has been sent", async () => {
    const go = Promise.withResolvers<void>();
    await using backend = await RawBackend.answering(async () => {
      await go.promise;
      return "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    });
    await using proxy = await start([route("/a", true, { to: backend.url })]);
    const first = ask(proxy, "/a", "one");
    await backend.received(1);
    const second = await ask(proxy, "/a", "one");
    expect([second.status, JSON.parse(second.body).detail]).toEqual([429, "Too many requests at the same time."]);
    go.resolve();
    expect((await first).status).toBe(200);
    expect(await statuses(proxy, "/a", "one", 2)).toEqual([200, 200]);
  });
});

describe("/.auth/usage", () => {
  test("tells a consumer of his plan and what he has used, and nobody else", async () => {
    await using proxy = await start([route("/a", true), route("/b", { plans: { gold: "50/d" } })]);
    await statuses(proxy, "/a", "ann", 3);
    const own = await ask(proxy, "/.auth/usage", "ann");
    expect([own.status, own.field("cache-control")]).toEqual([200, "no-store"]);
    const told = JSON.parse(own.body);
    expect(told).toMatchObject({ consumer: "ann", plan: "gold" });
    expect(told.limits[0]).toMatchObject({
      name: "gold-day",
      unit: "requests",
      per: "day",
      limit: 4,
      used: 3,
      remaining: 1,
    });
    expect(told.limits[0].resets).toBeWithin(1, 86_401);
    const other = JSON.parse((await ask(proxy, "/.auth/usage?route=b", "ann")).body);
    expect(other.limits).toMatchObject([{ limit: 50, used: 0 }]);
    expect((await ask(proxy, "/.auth/usage", "stranger")).status).toBe(401);
    expect((await ask(proxy, "/.auth/usage?route=c", "ann")).status).toBe(404);
    expect((await exchange(proxy.port, request("/.auth/usage"))).status).toBe(401);
  });
});

describe("configurations that are refused", () => {
  const CASES: readonly (readonly [name: string, more: object, want: RegExp])[] = [
    ["no plans", { plans: {}, routes: [route("/a", true)] }, /there are no plans/],
    ["a default that is not there", { routes: [route("/a", { default: "silver" })] }, /no plan named "silver"/],
    ["nobody is known", { routes: [route("/a", true, { auth: false })] }, /nobody is known here/],
    ["nobody has a plan", { routes: [route("/a", { per: "ip" }, { auth: false })] }, /give it a `default`/],
    ["a burst without a rate", { plans: { a: { burst: 2 } }, routes: [route("/a", true)] }, /`burst` needs a `rate`/],
    ["a rate too fast", { plans: { a: { rate: "2000000/s" } }, routes: [route("/a", true)] }, /at most 1000000\/s/],
    [
      "a burst of weeks",
      { plans: { a: { rate: "1/d", burst: 1000 } }, routes: [route("/a", true)] },
      /three weeks to be whole again/,
    ],
    ["a wrong quota", { plans: { a: { quota: "5/m" } }, routes: [route("/a", true)] }, /"5\/m" is not a quota/],
    ["a key of nothing", { routes: [route("/a", { per: "colour" })] }, /nothing to count by/],
    ["a wrong cost", { routes: [route("/a", { cost: "x-cost" })] }, /header:NAME/],
  ];
  for (const [name, more, want] of CASES)
    test(name, async () => {
      const started = startProxy({ plans: PLANS, consumers: CONSUMERS, ...more } as never);
      await expect(started).rejects.toThrow(want);
    });
});
