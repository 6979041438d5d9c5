// A shared map of one machine: a file that changes are added to, and that is written anew now and then without what is
// over. What was added is with the system before `put` resolves, so it outlives a process that is killed.
import { appendFile, open, rename, stat } from "node:fs/promises";
import { takeFileLock } from "./file-lock.ts";
import { type Entry, entryOfText, type SharedMap, textOfEntry } from "./shared-map.ts";
import { isErrno, writeTemporary } from "./temporary-file.ts";

/** Others' changes are looked for this often. */
const LOOK_EVERY_MS = 250;
/** How long somebody who writes may take, and who died writing holds up the others. */
const LOCK_MS = 1000;
const LOCK_WAIT_MS = 25;
const LOCK_TRIES = 80;
/** That something was removed is kept for so long: far longer than others take to look. */
const REMOVED_MS = 60_000;
/** The file is written anew when it has more lines than twice its entries and this. */
const LINES_SPARE = 1000;

export interface FileMapOptions {
  readonly path: string;
  readonly lock: string;
  readonly temporary: string;
  readonly self: string;
  readonly now: () => number;
}

export class FileMap implements SharedMap {
  readonly #options: FileMapOptions;
  readonly #looks = new Set<NodeJS.Timeout>();
  /** How far the file was read, and which file it was. */
  #offset = 0;
  #inode = 0;
  #lines = 0;
  #working: Promise<unknown> = Promise.resolve();

  constructor(options: FileMapOptions) {
    this.#options = options;
  }

  load(): Promise<Entry[]> {
    return this.#alone(async () => {
      this.#offset = 0;
      this.#inode = 0;
      this.#lines = 0;
      const live = this.#live(await this.#news());
      if (this.#lines > 2 * live.size + LINES_SPARE) await this.#locked(() => this.#renew());
      return [...live.values()].filter(({ value }) => value !== null);
    });
  }

  get(key: string): Promise<Entry | null> {
    return this.#alone(async () => {
      // What follows the file still has to hear of what is new in it.
      const [offset, inode, lines] = [this.#offset, this.#inode, this.#lines];
      this.#offset = 0;
      const found = this.#live(await this.#news()).get(key);
      [this.#offset, this.#inode, this.#lines] = [offset, inode, lines];
      return found === undefined || found.value === null ? null : found;
    });
  }

  put(entries: readonly Entry[]): Promise<void> {
    const { path, self, now } = this.#options;
    const removedUntil = now() + REMOVED_MS;
    const lines = entries.map((entry) =>
      textOfEntry(entry.value === null ? { ...entry, untilMs: removedUntil } : entry, self),
    );
    return this.#alone(() =>
      this.#locked(async () => {
        // What is before it may end in the middle of a line, where somebody died writing or the disk was full.
        await appendFile(path, `\n${lines.join("\n")}\n`, { mode: 0o600 });
      }),
    );
  }

  async follow(listener: (entries: readonly Entry[]) => void): Promise<() => Promise<void>> {
    const look = setInterval(() => {
      void this.#alone(async () => {
        const news = await this.#news();
        const others = news.flatMap(({ entry, by }) => (by === this.#options.self ? [] : [entry]));
        if (others.length > 0) listener(others);
        const isLong = this.#lines > LINES_SPARE && this.#lines % LINES_SPARE < news.length;
        if (isLong) await this.#locked(() => this.#renew());
      }).catch(() => undefined); // a file that cannot be read now may be later
    }, LOOK_EVERY_MS);
    look.unref();
    this.#looks.add(look);
    return async () => this.#stop(look);
  }

  close(): void {
    for (const look of this.#looks) this.#stop(look);
  }

  #stop(look: NodeJS.Timeout): void {
    clearInterval(look);
    this.#looks.delete(look);
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#working.then(work);
    this.#working = next.catch(() => undefined);
    return next;
  }

  async #locked(work: () => Promise<void>): Promise<void> {
    const { lock, temporary, now } = this.#options;
    for (let tries = 0; tries < LOCK_TRIES; tries += 1) {
      const token = await takeFileLock(lock, temporary, LOCK_MS, now, null);
      if (token !== null) {
        try {
          return await work();
        } finally {
          await takeFileLock(lock, temporary, 0, now, token);
        }
      }
      await new Promise((resolve) => setTimeout(resolve, LOCK_WAIT_MS));
    }
    throw new Error("another process writes all the time");
  }

  /** What was added since the last look; all of it where the file is another one now. */
  async #news(): Promise<{ readonly entry: Entry; readonly by: string }[]> {
    const { path } = this.#options;
    const found: { readonly entry: Entry; readonly by: string }[] = [];
    try {
      const { ino, size } = await stat(path);
      if (ino !== this.#inode || size < this.#offset) {
        this.#inode = ino;
        this.#offset = 0;
        this.#lines = 0;
      }
      if (size === this.#offset) return found;
      const file = await open(path, "r");
      try {
        const bytes = Buffer.alloc(size - this.#offset);
        const { bytesRead } = await file.read(bytes, 0, bytes.length, this.#offset);
        // A line that is being written is read the next time.
        const end = bytes.subarray(0, bytesRead).lastIndexOf(0x0a) + 1;
        this.#offset += end;
        for (const line of bytes.toString("utf8", 0, end).split("\n")) {
          if (line === "") continue;
          this.#lines += 1;
          const entry = entryOfText(line);
          if (entry !== null) found.push(entry);
        }
      } finally {
        await file.close();
      }
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
    return found;
  }

  /** What holds, by key; with what was removed lately. */
  #live(all: readonly { readonly entry: Entry }[]): Map<string, Entry> {
    const now = this.#options.now();
    const live = new Map<string, Entry>();
    for (const { entry } of all) {
      live.delete(entry.key);
      if (entry.untilMs > now) live.set(entry.key, entry);
    }
    return live;
  }

  /** Writes the file anew without what is over. */
  async #renew(): Promise<void> {
    const { path, temporary, self, now } = this.#options;
    // Others' changes that were not told yet stay new: lines keep who wrote them.
    const before = { offset: this.#offset, inode: this.#inode };
    this.#offset = 0;
    const all = await this.#news();
    const writers = new Map(all.map(({ entry, by }) => [entry.key, by]));
    const live = this.#live(all);
    if (this.#lines <= 2 * live.size + LINES_SPARE) {
      this.#offset = before.offset;
      this.#inode = before.inode;
      return;
    }
    const text = [...live.values()].map((entry) => `${textOfEntry(entry, writers.get(entry.key) ?? self)}\n`).join("");
    await rename(await writeTemporary(temporary, now(), text), path);
    this.#inode = 0; // read from its beginning the next time: what is in it twice changes nothing
  }
}
