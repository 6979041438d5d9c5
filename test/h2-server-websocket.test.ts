// WebSockets of HTTP/2 clients (RFC 8441) to servers of HTTP/1.1 (RFC 6455).
import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { H2Peer } from "./support/h2-peer.ts";
import { data, headers, lastData, rst, windowUpdate } from "./support/h2-wire.ts";
import { answer, type Message } from "./support/message.ts";
import type { Peer } from "./support/peer.ts";
import { proxyTo, startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { until } from "./support/wait.ts";

const accept = (key: string): string =>
  createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
const switching = (got: Message, proof = accept(got.field("sec-websocket-key") ?? "")): string =>
  `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${proof}\r\nSec-WebSocket-Protocol: chat\r\n\r\n`;

/** An extended CONNECT. */
const connect = (stream: number, path = "/chat", protocol = "websocket"): Buffer =>
  headers(stream, [
    [":method", "CONNECT"],
    [":protocol", protocol],
    [":scheme", "https"],
    [":authority", "app.example"],
    [":path", path],
    ["sec-websocket-version", "13"],
    ["sec-websocket-protocol", "chat"],
  ]);

interface Joined extends AsyncDisposable {
  readonly client: H2Peer;
  readonly server: Peer;
  readonly asked: Message;
  readonly proxy: TestProxy;
}

/** A tunnel on stream 1, whose ends do what the test says. */
async function joined(behind = "", early: readonly Buffer[] = []): Promise<Joined> {
  const backend = await RawBackend.start(async (peer, self) => {
    const got = await peer.head();
    self.requests.push(got);
    if (got.target === "/fine") peer.send(answer(200, "fine"));
    else peer.send(switching(got) + behind);
  });
  const proxy = await proxyTo(backend.url, { listener: { h2c: true } });
  const client = await H2Peer.connect(proxy.port);
  client.send(connect(1), ...early);
  const heard = await client.head(1);
  expect([heard.status, heard.field("sec-websocket-protocol")]).toEqual([200, "chat"]);
  expect(["upgrade", "connection", "sec-websocket-accept"].map((name) => heard.field(name))).toEqual([
    null,
    null,
    null,
  ]);
  return {
    client,
    server: backend.peers[0]!,
    asked: backend.requests[0]!,
    proxy,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await proxy[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

const received = (client: H2Peer, text: string): Promise<void> =>
  client.when(() => client.heard(1).body === text, `${text.length} bytes`);

test("the server gets a handshake of HTTP/1.1, and is offered it by SETTINGS", async () => {
  await using tunnel = await joined();
  const { asked } = tunnel;
  expect([asked.method, asked.target, asked.field("host")]).toEqual(["GET", "/chat", "app.example"]);
  expect([asked.field("upgrade"), asked.field("connection")]).toEqual(["websocket", "Upgrade"]);
  expect([
    asked.field("sec-websocket-version"),
    asked.field("content-length"),
    asked.field("transfer-encoding"),
  ]).toEqual(["13", null, null]);
  expect(Buffer.from(asked.field("sec-websocket-key")!, "base64").length).toBe(16);
  expect(tunnel.client.settings.get(8)).toBe(1);
});

test("bytes flow both ways, beside other requests", async () => {
  await using tunnel = await joined();
  const { client, server } = tunnel;
  let all = "";
  for (const text of ["GET / HTTP/1.1\r\n\r\n", "\x00\xff\r\n", "x".repeat(50_000)]) {
    for (let at = 0; at < text.length; at += 16_384) client.send(data(1, text.slice(at, at + 16_384)));
    expect((await server.bytes(text.length)) === text).toBe(true);
    server.send(text);
    await received(client, (all += text));
  }
  client.send(
    headers(
      3,
      [
        [":method", "GET"],
        [":scheme", "http"],
        [":authority", "a"],
        [":path", "/fine"],
      ],
      5,
    ),
  );
  expect((await client.answer(3)).body).toBe("fine");
});

test("bytes right behind the request and the 101 arrive", async () => {
  await using tunnel = await joined("from the server", [data(1, "from the client")]);
  await received(tunnel.client, "from the server");
  expect(await tunnel.server.bytes(15)).toBe("from the client");
});

describe("an end is passed on", () => {
  test("of the client", async () => {
    await using tunnel = await joined();
    tunnel.client.send(lastData(1, "bye"));
    expect(await tunnel.server.bytes(3)).toBe("bye");
    await tunnel.server.end();
    tunnel.server.send("bye too").finish();
    expect((await tunnel.client.answer(1)).body).toBe("bye too");
    expect(tunnel.client.heard(1).reset).toBeNull();
  });

  test("of the server", async () => {
    await using tunnel = await joined();
    tunnel.server.send("bye").finish();
    expect((await tunnel.client.answer(1)).body).toBe("bye");
    tunnel.client.send(lastData(1, "bye too"));
    expect(await tunnel.server.bytes(7)).toBe("bye too");
    await tunnel.server.end();
  });

  test("that the client's request came with", async () => {
    await using tunnel = await joined("", [lastData(1, "all")]);
    expect(await tunnel.server.bytes(3)).toBe("all");
    await tunnel.server.end();
  });

  test("as a reset: of the client, and of the server", async () => {
    await using one = await joined();
    one.client.send(rst(1));
    await one.server.end();
    await using other = await joined();
    other.server.reset();
    expect((await other.client.answer(1)).reset).toBe("CANCEL");
  });
});

test("a client that takes nothing holds the server up", async () => {
  await using backend = await RawBackend.start(async (peer) => {
    peer.send(switching(await peer.head()) + "z".repeat(40_000_000));
    await peer.when(() => peer.ended, "the end", 2 ** 30);
  });
  await using proxy = await proxyTo(backend.url, { listener: { h2c: true } });
  await using client = await H2Peer.connect(proxy.port, { stingy: true });
  client.send(connect(1));
  await client.when(() => client.heard(1).body.length === 65_535, "a window of content");
  for (let i = 0; i < 50; i += 1) await client.settled();
  expect(backend.peers[0]!.socket.writableLength).toBeGreaterThan(10_000_000);
  client.send(windowUpdate(0, 2 ** 30), windowUpdate(1, 2 ** 30));
  await client.when(() => client.heard(1).body.length === 40_000_000, "everything");
});

describe("what is no WebSocket", () => {
  const ROWS: readonly (readonly [name: string, say: (got: Message) => string, want: number])[] = [
    ["a server that knows of no upgrade", () => answer(200, "a page"), 502],
    ["a server that refuses", () => answer(403, "no"), 403],
    ["a server that sends elsewhere", () => answer(302, "", ["Location: /there"]), 302],
    ["a server that did not read the key", (got) => switching(got, accept("another")), 502],
    [
      "a server that switches to something else",
      () => "HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n",
      502,
    ],
  ];
  for (const [name, say, status] of ROWS)
    test(`${name}: ${status}`, async () => {
      await using backend = await RawBackend.answering(say);
      await using proxy = await proxyTo(backend.url, { listener: { h2c: true } });
      await using client = await H2Peer.connect(proxy.port);
      const heard = await client.send(connect(1)).answer(1);
      expect([heard.status, heard.ended]).toEqual([status, true]);
      await client.when(() => client.heard(1).reset !== null, "word that nothing more is wanted");
      expect(heard.reset).toBe("NO_ERROR");
      expect(client.goaway).toBeNull();
    });

  test("another protocol, and a route that answers by itself: 501", async () => {
    await using proxy = await startProxy({ listener: { h2c: true }, routes: [{ respond: { body: "here" } }] });
    await using client = await H2Peer.connect(proxy.port);
    expect((await client.send(connect(1, "/", "connect-udp")).answer(1)).status).toBe(501);
    expect((await client.send(connect(3)).answer(3)).status).toBe(501);
  });
});

test("tunnels end when the proxy does", async () => {
  await using tunnel = await joined();
  const closed = tunnel.proxy.proxy.close();
  await until(() => tunnel.client.goaway !== null, "GOAWAY");
  await tunnel.server.end();
  await closed;
});
