// Tells when one of some files has changed, however it was written: in place, by renaming a new one over it, or behind
// a symbolic link (as Kubernetes swaps mounted files).
import { type FSWatcher, statSync, watch } from "node:fs";
import { dirname } from "node:path";

/** Editors write in several steps; what changes within this time is told once. */
const QUIET_MS = 100;

/** The times of files come from a clock that the kernel sets every few milliseconds. */
const CLOCK_GRAIN_MS = 10;

/**
 * Calls `changed` after changes to any of the files, those since `sinceMs` (milliseconds since 1970) included: the time
 * when they began to be read. Returns what stops it.
 */
export function watchFiles(files: readonly string[], sinceMs: number, changed: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let before = files.map(signature);
  const look = (): void => {
    const now = files.map(signature);
    const same = now.every((each, at) => each === before[at]);
    before = now;
    if (!same) changed();
  };
  const watchers: FSWatcher[] = [];
  for (const folder of new Set(files.map(dirname))) {
    try {
      watchers.push(
        watch(folder, () => {
          clearTimeout(timer);
          timer = setTimeout(look, QUIET_MS);
        }),
      );
    } catch {
      // The folder is gone: so is the file, and that was told when it was loaded.
    }
  }
  if (changedSince(files, sinceMs)) timer = setTimeout(changed, QUIET_MS);
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

/** Other than before when the file at that path is another one or was written to; "" when there is none. */
function signature(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? "" : `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs}`;
}

/** Whether one of the files was changed after `sinceMs` (milliseconds since 1970), or a moment before. */
export function changedSince(files: readonly string[], sinceMs: number): boolean {
  return files.some((file) => {
    const changedMs = statSync(file, { throwIfNoEntry: false })?.ctimeMs ?? sinceMs;
    return changedMs >= sinceMs - CLOCK_GRAIN_MS;
  });
}
