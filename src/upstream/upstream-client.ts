// What forwarding, hedging, mirroring and tunnels see of a request at a server, whatever version of HTTP it speaks.
import type { Fault } from "../core/faults.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Connection } from "../transport/connection.ts";

/** Who made the request. After `onFault`, or `onEnd` with the request sent, the client is not the call's any more. */
export interface UpstreamCall {
  onInformational(head: ResponseHead): void;
  /** The head of the final answer (or a 101). False: what follows is held until `resume()`. */
  onResponse(head: ResponseHead): boolean;
  /** `given`: nobody else looks at the bytes, or at the rest of their buffer (core/spent.ts). */
  onData(bytes: Buffer, from: number, to: number, given?: boolean): void;
  onEnd(trailers: HeaderBlock | null): void;
  /** The answer cannot be had, or not to its end. */
  onFault(cause: Fault): void;
  /** The server takes bytes of the request again after `full`. */
  onDrain(): void;
  /** Another server may be asked instead, as long as this one has not begun to answer. */
  readonly movable: boolean;
  /** The time for the head of the answer is over: milliseconds of more, or 0 for none. None without this. */
  moreTime?(): number;
}

/** One request at a server: a connection of HTTP/1.1 by itself (h1-client.ts), or a stream of HTTP/2 (h2-call.ts). */
export interface UpstreamClient {
  /** More of the request waits to be sent than should: stop until `onDrain`. */
  readonly full: boolean;
  /** The server may say for certain that it has not looked at the request, so that any can be sent again. */
  readonly refusable: boolean;
  /**
   * Sends the head of the exchange's request. `headMs` bounds every wait for the server up to the head of its answer,
   * `bodyMs` those from then on. The call is told nothing before this returns.
   */
  start(call: UpstreamCall, x: Exchange, host: string | null, headMs: number, bodyMs: number): void;
  /** The same with a head that is written already, as HTTP/1.1; `chunked` says how it delimits the body. */
  startRaw(call: UpstreamCall, head: Buffer, method: string, chunked: boolean, headMs: number, bodyMs: number): void;
  /** A piece of the body. The bytes must stay. `given` as in `onData`. */
  sendData(bytes: Buffer, from: number, to: number, given?: boolean): void;
  sendEnd(trailers: HeaderBlock | null): void;
  /** Gives the exchange up: the server must stop working on it. */
  abandon(): void;
  /** The answer is of no use any more, and nobody is told of it. */
  drop(): void;
  /** Another call takes the exchange over, before any byte of its answer. */
  handOver(call: UpstreamCall): void;
  pause(): void;
  resume(): void;
  /** A head that somebody may keep is not written over by another answer. */
  leaveHead(): void;
  /** Hands over what carries the other protocol after a 101, and the first bytes of it that are there. */
  detach(): { readonly connection: Connection; readonly early: Buffer | null };
}
