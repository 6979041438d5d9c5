// One request over a connection to an HTTP/2 server: what h1-client.ts is for a connection of HTTP/1.1. The connection
// (h2-client.ts) uses such an object again for another request once the exchange is over and its stream as well.
import { createHash } from "node:crypto";
import { type Fault, fault } from "../core/faults.ts";
import { spent } from "../core/spent.ts";
import { Timer, type TimerWheel } from "../core/timers.ts";
import { RequestReader } from "../http/h1/request-reader.ts";
import { FAILED, NEED_MORE } from "../http/h1/section-reader.ts";
import { ERROR, ERROR_NAMES } from "../http/h2/frames.ts";
import type { H2Session } from "../http/h2/session.ts";
import type { H2Stream, StreamHandler } from "../http/h2/stream.ts";
import { HeaderBlock } from "../http/header-block.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Connection } from "../transport/connection.ts";
import { isForTunnel, sendConnectHead, sendRequestHead, sendSavedHead, WEBSOCKET_KEY } from "./h2-request.ts";
import { H2Tunnel } from "./h2-tunnel.ts";
import type { UpstreamCall, UpstreamClient } from "./upstream-client.ts";

/** The connection's side. */
export interface CallHome {
  readonly connection: Connection;
  readonly session: H2Session;
  readonly scheme: "http" | "https";
  /** Pieces of the server's bytes that have come so far: whether any came since a request was sent. */
  readonly heard: number;
  /** Requests sent so far. */
  readonly requests: number;
  /** Why the connection is gone; "" while it is not. */
  readonly end: string;
  /** The call must hear of the server's settings. */
  awaitSettings(call: H2Call): void;
  /** The exchange and its stream are over: the call is the connection's again. */
  over(call: H2Call, answered: boolean): void;
  /** The stream carries a tunnel from now on: the call is the connection's again, its place at the server not. */
  becomes(call: H2Call, tunnel: H2Tunnel): void;
  /** The server has turned a request away. `http11`: it takes such ones over HTTP/1.1. Whether it may be sent again. */
  refused(http11: boolean): boolean;
  giveHead(head: ResponseHead): void;
}

/** Interim responses before a final one; a server that sends more is broken. */
const INFORMATIONAL_MAX = 16;

/** Of an answer that nobody wants up to this much is taken… */
const DROPPED_BYTES_MAX = 65_536;
/** …if it is there within this time: until then it keeps a place at its server. */
const DROPPED_MS = 1000;

/** Hears of streams that nobody has anything to do with any more. */
const NOBODY: StreamHandler = { onHead() {}, onData() {}, onEnd() {}, onStreamDrain() {}, onReset() {} };

/** Reads heads that are of our own making, however large. */
const LARGE = 0x3fff_ffff;
const savedHeads = new RequestReader({
  startLine: LARGE,
  section: LARGE,
  fields: LARGE,
});

/** What the client has asked for, until it is known whether the server knows it. */
interface Asked {
  readonly x: Exchange;
  readonly host: string | null;
}

export class H2Call implements UpstreamClient, StreamHandler {
  readonly refusable = true;
  /** Its place among the calls of its connection. */
  place = -1;
  readonly #home: CallHome;
  readonly #wheel: TimerWheel;
  readonly #timer: Timer;
  #stream: H2Stream | null = null;
  #call: UpstreamCall | null = null;
  /** The final head, which goes back to where it came from. */
  #head: ResponseHead | null = null;
  #answered = false; // the final head has been read
  #answerBegun = false;
  #requestDone = false;
  #responseDone = false;
  #expects = false; // the client sends the body once it is told to
  #paused = false;
  #holding = false;
  #endHeld = false;
  #heldTrailers: HeaderBlock | null = null;
  #cutHeld: Fault | null = null; // the stream broke behind the end that is held
  #informational = 0;
  /** Of an answer that nobody wants. */
  #droppedBytes = 0;
  #timeoutMs = 0;
  #bodyTimeoutMs = 0;
  #heardBefore = 0;
  #isFirst = false;
  #isTunnel = false;
  #webSocketKey: string | null = null;
  #asked: Asked | null = null;

