// Addresses that are denied at run time, by operators or because of what came from them: kept apart from the
// configuration, so that a reload keeps them, each for as long as it was said.
import { monotonic, wallClock } from "../core/clock.ts";
import { type Cidr, canonicalIp, parseCidr } from "../core/ip.ts";
import { layOut } from "../core/ip-map.ts";

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
  readonly #changed: (memory: SharedArrayBuffer) => void;
  readonly #now: () => number;
  #dirty = false;
  #look: ReturnType<typeof setInterval> | null = null;

  /** `changed` gets them as memory for IpMap, soon after each change. */
  constructor(changed: (memory: SharedArrayBuffer) => void, now: () => number = monotonic) {
    this.#changed = changed;
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
    this.#entries.set(key, { network, reason, untilMs });
    this.#soon();
    return key;
  }

  /** Takes a denial back; false when there is none of exactly this address or network. */
  forgive(text: string): boolean {
    const network = parseCidr(text);
    const found = network !== null && this.#entries.delete(written(network));
    if (found) this.#soon();
    return found;
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
