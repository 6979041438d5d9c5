// From the `cache` policy of a route to what its requests are held to.
import { RouteCache } from "../cache/route-cache.ts";
import { CompileError } from "../config/compile-error.ts";
import { CACHE_DEFAULTS, compressSettings } from "../config/defaults.ts";
import type { KeyRule } from "../engines/cache/key.ts";
import { type CachePolicy, DEFAULT_POLICY, UNSET } from "../engines/cache/policy.ts";
import { CodingPolicy } from "../engines/compression/coding-policy.ts";
import type { Policies } from "../filters/definition.ts";
import { isFieldName } from "../http/header-block.ts";

type CacheConfig = Exclude<NonNullable<Policies["cache"]>, true>;

type DiskConfig = NonNullable<CacheConfig["disk"]>;

/** The settings, those of `true` included. */
export const cacheSettings = (policy: NonNullable<Policies["cache"]>): CacheConfig =>
  policy === true ? CACHE_DEFAULTS : policy;

/** Throws CompileError for values that cannot work. `compress` is that of the same route. */
export function compileCache(
  config: CacheConfig,
  route: string,
  compress: Policies["compress"],
  storePrivate = false,
): RouteCache {
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
    storePrivate,
    keyedHeaders: key.headers,
  };
  const { tags = "" } = config;
  if (tags !== "" && !isFieldName(tags)) throw new CompileError(`"${tags}" is not a field name`, ["tags"]);
  const coding = compress === undefined ? null : new CodingPolicy(compressSettings(compress));
  return new RouteCache(route, policy, key, config.maxSize, tags.toLowerCase(), coding, config.disk !== undefined);
}

/** The disk tier that routes have in common. */
export class DiskChoice {
  chosen: DiskConfig | null = null;

  /** Throws CompileError where another route says otherwise. */
  take(disk: DiskConfig | undefined): void {
    if (disk === undefined) return;
    const { path, size } = (this.chosen ??= disk);
    if (disk.path !== path)
      throw new CompileError(`routes share one folder, and another one names ${path}`, ["disk", "path"]);
    if (disk.size !== size) throw new CompileError("routes that share a folder name one size", ["disk", "size"]);
  }
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
