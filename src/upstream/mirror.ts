// A copy of one request, sent to another upstream whose answer nobody reads. It has its own connection and its own
// bytes, so it never slows the client or the server that answers: what it cannot do at once, it gives up.
import { turnTime } from "../core/clock.ts";
import type { Fault } from "../core/faults.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { requestHeadMax, writeRequestHead } from "./h1-request.ts";
import type { ConnectionWant, Server } from "./pool.ts";
import { ReplayBuffer } from "./replay-buffer.ts";
import { serverHost, type Upstream } from "./upstream.ts";
import type { UpstreamCall, UpstreamClient } from "./upstream-client.ts";
import type { Want } from "./want.ts";

/** What of an upstream copies need. */
export type MirrorTarget = Pick<
  Upstream,
  "acquire" | "cancelled" | "config" | "hostFor" | "keyOf" | "outcome" | "prefaceFor" | "unreachable" | "withdrawn"
>;

/** Of an answer this much is read, so that its connection can be used again; a longer one ends with its connection. */
const ANSWER_BYTES_MAX = 1_048_576;
/** Who waits last: no queue is ever entered, but the number must be one of a queue's. */
const LAST_LANE = 7;

/** The side that the request comes from: told of its body as it passes. */
export class Mirror {
  readonly #call: MirrorCall;

  private constructor(call: MirrorCall) {
    this.#call = call;
  }

  /**
   * Starts a copy of a request whose head is complete and as servers get it. Null when there is none: the request is
   * one for a tunnel or has a body of more than `bodyMax` bytes, or no server has room.
   */
  static start(x: Exchange, target: MirrorTarget, bodyMax: number): Mirror | null {
    if (x.request.upgrade !== "" || x.request.length > bodyMax) return null;
    const call = new MirrorCall(x, target, bodyMax);
    target.acquire(call);
    return call.withdrawn ? null : new Mirror(call);
  }

  /** A piece of the request's body; the bytes must stay. */
  onData(bytes: Buffer, from: number, to: number): void {
    this.#call.sendData(bytes, from, to);
  }

  onEnd(trailers: HeaderBlock | null): void {
    this.#call.sendEnd(trailers);
  }

  /** The rest of the request will not come. A copy that is whole by then is not held up by that. */
  gone(): void {
    this.#call.cut();
  }
}

/** The side of the server that gets the copy. */
class MirrorCall implements Want, ConnectionWant, UpstreamCall {
  readonly freshOnly = false;
  readonly repeatable = false;
  readonly upgrade = ""; // nothing is made a copy of that has one
  readonly pinned = null;
  readonly tried = null;
  readonly patient = false;
  readonly movable = false;
  readonly lane = LAST_LANE;
  readonly connectMs: number;
  readonly key: number;
  readonly preface: Buffer | null;
  readonly #target: MirrorTarget;
  readonly #method: string;
  readonly #chunked: boolean;
  readonly #bodyMax: number;
  /** Until a server is chosen, which is before `acquire` returns: the exchange may end long before the copy does. */
  #x: Exchange | null;
  #head: Buffer | null = null;
  /** What of the body came before there was a connection. */
  #early: ReplayBuffer | null = null;
  #bodyBytes = 0;
  #ended = false;
  #trailers: HeaderBlock | null = null;
  #server: Server | null = null;
  #client: UpstreamClient | null = null;
  #startedAt = 0;
  #answered = false;
  #answerBytes = 0;
  #over = false;

  constructor(x: Exchange, target: MirrorTarget, bodyMax: number) {
    this.connectMs = target.config.timeouts.connect;
    this.key = target.keyOf(x);
    this.preface = target.prefaceFor(x.client);
    this.#target = target;
    this.#x = x;
    this.#method = x.request.method;
    this.#chunked = x.request.body === "chunked";
    this.#bodyMax = bodyMax;
  }

  get withdrawn(): boolean {
    return this.#over;
  }

