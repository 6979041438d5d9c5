// One scenario: all its peers, in alternating rounds.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Backend, cachingProblem, compressionProblem, forwardingProblem } from "./backend.ts";
import { freePort } from "./child.ts";
import { firewallProblem } from "./firewall.ts";
import { affordableConnections, weighIdle } from "./idle.ts";
import { runLoad } from "./load.ts";
import { type Peer, type RunningPeer, speaks, writeCertificate } from "./peer.ts";
import { cpuSeconds, residentBytes } from "./proc.ts";
import { publicFolder as folderOfFiles } from "./public-folder.ts";
import { type LoadSample, type Sample, type ScenarioResult, summarise } from "./results.ts";
import type { IdleScenario, LoadScenario, Speech } from "./scenario.ts";

export interface Bench {
  readonly directory: string;
  readonly backend: Backend;
  readonly proxyCore: number;
  readonly loadCore: number;
  readonly rounds: number;
  readonly seconds: number;
  readonly log: (line: string) => void;
}

interface Collected {
  readonly rounds: Sample[];
  problem: string | null;
}

/** What peers are told where a scenario says nothing. */
const PLAIN: Speech = {
  layer: 7,
  tls: false,
  protocol: "http/1.1",
  grpc: false,
  gzip: 0,
  files: false,
  cache: false,
  waf: false,
};
/** Before the first round: long enough for just-in-time compilers to have done their work. */
const WARM_UP_SECONDS = 3;

/** Measures every peer in every round, starting each round with another peer, so that drift hits all alike. */
export async function measure(
  bench: Bench,
  scenario: LoadScenario | IdleScenario,
  candidates: readonly Peer[],
): Promise<ScenarioResult> {
  const peers = candidates.filter((peer) => speaks(peer, scenario.kind === "load" ? scenario : PLAIN));
  const collected = new Map<string, Collected>(peers.map((peer) => [peer.name, { rounds: [], problem: null }]));
  if (scenario.kind === "load") await measureLoad(bench, scenario, peers, collected);
  else await measureIdle(bench, scenario, peers, collected);
  const count = [...collected.values()].flatMap(({ rounds }) => rounds).find((sample) => sample.kind === "idle");
  const title =
    scenario.kind === "idle" && count !== undefined && count.connections < scenario.connections
      ? `${count.connections.toLocaleString("en")} idle keep-alive connections (the limit of open files allows no more)`
      : scenario.title;
  return summarise({ name: scenario.name, title }, collected);
}

async function measureLoad(
  bench: Bench,
  scenario: LoadScenario,
  peers: readonly Peer[],
  collected: ReadonlyMap<string, Collected>,
): Promise<void> {
  const running = new Map<Peer, RunningPeer>();
  for (const peer of peers) {
    await attempt(bench, peer, collected, async () => {
      const started = await start(bench, peer, scenario.connections * scenario.streams, scenario);
      running.set(peer, started);
      const problem = await problemOf(scenario, started.port);
      if (problem !== null) throw new Error(problem);
      await runLoad(scenario, started.port, { ...loadOptions(bench), seconds: WARM_UP_SECONDS });
    });
  }
  for (let round = 0; round < bench.rounds; round += 1) {
    for (const peer of rotated(peers, round)) {
      const { rounds, problem } = collected.get(peer.name)!;
      if (problem !== null) continue;
      await attempt(bench, peer, collected, async () => {
        const sample = await sampleLoad(bench, scenario, running.get(peer)!);
        rounds.push(sample);
        bench.log(`${scenario.name} ${round + 1}/${bench.rounds} ${peer.name}: ${describe(sample)}`);
      });
    }
  }
  await Promise.all([...running.values()].map((peer) => peer.stop()));
}

/** Whether a peer does the work that is measured; what is wrong, or null. */
async function problemOf(scenario: LoadScenario, port: number): Promise<string | null> {
  const { layer, tls, grpc, files, cache, gzip, waf, path } = scenario;
  if (waf) return firewallProblem(port);
  if (cache) {
    const problem = await cachingProblem(port, path);
    if (problem !== null) return problem;
  } else if (layer === 7 && !tls && !grpc && !files) {
    const problem = await forwardingProblem(port);
    if (problem !== null) return problem;
  }
  return gzip > 0 ? compressionProblem(port, path) : null;
}

