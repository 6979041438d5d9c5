// An HTTP/2 client: its connection on one side, the session's streams on the other. Each request is an H2Exchange.
import { turnTime } from "../core/clock.ts";
import type { Fault } from "../core/faults.ts";
import { spent } from "../core/spent.ts";
import { Timer } from "../core/timers.ts";
import { ERROR } from "../http/h2/frames.ts";
import type { GlitchKind } from "../http/h2/glitches.ts";
import { H2Session, SERVER_DEFAULTS, type SessionOptions, type SessionOwner } from "../http/h2/session.ts";
import type { H2Stream, StreamHandler } from "../http/h2/stream.ts";
import { RequestHead } from "../http/message.ts";
import type { ClientHttp2Metrics, ResetCause } from "../observe/metrics.ts";
import { ClientInfo } from "../pipeline/client-info.ts";
import { type Connection, type ConnectionHandler, HIGH_WATER } from "../transport/connection.ts";
import { beginTurn, endTurn } from "../transport/outbox.ts";
import { OutputBatch } from "../transport/output-batch.ts";
import { ExchangeList } from "./exchange-list.ts";
import { type ExchangeOwner, H2Exchange } from "./h2-exchange.ts";
import type { AltSvc, ListenerContext } from "./listener.ts";
import type { Offenders } from "./offenders.ts";

/** What a listener has beside for its HTTP/2 connections. */
export interface H2ListenerContext extends ListenerContext {
  readonly http2: ClientHttp2Metrics;
  readonly offenders: Offenders;
}

// Where a connection stands.
const OPEN = 0;
const LINGER = 1; // everything has been said; what still arrives is dropped, so that no reset overtakes it
const CLOSED = 2;

/** How long a client may go on sending after that, and how long it may take to answer the PING of a shutdown. */
const LINGER_MS = 3000;
/** An attacker that goes on sending after its GOAWAY is cut off: even what is dropped has to be read before. */
const DROPPED_OF_ABUSE = 524_288;
/** A client that closed its sending side gets this long to be answered before it counts as gone. */
const HALF_CLOSED_MS = 1000;
/**
 * Content waits in the streams while the connection is full, but heads, resets and acknowledgements do not. A client
 * that makes us write those and does not read them is not read any further above this.
 */
const QUEUED_MAX = 4 * HIGH_WATER;
/** Heads kept for the next request that needs one. */
const HEADS_KEPT = 256;
/**
 * Requests of one connection that begin in one turn. A hundred that each open a connection to a server take 10 ms, for
 * which everybody else would have to wait.
 */
const BEGIN_AT_ONCE = 32;
const NEVER = Number.POSITIVE_INFINITY;

const NO_BYTES: Buffer = Buffer.alloc(0);

const heads: RequestHead[] = [];

export class H2Connection implements ConnectionHandler, SessionOwner, ExchangeOwner {
  readonly connection: Connection;
  readonly listener: H2ListenerContext;
  readonly client: ClientInfo;
  readonly #session: H2Session;
  readonly #output: OutputBatch;
  readonly #timer: Timer;
  /** Those whose exchange or stream goes on. */
  readonly #exchanges = new ExchangeList();
  /**
   * Requests of the bytes that are being read. They begin behind these: one that its client takes back at once (rapid
   * reset, CVE-2023-44487) costs its head and nothing more.
   */
  readonly #fresh: H2Exchange[] = [];
  /** Those whose client is to be told to stop sending once it has got all of its answer. */
  readonly #stopping = new Set<H2Exchange>();
  /** There are more than begin in one turn. */
  #isBeginning = false;
  #state = OPEN;
  #inSession = false; // a call of ours into the session has not returned yet
  #dropsLeft = NEVER; // bytes that are still read and dropped at the end
  #isHeld = false; // not read, as too much waits to be sent
  #peerEnded = false;
  #isRetiring = false; // the client has been told to go elsewhere
  /** When the connection itself is looked at, on the wheel's clock. */
  #lookAt = NEVER;
  /** When what has begun to come of a head must be complete. */
  #headBy = NEVER;
  /** When our SETTINGS must have been acknowledged: by then a client has also had the time for its first request. */
  #settingsBy: number;
  /** Bytes that had left at the last look; -1 to let the next look pass. */
  #sentAtLook = -1;

