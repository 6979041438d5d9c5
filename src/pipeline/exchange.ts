// One request and its response on their way through the proxy: what routes, filters, plugins and logs look at, and the
// contracts of those that handle it. They name each other, so they stand together.
import type { ClientCertificate } from "../core/client-certificate.ts";
import type { Fault } from "../core/faults.ts";
import { uuidV7 } from "../core/request-id.ts";
import type { TimerWheel } from "../core/timers.ts";
import type { Coding } from "../http/content-codings.ts";
import { type GrpcKind, NO_GRPC } from "../http/grpc.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { RequestHead, ResponseHead } from "../http/message.ts";
import type { ClientInfo } from "./client-info.ts";
import type { Identity } from "./identity.ts";
import type { InnerCall, InnerHandler, InnerRequest } from "./inner.ts";
import type { AnswerKeeper } from "./keeper.ts";
import { type Reply, reply } from "./reply.ts";
import type { HedgePolicy, RetryPolicy } from "./retry-policy.ts";
import type { Held } from "./shared.ts";
import type { Tokens } from "./tokens.ts";

/** The server of an upstream that a request went to. */
export interface ServerRef {
  /** `host:port` or the path of a unix socket, as configured. */
  readonly name: string;
}

/** Who takes the body of a request, and hears how the client fares. */
export interface RequestSink {
  /**
   * A piece of the body; the bytes may be kept. To slow the client down, call `downstream.pauseBody()`. `given`: nobody
   * else looks at them, or at the rest of their buffer (core/spent.ts).
   */
  onRequestData(bytes: Buffer, from: number, to: number, given?: boolean): void;
  onRequestEnd(trailers: HeaderBlock | null): void;
  /** The client takes bytes again after `downstream.full`. */
  onDownstreamDrain(): void;
  /** The client went away or broke its message: nothing more comes from it, and nothing can be sent to it. */
  onDownstreamGone(fault: Fault): void;
}

/**
 * The raw connection behind an exchange that has become a tunnel. `early` is what arrived behind the request's head;
 * `ended` says that the client has closed its sending side already.
 */
export interface TunnelEnd<C> {
  readonly connection: C;
  readonly early: Buffer | null;
  readonly ended: boolean;
}

/** The client's side of an exchange, whatever version of HTTP it speaks. */
export interface Downstream {
  /** More waits to be sent than should: stop until `onDownstreamDrain`. */
  readonly full: boolean;
  /** Longest silence of a tunnel in milliseconds, as the listener has it. */
  readonly tunnelIdle: number;
  /** The answer's head has been written: it can no longer be replaced. */
  readonly answered: boolean;
  /** Lets the body of the request flow into the sink; before this it waits in the connection. */
  readBody(sink: RequestSink): void;
  pauseBody(): void;
  resumeBody(): void;
  /** The rest of the body is of no use: it is dropped as it comes, or the connection closed if that would be much. */
  discardBody(): void;
  /** An interim response (1xx). */
  informational(head: ResponseHead): void;
  /** Writes the answer's head; its `body` says how much follows. */
  head(head: ResponseHead): void;
  /**
   * A piece of the answer's body; `given` as above. `roomy`: the bytes before `from` are free, so that what goes out
   * just before can be put there, and all leaves in one call.
   */
  data(bytes: Buffer, from: number, to: number, given?: boolean, roomy?: boolean): void;
  /**
   * Where pieces of the answer's body go out as they are, with a length that was told before: the connection itself,
   * with nothing before them but what it has queued. Who uses it adds to `bytesOut`. Null, or absent, where only `data`
   * will do.
   */
  direct?(): DirectOutput | null;
  end(trailers: HeaderBlock | null): void;
  /** The answer cannot be finished: the client must see that it is cut off. */
  abort(fault: Fault): void;
  /** A whole answer of Sluice's own. */
  reply(answer: Reply): void;
  /** An answer that says what went wrong. */
  fail(fault: Fault): void;
  /** Whether a server's 101 answers our handshake, where it was not the client that made one. */
  fitsUpgrade?(head: ResponseHead): boolean;
  /** Switches protocols: writes the 101 and hands the connection over. The exchange ends with `tunnelClosed`. */
  upgrade(head: ResponseHead): TunnelEnd<unknown>;
  tunnelClosed(bytesIn: number, bytesOut: number): void;
}

