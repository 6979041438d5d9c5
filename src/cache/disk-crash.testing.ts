// Kills a process that writes to the disk tier, and looks at what it left. Run by itself, this is that process.
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { DiskRecord } from "../engines/storage/record.ts";
import { entryOf } from "./disk.testing.ts";
import { DiskStore } from "./disk-store.ts";
import { DiskTier } from "./disk-tier.ts";

const KEYS = 200;
const PER_FLUSH = 20;
/** More than is ever written, so that nothing has to leave for others. */
const BYTES_MAX = 1 << 30;

/** The bodies tell what they are: the key, the version, and as many bytes as those say. */
const bodyOf = (key: number, version: number): string =>
  `${key}:${version}:${"x".repeat((key * 131 + version * 17) % 5000)}`;

async function open(path: string): Promise<{ tier: DiskTier; store: DiskStore }> {
  const tier = await DiskTier.start({ path, bytesMax: BYTES_MAX, onTrouble: (text) => console.error(text) });
  while (!tier.stats().ready) await Bun.sleep(1);
  return { tier, store: new DiskStore(tier.share, tier.connect()) };
}

/** Writes, and says after each flush which versions are safe by now: `key:version`, with version 0 for deleted. */
async function write(path: string, firstVersion: number): Promise<void> {
  const { store } = await open(path);
  for (let version = firstVersion; ; ) {
    const safe: string[] = [];
    for (let i = 0; i < PER_FLUSH; i += 1, version += 1) {
      const key = keyOf(version);
      if (isDeletion(version)) store.delete(String(key), version);
      else store.put(String(key), entryOf(bodyOf(key, version)));
      safe.push(`${key}:${isDeletion(version) ? -version : version}`);
    }
    await store.flushed();
    process.stdout.write(`${safe.join(" ")}\n`);
  }
}

const newestOf = (history: ReadonlyMap<number, number>): number => Math.max(0, ...[...history.values()].map(Math.abs));

const keyOf = (version: number): number => (version * 7919) % KEYS;
const isDeletion = (version: number): boolean => version % 10 === 0;

/** Whether the process may have deleted a key after the last that it told of: it was at most three flushes ahead. */
function isDeletedBehind(key: number, newest: number): boolean {
  for (let version = newest + 1; version <= newest + 3 * PER_FLUSH; version += 1)
    if (isDeletion(version) && keyOf(version) === key) return true;
  return false;
}

const histories = new Map<string, Map<number, number>>();

/**
 * Lets a process write for a while after its first flush, kills it, and checks all keys. Returns how many were found;
 * throws when one is not as it should be.
 */
export async function crashRound(path: string, ms: number): Promise<number> {
  const history = histories.get(path) ?? new Map<number, number>();
  histories.set(path, history);
  const first = String(newestOf(history) + 1000);
  const child = Bun.spawn([process.execPath, import.meta.path, path, first], { stdout: "pipe" });
  let text = "";
  let isKilled = false;
  for await (const chunk of child.stdout as unknown as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString();
    if (!isKilled) setTimeout(() => child.kill("SIGKILL"), ms);
    isKilled = true;
  }
  await child.exited;
  for (const pair of text.slice(0, text.lastIndexOf("\n")).split(/\s/)) {
    const [key, version] = pair.split(":").map(Number);
    history.set(key!, version!);
  }
  // Half of the times the index has to be made from the segments alone.
  if (ms % 2 === 0) rmSync(join(path, "index.snapshot"), { force: true });
  return await check(path, history);
}

async function check(path: string, history: ReadonlyMap<number, number>): Promise<number> {
  const { tier, store } = await open(path);
  let found = 0;
  for (let key = 0; key < KEYS; key += 1) {
    const record = store.get(String(key)) as DiskRecord | null;
    const safe = history.get(key) ?? 0;
    if (record === null) {
      if (safe > 0 && !isDeletedBehind(key, newestOf(history))) throw new Error(`key ${key} is lost`);
      continue;
    }
    found += 1;
    const body = record.body.toString();
    const version = Number(body.split(":")[1]);
    if (body !== bodyOf(key, version)) throw new Error(`key ${key}: a body that was never written`);
    if (version < Math.abs(safe)) throw new Error(`key ${key}: version ${version}, though ${safe} was safe`);
  }
  const { damaged } = tier.stats();
  if (damaged > 0) throw new Error(`${damaged} records of the index were damaged`);
  store.close();
  await tier.close();
  return found;
}

if (import.meta.main) await write(process.argv[2]!, Number(process.argv[3]));
