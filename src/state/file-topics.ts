// Messages between processes of one machine: each is a file for a minute, and whoever subscribed sees it appear.
import { type FSWatcher, watch } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { encodeKey } from "./file-name.ts";
import type { Unsubscribe } from "./shared-state.ts";
import { bornAt, readIfThere, temporaryName, writeTemporary } from "./temporary-file.ts";

/** How long a message is there to be seen: far longer than any subscriber takes to look. */
const KEPT_MS = 60_000;
/** Some file systems (network, containers) tell nothing of changes, so subscribers look by themselves as well. */
const LOOK_EVERY_MS = 1000;

export class FileTopics {
  readonly #folder: string;
  readonly #temporary: string;
  readonly #now: () => number;
  readonly #subscriptions = new Set<Subscription>();

  constructor(folder: string, temporary: string, now: () => number) {
    this.#folder = folder;
    this.#temporary = temporary;
    this.#now = now;
  }

  async publish(topic: string, message: string): Promise<void> {
    const folder = await this.#folderOf(topic);
    const path = await writeTemporary(this.#temporary, this.#now(), message);
    await rename(path, join(folder, temporaryName(this.#now())));
    for (const name of await readdir(folder))
      if (this.#now() - bornAt(name) > KEPT_MS) await rm(join(folder, name), { force: true });
  }

  async subscribe(topic: string, listener: (message: string) => void): Promise<Unsubscribe> {
    const folder = await this.#folderOf(topic);
    const subscription = new Subscription(folder, new Set(await readdir(folder)), listener);
    this.#subscriptions.add(subscription);
    return async () => {
      this.#subscriptions.delete(subscription);
      subscription.end();
    };
  }

  close(): void {
    for (const each of this.#subscriptions) each.end();
    this.#subscriptions.clear();
  }

  async #folderOf(topic: string): Promise<string> {
    const folder = join(this.#folder, encodeKey(topic));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return folder;
  }
}

class Subscription {
  readonly #folder: string;
  readonly #listener: (message: string) => void;
  readonly #watcher: FSWatcher;
  readonly #timer: NodeJS.Timeout;
  #seen: Set<string>;
  #looking = false;
  /** Something changed while we looked. */
  #again = false;
  #ended = false;

  constructor(folder: string, seen: Set<string>, listener: (message: string) => void) {
    this.#folder = folder;
    this.#seen = seen;
    this.#listener = listener;
    this.#watcher = watch(folder, () => this.#look());
    this.#watcher.on("error", () => {}); // the timer goes on
    this.#watcher.unref();
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  end(): void {
    this.#ended = true;
    this.#watcher.close();
    clearInterval(this.#timer);
  }

  #look(): void {
    this.#again = true;
    if (this.#looking) return;
    this.#looking = true;
    void this.#deliver().finally(() => {
      this.#looking = false;
    });
  }

  async #deliver(): Promise<void> {
    while (this.#again && !this.#ended) {
      this.#again = false;
      const names = await readdir(this.#folder).catch(() => []);
      const fresh = names.filter((name) => !this.#seen.has(name)).sort();
      this.#seen = new Set(names); // those that were removed need not be remembered
      for (const name of fresh) {
        const message = await readIfThere(join(this.#folder, name)).catch(() => null);
        if (message !== null && !this.#ended) this.#listener(message);
      }
    }
  }
}
