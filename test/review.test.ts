// Defects that a review of the data path found, each by its name.
import { describe, expect, test } from "bun:test";
import { definePlugin } from "../src/index.ts";
import { answer, chunks, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { MARKER, proxyHasRead, proxyTo, startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { timed, until } from "./support/wait.ts";

const MB = 1024 * 1024;

describe("a client that pipelines and does not read", () => {
  test("is held back: answers of the proxy's own do not pile up", async () => {
    const body = "x".repeat(20_000);
    await using proxy = await startProxy({ routes: [MARKER, { respond: { body } }] });
    await using client = await Peer.connect(proxy.port);
    client.socket.pause();
    const before = process.memoryUsage().rss;
    const piece = request("/").repeat(1000);
    let taken = 0;
    for (let i = 0; i < 20; i += 1) {
      client.send(piece);
      await proxyHasRead(proxy.port);
      taken = process.memoryUsage().rss - before;
    }
    console.log("rss grew by", taken / MB, "MB; client buffer", client.socket.writableLength);
    expect(taken).toBeLessThan(60 * MB);
  });
});

describe("a plugin's edits and the framing", () => {
  const serve = (text: string) => RawBackend.answering(() => text);
  const cases: [name: string, method: string, reply: string, edit: (x: any) => void, want: string][] = [
    ["204 in place of an answer with a body", "GET", answer(200, "body"), (x) => { x.response.status = 204; }, ""],
    ["304 in place of an answer with a body", "GET", answer(200, "body"), (x) => { x.response.status = 304; }, "4"],
    ["200 in place of 204", "GET", "HTTP/1.1 204 No Content\r\n\r\n", (x) => { x.response.status = 200; }, "0"],
    ["200 in place of 304 with a length", "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", (x) => { x.response.status = 200; }, "0"],
    ["no Content-Length on an empty answer", "GET", answer(200, ""), (x) => { x.response.headers.remove("content-length"); }, "0"],
    ["another Content-Length on an empty answer", "GET", answer(200, ""), (x) => { x.response.setHeader("Content-Length", "7"); }, "0"],
    ["a chunked answer becomes 204", "GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", (x) => { x.response.status = 204; }, ""],
  ];
  for (const [name, method, text, edit, length] of cases) {
    test(name, async () => {
      await using backend = await serve(text);
      const plugin = definePlugin({ name: "edit", response: (x) => edit(x) });
      await using proxy = await startProxy({ routes: [{ match: { path: "/edit" }, use: [plugin], to: backend.url }, MARKER] });
      await using client = await Peer.connect(proxy.port);
      client.send(request("/edit", [], method)).send(request("/marker"));
      const first = await client.head();
      expect(first.field("content-length") ?? "").toBe(length);
      expect((await client.response()).first).toBe("HTTP/1.1 200 OK");
      expect(client.peek()).toBe("");
    }, 15000);
  }
  for (const [from, to] of [["HEAD", "GET"], ["GET", "HEAD"]] as const) {
    test(`${to} in place of ${from}`, async () => {
      await using backend = await RawBackend.answering((got) => got.method === "HEAD" ? "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" : answer(200, "body"));
      const plugin = definePlugin({ name: "edit", request: (x) => { x.request.method = to; } });
      await using proxy = await startProxy({ routes: [{ match: { path: "/edit" }, use: [plugin], to: backend.url }, MARKER] });
      await using client = await Peer.connect(proxy.port);
      client.send(request("/edit", [], from)).send(request("/marker"));
      const first = await client.response(from);
      expect([first.status, first.body]).toEqual([200, ""]);
      const second = await client.response();
      expect(second.first).toBe("HTTP/1.1 200 OK");
      expect(client.peek()).toBe("");
    });
  }
  for (const [name, edit] of [
    ["a target with a line end", (x: any) => { x.rewrittenTarget = "/a HTTP/1.1\r\nHost: b\r\n\r\nGET /evil"; }],
    ["a target with a space", (x: any) => { x.request.target = "/a b"; }],
    ["a method with a line end", (x: any) => { x.request.method = "GET / HTTP/1.1\r\nX: y"; }],
  ] as const) {
    test(`${name} is refused`, async () => {
      await using backend = await serve(answer(200, "ok"));
      const plugin = definePlugin({ name: "edit", request: (x) => edit(x) });
      await using proxy = await startProxy({ routes: [{ use: [plugin], to: backend.url }] });
      const got = await exchange(proxy.port, request("/"));
      expect([got.status, backend.requests.length]).toEqual([500, 0]);
    });
  }
  test("a response phase that waits does not let the body overtake the head", async () => {
    const wait = Promise.withResolvers<void>();
    const big = "b".repeat(4 * MB);
    await using backend = await RawBackend.answering((got) => got.target === "/big" ? answer(200, big) : answer(200, "later"));
    const plugin = definePlugin({ name: "slow", response: () => wait.promise });
    await using proxy = await startProxy({ routes: [{ match: { path: "/slow" }, use: [plugin], to: backend.url }, MARKER, { to: backend.url }] });
    await using client = await Peer.connect(proxy.port);
    client.socket.pause();
    client.send(request("/big")).send(request("/slow"));
    await proxyHasRead(proxy.port);
    client.socket.resume();
    const first = await client.response();
    expect(first.body.length).toBe(big.length);
    await until(() => backend.requests.length === 2, "second");
    await proxyHasRead(proxy.port);
    wait.resolve();
    const second = await client.response();
    expect([second.first, second.body]).toEqual(["HTTP/1.1 200 Test", "later"]);
  });
  for (const phase of ["request", "response"] as const)
  for (const bad of [null, false, 5]) {
    test(`a plugin's ${phase} that resolves to ${bad}`, async () => {
      await using backend = await serve(answer(200, "ok"));
      const plugin = definePlugin({ name: "edit", [phase]: async () => bad as never });
      await using proxy = await startProxy({ routes: [{ use: [plugin], to: backend.url }] });
      const got = await exchange(proxy.port, request("/"));
      expect([got.status]).toEqual([500]);
    });
    test(`a plugin's ${phase} that returns ${bad}`, async () => {
      await using backend = await serve(answer(200, "ok"));
      const plugin = definePlugin({ name: "edit", [phase]: () => bad as never });
      await using proxy = await startProxy({ routes: [{ use: [plugin], to: backend.url }] });
      const got = await exchange(proxy.port, request("/"));
      expect([got.status]).toEqual([500]);
    });
  }
});

describe("the end of a client's sending side", () => {
  test("in the same packet as a body that has to wait is no abort (halfClose)", async () => {
    await using backend = await RawBackend.answering((got) => answer(200, got.body));
    await using proxy = await proxyTo(backend.url, { listener: { halfClose: true } });
    for (let i = 0; i < 20; i += 1) {
      await using client = await Peer.connect(proxy.port);
      client.socket.end(request("/", [], "POST", "12345"));
      const got = await client.response();
      expect([got.status, got.body]).toEqual([200, "12345"]);
    }
  });
  test("before a 101 reaches the tunnel", async () => {
    const go = Promise.withResolvers<void>();
    await using backend = await RawBackend.start(async (peer) => {
      await peer.head();
      await go.promise;
      peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
      await peer.end();
      peer.send("bye");
      peer.finish();
    });
    await using proxy = await startProxy({ listener: { halfClose: true }, routes: [MARKER, { to: backend.url }] });
    await using client = await Peer.connect(proxy.port);
    client.send(request("/", ["Connection: Upgrade", "Upgrade: echo"]));
    client.finish();
    await proxyHasRead(proxy.port);
    go.resolve();
    await client.head();
    await client.through("bye");
    await client.end();
  });
});

test("a keep-alive connection whose answer began before the drain ends behind it", async () => {
  const go = Promise.withResolvers<void>();
  await using backend = await RawBackend.start(async (peer) => {
    await peer.head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
    await go.promise;
    peer.send("67890");
  });
  const proxy = await startProxy({ shutdown: { drain: "10s" }, routes: [{ to: backend.url }] });
  await using client = await Peer.connect(proxy.port);
  client.send(request("/"));
  await client.through("12345");
  const closing = proxy.proxy.close();
  go.resolve();
  await client.through("67890");
  await client.end(2000);
  client.finish();
  expect(await timed(() => closing)).toBeLessThan(2000);
});

test("a client that does not take the last bytes of its answer does not keep its connection for ever", async () => {
  const body = "x".repeat(8 * MB);
  await using proxy = await startProxy({ listener: { timeouts: { idle: "300ms", body: "300ms" } }, routes: [{ respond: { body } }] });
  await using client = await Peer.connect(proxy.port);
  client.socket.pause();
  client.send(request("/"));
  await Bun.sleep(3000);
  client.socket.resume();
  await client.end(3000);
  expect(client.bytesIn).toBeLessThan(body.length);
});

test("a body's rate does not count the time in which nobody read it", async () => {
  const plugin = definePlugin({ name: "slow", request: () => Bun.sleep(6000) });
  await using backend = await RawBackend.answering((got) => answer(200, String(got.body.length)));
  await using proxy = await startProxy({ listener: { limits: { bodyRate: "1KB/s" } }, routes: [{ use: [plugin], to: backend.url }] });
  await using client = await Peer.connect(proxy.port);
  client.send(request("/", ["Content-Length: 200"], "POST")).send("x".repeat(100));
  await Bun.sleep(6500);
  client.send("y".repeat(100));
  const got = await client.response();
  expect([got.status, got.body]).toEqual([200, "200"]);
}, 20000);

test("an over-long body behind an early answer ends the exchange once", async () => {
  await using backend = await RawBackend.start(async (peer) => {
    await peer.head();
    peer.send(answer(200, "early"));
    await peer.end();
  });
  await using proxy = await startProxy({ routes: [MARKER, { limits: { body: "10B" }, to: backend.url }] });
  await using client = await Peer.connect(proxy.port);
  client.send(request("/", ["Transfer-Encoding: chunked"], "POST"));
  expect((await client.response()).body).toBe("early");
  client.send(`14\r\n${"x".repeat(20)}\r\n0\r\n\r\n${request("/marker")}`);
  await client.end();
  expect(client.peek()).toBe("");
  expect((await exchange(proxy.port, request("/marker"))).status).toBe(200);
});

test("a slow reader gets a close-delimited body whole, whatever the server's close looks like", async () => {
  const body = "z".repeat(6 * MB);
  await using backend = await RawBackend.start(async (peer) => {
    await peer.head();
    peer.send("HTTP/1.1 200 OK\r\n\r\n").send(body);
    peer.finish();
  });
  await using proxy = await startProxy({ routes: [MARKER, { to: backend.url }] });
  await using client = await Peer.connect(proxy.port);
  client.socket.pause();
  client.send(request("/"));
  await proxyHasRead(proxy.port);
  await Bun.sleep(300);
  client.socket.resume();
  const got = await client.response();
  expect([got.body.length, got.field("transfer-encoding")]).toEqual([body.length, "chunked"]);
});

test("replay keeps little of a body that comes in many small pieces", async () => {
  await using backend = await RawBackend.start(async (peer) => {
    await peer.head();
    for (let n = 0; n < 20000; n += 1) await peer.chunk();
    peer.send(answer(200, "ok"));
  });
  await using proxy = await startProxy({ routes: [{ to: backend.url }] });
  await using client = await Peer.connect(proxy.port);
  Bun.gc(true);
  client.send(request("/", ["Transfer-Encoding: chunked"], "PUT"));
  client.send(chunks(...new Array(20000).fill("x")));
  client.send("0\r\n\r\n");
  const got = await client.response();
  expect(got.status).toBe(200);
});
