// What an operator says of the cache of a route, compiled. Durations are milliseconds.

/** Not configured. */
export const UNSET = -1;

export interface CachePolicy {
  /** How long answers are fresh that say nothing of it and are cacheable by their status; UNSET: they are not stored. */
  readonly ttl: number;
  /** Windows of RFC 5861 for answers that name none; UNSET: none. */
  readonly staleWhileRevalidate: number;
  readonly staleIfError: number;
  /** `ttl`, `staleWhileRevalidate` and `staleIfError` count also where the answer says otherwise. */
  readonly override: boolean;
  /** Freshness of answers of single statuses that say nothing of it (negative caching): 404 → 10 s. */
  readonly ttlByStatus: ReadonlyMap<number, number>;
  /** The share of its age since modification that an answer without freshness is fresh for; 0: no heuristics. */
  readonly heuristicShare: number;
  /** The most that heuristics give. */
  readonly heuristicMax: number;
  /** No answer is fresh longer. */
  readonly ttlMax: number;
  /**
   * No answer of a status that a request can provoke is fresh longer, even where the server says so; nor any error by
   * `ttl`.
   */
  readonly errorTtlMax: number;
  /** How long stale answers may be given while no server can be reached, when nothing else is said. */
  readonly staleIfDown: number;
  /** What becomes of answers with Set-Cookie. */
  readonly setCookie: "refuse" | "strip" | "store";
  /** Store answers to requests with cookies also by `ttl`, not by the server's word alone. */
  readonly cookieRequests: boolean;
  /** Do what Cache-Control in requests asks: no-cache, max-age and the like. */
  readonly requestDirectives: boolean;
  /** Answers that are `private` are stored all the same: nothing of a client goes to the server. */
  readonly storePrivate: boolean;
  /** Names of fields that Vary may name although no cache can hold their variants: those that are part of the key. */
  readonly keyedHeaders: readonly string[];
}

const DAY_MS = 86_400_000;

export const DEFAULT_POLICY: CachePolicy = {
  ttl: UNSET,
  staleWhileRevalidate: UNSET,
  staleIfError: UNSET,
  override: false,
  ttlByStatus: new Map(),
  heuristicShare: 0,
  heuristicMax: DAY_MS, // RFC 9111 §4.2.2 wants a warning beyond a day
  ttlMax: 365 * DAY_MS, // RFC 2616 §14.21 named a year as the most that "never expires" means
  errorTtlMax: 10_000, // an error that an attacker provoked is over before anybody has noticed it
  staleIfDown: DAY_MS, // an outage longer than that is not bridged by yesterday's pages
  setCookie: "refuse",
  cookieRequests: false,
  requestDirectives: true,
  storePrivate: false,
  keyedHeaders: [],
};
