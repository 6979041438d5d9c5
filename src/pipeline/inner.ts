// Requests of Sluice's own on behalf of an exchange: what an action asks servers beside, or in place of, forwarding.
// They go to an upstream with all that it has (balancing, health, retries, TLS, time-outs) and count there; for clients
// they are no requests. upstream/inner.ts sends them.
import type { Fault } from "../core/faults.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { ResponseHead } from "../http/message.ts";

export interface InnerRequest {
  readonly method: string;
  /** Path and query, as they go out: nothing but what a URI may hold, and no fragment. */
  readonly target: string;
  /**
   * Its fields. Host, Content-Length, and what proxies say of each other (Via, X-Forwarded-…, X-Request-Id) are added;
   * nothing else of the client's is passed on by itself.
   */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** The authority that it is for, where the upstream has none of its own (`hostHeader`); "" for the client's. */
  readonly host: string;
  /** The server is somebody else's, who is not told the client's address, nor what proxies before us have said of it. */
  readonly hidesClient?: boolean;
  /** Its content; null for none. The bytes must stay as they are until the call is over. */
  readonly body: Buffer | null;
  /** Longest wait for the head of the answer in milliseconds; 0 for that of the route, or of the upstream. */
  readonly headMs: number;
  /** Longest time until the end of the answer, all tries included, in milliseconds; 0 for no such bound. */
  readonly totalMs: number;
}

/**
 * Who gets the answer: a head, pieces, and the end; or `failed`, whenever it comes. Nothing comes before the request is
 * under way, and nothing after `cancel`.
 */
export interface InnerHandler {
  /** The answer's head, valid until this returns: copy what is to stay (http/copied-head.ts). */
  head(head: ResponseHead): void;
  /** A piece of its content, which may be kept. `given`: nobody else looks at the bytes (core/spent.ts). */
  data(bytes: Buffer, from: number, to: number, given: boolean): void;
  end(trailers: HeaderBlock | null): void;
  /** No answer, or not all of it: nothing more comes. */
  failed(cause: Fault): void;
}

/** A request that is under way. It ends by itself when the exchange does that it was sent for. */
export interface InnerCall {
  /** Who has been asked last, for logs; null before anybody was. */
  readonly server: { readonly name: string } | null;
  /** The upstream that this server belongs to. */
  readonly upstream: string;
  /** Holds up what the server sends, but for a piece that is on its way. */
  pause(): void;
  resume(): void;
  /** The answer is not wanted any more. */
  cancel(): void;
}
