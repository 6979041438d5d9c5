import { expect, test } from "bun:test";
import { renameSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { Folder } from "../../test/support/sluice.ts";
import { until } from "../../test/support/wait.ts";
import { watchFiles } from "./watch.ts";

const NOW_AND_THEN = Number.POSITIVE_INFINITY; // nothing has changed since then

test("each kind of change is told once, other files are not", async () => {
  using folder = new Folder();
  const file = folder.write("a", "1");
  let told = 0;
  const stop = watchFiles([file, join(folder.path, "gone", "b")], NOW_AND_THEN, () => (told += 1));
  const CHANGES: readonly (() => unknown)[] = [
    () => folder.write("a", "22"),
    () => renameSync(folder.write("new", "3"), file),
    () => rmSync(file),
    () => folder.write("a", "4"),
    () => utimesSync(file, 1, 1),
  ];
  for (const [at, change] of CHANGES.entries()) {
    folder.write("other", String(at));
    change();
    await until(() => told > at, `change ${at}`);
    expect(told).toBe(at + 1);
  }
  stop();
});

test("what has changed while the files were read is told", async () => {
  using folder = new Folder();
  const before = Date.now();
  const file = folder.write("a", "1");
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = watchFiles([file], before, resolve);
  await promise;
  stop();
});
