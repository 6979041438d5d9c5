// What all connections of one listener share. Options may change in a reload while connections stay.

import type { ListenerConfig } from "../config/schema.ts";
import type { TimerWheel } from "../core/timers.ts";
import type { HeadLimits } from "../http/h1/limits.ts";
import type { Exchange } from "../pipeline/exchange.ts";

/** The limits of a listener's options in the codec's words. */
export function headLimitsOf({ limits }: ListenerConfig): HeadLimits {
  return { startLine: limits.requestLine, section: limits.headers, fields: limits.fields };
}

/** What stands behind the connections: takes every request that they read. */
export interface ExchangeHandler {
  /** A request has come. Everything after goes through `x.downstream`. */
  handle(x: Exchange): void;
  /** The exchange is over, well or not: for logs and metrics. The exchange is not used again. */
  finished(x: Exchange): void;
}

/** What answers say about HTTP/3 (RFC 7838): the value of Alt-Svc, and its whole line. */
export interface AltSvc {
  readonly value: string;
  readonly line: string;
}

export interface ListenerContext {
  /** The address as configured: the listener's name in logs and metrics. */
  readonly name: string;
  readonly options: ListenerConfig;
  /** The options' limits in the codec's words. */
  readonly headLimits: HeadLimits;
  readonly handler: ExchangeHandler;
  readonly wheel: TimerWheel;
  /** Where the same is served over HTTP/3; null where it is not, or not yet. */
  readonly altSvc: AltSvc | null;
  /** No further requests on open connections: answers carry `Connection: close`. */
  draining: boolean;
  /** Told at the end of every connection. */
  closed(connection: { readonly remoteAddress: string }): void;
}
