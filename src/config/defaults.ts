// Defaults that threads without the schema need as well: workers compile plans, but never load the schema's library.
import { type ByteCount, byteCount, type Millis, millis } from "../core/units.ts";
import { CODINGS } from "../http/content-codings.ts";

const OUTLIER = {
  consecutiveErrors: 5,
  errorRate: 0.5,
  minRequests: 20,
  interval: millis(10_000),
  ejectFor: millis(30_000),
  ejectMax: millis(300_000),
  maxEjected: 0.5,
};

const RETRY = {
  attempts: 2,
  on: ["connect", "reset", "502", "503", "504"] as ("connect" | "reset" | "500" | "502" | "503" | "504" | "429")[],
  budget: 0.2,
  unsafeMethods: false,
  backoff: millis(25),
  body: byteCount(65_536),
};

/** An upstream's settings where nothing is said of them: the schema takes its defaults from here. */
export const UPSTREAM_DEFAULTS = {
  balance: "round-robin" as const,
  outlier: OUTLIER,
  panic: 0,
  retry: RETRY,
  timeouts: { connect: millis(2000), response: millis(60_000), idle: millis(60_000) },
  limits: {
    connections: 512,
    queue: 1024,
    queueTimeout: millis(1000),
    requestsPerConnection: 100_000,
    streamsPerConnection: 100,
    adaptive: false,
  },
  http2: true as boolean | "only",
  hostHeader: "preserve",
};

/**
 * What compresses well: text, and formats that are not compressed themselves. Streams of events are not among them: few
 * clients ask for them compressed, and each event would have to be flushed.
 */
const COMPRESSED_TYPES = [
  "text/*",
  "application/json",
  "application/*+json",
  "application/x-ndjson",
  "application/javascript",
  "application/x-javascript",
  "application/ecmascript",
  "application/xml",
  "application/*+xml",
  "application/wasm",
  "application/vnd.ms-fontobject",
  "application/x-font-ttf",
  "font/ttf",
  "font/otf",
  "font/collection",
  "image/svg+xml",
  "image/bmp",
  "image/x-icon",
  "image/vnd.microsoft.icon",
];

/** What `compress: true` stands for. */
export const COMPRESS_DEFAULTS = {
  algorithms: [...CODINGS],
  minSize: byteCount(1024),
  types: COMPRESSED_TYPES,
  levels: { zstd: 3, br: 4, gzip: 5 },
  // A tenth smaller for three to eight times the work, which is still some milliseconds for 100 KB. What lies above
  // takes ten times that for another tenth.
  storedLevels: { zstd: 9, br: 9, gzip: 9 },
  decompress: false,
};

/** The settings, those of `true` included. */
export const compressSettings = <T extends object>(policy: true | T): T | typeof COMPRESS_DEFAULTS =>
  policy === true ? COMPRESS_DEFAULTS : policy;

/** What `cache: true` stands for. */
export const CACHE_DEFAULTS = {
  memory: byteCount(67_108_864), // some thousand pages with what belongs to them
  maxSize: byteCount(67_108_864), // what is larger takes the place of too much else
  disk: undefined as { readonly path: string; readonly size: ByteCount } | undefined,
  statusTtl: {} as Record<string, Millis>,
  override: false,
  heuristic: 0, // no answer is stored that nobody has said may be
  key: { headers: [] as string[], cookies: [] as string[], device: false },
  setCookie: "refuse" as "refuse" | "strip" | "store",
  cookieRequests: false,
  requestDirectives: true,
};

/** What `securityHeaders: true` stands for. */
export const SECURITY_DEFAULTS = {
  hsts: true,
  nosniff: true,
  frameAncestors: "'self'" as string | false,
  referrerPolicy: "strict-origin-when-cross-origin" as string | false,
  hideServer: true,
};

/** What `challenge: true` stands for. */
/** Of keys that consumers make by themselves, where nothing is said of them. */
export const PORTAL_KEYS = {
  max: 5, // some programs, and one to try things with
  expiry: millis(31_536_000_000),
  perDay: 20, // far more than people need, too few to fill anything
  overlap: millis(604_800_000),
};
export const CHALLENGE_DEFAULTS = { difficulty: 16, ttl: millis(86_400_000), cookie: "sluice_work" };

/** What proxies that sign people in tell servers by, and servers believe. */
export const IDENTITY_HEADERS = [
  "X-Forwarded-User",
  "X-Forwarded-Email",
  "X-Forwarded-Groups",
  "X-Forwarded-Consumer",
  "X-Forwarded-Preferred-Username",
  "X-Forwarded-Access-Token",
  "X-Auth-Request-*",
  "X-Remote-User",
  "X-Remote-Email",
  "X-Remote-Group*",
  "Remote-User",
  "Remote-Name",
  "Remote-Email",
  "Remote-Groups",
];

/** The keys of the policies, which `defaults` and every route may have. */
export const POLICY_KEYS = [
  "access",
  "limits",
  "rateLimit",
  "auth",
  "quota",
  "waf",
  "validate",
  "graphql",
  "bans",
  "bots",
  "challenge",
  "cors",
  "cookies",
  "redirect",
  "rewrite",
  "transform",
  "deprecation",
  "requestHeaders",
  "responseHeaders",
  "securityHeaders",
  "timeouts",
  "retry",
  "hedge",
  "mirror",
  "grpc",
  "grpcWeb",
  "transcode",
  "cache",
  "compress",
  "inject",
  "idempotency",
  "coalesce",
  "priority",
  "maintenance",
  "use",
] as const;
