// Limits over HTTP/3: what clients may ask for, and what becomes of those that ask for more, give up, or go away.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import type { ConfigInput } from "../src/index.ts";
import { HELD_BY_STREAM_MAX } from "../src/transport/quic-stream.ts";
import { type Fields, H3Client, head } from "./support/h3.ts";
import { answer } from "./support/message.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { type Files, Pki } from "./support/tls.ts";
import { UdpRelay } from "./support/udp-relay.ts";
import { until } from "./support/wait.ts";

type Listener = ConfigInput["listeners"][number];

const MEGABYTE = 1_048_576;
const PIECE = Buffer.alloc(16_384, "x");

let pki: Pki;
let files: Files;

beforeAll(async () => {
  pki = await Pki.make();
  files = await pki.files("app", { names: ["app.test"] });
});
afterAll(() => pki?.[Symbol.dispose]());

const secured = (to: RawBackend, more: Omit<Listener, "address"> = {}, route: object = {}): Promise<TestProxy> =>
  startProxy({
    log: { level: "error" },
    listener: { tls: { certificates: [files] }, http3: true, ...more },
    routes: [
      { match: { path: "/here" }, respond: {} },
      { to: to.url, ...route },
    ],
  });

/** A server that never answers; what it was sent is counted. */
const silent = (): Promise<RawBackend> =>
  RawBackend.start(async (peer, self) => {
    self.requests.push(await peer.head());
    peer.discarding = true;
    await peer.when(() => peer.ended, "the end");
    peer.close();
  });
/** A server that does not even read. */
const stuck = (): Promise<RawBackend> =>
  RawBackend.start(async (peer, self) => {
    self.requests.push(await peer.head());
    peer.socket.pause();
  });
const quick = (): Promise<RawBackend> => RawBackend.answering(() => answer(200, "fine"));

describe("heads", () => {
  const CASES: readonly (readonly [what: string, limits: object, path: string, fields: Fields, status: number])[] = [
    ["a target up to its limit", { requestLine: "100B" }, `/${"a".repeat(80)}`, {}, 200],
    ["a longer one", { requestLine: "100B" }, `/${"a".repeat(120)}`, {}, 414],
    ["as many fields as may be", { fields: 20 }, "/", Object.fromEntries(numbered(19)), 200],
    ["more fields", { fields: 20 }, "/", Object.fromEntries(numbered(20)), 431],
    ["a section up to its limit", { headers: "10KB" }, "/", { "x-a": "a".repeat(9000) }, 200],
    ["a larger section", { headers: "10KB" }, "/", { "x-a": "a".repeat(20_000) }, 431],
    ["a section as large as clients make them", {}, "/", { "x-a": "a".repeat(60_000) }, 431],
    ["an expectation", {}, "/", { expect: "magic" }, 417],
  ];
  for (const [what, limits, path, fields, status] of CASES) {
    test(`${what}: ${status}`, async () => {
      await using backend = await quick();
      await using proxy = await secured(backend, { limits });
      await using client = await H3Client.connect(proxy.port);
      expect((await client.get(path, fields)).status).toBe(status);
      expect((await client.get("/here")).status).toBe(200);
    });
  }
});

function numbered(count: number): [string, string][] {
  return Array.from({ length: count }, (_, n) => [`x-${n}`, "v"]);
}

