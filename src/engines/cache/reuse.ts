// Whether a stored answer may be given to a request (RFC 9111 §4). What needs thinking was thought when it was stored
// (freshness.ts): for most requests this is one comparison.
import type { HeaderBlock } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";
import { ABSENT, PLAIN_REQUEST, parseRequestDirectives, type RequestDirectives } from "./cache-control.ts";
import type { UseTimes } from "./freshness.ts";
import type { CachePolicy } from "./policy.ts";

/**
 * What to do with a stored answer:
 * - `hit`: give it out;
 * - `stale`: give it out although it is stale, as the client allows it;
 * - `refresh`: give it out stale and fetch it anew meanwhile (stale-while-revalidate);
 * - `validate`: ask the server, as it is stale (`fwd=stale`);
 * - `asked`: ask the server, as the request wants it so (`fwd=request`);
 * - `unavailable`: answer 504, as the request does not want the server to be asked (only-if-cached).
 */
export type Reuse = "hit" | "stale" | "refresh" | "validate" | "asked" | "unavailable";

const NO_CACHE_ALONE: RequestDirectives = Object.freeze({ ...PLAIN_REQUEST, noCache: true });

/**
 * What a request asks of the cache: Cache-Control, and `Pragma: no-cache` without that (RFC 9111 §5.4). PLAIN_REQUEST
 * where it says nothing, or the policy does not listen. Whether the answer is stored is looked at again in storing.ts.
 */
export function wantsOf(request: HeaderBlock, policy: CachePolicy): RequestDirectives {
  if (!policy.requestDirectives) return PLAIN_REQUEST;
  const control = request.getById(ID["cache-control"]);
  if (control !== null) return parseRequestDirectives(control);
  const pragma = request.getById(ID.pragma);
  return pragma?.toLowerCase().includes("no-cache") === true ? NO_CACHE_ALONE : PLAIN_REQUEST;
}

/** What to do with an answer that is stored; `now` in milliseconds since 1970. */
export function reuse(times: UseTimes, wants: RequestDirectives, now: number): Reuse {
  if (wants === PLAIN_REQUEST) {
    if (now < times.freshUntil) return "hit";
    return now < times.refreshUntil ? "refresh" : "validate";
  }
  const verdict = reuseAsAsked(times, wants, now);
  return wants.onlyIfCached && (verdict === "validate" || verdict === "asked") ? "unavailable" : verdict;
}

function reuseAsAsked(times: UseTimes, wants: RequestDirectives, now: number): Reuse {
  if (wants.noCache) return "asked";
  const fresh = now < times.freshUntil;
  if (!(fresh && times.immutable)) {
    if (now - times.bornAt > wants.maxAge * 1000) return "asked";
    if (wants.maxAge === 0) return "asked"; // also within the millisecond in which it was made
    if (fresh && times.freshUntil - now < wants.minFresh * 1000) return "asked";
  }
  if (fresh) return "hit";
  if (now < times.refreshUntil && wants.minFresh === 0) return "refresh";
  const staleness = now - times.freshUntil;
  return times.mayBeStale && times.freshUntil > 0 && staleness <= wants.maxStale * 1000 && wants.maxStale > 0
    ? "stale"
    : "validate";
}

/** What to do when nothing is stored: fetch, or answer 504 (RFC 9111 §5.2.1.7). */
export function withoutStored(wants: RequestDirectives): "fetch" | "unavailable" {
  return wants.onlyIfCached ? "unavailable" : "fetch";
}

/**
 * Whether a stored answer that needed validation may be given stale all the same, because the servers fail: `error` is
 * an answer 500, 502, 503 or 504 (RFC 5861 §4), `down` no answer at all (RFC 9111 §4.2.4).
 */
export function mayStandIn(times: UseTimes, wants: RequestDirectives, failure: "error" | "down", now: number): boolean {
  if (now < times.freshUntil) return true; // the request alone asked for news, and there are none to be had
  if (now < times.errorUntil || (failure === "down" && now < times.downUntil)) return true;
  if (wants.staleIfError === ABSENT || !times.mayBeStale || times.freshUntil === 0) return false;
  return now - times.freshUntil <= wants.staleIfError * 1000;
}
