// The folder of the disk tier: what may lie in it, and that one process alone has it.
//
//   sluice-cache         format and seed of the hashes; says that the folder is ours
//   lock                 held by the process that writes
//   index.snapshot       the index as it was a while ago
//   changes              counters of what has changed since it was stored (disk-changes.ts)
//   0000000012.segment   records, in the order of their writing
//   0123456789abcdef.object   a large body
import { Database } from "bun:sqlite";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { CHANGES_BYTES } from "./disk-changes.ts";

const FORMAT = 1;
const MARKER = "sluice-cache";
const LOCK = "lock";
/** How far purges of other machines have been carried out, kept by who hears of them (control/shared-purges.ts). */
export const PURGES_FILE = "purges";
const SNAPSHOT = "index.snapshot";
const CHANGES = "changes";
/** Files are written under such a name, and renamed when they are whole. */
export const UNFINISHED_ENDING = ".tmp";
export const LARGE_ENDING = ".object";
const SEGMENT = ".segment";
const SEGMENT_DIGITS = 10;
/** What only the owner may read: bodies of answers are in it. */
const FOLDER_MODE = 0o700;
export const FILE_MODE = 0o600;

const segmentName = (number: number): string => `${String(number).padStart(SEGMENT_DIGITS, "0")}${SEGMENT}`;
export const segmentPath = (folder: string, number: number): string => join(folder, segmentName(number));

export const changesPath = (folder: string): string => join(folder, CHANGES);

export const isLargeName = (name: string): boolean => /^[0-9a-f]{16}\.object$/.test(name);

export class DiskFolder {
  readonly path: string;
  readonly seed: bigint;
  readonly #lock: Database;

  private constructor(path: string, seed: bigint, lock: Database) {
    this.path = path;
    this.seed = seed;
    this.#lock = lock;
  }

  /** Makes or takes the folder. Throws an Error that says in plain words why not, or that of the file system. */
  static open(path: string): DiskFolder {
    mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
    const names = readdirSync(path).filter((name) => name !== LOCK);
    const foreign = names.find((name) => !isOurs(name));
    const isNew = !names.includes(MARKER) && !names.includes(MARKER + UNFINISHED_ENDING);
    if (foreign !== undefined || (isNew && names.length > 0))
      throw new Error(`${path} has files that are not of the cache, such as ${foreign ?? names[0]}`);
    const lock = takeLock(join(path, LOCK), path);
    try {
      for (const name of names) if (name.endsWith(UNFINISHED_ENDING)) rmSync(join(path, name), { force: true });
      return new DiskFolder(path, readSeed(path) ?? begin(path), lock);
    } catch (error) {
      lock.close();
      throw error;
    }
  }

  /** The numbers of the segments, oldest first. */
  segments(): number[] {
    const names = readdirSync(this.path).filter((name) => name.endsWith(SEGMENT));
    return names.map((name) => Number(name.slice(0, -SEGMENT.length))).sort((a, b) => a - b);
  }

  removeSegment(number: number): void {
    rmSync(segmentPath(this.path, number), { force: true });
  }

  readSnapshot(): Buffer | null {
    try {
      return readFileSync(join(this.path, SNAPSHOT));
    } catch {
      return null; // the segments have all that is in it
    }
  }

  writeSnapshot(bytes: Buffer): void {
    replaceFile(join(this.path, SNAPSHOT), bytes);
  }

  /** The counters of what has changed. Throws the error of the file system. */
  readChanges(): Buffer {
    return readFileSync(changesPath(this.path));
  }

  /** Has the next start begin with an empty folder. Throws the error of the file system. */
  distrust(): void {
    rmSync(changesPath(this.path), { force: true });
  }

  /** Waits until the disk has the counters. Throws the error of the file system. */
  syncChanges(): void {
    syncFile(changesPath(this.path));
  }

  /** Waits until the disk has a segment. Throws the error of the file system. */
  syncSegment(number: number): void {
    syncFile(segmentPath(this.path, number));
  }

  /** Lets others have the folder. */
  close(): void {
    this.#lock.close();
  }
}

function isOurs(name: string): boolean {
  const whole = name.endsWith(UNFINISHED_ENDING) ? name.slice(0, -UNFINISHED_ENDING.length) : name;
  if (whole === MARKER || whole === SNAPSHOT || whole === CHANGES || whole === PURGES_FILE || whole === "lost+found")
    return true;
  if (isLargeName(whole)) return true;
  return whole.endsWith(SEGMENT) && segmentName(Number(whole.slice(0, -SEGMENT.length))) === whole;
}

/**
 * The lock is one of the kernel, which goes with its process however that ends. The runtime has no call for such locks
 * but that of its database, which holds one on its file for as long as a transaction is open.
 */
function takeLock(file: string, folder: string): Database {
  closeSync(openSync(file, "a", FILE_MODE));
  const lock = new Database(file);
  try {
    lock.run("PRAGMA journal_mode = MEMORY"); // no file beside it
    lock.run("BEGIN EXCLUSIVE");
    return lock;
  } catch {
    lock.close();
    throw new Error(`${folder} is in use by another process`);
  }
}

/** The seed that the folder was made with; null when it is of another format. */
function readSeed(path: string): bigint | null {
  try {
    const { format, seed } = JSON.parse(readFileSync(join(path, MARKER), "utf8"));
    const isWhole = statSync(changesPath(path)).size === CHANGES_BYTES; // else nobody knows what holds
    return isWhole && format === FORMAT && /^[0-9a-f]{16}$/.test(seed) ? BigInt(`0x${seed}`) : null;
  } catch {
    return null;
  }
}

/** Makes the folder an empty one of this format. */
function begin(path: string): bigint {
  for (const name of readdirSync(path))
    if (name.endsWith(SEGMENT) || name.endsWith(LARGE_ENDING) || name === SNAPSHOT) rmSync(join(path, name));
  // Filled with zeros: a change writes where the disk has its room already.
  writeFileSync(changesPath(path), Buffer.alloc(CHANGES_BYTES), { mode: FILE_MODE });
  const seed = randomBytes(8).toString("hex");
  replaceFile(join(path, MARKER), Buffer.from(JSON.stringify({ format: FORMAT, seed })));
  return BigInt(`0x${seed}`);
}

function syncFile(path: string): void {
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function replaceFile(path: string, bytes: Buffer): void {
  try {
    writeFileSync(path + UNFINISHED_ENDING, bytes, { mode: FILE_MODE, flush: true });
  } catch (error) {
    rmSync(path + UNFINISHED_ENDING, { force: true }); // a full disk has no room for a part of it either
    throw error;
  }
  renameSync(path + UNFINISHED_ENDING, path);
}
