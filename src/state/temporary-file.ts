// Files that are written in full before anybody sees them: then renamed or linked to where they belong.
import { randomBytes } from "node:crypto";
import { open, readFile } from "node:fs/promises";
import { join } from "node:path";

const COUNT_DIGITS = 10;
let count = 0;

/**
 * A name that nobody else makes. It begins with the time, by which leftovers of crashes are told from files being
 * written; names made by one process sort in the order of their making.
 */
export function temporaryName(nowMs: number): string {
  count += 1;
  return `${nowMs}-${String(count).padStart(COUNT_DIGITS, "0")}-${randomBytes(9).toString("base64url")}`;
}

/** When a file with such a name was made, in ms since 1970; 0 for other names. */
export const bornAt = (name: string): number => Number(name.split("-", 1)[0]) || 0;

/** Writes a file that only its owner may read, down to the disk, and tells its path. */
export async function writeTemporary(folder: string, nowMs: number, text: string): Promise<string> {
  const path = join(folder, temporaryName(nowMs));
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  return path;
}

/** The text of a file, or null when there is none. */
export async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return null;
    throw error;
  }
}

/** Whether the file system said one of these, such as `ENOENT`. */
export const isErrno = (error: unknown, ...codes: readonly string[]): boolean =>
  codes.includes(String((error as NodeJS.ErrnoException).code));
