import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { Rng } from "../core/fuzz.testing.ts";
import type { Ended } from "../engines/usage/meter.ts";
import { createLog } from "../observe/log.ts";
import { compileUsage } from "./compile-usage.ts";
import { SharedMemories } from "./shared.ts";
import { Usage } from "./usage.ts";

const ROUTES = ["a", "b", "c"];
const SUMS = { from: 0, to: 0, by: "all", group: [], kind: null, subject: null, route: null, limit: 10 } as const;
const configOf = (more: object): Config =>
  checkConfig({
    listeners: [{ address: ":0" }],
    routes: [{ respond: {} }],
    usage: { series: 100 },
    ...more,
  }).config;

/** A process: the supervisor's side, and the meters of some threads, which may be made anew. */
function processOf(config: Config) {
  const usage = new Usage(createLog("error"));
  const memories = new SharedMemories();
  const shared = memories.prepare(1, new Uint8Array(32));
  const meters = () => [0, 1, 2].map((thread) => compileUsage(config, { ...shared, thread }, ROUTES)!);
  const made = meters();
  usage.commit(config, usage.prepare(config), shared.gathered);
  return { usage, meters, made };
}

const ended = (rng: Rng): Ended => {
  const at = rng.below(ROUTES.length);
  return {
    route: { name: ROUTES[at]!, index: at },
    identity: rng.oneIn(10) ? null : { consumer: `c${rng.below(rng.pick([3, 40, 400]))}`, user: "u", issuer: "" },
    status: rng.pick([200, 200, 404, 500, 0]),
    fault: null,
    bytesIn: rng.below(1000),
    bytesOut: rng.below(1000),
    cost: rng.below(5),
    tokens: null,
  };
};

describe("whatever is counted in whatever order,", () => {
  for (const seed of [1, 2, 3, 4, 5])
    test(`nothing is lost and nothing counted twice: seed ${seed}`, () => {
      const rng = new Rng(seed);
      const { usage, meters, made } = processOf(configOf({}));
      let [requests, units, nowMs] = [0, 0, 1000];
      for (let step = 0; step < 4000; step += 1) {
        nowMs += rng.oneIn(200) ? 700_000 : rng.below(50);
        const x = ended(rng);
        rng.pick(made).record(x, 1, nowMs);
        requests += 1;
        units += x.cost;
        if (rng.oneIn(300)) made[rng.below(3)] = meters()[rng.below(3)]!; // a thread that was replaced, or two as one
        if (rng.oneIn(100)) expect(usage.query(SUMS)?.[0]).toMatchObject({ requests, units });
      }
      expect(usage.query(SUMS)).toMatchObject([{ requests, units }]);
      usage.stop();
    });
});

test("what was counted before the end is there at the next start, and a reload moves on to another file", () => {
  const folder = mkdtempSync(join(tmpdir(), "sluice-usage-"));
  const config = configOf({ storage: folder });
  const rng = new Rng(1);
  const first = processOf(config);
  for (let i = 0; i < 10; i += 1) first.made[0]!.record(ended(rng), 1, 1000);
  first.usage.stop();
  const next = processOf(config);
  next.made[1]!.record(ended(rng), 1, 1000);
  expect(next.usage.query(SUMS)).toMatchObject([{ requests: 11 }]);
  const moved = configOf({ usage: { series: 100, path: join(folder, "other.sqlite") } });
  const memories = new SharedMemories().prepare(1, new Uint8Array(32));
  const meter = compileUsage(moved, memories, ROUTES)!;
  next.usage.prepare(configOf({ usage: { path: join(folder, "never.sqlite") } })); // of a reload that failed
  next.usage.commit(moved, next.usage.prepare(moved), memories.gathered);
  meter.record(ended(rng), 1, 1000);
  expect(next.usage.query(SUMS)).toMatchObject([{ requests: 1 }]);
  // Exchanges that began before may end still.
  next.made[0]!.record(ended(rng), 1, 1000);
  expect(next.usage.query(SUMS)).toMatchObject([{ requests: 2 }]);
  const off = configOf({ usage: false });
  next.usage.commit(off, next.usage.prepare(off), new Map());
  expect(next.usage.query(SUMS)).toBeNull();
  next.usage.stop();
  rmSync(folder, { recursive: true });
});
