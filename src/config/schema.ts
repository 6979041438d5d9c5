// The one schema of the configuration: types, checks, defaults, documentation and JSON Schema all come from here.
import { z } from "zod";
import { byteCount, millis } from "../core/units.ts";
import { CODINGS } from "../http/content-codings.ts";
import { COMPRESS_DEFAULTS, IDENTITY_HEADERS } from "./defaults.ts";
import { bansSchema, botsSchema, challengeSchema } from "./schema-abuse.ts";
import { accessSchema } from "./schema-access.ts";
import { aggregateSchema } from "./schema-aggregate.ts";
import { authSchema } from "./schema-auth.ts";
import { cookiesSchema, corsSchema, securityHeadersSchema } from "./schema-browsers.ts";
import { cacheSchema } from "./schema-cache.ts";
import { consumersSchema } from "./schema-consumers.ts";
import { filesSchema } from "./schema-files.ts";
import { graphqlSchema } from "./schema-graphql.ts";
import { injectSchema } from "./schema-inject.ts";
import { rateLimitSchema } from "./schema-limits.ts";
import { listenerSchema } from "./schema-listeners.ts";
import { llmSchema } from "./schema-llm.ts";
import { logSchema } from "./schema-log.ts";
import { type ApiSource, extensionFields, openapiSchemaOf, operationFields } from "./schema-openapi.ts";
import { plansSchema, quotaSchema, usageSchema } from "./schema-plans.ts";
import { type PortalSource, portalSchema } from "./schema-portal.ts";
import { taggingSchema } from "./schema-tagging.ts";
import { clientCertMatch } from "./schema-tls.ts";
import { identityMatch, overloadSchema, splitBy, trafficPolicies } from "./schema-traffic.ts";
import { grpcSchema, transcodeSchema } from "./schema-transcode.ts";
import { transformSchema } from "./schema-transform.ts";
import { routeHedge, routeRetry, upstreamSchema } from "./schema-upstreams.ts";
import { validateSchema } from "./schema-validate.ts";
import { dataRate, duration, fieldMap, oneOrMany, share, size } from "./schema-values.ts";
import { deprecationSchema, versionMatch } from "./schema-version.ts";
import { wafSchema } from "./schema-waf.ts";

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
  version: versionMatch.optional(),
});

const redirectSchema = z.strictObject({
  to: z.string().describe("The new location; may use placeholders."),
  status: z
    .union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)])
    .default(308)
    .describe("Status of the answer."),
  hosts: z
    .array(z.string())
    .min(1)
    .optional()
    .describe("Hosts that it may lead to, where a placeholder is part of the host; `*.example.com` for all below."),
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