  onServer(server: Server): void {
    const x = this.#x!;
    this.#x = null;
    this.#server = server;
    const host = this.#target.hostFor(server) ?? (x.request.authority === "" ? serverHost(server) : null);
    // The exchange's head lies in a buffer that its connection uses again; the copy may be sent later.
    const room = Buffer.allocUnsafeSlow(requestHeadMax(x, host));
    this.#head = room.subarray(0, writeRequestHead(room, 0, x, host)) as Buffer;
    server.request(this);
  }

  onNoServer(): void {
    this.#over = true;
    this.#x = null;
  }

  onConnection(client: UpstreamClient): void {
    const { response } = this.#target.config.timeouts;
    const head = this.#head!;
    const early = this.#early;
    this.#head = null;
    this.#early = null;
    this.#client = client;
    this.#startedAt = turnTime();
    client.startRaw(this, head, this.#method, this.#chunked, response, response);
    early?.sendTo(client);
    if (this.#ended) client.sendEnd(this.#trailers);
  }

  onNoConnection(): void {
    this.#over = true;
    this.#head = null;
    this.#early = null;
    this.#target.unreachable(this.#server!);
  }

  // ——— the request

  /**
   * What a connection does not take at once waits in its queue, and before there is one it waits here: either way at
   * most `bodyMax` bytes, as no copy is longer.
   */
  sendData(bytes: Buffer, from: number, to: number): void {
    if (this.#over) return;
    this.#bodyBytes += to - from;
    if (this.#bodyBytes > this.#bodyMax) return this.#giveUp();
    if (this.#client !== null) return this.#client.sendData(bytes, from, to);
    this.#early ??= new ReplayBuffer(this.#bodyMax);
    if (!this.#keepEarly(this.#early, bytes, from, to)) this.#giveUp();
  }

  /** A small piece of a large chunk is copied, so that it does not hold on to all of it. */
  #keepEarly(early: ReplayBuffer, bytes: Buffer, from: number, to: number): boolean {
    if ((to - from) * 2 >= bytes.length) return early.add(bytes, from, to, false);
    return early.add(Buffer.from(bytes.subarray(from, to)), 0, to - from, false);
  }

  sendEnd(trailers: HeaderBlock | null): void {
    if (this.#over || this.#ended) return;
    this.#ended = true;
    this.#trailers = trailers;
    this.#client?.sendEnd(trailers);
  }

  cut(): void {
    if (!this.#ended) this.#giveUp();
  }

  #giveUp(): void {
    if (this.#over) return;
    this.#over = true;
    this.#early = null;
    const client = this.#client;
    this.#client = null;
    if (client === null) return; // whoever brings the connection finds it withdrawn
    if (!this.#answered) this.#target.cancelled(this.#server!);
    client.abandon();
  }

  // ——— the answer

  onInformational(): void {}
  onDrain(): void {}

  onResponse(head: ResponseHead): boolean {
    this.#answered = true;
    this.#target.outcome(this.#server!, head.status, turnTime() - this.#startedAt);
    if (head.status === 101) this.#giveUp(); // nobody asked for another protocol
    return true;
  }

  /** Read to its end within the time of an answer, unless it is long: then its connection is not worth it. */
  onData(_bytes: Buffer, from: number, to: number): void {
    this.#answerBytes += to - from;
    const late = turnTime() - this.#startedAt > this.#target.config.timeouts.response;
    if (late || this.#answerBytes > ANSWER_BYTES_MAX) this.#giveUp();
  }

  onEnd(): void {
    if (!this.#ended) return this.#giveUp(); // it has heard enough of the request
    this.#over = true;
    this.#client = null;
  }

  onFault(cause: Fault): void {
    this.#client = null;
    if (this.#over) return;
    this.#over = true;
    if (cause.code === "upstream.refused") this.#target.withdrawn();
    else if (!this.#answered) this.#target.outcome(this.#server!, 0, turnTime() - this.#startedAt);
  }
}
