// One connection to an HTTP/1.1 server: writes a request, reads its answer, and says when it can carry the next one.
import { type Fault, fault } from "../core/faults.ts";
import { Timer, type TimerWheel } from "../core/timers.ts";
import { BodyReader, type BodySink } from "../http/h1/body-reader.ts";
import { ResponseReader } from "../http/h1/response-reader.ts";
import { FAILED, NEED_MORE } from "../http/h1/section-reader.ts";
import { CHUNK_FRAME_BYTES_MAX, lastChunkMax, writeChunkHead, writeCrlf, writeLastChunk } from "../http/h1/writer.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Connection, ConnectionHandler } from "../transport/connection.ts";
import { openOutbox, outboxAt, outboxWrote, write } from "../transport/outbox.ts";
import { requestHeadMax, writeRequestHead } from "./h1-request.ts";
import type { UpstreamCall, UpstreamClient } from "./upstream-client.ts";

/** The pool's side. */
export interface ClientOwner {
  /** The exchange is over and the connection can carry another. */
  released(client: H1Client): void;
  /** The connection is gone, or can never be used again; `inUse` while an exchange had it. */
  lost(client: H1Client, inUse: boolean): void;
}

/** Interim responses before a final one; a server that sends more is broken. */
const INFORMATIONAL_MAX = 16;
/** Of an answer that nobody wants up to this much is read, so that its connection can be used again. */
const DROPPED_BYTES_MAX = 65_536;
/** …if it is there within this time: until then it keeps a place at its server. */
const DROPPED_MS = 1000;
/** A server's `Keep-Alive: timeout` is cut by this, so that we close before it does. */
const KEEP_ALIVE_MARGIN_MS = 1000;

export class H1Client implements UpstreamClient, ConnectionHandler, BodySink {
  readonly connection: Connection;
  /** A connection that closes says nothing of what the server has done. */
  readonly refusable = false;
  readonly #owner: ClientOwner;
  readonly #wheel: TimerWheel;
  readonly #timer: Timer;
  /** Requests sent so far, the current one included. */
  requests = 0;
  /** How long it may wait unused, in ms: the configured time, or less if the server said so. */
  idleMs: number;
  /** When it was released last, on the wheel's clock. */
  idleSince = 0;
  #reader: ResponseReader | null = null;
  readonly #body = new BodyReader();
  #call: UpstreamCall | null = null;
  #head = false; // the final head has been read
  #begun = false; // the reader has begun a message
  #answerBegun = false; // a byte of the answer has arrived
  #requestDone = false;
  #responseDone = false;
  #reusable = false;
  #chunked = false;
  #expects = false; // the client sends the body once it is told to
  #informational = 0;
  #timeoutMs = 0;
  #bodyTimeoutMs = 0;
  #inUse = false; // an exchange has it, and with it a place at the server
  #paused = false;
  #reading = false;
  #holding = false;
  /** Where in the current chunk a piece of body begins that nothing before it is needed with. */
  #pieceAt = 0;
  #held: Buffer | null = null;
  #heldAt = 0;
  #peerEnded = false; // told while bytes were held: the end comes after them
  #method = "GET";
  #lost = false;

