// One exchange's way to an upstream and back: the only place where a request is tried again.
import { turnTime } from "../core/clock.ts";
import { type Fault, fault, specOf } from "../core/faults.ts";
import type { TimerWheel } from "../core/timers.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Exchange, RequestSink } from "../pipeline/exchange.ts";
import { Pace } from "../pipeline/pace.ts";
import { type HedgePolicy, isIdempotent, type RetryPolicy } from "../pipeline/retry-policy.ts";
import type { Connection } from "../transport/connection.ts";
import { Tunnel } from "../transport/tunnel.ts";
import type { H1Client, UpstreamCall } from "./h1-client.ts";
import { Race, type RaceOwner } from "./hedge.ts";
import type { Server } from "./pool.ts";
import { ReplayBuffer } from "./replay-buffer.ts";
import { serverHost, type Upstream } from "./upstream.ts";
import type { Want } from "./want.ts";

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
  tunnelOpened(tunnel: Tunnel, x: Exchange): void;
  tunnelClosed(tunnel: Tunnel, x: Exchange): void;
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

/** Upstreams that may take over from one another for one request: a longer chain is a mistake. */
const FAILOVERS_MAX = 4;

export class Forward implements RequestSink, UpstreamCall, Want, ResponseWaiter, RaceOwner {
  // What the upstream looks at when it chooses a server.
  freshOnly = false;
  pinned: Server | null = null;
  readonly patient = true;
  tried: readonly Server[] | null = null;
  readonly #x: Exchange;
  readonly #env: ForwardEnvironment;
  readonly #copy: RequestCopy | null;
  readonly #retry: RetryPolicy;
  readonly #hedge: HedgePolicy | null;
  /** On the monotonic clock: when there must be an answer; 0 for no such time. */
  readonly #deadline: number;
  /** Sending the request twice does no further harm. */
  readonly #repeatable: boolean;
  #upstream: Upstream;
  #server: Server | null = null;
  #client: H1Client | null = null;
  #retries = 0;
  #failovers = 0;
  #attemptAt = 0;
  #bodyOpened = false;
  #requestEnded = false;
  #requestTrailers: HeaderBlock | null = null;
  /** What has been sent of the body; null when it is not kept. */
  #replay: ReplayBuffer | null = null;
  #replayable = true;
  #race: Race | null = null;
  #pace: Pace | null = null;
  #requestPace: Pace | null = null;
  #responseEnded = false;
  #waiting = false; // for the response phase
  #over = false;

  constructor(x: Exchange, upstream: Upstream, env: ForwardEnvironment, copy: RequestCopy | null) {
    const route = x.route!;
    this.#x = x;
    this.#upstream = upstream;
    this.#env = env;
    this.#copy = copy;
    this.#retry = route.retry ?? upstream.retry;
    this.#hedge = route.hedge === undefined ? upstream.hedge : route.hedge;
    const total = route.totalTimeout > 0 ? route.totalTimeout : upstream.totalMs;
    this.#deadline = total > 0 ? turnTime() + total : 0;
    const { method, headers } = x.request;
    this.#repeatable = isIdempotent(method) || this.#retry.unsafeMethods || headers.has("idempotency-key");
    if (route.rate > 0) {
      this.#pace = new Pace(route.rate, env.wheel, () => this.#resumeAnswer());
      this.#requestPace = new Pace(route.rate, env.wheel, () => this.#resumeBody());
    }
    this.#enter(upstream);
  }

  #enter(upstream: Upstream): void {
    this.#upstream = upstream;
    this.#x.upstream = upstream.name;
    this.tried = null;
    this.pinned = upstream.sticky === null ? null : upstream.stickyServer(this.#x);
  }

  // ——— Want: what the upstream asks about this request

  /** Also when the client went away before there was a connection to tell of it. */
  get withdrawn(): boolean {
    return this.#over || this.#x.over;
  }
  get connectMs(): number {
    const { connectTimeout } = this.#x.route!;
    return this.#within(connectTimeout > 0 ? connectTimeout : this.#upstream.config.timeouts.connect);
  }
  get key(): number {
    return this.#upstream.keyOf(this.#x);
  }
  get lane(): number {
    return this.#upstream.laneOf(this.#x);
  }
  get preface(): Buffer | null {
    return this.#upstream.prefaceFor(this.#x.client);
  }
  onServer(server: Server): void {
    this.#server = server;
    this.#x.server = server;
  }

