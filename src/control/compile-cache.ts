// From the `cache` policy of a route to what its requests are held to.
import { RouteCache } from "../cache/route-cache.ts";
import { CompileError } from "../config/compile-error.ts";
import { CACHE_DEFAULTS } from "../config/defaults.ts";
import type { KeyRule } from "../engines/cache/key.ts";
import { type CachePolicy, DEFAULT_POLICY, UNSET } from "../engines/cache/policy.ts";
import type { Policies } from "../filters/definition.ts";
import { isFieldName } from "../http/header-block.ts";

type CacheConfig = Exclude<NonNullable<Policies["cache"]>, true>;

/** The settings, those of `true` included. */
export const cacheSettings = (policy: NonNullable<Policies["cache"]>): CacheConfig =>
  policy === true ? CACHE_DEFAULTS : policy;

/** Throws CompileError for values that cannot work. */
export function compileCache(config: CacheConfig, route: string): RouteCache {
  const key = compileKey(config.key);
  const policy: CachePolicy = {
    ...DEFAULT_POLICY,
    ttl: config.ttl ?? UNSET,
    staleWhileRevalidate: config.staleWhileRevalidate ?? UNSET,
    staleIfError: config.staleIfError ?? UNSET,
    override: config.override,
    ttlByStatus: new Map(Object.entries(config.statusTtl).map(([status, ms]) => [Number(status), ms])),
    heuristicShare: config.heuristic,
    setCookie: config.setCookie,
    cookieRequests: config.cookieRequests,
    requestDirectives: config.requestDirectives,
    keyedHeaders: key.headers,
  };
  const { tags = "" } = config;
  if (tags !== "" && !isFieldName(tags)) throw new CompileError(`"${tags}" is not a field name`, ["tags"]);
  return new RouteCache(route, policy, key, config.maxSize, tags.toLowerCase());
}

function compileKey({ query, headers, cookies, device }: CacheConfig["key"]): KeyRule {
  const wrong = headers.findIndex((name) => !isFieldName(name));
  if (wrong >= 0) throw new CompileError(`"${headers[wrong]}" is not a field name`, ["key", "headers", wrong]);
  return {
    query: query === undefined ? null : { ignore: query.ignore, allow: query.allow ?? null, sort: query.sort },
    headers: headers.map((name) => name.toLowerCase()),
    cookies,
    device,
  };
}
