// Purges reach the other machines that share state: two instances with a store in files, and with Redis.
import { describe, expect, test } from "bun:test";
import { RedisServer } from "../src/state/redis-server.testing.ts";
import { answer, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const backend = (): Promise<RawBackend> =>
  RawBackend.answering(({ target }) =>
    answer(200, target, ["Cache-Control: max-age=60", "Surrogate-Key: t", "Connection: close"]),
  );

type Shared = Readonly<Record<string, unknown>>;

function run(folder: Folder, name: string, app: RawBackend, shared: Shared): Promise<SluiceProcess> {
  const file = folder.write(`${name}.json`, {
    admin: { address: "127.0.0.1:0" },
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 2,
    shutdown: { drain: "20ms" },
    routes: [{ cache: { tags: "surrogate-key" }, to: app.url }],
    ...shared,
  });
  return SluiceProcess.start(["run", "-c", file]);
}

const ask = async (proxy: SluiceProcess, target: string): Promise<string> =>
  (await exchange(proxy.port(), request(target))).field("cache-status") ?? "";

/** Asks until a hit comes, and then some more, so that all workers have it. */
async function fill(proxy: SluiceProcess, target: string): Promise<void> {
  for (let i = 0; i < 12; i += 1) await ask(proxy, target);
  expect(await ask(proxy, target)).toBe("sluice; hit");
}

async function purge(proxy: SluiceProcess, what: unknown): Promise<{ purged: number; others?: string }> {
  const response = await fetch(`${proxy.adminUrl}/api/cache/purge`, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify(what),
  });
  return (await response.json()) as { purged: number; others?: string };
}

/** Waits for a purge to be carried out: the server has been asked again. */
const asked = (app: RawBackend, proxy: SluiceProcess, target: string, before: number): Promise<void> =>
  until(async () => {
    await ask(proxy, target);
    return app.requests.length > before;
  }, "the purge of another machine");

/** A place that both share, in files or in Redis. */
const STORES: readonly (readonly [name: string, start: (folder: Folder) => Promise<Shared & AsyncDisposable>])[] = [
  ["files", async ({ path }) => ({ storage: path, async [Symbol.asyncDispose]() {} })],
  [
    "Redis",
    async () => {
      const redis = await RedisServer.start();
      return { cluster: { redis: redis.url }, [Symbol.asyncDispose]: () => redis[Symbol.asyncDispose]() };
    },
  ],
];

for (const [name, start] of STORES)
  describe(`with state in ${name}`, () => {
    test("purges of every kind reach the other machine, from both", async () => {
      using folder = new Folder();
      await using shared = await start(folder);
      await using app = await backend();
      await using a = await run(folder, "a", app, shared);
      await using b = await run(folder, "b", app, shared);
      const CASES: readonly (readonly [from: SluiceProcess, to: SluiceProcess, what: unknown])[] = [
        [a, b, { url: "http://app.example/x/1" }],
        [b, a, { prefix: "http://app.example/x/" }],
        [a, b, { tag: "t" }],
        [b, a, { all: true }],
        [a, b, { all: true, soft: true }],
      ];
      for (const [from, to, what] of CASES) {
        await fill(from, "/x/1");
        await fill(to, "/x/1");
        const before = app.requests.length;
        const done = await purge(from, what);
        expect(done.others).toBe("told");
        expect(done.purged).toBeGreaterThan(0);
        await asked(app, to, "/x/1", before);
      }
    }, 30_000);

    test("a machine that starts later hears of later purges, and needs none of the earlier ones", async () => {
      using folder = new Folder();
      await using shared = await start(folder);
      await using app = await backend();
      await using a = await run(folder, "a", app, shared);
      await purge(a, { all: true });
      await using b = await run(folder, "b", app, shared);
      await fill(b, "/x");
      const before = app.requests.length;
      await purge(a, { url: "http://app.example/x" });
      await asked(app, b, "/x", before);
    }, 20_000);
  });

test("while Redis is away purges are kept, and told when it is back", async () => {
  using folder = new Folder();
  let redis = await RedisServer.start();
  const { port } = redis;
  const shared = { cluster: { redis: redis.url } };
  await using app = await backend();
  await using a = await run(folder, "a", app, shared);
  await using b = await run(folder, "b", app, shared);
  await fill(a, "/x");
  await fill(b, "/x");
  await redis[Symbol.asyncDispose]();
  const before = app.requests.length;
  expect((await purge(a, { url: "http://app.example/x" })).others).toBe("later");
  redis = await RedisServer.start(port);
  await using again = redis;
  expect(again.port).toBe(port);
  await asked(app, b, "/x", before);
}, 30_000);

test("a machine with a disk that was away does not give out what was purged meanwhile", async () => {
  using folder = new Folder();
  await using app = await backend();
  const shared = { storage: folder.path };
  await using a = await run(folder, "a", app, shared);
  const disk = { tags: "surrogate-key", disk: { path: `${folder.path}/disk`, size: "64MB" } };
  const own = { ...shared, routes: [{ cache: disk, to: app.url }] };
  const start = (): Promise<SluiceProcess> => run(folder, "b", app, own);
  {
    await using b = await start();
    for (const target of ["/kept", "/purged"]) await fill(b, target);
    b.signal("SIGTERM");
    await b.exited;
  }
  expect((await purge(a, { url: "http://app.example/purged" })).others).toBe("told");
  const before = app.requests.length;
  await using again = await start();
  await until(async () => (await ask(again, "/kept")) === "sluice; hit", "what is on the disk");
  expect(app.requests.length).toBe(before);
  await ask(again, "/purged");
  expect(app.requests.length).toBe(before + 1);
}, 30_000);

test("without shared state a purge is for this machine, and says nothing of others", async () => {
  using folder = new Folder();
  await using app = await backend();
  await using proxy = await runConfig(folder, {
    listeners: [{ address: "127.0.0.1:0" }],
    routes: [{ cache: true, to: app.url }],
  });
  expect(await purge(proxy, { all: true })).toEqual({ purged: 0 });
});
