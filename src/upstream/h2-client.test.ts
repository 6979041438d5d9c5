import { describe, expect, test } from "bun:test";
import { HeaderBlock } from "../http/header-block.ts";
import { SharedRig, settled, type TestServer } from "./h2.testing.ts";

const CANCEL = 8;

/** PING frames that the server has got. */
function countPings(server: TestServer): () => number {
  let pings = 0;
  const { onData } = server.connection.handler;
  server.connection.handler.onData = (chunk) => {
    if (chunk.length === 17 && chunk[3] === 6 && (chunk[4]! & 1) === 0) pings += 1;
    onData.call(server.connection.handler, chunk);
  };
  return () => pings;
}

async function opened(config: ConstructorParameters<typeof SharedRig>[0] = {}, path = "/0") {
  const rig = new SharedRig(config);
  const request = rig.ask(path);
  const server = await rig.connect();
  return { rig, request, server };
}

describe("a connection without use", () => {
  test("is closed after its time, with GOAWAY", async () => {
    const { rig, server } = await opened({ timeouts: { idle: "20s" } });
    await server.answer("/0");
    await rig.pass(19_000);
    expect([server.closed, rig.shared.count]).toEqual([false, 1]);
    await rig.pass(2000);
    expect([server.closed, server.goaway, rig.shared.count]).toEqual([true, 0, 0]);
  });

  test("that nobody has waited for in the end", async () => {
    const rig = new SharedRig({ timeouts: { idle: "5s" } });
    rig.ask("/0").withdrawn = true;
    const server = await rig.connect();
    expect(rig.log).toEqual(["withdrawn /0"]);
    await rig.pass(6000);
    expect(server.closed).toBe(true);
  });

  test("that the server closes is gone at once", async () => {
    const { rig, server } = await opened();
    await server.answer("/0");
    server.connection.close();
    await settled();
    expect([rig.shared.count, rig.shared.idle]).toEqual([0, 0]);
  });
});

describe("a silent server", () => {
  test("is asked for a sign of life, ever more rarely", async () => {
    const { rig, server } = await opened();
    const { client } = rig.ask("/held");
    const pings = countPings(server);
    client!.pause(); // its own time-out is not what is looked at
    await server.answer("/0");
    await rig.pass(9000);
    expect(pings()).toBe(0);
    await rig.pass(3000);
    expect(pings()).toBe(1);
    await rig.pass(25_000);
    expect(pings()).toBe(1);
    await rig.pass(10_000);
    expect(pings()).toBe(2);
    await rig.pass(300_000);
    expect(pings()).toBe(2);
    await rig.pass(60_000);
    expect(pings()).toBe(3);
    expect([server.closed, rig.freed]).toEqual([false, 1]);
  });

  test("that gives none is given up, with all that it has been asked", async () => {
    const { rig, request, server } = await opened();
    request.client!.pause();
    server.mute = true;
    await rig.pass(10_500);
    expect([request.fate, rig.shared.hasRoom]).toEqual(["", false]);
    rig.ask("/1"); // not over a connection that may be dead
    expect(rig.connects.length).toBe(1);
    await rig.pass(1000);
    await rig.connect();
    expect(rig.servers[1]!.paths).toEqual(["/1"]);
    await rig.pass(5000);
    expect([request.fate, request.fault!.detail, rig.shared.count]).toEqual([
      "upstream.reset",
      "no sign of life from the server before the answer",
      1,
    ]);
  });
});

