// Max-Forwards (RFC 9110 §7.6.2): TRACE and OPTIONS may say how many proxies they go through.
import type { Exchange } from "./exchange.ts";
import { type Reply, reply } from "./reply.ts";

const ALLOW = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/** Counts one proxy down. The answer of the last recipient when the request goes no further; null otherwise. */
export function countForwards(x: Exchange): Reply | null {
  const { method, headers } = x.request;
  if (method !== "OPTIONS" && method !== "TRACE") return null;
  const value = headers.get("max-forwards") ?? "";
  if (!/^\d{1,9}$/.test(value)) return null; // no number: like any other field
  if (Number(value) === 0) return reply(method === "OPTIONS" ? 204 : 405, "", { allow: ALLOW });
  headers.set("max-forwards", String(Number(value) - 1));
  return null;
}
