import { describe, expect, test } from "bun:test";
import { showPath } from "../config/diagnostic.ts";
import { type ConfigInput, configSchema } from "../config/schema.ts";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import type { Route } from "../pipeline/exchange.ts";
import { compilePlan, PlanError } from "./compile.ts";
import { weightedPick } from "./weighted-pick.ts";

const plan = (config: Partial<ConfigInput>) =>
  compilePlan(
    configSchema.parse({ listeners: [{ address: ":0" }], routes: [{ to: "http://127.0.0.1:1" }], ...config }),
  );

const routeOf = (route: NonNullable<ConfigInput["routes"]>[number], config: Partial<ConfigInput> = {}): Route =>
  plan({ ...config, routes: [route] }).routes[0]!;

const picks = (route: Route, count: number): string[] =>
  Array.from({ length: count }, () => (route.action.kind === "forward" ? route.action.pick() : "reply"));

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

test("weights are exact over one round, whatever they are", () => {
  const targets = [95, 5, 0, 17].map((weight) => ({ name: `w${weight}`, weight }));
  const pick = weightedPick(targets);
  const counts = new Map<string, number>();
  for (let i = 0; i < 117; i += 1) {
    const name = pick();
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  expect(Object.fromEntries(counts)).toEqual({ w95: 95, w5: 5, w17: 17 });
});

describe("answers", () => {
  const replyOf = (route: Route, target = "/") => {
    const x = exchangeOf({ target, params: { id: target.slice(1) } });
    x.route = route;
    if (route.action.kind !== "reply") throw new Error("not a reply");
    const { status, headers, body } = route.action.reply(x);
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
    route.action.reply(x).headers.set("x", "1");
    expect(route.action.reply(x).headers.get("x")).toBeNull();
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
