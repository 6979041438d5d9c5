// One stream of an HTTP/3 client as exchanges see streams: fields become heads, and heads fields.

import { NOT_IN_TRAILERS } from "../http/h1/writer.ts";
import { ERROR as H2_ERROR } from "../http/h2/frames.ts";
import { URGENCY_DEFAULT } from "../http/h2/schedule.ts";
import type { StreamHandler } from "../http/h2/stream.ts";
import { ERROR, fromH2 } from "../http/h3/errors.ts";
import { FieldCollector } from "../http/h3/field-map.ts";
import { readTrailers } from "../http/h3/section.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { QuicFields, QuicStream, QuicStreamHandler } from "../transport/quic-stream.ts";
import type { ExchangeStream, HeadEncoder } from "./exchange-stream.ts";

/** The connection of the streams. */
export interface H3StreamOwner {
  readonly dropUnderscores: boolean;
  /** The head has come: gives the stream a handler, or resets it. */
  onHead(stream: H3Stream, fields: QuicFields, ended: boolean): void;
  /** The client broke a rule on this stream, which has been reset. */
  onMalformed(): void;
  /** The head of a final answer has been sent. */
  onAnswer(): void;
  /** The stream is gone, both ways. */
  onStreamGone(stream: H3Stream): void;
}

/** What the handler of such a stream hears besides. */
export interface H3StreamHandler extends StreamHandler {
  /** The body came faster than anybody took it: the rest of it is lost. */
  onOverflow(): void;
}

/** One for the thread: nothing else is written between the two ends of a head. */
const collector = new FieldCollector();

const NOBODY: H3StreamHandler = {
  onHead() {},
  onData() {},
  onEnd() {},
  onStreamDrain() {},
  onReset() {},
  onOverflow() {},
};

export class H3Stream implements ExchangeStream, QuicStreamHandler {
  handler: H3StreamHandler = NOBODY;
  /** What the client has asked for is known to the runtime alone. */
  urgency = URGENCY_DEFAULT;
  incremental = false;
  /** On the wheel's clock: by then its head must have come. */
  readonly headBy: number;
  readonly #quic: QuicStream;
  readonly #owner: H3StreamOwner;
  /** The client has been told to send no more, or the stream to end. */
  #isStopped = false;
  #isReset = false;

  constructor(quic: QuicStream, owner: H3StreamOwner, headBy: number) {
    this.#quic = quic;
    this.#owner = owner;
    this.headBy = headBy;
    quic.handler = this;
  }

  // ——— QuicStreamHandler

  onHead(fields: QuicFields, ended: boolean): void {
    this.#owner.onHead(this, fields, ended);
  }

  onData(bytes: Buffer): void {
    this.handler.onData(bytes, 0, bytes.length);
  }

  onEnd(fields: QuicFields | null): void {
    if (fields === null) return this.handler.onEnd(null);
    const { malformed, fault, fields: trailers } = readTrailers(fields, this.#owner.dropUnderscores);
    if (malformed === "" && fault === null) return this.handler.onEnd(trailers);
    this.malformed();
    this.handler.onReset(H2_ERROR.protocol, false);
  }

  onDrain(): void {
    this.handler.onStreamDrain();
  }

  onOverflow(): void {
    this.#isStopped = true;
    this.handler.onOverflow();
  }

  onClose(code: number): void {
    const isComplete = this.#quic.localEnded && (this.#quic.remoteEnded || this.#isStopped);
    if (!isComplete && !this.#isReset) this.handler.onReset(code < 0 ? ERROR.requestCancelled : code, true);
    this.#owner.onStreamGone(this);
  }

  /** The message breaks a rule (RFC 9114 §4.1.2). */
  malformed(): void {
    this.#owner.onMalformed();
    this.#abort(ERROR.message);
  }

  #abort(code: number): void {
    this.#isReset = true;
    this.#quic.reset(code);
  }

  // ——— ExchangeStream

  get remoteEnded(): boolean {
    return this.#quic.remoteEnded;
  }
  /** The runtime may look at content for as long as it likes. */
  get copies(): boolean {
    return false;
  }
  get queued(): number {
    return this.#quic.queued;
  }
  get full(): boolean {
    return this.#quic.full;
  }
  /** The runtime does not tell whose window is used up. */
  get sendWindow(): number {
    return this.#quic.full ? 0 : 1;
  }

  beginHead(): HeadEncoder {
    collector.begin();
    return collector;
  }

  finishHead(end: boolean): void {
    const { statusCode, map, fits } = collector;
    if (statusCode < 200) {
      if (fits) this.#quic.sendInformational(map);
      return;
    }
    this.#owner.onAnswer();
    if (fits && this.#quic.sendHead(map, end)) return;
    // The runtime cannot send it. Whoever has made the answer is in the middle of it, and is told behind that.
    this.#quic.sendHead({ ":status": "502", "content-length": "0" }, true);
    queueMicrotask(() => this.handler.onReset(H2_ERROR.internal, false));
  }

  sendData(bytes: Buffer, from: number, to: number, end = false): void {
    this.#quic.send(bytes, from, to);
    if (end) this.#quic.end(null);
  }

  sendEnd(trailers: HeaderBlock | null): void {
    if (trailers === null) return this.#quic.end(null);
    collector.begin();
    collector.fields(trailers, NOT_IN_TRAILERS);
    this.#quic.end(collector.isEmpty || !collector.fits ? null : collector.map);
  }

  reset(code: number): void {
    if (code !== H2_ERROR.none) return this.#abort(fromH2(code));
    // All has been said. A reset would take back what of it is still on its way.
    this.#isStopped = true;
    this.#quic.stopReceiving(ERROR.none);
  }

  release(): void {}

  reprioritise(urgency: number, incremental: boolean): void {
    this.urgency = urgency;
    this.incremental = incremental;
    this.#quic.prioritise(urgency, incremental);
  }

  pause(): void {
    this.#quic.pause();
  }
  resume(): void {
    this.#quic.resume();
  }
}
