// Whether requests can be served: every listener accepts, and every route has somewhere to go.
import type { Config } from "../config/schema.ts";
import type { UpstreamStatus } from "./upstream-report.ts";

/**
 * Why requests cannot be served, in plain words; empty when they can. `workers` are the ids of those that accept
 * connections.
 */
export function readinessReasons(
  state: "starting" | "ready" | "draining",
  config: Config,
  workers: readonly number[],
  upstreams: readonly UpstreamStatus[],
): string[] {
  if (state !== "ready") return [`the proxy is ${state}`];
  if (workers.length === 0) return ["no worker accepts connections"];
  const reasons: string[] = [];
  const sockets = config.listeners.filter(({ address }) => address.startsWith("unix:"));
  // Sockets files cannot be shared: they are the first worker's.
  if (sockets.length > 0 && !workers.includes(0))
    reasons.push(...sockets.map(({ address }) => `nobody accepts on ${address}`));
  for (const { name, servers } of upstreams) {
    if (servers.length === 0) reasons.push(`no server of the upstream ${name} is known yet`);
    else if (!servers.some(({ usable }) => usable)) reasons.push(`no server of the upstream ${name} can be used`);
  }
  return reasons;
}
