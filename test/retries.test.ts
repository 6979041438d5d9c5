// What tries leave behind: places at servers, halves of requests, answers that nobody wants.
import { describe, expect, test } from "bun:test";
import type { UpstreamInput } from "./support/fleet.ts";
import { answer, chunks, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { refusingPort, SilentPort } from "./support/ports.ts";
import { configOf, MARKER, type ProxyUnderTest, proxyHasRead, startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { until } from "./support/wait.ts";

const config = (servers: readonly (RawBackend | string)[], app: UpstreamInput = {}): ProxyUnderTest => ({
  upstreams: {
    app: { servers: servers.map((each) => (typeof each === "string" ? each : each.url)), outlier: false, ...app },
  },
  routes: [MARKER, { to: "app" }],
});
const start = (servers: readonly (RawBackend | string)[], app: UpstreamInput = {}): Promise<TestProxy> =>
  startProxy(config(servers, app));

/** One request at a time at each server, and nobody waits: a place that is not given back is missed at once. */
const NARROW: UpstreamInput = { limits: { connections: 1, queue: 0 } };

describe("the place at a server is given back", () => {
  /** What the server does, by target; "/free" is what asks whether it has room. */
  const serve = (): Promise<RawBackend> =>
    RawBackend.answering(async ({ target }, peer) => {
      switch (target) {
        case "/reset":
          peer.reset();
          return null;
        case "/silent":
          return null;
        case "/nonsense":
          return "nonsense\r\n\r\n";
        case "/half":
          return answer(200, "x".repeat(1000)).slice(0, -500);
        case "/cut":
          peer.send(answer(200, "x".repeat(1000)).slice(0, -500));
          peer.finish();
          return null;
        case "/503-long":
          return answer(503, "x".repeat(200_000));
        case "/503-endless":
          return `HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n${chunks("x")}`;
        case "/503-close":
          peer.send("HTTP/1.1 503 No\r\n\r\nsome");
          return null;
        case "/close":
          peer.send(answer(200, "bye", ["Connection: close"]));
          peer.finish();
          return null;
        case "/upgrade":
          return "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
        case "/wrong-upgrade":
          return "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: y\r\n\r\n";
        default:
          return answer(200, "free");
      }
    });
  const UPGRADE = ["Connection: Upgrade", "Upgrade: x"];
  const short: UpstreamInput = { timeouts: { response: "200ms" } };

  /** What a client does, all of it before it closes. */
  const CASES: readonly (readonly [name: string, more: UpstreamInput, act: (c: Peer, app: RawBackend) => unknown])[] = [
    ["after an answer", {}, (c) => c.send(request("/")).response()],
    ["after a server's Connection: close", {}, (c) => c.send(request("/close")).response()],
    ["after HEAD", {}, (c) => c.send(request("/", [], "HEAD")).head()],
    ["after a reset", {}, (c) => c.send(request("/reset")).response()],
    ["after no answer in time", short, (c) => c.send(request("/silent")).response()],
    ["after nonsense", {}, (c) => c.send(request("/nonsense")).response()],
    ["after an answer that is cut off", {}, (c) => c.send(request("/cut")).end()],
    ["after an answer that stops", short, (c) => c.send(request("/half")).end()],
    [
      "when the client leaves before the answer",
      {},
      async (c, app) => {
        c.send(request("/silent"));
        await app.received(1);
      },
    ],
    [
      "when it resets then",
      {},
      async (c, app) => {
        c.send(request("/silent"));
        await app.received(1);
        c.reset();
      },
    ],
    [
      "when it leaves half way through the answer",
      {},
      async (c) => {
        c.send(request("/half"));
        await c.through("xxxx");
      },
    ],
    [
      "when it leaves half way through its body",
      {},
      async (c, app) => {
        c.send(request("/", [], "PUT", "x".repeat(1000)).slice(0, -500));
        await (await app.peer(0)).when(() => app.peers[0]!.bytesIn > 600, "half a body");
      },
    ],
    [
      "when its body is broken",
      {},
      (c) =>
        c.send(`PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${chunks("x")}nonsense\r\n`).response(),
    ],
    [
      "when a tunnel is cut off by the client",
      {},
      async (c) => {
        await c.send(request("/upgrade", UPGRADE)).head();
        c.reset();
      },
    ],
    [
      "when a tunnel is closed by the server",
      {},
      async (c, app) => {
        await c.send(request("/upgrade", UPGRADE)).head();
        app.peers[0]!.close();
        await c.end();
      },
    ],
    ["after an upgrade that nobody asked for", {}, (c) => c.send(request("/wrong-upgrade", UPGRADE)).response()],
  ];
  for (const [name, more, act] of CASES)
    test(name, async () => {
      await using app = await serve();
      await using proxy = await start([app], { ...NARROW, ...more });
      for (let i = 0; i < 3; i += 1) {
        {
          await using client = await Peer.connect(proxy.port);
          await act(client, app);
        }
        app.requests.length = 0;
        await until(async () => (await exchange(proxy.port, request("/free"))).status === 200, "room at the server");
        for (const peer of app.peers.splice(0)) peer.close();
      }
    });

  // The second server gets what the first one failed, and both have room again.
  for (const target of ["/reset", "/nonsense", "/503-long", "/503-endless", "/503-close"])
    test(`${target}: after a try at another server`, async () => {
      await using bad = await RawBackend.answering(({ target: asked }, peer) => {
        if (asked === "/free") return answer(200, "bad");
        if (asked === "/reset") peer.reset();
        else if (asked === "/nonsense") return "nonsense\r\n\r\n";
        else if (asked === "/503-long") return answer(503, "x".repeat(200_000));
        else if (asked === "/503-close") return "HTTP/1.1 503 No\r\n\r\nsome";
        else return `HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n${chunks("x")}`;
        return null;
      });
      await using good = await RawBackend.answering(() => answer(200, "good"));
      await using proxy = await start([bad, good], { ...NARROW, balance: { hash: "query:q" } });
      for (let i = 0; i < 6; i += 1) {
        const came = await exchange(proxy.port, request(target));
        expect([came.status, came.body]).toEqual([200, "good"]);
      }
      // Keys that belong to each of the servers: a busy one would hand its requests on.
      const seen = new Set<string>();
      await until(async () => {
        for (let q = 0; q < 20; q += 1) seen.add((await exchange(proxy.port, request(`/free?q=${q}`))).body);
        return seen.size === 2 || seen.has("good");
      }, "room at both servers");
    });

  test("after a connect that is refused", async () => {
    await using proxy = await start([`127.0.0.1:${await refusingPort()}`], { ...NARROW, retry: { attempts: 1 } });
    for (let i = 0; i < 5; i += 1) expect((await exchange(proxy.port, request("/"))).status).toBe(502);
  });

  test("after a connect that hangs, whether its client waits for it or not", async () => {
    await using silent = await SilentPort.open();
    const app: UpstreamInput = { ...NARROW, timeouts: { connect: "300ms" }, retry: false };
    await using proxy = await start([`127.0.0.1:${silent.port}`], app);
    expect((await exchange(proxy.port, request("/"))).status).toBe(504);
    for (let i = 0; i < 2; i += 1) {
      await using client = await Peer.connect(proxy.port);
      client.send(request("/"));
      await proxyHasRead(proxy.port);
      expect((await exchange(proxy.port, request("/"))).status).toBe(503);
      client.reset();
      await until(async () => (await exchange(proxy.port, request("/"))).status === 504, "room at the server");
    }
  });

  test("after a reload with requests under way", async () => {
    await using app = await serve();
    await using proxy = await start([app], NARROW);
    await using client = await Peer.connect(proxy.port);
    client.send(request("/half"));
    await client.through("xxxx");
    const next = config([app], { ...NARROW, timeouts: { response: "30s" } });
    await proxy.proxy.reload(configOf(next));
    expect((await exchange(proxy.port, request("/free"))).status).toBe(503); // the old one's request counts
    client.reset();
    await until(async () => (await exchange(proxy.port, request("/free"))).status === 200, "room at the server");
  });

  test("after a mirrored request", async () => {
    await using app = await RawBackend.answering(() => answer(200, "app"));
    await using shadow = await RawBackend.answering(({ target }, peer) => {
      if (target === "/reset") peer.reset();
      return target === "/silent" || target === "/reset" ? null : answer(200, "x".repeat(target === "/long" ? 2e6 : 1));
    });
    await using proxy = await startProxy({
      upstreams: {
        app: { servers: [app.url] },
        shadow: { servers: [shadow.url], ...NARROW, timeouts: { response: "200ms" }, outlier: false },
      },
      routes: [{ to: "app", mirror: { to: "shadow" } }],
    });
    for (const target of ["/", "/reset", "/silent", "/long", "/"]) {
      const before = shadow.requests.length;
      await until(async () => {
        expect((await exchange(proxy.port, request(target))).body).toBe("app");
        return shadow.requests.length > before;
      }, `a copy of ${target}`);
    }
  });
});

describe("the body of a request that is tried again", () => {
  const body = "0123456789".repeat(1000);

  test("is whole although the first server answered in the middle of it", async () => {
    await using hasty = await RawBackend.start(async (peer) => {
      await peer.head();
      await peer.bytes(1000);
      peer.send(answer(503, "no", ["Connection: close"]));
    });
    await using good = await RawBackend.answering((got) => answer(200, got.body));
    await using proxy = await start([hasty, good], { balance: { hash: "path" } });
    // Which of the two is first depends on the path, and on their ports.
    for (let turn = 1; turn <= 6 || (hasty.peers.length === 0 && turn <= 60); turn += 1) {
      await using client = await Peer.connect(proxy.port);
      const text = request(`/${turn}`, [], "PUT", body);
      client.send(text.slice(0, -8000));
      await until(() => hasty.peers.some(({ bytesIn }) => bytesIn > 1000) || good.peers.length > 0, "the first half");
      client.send(text.slice(-8000));
      const came = await client.response();
      expect([came.status, came.body === body]).toEqual([200, true]);
    }
    expect(hasty.peers.length).toBeGreaterThan(0);
  });

  test("goes to one server alone when it may not be sent twice, though it comes in pieces", async () => {
    await using a = await RawBackend.start(async (peer) => {
      await peer.head();
      await peer.bytes(10);
      peer.reset();
    });
    await using b = await RawBackend.start(async (peer) => {
      await peer.head();
      await peer.bytes(10);
      peer.reset();
    });
    await using proxy = await start([a, b]);
    for (let i = 0; i < 4; i += 1) {
      const seen = a.peers.length + b.peers.length;
      expect((await exchange(proxy.port, request("/", [], "POST", "0123456789"))).status).toBe(502);
      expect(a.peers.length + b.peers.length).toBe(seen + 1);
    }
  });

  test("is asked of the client once: Expect: 100-continue", async () => {
    await using bad = await RawBackend.start(async (peer) => {
      for (;;) {
        await peer.head();
        peer.send("HTTP/1.1 100 Continue\r\n\r\n");
        await peer.bytes(body.length);
        peer.send(answer(503));
      }
    });
    await using picky = await RawBackend.start(async (peer) => {
      await peer.head();
      peer.send(answer(503, "", ["Connection: close"])); // it does not even want the body
    });
    await using good = await RawBackend.answering((got) => answer(200, got.body === body ? "whole" : "broken"));
    for (const first of [bad, picky]) {
      await using proxy = await start([first, good], { outlier: false, retry: { body: "64KB" } });
      for (let i = 0; i < 2; i += 1) {
        await using client = await Peer.connect(proxy.port);
        const text = request("/", ["Expect: 100-continue"], "PUT", body);
        client.send(text.slice(0, -body.length));
        const came = client.head();
        await Promise.race([came, Bun.sleep(300)]); // a client does not wait for ever
        client.send(body);
        let head = await came;
        while (head.status === 100) head = await client.head();
        expect(head.status).toBe(200);
        expect(await client.bytes(5)).toBe("whole");
      }
    }
  });
});

test("a client that uploads slowly is not the server's fault, nor one for another server", async () => {
  await using app = await RawBackend.answering((got) => answer(200, got.body));
  await using other = await RawBackend.answering((got) => answer(200, got.body));
  await using proxy = await start([app, other], { timeouts: { response: "200ms" }, retry: { perTry: "100ms" } });
  await using client = await Peer.connect(proxy.port);
  const text = request("/", [], "PUT", "0123456789");
  client.send(text.slice(0, -8));
  for (let i = 8; i > 0; i -= 2) {
    await Bun.sleep(300); // longer than any server may take
    client.send(i === 2 ? text.slice(-2) : text.slice(-i, -i + 2));
  }
  const came = await client.response();
  expect([came.status, came.body]).toEqual([200, "0123456789"]);
  expect(app.peers.length + other.peers.length).toBe(1);
});

describe("answers before the answer", () => {
  test("interim ones of a server that fails then, and those of the next, come in their order", async () => {
    const hint = (name: string): string => `HTTP/1.1 103 Early Hints\r\nLink: <${name}>\r\n\r\n`;
    await using bad = await RawBackend.answering(() => hint("bad") + answer(503));
    await using good = await RawBackend.answering(() => hint("good") + answer(200, "done"));
    await using proxy = await start([bad, good]);
    const seen: string[] = [];
    for (let i = 0; i < 2; i += 1) {
      await using client = await Peer.connect(proxy.port);
      client.send(request("/"));
      for (;;) {
        const came = await client.response();
        seen.push(came.field("link") ?? `${came.status} ${came.body}`);
        if (came.status !== 103) break;
      }
    }
    expect(seen.join(" ").replaceAll("<bad> <good>", "<good>")).toBe("<good> 200 done <good> 200 done");
  });

  test("a 101 over a request that was tried again", async () => {
    await using bad = await RawBackend.answering((_, peer) => {
      peer.reset();
      return null;
    });
    await using good = await RawBackend.start(async (peer) => {
      await peer.head();
      peer.send("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
      peer.send((await peer.bytes(5)).toUpperCase());
    });
    await using proxy = await start([bad, good]);
    for (let i = 0; i < 2; i += 1) {
      await using client = await Peer.connect(proxy.port);
      client.send(request("/", ["Connection: Upgrade", "Upgrade: echo"]));
      expect((await client.head()).status).toBe(101);
      expect(await client.send("hello").bytes(5)).toBe("HELLO");
    }
  });

  test("HEAD over one, after which the connection goes on", async () => {
    await using bad = await RawBackend.answering(() => "HTTP/1.1 503 No\r\nContent-Length: 1000\r\n\r\n");
    await using good = await RawBackend.answering(({ method }) =>
      method === "HEAD" ? "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" : answer(200, "get"),
    );
    await using proxy = await start([bad, good], { balance: "random" });
    await using client = await Peer.connect(proxy.port);
    for (let i = 0; i < 6; i += 1) {
      const head = await client.send(request("/", [], "HEAD")).head();
      expect([head.status, head.field("content-length")]).toEqual([200, "1000"]);
    }
  });
});

test("requests behind one that is tried again are answered after it, each with its own", async () => {
  await using bad = await RawBackend.answering(({ target }, peer) => {
    if (Number(target.slice(1)) % 3 === 0) peer.reset();
    return answer(503, `bad ${target}`);
  });
  await using good = await RawBackend.answering(({ target }) => answer(200, `good ${target}`));
  await using proxy = await start([bad, good], { retry: { budget: "100%" } });
  await using client = await Peer.connect(proxy.port);
  client.send(Array.from({ length: 20 }, (_, i) => request(`/${i}`)).join(""));
  for (let i = 0; i < 20; i += 1) expect((await client.response()).body).toBe(`good /${i}`);
});

test("tries are never more than retry.attempts and one over a fresh connection", async () => {
  const seen: number[] = [];
  await using a = await RawBackend.start(async (peer) => {
    for (let i = 0; ; i += 1) {
      const { target } = await peer.request();
      if (target === "/warm") peer.send(answer(200));
      else {
        seen.push(i); // how many requests this connection had carried before
        return peer.reset();
      }
    }
  });
  await using proxy = await start([a, a.url.replace("127.0.0.1", "127.0.0.2")], {
    retry: { attempts: 3, backoff: "1ms" },
  });
  // 127.0.0.2 refuses: nothing listens there.
  for (let i = 0; i < 3; i += 1) {
    for (let warm = 0; warm < 2; warm += 1) expect((await exchange(proxy.port, request("/warm"))).status).toBe(200);
    seen.length = 0;
    expect((await exchange(proxy.port, request("/cold"))).status).toBe(502);
    expect(seen.length).toBeLessThanOrEqual(4);
    expect(seen.filter((before) => before > 0).length).toBeLessThanOrEqual(1);
  }
});

test("a connection that was too old is not held against its server", async () => {
  await using app = await RawBackend.start(async (peer) => {
    await peer.request();
    peer.send(answer(200));
    await peer.request();
    peer.reset();
  });
  await using other = await RawBackend.answering(() => answer(200));
  await using proxy = await startProxy({
    upstreams: { app: { servers: [app.url, other.url], outlier: { consecutiveErrors: 1 }, balance: "round-robin" } },
    routes: [{ to: "app" }],
  });
  for (let i = 0; i < 20; i += 1) expect((await exchange(proxy.port, request("/"))).status).toBe(200);
  expect(app.peers.length).toBeGreaterThanOrEqual(8); // it was asked to the end
});

test("one server that goes down does not lose what it is about to answer", async () => {
  let isWell = true;
  const held = Promise.withResolvers<string>();
  await using app = await RawBackend.answering(({ target }) => {
    if (target === "/health") return answer(isWell ? 200 : 500);
    return target === "/held" ? held.promise : answer(200);
  });
  await using proxy = await start([app], {
    health: { path: "/health", interval: "100ms", downInterval: "100ms", unhealthy: 1, healthy: 1 },
  });
  const waiting = exchange(proxy.port, request("/held"));
  await until(() => app.requests.some(({ target }) => target === "/held"), "the request");
  isWell = false;
  await until(async () => (await exchange(proxy.port, request("/"))).status === 503, "the server to be down");
  held.resolve(answer(200, "late but well"));
  expect((await waiting).body).toBe("late but well");
});

test("a total time ends a wait in the queue too", async () => {
  await using app = await RawBackend.answering(() => null);
  await using proxy = await start([app], {
    limits: { connections: 1, queueTimeout: "30s" },
    timeouts: { total: "400ms", response: "30s" },
  });
  const from = performance.now();
  const both = await Promise.all([exchange(proxy.port, request("/1")), exchange(proxy.port, request("/2"))]);
  expect(both.map(({ status }) => status)).toEqual([504, 504]);
  expect(performance.now() - from).toBeLessThan(2500);
});

test("a server that takes all of the total time is left out for that", async () => {
  await using hung = await RawBackend.answering(() => null);
  await using well = await RawBackend.answering(() => answer(200));
  await using proxy = await startProxy({
    upstreams: {
      app: { servers: [hung.url, well.url], outlier: { consecutiveErrors: 2 }, timeouts: { total: "200ms" } },
    },
    routes: [{ to: "app" }],
  });
  const all: number[] = [];
  for (let i = 0; i < 8; i += 1) all.push((await exchange(proxy.port, request("/"))).status);
  expect(all.filter((status) => status === 504).length).toBe(2);
  expect(all.slice(4)).toEqual([200, 200, 200, 200]);
});

test("a short try goes on where the budget has no other to follow it", async () => {
  const late = async (): Promise<string> => {
    await Bun.sleep(600);
    return answer(200, "late");
  };
  await using a = await RawBackend.answering(late);
  await using b = await RawBackend.answering(late);
  await using proxy = await start([a, b], { retry: { perTry: "100ms", budget: "0%", attempts: 1 } });
  // Ten retries are saved up.
  const first = await Promise.all(Array.from({ length: 30 }, () => exchange(proxy.port, request("/"))));
  const second = await Promise.all(Array.from({ length: 10 }, () => exchange(proxy.port, request("/"))));
  for (const { status } of [...first, ...second]) expect(status).toBe(200);
});
