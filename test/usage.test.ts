// What consumers have used, as operators see it: metered by several workers, kept over restarts and kills.
import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { RedisServer } from "../src/state/redis-server.testing.ts";
import { request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { exactness } from "./support/quota-rig.ts";
import { Folder, runConfig, SluiceProcess, sluice } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const keyOf = (name: string): string => `key-of-${name}-that-nobody-guesses`;
const consumer = (name: string, more: object) => ({
  ...more,
  credentials: [{ apiKey: `sha256:${createHash("sha256").update(keyOf(name)).digest("hex")}` }],
});
const ROUTE = { auth: { apiKey: { header: "x-api-key", consumers: true } }, quota: true };
const CONFIG = {
  listeners: [{ address: "127.0.0.1:0" }],
  workers: 2,
  shutdown: { drain: "20ms" },
  plans: { gold: { quota: "10/month" }, free: { quota: "1000/month" }, few: { quota: "2/month" } },
  consumers: {
    ann: consumer("ann", { plan: "gold" }),
    bob: consumer("bob", { plan: "free" }),
    cat: consumer("cat", { plan: "few" }),
  },
  routes: [
    { name: "api", match: { path: "/api" }, ...ROUTE, respond: { body: "12345" } },
    { name: "bad", match: { path: "/bad" }, ...ROUTE, respond: { status: 503 } },
    { name: "open", respond: { body: "" } },
  ],
};

interface Item {
  readonly requests: number;
  readonly bytesOut: number;
  readonly units: number;
}

async function ask(proxy: SluiceProcess, path: string, name: string, count: number): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < count; i += 1)
    found.push((await exchange(proxy.port(), request(path, name === "" ? [] : [`x-api-key: ${keyOf(name)}`]))).status);
  return found;
}

const usageOf = async (proxy: SluiceProcess, query: string): Promise<Item[]> =>
  ((await proxy.admin("GET", `/api/usage?${query}`)).body as { usage: Item[] }).usage;

test("what two workers have metered is asked for in several forms, and outlives the process", async () => {
  using folder = new Folder();
  const posted: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    async fetch(asked) {
      posted.push(await asked.text());
      return new Response();
    },
  });
  const webhooks = [{ url: `http://127.0.0.1:${server.port}/`, secret: "a secret of twenty letters" }];
  const config = { ...CONFIG, storage: folder.path, usage: { thresholds: ["50%", "100%"], webhooks } };
  await using first = await runConfig(folder, config);
  expect(await ask(first, "/api", "ann", 12)).toEqual([...Array.from({ length: 10 }, () => 200), 429, 429]);
  await Promise.all([ask(first, "/api", "bob", 3), ask(first, "/bad", "bob", 2), ask(first, "/", "", 4)]);
  const group = "group=consumer,status&by=month";
  await until(async () => (await usageOf(first, group)).length === 5, "all of it");
  const month = new Date().toISOString().slice(0, 7);
  expect(await usageOf(first, group)).toMatchObject([
    { time: month, status: "2xx", requests: 4, units: 0 },
    { time: month, consumer: "ann", status: "2xx", requests: 10, bytesOut: 50, units: 10, errors: 0 },
    { time: month, consumer: "ann", status: "4xx", requests: 2, units: 0, errors: 2 },
    { time: month, consumer: "bob", status: "2xx", requests: 3, bytesOut: 15, units: 3 },
    { time: month, consumer: "bob", status: "5xx", requests: 2, units: 2, errors: 2 },
  ]);
  expect(await usageOf(first, "consumer=bob&route=api&group=")).toMatchObject([{ requests: 3 }]);
  const { body: csv } = await first.admin("GET", "/api/usage?format=csv&by=hour&consumer=ann&group=consumer");
  expect(csv).toMatch(/^time,consumer,.*\r\n\d{4}-\d\d-\d\dT\d\d:00Z,ann,,,,12,2,0,\d+,10,0,0,[\d.]+\r\n/);
  const { body: metrics } = await first.admin("GET", "/api/usage?format=openmetrics&group=consumer");
  expect(metrics).toContain('sluice_usage_requests_total{consumer="ann"} 12\n');
  for (const wrong of ["by=year", "from=yesterday", "format=xml", "group=colour", "colour=red", "consumer=a&user=b"])
    expect([wrong, (await first.admin("GET", `/api/usage?${wrong}`)).status]).toEqual([wrong, 400]);
  expect((await first.admin("GET", "/api/usage?format=openmetrics&by=day")).status).toBe(400);
  const told = () => posted.map((text) => JSON.parse(text).data).map(({ consumer, share }) => `${consumer} ${share}`);
  await until(() => posted.length === 2, "both thresholds");
  expect(told().sort()).toEqual(["ann 100", "ann 50"]);
  const admin = ["--admin", first.adminUrl.replace("http://", "")];
  const { out } = await sluice(["usage", ...admin, "--by", "month", "--consumer", "ann"]);
  expect(out).toMatch(
    /^time +who +route +requests +errors +units +tokens +bytes +mean ms\n\S+ +ann +api +12 +2 +10 +0 /,
  );

  first.signal("SIGTERM");
  await first.exited;
  await using second = await runConfig(folder, config);
  expect(await ask(second, "/api", "ann", 1)).toEqual([429]);
  await until(async () => (await usageOf(second, "consumer=ann&group="))[0]?.requests === 13, "what was there before");
  // Nobody is told twice of what he has been told: whoever comes after it is the next.
  await ask(second, "/api", "cat", 1);
  await until(() => posted.length > 2, "another one's threshold");
  expect(told().slice(2)).toEqual(["cat 50"]);
  void server.stop(true);
}, 30_000);

test("a process that is killed forgets next to nothing of quotas and usage", async () => {
  const found = await exactness({ requests: 8000, consumers: 20, quota: 360, atOnce: 4, perSecond: 6000 });
  expect(found.passed + found.refused + found.unanswered).toBe(8000);
  expect(found.refused).toBeGreaterThan(0);
  expect(found.lostSeconds).toBeLessThan(1);
  expect(found.beyondSeconds).toBeLessThan(1);
}, 30_000);

test("machines count plans together, those of consumers with limits of their own too", async () => {
  using folder = new Folder();
  await using redis = await RedisServer.start();
  const config = {
    ...CONFIG,
    admin: { address: "127.0.0.1:0" },
    cluster: { redis: redis.url },
    usage: false,
    plans: { gold: { quota: "100/month" } },
    consumers: {
      ann: consumer("ann", { plan: "gold" }),
      bob: consumer("bob", { plan: "gold", limits: { quota: "40/month" } }),
    },
  };
  const run = (name: string) => SluiceProcess.start(["run", "-c", folder.write(`${name}.json`, config)]);
  const [one, other] = await Promise.all([run("a"), run("b")]);
  await using a = one;
  await using b = other;
  const passed = async (name: string, count: number): Promise<number> => {
    const both = await Promise.all([ask(a, "/api", name, count), ask(b, "/api", name, count)]);
    return both.flat().filter((status) => status === 200).length;
  };
  expect(await passed("ann", 80)).toBeWithin(97, 103);
  expect(await passed("bob", 40)).toBeWithin(38, 43);
}, 30_000);
