// Where the answers to a request are stored, if anywhere.
import { addressKey, type KeyRule, keyedTarget, requestKey } from "../engines/cache/key.ts";
import { NO_GRPC } from "../http/grpc.ts";
import { RequestHead } from "../http/message.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { PurgeAddress } from "./purge.ts";
import type { RouteCache } from "./route-cache.ts";

/** What is known of a request's place in the cache. */
export interface Place {
  /** The key of its address, and the rest of its key. */
  readonly address: string;
  readonly extra: string;
  /** What the server is asked for. */
  readonly target: string;
}

/** The place of a request that may be answered from the cache; null where its key would be too long. */
export function placeOf(x: Exchange, upstream: Upstream, rules: RouteCache): Place | null {
  const { request, scheme, rewrittenTarget } = x;
  const { key } = rules;
  const target = keyedTarget(request, key);
  const whole = requestKey(scheme, request, target, key);
  if (whole === null) return null;
  const address = rules.hasExtras ? addressKey(scheme, request.authority, target) : whole;
  let extra = rules.mark(upstream);
  if (rules.hasExtras) extra += whole.slice(address.length);
  if (rewrittenTarget === "") return { address, extra, target };
  const asked = keyed(rewrittenTarget, key);
  return { address, extra: `${extra}${asked}\n`, target: asked };
}

/** What counts of a target that a filter wrote. */
function keyed(target: string, key: KeyRule): string {
  const head = headFor(target);
  return head.path === null ? target : keyedTarget(head, key);
}

/** The key of an address that an operator names, as this rule makes it. */
export function keyOfUrl({ scheme, authority, path, query }: PurgeAddress, rule: KeyRule): string {
  return keyOfTarget(scheme, authority, path + query, rule);
}

/** The key of an address with this target, as this rule makes it. */
export function keyOfTarget(scheme: string, authority: string, target: string, rule: KeyRule): string {
  return addressKey(scheme, authority, keyed(target, rule));
}

function headFor(target: string): RequestHead {
  const head = new RequestHead();
  head.target = target;
  head.queryAt = target.indexOf("?");
  return head;
}

/** Whether the request is one whose answer depends on more than a key can tell. */
export function isUnsuitable(x: Exchange): boolean {
  const { request } = x;
  return (
    x.uncached ||
    request.body !== "none" ||
    request.upgrade !== "" ||
    request.expectContinue ||
    request.authority === "" ||
    request.path === null ||
    x.grpc !== NO_GRPC
  );
}