/** A level for each coding, with these defaults. */
const codingLevels = (defaults: Readonly<Record<"zstd" | "br" | "gzip", number>>) =>
  z
    .strictObject({
      zstd: z.int().min(1).max(19).default(defaults.zstd).describe("Level of zstd."),
      br: z.int().min(0).max(11).default(defaults.br).describe("Quality of Brotli."),
      gzip: z.int().min(1).max(9).default(defaults.gzip).describe("Level of gzip."),
    })
    .prefault({});

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
  levels: codingLevels(COMPRESS_DEFAULTS.levels).describe("How hard each coding tries: higher is smaller and slower."),
  storedLevels: codingLevels(COMPRESS_DEFAULTS.storedLevels).describe(
    "The same for answers that the cache keeps encoded: made once, in the background.",
  ),
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
  access: z
    .union([z.literal(false), accessSchema])
    .optional()
    .describe("Who may ask, from where, how and when; 403 for others."),
  limits: z
    .union([
      z.literal(false),
      z.strictObject({
        body: size.optional().describe("Largest request body; 413 above it."),
        headers: size.optional().describe("Largest header section; 431 above it."),
        uri: size.optional().describe("Longest request target; 414 above it."),
        rate: dataRate.optional().describe("Fastest rate of one request's body, and of one answer's."),
        concurrent: z.int().min(1).optional().describe("Requests of the route under way at a time; 503 beyond it."),
      }),
    ])
    .optional()
    .describe("Largest requests that are let through."),
  rateLimit: z
    .union([z.literal(false), rateLimitSchema])
    .optional()
    .describe("How often clients may ask; 429 beyond it. A list for several limits at once."),
  auth: z
    .union([z.literal(false), authSchema])
    .optional()
    .describe("Who may: how it is found out who asks; 401 for nobody known, 403 for others. A list for any of them."),
  quota: z
    .union([z.boolean(), quotaSchema])
    .optional()
    .describe("Holds those who ask to their plan; 429 beyond it. `true` for the plans of `plans`, by consumer."),
  waf: z
    .union([z.literal(false), wafSchema])
    .optional()
    .describe("Application firewall: rules that refuse attacks; 403 for them."),
  validate: z
    .union([z.literal(false), validateSchema])
    .optional()
    .describe("Holds requests and answers against an OpenAPI document, or bodies against a JSON Schema."),
  graphql: z
    .union([z.literal(false), graphqlSchema])
    .optional()
    .describe("What requests to a GraphQL service may ask for: depth, cost, operations, documents that are known."),
  redirect: z
    .union([z.literal(false), redirectSchema])
    .optional()
    .describe("Answers with another location."),
  rewrite: z
    .union([z.literal(false), rewriteSchema])
    .optional()
    .describe("Changes the target before it is forwarded."),
  transform: z
    .union([z.literal(false), transformSchema])
    .optional()
    .describe("Changes bodies: JSON members, XML to JSON and back, whole new answers, and statuses."),
  deprecation: z
    .union([z.literal(false), deprecationSchema])
    .optional()
    .describe("Tells clients that this is to end: Deprecation, Sunset and Link; and, if wanted, that it has: 410."),
  requestHeaders: z
    .union([z.literal(false), headerEditSchema])
    .optional()
    .describe("Changes what servers get; values may use placeholders."),
  responseHeaders: z
    .union([z.literal(false), headerEditSchema])
    .optional()
    .describe("Changes what clients get; values may use placeholders."),
  bans: z
    .union([z.literal(false), bansSchema])
    .optional()
    .describe("Refuses clients for a while that fail too often, or ask for what nobody honest asks for."),
  bots: z
    .union([z.literal(false), botsSchema])
    .optional()
    .describe("Which programs may by what they say they are; crawlers are verified."),
  challenge: z
    .union([z.boolean(), challengeSchema])
    .optional()
    .describe("Has browsers do some work before they go on; `true` for the defaults."),
  cors: z
    .union([z.literal(false), corsSchema])
    .optional()
    .describe("Which pages of other origins may use the route (CORS); preflights are answered by Sluice."),
  cookies: z
    .union([z.literal(false), cookiesSchema])
    .optional()
    .describe("Attributes that cookies of servers get, where they have them not."),
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
  grpc: z
    .union([z.literal(false), grpcSchema])
    .optional()
    .describe("Which gRPC methods may be called, and how long their messages may be."),
  transcode: z
    .union([z.literal(false), transcodeSchema])
    .optional()
    .describe("Requests with JSON become gRPC for servers, and their answers JSON."),
  cache: z
    .union([z.boolean(), cacheSchema])
    .optional()
    .describe("Stores answers and gives them out again as HTTP allows it; `true` for the defaults."),
  compress: z
    .union([z.boolean(), compressSchema])
    .optional()
    .describe("Compresses answers for clients that accept it; `true` for the defaults."),
  inject: z
    .union([z.literal(false), injectSchema])
    .optional()
    .describe("Puts scripts into the heads of pages."),
  ...trafficPolicies,
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
      ...identityMatch,
    })
    .optional()
    .describe("Requests like these go here whatever the weights say (a canary for testers)."),
});

