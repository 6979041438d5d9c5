// Worker threads that end under load: only their connections notice.
import { describe, expect, test } from "bun:test";
import { listeningSockets } from "./support/listening.ts";
import { LoadProcess } from "./support/load.ts";
import { request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { Folder, SluiceProcess as Process, runConfig, type SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const CONNECTIONS = 40;
/** The longest that a worker may be missing. */
const REPLACED_MS = 1000;

/** Two workers; `/crash` arms a timer that throws in the worker that serves it. */
const CRASHING = `import { defineConfig, definePlugin } from "sluice";
const bomb = definePlugin({
  name: "bomb",
  request(x) {
    setTimeout(() => { throw new Error("boom"); }, 1);
    return x.respond(202);
  },
});
export default defineConfig({
  listeners: [{ address: "127.0.0.1:0" }], admin: { address: "127.0.0.1:0" }, workers: 2,
  routes: [{ name: "crash", match: { path: "/crash" }, use: [bomb], respond: {} }, { name: "ok", respond: { body: "ok" } }],
});`;

const loadOn = (port: number): LoadProcess =>
  new LoadProcess({
    port,
    connections: CONNECTIONS,
    requests: [{ text: request("/"), answers: { 200: ["^ok$"] } }],
    pauseMs: 1,
    reconnect: true,
  });

const OK = 'sluice_requests_total{route="ok",method="GET",code="200"}';
const RESTARTS = "sluice_worker_restarts_total";

/** Milliseconds until all workers are ready and one of them is a new one. */
async function replaced(proxy: SluiceProcess, restarts: number): Promise<number> {
  const from = performance.now();
  await until(async () => {
    const { workers } = await proxy.status();
    const sum = workers.reduce((total, worker) => total + worker.restarts, 0);
    return sum === restarts && workers.length === 2 && workers.every(({ state }) => state === "ready");
  }, `${restarts} replaced workers`);
  return performance.now() - from;
}

/** Watches the counters until `over`: none of them may ever go back. */
async function watchCounters(proxy: SluiceProcess, over: () => boolean): Promise<readonly string[]> {
  const wentBack: string[] = [];
  let before = new Map<string, number>();
  while (!over()) {
    const now = await proxy.metrics();
    for (const [name, value] of before) {
      if (!/_(?:total|count|sum|bucket)\b/.test(name) || /cpu/.test(name)) continue;
      if ((now.get(name) ?? -1) < value) wentBack.push(`${name}: ${value} → ${now.get(name)}`);
    }
    before = now;
  }
  return wentBack;
}

describe("one of two workers under load", () => {
  const ENDS: readonly (readonly [name: string, end: (proxy: SluiceProcess) => Promise<void>])[] = [
    [
      "ends by an exception that nobody caught",
      async (proxy) => {
        expect((await exchange(proxy.port(), request("/crash"))).status).toBe(202);
        await proxy.said(/a worker ended; it is replaced .*boom/);
      },
    ],
    [
      "is ended through the admin API",
      async (proxy) => {
        expect((await proxy.admin("POST", "/api/workers/1/restart")).status).toBe(202);
        await proxy.said("a worker was ended; it is replaced worker=1");
      },
    ],
  ];
  for (const [name, end] of ENDS)
    test(name, async () => {
      using folder = new Folder();
      await using proxy = await Process.start(["run", "-c", folder.write("sluice.config.ts", CRASHING)]);
      const sockets = listeningSockets(proxy.port());
      await using load = loadOn(proxy.port());
      const served = async (): Promise<number> => (await proxy.metrics()).get(OK) ?? 0;
      await until(async () => (await served()) > 500, "the load");
      let over = false;
      const counters = watchCounters(proxy, () => over);
      await end(proxy);
      const took = await replaced(proxy, 1);
      const after = await served();
      await until(async () => (await served()) > after + 500, "the load to go on");
      over = true;
      expect(await counters).toEqual([]);
      const report = await load.stop();
      expect(report.failures).toEqual([]); // no wrong answer, and none that was cut off and taken for a whole one
      expect(report.refused).toBe(0);
      expect(report.ended).toBeGreaterThan(0);
      expect(report.ended).toBeLessThan(CONNECTIONS); // those of the other worker did not notice
      expect(took).toBeLessThan(REPLACED_MS);
      expect((await proxy.metrics()).get(RESTARTS)).toBe(1);
      const now = listeningSockets(proxy.port());
      expect(now).toHaveLength(2);
      expect(now.filter((inode) => sockets.includes(inode))).toHaveLength(1);
      expect((await proxy.admin("GET", "/readyz")).status).toBe(200);
    });
});

test("a worker that keeps crashing is waited for longer and longer, and serves again in the end", async () => {
  using folder = new Folder();
  const config = folder.write("sluice.config.ts", CRASHING.replace("workers: 2", "workers: 1"));
  await using proxy = await Process.start(["run", "-c", config]);
  for (let crash = 1; crash <= 4; crash += 1) {
    await until(async () => (await proxy.status()).workers[0]?.state === "ready", "a worker");
    await exchange(proxy.port(), request("/crash"));
    await until(async () => (await proxy.metrics()).get(RESTARTS) === crash, `crash ${crash}`);
    if (crash > 1)
      expect(await proxy.admin("GET", "/readyz")).toMatchObject({
        status: 503,
        body: { reasons: ["no worker accepts connections"] },
      });
  }
  const delays = [...proxy.err.matchAll(/a worker ended.* delayMs=(\d+)/g)].map((match) => Number(match[1]));
  expect(delays).toEqual([0, 250, 500, 1000]);
  await until(async () => (await proxy.status()).workers[0]?.state === "ready", "a worker");
  expect((await exchange(proxy.port(), request("/"))).body).toBe("ok");
});

test("a replacement has the configuration of the last reload, its unix socket and its port", async () => {
  using folder = new Folder();
  const socket = `${folder.path}/s.sock`;
  const config = (body: string) => ({
    listeners: [{ address: `unix:${socket}` }, { address: "127.0.0.1:0" }],
    admin: { address: "127.0.0.1:0" },
    workers: 2,
    routes: [{ respond: { body } }],
  });
  await using proxy = await runConfig(folder, config("one"));
  folder.write("sluice.json", config("two"));
  expect((await proxy.reload()).status).toBe(200);
  folder.write("sluice.json", config("three")); // not in use
  for (const id of [0, 1]) {
    expect((await proxy.admin("POST", `/api/workers/${id}/restart`)).status).toBe(202);
    await replaced(proxy, id + 1);
  }
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, i) => exchange(i % 2 === 0 ? socket : proxy.port(1), request("/"))),
  );
  expect(new Set(answers.map(({ body }) => body))).toEqual(new Set(["two"]));
  expect((await proxy.admin("POST", "/api/workers/7/restart")).status).toBe(404);
});

