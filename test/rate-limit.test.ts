// Rate limits as clients meet them: one thread, several threads, reloads, and what is told.
import { describe, expect, test } from "bun:test";
import { definePlugin } from "../src/index.ts";
import { LoadProcess } from "./support/load.ts";
import { type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { configOf, startProxy } from "./support/proxy.ts";
import { Folder, runConfig } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

type Limits = NonNullable<NonNullable<Parameters<typeof startProxy>[0]["routes"]>[number]["rateLimit"]>;

const limited = (rateLimit: Limits) => startProxy({ routes: [{ name: "api", rateLimit, respond: { body: "ok" } }] });

const ask = (port: number, target = "/", fields: readonly string[] = []): Promise<Message> =>
  exchange(port, request(target, fields));

/** The statuses of requests sent one after the other. */
async function statuses(port: number, fields: readonly (readonly string[])[]): Promise<number[]> {
  const found: number[] = [];
  for (const each of fields) found.push((await ask(port, "/", each)).status);
  return found;
}

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

describe("a limit", () => {
  test("answers 429 with what clients need to know, and goes on serving on the same connection", async () => {
    await using proxy = await limited({ rate: "10/m", burst: 2 });
    await using peer = await Peer.connect(proxy.port);
    peer.send(request("/").repeat(3) + request("/"));
    const answers = [await peer.response(), await peer.response(), await peer.response(), await peer.response()];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429, 429]);
    expect(answers.map((answer) => answer.field("ratelimit-policy"))).toEqual(times(4, '"default";q=10;w=60'));
    expect(answers.map((answer) => answer.field("ratelimit"))).toEqual([
      '"default";r=1;t=6',
      '"default";r=0;t=12',
      '"default";r=0;t=12',
      '"default";r=0;t=12',
    ]);
    expect(Number(answers[2]!.field("retry-after"))).toBeWithin(5, 7);
    expect(answers[0]!.field("retry-after")).toBeNull();
    expect(JSON.parse(answers[2]!.body)).toMatchObject({ status: 429, detail: "Too many requests: slow down." });
    expect(answers[2]!.field("proxy-status")).toBe("sluice; error=http_request_denied");
  });

  test("says nothing where it is not to", async () => {
    await using proxy = await limited({ rate: "10/m", burst: 1, headers: false });
    const answers = [await ask(proxy.port), await ask(proxy.port)];
    expect(answers.map(({ status }) => status)).toEqual([200, 429]);
    for (const answer of answers)
      expect([answer.field("ratelimit"), answer.field("ratelimit-policy")]).toEqual([null, null]);
  });

  test("lets a tenth of what it counts come at once, where nothing is said", async () => {
    await using proxy = await limited({ rate: "100/h" });
    expect((await statuses(proxy.port, times(11, []))).filter((status) => status === 200)).toHaveLength(10);
  });
});

describe("keys", () => {
  const CASES: readonly (readonly [name: string, key: string | string[], asked: readonly string[], want: number[]])[] =
    [
      ["a field", "header:x-user", ["x-user: a", "x-user: b", "x-user: a"], [200, 200, 429]],
      ["a cookie", "cookie:id", ["cookie: id=a; x=1", "cookie: x=2; id=b", "cookie: id=a"], [200, 200, 429]],
      ["without the field: the address", "header:x-user", ["", "x-user: b", ""], [200, 200, 429]],
      ["a field like the address", "header:x-user", ["", "x-user: 127.0.0.1"], [200, 200]],
      ["address and field", ["ip", "header:x-user"], ["x-user: a", "x-user: b", "x-user: a"], [200, 200, 429]],
      [
        "parts are not mixed up",
        ["header:a", "header:b"],
        ["a: 1\r\nb: 2", "a: 2\r\nb: 1", "a: 1\r\nb: 2"],
        [200, 200, 429],
      ],
      ["the route", "route", ["x-user: a", "x-user: b"], [200, 429]],
    ];
  for (const [name, key, asked, want] of CASES)
    test(name, async () => {
      await using proxy = await limited({ rate: "1/h", key });
      expect(
        await statuses(
          proxy.port,
          asked.map((line) => (line === "" ? [] : [line])),
        ),
      ).toEqual(want);
    });

  test("clients of a trusted proxy, and of IPv6 a /64", async () => {
    const { routes, ...rest } = {
      routes: [{ rateLimit: { rate: "1/h" }, respond: {} }],
      trustedProxies: ["127.0.0.1"],
    };
    await using proxy = await startProxy({ routes, ...rest });
    const from = (...addresses: string[]) =>
      statuses(
        proxy.port,
        addresses.map((address) => [`x-forwarded-for: ${address}`]),
      );
    expect(await from("192.0.2.1", "192.0.2.2", "192.0.2.1")).toEqual([200, 200, 429]);
    expect(await from("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1")).toEqual([200, 429, 200]);
  });
});

