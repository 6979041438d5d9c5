// What balancing makes of servers that are slow or overrun: Sluice alone, with servers of a known speed. Figures are
// times and shares, not CPU: the work of the servers takes far longer than the proxy's, so nothing is pinned to a core.
import { Fleet, type UpstreamInput } from "../test/support/fleet.ts";
import { MixedLoadProcess, type MixReport, SLICE_MS } from "../test/support/mixed-load.ts";
import { residentBytes } from "./proc.ts";
import { type Column, type Figures, median, type ResilienceResult, showFigure } from "./results.ts";
import type { ResilienceScenario } from "./scenario.ts";

export interface ResilienceBench {
  readonly rounds: number;
  readonly seconds: number;
  readonly log: (line: string) => void;
}

/** Runs one scenario in alternating rounds. */
export async function measureResilience(
  bench: ResilienceBench,
  scenario: ResilienceScenario,
): Promise<ResilienceResult> {
  const { columns, variants, run, problem } = EXPERIMENTS[scenario.name];
  const collected = new Map<string, Figures[]>(variants.map((name) => [name, []]));
  for (let round = 0; round < bench.rounds; round += 1)
    for (const name of variants) {
      const figures = await run(name, bench.seconds);
      collected.get(name)!.push(figures);
      const shown = columns.map((column) => `${column.title} ${showFigure(figures[column.figure]!, column.unit)}`);
      bench.log(`${scenario.name} ${round + 1}/${bench.rounds} ${name}: ${shown.join(", ")}`);
    }
  const medians = new Map([...collected].map(([name, rounds]) => [name, medianFigures(rounds)]));
  const rows = [...collected].map(([name, rounds]) => ({
    name,
    rounds,
    median: medians.get(name)!,
    problem: problem(name, medians),
  }));
  return { scenario: scenario.name, title: scenario.title, columns, rows };
}

interface Experiment {
  readonly columns: readonly Column[];
  readonly variants: readonly string[];
  run(variant: string, seconds: number): Promise<Figures>;
  problem(variant: string, medians: ReadonlyMap<string, Figures>): string | null;
}

// ——— one of four servers ten times slower

const WORK_MS = 5;
const SLOW_MS = 10 * WORK_MS;
/** Requests that a server works on at a time. */
const SLOTS = 4;
/** 40 % of what the four can do together; a quarter of it is three times what the slow one can do. */
const RATE = 1000;
/** p99 of round-robin over p99 of the others. */
const BETTER = 2;

async function slowServer(balance: string, seconds: number): Promise<Figures> {
  await using fleet = await Fleet.start(3, { slots: SLOTS, latencyMs: WORK_MS });
  const slow = await fleet.add({ slots: SLOTS, latencyMs: SLOW_MS });
  await using proxy = await fleet.proxy({ balance } as UpstreamInput);
  const report = await fleet.underLoad(proxy, () => Bun.sleep(seconds * 1000), { rate: RATE, connections: 4000 });
  const served = report.answers["GET 200"] ?? 0;
  const { p50 = 0, p99 = 0 } = report.latencies["200"] ?? {};
  const share = ((report.servers[slow.id] ?? 0) / served) * 100;
  return { p50, p99, share, failed: ((report.sent - served) / report.sent) * 100 };
}

function slowServerProblem(balance: string, medians: ReadonlyMap<string, Figures>): string | null {
  if (balance === "round-robin") return null;
  const ratio = medians.get("round-robin")!.p99! / medians.get(balance)!.p99!;
  return ratio >= BETTER ? null : `its p99 is only ${ratio.toFixed(2)} times better than that of round-robin`;
}

// ——— three times as much as the servers can do

const OVERLOAD = 3;
const SERVERS = 3;
const SERVER_SLOTS = 5;
const SERVER_MS = 25;
const CAPACITY = (SERVERS * SERVER_SLOTS * 1000) / SERVER_MS;
const QUEUE_TIMEOUT_MS = 200;
const WARM_UP_MS = 1000;
const GOODPUT_LEAST = 90;

async function overload(_variant: string, seconds: number): Promise<Figures> {
  await using fleet = await Fleet.start(SERVERS, { slots: SERVER_SLOTS, latencyMs: SERVER_MS });
  await using proxy = await fleet.proxy({
    limits: { connections: 2 * SERVER_SLOTS, queue: 64, queueTimeout: `${QUEUE_TIMEOUT_MS}ms` },
    balance: "least-connections",
  });
  await using load = new MixedLoadProcess({ port: proxy.port(), rate: OVERLOAD * CAPACITY, connections: 4000 });
  await Bun.sleep(WARM_UP_MS + seconds * 500);
  const halfWay = residentBytes(proxy.pid);
  await Bun.sleep(seconds * 500);
  const growth = (residentBytes(proxy.pid) - halfWay) / 2 ** 20;
  const report = await load.stop();
  const served = answersBetween(report, "200", WARM_UP_MS, WARM_UP_MS + seconds * 1000) / seconds;
  return {
    offered: OVERLOAD * CAPACITY,
    served,
    goodput: (served / CAPACITY) * 100,
    p99: report.latencies["200"]?.p99 ?? 0,
    refusedP99: report.latencies["503"]?.p99 ?? 0,
    growth,
  };
}

function answersBetween(report: MixReport, status: string, fromMs: number, toMs: number): number {
  const slices = report.slices[status] ?? [];
  return slices.slice(fromMs / SLICE_MS, toMs / SLICE_MS).reduce((sum, each) => sum + each, 0);
}

function overloadProblem(variant: string, medians: ReadonlyMap<string, Figures>): string | null {
  const goodput = medians.get(variant)!.goodput!;
  return goodput >= GOODPUT_LEAST ? null : `its goodput is only ${goodput.toFixed(1)} % of the capacity`;
}

const EXPERIMENTS: Readonly<Record<ResilienceScenario["name"], Experiment>> = {
  "slow-server": {
    columns: [
      { figure: "p50", title: "p50", unit: "ms" },
      { figure: "p99", title: "p99", unit: "ms" },
      { figure: "share", title: "requests to the slow one", unit: "%" },
      { figure: "failed", title: "failed", unit: "%" },
    ],
    variants: ["round-robin", "least-connections", "p2c", "peak-ewma"],
    run: slowServer,
    problem: slowServerProblem,
  },
  overload: {
    columns: [
      { figure: "offered", title: "offered", unit: "/s" },
      { figure: "served", title: "served", unit: "/s" },
      { figure: "goodput", title: "of the capacity", unit: "%" },
      { figure: "p99", title: "p99 of the served", unit: "ms" },
      { figure: "refusedP99", title: "p99 of the refused", unit: "ms" },
      { figure: "growth", title: "growth of memory in the second half", unit: "MB" },
    ],
    variants: ["sluice"],
    run: overload,
    problem: overloadProblem,
  },
};

function medianFigures(rounds: readonly Figures[]): Figures {
  const names = Object.keys(rounds[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, median(rounds.map((figures) => figures[name]!))]));
}
