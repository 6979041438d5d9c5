// Shared state as files of one machine: whole values under names that tell their keys, safe for several processes.
import { chmod, link, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { wallClock } from "../core/clock.ts";
import { FileLock, takeFileLock } from "./file-lock.ts";
import { FileMap } from "./file-map.ts";
import { decodeKey, encodeKey } from "./file-name.ts";
import { FileTopics } from "./file-topics.ts";
import type { SharedMap } from "./shared-map.ts";
import { checkKey, type Lock, type SetOptions, type SharedState, type Unsubscribe } from "./shared-state.ts";
import { bornAt, isErrno, readIfThere, temporaryName, writeTemporary } from "./temporary-file.ts";

export interface FileStateOptions {
  /** Milliseconds since 1970, for tests. */
  readonly now?: () => number;
}

/** What a value file holds. The key is there because a long one does not fit into the name of a file. */
interface Stored {
  readonly key: string;
  readonly value: string;
  /** Milliseconds since 1970, or null for "stays". */
  readonly expiresMs: number | null;
}

/** How often files whose time is over are removed. They count as absent in any case. */
const SWEEP_EVERY_MS = 3_600_000;

export class FileState implements SharedState {
  /** Workers of one machine share memory; processes count each for itself. */
  readonly counters = null;
  readonly #maps: string;
  readonly #openMaps = new Set<FileMap>();
  readonly #self = crypto.randomUUID();
  readonly #values: string;
  readonly #locks: string;
  readonly #temporary: string;
  readonly #topics: FileTopics;
  readonly #now: () => number;
  #sweptMs: number;

  private constructor(folder: string, now: () => number) {
    this.#maps = join(folder, "maps");
    this.#values = join(folder, "values");
    this.#locks = join(folder, "locks");
    this.#temporary = join(folder, "temporary");
    this.#topics = new FileTopics(join(folder, "topics"), this.#temporary, now);
    this.#now = now;
    this.#sweptMs = now();
  }

  /**
   * Makes the folder (0700) when it is missing.
   *
   * @throws Error of the file system when it cannot be made or is not ours
   */
  static async open(folder: string, options: FileStateOptions = {}): Promise<FileState> {
    const state = new FileState(folder, options.now ?? wallClock);
    for (const each of [folder, state.#maps, state.#values, state.#locks, state.#temporary, join(folder, "topics")])
      await mkdir(each, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700); // it holds private keys, so one that others may enter is closed to them
    await state.#sweep();
    return state;
  }

  async get(key: string): Promise<string | null> {
    checkKey(key);
    return (await this.#read(encodeKey(key)))?.value ?? null;
  }

  async set(key: string, value: string, options: SetOptions = {}): Promise<void> {
    checkKey(key);
    const expiresMs = options.ttlMs === undefined ? null : this.#now() + options.ttlMs;
    const stored: Stored = { key, value, expiresMs };
    const path = await writeTemporary(this.#temporary, this.#now(), JSON.stringify(stored));
    await rename(path, join(this.#values, encodeKey(key)));
    if (this.#now() - this.#sweptMs > SWEEP_EVERY_MS) await this.#sweep();
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    await rm(join(this.#values, encodeKey(key)), { force: true });
  }

  async list(prefix: string): Promise<string[]> {
    const keys: string[] = [];
    for (const name of await readdir(this.#values)) {
      const told = decodeKey(name);
      if (told !== null && !told.startsWith(prefix)) continue;
      const stored = await this.#read(name);
      if (stored?.key.startsWith(prefix)) keys.push(stored.key);
    }
    return keys.sort();
  }

  async lock(key: string, ttlMs: number): Promise<Lock | null> {
    checkKey(key);
    const folder = join(this.#locks, encodeKey(key));
    const token = await takeFileLock(folder, this.#temporary, ttlMs, this.#now, null);
    return token === null ? null : new FileLock(folder, this.#temporary, ttlMs, this.#now, token);
  }

  publish(topic: string, message: string): Promise<void> {
    checkKey(topic);
    return this.#topics.publish(topic, message);
  }

  subscribe(topic: string, listener: (message: string) => void): Promise<Unsubscribe> {
    checkKey(topic);
    return this.#topics.subscribe(topic, listener);
  }

  map(name: string): SharedMap {
    checkKey(name);
    const map = new FileMap({
      path: join(this.#maps, encodeKey(name)),
      lock: join(this.#locks, encodeKey(`map/${name}`)),
      temporary: this.#temporary,
      self: this.#self,
      now: this.#now,
    });
    this.#openMaps.add(map);
    return map;
  }

  async close(): Promise<void> {
    for (const map of this.#openMaps) map.close();
    this.#topics.close();
  }

  async #read(name: string): Promise<Stored | null> {
    const stored = await readStored(join(this.#values, name));
    return stored === null || (stored.expiresMs !== null && stored.expiresMs <= this.#now()) ? null : stored;
  }

  /** Removes what is over, and what a crash left half written. */
  async #sweep(): Promise<void> {
    this.#sweptMs = this.#now();
    for (const name of await readdir(this.#values)) {
      const path = join(this.#values, name);
      const stored = await readStored(path);
      if (stored !== null && stored.expiresMs !== null && stored.expiresMs <= this.#now()) await this.#remove(path);
    }
    for (const name of await readdir(this.#temporary)) {
      if (this.#now() - bornAt(name) > SWEEP_EVERY_MS) await rm(join(this.#temporary, name), { force: true });
    }
  }

  /** Another process may have put a new value there since we looked: what was moved away is looked at again. */
  async #remove(path: string): Promise<void> {
    const aside = join(this.#temporary, temporaryName(this.#now()));
    try {
      await rename(path, aside);
      const stored = await readStored(aside);
      if (stored !== null && (stored.expiresMs === null || stored.expiresMs > this.#now())) await link(aside, path);
    } catch (error) {
      // Gone already, or there is a newer one in its place: both are what we want.
      if (!isErrno(error, "ENOENT", "EEXIST")) throw error;
    }
    await rm(aside, { force: true });
  }
}

/** Null when it is absent, or damaged so that nothing in it could be used. */
async function readStored(path: string): Promise<Stored | null> {
  const text = await readIfThere(path);
  try {
    const stored: unknown = JSON.parse(text ?? "null");
    return isStored(stored) ? stored : null;
  } catch {
    return null;
  }
}

function isStored(value: unknown): value is Stored {
  if (typeof value !== "object" || value === null) return false;
  const { key, value: text, expiresMs } = value as Partial<Record<keyof Stored, unknown>>;
  return typeof key === "string" && typeof text === "string" && (expiresMs === null || typeof expiresMs === "number");
}
