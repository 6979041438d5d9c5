// The one schema of the configuration: types, checks, defaults, documentation and JSON Schema all come from here.
import { z } from "zod";
import { byteCount, millis, parseDataRate } from "../core/units.ts";
import { CODINGS } from "../http/content-codings.ts";
import { COMPRESS_DEFAULTS } from "./defaults.ts";
import { cacheSchema } from "./schema-cache.ts";
import { filesSchema } from "./schema-files.ts";
import { clientCertMatch, listenerTlsKeys } from "./schema-tls.ts";
import { routeHedge, routeRetry, upstreamSchema } from "./schema-upstreams.ts";
import { dataRate, duration, fieldMap, oneOrMany, share, size } from "./schema-values.ts";

export const listenerSchema = z.strictObject({
  address: z
    .string()
    .describe("Where to listen: `host:port`, `:port` (every address), `[::1]:port` or `unix:/path.sock`."),
  timeouts: z
    .strictObject({
      header: duration.default(millis(10_000)).describe("From the first byte of a request to the end of its head."),
      body: duration
        .default(millis(30_000))
        .describe("Longest pause between two reads of a request body, and between two writes that a client accepts."),
      idle: duration
        .default(millis(75_000))
        .describe("How long a keep-alive connection may wait for its next request."),
      tunnel: duration
        .default(millis(3_600_000))
        .describe("How long an upgraded connection (WebSocket) may be silent in both directions."),
    })
    .prefault({})
    .describe("How long clients may take."),
  limits: z
    .strictObject({
      connections: z
        .int()
        .min(1)
        .default(32_768)
        .describe("Open client connections for each worker; more are closed at once."),
      connectionsPerAddress: z
        .int()
        .min(1)
        .default(16_384)
        .describe("Open client connections from one address (IPv6: one /64), for each worker."),
      bodyRate: dataRate
        .default(parseDataRate("256B/s")!)
        .describe("Slowest average rate of a request body, after a grace of 5 s; 408 below it."),
      requestLine: size.default(byteCount(8192)).describe("Longest request line; 414 above it."),
      headers: size.default(byteCount(32_768)).describe("Largest header section; 431 above it."),
      fields: z.int().min(1).max(1000).default(100).describe("Most header fields; 431 above it."),
      streams: z
        .int()
        .min(1)
        .max(10_000)
        .default(128)
        .describe(
          "Requests that one HTTP/2 or HTTP/3 connection may have under way; more are refused and may be sent again.",
        ),
    })
    .prefault({})
    .describe("How much clients may ask for."),
  proxyProtocol: z
    .strictObject({
      trusted: z
        .array(z.string())
        .min(1)
        .describe("Networks of the proxies that speak it; connections of others are taken as they are."),
      required: z
        .boolean()
        .default(true)
        .describe("Connections of trusted proxies that do not begin with it are closed."),
      timeout: duration.default(millis(3000)).describe("Longest wait for it."),
    })
    .optional()
    .describe("Takes the client's address from the PROXY protocol (versions 1 and 2)."),
  tcp: z
    .strictObject({
      to: z.string().describe("Name of an upstream, or an address."),
      idle: duration.default(millis(600_000)).describe("How long a connection may be silent in both directions."),
    })
    .optional()
    .describe("Forwards connections as they are (layer 4), in place of HTTP."),
  udp: z
    .strictObject({
      to: z.string().describe("Name of an upstream, or an address."),
      idle: duration.default(millis(30_000)).describe("How long a session may be silent before it is forgotten."),
      sessions: z
        .int()
        .min(1)
        .max(1_000_000)
        .default(10_000)
        .describe("Sessions at a time; datagrams of more clients are dropped."),
    })
    .optional()
    .describe("Forwards datagrams (layer 4): `address` is a UDP port then."),
  ...listenerTlsKeys,
  http2: z.boolean().default(true).describe("Speaks HTTP/2 with clients that offer it in TLS (ALPN)."),
  http3: z
    .union([
      z.boolean(),
      z.strictObject({
        port: z
          .int()
          .min(1)
          .max(65_535)
          .optional()
          .describe("Port that clients are told, where it is not the listener's."),
        maxAge: duration.default(millis(86_400_000)).describe("How long clients may remember it."),
      }),
    ])
    .default(false)
    .describe("Speaks HTTP/3 too, on the UDP port of the same number. Experimental: docs/http3.md."),
  h2c: z
    .boolean()
    .default(false)
    .describe(
      "Speaks HTTP/2 on a plain listener too, with clients that begin with it (prior knowledge); all others get HTTP/1.1.",
    ),
  halfClose: z
    .boolean()
    .default(false)
    .describe(
      "Go on answering a client that has closed its sending side. Off: it counts as gone, and its request is stopped.",
    ),
  underscoreHeaders: z
    .boolean()
    .default(false)
    .describe(
      "Forward request fields whose names contain `_`. Off: they are dropped, as they can pass for the same name with `-` behind the proxy.",
    ),
});

