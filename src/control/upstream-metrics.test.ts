import { expect, test } from "bun:test";
import { upstreamSeries } from "./upstream-metrics.ts";
import { serverStatus } from "./upstream-report.testing.ts";
import type { UpstreamStatus } from "./upstream-report.ts";

const upstream = (name: string, more: Partial<UpstreamStatus> = {}): UpstreamStatus => ({
  name,
  queued: 0,
  circuit: "none",
  servers: [serverStatus({ id: "a" })],
  ...more,
});
const shown = (upstreams: readonly UpstreamStatus[], matters: (name: string) => boolean, max?: number) =>
  upstreamSeries(upstreams, matters, max).map(({ name, labels, value }) => `${name} ${labels.join(" ")} ${value}`);

test("the gauges of an upstream and its servers", () => {
  const servers = [serverStatus({ id: "a", inFlight: 4 }), serverStatus({ id: "b", usable: false })];
  expect(shown([upstream("app", { queued: 3, circuit: "half-open", servers })], () => false)).toEqual([
    "sluice_upstream_queued app 3",
    "sluice_upstream_circuit_open app 0.5",
    "sluice_upstream_healthy app a 1",
    "sluice_upstream_in_flight app a 4",
    "sluice_upstream_healthy app b 0",
    "sluice_upstream_in_flight app b 0",
  ]);
});

test("circuits are numbers", () => {
  const value = (circuit: UpstreamStatus["circuit"]) =>
    upstreamSeries([upstream("app", { circuit })], () => true).find((series) => series.name.endsWith("circuit_open"))
      ?.value;
  expect((["none", "closed", "half-open", "open"] as const).map(value)).toEqual([undefined, 0, 0.5, 1]);
});

test("a single server is shown where it matters", () => {
  const all = shown([upstream("http://10.0.0.8"), upstream("app")], (name) => name === "app");
  expect(all).toEqual([
    "sluice_upstream_queued app 0",
    "sluice_upstream_healthy app a 1",
    "sluice_upstream_in_flight app a 0",
  ]);
});

test("the number of series has a limit, and what is of an upstream as a whole comes first", () => {
  const all = shown([upstream("a"), upstream("b"), upstream("c")], () => true, 4);
  expect(all.map((line) => line.split(" ").slice(0, 2).join(" "))).toEqual([
    "sluice_upstream_queued a",
    "sluice_upstream_queued b",
    "sluice_upstream_queued c",
    "sluice_upstream_healthy a",
  ]);
});
