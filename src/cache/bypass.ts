// What goes to clients beside what the cache looks for: the server's own answer, and stale ones in its place.
import { type ForwardReason, forwardedStatus, HIT_STATUS, STANDS_IN_UNASKED } from "../engines/cache/cache-status.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { deliver } from "./delivery.ts";
import type { KeptAnswer } from "./encoded.ts";
import type { Entry } from "./entry.ts";
import type { CacheEnvironment } from "./visit.ts";

/** Forwards a request as if there were no cache. */
export function bypass(x: Exchange, upstream: Upstream, env: CacheEnvironment, reason: ForwardReason): void {
  if (x.cacheResult === "") x.cacheResult = "bypass";
  x.cacheStatus = forwardedStatus({ reason, status: 0, stored: false, collapsed: false, detail: "" });
  env.forward(x, upstream, env);
}

/** Gives out what a request wants of a stored part. */
export function givePart(x: Exchange, env: CacheEnvironment, part: Entry, now: number): void {
  x.cacheResult = "hit";
  x.cacheStatus = HIT_STATUS;
  deliver(x, env, part, true, now);
}

/** Gives out a stale answer without asking a server that has just failed. */
export function standIn(x: Exchange, env: CacheEnvironment, stale: Entry, now: number, kept: KeptAnswer | null): void {
  x.cacheResult = "stale";
  x.cacheStatus = STANDS_IN_UNASKED;
  deliver(x, env, stale, true, now, kept);
}
