import { describe, expect, test } from "bun:test";
import { showPath } from "../config/diagnostic.ts";
import { type ConfigInput, configSchema } from "../config/schema.ts";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import type { Route } from "../pipeline/exchange.ts";
import type { Reply } from "../pipeline/reply.ts";
import { compilePlan, PlanError } from "./compile.ts";

const plan = (config: Partial<ConfigInput>) =>
  compilePlan(
    configSchema.parse({ listeners: [{ address: ":0" }], routes: [{ to: "http://127.0.0.1:1" }], ...config }),
  );

const routeOf = (route: NonNullable<ConfigInput["routes"]>[number], config: Partial<ConfigInput> = {}): Route =>
  plan({ ...config, routes: [route] }).routes[0]!;

const picks = (route: Route, count: number): string[] =>
  Array.from({ length: count }, () => (route.action.kind === "forward" ? route.action.pick(exchangeOf()) : "reply"));

describe("routes", () => {
  test("are named by the user or by their place, and found in order", () => {
    const { table, routes } = plan({
      routes: [
        { match: { path: "/a/:id" }, respond: {} },
        { name: "api", match: { host: "api.example" }, respond: {} },
        { respond: {} },
      ],
    });
    expect(routes.map((route) => route.name)).toEqual(["route-1", "api", "route-3"]);
    const x = exchangeOf({ target: "/a/7", authority: "api.example:80" });
    expect(table.find(x)).toBe(routes[0]!);
    expect(table.params).toEqual({ id: "7" });
    const other = exchangeOf({ target: "/b", authority: "api.example:80" });
    expect(table.find(other)?.name).toBe("api");
  });

  test("without policies carry no filters and no limits", () => {
    expect(routeOf({ to: "http://127.0.0.1:1" })).toMatchObject({
      requestFilters: [],
      responseFilters: [],
      finishFilters: [],
      bodyMax: Number.POSITIVE_INFINITY,
      responseTimeout: 0,
      connectTimeout: 0,
      tunnelIdle: 0,
      retained: false,
    });
  });

  test("carry limits and time-outs as numbers", () => {
    const route = routeOf({
      to: "http://127.0.0.1:1",
      limits: { body: "1KB" },
      timeouts: { response: "5s", connect: "1s", idle: "1m" },
      use: [{ name: "p" }],
    });
    expect(route).toMatchObject({
      bodyMax: 1024,
      responseTimeout: 5000,
      connectTimeout: 1000,
      tunnelIdle: 60_000,
      retained: true,
    });
  });
});

describe("defaults", () => {
  const defaults = { limits: { body: "1KB", uri: "1KB" }, responseHeaders: { set: { a: "b" } } };
  const to = "http://127.0.0.1:1";

  test("hold where a route says nothing", () => {
    const route = routeOf({ to }, { defaults });
    expect([route.bodyMax, route.requestFilters.length, route.responseFilters.length]).toEqual([1024, 1, 1]);
  });

  test("are replaced as a whole by the route's own key", () => {
    const route = routeOf({ to, limits: { body: "2KB" } }, { defaults });
    expect([route.bodyMax, route.requestFilters.length, route.responseFilters.length]).toEqual([2048, 0, 1]);
  });

  test("are turned off with false", () => {
    const route = routeOf({ to, limits: false, responseHeaders: false }, { defaults });
    expect([route.bodyMax, route.requestFilters.length, route.responseFilters.length]).toEqual([
      Number.POSITIVE_INFINITY,
      0,
      0,
    ]);
  });
});

describe("targets", () => {
  const upstreams = { app: { servers: ["127.0.0.1:1"] }, canary: { servers: ["127.0.0.1:2"] } };

  test("a name", () => expect(picks(routeOf({ to: "app" }, { upstreams }), 2)).toEqual(["app", "app"]));

  test("a URL makes one upstream, shared by the routes that name it", () => {
    const { routes, upstreams: all } = plan({
      upstreams,
      routes: [{ to: "http://127.0.0.1:3" }, { to: "http://127.0.0.1:3" }, { to: "app" }],
    });
    expect([...all.keys()]).toEqual(["app", "canary", "http://127.0.0.1:3"]);
    expect(all.get("http://127.0.0.1:3")).toMatchObject({
      servers: ["http://127.0.0.1:3"],
      hostHeader: "preserve",
      timeouts: { connect: 2000 },
    });
    expect(routes.map((route) => route.upstreams)).toEqual([["http://127.0.0.1:3"], ["http://127.0.0.1:3"], ["app"]]);
  });

  test("a list of URLs makes one upstream of several servers", () => {
    const urls = ["http://127.0.0.1:3", "http://127.0.0.1:4"];
    const { routes, upstreams: all } = plan({ routes: [{ to: urls }] });
    expect(picks(routes[0]!, 1)).toEqual([urls.join(", ")]);
    expect(all.get(urls.join(", "))?.servers).toEqual(urls);
  });

  test("a weighted list is shared out by whole requests", () => {
    const route = routeOf(
      {
        to: [
          { upstream: "app", weight: 3 },
          { upstream: "canary", weight: 1 },
        ],
      },
      { upstreams },
    );
    expect(picks(route, 8)).toEqual(["app", "app", "canary", "app", "app", "app", "canary", "app"]);
    expect(route.upstreams).toEqual(["app", "canary"]);
  });
});

