// One exchange's way to an upstream and back: the only place where a request is tried again.
import { turnTime } from "../core/clock.ts";
import { type Fault, fault, specOf } from "../core/faults.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Exchange, RequestSink } from "../pipeline/exchange.ts";
import { Pace } from "../pipeline/pace.ts";
import { type HedgePolicy, isIdempotent, type RetryPolicy } from "../pipeline/retry-policy.ts";
import type { ForwardEnvironment, RequestCopy, ResponseWaiter } from "./forward-environment.ts";
import type { H1Client, UpstreamCall } from "./h1-client.ts";
import { Race, type RaceOwner } from "./hedge.ts";
import type { ConnectionWant, Server } from "./pool.ts";
import { ReplayBuffer } from "./replay-buffer.ts";
import { asksFor, switchProtocols } from "./switch-protocols.ts";
import { serverHost, type Upstream } from "./upstream.ts";
import type { Want } from "./want.ts";

/** Upstreams that may take over from one another for one request: a longer chain is a mistake. */
const FAILOVERS_MAX = 4;

export class Forward implements RequestSink, UpstreamCall, Want, ConnectionWant, ResponseWaiter, RaceOwner {
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
  readonly repeatable: boolean;
  #upstream: Upstream;
  #server: Server | null = null;
  #client: H1Client | null = null;
  #retries = 0;
  #failovers = 0;
  #attemptAt = 0;
  #isBrief = false; // this try has only its own short time to be answered in
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
    this.repeatable = isIdempotent(method) || this.#retry.unsafeMethods || headers.has("idempotency-key");
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
    return this.within(connectTimeout > 0 ? connectTimeout : this.#upstream.config.timeouts.connect);
  }
  get key(): number {
    return this.#upstream.keyOf(this.#x);
  }
  get late(): boolean {
    return this.#deadline !== 0 && turnTime() >= this.#deadline;
  }
  get lane(): number {
    return this.#upstream.laneOf(this.#x);
  }
  get preface(): Buffer | null {
    return this.#upstream.prefaceFor(this.#x.client);
  }
  onServer(server: Server): void {
    this.#tell(server);
    server.request(this);
  }

