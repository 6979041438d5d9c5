// One exchange's way to an upstream and back: the only place where a request is tried again.
import { turnTime } from "../core/clock.ts";
import { type Fault, fault, specOf } from "../core/faults.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Exchange, RequestSink } from "../pipeline/exchange.ts";
import { failExchange, noteGrpcTrailers } from "../pipeline/grpc-reply.ts";
import { type HedgePolicy, isIdempotent, isUnsent, type RetryPolicy } from "../pipeline/retry-policy.ts";
import type { ForwardEnvironment, RequestCopy, ResponseWaiter } from "./forward-environment.ts";
import { type GrpcVerdict, judge } from "./grpc-verdict.ts";
import { Race, type RaceOwner } from "./hedge.ts";
import { Paces } from "./paces.ts";
import type { ConnectionWant, Server } from "./pool.ts";
import { SentRequest } from "./sent-request.ts";
import { maySwitch, switchProtocols } from "./switch-protocols.ts";
import { serverHost, type Upstream } from "./upstream.ts";
import type { UpstreamCall, UpstreamClient } from "./upstream-client.ts";
import type { Want } from "./want.ts";

/** Upstreams that may take over from one another for one request: a longer chain is a mistake. */
const FAILOVERS_MAX = 4;
/** How often servers may turn one request away unseen. A limit or a GOAWAY that is overtaken is a matter of moments. */
const REFUSALS_MAX = 6;

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
  #client: UpstreamClient | null = null;
  #retries = 0;
  #failovers = 0;
  #refusals = 0;
  #attemptAt = 0;
  #isBrief = false; // this try has only its own short time to be answered in
  #bodyOpened = false;
  readonly #sent: SentRequest = new SentRequest();
  #race: Race | null = null;
  #verdict: GrpcVerdict | null = null;
  #paces: Paces | null = null;
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
    if (route.rate > 0) this.#paces = new Paces(route.rate, env.wheel, this);
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
  get upgrade(): string {
    return this.#x.request.upgrade;
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

  onConnection(client: UpstreamClient): void {
    const x = this.#x;
    this.#client = client;
    this.#attemptAt = turnTime();
    x.deadline?.renew();
    const { perTryMs } = this.#retry;
    const response = this.responseMs;
    this.#isBrief = perTryMs > 0 && perTryMs < response;
    const head = this.#isBrief ? perTryMs : response;
    client.start(this, x, this.hostFor(this.#server!), this.within(head), this.#env.answerSilence(x, response));
    if (this.#bodyOpened) {
      this.#sent.sendTo(client); // what the first connection had been sent
      if (!this.#sent.ended) this.resumeBody();
    } else {
      this.#bodyOpened = true;
      x.downstream.readBody(this);
    }
    // A client that belongs to a server may have left something there that no other one knows of.
    if (this.#hedge !== null && this.#race === null && this.pinned === null && !this.#over)
      this.#race = Race.start(this, x, this.#upstream, this.#hedge);
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

  onNoConnection(cause: Fault): void {
    this.#upstream.unreachable(this.#server!);
    this.#failed(cause);
  }

  /** Another upstream takes over where this one has nobody to ask. */
  #failOver(cause: Fault): boolean {
    const { failover } = this.#upstream.config;
    if (failover === undefined || !isUnsent(cause) || !this.#sent.isWhole) return false;
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
    client.sendData(bytes, from, to, given && !this.#sent.keepsBody && this.#copy === null);
    const inTime = this.#paces === null || this.#paces.request.take(to - from);
    if (client.full || !inTime) this.#x.downstream.pauseBody();
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    const client = this.#client;
    if (!this.repeatable && client?.refusable === false) this.#sent.forget();
    // What comes between two tries has not been sent to anybody yet: it must be kept, however much it is.
    else this.#sent.add(bytes, from, to, this.#retry.bodyMax, client === null);
  }

  onRequestEnd(trailers: HeaderBlock | null): void {
    if (trailers !== null) this.#env.cleanTrailers(trailers);
    this.#copy?.onEnd(trailers);
    this.#sent.end(trailers);
    this.#client?.sendEnd(trailers);
    if (this.#responseEnded) this.#through();
  }

  onDownstreamDrain(): void {
    this.resumeAnswer();
  }

  /** Reads the answer on, unless something else still holds it up. */
  resumeAnswer(): void {
    // Nothing goes before the head.
    if (this.#waiting || this.#x.downstream.full || this.#paces?.answer.waiting === true) return;
    this.#client?.resume();
  }

  resumeBody(): void {
    if (this.#client?.full === false && this.#paces?.request.waiting !== true) this.#x.downstream.resumeBody();
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
    this.#verdict?.cutShort();
    this.#copy?.gone();
    this.#race?.cancel();
    this.#paces?.stop();
  }

  onDrain(): void {
    this.resumeBody();
  }

  // ——— the answer

  onInformational(head: ResponseHead): void {
    this.#x.downstream.informational(head);
  }

  onResponse(head: ResponseHead): boolean {
    const x = this.#x;
    this.#verdict = judge(this.#upstream, this.#server!, x, head, turnTime() - this.#attemptAt);
    if (this.#retry.onAnswer(head) && this.#tryAnother()) return true;
    this.#race?.cancel();
    x.response = head;
    x.responseAt = turnTime();
    x.fault = null; // of a try before this one
    this.#sent.forget();
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
    this.#tryAgain();
    return true;
  }

  /** The filters of the response phase had to wait, and are through. */
  responsePhaseOver(proceed: boolean): void {
    if (this.#over) return;
    if (!proceed) return this.#replaced();
    this.#waiting = false;
    this.#x.downstream.head(this.#x.response);
    this.resumeAnswer();
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
    const inTime = this.#paces === null || this.#paces.answer.take(to - from);
    if (downstream.full || !inTime) this.#client?.pause();
  }

  onEnd(trailers: HeaderBlock | null): void {
    this.#responseEnded = true;
    this.#verdict?.ended(trailers);
    if (this.#sent.ended) this.#through();
    if (trailers !== null) noteGrpcTrailers(this.#x, trailers);
    this.#x.downstream.end(trailers);
  }

  /** Both messages are. The connection may be somebody else's by now. */
  #through(): void {
    this.#end();
    this.#client = null;
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
    if (this.#isHarmless(cause)) this.#upstream.withdrawn();
    else if (this.#x.responseAt === 0) this.#upstream.outcome(this.#server!, 0, turnTime() - this.#attemptAt);
    this.#verdict?.broken();
    this.#failed(cause);
  }

  /** Nothing is held against the server. */
  #isHarmless(cause: Fault): boolean {
    // One that has had enough of waiting for a client's body is not to blame for that.
    if (cause.code === "upstream.reset" && !this.#sent.ended) return true;
    if (!this.late || cause.code !== "upstream.response_timeout") return this.#isStale(cause) || this.#isUnseen(cause);
    // Others had most of the time that there was: what was left says nothing of this one.
    return (turnTime() - this.#attemptAt) * 2 < turnTime() - this.#x.startedAt;
  }

  // ——— another try

  get movable(): boolean {
    return this.#retry.moves && !this.#x.downstream.answered && this.#mayLeave;
  }

  /** Tries again where that can do no harm; otherwise the client is told. */
  #failed(cause: Fault): void {
    if (this.#race?.running === true) return this.#race.leaderFailed(cause);
    this.#x.fault = cause;
    if (this.#isUnseen(cause)) return this.#sendUnseen();
    if (!this.#sent.isWhole || this.#x.downstream.answered || !this.#retry.onFault(cause, this.repeatable))
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
    this.#tryAgain();
  }

  /** The server itself may be well: only its connection was too old. */
  #isStale(cause: Fault): boolean {
    if (cause.code !== "upstream.reset_on_reuse" || this.freshOnly || this.#retry.attempts === 0) return false;
    return this.#sent.isWhole && this.#retry.onFault(cause, this.repeatable);
  }

  /** It has turned the request away without looking at it: sent again, whatever it is. */
  #isUnseen({ code }: Fault): boolean {
    if (code !== "upstream.refused" || this.#refusals >= REFUSALS_MAX) return false;
    return this.#sent.isWhole && !this.late && !this.#x.downstream.answered;
  }

  /** Sends it to another server, or over another connection: as it was none, this try counts for nothing. */
  #sendUnseen(): void {
    this.#refusals += 1;
    if (this.#refusals * 2 > REFUSALS_MAX) this.pinned = null;
    const server = this.#server!;
    this.tried = this.#upstream.hasOther(this.tried, server) ? [...(this.tried ?? []), server] : null;
    this.#again(this.#refusals);
  }

  /**
   * Whether the server that is asked now could be given up for another one. Without budget for that, the request is
   * better off where it is: the server may still answer.
   */
  get #mayLeave(): boolean {
    if (!this.repeatable || !this.#sent.isWhole || this.#retries >= this.#retry.attempts) return false;
    return this.#upstream.hasOther(this.tried, this.#server!) && this.#upstream.budget.left;
  }

  #mayRetry(): boolean {
    if (this.#retries >= this.#retry.attempts || !this.#sent.isWhole || this.#x.downstream.answered) return false;
    return !this.late && this.#upstream.mayRetry();
  }

  #tryAgain(): void {
    this.#retries += 1;
    this.pinned = null;
    // With nobody left but those who failed already, there is no hurry.
    this.#again(this.tried === null ? this.#retries + 1 : this.#retries);
  }

  /** `times`: which of the tries after the first this is, for the pause before it. */
  #again(times: number): void {
    this.#upstream.retried();
    const pause = this.#upstream.pauseMs(this.#retry, times);
    if (pause === 0) return this.#upstream.acquire(this);
    setTimeout(() => {
      if (!this.withdrawn) this.#upstream.acquire(this);
    }, pause);
  }

  #giveUp(cause: Fault): void {
    if (!this.#x.downstream.answered && this.#failOver(cause)) return;
    this.#end();
    const told = this.late ? fault("upstream.deadline", `${cause.code}: ${cause.detail}`) : cause;
    failExchange(this.#x, told);
  }

  // ——— hedging: a second server is asked while the first one is thinking

  get leader(): Server | null {
    return this.#server;
  }

  /** One of the others was first. */
  raceWon(server: Server, client: UpstreamClient, attemptAt: number, head: ResponseHead): boolean {
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
    const client = this.#client!;
    this.#client = null;
    if (!this.#sent.ended || !maySwitch(this.#x, head)) {
      client.abandon();
      return this.#giveUp(fault("upstream.upgrade", `101 to ${JSON.stringify(head.upgrade)}`));
    }
    this.#end();
    switchProtocols(this.#x, this.#server!, client, head, this.#env);
  }
}
