// TCP connections forwarded as they are, by a proxy of two workers.
import { describe, expect, test } from "bun:test";
import { refusingPort, SilentPort } from "./support/ports.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { echoes, echoServer, Streams, wasReset } from "./support/streams.ts";
import { until } from "./support/wait.ts";

const count = (names: string, name: string): number => names.split(name).length - 1;

test("bytes go both ways, to servers by their weights; log and metrics say how many", async () => {
  await using streams = await Streams.start(2);
  const [a, b] = [streams.address(0), streams.address(1)];
  await using proxy = await streams.run({
    servers: [
      { url: a, weight: 3 },
      { url: b, weight: 1 },
    ],
  });
  const names = await streams.ask(proxy, 40);
  // Each worker goes round by itself.
  expect(Math.abs(count(names, "a") - 30)).toBeLessThanOrEqual(2);
  expect(count(names, "a") + count(names, "b")).toBe(40);
  await streams.logged(40);

  const { peer, server } = await streams.open(proxy);
  const text = "0123456789".repeat(50_000);
  expect(await echoes(peer, text)).toBe(true);
  await proxy.counted(`sluice_connections{listener="127.0.0.1:0"}`, 1);
  peer.finish();
  await peer.when(() => peer.closed, "the end");
  expect(peer.error).toBe("");
  const { durationMs, upstreamMs, ...line } = (await streams.logged(41))[40]!;
  const { time: _, ...rest } = line as typeof line & { time: string };
  expect(rest).toEqual({
    protocol: "tcp",
    ip: "127.0.0.1",
    bytesIn: text.length,
    bytesOut: text.length + 1,
    listener: "127.0.0.1:0",
    upstream: "app",
    server: server === "a" ? a : b,
  });
  expect(upstreamMs).toBeGreaterThanOrEqual(0);
  expect(durationMs).toBeGreaterThanOrEqual(upstreamMs!);
  const sessions = `sluice_stream_sessions_total{listener="127.0.0.1:0",upstream="app",result="ok"}`;
  await until(async () => (await proxy.metrics()).get(sessions) === 41, "41 sessions");
  await proxy.counted(`sluice_stream_bytes_total{listener="127.0.0.1:0",direction="in"}`, text.length);
  await proxy.counted(`sluice_stream_bytes_total{listener="127.0.0.1:0",direction="out"}`, text.length + 41);
  await proxy.counted(`sluice_connections{listener="127.0.0.1:0"}`, 0);
});

describe("the ends", () => {
  test("each side may end its sending, and go on reading", async () => {
    await using streams = await Streams.start(0);
    streams.servers.push(await RawBackend.start(async (peer) => void peer.send("a")));
    await using proxy = await streams.run();
    const { peer } = await streams.open(proxy);
    const server = await streams.servers[0]!.peer(0);
    peer.finish();
    await server.end();
    server.send("late");
    expect(await peer.bytes(4)).toBe("late");
    expect(peer.ended).toBe(false);
    server.finish();
    await peer.when(() => peer.closed, "the close");

    const other = (await streams.open(proxy)).peer;
    const second = await streams.servers[0]!.peer(1);
    second.finish();
    await other.end();
    other.send("still there");
    expect(await second.bytes(11)).toBe("still there");
    other.finish();
    await second.when(() => second.closed, "the close");
    expect([peer.error, other.error, server.error, second.error]).toEqual(["", "", "", ""]);
    expect((await streams.logged(2)).map(({ fault }) => fault)).toEqual([undefined, undefined]);
  });

  for (const [who, fault] of [
    ["client", "client.gone"],
    ["server", "upstream.reset"],
  ] as const)
    test(`a reset by the ${who} reaches the other side as one`, async () => {
      await using streams = await Streams.start(1);
      await using proxy = await streams.run();
      const { peer } = await streams.open(proxy);
      const server = await streams.servers[0]!.peer(0);
      expect(await echoes(peer, "half of it")).toBe(true);
      (who === "client" ? peer : server).reset();
      expect(await wasReset(who === "client" ? server : peer)).toBe(true);
      expect((await streams.logged(1))[0]).toMatchObject({ bytesIn: 10, bytesOut: 11, fault });
      const result = `sluice_stream_sessions_total{listener="127.0.0.1:0",upstream="app",result="${fault.split(".")[0]}"}`;
      await until(async () => (await proxy.metrics()).has(result.replace("gone", "client")), "the metric");
    });

  test("silence ends a session", async () => {
    await using streams = await Streams.start(1);
    await using proxy = await streams.run({}, { idle: "400ms" });
    const { peer } = await streams.open(proxy);
    for (let i = 0; i < 4; i += 1) {
      await Bun.sleep(150);
      expect(await echoes(peer, "x")).toBe(true);
    }
    await peer.end(2000);
    const [line] = await streams.logged(1);
    expect(line).toMatchObject({ bytesIn: 4, bytesOut: 5 });
    expect(line!.fault).toBeUndefined();
    expect(line!.durationMs).toBeGreaterThan(950);
  });
});