const matchSchema = z.strictObject({
  host: oneOrMany(z.string()).optional().describe("Host names; `*.example.com` matches every name below it."),
  path: oneOrMany(z.string()).optional().describe("`/exact`, `/prefix/*` (also `/prefix`), `/users/:id`, or `~regex`."),
  method: oneOrMany(z.string()).optional().describe("Request methods."),
  header: z
    .record(z.string(), z.union([z.string(), z.literal(true)]))
    .optional()
    .describe("Field values: a value, `~regex`, or `true` for any."),
  query: z
    .record(z.string(), z.union([z.string(), z.literal(true)]))
    .optional()
    .describe("Query parameters: a value, `~regex`, or `true` for any."),
  cookie: z
    .record(z.string(), z.union([z.string(), z.literal(true)]))
    .optional()
    .describe("Cookies: a value, `~regex`, or `true` for any."),
  clientIp: oneOrMany(z.string()).optional().describe("Addresses or networks (CIDR) of the client."),
  clientCert: clientCertMatch.optional(),
});

const redirectSchema = z.strictObject({
  to: z.string().describe("The new location; may use placeholders."),
  status: z
    .union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)])
    .default(308)
    .describe("Status of the answer."),
});

const rewriteSchema = z.strictObject({
  stripPrefix: z.string().optional().describe("Path prefix to take away, on a segment boundary."),
  addPrefix: z.string().optional().describe("Path prefix to put in front."),
  path: z.string().optional().describe("A whole new path; may use placeholders."),
  regex: z
    .tuple([z.string(), z.string()])
    .optional()
    .describe("A regular expression over the path, and what replaces its match (`$1`)."),
  query: z
    .strictObject({
      set: fieldMap.default({}).describe("Parameters to set."),
      remove: z.array(z.string()).default([]).describe("Names of parameters to remove; `*` stands for any characters."),
    })
    .optional()
    .describe("Query parameters to set and to remove (`utm_*`)."),
});

const headerEditSchema = z.strictObject({
  set: fieldMap.default({}).describe("Fields to set, in place of any of the same name."),
  add: fieldMap.default({}).describe("Fields to add beside any of the same name."),
  remove: z.array(z.string()).default([]).describe("Names of fields to remove."),
});

const hstsSchema = z.strictObject({
  maxAge: duration.default(millis(31_536_000_000)).describe("How long browsers remember it; `0s` has them forget it."),
  includeSubDomains: z.boolean().default(false).describe("Whether it holds for all names below the host's as well."),
  preload: z
    .boolean()
    .default(false)
    .describe("Agrees that browsers bring the name along; hard to take back. Needs a year and `includeSubDomains`."),
});

const securityHeadersSchema = z.strictObject({
  hsts: z
    .union([z.boolean(), hstsSchema])
    .default(true)
    .describe("Browsers come by HTTPS only from then on (HSTS, RFC 6797). Sent with answers over HTTPS."),
});

const compressSchema = z.strictObject({
  algorithms: z
    .array(z.enum(CODINGS))
    .min(1)
    .default(COMPRESS_DEFAULTS.algorithms)
    .describe("Codings to offer; among those that a client likes equally, the first is used."),
  minSize: size.default(COMPRESS_DEFAULTS.minSize).describe("Shorter answers are left as they are."),
  types: z
    .array(z.string())
    .min(1)
    .default(COMPRESS_DEFAULTS.types)
    .describe("Media types to compress; `*` stands for any characters. `text/event-stream` only where it is named."),
  levels: z
    .strictObject({
      zstd: z.int().min(1).max(19).default(COMPRESS_DEFAULTS.levels.zstd).describe("Level of zstd."),
      br: z.int().min(0).max(11).default(COMPRESS_DEFAULTS.levels.br).describe("Quality of Brotli."),
      gzip: z.int().min(1).max(9).default(COMPRESS_DEFAULTS.levels.gzip).describe("Level of gzip."),
    })
    .prefault({})
    .describe("How hard each coding tries: higher is smaller and slower."),
  decompress: z
    .boolean()
    .default(COMPRESS_DEFAULTS.decompress)
    .describe("Decompresses what a server sends compressed to a client that does not accept it."),
});

/** What TypeScript configurations may put into `use`; the contract is `Plugin` in pipeline/plugin.ts. */
const plugin = z.custom<{ readonly name: string }>(
  (value) => typeof value === "object" && value !== null && typeof (value as { name?: unknown }).name === "string",
  "a plugin made with definePlugin() was expected (TypeScript configuration only)",
);

