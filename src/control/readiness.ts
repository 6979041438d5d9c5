// Whether requests can be served: every listener accepts, and every route has somewhere to go.
import type { Config } from "../config/schema.ts";
import { upstreamTotals } from "./upstream-totals.ts";
import type { UpstreamState } from "./worker-messages.ts";

/** Why requests cannot be served, in plain words; empty when they can. `workers` are those that accept connections. */
export function readinessReasons(
  state: "starting" | "ready" | "draining",
  config: Config,
  workers: readonly { readonly id: number; readonly upstreams: readonly UpstreamState[] }[],
): string[] {
  if (state !== "ready") return [`the proxy is ${state}`];
  if (workers.length === 0) return ["no worker accepts connections"];
  const reasons: string[] = [];
  const sockets = config.listeners.filter(({ address }) => address.startsWith("unix:"));
  // Sockets files cannot be shared: they are the first worker's.
  if (sockets.length > 0 && !workers.some(({ id }) => id === 0))
    reasons.push(...sockets.map(({ address }) => `nobody accepts on ${address}`));
  for (const { name, servers } of upstreamTotals(workers.map(({ upstreams }) => upstreams))) {
    if (servers.every(({ failing }) => failing)) reasons.push(`no server of the upstream ${name} can be reached`);
  }
  return reasons;
}
