// Sends a request of Sluice's own (pipeline/inner.ts): an exchange beside that of the client, with an upstream.
import { turnTime } from "../core/clock.ts";
import { type Fault, fault } from "../core/faults.ts";
import { Timer } from "../core/timers.ts";
import { FORWARDING, type HeaderBlock } from "../http/header-block.ts";
import { ID, NAMES } from "../http/header-names.ts";
import { layOutRequest } from "../http/laid-out.ts";
import { RequestHead, ResponseHead } from "../http/message.ts";
import { ClientInfo } from "../pipeline/client-info.ts";
import { type Downstream, Exchange, type RequestSink, type Route, type TunnelEnd } from "../pipeline/exchange.ts";
import type { InnerCall, InnerHandler, InnerRequest } from "../pipeline/inner.ts";
import type { Held } from "../pipeline/shared.ts";
import { Forward } from "./forward.ts";
import type { ForwardEnvironment } from "./forward-environment.ts";
import { InnerEnvironment } from "./inner-environment.ts";
import type { Upstream } from "./upstream.ts";

const GONE = fault("client.gone", "nobody wants the answer");

/** Fields of a trusted proxy before us, which stay what it said, and those of all proxies so far, which show loops. */
const OF_TRUSTED = [...FORWARDING, ID.via];
const OF_ALL = [ID.via];
const WITH_CONTENT: ReadonlySet<string> = new Set(["POST", "PUT", "PATCH"]);

/** Who a server is told that the request comes from, where it is not to know. */
const NOBODY = new ClientInfo("");

export class Inner implements InnerCall, Downstream, Held {
  readonly tunnelIdle = 0;
  readonly next: Held | null;
  readonly #x: Exchange;
  readonly #handler: InnerHandler;
  readonly #body: Buffer | null;
  readonly #env: ForwardEnvironment;
  #forward: RequestSink | null = null;
  #timer: Timer | null = null;
  #paused = false;
  #answered = false;
  #starting = true;
  #deaf = false; // the handler is told nothing any more
  #over = false;

  /** Sends it; null stands for an upstream that is no longer there. See `ServeEnvironment.send`. */
  static send(
    x: Exchange,
    upstream: Upstream | null,
    request: InnerRequest,
    handler: InnerHandler,
    env: ForwardEnvironment,
  ): InnerCall {
    const inner = new Inner(x, request, handler, env);
    x.held = inner;
    inner.#start(upstream, request.totalMs);
    return inner;
  }

  private constructor(parent: Exchange, request: InnerRequest, handler: InnerHandler, env: ForwardEnvironment) {
    const hidesClient = request.hidesClient === true;
    const client = hidesClient ? NOBODY : parent.client;
    const trusted = parent.trusted && !hidesClient;
    const head = headOf(parent.request, trusted, request);
    const x = new Exchange(head, new ResponseHead(), this, client, parent.listener, turnTime());
    x.ip = parent.ip;
    x.trusted = trusted;
    x.scheme = parent.scheme;
    x.route = routeOf(parent.route!, request);
    x.params = parent.params;
    x.requestId = parent.requestId;
    x.identity = parent.identity;
    x.priority = parent.priority;
    this.#x = x;
    this.#handler = handler;
    this.#body = request.body;
    this.#env = env;
    this.next = parent.held;
  }

  #start(upstream: Upstream | null, totalMs: number): void {
    if (upstream === null) return this.fail(fault("upstream.none", "its upstream has left the configuration"));
    const forward = new Forward(this.#x, upstream, new InnerEnvironment(this.#env), null);
    this.#forward = forward;
    this.#x.sink = forward;
    if (totalMs > 0) {
      this.#timer = new Timer(() => this.#late());
      this.#env.wheel.arm(this.#timer, totalMs);
    }
    forward.start();
    this.#starting = false;
  }

  #late(): void {
    if (this.#over) return;
    this.cancel();
    this.#handler.failed(fault("upstream.deadline", `${this.#x.upstream}: not to its end in time`));
  }

  // ——— InnerCall