/** The policies: what `defaults` may hold, and every route beside its match and action. `false` turns one off. */
const policies = {
  limits: z
    .union([
      z.literal(false),
      z.strictObject({
        body: size.optional().describe("Largest request body; 413 above it."),
        headers: size.optional().describe("Largest header section; 431 above it."),
        uri: size.optional().describe("Longest request target; 414 above it."),
        rate: dataRate.optional().describe("Fastest rate of one request's body, and of one answer's."),
      }),
    ])
    .optional()
    .describe("Largest requests that are let through."),
  redirect: z
    .union([z.literal(false), redirectSchema])
    .optional()
    .describe("Answers with another location."),
  rewrite: z
    .union([z.literal(false), rewriteSchema])
    .optional()
    .describe("Changes the target before it is forwarded."),
  requestHeaders: z
    .union([z.literal(false), headerEditSchema])
    .optional()
    .describe("Changes what servers get; values may use placeholders."),
  responseHeaders: z
    .union([z.literal(false), headerEditSchema])
    .optional()
    .describe("Changes what clients get; values may use placeholders."),
  securityHeaders: z
    .union([z.boolean(), securityHeadersSchema])
    .optional()
    .describe("Fields of answers that make browsers more careful; `true` for all with their defaults."),
  timeouts: z
    .union([
      z.literal(false),
      z.strictObject({
        response: duration.optional().describe("Instead of the upstream's `timeouts.response`."),
        connect: duration.optional().describe("Instead of the upstream's `timeouts.connect`."),
        total: duration.optional().describe("Instead of the upstream's `timeouts.total`."),
        idle: duration
          .optional()
          .describe("Longest silence of an upgraded connection, instead of the listener's `timeouts.tunnel`."),
      }),
    ])
    .optional()
    .describe("Time-outs of this route alone."),
  retry: routeRetry.optional().describe("Instead of the upstream's `retry`."),
  hedge: routeHedge.optional().describe("Instead of the upstream's `hedge`."),
  mirror: z
    .union([
      z.literal(false),
      z.strictObject({
        to: z.string().describe("Name of an upstream, or a URL."),
        sample: share().default(1).describe("Share of the requests that are copied."),
        body: size.default(byteCount(1_048_576)).describe("Of a longer request body the copy is given up."),
      }),
    ])
    .optional()
    .describe("Sends a copy of each request elsewhere too; the answers to it are dropped."),
  grpcWeb: z
    .boolean()
    .optional()
    .describe("Translates calls of browsers (gRPC-Web, binary or text) to gRPC, and the answers back."),
  cache: z
    .union([z.boolean(), cacheSchema])
    .optional()
    .describe("Stores answers and gives them out again as HTTP allows it; `true` for the defaults."),
  compress: z
    .union([z.boolean(), compressSchema])
    .optional()
    .describe("Compresses answers for clients that accept it; `true` for the defaults."),
  use: z
    .union([z.literal(false), z.array(plugin)])
    .optional()
    .describe("Plugins, in order (TypeScript configuration only)."),
};

export const policySchema = z.strictObject(policies);

const weightedSchema = z.strictObject({
  upstream: z.string().describe("Name of an upstream."),
  weight: z.int().min(0).max(10_000).describe("Share of the requests compared with the others; 0 sends none."),
  match: z
    .strictObject({
      header: z
        .record(z.string(), z.union([z.string(), z.literal(true)]))
        .optional()
        .describe("Field values, as in a route's `match`."),
      cookie: z
        .record(z.string(), z.union([z.string(), z.literal(true)]))
        .optional()
        .describe("Cookies, as in a route's `match`."),
    })
    .optional()
    .describe("Requests like these go here whatever the weights say (a canary for testers)."),
});

const splitSchema = z.strictObject({
  cookie: z
    .string()
    .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, "a cookie's name has no spaces, quotes or separators")
    .describe("Name of the cookie that keeps a client at the upstream it was given."),
  ttl: duration.optional().describe("How long it is kept; without it, until the browser ends."),
  secret: z
    .string()
    .min(16, "a secret has at least 16 characters")
    .optional()
    .describe("Signs the cookies. Without it they hold until the proxy is restarted, and for this machine only."),
});

const respondSchema = z.strictObject({
  status: z.int().min(200).max(599).default(200).describe("Status of the answer."),
  body: z.string().default("").describe("The answer's body; may use placeholders."),
  headers: fieldMap.default({}).describe("The answer's fields; may use placeholders."),
});

const routeSchema = z.strictObject({
  name: z.string().optional().describe("For logs, metrics and `explain`; `route-N` when absent."),
  match: matchSchema
    .optional()
    .describe("Which requests; all keys must match, a list means any of. Absent: every request."),
  ...policies,
  to: z
    .union([z.string(), z.array(z.string()).min(1), z.array(weightedSchema).min(1)])
    .optional()
    .describe("An upstream's name, a URL, a list of URLs, or a weighted list of upstreams."),
  split: splitSchema.optional().describe("Keeps clients at the upstream that a weighted `to` gave them."),
  respond: respondSchema.optional().describe("Answers at once, in place of `to`."),
  files: filesSchema.optional().describe("Serves a folder of files, in place of `to`."),
});

