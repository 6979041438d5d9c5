// A disk that others fill: a small one of its own, in a mount namespace that ends with the process.
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The table of changes takes 4 MB, what is stored at a time 2 MB. */
const DISK = "size=9m";
const FIXTURE = join(import.meta.dir, "disk-full.fixture.ts");

/** Runs a command where a small disk is mounted; null where the system does not allow that. */
function onSmallDisk(path: string, command: readonly string[]): string | null {
  const script = `mount -t tmpfs -o ${DISK} none "$0" && exec "$@"`;
  const run = Bun.spawnSync(["unshare", "-rm", "sh", "-c", script, path, ...command], { timeout: 20_000 });
  if (!run.success && run.stdout.length === 0 && /unshare|mount|not permitted/.test(run.stderr.toString())) return null;
  if (!run.success) throw new Error(run.stderr.toString());
  return run.stdout.toString();
}

const folder = mkdtempSync(join(tmpdir(), "sluice-full-"));
const isPossible = Bun.which("unshare") !== null && onSmallDisk(folder, ["true"]) !== null;

test.skipIf(!isPossible)("a full disk is said, costs what does not fit, and is used again when there is room", () => {
  const said = JSON.parse(onSmallDisk(folder, [process.execPath, FIXTURE, folder])!);
  rmSync(folder, { recursive: true });
  expect(said).toEqual({
    fits: 200,
    foreign: "ENOSPC",
    saidSo: true,
    lostSome: true,
    queued: 0,
    recovered: 200,
    sameAfterCrash: true,
  });
});
