// What rules of the firewall count (engines/waf, collections), as it is kept for the next start and shared with other
// machines. All threads change the table by themselves; here is looked for what has changed, and taken over what others
// have told. Of two machines that count at the same time, the value that was written last holds.
import { wallClock } from "../core/clock.ts";
import { type CollectionEntry, Collections } from "../engines/waf/index.ts";
import type { Entry } from "../state/shared-map.ts";

/** Keys that are told in a second: a flood of addresses is not to fill what machines share. More wait in the table. */
const KEYS_PER_S = 1000;
const WINDOW_MS = 1000;
/** That a key is no more is kept for so long: far longer than others take to hear of it. */
const GONE_MS = 60_000;

export class FirewallBook {
  readonly name = "firewall";
  readonly #now: () => number;
  #memory: SharedArrayBuffer | null = null;
  #all: Collections | null = null;
  /** What was told of each slot: a key that gave way to another is taken out of what is kept. */
  readonly #told = new Map<number, string>();
  #windowMs = 0;
  #left = 0;

  constructor(now: () => number = wallClock) {
    this.#now = now;
  }

  /** The table of the configuration in use; true when what is kept is to be loaded into it. */
  use(memory: SharedArrayBuffer | null, seed: bigint): boolean {
    if (memory === this.#memory) return false;
    this.#memory = memory;
    this.#all = memory === null ? null : new Collections(memory, seed);
    this.#told.clear();
    return memory !== null;
  }

  /** Nothing that would have to be compared: keys are told when they change, and end by their time. */
  entries(): Entry[] {
    return [];
  }

  /** What has changed since the last time, as much of it as may be told now. */
  changes(): Entry[] {
    const now = this.#now();
    if (now >= this.#windowMs + WINDOW_MS || now < this.#windowMs) {
      this.#windowMs = now;
      this.#left = KEYS_PER_S;
    }
    const gone: Entry[] = [];
    const changed: Entry[] = [];
    this.#all?.changes(this.#left, now, ({ slot, id, entries, until }) => {
      const before = this.#told.get(slot);
      if (before !== undefined && before !== id) gone.push({ key: before, value: null, untilMs: 0 });
      const isGone = entries.length === 0;
      if (isGone) this.#told.delete(slot);
      else this.#told.set(slot, id);
      changed.push({ key: id, value: textOf(entries), untilMs: isGone ? now + GONE_MS : until });
    });
    this.#left = Math.max(0, this.#left - changed.length);
    // A key may have moved to another slot: then it is still there.
    return [...gone, ...changed];
  }

  /** What other machines have told, or was kept. That a key found no room elsewhere does not end it here. */
  receive(entries: readonly Entry[]): void {
    const now = this.#now();
    for (const { key, value, untilMs } of entries) {
      const found = value === null || untilMs <= now ? null : entriesOf(value);
      if (found !== null) this.#all?.put(key, found, untilMs, now);
    }
  }
}

const textOf = (entries: readonly CollectionEntry[]): string =>
  JSON.stringify(entries.map(({ name, value, expires }) => [name, value, Number.isFinite(expires) ? expires : null]));

/** Null for what is damaged, or was written by another version. */
function entriesOf(text: string): CollectionEntry[] | null {
  let parts: unknown;
  try {
    parts = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(parts)) return null;
  const entries: CollectionEntry[] = [];
  for (const part of parts as unknown[]) {
    if (!Array.isArray(part)) return null;
    const [name, value, expires] = part as unknown[];
    if (typeof name !== "string" || typeof value !== "string") return null;
    if (expires !== null && typeof expires !== "number") return null;
    entries.push({ name, value, expires: expires ?? Number.POSITIVE_INFINITY });
  }
  return entries;
}