const splitSchema = z.strictObject({
  cookie: z
    .string()
    .regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, "a cookie's name has no spaces, quotes or separators")
    .optional()
    .describe("Name of the cookie that keeps a client at the upstream it was given."),
  by: splitBy,
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

const toSchema = z
  .union([z.string(), z.array(z.string()).min(1), z.array(weightedSchema).min(1)])
  .optional()
  .describe("An upstream's name, a URL, a list of URLs, or a weighted list of upstreams.");

const { use: _use, validate: _validate, ...operationPolicies } = policies;
const operationSchema = z.strictObject({ ...operationFields, to: toSchema, ...operationPolicies });
/** What documents may say of operations themselves; the configuration decides which of these keys they may use. */
export const extensionSchema = z.strictObject({
  ...extensionFields,
  limits: policies.limits,
  rateLimit: policies.rateLimit,
  timeouts: policies.timeouts,
  retry: policies.retry,
  cache: policies.cache,
  compress: policies.compress,
  cors: policies.cors,
  deprecation: policies.deprecation,
});

const routeSchema = z.strictObject({
  name: z.string().optional().describe("For logs, metrics and `explain`; `route-N` when absent."),
  match: matchSchema
    .optional()
    .describe("Which requests; all keys must match, a list means any of. Absent: every request."),
  ...policies,
  openapi: openapiSchemaOf(operationSchema)
    .optional()
    .describe("Makes routes of an OpenAPI document, one for each operation; the other keys hold for all of them."),
  to: toSchema,
  split: splitSchema.optional().describe("Keeps clients at the upstream that a weighted `to` gave them."),
  respond: respondSchema.optional().describe("Answers at once, in place of `to`."),
  files: filesSchema.optional().describe("Serves a folder of files, in place of `to`."),
  aggregate: aggregateSchema.optional().describe("Makes one answer of several requests to servers, in place of `to`."),
  tagging: taggingSchema.optional().describe("Takes events of pages and passes them on, in place of `to`."),
  llm: llmSchema.optional().describe("Asks providers of language models, in place of `to`."),
  portal: portalSchema.optional().describe("A portal for consumers: APIs to read and try, their own keys, and usage."),
});

export const configSchema = z.strictObject({
  $schema: z.string().optional().describe("Where editors find the JSON Schema of this file; not looked at."),
  listeners: z.array(listenerSchema).min(1).describe("Where clients connect."),
  trustedProxies: z
    .array(z.string())
    .default([])
    .describe("Networks whose X-Forwarded-*, Forwarded and X-Request-Id are believed."),
  identityHeaders: z
    .array(z.string().regex(/^[A-Za-z0-9-]{1,100}\*?$/, "write a name like X-Forwarded-User, or X-Auth-Request-*"))
    .default(IDENTITY_HEADERS)
    .describe(
      "Fields by which servers may be told who asks: where any route has `auth`, clients cannot send them, on no route and in no spelling. Those that routes make of `{user}`, `{consumer}` and `{claim.NAME}` need not be named. `*` at the end for all that begin so.",
    ),
  upstreams: z.record(z.string(), upstreamSchema).default({}).describe("Groups of servers, by name."),
  consumers: consumersSchema,
  defaults: policySchema
    .prefault({})
    .describe("Policies for every route; a route's own key replaces one, `false` turns it off."),
  plans: plansSchema
    .default({})
    .describe("What consumers may do, by the name of their plan: over all routes that have `quota`."),
  usage: z
    .union([z.boolean(), usageSchema])
    .optional()
    .describe(
      "Counts what consumers use, by route and status, and tells when quotas run out. On where there are `plans` or a `quota`; `false` turns it off.",
    ),
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
  overload: overloadSchema
    .prefault({})
    .describe("When workers refuse what is least important, on routes with `priority`."),
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
      "Folder of what outlives the process: certificates, their keys, the local CA; where it is given, bans, denied addresses and what the firewall counts too. Without it `/var/lib/sluice` for root, else `~/.local/share/sluice`.",
    ),
  cluster: z
    .strictObject({
      redis: z.string().describe("Address of a Redis or Valkey server, such as `redis://127.0.0.1:6379`."),
      prefix: z.string().default("sluice:").describe("Begins the names of all keys there."),
    })
    .optional()
    .describe("What several machines share, such as certificates from a CA, bans and purges."),
  workers: z
    .union([z.literal("auto"), z.int().min(1).max(256)])
    .default("auto")
    .describe("Worker threads; `auto` is one for each core."),
});

/** The configuration as users may write it. */
export type ConfigInput = z.input<typeof configSchema>;
/** The configuration once checked: defaults filled in, units as numbers. */
export type Config = Omit<z.output<typeof configSchema>, "routes"> & { routes: RouteConfig[] };
export type ListenerConfig = Config["listeners"][number];
export type UpstreamConfig = Config["upstreams"][string];
/** `source` is what a route that was made of a document comes from, and `portalSource` one of a portal. */
export type RouteConfig = z.output<typeof routeSchema> & { source?: ApiSource; portalSource?: PortalSource };
export type OpenapiConfig = NonNullable<RouteConfig["openapi"]>;
export type OperationConfig = OpenapiConfig["operations"][string];
export type MatchConfig = NonNullable<RouteConfig["match"]>;
export type PolicyConfig = Config["defaults"];
