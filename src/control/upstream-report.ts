// What is known of every upstream and its servers, from the fleet and from all workers together, as the admin API shows
// it.
import type { ServerReport } from "./fleet.ts";
import type { UpstreamState } from "./worker-messages.ts";

export interface ServerStatus extends ServerReport {
  /** Open connections of all workers, and how many of them are unused. */
  readonly open: number;
  readonly idle: number;
  /** A worker could not connect to it a moment ago. */
  readonly failing: boolean;
}

export interface UpstreamStatus {
  readonly name: string;
  /** Requests that wait for a server with room, in all workers. */
  readonly queued: number;
  readonly circuit: UpstreamState["circuit"];
  readonly servers: readonly ServerStatus[];
}

/** How bad a circuit is; workers may see a change one after the other. */
const CIRCUITS = ["none", "closed", "half-open", "open"] as const;

export function upstreamReport(
  fleet: ReadonlyMap<string, readonly ServerReport[]>,
  workers: readonly (readonly UpstreamState[])[],
): UpstreamStatus[] {
  const states = new Map<string, UpstreamState[]>();
  for (const state of workers.flat()) states.set(state.name, [...(states.get(state.name) ?? []), state]);
  return [...fleet].map(([name, servers]) => {
    const all = states.get(name) ?? [];
    const circuit = Math.max(0, ...all.map((state) => CIRCUITS.indexOf(state.circuit)));
    return {
      name,
      queued: all.reduce((sum, { queued }) => sum + queued, 0),
      circuit: CIRCUITS[circuit]!,
      servers: servers.map((server) => serverStatus(server, all)),
    };
  });
}

function serverStatus(report: ServerReport, states: readonly UpstreamState[]): ServerStatus {
  const inWorkers = states.flatMap(({ servers }) => servers.filter(({ name }) => name === report.id));
  const failing = inWorkers.some((server) => server.failing);
  return {
    ...report,
    usable: report.usable && !(failing && report.health !== "up"),
    open: inWorkers.reduce((sum, { open }) => sum + open, 0),
    idle: inWorkers.reduce((sum, { idle }) => sum + idle, 0),
    failing,
  };
}
