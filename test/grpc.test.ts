// gRPC through Sluice, with the client and the server of @grpc/grpc-js on Node.js: the four kinds, deadlines,
// cancellation, errors.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { GrpcClient } from "./support/grpc.ts";
import { callHead, framed, Rig, STATUS } from "./support/grpc-rig.ts";
import { H2Peer } from "./support/h2-peer.ts";
import { data, rst } from "./support/h2-wire.ts";
import { startProxy } from "./support/proxy.ts";
import { until } from "./support/wait.ts";

const MB = 1_048_576;

/** SHA-256 of messages as the peers make them: each of one byte's value, which counts up. */
function hashOf(count: number, size: number): string {
  const hash = createHash("sha256");
  for (let i = 0; i < count; i += 1) hash.update(Buffer.alloc(size, i & 255));
  return hash.digest("hex");
}
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

const PEERS: readonly (readonly [name: string, start: () => Promise<Rig>])[] = [
  ["without TLS", () => Rig.start()],
  ["over TLS", () => Rig.startTls()],
];

for (const [name, start] of PEERS)
  describe(`the four kinds, ${name}`, () => {
    let rig: Rig;
    beforeAll(async () => {
      rig = await start();
    });
    afterAll(() => rig[Symbol.asyncDispose]());

    test("unary, with fields of both sides", async () => {
      const metadata = { "x-some": "one, two", "x-long": "l".repeat(5000) };
      const called = await rig.client.unary("hello", { metadata });
      expect(called).toMatchObject({ code: 0, messages: 1, text: "hello" });
      expect([called.head["x-head"], called.trailers["x-tail"]]).toEqual(["h", "t"]);
      const { fields } = await rig.client.seen();
      expect(fields).toMatchObject(metadata);
      expect(fields["user-agent"]).toContain("grpc-node-js");
      expect(fields["x-forwarded-for"]).toBe("127.0.0.1");
    });

    test("every error reaches the client as the server made it", async () => {
      for (let code = 1; code <= 16; code += 1) {
        const called = await rig.client.unary("x", { metadata: { "x-fail": String(code) } });
        expect(called).toMatchObject({ code, details: "as you wish: 100 % grün", messages: 0 });
        expect(called.trailers).toMatchObject({ "x-why": "asked-for", "x-why-bin": "0001feff" });
      }
    });
    test("an error behind messages", async () => {
      const call = { kind: "server", path: "/test.Echo/Expand", send: "3 10", metadata: { "x-fail": "9" } } as const;
      expect(await rig.client.call(call)).toMatchObject({ code: 9, messages: 3, bytes: 30 });
    });

    test("a client's stream", async () => {
      const called = await rig.client.call({ kind: "client", path: "/test.Echo/Collect", send: [2000, 1500] });
      expect(called).toMatchObject({ code: 0, text: "2000 3000000" });
      const empty = await rig.client.call({ kind: "client", path: "/test.Echo/Collect", send: [0, 0] });
      expect(empty).toMatchObject({ code: 0, text: "0 0" });
    });
    test("a server's stream", async () => {
      const called = await rig.client.call({ kind: "server", path: "/test.Echo/Expand", send: "2000 1500" });
      expect(called).toMatchObject({ code: 0, messages: 2000, bytes: 3_000_000, hash: hashOf(2000, 1500) });
      expect(called.trailers["x-tail"]).toBe("t");
      const empty = await rig.client.call({ kind: "server", path: "/test.Echo/Expand", send: "0 0" });
      expect(empty).toMatchObject({ code: 0, messages: 0 });
    });
    test("streams of both, at once", async () => {
      const calls = Array.from({ length: 10 }, () =>
        rig.client.call({ kind: "bidi", path: "/test.Echo/Chat", send: [500, 1500] }),
      );
      for (const called of await Promise.all(calls))
        expect(called).toMatchObject({ code: 0, messages: 500, hash: hashOf(500, 1500) });
    });
    test("a stream whose messages answer each other", async () => {
      const called = await rig.client.call({ kind: "bidi", path: "/test.Echo/Chat", send: [5, 10], pause: 20 });
      expect(called).toMatchObject({ code: 0, messages: 5, bytes: 50 });
    });

    test("messages of 32 MB, both ways", async () => {
      const called = await rig.client.call({ kind: "unary", path: "/test.Echo/Unary", send: [1, 32 * MB] }, 30_000);
      expect(called).toMatchObject({ code: 0, bytes: 32 * MB, hash: sha256(Buffer.alloc(32 * MB, 0x61)) });
    }, 40_000);

    test("10,000 calls, 50 at a time", async () => {
      const call = { kind: "unary", path: "/test.Echo/Unary", times: 10_000, atOnce: 50 } as const;
      expect(await rig.client.many(call, 60_000)).toEqual({ codes: { 0: 10_000 }, wrong: 0 });
    }, 70_000);
  });

const HOLD = "/test.Echo/Hold";
const UNARY = "/test.Echo/Unary";

