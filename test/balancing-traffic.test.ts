// Traffic that is split, copied, failed over, slowed down or announced.
import { describe, expect, test } from "bun:test";
import { answer, type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { refusingPort, SilentPort } from "./support/ports.ts";
import { proxyTo, startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { timed, until } from "./support/wait.ts";

const named = (name: string): Promise<RawBackend> => RawBackend.answering(() => answer(200, name));

describe("split", () => {
  const start = async (stack: AsyncDisposableStack, more: Readonly<Record<string, unknown>> = {}) => {
    const app = stack.use(await named("app"));
    const canary = stack.use(await named("canary"));
    return stack.use(
      await startProxy({
        upstreams: { app: { servers: [app.url] }, canary: { servers: [canary.url] } },
        routes: [
          {
            to: [
              { upstream: "app", weight: 80 },
              { upstream: "canary", weight: 20, match: { header: { "x-test": "canary" }, cookie: { tester: "yes" } } },
            ],
            ...more,
          },
        ],
      }),
    );
  };

  test("clients come by weight, and stay where they came", async () => {
    await using stack = new AsyncDisposableStack();
    const proxy = await start(stack, { split: { cookie: "version", ttl: "1h" } });
    const COUNT = 400;
    const first = new Map<string, string>();
    let canaries = 0;
    for (let i = 0; i < COUNT; i += 1) {
      const came = await exchange(proxy.port, request("/"));
      const cookie = came.field("set-cookie") ?? "";
      expect(cookie).toMatch(/^version=[^;]+;/);
      expect(cookie.toLowerCase()).toContain("max-age=3600");
      expect(cookie.toLowerCase()).toContain("httponly");
      first.set(came.body, cookie.split(";")[0]!);
      if (came.body === "canary") canaries += 1;
    }
    // 2 %, and four standard deviations of a choice by chance.
    expect(Math.abs(canaries / COUNT - 0.2)).toBeLessThanOrEqual(0.02 + 4 * Math.sqrt((0.2 * 0.8) / COUNT));
    for (const [name, cookie] of first)
      for (let i = 0; i < 20; i += 1) {
        const came = await exchange(proxy.port, request("/", [`Cookie: ${cookie}`]));
        expect([came.body, came.field("set-cookie")]).toEqual([name, null]);
      }
  });

  test("a cookie that says nothing known is replaced", async () => {
    await using stack = new AsyncDisposableStack();
    const proxy = await start(stack, { split: { cookie: "version" } });
    for (const value of ["", "nonsense", "0", "canary; version=app", "%00"]) {
      const came = await exchange(proxy.port, request("/", [`Cookie: version=${value}`]));
      expect([value, came.status]).toEqual([value, 200]);
    }
  });

  test("testers go where they are sent", async () => {
    await using stack = new AsyncDisposableStack();
    const proxy = await start(stack, { split: { cookie: "version" } });
    const tester = ["X-Test: canary", "Cookie: tester=yes"];
    for (let i = 0; i < 10; i += 1) expect((await exchange(proxy.port, request("/", tester))).body).toBe("canary");
  });
});

describe("mirror", () => {
  test("the copy has method, target, fields and body, and its answer is dropped", async () => {
    await using app = await RawBackend.answering(() => answer(200, "app"));
    await using shadow = await RawBackend.answering(() => answer(500, "shadow"));
    await using proxy = await startProxy({
      upstreams: { shadow: { servers: [shadow.url] } },
      routes: [{ to: app.url, mirror: { to: "shadow" } }],
    });
    for (const [method, body] of [
      ["GET", ""],
      ["POST", "what is sent"],
      ["PUT", "x".repeat(100_000)],
    ] as const) {
      const came = await exchange(proxy.port, request("/path?q=1", ["X-Own: 1"], method, body));
      expect([came.status, came.body]).toEqual([200, "app"]);
    }
    await shadow.received(3);
    const show = (message: Message) => [message.method, message.target, message.field("x-own"), message.body.length];
    expect(shadow.requests.map(show)).toEqual(app.requests.map(show));
    expect(shadow.requests.map(({ body }) => body)).toEqual(app.requests.map(({ body }) => body));
  });

  test("a share of the requests is copied", async () => {
    await using app = await named("app");
    await using shadow = await named("shadow");
    await using proxy = await proxyToWith(app, { to: shadow.url, sample: "25%" });
    const COUNT = 400;
    for (let i = 0; i < COUNT; i += 1) await exchange(proxy.port, request("/"));
    const margin = 4 * Math.sqrt(0.25 * 0.75 * COUNT);
    const [least, most] = [COUNT / 4 - margin, COUNT / 4 + margin];
    await until(() => shadow.requests.length >= least, `at least ${least} copies`);
    expect(shadow.requests.length).toBeLessThanOrEqual(most);
  });

  test("a shadow that hangs, refuses, is slow or breaks off slows nobody down", async () => {
    await using app = await named("app");
    await using silent = await SilentPort.open();
    await using mute = await RawBackend.answering(() => null);
    await using rude = await RawBackend.answering((_, peer) => {
      peer.reset();
      return null;
    });
    const shadows = [`http://127.0.0.1:${silent.port}`, `http://127.0.0.1:${await refusingPort()}`, mute.url, rude.url];
    for (const to of shadows) {
      await using proxy = await proxyToWith(app, { to });
      const ms = await timed(async () => {
        await using client = await Peer.connect(proxy.port);
        for (let i = 0; i < 40; i += 1) {
          const body = i % 2 === 0 ? "" : "y".repeat(60_000);
          client.send(request("/", [], body === "" ? "GET" : "POST", body));
          expect((await client.response()).body).toBe("app");
        }
      });
      expect([to, ms < 1000]).toEqual([to, true]);
    }
  });

  test("of a body that is too long the copy is given up, and nothing else", async () => {
    await using app = await RawBackend.answering((got) => answer(200, String(got.body.length)));
    await using shadow = await named("shadow");
    await using proxy = await proxyToWith(app, { to: shadow.url, body: "64KB" });
    const came = await exchange(proxy.port, request("/long", [], "POST", "x".repeat(300_000)));
    expect(came.body).toBe("300000");
    await exchange(proxy.port, request("/short", [], "POST", "x"));
    await until(() => shadow.requests.some(({ target }) => target === "/short"), "the copy of the short one");
    expect(shadow.requests.map(({ target }) => target)).toEqual(["/short"]);
  });

  const proxyToWith = (app: RawBackend, mirror: { to: string; sample?: string; body?: string }) =>
    startProxy({ routes: [{ to: app.url, mirror }] });
});

describe("failover", () => {
  test("another upstream takes over while this one has no usable server", async () => {
    let well = true;
    await using main = await RawBackend.answering((got) =>
      got.target === "/healthz" ? answer(well ? 200 : 503) : answer(200, "main"),
    );
    await using other = await named("other");
    await using proxy = await startProxy({
      upstreams: {
        main: {
          servers: [main.url],
          failover: "other",
          health: { path: "/healthz", interval: "100ms", downInterval: "100ms", healthy: 1, unhealthy: 1 },
        },
        other: { servers: [other.url] },
      },
      routes: [{ to: "main" }],
    });
    const who = async () => (await exchange(proxy.port, request("/"))).body;
    expect(await who()).toBe("main");
    well = false;
    await until(async () => (await who()) === "other", "the other upstream");
    well = true;
    await until(async () => (await who()) === "main", "the first one again");
  });

  test("…or while its circuit is open", async () => {
    let works = false;
    await using main = await RawBackend.answering(() => answer(works ? 200 : 500, "main"));
    await using other = await named("other");
    await using proxy = await startProxy({
      upstreams: {
        main: {
          servers: [main.url],
          failover: "other",
          outlier: false,
          circuitBreaker: { minRequests: 5, window: "1s", openFor: "500ms", probes: 1 },
        },
        other: { servers: [other.url] },
      },
      routes: [{ to: "main" }],
    });
    const who = async () => (await exchange(proxy.port, request("/"))).body;
    await until(async () => (await who()) === "other", "the circuit to open");
    works = true;
    await until(async () => (await who()) === "main", "the circuit to close");
  });
});

describe("circuit breaker", () => {
  test("open, it answers 503 at once; half-open, it lets probes through; and it closes", async () => {
    let works = false;
    await using app = await RawBackend.answering(() => answer(works ? 200 : 500, "app"));
    await using proxy = await startProxy({
      upstreams: {
        app: {
          servers: [app.url],
          outlier: false,
          circuitBreaker: { minRequests: 5, window: "10s", openFor: "600ms", probes: 2 },
        },
      },
      routes: [{ to: "app" }],
    });
    const ask = () => exchange(proxy.port, request("/"));
    await until(async () => (await ask()).status === 503, "the circuit to open");
    const seen = app.requests.length;
    const refused = await ask();
    expect(refused.status).toBe(503);
    expect(Number(refused.field("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(app.requests.length).toBe(seen);
    await until(() => ask().then(({ status }) => status === 500), "a probe");
    expect((await ask()).status).toBe(503); // the probe failed: open again
    works = true;
    await until(async () => (await ask()).status === 200, "the circuit to close");
    for (let i = 0; i < 10; i += 1) expect((await ask()).status).toBe(200);
  });
});

describe("hedging", () => {
  test("a second server is asked when the first is slow, and the slower one is given up", async () => {
    const gone = Promise.withResolvers<void>();
    const slow = await RawBackend.answering(async (_, peer) => {
      await peer.end();
      gone.resolve();
      return null;
    });
    await using _slow = slow;
    await using fast = await named("fast");
    await using proxy = await startProxy({
      upstreams: { app: { servers: [slow.url, fast.url], hedge: { after: "100ms" }, outlier: false } },
      routes: [{ to: "app" }],
    });
    for (let i = 0; i < 4; i += 1) {
      const ms = await timed(async () => expect((await exchange(proxy.port, request("/"))).body).toBe("fast"));
      expect(ms).toBeLessThan(1000);
    }
    expect(slow.requests.length).toBeGreaterThan(0);
    await gone.promise;
  });
});

describe("limits.rate", () => {
  const RATE = 1024 * 1024;
  const BODY = "z".repeat(3 * RATE);
  // Pieces are not cut: what one read from a socket brings, half a megabyte at most, may be ahead.
  const [LEAST_MS, MOST_MS] = [2400, 4500];

  test("holds answers and request bodies back", async () => {
    await using app = await RawBackend.answering((got) =>
      answer(200, got.method === "GET" ? BODY : String(got.body.length)),
    );
    await using proxy = await startProxy({ routes: [{ to: app.url, limits: { rate: "1MB/s" } }] });
    const down = timed(async () => expect((await exchange(proxy.port, request("/"))).body.length).toBe(BODY.length));
    const up = timed(async () => {
      const came = await exchange(proxy.port, request("/", [], "POST", BODY));
      expect(came.body).toBe(String(BODY.length));
    });
    for (const ms of await Promise.all([down, up])) {
      expect(ms).toBeGreaterThan(LEAST_MS);
      expect(ms).toBeLessThan(MOST_MS);
    }
  });

  test("what is small is not held back", async () => {
    await using app = await named("app");
    await using proxy = await startProxy({ routes: [{ to: app.url, limits: { rate: "200KB/s" } }] });
    expect(
      await timed(async () => {
        for (let i = 0; i < 20; i += 1) await exchange(proxy.port, request("/"));
      }),
    ).toBeLessThan(1000);
  });
});

describe("the PROXY protocol to servers", () => {
  const SIGNATURE = "\r\n\r\n\0\r\nQUIT\n";

  /** A server that takes the announcement of each connection, and tells it with every answer. */
  const announced = (version: "v1" | "v2"): Promise<RawBackend> =>
    RawBackend.start(async (peer, self) => {
      const from = version === "v1" ? v1(await peer.through("\r\n")) : v2(await peer.bytes(28));
      for (;;) {
        self.requests.push(await peer.request());
        peer.send(answer(200, from));
      }
    });
  const v1 = (line: string): string => {
    const [, source, target, port] = /^PROXY TCP4 (\S+) (\S+) (\d+) \d+\r\n$/.exec(line) ?? [];
    return `${source}:${port} ${target}`;
  };
  const v2 = (head: string): string => {
    const bytes = Buffer.from(head, "latin1");
    if (!head.startsWith(SIGNATURE) || bytes[12] !== 0x21 || bytes[13] !== 0x11 || bytes.readUInt16BE(14) !== 12)
      return `not version 2: ${bytes.toString("hex")}`;
    const address = (at: number) => [...bytes.subarray(at, at + 4)].join(".");
    return `${address(16)}:${bytes.readUInt16BE(24)} ${address(20)}`;
  };

  for (const version of ["v1", "v2"] as const)
    test(`${version}: each client's address, on connections of its own`, async () => {
      await using app = await announced(version);
      await using proxy = await startProxy({
        upstreams: { app: { servers: [app.url], proxyProtocol: version } },
        routes: [{ to: "app" }],
      });
      await using one = await Peer.connect(proxy.port, "127.0.0.21");
      await using two = await Peer.connect(proxy.port, "127.0.0.22");
      for (let i = 0; i < 3; i += 1)
        for (const client of [one, two]) {
          const { localAddress, localPort } = client.socket;
          const came = await client.send(request("/")).response();
          expect(came.body).toBe(`${localAddress}:${localPort} 127.0.0.1`);
        }
    });
});

test("a list of servers in a route is balanced like any upstream", async () => {
  await using a = await named("a");
  await using b = await named("b");
  await using proxy = await proxyTo([a.url, b.url]);
  const seen = new Set<string>();
  for (let i = 0; i < 4; i += 1) seen.add((await exchange(proxy.port, request("/"))).body);
  expect(seen.size).toBe(2);
});
