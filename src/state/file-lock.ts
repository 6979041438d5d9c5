// Locks as files. Each step of a lock's life, taking, renewing or freeing it, is a new file `<generation>` in the lock's
// folder, made with link(2), which fails when the name exists: of all who want to make the next step, one succeeds. The
// newest generation tells the truth. Older ones are removed, the newest never is, so the numbers only grow.
import { link, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Lock } from "./shared-state.ts";
import { isErrno, readIfThere, writeTemporary } from "./temporary-file.ts";

/** The first token. */
const FIRST = 1;

/**
 * Makes the next generation. `mine` is the token of a lock that is to be renewed or freed (`ttlMs` 0): then the newest
 * generation must be that one; else it must be over.
 *
 * @returns the new token, or null when the lock is somebody else's
 */
export async function takeFileLock(
  folder: string,
  temporary: string,
  ttlMs: number,
  now: () => number,
  mine: number | null,
): Promise<number | null> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const newest = await newestGeneration(folder);
  const allowed = mine === null ? await isOver(folder, newest, now()) : newest === mine;
  if (!allowed) return null;
  const next = newest === null ? FIRST : newest + 1;
  const prepared = await writeTemporary(temporary, now(), String(now() + ttlMs));
  try {
    await link(prepared, join(folder, String(next)));
  } catch (error) {
    if (isErrno(error, "EEXIST")) return null;
    throw error;
  } finally {
    await rm(prepared, { force: true });
  }
  return await settle(folder, next);
}

/** Looks again: while we prepared, others may have gone on several steps and removed the one that we then made anew. */
async function settle(folder: string, made: number): Promise<number | null> {
  const generations = await readGenerations(folder);
  const newest = Math.max(...generations);
  if (newest !== made) {
    await rm(join(folder, String(made)), { force: true });
    return null;
  }
  for (const each of generations) if (each < made) await rm(join(folder, String(each)), { force: true });
  return made;
}

async function isOver(folder: string, generation: number | null, nowMs: number): Promise<boolean> {
  if (generation === null) return true;
  const text = await readIfThere(join(folder, String(generation)));
  // Gone means that a newer one was made meanwhile. What is not a number is damage: nobody can hold that.
  return text !== null && !(Number(text) > nowMs);
}

async function newestGeneration(folder: string): Promise<number | null> {
  const generations = await readGenerations(folder);
  return generations.length === 0 ? null : Math.max(...generations);
}

async function readGenerations(folder: string): Promise<number[]> {
  return (await readdir(folder)).map(Number).filter(Number.isSafeInteger);
}

export class FileLock implements Lock {
  readonly #folder: string;
  readonly #temporary: string;
  readonly #ttlMs: number;
  readonly #now: () => number;
  #token: number;

  constructor(folder: string, temporary: string, ttlMs: number, now: () => number, token: number) {
    this.#folder = folder;
    this.#temporary = temporary;
    this.#ttlMs = ttlMs;
    this.#now = now;
    this.#token = token;
  }

  get token(): number {
    return this.#token;
  }

  async renew(): Promise<boolean> {
    const token = await this.#step(this.#ttlMs);
    if (token !== null) this.#token = token;
    return token !== null;
  }

  async release(): Promise<void> {
    await this.#step(0);
  }

  #step(ttlMs: number): Promise<number | null> {
    return takeFileLock(this.#folder, this.#temporary, ttlMs, this.#now, this.#token);
  }
}
