// One connection to an HTTP/2 server, which carries many requests at a time.
import { turnTime } from "../core/clock.ts";
import type { Fault } from "../core/faults.ts";
import { spent } from "../core/spent.ts";
import { Timer, type TimerWheel } from "../core/timers.ts";
import { ERROR } from "../http/h2/frames.ts";
import { CLIENT_DEFAULTS, H2Session, type SessionOptions, type SessionOwner } from "../http/h2/session.ts";
import type { H2Stream, StreamHandler } from "../http/h2/stream.ts";
import { ResponseHead } from "../http/message.ts";
import type { Http2Metrics } from "../observe/metrics.ts";
import type { Connection, ConnectionHandler } from "../transport/connection.ts";
import { OutputBatch } from "../transport/output-batch.ts";
import { type CallHome, H2Call } from "./h2-call.ts";
import { H2Tunnel } from "./h2-tunnel.ts";

/** The pool's side. */
export interface H2Owner {
  readonly http2: Http2Metrics;
  /** A request is through: its place at the server is free. */
  callOver(client: H2Client): void;
  /** The connection has more room than before. */
  roomier(client: H2Client): void;
  /** It takes no new requests; what is in flight goes on. May be told again. */
  leaves(client: H2Client): void;
  /** The connection is gone. */
  gone(client: H2Client): void;
  /** The server wants to be spoken to in HTTP/1.1. Whether that can be done. */
  refusesHttp2(): boolean;
}

export interface H2ClientOptions {
  /** How long it may be unused, in milliseconds. */
  readonly idleMs: number;
  /** Requests at a time, and how many of them before the server has said what it allows. */
  readonly streamsMax: number;
  readonly streamsAtFirst: number;
  /** Requests altogether. */
  readonly requestsMax: number;
}

/**
 * While an answer is awaited and nothing at all comes for so long, the server is asked for a sign of life, the second
 * time later. From then on less often than every five minutes, or servers of gRPC would end a quiet connection for it.
 */
const SILENCES_MS = [10_000, 30_000, 330_000] as const;
/** If none comes within this time, the connection is dead: all its requests would run into their time-outs. */
const PONG_MS = 5000;
/** A server that turned requests away below its own limit is tried with one more for so many answers. */
const ANSWERS_FOR_ONE_MORE = 10;
/** A PING's acknowledgement alone, as bytes: no sign of anything but life. */
const PONG_BYTES = 17;
/** An unused connection keeps so many objects for its next requests. */
const IDLE_CALLS_MAX = 8;

/** What a server may send ahead for one request: 50 Mbit/s at 80 ms. */
const STREAM_BYTES_MAX = 524_288;
/** …and for all of a connection, where there are more of them than is usual. */
const CONNECTION_BYTES_MAX = 67_108_864;

/** A client that does not take its answer holds up no other: the connection's window is enough for all of its streams. */
const sessionOptions = (streamsMax: number): SessionOptions => ({
  ...CLIENT_DEFAULTS,
  streamWindowMax: STREAM_BYTES_MAX,
  connectionWindowMax: Math.min(CONNECTION_BYTES_MAX, streamsMax * STREAM_BYTES_MAX),
});

/** Heads of answers, for all connections of the thread: a burst needs no more, and the rest is for the collector. */
const HEADS_MAX = 256;
const heads: ResponseHead[] = [];
const NO_BYTES: Buffer = Buffer.alloc(0);

export class H2Client implements ConnectionHandler, SessionOwner, CallHome {
  readonly connection: Connection;
  readonly session: H2Session;
  readonly scheme: "http" | "https";
  requests = 0;
  heard = 0;
  end = "";
  readonly #owner: H2Owner;
  readonly #wheel: TimerWheel;
  readonly #options: H2ClientOptions;
  readonly #out: OutputBatch;
  readonly #timer: Timer;
  readonly #active: H2Call[] = [];
  readonly #free: H2Call[] = [];
  readonly #tunnels = new Set<H2Tunnel>();
  readonly #awaiting: H2Call[] = [];
  /** Streams at a time: as the server says, as we do, and as its refusals have shown. */
  #limit: number;
  #announced: number;
  #answersSinceRefusal = 0;
  /** The server has turned the only request away that there was. */
  #refusedAlone = false;
  /** On the wheel's clock: the last byte of the server, and since when one is awaited, or the connection unused. */
  #heardAt: number;
  #since: number;
  #pingedAt = 0; // 0 while no sign of life is awaited
  #silence: 0 | 1 | 2 = 0;
  #leaving = false;
  #over = false;

