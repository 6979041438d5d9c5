import { expect, test } from "bun:test";
import { checkConfig } from "../config/load.ts";
import { readinessReasons } from "./readiness.ts";
import { serverStatus } from "./upstream-report.testing.ts";
import type { UpstreamStatus } from "./upstream-report.ts";

const upstream = (name: string, ...usable: boolean[]): UpstreamStatus => ({
  name,
  queued: 0,
  circuit: "none",
  servers: usable.map((each, i) => serverStatus({ id: `s${i}`, usable: each })),
});
const configFor = (...addresses: string[]) =>
  checkConfig({ listeners: addresses.map((address) => ({ address })), routes: [{ respond: {} }] }).config;

const TCP = configFor(":1");
const BOTH = configFor(":1", "unix:/run/a.sock");

const CASES: readonly (readonly [
  name: string,
  state: "starting" | "ready" | "draining",
  config: typeof TCP,
  workers: readonly number[],
  upstreams: readonly UpstreamStatus[],
  reasons: readonly string[],
])[] = [
  ["all is well", "ready", BOTH, [0, 1], [], []],
  ["starting", "starting", TCP, [], [], ["the proxy is starting"]],
  ["draining", "draining", TCP, [0], [], ["the proxy is draining"]],
  ["no worker", "ready", TCP, [], [], ["no worker accepts connections"]],
  ["one worker is enough for TCP", "ready", TCP, [1], [], []],
  ["a socket file is the first worker's", "ready", BOTH, [1], [], ["nobody accepts on unix:/run/a.sock"]],
  ["one server left", "ready", TCP, [0], [upstream("a", false, true)], []],
  [
    "an upstream without a usable server",
    "ready",
    TCP,
    [0],
    [upstream("a", false, false), upstream("b", true)],
    ["no server of the upstream a can be used"],
  ],
  [
    "an upstream of which nobody is known",
    "ready",
    TCP,
    [0],
    [upstream("a")],
    ["no server of the upstream a is known yet"],
  ],
];
for (const [name, state, config, workers, upstreams, reasons] of CASES)
  test(name, () => expect(readinessReasons(state, config, workers, upstreams)).toEqual([...reasons]));
