// The keys of an issuer, fetched from it (JWKS) when a plan with it comes into use. Start-up does not wait for them,
// and those that are there serve on while newer ones are fetched, or cannot be.
//
//   fetched ── fresh ──→ due: fetched again in the background ── … ──→ USABLE_MS: not believed any more
//   a token names a key that is not there: fetched again at once, but not more often than every COOLDOWN_MS
import { NO_DIRECTIVES, parseResponseDirectives } from "../../engines/cache/cache-control.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { Algorithm } from "./algorithms.ts";
import { fetchJson, type NotFetched, urlProblem } from "./fetch-json.ts";
import type { Found, KeySource } from "./keys.ts";
import { candidates, keysOfSet, type VerificationKey } from "./verification-key.ts";

/** Requests wait no longer than this for keys. */
const TIMEOUT_MS = 5000;
/** What `Cache-Control` may say, and what counts without it. */
const FRESH_MIN_MS = 60_000;
const FRESH_MAX_MS = 86_400_000;
const FRESH_MS = 600_000;
/** With an issuer that is down its tokens go on for a day; keys that it has withdrawn do not for much longer. */
const USABLE_MS = 86_400_000;
/** Anybody can name keys that do not exist. */
const COOLDOWN_MS = 30_000;
/** After a failure others wait, twice as long each time. */
const RETRY_MIN_MS = 1000;
const RETRY_MAX_MS = 60_000;

export interface RemoteKeysOptions {
  readonly issuer: string;
  /** Address of the keys; null to find it by discovery. */
  readonly jwks: string | null;
  readonly insecure: boolean;
}

interface KeySet {
  readonly keys: readonly VerificationKey[];
  readonly freshMs: number;
}

export class RemoteKeys implements KeySource {
  readonly #options: RemoteKeysOptions;
  #keys: readonly VerificationKey[] | null = null;
  #fetchedAt = 0;
  /** When they are to be fetched again. */
  #dueAt = 0;
  /** After this nobody believes them. */
  #usableUntil = 0;
  #failures = 0;
  #retryAt = 0;
  #missAt = 0;
  #pending: Promise<void> | null = null;

  constructor(options: RemoteKeysOptions) {
    this.#options = options;
  }

  find(algorithm: Algorithm, kid: string, shared: Shared): Found | Promise<Found> {
    const now = shared.wallNow();
    const keys = this.#usable(now);
    if (keys === null) return this.#first(algorithm, kid, shared, now);
    this.freshen(now, shared);
    const found = candidates(keys, algorithm, kid);
    if (found.length > 0 || (now < this.#missAt && this.#pending === null)) return found;
    return this.#again(algorithm, kid, shared, now);
  }

  freshen(nowMs: number, shared: Shared): void {
    // A clock that was put back must not make keys last longer.
    if (nowMs < this.#dueAt && nowMs >= this.#fetchedAt) return;
    if (nowMs >= this.#retryAt || nowMs < this.#fetchedAt) void this.#fetch(shared);
  }

  retrySeconds(nowMs: number): number {
    return Math.max(1, Math.ceil((this.#retryAt - nowMs) / 1000));
  }

  #usable(now: number): Found {
    return now < this.#usableUntil ? this.#keys : null;
  }

  async #first(algorithm: Algorithm, kid: string, shared: Shared, now: number): Promise<Found> {
    if (this.#pending !== null || now >= this.#retryAt) await this.#fetch(shared);
    const keys = this.#usable(shared.wallNow());
    return keys === null ? null : candidates(keys, algorithm, kid);
  }

  /** The key may be new. */
  async #again(algorithm: Algorithm, kid: string, shared: Shared, now: number): Promise<Found> {
    if (this.#pending === null) this.#missAt = now + COOLDOWN_MS;
    await this.#fetch(shared);
    return candidates(this.#keys ?? [], algorithm, kid);
  }

  /** One at a time, whoever asks. */
  #fetch(shared: Shared): Promise<void> {
    this.#pending ??= this.#load()
      .then((result) => this.#take(result, shared))
      .finally(() => {
        this.#pending = null;
      });
    return this.#pending;
  }

  #take(result: KeySet | NotFetched, shared: Shared): void {
    const now = shared.wallNow();
    if ("failed" in result) {
      const waitMs = Math.min(RETRY_MIN_MS * 2 ** this.#failures, RETRY_MAX_MS);
      this.#failures += 1;
      this.#retryAt = now + waitMs;
      const { issuer } = this.#options;
      return shared.tell("the keys of an issuer could not be fetched", { issuer, why: result.failed });
    }
    this.#failures = 0;
    this.#retryAt = 0;
    this.#fetchedAt = now;
    this.#dueAt = now + result.freshMs;
    this.#usableUntil = now + result.freshMs + USABLE_MS;
    this.#keys = this.#replaced(result.keys);
  }

  /** Keys that stay are the same objects, and those that do not are known to be gone by whoever has seen them. */
  #replaced(keys: readonly VerificationKey[]): readonly VerificationKey[] {
    const before = new Map((this.#keys ?? []).map((key) => [key.text, key]));
    const after = keys.map((key) => before.get(key.text) ?? key);
    for (const key of before.values()) if (!after.includes(key)) key.gone = true;
    return after;
  }

  async #load(): Promise<KeySet | NotFetched> {
    const { jwks, insecure } = this.#options;
    const url = jwks ?? (await this.#discover());
    if (typeof url !== "string") return url;
    const problem = urlProblem(url, insecure);
    if (problem !== "") return { failed: problem };
    const fetched = await fetchJson(url, { timeoutMs: TIMEOUT_MS });
    if ("failed" in fetched) return fetched;
    const keys = keysOfSet(fetched.json);
    if (keys === null || keys.length === 0) return { failed: "it has no key for signatures" };
    return { keys, freshMs: freshnessOf(fetched.cacheControl) };
  }

  /** OpenID Connect Discovery 1.0, section 4. */
  async #discover(): Promise<string | NotFetched> {
    const { issuer } = this.#options;
    const url = `${issuer.endsWith("/") ? issuer.slice(0, -1) : issuer}/.well-known/openid-configuration`;
    const fetched = await fetchJson(url, { timeoutMs: TIMEOUT_MS });
    if ("failed" in fetched) return fetched;
    const { issuer: name, jwks_uri: found } = fetched.json;
    if (name !== issuer) return { failed: "the issuer calls itself differently" };
    return typeof found === "string" ? found : { failed: "it names no jwks_uri" };
  }
}

function freshnessOf(cacheControl: string | null): number {
  const { maxAge, noStore, noCache } = cacheControl === null ? NO_DIRECTIVES : parseResponseDirectives(cacheControl);
  if (noStore || noCache) return FRESH_MIN_MS;
  if (maxAge < 0) return FRESH_MS;
  return Math.min(Math.max(maxAge * 1000, FRESH_MIN_MS), FRESH_MAX_MS);
}
