// The plan before the first configuration.
import type { Metrics } from "../observe/metrics.ts";
import { Upstreams } from "../upstream/upstreams.ts";
import type { WirePlan } from "../wire.ts";

/** Before the first configuration nothing is served. */
export function planless(metrics: Metrics): WirePlan {
  return {
    table: { find: () => null, params: null },
    upstreams: new Upstreams(new Map(), new Map(), null),
    trustedProxies: null,
    requests: metrics.requests([]),
    caches: [],
    coalesce: [],
    cacheKeys: [],
    cache: null,
    endpoints: null,
    identityFields: null,
    usage: null,
  };
}
