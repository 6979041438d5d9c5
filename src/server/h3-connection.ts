// An HTTP/3 client: its QUIC connection on one side, its streams on the other. Each request is an exchange, the same as
// over HTTP/2.
import { turnTime } from "../core/clock.ts";
import { Timer } from "../core/timers.ts";
import { Glitches, type GlitchKind } from "../http/h2/glitches.ts";
import { ERROR } from "../http/h3/errors.ts";
import { readRequest } from "../http/h3/section.ts";
import { RequestHead } from "../http/message.ts";
import type { ClientHttp2Metrics, ResetCause } from "../observe/metrics.ts";
import { ClientInfo } from "../pipeline/client-info.ts";
import type { QuicConnection, QuicConnectionHandler } from "../transport/quic-connection.ts";
import type { QuicFields, QuicStream } from "../transport/quic-stream.ts";
import { type ExchangeOwner, H2Exchange } from "./h2-exchange.ts";
import { H3Stream, type H3StreamOwner } from "./h3-stream.ts";
import type { ListenerContext } from "./listener.ts";

/** What a listener has beside for its HTTP/3 connections. */
export interface H3ListenerContext extends ListenerContext {
  readonly http3: ClientHttp2Metrics;
}

/** How long a client may take to close a connection that it has been told to. */
const LINGER_MS = 3000;
/** The runtime does not tell when the last of an answer has left: it is looked after. */
const STOP_LOOK_MS = 100;
/** Heads kept for the next request that needs one. */
const HEADS_KEPT = 256;
const NEVER = Number.POSITIVE_INFINITY;

const heads: RequestHead[] = [];

export class H3Connection implements QuicConnectionHandler, H3StreamOwner, ExchangeOwner {
  readonly connection: QuicConnection;
  readonly listener: H3ListenerContext;
  readonly client: ClientInfo;
  /** They are there already. */
  readonly altSvc = null;
  readonly #timer: Timer;
  readonly #glitches = new Glitches();
  /** Streams whose head has not come yet. */
  readonly #waiting = new Set<H3Stream>();
  /** Those whose exchange or stream goes on. */
  readonly #exchanges = new Map<H3Stream, H2Exchange>();
  /** Those whose client is to be told to stop sending once it has got all of its answer. */
  readonly #stopping = new Set<H2Exchange>();
  #draining = false;
  /** Too much: it is about to be closed. */
  #isAbusive = false;
  #closed = false;
  /** When the connection itself is looked at, on the wheel's clock. */
  #lookAt = NEVER;

  constructor(connection: QuicConnection, listener: H3ListenerContext) {
    this.connection = connection;
    this.listener = listener;
    this.client = new ClientInfo(connection.remoteAddress, connection, "https");
    this.#timer = new Timer(() => this.#onTimer());
    this.#lookIn(listener.options.timeouts.header);
  }

  get dropUnderscores(): boolean {
    return !this.listener.options.underscoreHeaders;
  }

  /** Takes no further requests; the connection is closed once those under way are answered. */
  drain(): void {
    this.#retire("drain");
  }

  #retire(why: "drain" | "idle"): void {
    if (this.#draining || this.#closed) return;
    this.#draining = true;
    this.listener.http3.goaways(why).add(1);
    this.connection.close();
    if (this.#open === 0) this.#lookIn(LINGER_MS);
  }

  get #open(): number {
    return this.#exchanges.size + this.#waiting.size;
  }

  // ——— QuicConnectionHandler

  onStream(quic: QuicStream): void {
    const { wheel, options } = this.listener;
    const stream = new H3Stream(quic, this, wheel.now + options.timeouts.header);
    // The runtime frees a stream once the client has given it up; what was done for it may take longer to stop.
    if (this.#open >= options.limits.streams) {
      quic.reset(ERROR.requestRejected);
      return this.#count("refused");
    }
    this.#waiting.add(stream);
    this.#lookAt = NEVER;
    this.deadlineAt(stream.headBy);
  }