  get server(): Exchange["server"] {
    return this.#x.server;
  }
  get upstream(): string {
    return this.#x.upstream;
  }
  pause(): void {
    this.#paused = true;
  }
  resume(): void {
    this.#paused = false;
    if (!this.#over) this.#forward?.onDownstreamDrain();
  }
  cancel(): void {
    this.#deaf = true;
    if (this.#over) return;
    const forward = this.#forward;
    this.#close();
    forward?.onDownstreamGone(GONE);
  }
  /** The exchange has ended that it was sent for. */
  leave(): void {
    this.cancel();
  }

  #close(): void {
    this.#over = true;
    this.#x.over = true;
    this.#forward = null;
    if (this.#timer !== null) this.#env.wheel.drop(this.#timer);
  }

  // ——— Downstream: what comes from the server

  get full(): boolean {
    return this.#paused;
  }
  get answered(): boolean {
    return this.#answered;
  }
  readBody(sink: RequestSink): void {
    const body = this.#body;
    if (body !== null && body.length > 0) sink.onRequestData(body, 0, body.length);
    sink.onRequestEnd(null);
  }
  informational(): void {}
  head(head: ResponseHead): void {
    this.#answered = true;
    head.headers.added = null; // the cookie of a sticky upstream: whoever made the request has no client for it
    if (!this.#over) this.#handler.head(head);
  }
  data(bytes: Buffer, from: number, to: number, given = false): void {
    if (!this.#over) this.#handler.data(bytes, from, to, given);
  }
  end(trailers: HeaderBlock | null): void {
    if (this.#over) return;
    this.#close();
    this.#handler.end(trailers);
  }
  fail(cause: Fault): void {
    if (this.#over) return;
    this.#close();
    if (!this.#starting) return this.#handler.failed(cause);
    // Nobody could be asked. Whoever has made the request does not have the call in hand yet.
    queueMicrotask(() => {
      if (!this.#deaf) this.#handler.failed(cause);
    });
  }
  abort(cause: Fault): void {
    this.fail(cause);
  }
  reply(): void {
    this.fail(fault("proxy.internal", "a request of our own was answered here"));
  }
  // All of the request is there at once, and a connection keeps what it cannot send yet.
  pauseBody(): void {}
  resumeBody(): void {}
  discardBody(): void {}
  upgrade(): TunnelEnd<unknown> {
    throw new Error("a request of our own is no tunnel");
  }
  tunnelClosed(): void {}
}

/** Its head, laid out as a client's would have come. */
function headOf(of: RequestHead, trusted: boolean, request: InnerRequest): RequestHead {
  const { method, target, host, body } = request;
  const fields: (readonly [string, string])[] = [];
  for (const id of trusted ? OF_TRUSTED : OF_ALL) {
    const value = of.headers.received(id) ? of.headers.get(NAMES[id]!) : null;
    if (value !== null) fields.push([NAMES[id]!, value]);
  }
  fields.push(...request.fields);
  // RFC 9110 §8.6: a method that comes with content says also when it has none.
  if (body !== null || WITH_CONTENT.has(method)) fields.push(["Content-Length", String(body?.length ?? 0)]);
  const head = new RequestHead();
  layOutRequest(head, method, target, host === "" ? of.authority : host, fields);
  if (body !== null) {
    head.body = "length";
    head.length = body.length;
  }
  return head;
}

/** The route's tries and time-outs hold for each request; what it says of the client's request and answer does not. */
function routeOf(route: Route, { headMs, totalMs }: InnerRequest): Route {
  return {
    name: route.name,
    index: route.index,
    requestFilters: [],
    closedFilters: [],
    responseFilters: [],
    finishFilters: [],
    action: route.action,
    upstreams: route.upstreams,
    bodyMax: route.bodyMax,
    responseTimeout: headMs > 0 ? headMs : route.responseTimeout,
    connectTimeout: route.connectTimeout,
    tunnelIdle: 0,
    totalTimeout: totalMs > 0 ? totalMs : route.totalTimeout,
    retry: route.retry,
    hedge: route.hedge,
    mirror: null,
    rate: 0,
    retained: false,
    discreet: false,
  };
}
