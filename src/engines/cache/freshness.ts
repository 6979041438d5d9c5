// How long an answer is fresh (RFC 9111 §4.2.1), and until when it may be used stale. All of it is worked out when the
// answer is stored, as points in time, so that a hit compares a few numbers.
import type { HeaderBlock } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";
import { NO_DATE, parseHttpDate } from "../../http/http-date.ts";
import { ABSENT, type ResponseDirectives } from "./cache-control.ts";
import { type CachePolicy, UNSET } from "./policy.ts";
import { isCacheableByDefault, isProvoked } from "./statuses.ts";
import type { Instructions } from "./targeted.ts";

/** Where a lifetime comes from. */
export type LifetimeSource = "server" | "ttl" | "heuristic" | "none";

export interface Lifetime {
  /** Milliseconds from the making of the answer. */
  readonly ms: number;
  readonly source: LifetimeSource;
}

/** When an answer may be used, in milliseconds since 1970; 0 where never. */
export interface UseTimes {
  /** When it was as good as made: its age is what has passed since. */
  readonly bornAt: number;
  /** Before this it is fresh. */
  readonly freshUntil: number;
  /** Before this it may be given stale while it is fetched anew (RFC 5861 §3). */
  readonly refreshUntil: number;
  /** Before this it may be given stale in place of an answer 500, 502, 503 or 504 (RFC 5861 §4). */
  readonly errorUntil: number;
  /** Before this it may be given stale when no answer comes at all (RFC 9111 §4.2.4). */
  readonly downUntil: number;
  /** A client may ask for it stale (max-stale), as nothing forbids it. */
  readonly mayBeStale: boolean;
  /** Asking for news is of no use while it is fresh (RFC 8246). */
  readonly immutable: boolean;
}

const NONE: Lifetime = { ms: 0, source: "none" };

/**
 * The freshness lifetime: what the server says in the order s-maxage, max-age, Expires; else the policy's, by status or
 * for all; else, where switched on, a share of the time since the last modification (RFC 9111 §4.2.2).
 */
export function lifetimeOf(
  status: number,
  response: HeaderBlock,
  instructions: Instructions,
  date: number,
  policy: CachePolicy,
): Lifetime {
  const stated = serverLifetime(response, instructions, date);
  const chosen = stated.source === "none" || policy.override ? ownLifetime(status, policy, stated) : stated;
  const lifetime = chosen.source === "none" ? heuristicLifetime(status, response, instructions, date, policy) : chosen;
  const most = isProvoked(status) ? Math.min(policy.errorTtlMax, policy.ttlMax) : policy.ttlMax;
  return lifetime.ms > most ? { ms: most, source: lifetime.source } : lifetime;
}

function serverLifetime(response: HeaderBlock, { directives, targeted }: Instructions, date: number): Lifetime {
  const seconds = directives.sharedMaxAge === ABSENT ? directives.maxAge : directives.sharedMaxAge;
  if (seconds !== ABSENT) return { ms: seconds * 1000, source: "server" };
  const expires = targeted ? null : response.getById(ID.expires);
  if (expires === null) return NONE;
  // What is no date, `0` above all, lies in the past (RFC 9111 §5.3).
  const ms = parseHttpDate(expires, date) - date;
  return { ms: ms > 0 ? ms : 0, source: "server" };
}

/** What the operator gives. An answer that a request can provoke gets nothing that its server did not give it. */
function ownLifetime(status: number, policy: CachePolicy, stated: Lifetime): Lifetime {
  if (isProvoked(status)) return stated;
  const byStatus = policy.ttlByStatus.get(status);
  if (byStatus !== undefined) return { ms: byStatus, source: "ttl" };
  if (policy.ttl === UNSET || !isCacheableByDefault(status)) return stated;
  // What is missing may be there the next moment: nobody means that when saying how long pages are fresh.
  return { ms: status < 400 ? policy.ttl : Math.min(policy.ttl, policy.errorTtlMax), source: "ttl" };
}

function heuristicLifetime(
  status: number,
  response: HeaderBlock,
  { directives }: Instructions,
  date: number,
  policy: CachePolicy,
): Lifetime {
  if (policy.heuristicShare <= 0 || isProvoked(status)) return NONE;
  if (!isCacheableByDefault(status) && !directives.public) return NONE;
  const field = response.getById(ID["last-modified"]);
  const since = field === null ? NO_DATE : date - parseHttpDate(field, date);
  if (!(since > 0)) return NONE;
  return { ms: Math.min(since * policy.heuristicShare, policy.heuristicMax), source: "heuristic" };
}

/** The Date of an answer; when it came, where it has none or a broken one (RFC 9110 §6.6.1). */
export function dateOf(response: HeaderBlock, responseTime: number): number {
  const field = response.getById(ID.date);
  const date = field === null ? NO_DATE : parseHttpDate(field, responseTime);
  return Number.isNaN(date) ? responseTime : date;
}

/**
 * The points in time for an answer that is stored. Nothing may be stale that the server forbids to be: no-cache,
 * must-revalidate and proxy-revalidate always, s-maxage where it does not name a window itself (RFC 9111 §4.2.4).
 */
export function useTimes(
  bornAt: number,
  directives: ResponseDirectives,
  lifetime: Lifetime,
  policy: CachePolicy,
): UseTimes {
  const freshUntil = bornAt + lifetime.ms;
  const strict = directives.noCache || directives.mustRevalidate || directives.proxyRevalidate;
  const shared = directives.sharedMaxAge !== ABSENT;
  const window = (stated: number, own: number): number => {
    if (strict) return 0;
    if (policy.override && own !== UNSET) return own;
    if (stated !== ABSENT) return stated * 1000;
    return own === UNSET || shared ? 0 : own;
  };
  const refresh = window(directives.staleWhileRevalidate, policy.staleWhileRevalidate);
  const error = window(directives.staleIfError, policy.staleIfError);
  const down = error > 0 ? error : window(ABSENT, policy.staleIfDown);
  const until = (ms: number): number => (ms > 0 ? freshUntil + ms : 0);
  return {
    bornAt,
    freshUntil: directives.noCache ? 0 : freshUntil,
    refreshUntil: until(refresh),
    errorUntil: until(error),
    downUntil: until(down),
    mayBeStale: !strict && !shared,
    immutable: directives.immutable,
  };
}