  constructor(connection: Connection, owner: H2Owner, wheel: TimerWheel, options: H2ClientOptions) {
    this.connection = connection;
    this.scheme = connection.tls === null ? "http" : "https";
    this.#owner = owner;
    this.#wheel = wheel;
    this.#options = options;
    this.#announced = Math.min(options.streamsMax, options.streamsAtFirst);
    this.#limit = this.#announced;
    this.#heardAt = wheel.now;
    this.#since = wheel.now;
    this.#out = new OutputBatch(connection);
    this.session = new H2Session("client", sessionOptions(options.streamsMax), this.#out, this);
    this.#timer = new Timer(() => this.#onTimer());
    connection.handler = this;
    owner.http2.connections.add(1);
    this.session.start();
    wheel.arm(this.#timer, options.idleMs); // whoever asked for it may have left by now
  }

  /** It takes another request. */
  get hasRoom(): boolean {
    return this.#active.length + this.#tunnels.size < this.#limit && this.isOpen;
  }
  /** It takes requests, now or when others are through. Not while nothing is known of the server's being there. */
  get isOpen(): boolean {
    const { session } = this;
    return !this.#leaving && !session.draining && !session.broken && this.#pingedAt === 0 && this.#hasRequestsLeft;
  }
  get #hasRequestsLeft(): boolean {
    return this.requests < this.#options.requestsMax;
  }
  /** Requests and tunnels that it carries. */
  get load(): number {
    return this.#active.length + this.#tunnels.size;
  }
  /** Requests at a time, as far as is known. */
  get limit(): number {
    return this.#limit;
  }

  /** For a request that is sent at once; only where it `hasRoom`. */
  take(): H2Call {
    const call = this.#free.pop() ?? new H2Call(this, this.#wheel);
    const { length } = this.#active;
    if (length === 0) this.#awake();
    this.requests += 1;
    call.place = length;
    this.#active.push(call);
    this.#owner.http2.streams.add(1);
    return call;
  }

  #awake(): void {
    this.#since = this.#wheel.now;
    this.#silence = 0;
    this.#wheel.arm(this.#timer, SILENCES_MS[0]);
  }

  #remove(call: H2Call): void {
    const last = this.#active.pop()!;
    if (last !== call) {
      this.#active[call.place] = last;
      last.place = call.place;
    }
    call.place = -1;
    if (!this.#over) this.#free.push(call);
    else call.dispose();
    this.#owner.http2.streams.add(-1);
  }

