// What keeps credentials from being guessed: wrong ones are counted by address and by account in memory that all
// threads share. After some free ones each makes the next wait twice as long, up to a bound. Nobody who is known
// already waits.
import { addressKey } from "../core/ip.ts";
import { GcraTable } from "../engines/rate-limit/gcra.ts";
import { KeyHash } from "../engines/storage/key-hash.ts";
import type { Shared } from "../pipeline/shared.ts";

interface Terms {
  /** Wrong ones that cost nothing. */
  readonly free: number;
  /** The longest wait, in seconds. */
  readonly most: number;
}

/** A typing error or two, and an application with an old password that asks again, wait for nothing. */
const BY_ADDRESS: Terms = { free: 8, most: 900 };
/**
 * Of an account anybody can make the wait longer, so it is bounded such that its owner gets in, while those who guess
 * from many addresses have less than 1500 tries a day.
 */
const BY_ACCOUNT: Terms = { free: 10, most: 60 };
/** Wrong ones that are remembered; what is beyond waits the longest time. */
const STRIKES = 24;
/** One of them is forgotten after this time. */
const FORGIVEN_MS = 300_000;
/** Addresses, and accounts, that are remembered at a time: 32 bytes each. */
const KEYS = 16_384;

export class Throttle {
  readonly #addresses: Strikes;
  readonly #accounts: Strikes;

  /** All routes count together: the memory has one name. */
  constructor(shared: Shared) {
    this.#addresses = new Strikes("address", BY_ADDRESS, shared);
    this.#accounts = new Strikes("account", BY_ACCOUNT, shared);
  }

  /** Seconds until the address may try the account; 0 for now. An account of "" is none. */
  waitSeconds(ip: string, account: string): number {
    const byAddress = ip === "" ? 0 : this.#addresses.waitSeconds(addressKey(ip));
    return account === "" ? byAddress : Math.max(byAddress, this.#accounts.waitSeconds(account));
  }

  /** The credentials were wrong. What comes over a unix socket has no address. */
  failed(ip: string, account: string): void {
    if (ip !== "") this.#addresses.count(addressKey(ip));
    if (account !== "") this.#accounts.count(account);
  }
}

class Strikes {
  readonly #kind: string;
  readonly #terms: Terms;
  readonly #shared: Shared;
  readonly #hash: KeyHash;
  /** Wrong ones so far. */
  readonly #strikes: GcraTable;
  /** Seconds that are still to be waited for. */
  readonly #waits: GcraTable;

  constructor(kind: string, terms: Terms, shared: Shared) {
    this.#kind = kind;
    this.#terms = terms;
    this.#shared = shared;
    this.#hash = new KeyHash(shared.seed);
    const memory = (what: string): SharedArrayBuffer => shared.memory(`auth ${what} by ${kind}`, GcraTable.bytes(KEYS));
    this.#strikes = new GcraTable(memory("strikes"), { intervalMs: FORGIVEN_MS, burst: STRIKES });
    this.#waits = new GcraTable(memory("waits"), { intervalMs: 1000, burst: terms.most });
    shared.onTick({
      tick: (nowMs, sinceMs) => {
        this.#strikes.sweep(nowMs, sinceMs);
        this.#waits.sweep(nowMs, sinceMs);
      },
    });
  }

  waitSeconds(key: string): number {
    this.#hash.of(`${this.#kind} ${key}`);
    return Math.ceil(this.#waits.aheadMs(this.#hash.low, this.#hash.high, this.#shared.now()) / 1000);
  }

  count(key: string): void {
    this.#hash.of(`${this.#kind} ${key}`);
    const { low, high } = this.#hash;
    const now = this.#shared.now();
    const { free, most } = this.#terms;
    const strikes = this.#strikes.take(low, high, 1, now) ? STRIKES - this.#strikes.remaining : STRIKES;
    if (strikes <= free) return;
    const seconds = Math.min(most, 2 ** (strikes - free - 1));
    const left = this.#waits.aheadMs(low, high, now) / 1000;
    const more = Math.floor(seconds - left);
    if (more > 0) this.#waits.take(low, high, more, now);
  }
}
