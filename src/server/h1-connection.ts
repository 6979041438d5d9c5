// An HTTP/1 client, one exchange at a time (RFC 9112 §9). Pipelined requests wait until the one before is answered.
import { turnTime } from "../core/clock.ts";
import { type Fault, fault, specOf } from "../core/faults.ts";
import { Timer } from "../core/timers.ts";
import { BodyReader, type BodySink } from "../http/h1/body-reader.ts";
import type { RequestReader } from "../http/h1/request-reader.ts";
import { FAILED, NEED_MORE } from "../http/h1/section-reader.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { ResponseHead } from "../http/message.ts";
import { ClientInfo } from "../pipeline/client-info.ts";
import { type Downstream, Exchange, type RequestSink, type TunnelEnd } from "../pipeline/exchange.ts";
import { faultReply } from "../pipeline/grpc-reply.ts";
import type { Reply } from "../pipeline/reply.ts";
import type { Connection, ConnectionHandler } from "../transport/connection.ts";
import { flushOutbox, inOutbox } from "../transport/outbox.ts";
import { ClientPace, HALF_CLOSED_MS, LINGER_MS } from "./client-pace.ts";
import {
  type Framing,
  type Persistence,
  responseFraming,
  sendEnd,
  sendHead,
  sendPiece,
  sendReply,
} from "./h1-output.ts";
import type { ListenerContext } from "./listener.ts";
import { giveBackReader, takeReader } from "./reader-pool.ts";

// Where a connection stands.
const IDLE = 0; // between requests
const HEAD = 1; // a head has begun to arrive
const EXCHANGE = 2; // a request is being served
const LINGER = 3; // answered for the last time; what still arrives is dropped, so that no reset overtakes the answer
const TUNNEL = 4; // handed over
const CLOSED = 5;

/** A request body that nobody wants is read to its end up to this many bytes; beyond that the connection is closed. */
const DISCARD_BYTES_MAX = 262_144;
const NO_RESPONSE = new ResponseHead();

export class H1Connection implements ConnectionHandler, Downstream, BodySink {
  readonly connection: Connection;
  readonly #listener: ListenerContext;
  readonly #timer: Timer;
  readonly #client: ClientInfo;
  #state = IDLE;
  #reader: RequestReader | null = null;
  #exchange: Exchange | null = null;
  #sink: RequestSink | null = null;
  #body: BodyReader | null = null;
  /** Bytes that arrived but may not be read yet, from `#heldAt` on. */
  #held: Buffer | null = null;
  /** Where in the current chunk a piece of body begins that nothing before it is needed with. */
  #pieceAt = 0;
  #heldAt = 0;
  #reading = false; // inside #process
  #bodyOpen = false; // the sink wants the body
  #bodyPaused = false;
  #discarding = false;
  #requestDone = false;
  #answered = false;
  #responseDone = false;
  #persist = false;
  #framing: Framing = "none";
  #toHead = false; // the client asked with HEAD, whatever method a plugin made of it
  #peerEnded = false;
  readonly #pace: ClientPace;
  #discarded = 0;

