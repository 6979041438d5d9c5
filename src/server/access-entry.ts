// A finished exchange as a line of the access log.
import type { AccessEntry } from "../observe/access-line.ts";
import type { Exchange } from "../pipeline/exchange.ts";

/** What the access log shows of the exchange, `durationMs` after its start. Read it at once: heads are used again. */
export function accessEntry(x: Exchange, durationMs: number): AccessEntry {
  const { request } = x;
  const isDiscreet = x.route?.discreet === true;
  return {
    method: request.method,
    target: isDiscreet ? request.target.split("?", 1)[0]! : request.target,
    version: request.version,
    status: x.status,
    ip: x.ip,
    scheme: x.scheme,
    host: request.authority,
    bytesIn: x.bytesIn,
    bytesOut: x.bytesOut,
    durationMs,
    upstreamMs: x.responseAt === 0 ? -1 : x.responseAt - x.startedAt,
    requestId: x.requestId,
    get userAgent() {
      return isDiscreet ? "" : (request.header("user-agent") ?? "");
    },
    get referer() {
      return isDiscreet ? "" : (request.header("referer") ?? "");
    },
    route: x.route?.name ?? "",
    upstream: x.upstream,
    server: x.server?.name ?? "",
    listener: x.listener,
    fault: x.fault?.code ?? "",
    grpcStatus: x.grpcStatus,
    operation: x.operation,
    cache: x.cacheResult,
    user: x.identity?.user ?? "",
    tokens: x.tokens,
    consumer: x.identity?.consumer ?? "",
  };
}
