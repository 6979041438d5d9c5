// What both directions of a connection share: its streams and how they end, errors, and windows that are given back.
import { fault } from "../../core/faults.ts";
import type { HeaderBlock } from "../header-block.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { H2Output, PeerSettings, SessionOwner } from "./contracts.ts";
import { ReceiveWindow } from "./flow.ts";
import { ERROR, STREAM_ID_MAX } from "./frames.ts";
import { BUDGETS, Glitches, type GlitchKind } from "./glitches.ts";
import { HpackEncoder } from "./hpack-encoder.ts";
import { RAPID_MS, RTT_VALID_MS, type SessionOptions, STREAMS_BEFORE_SETTINGS, WINDOW_DEFAULT } from "./limits.ts";
import type { Priority } from "./priority-field.ts";
import { Sender, type SenderHost } from "./sender.ts";
import { H2Stream, type StreamHandler, type StreamHost } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";
import { copyBlock } from "./trailers.ts";

/** The first half of what our PING frames say; the second half is what they are for. */
const PING_MARK = 0x736c7563;
const PING_ROUND_TRIP = 1;
const PING_DRAIN = 2;
const PING_ALIVE = 3;

const DEFAULT_PEER: PeerSettings = {
  received: false,
  headerTableSize: 4096,
  maxConcurrentStreams: STREAMS_BEFORE_SETTINGS,
  initialWindow: WINDOW_DEFAULT,
  maxFrame: 16_384,
  maxHeaderList: Number.POSITIVE_INFINITY,
  enableConnectProtocol: false,
  noRfc7540Priorities: false,
};

/** Stands in until `onRequest` has named the real one. */
const NO_HANDLER: StreamHandler = {
  onHead() {},
  onData() {},
  onEnd() {},
  onStreamDrain() {},
  onReset() {},
};

// Where the head of a stream goes that is over already: the real encoder's table must not know of it.
let nowhere: { readonly encoder: HpackEncoder; buffer: Buffer } | null = null;

function nowhereEncoder(room: number): HpackEncoder {
  nowhere ??= { encoder: new HpackEncoder(), buffer: Buffer.alloc(0) };
  if (nowhere.buffer.length < room + 64) nowhere.buffer = Buffer.allocUnsafeSlow(room + 64);
  nowhere.encoder.begin(nowhere.buffer, 0);
  return nowhere.encoder;
}

export class SessionCore implements StreamHost, SenderHost {
  readonly isServer: boolean;
  readonly options: SessionOptions;
  readonly owner: SessionOwner;
  readonly out: H2Output;
  readonly sender: Sender;
  readonly table: StreamTable = new StreamTable();
  readonly glitches: Glitches;
  /** What the peer may send on the whole connection. */
  readonly receiveWindow: ReceiveWindow;
  peer: PeerSettings = DEFAULT_PEER;
  /** The time of the bytes that are being read. */
  now = 0;
  /** Somebody may have kept content that lies in them. */
  passedOn = false;
  draining = false;
  broken = false;
  /** The last stream of the peer that we take, once we have said so. */
  lastTaken: number = STREAM_ID_MAX;
  /** The peer uses the scheme of RFC 9218. */
  prioritised = false;
  awaitingPong = false;
  /** SETTINGS of ours that the peer has not acknowledged. */
  settingsPending = 0;
  /** Priorities of streams that have not come yet (RFC 9218 §7.1). */
  early: Map<number, Priority> | null = null;
  /** DATA frames with content that have come. */
  dataFrames = 0;
  #rtt = -1;
  #rttAt = Number.NEGATIVE_INFINITY;
  #rttPingAt = -1;
  #drainPing = false;
  /** Streams that ended while the output was full: their answers still wait to be sent. */
  #unflushed = 0;
  /** Content that paused handlers have not taken. */
  #held = 0;
  /** A window is due to be given back, and waits for the output. */
  #windowsWait = false;
  #mayGrow = true;

  constructor(isServer: boolean, options: SessionOptions, out: H2Output, owner: SessionOwner) {
    this.isServer = isServer;
    this.options = options;
    this.out = out;
    this.owner = owner;
    this.glitches = new Glitches(options.patience);
    this.sender = new Sender(out, this);
    this.receiveWindow = new ReceiveWindow(options.connectionWindow, options.connectionWindowMax, 0);
  }

  // ——— errors

