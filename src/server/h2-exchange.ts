// One request of an HTTP/2 client and its answer: a stream on one side, an exchange on the other (RFC 9113 §8.1).
import { turnTime } from "../core/clock.ts";
import { type Fault, fault, specOf } from "../core/faults.ts";
import { spent } from "../core/spent.ts";
import { GRPC } from "../http/grpc.ts";
import { ERROR, FRAME_BYTES_MAX } from "../http/h2/frames.ts";
import { parsePriority } from "../http/h2/priority-field.ts";
import type { StreamHandler } from "../http/h2/stream.ts";
import { copyBlock } from "../http/h2/trailers.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { type RequestHead, ResponseHead } from "../http/message.ts";
import type { ResetCause } from "../observe/metrics.ts";
import type { ClientInfo } from "../pipeline/client-info.ts";
import { type Downstream, Exchange, type RequestSink, type TunnelEnd } from "../pipeline/exchange.ts";
import { failExchange, faultReply } from "../pipeline/grpc-reply.ts";
import type { Reply } from "../pipeline/reply.ts";
import type { Connection } from "../transport/connection.ts";
import type { Carrier, ExchangeStream } from "./exchange-stream.ts";
import { hasContent, sendHead, sendInformational, sendReply } from "./h2-output.ts";
import { H2Pace } from "./h2-pace.ts";
import { H2StreamConnection } from "./h2-stream-connection.ts";
import { asConnected, beginHandshake, provesKey } from "./h2-websocket.ts";
import type { AltSvc, ListenerContext } from "./listener.ts";

/** The connection that carries the exchange. */
export interface ExchangeOwner {
  readonly connection: Carrier;
  readonly listener: ListenerContext;
  readonly client: ClientInfo;
  /** What answers say about HTTP/3. */
  readonly altSvc: AltSvc | null;
  /** The exchange wants to be looked at when its deadline has come. */
  deadlineAt(deadline: number): void;
  /** The exchange is over; its head may be used again if `reusable`. */
  exchangeOver(exchange: H2Exchange, head: RequestHead, reusable: boolean): void;
  /** Calls `exchange.stop()` once nothing of its answer waits in the stream any more. */
  stopWhenSent(exchange: H2Exchange): void;
  countReset(cause: ResetCause): void;
}

const NO_RESPONSE = new ResponseHead();
const NEVER = Number.POSITIVE_INFINITY;

export class H2Exchange implements Downstream, StreamHandler {
  readonly stream: ExchangeStream;
  // Its place among those of its connection (ExchangeList).
  next: H2Exchange | null = null;
  previous: H2Exchange | null = null;
  isListed = false;
  readonly #owner: ExchangeOwner;
  readonly #x: Exchange;
  #sink: RequestSink | null = null;
  #bodyOpen = false; // the sink wants the body
  #bodyPaused = false;
  #discarding = false;
  #requestDone: boolean;
  #trailers: HeaderBlock | null = null; // of a body that ended before anybody asked for it
  #answered = false;
  #responseDone = false;
  readonly #toHead: boolean; // the client asked with HEAD, whatever method a plugin made of it
  #hasContent = false;
  /** Bytes of content that end the answer, as its head says; -1 where only its end tells. */
  #contentLeft = -1;
  #over = false; // the exchange is; its last bytes may still wait in the stream
  #streamOver = false;
  /** Made when something is waited for. */
  #pace: H2Pace | null = null;
  #websocketKey = "";
  #tunnel: H2StreamConnection | null = null;
  #endedEarly = false; // the client closed its side of a tunnel that is still to come

  constructor(owner: ExchangeOwner, stream: ExchangeStream, head: RequestHead) {
    this.stream = stream;
    this.#owner = owner;
    this.#requestDone = stream.remoteEnded;
    this.#toHead = head.method === "HEAD";
    this.#x = new Exchange(head, NO_RESPONSE, this, owner.client, owner.listener.name, turnTime());
    stream.handler = this;
  }