/** What became of a body for the sake of its content coding, for the metrics. */
export interface CodedBody {
  readonly coding: string;
  /** `busy`: it was left as it is, as too many others were being coded. `kept`: it was there encoded. */
  readonly result: "encoded" | "decoded" | "busy" | "kept";
  /** Bytes that went into the coder, and that came out of it. */
  bytesIn: number;
  bytesOut: number;
}

/** Keeps the content of a stored answer in content codings beside it. */
export interface KeptCodings {
  /**
   * Sends the content in this coding in place of what is stored, and makes it where it is not there. Returns its
   * length, -1 while that is not known, or NOT_KEPT: then it has to be encoded as it passes. Of an answer to HEAD, the
   * length that is known.
   */
  use(coding: Coding): number;
  /** Content that was still to come then, and has all passed since, in this coding; null where it is not kept. */
  take(coding: Coding): Buffer | null;
}

export const NOT_KEPT = -2;

/**
 * Of a request on a route with a cache: `hit`; `stale`, given out all the same; `revalidated`, the server has confirmed
 * it; `expired`, the server has sent a new one; `miss`; `bypass`, not a matter of the cache.
 */
export type CacheResult = "" | "hit" | "stale" | "revalidated" | "expired" | "miss" | "bypass";

/** What a connection can do besides sending what it is given; see transport/connection.ts. */
export interface DirectOutput {
  offer?(bytes: Buffer, start: number, end: number): number;
  readonly inFlightMax?: number;
  move?(fd: number, from: number, length: number): number;
  remind?(): boolean;
}

/** A tunnel as those see it who may end it before its time. */
export interface EndableTunnel {
  /** Tells a client that speaks WebSocket why, between two frames, and closes both sides; others are cut off. */
  endEarly(status: number): void;
}

/** The plan that a request is held to, for those who learn later what it costs. */
export interface PlanInUse {
  /** Name of the plan. */
  readonly plan: string;
  /**
   * Takes tokens of a language model from the quotas of the plan before they are used; what they were in the end
   * (`x.tokens`) is settled with the end of the exchange. A fault where they are not there; null where they are.
   */
  reserveTokens(x: Exchange, count: number): Fault | null;
}