describe("deadlines", () => {
  test("the server is told what the client gives", async () => {
    await using rig = await Rig.start();
    expect((await rig.client.unary("x", { deadline: 60_000 })).code).toBe(0);
    const [left] = (await rig.client.seen()).timeouts;
    expect(left).toBeGreaterThan(40_000);
    expect(left).toBeLessThanOrEqual(60_000);
  });

  test("the client gives up: so does the server", async () => {
    await using rig = await Rig.start();
    const called = await rig.client.call({ kind: "server", path: HOLD, deadline: 200 });
    expect(called).toMatchObject({ code: STATUS.deadline, messages: 0 });
    await until(async () => (await rig.client.seen()).cancelled === 1, "the server to hear of it");
  });

  test("a client that waits on is told, and the server is left", async () => {
    await using rig = await Rig.start();
    await using call = await rig.raw(HOLD, "", [["grpc-timeout", "150m"]]);
    const came = await call.answer(1);
    expect([came.status, came.field("grpc-status"), came.body, came.trailers]).toEqual([200, "4", "", []]);
    await until(async () => (await rig.client.seen()).cancelled === 1, "the server to hear of it");
  });
  test("also in the middle of an answer", async () => {
    await using rig = await Rig.start();
    await using call = await rig.raw(HOLD, "head", [["grpc-timeout", "150000u"]]);
    const came = await call.answer(1);
    expect([came.field("x-head"), came.field("grpc-status"), came.body.slice(5)]).toEqual(["h", null, "begun"]);
    expect([came.reset, came.trailers]).toEqual([null, expect.arrayContaining(["grpc-status: 4"])]);
    expect(came.trailers.join("\n")).toContain("grpc-message: ");
    await until(async () => (await rig.client.seen()).cancelled === 1, "the server to hear of it");
  });
  test("also while it waits for a place at the server, which never hears of it", async () => {
    await using rig = await Rig.start({}, { limits: { connections: 1, queueTimeout: "5s" } });
    await using first = await rig.raw(HOLD, "head");
    await first.when(() => first.heard(1).body !== "", "the first call to begin");
    await using second = await rig.raw(UNARY, "x", [["grpc-timeout", "150m"]]);
    expect((await second.answer(1)).field("grpc-status")).toBe("4");
    first.send(rst(1));
    expect((await rig.client.seen()).calls).toBe(1);
  });
  test("a server that is asked later is told what is left", async () => {
    await using rig = await Rig.start({}, { limits: { connections: 1, queueTimeout: "5s" } });
    await using first = await rig.raw(HOLD, "head", [["grpc-timeout", "500m"]]);
    await first.when(() => first.heard(1).body !== "", "the first call to begin");
    await using second = await rig.raw(UNARY, "x", [["grpc-timeout", "10S"]]);
    expect((await second.answer(1)).trailers).toContain("grpc-status: 0");
    const { timeouts } = await rig.client.seen();
    expect(timeouts.at(-1)).toBeLessThan(9900);
  });

  test("a grpc-timeout that cannot be understood is refused", async () => {
    await using rig = await Rig.start();
    for (const timeout of ["", "1", "5x", "123456789S", "-1S"]) {
      await using call = await rig.raw(UNARY, "x", [["grpc-timeout", timeout]]);
      expect([timeout, (await call.answer(1)).field("grpc-status")]).toEqual([timeout, "13"]);
    }
  });
});

describe("cancellation", () => {
  test("at once, and in the middle: the server hears of both", async () => {
    await using rig = await Rig.start();
    const none = await rig.client.call({ kind: "server", path: HOLD, cancel: 0 });
    expect(none).toMatchObject({ code: STATUS.cancelled, messages: 0 });
    const { calls } = await rig.client.seen();
    const some = await rig.client.call({ kind: "server", path: HOLD, send: "head", cancel: 1 });
    expect(some).toMatchObject({ code: STATUS.cancelled, messages: 1 });
    // The first may not even have got as far as the server.
    await until(async () => (await rig.client.seen()).cancelled === calls + 1, "the server to hear of it");
  });
  test("a client that is gone", async () => {
    await using rig = await Rig.start();
    {
      await using other = new GrpcClient(rig.proxy.port);
      const held = other.call({ kind: "server", path: HOLD, send: "head" }).catch(() => {});
      await until(async () => (await rig.client.seen()).calls === 1, "the call to begin");
      void held;
    }
    await until(async () => (await rig.client.seen()).cancelled === 1, "the server to hear of it");
  });
});

