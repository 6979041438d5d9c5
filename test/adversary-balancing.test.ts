// Attacks on what is decided about servers: who is asked too, who is left out, and how often one request is sent.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { echo, start } from "./support/attacked.ts";
import type { UpstreamInput } from "./support/fleet.ts";
import { answer, chunks, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { refusingPort } from "./support/ports.ts";
import { proxyHasRead, startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder } from "./support/sluice.ts";
import { timed, until } from "./support/wait.ts";

describe("hedging", () => {
  const hedged = (servers: readonly RawBackend[], more: UpstreamInput = {}): Promise<TestProxy> =>
    start(servers, { hedge: { after: "20ms" }, ...more });

  const LEADERS: readonly (readonly [name: string, say: (peer: Peer) => void])[] = [
    ["never answers", () => {}],
    ["sends an interim answer", (peer) => peer.send("HTTP/1.1 103 Early\r\nLink: <x>\r\n\r\n")],
    ["sends half a head", (peer) => peer.send("HTTP/1.1 200 OK\r\nContent-")],
  ];
  for (const [name, say] of LEADERS)
    test(`whoever is asked first ${name}: the second is heard, and the first never again`, async () => {
      await using slow = await RawBackend.answering(async (got, peer) => {
        say(peer);
        await Bun.sleep(60);
        peer.send(answer(200, `late ${got.target}`));
        return null;
      });
      await using fast = await echo();
      await using proxy = await hedged([slow, fast]);
      await using client = await Peer.connect(proxy.port);
      for (let i = 0; i < 12; i += 1) {
        client.send(request(`/${i}`));
        let came = await client.response();
        if (came.status === 103) came = await client.response();
        expect(came.body).toBe(`/${i}`);
      }
    });

  type Say = (peer: Peer) => void;
  const reset: Say = (peer) => peer.reset();
  const says =
    (text: string): Say =>
    (peer) =>
      void peer.send(text);
  const RIVALS: readonly (readonly [name: string, first: Say, second: Say, status: number, body: string])[] = [
    ["the second is reset, the first answers", says(answer(200, "first")), reset, 200, "first"],
    ["the second says 503, the first answers", says(answer(200, "first")), says(answer(503, "no")), 200, "first"],
    ["the second says nonsense, the first answers", says(answer(200, "first")), says("nonsense\r\n\r\n"), 200, "first"],
    [
      "the second switches protocols, the first answers",
      says(answer(200, "first")),
      says("HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
      200,
      "first",
    ],
    ["both are reset", reset, reset, 502, ""],
    ["both say 503", says(answer(503, "no")), says(answer(503, "no")), 503, ""],
  ];
  for (const [name, first, second, status, body] of RIVALS)
    test(name, async () => {
      const both = Promise.withResolvers<void>();
      let tries = 0;
      const backend = () =>
        RawBackend.answering(async (got, peer) => {
          if (got.target !== "/") return answer(200, got.target);
          tries += 1;
          if (tries === 1) {
            await both.promise;
            first(peer);
          } else {
            second(peer);
            setTimeout(() => both.resolve(), 40);
          }
          return null;
        });
      await using a = await backend();
      await using b = await backend();
      await using proxy = await hedged([a, b], { retry: { attempts: 0 } });
      await using client = await Peer.connect(proxy.port);
      client.send(request("/") + request("/next"));
      const came = await client.response();
      expect([came.status, body === "" ? "" : came.body]).toEqual([status, body]);
      expect((await client.response()).body).toBe("/next");
      expect(tries).toBe(2);
    });

  test("clients that leave take both along, and count against nobody", async () => {
    const serve = () => RawBackend.answering((got) => (got.target === "/held" ? null : answer(200, got.target)));
    await using a = await serve();
    await using b = await serve();
    await using proxy = await hedged([a, b], {
      outlier: { consecutiveErrors: 1, maxEjected: "100%" },
      circuitBreaker: { errorRate: "1%", minRequests: 1 },
      limits: { connections: 1, queue: 0 },
    });
    for (let i = 1; i < 8; i += 1) {
      await using client = await Peer.connect(proxy.port);
      client.send(request("/held"));
      await a.received(i);
      await b.received(i);
      client.reset();
      await until(() => [...a.peers, ...b.peers].every(({ ended }) => ended), "the end of both");
    }
    for (let i = 0; i < 4; i += 1) expect((await exchange(proxy.port, request("/"))).status).toBe(200);
    expect([a.requests.length, b.requests.length]).toEqual([9, 9]);
  });
});

describe("one client cannot have servers left out, or a circuit stay open", () => {
  const TOUCHY: UpstreamInput = {
    outlier: { consecutiveErrors: 1, errorRate: "1%", minRequests: 1, interval: "1s", maxEjected: "100%" },
    circuitBreaker: { errorRate: "1%", minRequests: 1, openFor: "60s" },
    retry: { body: "64KB" },
  };
  const PUT = "PUT";
  const CASES: readonly (readonly [name: string, text: string, status: number])[] = [
    ["a broken chunk", `${request("/", ["Transfer-Encoding: chunked"], PUT)}3\r\nabc\r\nzz\r\n`, 400],
    ["a body above its limit", `${request("/", ["Transfer-Encoding: chunked"], PUT)}${chunks("x".repeat(2000))}`, 413],
    ["an unfinished body", `${request("/", ["Content-Length: 10"], PUT)}x`, 0],
    [
      "an unfinished body that is announced",
      `${request("/", ["Content-Length: 10", "Expect: 100-continue"], PUT)}x`,
      0,
    ],
    ["a body that nobody is told to send", request("/", ["Content-Length: 10", "Expect: 100-continue"], PUT), 0],
    ["501 and 505", request("/501"), 501],
    ["4xx", request("/429"), 429],
  ];
  for (const [name, text, status] of CASES)
    test(name, async () => {
      const serve = () =>
        RawBackend.start(async (peer, self) => {
          for (;;) {
            const head = await peer.head();
            self.requests.push(head);
            if (head.method === PUT) await peer.end();
            peer.send(answer(Number(head.target.slice(1)) || 200));
          }
        });
      await using a = await serve();
      await using b = await serve();
      await using proxy = await start([a, b], TOUCHY, { limits: { body: "1KB" } });
      const asked = () => a.requests.length + b.requests.length;
      for (let i = 0; i < 6; i += 1) {
        const before = asked();
        await using client = await Peer.connect(proxy.port);
        client.send(text);
        if (status > 0) expect((await client.response()).status).toBe(status);
        else await until(() => asked() > before, "the request");
        client.reset();
        await proxyHasRead(proxy.port);
      }
      const before = [a.requests.length, b.requests.length];
      for (let i = 0; i < 4; i += 1) expect((await exchange(proxy.port, request("/"))).status).toBe(200);
      expect([a.requests.length, b.requests.length]).toEqual(before.map((count) => count + 2));
    });

  test("probes whose clients leave make room for others", async () => {
    let status = 500;
    await using app = await RawBackend.answering((got) => (got.target === "/held" ? null : answer(status)));
    await using other = await RawBackend.answering((got) => (got.target === "/held" ? null : answer(status)));
    await using proxy = await start([app, other], {
      circuitBreaker: { errorRate: "50%", minRequests: 2, openFor: "200ms", probes: 1 },
      retry: false,
      limits: { connections: 1, queue: 3 },
    });
    while ((await exchange(proxy.port, request("/"))).field("proxy-status") === null);
    status = 200;
    await Bun.sleep(600); // the clock that all threads share is a coarse one
    const held = () => app.requests.length + other.requests.length;
    for (let i = 0; i < 10; i += 1) {
      const before = held();
      await using client = await Peer.connect(proxy.port);
      client.send(request("/held"));
      await until(() => held() > before, "the probe");
      expect((await exchange(proxy.port, request("/"))).status).toBe(503); // one probe at a time
      client.reset();
      await until(() => [...app.peers, ...other.peers].filter(({ ended }) => !ended).length <= 2, "its end");
      await proxyHasRead(proxy.port);
    }
    expect((await exchange(proxy.port, request("/"))).status).toBe(200);
    expect((await exchange(proxy.port, request("/"))).status).toBe(200);
  });
});

describe("how many requests one request can become", () => {
  const COUNT = 12;
  const run = async (app: UpstreamInput): Promise<number> => {
    await using stack = new AsyncDisposableStack();
    const servers: RawBackend[] = [];
    for (let i = 0; i < COUNT; i += 1)
      servers.push(
        stack.use(
          await RawBackend.answering((_, peer) => {
            peer.reset();
            return null;
          }),
        ),
      );
    await using proxy = await start(servers, app);
    expect((await exchange(proxy.port, request("/"))).status).toBe(502);
    return servers.reduce((sum, { requests }) => sum + requests.length, 0);
  };
  test("by default three", async () => {
    expect(await run({})).toBe(3);
  });
  test("the budget's reserve is the most for one alone", async () => {
    expect(await run({ retry: { attempts: 10, backoff: "1ms" } })).toBeLessThanOrEqual(11);
  });
  test("a budget of its own bounds a flood", async () => {
    await using a = await RawBackend.answering(() => answer(503, "no"));
    await using b = await RawBackend.answering(() => answer(503, "no"));
    await using proxy = await start([a, b], { retry: { budget: "10%" } });
    await using client = await Peer.connect(proxy.port);
    const ms = await timed(async () => {
      for (let i = 0; i < 300; i += 1) {
        client.send(request("/"));
        await client.response();
      }
    });
    expect(a.requests.length + b.requests.length).toBeLessThanOrEqual(300 + 30 + 10 + Math.ceil((3 * ms) / 1000) + 1);
  });
});

test("one line in the log for each request, with the server that answered", async () => {
  using folder = new Folder();
  const path = `${folder.path}/access.log`;
  await using bad = await RawBackend.answering((got) => (got.target === "/hedge" ? null : answer(503)));
  await using good = await echo();
  await using other = await RawBackend.answering(() => answer(200, "other"));
  {
    await using proxy = await startProxy({
      upstreams: {
        app: { servers: [bad.url, good.url], outlier: false },
        refused: { servers: ["127.0.0.1:1"], failover: "other", outlier: false, health: undefined },
        other: { servers: [other.url] },
      },
      routes: [
        { name: "hedge", match: { path: "/hedge" }, to: "app", hedge: { after: "20ms" } },
        { name: "post", match: { path: "/post" }, to: "app" },
        { name: "app", match: { path: "/app" }, to: "app" },
      ],
      log: { access: { path } },
    });
    for (let i = 0; i < 2; i += 1) expect((await exchange(proxy.port, request("/app"))).status).toBe(200);
    for (let i = 0; i < 2; i += 1) expect((await exchange(proxy.port, request("/hedge"))).status).toBe(200);
    const statuses = [];
    for (let i = 0; i < 2; i += 1)
      statuses.push((await exchange(proxy.port, request("/post", [], "POST", "x"))).status);
    expect(statuses.sort()).toEqual([200, 503]);
  }
  const lines = readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines.map(({ route }) => route)).toEqual(["app", "app", "hedge", "hedge", "post", "post"]);
  for (const { status, server, error } of lines) {
    expect(error ?? "").toBe("");
    expect(String(server)).toBe(`127.0.0.1:${status === 503 ? bad.port : good.port}`);
  }
});

test("requests at a server that fails its checks stay there rather than being lost", async () => {
  let healthy = true;
  const held: (() => void)[] = [];
  await using flapping = await RawBackend.answering(async (got) => {
    if (got.target === "/health") return answer(healthy ? 200 : 500);
    await new Promise<void>((resolve) => held.push(resolve));
    return answer(200, "flapping");
  });
  await using well = await RawBackend.answering(async (got) => {
    if (got.target === "/health") return answer(200);
    await new Promise<void>((resolve) => held.push(resolve));
    return answer(200, "well");
  });
  await using proxy = await start([flapping, well], {
    health: { path: "/health", interval: "100ms", unhealthy: 1 },
    retry: { budget: "0%" },
  });
  const polls = Array.from({ length: 60 }, () => exchange(proxy.port, request("/poll")));
  await until(() => held.length === 60, "the polls");
  healthy = false;
  await until(() => held.length > 60, "some to move");
  await Bun.sleep(200);
  for (const go of held) go();
  const statuses = (await Promise.all(polls)).map(({ status }) => status);
  expect(statuses.filter((status) => status !== 200).length).toBe(0);
});

test("an upstream that takes over has a budget of its own for its retries", async () => {
  await using bad = await RawBackend.answering(() => answer(503));
  await using good = await echo();
  await using proxy = await start(
    [await refusingPort()],
    { health: { type: "tcp", interval: "100ms", unhealthy: 1 }, failover: "spare" },
    {},
    {
      upstreams: { spare: { servers: [bad.url, good.url], outlier: false, retry: { budget: "100%" } } },
    },
  );
  await until(async () => (await exchange(proxy.port, request("/"))).status === 200, "the checks");
  await using client = await Peer.connect(proxy.port);
  for (let i = 0; i < 200; i += 1) {
    client.send(request("/"));
    expect([i, (await client.response()).status]).toEqual([i, 200]);
  }
});

test("no backup and no server that is left out is asked just to be faster", async () => {
  await using slow = await RawBackend.answering(async () => {
    await Bun.sleep(60);
    return answer(200, "slow");
  });
  await using backup = await RawBackend.answering(() => answer(200, "backup"));
  await using proxy = await start([], {
    servers: [slow.url, { url: backup.url, backup: true }],
    hedge: { after: "10ms" },
  });
  for (let i = 0; i < 4; i += 1) expect((await exchange(proxy.port, request("/"))).body).toBe("slow");
  expect(backup.requests.length).toBe(0);
});

test("a server that has got some of the body need not ask for the rest: the client is the slow one", async () => {
  const serve = () =>
    RawBackend.start(async (peer, self) => {
      for (;;) {
        const head = await peer.head();
        self.requests.push(head);
        if (head.method === "PUT") await peer.end();
        peer.send(answer(200, "ok"));
      }
    });
  await using a = await serve();
  await using b = await serve();
  await using proxy = await start([a, b], { outlier: { consecutiveErrors: 1 }, timeouts: { response: "300ms" } });
  const clients = await Promise.all([Peer.connect(proxy.port), Peer.connect(proxy.port)]);
  for (const client of clients) client.send(`${request("/", ["Expect: 100-continue", "Content-Length: 100"], "PUT")}x`);
  await until(() => a.requests.length + b.requests.length === 2, "both");
  await Bun.sleep(800);
  for (const client of clients) {
    expect([client.peek(), client.ended]).toEqual(["", false]);
    client.reset();
  }
  await proxyHasRead(proxy.port);
  for (let i = 0; i < 4; i += 1) await exchange(proxy.port, request("/"));
  expect([a.requests.length, b.requests.length]).toEqual([3, 3]);
});

test("a long wait of one route does not hold up the short ones of another", async () => {
  await using slow = await RawBackend.answering(() => null);
  await using fast = await RawBackend.answering(() => answer(200, "fast"));
  await using proxy = await startProxy({
    upstreams: { app: { servers: [slow.url, fast.url], outlier: false } },
    routes: [
      { match: { path: "/late" }, to: "app", hedge: { after: "5s" } },
      { to: "app", hedge: { after: "30ms" } },
    ],
  });
  await using late = await Peer.connect(proxy.port);
  late.send(request("/late"));
  await slow.received(1);
  for (let i = 0; i < 4; i += 1) expect(await timed(() => exchange(proxy.port, request(`/${i}`)))).toBeLessThan(1500);
});

test("an answer that nobody wants does not keep its place for as long as it dribbles", async () => {
  await using bad = await RawBackend.start(async (peer) => {
    await peer.head();
    peer.send("HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (!peer.ended) {
      peer.send(chunks("x"));
      await Bun.sleep(100);
    }
  });
  await using good = await echo();
  await using proxy = await start([bad, good]);
  expect((await exchange(proxy.port, request("/a"))).body).toBe("/a");
  await bad.peers[0]!.end(3000);
});
