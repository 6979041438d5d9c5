// Limits over several machines that share Redis, and quotas that outlive the process.
import { describe, expect, test } from "bun:test";
import { RedisServer } from "../src/state/redis-server.testing.ts";
import { type Message, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { Folder, SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const limit = (path: string, rateLimit: unknown) => ({ name: path.slice(1), match: { path }, rateLimit, respond: {} });

const ROUTES = [
  limit("/quota", { quota: "100/day", key: "header:x-user" }),
  limit("/small", { quota: "10/day", key: "header:x-user" }),
  limit("/rate", { rate: "50/s", burst: 10, key: "header:x-user" }),
  limit("/own", { quota: "3/day", key: "header:x-user", scope: "machine" }),
  limit("/allow", { quota: "3/day", key: "header:x-user", onStoreError: "allow" }),
  limit("/deny", { quota: "3/day", key: "header:x-user", onStoreError: "deny" }),
  limit("/both", [
    { name: "a", quota: "20/day", key: "header:x-user" },
    { name: "b", quota: "2/day", key: "header:x-user" },
  ]),
];

function run(folder: Folder, name: string, more: Readonly<Record<string, unknown>>): Promise<SluiceProcess> {
  const file = folder.write(`${name}.json`, {
    admin: { address: "127.0.0.1:0" },
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 2,
    shutdown: { drain: "20ms" },
    routes: ROUTES,
    ...more,
  });
  return SluiceProcess.start(["run", "-c", file]);
}

const ask = (proxy: SluiceProcess, path: string, user: string): Promise<Message> =>
  exchange(proxy.port(), request(path, [`x-user: ${user}`]));

/** How many of `count` requests, so many at a time to each proxy in turn, are let through. */
async function passed(proxies: readonly SluiceProcess[], path: string, user: string, count: number): Promise<number> {
  const AT_ONCE = 10;
  let found = 0;
  for (let sent = 0; sent < count; sent += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - sent) }, (_, i) =>
      ask(proxies[i % proxies.length]!, path, user),
    );
    for (const { status } of await Promise.all(some)) if (status === 200) found += 1;
  }
  return found;
}

describe("two machines with Redis", () => {
  test("share limits, go on by themselves without it, and share again", async () => {
    using folder = new Folder();
    const redis = await RedisServer.start();
    await using a = await run(folder, "a", { cluster: { redis: redis.url } });
    await using b = await run(folder, "b", { cluster: { redis: redis.url } });
    // A quota that is asked for at both at once, and one that is used up at one.
    expect(await passed([a, b], "/quota", "u1", 300)).toBeWithin(98, 103);
    expect(await passed([a], "/small", "u1", 15)).toBe(10);
    expect(await passed([b], "/small", "u1", 15)).toBeLessThanOrEqual(2);
    expect(await passed([a], "/own", "u1", 5)).toBe(3);
    expect(await passed([b], "/own", "u1", 5)).toBe(3);
    // What a limit took of requests that another one refused is there again.
    expect(await passed([a], "/both", "u1", 40)).toBe(2);
    const refused = (await b.admin("GET", "/api/limits?top=2")).body as { refused: number }[];
    expect(refused).toHaveLength(2);
    expect(refused[0]).toMatchObject({ client: "127.0.0.1", limit: "default", route: "quota" });
    expect(refused[0]!.refused).toBeWithin(50, 151);
    expect((await b.admin("GET", "/api/limits?top=0")).status).toBe(400);
    // Ten times a rate, for a while.
    const from = performance.now();
    let through = 0;
    while (performance.now() - from < 1500) through += await passed([a, b], "/rate", "u1", 40);
    const due = 10 + ((performance.now() - from) / 1000) * 50;
    expect(through).toBeWithin(due * 0.9, due * 1.05);

    await redis[Symbol.asyncDispose]();
    const away = async (): Promise<boolean> =>
      (await a.metrics()).get("sluice_limit_outages_total") === 1 &&
      (await b.metrics()).get("sluice_limit_outages_total") === 1;
    await until(async () => {
      await Promise.all([ask(a, "/quota", "u9"), ask(b, "/quota", "u9")]);
      return await away();
    }, "the outage");
    expect(await passed([a], "/small", "u2", 15)).toBe(10);
    expect(await passed([b], "/small", "u2", 15)).toBe(10);
    expect(await passed([a], "/small", "u1", 15)).toBe(0);
    expect(await passed([a], "/allow", "u2", 10)).toBe(10);
    expect(await passed([a], "/deny", "u2", 10)).toBe(0);

    await using _again = await RedisServer.start(redis.port);
    await until(async () => (await passed([a], "/deny", "u3", 1)) === 1, "the store");
    await until(async () => (await passed([b], "/deny", "u4", 1)) === 1, "the store");
    // What was let through meanwhile counts, but for one request of each machine.
    expect(await passed([a, b], "/small", "u2", 10)).toBeLessThanOrEqual(2);
    expect(await passed([a], "/small", "u3", 15)).toBe(10);
    expect(await passed([b], "/small", "u3", 15)).toBeLessThanOrEqual(2);
  }, 60_000);

  test("a store that hangs does not hold up anybody", async () => {
    using folder = new Folder();
    await using redis = await RedisServer.start();
    await using a = await run(folder, "a", { cluster: { redis: redis.url } });
    expect(await passed([a], "/small", "u1", 4)).toBe(4);
    redis.hang();
    const from = performance.now();
    expect(await passed([a], "/small", "u1", 6)).toBeGreaterThan(0);
    expect(await passed([a], "/small", "u2", 15)).toBe(10);
    expect(performance.now() - from).toBeLessThan(2000);
  }, 20_000);
});

test("a quota outlives kill -9, less what was counted in the last second", async () => {
  using folder = new Folder();
  const storage = `${folder.path}/kept`;
  {
    await using proxy = await run(folder, "a", { storage });
    expect(await passed([proxy], "/quota", "u1", 70)).toBe(70);
    await Bun.sleep(1300); // it is written once a second
    expect(await passed([proxy], "/quota", "u1", 10)).toBe(10);
    proxy.signal("SIGKILL");
    await proxy.exited;
  }
  await using proxy = await run(folder, "a", { storage });
  expect(await passed([proxy], "/quota", "u1", 100)).toBeWithin(20, 31);
  expect(await passed([proxy], "/quota", "u2", 110)).toBe(100);
}, 30_000);