  over(call: H2Call, answered: boolean): void {
    this.#remove(call);
    if (answered && this.#limit < this.#announced) this.#tryOneMore();
    this.#rest();
    this.#owner.callOver(this);
  }

  becomes(call: H2Call, tunnel: H2Tunnel): void {
    this.#tunnels.add(tunnel);
    this.#remove(call);
  }

  /** With nothing left to do: waits for more, or ends. */
  #rest(): void {
    if (this.load > 0 || this.#over) return;
    if (!this.isOpen) return this.close();
    this.#since = this.#wheel.now;
    this.#wheel.arm(this.#timer, this.#options.idleMs);
    while (this.#free.length > IDLE_CALLS_MAX) this.#free.pop()!.dispose();
  }

  // ——— how many at a time

  onPeerSettings(): void {
    const { streamsMax } = this.#options;
    const before = this.#announced;
    this.#announced = Math.min(streamsMax, this.session.peer.maxConcurrentStreams);
    if (this.#limit === before || this.#limit > this.#announced) this.#limit = this.#announced;
    for (const call of this.#awaiting.splice(0)) call.settingsCame();
    this.#owner.roomier(this);
  }

  awaitSettings(call: H2Call): void {
    this.#awaiting.push(call);
  }

  /** What it has now, without the one that was turned away, is all that it takes for a while. */
  refused(http11: boolean): boolean {
    this.#owner.http2.refused.add(1);
    if (http11) {
      this.retire();
      return this.#owner.refusesHttp2();
    }
    if (this.session.draining) return true;
    this.#answersSinceRefusal = 0;
    if (this.load > 1) this.#limit = Math.min(this.#limit, this.load - 1);
    else if (this.#refusedAlone)
      this.retire(); // another connection may do better
    else {
      this.#refusedAlone = true;
      this.#limit = 1;
    }
    return true;
  }

  #tryOneMore(): void {
    this.#refusedAlone = false;
    this.#answersSinceRefusal += 1;
    if (this.#answersSinceRefusal < ANSWERS_FOR_ONE_MORE) return;
    this.#answersSinceRefusal = 0;
    this.#limit += 1;
  }

  // ——— the session's owner

  takeHead(): ResponseHead {
    return heads.pop() ?? new ResponseHead();
  }
  giveHead(head: ResponseHead): void {
    if (heads.length >= HEADS_MAX) return;
    head.headers.bytes = NO_BYTES; // large ones would stay with it
    heads.push(head);
  }

  onStreamGone({ handler, remoteEnded }: H2Stream): void {
    if (handler instanceof H2Call) handler.gone();
    else if (handler instanceof H2Tunnel) this.#tunnelGone(handler, remoteEnded);
  }

  #tunnelGone(tunnel: H2Tunnel, isWhole: boolean): void {
    this.#tunnels.delete(tunnel);
    if (isWhole) tunnel.gone(); // else it hears of a reset
    this.#rest();
    this.#owner.roomier(this);
  }

  onGoaway(): void {
    this.#owner.http2.goaways.add(1);
    this.retire();
  }

  onBroken(fault: Fault): void {
    this.#gone(`the connection broke: ${fault.detail}`, false);
  }

  /** Servers' oddities are bounded by the session; nobody counts them. */
  onGlitch(): void {}

  /** Servers ask for nothing. */
  onRequest(): StreamHandler {
    throw new Error("a request in the client's role");
  }
  onRefused(): StreamHandler {
    throw new Error("a request in the client's role");
  }

  // ——— the connection's handler

  onData(chunk: Buffer): void {
    this.heard += 1;
    this.#heardAt = this.#wheel.now;
    if (this.#pingedAt !== 0) this.#isThere(chunk.length === PONG_BYTES);
    if (!this.session.receive(chunk, turnTime())) spent(chunk);
  }

  #isThere(saidNothing: boolean): void {
    this.#pingedAt = 0;
    this.#silence = !saidNothing ? 0 : this.#silence === 0 ? 1 : 2;
    this.#wheel.arm(this.#timer, SILENCES_MS[this.#silence]);
    this.#owner.roomier(this);
  }

  onDrain(): void {
    this.session.writable();
  }
  onEnd(): void {
    this.#gone("the connection was closed", true);
  }
  onClose(): void {
    this.#gone("the connection was closed", true);
  }

  #onTimer(): void {
    const { now } = this.#wheel;
    if (this.load === 0) {
      const left = this.#since + this.#options.idleMs - now;
      return left <= 0 ? this.close() : this.#wheel.arm(this.#timer, left);
    }
    const left = Math.max(this.#heardAt, this.#since) + SILENCES_MS[this.#silence] - now;
    if (left > 0 && this.#pingedAt === 0) return this.#wheel.arm(this.#timer, left);
    if (this.#pingedAt === 0) {
      this.#pingedAt = now;
      this.session.ping();
    } else if (this.connection.queued === 0) return this.#gone("no sign of life from the server", true);
    // While bytes of ours have not left, neither has the question: those who wait have their own time-outs.
    this.#wheel.arm(this.#timer, PONG_MS);
  }

  // ——— its end

  /** The server is down: requests that it has not begun to answer, and that another may answer, are taken from it. */
  forsake(): void {
    for (const call of [...this.#active]) call.forsake();
  }

  /** Takes no more requests, and closes when the last one is through. */
  retire(): void {
    if (!this.#leaving) {
      this.#leaving = true;
      this.#owner.leaves(this);
    }
    if (this.load === 0) this.close();
  }

  /** Closes an unused connection. */
  close(): void {
    if (this.#over) return;
    if (!this.session.broken) this.session.goaway(ERROR.none);
    this.#gone("closed", false);
  }

  /** `abruptly`: there is nobody left to take what we have to say. */
  #gone(reason: string, abruptly: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.end = reason;
    this.#leaving = true;
    this.#wheel.drop(this.#timer);
    this.#owner.leaves(this); // first: requests that are told below must not come back here
    this.#out.flush();
    if (abruptly || this.connection.queued > 0) this.connection.destroy();
    else this.connection.close();
    this.session.lost();
    for (const call of this.#free.splice(0)) call.dispose();
    for (const call of this.#awaiting.splice(0)) call.unsent();
    this.#owner.http2.connections.add(-1);
    this.#owner.gone(this);
  }
}
