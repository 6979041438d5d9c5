// The gauges of upstreams and their servers. They are read when somebody asks: servers come and go.
import type { Config } from "../config/schema.ts";
import type { ReadSeries } from "../observe/metrics-store.ts";
import type { Fleet } from "./fleet.ts";
import type { UpstreamStatus } from "./upstream-report.ts";

/** A megabyte of text or so; what Prometheus takes from one target without complaint. */
const SERIES_MAX = 10_000;

/** Whether somebody has named the upstream, or has it checked: its gauges are wanted even for a single server. */
export const isWatched = ({ upstreams }: Config, fleet: Pick<Fleet, "configOf">, name: string): boolean =>
  Object.hasOwn(upstreams, name) || fleet.configOf(name)?.health !== undefined;

/**
 * The gauges of these upstreams. One with a single server tells nothing that its requests do not tell, unless it
 * `matters`. Beyond the limit, the servers that come last are left out.
 */
export function upstreamSeries(
  upstreams: readonly UpstreamStatus[],
  matters: (upstream: string) => boolean,
  seriesMax: number = SERIES_MAX,
): ReadSeries[] {
  const shown = upstreams.filter(({ name, servers }) => servers.length > 1 || matters(name));
  return [...shown.flatMap(ofUpstream), ...shown.flatMap(ofServers)].slice(0, seriesMax);
}

function ofUpstream({ name, queued, circuit }: UpstreamStatus): ReadSeries[] {
  const series: ReadSeries[] = [{ name: "sluice_upstream_queued", labels: [name], value: queued }];
  if (circuit !== "none") {
    const value = circuit === "open" ? 1 : circuit === "half-open" ? 0.5 : 0;
    series.push({ name: "sluice_upstream_circuit_open", labels: [name], value });
  }
  return series;
}

const ofServers = ({ name, servers }: UpstreamStatus): ReadSeries[] =>
  servers.flatMap(({ id, usable, inFlight }) => [
    { name: "sluice_upstream_healthy", labels: [name, id], value: usable ? 1 : 0 } as const,
    { name: "sluice_upstream_in_flight", labels: [name, id], value: inFlight } as const,
  ]);
