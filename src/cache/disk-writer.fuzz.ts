// Whatever is stored, deleted and purged, however often the process ends or is killed, and whatever becomes of the
// snapshot: the tier says the same as a map. `bun src/cache/disk-writer.fuzz.ts 182` replays one seed.
import { mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Rng, runAlone } from "../core/fuzz.testing.ts";
import { entryOf, filesOf, STORED_AT, TestTier } from "./disk.testing.ts";
import { DiskSweep, type SweepRule } from "./disk-sweep.ts";

const KEYS = Array.from({ length: 24 }, (_, i) => `/${"abc"[i % 3]}/${i}`);
const ROOM = 1 << 24; // nothing has to leave
const STEPS = 60;
const TAGS = ["t1", "t2", "t3"];

interface Known {
  readonly body: string;
  readonly tag: string;
}

export function diskWriterLaw(rng: Rng): void {
  const path = mkdtempSync(join(tmpdir(), "sluice-disk-fuzz-"));
  const folder = join(path, "cache");
  const segmentBytes = 300 + rng.below(3000);
  const start = (): TestTier => TestTier.open(folder, ROOM, segmentBytes);
  const model = new Map<string, Known>();
  let tier = start();
  try {
    for (let step = 0; step < STEPS; step += 1) {
      const what = rng.below(12);
      if (what === 0) tier = restarted(rng, tier, folder, start);
      else if (what === 1) purge(rng, tier, model);
      else change(rng, tier, model, step);
      tier.now += rng.below(2000);
      if (rng.oneIn(4)) compare(tier, model, step);
    }
    tier = restarted(rng, tier, folder, start);
    compare(tier, model, STEPS);
  } finally {
    tier.crash();
    rmSync(path, { recursive: true, force: true });
  }
}

function change(rng: Rng, tier: TestTier, model: Map<string, Known>, step: number): void {
  for (let count = 1 + rng.below(4); count > 0; count -= 1) {
    const key = rng.pick(KEYS);
    if (rng.oneIn(4)) {
      tier.store.delete(key, STORED_AT);
      model.delete(key);
      continue;
    }
    const known: Known = { body: `${key} ${step} ${"x".repeat(rng.below(400))}`, tag: rng.pick(TAGS) };
    tier.store.put(key, { ...entryOf(known.body), tags: Buffer.from(`all ${known.tag}`) });
    model.set(key, known);
  }
  tier.writer.flush();
}

function purge(rng: Rng, tier: TestTier, model: Map<string, Known>): void {
  const rules: readonly Omit<SweepRule, "staleAt">[] = [
    { what: "prefix", value: `/${rng.pick(["a", "b", "none"])}/` },
    { what: "tag", value: rng.pick(TAGS) },
    { what: "all", value: "" },
  ];
  const rule = rng.pick(rules);
  const sweep = new DiskSweep({ ...rule, staleAt: null });
  while (!tier.writer.sweep(sweep));
  let removed = 0;
  for (const [key, { tag }] of model) {
    const goes = rule.what === "all" || (rule.what === "tag" ? tag === rule.value : key.startsWith(rule.value));
    if (goes && model.delete(key)) removed += 1;
  }
  if (removed !== sweep.removed) throw new Error(`${sweep.removed} entries purged instead of ${removed}`);
}

function restarted(rng: Rng, tier: TestTier, folder: string, start: () => TestTier): TestTier {
  if (rng.oneIn(2)) tier.crash();
  else tier.close();
  const [snapshot] = filesOf(folder, ".snapshot");
  const loss = rng.below(3);
  if (snapshot !== undefined && loss === 0) rmSync(snapshot);
  if (snapshot !== undefined && loss === 1) truncateSync(snapshot, rng.below(40));
  return start();
}

function compare(tier: TestTier, model: ReadonlyMap<string, Known>, step: number): void {
  for (const key of KEYS) {
    const [is, want] = [tier.get(key), model.get(key)?.body ?? null];
    if (is !== want) throw new Error(`step ${step}: ${key} is ${is} instead of ${want}`);
  }
  const { entries } = tier.board.stats();
  if (entries !== model.size) throw new Error(`step ${step}: ${entries} entries instead of ${model.size}`);
}

if (import.meta.main) runAlone("disk writer", diskWriterLaw);