describe("servers that cannot be reached", () => {
  test("one is dead: the others get everything", async () => {
    await using streams = await Streams.start(2);
    const dead = `127.0.0.1:${await refusingPort()}`;
    await using proxy = await streams.run({ servers: [dead, streams.address(0), streams.address(1)] });
    const names = await streams.ask(proxy, 12);
    expect(count(names, "a") + count(names, "b")).toBe(12);
    for (const { fault, server } of await streams.logged(12))
      expect([fault, server === dead]).toEqual([undefined, false]);
  });

  test("one does not answer: another is tried after timeouts.connect", async () => {
    await using silent = await SilentPort.open();
    await using streams = await Streams.start(1);
    const servers = [`127.0.0.1:${silent.port}`, { url: streams.address(0), backup: true }];
    await using proxy = await streams.run({ servers, timeouts: { connect: "300ms" } });
    const { server } = await streams.open(proxy);
    expect(server).toBe("a");
  });

  test("all are dead: the client is reset, and the log says why", async () => {
    await using streams = await Streams.start(0);
    const dead = [await refusingPort(), await refusingPort()].map((port) => `127.0.0.1:${port}`);
    await using proxy = await streams.run({ servers: dead });
    const peer = await streams.connect(proxy);
    expect(await wasReset(peer)).toBe(true);
    const [line] = await streams.logged(1);
    expect(line).toMatchObject({ bytesIn: 0, bytesOut: 0, fault: "upstream.connect_refused" });
    expect(dead).toContain(line!.server!);
    expect(line!.upstreamMs).toBeUndefined();
    const result = `sluice_stream_sessions_total{listener="127.0.0.1:0",upstream="app",result="upstream"}`;
    await until(async () => (await proxy.metrics()).get(result) === 1, "the metric");
  });

  test("a failed connect has its server passed over for a while", async () => {
    await using streams = await Streams.start(1);
    const dead = `127.0.0.1:${await refusingPort()}`;
    await using proxy = await streams.run({ servers: [dead, streams.address(0)], retry: false });
    const names = await streams.ask(proxy, 16);
    // One client of each worker finds out; now and then another looks again.
    expect(count(names, "-")).toBeGreaterThanOrEqual(1);
    expect(count(names, "-")).toBeLessThanOrEqual(4);
  });

  test("active checks take a server out and back in", async () => {
    await using streams = await Streams.start(2);
    const health = { type: "tcp", interval: "50ms", downInterval: "50ms", healthy: 1, unhealthy: 2 } as const;
    await using proxy = await streams.run({ health, retry: false });
    const [port, address] = [streams.servers[1]!.port, streams.address(1)];
    await until(async () => new Set(await streams.ask(proxy, 4)).size === 2, "both to be used");
    await streams.servers[1]![Symbol.asyncDispose]();
    const healthy = `sluice_upstream_healthy{upstream="app",server="${address}"}`;
    await until(async () => (await proxy.metrics()).get(healthy) === 0, "b to be out");
    await until(async () => (await streams.ask(proxy, 4)) === "aaaa", "no more of b");
    expect(await streams.ask(proxy, 10)).toBe("a".repeat(10));
    streams.servers[1] = await echoServer("b", port);
    await until(async () => (await streams.ask(proxy, 4)).includes("b"), "b to be back");
  });

  test("failover", async () => {
    await using streams = await Streams.start(1);
    const config = streams.config({ servers: [`127.0.0.1:${await refusingPort()}`], failover: "spare" });
    Object.assign(config.upstreams as object, { spare: { servers: [streams.address(0)] } });
    await using proxy = await streams.run();
    await streams.reload(proxy, config);
    expect(await streams.ask(proxy, 3)).toBe("aaa");
  });
});

