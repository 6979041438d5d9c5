// One HTTP/2 stream: what a driver sees of it.
import type { HeaderBlock } from "../header-block.ts";
import type { ResponseHead } from "../message.ts";
import type { ByteQueue } from "./byte-queue.ts";
import type { ReceiveWindow } from "./flow.ts";
import type { HpackEncoder } from "./hpack-encoder.ts";
import { type Scheduled, URGENCY_DEFAULT } from "./schedule.ts";

/** What the driver of a stream is told. Calls come from inside `H2Session.receive`, `writable`, `resume` and the like. */
export interface StreamHandler {
  /**
   * Client role: an interim (1xx) or the final head. Valid for as long as the owner's pool says. With END_STREAM,
   * `stream.remoteEnded` is already set, and `onEnd(null)` follows.
   */
  onHead(head: ResponseHead): void;
  /**
   * Content, as it arrives. The bytes may be kept. `given`: who has not kept them may say that they are spent
   * (core/spent.ts), before the call is over.
   */
  onData(bytes: Buffer, from: number, to: number, given?: boolean): void;
  /**
   * The message is complete and valid. `trailers` is valid during this call only. Not called for a request that ended
   * with its head: `stream.remoteEnded` is set when `onRequest` is called.
   */
  onEnd(trailers: HeaderBlock | null): void;
  /** The stream was `full` and no longer is. */
  onStreamDrain(): void;
  /**
   * The stream is over, without its end having been reached in both directions. Told once; nothing follows. Not told
   * for a `reset` that the driver called itself. In the server role `stream.release()` is called once the work that the
   * stream began is over.
   */
  onReset(code: number, byPeer: boolean): void;
}

/** What a stream needs of its connection; `SessionCore` is the one implementation. */
export interface StreamHost {
  readonly draining: boolean;
  readonly broken: boolean;
  beginHead(stream: H2Stream, room: number): HpackEncoder;
  finishHead(stream: H2Stream, end: boolean): void;
  sendData(stream: H2Stream, bytes: Buffer, from: number, to: number, end: boolean): void;
  sendEnd(stream: H2Stream, trailers: HeaderBlock | null): void;
  resetByDriver(stream: H2Stream, code: number): void;
  release(stream: H2Stream): void;
  resume(stream: H2Stream): void;
  reprioritise(stream: H2Stream, urgency: number, incremental: boolean): void;
}

// The states of RFC 9113 §5.1, and where they are kept. "recv" is the peer's frame, "send" ours; H is a HEADERS frame,
// ES the END_STREAM flag, R an RST_STREAM. Nothing is ever pushed, so there are no reserved states.
//
//                              +--------+
//                      send H  |        |  recv H              idle: an id above all that have been used; no object
//                    ,---------|  idle  |---------.
//                    v         +--------+         v
//               +-------------------------------------+
//               |                open                 |        in the table; neither `sentEnd` nor `remoteEnded`
//               +-------------------------------------+
//                    | recv ES       |        | send ES
//                    v               |        v
//               +----------+        R|   +----------+
//               |   half-  |         |   |   half-  |          `remoteEnded` on the left, `sentEnd` on the right
//               |  closed  |         |   |  closed  |
//               | (remote) |         |   | (local)  |
//               +----------+         |   +----------+
//                    | send ES, R    v        | recv ES, R
//                    |          +--------+    |
//                    `--------->| closed |<---'               `closed`; not in the table. The table remembers those that
//                               +--------+                     we have reset, to whom frames may still be on their way
export class H2Stream implements Scheduled {
  /** 0 in the client role until `beginHead`. */
  id: number;
  handler: StreamHandler;
  readonly session: StreamHost;
  /** The method of the request: set in the client role before the answer can come (HEAD has none of a body). */
  method = "GET";
  /** Bytes that wait to be sent. */
  queued = 0;
  /** More waits to be sent than should: stop until `onStreamDrain`. */
  full = false;
  /** Nothing more may be sent: the end has been asked for, or the stream is over. */
  localEnded = false;
  /** The peer has ended its message (held content may still have to be delivered). */
  remoteEnded = false;
  /** Over in both directions, or reset. */
  closed = false;
  paused = false;