async function sampleLoad(bench: Bench, scenario: LoadScenario, peer: RunningPeer): Promise<LoadSample> {
  const asked = scenario.cache ? await bench.backend.requests() : 0;
  const before = cpuSeconds(peer.pid);
  const load = await runLoad(scenario, peer.port, loadOptions(bench));
  const cpu = cpuSeconds(peer.pid) - before;
  if (load.requests === 0) throw new Error("not one request was answered");
  const passed = scenario.cache ? (await bench.backend.requests()) - asked - 1 : 0;
  if (passed > 0) throw new Error(`${passed} requests reached the backend`);
  // The generator counts bytes as they come, so unfinished answers may add to them but never take away.
  const short = load.bytes < load.requests * scenario.answerBytes;
  return {
    kind: "load",
    cpuMicros: (cpu / load.requests) * 1e6,
    requestsPerSecond: load.requests / load.seconds,
    p50Ms: load.p50Ms,
    p99Ms: load.p99Ms,
    residentBytes: residentBytes(peer.pid),
    busy: cpu / load.seconds,
    errors: load.errors + (short ? 1 : 0),
  };
}

async function measureIdle(
  bench: Bench,
  scenario: IdleScenario,
  peers: readonly Peer[],
  collected: ReadonlyMap<string, Collected>,
): Promise<void> {
  const connections = affordableConnections(scenario.connections);
  for (let round = 0; round < bench.rounds; round += 1) {
    for (const peer of rotated(peers, round)) {
      const { rounds, problem } = collected.get(peer.name)!;
      if (problem !== null) continue;
      await attempt(bench, peer, collected, async () => {
        // Fresh each time: freed memory would hide the cost.
        const started = await start(bench, peer, connections, PLAIN);
        try {
          const memory = await weighIdle(started, { core: bench.loadCore, connections });
          rounds.push({ kind: "idle", ...memory });
          const kilobytes = (memory.bytesPerConnection / 1024).toFixed(2);
          bench.log(`${scenario.name} ${round + 1}/${bench.rounds} ${peer.name}: ${kilobytes} KB per connection`);
        } finally {
          await started.stop();
        }
      });
    }
  }
}

/** One peer that fails spoils its own row and nothing else. */
async function attempt(
  bench: Bench,
  peer: Peer,
  collected: ReadonlyMap<string, Collected>,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await work();
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    collected.get(peer.name)!.problem = problem;
    bench.log(`${peer.name}: ${problem}`);
  }
}

let startCount = 0;

async function start(bench: Bench, peer: Peer, connections: number, speech: Speech): Promise<RunningPeer> {
  startCount += 1;
  const directory = join(bench.directory, `${peer.name}-${startCount}`);
  mkdirSync(directory);
  const { layer, tls, protocol, grpc, gzip, files, cache, waf } = speech;
  const { backend, proxyCore: core } = bench;
  const ports = { port: freePort(), backendPort: grpc ? backend.grpcPort : backend.port };
  if (tls) writeCertificate(directory);
  const publicFolder = files ? folderOfFiles(bench.directory) : "";
  const own = { ...ports, publicFolder, core, directory, connections };
  return peer.start({ ...own, layer, tls, protocol, grpc, gzip, files, cache, waf });
}

function loadOptions(bench: Bench): { core: number; seconds: number; directory: string } {
  return { core: bench.loadCore, seconds: bench.seconds, directory: bench.directory };
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const first = by % Math.max(1, items.length);
  return [...items.slice(first), ...items.slice(0, first)];
}

function describe(sample: LoadSample): string {
  const errors = sample.errors > 0 ? `, ${sample.errors} ERRORS` : "";
  const busy = `${Math.round(sample.busy * 100)} % of its core`;
  return `${sample.cpuMicros.toFixed(1)} µs CPU, ${Math.round(sample.requestsPerSecond)}/s, ${busy}${errors}`;
}