test("a promise that a plugin forgot ends nothing", async () => {
  using folder = new Folder();
  const forgetful = CRASHING.replace(/setTimeout\(.*\n/, 'Promise.reject(new Error("forgotten"));\n');
  await using proxy = await Process.start(["run", "-c", folder.write("sluice.config.ts", forgetful)]);
  expect((await exchange(proxy.port(), request("/crash"))).status).toBe(202);
  await proxy.said(/a promise was rejected and nobody looked .*forgotten/);
  expect((await exchange(proxy.port(), request("/"))).body).toBe("ok");
  expect((await proxy.metrics()).get(RESTARTS)).toBe(0);
});

test("what the configuration's module throws in the main thread ends nothing", async () => {
  using folder = new Folder();
  const stray = `import { isMainThread } from "node:worker_threads";
    if (isMainThread) {
      setTimeout(() => { throw new Error("stray"); }, 1);
      void Promise.reject(new Error("lost"));
    }
    ${CRASHING}`;
  await using proxy = await Process.start(["run", "-c", folder.write("sluice.config.ts", CRASHING)]);
  folder.write("sluice.config.ts", stray);
  expect((await proxy.reload()).status).toBe(200);
  await proxy.said(/nobody caught in the main thread .*stray/);
  await proxy.said(/nobody caught in the main thread .*lost/);
  expect((await exchange(proxy.port(), request("/"))).body).toBe("ok");
});

test("a replacement that meets changed plugins on disk says so", async () => {
  using folder = new Folder();
  await using proxy = await Process.start(["run", "-c", folder.write("sluice.config.ts", CRASHING)]);
  await proxy.admin("POST", "/api/workers/0/restart");
  await replaced(proxy, 1);
  expect(proxy.err).not.toContain("changed on disk");
  folder.write("sluice.config.ts", `${CRASHING}// changed`);
  await proxy.admin("POST", "/api/workers/0/restart");
  await proxy.said("the configuration has changed on disk");
  await replaced(proxy, 2);
});