  /** A connection error (RFC 9113 §5.4.1). */
  connectionError(code: number, text: string): void {
    if (this.broken) return;
    this.broken = true;
    this.draining = true;
    // RFC 9113 §6.8: the last stream is never raised.
    this.sender.goaway(Math.min(this.lastTaken, this.table.lastPeer), code, text);
    this.#resetAll(code, false);
    const clientFault = code === ERROR.enhanceYourCalm ? "h2.abuse" : "h2.protocol";
    this.owner.onBroken(fault(this.isServer ? clientFault : "upstream.bad_response", text));
  }

  /** A stream error (RFC 9113 §5.4.2). */
  streamError(stream: H2Stream, code: number): void {
    this.sender.reset(stream.id, code);
    if (!stream.remoteEnded) this.table.rememberReset(stream.id);
    this.#close(stream);
    this.tellReset(stream, code, false);
    this.glitch("error");
  }

  /** A stream error on a stream of which nobody knows. */
  refuse(id: number, code: number, kind: GlitchKind): void {
    this.sender.reset(id, code);
    this.table.rememberReset(id);
    this.glitch(kind);
  }

  glitch(kind: GlitchKind): void {
    if (this.broken) return;
    this.glitches.dataFrames = this.dataFrames + this.sender.dataFrames;
    const tooMany = this.glitches.count(kind, this.now);
    if (tooMany || !BUDGETS[kind].usual) this.owner.onGlitch(kind);
    if (tooMany) this.connectionError(ERROR.enhanceYourCalm, BUDGETS[kind].text);
  }

  onBacklog(): void {
    this.connectionError(ERROR.enhanceYourCalm, "answers to control frames are not read");
  }

  /** The connection is gone. */
  lost(): void {
    if (this.broken) return;
    this.broken = true;
    this.draining = true;
    this.#resetAll(ERROR.cancel, true);
  }