export class Exchange {
  readonly request: RequestHead;
  /** The answer's head, once there is one. */
  response: ResponseHead;
  /** The client's side; what changes bodies stands before it (pipeline/transforms.ts). */
  downstream: Downstream;
  /** Who forwards the request; null until it is forwarded. */
  sink: RequestSink | null = null;
  /** Address of the client: the peer's, or what a trusted proxy said. IPv4 in dotted form. */
  ip: string;
  /** The peer of the connection itself. */
  readonly client: ClientInfo;
  /** The peer is one of `trustedProxies`: what it says of the client is believed. */
  trusted = false;
  scheme: "http" | "https";
  /** Address of the listener as configured. */
  readonly listener: string;
  route: Route | null = null;
  /** Path parameters of the route (`:id`), by name. */
  params: Readonly<Record<string, string>> | null = null;
  /** Name of the chosen upstream, "" before and without one. */
  upstream = "";
  /** The chosen server, null before and without one. */
  server: ServerRef | null = null;
  /** Why it failed, if it did. */
  fault: Fault | null = null;
  /** Times in milliseconds on the process's monotonic clock; 0 when it did not come to that. */
  readonly startedAt: number;
  responseAt = 0;
  /** Status sent to the client; 499 when it went away before. 0 until then. */
  status = 0;
  /** Body bytes received from and sent to the client. */
  bytesIn = 0;
  bytesOut = 0;
  /** It has ended: whoever still waits for something on its behalf should stop. */
  over = false;
  /** The target to forward in place of the client's; "" when nothing rewrote it. */
  rewrittenTarget = "";
  /** The method to forward in place of the client's; "" when nothing changed it. */
  rewrittenMethod = "";
  /** The server is asked in gRPC, though the client speaks plain HTTP: for one message, or a stream of them. */
  rpc: "" | "unary" | "stream" = "";
  /** Values of Set-Cookie fields that the answer gets beside the server's own. */
  setCookies: string[] | null = null;
  /** A copy of the request that follows its body; null without one. */
  copy: { gone(): void } | null = null;
  /** The gRPC that the client speaks, in which it is answered. */
  grpc: GrpcKind = NO_GRPC;
  /** The answer that has begun ends with a grpc-status: what fails from here on can still be told in it. */
  endsInStatus = false;
  /** The grpc-status of the answer; -1 until there is one. */
  grpcStatus = -1;
  /** Ends a gRPC call in the time that its client gives it; null where it gives none. */
  deadline: { stop(): void; renew(): void } | null = null;
  /** Accept-Encoding as the client sent it, where the answer's coding depends on it. */
  acceptEncoding: string | null = null;
  /** A filter may change the answer's body in its own time (pipeline/transforms.ts). */
  expectsLate = false;
  /** Who has the answer's content in content codings, in the response phase of a stored answer; null for nobody. */
  kept: KeptCodings | null = null;
  /** Of a 304 that was made here: the fields of the whole answer that it is about; else null. Not to be changed. */
  unmodified: HeaderBlock | null = null;
  /** The content of an answer of Sluice's own, in its response phase: a filter may put another in its place. */
  ownBody: Buffer | null = null;
  /** What was done about the content coding of the answer; null for nothing. */
  coded: CodedBody | null = null;
  /** What the cache did with the request, for metrics and logs; "" where the route has none. */
  cacheResult: CacheResult = "";
  /** The Cache-Status member that its answer gets in the response phase; "" for none. */
  cacheStatus = "";
  /** A filter has found that it is for the server alone: neither is its answer stored, nor is it given a stored one. */
  uncached = false;
  /** Who has signed in, or whose key it is; null for nobody, and before `auth` has looked. */
  identity: Identity | null = null;
  /** Who has found that out and has something to add to the answer; null for nobody. */
  authenticated: { response?(x: Exchange): void; tunnel?(x: Exchange, tunnel: EndableTunnel): void } | null = null;
  /** The limit that refused the request, for the metrics; "" for none. */
  limit = "";
  /** What clients are told of their limits (the RateLimit field); "" for nothing. */
  limits = "";
  /** What a language model has read and written for it, once that is known; null without one. */
  tokens: Tokens | null = null;
  /** The plan that it is held to; null without one. */
  plan: PlanInUse | null = null;
  /** What it took from the quotas of its plan: requests by their cost, and tokens that were reserved. */
  cost = 0;
  reservedTokens = 0;
  /** What clients are told of their plan, and which of its limits were exceeded all the same; "" for nothing. */
  planLeft = "";
  planExceeded = "";
  /** What it asks for (GraphQL), weighed by its route: what a quota may charge for it; 0 where nothing is weighed. */
  points = 0;
  /** The name that the client has given to what it asks for (GraphQL), in letters, digits and `_`; "" for none. */
  operation = "";
  /** Who keeps its answer for those who ask again with the same key; null for nobody. */
  keeper: AnswerKeeper | null = null;
  /** How important it is: 0 is high, 1 normal, 2 low; -1 where the route says nothing of it. */
  priority = -1;
  /** What it holds until it has ended. */
  held: Held | null = null;
  /** Fields that an error answer of Sluice's own gets; null for none. */
  errorFields: (readonly [name: string, value: string])[] | null = null;
  #requestId = "";

  constructor(
    request: RequestHead,
    response: ResponseHead,
    downstream: Downstream,
    client: ClientInfo,
    listener: string,
    startedAt: number,
  ) {
    this.request = request;
    this.response = response;
    this.downstream = downstream;
    this.ip = client.address;
    this.client = client;
    this.scheme = client.scheme;
    this.listener = listener;
    this.startedAt = startedAt;
  }

