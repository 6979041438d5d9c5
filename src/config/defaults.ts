// Defaults that threads without the schema need as well: workers compile plans, but never load the schema's library.
import { byteCount, millis } from "../core/units.ts";

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

/** The keys of the policies, which `defaults` and every route may have. */
export const POLICY_KEYS = [
  "limits",
  "redirect",
  "rewrite",
  "requestHeaders",
  "responseHeaders",
  "securityHeaders",
  "timeouts",
  "retry",
  "hedge",
  "mirror",
  "grpcWeb",
  "use",
] as const;
