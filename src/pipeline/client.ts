// Who the client is: the peer itself, or what a trusted proxy in front of us says of it.
import { type CidrSet, canonicalIp } from "../core/ip.ts";
import { ID } from "../http/header-names.ts";
import type { Exchange } from "./exchange.ts";

const REQUEST_ID_LENGTH_MAX = 128;

/** Fills in address, scheme and, where it was given one, request id. `trusted` are the networks of proxies whose word counts. */
export function identifyClient(x: Exchange, trusted: CidrSet | null): void {
  const { headers } = x.request;
  if (trusted !== null && (x.client.address === "" || trusted.has(x.client.address))) {
    x.trusted = true;
    const chain = headers.received(ID["x-forwarded-for"]) ? headers.get("x-forwarded-for") : null;
    if (chain !== null) x.ip = clientOf(chain, trusted) ?? x.client.address;
    const scheme = headers.received(ID["x-forwarded-proto"]) ? headers.get("x-forwarded-proto") : null;
    if (scheme === "https" || scheme === "http") x.scheme = scheme;
    const id = headers.received(ID["x-request-id"]) ? headers.get("x-request-id") : null;
    if (id !== null && id.length <= REQUEST_ID_LENGTH_MAX && /^[\x21-\x7e]+$/.test(id)) {
      x.requestId = id;
    } else if (id !== null) headers.remove("x-request-id");
  }
}

/**
 * Walks X-Forwarded-For from the right: the first address that is not a trusted proxy is the client (RFC 7239 §8.1:
 * what stands further left is only hearsay). Null when an entry is no address.
 */
function clientOf(chain: string, trusted: CidrSet): string | null {
  const hops = chain.split(",");
  let last: string | null = null;
  for (let i = hops.length - 1; i >= 0; i -= 1) {
    const ip = canonicalIp(hops[i]!.trim());
    if (ip === null) return last;
    last = ip;
    if (!trusted.has(ip)) return ip;
  }
  return last;
}
