// What statuses of gRPC do to retries, ejection, metrics and the access log.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { GrpcClient, GrpcServer, type GrpcServerOptions } from "./support/grpc.ts";
import { framed, type Upstream } from "./support/grpc-rig.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { Folder, runConfig } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

/** A proxy in front of servers that behave like this, and a client of it. */
async function rigOf(app: Partial<Upstream>, ...all: readonly GrpcServerOptions[]) {
  await using stack = new AsyncDisposableStack();
  const servers: GrpcServer[] = [];
  for (const options of all) servers.push(stack.use(await GrpcServer.start(options)));
  const proxy: TestProxy = stack.use(
    await startProxy({
      listener: { h2c: true },
      upstreams: { app: { servers: servers.map(({ port }) => `h2c://127.0.0.1:${port}`), ...app } },
      routes: [{ to: "app" }],
    }),
  );
  const client = stack.use(new GrpcClient(proxy.port));
  const held = stack.move();
  return { proxy, client, servers, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

const ALWAYS = { attempts: 1, budget: "100%", unsafeMethods: true } as const;
const FAILS: GrpcServerOptions = { fail: 14 };

/** How many of `count` calls, one after the other, ended with which status. */
async function codes(client: GrpcClient, count: number): Promise<Record<number, number>> {
  const codes: Record<number, number> = {};
  for (let i = 0; i < count; i += 1) {
    const { code } = await client.unary(`${i}`);
    codes[code] = (codes[code] ?? 0) + 1;
  }
  return codes;
}

describe("retries", () => {
  const CASES: readonly (readonly [name: string, retry: Upstream["retry"], server: GrpcServerOptions, ok: number])[] = [
    ["a status that is named goes to another server", { ...ALWAYS, on: ["grpc-unavailable"] }, FAILS, 10],
    ["another one does not", { ...ALWAYS, on: ["grpc-internal", "503"] }, FAILS, 5],
    [
      "nor do calls that may have had an effect",
      { ...ALWAYS, unsafeMethods: false, on: ["grpc-unavailable"] },
      FAILS,
      5,
    ],
    ["nor does an answer that has begun", { ...ALWAYS, on: ["grpc-unavailable"] }, { ...FAILS, late: true }, 5],
  ];
  for (const [name, retry, server, ok] of CASES)
    test(name, async () => {
      await using rig = await rigOf({ retry: retry!, outlier: false }, server, {});
      expect(await codes(rig.client, 10)).toEqual({ 0: ok, ...(ok === 10 ? {} : { 14: 10 - ok }) });
    });
  test("a call of many messages is sent again as a whole", async () => {
    await using rig = await rigOf({ retry: { ...ALWAYS, on: ["reset", "connect"] } }, {}, {});
    await rig.servers[0]!.kill();
    for (let i = 0; i < 4; i += 1) {
      const called = await rig.client.call({ kind: "client", path: "/test.Echo/Collect", send: [20, 100] });
      expect(called).toMatchObject({ code: 0, text: "20 2000" });
    }
  });
});

describe("ejection", () => {
  const outlier = { consecutiveErrors: 3, ejectFor: "1m" };
  for (const [name, server, failures] of [
    ["a server that fails in its head", { fail: 13 }, 3],
    ["a server that fails in its trailers", { fail: 13, late: true }, 3],
    ["statuses that are the call's matter change nothing", { fail: 5 }, 10],
  ] as const)
    test(name, async () => {
      await using rig = await rigOf({ outlier, retry: false }, server, {});
      expect(await codes(rig.client, 20)).toEqual({ 0: 20 - failures, [server.fail]: failures });
    });
});

test("calls are mirrored, those of browsers as what they become", async () => {
  await using shadow = await GrpcServer.start();
  await using server = await GrpcServer.start();
  await using proxy = await startProxy({
    listener: { h2c: true },
    upstreams: {
      app: { servers: [`h2c://127.0.0.1:${server.port}`] },
      shadow: { servers: [`h2c://127.0.0.1:${shadow.port}`] },
    },
    routes: [{ grpcWeb: true, mirror: { to: "shadow" }, to: "app" }],
  });
  await using client = new GrpcClient(proxy.port);
  await using watcher = new GrpcClient(shadow.port);
  expect((await client.unary("x", { metadata: { "x-id": "1" } })).code).toBe(0);
  await until(async () => (await watcher.seen()).fields["x-id"] === "1", "the copy");
  const headers = { "content-type": "application/grpc-web-text", "x-id": "2" };
  const body = framed("hello").toString("base64");
  const response = await fetch(`${proxy.url}/test.Echo/Unary`, { method: "POST", headers, body });
  expect((await response.text()).length).toBeGreaterThan(0);
  await until(async () => (await watcher.seen()).fields["x-id"] === "2", "the copy of the browser's");
});

describe("what operators see", () => {
  test("metrics and the access log", async () => {
    using folder = new Folder();
    await using server = await GrpcServer.start();
    await using proxy = await runConfig(folder, {
      workers: 1,
      listeners: [{ address: "127.0.0.1:0", h2c: true }],
      log: { access: { path: `${folder.path}/access.log` } },
      routes: [{ name: "echo", match: { path: "/test.Echo/*" }, to: `h2c://127.0.0.1:${server.port}` }],
    });
    await using client = new GrpcClient(proxy.port());
    expect((await client.unary("x")).code).toBe(0);
    expect((await client.unary("x", { metadata: { "x-fail": "5" } })).code).toBe(5);
    expect((await client.unary("x", { path: "/other" })).code).toBe(12);
    await client.call({ kind: "server", path: "/test.Echo/Hold", deadline: 100 });

    const count = async (labels: string): Promise<number | undefined> =>
      (await proxy.metrics()).get(`sluice_grpc_requests_total{${labels}}`);
    await until(async () => (await count('route="echo",status="none"')) === 1, "the call without an end to be counted");
    expect(await count('route="echo",status="0"')).toBe(1);
    expect(await count('route="echo",status="5"')).toBe(1);
    expect(await count('route="-",status="12"')).toBe(1);

    const lines = (): string[] => readFileSync(`${folder.path}/access.log`, "latin1").split("\n").slice(0, -1);
    await until(() => lines().length === 4, "four lines");
    const seen = lines().map((line) => {
      const { status, grpcStatus, fault } = JSON.parse(line);
      return [status, grpcStatus, fault];
    });
    expect(seen.slice(0, 3)).toEqual([
      [200, 0, undefined],
      [200, 5, undefined],
      [200, 12, "route.none"],
    ]);
    expect(seen[3]).toEqual([499, undefined, "client.gone"]);
  });
});

test("reloads cost no call", async () => {
  using folder = new Folder();
  await using server = await GrpcServer.start();
  const config = (name: string) => ({
    workers: 2,
    listeners: [{ address: "127.0.0.1:0", h2c: true }],
    routes: [{ name, to: `h2c://127.0.0.1:${server.port}` }],
  });
  await using proxy = await runConfig(folder, config("one"));
  await using client = new GrpcClient(proxy.port());
  const chat = client.call({ kind: "bidi", path: "/test.Echo/Chat", send: [20, 100], pause: 50 }, 20_000);
  const many = client.many({ kind: "unary", path: "/test.Echo/Unary", times: 3000, atOnce: 20 }, 20_000);
  for (const name of ["two", "three", "four"]) {
    folder.write("sluice.json", { admin: { address: "127.0.0.1:0" }, ...config(name) });
    expect((await proxy.reload()).status).toBe(200);
  }
  expect(await many).toEqual({ codes: { 0: 3000 }, wrong: 0 });
  expect(await chat).toMatchObject({ code: 0, messages: 20 });
});