  // ——— the session's own: drivers leave these alone
  /** END_STREAM has been written. */
  sentEnd = false;
  /** When the peer opened it: milliseconds. */
  since = 0;
  /** Server role: a final head has been sent. */
  hasAnswered = false;
  /** The final head of an answer has come, and how many interim ones. */
  hasFinalHead = false;
  interims = 0;
  /** What may be sent; negative after the peer has made its windows smaller (RFC 9113 §6.9.2). */
  sendWindow: number;
  /** What waits to be sent, whether the end is behind it, and with which trailers. */
  waiting: ByteQueue | null = null;
  endWaits = false;
  trailersWait: HeaderBlock | null = null;
  /** What may be received; made with the first content. */
  receiveWindow: ReceiveWindow | null = null;
  /** Content that a paused handler has not taken, and the end behind it. */
  held: ByteQueue | null = null;
  endHeld = false;
  trailersHeld: HeaderBlock | null = null;
  /** CONNECT: bytes of another protocol follow, and no trailers (RFC 9113 §8.5). */
  isTunnel = false;
  /** Content that has to come, as Content-Length says; -1 when it says nothing. */
  contentLeft = -1;
  /** Counts as open; its driver needs it no longer. */
  counted = false;
  released = false;
  /** The code of a reset that came before there was a handler; -1 for none. */
  earlyReset = -1;
  urgency: number = URGENCY_DEFAULT;
  incremental = false;
  scheduled = false;
  next: Scheduled | null = null;
  previous: Scheduled | null = null;

  constructor(session: StreamHost, id: number, handler: StreamHandler, sendWindow: number) {
    this.session = session;
    this.id = id;
    this.handler = handler;
    this.sendWindow = sendWindow;
  }

  /** Frames are put together in the output: content that is not `queued` has been copied. */
  get copies(): boolean {
    return true;
  }

  /**
   * Begins a head: then `status()` or `request()`, `fields()`, `field()` of the encoder, and `finishHead` right behind.
   * `room` is an upper bound of the encoded bytes (`hpackMax`, and some for the pseudo-header fields).
   */
  beginHead(room: number): HpackEncoder {
    return this.session.beginHead(this, room);
  }
  /** Sends the head as HEADERS and CONTINUATION. `end`: no content and no trailers follow. */
  finishHead(end: boolean): void {
    this.session.finishHead(this, end);
  }
  /**
   * Sends content. What windows, priority or a full output do not let out is queued by reference: the bytes must stay.
   * `end`: these are the last, and there are no trailers; saves a frame over `sendEnd`.
   */
  sendData(bytes: Buffer, from: number, to: number, end = false): void {
    this.session.sendData(this, bytes, from, to, end);
  }
  /** Ends the message. `trailers` is copied when it has to wait. Nothing happens where the end has been sent already. */
  sendEnd(trailers: HeaderBlock | null): void {
    this.session.sendEnd(this, trailers);
  }
  /**
   * Ends the stream at once with RST_STREAM, drops what waits in both directions, and counts as `release`. Nothing is
   * written when the stream is closed already: then it only lets go of content that a paused handler has not taken.
   */
  reset(code: number): void {
    this.session.resetByDriver(this, code);
  }
  /** Server role, after `onReset`: the work that the stream began is over, and it no longer counts as open. */
  release(): void {
    this.session.release(this);
  }
  /** Content that arrives is held and no window is given back; what is held is bounded by the window. */
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    if (this.paused) this.session.resume(this);
  }
  /** RFC 9218: urgency 0 (first) to 7. */
  reprioritise(urgency: number, incremental: boolean): void {
    this.session.reprioritise(this, urgency, incremental);
  }
}
