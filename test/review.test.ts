// Defects that a review of the data path found, each by its name.
import { describe, expect, test } from "bun:test";
import { UPSTREAM_DEFAULTS } from "../src/config/defaults.ts";
import { listenerSchema } from "../src/config/schema-listeners.ts";
import { fault } from "../src/core/faults.ts";
import { TimerWheel } from "../src/core/timers.ts";
import { listMembers } from "../src/http/grammar.ts";
import { HeaderBlock } from "../src/http/header-block.ts";
import { ResponseHead } from "../src/http/message.ts";
import { definePlugin, type Exchange } from "../src/index.ts";
import type { RequestSink } from "../src/pipeline/exchange.ts";
import { RetryPolicy } from "../src/pipeline/retry-policy.ts";
import { H1Connection } from "../src/server/h1-connection.ts";
import { headLimitsOf } from "../src/server/listener.ts";
import { memoryPair } from "../src/transport/memory-pair.ts";
import { Forward } from "../src/upstream/forward.ts";
import type { H1Client } from "../src/upstream/h1-client.ts";
import type { Server } from "../src/upstream/pool.ts";
import type { Upstream } from "../src/upstream/upstream.ts";
import { answer, chunks, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { MARKER, proxyHasRead, proxyTo, startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { timed, until } from "./support/wait.ts";

const MB = 1024 * 1024;

test("a client that pipelines and does not read is held back: answers do not pile up", async () => {
  const body = "x".repeat(20_000);
  await using proxy = await startProxy({ routes: [MARKER, { respond: { body } }] });
  await using client = await Peer.connect(proxy.port);
  client.socket.pause();
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 20; i += 1) {
    client.send(request("/").repeat(1000)); // 400 MB of answers in all
    await proxyHasRead(proxy.port);
  }
  expect(process.memoryUsage().rss - before).toBeLessThan(100 * MB);
  client.discarding = true;
  client.socket.resume();
  await client.when(() => client.bytesIn > 20_000 * body.length, "every answer", 30_000);
}, 40_000);

const EMPTY = answer(200);
const CHUNKED = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks("abc")}0\r\n\r\n`;
const NOT_MODIFIED = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
const status = (code: number) => (x: Exchange) => {
  x.response.status = code;
};

describe("what a plugin makes of an answer does not change where it ends", () => {
  const cases: [name: string, theirs: string, edit: (x: Exchange) => void, length: string | null][] = [
    ["204 in place of an answer with a body", answer(200, "body"), status(204), null],
    ["304 in place of an answer with a body", answer(200, "body"), status(304), "4"],
    ["204 in place of a chunked answer", CHUNKED, status(204), null],
    ["200 in place of 204", "HTTP/1.1 204 No Content\r\n\r\n", status(200), "0"],
    ["200 in place of 304 with a length", NOT_MODIFIED, status(200), "0"],
    ["no length of an empty answer", EMPTY, (x) => x.response.headers.remove("content-length"), "0"],
    ["another length of an empty answer", EMPTY, (x) => x.response.setHeader("Content-Length", "7"), "0"],
  ];
  for (const [name, theirs, edit, length] of cases) {
    test(name, async () => {
      await using backend = await RawBackend.answering(() => theirs);
      const use = [definePlugin({ name: "edit", response: (x) => edit(x) })];
      await using proxy = await startProxy({ routes: [MARKER, { use, to: backend.url }] });
      await using client = await Peer.connect(proxy.port);
      client.send(request("/")).send(request("/marker"));
      expect((await client.head()).field("content-length")).toBe(length);
      expect([(await client.response()).first, client.peek()]).toEqual(["HTTP/1.1 200 OK", ""]);
    });
  }

  for (const [from, to] of [
    ["HEAD", "GET"],
    ["GET", "HEAD"],
  ] as const) {
    test(`a request sent on as ${to} in place of ${from}`, async () => {
      await using backend = await RawBackend.answering(({ method }) =>
        method === "HEAD" ? "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" : answer(200, "body"),
      );
      const edit = (x: Exchange): void => {
        x.request.method = to;
      };
      const use = [definePlugin({ name: "edit", request: edit })];
      await using proxy = await startProxy({ routes: [MARKER, { use, to: backend.url }] });
      await using client = await Peer.connect(proxy.port);
      client.send(request("/", [], from)).send(request("/marker"));
      expect((await client.response(from)).body).toBe("");
      expect([(await client.response()).first, client.peek()]).toEqual(["HTTP/1.1 200 OK", ""]);
    });
  }
});

describe("what no message may carry does not come out of a plugin", () => {
  const requests: [name: string, edit: (x: Exchange) => void][] = [
    ["a rewritten target with line ends", (x) => void (x.rewrittenTarget = "/a HTTP/1.1\r\nHost: b\r\n\r\nGET /evil")],
    ["a target with a space", (x) => void (x.request.target = "/a b")],
    ["a target that is no path", (x) => void (x.request.target = "evil")],
    ["a method with line ends", (x) => void (x.request.method = "GET / HTTP/1.1\r\nX: y")],
    ["a request id with line ends", (x) => void (x.requestId = "a\r\nX-User: root")],
  ];
  for (const [name, edit] of requests) {
    test(name, async () => {
      await using backend = await RawBackend.answering(() => answer(200));
      await using proxy = await startProxy({
        routes: [{ use: [definePlugin({ name: "edit", request: edit })], to: backend.url }],
      });
      expect([(await exchange(proxy.port, request("/"))).status, backend.requests.length]).toEqual([500, 0]);
    });
  }
  for (const [name, edit] of [
    ["an interim status", status(100)],
    ["no status", status(Number.NaN)],
    ["a reason with line ends", (x: Exchange) => void (x.response.reason = "OK\r\nSet-Cookie: a=b")],
  ] as const) {
    test(name, async () => {
      await using backend = await RawBackend.answering(() => answer(200));
      await using proxy = await startProxy({
        routes: [{ use: [definePlugin({ name: "edit", response: edit })], to: backend.url }],
      });
      expect((await exchange(proxy.port, request("/"))).status).toBe(500);
    });
  }
});

describe("a plugin's result that is no answer is an error and nothing hangs", () => {
  for (const phase of ["request", "response"] as const) {
    for (const result of [null, false, 5, {}, { code: "nonsense" }, { status: 200 }]) {
      for (const made of [() => result, async () => result]) {
        test(`${phase}: ${JSON.stringify(result)}, ${made.constructor.name}`, async () => {
          await using backend = await RawBackend.answering(() => answer(200));
          const plugin = { name: "wrong", [phase]: made as unknown };
          await using proxy = await startProxy({ routes: [{ use: [plugin], to: backend.url }] });
          expect((await exchange(proxy.port, request("/"))).status).toBe(500);
        });
      }
    }
  }
});

/** A Forward between an exchange and a connection that are not there; `did` tells what it asked of them. */
function forwardAlone(method: string): { forward: Forward; client: H1Client; did: string[] } {
  const did: string[] = [];
  const note = (what: string) => (): void => void did.push(what);
  const x = {
    request: { method, authority: "a", headers: new HeaderBlock() },
    route: { retained: false, connectTimeout: 1, responseTimeout: 1, totalTimeout: 0, rate: 0 },
    setCookies: null,
    downstream: { full: false, answered: false, pauseBody() {}, readBody() {}, head: note("head"), fail: note("fail") },
  };
  const upstream = {
    name: "u",
    sticky: null,
    retry: new RetryPolicy(UPSTREAM_DEFAULTS.retry),
    hedge: null,
    totalMs: 0,
    budget: { request() {} },
    withdrawn() {},
    config: { timeouts: {} },
    hostFor: () => null,
    acquire: note("again"),
    outcome() {},
    retried() {},
    hasOther: () => false,
    mayRetry: () => true,
  };
  const env = { respond: () => false, answerSilence: (_: unknown, ms: number) => ms };
  const client = { start() {}, sendData() {}, resume: note("resume"), full: false };
  const forward = new Forward(x as unknown as Exchange, upstream as unknown as Upstream, env as never, null);
  forward.start();
  forward.onServer({ request() {} } as unknown as Server);
  forward.onConnection(client as unknown as H1Client);
  did.length = 0;
  return { forward, client: client as unknown as H1Client, did };
}

test("while the response phase waits a drained client does not let the body overtake the head", () => {
  const { forward, did } = forwardAlone("GET");
  forward.onResponse(new ResponseHead());
  forward.onDownstreamDrain();
  expect(did).toEqual([]);
  forward.responsePhaseOver(true);
  expect(did).toEqual(["head", "resume"]);
  forward.onDownstreamDrain();
  expect(did).toEqual(["head", "resume", "resume"]);
});

test.each([
  [256, ["again"]],
  [257, ["fail"]],
] as const)("a body in %d pieces: %j", (pieces, did) => {
  const alone = forwardAlone("PUT");
  for (let i = 0; i < pieces; i += 1) alone.forward.onRequestData(Buffer.from("x"), 0, 1);
  alone.forward.onFault(fault("upstream.reset_on_reuse"));
  expect(alone.did).toEqual([...did]);
});

describe("a client that has closed its sending side", () => {
  const listener = { halfClose: true };

  test("in the packet of a body that has to wait is still answered", async () => {
    await using backend = await RawBackend.answering((got) => answer(200, got.body));
    await using proxy = await proxyTo(backend.url, { listener });
    for (let i = 0; i < 5; i += 1) {
      await using client = await Peer.connect(proxy.port);
      client.socket.end(request("/", [], "POST", "12345"));
      expect((await client.response()).body).toBe("12345");
    }
  });

  test("before the 101 has done so in the tunnel too", async () => {
    const switches = Promise.withResolvers<void>();
    await using backend = await RawBackend.start(async (peer) => {
      await peer.head();
      await switches.promise;
      peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
      await peer.end();
      peer.send("bye");
      peer.finish();
    });
    await using proxy = await startProxy({ listener, routes: [MARKER, { to: backend.url }] });
    await using client = await Peer.connect(proxy.port);
    client.send(request("/", ["Connection: Upgrade", "Upgrade: echo"])).finish();
    await proxyHasRead(proxy.port);
    switches.resolve();
    expect((await client.head()).status).toBe(101);
    expect(await client.through("bye")).toBe("bye");
    await client.end();
  });
});

test("a connection whose answer began before the drain ends behind that answer", async () => {
  const goesOn = Promise.withResolvers<void>();
  await using backend = await RawBackend.start(async (peer) => {
    await peer.head();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
    await goesOn.promise;
    peer.send("67890");
  });
  const proxy = await startProxy({ shutdown: { drain: "20s" }, routes: [{ to: backend.url }] });
  await using client = await Peer.connect(proxy.port);
  await client.send(request("/")).through("12345");
  const closing = proxy.proxy.close();
  goesOn.resolve();
  await client.through("67890");
  await client.end();
  client.finish();
  expect(await timed(() => closing)).toBeLessThan(8000);
});

test("a client that does not take the rest of its answer does not keep its connection", async () => {
  const timeouts = { idle: "200ms", body: "200ms" };
  await using proxy = await startProxy({
    listener: { timeouts, limits: { connections: 1 } },
    routes: [MARKER, { respond: { body: "x".repeat(16 * MB) } }],
  });
  await using client = await Peer.connect(proxy.port);
  client.socket.pause();
  client.send(request("/"));
  const served = (): Promise<boolean> =>
    exchange(proxy.port, request("/marker")).then(
      () => true,
      () => false,
    );
  await until(served, "the place of a client that does not read");
});

/** A client's connection over memory, on a clock of the test's own; nothing answers but the test. */
function connectionAlone(listener: object) {
  const clock = { now: 0 };
  const wheel = new TimerWheel(() => clock.now);
  const options = listenerSchema.parse({ address: ":0", ...listener });
  const exchanges: Exchange[] = [];
  const handler = { handle: (x: Exchange) => void exchanges.push(x), finished() {} };
  const headLimits = headLimitsOf(options);
  const [ours, theirs] = memoryPair();
  const context = { name: ":0", options, headLimits, handler, wheel, altSvc: null, draining: false, closed() {} };
  ours.handler = new H1Connection(ours, context);
  const send = async (text: string): Promise<void> => {
    theirs.send(Buffer.from(text), 0, text.length, true);
    await Bun.sleep(0); // the pair tells its news in microtasks
  };
  const pass = (ms: number): void => {
    clock.now += ms;
    wheel.turn();
  };
  return { send, pass, asked: () => exchanges.at(-1)! };
}

test("a body's rate does not count the time in which nobody read it", async () => {
  const { send, pass, asked } = connectionAlone({ limits: { bodyRate: "1KB/s" } });
  await send(`${request("/", ["Content-Length: 200"], "POST")}${"x".repeat(100)}`);
  pass(6000);
  const heard: (number | string)[] = [];
  const sink: RequestSink = {
    onRequestData: (_bytes, from, to) => void heard.push(to - from),
    onRequestEnd: () => void heard.push("end"),
    onDownstreamDrain() {},
    onDownstreamGone: ({ detail }) => void heard.push(detail),
  };
  asked().downstream.readBody(sink);
  await send("y".repeat(50));
  await send("z".repeat(50));
  expect(heard).toEqual([100, 50, 50, "end"]);
});

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
  client.send(`${chunks("x".repeat(20))}0\r\n\r\n${request("/marker")}`);
  await client.end();
  expect(client.peek()).toBe("");
});

test("a slow reader gets a body that ends with the server's connection whole", async () => {
  const body = "z".repeat(6 * MB);
  await using backend = await RawBackend.start(async (peer) => {
    await peer.head();
    peer.send(`HTTP/1.1 200 OK\r\n\r\n${body}`).finish();
  });
  await using proxy = await startProxy({ routes: [MARKER, { to: backend.url }] });
  await using client = await Peer.connect(proxy.port);
  client.socket.pause();
  client.send(request("/"));
  await proxyHasRead(proxy.port);
  client.socket.resume();
  expect((await client.response()).body.length).toBe(body.length);
});

test("spaces inside a list cost no more than other bytes", () => {
  const from = performance.now();
  expect(listMembers(`a${" ".repeat(30_000)}b, \tC\t `)).toEqual([`a${" ".repeat(30_000)}b`, "c"]);
  expect(performance.now() - from).toBeLessThan(200); // 900 ms when it was quadratic
});

test("a Connection or Upgrade list of hundreds is refused", async () => {
  await using backend = await RawBackend.answering(() => answer(200));
  await using proxy = await proxyTo(backend.url);
  const list = (count: number): string => new Array(count).fill("a").join(",");
  for (const [fields, status] of [
    [[`Connection: ${list(32)}`], 200],
    [[`Connection: ${list(33)}`], 400],
    [["Connection: Upgrade", `Upgrade: ${list(33)}`], 400],
  ] as const)
    expect((await exchange(proxy.port, request("/", fields))).status).toBe(status);
});

test("those who have left take nobody's place in a full queue", async () => {
  await using backend = await RawBackend.answering(({ target }) => (target === "/held" ? null : answer(200)));
  const limits = { connections: 1, queue: 2, queueTimeout: "20s" };
  await using proxy = await startProxy({
    upstreams: { u: { servers: [backend.url], limits } },
    routes: [MARKER, { to: "u" }],
  });
  await using holder = await Peer.connect(proxy.port);
  holder.send(request("/held"));
  await backend.received(1);
  const leaving = [await Peer.connect(proxy.port), await Peer.connect(proxy.port)];
  for (const client of leaving) client.send(request("/left"));
  await proxyHasRead(proxy.port);
  for (const client of leaving) client.reset();
  await proxyHasRead(proxy.port);
  await using client = await Peer.connect(proxy.port);
  client.send(request("/stayed"));
  await proxyHasRead(proxy.port);
  holder.reset();
  expect((await client.response()).status).toBe(200);
});

describe("fields that mean something to proxies", () => {
  test.each([
    ["GET", ["Expect: 100-continue"], "expect", null],
    ["GET", ["X-Forwarded-Ssl: on"], "x-forwarded-ssl", null],
    ["GET", ["X-Forwarded-Scheme: https"], "x-forwarded-scheme", null],
    ["GET", ["X-Forwarded-Protocol: https"], "x-forwarded-protocol", null],
    ["OPTIONS", ["Max-Forwards: 7"], "max-forwards", "6"],
    ["GET", ["Max-Forwards: 7"], "max-forwards", "7"],
    ["OPTIONS", ["Max-Forwards: many"], "max-forwards", "many"],
  ] as const)("%s with %j: %s is %j", async (method, fields, name, value) => {
    await using backend = await RawBackend.answering(() => answer(200));
    await using proxy = await proxyTo(backend.url);
    expect((await exchange(proxy.port, request("/", fields, method))).status).toBe(200);
    expect(backend.requests[0]!.field(name)).toBe(value);
  });

  test.each([
    ["OPTIONS", 204],
    ["TRACE", 405],
  ] as const)("Max-Forwards: 0 ends the way of %s here (RFC 9110 §7.6.2)", async (method, status) => {
    await using backend = await RawBackend.answering(() => answer(200));
    await using proxy = await proxyTo(backend.url);
    const came = await exchange(proxy.port, request("/", ["Max-Forwards: 0"], method));
    expect([came.status, came.field("allow")?.includes("GET"), backend.requests.length]).toEqual([status, true, 0]);
  });
});

test("a reader that waits for its next message does not keep the bytes of the last one", async () => {
  const { send, asked } = connectionAlone({});
  await send(request("/"));
  const x = asked();
  expect(x.request.headers.bytes.length).toBeGreaterThan(0);
  x.downstream.reply(x.respond(200));
  expect(x.request.headers.bytes.length).toBe(0);
});