  constructor(connection: Connection, listener: ListenerContext) {
    this.connection = connection;
    this.#listener = listener;
    this.#client = new ClientInfo(connection.remoteAddress, connection, connection.tls === null ? "http" : "https");
    this.#timer = new Timer(() => this.#onTimer());
    this.#pace = new ClientPace(listener, this.#timer);
    listener.wheel.arm(this.#timer, listener.options.timeouts.header);
  }

  /** Closes the connection if it is idle; otherwise its current answer says `Connection: close`. */
  drain(): void {
    if (this.#state === IDLE) this.connection.close();
  }

  // ——— bytes from the client

  onData(chunk: Buffer): void {
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
    this.#reading = true;
    while (at < chunk.length) {
      if (this.#state === EXCHANGE) {
        if (this.#requestDone || !this.#bodyOpen || (this.#bodyPaused && !this.#discarding)) {
          this.#hold(chunk, at);
          break;
        }
        at = this.#readBody(chunk, at);
        if (at < 0) break;
      } else if (this.#state === IDLE || this.#state === HEAD) {
        if (this.#state === IDLE && this.connection.full) {
          // Answers to pipelined requests must not pile up for a client that does not read them.
          this.#hold(chunk, at);
          this.#pace.watch(this.connection);
          break;
        }
        at = this.#readHead(chunk, at);
        if (at < 0) break;
      } else break; // lingering, or gone: nothing is read any more
    }
    this.#reading = false;
  }

  #hold(chunk: Buffer, at: number): void {
    this.#held = chunk;
    this.#heldAt = at;
    this.connection.pause();
  }

  /** Reads on in what was held, unless a reader further up the stack will. */
  #readHeld(): void {
    const chunk = this.#held;
    if (this.#reading && chunk !== null) return;
    this.#held = null;
    if (chunk !== null) this.#process(chunk, this.#heldAt);
    if (this.#held === null) this.connection.resume();
  }

  #readHead(chunk: Buffer, at: number): number {
    let reader = this.#reader;
    if (this.#state === IDLE) {
      reader ??= this.#reader = takeReader(this.#listener);
      reader.begin(chunk);
    }
    const end = reader!.read(chunk, at);
    if (end >= 0) {
      if (at === 0) this.#pieceAt = reader!.leaveChunk(chunk, end);
      this.#begin(reader!);
      return end;
    }
    if (end === NEED_MORE) {
      if (this.#state === IDLE) this.#listener.wheel.arm(this.#timer, this.#listener.options.timeouts.header);
      this.#state = HEAD;
      return NEED_MORE;
    }
    this.#refuse(reader!.fault!);
    return FAILED;
  }

  /** A head that cannot be served is answered without an exchange of its own in the plan. */
  #refuse(cause: Fault): void {
    this.#startExchange(this.#reader!);
    this.#requestDone = true;
    this.#persist = false;
    this.fail(cause);
  }

  #startExchange(reader: RequestReader): Exchange {
    const x = new Exchange(reader.head, NO_RESPONSE, this, this.#client, this.#listener.name, turnTime());
    this.#exchange = x;
    this.#toHead = reader.head.method === "HEAD";
    this.#state = EXCHANGE;
    this.#sink = null;
    this.#bodyOpen = false;
    this.#bodyPaused = false;
    this.#discarding = false;
    this.#answered = false;
    this.#responseDone = false;
    return x;
  }

  #begin(reader: RequestReader): void {
    const head = reader.head;
    const x = this.#startExchange(reader);
    this.#persist = head.keepAlive;
    this.#requestDone = head.body === "none";
    if (!this.#requestDone) {
      this.#body ??= new BodyReader();
      this.#body.start(head.body, head.length);
      this.#pace.startBody();
    }
    this.#listener.handler.handle(x);
  }

