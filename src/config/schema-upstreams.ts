// The part of the schema about servers: who they are, how one is chosen, and what is done when one fails.
import { z } from "zod";
import { millis } from "../core/units.ts";
import { UPSTREAM_DEFAULTS } from "./defaults.ts";
import { upstreamTlsSchema } from "./schema-tls.ts";
import { duration, fieldMap, oneOrMany, share, size } from "./schema-values.ts";

const DEFAULTS = UPSTREAM_DEFAULTS;

const serverSchema = z.strictObject({
  url: z
    .string()
    .describe(
      "`host:port`, `http://host:port`, `https://host:port` or `unix:/path.sock`; `h2c://host:port` and `h2://host:port` (over TLS) for servers of HTTP/2 alone.",
    ),
  weight: z
    .int()
    .min(0)
    .max(1000)
    .default(1)
    .describe("Share of the requests compared with the other servers; 0 sends none."),
  backup: z.boolean().default(false).describe("Gets requests only while no other server can."),
  zone: z.string().default("").describe("Where it stands, for `preferZone`."),
});

const discoverSchema = z.strictObject({
  dns: z.string().describe("The name to look up; for A and AAAA with the servers' port: `app.internal:8080`."),
  type: z
    .enum(["A", "AAAA", "SRV"])
    .default("A")
    .describe("Which records name the servers; SRV brings ports, weights and priorities (the lowest is used first)."),
  refresh: duration
    .default(millis(10_000))
    .describe("Longest time between two look-ups; a shorter TTL of the records wins (`resolver.minTtl` at least)."),
});

const balanceSchema = z.union([
  z.enum(["round-robin", "least-connections", "random", "p2c", "peak-ewma", "ip-hash"]),
  z.strictObject({
    hash: z
      .string()
      .regex(
        /^(?:(?:header|cookie|query):.+|ip|path|url)$/,
        "write header:NAME, cookie:NAME, query:NAME, ip, path or url",
      )
      .describe(
        "What stays together: `header:NAME`, `cookie:NAME`, `query:NAME`, `ip` (IPv6: its /64), `path` or `url`.",
      ),
    maxLoad: share(10_000)
      .optional()
      .describe(
        "A server with more requests than this share of the average (such as `125%`) passes new ones on to the next.",
      ),
  }),
]);

const stickySchema = z.strictObject({
  cookie: z
    .string()
    .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, "a cookie's name has no spaces, quotes or separators")
    .describe("Name of the cookie that keeps a client at its server."),
  ttl: duration
    .optional()
    .describe("How long a client that does not come back is remembered; without it, until the browser ends."),
  secret: z
    .string()
    .min(16, "a secret has at least 16 characters")
    .optional()
    .describe("Signs the cookies. Without it they hold until the proxy is restarted, and for this machine only."),
  sameSite: z.enum(["lax", "strict", "none"]).default("lax").describe("The cookie's SameSite attribute."),
});

const statusRange = z
  .string()
  .regex(/^[1-5]\d\d(?:-[1-5]\d\d)?(?:\s*,\s*[1-5]\d\d(?:-[1-5]\d\d)?)*$/, "write statuses like 200-399 or 200, 204");

const healthSchema = z.strictObject({
  type: z.enum(["http", "tcp", "grpc"]).default("http").describe("A request, a connect, or the gRPC health service."),
  path: z.string().startsWith("/").default("/").describe("Path and query of the request (http)."),
  method: z.string().default("GET").describe("Its method (http)."),
  headers: fieldMap.default({}).describe("Its fields, `host` included (http, grpc)."),
  status: z
    .union([statusRange, z.int().min(100).max(599).transform(String)])
    .default("200-399")
    .describe("Which statuses are healthy (http)."),
  body: z.string().optional().describe("What the answer's first 64 KB must contain: a text or `~regex` (http)."),
  service: z.string().default("").describe("Name of the service that is asked for (grpc)."),
  port: z.int().min(1).max(65_535).optional().describe("The port to check, where it is not the server's own."),
  interval: duration.default(millis(5000)).describe("Time between two checks, give or take a tenth."),
  downInterval: duration
    .optional()
    .describe("The same while a server is down; a third of `interval` (1 s at least) without it."),
  timeout: duration.default(millis(1000)).describe("Longest time of one check."),
  healthy: z.int().min(1).max(100).default(2).describe("Good checks in a row that bring a server back."),
  unhealthy: z.int().min(1).max(100).default(3).describe("Failed checks in a row that take it out."),
});

