// Bans and denied addresses outlive the process, are shared between machines, and can be lifted.
import { expect, test } from "bun:test";
import { join } from "node:path";
import { RedisServer } from "../src/state/redis-server.testing.ts";
import { request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { Folder, runConfig, type SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const config = (folder: Folder, more: Readonly<Record<string, unknown>>) => ({
  trustedProxies: ["127.0.0.1"],
  listeners: [{ address: "127.0.0.1:0" }],
  workers: 2,
  routes: [
    {
      name: "login",
      match: { path: "/login" },
      bans: { rules: [{ on: 401, count: 2, for: "1h", scope: "route", key: ["ip", "header:x-user"] }] },
      respond: { status: 401 },
    },
    { name: "site", match: { path: "/site/*" }, bans: { honeypots: ["/site/trap"] }, files: { root: folder.path } },
    { name: "other", respond: { body: "ok" } },
  ],
  ...more,
});

const ask = async (proxy: SluiceProcess, target: string, ip: string, user = "ann"): Promise<number> =>
  (await exchange(proxy.port(), request(target, [`x-forwarded-for: ${ip}`, `x-user: ${user}`]))).status;

interface Listed {
  readonly bans: readonly { readonly id: string; readonly scope: string; readonly key: Record<string, string> }[];
  readonly total: number;
}
const listed = async (proxy: SluiceProcess): Promise<Listed> => (await proxy.admin("GET", "/api/bans")).body as Listed;
const call = async (proxy: SluiceProcess, method: string, path: string, body?: unknown): Promise<number> =>
  (
    await fetch(`${proxy.adminUrl}${path}`, {
      method,
      headers: { connection: "close", "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  ).status;

/** Ann is banned from the login, 192.0.2.7 everywhere, and 198.51.100.0/24 is denied. */
async function ban(proxy: SluiceProcess): Promise<void> {
  const seen: number[] = [];
  for (let i = 0; i < 3; i += 1) seen.push(await ask(proxy, "/login", "192.0.2.1"));
  expect(seen).toEqual([401, 401, 429]);
  expect(await ask(proxy, "/site/trap", "192.0.2.7")).toBe(404);
  await until(async () => (await listed(proxy)).total === 2, "two bans");
  expect(await call(proxy, "POST", "/api/access/deny", { address: "198.51.100.0/24", reason: "test" })).toBe(201);
}

async function expectBanned(proxy: SluiceProcess): Promise<void> {
  const tries = [
    ["/login", "192.0.2.1", "ann"],
    ["/login", "192.0.2.1", "bob"],
    ["/", "192.0.2.7", "ann"],
    ["/", "198.51.100.9", "ann"],
    ["/", "192.0.2.9", "ann"],
  ] as const;
  const seen: number[] = [];
  for (const [target, ip, user] of tries) seen.push(await ask(proxy, target, ip, user));
  expect(seen).toEqual([429, 401, 403, 403, 200]);
}

test("a ban and a denial outlive a program that is killed", async () => {
  using folder = new Folder();
  const kept = config(folder, { storage: join(folder.path, "storage") });
  {
    await using proxy = await runConfig(folder, kept);
    await ban(proxy);
    proxy.signal("SIGKILL");
    await proxy.exited;
  }
  await using proxy = await runConfig(folder, kept);
  await expectBanned(proxy);
  const { bans } = await listed(proxy);
  expect(bans.map(({ scope, key }) => [scope, key])).toEqual([
    ["everywhere", { ip: "192.0.2.7" }],
    ["route", { ip: "192.0.2.1", "header:x-user": "ann" }],
  ]);
  expect((await proxy.admin("GET", "/api/bans?last=x")).status).toBe(400);
  expect(await call(proxy, "DELETE", "/api/bans/none")).toBe(404);
  for (const { id } of bans) expect(await call(proxy, "DELETE", `/api/bans/${id}`)).toBe(200);
  expect((await listed(proxy)).total).toBe(0);
  // What led to the ban is forgotten too: there are two tries again.
  expect([await ask(proxy, "/login", "192.0.2.1"), await ask(proxy, "/login", "192.0.2.1")]).toEqual([401, 401]);
  expect([await ask(proxy, "/", "192.0.2.7"), await ask(proxy, "/site/none", "192.0.2.7")]).toEqual([200, 404]);
  expect(await ask(proxy, "/", "198.51.100.9")).toBe(403);
}, 20_000);

test("machines share bans and denials, also those made while their store was away", async () => {
  using folder = new Folder();
  using second = new Folder();
  let redis = await RedisServer.start();
  try {
    const shared = (own: Folder) => config(own, { cluster: { redis: redis.url } });
    await using a = await runConfig(folder, shared(folder));
    await using b = await runConfig(second, shared(second));
    await ban(a);
    await until(async () => (await listed(b)).total === 2, "the bans on the other machine");
    await until(async () => (await ask(b, "/", "198.51.100.9")) === 403, "the denial on the other machine");
    await expectBanned(b);
    const id = (await listed(b)).bans.find(({ scope }) => scope === "route")!.id;
    expect(await call(b, "DELETE", `/api/bans/${id}`)).toBe(200);
    await until(async () => (await ask(a, "/login", "192.0.2.1")) === 401, "the end of the ban where it was made");
    // The store comes back empty, with the machines' bans told to it anew.
    const { port } = redis;
    await redis[Symbol.asyncDispose]();
    expect(await call(a, "POST", "/api/access/deny", { address: "203.0.113.5" })).toBe(201);
    expect(await ask(b, "/", "192.0.2.7")).toBe(403);
    redis = await RedisServer.start(port);
    await until(async () => (await ask(b, "/", "203.0.113.5")) === 403, "what was denied meanwhile");
    expect([await ask(a, "/", "192.0.2.7"), await ask(b, "/", "198.51.100.9")]).toEqual([403, 403]);
  } finally {
    await redis[Symbol.asyncDispose]();
  }
}, 30_000);