  constructor(connection: Connection, owner: ClientOwner, wheel: TimerWheel, idleMs: number) {
    this.connection = connection;
    this.#owner = owner;
    this.#wheel = wheel;
    this.idleMs = idleMs;
    this.#timer = new Timer(() => this.#onTimer());
    connection.handler = this;
    wheel.arm(this.#timer, idleMs); // whoever asked for it may have left by now
  }

  /** It has carried a request before this one: the server may have closed it without our knowing. */
  get reused(): boolean {
    return this.requests > 1;
  }
  /** No byte of an answer to the current request has been seen. */
  get unanswered(): boolean {
    return !this.#answerBegun;
  }
  get full(): boolean {
    return this.connection.full;
  }

  // ——— the request

  /**
   * Sends the head of the exchange's request. `headMs` bounds every wait for the server up to the head of its answer,
   * `bodyMs` those from then on.
   */
  start(call: UpstreamCall, x: Exchange, host: string | null, headMs: number, bodyMs: number): void {
    this.#begin(call, x.request.method, x.request.body === "chunked", headMs, bodyMs);
    this.#expects = x.request.expectContinue;
    const out = openOutbox(this.connection, requestHeadMax(x, host));
    outboxWrote(writeRequestHead(out, outboxAt(), x, host));
  }

  /** The same with a head that is written already; `chunked` says how it delimits the body. The bytes must stay. */
  startRaw(call: UpstreamCall, head: Buffer, method: string, chunked: boolean, headMs: number, bodyMs: number): void {
    this.#begin(call, method, chunked, headMs, bodyMs);
    write(this.connection, head, 0, head.length);
  }

  #begin(call: UpstreamCall, method: string, chunked: boolean, headMs: number, bodyMs: number): void {
    this.#call = call;
    this.#inUse = true;
    this.requests += 1;
    this.#head = false;
    this.#begun = false;
    this.#answerBegun = false;
    this.#requestDone = false;
    this.#responseDone = false;
    this.#reusable = true;
    this.#informational = 0;
    this.#chunked = chunked;
    this.#expects = false;
    this.#method = method;
    this.#timeoutMs = headMs;
    this.#bodyTimeoutMs = bodyMs;
    this.#wheel.arm(this.#timer, headMs);
  }

  sendData(bytes: Buffer, from: number, to: number, given = false): void {
    this.#expects = false; // RFC 9110 §10.1.1: a server that has got some of the body need not ask for it
    this.#wheel.arm(this.#timer, this.#timeoutMs);
    if (this.#chunked) {
      const out = openOutbox(this.connection, CHUNK_FRAME_BYTES_MAX);
      outboxWrote(writeChunkHead(out, outboxAt(), to - from));
      write(this.connection, bytes, from, to, given);
      const tail = openOutbox(this.connection, 2);
      outboxWrote(writeCrlf(tail, outboxAt()));
    } else write(this.connection, bytes, from, to, given);
  }

