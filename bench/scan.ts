// bun bench/scan.ts: many different addresses, each asked for once, as a crawler does, while the resident memory of the
// process is watched. It is compared with that of a process that fetches as much and stores next to
// nothing, in a cache of a megabyte. Fails when the cache takes more than a tenth above what it may.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureDebianPackages } from "../tools/debian.ts";
import { BACKEND_PACKAGES, type Backend, startBackend } from "./backend.ts";
import { freePort, runAndCleanUp, temporaryDirectory } from "./child.ts";
import { GENERATORS } from "./load.ts";
import { sluice } from "./peers/sluice.ts";
import { allowedCores, residentBytes } from "./proc.ts";
import { type LoadScenario, SCENARIOS } from "./scenario.ts";
import { luaScript, runWrkScript } from "./wrk.ts";

const MEGABYTE = 1024 * 1024;
const OVER_MAX = 0.1;
const SLICE_SECONDS = 20;
const SAMPLE_MS = 250;

if (import.meta.main) await runAndCleanUp(scan);

/** @returns 0 when memory stayed within its limit and no request failed, else 1. */
async function scan(): Promise<number> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ options: { urls: text, memory: text } });
  const [urls, memory] = [Number(values.urls ?? 10_000_000), Number(values.memory ?? 256)];
  const [proxyCore, loadCore] = allowedCores();
  if (!(urls > 0) || !(memory > 0)) {
    console.error("Usage: bun bench/scan.ts [--urls N] [--memory MEGABYTES]");
    return 2;
  }
  if (proxyCore === undefined || loadCore === undefined) throw new Error("two cores are needed");
  await ensureDebianPackages([...BACKEND_PACKAGES, ...GENERATORS["http/1.1"].packages]);
  const backend = await startBackend(temporaryDirectory(), loadCore);
  const without = await highest(backend, 1, urls, [proxyCore, loadCore]);
  const withCache = await highest(backend, memory, urls, [proxyCore, loadCore]);
  const taken = (withCache - without) / MEGABYTE;
  const over = taken > memory * (1 + OVER_MAX);
  console.log(`${taken.toFixed(1)} MB for a cache of ${memory} MB: ${over ? "FAILED" : "ok"}`);
  return over ? 1 : 0;
}

/** The most resident memory during a scan, in bytes; `memory` is that of the cache, in megabytes. */
async function highest(
  backend: Backend,
  memory: number,
  urls: number,
  [core, loadCore]: readonly [number, number],
): Promise<number> {
  const scenario = SCENARIOS.find(({ name }) => name === "cache-1k") as LoadScenario;
  const directory = join(temporaryDirectory(), `cache-${memory}`);
  mkdirSync(directory);
  const { connections, layer, tls, protocol, grpc, gzip, files } = scenario;
  const speech = { layer, tls, protocol, grpc, gzip, files, cache: true, waf: false };
  const ports = { port: freePort(), backendPort: backend.port };
  const own = { ...ports, core, directory, connections, publicFolder: "", cacheMegabytes: memory };
  const running = await sluice.start({ ...speech, ...own });
  let most = 0;
  const sampler = setInterval(() => {
    most = Math.max(most, residentBytes(running.pid));
  }, SAMPLE_MS);
  let done = 0;
  while (done < urls) {
    const options = { core: loadCore, seconds: SLICE_SECONDS, directory: temporaryDirectory() };
    const load = await runWrkScript(scanScript(scenario, done, urls - done), scenario, running.port, options);
    if (load.errors > 0 || load.requests === 0) throw new Error(`${load.errors} requests failed after ${done}`);
    done += load.requests + connections; // those under way at the end have been sent
    const megabytes = (residentBytes(running.pid) / MEGABYTE).toFixed(1);
    console.log(`${done.toLocaleString("en").padStart(12)} addresses  ${megabytes.padStart(7)} MB resident`);
  }
  clearInterval(sampler);
  await running.stop();
  console.log(`at most ${(most / MEGABYTE).toFixed(1)} MB with a cache of ${memory} MB`);
  return most;
}

/** Each request has another address, from this number on; wrk stops when it has sent enough. */
function scanScript(scenario: LoadScenario, from: number, count: number): string {
  return `${luaScript(scenario)}
local sent = ${from}
request = function()
  sent = sent + 1
  if sent > ${from + count} then wrk.thread:stop() end
  return wrk.format(nil, "/scan/products/item-" .. sent .. ".html")
end
`;
}