describe("several limits", () => {
  test("hold at once, and one that refuses takes nothing from the others", async () => {
    await using proxy = await limited([
      { name: "each", rate: "1/h", burst: 3 },
      { name: "user", rate: "1/h", key: "header:x-user" },
    ]);
    const asked = ["a", "a", "a", "a", "b", "c", "d"].map((user) => [`x-user: ${user}`]);
    expect(await statuses(proxy.port, asked)).toEqual([200, 429, 429, 429, 200, 200, 429]);
    const last = await ask(proxy.port, "/", ["x-user: z"]);
    expect(last.field("ratelimit-policy")).toBe('"each";q=1;w=3600, "user";q=1;w=3600');
  });

  test("a rate, a quota and a cost", async () => {
    await using proxy = await limited({ rate: "100/s", burst: 100, quota: "5/day", cost: 2 });
    const answers = [await ask(proxy.port), await ask(proxy.port), await ask(proxy.port)];
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
    expect(answers[0]!.field("ratelimit-policy")).toBe('"default";q=100;w=1, "quota";q=5;w=86400');
    expect(answers[1]!.field("ratelimit")).toMatch(/^"default";r=9\d;t=\d, "quota";r=1;t=\d+$/);
    expect(JSON.parse(answers[2]!.body)).toMatchObject({ detail: "The quota of requests is used up." });
    expect(Number(answers[2]!.field("retry-after"))).toBeWithin(1, 86_401);
  });

  test("routes have their own; that of `defaults` is one for all that have it from there", async () => {
    const rate = { rate: "1/h" } as const;
    await using proxy = await startProxy({
      defaults: { rateLimit: rate },
      routes: [
        { match: { path: "/own" }, rateLimit: rate, respond: {} },
        { match: { path: "/other" }, rateLimit: rate, respond: {} },
        { match: { path: "/off" }, rateLimit: false, respond: {} },
        { match: { path: "/a" }, respond: {} },
        { match: { path: "/b" }, respond: {} },
      ],
    });
    const got: string[] = [];
    for (const target of ["/own", "/other", "/own", "/a", "/b", "/off", "/off"])
      got.push(`${target} ${(await ask(proxy.port, target)).status}`);
    expect(got).toEqual(["/own 200", "/other 200", "/own 429", "/a 200", "/b 429", "/off 200", "/off 200"]);
  });
});

/** Keeps requests of `/wait` until they are let go. */
const holding = (waiting: ((value: undefined) => void)[]) =>
  definePlugin({
    name: "wait",
    request: (x) =>
      x.request.path === "/wait" ? new Promise<undefined>((resolve) => waiting.push(resolve)) : undefined,
  });

describe("requests under way", () => {
  const CASES = [
    ["of a key", { rateLimit: { concurrent: 2 } }, 429],
    ["of a route", { limits: { concurrent: 2 } }, 503],
  ] as const;
  for (const [name, policy, refused] of CASES)
    test(name, async () => {
      const waiting: ((value: undefined) => void)[] = [];
      await using proxy = await startProxy({
        routes: [
          {
            ...policy,
            use: [holding(waiting)],
            respond: {},
          },
        ],
      });
      const first = ask(proxy.port, "/wait");
      await using leaver = await Peer.connect(proxy.port);
      leaver.send(request("/wait"));
      await until(() => waiting.length === 2, "two requests under way");
      const third = await ask(proxy.port);
      expect([third.status, third.field("retry-after")]).toEqual([refused, "1"]);
      // One is over when its client leaves, the other when it is answered.
      leaver.reset();
      await until(async () => (await ask(proxy.port)).status === 200, "a place");
      waiting[0]!(undefined);
      expect((await first).status).toBe(200);
      expect(await statuses(proxy.port, times(5, []))).toEqual(times(5, 200));
    });
});

test("a reload keeps what is counted, and a limit that is changed begins anew", async () => {
  const routes = (rate: "3/h" | "4/h", body: string) => [
    { name: "api", rateLimit: { rate, burst: 2 }, respond: { body } },
  ];
  await using proxy = await startProxy({ routes: routes("3/h", "one") });
  expect(await statuses(proxy.port, [[]])).toEqual([200]);
  await proxy.proxy.reload(configOf({ routes: routes("3/h", "two") }));
  expect(await statuses(proxy.port, [[], []])).toEqual([200, 429]);
  await proxy.proxy.reload(configOf({ routes: routes("4/h", "three") }));
  expect(await statuses(proxy.port, times(3, []))).toEqual([200, 200, 429]);
});

