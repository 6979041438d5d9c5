// Gives out what is stored and may be used, the cheapest way that there is for this request.
import { HIT_STATUS } from "../engines/cache/cache-status.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { deliver, deliverPlain, isPlain } from "./delivery.ts";
import type { Encoder } from "./encoded.ts";
import { readyForm } from "./encoded-forms.ts";
import type { Entry } from "./entry.ts";
import type { RouteCache } from "./route-cache.ts";
import type { CacheEnvironment } from "./visit.ts";

/** Answers a request from an entry that is stored at this address. */
export function deliverHit(
  x: Exchange,
  env: CacheEnvironment,
  rules: RouteCache,
  encoder: Encoder,
  address: string,
  entry: Entry,
  now: number,
): void {
  const { coding, idleFilters } = rules;
  const form = coding === null ? entry : readyForm(x, entry, coding);
  if (form !== null && isPlain(x, form.body.length, idleFilters)) {
    x.coded = form.count;
    return deliverPlain(x, form, now);
  }
  x.cacheStatus = HIT_STATUS;
  deliver(x, env, entry, true, now, encoder.offer(x, rules, address, entry));
}