  onNoServer(cause: Fault): void {
    if (this.#race?.running === true) return this.#race.leaderFailed(cause);
    if (this.#failOver(cause)) return;
    // After a try that failed, why it did says more than that there is nobody else.
    this.#giveUp(this.#x.fault ?? cause);
  }

  #tell(server: Server): void {
    this.#server = server;
    this.#x.server = server;
  }

  /** At most what is left until the deadline. */
  within(ms: number): number {
    return this.#deadline === 0 ? ms : Math.max(1, Math.min(ms, this.#deadline - turnTime()));
  }

  get responseMs(): number {
    const { responseTimeout } = this.#x.route!;
    return responseTimeout > 0 ? responseTimeout : this.#upstream.config.timeouts.response;
  }

  /** Chooses a server and asks it for a connection. */
  start(): void {
    this.#upstream.budget.request();
    this.#upstream.acquire(this);
  }

  onConnection(client: H1Client): void {
    const x = this.#x;
    this.#client = client;
    this.#attemptAt = turnTime();
    const { perTryMs } = this.#retry;
    const response = this.responseMs;
    this.#isBrief = perTryMs > 0 && perTryMs < response;
    const head = this.#isBrief ? perTryMs : response;
    client.start(this, x, this.hostFor(this.#server!), this.within(head), response);
    if (this.#bodyOpened) this.#sendAgain(client);
    else {
      this.#bodyOpened = true;
      x.downstream.readBody(this);
    }
    if (this.#hedge !== null && this.#race === null && !this.#over) this.#startRace(this.#hedge);
  }

  /** A short try goes on while no other may follow it. */
  moreTime(): number {
    if (!this.#isBrief || this.late || this.#mayLeave) return 0;
    this.#isBrief = false;
    return this.within(this.responseMs - this.#retry.perTryMs);
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
    this.#upstream.unreachable(this.#server!);
    this.#failed(cause);
  }

  /** Another upstream takes over where this one has nobody to ask. */
  #failOver(cause: Fault): boolean {
    const { failover } = this.#upstream.config;
    // Nothing was sent to any server: there is none, or none that can be reached.
    const unsent = cause.code === "upstream.none" || cause.code === "upstream.circuit_open";
    if (failover === undefined || !(unsent || specOf(cause).retry === "always") || !this.#replayable) return false;
    const next = this.#failovers < FAILOVERS_MAX ? this.#env.upstream(failover) : null;
    if (next === null) return false;
    this.#failovers += 1;
    this.#race?.cancel(); // servers of one upstream alone compete
    this.#race = null;
    this.#enter(next);
    next.budget.request();
    next.acquire(this);
    return true;
  }

  // ——— the request

  onRequestData(bytes: Buffer, from: number, to: number, given = false): void {
    this.#copy?.onData(bytes, from, to);
    this.#keep(bytes, from, to);
    const client = this.#client;
    if (client === null) return this.#x.downstream.pauseBody(); // between two tries
    client.sendData(bytes, from, to, given && this.#replay === null && this.#copy === null);
    const inTime = this.#requestPace === null || this.#requestPace.take(to - from);
    if (client.full || !inTime) this.#x.downstream.pauseBody();
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    if (!this.#replayable) return;
    // What comes between two tries has not been sent to anybody yet: it must be kept, however much it is.
    const unsent = this.#client === null;
    if (!this.repeatable && !unsent) this.#replayable = false;
    else this.#replayable = (this.#replay ??= new ReplayBuffer(this.#retry.bodyMax)).add(bytes, from, to, unsent);
    if (!this.#replayable) this.#replay = null;
  }

  onRequestEnd(trailers: HeaderBlock | null): void {
    this.#copy?.onEnd(trailers);
    this.#requestEnded = true;
    this.#requestTrailers = trailers;
    this.#client?.sendEnd(trailers);
    if (this.#responseEnded) this.#through();
  }

  onDownstreamDrain(): void {
    this.#resumeAnswer();
  }

  /** Reads the answer on, unless something else still holds it up. */
  #resumeAnswer(): void {
    // Nothing goes before the head.
    if (this.#waiting || this.#x.downstream.full || this.#pace?.waiting === true) return;
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
    if (!this.repeatable || !this.#upstream.hasOther(this.tried, server) || !this.#mayRetry()) return false;
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

  onData(bytes: Buffer, from: number, to: number, given = false): void {
    const { downstream } = this.#x;
    downstream.data(bytes, from, to, given);
    const inTime = this.#pace === null || this.#pace.take(to - from);
    if (downstream.full || !inTime) this.#client?.pause();
  }

  onEnd(trailers: HeaderBlock | null): void {
    this.#responseEnded = true;
    if (this.#requestEnded) this.#through();
    this.#x.downstream.end(trailers);
  }

  /** Both messages are. The connection may be somebody else's by now. */
  #through(): void {
    this.#over = true;
    this.#client = null;
    this.#pace?.stop();
    this.#requestPace?.stop();
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
    if (this.#isStale(cause) || this.#wasCutShort(cause) || this.#isWaitedFor(cause)) this.#upstream.withdrawn();
    else if (this.#x.responseAt === 0) this.#outcome(this.#server!, 0);
    this.#failed(cause);
  }

  /** A server that has had enough of waiting for a client's body is not to blame for that. */
  #isWaitedFor(cause: Fault): boolean {
    return cause.code === "upstream.reset" && !this.#requestEnded;
  }

  /** Others had most of the time that there was: what was left says nothing of this server. */
  #wasCutShort(cause: Fault): boolean {
    if (!this.late || cause.code !== "upstream.response_timeout") return false;
    const now = turnTime();
    return (now - this.#attemptAt) * 2 < now - this.#x.startedAt;
  }

  /** A try is over; `status` is 0 without an answer. */
  #outcome(server: Server, status: number): void {
    this.#upstream.outcome(server, status, turnTime() - this.#attemptAt);
  }

  // ——— another try

  get movable(): boolean {
    return this.#retry.moves && !this.#x.downstream.answered && this.#mayLeave;
  }

  /** Tries again where that can do no harm; otherwise the client is told. */
  #failed(cause: Fault): void {
    if (this.#race?.running === true) return this.#race.leaderFailed(cause);
    this.#x.fault = cause;
    if (!this.#replayable || this.#x.downstream.answered || !this.#retry.onFault(cause, this.repeatable))
      return this.#giveUp(cause);
    const server = this.#server!;
    if (this.#isStale(cause)) {
      // The same server gets a new one, once: no further try takes a used one.
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

  /** The server itself may be well: only its connection was too old. */
  #isStale(cause: Fault): boolean {
    if (cause.code !== "upstream.reset_on_reuse" || this.freshOnly || this.#retry.attempts === 0) return false;
    return this.#replayable && this.#retry.onFault(cause, this.repeatable);
  }

  /**
   * Whether the server that is asked now could be given up for another one. Without budget for that, the request is
   * better off where it is: the server may still answer.
   */
  get #mayLeave(): boolean {
    if (!this.repeatable || !this.#replayable || this.#retries >= this.#retry.attempts) return false;
    return this.#upstream.hasOther(this.tried, this.#server!) && this.#upstream.budget.left;
  }

  #mayRetry(): boolean {
    if (this.#retries >= this.#retry.attempts || !this.#replayable || this.#x.downstream.answered) return false;
    return !this.late && this.#upstream.mayRetry();
  }

  #again(): void {
    this.#retries += 1;
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
    if (!this.#x.downstream.answered && this.#failOver(cause)) return;
    this.#end();
    const told = this.late ? fault("upstream.deadline", `${cause.code}: ${cause.detail}`) : cause;
    this.#x.fault = told;
    this.#x.downstream.fail(told);
  }

  // ——— hedging: a second server is asked while the first one is thinking

  #startRace(policy: HedgePolicy): void {
    const { request } = this.#x;
    // A client that belongs to a server may have left something there that no other one knows of.
    if (this.pinned !== null || request.body !== "none" || request.upgrade !== "") return;
    if (!this.#upstream.hedgeable(request.method)) return;
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
    this.#tell(server);
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
    this.#end();
    this.#client = null;
    switchProtocols(x, this.#server!, client, head, this.#env);
  }
}
