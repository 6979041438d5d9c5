// What the configuration is compiled to: every route with the few things that it needs at run time.

import type { Exchange } from "./exchange.ts";
import type { Filter } from "./filter.ts";
import type { Reply } from "./reply.ts";

/** Where the requests of a route go. */
export type Action =
  | { readonly kind: "reply"; reply(x: Exchange): Reply }
  | { readonly kind: "forward"; pick(): string /* name of the upstream */ };

export interface Route {
  readonly name: string;
  /** Place in the configuration, from 0. */
  readonly index: number;
  readonly requestFilters: readonly Filter[];
  readonly responseFilters: readonly Filter[];
  readonly action: Action;
  /** Names of the upstreams that its requests may go to, for readiness and reports. */
  readonly upstreams: readonly string[];
  /** Largest request body in bytes; Infinity without a limit. */
  readonly bodyMax: number;
  /** Time-outs in milliseconds that replace those of the upstream or listener; 0 for "not replaced". */
  readonly responseTimeout: number;
  readonly connectTimeout: number;
  readonly tunnelIdle: number;
  /** Plugins may keep the exchange beyond its end: its parts must not be used again. */
  readonly retained: boolean;
}