  /** At most what is left until the deadline. */
  #within(ms: number): number {
    return this.#deadline === 0 ? ms : Math.max(1, Math.min(ms, this.#deadline - turnTime()));
  }

  get #responseMs(): number {
    const { responseTimeout } = this.#x.route!;
    return responseTimeout > 0 ? responseTimeout : this.#upstream.config.timeouts.response;
  }

  /** Chooses a server and asks it for a connection. */
  start(): void {
    this.#upstream.budget?.request();
    this.#upstream.acquire(this);
  }

  onConnection(client: H1Client): void {
    const x = this.#x;
    this.#client = client;
    this.#attemptAt = turnTime();
    const { perTryMs } = this.#retry;
    const response = this.#responseMs;
    const head = perTryMs > 0 && this.#anotherMayFollow ? Math.min(perTryMs, response) : response;
    client.start(this, x, this.hostFor(this.#server!), this.#within(head), response);
    if (this.#bodyOpened) this.#sendAgain(client);
    else {
      this.#bodyOpened = true;
      x.downstream.readBody(this);
    }
    if (this.#hedge !== null && this.#race === null && !this.#over) this.#startRace(this.#hedge);
  }

  /** The Host that this server sees; null for the client's own. */
  hostFor(server: Server): string | null {
    return this.#upstream.hostFor(server) ?? (this.#x.request.authority === "" ? serverHost(server) : null);
  }

  /** What the first connection had been sent of the body. */
  #sendAgain(client: H1Client): void {
    this.#replay?.sendTo(client);
    if (this.#requestEnded) client.sendEnd(this.#requestTrailers);
    else this.#resumeBody();
  }

  onNoConnection(cause: Fault): void {
    // Nothing was asked of a server that has no place for the request: only failed connects are its doing.
    if (specOf(cause).retry === "always") this.#upstream.unreachable(this.#server!);
    else if (this.#failOver(cause)) return;
    this.#failed(cause);
  }

  /** Another upstream takes over where this one has nobody to ask. */
  #failOver(cause: Fault): boolean {
    const { failover } = this.#upstream.config;
    if (failover === undefined || (cause.code !== "upstream.none" && cause.code !== "upstream.circuit_open"))
      return false;
    const next = this.#failovers < FAILOVERS_MAX ? this.#env.upstream(failover) : null;
    if (next === null) return false;
    this.#failovers += 1;
    this.#enter(next);
    next.acquire(this);
    return true;
  }

  // ——— the request

  onRequestData(bytes: Buffer, from: number, to: number): void {
    this.#copy?.onData(bytes, from, to);
    this.#keep(bytes, from, to);
    const client = this.#client;
    if (client === null) return this.#x.downstream.pauseBody(); // between two tries
    client.sendData(bytes, from, to);
    const inTime = this.#requestPace === null || this.#requestPace.take(to - from);
    if (client.full || !inTime) this.#x.downstream.pauseBody();
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    if (!this.#replayable) return;
    // What comes between two tries has not been sent to anybody yet: it must be kept, however much it is.
    const unsent = this.#client === null;
    if (!this.#repeatable && !unsent) this.#replayable = false;
    else this.#replayable = (this.#replay ??= new ReplayBuffer(this.#retry.bodyMax)).add(bytes, from, to, unsent);
    if (!this.#replayable) this.#replay = null;
  }

  onRequestEnd(trailers: HeaderBlock | null): void {
    this.#copy?.onEnd(trailers);
    this.#requestEnded = true;
    this.#requestTrailers = trailers;
    this.#client?.sendEnd(trailers);
  }

  onDownstreamDrain(): void {
    this.#resumeAnswer();
  }

  /** Reads the answer on, unless something else still holds it up. */
  #resumeAnswer(): void {
    if (this.#waiting || this.#x.downstream.full || this.#pace?.waiting === true) return; // nothing goes before the head
    this.#client?.resume();
  }

  #resumeBody(): void {
    if (this.#client?.full === false && this.#requestPace?.waiting !== true) this.#x.downstream.resumeBody();
  }

  onDownstreamGone(_cause: Fault): void {
    if (this.#over) return;
    this.#end();
    const client = this.#client;
    this.#client = null;
    if (client === null) return;
    if (this.#x.responseAt === 0) this.#upstream.cancelled(this.#server!);
    client.abandon();
  }

  /** Nothing more will be done for this exchange. */
  #end(): void {
    this.#over = true;
    this.#copy?.gone();
    this.#race?.cancel();
    this.#pace?.stop();
    this.#requestPace?.stop();
  }

  onDrain(): void {
    this.#resumeBody();
  }

  // ——— the answer

  onInformational(head: ResponseHead): void {
    this.#x.downstream.informational(head);
  }

  onResponse(head: ResponseHead): boolean {
    const x = this.#x;
    this.#outcome(this.#server!, head.status);
    if (head.status >= 400 && this.#retry.onStatus(head.status) && this.#tryAnother()) return true;
    this.#race?.cancel();
    x.response = head;
    x.responseAt = turnTime();
    x.fault = null; // of a try before this one
    this.#replay = null;
    this.#replayable = false;
    if (this.#upstream.sticky !== null) this.#upstream.stick(x, this.#server!);
    if (x.setCookies !== null) for (const cookie of x.setCookies) head.headers.add("set-cookie", cookie);
    if (head.status === 101) {
      this.#switchProtocols(head);
      return true;
    }
    if (x.route!.retained) this.#client!.leaveHead();
    if (!this.#env.respond(x, this)) {
      this.#waiting = true;
      return false;
    }
    x.downstream.head(x.response);
    return true;
  }

  /** The answer says that the server cannot: asks another one, if there is one. */
  #tryAnother(): boolean {
    const server = this.#server!;
    const client = this.#client!;
    if (this.#race?.running === true) {
      this.#client = null;
      client.drop();
      this.#race.leaderFailed(fault("upstream.bad_response", "asked another server too"));
      return true;
    }
    if (!this.#repeatable || !this.#upstream.hasOther(this.tried, server) || !this.#mayRetry()) return false;
    this.#client = null;
    client.drop();
    this.tried = [...(this.tried ?? []), server];
    this.#again();
    return true;
  }

  /** The filters of the response phase had to wait, and are through. */
  responsePhaseOver(proceed: boolean): void {
    if (this.#over) return;
    if (!proceed) return this.#replaced();
    this.#waiting = false;
    this.#x.downstream.head(this.#x.response);
    this.#resumeAnswer();
  }

  /** A filter gave another answer: the server's is of no use. */
  #replaced(): void {
    this.#end();
    const client = this.#client;
    this.#client = null;
    client?.abandon();
  }

  onData(bytes: Buffer, from: number, to: number): void {
    const { downstream } = this.#x;
    downstream.data(bytes, from, to);
    const inTime = this.#pace === null || this.#pace.take(to - from);
    if (downstream.full || !inTime) this.#client?.pause();
  }

  onEnd(trailers: HeaderBlock | null): void {
    this.#responseEnded = true;
    if (this.#requestEnded) {
      this.#over = true;
      this.#client = null;
      this.#pace?.stop();
      this.#requestPace?.stop();
    }
    this.#x.downstream.end(trailers);
  }

  onFault(cause: Fault): void {
    this.#client = null;
    if (this.#over) return;
    const { downstream } = this.#x;
    if (this.#responseEnded) {
      // The whole answer is there, and the server takes no more of the request: nobody wants the rest of it.
      this.#end();
      return downstream.discardBody();
    }
    if (this.#x.responseAt === 0) this.#outcome(this.#server!, 0);
    this.#failed(cause);
  }

  /** A try is over; `status` is 0 without an answer. */
  #outcome(server: Server, status: number): void {
    this.#upstream.outcome(server, status, turnTime() - this.#attemptAt);
  }

  // ——— another try

  get movable(): boolean {
    return this.#repeatable && this.#replayable && this.#retries < this.#retry.attempts && !this.#x.downstream.answered;
  }

  /** Tries again where that can do no harm; otherwise the client is told. */
  #failed(cause: Fault): void {
    if (this.#race?.running === true) return this.#race.leaderFailed(cause);
    this.#x.fault = cause;
    if (!this.#replayable || this.#x.downstream.answered || !this.#retry.onFault(cause, this.#repeatable))
      return this.#giveUp(cause);
    const server = this.#server!;
    if (cause.code === "upstream.reset_on_reuse" && !this.freshOnly && this.#retry.attempts > 0) {
      // The server itself may be well: only this connection was too old. The same server gets a new one.
      this.freshOnly = true;
      this.pinned = server;
      this.#upstream.retried();
      return this.#upstream.acquire(this);
    }
    const others = this.#upstream.hasOther(this.tried, server);
    // Where nobody else is left, only a server that nothing was sent to is asked again.
    if (!others && specOf(cause).retry !== "always") return this.#giveUp(cause);
    if (!this.#mayRetry()) return this.#giveUp(cause);
    this.tried = others ? [...(this.tried ?? []), server] : null;
    this.#again();
  }

  /** Whether the server that is asked now could be given up for another one. */
  get #anotherMayFollow(): boolean {
    if (!this.#repeatable || !this.#replayable || this.#retries >= this.#retry.attempts) return false;
    return this.#upstream.hasOther(this.tried, this.#server!);
  }

  #mayRetry(): boolean {
    if (this.#retries >= this.#retry.attempts || !this.#replayable || this.#x.downstream.answered) return false;
    if (this.#deadline !== 0 && turnTime() >= this.#deadline) return false;
    return this.#upstream.mayRetry();
  }

  #again(): void {
    this.#retries += 1;
    this.freshOnly = false;
    this.pinned = null;
    this.#upstream.retried();
    // With nobody left but those who failed already, there is no hurry.
    const pause = this.#upstream.pauseMs(this.#retry, this.tried === null ? this.#retries + 1 : this.#retries);
    if (pause === 0) return this.#upstream.acquire(this);
    setTimeout(() => {
      if (!this.withdrawn) this.#upstream.acquire(this);
    }, pause);
  }

  #giveUp(cause: Fault): void {
    this.#end();
    const late = this.#deadline !== 0 && turnTime() >= this.#deadline;
    const told = late ? fault("upstream.deadline", `${cause.code}: ${cause.detail}`) : cause;
    this.#x.fault = told;
    this.#x.downstream.fail(told);
  }

  // ——— hedging: a second server is asked while the first one is thinking

  #startRace(policy: HedgePolicy): void {
    const { request } = this.#x;
    if (request.body !== "none" || request.upgrade !== "" || !this.#upstream.hedgeable(request.method)) return;
    this.#race = new Race(this, this.#x, this.#upstream, policy);
    this.#race.wait();
  }

  get leader(): Server | null {
    return this.#server;
  }

  /** One of the others was first. */
  raceWon(server: Server, client: H1Client, attemptAt: number, head: ResponseHead): boolean {
    const loser = this.#client;
    if (loser !== null) {
      this.#upstream.cancelled(this.#server!);
      loser.abandon();
    }
    this.onServer(server);
    this.#client = client;
    this.#attemptAt = attemptAt;
    client.handOver(this);
    return this.onResponse(head);
  }

  /** All the others have failed, and so has the first. */
  raceLost(cause: Fault, tried: readonly Server[]): void {
    this.#race = null;
    this.tried = [...(this.tried ?? []), ...tried];
    this.#failed(cause);
  }

  // ——— tunnels

  #switchProtocols(head: ResponseHead): void {
    const x = this.#x;
    const client = this.#client!;
    if (head.upgrade === "" || !asksFor(x.request.upgrade, head.upgrade) || !this.#requestEnded) {
      this.#client = null;
      client.abandon();
      return this.#giveUp(fault("upstream.upgrade", `101 to ${JSON.stringify(head.upgrade)}`));
    }
    const server = this.#server!;
    const theirs = client.detach();
    server.tunnelOpened(client);
    const ours = x.downstream.upgrade(head);
    this.#end();
    this.#client = null;
    const tunnel: Tunnel = new Tunnel(
      ours.connection as Connection,
      ours.early,
      theirs.connection,
      theirs.early,
      this.#env.tunnelIdle(x),
      this.#env.wheel,
      (bytesIn, bytesOut) => {
        server.tunnelClosed();
        x.downstream.tunnelClosed(bytesIn, bytesOut);
        this.#env.tunnelClosed(tunnel, x);
      },
    );
    this.#env.tunnelOpened(tunnel, x);
    if (ours.ended) tunnel.endedEarly();
  }
}

/** Whether the server switched to something that the client asked for (RFC 9110 §7.8). Both are lower-case lists. */
function asksFor(asked: string, given: string): boolean {
  const offers = asked.split(", ");
  return given.split(",").every((protocol) => offers.includes(protocol.trim()));
}
