// Connections that become tunnels: WebSocket and any other Upgrade of HTTP/1.1 (RFC 9110 §7.8).
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answer, request } from "./support/message.ts";
import { Peer } from "./support/peer.ts";
import { type ProxyUnderTest, proxyTo, startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { timed, until } from "./support/wait.ts";

const ASK = ["Connection: keep-alive, Upgrade", "Upgrade: Echo/1"];
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: Echo/1\r\nX-Note: yes\r\n\r\n";

interface Joined extends AsyncDisposable {
  readonly client: Peer;
  readonly server: Peer;
  readonly proxy: TestProxy;
  readonly backend: RawBackend;
}

/** A tunnel between a client and a server, which do with it what the test says. */
async function joined(config: Omit<ProxyUnderTest, "routes"> = {}, switching = SWITCH, behind = ""): Promise<Joined> {
  const backend = await RawBackend.start(async (peer, self) => {
    self.requests.push(await peer.head());
    peer.send(switching);
  });
  const proxy = await proxyTo(backend.url, config);
  const client = await Peer.connect(proxy.port);
  client.send(request("/chat", ASK) + behind);
  const head = await client.head();
  expect([head.status, head.field("connection"), head.field("upgrade")]).toEqual([101, "Upgrade", "echo/1"]);
  return {
    client,
    server: backend.peers[0]!,
    proxy,
    backend,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

test("both sides switch, and bytes flow both ways", async () => {
  await using tunnel = await joined();
  const got = tunnel.backend.requests[0]!;
  expect([got.field("connection"), got.field("upgrade")]).toEqual(["Upgrade", "echo/1"]);
  for (const text of ["GET / HTTP/1.1\r\n\r\n", "\x00\xff\r\n", "x".repeat(200_000)]) {
    tunnel.client.send(text);
    expect((await tunnel.server.bytes(text.length)) === text).toBe(true);
    tunnel.server.send(text);
    expect((await tunnel.client.bytes(text.length)) === text).toBe(true);
  }
});

test("bytes right behind the 101 arrive", async () => {
  await using tunnel = await joined({}, `${SWITCH}early from the server`);
  expect(await tunnel.client.bytes(21)).toBe("early from the server");
});

test("bytes right behind the request arrive", async () => {
  await using tunnel = await joined({}, SWITCH, "early from the client");
  expect(await tunnel.server.bytes(21)).toBe("early from the client");
  tunnel.client.send(" and more");
  expect(await tunnel.server.bytes(9)).toBe(" and more");
});

test("the server may choose one of several protocols", async () => {
  const chosen = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: b\r\n\r\n";
  await using backend = await RawBackend.start(async (peer) => {
    await peer.head();
    peer.send(chosen);
  });
  await using proxy = await proxyTo(backend.url);
  await using client = await Peer.connect(proxy.port);
  const head = await client.send(request("/", ["Connection: Upgrade", "Upgrade: a, b"])).head();
  expect([head.status, head.field("upgrade")]).toEqual([101, "b"]);
});

describe("the ends", () => {
  const WAYS: readonly (readonly [who: "client" | "server", how: "close" | "reset"])[] = [
    ["client", "close"],
    ["client", "reset"],
    ["server", "close"],
    ["server", "reset"],
  ];
  for (const [who, how] of WAYS)
    test(`when the ${who} does a ${how} the other side sees ${how === "close" ? "an end" : "a reset"}`, async () => {
      await using tunnel = await joined();
      const other = who === "client" ? tunnel.server : tunnel.client;
      tunnel[who].send("last words");
      expect(await other.bytes(10)).toBe("last words");
      tunnel[who][how]();
      await other.end();
      // What was cut short must not look complete.
      if (how === "reset") await other.when(() => other.closed, "the close");
      expect(other.error).toBe(how === "close" ? "" : "ECONNRESET");
    });

  test("what was sent before a close arrives", async () => {
    await using tunnel = await joined();
    tunnel.server.send("y".repeat(3_000_000)).finish();
    expect((await tunnel.client.bytes(3_000_000)).length).toBe(3_000_000);
    await tunnel.client.end();
  });

  test("one side may go on after the other has said its last", async () => {
    await using tunnel = await joined();
    tunnel.client.send("question").finish();
    expect(await tunnel.server.bytes(8)).toBe("question");
    await tunnel.server.end();
    tunnel.server.send("answer").finish();
    expect(await tunnel.client.bytes(6)).toBe("answer");
    await tunnel.client.end();
  });

  test("a slow side holds the other one back", async () => {
    await using tunnel = await joined();
    tunnel.server.socket.pause();
    const piece = "z".repeat(65_536);
    let sent = 0;
    // More than the system's buffers and the proxy's queues take together must stay with the client.
    while (tunnel.client.socket.writableLength < 4_000_000) {
      tunnel.client.send(piece);
      sent += piece.length;
      await Bun.sleep(0);
    }
    tunnel.server.discarding = true;
    tunnel.server.socket.resume();
    await tunnel.server.when(() => tunnel.server.bytesIn >= sent, "everything that was sent");
  });

  test("the proxy's own end closes both sides", async () => {
    await using tunnel = await joined();
    await tunnel.proxy.proxy.close();
    await Promise.all([tunnel.client.end(), tunnel.server.end()]);
  });
});

describe("silence", () => {
  test("longer than the listener allows closes both sides", async () => {
    await using tunnel = await joined({ listener: { timeouts: { tunnel: "400ms" } } });
    for (let i = 0; i < 5; i += 1) {
      await Bun.sleep(150);
      const [from, to] = i % 2 === 0 ? [tunnel.client, tunnel.server] : [tunnel.server, tunnel.client];
      from.send("ping");
      expect(await to.bytes(4)).toBe("ping");
    }
    const ms = await timed(() => Promise.all([tunnel.client.end(), tunnel.server.end()]));
    expect(ms).toBeGreaterThan(350);
    expect(ms).toBeLessThan(3000);
  });

  test("a route's own time replaces the listener's; the other time-outs do not count any more", async () => {
    await using backend = await RawBackend.start(async (peer) => {
      await peer.head();
      peer.send(SWITCH);
    });
    await using proxy = await startProxy({
      listener: { timeouts: { header: "100ms", body: "100ms", idle: "100ms", tunnel: "100ms" } },
      upstreams: { app: { servers: [backend.url], timeouts: { response: "100ms", idle: "100ms" } } },
      routes: [{ timeouts: { idle: "900ms", response: "100ms" }, to: "app" }],
    });
    await using client = await Peer.connect(proxy.port);
    expect((await client.send(request("/", ASK)).head()).status).toBe(101);
    const ms = await timed(() => client.end());
    expect(ms).toBeGreaterThan(850);
    expect(ms).toBeLessThan(3500);
  });
});

describe("no tunnel", () => {
  const BAD: readonly (readonly [name: string, reply: string])[] = [
    ["another protocol", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"],
    ["no protocol", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"],
    ["no Connection", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: Echo/1\r\n\r\n"],
    [
      "one more than asked for",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: Echo/1, x\r\n\r\n",
    ],
  ];
  for (const [name, reply] of BAD)
    test(`101 with ${name}: 502, and the server's connection ends`, async () => {
      await using backend = await RawBackend.start(async (peer) => {
        await peer.head();
        peer.send(reply);
      });
      await using proxy = await proxyTo(backend.url);
      await using client = await Peer.connect(proxy.port);
      const came = await client.send(request("/", ASK)).response();
      expect([came.status, came.field("proxy-status")]).toEqual([502, "sluice; error=http_upgrade_failed"]);
      await (await backend.peer(0)).end();
    });

  test("an ordinary answer is one, and both connections go on", async () => {
    await using backend = await RawBackend.answering(() =>
      answer(426, "no", ["Connection: Upgrade", "Upgrade: other"]),
    );
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    for (let i = 0; i < 2; i += 1) expect((await client.send(request("/", ASK)).response()).body).toBe("no");
    expect(backend.peers.length).toBe(1);
  });

  test("HTTP/1.0 cannot ask for one", async () => {
    await using backend = await RawBackend.answering(() => answer(200));
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    expect((await client.send(`GET / HTTP/1.0\r\n${ASK.join("\r\n")}\r\n\r\n`).response()).status).toBe(200);
    expect(backend.requests[0]!.field("upgrade")).toBeNull();
  });
});

test("a tunnel takes a place among the connections to its server until it ends, and is logged then", async () => {
  const directory = mkdtempSync(join(tmpdir(), "tunnels-"));
  const log = join(directory, "access.log");
  try {
    await using backend = await RawBackend.start(async (peer) => {
      const head = await peer.head();
      peer.send(head.field("upgrade") === null ? answer(200, "free") : SWITCH);
    });
    await using proxy = await startProxy({
      log: { access: { path: log } },
      upstreams: { app: { servers: [backend.url], limits: { connections: 1, queue: 0 } } },
      routes: [{ to: "app" }],
    });
    await using first = await Peer.connect(proxy.port);
    expect((await first.send(request("/", ASK)).head()).status).toBe(101);
    await using second = await Peer.connect(proxy.port);
    expect((await second.send(request("/")).response()).status).toBe(503);
    first.send("12345");
    await backend.peers[0]!.bytes(5);
    backend.peers[0]!.send("123");
    await first.bytes(3);
    first.finish();
    backend.peers[0]!.finish();
    await until(async () => (await second.send(request("/")).response()).body === "free", "the place to be free");
    await proxy.proxy.close();
    const lines = readFileSync(log, "utf8").trim().split("\n");
    const entries = lines.map((line) => JSON.parse(line) as { status: number; bytesIn: number; bytesOut: number });
    const tunnel = entries.find(({ status }) => status === 101);
    expect([tunnel?.bytesIn, tunnel?.bytesOut]).toEqual([5, 3]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