  /** The X-Request-Id of this exchange: one that was set, or else a new one, made when it is first asked for. */
  get requestId(): string {
    if (this.#requestId === "") this.#requestId = uuidV7();
    return this.#requestId;
  }
  set requestId(id: string) {
    this.#requestId = id;
  }

  /** What routes look at (routing/subject.ts). */
  get host(): string {
    return this.request.host;
  }
  get path(): string | null {
    return this.request.path;
  }
  get method(): string {
    return this.request.method;
  }
  get query(): string {
    return this.request.query;
  }
  /** The client's certificate, if the listener asked for one and trusts it. */
  get clientCert(): ClientCertificate | null {
    return this.client.certificate;
  }
  header(name: string): string | null {
    return this.request.header(name);
  }

  /** Makes an answer for a filter or plugin to return. */
  respond(status: number, body?: string | Uint8Array, headers?: Readonly<Record<string, string>>): Reply {
    return reply(status, body, headers);
  }
}

/** What ends a phase: an answer to send, or a fault that the answer is made from. */
export type Outcome = Reply | Fault;

/** Nothing goes on; an outcome ends the phase. A promise only where something really has to be waited for. */
// biome-ignore lint/suspicious/noConfusingVoidType: functions that return nothing, async ones too, must fit.
export type FilterResult = undefined | void | Outcome | Promise<undefined | void | Outcome>;

export const isFault = (outcome: Outcome): outcome is Fault => "code" in outcome;

export interface Filter {
  readonly name: string;
  /** Before the request is forwarded. A reply is the answer: nothing is forwarded. */
  request?(x: Exchange): FilterResult;
  /** Once the head of the upstream's answer is there. A reply replaces it. */
  response?(x: Exchange): FilterResult;
  /** Once it has ended, whatever way it ended, also where the filter was not asked. `x.status` and `x.fault` tell. */
  finished?(x: Exchange): void;
}

/** Where the requests of a route go. */
export type Action =
  | { readonly kind: "reply"; reply(x: Exchange): Outcome }
  | { readonly kind: "serve"; serve(x: Exchange, env: ServeEnvironment): void }
  | { readonly kind: "forward"; pick(x: Exchange): string /* name of the upstream */ };

/** What an action needs that answers by itself and streams what it answers. */
export interface ServeEnvironment {
  readonly wheel: TimerWheel;
  /** Ends the exchange with a whole answer; the route's response filters see it. */
  answer(x: Exchange, outcome: Outcome): void;
  /**
   * The answer's head is in `x.response`: runs the route's response filters. False: they wait, and `waiter` is told.
   */
  respond(x: Exchange, waiter: ServeWaiter): boolean;
  /**
   * Sends a request of our own to the upstream of that name, on behalf of an exchange that is not over, whose end it
   * does not outlive. Throws RangeError for a target or field that no message may carry.
   */
  send(x: Exchange, upstream: string, request: InnerRequest, handler: InnerHandler): InnerCall;
}

export interface ServeWaiter {
  /** False: another answer has been given, and this one is not wanted. */
  responsePhaseOver(proceed: boolean): void;
}

/** Where copies of a route's requests go. */
export interface MirrorPolicy {
  readonly upstream: string;
  /** Whether the next request is one of those that are copied. */
  sampled(): boolean;
  /** Of a longer request body the copy is given up. */
  readonly bodyMax: number;
}

export interface Route {
  readonly name: string;
  /** Place in the configuration, from 0. */
  readonly index: number;
  readonly requestFilters: readonly Filter[];
  /** In their place while anything is switched to maintenance at run time. */
  readonly closedFilters: readonly Filter[];
  readonly responseFilters: readonly Filter[];
  /** Those that look at exchanges that have ended. */
  readonly finishFilters: readonly Filter[];
  readonly action: Action;
  /** Names of the upstreams that its requests may go to, for readiness and reports. */
  readonly upstreams: readonly string[];
  /** Largest request body in bytes; Infinity without a limit. */
  readonly bodyMax: number;
  /** Time-outs in milliseconds that replace those of the upstream or listener; 0 for "not replaced". */
  readonly responseTimeout: number;
  readonly connectTimeout: number;
  readonly tunnelIdle: number;
  /** Longest time over all tries, in milliseconds; 0 for that of the upstream. */
  readonly totalTimeout: number;
  /** In place of the upstream's; undefined for its own, and null for no hedging. */
  readonly retry: RetryPolicy | undefined;
  readonly hedge: HedgePolicy | null | undefined;
  /** Where copies of its requests go; null for nowhere. */
  readonly mirror: MirrorPolicy | null;
  /** Bytes per second of a request's body, and of an answer's; 0 without a limit. */
  readonly rate: number;
  /** Plugins may keep the exchange beyond its end: its parts must not be used again. */
  readonly retained: boolean;
  /** Queries, browsers and pages that led here are not logged: there is in them what people do. */
  readonly discreet: boolean;
}