const OUTLIER = DEFAULTS.outlier;

const outlierSchema = z.strictObject({
  consecutiveErrors: z
    .int()
    .min(0)
    .max(10_000)
    .default(OUTLIER.consecutiveErrors)
    .describe("Errors in a row (no answer, or a status from 500 on) that eject a server; 0 for never."),
  errorRate: share().default(OUTLIER.errorRate).describe("Share of errors within `interval` that ejects a server."),
  latency: z
    .number()
    .min(1.1)
    .max(1000)
    .optional()
    .describe("Ejects a server whose mean latency within `interval` is this many times the median of the others."),
  minRequests: z
    .int()
    .min(1)
    .default(OUTLIER.minRequests)
    .describe("Fewer requests of a server within `interval` say nothing about its rate or latency."),
  interval: duration.default(OUTLIER.interval).describe("The time over which rates and latencies are taken."),
  ejectFor: duration
    .default(OUTLIER.ejectFor)
    .describe("How long the first ejection lasts; each further one lasts that much longer than the one before."),
  ejectMax: duration.default(OUTLIER.ejectMax).describe("Longest ejection."),
  maxEjected: share()
    .default(OUTLIER.maxEjected)
    .describe("Largest share of the servers that may be ejected at a time."),
});

const circuitBreakerSchema = z.strictObject({
  errorRate: share().default(0.5).describe("Share of errors within `window` that opens the circuit."),
  minRequests: z.int().min(1).default(20).describe("Fewer requests within `window` open nothing."),
  window: duration.default(millis(10_000)).describe("The time over which the rate is taken."),
  openFor: duration.default(millis(15_000)).describe("How long requests are answered 503 before it is tried again."),
  probes: z.int().min(1).max(1000).default(3).describe("Requests let through half-open; when all are good, it closes."),
});

/** What a try may fail of; a status stands for the server's answer and for Sluice's own error of that status. */
const retryCondition = z.enum([
  ...["connect", "reset", "500", "502", "503", "504", "429"],
  ...["grpc-cancelled", "grpc-deadline-exceeded", "grpc-resource-exhausted", "grpc-internal", "grpc-unavailable"],
] as const);
const RETRY = DEFAULTS.retry;

const retrySchema = z.strictObject({
  attempts: z.int().min(0).max(10).default(RETRY.attempts).describe("How often a request may be tried again."),
  on: z
    .array(z.union([retryCondition, z.int().transform(String).pipe(retryCondition)]))
    .default([...RETRY.on])
    .describe(
      "What is tried again: `connect` (no connection), `reset` (closed before it answered), and statuses, of the server's answer or of Sluice's own error (`504`: no answer in time); `grpc-…`: a gRPC call that was answered with that status alone.",
    ),
  budget: share()
    .default(RETRY.budget)
    .describe("Most retries, as a share of the requests; each worker may always make 3 a second."),
  unsafeMethods: z
    .boolean()
    .default(RETRY.unsafeMethods)
    .describe("Also for methods such as POST. Without it only where nothing was sent, or with an `Idempotency-Key`."),
  perTry: duration
    .optional()
    .describe("Longest wait for the answer of one try while another may follow; `timeouts.response` without it."),
  backoff: duration
    .default(RETRY.backoff)
    .describe("Pause before the second retry, and twice as long before each further one, at random from 0 to that."),
  body: size.default(RETRY.body).describe("Longest request body that is kept for being sent again."),
});

const hedgeSchema = z.strictObject({
  after: z
    .union([z.string().regex(/^p(?:[1-9]\d?(?:\.\d)?)$/, "write a percentile like p95"), duration])
    .default("p95")
    .describe("When a second server is asked too: a percentile of the upstream's latencies (`p95`) or a time."),
  max: z.int().min(1).max(3).default(1).describe("How many more servers are asked for one request."),
});