describe("a request", () => {
  test("that is not answered in time: its stream is cancelled, its connection stays", async () => {
    const { rig, request, server } = await opened();
    await rig.pass(1500);
    expect([request.fate, server.find("/0").reset, rig.freed]).toEqual(["upstream.response_timeout", CANCEL, 1]);
    rig.ask("/1");
    await settled();
    expect(server.paths).toEqual(["/0", "/1"]);
  });

  test("that is given up", async () => {
    const { rig, request, server } = await opened();
    request.client!.abandon();
    request.client!.abandon();
    await settled();
    expect([request.fate, server.find("/0").reset, rig.freed]).toEqual(["", CANCEL, 1]);
  });

  test("whose answer is dropped is not cancelled, unless the answer is long", async () => {
    const { rig, request, server } = await opened();
    const long = rig.ask("/long");
    for (const each of [request, long]) each.onHead = () => each.client!.drop();
    await settled();
    await server.answer("/0", 503, "short");
    await server.answer("/long", 503, "x".repeat(1_000_000));
    expect([server.find("/0").reset, server.find("/long").reset, rig.freed]).toEqual([-1, CANCEL, 2]);
    expect([request.body, long.body]).toEqual(["", ""]);
    const stuck = rig.ask("/stuck");
    stuck.onHead = () => stuck.client!.drop();
    await settled();
    server.head("/stuck", 503, false);
    await settled();
    await rig.pass(1500);
    expect([server.find("/stuck").reset, rig.freed]).toEqual([CANCEL, 3]);
  });

  test("that may move leaves a server that is down, if that has not begun to answer", async () => {
    const { rig, server } = await opened();
    const [moves, stays, begun] = [rig.ask("/moves", { movable: true }), rig.ask("/stays"), rig.ask("/begun")];
    begun.movable = true;
    await settled();
    server.head("/begun", 200, false);
    await settled();
    rig.shared.forsake();
    expect([moves.fate, stays.fate, begun.fate]).toEqual(["upstream.down", "", ""]);
  });

  test("interim answers pass, and a server that sends them without end is broken", async () => {
    const { request, server } = await opened();
    for (let i = 0; i < 3; i += 1) server.head("/0", 103, false);
    await server.answer("/0");
    expect([request.statuses, request.fate]).toEqual([[103, 103, 103, 200], "200 ok"]);
    const { rig, request: flooded, server: flooding } = await opened();
    for (let i = 0; i < 17; i += 1) flooding.head("/0", 103, false);
    await settled();
    expect([flooded.fate, rig.freed]).toEqual(["upstream.bad_response", 1]);
  });

  test("an answer that is held comes once it goes on, with its trailers", async () => {
    const rig = new SharedRig();
    const request = rig.ask("/0", { goesOn: false });
    const server = await rig.connect();
    const { stream } = server.find("/0");
    server.head("/0", 200, false);
    stream.sendData(Buffer.from("body"), 0, 4);
    stream.sendEnd(HeaderBlock.of([["x-sum", "1"]]));
    await settled();
    expect([request.statuses, request.body, request.fate]).toEqual([[200], "", ""]);
    request.client!.resume();
    await settled();
    expect([request.fate, request.trailers?.get("x-sum"), rig.freed]).toEqual(["200 body", "1", 1]);
  });

  test("a body is held up by the server's window, and says when it goes on", async () => {
    const rig = new SharedRig().serverOptions({ streamWindow: 65_535, streamWindowMax: 65_535 });
    const request = rig.post("/0");
    let drained = 0;
    request.onDrain = () => (drained += 1);
    const server = await rig.connect();
    server.find("/0").stream.pause();
    const body = Buffer.alloc(200_000, "x");
    request.client!.sendData(body, 0, body.length);
    expect(request.client!.full).toBe(true);
    await settled();
    expect([server.find("/0").body.length, drained]).toEqual([0, 0]);
    server.find("/0").stream.resume();
    await settled();
    request.client!.sendEnd(null);
    await settled();
    expect([server.find("/0").body.length, server.find("/0").ended, drained]).toEqual([200_000, true, 1]);
    await server.answer("/0");
    expect(request.fate).toBe("200 ok");
  });

  test("an answer before the end of the request", async () => {
    const rig = new SharedRig();
    const request = rig.post("/0");
    const server = await rig.connect();
    await server.answer("/0", 413);
    expect([request.fate, rig.freed]).toEqual(["413 ok", 0]);
    request.client!.sendEnd(null);
    await settled();
    expect([rig.freed, server.find("/0").ended]).toEqual([1, true]);
  });
});

describe("a connection that is lost", () => {
  test("before anything was heard on it since: the request may not have arrived", async () => {
    const { rig, request: first, server } = await opened();
    await server.answer("/0");
    const request = rig.ask("/1");
    server.connection.destroy(true);
    await settled();
    expect([first.fate, request.fate, rig.freed]).toEqual(["200 ok", "upstream.reset_on_reuse", 2]);
  });

  test("inside an answer, and before one", async () => {
    const { rig, request, server } = await opened();
    const other = rig.ask("/1");
    await settled();
    server.head("/0", 200, false);
    await settled();
    server.connection.destroy(true);
    await settled();
    expect([request.fate, other.fate, rig.freed]).toEqual(["upstream.incomplete", "upstream.reset", 2]);
  });
});
