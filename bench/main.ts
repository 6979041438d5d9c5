// npm run bench: what a request costs, side by side with other proxies. docs/benchmarks.md explains it.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensureDebianPackages } from "../tools/debian.ts";
import { BACKEND_PACKAGES, startBackend } from "./backend.ts";
import { runAndCleanUp, temporaryDirectory } from "./child.ts";
import { raiseFileLimit } from "./idle.ts";
import { GENERATORS } from "./load.ts";
import { type Bench, measure } from "./measure.ts";
import type { Peer } from "./peer.ts";
import { PEERS } from "./peers.ts";
import { allowedCores } from "./proc.ts";
import { renderMarkdown, replaceBlock } from "./report.ts";
import { measureResilience } from "./resilience.ts";
import type { Report, ResilienceResult, ScenarioResult } from "./results.ts";
import { SCENARIOS, type Scenario } from "./scenario.ts";

const USAGE = `Usage: npm run bench -- [options]
  --scenario NAME[,…]   ${SCENARIOS.map((scenario) => scenario.name).join(", ")} (default: all)
  --peers NAME[,…]      ${PEERS.map((peer) => peer.name).join(", ")} (default: all)
  --rounds N            alternating rounds (default 5)
  --duration S          seconds of load in each round (default 5)
  --cores PROXY,LOAD    which two cores (default: the first two)
  --json                prints the report as JSON instead of markdown
  --readme              also puts the tables into README.md`;

/** Enough for 10,000 connections with both ends in one process tree each. */
const FILES_WANTED = 24_000;
const ROOT = join(import.meta.dir, "..");

interface Options {
  readonly scenarios: readonly Scenario[];
  readonly peers: readonly Peer[];
  readonly rounds: number;
  readonly seconds: number;
  readonly cores: readonly [proxy: number, load: number];
  readonly json: boolean;
  readonly readme: boolean;
}

/** A mistake on the command line. */
class UsageError extends Error {}

await runAndCleanUp(async () => {
  try {
    const options = parseOptions(process.argv.slice(2));
    return options === null ? 0 : await run(options);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n${USAGE}`);
    return 2;
  }
});

/** @returns 0, or 1 when a row is invalid. */
async function run(options: Options): Promise<number> {
  const isLayer4 = options.scenarios.some((scenario) => scenario.kind === "load" && scenario.layer === 4);
  const isFirewall = options.scenarios.some((scenario) => scenario.kind === "load" && scenario.waf);
  const needed = options.peers.flatMap((peer) => [
    ...[...peer.packages, ...((isLayer4 && peer.layer4) || [])],
    ...((isFirewall && peer.waf) || []),
  ]);
  const generators = generatorsOf(options);
  await ensureDebianPackages([...BACKEND_PACKAGES, ...generators.flatMap(({ packages }) => packages), ...needed]);
  raiseFileLimit(FILES_WANTED);
  const directory = temporaryDirectory();
  const [proxyCore, loadCore] = options.cores;
  const backend = await startBackend(directory, loadCore);
  const log = (line: string) => console.error(line);
  const { rounds, seconds } = options;
  const bench: Bench = { directory, backend, proxyCore, loadCore, rounds, seconds, log };
  const results: ScenarioResult[] = [];
  const resilience: ResilienceResult[] = [];
  for (const scenario of options.scenarios)
    if (scenario.kind === "resilience") resilience.push(await measureResilience(bench, scenario));
    else results.push(await measure(bench, scenario, options.peers));
  publish({ environment: environment(options), results, resilience }, options);
  const problems = [...results, ...resilience].flatMap((result) => result.rows.map((row) => row.problem));
  return problems.some((problem) => problem !== null) ? 1 : 0;
}

/** Those of the scenarios that are run. */
function generatorsOf({ scenarios }: Options) {
  const protocols = scenarios.flatMap((scenario) => (scenario.kind === "load" ? [scenario.protocol] : []));
  return [...new Set(protocols)].map((protocol) => GENERATORS[protocol]);
}

function environment(options: Options): Report["environment"] {
  const { peers, rounds, seconds } = options;
  const versionsOf = (all: readonly { readonly name: string; version(): string }[]) =>
    Object.fromEntries(all.map((one) => [one.name, one.version()]));
  const [versions, generators] = [versionsOf(peers), versionsOf(generatorsOf(options))];
  return { kernel: release(), cpu: cpus()[0]?.model ?? "unknown CPU", rounds, seconds, generators, versions };
}

function publish(report: Report, options: Options): void {
  const folder = join(import.meta.dir, "results");
  const [markdown, json] = [renderMarkdown(report), JSON.stringify(report, null, 2)];
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "latest.md"), markdown);
  writeFileSync(join(folder, "latest.json"), `${json}\n`);
  console.log(options.json ? json : markdown);
  if (!options.readme) return;
  const path = join(ROOT, "README.md");
  writeFileSync(path, replaceBlock(readFileSync(path, "utf8"), markdown));
}

/** @returns null when only help was wanted. */
function parseOptions(args: string[]): Options | null {
  const values = parseFlags(args);
  if (values.help) {
    console.log(USAGE);
    return null;
  }
  return {
    scenarios: pick("scenario", SCENARIOS, values.scenario),
    peers: pick("peer", PEERS, values.peers),
    rounds: positive("--rounds", values.rounds ?? "5"),
    seconds: positive("--duration", values.duration ?? "5"),
    cores: pickCores(values.cores),
    json: values.json,
    readme: values.readme,
  };
}

function parseFlags(args: string[]) {
  const text = { type: "string" } as const;
  const flag = { type: "boolean", default: false } as const;
  const valued = { scenario: text, peers: text, rounds: text, duration: text, cores: text };
  try {
    return parseArgs({ args, options: { ...valued, json: flag, readme: flag, help: flag } }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function pick<T extends { readonly name: string }>(what: string, all: readonly T[], names: string | undefined): T[] {
  if (names === undefined) return [...all];
  return names.split(",").map((name) => {
    const found = all.find((item) => item.name === name.trim());
    if (found !== undefined) return found;
    throw new UsageError(`no ${what} "${name}"; there are ${all.map((item) => item.name).join(", ")}`);
  });
}

function pickCores(text: string | undefined): [number, number] {
  const cores = text === undefined ? allowedCores() : text.split(",").map(Number);
  const [proxy, load] = cores;
  if (proxy === undefined || load === undefined || proxy === load || !cores.every((core) => Number.isInteger(core))) {
    throw new UsageError("two cores are needed: one for the proxy, one for the load (--cores 0,1)");
  }
  return [proxy, load];
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new UsageError(`${name} takes a whole number above 0, not "${text}"`);
}
