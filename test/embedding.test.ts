// The proxy inside a program: createProxy, its reloads and its end.
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  ConfigError,
  type ConfigInput,
  createProxy,
  definePlugin,
  ListenError,
  type Proxy as Sluice,
} from "../src/index.ts";
import { listeningSockets } from "./support/listening.ts";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { configOf } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder } from "./support/sluice.ts";
import { timed, until } from "./support/wait.ts";

const portOf = (address: string | undefined): number => Number(address?.split(":").at(-1));
const says = async (proxy: Sluice): Promise<string> => (await exchange(portOf(proxy.addresses[0]), request("/"))).body;
const saying = (body: string): ConfigInput => configOf({ routes: [{ respond: { body } }] });

/** What a promise is rejected with. */
async function failure(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error("it was fulfilled");
}

test("addresses: in the order of the configuration, with the ports that were chosen", async () => {
  using folder = new Folder();
  const socket = `unix:${join(folder.path, "s.sock")}`;
  const listeners = ["127.0.0.1:0", "127.0.0.1:0", "[::1]:0", socket, ":0"].map((address) => ({ address }));
  const proxy = await createProxy(configOf({ listeners, routes: [{ respond: { body: "ok" } }] }));
  const { addresses } = proxy;
  expect(addresses).toEqual([
    expect.stringMatching(/^127\.0\.0\.1:[1-9]\d*$/),
    expect.stringMatching(/^127\.0\.0\.1:[1-9]\d*$/),
    expect.stringMatching(/^\[::1\]:[1-9]\d*$/),
    socket,
    expect.stringMatching(/^:[1-9]\d*$/),
  ]);
  expect(new Set(addresses).size).toBe(5);
  for (const at of [0, 1, 4]) expect((await exchange(portOf(addresses[at]), request("/"))).body).toBe("ok");
  expect((await exchange(socket.slice(5), request("/"))).body).toBe("ok");
  await proxy.close();
  expect(existsSync(socket.slice(5))).toBe(false);
});

