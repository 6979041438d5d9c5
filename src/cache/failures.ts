// Keys whose servers failed to confirm or replace what is stored: stale answers go on for a while without a question,
// as a server in trouble does not get well by being asked more often (RFC 5861 §4). Each failure doubles the time.

/** Short enough that nobody notices when a server was only restarted. */
const WAIT_MS = 1000;
/** Long enough to be no load; a server that is back is found after half a minute. */
const WAIT_MAX_MS = 30_000;
/** Keys that are remembered, twice: some 200 bytes each. */
const KEYS_MAX = 10_000;

/** `error` is an answer 500, 502, 503 or 504, `down` no answer at all. */
export type Failure = "error" | "down";

interface Failed {
  readonly failure: Failure;
  readonly waitMs: number;
  readonly until: number;
}

export class Failures {
  #young = new Map<string, Failed>();
  /** Those before them, so that forgetting costs nothing. */
  #old = new Map<string, Failed>();

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** Another failure; `now` in milliseconds. */
  add(key: string, failure: Failure, now: number): void {
    const before = this.#young.get(key) ?? this.#old.get(key);
    // Several fetches of the same time count once.
    if (before !== undefined && now < before.until) return;
    const waitMs = before === undefined ? WAIT_MS : Math.min(before.waitMs * 2, WAIT_MAX_MS);
    if (this.#young.size >= KEYS_MAX) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, { failure, waitMs, until: now + waitMs });
  }

  /** How the server failed, where it is not to be asked yet; else null. */
  holding(key: string, now: number): Failure | null {
    const failed = this.#young.get(key) ?? this.#old.get(key);
    return failed !== undefined && now < failed.until ? failed.failure : null;
  }

  delete(key: string): void {
    if (this.size === 0) return;
    this.#young.delete(key);
    this.#old.delete(key);
  }
}
