// Three times what the servers can do: what they can do is done, the rest hears so quickly, and nothing piles up.

import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { Fleet } from "./support/fleet.ts";
import { MixedLoadProcess, type MixReport, SLICE_MS } from "./support/mixed-load.ts";
import type { SluiceProcess } from "./support/sluice.ts";

const SLOTS = 5;
const WORK_MS = 25;
const SERVERS = 3;
const CAPACITY = (SERVERS * SLOTS * 1000) / WORK_MS;
const QUEUE_TIMEOUT_MS = 200;
/** The wheel's tick, the two ways, and a busy machine. */
const MARGIN_MS = 200;
const BUDGET = 0.2;
const WARM_UP_MS = 1000;
const HALF_MS = 3000;

const megabytesOf = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

/** Mean of several looks: the collector's steps are no growth. */
async function meanMegabytes(proxy: SluiceProcess, ms: number): Promise<number> {
  const looks: number[] = [];
  for (const end = performance.now() + ms; performance.now() < end; await Bun.sleep(50))
    looks.push(megabytesOf(proxy.pid));
  return looks.reduce((sum, each) => sum + each, 0) / looks.length;
}

/** Answers of a status between two moments. */
function between(report: MixReport, status: string, fromMs: number, toMs: number): number {
  const slices = report.slices[status] ?? [];
  return slices.slice(fromMs / SLICE_MS, toMs / SLICE_MS).reduce((sum, each) => sum + each, 0);
}

test("goodput stays at the capacity, memory is flat, and the excess is answered 503 quickly", async () => {
  await using fleet = await Fleet.start(SERVERS, { slots: SLOTS, latencyMs: WORK_MS });
  // Two for each slot: the next request is there when one is done.
  await using proxy = await fleet.proxy({
    limits: { connections: 2 * SLOTS, queue: 64, queueTimeout: `${QUEUE_TIMEOUT_MS}ms` },
    balance: "least-connections",
  });
  await using load = new MixedLoadProcess({ port: proxy.port(), rate: 3 * CAPACITY, connections: 2000 });
  await Bun.sleep(WARM_UP_MS);
  const first = await meanMegabytes(proxy, HALF_MS);
  const second = await meanMegabytes(proxy, HALF_MS);
  const report = await load.stop();
  const end = WARM_UP_MS + 2 * HALF_MS;
  const goodput = (between(report, "200", WARM_UP_MS, end) / (end - WARM_UP_MS)) * 1000;
  expect(Object.keys(report.answers).sort()).toEqual(["GET 200", "GET 503"]);
  expect(report.sent).toBeGreaterThan(2.7 * CAPACITY * (end / 1000));
  expect(goodput).toBeGreaterThanOrEqual(0.9 * CAPACITY);
  expect(second - first).toBeLessThan(Math.max(12, 0.05 * first));
  expect(report.latencies["503"]!.p99).toBeLessThan(QUEUE_TIMEOUT_MS + MARGIN_MS);
  // Who is served has waited no longer than that, and then was worked for.
  expect(report.latencies["200"]!.p99).toBeLessThan(QUEUE_TIMEOUT_MS + 2 * WORK_MS + MARGIN_MS);
  const admitted = report.answers["GET 200"]!;
  expect(fleet.journal.count("GET")).toBeLessThanOrEqual(admitted * (1 + BUDGET));
  expect(fleet.journal.count("GET")).toBeGreaterThanOrEqual(admitted);
}, 30_000);

test("limits.adaptive finds out how much the servers can take", async () => {
  await using fleet = await Fleet.start(SERVERS, { slots: SLOTS, latencyMs: WORK_MS });
  await using proxy = await fleet.proxy({
    limits: { adaptive: true, queue: 64, queueTimeout: `${QUEUE_TIMEOUT_MS}ms` },
    balance: "least-connections",
  });
  await using load = new MixedLoadProcess({ port: proxy.port(), rate: 3 * CAPACITY, connections: 4000 });
  await Bun.sleep(WARM_UP_MS + HALF_MS);
  const report = await load.stop();
  const goodput = (between(report, "200", WARM_UP_MS, WARM_UP_MS + HALF_MS) / HALF_MS) * 1000;
  expect(goodput).toBeGreaterThanOrEqual(0.9 * CAPACITY);
  // With the 512 for each server that may be under way otherwise, it would be 2.5 s.
  expect(report.latencies["200"]!.p50).toBeLessThan(1000);
}, 30_000);

test("with the defaults for everything, goodput stays at the capacity too", async () => {
  await using fleet = await Fleet.start(SERVERS, { slots: SLOTS, latencyMs: WORK_MS });
  await using proxy = await fleet.proxy();
  await using load = new MixedLoadProcess({ port: proxy.port(), rate: 3 * CAPACITY, connections: 6000 });
  await Bun.sleep(4000);
  const report = await load.stop();
  const goodput = (between(report, "200", 1000, 4000) / 3000) * 1000;
  expect(goodput).toBeGreaterThanOrEqual(0.9 * CAPACITY);
}, 30_000);

test("retries add no more than their budget, however much fails", async () => {
  await using fleet = await Fleet.start(SERVERS, { status: 503 });
  await using proxy = await fleet.proxy({ outlier: false });
  const SECONDS = 4;
  const report = await fleet.underLoad(proxy, () => Bun.sleep(SECONDS * 1000), { rate: 1200, connections: 500 });
  expect(report.answers).toEqual({ "GET 503": report.sent });
  // Beyond the share, each of the two workers has ten to begin with and three a second.
  const most = report.sent * (1 + BUDGET) + 2 * (10 + 3 * (SECONDS + 1));
  expect(fleet.journal.count("GET")).toBeLessThanOrEqual(most);
  expect(fleet.journal.count("GET")).toBeGreaterThan(report.sent * (1 + BUDGET / 2));
}, 30_000);