describe("reload", () => {
  test("swaps the plan under an open connection, and keeps the port", async () => {
    const proxy = await createProxy(saying("one"));
    const [address] = proxy.addresses;
    await using client = await Peer.connect(portOf(address));
    expect((await client.send(request("/")).response()).body).toBe("one");
    await proxy.reload(saying("two"));
    expect(proxy.addresses).toEqual([address!]);
    expect((await client.send(request("/")).response()).body).toBe("two");
    await proxy.close();
  });

  test("opens and closes listeners", async () => {
    const listeners = [{ address: "127.0.0.1:0" }];
    const config = (count: number) =>
      configOf({
        listeners: Array.from({ length: count }, () => listeners[0]!),
        routes: [{ respond: { body: "ok" } }],
      });
    const proxy = await createProxy(config(1));
    await proxy.reload(config(2));
    const second = portOf(proxy.addresses[1]);
    expect((await exchange(second, request("/"))).body).toBe("ok");
    await proxy.reload(config(1));
    expect(proxy.addresses).toHaveLength(1);
    await expect(Peer.connect(second)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await proxy.close();
  });

  test("what is not valid rejects with its place, and things go on", async () => {
    const proxy = await createProxy(saying("one"));
    await using taken = await RawBackend.answering(() => answer(200));
    const wrong: readonly (readonly [config: ConfigInput, path: string])[] = [
      [configOf({ routes: [{ to: "nowhere" }] }), "routes.0.to"],
      [{ ...saying("x"), surprise: 1 } as ConfigInput, "surprise"],
      [configOf({ routes: [{ rewrite: { path: "/a", regex: ["b", "c"] }, to: "http://a" }] }), "routes.0.rewrite"],
      [
        configOf({
          routes: [
            { name: "a", respond: {} },
            { name: "a", respond: {} },
          ],
        }),
        "routes.1.name",
      ],
    ];
    for (const [config, path] of wrong) {
      const error = await failure(proxy.reload(config));
      expect(error).toBeInstanceOf(ConfigError);
      expect((error as ConfigError).diagnostics[0]?.path.join(".")).toStartWith(path);
      expect(await failure(createProxy(config))).toBeInstanceOf(ConfigError);
    }
    const busy = configOf({
      listeners: [{ address: "127.0.0.1:0" }, { address: `127.0.0.1:${taken.port}` }],
      routes: [{ respond: {} }],
    });
    for (const attempt of [proxy.reload(busy), createProxy(busy)]) {
      const error = await failure(attempt);
      expect(error).toBeInstanceOf(ListenError);
      expect(error).toMatchObject({ code: "EADDRINUSE", address: `127.0.0.1:${taken.port}` });
    }
    expect(proxy.addresses).toHaveLength(1);
    expect(await says(proxy)).toBe("one");
    await proxy.close();
  });

  test("several at once follow one another; the last one stays", async () => {
    const proxy = await createProxy(saying("0"));
    const bad = configOf({ routes: [{ to: "nowhere" }] });
    const results = await Promise.allSettled(
      [saying("1"), bad, saying("2"), saying("3")].map((config) => proxy.reload(config)),
    );
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
    expect(await says(proxy)).toBe("3");
    await proxy.close();
  });
});

describe("close", () => {
  test("answers what is in flight first", async () => {
    const release = Promise.withResolvers<void>();
    await using backend = await RawBackend.answering(() => release.promise.then(() => answer(200, "slow")));
    const proxy = await createProxy(configOf({ shutdown: { drain: "20s" }, routes: [{ to: backend.url }] }));
    const port = portOf(proxy.addresses[0]);
    await using client = await Peer.connect(port);
    client.send(request("/"));
    await backend.received(1);
    const closing = proxy.close();
    await until(() => listeningSockets(port).length === 0, "nobody to listen");
    release.resolve();
    const got = await client.response();
    expect([got.body, got.field("connection")]).toEqual(["slow", "close"]);
    client.close();
    await closing;
  });

  test("cuts what is left after the drain time", async () => {
    await using backend = await RawBackend.answering(() => null);
    const proxy = await createProxy(configOf({ shutdown: { drain: "300ms" }, routes: [{ to: backend.url }] }));
    await using client = await Peer.connect(portOf(proxy.addresses[0]));
    client.send(request("/"));
    await backend.received(1);
    const took = await timed(() => proxy.close());
    expect(took).toBeGreaterThanOrEqual(290);
    expect(took).toBeLessThan(3000);
    await client.end();
  });

  test("a second time is the same end; a reload after it is refused", async () => {
    const proxy = await createProxy(saying("one"));
    const [address] = proxy.addresses;
    await Promise.all([proxy.close(), proxy.close()]);
    await proxy.close();
    expect(String(await failure(proxy.reload(saying("two"))))).toContain("stopping");
    await expect(Peer.connect(portOf(address))).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  test("a program that has closed its proxy ends by itself", async () => {
    const program = `
      import { createProxy } from ${JSON.stringify(join(import.meta.dir, "../src/index.ts"))};
      const proxy = await createProxy({ listeners: [{ address: "127.0.0.1:0" }], routes: [{ respond: { body: "ok" } }] });
      console.log(await (await fetch("http://" + proxy.addresses[0])).text());
      await proxy.close();`;
    const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "inherit" });
    expect([await new Response(child.stdout).text(), await child.exited]).toEqual(["ok\n", 0]);
  });
});

test("several proxies in one program know nothing of each other, but for their loops", async () => {
  const one = await createProxy(saying("one"));
  const two = await createProxy(
    configOf({
      routes: [{ match: { path: "/loop" }, to: `http://${one.addresses[0]}` }, { respond: { body: "two" } }],
    }),
  );
  expect([await says(one), await says(two)]).toEqual(["one", "two"]);
  await using taken = await RawBackend.answering(() => answer(200));
  expect(
    await failure(createProxy(configOf({ listeners: [{ address: two.addresses[0]! }], routes: [{ respond: {} }] }))),
  ).toBeInstanceOf(ListenError);
  expect((await exchange(portOf(two.addresses[0]), request("/loop"))).status).toBe(508);
  await one.reload(configOf({ routes: [{ to: taken.url }] }));
  await two.close();
  expect((await exchange(portOf(one.addresses[0]), request("/"))).status).toBe(200);
  await one.close();
});

test("plugins are the program's own objects", async () => {
  const seen: string[] = [];
  const plugin = definePlugin({
    name: "watch",
    async request(x) {
      await Promise.resolve();
      seen.push(x.request.target);
      return x.request.target === "/no" ? x.respond(403, "no") : undefined;
    },
    response(x) {
      x.response.setHeader("x-served-by", x.server?.name ?? "nobody");
    },
  });
  await using backend = await RawBackend.answering(() => answer(200, "yes"));
  const proxy = await createProxy(configOf({ routes: [{ use: [plugin], to: backend.url }] }));
  const port = portOf(proxy.addresses[0]);
  const [yes, no] = [await exchange(port, request("/yes")), await exchange(port, request("/no"))];
  expect([yes.status, yes.body, yes.field("x-served-by")]).toEqual([200, "yes", `127.0.0.1:${backend.port}`]);
  expect([no.status, no.body]).toEqual([403, "no"]);
  expect(seen).toEqual(["/yes", "/no"]);
  await proxy.reload(configOf({ routes: [{ to: backend.url }] }));
  expect((await exchange(port, request("/no"))).status).toBe(200);
  expect(seen).toHaveLength(2);
  await proxy.close();
});
