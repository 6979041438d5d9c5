// Who is banned, by which rule and until when: what threads have told, shown to operators, kept for the next start and
// shared with other machines. Threads refuse by tables of their own (filters/bans); this is where those are changed.
import { createHash } from "node:crypto";
import { wallClock } from "../core/clock.ts";
import type { Ban, BanList } from "../pipeline/shared.ts";
import type { Entry } from "../state/shared-map.ts";

/** As many as a rule can ban at a time; each takes some 500 bytes. */
const BANS_MAX = 100_000;
/** A ban by a longer key holds in this process alone: what clients choose is not to fill what machines share. */
const KEY_CHARS_MAX = 512;
const SWEEP_MS = 1000;
const ID_CHARS = 20;
/** Values of fields and cookies may be secrets that let somebody in: so much of them is shown. */
const SHOWN_CHARS = 8;

export interface BanReport {
  readonly id: string;
  readonly route: string;
  readonly scope: Ban["scope"];
  /** By what it is counted, and whom it is about: `{ "ip": "192.0.2.1" }`. */
  readonly key: Readonly<Record<string, string>>;
  readonly why: string;
  /** ISO 8601. */
  readonly until: string;
}

interface Kept {
  readonly ban: Ban;
  /** Milliseconds since 1970. */
  readonly untilMs: number;
}

export class BanBook {
  readonly name = "bans";
  readonly #bans = new Map<string, Kept>();
  readonly #changed: (entry: Entry) => void;
  readonly #now: () => number;
  #sweptMs = 0;
  #lists: ReadonlyMap<string, BanList> = new Map();

  /** `changed` is told of what begins and ends here, and not of what other machines have told. */
  constructor(changed: (entry: Entry) => void, now: () => number = wallClock) {
    this.#changed = changed;
    this.#now = now;
  }

  /** A thread has banned somebody: its table knows already. */
  made(ban: Ban): void {
    if (ban.key.reduce((sum, [, value]) => sum + value.length, 0) > KEY_CHARS_MAX) return;
    const id = idOf(ban);
    if (!this.#hasRoom(id)) return;
    const untilMs = this.#now() + ban.forMs;
    this.#bans.set(id, { ban, untilMs });
    this.#changed({ key: id, value: JSON.stringify(ban), untilMs });
  }

  /** Ends a ban; null when there is none with this id. */
  lift(id: string): { readonly ban: Ban; readonly leftMs: number } | null {
    const found = this.#bans.get(id);
    const leftMs = found === undefined ? 0 : found.untilMs - this.#now();
    if (found === undefined || leftMs <= 0) return null;
    this.#end(id);
    this.#changed({ key: id, value: null, untilMs: 0 });
    return { ban: found.ban, leftMs };
  }

  /** Ends the bans everywhere of an address that is denied no more. */
  forgive(address: string): void {
    for (const [id, { ban }] of this.#bans) if (ban.scope === "everywhere" && addressOf(ban) === address) this.lift(id);
  }

  /** The `most` that were made last, and how many there are. */
  list(most: number): { bans: BanReport[]; total: number } {
    this.#sweep();
    const held = [...this.#bans].filter(([, { ban }]) => ban.scope === "everywhere" || this.#lists.has(ban.rule));
    const bans = held
      .slice(-most)
      .reverse()
      .map(([id, { ban, untilMs }]) => reportOf(id, ban, untilMs));
    return { bans, total: held.length };
  }

  /** The tables of the configuration in use: those that are new to it get what holds. */
  use(lists: ReadonlyMap<string, BanList>): void {
    this.#lists = lists;
    const now = this.#now();
    for (const { ban, untilMs } of this.#bans.values())
      if (untilMs > now) lists.get(ban.rule)?.add(valuesOf(ban), untilMs - now);
  }

  entries(): Entry[] {
    this.#sweep();
    return [...this.#bans].map(([key, { ban, untilMs }]) => ({ key, value: JSON.stringify(ban), untilMs }));
  }

  /** What other machines have told, or was kept. */
  receive(entries: readonly Entry[]): void {
    const now = this.#now();
    for (const { key: id, value, untilMs } of entries) {
      const ban = value === null ? null : banOf(value);
      if (ban === null) this.#end(id);
      else if (untilMs > now && idOf(ban) === id && this.#hasRoom(id)) {
        this.#bans.set(id, { ban, untilMs });
        this.#lists.get(ban.rule)?.add(valuesOf(ban), untilMs - now);
      }
    }
  }

  #end(id: string): void {
    const found = this.#bans.get(id);
    if (found === undefined) return;
    this.#bans.delete(id);
    this.#lists.get(found.ban.rule)?.lift(valuesOf(found.ban));
  }

  #hasRoom(id: string): boolean {
    if (this.#bans.size < BANS_MAX || this.#bans.has(id)) return true;
    // Under a flood, not for each of them.
    if (this.#now() >= this.#sweptMs + SWEEP_MS) this.#sweep();
    return this.#bans.size < BANS_MAX;
  }

  #sweep(): void {
    const now = this.#now();
    this.#sweptMs = now;
    for (const [id, { untilMs }] of this.#bans) if (untilMs <= now) this.#bans.delete(id);
  }
}

/** The same on all machines for the same rule and key. */
const idOf = ({ rule, key }: Ban): string =>
  createHash("sha256")
    .update(JSON.stringify([rule, key]))
    .digest("hex")
    .slice(0, ID_CHARS);

const valuesOf = ({ key }: Ban): string[] => key.map(([, value]) => value);
/** Of a ban everywhere, the address is all of its key. */
export const addressOf = ({ key }: Ban): string => key[0]![1].slice(1);

/** Values begin with a letter that says what they are: an address, which may stand for a field that is missing, or not. */
function reportOf(id: string, { route, scope, key, why }: Ban, untilMs: number): BanReport {
  const shown = key.map(([part, value]) => {
    const text = value.slice(1);
    const isOpen = part === "ip" || part === "route" || value.startsWith("a") || text.length <= SHOWN_CHARS;
    return [part, isOpen ? text : `${text.slice(0, SHOWN_CHARS)}…`] as const;
  });
  return { id, route, scope, key: Object.fromEntries(shown), why, until: new Date(untilMs).toISOString() };
}

/** Null for what is damaged, or was written by another version. */
function banOf(text: string): Ban | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  return isBan(value) ? value : null;
}

function isBan(value: unknown): value is Ban {
  if (typeof value !== "object" || value === null) return false;
  const { rule, route, scope, key, forMs, why } = value as Partial<Record<keyof Ban, unknown>>;
  const texts = [rule, route, why].every((each) => typeof each === "string");
  return texts && typeof forMs === "number" && (scope === "everywhere" || scope === "route") && isKey(key);
}

const isKey = (key: unknown): boolean =>
  Array.isArray(key) &&
  key.length > 0 &&
  key.every(
    (part: unknown) => Array.isArray(part) && part.length === 2 && part.every((each) => typeof each === "string"),
  );
