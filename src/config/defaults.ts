// Defaults that threads without the schema need as well: workers compile plans, but never load the schema's library.
import { type Millis, millis } from "../core/units.ts";

/** An upstream's settings where nothing is said of them: the schema takes its defaults from here. */
export const UPSTREAM_DEFAULTS: {
  readonly timeouts: { readonly connect: Millis; readonly response: Millis; readonly idle: Millis };
  readonly limits: {
    readonly connections: number;
    readonly queue: number;
    readonly queueTimeout: Millis;
    readonly requestsPerConnection: number;
  };
  readonly hostHeader: string;
} = {
  timeouts: { connect: millis(2000), response: millis(60_000), idle: millis(60_000) },
  limits: { connections: 512, queue: 1024, queueTimeout: millis(1000), requestsPerConnection: 100_000 },
  hostHeader: "preserve",
};

/** The keys of the policies, which `defaults` and every route may have. */
export const POLICY_KEYS = [
  "limits",
  "redirect",
  "rewrite",
  "requestHeaders",
  "responseHeaders",
  "timeouts",
  "use",
] as const;