  sendEnd(trailers: HeaderBlock | null): void {
    this.#requestDone = true;
    if (this.#chunked) {
      const out = openOutbox(this.connection, lastChunkMax(trailers));
      outboxWrote(writeLastChunk(out, outboxAt(), trailers));
    }
    if (this.#responseDone) this.#release();
    else this.#wheel.arm(this.#timer, this.#timeoutMs);
  }

  /** Gives the exchange up: the server must stop working on it. */
  abandon(): void {
    this.#call = null;
    this.#lose(true);
  }

  /** Another call takes the exchange over, before any byte of its answer. */
  handOver(call: UpstreamCall): void {
    this.#call = call;
  }

  /** The answer is of no use, but short enough to be read to its end: that costs less than another connection. */
  drop(): void {
    if (this.#call === null) return;
    const { kind, remaining } = this.#body;
    const long = kind === "close" || (kind === "length" && remaining > DROPPED_BYTES_MAX);
    if (!this.#requestDone || long) return this.abandon();
    this.#call = new Dropped(this);
    this.#wheel.arm(this.#timer, DROPPED_MS);
  }

  /** The server is down. A request that it has not begun to answer goes to another, if it may. */
  forsake(): void {
    if (this.#call?.movable === true && !this.#answerBegun) this.#fail(fault("upstream.down"));
  }

  // ——— the answer

  pause(): void {
    this.#paused = true;
    this.connection.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#reading) return;
    this.#holding = false;
    const chunk = this.#held;
    if (chunk !== null) {
      this.#held = null;
      this.#process(chunk, this.#heldAt);
    } else if (this.#head && this.#body.done && !this.#responseDone && this.#call !== null) {
      return this.#finishResponse(null, this.#peerEnded); // an answer without a body, whose head was held
    }
    if (this.#peerEnded && !this.#holding) return this.onEnd();
    if (!this.#paused && !this.#holding && !this.#lost) {
      this.#wheel.arm(this.#timer, this.#timeoutMs);
      this.connection.resume();
    }
  }

  onData(chunk: Buffer): void {
    if (this.#call === null) return this.#lose(true); // nobody asked: never to be taken for an answer (RFC 9112 §9.2)
    this.#pieceAt = 0;
    if (this.#held !== null) {
      this.#held = Buffer.concat([this.#held.subarray(this.#heldAt), chunk]);
      this.#heldAt = 0;
      return;
    }
    this.#process(chunk, 0);
  }

  #process(chunk: Buffer, start: number): void {
    let at = start;
    this.#answerBegun = true;
    this.#reading = true;
    while (at < chunk.length && this.#call !== null) {
      if (this.#holding) {
        this.#held = chunk;
        this.#heldAt = at;
        this.connection.pause();
        break;
      }
      if (this.#responseDone) {
        this.#reusable = false; // surplus bytes while the request is still being sent: whose answer would they be?
        break;
      }
      at = this.#head ? this.#readBody(chunk, at) : this.#readHead(chunk, at);
      if (at < 0) break;
    }
    this.#reading = false;
  }

  #readHead(chunk: Buffer, at: number): number {
    this.#reader ??= new ResponseReader();
    const reader = this.#reader;
    if (!this.#begun) {
      this.#begun = true;
      reader.begin(chunk, this.#method);
    }
    const end = reader.read(chunk, at);
    if (end === NEED_MORE) return NEED_MORE;
    if (end === FAILED) {
      const { code, detail } = reader.fault!;
      this.#fail(fault(code === "h1.head_too_large" ? "upstream.head_too_large" : "upstream.bad_response", detail));
      return FAILED;
    }
    this.#begun = false;
    const head = reader.head;
    if (at === 0 && head.status >= 200) this.#pieceAt = reader.leaveChunk(chunk, end);
    if (head.status < 200 && head.status !== 101) return this.#interim(head) ? end : FAILED;
    this.#head = true;
    this.#timeoutMs = this.#bodyTimeoutMs;
    if (head.body === "none" && head.status !== 101 && end < chunk.length) {
      this.#fail(fault("upstream.bad_response", "bytes behind an answer without a body"));
      return FAILED;
    }
    this.#body.start(head.body, head.length);
    this.#reusable = head.keepAlive;
    this.#readKeepAlive(head);
    if (head.status === 101 && end < chunk.length) {
      this.#held = chunk; // the first bytes of the other protocol; `detach` takes them along
      this.#heldAt = end;
    }
    this.#wheel.arm(this.#timer, this.#timeoutMs);
    if (!this.#call!.onResponse(head)) this.#holding = true;
    if (this.#call === null || head.status === 101) return FAILED;
    if (this.#body.done && !this.#holding) this.#finishResponse(null, false);
    return end;
  }

  #interim(head: ResponseHead): boolean {
    this.#informational += 1;
    if (this.#informational > INFORMATIONAL_MAX) {
      this.#fail(fault("upstream.bad_response", "too many interim responses"));
      return false;
    }
    this.#call!.onInformational(head);
    return this.#call !== null;
  }

  /** A server that says how long it keeps a connection is believed (de facto `Keep-Alive: timeout=5`). */
  #readKeepAlive(head: ResponseHead): void {
    const value = head.headers.getById(ID["keep-alive"]);
    if (value === null) return;
    const seconds = /timeout=(\d{1,6})/.exec(value)?.[1];
    if (seconds !== undefined)
      this.idleMs = Math.min(this.idleMs, Math.max(0, Number(seconds) * 1000 - KEEP_ALIVE_MARGIN_MS));
  }

  #readBody(chunk: Buffer, at: number): number {
    const end = this.#body.read(chunk, at, this);
    if (this.#call === null) return FAILED;
    if (end === FAILED) {
      this.#fail(fault("upstream.bad_response", this.#body.fault!.detail));
      return FAILED;
    }
    if (this.#body.done) this.#finishResponse(this.#body.trailers, end < chunk.length);
    else if (!this.#paused && !(this.#call instanceof Dropped)) this.#wheel.arm(this.#timer, this.#timeoutMs);
    return end;
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    // A chunk that is nothing but this piece has no other reader.
    this.#call?.onData(bytes, from, to, from === this.#pieceAt && to === bytes.length);
  }

  /** `surplus`: bytes follow that nobody asked for, so the connection must not carry another answer. */
  #finishResponse(trailers: HeaderBlock | null, surplus: boolean): void {
    const call = this.#call!;
    this.#responseDone = true;
    if (surplus || this.#peerEnded) this.#reusable = false;
    // Released first: a request that waits behind this one in its client's connection finds this connection free.
    if (this.#requestDone) this.#release();
    call.onEnd(trailers);
    if (this.#call === null) this.#reader?.release();
  }

  /** Both messages are through. */
  #release(): void {
    this.#call = null;
    this.#paused = false;
    if (!this.#reusable || this.connection.closed) return this.#lose(false);
    this.#inUse = false;
    this.idleSince = this.#wheel.now;
    this.#wheel.arm(this.#timer, this.idleMs);
    this.connection.resume();
    this.#owner.released(this);
  }

  /** A head that somebody may keep is not written over by the next answer. */
  leaveHead(): void {
    this.#reader = null;
  }

  /** Hands the connection over after a 101. */
  detach(): { connection: Connection; early: Buffer | null } {
    const early = this.#held === null ? null : (this.#held.subarray(this.#heldAt) as Buffer);
    this.#held = null;
    this.#call = null;
    this.#lost = true; // the tunnel tells the owner of the end
    this.#wheel.drop(this.#timer);
    return { connection: this.connection, early };
  }

  /** Closes an unused connection. */
  close(): void {
    this.#lose(false);
  }

  #fail(cause: Fault): void {
    const call = this.#call;
    this.#call = null;
    this.#lose(true);
    call?.onFault(cause);
  }

  #lose(abruptly: boolean): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#held = null;
    this.#wheel.drop(this.#timer);
    if (abruptly) this.connection.destroy();
    else this.connection.close();
    const inUse = this.#inUse;
    this.#inUse = false;
    this.#owner.lost(this, inUse);
  }

  onDrain(): void {
    this.#call?.onDrain();
  }

  /** The server has closed its side: the end of a body that lasts until then, otherwise the end of the connection. */
  onEnd(): void {
    if (this.#holding) {
      this.#peerEnded = true;
      return;
    }
    if (this.#call !== null && this.#head && !this.#responseDone && this.#body.kind === "close") {
      this.#reusable = false;
      this.#finishResponse(null, false);
      return;
    }
    this.#cut();
  }

  onClose(): void {
    this.#cut();
  }

  #cut(): void {
    if (this.#call === null) return this.#lose(false);
    if (this.#responseDone) return this.#fail(fault("upstream.reset", "closed while the request was still being sent"));
    if (this.#head) return this.#fail(fault("upstream.incomplete", "closed inside the answer's body"));
    const stale = this.reused && this.unanswered;
    this.#fail(fault(stale ? "upstream.reset_on_reuse" : "upstream.reset", "closed before the answer"));
  }

  /** The server has all of the request that there is, and need not answer before the rest. We are the slow ones. */
  get #awaitsClient(): boolean {
    if (this.#requestDone || this.#head || this.connection.full) return false;
    return !this.#expects || this.#informational > 0;
  }

  #onTimer(): void {
    if (this.#call === null) return this.#lose(false); // idle for long enough
    if (this.#paused || this.#holding || this.#awaitsClient) return this.#wheel.arm(this.#timer, this.#timeoutMs);
    const more = this.#head ? 0 : (this.#call.moreTime?.() ?? 0);
    if (more > 0) {
      this.#timeoutMs = more;
      return this.#wheel.arm(this.#timer, more);
    }
    this.#fail(fault("upstream.response_timeout", this.#head ? "the answer's body stopped" : "no answer in time"));
  }
}

/** Takes an answer that nobody wants. */
class Dropped implements UpstreamCall {
  readonly movable = false;
  readonly #client: H1Client;
  #bytes = 0;
  constructor(client: H1Client) {
    this.#client = client;
  }
  onInformational(): void {}
  onResponse(): boolean {
    return true;
  }
  onData(_bytes: Buffer, from: number, to: number): void {
    this.#bytes += to - from;
    if (this.#bytes > DROPPED_BYTES_MAX) this.#client.abandon();
  }
  onEnd(): void {}
  onFault(): void {}
  onDrain(): void {}
}