const limitsSchema = z.strictObject({
  connections: z
    .int()
    .min(1)
    .default(DEFAULTS.limits.connections)
    .describe("Requests (and tunnels) at a time for each server, over all workers."),
  queue: z
    .int()
    .min(0)
    .default(DEFAULTS.limits.queue)
    .describe("Requests that may wait for a server with room, for each worker; 503 above it."),
  queueTimeout: duration.default(DEFAULTS.limits.queueTimeout).describe("Longest wait in that queue; then 503."),
  queuePriority: z
    .string()
    .optional()
    .describe(
      "Request field that says who waits first: 0 (first) to 7, or `u=0` to `u=7` as in `Priority` (RFC 9218).",
    ),
  requestsPerConnection: z
    .int()
    .min(1)
    .default(DEFAULTS.limits.requestsPerConnection)
    .describe("Requests sent over one connection before it is replaced."),
  streamsPerConnection: z
    .int()
    .min(1)
    .max(10_000)
    .default(DEFAULTS.limits.streamsPerConnection)
    .describe("Requests at a time over one HTTP/2 connection, where the server does not allow fewer."),
  adaptive: z
    .boolean()
    .default(DEFAULTS.limits.adaptive)
    .describe("Finds the number of requests at a time for each server from its latencies; `connections` is the most."),
});

const timeoutsSchema = z.strictObject({
  connect: duration.default(DEFAULTS.timeouts.connect).describe("From the start of a connect to its end."),
  response: duration
    .default(DEFAULTS.timeouts.response)
    .describe("From the sent request to the head of its answer, and between two reads of the answer's body."),
  total: duration
    .optional()
    .describe("From the first try to the head of the answer, over all tries and waits; then 504."),
  idle: duration
    .default(DEFAULTS.timeouts.idle)
    .describe("How long an unused connection is kept (a shorter `Keep-Alive: timeout` of the server wins)."),
});

export const upstreamSchema = z.strictObject({
  servers: z
    .array(z.union([z.string(), serverSchema]))
    .default([])
    .describe("The servers, as addresses or as objects with a weight."),
  discover: oneOrMany(discoverSchema)
    .optional()
    .describe("Finds servers in the DNS, instead of `servers` or beside them."),
  balance: balanceSchema.default(DEFAULTS.balance).describe("Which server gets a request."),
  preferZone: z
    .string()
    .optional()
    .describe(
      "Servers of this zone get the requests as long as they are healthy enough to bear them; the rest spills over.",
    ),
  sticky: stickySchema.optional().describe("Keeps each client at one server by a cookie."),
  health: healthSchema.optional().describe("Asks the servers how they are."),
  outlier: z
    .union([z.literal(false), outlierSchema])
    .default(DEFAULTS.outlier)
    .describe("Leaves out servers that fail requests, for a while; on by default."),
  panic: share()
    .default(DEFAULTS.panic)
    .describe("With a smaller share of usable servers than this, all are used rather than a few overrun."),
  circuitBreaker: circuitBreakerSchema.optional().describe("Stops sending while too many requests fail."),
  retry: z
    .union([z.literal(false), retrySchema])
    .default(DEFAULTS.retry)
    .describe("Tries failed requests again where that is safe; on by default."),
  hedge: hedgeSchema
    .optional()
    .describe("Asks a second server when the first is slow (GET, HEAD and OPTIONS without a body)."),
  slowStart: duration.optional().describe("How long a server that comes back takes to get its full share."),
  failover: z
    .string()
    .optional()
    .describe("The upstream that takes over while this one has no usable server or its circuit is open."),
  timeouts: timeoutsSchema.prefault({}).describe("How long servers may take."),
  limits: limitsSchema.prefault({}).describe("How much each server gets."),
  tls: upstreamTlsSchema
    .optional()
    .describe("How servers are reached over TLS (`https://`); with it, those without a scheme are too."),
  http2: z
    .union([z.boolean(), z.literal("only")])
    .default(DEFAULTS.http2)
    .describe(
      "Offers HTTP/2 to servers that are reached over TLS. `only`: all servers speak HTTP/2 and nothing else, those without TLS too.",
    ),
  proxyProtocol: z
    .enum(["v1", "v2"])
    .optional()
    .describe("Tells servers the client's address in front of each connection."),
  hostHeader: z
    .string()
    .default(DEFAULTS.hostHeader)
    .describe(
      "The Host that servers see: `preserve` (the client's), `upstream` (the server's own), or a literal name.",
    ),
});

/** What a route may say otherwise than its upstream. */
export const routeRetry = z.union([z.literal(false), retrySchema.omit({ budget: true })]);
export const routeHedge = z.union([z.literal(false), hedgeSchema]);
