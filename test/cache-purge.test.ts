// What operators and unsafe requests have forgotten, in all workers.
import { expect, test } from "bun:test";
import { answer, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, type SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

interface Worker {
  readonly addresses: number;
  readonly bytes: number;
}

/** Answers GET with its target, kept for a minute, with tags of its query. */
const backend = (): Promise<RawBackend> =>
  RawBackend.answering(({ method, target }) =>
    method === "GET"
      ? answer(200, target, [
          "Cache-Control: max-age=60, stale-while-revalidate=60",
          `Surrogate-Key: all ${target.split("?")[1] ?? ""}`,
        ])
      : answer(204),
  );

const run = (folder: Folder, app: RawBackend, cache: unknown = { tags: "surrogate-key" }): Promise<SluiceProcess> =>
  runConfig(folder, {
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 2,
    shutdown: { drain: "20ms" },
    routes: [{ name: "app", cache, to: app.url }],
  });

const stored = async (proxy: SluiceProcess): Promise<readonly Worker[]> =>
  ((await proxy.admin("GET", "/api/cache")).body as { workers: Worker[] }).workers;

const ask = async (proxy: SluiceProcess, target: string): Promise<string> =>
  (await exchange(proxy.port(), request(target))).field("cache-status") ?? "";

/** Asks for these until every worker has all of them. */
async function fillBoth(proxy: SluiceProcess, targets: readonly string[]): Promise<void> {
  await until(async () => {
    for (const target of targets) for (let i = 0; i < 8; i += 1) await ask(proxy, target);
    return (await stored(proxy)).every(({ addresses }) => addresses === targets.length);
  }, "both workers to have stored all");
}

/** Whether every one of these requests, which meet both workers, is a hit, or none is at first. */
async function hits(proxy: SluiceProcess, target: string, count = 16): Promise<number> {
  let hit = 0;
  for (let i = 0; i < count; i += 1) if ((await ask(proxy, target)) === "sluice; hit") hit += 1;
  return hit;
}

const TARGETS = ["/a/1?x", "/a/2?y", "/b?x"];

const CASES: readonly (readonly [purge: unknown, purged: number, kept: readonly string[]])[] = [
  [{ url: "http://app.example/a/1?x" }, 2, ["/a/2?y", "/b?x"]],
  [{ url: "http://app.example/a/1" }, 0, TARGETS],
  [{ url: "http://other.example/b?x" }, 0, TARGETS],
  [{ prefix: "http://app.example/a/" }, 4, ["/b?x"]],
  [{ tag: "x" }, 4, ["/a/2?y"]],
  [{ tag: "z" }, 0, TARGETS],
  [{ all: true }, 6, []],
];

async function purge(proxy: SluiceProcess, what: unknown): Promise<number> {
  const response = await fetch(`${proxy.adminUrl}/api/cache/purge`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(what),
  });
  return ((await response.json()) as { purged: number }).purged;
}

test("a purge reaches all workers, and takes nothing else", async () => {
  using folder = new Folder();
  await using app = await backend();
  await using proxy = await run(folder, app);
  for (const [what, purged, kept] of CASES) {
    await fillBoth(proxy, TARGETS);
    expect([what, await purge(proxy, what)]).toEqual([what, purged]);
    for (const target of TARGETS) {
      const before = app.requests.length;
      await hits(proxy, target);
      const asked = app.requests.length - before;
      if (kept.includes(target)) expect([what, target, asked]).toEqual([what, target, 0]);
      else expect(asked).toBeGreaterThan(0);
    }
  }
}, 30_000);

test("a soft purge leaves what is stored to be given out stale", async () => {
  using folder = new Folder();
  await using app = await backend();
  await using proxy = await run(folder, app);
  await fillBoth(proxy, ["/a"]);
  const before = app.requests.length;
  expect(await purge(proxy, { all: true, soft: true })).toBe(2);
  expect(await hits(proxy, "/a")).toBe(16);
  await until(() => app.requests.length > before, "one of the workers to fetch it anew");
  await hits(proxy, "/a");
  expect(app.requests.length).toBe(before + 1);
});

test("an unsafe request is seen by all workers, before its answer is", async () => {
  using folder = new Folder();
  let version = 1;
  await using app = await RawBackend.answering(({ method }) => {
    if (method === "POST") version += 1;
    return answer(200, `${version}`, ["Cache-Control: max-age=60"]);
  });
  await using proxy = await run(folder, app);
  for (let round = 0; round < 10; round += 1) {
    if (round === 0) await fillBoth(proxy, ["/a"]);
    await exchange(proxy.port(), request("/a", [], "POST"));
    for (let i = 0; i < 16; i += 1) expect((await exchange(proxy.port(), request("/a"))).body).toBe(`${version}`);
  }
  expect(app.requests.length).toBeLessThanOrEqual(1 + 10 * 3); // one request or one of each worker, after each change
}, 20_000);

test("a reload keeps what is stored; metrics, the log and the API say what it did", async () => {
  using folder = new Folder();
  await using app = await backend();
  await using proxy = await run(folder, app);
  await fillBoth(proxy, ["/a"]);
  expect((await proxy.reload()).status).toBe(200);
  expect(await hits(proxy, "/a")).toBe(16);
  await until(async () => ((await proxy.metrics()).get("sluice_cache_addresses") ?? 0) === 2, "the gauges");
  const metrics = await proxy.metrics();
  expect(metrics.get('sluice_cache_requests_total{route="app",result="miss"}')).toBe(2);
  expect(metrics.get('sluice_cache_requests_total{route="app",result="hit"}')).toBeGreaterThan(16);
  const bytes = (await stored(proxy)).reduce((sum, worker) => sum + worker.bytes, 0);
  expect(metrics.get("sluice_cache_bytes")).toBe(bytes);
});
