// Follows files however they change: written in place, renamed over, or behind symbolic links (as Kubernetes swaps
// mounted ones).
import { type FSWatcher, readFileSync, statSync, watch } from "node:fs";
import { dirname } from "node:path";
import { reasonOf } from "../config/expand.ts";

/** A certificate and its key are written one after the other. */
const QUIET_MS = 100;
/** For what the system does not tell of: network file systems, targets of links in other folders. */
const POLL_MS = 30_000;
/** A chain is a few kilobytes; this stops a wrong path from filling the memory. */
const FILE_BYTES_MAX = 1024 * 1024;

interface WatchedFolder {
  readonly watcher: FSWatcher;
  readonly identity: string;
}

export class FileFollower {
  readonly #changed: () => void;
  readonly #pollMs: number;
  readonly #names: ReadonlySet<string>;
  readonly #folders = new Map<string, WatchedFolder>();
  #soon: ReturnType<typeof setTimeout> | undefined;
  #poll: ReturnType<typeof setInterval> | undefined;

  /** `look` is called when something may have changed at one of the absolute paths, and from time to time. */
  constructor(files: Iterable<string>, look: () => void, pollMs: number = POLL_MS) {
    this.#names = new Set([...files].map((file) => dirname(file)));
    this.#changed = look;
    this.#pollMs = pollMs;
  }

  /** Begins, with a look at once. */
  follow(): void {
    this.#poll ??= setInterval(this.#look, this.#pollMs);
    this.#look();
  }

  stop(): void {
    clearInterval(this.#poll);
    clearTimeout(this.#soon);
    this.#poll = undefined;
    this.#soon = undefined;
    for (const { watcher } of this.#folders.values()) watcher.close();
    this.#folders.clear();
  }

  /** Looks again in a moment, when whoever writes may be through. */
  readonly lookSoon = (): void => {
    this.#soon ??= setTimeout(this.#look, QUIET_MS);
  };

  readonly #look = (): void => {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    this.#watch();
    this.#changed();
  };

  /** Watches what is at the paths of the folders now. */
  #watch(): void {
    for (const folder of this.#names) {
      const stat = statSync(folder, { throwIfNoEntry: false });
      const identity = stat === undefined ? "" : `${stat.dev} ${stat.ino}`;
      const known = this.#folders.get(folder);
      if (known?.identity === identity) continue;
      known?.watcher.close();
      this.#folders.delete(folder);
      if (stat === undefined) continue;
      try {
        const watcher = watch(folder, this.lookSoon);
        watcher.on("error", () => this.#folders.delete(folder)); // the next poll watches it anew
        this.#folders.set(folder, { watcher, identity });
      } catch {
        // It has gone in this moment, or there are too many watchers: the poll looks again.
      }
    }
  }
}

/** Other than before when the file at that path is another one or was written to; "" when there is none. */
export function fileSignature(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? "" : `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs}`;
}

/** The text of a file that should be PEM, or why it cannot be had. */
export type PemText =
  | { readonly text: string; readonly error?: never }
  | { readonly text?: never; readonly error: { readonly message: string; readonly hint: string } };

export function readPemText(path: string, bytesMax: number = FILE_BYTES_MAX): PemText {
  try {
    const stat = statSync(path);
    const hint = "give the path of a file in PEM";
    // Reading a pipe would wait for whoever writes to it.
    if (!stat.isFile()) return { error: { message: "it is not a regular file", hint } };
    if (stat.size > bytesMax) return { error: { message: "it is too large for what it should be", hint } };
    return { text: readFileSync(path, "utf8") };
  } catch (error) {
    return { error: { message: `it cannot be read: ${reasonOf(error)}`, hint: `looked for ${path}` } };
  }
}
