// Hits from the disk tier in the whole program: `bun bench/disk-hits.bench.ts [entries] [folder] [entries at a start]`;
// what is 0 is left out. CPU for each request beside nginx with proxy_cache in the same run, alternately, over random
// ones of 100,000 entries of 10 KB that the system has in memory; and the time from the start of the program to the
// first answer, and to the first from the disk, with a million entries there.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Body } from "../src/cache/body.ts";
import { DiskCache } from "../src/cache/disk-cache.ts";
import { DiskStore } from "../src/cache/disk-store.ts";
import { DiskTier } from "../src/cache/disk-tier.ts";
import { Entry } from "../src/cache/entry.ts";
import { storedHead } from "../src/engines/cache/stored-head.ts";
import { NO_VARY } from "../src/engines/cache/vary.ts";
import { ResponseHead } from "../src/http/message.ts";
import { findProgram } from "../tools/debian.ts";
import { type Child, freePort, runAndCleanUp, startChild, startGenerator, waitUntilServing } from "./child.ts";
import { nginxCommand, nginxFrame } from "./peers/nginx.ts";
import { allowedCores, cpuSeconds } from "./proc.ts";

const entries = Number(process.argv[2] ?? 100_000);
const folder = mkdtempSync(join(process.argv[3] ?? tmpdir(), "sluice-disk-hits-"));
const atStart = Number(process.argv[4] ?? 1_000_000);
const [proxyCore = 0, loadCore = 0] = allowedCores();
const BODY = "body ".repeat(2048);
const ROUNDS = 5;
const SECONDS = 4;
const SIZE = "40GB";
/** Far less than the entries take: nearly every hit is one of the disk. */
const MEMORY = "16MB";
const HOST = "bench.example";
const PROGRAM = join(import.meta.dir, "../bin/sluice");

interface Server {
  readonly name: string;
  readonly child: Child;
  readonly port: number;
}

const origin = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: () => new Response(BODY, { headers: { "cache-control": "max-age=86400", "content-type": "text/html" } }),
});

function configOf(port: number, path: string): unknown {
  const cache = { memory: MEMORY, disk: { path, size: SIZE } };
  const to = `http://127.0.0.1:${origin.port}`;
  const listeners = [{ address: `127.0.0.1:${port}` }];
  return { listeners, workers: 1, admin: false, routes: [{ name: "bench", cache, to }] };
}

function startSluice(path: string): Server {
  const port = freePort();
  const directory = join(folder, `sluice-${port}`);
  mkdirSync(directory);
  writeFileSync(join(directory, "sluice.json"), JSON.stringify(configOf(port, path)));
  const child = startChild("sluice", [PROGRAM, "run", "-c", "sluice.json"], { core: proxyCore, directory });
  return { name: "sluice", child, port };
}

function startNginx(): Server {
  const port = freePort();
  const directory = join(folder, "nginx");
  mkdirSync(directory);
  const http = `
  proxy_cache_path ${directory}/cache levels=1:2 keys_zone=bench:100m max_size=40g inactive=1d use_temp_path=off;
  upstream origin { server 127.0.0.1:${origin.port}; keepalive 64; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_cache bench;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_pass http://origin;
    }
  }`;
  writeFileSync(join(directory, "nginx.conf"), nginxFrame(directory, { connections: 1024, http }));
  const child = startChild("nginx", nginxCommand(directory), { core: proxyCore, directory });
  return { name: "nginx", child, port };
}

/** Requests through wrk: each path once with `count`, else random ones for some seconds. Answers with how many. */
async function load(port: number, seconds: number, count: number | null): Promise<number> {
  const script = join(folder, "paths.lua");
  const next = count === null ? `math.random(0, ${entries - 1})` : "i";
  writeFileSync(
    script,
    `local i = -1
wrk.headers["Host"] = "${HOST}"
request = function()
  i = i + 1
  return wrk.format("GET", "/products/" .. (${next} % ${entries}))
end
done = function(summary) print("requests " .. summary.requests .. " " .. summary.errors.status) end`,
  );
  const wrk = findProgram("wrk") ?? "wrk";
  const url = `http://127.0.0.1:${port}`;
  const child = startGenerator([wrk, "-t1", "-c32", `-d${seconds}s`, "-s", script, url], loadCore);
  const output = await new Response(child.stdout).text();
  const [, requests, errors] = /^requests (\d+) (\d+)$/m.exec(output) ?? [];
  if (requests === undefined || errors !== "0") throw new Error(`wrk: ${output}`);
  return Number(requests);
}

