// What one request gets that was fetched for another one.
import { forwardedStatus } from "../engines/cache/cache-status.ts";
import { deliver } from "./delivery.ts";
import type { Entry } from "./entry.ts";
import type { Visit } from "./visit.ts";

/** Gives out an answer, stored or still being fetched. */
export function giveCollapsed(visit: Visit, entry: Entry, now: number): void {
  const { x, env, reason } = visit;
  visit.host = null;
  if (x.over) return;
  x.cacheStatus = forwardedStatus({ reason, status: 0, stored: false, collapsed: true, detail: "" });
  deliver(x, env, entry, true, now, visit.offer(entry));
}