  /** Hands the request on, unless its client has taken it back. */
  begin(): void {
    if (this.#over) return;
    const { request } = this.#x;
    if (request.upgrade !== "") {
      this.#endedEarly = this.#requestDone;
      if (request.upgrade !== "websocket") return this.refuse(fault("request.protocol", request.upgrade));
      this.#websocketKey = beginHandshake(request);
      this.#requestDone = true; // what follows belongs to the tunnel
      this.stream.pause();
    }
    this.#owner.listener.handler.handle(this.#x);
    // Before somebody wants the body it waits in the stream, and takes of the client's window only.
    if (!this.#requestDone && !this.#bodyOpen && !this.#discarding && !this.#streamOver) this.stream.pause();
  }

  /** Answers a request that cannot be served. */
  refuse(cause: Fault): void {
    this.fail(cause);
  }

  /** Neither the stream nor the exchange goes on. */
  get gone(): boolean {
    return this.#over && this.#streamOver;
  }

  // ——— StreamHandler: what comes from the client

  onHead(): void {}

  onData(bytes: Buffer, from: number, to: number, given = false): void {
    if (this.#tunnel !== null) return this.#tunnel.data(bytes, from, to);
    const length = to - from;
    if (this.#over) return;
    this.#x.bytesIn += length;
    if (this.#discarding) return;
    const max = this.#x.route?.bodyMax ?? NEVER;
    if (this.#x.bytesIn > max) return this.#brokenBody(fault("request.body_too_large", `more than ${max} bytes`));
    this.#sink?.onRequestData(bytes, from, to, given);
    if (this.#pace?.received(length) !== false || this.#over || this.#discarding) return;
    this.#brokenBody(fault("request.timeout", "request body slower than its minimum rate"));
  }

  onEnd(trailers: HeaderBlock | null): void {
    if (this.#tunnel !== null) return this.#tunnel.handler.onEnd();
    if (this.#requestDone) {
      this.#endedEarly = true;
      return;
    }
    this.#requestDone = true;
    this.#pace?.stopBody();
    // They are valid for this call, and whoever forwards them may have to send them again.
    this.#trailers = trailers === null ? null : copyBlock(trailers);
    this.#sink?.onRequestEnd(this.#trailers);
    this.#finishIfOver();
  }

  onStreamDrain(): void {
    if (this.#tunnel !== null) return this.#tunnel.handler.onDrain();
    this.#sink?.onDownstreamDrain();
  }

  onReset(code: number, byPeer: boolean): void {
    this.#owner.countReset(byPeer ? "client" : "error");
    if (this.#tunnel !== null) this.#tunnel.gone(new Error(`stream reset: ${code}`));
    else this.#gone(fault("client.gone", byPeer ? `stream reset with code ${code}` : `stream error ${code}`));
    this.stream.release(); // whatever was done for it upstream has been stopped
  }

  /** HTTP/3 only, whose runtime holds no client back: more of the body has come than is kept for its reader. */
  onOverflow(): void {
    if (this.#tunnel !== null) this.#reset(ERROR.enhanceYourCalm);
    else this.#brokenBody(fault("request.body_ahead"));
  }

  /** The client has closed its sending side of the connection. */
  clientEnded(): void {
    // What waits in the stream is all there.
    if (this.#requestDone || this.stream.remoteEnded || this.#responseDone) return;
    this.#gone(fault("client.gone", "closed inside its request body"));
  }

  /** The stream is closed both ways, and nothing more comes of it. */
  streamGone(): void {
    this.#streamOver = true;
    this.#pace = null;
    this.#tunnel?.gone(null);
  }

  /** The client will not read the answer any more. */
  #gone(cause: Fault): void {
    if (this.#over) return;
    const x = this.#x;
    x.fault ??= cause;
    if (!this.#answered) x.status = specOf(cause).status;
    const sink = this.#sink;
    this.#sink = null;
    sink?.onDownstreamGone(cause);
    this.#finish();
  }

  /** The body breaks a limit: the upstream must not take it for complete. */
  #brokenBody(cause: Fault): void {
    const x = this.#x;
    // What changes the answer's body on its way has to pass the status on.
    const sink = x.endsInStatus ? x.sink : this.#sink;
    this.#sink = null;
    this.#pace?.stopBody();
    sink?.onDownstreamGone(cause);
    if (this.#over) return;
    if (this.#responseDone)
      this.discardBody(); // nobody needs the rest of it
    else failExchange(x, cause);
  }

  // ——— time-outs

  get deadline(): number {
    return this.#pace === null ? NEVER : this.#pace.deadline;
  }

  /** The deadline has come. */
  look(): void {
    const pace = this.#pace;
    if (pace === null) return;
    if (pace.writeDue) {
      if (this.stream.queued === 0) pace.stopWatch();
      // One that only waits for others of its connection is not to blame.
      else if (pace.stalled(this.#sent, this.#owner.connection.sent, this.stream.sendWindow <= 0))
        return this.#cutOff();
    }
    if (pace.bodyOverdue) this.#brokenBody(fault("request.timeout", "request body stopped"));
  }

  /** The client gives this stream no window. It is given up, the others go on. */
  #cutOff(): void {
    this.#reset(ERROR.cancel);
    this.#gone(fault("client.gone", "reads too slowly"));
  }

  #reset(code: number): void {
    if (this.#streamOver) return;
    this.#owner.countReset("proxy");
    this.stream.reset(code);
  }

  get #sent(): number {
    return this.#x.bytesOut - this.stream.queued;
  }

  #awaitBody(): void {
    const x = this.#x;
    this.#pace ??= new H2Pace(this.#owner.listener);
    // Between the messages of a gRPC call may be as much silence as in a tunnel.
    if (x.grpc === GRPC) this.#pace.startMessages(x.route?.tunnelIdle || this.tunnelIdle);
    else this.#pace.startBody();
    this.#owner.deadlineAt(this.#pace.deadline);
  }

  /** Looks after bytes that wait for the client. */
  #watch(): void {
    if (this.stream.queued === 0) return;
    this.#pace ??= new H2Pace(this.#owner.listener);
    this.#pace.watch(this.#sent, this.#owner.connection.sent);
    this.#owner.deadlineAt(this.#pace.deadline);
  }

  // ——— Downstream: what the pipeline does with the client

  get full(): boolean {
    return this.stream.full;
  }
  get tunnelIdle(): number {
    return this.#owner.listener.options.timeouts.tunnel;
  }
  get answered(): boolean {
    return this.#answered;
  }

  readBody(sink: RequestSink): void {
    this.#sink = sink;
    this.#bodyOpen = true;
    if (this.#requestDone) return sink.onRequestEnd(this.#trailers);
    this.#awaitBody();
    this.stream.resume();
  }

  pauseBody(): void {
    if (this.#bodyPaused || this.#requestDone) return;
    this.#bodyPaused = true;
    this.#pace?.stopBody();
    this.stream.pause();
  }

  resumeBody(): void {
    if (!this.#bodyPaused) return;
    this.#bodyPaused = false;
    if (this.#requestDone || this.#over) return;
    this.#awaitBody();
    this.stream.resume();
  }

  /** What still comes is dropped, and the client told to stop once it is answered. */
  discardBody(): void {
    if (this.#requestDone || this.#discarding) return;
    this.#discarding = true;
    this.#sink = null;
    this.#pace?.stopBody();
    if (this.#streamOver) return;
    this.stream.resume();
    this.#finishIfOver();
  }

  informational(head: ResponseHead): void {
    if (!this.#answered && !this.#streamOver) sendInformational(this.stream, head);
  }

  head(head: ResponseHead): void {
    if (this.#websocketKey !== "" && head.status < 300) return this.#notConnected(head.status);
    this.#answered = true;
    this.#x.status = head.status;
    this.#hasContent = hasContent(this.#toHead, head);
    // Servers of HTTP/2 may send trailers behind any content.
    if (head.body === "length" && head.version < 20) this.#contentLeft = head.length;
    if (this.#streamOver) return;
    sendHead(this.stream, head, this.#toHead, !this.#hasContent, this.#owner.altSvc);
    // What fits into one frame competes with nobody.
    if (this.#hasContent && (head.body !== "length" || head.length > FRAME_BYTES_MAX)) this.#prioritise(head);
  }

  /** Servers may know better than clients what is urgent (RFC 9218 §8). */
  #prioritise({ headers }: ResponseHead): void {
    const text = headers.get("priority");
    if (text === null) return;
    const { stream } = this;
    const priority = parsePriority(text, stream);
    if (priority !== null) stream.reprioritise(priority.urgency, priority.incremental);
  }

  /** Whatever is 2xx would tell the client that it is connected (RFC 9113 §8.5, RFC 8441 §5.1). */
  #notConnected(status: number): void {
    const cause = fault("upstream.upgrade", `${status} to a request for a WebSocket`);
    const sink = this.#sink;
    this.#sink = null;
    sink?.onDownstreamGone(cause);
    this.fail(cause);
  }

  data(bytes: Buffer, from: number, to: number, given = false): void {
    const { stream } = this;
    if (!this.#hasContent || this.#streamOver) return; // a plugin made it an answer without content
    const length = to - from;
    this.#x.bytesOut += length;
    this.#pace?.answered();
    let isLast = false;
    if (this.#contentLeft >= 0) {
      this.#contentLeft -= length;
      isLast = this.#contentLeft === 0;
    }
    stream.sendData(bytes, from, to, isLast);
    if (stream.queued > 0) this.#watch();
    else if (given && stream.copies) spent(bytes);
  }

  end(trailers: HeaderBlock | null): void {
    if (this.#hasContent && !this.#streamOver) this.stream.sendEnd(trailers);
    this.#responseDone = true;
    this.#watch();
    this.#finishIfOver();
  }

  abort(cause: Fault): void {
    if (this.#over) return;
    this.#x.fault ??= cause;
    this.#sink = null;
    this.#reset(ERROR.internal);
    this.#finish();
  }

  reply(answer: Reply): void {
    const x = this.#x;
    if (this.#answered) return this.abort(x.fault ?? fault("proxy.internal", "second answer"));
    if (this.#websocketKey !== "" && answer.status < 300)
      return this.fail(fault("request.protocol", "no WebSocket here"));
    if (!this.#requestDone) this.discardBody();
    this.#answered = true;
    x.status = answer.status;
    if (!this.#streamOver) x.bytesOut += sendReply(this.stream, answer, this.#toHead, this.#owner.altSvc);
    this.#responseDone = true;
    this.#watch();
    this.#finishIfOver();
  }

  fail(cause: Fault): void {
    const x = this.#x;
    x.fault ??= cause;
    if (this.#answered) return this.abort(cause);
    this.reply(faultReply(x, cause));
  }

  fitsUpgrade(head: ResponseHead): boolean {
    return provesKey(head, this.#websocketKey);
  }

  upgrade(head: ResponseHead): TunnelEnd<Connection> {
    this.#answered = true;
    asConnected(head);
    this.#x.status = head.status;
    const connection = new H2StreamConnection(this.stream, this.#owner.connection, this);
    this.#tunnel = connection;
    this.#sink = null;
    sendHead(this.stream, head, false, false);
    return { connection, early: null, ended: this.#endedEarly };
  }

  tunnelClosed(bytesIn: number, bytesOut: number): void {
    if (this.#over) return;
    this.#x.bytesIn += bytesIn;
    this.#x.bytesOut += bytesOut;
    this.#finish();
  }

  // ——— the end

  /** What the client still sends is dropped; once it has its answer it is told to stop (RFC 9113 §8.1). */
  stopReceiving(): void {
    this.stream.resume();
    this.#owner.stopWhenSent(this);
  }

  /** Its answer has left. */
  stop(): void {
    if (!this.stream.remoteEnded) this.#reset(ERROR.none);
  }

  #finishIfOver(): void {
    if (!this.#responseDone || this.#over) return;
    if (this.#requestDone || this.#discarding) this.#finish();
  }

  /** Reports the exchange. What waits in the stream still leaves, and the client need not send the rest of its body. */
  #finish(): void {
    const x = this.#x;
    this.#over = true;
    this.#sink = null;
    this.#pace?.stopBody();
    this.#owner.listener.handler.finished(x);
    if (!this.#streamOver && !this.stream.remoteEnded && this.#tunnel === null) this.stopReceiving();
    // Plugins may keep the exchange: then its head is not used for another.
    this.#owner.exchangeOver(this, x.request, x.route?.retained !== true);
  }
}