describe("places and the queue", () => {
  test("who finds the servers full waits, and gets through when another ends", async () => {
    await using streams = await Streams.start(1);
    await using proxy = await streams.run({ limits: { connections: 2, queue: 8, queueTimeout: "20s" } });
    const [first, second] = [await streams.open(proxy), await streams.open(proxy)];
    const third = await streams.connect(proxy);
    third.send("early");
    const queued = `sluice_upstream_queued{upstream="app"}`;
    await until(async () => (await proxy.metrics()).get(queued) === 1, "one to wait");
    expect([third.bytesIn, streams.servers[0]!.peers.length]).toEqual([0, 2]);
    first.peer.finish();
    expect(await third.bytes(6)).toBe("aearly");
    second.peer.finish();
    third.finish();
    await streams.logged(3);
    await until(async () => (await proxy.metrics()).get(queued) === 0, "nobody to wait");
  });

  test("who finds the queue full is reset; the others are served", async () => {
    await using streams = await Streams.start(1);
    await using proxy = await streams.run({ limits: { connections: 1, queue: 1, queueTimeout: "20s" } });
    const first = await streams.open(proxy);
    const tried = await Promise.allSettled(Array.from({ length: 8 }, () => streams.connect(proxy)));
    // A reset may be there before this side knows that it is connected.
    const early = tried
      .filter((one) => one.status === "rejected")
      .map(({ reason }) => (reason as { code: string }).code);
    const more = tried.filter((one) => one.status === "fulfilled").map(({ value }) => value);
    const open = () => more.filter((peer) => !peer.closed);
    // Each worker has a queue of its own.
    await until(() => open().length <= 2, "resets");
    const refused = [...early, ...more.filter((peer) => peer.closed).map(({ error }) => error)];
    for (const error of refused) expect(error).toBe("ECONNRESET");
    for (const { fault } of await streams.logged(refused.length)) expect(fault).toBe("upstream.queue_full");
    expect(open().length).toBeGreaterThanOrEqual(1);
    const waiting = open();
    first.peer.close();
    await Promise.all(
      waiting.map(async (peer) => {
        expect(await peer.bytes(1)).toBe("a");
        peer.close();
      }),
    );
  });

  test("who waits too long is reset", async () => {
    await using streams = await Streams.start(1);
    await using proxy = await streams.run({ limits: { connections: 1, queueTimeout: "300ms" } });
    await streams.open(proxy);
    const waiting = await streams.connect(proxy);
    expect(await wasReset(waiting)).toBe(true);
    const [line] = await streams.logged(1);
    expect(line).toMatchObject({ fault: "upstream.queue_timeout" });
    // It has waited once, and not once for each attempt.
    expect(line!.durationMs).toBeGreaterThan(250);
    expect(line!.durationMs).toBeLessThan(800);
  });

  test("a client that leaves frees its place in the queue, and at the server", async () => {
    await using streams = await Streams.start(1);
    await using proxy = await streams.run({ limits: { connections: 1, queue: 1, queueTimeout: "20s" } });
    const first = await streams.open(proxy);
    const inFlight = `sluice_upstream_in_flight{upstream="app",server="${streams.address(0)}"}`;
    for (let i = 0; i < 3; i += 1) {
      const waiting = await streams.connect(proxy);
      waiting.reset();
      await waiting.when(() => waiting.closed, "the close");
      const line = (await streams.logged(i + 1))[i]!;
      expect(line).toMatchObject({ fault: "client.gone" });
      expect(line.server).toBeUndefined();
    }
    expect((await proxy.metrics()).get(inFlight)).toBe(1);
    const next = await streams.connect(proxy);
    first.peer.reset();
    expect(await next.bytes(1)).toBe("a");
    next.close();
    await until(async () => (await proxy.metrics()).get(inFlight) === 0, "nobody at the server");
  });

  test("connections of one address", async () => {
    await using streams = await Streams.start(1);
    await using proxy = await streams.run({}, {}, { limits: { connectionsPerAddress: 1 } });
    await streams.open(proxy);
    const names = await streams.ask(proxy, 6);
    expect(count(names, "-")).toBeGreaterThanOrEqual(1); // in the worker that has the first
  });
});