  onClose(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const exchange of [...this.#exchanges.values()]) exchange.streamGone();
    this.listener.http3.streams.add(-this.#exchanges.size);
    this.#exchanges.clear();
    this.#waiting.clear();
    this.#stopping.clear();
    this.listener.wheel.drop(this.#timer);
    this.listener.closed(this.connection);
  }

  // ——— H3StreamOwner

  onHead(stream: H3Stream, fields: QuicFields, ended: boolean): void {
    this.#waiting.delete(stream);
    const head = heads.pop() ?? new RequestHead();
    const result = readRequest(fields, head, this.listener.headLimits, this.dropUnderscores, true, ended);
    if (result.malformed !== "") {
      heads.push(head);
      return stream.malformed();
    }
    const exchange = new H2Exchange(this, stream, head);
    this.#exchanges.set(stream, exchange);
    this.listener.http3.streams.add(1);
    if (result.fault !== null) exchange.refuse(result.fault);
    else exchange.begin();
  }

  onMalformed(): void {
    this.listener.http3.resets("error").add(1);
    this.#count("error");
  }

  onAnswer(): void {
    this.#glitches.answers += 1;
  }

  onStreamGone(stream: H3Stream): void {
    if (this.#waiting.delete(stream)) this.countReset("client"); // before it had said what it wants
    const exchange = this.#exchanges.get(stream);
    if (exchange === undefined) return this.#restIfIdle();
    this.#stopping.delete(exchange);
    exchange.streamGone();
    this.#dropIfGone(exchange);
  }

  /** One more of what attacks consist of. */
  #count(kind: GlitchKind): void {
    if (this.#closed || this.#isAbusive || !this.#glitches.count(kind, turnTime())) return;
    this.#isAbusive = true;
    this.listener.http3.glitches(kind).add(1);
    this.listener.http3.goaways("glitches").add(1);
    // Behind the call that has led here: it goes on with a stream of this connection.
    queueMicrotask(() => this.connection.destroy(ERROR.excessiveLoad));
  }

  // ——— ExchangeOwner

  exchangeOver(exchange: H2Exchange, head: RequestHead, reusable: boolean): void {
    if (reusable && heads.length < HEADS_KEPT) heads.push(head);
    this.#dropIfGone(exchange);
  }

  #dropIfGone(exchange: H2Exchange): void {
    if (!exchange.gone || !this.#exchanges.delete(exchange.stream as H3Stream)) return;
    this.listener.http3.streams.add(-1);
    this.#restIfIdle();
  }

  #restIfIdle(): void {
    if (this.#closed || this.#open > 0) return;
    this.#lookIn(this.#draining ? LINGER_MS : this.listener.options.timeouts.idle);
  }

  stopWhenSent(exchange: H2Exchange): void {
    if (exchange.stream.queued === 0) return exchange.stop();
    this.#stopping.add(exchange);
    this.deadlineAt(this.listener.wheel.now + STOP_LOOK_MS);
  }

  countReset(cause: ResetCause): void {
    if (this.#closed) return;
    this.listener.http3.resets(cause).add(1);
    if (cause === "client") this.#count("reset");
  }

  deadlineAt(deadline: number): void {
    const { wheel } = this.listener;
    if (deadline < this.#timer.deadline) wheel.arm(this.#timer, deadline - wheel.now);
  }

  // ——— time-outs

  #lookIn(ms: number): void {
    this.#lookAt = this.listener.wheel.now + ms;
    this.deadlineAt(this.#lookAt);
  }

  #onTimer(): void {
    const { now } = this.listener.wheel;
    for (const stream of [...this.#waiting]) {
      if (stream.headBy > now) continue;
      this.#waiting.delete(stream);
      stream.malformed();
    }
    for (const exchange of [...this.#exchanges.values()]) if (exchange.deadline <= now) exchange.look();
    for (const exchange of [...this.#stopping]) {
      if (exchange.stream.queued > 0) continue;
      this.#stopping.delete(exchange);
      exchange.stop();
    }
    if (this.#lookAt <= now) this.#look();
    if (this.#closed) return;
    let next = this.#stopping.size > 0 ? now + STOP_LOOK_MS : this.#lookAt;
    for (const stream of this.#waiting) next = Math.min(next, stream.headBy);
    for (const exchange of this.#exchanges.values()) next = Math.min(next, exchange.deadline);
    if (next < NEVER) this.deadlineAt(next);
  }

  /** Nothing is under way, and has not been for long. */
  #look(): void {
    this.#lookAt = NEVER;
    if (this.#open > 0) return;
    if (this.#draining) this.connection.destroy(ERROR.none);
    else this.#retire("idle");
  }
}
