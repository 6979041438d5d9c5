import { describe, expect, test } from "bun:test";
import { SharedRig, settled } from "./h2.testing.ts";

const paths = (count: number): string[] => Array.from({ length: count }, (_, i) => `/${i}`);
/** The paths that each of the servers has got. */
const shares = (rig: SharedRig): string[][] => rig.servers.map(({ paths }) => paths);

describe("connects", () => {
  test("one is opened for all who wait for it", async () => {
    const rig = new SharedRig();
    const all = paths(5).map((path) => rig.ask(path));
    expect([rig.connects.length, rig.shared.count, rig.shared.hasRoom]).toEqual([1, 1, false]);
    const server = await rig.connect();
    expect(server.paths).toEqual(paths(5));
    for (const path of paths(5)) await server.answer(path);
    expect(all.map(({ fate }) => fate)).toEqual(paths(5).map(() => "200 ok"));
    expect([rig.freed, rig.shared.idle, rig.shared.count]).toEqual([5, 1, 1]);
    rig.ask("/next");
    await settled();
    expect([server.paths.at(-1), rig.connects.length]).toEqual(["/next", 0]);
  });

  test("more are opened for more than one will take", async () => {
    const rig = new SharedRig({ limits: { streamsPerConnection: 2 } });
    for (const path of paths(5)) rig.ask(path);
    expect(rig.connects.length).toBe(3);
    for (let i = 0; i < 3; i += 1) await rig.connect();
    expect(shares(rig)).toEqual([["/0", "/1"], ["/2", "/3"], ["/4"]]);
  });

  test("a server that has allowed more than a session dares to ask for before it is told so", async () => {
    const rig = new SharedRig({ limits: { streamsPerConnection: 200 } }).serverOptions({ concurrentStreams: 200 });
    rig.ask("/first");
    const server = await rig.connect();
    server.session.goaway(0);
    await server.answer("/first");
    const all = paths(150).map((path) => rig.ask(path));
    await rig.connect();
    expect(all.filter(({ fate }) => fate !== "")).toEqual([]);
    expect(rig.servers[1]!.paths.length).toBe(150);
  });

  test("one at a time while it is not known whether it can be shared", async () => {
    const rig = new SharedRig({}, Number.POSITIVE_INFINITY);
    for (const path of paths(500)) rig.ask(path);
    expect(rig.connects.length).toBe(1);
    rig.log.push("speaks HTTP/1.1");
    await rig.connect();
    expect(rig.log[1]).toBe(`http1 ${paths(500).join(" ")}`);
  });

  test("more where the server allows few requests on one", async () => {
    const rig = new SharedRig().serverOptions({ concurrentStreams: 2 });
    rig.ask("/0");
    await rig.connect();
    for (const path of ["/1", "/2", "/3", "/4"]) rig.ask(path);
    while (rig.connects.length > 0) await rig.connect();
    expect(shares(rig)).toEqual([["/0", "/1"], ["/2", "/3"], ["/4"]]);
    await rig.servers[0]!.answer("/0");
    rig.ask("/5");
    await settled();
    expect(rig.servers[0]!.paths).toEqual(["/0", "/1", "/5"]);
  });

  test("who waits gets the place of one that is through, if that comes first", async () => {
    const rig = new SharedRig({ limits: { streamsPerConnection: 1 } });
    rig.ask("/0");
    const server = await rig.connect();
    const late = rig.ask("/1");
    expect(rig.connects.length).toBe(1);
    await server.answer("/0");
    await server.answer("/1");
    expect(late.fate).toBe("200 ok");
    await rig.connect();
    expect(rig.servers[1]!.paths).toEqual([]);
  });

  test("one that fails is the end of those who waited for it", async () => {
    const rig = new SharedRig({ limits: { streamsPerConnection: 2 } });
    const all = paths(4).map((path) => rig.ask(path));
    await rig.refuseConnect();
    await rig.connect();
    expect(all.map(({ fate }) => fate)).toEqual(["upstream.connect_refused", "upstream.connect_refused", "", ""]);
    expect(rig.servers[0]!.paths).toEqual(["/2", "/3"]);
    expect(rig.freed).toBe(2);
  });

  test("who has waited long enough, or has left", async () => {
    const rig = new SharedRig();
    const [late, gone, patient] = [rig.ask("/late"), rig.ask("/gone"), rig.ask("/patient")];
    await rig.pass(1500);
    const fresh = rig.ask("/fresh");
    gone.withdrawn = true;
    await rig.pass(700);
    expect([late.fate, patient.fate, fresh.fate]).toEqual(["upstream.connect_timeout", "upstream.connect_timeout", ""]);
    expect([rig.freed, rig.log]).toEqual([3, ["withdrawn /gone"]]);
    await rig.connect();
    expect(rig.servers[0]!.paths).toEqual(["/fresh"]);
  });

  test("one that was never used before", async () => {
    const rig = new SharedRig();
    rig.ask("/0");
    await rig.connect();
    rig.ask("/1", { freshOnly: true });
    expect(rig.connects.length).toBe(1);
    await rig.connect();
    expect(shares(rig)).toEqual([["/0"], ["/1"]]);
  });

  test("after so many requests another one", async () => {
    const rig = new SharedRig({ limits: { requestsPerConnection: 2 } });
    for (const path of paths(3)) rig.ask(path);
    const first = await rig.connect();
    expect(rig.connects.length).toBe(1);
    await rig.connect();
    expect(shares(rig)).toEqual([["/0", "/1"], ["/2"]]);
    await first.answer("/0");
    await first.answer("/1");
    expect([first.goaway, first.closed]).toEqual([0, true]);
  });

  test("a server that has moved is left", async () => {
    const rig = new SharedRig();
    rig.ask("/0");
    rig.ask("/1");
    const server = await rig.connect();
    rig.moved = true;
    await server.answer("/0");
    rig.ask("/2");
    expect(rig.connects.length).toBe(1);
    await server.answer("/1");
    expect(server.closed).toBe(true);
  });

  test("the last of a server that leaves: what is in flight goes on", async () => {
    const rig = new SharedRig();
    const held = rig.ask("/0");
    const server = await rig.connect();
    rig.shared.retire();
    expect(server.closed).toBe(false);
    await server.answer("/0");
    expect([held.fate, server.closed, rig.shared.count]).toEqual(["200 ok", true, 0]);
  });
});