describe("traffic", () => {
  const upstreams = { app: { servers: ["127.0.0.1:1"] }, canary: { servers: ["127.0.0.1:2"] } };
  const split = (more: object) => ({
    to: [
      { upstream: "app", weight: 1 },
      { upstream: "canary", weight: 1 },
    ],
    ...more,
  });
  const picked = (route: Route, x = exchangeOf()): { readonly name: string; readonly cookies: string[] | null } => {
    if (route.action.kind !== "forward") throw new Error("not forwarded");
    return { name: route.action.pick(x), cookies: x.setCookies };
  };

  test("keeps clients at their upstream over reloads, and takes no cookie of another route", () => {
    const config = { upstreams, routes: [split({ name: "a", split: { cookie: "group", ttl: "1d" } })] };
    const first = picked(plan(config).routes[0]!);
    expect(first).toEqual({
      name: "app",
      cookies: [expect.stringMatching(/^group=[\w-]{16}\.\w+; Path=\/; Max-Age=86400; HttpOnly; SameSite=Lax$/)],
    });
    const again = exchangeOf({ headers: [["cookie", first.cookies![0]!.split(";")[0]!]] });
    const reloaded = plan(config).routes[0]!;
    picked(reloaded); // the next one by weight is the canary
    expect(picked(reloaded, again)).toEqual({ name: "app", cookies: null });
    const other = plan({ upstreams, routes: [split({ name: "b", split: { cookie: "group", ttl: "1d" } })] }).routes[0]!;
    expect(picked(other, again).cookies).not.toBeNull();
  });

  test("of a target's match goes there, as its conditions say", () => {
    const to = [
      { upstream: "app", weight: 1 },
      {
        upstream: "canary",
        weight: 0,
        match: { header: { "x-canary": "~^(1|yes)$" }, cookie: { tester: true as const } },
      },
    ];
    const route = routeOf({ to }, { upstreams });
    const of = (...headers: [string, string][]) => picked(route, exchangeOf({ headers })).name;
    expect(of(["x-canary", "yes"], ["cookie", "tester=1"])).toBe("canary");
    expect(of(["x-canary", "no"], ["cookie", "tester=1"])).toBe("app");
    expect(of(["x-canary", "1"])).toBe("app");
    expect(of()).toBe("app");
  });

  test("is copied to an upstream or a URL, which the route does not depend on", () => {
    const { routes, upstreams: all } = plan({
      upstreams,
      routes: [
        { to: "app", mirror: { to: "canary", sample: "10%", body: "1KB" } },
        { to: "app", mirror: { to: "http://127.0.0.1:9" } },
        { to: "app" },
      ],
    });
    const sampled = expect.any(Function);
    expect(routes.map((route) => [route.mirror, route.upstreams])).toEqual([
      [{ upstream: "canary", sampled, bodyMax: 1024 }, ["app"]],
      [{ upstream: "http://127.0.0.1:9", sampled, bodyMax: 1_048_576 }, ["app"]],
      [null, ["app"]],
    ]);
    const copied = routes.slice(0, 2).map((route) => {
      let count = 0;
      for (let i = 0; i < 10_000; i += 1) if (route.mirror!.sampled()) count += 1;
      return count;
    });
    expect(copied[0]).toBeWithin(790, 1210); // seven standard deviations
    expect(copied[1]).toBe(10_000);
    expect(all.has("http://127.0.0.1:9")).toBe(true);
  });

  test("is held down to a rate", () => {
    expect(routeOf({ to: "app", limits: { rate: "10KB/s" } }, { upstreams }).rate).toBe(10_240);
    expect(routeOf({ to: "app" }, { upstreams }).rate).toBe(0);
  });
});

describe("answers", () => {
  const replyOf = (route: Route, target = "/") => {
    const x = exchangeOf({ target, params: { id: target.slice(1) } });
    x.route = route;
    if (route.action.kind !== "reply") throw new Error("not a reply");
    const { status, headers, body } = route.action.reply(x) as Reply;
    return { status, headers: headers.entries(), body: body.toString() };
  };

  test("of respond, with text as its type unless another is given", () => {
    expect(replyOf(routeOf({ respond: { body: "höhe" } }))).toEqual({
      status: 200,
      headers: [["content-type", "text/plain; charset=utf-8"]],
      body: "höhe",
    });
    expect(replyOf(routeOf({ respond: { status: 404 } }))).toEqual({ status: 404, headers: [], body: "" });
  });

  test("of respond, with placeholders escaped for its type", () => {
    const match = { path: "/:id" };
    const html = routeOf({
      match,
      respond: { body: "<p>{query.q}</p>", headers: { "Content-Type": "text/html", "x-id": "{id}" } },
    });
    expect(replyOf(html, "/7?q=<b>")).toMatchObject({
      headers: [
        ["Content-Type", "text/html"],
        ["x-id", "7?q=<b>"],
      ],
      body: "<p>&#60;b&#62;</p>",
    });
    const json = routeOf({
      match,
      respond: { body: '{"q":"{query.q}"}', headers: { "content-type": "application/json" } },
    });
    expect(JSON.parse(replyOf(json, "/7?q=%22%5C%C3%BC").body)).toEqual({ q: '"\\ü' });
  });

  test("of respond never share fields, as filters edit them", () => {
    const route = routeOf({ respond: { body: "a" } });
    if (route.action.kind !== "reply") throw new Error("not a reply");
    const x = exchangeOf({});
    (route.action.reply(x) as Reply).headers.set("x", "1");
    expect((route.action.reply(x) as Reply).headers.get("x")).toBeNull();
  });

  test("with a status that has no body carry none", () => {
    expect(replyOf(routeOf({ respond: { status: 204, body: "a" } }))).toEqual({ status: 204, headers: [], body: "" });
  });

  test("of a route that only redirects", () => {
    expect(replyOf(routeOf({ redirect: { to: "https://a.example{uri}" } }), "/x")).toMatchObject({
      status: 308,
      headers: [["location", "https://a.example/x"]],
    });
  });
});

