// What all workers together do with each upstream.
import type { ServerState, UpstreamState } from "./worker-messages.ts";

/** Sums the servers of upstreams of the same name over the workers; a server fails when any worker says so. */
export function upstreamTotals(workers: readonly (readonly UpstreamState[])[]): UpstreamState[] {
  const totals = new Map<string, Map<string, ServerState>>();
  for (const { name, servers } of workers.flat()) {
    const sums = totals.get(name) ?? new Map<string, ServerState>();
    totals.set(name, sums);
    for (const server of servers) {
      const before = sums.get(server.name);
      sums.set(
        server.name,
        before === undefined
          ? server
          : {
              name: server.name,
              weight: server.weight,
              open: before.open + server.open,
              idle: before.idle + server.idle,
              queued: before.queued + server.queued,
              failing: before.failing || server.failing,
            },
      );
    }
  }
  return [...totals].map(([name, servers]) => ({ name, servers: [...servers.values()] }));
}