describe("servers that turn requests away", () => {
  test("take no more for a while than they have, and then one more", async () => {
    const rig = new SharedRig();
    const all = paths(4).map((path) => rig.ask(path));
    const server = await rig.connect();
    await server.refuse("/3");
    expect([all[3]!.fate, rig.connects.length]).toEqual(["upstream.refused", 0]);
    expect(rig.shared.hasRoom).toBe(false);
    rig.ask("/other");
    await rig.connect();
    for (let i = 0; i < 12; i += 1) {
      await server.answer(server.paths.filter((path) => path !== "/3")[i]!);
      rig.ask(`/more/${i}`);
      await settled();
    }
    rig.ask("/extra");
    await settled();
    const open = server.got.filter(({ stream }) => !stream.closed).length;
    expect(open).toBe(4);
  });

  test("the only request: once more over the same connection, then over another", async () => {
    const rig = new SharedRig();
    rig.ask("/0");
    const server = await rig.connect();
    await server.refuse("/0");
    rig.ask("/1");
    await settled();
    expect(shares(rig)).toEqual([["/0", "/1"]]);
    await server.refuse("/1");
    rig.ask("/2");
    await rig.connect();
    expect(shares(rig)).toEqual([["/0", "/1"], ["/2"]]);
    expect(server.closed).toBe(true);
  });

  test("want HTTP/1.1", async () => {
    const rig = new SharedRig();
    const request = rig.ask("/0");
    const server = await rig.connect();
    await server.refuse("/0", 13);
    expect([request.fate, rig.log]).toEqual(["upstream.refused", ["refuses HTTP/2"]]);
    expect(server.closed).toBe(true);
  });

  test("GOAWAY: what is in flight goes on, and others take another connection", async () => {
    const rig = new SharedRig();
    const held = rig.ask("/0");
    const server = await rig.connect();
    server.session.goaway(0);
    await settled();
    rig.ask("/1");
    await rig.connect();
    expect(shares(rig)).toEqual([["/0"], ["/1"]]);
    await server.answer("/0");
    expect([held.fate, server.closed, rig.shared.count]).toEqual(["200 ok", true, 1]);
  });
});
