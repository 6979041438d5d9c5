// Addresses that are denied at run time, by operators or because of what came from them: kept apart from the
// configuration, so that a reload keeps them, each for as long as it was said.
import { monotonic, wallClock } from "../core/clock.ts";
import { type Cidr, canonicalIp, parseCidr } from "../core/ip.ts";
import { layOut } from "../core/ip-map.ts";
import type { Entry as SharedEntry } from "../state/shared-map.ts";

/** A flood of bans must end somewhere; so many are laid out in a fifth of a second. */
const DENIALS_MAX = 100_000;
/** How often it is looked whose time is over, and how long changes gather. */
const LOOK_MS = 250;

export interface Denial {
  /** An address or a network. */
  readonly address: string;
  /** Why, in a few words. */
  readonly reason: string;
  /** ISO 8601; null for good. */
  readonly until: string | null;
}

interface Entry {
  readonly network: Cidr;
  readonly reason: string;
  /** On the monotonic clock; Infinity for good. */
  readonly untilMs: number;
}

export class AddressDenials {
  #memory = new SharedArrayBuffer(0);
  readonly #entries = new Map<string, Entry>();
  readonly name = "denials";
  readonly #changed: (memory: SharedArrayBuffer) => void;
  readonly #told: (entry: SharedEntry) => void;
  readonly #now: () => number;
  #dirty = false;
  #look: ReturnType<typeof setInterval> | null = null;

  /**
   * `changed` gets them as memory for IpMap, soon after each change; `told` what begins and ends here, and not what
   * other machines have told.
   */
  constructor(
    changed: (memory: SharedArrayBuffer) => void,
    told: (entry: SharedEntry) => void = () => {},
    now: () => number = monotonic,
  ) {
    this.#changed = changed;
    this.#told = told;
    this.#now = now;
  }

  /** All of them as memory for IpMap. */
  get memory(): SharedArrayBuffer {
    return this.#memory;
  }

  /**
   * Denies an address or network for `ms` (Infinity for good), or for longer where it is denied already. Returns how it
   * is written; null when it is neither, or when there are too many.
   */
  deny(text: string, ms: number, reason: string): string | null {
    const network = parseCidr(text);
    if (network === null) return null;
    const key = written(network);
    if (this.#entries.size >= DENIALS_MAX && !this.#entries.has(key)) return null;
    const untilMs = Math.max(this.#now() + ms, this.#entries.get(key)?.untilMs ?? 0);
    const entry = { network, reason, untilMs };
    this.#entries.set(key, entry);
    this.#told(this.#sharedOf(key, entry));
    this.#soon();
    return key;
  }

  /**
   * Takes a denial back that is over within `ms`; false when there is none of exactly this address or network.
   */
  forgive(text: string, ms = Infinity): boolean {
    const key = writtenAddress(text) ?? "";
    const found = this.#entries.get(key);
    if (found === undefined || found.untilMs > this.#now() + ms) return false;
    this.#entries.delete(key);
    this.#told({ key, value: null, untilMs: 0 });
    this.#soon();
    return true;
  }

  get full(): boolean {
    return this.#entries.size >= DENIALS_MAX;
  }

  list(): Denial[] {
    const now = this.#now();
    return [...this.#entries]
      .filter(([, { untilMs }]) => untilMs > now)
      .map(([address, { reason, untilMs }]) => {
        const until = untilMs === Infinity ? null : new Date(wallClock() + untilMs - now).toISOString();
        return { address, reason, until };
      });
  }

  entries(): SharedEntry[] {
    const now = this.#now();
    return [...this.#entries].flatMap(([key, entry]) => (entry.untilMs > now ? [this.#sharedOf(key, entry)] : []));
  }

  /** What other machines have told, or was kept. */
  receive(entries: readonly SharedEntry[]): void {
    const aheadMs = wallClock() - this.#now();
    for (const { key, value, untilMs } of entries) {
      const network = parseCidr(key);
      if (network === null || written(network) !== key) continue;
      if (value === null) this.#entries.delete(key);
      else if (this.#entries.size < DENIALS_MAX || this.#entries.has(key))
        this.#entries.set(key, { network, reason: value, untilMs: untilMs - aheadMs });
    }
    if (entries.length > 0) this.#soon();
  }

  #sharedOf(key: string, { reason, untilMs }: Entry): SharedEntry {
    return { key, value: reason, untilMs: untilMs + wallClock() - this.#now() };
  }

  stop(): void {
    if (this.#look !== null) clearInterval(this.#look);
    this.#look = null;
  }

  /** Changes are told now, as operators wait for them. */
  flush(): void {
    const now = this.#now();
    for (const [key, { untilMs }] of this.#entries) {
      if (untilMs > now) continue;
      this.#entries.delete(key);
      this.#dirty = true;
    }
    if (this.#entries.size === 0) this.stop();
    if (!this.#dirty) return;
    this.#dirty = false;
    this.#memory = layOut([...this.#entries.values()].map(({ network }) => network));
    this.#changed(this.#memory);
  }

  #soon(): void {
    this.#dirty = true;
    this.#look ??= setInterval(() => this.flush(), LOOK_MS).unref();
  }
}

/** An address or network as it is written here; null for what is neither. */
export function writtenAddress(text: string): string | null {
  const network = parseCidr(text);
  return network === null ? null : written(network);
}

/** `192.0.2.1`, or `192.0.2.0/24`. */
function written({ family, words, prefix }: Cidr): string {
  const bits = family === 4 ? 32 : 128;
  const text =
    family === 4
      ? [24, 16, 8, 0].map((shift) => (words[0]! >>> shift) & 255).join(".")
      : words.map((word) => `${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`).join(":");
  const address = canonicalIp(text)!;
  return prefix === bits ? address : `${address}/${prefix}`;
}