  constructor(home: CallHome, wheel: TimerWheel) {
    this.#home = home;
    this.#wheel = wheel;
    this.#timer = new Timer(() => this.#onTimer());
  }

  get full(): boolean {
    return this.#stream?.full === true;
  }

  // ——— the request

  start(call: UpstreamCall, x: Exchange, host: string | null, headMs: number, bodyMs: number): void {
    this.#begin(call, headMs, bodyMs);
    this.#expects = x.request.expectContinue;
    if (isForTunnel(x.request)) return this.#startTunnel(x, host);
    const stream = this.#open();
    if (stream !== null) sendRequestHead(stream, x, host, this.#home.scheme);
  }

  startRaw(call: UpstreamCall, head: Buffer, _method: string, _chunked: boolean, headMs: number, bodyMs: number): void {
    this.#begin(call, headMs, bodyMs);
    savedHeads.begin(head);
    const end = savedHeads.read(head, 0);
    if (end === FAILED || end === NEED_MORE) return this.#failSoon(fault("proxy.internal", "a saved head is broken"));
    const stream = this.#open();
    if (stream !== null) sendSavedHead(stream, savedHeads.head, this.#home.scheme);
  }

  #begin(call: UpstreamCall, headMs: number, bodyMs: number): void {
    this.#call = call;
    this.#answered = false;
    this.#answerBegun = false;
    this.#requestDone = false;
    this.#responseDone = false;
    this.#expects = false;
    this.#paused = false;
    this.#holding = false;
    this.#endHeld = false;
    this.#informational = 0;
    this.#timeoutMs = headMs;
    this.#bodyTimeoutMs = bodyMs;
    this.#heardBefore = this.#home.heard;
    this.#isFirst = this.#home.requests === 1;
    this.#isTunnel = false;
    this.#wheel.arm(this.#timer, headMs);
  }

  #open(): H2Stream | null {
    const stream = this.#home.session.open(this);
    if (stream === null) this.#failSoon(fault("upstream.refused", "no more streams over this connection"));
    this.#stream = stream;
    return stream;
  }

  /** Not at once: the call is not to be told before `start` has returned. */
  #failSoon(cause: Fault): void {
    const call = this.#call;
    queueMicrotask(() => {
      if (call !== null && this.#call === call) this.#fail(cause);
    });
  }

  sendData(bytes: Buffer, from: number, to: number, given = false): void {
    this.#expects = false; // RFC 9110 §10.1.1: a server that has got some of the body need not ask for it
    this.#wheel.arm(this.#timer, this.#timeoutMs);
    const stream = this.#stream;
    if (stream === null) return;
    stream.sendData(bytes, from, to);
    if (given && stream.queued === 0) spent(bytes); // copied
  }

