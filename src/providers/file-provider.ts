// `providers.files`: a folder of fragments that is followed however it changes: files written in place or renamed over,
// and files behind symbolic links (as Kubernetes swaps mounted ones).
import { type FSWatcher, statSync, watch } from "node:fs";
import type { Log } from "../observe/log.ts";
import { type FileState, readFolder, saysTheSame } from "./file-folder.ts";
import { SettleDown } from "./settle-down.ts";

const QUIET_MS = 100;
const BURST_MS = 1000;
/** For what the system does not tell of: network file systems, a folder that another one has taken the place of. */
const POLL_MS = 10_000;

export interface FileProviderOptions {
  readonly log: Log;
  /** Called when `states` are others. */
  readonly changed: () => void;
  readonly pollMs?: number;
}

export class FileProvider {
  readonly #folder: string;
  readonly #options: FileProviderOptions;
  readonly #soon: SettleDown;
  #states: readonly FileState[] = [];
  #missing: string | null = null;
  #watcher: FSWatcher | null = null;
  #watched = "";
  #poll: ReturnType<typeof setInterval> | undefined;

  /** Reads the folder (an absolute path) at once; `follow` watches it. */
  constructor(folder: string, options: FileProviderOptions) {
    this.#folder = folder;
    this.#options = options;
    this.#soon = new SettleDown(() => this.#look(), QUIET_MS, BURST_MS);
    this.read();
  }

  /** In the order of their names; the last known ones while the folder is missing. */
  get states(): readonly FileState[] {
    return this.#states;
  }

  /** Why the folder cannot be read, in plain words; null when it can. */
  get missing(): string | null {
    return this.#missing;
  }

  /** Tells of changes from now on, those since the folder was read included. */
  follow(): void {
    this.#poll ??= setInterval(() => this.#look(), this.#options.pollMs ?? POLL_MS);
    this.#look();
  }

  stop(): void {
    clearInterval(this.#poll);
    this.#poll = undefined;
    this.#soon.stop();
    this.#watcher?.close();
    this.#watcher = null;
  }

  #look(): void {
    this.#watch();
    const missing = this.#missing;
    const isOther = this.read();
    if (this.#missing !== null && missing === null) {
      const fields = { folder: this.#folder, reason: this.#missing };
      this.#options.log.warn("the folder of configuration files is gone: its files stay in use as they were", fields);
    }
    if (isOther) this.#options.changed();
  }

  /** Watches what is at the folder's path now. */
  #watch(): void {
    const stat = statSync(this.#folder, { throwIfNoEntry: false });
    const now = stat === undefined ? "" : `${stat.dev} ${stat.ino}`;
    if (this.#watcher !== null && now === this.#watched) return;
    this.#watcher?.close();
    this.#watcher = null;
    this.#watched = now;
    if (stat === undefined) return;
    try {
      const watcher = watch(this.#folder, () => this.#soon.poke());
      watcher.on("error", () => (this.#watched = "")); // the next poll watches it anew
      this.#watcher = watcher;
    } catch {
      // It has gone in this moment, or there are too many watchers: the poll looks again.
    }
  }

  /** Reads what has changed, without telling. Whether the files say anything else than before. */
  read(): boolean {
    const states = readFolder(this.#folder, this.#states);
    this.#missing = typeof states === "string" ? states : null;
    if (typeof states === "string") return false;
    const isOther = !saysTheSame(states, this.#states);
    this.#states = states;
    return isOther;
  }
}