  #readBody(chunk: Buffer, at: number): number {
    const body = this.#body!;
    const end = body.read(chunk, at, this);
    if (end === FAILED) {
      this.#brokenBody(body.fault!);
      return FAILED;
    }
    if (this.#state !== EXCHANGE) return FAILED; // the sink has ended the exchange with the connection
    if (!body.done) {
      if (!this.#bodyPaused) this.#pace.awaitBody();
      if (this.#pace.tooSlow) this.#brokenBody(fault("request.timeout", "request body slower than its minimum rate"));
      return end;
    }
    this.#requestDone = true;
    const sink = this.#sink;
    if (sink !== null && !this.#discarding) sink.onRequestEnd(body.trailers);
    this.#finishIfOver();
    return end;
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    const length = to - from;
    if (this.#exchange === null) return;
    this.#exchange.bytesIn += length;
    this.#pace.received(length);
    if (this.#discarding) {
      this.#discarded += length;
      if (this.#discarded > DISCARD_BYTES_MAX) this.#persist = false;
      if (this.#discarded > DISCARD_BYTES_MAX && this.#responseDone) this.#linger();
      return;
    }
    const max = this.#exchange.route?.bodyMax ?? Number.POSITIVE_INFINITY;
    if (this.#exchange.bytesIn > max)
      return this.#brokenBody(fault("request.body_too_large", `more than ${max} bytes`));
    // A chunk that is nothing but this piece has no other reader.
    this.#sink?.onRequestData(bytes, from, to, from === this.#pieceAt && to === bytes.length);
  }

  /** The body breaks its framing or a limit: the upstream must not take it for complete. */
  #brokenBody(cause: Fault): void {
    const sink = this.#sink;
    this.#persist = false;
    this.#requestDone = true;
    this.#sink = null;
    if (sink !== null && !this.#discarding) sink.onDownstreamGone(cause);
    if (this.#state !== EXCHANGE) return;
    if (this.#answered) this.abort(cause);
    else this.fail(cause);
  }

  // ——— Downstream: what the pipeline does with the client

  get full(): boolean {
    return this.connection.full;
  }
  get tunnelIdle(): number {
    return this.#listener.options.timeouts.tunnel;
  }
  get answered(): boolean {
    return this.#answered;
  }

  readBody(sink: RequestSink): void {
    this.#sink = sink;
    this.#bodyOpen = true;
    if (this.#requestDone) return sink.onRequestEnd(null);
    this.#pace.startBody();
    this.#readHeld();
  }

  pauseBody(): void {
    if (this.#bodyPaused || this.#requestDone) return;
    this.#bodyPaused = true;
    this.connection.pause();
  }

  resumeBody(): void {
    if (!this.#bodyPaused) return;
    this.#bodyPaused = false;
    if (!this.#requestDone) this.#pace.startBody();
    this.#readHeld();
  }

  discardBody(): void {
    if (this.#requestDone || this.#discarding) return;
    const { expectContinue, body } = this.#exchange!.request;
    this.#discarding = true;
    this.#discarded = 0;
    this.#sink = null;
    this.#bodyOpen = true;
    // A client that waits for 100 Continue may send the body or not after a final answer: the next bytes are ambiguous.
    if (expectContinue || (body === "length" && this.#body!.remaining > DISCARD_BYTES_MAX)) this.#persist = false;
    this.#readHeld();
  }

  informational(head: ResponseHead): void {
    if (this.#exchange!.request.version !== 11 || this.#answered) return; // RFC 9110 §15.2: HTTP/1.0 knows no 1xx
    sendHead(this.connection, head, "none", "");
  }

  #persistence(): Persistence {
    if (this.#listener.draining || this.#peerEnded || this.#framing === "close") this.#persist = false;
    if (!this.#persist) return "close";
    return this.#exchange!.request.version === 10 ? "keep-alive" : "";
  }

  head(head: ResponseHead): void {
    const x = this.#exchange!;
    this.#answered = true;
    x.status = head.status;
    this.#framing = responseFraming(this.#toHead, x.request.version, head);
    // Answered in place of 100 Continue: what the client sends next may be the body or not (RFC 9110 §10.1.1).
    if (x.request.expectContinue && !this.#requestDone && x.bytesIn === 0) this.#persist = false;
    sendHead(this.connection, head, this.#framing, this.#persistence(), this.#listener.altSvc);
  }

  data(bytes: Buffer, from: number, to: number, given = false, roomy = false): void {
    if (this.#framing === "none") return; // a plugin made it an answer without content
    this.#exchange!.bytesOut += to - from;
    sendPiece(this.connection, this.#framing, bytes, from, to, given, roomy);
    if (this.connection.full) this.#pace.watch(this.connection);
  }

  direct(): Connection | null {
    if (this.#framing !== "length") return null;
    if (inOutbox(this.connection)) flushOutbox();
    return this.connection;
  }

  end(trailers: HeaderBlock | null): void {
    sendEnd(this.connection, this.#framing, trailers);
    this.#responseDone = true;
    this.#finishIfOver();
  }

  abort(cause: Fault): void {
    const x = this.#exchange;
    if (x === null) return;
    x.fault ??= cause;
    if (inOutbox(this.connection)) flushOutbox();
    this.#finish();
    this.#state = LINGER; // what still arrives must not be taken for more of this exchange
    // A reset, so that a body without a length is not taken for complete.
    this.connection.destroy(this.#framing === "close" || this.connection.queued > 0);
  }

  reply(answer: Reply): void {
    const x = this.#exchange!;
    if (this.#answered) return this.abort(x.fault ?? fault("proxy.internal", "second answer"));
    if (!this.#requestDone) this.discardBody();
    if (this.#state !== EXCHANGE) return;
    this.#answered = true;
    this.#framing = "length";
    x.status = answer.status;
    x.bytesOut += sendReply(this.connection, answer, this.#persistence(), this.#toHead, this.#listener.altSvc);
    this.#responseDone = true;
    this.#finishIfOver();
  }

  fail(cause: Fault): void {
    const x = this.#exchange!;
    x.fault ??= cause;
    if (this.#answered) return this.abort(cause);
    // After an ambiguous path it is still clear where the next request begins.
    if (specOf(cause).side === "client" && cause.code !== "request.path") this.#persist = false;
    this.reply(faultReply(x, cause));
  }

  upgrade(head: ResponseHead): TunnelEnd<Connection> {
    const x = this.#exchange!;
    this.#answered = true;
    x.status = head.status;
    sendHead(this.connection, head, "none", "");
    this.#state = TUNNEL;
    this.#listener.wheel.drop(this.#timer);
    const early = this.#held === null ? null : (this.#held.subarray(this.#heldAt) as Buffer);
    this.#held = null;
    return { connection: this.connection, early, ended: this.#peerEnded };
  }

  tunnelClosed(bytesIn: number, bytesOut: number): void {
    const x = this.#exchange;
    if (x === null) return;
    x.bytesIn += bytesIn;
    x.bytesOut += bytesOut;
    this.#finish();
    this.#leave();
  }

  // ——— the end of an exchange and of the connection

  #finishIfOver(): void {
    // Without an exchange: the sink has answered, and so ended it, while it was told of the request's end.
    if (!this.#responseDone || this.#exchange === null) return;
    if (!this.#requestDone) {
      if (this.#discarding && !this.#persist) this.#linger();
      return;
    }
    this.#finish();
    if (!this.#persist || this.#peerEnded) this.#linger();
    else this.#next();
  }

  /** Reports the exchange; the connection is then ready for the next one or for its end. */
  #finish(): void {
    const x = this.#exchange!;
    this.#exchange = null;
    this.#sink = null;
    this.#listener.handler.finished(x);
    const reader = this.#reader;
    this.#reader = null;
    // Plugins may keep the exchange: then its head is not used for another.
    if (reader !== null && x.route?.retained !== true) giveBackReader(reader);
  }

  #next(): void {
    this.#state = IDLE;
    this.#listener.wheel.arm(this.#timer, this.#listener.options.timeouts.idle);
    if (this.#held !== null) this.#readHeld();
    else if (this.#listener.draining)
      this.#linger(); // its answer had begun before the drain did
    else if (this.#bodyPaused) this.connection.resume();
  }

  /** Closes our side and drops what still comes until the client has closed its own. */
  #linger(): void {
    if (this.#exchange !== null) this.#finish();
    if (this.#state === LINGER || this.#state === CLOSED) return;
    this.#held = null;
    this.#state = LINGER;
    this.#pace.forgive();
    this.#listener.wheel.arm(this.#timer, LINGER_MS);
    if (this.#peerEnded) return this.connection.close();
    this.connection.end();
    this.connection.resume();
  }

  onDrain(): void {
    if (this.#sink !== null) this.#sink.onDownstreamDrain();
    else if (this.#state === IDLE && this.#held !== null) this.#readHeld();
  }

  onEnd(): void {
    this.#peerEnded = true;
    if (this.#state === EXCHANGE && this.#requestDone) {
      if (!this.#listener.options.halfClose) this.#listener.wheel.arm(this.#timer, HALF_CLOSED_MS);
    } else if (this.#state === EXCHANGE) this.#gone(fault("client.gone", "closed inside its request body"));
    else this.connection.close();
  }

  /** The client will not read the answer any more. */
  #gone(cause: Fault): void {
    const x = this.#exchange;
    if (x === null) return;
    x.fault ??= cause;
    if (!this.#answered) x.status = specOf(cause).status;
    const sink = this.#sink;
    this.#sink = null;
    sink?.onDownstreamGone(cause);
    if (this.#exchange !== null) this.#finish();
    this.#state = LINGER;
    this.connection.destroy();
  }

  onClose(): void {
    if (this.#exchange !== null) this.#gone(fault("client.gone", "connection closed"));
    this.#leave();
  }

  #leave(): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.#held = null;
    this.#listener.wheel.drop(this.#timer);
    this.#listener.closed(this.connection);
  }

  #onTimer(): void {
    const { wheel, options } = this.#listener;
    switch (this.#state) {
      case IDLE:
        // The last answers may still be leaving. A close would wait for that without end, so a stalled one is cut off.
        if (this.connection.queued === 0) this.connection.close();
        else if (this.#pace.stalled(this.connection)) this.connection.destroy();
        else wheel.arm(this.#timer, options.timeouts.body);
        break;
      case HEAD:
        this.#refuse(fault("request.timeout", "request head not complete in time"));
        break;
      case EXCHANGE:
        if (this.#peerEnded && !options.halfClose)
          return this.#gone(fault("client.gone", "closed before it was answered"));
        if (this.#pace.stalled(this.connection)) return this.#gone(fault("client.gone", "reads too slowly"));
        if (!this.#requestDone && this.#bodyOpen && !this.#bodyPaused && !this.#discarding) {
          return this.#brokenBody(fault("request.timeout", "request body stopped"));
        }
        if (this.#discarding && this.#responseDone) return this.#linger();
        wheel.arm(this.#timer, options.timeouts.body);
        break;
      case LINGER:
        // An answer that is still leaving gets its time; one that is through does not wait longer.
        if (this.connection.queued > 0 && !this.#pace.stalled(this.connection))
          return wheel.arm(this.#timer, options.timeouts.body);
        this.connection.destroy();
    }
  }
}
