// The exchange by which a fetch for the cache asks its server: in the name of the client that began it, but for all.
import { turnTime } from "../core/clock.ts";
import { CLIENT_CONDITIONS, conditionFor } from "../engines/cache/validation.ts";
import { copiedRequest } from "../http/copied-head.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { ResponseHead } from "../http/message.ts";
import { type Downstream, Exchange } from "../pipeline/exchange.ts";
import type { Entry } from "./entry.ts";
import type { Visit } from "./visit.ts";

/**
 * Fields by which a client may have another address or method answered than the key says; what a route's filters set
 * stays.
 */
const UNKEYED: readonly string[] = [
  "x-http-method-override",
  "x-http-method",
  "x-method-override",
  "x-original-url",
  "x-rewrite-url",
];

/** What the client of this visit asked for. */
export function exchangeFor(visit: Visit, downstream: Downstream): Exchange {
  const { x, place } = visit;
  const { request } = x;
  const copy = new Exchange(copiedRequest(request), new ResponseHead(), downstream, x.client, x.listener, turnTime());
  copy.ip = x.ip;
  copy.trusted = x.trusted;
  copy.scheme = x.scheme;
  copy.route = x.route;
  copy.params = x.params;
  copy.priority = x.priority;
  copy.requestId = x.requestId;
  if (place.target !== request.target) copy.rewrittenTarget = place.target;
  const { headers } = copy.request;
  for (const name of UNKEYED) if (!visit.rules.key.headers.includes(name)) headers.removeReceived(name);
  return copy;
}

/**
 * Replaces the conditions of a client by the question whether these answers still hold. False: nothing can be asked
 * about them, and the request is one without conditions.
 */
export function setCondition(headers: HeaderBlock, asked: readonly Entry[]): boolean {
  for (const name of CLIENT_CONDITIONS) headers.remove(name);
  const condition = asked.length === 0 ? null : conditionFor(asked.map(({ validators }) => validators));
  if (condition === null) return false;
  if (condition.ifNoneMatch !== null) headers.add("If-None-Match", condition.ifNoneMatch);
  if (condition.ifModifiedSince !== null) headers.add("If-Modified-Since", condition.ifModifiedSince);
  return true;
}