const REFUSED: readonly (readonly [
  name: string,
  config: Partial<ConfigInput>,
  paths: readonly string[],
  message: RegExp,
])[] = [
  ["no action", { routes: [{ name: "a" }] }, ["routes[0]"], /does nothing/],
  ["two actions", { routes: [{ to: "http://a", respond: {} }] }, ["routes[0].respond"], /one action/],
  ["unknown upstream", { routes: [{ to: "app" }] }, ["routes[0].to"], /no upstream named "app"/],
  [
    "unknown weighted upstream",
    { routes: [{ to: [{ upstream: "app", weight: 1 }] }] },
    ["routes[0].to[0].upstream"],
    /no upstream/,
  ],
  ["name among URLs", { routes: [{ to: ["http://a", "app"] }] }, ["routes[0].to[1]"], /not a URL/],
  [
    "weights of 0",
    { upstreams: { app: { servers: ["a:1"] } }, routes: [{ to: [{ upstream: "app", weight: 0 }] }] },
    ["routes[0].to"],
    /weights/,
  ],
  [
    "split of nothing",
    { routes: [{ to: "http://a", split: { cookie: "c" } }] },
    ["routes[0].split"],
    /nothing to split/,
  ],
  [
    "pattern of a target",
    {
      upstreams: { app: { servers: ["a:1"] } },
      routes: [{ to: [{ upstream: "app", weight: 1, match: { header: { a: "~(" } } }] }],
    },
    ["routes[0].to[0].match.header.a"],
    /~\(/,
  ],
  [
    "match of a target that asks for nothing",
    { upstreams: { app: { servers: ["a:1"] } }, routes: [{ to: [{ upstream: "app", weight: 1, match: {} }] }] },
    ["routes[0].to[0].match"],
    /header/,
  ],
  ["mirror to nobody", { routes: [{ to: "http://a", mirror: { to: "app" } }] }, ["routes[0].mirror.to"], /no upstream/],
  [
    "mirror to nobody in defaults",
    { defaults: { mirror: { to: "app" } }, routes: [{ to: "http://a" }] },
    ["defaults.mirror.to"],
    /no upstream/,
  ],
  [
    "same name twice",
    {
      routes: [
        { name: "a", respond: {} },
        { name: "a", respond: {} },
      ],
    },
    ["routes[1].name"],
    /another route/,
  ],
  [
    "same name as an unnamed one",
    { routes: [{ name: "route-2", respond: {} }, { respond: {} }] },
    ["routes[1].name"],
    /another route/,
  ],
  ["pattern", { routes: [{ match: { path: "~(" }, respond: {} }] }, ["routes[0].match.path"], /~\(/],
  [
    "parameter that means something else",
    { routes: [{ match: { path: "/:host" }, respond: {} }] },
    ["routes[0].match.path"],
    /another name/,
  ],
  ["template", { routes: [{ respond: { body: "{nope}" } }] }, ["routes[0].respond.body"], /unknown placeholder/],
  [
    "field of an answer",
    { routes: [{ respond: { headers: { "content-length": "1" } } }] },
    ["routes[0].respond.headers.content-length"],
    /framing/,
  ],
  [
    "everything at once, a mistake in defaults only once",
    {
      defaults: { requestHeaders: { set: { a: "{nope}" } } },
      routes: [{ respond: {} }, { respond: {} }, { requestHeaders: { remove: ["te"] }, respond: {} }],
    },
    ["defaults.requestHeaders.set.a", "routes[2].requestHeaders.remove[0]"],
    /nope[\s\S]*te/,
  ],
];

for (const [name, config, paths, message] of REFUSED)
  test(`refused: ${name}`, () => {
    try {
      plan(config);
    } catch (error) {
      expect(error).toBeInstanceOf(PlanError);
      expect((error as PlanError).problems.map((problem) => showPath(problem.path))).toEqual([...paths]);
      expect((error as PlanError).message).toMatch(message);
      return;
    }
    expect.unreachable();
  });