  constructor(connection: Connection, listener: H2ListenerContext) {
    this.connection = connection;
    this.listener = listener;
    this.client = new ClientInfo(connection.remoteAddress, connection, connection.tls === null ? "http" : "https");
    this.#timer = new Timer(() => this.#onTimer());
    this.#output = new OutputBatch(connection);
    this.#session = new H2Session("server", sessionOptions(listener, this.client.address), this.#output, this);
    this.#lookIn(listener.options.timeouts.header);
    this.#settingsBy = this.#lookAt;
    this.#session.start();
    if (listener.draining) this.drain(); // the handshake was under way
  }

  /** Takes no further requests; the connection is closed once those under way are answered. */
  drain(): void {
    this.#retire("drain");
  }

  #retire(why: string, code: number = ERROR.none): void {
    if (this.#state !== OPEN || this.#session.broken || (code === ERROR.none && this.#isRetiring)) return;
    this.#isRetiring = true;
    this.listener.http2.goaways(why).add(1);
    this.#session.goaway(code);
    this.#sentAtLook = -1;
    if (this.#exchanges.size === 0) this.#lookIn(LINGER_MS);
    this.#closeIfDrained();
  }

  // ——— ConnectionHandler

  onData(chunk: Buffer): void {
    if (this.#state !== OPEN) {
      spent(chunk);
      this.#dropsLeft -= chunk.length;
      if (this.#dropsLeft < 0) this.connection.destroy();
      return;
    }
    this.#inSession = true;
    if (!this.#session.receive(chunk, turnTime())) spent(chunk);
    if (this.#fresh.length > 0) this.#beginFresh();
    this.#inSession = false;
    this.#settle();
    if (this.#session.isInside !== this.#headBy < NEVER) this.#awaitHead();
    if (this.#state !== OPEN || this.#isHeld || this.connection.queued <= QUEUED_MAX) return;
    this.#isHeld = true;
    this.connection.pause();
    this.#sentAtLook = this.connection.sent;
    this.#lookIn(this.listener.options.timeouts.body);
  }

  #beginFresh(): void {
    const fresh = this.#fresh;
    if (fresh.length <= BEGIN_AT_ONCE) {
      for (let i = 0; i < fresh.length; i += 1) fresh[i]!.begin();
      fresh.length = 0;
      return;
    }
    for (const exchange of fresh.splice(0, BEGIN_AT_ONCE)) exchange.begin();
    if (this.#isBeginning) return;
    this.#isBeginning = true;
    setImmediate(() => this.#beginMore());
  }

  #beginMore(): void {
    beginTurn();
    this.#isBeginning = false;
    this.#inSession = true;
    this.#beginFresh();
    this.#inSession = false;
    this.#settle();
    endTurn();
  }

  #awaitHead(): void {
    this.#headBy = NEVER;
    if (!this.#session.isInside) return;
    this.#headBy = this.listener.wheel.now + this.listener.options.timeouts.header;
    this.deadlineAt(this.#headBy);
  }

  onDrain(): void {
    if (this.#state !== OPEN) return;
    this.#inSession = true;
    this.#session.writable();
    this.#inSession = false;
    this.#settle();
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.connection.resume();
    if (this.#exchanges.size === 0) this.#rest();
  }

  onEnd(): void {
    this.#peerEnded = true;
    if (this.#state !== OPEN || this.#exchanges.size === 0) return this.#close();
    for (const exchange of [...this.#exchanges]) exchange.clientEnded();
    if (this.#exchanges.size > 0 && !this.listener.options.halfClose) this.#lookIn(HALF_CLOSED_MS);
  }

  onClose(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#session.lost();
    for (const exchange of [...this.#exchanges]) exchange.streamGone();
    this.listener.http2.streams.add(-this.#exchanges.size);
    this.#exchanges.clear();
    this.#stopping.clear();
    this.listener.wheel.drop(this.#timer);
    this.listener.closed(this.connection);
  }

  /** After every call into the session: what could not be done inside of it. */
  #settle(): void {
    if (this.#stopping.size > 0) {
      for (const exchange of this.#stopping) {
        if (exchange.stream.queued > 0) continue;
        this.#stopping.delete(exchange);
        exchange.stop();
      }
    }
    this.#closeIfDrained();
  }

  // ——— SessionOwner

  takeHead(): RequestHead {
    return heads.pop() ?? new RequestHead();
  }

  onRequest(stream: H2Stream, head: RequestHead): StreamHandler {
    const exchange = this.#add(stream, head);
    this.#fresh.push(exchange);
    if (!stream.remoteEnded) stream.pause(); // its content waits until it begins
    return exchange;
  }

  onRefused(cause: Fault, head: RequestHead, stream: H2Stream): StreamHandler {
    const exchange = this.#add(stream, head);
    exchange.refuse(cause);
    return exchange;
  }

  #add(stream: H2Stream, head: RequestHead): H2Exchange {
    const exchange = new H2Exchange(this, stream, head);
    this.#exchanges.add(exchange);
    this.listener.http2.streams.add(1);
    if (!this.#isHeld) this.#lookAt = NEVER;
    return exchange;
  }

  onStreamGone(stream: H2Stream): void {
    const { handler } = stream;
    if (!(handler instanceof H2Exchange)) return;
    this.#stopping.delete(handler);
    handler.streamGone();
    this.#dropIfGone(handler);
  }

  onGlitch(kind: GlitchKind): void {
    this.listener.http2.glitches(kind).add(1);
  }
  onPeerSettings(): void {}
  onGoaway(): void {}

  onBroken(cause: Fault): void {
    if (cause.code === "h2.abuse") {
      this.#dropsLeft = DROPPED_OF_ABUSE;
      this.listener.offenders.note(this.client.address, this.listener.wheel.now);
    }
    this.listener.http2.goaways(cause.code).add(1);
    this.#linger();
  }

  // ——— ExchangeOwner

  exchangeOver(exchange: H2Exchange, head: RequestHead, reusable: boolean): void {
    if (reusable && heads.length < HEADS_KEPT) {
      head.headers.bytes = NO_BYTES; // large ones would stay with it
      heads.push(head);
    }
    this.#dropIfGone(exchange);
  }

  #dropIfGone(exchange: H2Exchange): void {
    if (!exchange.gone || !this.#exchanges.delete(exchange)) return;
    this.listener.http2.streams.add(-1);
    if (this.#exchanges.size > 0) return;
    if (!this.#isHeld) this.#rest();
    if (this.#peerEnded) this.#close();
    else this.#closeIfDrained();
  }

  /** Nothing is asked for at present. */
  #rest(): void {
    this.#lookIn(this.#session.draining ? LINGER_MS : this.listener.options.timeouts.idle);
  }

  stopWhenSent(exchange: H2Exchange): void {
    if (exchange.stream.queued > 0) this.#stopping.add(exchange);
    else exchange.stop();
  }

  get altSvc(): AltSvc | null {
    return this.listener.altSvc;
  }

  countReset(cause: ResetCause): void {
    if (this.#state !== CLOSED) this.listener.http2.resets(cause).add(1);
  }

  deadlineAt(deadline: number): void {
    const { wheel } = this.listener;
    if (deadline < this.#timer.deadline) wheel.arm(this.#timer, deadline - wheel.now);
  }

  // ——— the end

  /** The client knows which of its requests were the last, and all of them are through. */
  #closeIfDrained(): void {
    if (this.#inSession || this.#state !== OPEN) return;
    const session = this.#session;
    if (session.draining && !session.awaitingPong && session.openStreams === 0) this.#linger();
  }

  /** Closes our side and drops what still comes until the client has closed its own. */
  #linger(): void {
    if (this.#state !== OPEN) return;
    this.#state = LINGER;
    if (this.#isHeld) this.connection.resume();
    this.#sentAtLook = -1;
    this.#lookIn(LINGER_MS);
    if (this.#peerEnded) return this.#close();
    this.#output.flush();
    this.connection.end();
  }

  /** What has been written still leaves. */
  #close(): void {
    this.#output.flush();
    this.connection.close();
  }

  // ——— time-outs

  #lookIn(ms: number): void {
    this.#lookAt = this.listener.wheel.now + ms;
    this.deadlineAt(this.#lookAt);
  }

  #onTimer(): void {
    const { wheel } = this.listener;
    this.#inSession = true; // an exchange that is cut off may be the last
    for (const exchange of [...this.#exchanges]) if (exchange.deadline <= wheel.now) exchange.look();
    this.#inSession = false;
    if (this.#headBy <= wheel.now) {
      this.#headBy = NEVER;
      // What was asked for before is still answered. In the midst of a head nothing else can be read.
      this.#retire("request.timeout", ERROR.enhanceYourCalm);
    }
    if (this.#settingsBy <= wheel.now) {
      this.#settingsBy = NEVER;
      const { awaitingSettings, peer } = this.#session;
      // RFC 9113 §6.5.3. Who has not even sent its own has asked for nothing, and is closed below.
      if (awaitingSettings && peer.received && !this.#isRetiring) this.#retire("h2.protocol", ERROR.settingsTimeout);
    }
    if (this.#lookAt <= wheel.now) {
      this.#lookAt = NEVER;
      this.#look();
    }
    this.#settle();
    let next = Math.min(this.#lookAt, this.#headBy, this.#settingsBy);
    for (const exchange of this.#exchanges) next = Math.min(next, exchange.deadline);
    if (next < NEVER && this.#state !== CLOSED) this.deadlineAt(next);
  }

  #look(): void {
    const { connection } = this;
    const { timeouts } = this.listener.options;
    if (this.#peerEnded && this.#state === OPEN) return connection.destroy();
    if (connection.queued > 0 && (this.#isHeld || this.#exchanges.size === 0)) {
      // What waits gets its time, as long as enough of it leaves.
      if (this.#isStuck()) connection.destroy(true);
      else this.#lookIn(timeouts.body);
    } else if (this.#state === LINGER) connection.destroy();
    else if (this.#exchanges.size > 0) return;
    else if (this.#session.draining) this.#linger();
    else if (this.#session.peer.received) this.#retire("idle");
    else this.#close(); // nothing sensible has come of it
  }

  /** Since the last look, a body time-out ago, fewer bytes left than the minimum rate asks for. */
  #isStuck(): boolean {
    const { limits, timeouts } = this.listener.options;
    const { sent } = this.connection;
    const isSlow = this.#sentAtLook >= 0 && sent - this.#sentAtLook < (limits.bodyRate * timeouts.body) / 1000;
    this.#sentAtLook = sent;
    return isSlow;
  }
}

/** Those who share an address with an attacker load pages as over HTTP/1.1, for which browsers open six connections. */
const STREAMS_OF_OFFENDERS = 8;
const PATIENCE_WITH_OFFENDERS = 0.1;

function sessionOptions({ headLimits, options, offenders, wheel }: H2ListenerContext, address: string): SessionOptions {
  const { streams } = options.limits;
  const common = { ...SERVER_DEFAULTS, head: headLimits, dropUnderscores: !options.underscoreHeaders };
  if (!offenders.knows(address, wheel.now)) return { ...common, concurrentStreams: streams };
  return {
    ...common,
    concurrentStreams: Math.min(streams, STREAMS_OF_OFFENDERS),
    patience: PATIENCE_WITH_OFFENDERS,
  };
}