  #resetAll(code: number, byPeer: boolean): void {
    for (const stream of [...this.table.byId.values()]) {
      if (stream.closed) continue; // a handler that was told has ended others
      this.#close(stream);
      this.tellReset(stream, code, byPeer);
    }
  }

  // ——— the life of streams

  /** Whether one more stream of the peer would be more than we serve at a time. */
  get crowded(): boolean {
    return this.table.open + this.#unflushed >= this.options.concurrentStreams;
  }

  /** The peer has opened a stream. */
  accept(id: number): H2Stream {
    const stream = new H2Stream(this, id, NO_HANDLER, this.peer.initialWindow);
    stream.incremental = !this.prioritised; // who does not speak the scheme has not asked for one after the other
    stream.since = this.now;
    stream.counted = true;
    this.table.open += 1;
    this.table.byId.set(id, stream);
    return stream;
  }

  /** The stream has its handler, which may have to be told what has happened in between. */
  adopt(stream: H2Stream, handler: StreamHandler): void {
    stream.handler = handler;
    if (stream.earlyReset >= 0) handler.onReset(stream.earlyReset, false);
  }

  open(handler: StreamHandler): H2Stream | null {
    const { table } = this;
    if (this.isServer || this.draining || table.open >= this.peer.maxConcurrentStreams) return null;
    if (table.nextLocal > STREAM_ID_MAX) return null;
    const stream = new H2Stream(this, 0, handler, 0);
    stream.incremental = true;
    stream.counted = true;
    table.open += 1;
    return stream;
  }

  /** The peer has reset the stream. */
  peerReset(stream: H2Stream, code: number): void {
    // RFC 9113 §8.1: a server that has answered in full may say so when it wants no more of the request.
    const answered = !this.isServer && code === ERROR.none && stream.endHeld;
    const isRapid = this.isServer && !stream.hasAnswered && this.now - stream.since < RAPID_MS;
    this.#close(stream, answered);
    if (answered) this.#uncount(stream);
    else this.tellReset(stream, code, true);
    if (isRapid) this.glitch("reset");
  }

  /** Tells the handler that a stream is over, which has been closed already. */
  tellReset(stream: H2Stream, code: number, byPeer: boolean): void {
    if (!this.isServer) this.#uncount(stream);
    if (stream.handler === NO_HANDLER) stream.earlyReset = code;
    else stream.handler.onReset(code, byPeer);
    if (stream.released) this.#uncount(stream);
  }

  #close(stream: H2Stream, keepHeld = false): void {
    stream.closed = true;
    stream.localEnded = true;
    this.sender.drop(stream);
    this.table.byId.delete(stream.id);
    if (!keepHeld) this.#dropHeld(stream);
  }

  #uncount(stream: H2Stream): void {
    if (!stream.counted) return;
    stream.counted = false;
    this.table.open -= 1;
    if (this.isServer && this.out.full) this.#unflushed += 1;
    this.owner.onStreamGone(stream);
  }

  /** Ended in both directions. */
  #closeWhole(stream: H2Stream): void {
    this.#close(stream, true);
    this.#uncount(stream);
  }

  /** The peer's END_STREAM has come, and the message is valid. */
  remoteEnd(stream: H2Stream, trailers: HeaderBlock | null): void {
    stream.remoteEnded = true;
    if (stream.held !== null && stream.held.length > 0) {
      stream.endHeld = true;
      stream.trailersHeld = trailers === null ? null : copyBlock(trailers);
    } else stream.handler.onEnd(trailers);
    if (stream.sentEnd && !stream.closed) this.#closeWhole(stream);
  }

  // ——— what streams ask for

  beginHead(stream: H2Stream, room: number): HpackEncoder {
    if (stream.localEnded || this.broken || (stream.id === 0 && this.draining)) return nowhereEncoder(room);
    if (stream.id === 0) {
      stream.id = this.table.nextLocal;
      stream.sendWindow = this.peer.initialWindow;
      this.table.nextLocal += 2;
      this.table.byId.set(stream.id, stream);
    }
    return this.sender.beginHead(room);
  }

  finishHead(stream: H2Stream, end: boolean): void {
    if (stream.localEnded) return;
    if (stream.id === 0 || this.broken) {
      // Opened, and overtaken by the end of the connection: nothing has been sent.
      this.#close(stream);
      this.tellReset(stream, ERROR.refusedStream, false);
      return;
    }
    this.sender.finishHead(stream.id, end);
    if (this.isServer && !stream.hasAnswered && this.sender.encoder.lastStatus >= 200) {
      stream.hasAnswered = true;
      this.glitches.answers += 1;
    }
    if (end) {
      stream.localEnded = true;
      this.onEndSent(stream);
    }
  }

  sendData(stream: H2Stream, bytes: Buffer, from: number, to: number, end: boolean): void {
    if (stream.localEnded) return;
    if (end) stream.localEnded = true;
    this.sender.data(stream, bytes, from, to, end);
  }

  sendEnd(stream: H2Stream, trailers: HeaderBlock | null): void {
    if (stream.localEnded) return;
    stream.localEnded = true;
    this.sender.end(stream, trailers);
  }

  onEndSent(stream: H2Stream): void {
    stream.sentEnd = true;
    if (stream.remoteEnded && !stream.closed) this.#closeWhole(stream);
  }

  resetByDriver(stream: H2Stream, code: number): void {
    stream.released = true;
    if (stream.closed) this.#dropHeld(stream);
    else {
      if (stream.id !== 0 && !this.broken) {
        this.sender.reset(stream.id, code);
        if (!stream.remoteEnded) this.table.rememberReset(stream.id);
      }
      if (!stream.closed) this.#close(stream);
    }
    this.#uncount(stream);
  }

  release(stream: H2Stream): void {
    stream.released = true;
    if (stream.closed) this.#uncount(stream);
  }

  reprioritise(stream: H2Stream, urgency: number, incremental: boolean): void {
    this.sender.schedule.change(stream, urgency, incremental);
  }

  /** Keeps content for a handler that is paused, or that has not got what came before. */
  hold(stream: H2Stream, bytes: Buffer, from: number, to: number): void {
    stream.held ??= new ByteQueue();
    if (stream.held.push(bytes, from, to)) this.passedOn = true;
    this.#held += to - from;
    const { receiveWindow } = this;
    if (this.#held * 2 < receiveWindow.size || this.broken) return;
    // A few slow streams must not take the window from all others.
    const increment = receiveWindow.widen();
    if (increment > 0) this.sender.windowUpdate(0, increment);
  }

  /** Hands over what was held while the handler was paused. */
  resume(stream: H2Stream): void {
    stream.paused = false;
    const { held } = stream;
    if (held === null) return;
    this.#mayGrow = false; // the peer has waited for us, not we for it
    while (held.length > 0 && !stream.paused && stream.held === held) {
      const { bytes, from, to } = held;
      held.take(to - from);
      this.#held -= to - from;
      stream.handler.onData(bytes, from, to);
      this.giveBack(stream, to - from);
    }
    this.#mayGrow = true;
    if (!stream.endHeld || stream.paused || stream.held !== held || held.length > 0) return;
    stream.endHeld = false;
    stream.handler.onEnd(stream.trailersHeld);
  }

  #dropHeld(stream: H2Stream): void {
    const { held } = stream;
    stream.endHeld = false;
    stream.held = null;
    if (held === null || held.length === 0) return;
    this.#held -= held.length;
    this.giveBack(null, held.length);
  }

  // ——— windows that are given back (RFC 9113 §6.9)

  /** Bytes that the peer has sent have been used: on the connection, and on the stream if it is still to receive. */
  giveBack(stream: H2Stream | null, bytes: number): void {
    const { receiveWindow } = this;
    receiveWindow.owed += bytes;
    if (receiveWindow.due) this.#announce(0, receiveWindow);
    if (stream === null || stream.remoteEnded || stream.closed) return;
    const window = stream.receiveWindow!;
    window.owed += bytes;
    if (window.due) this.#announce(stream.id, window);
  }

  #announce(id: number, window: ReceiveWindow): void {
    if (this.broken) return;
    if (this.out.full) {
      this.#windowsWait = true; // a peer that does not read is not asked for more
      return;
    }
    this.sender.windowUpdate(id, window.announce(this.now, this.#mayGrow ? this.#rtt : -1));
    if (this.#rttPingAt >= 0 || this.now - this.#rttAt < RTT_VALID_MS) return;
    this.#rttPingAt = this.now;
    this.sender.ping(PING_MARK, PING_ROUND_TRIP);
  }

  /** The output takes more again. */
  writable(): void {
    this.#unflushed = 0;
    if (this.#windowsWait) {
      this.#windowsWait = false;
      if (this.receiveWindow.due) this.#announce(0, this.receiveWindow);
      for (const stream of this.table.byId.values()) {
        const window = stream.receiveWindow;
        if (window?.due && !stream.remoteEnded) this.#announce(stream.id, window);
      }
    }
    this.sender.writable();
  }

  // ——— PING and GOAWAY

  /** The PING between the two steps of a shutdown has not been answered. */
  get isWarning(): boolean {
    return this.#drainPing;
  }

  ping(): void {
    if (this.broken || this.awaitingPong) return;
    this.awaitingPong = true;
    this.sender.ping(PING_MARK, PING_ALIVE);
  }

  /** An acknowledged PING; false when it is none of ours. */
  pong(high: number, low: number): boolean {
    if (high !== PING_MARK) return false;
    if (low === PING_ROUND_TRIP && this.#rttPingAt >= 0) {
      this.#rtt = this.now - this.#rttPingAt;
      this.#rttAt = this.now;
      this.#rttPingAt = -1;
      return true;
    }
    if (low === PING_DRAIN && this.#drainPing) {
      this.#takeNoMore(ERROR.none);
      return true;
    }
    const waited = low === PING_ALIVE && this.awaitingPong;
    if (waited) this.awaitingPong = false;
    return waited;
  }

  /** RFC 9113 §6.8: first a warning, then, a round trip later, the last stream that is taken. */
  goaway(code: number): void {
    if (this.broken || this.lastTaken !== STREAM_ID_MAX || (this.#drainPing && code === ERROR.none)) return;
    this.draining = true;
    if (!this.isServer || code !== ERROR.none) return this.#takeNoMore(code);
    this.#drainPing = true;
    this.sender.goaway(STREAM_ID_MAX, ERROR.none, "");
    this.sender.ping(PING_MARK, PING_DRAIN);
  }

  #takeNoMore(code: number): void {
    this.#drainPing = false;
    this.lastTaken = this.table.lastPeer;
    this.sender.goaway(this.lastTaken, code, "");
  }

  /** The peer's GOAWAY: streams of ours above its last one have not been served, and may be sent again elsewhere. */
  peerGoaway(last: number, code: number): void {
    this.draining = true;
    if (!this.isServer) {
      for (const stream of [...this.table.byId.values()]) {
        if (stream.id <= last || stream.closed) continue;
        this.#close(stream);
        this.tellReset(stream, ERROR.refusedStream, true);
      }
    }
    this.owner.onGoaway(code);
  }
}