const WRONG: readonly (readonly [name: string, limit: unknown, message: RegExp])[] = [
  ["nothing to keep to", {}, /nothing to keep to/],
  ["a burst without a rate", { concurrent: 1, burst: 2 }, /needs a `rate`/],
  ["no rate", { rate: "10" }, /"10" is not a rate: write it like 100\/s/],
  ["a rate of microseconds", { rate: "2000000/s" }, /at most 1000000\/s/],
  ["no quota", { quota: "10/week" }, /write a quota like/],
  ["a cost beyond the burst", { rate: "10/s", burst: 2, cost: 3 }, /raise `burst`/],
  ["a cost beyond the quota", { quota: "2/day", cost: 3 }, /more than the whole quota/],
  ["an unknown key", { rate: "1/s", key: "adress" }, /nothing to count by/],
  ["a key without a name", { rate: "1/s", key: "header:" }, /no name behind the colon/],
  ["users without sign-on", { rate: "1/s", key: ["ip", "user"] }, /no `auth`/],
  ["names twice", [{ rate: "1/s" }, { rate: "2/s" }], /another limit named "default"/],
];
describe("refused at start", () => {
  for (const [name, limit, message] of WRONG)
    test(name, async () => {
      const routes = [{ rateLimit: limit as Limits, respond: {} }];
      expect(await startProxy({ routes }).then(String, String)).toMatch(message);
    });
});

describe("two workers", () => {
  const load = (port: number, connections: number) =>
    new LoadProcess({
      port,
      connections,
      requests: [{ text: request("/"), answers: { 200: ["^ok$"], 429: ["."] } }],
      pauseMs: 5,
      reconnect: true,
    });
  const sum = (metrics: ReadonlyMap<string, number>, start: string, part: string): number =>
    [...metrics].reduce(
      (total, [name, value]) => total + (name.startsWith(start) && name.includes(part) ? value : 0),
      0,
    );

  test("let 100 requests a second through together, within 2 %, under ten times as many", async () => {
    using folder = new Folder();
    const route = { name: "api", rateLimit: { rate: "100/s" }, respond: { body: "ok" } };
    const config = { listeners: [{ address: "127.0.0.1:0" }], workers: 2, routes: [route] };
    await using proxy = await runConfig(folder, config);
    await using clients = load(proxy.port(), 16);
    const look = async (): Promise<{ at: number; allowed: number; refused: number }> => {
      const metrics = await proxy.metrics();
      const at = performance.now();
      return {
        at,
        allowed: sum(metrics, "sluice_requests_total", 'code="200"'),
        refused: metrics.get('sluice_ratelimited_total{route="api",limit="default"}') ?? 0,
      };
    };
    await until(async () => (await look()).refused > 500, "the load");
    const before = await look();
    await Bun.sleep(5000);
    const after = await look();
    const perSecond = ((after.allowed - before.allowed) * 1000) / (after.at - before.at);
    expect(after.refused - before.refused).toBeGreaterThan(2000);
    expect(perSecond).toBeWithin(98, 102);
    const { failures } = await clients.stop();
    expect(failures).toEqual([]);
  }, 30_000);

  test("count on when one of them is replaced", async () => {
    using folder = new Folder();
    const route = { name: "api", rateLimit: { rate: "20/h", burst: 20, concurrent: 5 }, respond: { body: "ok" } };
    const config = { listeners: [{ address: "127.0.0.1:0" }], workers: 2, routes: [route] };
    await using proxy = await runConfig(folder, config);
    expect(await statuses(proxy.port(), times(10, []))).toEqual(times(10, 200));
    expect((await proxy.admin("POST", "/api/workers/0/restart")).status).toBe(202);
    await until(async () => {
      const { workers } = await proxy.status();
      return (
        workers.length === 2 &&
        workers.every(({ state, id, restarts }) => state === "ready" && (id === 1 || restarts === 1))
      );
    }, "a new worker");
    const rest: number[] = [];
    while (rest.length < 12) {
      const status = await ask(proxy.port()).then(
        ({ status: got }) => got,
        () => 0,
      );
      if (status !== 0) rest.push(status);
    }
    expect(rest).toEqual([...times(10, 200), 429, 429]);
  }, 20_000);
});