describe("errors of the proxy's own", () => {
  test("a server that is down", async () => {
    await using rig = await Rig.start();
    await rig.server.kill();
    const called = await rig.client.unary("x");
    expect(called).toMatchObject({ code: STATUS.unavailable, details: "The server could not be reached." });
    expect(called.trailers["proxy-status"]).toStartWith("sluice; error=");
  });
  test("a server that goes down in the middle: what came, then the status", async () => {
    await using rig = await Rig.start();
    const held = rig.client.call({ kind: "server", path: HOLD, send: "head" });
    await until(async () => (await rig.client.seen()).calls === 1, "the call to begin");
    await rig.server.kill();
    expect(await held).toMatchObject({ code: STATUS.unavailable, messages: 1, text: "begun" });
  });
  test("a client that is in the middle of its messages then need not go on", async () => {
    await using rig = await Rig.start();
    await using peer = await H2Peer.connect(rig.proxy.port);
    const call = peer.send(callHead("/test.Echo/Chat"), data(1, framed("one"))).heard(1);
    await peer.when(() => call.body.endsWith("one"), "an answer to the first message");
    await rig.server.kill();
    await peer.when(() => call.reset !== null, "the end of the stream");
    expect([call.trailers, call.reset]).toEqual([expect.arrayContaining(["grpc-status: 14"]), "NO_ERROR"]);
  });
  test("more than a call may be, in the middle of it", async () => {
    await using rig = await Rig.start({ routes: [{ to: "app", limits: { body: "1KB" } }] });
    const call = { kind: "bidi", path: "/test.Echo/Chat", send: [20, 100] } as const;
    const { code, messages } = await rig.client.call({ ...call, pause: 10 });
    expect([code, messages > 0, messages < 10]).toEqual([STATUS.exhausted, true, true]);
  });
  test("a client that is told early, in the middle of what it sends", async () => {
    await using rig = await Rig.start({ routes: [{ match: { path: "/test.Echo/*" }, to: "app" }] });
    for (const path of ["/elsewhere", "/test.Echo/Nothing"]) {
      const called = await rig.client.call({ kind: "client", path, send: [2000, 15_000] });
      expect(called).toMatchObject({ code: STATUS.unimplemented, messages: 0 });
    }
    expect(await rig.client.unary("fine")).toMatchObject({ code: 0, text: "fine" });
  });
  test("a server that takes too long", async () => {
    await using rig = await Rig.start({ routes: [{ to: "app", timeouts: { response: "150ms" } }] });
    expect(await rig.client.call({ kind: "server", path: HOLD })).toMatchObject({ code: STATUS.deadline });
  });
  test("no route, a limit, and a route's own answer", async () => {
    await using rig = await Rig.start({
      routes: [
        { match: { path: UNARY }, limits: { body: "1KB" }, to: "app" },
        { match: { path: "/closed/*" }, respond: { status: 403, body: "Nobody may." } },
      ],
    });
    const { client } = rig;
    expect(await client.unary("x", { path: "/other" })).toMatchObject({ code: STATUS.unimplemented });
    expect(await client.unary("x".repeat(5000))).toMatchObject({ code: STATUS.exhausted });
    expect(await client.unary("x", { path: "/closed/a" })).toMatchObject({
      code: STATUS.denied,
      details: "Nobody may.",
    });
    expect(await client.unary("fine")).toMatchObject({ code: 0, text: "fine" });
  });
  test("a server of HTTP/1.1 answers what it knows", async () => {
    const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response("no", { status: 404 }) });
    try {
      await using proxy = await startProxy({ listener: { h2c: true }, routes: [{ to: server.url.origin }] });
      await using client = new GrpcClient(proxy.port);
      expect((await client.unary("x")).code).toBe(STATUS.unimplemented);
    } finally {
      await server.stop(true);
    }
  });
});

describe("silence", () => {
  const QUIET = { timeouts: { body: "200ms", tunnel: "5s" } };
  test("between messages is no time-out, on either side", async () => {
    await using rig = await Rig.start({ listener: { h2c: true, ...QUIET } }, { timeouts: { response: "200ms" } });
    const held = rig.client.call({ kind: "server", path: HOLD, send: "head", deadline: 900 });
    const sent = rig.client.call({ kind: "client", path: "/test.Echo/Collect", send: [3, 10], pause: 400 });
    const chat = rig.client.call({ kind: "bidi", path: "/test.Echo/Chat", send: [3, 10], pause: 400 });
    expect(await held).toMatchObject({ code: STATUS.deadline, messages: 1 });
    expect((await held).ms).toBeGreaterThan(850);
    expect(await sent).toMatchObject({ code: 0, text: "3 30" });
    expect(await chat).toMatchObject({ code: 0, messages: 3 });
  });
  test("ends as that of tunnels does", async () => {
    await using rig = await Rig.start(
      { routes: [{ to: "app", timeouts: { idle: "300ms" } }] },
      { timeouts: { response: "100ms" } },
    );
    const held = await rig.client.call({ kind: "server", path: HOLD, send: "head" });
    expect(held).toMatchObject({ messages: 1, code: STATUS.deadline });
    const quiet = await rig.client.call({ kind: "client", path: "/test.Echo/Collect", send: [2, 10], pause: 2000 });
    expect(quiet).toMatchObject({ messages: 0, code: STATUS.deadline });
  });
});
