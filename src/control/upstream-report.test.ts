import { expect, test } from "bun:test";
import { serverStatus } from "./upstream-report.testing.ts";
import { upstreamReport } from "./upstream-report.ts";
import type { ServerState, UpstreamState } from "./worker-messages.ts";

const state = (
  circuit: UpstreamState["circuit"],
  queued: number,
  servers: readonly (Partial<ServerState> & { readonly name: string })[],
): UpstreamState => ({
  name: "app",
  queued,
  circuit,
  servers: servers.map((server) => ({ open: 0, idle: 0, failing: false, ...server })),
});

test("workers are summed, each server by its name", () => {
  const fleet = new Map([["app", [serverStatus({ id: "a" }), serverStatus({ id: "b" })]]]);
  const report = upstreamReport(fleet, [
    [
      state("closed", 2, [
        { name: "a", open: 3, idle: 1 },
        { name: "b", open: 1 },
      ]),
    ],
    [
      state("closed", 5, [
        { name: "b", open: 4, idle: 4 },
        { name: "gone", open: 9 },
      ]),
    ],
  ]);
  expect(report).toEqual([
    {
      name: "app",
      queued: 7,
      circuit: "closed",
      servers: [serverStatus({ id: "a", open: 3, idle: 1 }), serverStatus({ id: "b", open: 5, idle: 4 })],
    },
  ]);
});

test("the worst circuit that a worker sees, none where there are no workers", () => {
  const fleet = new Map([["app", []]]);
  const circuits: readonly (readonly [UpstreamState["circuit"][], UpstreamState["circuit"]])[] = [
    [[], "none"],
    [["closed", "half-open"], "half-open"],
    [["open", "half-open"], "open"],
    [["none", "none"], "none"],
  ];
  for (const [seen, want] of circuits)
    expect(
      upstreamReport(
        fleet,
        seen.map((each) => [state(each, 0, [])]),
      )[0]!.circuit,
    ).toBe(want);
});

test("a server that a worker cannot connect to is not usable, unless the checks say that it is up", () => {
  const fleet = new Map([
    ["app", [serverStatus({ id: "a" }), serverStatus({ id: "b", health: "up" }), serverStatus({ id: "c" })]],
  ]);
  const failing = [{ name: "a", failing: true }, { name: "b", failing: true }, { name: "c" }];
  const [app] = upstreamReport(fleet, [[state("none", 0, [])], [state("none", 0, failing)]]);
  expect(app!.servers.map(({ id, failing, usable }) => [id, failing, usable])).toEqual([
    ["a", true, false],
    ["b", true, true],
    ["c", false, true],
  ]);
});

test("an upstream that only an old configuration of a worker has is not shown", () => {
  expect(upstreamReport(new Map(), [[state("none", 1, [{ name: "a" }])]])).toEqual([]);
});
