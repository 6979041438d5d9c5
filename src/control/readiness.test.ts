import { expect, test } from "bun:test";
import { checkConfig } from "../config/load.ts";
import { readinessReasons } from "./readiness.ts";
import type { UpstreamState } from "./worker-messages.ts";

const upstream = (name: string, ...failing: boolean[]): UpstreamState => ({
  name,
  servers: failing.map((each, i) => ({ name: `s${i}`, weight: 1, open: 0, idle: 0, queued: 0, failing: each })),
});
const worker = (id: number, ...upstreams: UpstreamState[]) => ({ id, upstreams });
const configFor = (...addresses: string[]) =>
  checkConfig({ listeners: addresses.map((address) => ({ address })), routes: [{ respond: {} }] }).config;

const TCP = configFor(":1");
const BOTH = configFor(":1", "unix:/run/a.sock");

const CASES: readonly (readonly [
  name: string,
  state: "starting" | "ready" | "draining",
  config: typeof TCP,
  workers: ReturnType<typeof worker>[],
  reasons: string[],
])[] = [
  ["all is well", "ready", BOTH, [worker(0), worker(1)], []],
  ["starting", "starting", TCP, [], ["the proxy is starting"]],
  ["draining", "draining", TCP, [worker(0)], ["the proxy is draining"]],
  ["no worker", "ready", TCP, [], ["no worker accepts connections"]],
  ["one worker is enough for TCP", "ready", TCP, [worker(1)], []],
  ["a socket file is the first worker's", "ready", BOTH, [worker(1)], ["nobody accepts on unix:/run/a.sock"]],
  ["one server left", "ready", TCP, [worker(0, upstream("a", true, false))], []],
  [
    "an upstream without a server",
    "ready",
    TCP,
    [worker(0, upstream("a", true, true), upstream("b", false))],
    ["no server of the upstream a can be reached"],
  ],
  ["a worker that has not said anything yet", "ready", TCP, [worker(0), worker(1, upstream("a", false))], []],
];
for (const [name, state, config, workers, reasons] of CASES)
  test(name, () => expect(readinessReasons(state, config, workers)).toEqual(reasons));
