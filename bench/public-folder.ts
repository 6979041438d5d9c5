// The files that peers serve in the scenarios `file-…`: the same ones for all, in the run's folder.
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SMALL_BODY } from "./backend.ts";

const KB = 1024;

/** The folder, made when it is asked for first: the largest file takes its time. */
export function publicFolder(directory: string): string {
  const folder = join(directory, "public");
  if (existsSync(folder)) return folder;
  mkdirSync(folder);
  writeFileSync(join(folder, "small"), SMALL_BODY); // by which a peer is known to serve
  for (const [name, bytes] of [
    ["1k", KB],
    ["100k", 100 * KB],
    ["100m", 100 * KB * KB],
  ] as const)
    writeFileSync(join(folder, name), Buffer.alloc(bytes, "x"));
  return folder;
}
