// Tokens that were found good, so that the next request with the same one costs a look-up. They are found by a hash
// with a secret seed and compared whole: nobody gets in with a token that merely has the same hash.
import { KeyHash } from "../../engines/storage/key-hash.ts";

/** A token as it is looked for: hashed once, whatever number of places it is looked for in. */
class TokenHash {
  readonly #hash = new KeyHash(crypto.getRandomValues(new BigUint64Array(1))[0]!);

  /** 53 bits of the token's hash: what a number holds. */
  of(token: string): number {
    this.#hash.of(token);
    return this.#hash.low * 0x20_0000 + (this.#hash.high >>> 11);
  }
}

/** Seeded for the thread: its caches outlive plans. */
export const tokenHash = new TokenHash();

interface Entry<T> {
  readonly token: string;
  readonly value: T;
  /** Milliseconds since 1970. */
  readonly endsAt: number;
}

/**
 * Room for the users of a busy API in one thread. Those that are found out first make room for others: to use one again
 * costs one more verification at most.
 */
const ENTRIES_MAX = 10_000;
/** Of tokens as large as they may be a fifth of that. */
const BYTES_MAX = 16_777_216;
/** What an entry weighs beside its token: its claims, about as long again, and objects around them. */
const WEIGHT = 3;

export class VerifiedTokens<T> {
  readonly #entries = new Map<number, Entry<T>>();
  #bytes = 0;

  get size(): number {
    return this.#entries.size;
  }

  /** What was kept of the token; undefined where nothing is, or not any more. `hash` is that of the token. */
  find(hash: number, token: string, nowMs: number): T | undefined {
    const entry = this.#entries.get(hash);
    if (entry === undefined || entry.token !== token) return undefined;
    if (entry.endsAt > nowMs) return entry.value;
    this.#drop(hash, entry);
    return undefined;
  }

  keep(hash: number, token: string, value: T, endsAt: number): void {
    const before = this.#entries.get(hash);
    if (before !== undefined) this.#drop(hash, before);
    this.#entries.set(hash, { token, value, endsAt });
    this.#bytes += token.length * WEIGHT;
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= ENTRIES_MAX && this.#bytes <= BYTES_MAX) break;
      this.#drop(oldest, entry);
    }
  }

  forget(hash: number): void {
    const entry = this.#entries.get(hash);
    if (entry !== undefined) this.#drop(hash, entry);
  }

  #drop(hash: number, entry: Entry<T>): void {
    this.#entries.delete(hash);
    this.#bytes -= entry.token.length * WEIGHT;
  }
}
