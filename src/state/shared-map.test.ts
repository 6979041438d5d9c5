// Maps and counters that machines share: with files and with Redis what holds for both.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openState, type StateSettings } from "./open-state.ts";
import { RedisServer } from "./redis-server.testing.ts";
import type { Ask } from "./shared-counters.ts";
import type { Entry } from "./shared-map.ts";
import type { SharedState } from "./shared-state.ts";
import { TableFile } from "./table-file.ts";

const WAIT_MS = 5000;
const folder = mkdtempSync(join(tmpdir(), "maps-"));
let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error("waited in vain");
    await Bun.sleep(5);
  }
}

const STORES: readonly (readonly [name: string, settings: () => StateSettings])[] = [
  ["files", () => ({ kind: "files", folder })],
  ["Redis", () => ({ kind: "redis", url: redis.url, prefix: "m[ap]*:" })],
];

for (const [name, settings] of STORES)
  describe(`maps in ${name}`, () => {
    let one: SharedState;
    let other: SharedState;
    const entry = (key: string, value: string | null, ms = 60_000): Entry => ({ key, value, untilMs: Date.now() + ms });
    const byKey = (entries: readonly Entry[]): unknown[] => entries.map(({ key, value }) => [key, value]).sort();

    beforeAll(async () => {
      one = await openState(settings(), () => {});
      other = await openState(settings(), () => {});
    });
    afterAll(async () => {
      await one.close();
      await other.close();
    });

    test("hold what was put last, by anybody, until it is over or removed", async () => {
      const forever: Entry = { key: "stays", value: "5", untilMs: Number.POSITIVE_INFINITY };
      await one
        .map("bans")
        .put([entry("a", "1"), entry("b", "2"), entry("a", 'n"ew\n'), entry("over", "x", -1), forever]);
      await other.map("bans").put([entry("b", null), entry("c/d", "3")]);
      const all = await one.map("bans").load();
      expect(byKey(all)).toEqual([
        ["a", 'n"ew\n'],
        ["c/d", "3"],
        ["stays", "5"],
      ]);
      expect(all.find(({ key }) => key === "stays")?.untilMs).toBe(Number.POSITIVE_INFINITY);
      expect(await other.map("ban").load()).toEqual([]);
    });

    test("tell others what is put and removed, and not whoever put it", async () => {
      const heard: Entry[] = [];
      const own: Entry[] = [];
      const map = other.map("told");
      const end = await one.map("told").follow((entries) => heard.push(...entries));
      const endOwn = await map.follow((entries) => own.push(...entries));
      await map.put([entry("a", "1")]);
      await map.put([entry("a", null)]);
      await until(() => heard.length >= 2);
      expect(heard.map(({ key, value }) => [key, value])).toEqual([
        ["a", "1"],
        ["a", null],
      ]);
      await end();
      await endOwn();
      expect(own).toEqual([]);
    });
  });

test("files: others that write at the same time lose nothing, and what is over does not pile up", async () => {
  const states = await Promise.all([1, 2].map(() => openState({ kind: "files", folder }, () => {})));
  const far = Date.now() + 60_000;
  await Promise.all(
    states.flatMap((state, who) =>
      Array.from({ length: 5 }, (_, i) => state.map("many").put([{ key: `${who}/${i}`, value: "1", untilMs: far }])),
    ),
  );
  const again = Array.from({ length: 1500 }, (_, i) => ({ key: "busy", value: String(i), untilMs: far }));
  await states[0]!.map("many").put(again);
  const found = await states[1]!.map("many").load();
  expect(found).toHaveLength(11);
  expect(found.find(({ key }) => key === "busy")?.value).toBe("1499");
  expect((await Bun.file(join(folder, "maps", "many")).text()).split("\n").length).toBeLessThan(50);
  for (const state of states) await state.close();
});

test("files: a table has what was written last where it was written, and zeros elsewhere", async () => {
  const file = new TableFile(folder, "quota/a");
  expect(await file.read(8)).toBeNull();
  await file.write([
    { offset: 2, bytes: Uint8Array.of(1, 2, 3) },
    { offset: 3, bytes: Uint8Array.of(9) },
  ]);
  expect(await new TableFile(folder, "quota/a").read(8)).toEqual(Uint8Array.of(0, 0, 1, 9, 3, 0, 0, 0));
  expect(await file.read(4)).toBeNull();
});

describe("counters in Redis", () => {
  const ask = (key: string, more: Partial<Ask>): Ask => {
    return { key, kind: "quota", step: 60_000, most: 10, cost: 1, more: 0, give: 0, ...more };
  };
  const STEPS: readonly (readonly [name: string, ask: Partial<Ask>, granted: number, level: number])[] = [
    ["the first", {}, 1, 1],
    ["up to half of what is there beyond the cost", { more: 100 }, 5, 6],
    ["given back", { cost: 0, give: 3 }, 0, 3],
    ["more than the whole", { cost: 8 }, 0, 3],
    ["used without asking, beyond the whole", { cost: 1, give: -9 }, 0, 12],
    ["nothing is there", {}, 0, 12],
    ["all given back and more", { cost: 0, give: 20 }, 0, 0],
  ];
  test("quotas are taken from, step by step, by whoever asks", async () => {
    const states = await Promise.all(["1", "2"].map(() => openState({ kind: "redis", url: redis.url }, () => {})));
    for (const [at, [name, asked, granted, level]] of STEPS.entries()) {
      const [grant] = await states[at % 2]!.counters!.take([ask("steps", asked)]);
      expect([name, grant]).toEqual([name, { granted, level }]);
    }
    const many = Array.from({ length: 300 }, (_, i) => ask(i % 3 === 0 ? "same" : `key-${i}`, {}));
    const grants = await states[0]!.counters!.take(many);
    expect(grants.filter((_, i) => i % 3 === 0).reduce((sum, { granted }) => sum + granted, 0)).toBe(10);
    expect(grants.filter((_, i) => i % 3 !== 0).every(({ granted }) => granted === 1)).toBe(true);
    for (const state of states) await state.close();
  });

  test("a rate comes back with the server's time", async () => {
    const state = await openState({ kind: "redis", url: redis.url }, () => {});
    const step = 50_000;
    const rate = ask("rate", { kind: "rate", step, most: 2 * step });
    const first = await state.counters!.take([rate, rate, rate]);
    expect(first.map(({ granted }) => granted)).toEqual([1, 1, 0]);
    let granted = 0;
    const from = performance.now();
    while (granted === 0 && performance.now() - from < WAIT_MS) {
      await Bun.sleep(5);
      granted = (await state.counters!.take([rate]))[0]!.granted;
    }
    expect(performance.now() - from).toBeGreaterThan(30);
    expect(granted).toBe(1);
    await state.close();
  });
});
