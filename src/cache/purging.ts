// Forgetting what an operator wants to be forgotten, in the store of one worker.
import type { KeyRule } from "../engines/cache/key.ts";
import type { Answers } from "./answers.ts";
import { keyOfUrl } from "./place.ts";
import { keyPrefix, type Purge, purgeAddress } from "./purge.ts";

/** Addresses that a purge looks at before others have their turn: some tenths of a millisecond. */
const SWEEP_STEP = 1000;

/** What is to be purged. */
export interface Purged {
  readonly store: Answers;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** The addresses with answers of a tag. */
  tagged(tag: string): readonly string[];
  /** Where an answer lies that goes for this address too. */
  alike(address: string): string;
  /** What is being fetched for keys that begin so is not stored. */
  discardFills(prefix: string): void;
  /** Removes an address. */
  forget(address: string): void;
  /** An address has been removed from the store. */
  left(address: string, extras: readonly string[]): void;
}

/** Resolves to how many answers these were. `keys` are the rules of all routes. */
export async function purgeStored({ kind, value, soft }: Purge, keys: readonly KeyRule[], of: Purged): Promise<number> {
  if (kind === "tag") {
    of.discardFills("");
    return purgeAddresses(of.tagged(value), soft, value, of);
  }
  const parts = kind === "all" ? null : purgeAddress(value);
  if (kind !== "all" && parts === null) return 0;
  if (kind === "url") {
    const addresses = new Set(keys.flatMap((key) => [keyOfUrl(parts!, key), of.alike(keyOfUrl(parts!, key))]));
    for (const address of addresses) of.discardFills(address);
    return purgeAddresses([...addresses], soft, "", of);
  }
  const prefix = parts === null ? "" : keyPrefix(parts);
  of.discardFills(prefix);
  return purgePrefix(prefix, soft, of);
}

/** Of a tag, only the answers that have it. */
function purgeAddresses(addresses: readonly string[], soft: boolean, tag: string, of: Purged): number {
  let count = 0;
  for (const address of addresses) {
    const stored = of.store.peek(address);
    const entries = stored?.variants.filter((entry) => tag === "" || entry.tags.includes(tag)) ?? [];
    count += entries.length;
    if (soft && entries.length === stored?.variants.length) of.store.expire(address, of.now); // packed ones as well
    for (const entry of entries) {
      if (soft) entry.expire(of.now);
      else stored!.remove(entry);
    }
    if (stored?.variants.length === 0) of.forget(address);
  }
  return count;
}

/** Walks over all that is stored, in steps: others have their turn in between. */
async function purgePrefix(prefix: string, soft: boolean, of: Purged): Promise<number> {
  let count = 0;
  const sweep = of.store.sweep((address) => {
    if (!address.startsWith(prefix)) return false;
    if (soft) {
      count += of.store.expire(address, of.now);
      return false;
    }
    const extras = of.store.extras(address);
    count += extras.length;
    of.left(address, extras);
    return true;
  });
  while (!sweep.step(SWEEP_STEP)) await new Promise<void>((resolve) => setImmediate(resolve));
  return count;
}