describe("bodies", () => {
  test("above their limit are a 413", async () => {
    await using backend = await silent();
    await using proxy = await secured(backend, {}, { limits: { body: "10KB" } });
    await using client = await H3Client.connect(proxy.port);
    const told = await client.post("/", PIECE, { "content-length": String(PIECE.length) });
    expect(told.status).toBe(413);
    const request = await client.begin(head("POST", "/"), true);
    await request.write(PIECE);
    expect((await request.done).status).toBe(413);
  });
  test("that stop are a 408", async () => {
    await using backend = await silent();
    await using proxy = await secured(backend, { timeouts: { body: "300ms" } });
    await using client = await H3Client.connect(proxy.port);
    const request = await client.begin(head("POST", "/"), true);
    await request.write(Buffer.from("some"));
    expect((await request.done).status).toBe(408);
  });
  test("go on at the pace of a server that reads", async () => {
    await using backend = await silent();
    await using proxy = await secured(backend);
    await using client = await H3Client.connect(proxy.port);
    const request = await client.begin(head("POST", "/"), true);
    const total = 6 * HELD_BY_STREAM_MAX;
    for (let sent = 0; sent < total; sent += PIECE.length) await request.write(PIECE);
    await until(() => (backend.peers[0]?.bytesIn ?? 0) > total, "the whole body");
  });
  test("that nobody takes are held up to a limit, and then refused", async () => {
    await using backend = await stuck();
    await using proxy = await secured(backend);
    await using client = await H3Client.connect(proxy.port);
    const request = await client.begin(head("POST", "/"), true);
    for (let sent = 0; sent < 4 * HELD_BY_STREAM_MAX && !request.stream.destroyed; sent += PIECE.length)
      await request.write(PIECE);
    const got = await request.done;
    expect([got.status, /came faster/.test(got.body.latin1Slice())]).toEqual([503, true]);
    expect((await client.get("/here")).status).toBe(200);
    // What had been held is free again, for others as well.
    await using other = await stuck();
    await using next = await secured(other);
    await using second = await H3Client.connect(next.port);
    const later = await second.begin(head("POST", "/"), true);
    for (let sent = 0; sent < 4 * MEGABYTE; sent += PIECE.length) await later.write(PIECE);
    await until(() => other.requests.length === 1, "the request");
    expect(later.got.status).toBe(0);
  });
  test("of WebSockets that nobody takes end their stream, and no other", async () => {
    await using backend = await RawBackend.start(async (peer) => {
      const key = (await peer.head()).field("sec-websocket-key");
      const proof = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
      peer.send(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${proof}\r\n\r\n`,
      );
      peer.socket.pause();
    });
    await using proxy = await secured(backend);
    await using client = await H3Client.connect(proxy.port);
    const socket = await client.begin({ ...head("CONNECT", "/chat"), ":protocol": "websocket" }, true);
    await until(() => socket.got.status === 200, "the answer");
    for (let sent = 0; sent < 6 * HELD_BY_STREAM_MAX && !socket.stream.destroyed; sent += PIECE.length)
      await socket.write(PIECE);
    expect((await socket.done).reset).toBe(0x107);
    expect((await client.get("/here")).status).toBe(200);
  });
  test("cut off by the end of their connection are not taken for complete", async () => {
    for (const how of ["close", "vanish", "reset"] as const) {
      const bodies: string[] = [];
      await using backend = await RawBackend.start(async (peer) => {
        await peer.head();
        await peer.when(() => peer.ended, "the end");
        bodies.push(peer.peek());
        peer.close();
      });
      await using proxy = await secured(backend, { timeouts: { body: "500ms" } });
      await using relay = await UdpRelay.to(proxy.port);
      await using client = await H3Client.connect(relay.port);
      const request = await client.begin(head("POST", "/"), true);
      await request.write(Buffer.from("half"));
      await until(() => (backend.peers[0]?.peek() ?? "").includes("half"), "the first half");
      if (how === "close") client.leave();
      else if (how === "vanish") relay.toServer = false;
      else request.stream.resetStream(0x10cn);
      await until(() => bodies.length === 1, `the end after ${how}`);
      expect(bodies[0]).toBe("4\r\nhalf\r\n");
    }
  });
});

describe("streams", () => {
  test("above the limit are rejected, and the others go on", async () => {
    await using backend = await silent();
    await using proxy = await secured(backend, { limits: { streams: 4 } });
    await using client = await H3Client.connect(proxy.port);
    // The client keeps to what it was told at first, and gets room for another with each that it gives up.
    const held = await Promise.all(Array.from({ length: 4 }, () => client.begin(head("GET", "/"), true)));
    await until(() => backend.requests.length === 4, "four requests");
    for (const request of held) request.stream.destroy();
    await until(() => backend.peers.every((peer) => peer.ended), "the end of all");
    expect((await client.get("/here")).status).toBe(200);
  });
  test("that are reset stop what was done for them", async () => {
    await using backend = await silent();
    await using proxy = await secured(backend);
    await using client = await H3Client.connect(proxy.port);
    const request = await client.begin(head("GET", "/"), true);
    await until(() => backend.requests.length === 1, "the request");
    request.stream.resetStream(0x10cn);
    await until(() => backend.peers[0]!.ended, "the end at the server");
    expect((await client.get("/here")).status).toBe(200);
  });
  test("of a connection that ends stop what was done for them", async () => {
    await using backend = await silent();
    await using proxy = await secured(backend);
    await using client = await H3Client.connect(proxy.port);
    for (let n = 0; n < 3; n += 1) await client.begin(head("GET", "/"));
    await until(() => backend.requests.length === 3, "the requests");
    client.leave();
    await until(() => backend.peers.every((peer) => peer.ended), "the end at the server");
  });
  const FLOODS: readonly (readonly [what: string, fields: Fields])[] = [
    ["reset", head("GET", "/")],
    ["malformed", head("GET", "a")],
  ];
  for (const [what, fields] of FLOODS) {
    test(`${what} again and again end their connection, and no other`, async () => {
      await using backend = await silent();
      await using proxy = await secured(backend);
      await using other = await H3Client.connect(proxy.port);
      await using client = await H3Client.connect(proxy.port);
      for (let n = 0; n < 1500 && client.closedWith === null; n += 1) {
        const request = await client.begin(fields, what === "reset").catch(() => null);
        if (request === null) break;
        if (what === "reset") {
          if (n % 50 === 0) await until(() => backend.requests.length > 0, "some requests");
          request.stream.resetStream(0x10cn);
          request.stream.destroy();
        }
        if (n % 20 === 0) await Bun.sleep(1);
      }
      await until(() => client.closedWith !== null, "the end of the connection");
      expect(client.closedWith).toBe(0x107);
      expect((await other.get("/here")).status).toBe(200);
    });
  }
});

/** What a client begins with. */
async function firstPacket(): Promise<Buffer> {
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const trap = await Bun.udpSocket({
    hostname: "127.0.0.1",
    port: 0,
    socket: { data: (_socket, packet) => resolve(Buffer.from(packet)) },
  });
  const client = H3Client.connect(trap.port).catch(() => null);
  const packet = await promise;
  trap.close();
  void client;
  return packet;
}

describe("connections", () => {
  test("come by IPv4 and IPv6 where the listener is on all addresses", async () => {
    await using backend = await RawBackend.answering((got) => answer(200, got.field("x-forwarded-for") ?? ""));
    await using proxy = await startProxy({
      log: { level: "error" },
      listeners: [{ address: "[::]:0", tls: { certificates: [files] }, http3: true }],
      routes: [{ to: backend.url }],
    });
    for (const address of ["127.0.0.1", "::1"]) {
      await using client = await H3Client.connect(proxy.port, "app.test", address);
      expect((await client.get("/")).body.latin1Slice()).toBe(address);
    }
  });
  test("that are idle are closed", async () => {
    await using backend = await quick();
    await using proxy = await secured(backend, { timeouts: { idle: "200ms", header: "5s" } });
    await using client = await H3Client.connect(proxy.port);
    expect((await client.get("/")).status).toBe(200);
    await until(() => client.closedWith !== null, "the end");
  });
  test("on which nothing is asked are closed", async () => {
    await using backend = await quick();
    await using proxy = await secured(backend, { timeouts: { header: "200ms" } });
    await using client = await H3Client.connect(proxy.port);
    await until(() => client.closedWith !== null, "the end");
  });
  test("are limited by address", async () => {
    await using backend = await quick();
    await using proxy = await secured(backend, { limits: { connectionsPerAddress: 2 } });
    await using first = await H3Client.connect(proxy.port);
    await using second = await H3Client.connect(proxy.port);
    await using third = await H3Client.connect(proxy.port);
    await until(() => third.closedWith !== null, "the end of the third");
    expect([first.closedWith, second.closedWith]).toEqual([null, null]);
    await first[Symbol.asyncDispose]();
    await until(async () => {
      await using fourth = await H3Client.connect(proxy.port);
      return (await fourth.get("/").catch(() => null))?.status === 200;
    }, "room for another");
  });
  test("are not disturbed by clients whose port is closed", async () => {
    await using backend = await quick();
    await using proxy = await secured(backend);
    for (let n = 0; n < 10; n += 1) {
      // The first packet of a handshake that goes on from nowhere: all answers to it come back as ICMP errors.
      const hello = await firstPacket();
      const socket = await Bun.udpSocket({});
      for (let k = 0; k < 5; k += 1) socket.send(hello, proxy.port, "127.0.0.1");
      socket.close();
      const from = performance.now();
      await using client = await H3Client.connect(proxy.port);
      expect((await client.get("/")).status).toBe(200);
      // A packet that is lost in a handshake costs a second or more.
      expect(performance.now() - from).toBeLessThan(900);
    }
  }, 20_000);
  test("outlive a change of the client's port", async () => {
    await using backend = await quick();
    await using proxy = await secured(backend);
    await using relay = await UdpRelay.to(proxy.port);
    await using client = await H3Client.connect(relay.port);
    for (let n = 0; n < 3; n += 1) {
      expect((await client.get("/")).status).toBe(200);
      await relay.rebind();
    }
    expect((await client.get("/")).status).toBe(200);
  });
  test("whose client does not read hold their server back, and are cut off in time", async () => {
    let sent = 0;
    let gone = false;
    await using backend = await RawBackend.start(async (peer) => {
      await peer.head();
      peer.send("HTTP/1.1 200 OK\r\n\r\n");
      peer.socket.setMaxListeners(0);
      peer.socket.on("close", () => {
        gone = true;
      });
      while (!gone && sent < 400 * MEGABYTE) {
        sent += PIECE.length;
        if (!peer.socket.write(PIECE))
          await Promise.race([new Promise((go) => peer.socket.once("drain", go)), Bun.sleep(50)]);
        if (peer.socket.writableLength > MEGABYTE)
          await until(() => gone || peer.socket.writableLength < MEGABYTE, "room", 20_000);
      }
    });
    await using proxy = await secured(backend, { timeouts: { body: "1s" } });
    await using relay = await UdpRelay.to(proxy.port);
    await using client = await H3Client.connect(relay.port);
    const request = await client.begin(head("GET", "/"));
    await until(() => request.got.status === 200, "the head");
    relay.toServer = false; // it acknowledges nothing any more
    await until(() => gone, "the end at the server");
    expect(sent).toBeLessThan(40 * MEGABYTE);
  }, 20_000);
});
