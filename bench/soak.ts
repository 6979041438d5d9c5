// bun bench/soak.ts: millions of requests through one worker while its resident memory is watched.
// Fails when memory at the end is above 100 MB, or more than 5 % above what it was half-way.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureDebianPackages } from "../tools/debian.ts";
import { BACKEND_PACKAGES, startBackend } from "./backend.ts";
import { freePort, runAndCleanUp, temporaryDirectory } from "./child.ts";
import { GENERATORS, runLoad } from "./load.ts";
import { writeCertificate } from "./peer.ts";
import { PEERS } from "./peers.ts";
import { allowedCores, residentBytes } from "./proc.ts";
import { publicFolder } from "./public-folder.ts";
import { type LoadScenario, SCENARIOS } from "./scenario.ts";

const MEGABYTE = 1024 * 1024;
const RESIDENT_BYTES_MAX = 100 * MEGABYTE;
const GROWTH_MAX = 0.05;
/** wrk counts time, not requests: slices this long keep the overshoot of a sample small. */
const SLICE_SECONDS_MAX = 20;

/** Memory after so many requests. */
export interface MemoryPoint {
  readonly requests: number;
  readonly residentBytes: number;
}

/** What is wrong with a series of samples, or null. Half-way is the first sample at or after half of the requests. */
export function memoryProblem(series: readonly MemoryPoint[]): string | null {
  const end = series.at(-1);
  if (end === undefined) return "no sample was taken";
  const half = series.find((point) => point.requests >= end.requests / 2)!;
  const growth = end.residentBytes / half.residentBytes - 1;
  const size = (bytes: number) => `${(bytes / MEGABYTE).toFixed(1)} MB`;
  if (end.residentBytes > RESIDENT_BYTES_MAX) return `${size(end.residentBytes)} resident at the end, above 100 MB`;
  if (growth <= GROWTH_MAX) return null;
  const range = `from ${size(half.residentBytes)} to ${size(end.residentBytes)}`;
  return `resident memory grew ${(growth * 100).toFixed(1)} % in the second half, ${range}`;
}

if (import.meta.main) await runAndCleanUp(soak);

/** @returns 0 when memory stayed within its limits and no request failed, else 1. */
async function soak(): Promise<number> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({ options: { requests: text, every: text, scenario: text, peer: text } });
  const wanted = Number(values.requests ?? 10_000_000);
  const every = Number(values.every ?? Math.max(1, Math.round(wanted / 10)));
  const peer = PEERS.find(({ name }) => name === (values.peer ?? "sluice"));
  const scenario = SCENARIOS.find(({ name }) => name === (values.scenario ?? "small"));
  const [proxyCore, loadCore] = allowedCores();
  if (!(wanted > 0) || !(every > 0) || peer === undefined || scenario?.kind !== "load") {
    console.error("Usage: bun bench/soak.ts [--requests N] [--every N] [--scenario NAME] [--peer NAME]");
    return 2;
  }
  if (proxyCore === undefined || loadCore === undefined) throw new Error("two cores are needed");
  const { packages } = GENERATORS[scenario.protocol];
  await ensureDebianPackages([...BACKEND_PACKAGES, ...packages, ...peer.packages, ...(peer.layer4 ?? [])]);
  const directory = join(temporaryDirectory(), "peer");
  mkdirSync(directory);
  const backend = await startBackend(temporaryDirectory(), loadCore);
  if (scenario.tls) writeCertificate(directory);
  const { connections, layer, tls, protocol, grpc, gzip, files, cache, waf } = scenario;
  const backendPort = grpc ? backend.grpcPort : backend.port;
  const ports = { port: freePort(), backendPort };
  const running = await peer.start({
    ...ports,
    layer,
    tls,
    protocol,
    grpc,
    gzip,
    files,
    cache,
    waf,
    publicFolder: files ? publicFolder(directory) : "",
    core: proxyCore,
    directory,
    connections,
  });
  const series: MemoryPoint[] = [{ requests: 0, residentBytes: residentBytes(running.pid) }];
  print(series[0]!);
  while (series.at(-1)!.requests < wanted) {
    const done = series.at(-1)!.requests;
    const requests = await loadUntil(scenario, running.port, done, Math.min(wanted, done + every), loadCore);
    const point = { requests, residentBytes: residentBytes(running.pid) };
    series.push(point);
    print(point);
  }
  const problem = memoryProblem(series);
  console.log(problem === null ? "ok: memory stayed within its limits" : `FAILED: ${problem}`);
  return problem === null ? 0 : 1;
}

/**
 * Sends requests until so many have been answered, counting from `done`.
 *
 * @returns the new count, a little above the target.
 * @throws Error when a request failed.
 */
async function loadUntil(scenario: LoadScenario, port: number, done: number, target: number, core: number) {
  const directory = temporaryDirectory();
  let [requests, perSecond] = [done, 20_000];
  while (requests < target) {
    const seconds = Math.min(SLICE_SECONDS_MAX, Math.max(1, Math.floor((target - requests) / perSecond)));
    const load = await runLoad(scenario, port, { core, seconds, directory });
    if (load.errors > 0) throw new Error(`${load.errors} requests failed after ${requests}`);
    if (load.requests === 0) throw new Error(`no request was answered after ${requests}`);
    requests += load.requests;
    perSecond = load.requests / load.seconds;
  }
  return requests;
}

function print(point: MemoryPoint): void {
  const requests = point.requests.toLocaleString("en").padStart(12);
  console.log(`${requests} requests  ${(point.residentBytes / MEGABYTE).toFixed(1).padStart(7)} MB resident`);
}
