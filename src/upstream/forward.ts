// One exchange's way to an upstream and back: the only place where a request is tried again.
import { turnTime } from "../core/clock.ts";
import { type Fault, fault, specOf } from "../core/faults.ts";
import type { TimerWheel } from "../core/timers.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Exchange, RequestSink } from "../pipeline/exchange.ts";
import type { Connection } from "../transport/connection.ts";
import { Tunnel } from "../transport/tunnel.ts";
import type { H1Client, UpstreamCall } from "./h1-client.ts";
import type { ConnectionWant, Server } from "./pool.ts";
import { serverHost, type Upstream } from "./upstream.ts";

/** Who waits for the response phase. */
export interface ResponseWaiter {
  /** True: go on with `x.response`. False: another answer will be sent, this one is dropped. */
  responsePhaseOver(proceed: boolean): void;
}

/** What forwarding tells and asks the rest of the thread. */
export interface ForwardEnvironment {
  readonly wheel: TimerWheel;
  /** The response phase of the route's filters. True: go on with `x.response` now. False: `waiter` is told later. */
  respond(x: Exchange, waiter: ResponseWaiter): boolean;
  /** A request to a server has been answered or has failed; `status` is 0 without an answer. */
  attempted(x: Exchange, upstream: Upstream, server: Server, status: number, ms: number): void;
  /** A request is sent again. */
  retried(x: Exchange, upstream: Upstream): void;
  tunnelOpened(tunnel: Tunnel, x: Exchange): void;
  tunnelClosed(tunnel: Tunnel, x: Exchange): void;
  /** Longest silence of a tunnel of this exchange in milliseconds. */
  tunnelIdle(x: Exchange): number;
}

/** More servers than this are not tried for one request. */
const ATTEMPTS_MAX = 3;
/** A request body that has been sent can be sent once more while it is no longer than this. */
const REPLAY_BYTES_MAX = 65_536;
/** And in no more pieces: one costs some hundred bytes of memory, however little of the body it holds. */
const REPLAY_PIECES_MAX = 256;

/** RFC 9110 §9.2.2: methods whose second sending does no further harm. */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

export class Forward implements RequestSink, UpstreamCall, ConnectionWant, ResponseWaiter {
  freshOnly = false;
  readonly connectMs: number;
  readonly #x: Exchange;
  readonly #upstream: Upstream;
  readonly #env: ForwardEnvironment;
  readonly #responseMs: number;
  readonly #idempotent: boolean;
  #server: Server | null = null;
  #client: H1Client | null = null;
  #tried: Server[] | null = null;
  #attempts = 0;
  #attemptAt = 0;
  #bodyOpened = false;
  #requestEnded = false;
  #requestTrailers: HeaderBlock | null = null;
  /** Pieces of the body sent so far; null once they are too many to keep. */
  #replay: { bytes: Buffer; from: number; to: number }[] | null = null;
  #replayable = true;
  #replayBytes = 0;
  #responseEnded = false;
  #waiting = false; // for the response phase
  #over = false;

  constructor(x: Exchange, upstream: Upstream, env: ForwardEnvironment) {
    const { timeouts } = upstream.config;
    this.#x = x;
    this.#upstream = upstream;
    this.#env = env;
    this.connectMs = x.route !== null && x.route.connectTimeout > 0 ? x.route.connectTimeout : timeouts.connect;
    this.#responseMs = x.route !== null && x.route.responseTimeout > 0 ? x.route.responseTimeout : timeouts.response;
    this.#idempotent = IDEMPOTENT.has(x.request.method);
    x.upstream = upstream.name;
  }

  /** Also when the client went away before there was a connection to tell of it. */
  get withdrawn(): boolean {
    return this.#over || this.#x.over;
  }

  /** Chooses a server and asks it for a connection. */
  start(): void {
    const server = this.#upstream.pick(this.#tried);
    if (server === null) return this.#giveUp(this.#x.fault ?? fault("upstream.none", this.#upstream.name));
    this.#server = server;
    this.#x.server = server;
    this.#attempts += 1;
    server.request(this);
  }

