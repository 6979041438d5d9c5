// What forwarding a request needs from those around it.
import type { TimerWheel } from "../core/timers.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Tunnel } from "../transport/tunnel.ts";
import type { Upstream } from "./upstream.ts";

/** Who waits for the response phase. */
export interface ResponseWaiter {
  /** True: go on with `x.response`. False: another answer will be sent, this one is dropped. */
  responsePhaseOver(proceed: boolean): void;
}

/** What forwarding tells and asks the rest of the thread. */
export interface ForwardEnvironment {
  readonly wheel: TimerWheel;
  /** The upstream of that name in the plan that is in use. */
  upstream(name: string): Upstream | null;
  /** The response phase of the route's filters. True: go on with `x.response` now. False: `waiter` is told later. */
  respond(x: Exchange, waiter: ResponseWaiter): boolean;
  /** Takes out of a request's trailers what clients may not send. */
  cleanTrailers(trailers: HeaderBlock): void;
  tunnelOpened(tunnel: Tunnel, x: Exchange): void;
  tunnelClosed(tunnel: Tunnel, x: Exchange): void;
  /** Longest silence within an answer in milliseconds, where `responseMs` is that of most. */
  answerSilence(x: Exchange, responseMs: number): number;
  /** Longest silence of a tunnel of this exchange in milliseconds. */
  tunnelIdle(x: Exchange): number;
}

/** Takes a copy of a request's body as it passes. */
export interface RequestCopy {
  onData(bytes: Buffer, from: number, to: number): void;
  onEnd(trailers: HeaderBlock | null): void;
  /** The rest of the request will not come. */
  gone(): void;
}
