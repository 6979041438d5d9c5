// Connections to servers: kept, bounded, renewed, and which server gets the next request.
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConfigInput } from "../src/index.ts";
import { DnsServer } from "./support/dns-server.ts";
import { answer, type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { refusingPort } from "./support/ports.ts";
import { MARKER, proxyHasRead, proxyTo, startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { timed, until } from "./support/wait.ts";

type UpstreamInput = NonNullable<ConfigInput["upstreams"]>[string];

const startApp = (app: UpstreamInput, more: Pick<ConfigInput, "resolver"> = {}): Promise<TestProxy> =>
  startProxy({ upstreams: { app }, routes: [MARKER, { to: "app" }], ...more });

/** Answers a request only when it is told to. */
class HeldBackend {
  readonly waiting: { readonly message: Message; readonly go: (text?: string) => void }[] = [];
  hold = (message: Message): Promise<string> => {
    const { promise, resolve } = Promise.withResolvers<string>();
    this.waiting.push({ message, go: (text) => resolve(text ?? answer(200, message.target)) });
    return promise;
  };
  async until(count: number): Promise<void> {
    await until(() => this.waiting.length >= count, `${count} requests held`);
  }
}

describe("reuse", () => {
  test("one connection carries one request after another, of all clients", async () => {
    await using backend = await RawBackend.answering((got) => answer(200, got.target));
    await using proxy = await proxyTo(backend.url);
    for (let i = 0; i < 10; i += 1) expect((await exchange(proxy.port, request(`/${i}`))).body).toBe(`/${i}`);
    expect(backend.peers.length).toBe(1);
  });

  test("the connection that was used last is used next", async () => {
    const held = new HeldBackend();
    await using backend = await RawBackend.answering((got, peer) =>
      got.target.startsWith("/who") ? answer(200, String(backend.peers.indexOf(peer))) : held.hold(got),
    );
    await using proxy = await proxyTo(backend.url);
    const first = exchange(proxy.port, request("/1"));
    await held.until(1);
    const second = exchange(proxy.port, request("/2"));
    await held.until(2);
    held.waiting[1]!.go();
    await second;
    held.waiting[0]!.go();
    await first;
    for (let i = 0; i < 3; i += 1) expect((await exchange(proxy.port, request("/who"))).body).toBe("0");
  });

  test("not after Connection: close, HTTP/1.0, a body without length, or surplus bytes", async () => {
    const replies = [
      answer(200, "", ["Connection: close"]),
      "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
      `${answer(200, "x")}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`,
    ];
    await using backend = await RawBackend.answering(
      (got) => replies[Number(got.target.slice(1))] ?? answer(200, "clean"),
    );
    await using proxy = await proxyTo(backend.url);
    for (let i = 0; i < replies.length; i += 1) {
      expect((await exchange(proxy.port, request(`/${i}`))).status).toBe(200);
      await (await backend.peer(i)).end();
    }
    expect((await exchange(proxy.port, request("/9"))).body).toBe("clean");
    expect(backend.peers.length).toBe(replies.length + 1);
  });

  test("bytes on an unused connection end it", async () => {
    await using backend = await RawBackend.answering(() => answer(200, "clean"));
    await using proxy = await proxyTo(backend.url);
    await exchange(proxy.port, request("/"));
    await backend.peers[0]!.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison").end();
    expect((await exchange(proxy.port, request("/"))).body).toBe("clean");
    expect(backend.peers.length).toBe(2);
  });

  test("one that was unused for seconds carries what may be sent again, and nothing else", async () => {
    await using backend = await RawBackend.answering(() => answer(200));
    await using proxy = await startApp({ servers: [backend.url] });
    await exchange(proxy.port, request("/"));
    await Bun.sleep(4300);
    expect((await exchange(proxy.port, request("/", [], "POST", "x"))).status).toBe(200);
    expect(backend.peers.length).toBe(2);
    expect((await exchange(proxy.port, request("/", [], "POST", "x"))).status).toBe(200);
    expect((await exchange(proxy.port, request("/"))).status).toBe(200);
    expect(backend.peers.length).toBe(2);
  }, 15_000);

  test("unused ones are closed after the idle time-out, or before the server's own", async () => {
    await using backend = await RawBackend.answering((got) =>
      answer(200, "", got.target === "/ka" ? ["Keep-Alive: timeout=1"] : []),
    );
    await using proxy = await startApp({ servers: [backend.url], timeouts: { idle: "300ms" } });
    await exchange(proxy.port, request("/"));
    const ms = await timed(async () => (await backend.peer(0)).end());
    expect(ms).toBeGreaterThan(250);
    expect(ms).toBeLessThan(2500);
    await exchange(proxy.port, request("/ka"));
    expect(await timed(async () => (await backend.peer(1)).end())).toBeLessThan(1000);
  });

  test("requestsPerConnection", async () => {
    await using backend = await RawBackend.answering(() => answer(200));
    await using proxy = await startApp({ servers: [backend.url], limits: { requestsPerConnection: 3 } });
    for (let i = 0; i < 7; i += 1) await exchange(proxy.port, request("/"));
    expect(backend.peers.length).toBe(3);
  });
});

describe("limits", () => {
  const limits = { connections: 2, queue: 3, queueTimeout: "10s" };

  test("no more connections than allowed; the others wait, and are served in their order", async () => {
    const held = new HeldBackend();
    await using backend = await RawBackend.answering(held.hold);
    await using proxy = await startApp({ servers: [backend.url], limits });
    const sent: Promise<Message>[] = [];
    const ask = (path: string) => exchange(proxy.port, request(path));
    for (let i = 0; i < 5; i += 1) {
      sent.push(ask(`/${i}`));
      if (i < 2) await held.until(i + 1);
      else await proxyHasRead(proxy.port); // its place in the queue counts
    }
    const refused = await ask("/full");
    expect([refused.status, refused.field("retry-after"), refused.field("proxy-status")]).toEqual([
      503,
      "1",
      "sluice; error=connection_limit_reached",
    ]);
    expect(held.waiting.length).toBe(2);
    for (let i = 0; i < 5; i += 1) {
      await held.until(i + 1);
      held.waiting[i]!.go();
      expect((await sent[i]!).body).toBe(`/${i}`);
    }
    expect(held.waiting.map(({ message }) => message.target)).toEqual(["/0", "/1", "/2", "/3", "/4"]);
    expect(backend.peers.length).toBe(2);
  });

  test("a wait that takes too long ends with 503, and one that nobody wants any more is skipped", async () => {
    const held = new HeldBackend();
    await using backend = await RawBackend.answering(held.hold);
    await using proxy = await startApp({
      servers: [backend.url],
      limits: { connections: 1, queue: 10, queueTimeout: "400ms" },
    });
    const first = exchange(proxy.port, request("/1"));
    await held.until(1);
    const ms = await timed(async () => expect((await exchange(proxy.port, request("/2"))).status).toBe(503));
    expect(ms).toBeGreaterThan(350);
    await using leaving = await Peer.connect(proxy.port);
    leaving.send(request("/3"));
    await proxyHasRead(proxy.port);
    leaving.reset();
    await proxyHasRead(proxy.port);
    const last = exchange(proxy.port, request("/4"));
    await proxyHasRead(proxy.port);
    held.waiting[0]!.go();
    await first;
    await held.until(2);
    held.waiting[1]!.go();
    expect((await last).body).toBe("/4");
    expect(held.waiting.map(({ message }) => message.target)).toEqual(["/1", "/4"]);
  });

  test("a connection that fails makes room for those who wait", async () => {
    await using backend = await RawBackend.answering((got, peer) => {
      if (got.target === "/ok") return answer(200, "ok");
      peer.reset();
      return null;
    });
    await using proxy = await startApp({ servers: [backend.url], limits: { connections: 1, queue: 10 } });
    const paths = ["/dies", "/ok", "/dies", "/ok"];
    const came = await Promise.all(paths.map((path) => exchange(proxy.port, request(path))));
    expect(came.map(({ status }) => status)).toEqual([502, 200, 502, 200]);
  });
});

describe("a kept connection that the server has given up", () => {
  /** The second request on a connection is never answered: it ends in the way given. */
  const stale = (way: "finish" | "reset") =>
    RawBackend.start(async (peer, backend) => {
      backend.requests.push(await peer.request());
      peer.send(answer(200));
      backend.requests.push(await peer.request());
      peer[way]();
    });
  const CASES: readonly (readonly [method: string, body: string, retried: boolean])[] = [
    ["GET", "", true],
    ["HEAD", "", true],
    ["PUT", "body", true],
    ["DELETE", "", true],
    ["OPTIONS", "", true],
    ["POST", "body", false],
    ["PATCH", "", false],
    ["LOCK", "", false],
  ];
  for (const way of ["finish", "reset"] as const)
    for (const [method, body, retried] of CASES)
      test(`${method} ${retried ? "is sent again" : "is not sent again"} (${way})`, async () => {
        await using backend = await stale(way);
        await using proxy = await proxyTo(backend.url);
        await exchange(proxy.port, request("/"));
        const came = await exchange(proxy.port, request("/", [], method, body));
        expect(came.status).toBe(retried ? 200 : 502);
        expect(backend.requests.map((each) => each.method)).toEqual(
          retried ? ["GET", method, method] : ["GET", method],
        );
        if (retried) expect(backend.requests[2]!.body).toBe(body);
      });

  test("the access log tells of a success", async () => {
    const directory = mkdtempSync(join(tmpdir(), "pool-"));
    const path = join(directory, "access.log");
    try {
      await using backend = await stale("finish");
      await using proxy = await proxyTo(backend.url, { log: { access: { path } } });
      for (let i = 0; i < 2; i += 1) expect((await exchange(proxy.port, request(`/${i}`))).status).toBe(200);
      await proxy.proxy.close();
      const lines = readFileSync(path, "utf8").trim().split("\n");
      const entries = lines.map((line) => JSON.parse(line) as { target: string; status: number; fault?: string });
      expect(entries.map(({ target, status, fault }) => [target, status, fault ?? ""])).toEqual([
        ["/0", 200, ""],
        ["/1", 200, ""],
      ]);
      expect(backend.requests.length).toBe(3);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  test("a fresh connection that dies is not tried again", async () => {
    await using backend = await RawBackend.answering((_, peer) => {
      peer.reset();
      return null;
    });
    await using proxy = await proxyTo(backend.url);
    expect((await exchange(proxy.port, request("/"))).status).toBe(502);
    expect(backend.requests.length).toBe(1);
  });

  test("what was sent of a body is sent again, and the rest follows", async () => {
    await using backend = await RawBackend.start(async (peer, self) => {
      if (self.peers.length === 1) {
        await peer.request();
        peer.send(answer(200));
        await peer.head();
        await peer.bytes(4);
        return peer.reset();
      }
      const { body } = await peer.request();
      peer.send(answer(200, body));
    });
    await using proxy = await proxyTo(backend.url);
    await exchange(proxy.port, request("/"));
    await using client = await Peer.connect(proxy.port);
    client.send(request("/", ["Content-Length: 10"], "PUT")).send("0123");
    await until(() => backend.peers.length === 2, "the second try");
    expect((await client.send("456789").response()).body).toBe("0123456789");
  });

  test("a body that arrives between two tries is not lost", async () => {
    const body = "0123456789abcdef".repeat(20_000);
    const queued = Promise.withResolvers<void>();
    const blocker = Promise.withResolvers<void>();
    await using backend = await RawBackend.start(async (peer, self) => {
      if (self.peers.length === 1) {
        await peer.request();
        peer.send(answer(200));
        await peer.head();
        await peer.bytes(16);
        await queued.promise;
        return peer.reset();
      }
      for (;;) {
        const got = await peer.request();
        self.requests.push(got);
        if (got.target === "/blocker") await blocker.promise;
        peer.send(answer(200, got.body));
      }
    });
    // One connection: the second try has to wait for the request that takes the place of the dead one.
    await using proxy = await startApp({
      servers: [backend.url],
      limits: { connections: 1, queue: 5, queueTimeout: "10s" },
    });
    await exchange(proxy.port, request("/"));
    await using client = await Peer.connect(proxy.port);
    client.send(request("/", [`Content-Length: ${body.length}`], "PUT")).send(body.slice(0, 16));
    await backend.peers[0]!.when(() => backend.peers[0]!.peek() === "", "the first part to be read");
    const blocking = exchange(proxy.port, request("/blocker"));
    await proxyHasRead(proxy.port);
    queued.resolve();
    await backend.received(1);
    client.send(body.slice(16));
    await proxyHasRead(proxy.port);
    blocker.resolve();
    await blocking;
    expect((await client.response()).body === body).toBe(true);
  });

  test("a body too large to keep is not sent again", async () => {
    await using backend = await stale("finish");
    await using proxy = await proxyTo(backend.url);
    await exchange(proxy.port, request("/"));
    expect((await exchange(proxy.port, request("/", [], "PUT", "x".repeat(200_000)))).status).toBe(502);
  });
});

describe("several servers", () => {
  async function spread(weights: readonly number[], requests: number): Promise<string[]> {
    const backends = await Promise.all(
      weights.map((_, at) => RawBackend.answering(() => answer(200, String.fromCharCode(97 + at)))),
    );
    await using stack = new AsyncDisposableStack();
    for (const backend of backends) stack.use(backend);
    await using proxy = await startApp({
      servers: backends.map((backend, at) => ({ url: backend.url, weight: weights[at]! })),
    });
    const who: string[] = [];
    for (let i = 0; i < requests; i += 1) who.push((await exchange(proxy.port, request("/"))).body);
    return who;
  }

  test("take turns", async () => {
    expect((await spread([1, 1, 1], 9)).join("")).toBe("abcabcabc");
  });
  test("by weight, smoothly", async () => {
    const who = await spread([4, 2, 1, 0], 14);
    expect(who.toSorted().join("")).toBe("aaaaaaaabbbbcc");
    expect(who.slice(0, 7).join("")).not.toContain("aaa");
  });

  test("a dead one is skipped, found again when it lives", async () => {
    const port = await refusingPort();
    await using alive = await RawBackend.answering(() => answer(200, "alive"));
    await using proxy = await startApp({ servers: [`127.0.0.1:${port}`, alive.url] });
    for (let i = 0; i < 6; i += 1)
      expect((await exchange(proxy.port, request("/", [], "POST", "x"))).body).toBe("alive");
    await using back = await RawBackend.answering(() => answer(200, "back"), port);
    await until(async () => (await exchange(proxy.port, request("/"))).body === "back", "the server to be used again");
    expect(back.requests.length).toBeGreaterThan(0);
  });

  test("all dead: 502 at once", async () => {
    const servers = [`127.0.0.1:${await refusingPort()}`, `127.0.0.1:${await refusingPort()}`];
    await using proxy = await startApp({ servers });
    for (let i = 0; i < 3; i += 1) expect((await exchange(proxy.port, request("/"))).status).toBe(502);
  });
});

describe("names", () => {
  test("are resolved again when their TTL ends", async () => {
    await using dns = await named("127.0.0.1");
    await using one = await RawBackend.answering(() => answer(200, "one"));
    await using proxy = await startApp(
      { servers: [`app.test:${one.port}`] },
      { resolver: { servers: [dns.server.address], minTtl: "100ms" } },
    );
    expect((await exchange(proxy.port, request("/"))).body).toBe("one");
    dns.server.set("A app.test", ["127.0.0.5"], 1);
    // Nobody listens there, so that a request shows when the name has moved.
    await until(
      async () => (await exchange(proxy.port, request("/"))).status === 502,
      "the new address to be used",
      6000,
    );
    expect(one.peers.length).toBe(1);
  });

  test("an answer keeps for its TTL", async () => {
    await using dns = await named("127.0.0.1", 60);
    await using backend = await RawBackend.answering(() => answer(200, "", ["Connection: close"]));
    await using proxy = await startApp(
      { servers: [`app.test:${backend.port}`] },
      { resolver: { servers: [dns.server.address] } },
    );
    for (let i = 0; i < 5; i += 1) expect((await exchange(proxy.port, request("/"))).status).toBe(200);
    expect(dns.server.questions.filter((each) => each === "A app.test").length).toBe(1);
    expect(backend.peers.length).toBe(5);
  });

  test("a name server that says nothing does not hold a request longer than the connect time-out", async () => {
    await using dns = await named("127.0.0.1");
    dns.server.set("A app.test", { kind: "silence" });
    dns.server.set("AAAA app.test", { kind: "silence" });
    await using proxy = await startApp(
      { servers: ["app.test:80"], timeouts: { connect: "300ms" } },
      { resolver: { servers: [dns.server.address] } },
    );
    const ms = await timed(async () => expect((await exchange(proxy.port, request("/"))).status).toBe(504));
    expect(ms).toBeLessThan(2000);
  });

  test("a dead address among several costs little (RFC 8305)", async () => {
    await using dns = await named("127.0.0.1");
    dns.server.set("AAAA app.test", ["::1"], 60);
    await using backend = await RawBackend.answering(() => answer(200, "v4", ["Connection: close"]));
    await using proxy = await startApp(
      { servers: [`app.test:${backend.port}`] },
      { resolver: { servers: [dns.server.address] } },
    );
    const ms = await timed(async () => {
      for (let i = 0; i < 4; i += 1) expect((await exchange(proxy.port, request("/"))).body).toBe("v4");
    });
    expect(ms).toBeLessThan(3000);
  });

  async function named(address: string, ttl = 1): Promise<{ server: DnsServer } & AsyncDisposable> {
    const server = await DnsServer.start();
    server.set("A app.test", [address], ttl);
    return { server, [Symbol.asyncDispose]: () => server.close() };
  }
});

test("unix sockets on both sides", async () => {
  const directory = mkdtempSync(join(tmpdir(), "sluice-"));
  try {
    const path = join(directory, "app.sock");
    const listen = join(directory, "proxy.sock");
    await using backend = await RawBackend.answering((got) => answer(200, got.body), path);
    await using proxy = await startProxy({
      listeners: [{ address: `unix:${listen}` }],
      upstreams: { app: { servers: [`unix:${path}`] } },
      routes: [{ to: "app" }],
    });
    expect(proxy.proxy.addresses).toEqual([`unix:${listen}`]);
    await using client = await Peer.connect(listen);
    for (const body of ["one", "two"])
      expect((await client.send(request("/", [], "POST", body)).response()).body).toBe(body);
    expect(backend.peers.length).toBe(1);
    const got = backend.requests[0]!;
    expect([got.field("host"), got.field("x-forwarded-for"), got.field("x-forwarded-proto")]).toEqual([
      "app.example",
      null,
      "http",
    ]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