async function compareHits(): Promise<void> {
  const servers = [startSluice(join(folder, "cache")), startNginx()];
  for (const { child, name, port } of servers) await waitUntilServing(child, name, `http://127.0.0.1:${port}/`);
  for (const { name, port } of servers) {
    let asked = 0;
    while (asked < entries * 1.05) asked += await load(port, 5, entries);
    console.log(`${name}: ${asked} requests to fill it`);
  }
  const samples = new Map<string, number[]>(servers.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS * 2; round += 1) {
    const { name, child, port } = servers[round % 2]!;
    const before = cpuSeconds(child.pid);
    const requests = await load(port, SECONDS, null);
    const micros = ((cpuSeconds(child.pid) - before) / requests) * 1e6;
    samples.get(name)!.push(micros);
    console.log(`${name}: ${micros.toFixed(1)} µs of CPU for each of ${requests} requests`);
  }
  const [sluice = 0, nginx = 0] = [...samples.values()].map((all) => all.toSorted((a, b) => a - b)[ROUNDS >> 1]!);
  console.log(
    `median: sluice ${sluice.toFixed(1)} µs, nginx ${nginx.toFixed(1)} µs, ${(sluice / nginx).toFixed(2)} times`,
  );
  for (const { child } of servers) await child.stop();
}

/** Stores entries as the program would, without it. */
async function fillFolder(path: string): Promise<void> {
  const tier = await DiskTier.start({ path, bytesMax: 40 * 2 ** 30, onTrouble: console.error });
  const store = new DiskStore(tier.share, tier.connect());
  while (!tier.stats().ready) await Bun.sleep(1);
  const disk = new DiskCache(store);
  const now = Date.now();
  const head = new ResponseHead();
  head.status = 200;
  head.headers.add("Cache-Control", "max-age=86400");
  head.headers.add("Content-Type", "text/html");
  const stored = storedHead(head, [], BODY.length, now);
  const times = { freshUntil: now + 864e5, bornAt: now, refreshUntil: 0, errorUntil: 0, downUntil: 0 };
  const more = { mayBeStale: true, immutable: false };
  const variant = { rule: NO_VARY, key: "", encoding: "", language: "" };
  const body = Body.of([Buffer.from(BODY)]);
  const stamp = { slot: 0, count: 0, purges: 0, disk: 0 };
  const extra = `bench\nhttp://127.0.0.1:${origin.port}\n`;
  const entry = new Entry(extra, variant, [], stamp, { ...times, ...more }, stored, body);
  for (let i = 0; i < atStart; i += 1) {
    disk.put(`http\n${HOST}\n/products/${i}\n`, entry, now);
    if (i % 1000 === 999) await store.flushed();
  }
  await store.flushed();
  console.log(`${tier.stats().entries} entries in the folder`);
  store.close();
  await tier.close();
}

async function timeStart(path: string): Promise<void> {
  const { child, port } = startSluice(path);
  const from = performance.now();
  let first = 0;
  for (let i = 1; ; i += 1) {
    const answer = await fetch(`http://127.0.0.1:${port}/products/${(i * 7919) % atStart}`, {
      headers: { host: HOST },
    }).catch(() => null);
    await answer?.arrayBuffer();
    if (answer !== null && first === 0) first = performance.now() - from;
    if (answer?.headers.get("cache-status") === "sluice; hit") break;
    await Bun.sleep(2);
  }
  const hit = performance.now() - from;
  console.log(`${first.toFixed(0)} ms to the first answer, ${hit.toFixed(0)} ms to the first from the disk`);
  await child.stop();
}

await runAndCleanUp(async () => {
  try {
    if (entries > 0) await compareHits();
    if (atStart > 0) {
      const path = join(folder, "large");
      await fillFolder(path);
      for (let round = 0; round < 3; round += 1) await timeStart(path);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
    origin.stop(true);
  }
  return 0;
});