  sendEnd(trailers: HeaderBlock | null): void {
    this.#requestDone = true;
    // A tunnel is not over where an upgrade's empty body is.
    if (!this.#isTunnel || this.#answered) this.#stream?.sendEnd(trailers);
    if (this.#responseDone) this.#release();
    else this.#wheel.arm(this.#timer, this.#timeoutMs);
  }

  /** Gives the exchange up: the server must stop working on it. */
  abandon(): void {
    if (this.#call === null) return;
    this.#call = null;
    this.#head = null; // whoever logs the exchange still looks at it
    this.#end();
  }

  /**
   * The answer is of no use, but short enough to be taken to its end: servers count streams that are cancelled, and end
   * connections with many of them.
   */
  drop(): void {
    if (this.#call === null) return;
    if (!this.#requestDone) return this.abandon();
    this.#head = null;
    this.#call = null;
    this.#droppedBytes = 0;
    this.#wheel.arm(this.#timer, DROPPED_MS);
  }

  handOver(call: UpstreamCall): void {
    this.#call = call;
  }

  /** The server is down. A request that it has not begun to answer goes to another, if it may. */
  forsake(): void {
    if (this.#call?.movable === true && !this.#answerBegun) this.#fail(fault("upstream.down"));
  }

  // ——— the answer

  onHead(head: ResponseHead): void {
    this.#answerBegun = true;
    const call = this.#call;
    const stream = this.#stream;
    if (call === null || stream === null) return this.#home.giveHead(head);
    if (head.status < 200) return this.#interim(call, head);
    this.#answered = true;
    this.#head = head;
    this.#timeoutMs = this.#bodyTimeoutMs;
    this.#wheel.arm(this.#timer, this.#timeoutMs);
    if (this.#isTunnel) this.#concludeTunnel(head);
    if (call.onResponse(head) || this.#stream !== stream) return;
    this.#holding = true;
    stream.pause();
  }

  #interim(call: UpstreamCall, head: ResponseHead): void {
    this.#informational += 1;
    if (this.#informational > INFORMATIONAL_MAX)
      this.#fail(fault("upstream.bad_response", "too many interim responses"));
    else call.onInformational(head);
    this.#home.giveHead(head);
  }

  onData(bytes: Buffer, from: number, to: number, given = false): void {
    if (this.#call === null) return this.#drops(to - from);
    if (!this.#paused) this.#wheel.arm(this.#timer, this.#timeoutMs);
    this.#call.onData(bytes, from, to, given);
  }

  #drops(bytes: number): void {
    this.#droppedBytes += bytes;
    if (this.#droppedBytes > DROPPED_BYTES_MAX) this.#end();
  }

  onEnd(trailers: HeaderBlock | null): void {
    if (!this.#holding) return this.#finish(trailers);
    this.#endHeld = true;
    this.#heldTrailers = trailers === null ? null : HeaderBlock.of(trailers.entries());
  }

  /** The answer is complete. */
  #finish(trailers: HeaderBlock | null): void {
    const call = this.#call;
    if (call === null) return;
    const head = this.#head;
    const isThrough = this.#requestDone;
    this.#head = null;
    this.#responseDone = true;
    // Released first: a request that waits for this one's place gets it.
    if (isThrough) this.#release();
    call.onEnd(trailers);
    if (head !== null && isThrough) this.#home.giveHead(head);
  }

  pause(): void {
    this.#paused = true;
    this.#stream?.pause();
  }

  resume(): void {
    const stream = this.#stream;
    this.#paused = false;
    this.#holding = false;
    if (stream === null || this.#call === null) return;
    if (!this.#endHeld) {
      this.#wheel.arm(this.#timer, this.#timeoutMs);
      return stream.resume();
    }
    this.#endHeld = false;
    const trailers = this.#heldTrailers;
    const cut = this.#cutHeld;
    this.#heldTrailers = null;
    this.#cutHeld = null;
    this.#finish(trailers);
    if (cut !== null && this.#stream === stream) this.#fail(cut);
  }

  leaveHead(): void {
    this.#head = null;
  }

  onStreamDrain(): void {
    this.#call?.onDrain();
  }

  onReset(code: number, byPeer: boolean): void {
    if (this.#call === null) return this.#end(); // the rest of a request that nobody needs any more
    const cause = this.#causeOf(code, byPeer);
    if (this.#endHeld) this.#cutHeld = cause;
    else this.#fail(cause);
  }

  #causeOf(code: number, byPeer: boolean): Fault {
    const { end, heard } = this.#home;
    if (this.#responseDone || this.#endHeld)
      return fault("upstream.reset", "the stream ended while the request was still being sent");
    const isRefusal = code === ERROR.refusedStream || code === ERROR.http11Required;
    if (end === "" && isRefusal && !this.#answerBegun && this.#home.refused(code === ERROR.http11Required))
      return fault("upstream.refused", nameOf(code));
    if (end === "" && !byPeer) return fault("upstream.bad_response", `a malformed answer (${nameOf(code)})`);
    const detail = end === "" ? `RST_STREAM ${nameOf(code)}` : end;
    if (this.#answered) return fault("upstream.incomplete", `${detail} inside the answer's body`);
    // Nothing was heard since: the connection may have been dead before.
    const stale = end !== "" && !this.#isFirst && heard === this.#heardBefore;
    return fault(stale ? "upstream.reset_on_reuse" : "upstream.reset", `${detail} before the answer`);
  }

  /** Both messages are through. */
  #release(): void {
    this.#call = null;
    // The end of a body that its server has not taken yet, though it has answered already, still has some time.
    if (this.#stream?.closed === false) this.#wheel.arm(this.#timer, this.#timeoutMs);
    else this.#end();
  }

  /** The stream does not count as open any more. */
  gone(): void {
    if (this.#call === null) this.#end();
  }

  #fail(cause: Fault): void {
    const call = this.#call;
    this.#call = null;
    this.#head = null; // as in `abandon`
    this.#end();
    call?.onFault(cause);
  }

  /** Ends the stream, where it has not ended by itself, and gives the call back. */
  #end(): void {
    const stream = this.#stream;
    this.#stream = null;
    this.#asked = null;
    this.#heldTrailers = null;
    this.#cutHeld = null;
    this.#head = null;
    this.#wheel.disarm(this.#timer);
    if (stream !== null) {
      stream.handler = NOBODY;
      stream.reset(ERROR.cancel);
    }
    this.#home.over(this, this.#answered);
  }

  /** Its connection is gone: nothing may refer to it any more. */
  dispose(): void {
    this.#wheel.drop(this.#timer);
  }

  /** The server has all of the request that there is, and need not answer before the rest. We are the slow ones. */
  get #awaitsClient(): boolean {
    if (this.#requestDone || this.#answered || this.full) return false;
    return !this.#expects || this.#informational > 0;
  }

  #onTimer(): void {
    if (this.#call === null) return this.#end(); // it has answered, and takes no more of the request
    if (this.#paused || this.#holding || this.#awaitsClient) return this.#wheel.arm(this.#timer, this.#timeoutMs);
    const more = this.#answered ? 0 : (this.#call.moreTime?.() ?? 0);
    if (more > 0) {
      this.#timeoutMs = more;
      return this.#wheel.arm(this.#timer, more);
    }
    this.#fail(fault("upstream.response_timeout", this.#answered ? "the answer's body stopped" : "no answer in time"));
  }

  // ——— tunnels: a 101 of HTTP/1.1 is a 200 to an extended CONNECT (RFC 8441)

  #startTunnel(x: Exchange, host: string | null): void {
    this.#isTunnel = true;
    this.#webSocketKey = x.request.headers.get(WEBSOCKET_KEY);
    this.#asked = { x, host };
    if (this.#home.session.peer.received) this.settingsCame();
    else this.#home.awaitSettings(this);
  }

  /** It is known now whether the server has extended CONNECT. */
  settingsCame(): void {
    const asked = this.#asked;
    if (asked === null || this.#call === null) return;
    this.#asked = null;
    if (!this.#home.session.peer.enableConnectProtocol)
      return this.#failSoon(fault("upstream.upgrade", "the server has no extended CONNECT"));
    const stream = this.#open();
    if (stream !== null) sendConnectHead(stream, asked.x, asked.host, this.#home.scheme);
  }

  /** The connection is gone, and nothing was sent over it. */
  unsent(): void {
    if (this.#asked !== null && this.#call !== null) this.#fail(fault("upstream.refused", this.#home.end));
  }

  /** Makes of the answer what one of HTTP/1.1 would have been. */
  #concludeTunnel(head: ResponseHead): void {
    if (head.status >= 300) {
      this.#isTunnel = false;
      if (this.#requestDone) this.#stream!.sendEnd(null);
      return;
    }
    head.status = 101;
    head.reason = "Switching Protocols";
    head.lineAt = -1;
    head.body = "none";
    head.upgrade = "websocket";
    if (this.#webSocketKey !== null) head.headers.set("sec-websocket-accept", acceptOf(this.#webSocketKey));
  }

  detach(): { connection: Connection; early: Buffer | null } {
    const stream = this.#stream!;
    const tunnel = new H2Tunnel(stream, this.#home.connection);
    stream.handler = tunnel;
    this.#stream = null;
    this.#call = null;
    this.#wheel.disarm(this.#timer);
    this.#home.becomes(this, tunnel);
    return { connection: tunnel, early: null };
  }
}

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455 §1.3

const acceptOf = (key: string): string => createHash("sha1").update(`${key}${GUID}`, "latin1").digest("base64");

/** The name of an error code (RFC 9113 §7). */
const nameOf = (code: number): string => ERROR_NAMES[code] ?? `error ${code}`;
