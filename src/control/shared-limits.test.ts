// Quotas of one machine in its files; machines that share them are in test/rate-limit-machines.test.ts.
import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { wallClock } from "../core/clock.ts";
import { QuotaTable } from "../engines/rate-limit/quota.ts";
import { createLog } from "../observe/log.ts";
import { SharedLimits } from "./shared-limits.ts";

const folder = mkdtempSync(join(tmpdir(), "limits-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const NAME = "quota of a test";
const WAIT_MS = 5000;

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await Bun.sleep(5);
  }
}

function limitsOf(onOutage = (): void => {}): { limits: SharedLimits; memory: SharedArrayBuffer; table: QuotaTable } {
  const memory = new SharedArrayBuffer(QuotaTable.bytes(100));
  const limits = new SharedLimits({ log: createLog("error"), onSeed: () => {}, onOutage });
  return { limits, memory, table: new QuotaTable(memory, 10, "month") };
}

test("what could not be written is written once that is possible again", async () => {
  const files = { kind: "files", folder } as const;
  let outages = 0;
  const { limits, memory, table } = limitsOf(() => {
    outages += 1;
  });
  await limits.follow(files, new Map([[NAME, memory]]));
  const tables = join(folder, "tables");
  writeFileSync(tables, "in the way");
  expect(table.take(1, 2, 3, wallClock())).toBe(true);
  await until(() => outages > 0, "an outage");
  rmSync(tables);
  // Nothing else is counted meanwhile.
  await until(() => existsSync(tables), "the file");
  await limits.stop();
  const again = limitsOf();
  await again.limits.follow(files, new Map([[NAME, again.memory]]));
  expect(again.table.look(1, 2, wallClock())).toBe(3);
  await again.limits.stop();
});