const logSchema = z.strictObject({
  access: z
    .union([
      z.literal(false),
      z.strictObject({
        path: z.string().default("stdout").describe("`stdout`, `stderr` or a file."),
        format: z.enum(["json", "combined", "common", "off"]).default("json").describe("How a line looks."),
        sample: z
          .string()
          .regex(/^\d+(\.\d+)?%$/, "write a share like 10%")
          .meta({ title: "share" })
          .default("100%")
          .describe("Share of the requests that are logged."),
      }),
    ])
    .default(false)
    .describe("One line for each request; off by default."),
  level: z
    .enum(["debug", "info", "warn", "error"])
    .default("info")
    .describe("The least severe messages that the program writes about itself."),
});

export const configSchema = z.strictObject({
  $schema: z.string().optional().describe("Where editors find the JSON Schema of this file; not looked at."),
  listeners: z.array(listenerSchema).min(1).describe("Where clients connect."),
  trustedProxies: z
    .array(z.string())
    .default([])
    .describe("Networks whose X-Forwarded-*, Forwarded and X-Request-Id are believed."),
  upstreams: z.record(z.string(), upstreamSchema).default({}).describe("Groups of servers, by name."),
  defaults: policySchema
    .prefault({})
    .describe("Policies for every route; a route's own key replaces one, `false` turns it off."),
  routes: z.array(routeSchema).default([]).describe("Tried from top to bottom; the first that matches wins."),
  providers: z
    .strictObject({
      files: z
        .strictObject({
          path: z
            .string()
            .min(1)
            .describe("The folder; every `.yaml`, `.yml` and `.json` in it is read, in the order of their names."),
        })
        .optional()
        .describe("Takes more `upstreams` and `routes` from a folder of files, and follows their changes."),
      docker: z
        .strictObject({
          socket: z.string().min(1).default("/var/run/docker.sock").describe("Docker's socket."),
          network: z
            .string()
            .optional()
            .describe("Name of the network whose addresses are used; the first one without it."),
        })
        .optional()
        .describe("Takes more `upstreams` and `routes` from the `sluice.*` labels of running containers."),
    })
    .prefault({})
    .describe("Where else configuration comes from."),
  admin: z
    .union([
      z.literal(false),
      z.strictObject({
        address: z
          .string()
          .default("127.0.0.1:9901")
          .describe("Where the admin API listens, written as in `listeners`."),
        token: z.string().min(1).optional().describe("Bearer token; required off loopback."),
        state: z
          .string()
          .min(1)
          .optional()
          .describe(
            "File that keeps the changes made to upstreams with `?persist=true`; without it they end with the process.",
          ),
      }),
    ])
    .prefault({})
    .describe("Metrics, status and reload over HTTP; `false` turns it off."),
  log: logSchema.prefault({}).describe("What is written down."),
  resolver: z
    .strictObject({
      servers: z.array(z.string()).optional().describe("DNS servers (`ip` or `ip:port`) instead of the system's."),
      minTtl: duration.default(millis(1000)).describe("Shortest time an answer is used."),
      maxTtl: duration.default(millis(300_000)).describe("Longest time an answer is used."),
    })
    .prefault({})
    .describe("How names of servers become addresses."),
  shutdown: z
    .strictObject({
      drain: duration
        .default(millis(30_000))
        .describe("How long exchanges and tunnels may go on after a stop or reload took their listener away."),
    })
    .prefault({})
    .describe("How the proxy stops."),
  storage: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Folder of what outlives the process: certificates, their keys, the local CA. Without it `/var/lib/sluice` for root, else `~/.local/share/sluice`.",
    ),
  cluster: z
    .strictObject({
      redis: z.string().describe("Address of a Redis or Valkey server, such as `redis://127.0.0.1:6379`."),
      prefix: z.string().default("sluice:").describe("Begins the names of all keys there."),
    })
    .optional()
    .describe("What several machines share, such as certificates from a CA and who orders them."),
  workers: z
    .union([z.literal("auto"), z.int().min(1).max(256)])
    .default("auto")
    .describe("Worker threads; `auto` is one for each core."),
});

/** The configuration as users may write it. */
export type ConfigInput = z.input<typeof configSchema>;
/** The configuration once checked: defaults filled in, units as numbers. */
export type Config = z.output<typeof configSchema>;
export type ListenerConfig = Config["listeners"][number];
export type UpstreamConfig = Config["upstreams"][string];
export type RouteConfig = Config["routes"][number];
export type MatchConfig = NonNullable<RouteConfig["match"]>;
export type PolicyConfig = Config["defaults"];