  onConnection(client: H1Client): void {
    const x = this.#x;
    const server = this.#server!;
    this.#client = client;
    this.#attemptAt = turnTime();
    const host = this.#upstream.hostFor(server) ?? (x.request.authority === "" ? serverHost(server) : null);
    client.start(this, x, host, this.#responseMs);
    if (this.#bodyOpened) return this.#sendAgain(client);
    this.#bodyOpened = true;
    x.downstream.readBody(this);
  }

  /** What the first connection had been sent of the body. */
  #sendAgain(client: H1Client): void {
    for (const piece of this.#replay ?? []) client.sendData(piece.bytes, piece.from, piece.to);
    if (this.#requestEnded) client.sendEnd(this.#requestTrailers);
    else this.#x.downstream.resumeBody();
  }

  onNoConnection(cause: Fault): void {
    this.#failed(cause);
  }

  // ——— the request

  onRequestData(bytes: Buffer, from: number, to: number): void {
    this.#keep(bytes, from, to);
    const client = this.#client;
    if (client === null) return this.#x.downstream.pauseBody(); // between two attempts
    client.sendData(bytes, from, to);
    if (client.full) this.#x.downstream.pauseBody();
  }

  #keep(bytes: Buffer, from: number, to: number): void {
    if (!this.#replayable) return;
    this.#replayBytes += to - from;
    // What comes between two attempts has not been sent to anybody yet: it must be kept, however much it is.
    const unsent = this.#client === null;
    const tooMuch = this.#replayBytes > REPLAY_BYTES_MAX || (this.#replay?.length ?? 0) >= REPLAY_PIECES_MAX;
    if ((tooMuch && !unsent) || !this.#idempotent) {
      this.#replay = null;
      this.#replayable = false;
    } else (this.#replay ??= []).push({ bytes, from, to });
  }

  onRequestEnd(trailers: HeaderBlock | null): void {
    this.#requestEnded = true;
    this.#requestTrailers = trailers;
    this.#client?.sendEnd(trailers);
  }

  onDownstreamDrain(): void {
    if (!this.#waiting) this.#client?.resume(); // nothing of the body goes before the head
  }

  onDownstreamGone(_cause: Fault): void {
    if (this.#over) return;
    this.#over = true;
    const client = this.#client;
    this.#client = null;
    if (client !== null) {
      if (this.#x.responseAt === 0) this.#attempted(0);
      client.abandon();
    }
  }

  onDrain(): void {
    this.#x.downstream.resumeBody();
  }

  // ——— the answer

  onInformational(head: ResponseHead): void {
    this.#x.downstream.informational(head);
  }

  onResponse(head: ResponseHead): boolean {
    const x = this.#x;
    x.response = head;
    x.responseAt = turnTime();
    x.fault = null; // of an attempt before this one
    this.#attempted(head.status);
    this.#replay = null;
    this.#replayable = false;
    if (head.status === 101) {
      this.#switchProtocols(head);
      return true;
    }
    if (x.route!.retained) this.#client!.leaveHead();
    if (!this.#env.respond(x, this)) {
      this.#waiting = true;
      return false;
    }
    x.downstream.head(head);
    return true;
  }

  /** The filters of the response phase had to wait, and are through. */
  responsePhaseOver(proceed: boolean): void {
    if (this.#over) return;
    if (!proceed) return this.#replaced();
    this.#waiting = false;
    this.#x.downstream.head(this.#x.response);
    this.#client?.resume();
  }

  /** A filter gave another answer: the server's is of no use. */
  #replaced(): void {
    this.#over = true;
    const client = this.#client;
    this.#client = null;
    client?.abandon();
  }

  onData(bytes: Buffer, from: number, to: number): void {
    const { downstream } = this.#x;
    downstream.data(bytes, from, to);
    if (downstream.full) this.#client?.pause();
  }

  onEnd(trailers: HeaderBlock | null): void {
    this.#responseEnded = true;
    if (this.#requestEnded) {
      this.#over = true;
      this.#client = null;
    }
    this.#x.downstream.end(trailers);
  }

  onFault(cause: Fault): void {
    this.#client = null;
    if (this.#over) return;
    const { downstream } = this.#x;
    if (this.#responseEnded) {
      // The whole answer is there, and the server takes no more of the request: nobody wants the rest of it.
      this.#over = true;
      return downstream.discardBody();
    }
    if (this.#x.responseAt === 0) this.#attempted(0);
    this.#failed(cause);
  }

  #attempted(status: number): void {
    this.#env.attempted(this.#x, this.#upstream, this.#server!, status, turnTime() - this.#attemptAt);
  }

  /** Tries again where that can do no harm; otherwise the client is told. */
  #failed(cause: Fault): void {
    const { retry } = specOf(cause);
    const repeatable = retry === "always" || (retry === "idempotent" && this.#idempotent);
    if (repeatable && this.#replayable && this.#attempts < ATTEMPTS_MAX + 1 && !this.#x.downstream.answered) {
      this.#x.fault = cause;
      if (cause.code === "upstream.reset_on_reuse") {
        // The server itself may be well: only this connection was too old. The same server gets a new one.
        this.#env.retried(this.#x, this.#upstream);
        this.freshOnly = true;
        this.#attempts += 1;
        return this.#server!.request(this);
      }
      (this.#tried ??= []).push(this.#server!);
      if (this.#tried.length < this.#upstream.servers.length) {
        this.#env.retried(this.#x, this.#upstream);
        return this.start();
      }
    }
    this.#giveUp(cause);
  }

  #giveUp(cause: Fault): void {
    this.#over = true;
    this.#x.fault = cause;
    this.#x.downstream.fail(cause);
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
    const ours = x.downstream.upgrade(head);
    this.#over = true;
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
