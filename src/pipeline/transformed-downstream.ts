// Stands between a client's connection and whoever forwards its request, while something changes or holds a body: the
// stages of both bodies, and the part of a request that was read ahead.
import type { Fault } from "../core/faults.ts";
import { copiedResponse } from "../http/copied-head.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import type { ResponseHead } from "../http/message.ts";
import type {
  BodyLook,
  BodyOutput,
  BodyTransform,
  HoldingTransform,
  LateOutput,
  LateTransform,
} from "./body-transform.ts";
import type { DirectOutput, Downstream, Exchange, RequestSink, TunnelEnd } from "./exchange.ts";
import { Gathered } from "./gathered.ts";
import type { Reply } from "./reply.ts";

/** One transform and what its output goes to. */
class Stage implements BodyOutput {
  readonly #transform: BodyTransform;
  next: BodyOutput;

  constructor(transform: BodyTransform, next: BodyOutput) {
    this.#transform = transform;
    this.next = next;
  }

  data(bytes: Buffer, from: number, to: number): void {
    this.#transform.push(bytes, from, to, this.next);
  }
  end(trailers: HeaderBlock | null): void {
    this.#transform.end(trailers, this.next);
  }
  fail(cause: Fault): void {
    this.next.fail(cause);
  }
}

/** The transforms of one body; without any, its exit alone. */
class Stages {
  /** Where bytes go in: the first transform, or the exit itself. */
  first: BodyOutput;
  #last: Stage | null = null;
  readonly #exit: BodyOutput;

  constructor(exit: BodyOutput) {
    this.first = exit;
    this.#exit = exit;
  }

  get empty(): boolean {
    return this.#last === null;
  }

  add(transform: BodyTransform): void {
    const stage = new Stage(transform, this.#exit);
    if (this.#last === null) this.first = stage;
    else this.#last.next = stage;
    this.#last = stage;
  }

  /** Gives all of a body to those that are there, which are done with it then; what they put out is dropped. */
  settle(pieces: readonly Buffer[], trailers: HeaderBlock | null, dropped: BodyOutput): void {
    if (this.#last === null) return;
    this.#last.next = dropped;
    for (const piece of pieces) this.first.data(piece, 0, piece.length);
    this.first.end(trailers);
    this.first = this.#exit;
    this.#last = null;
  }
}

/** Where the changed body of the request goes. */
class RequestExit implements BodyOutput {
  readonly #owner: TransformedDownstream;

  constructor(owner: TransformedDownstream) {
    this.#owner = owner;
  }
  data(bytes: Buffer, from: number, to: number): void {
    this.#owner.sink?.onRequestData(bytes, from, to);
  }
  end(trailers: HeaderBlock | null): void {
    this.#owner.sink?.onRequestEnd(trailers);
  }
  fail(cause: Fault): void {
    this.#owner.broken(cause);
  }
}

/** Where the changed body of the answer goes. */
class ResponseExit implements LateOutput {
  readonly #owner: TransformedDownstream;
  readonly #downstream: Downstream;

  constructor(owner: TransformedDownstream, downstream: Downstream) {
    this.#owner = owner;
    this.#downstream = downstream;
  }
  get full(): boolean {
    return this.#owner.clientFull;
  }
  data(bytes: Buffer, from: number, to: number): void {
    if (this.#owner.over) return;
    this.#owner.putHead();
    this.#downstream.data(bytes, from, to);
  }
  end(trailers: HeaderBlock | null): void {
    if (this.#owner.over) return;
    this.#owner.putHead();
    this.#owner.over = true;
    this.#downstream.end(trailers);
  }
  head(): void {
    if (!this.#owner.over) this.#owner.putHead();
  }
  room(): void {
    this.#owner.onDownstreamDrain();
  }
  fail(cause: Fault): void {
    this.#owner.broken(cause);
  }
}

/** The beginning of a request's body, read before anybody asked for it. */
class Ahead {
  /** Null once it has seen enough. */
  look: BodyLook | null;
  readonly #bytes = new Gathered();
  ended = false;
  trailers: HeaderBlock | null = null;

  constructor(look: BodyLook) {
    this.look = look;
  }

  get pieces(): readonly Buffer[] {
    return this.#bytes.pieces;
  }

  /** Another one looks at what is there. False when that is all it wants, or all there is. */
  again(look: BodyLook): boolean {
    this.look = look;
    return this.pieces.every((piece) => look.piece(piece, 0, piece.length)) && !this.ended;
  }

  /** What was read is another body from here on, and whole. */
  replace(body: Buffer): void {
    this.#bytes.clear();
    if (body.length > 0) this.#bytes.add(body, 0, body.length);
  }

  /** False when the client is to be held up. */
  keep(bytes: Buffer, from: number, to: number): boolean {
    this.#bytes.add(bytes, from, to);
    return this.look?.piece(bytes, from, to) === true;
  }
  seen(): void {
    const { look } = this;
    this.look = null;
    look?.seen();
  }
}

const NOBODY: readonly HoldingTransform[] = [];

export class TransformedDownstream implements Downstream, RequestSink {
  readonly request: Stages;
  readonly response: Stages;
  /** Who takes the changed body of the request; null before somebody does, and once nobody does any more. */
  sink: RequestSink | null = null;
  /** A body made no sense: nothing goes on. */
  over = false;
  readonly #x: Exchange;
  readonly #client: Downstream;
  readonly #exit: ResponseExit;
  #late: LateTransform | null = null;
  #holds: readonly HoldingTransform[] = NOBODY;
  /** What was read of the request's body ahead; null once somebody has it. */
  #ahead: Ahead | null = null;
  /** The head, while it waits for the late transform, or for what holds the answer. */
  #head: ResponseHead | null = null;
  #deaf = false; // the client's connection no longer tells how it fares

  constructor(x: Exchange, client: Downstream) {
    this.#x = x;
    this.#client = client;
    this.#exit = new ResponseExit(this, client);
    this.request = new Stages(new RequestExit(this));
    this.response = new Stages(this.#exit);
  }

  lookAhead(look: BodyLook): void {
    const before = this.#ahead;
    if (before === null) {
      this.#ahead = new Ahead(look);
      this.#client.readBody(this);
    } else if (before.again(look)) this.#client.resumeBody();
    else before.seen();
  }

  /** Another body in place of one that was read ahead, all of it. Whoever was to look at it as it passes looks now. */
  replaceAhead(body: Buffer): void {
    const ahead = this.#ahead;
    if (ahead === null || !ahead.ended) throw new Error("the body was not read ahead");
    const dropped: BodyOutput = { data() {}, end() {}, fail: (cause) => this.broken(cause) };
    this.request.settle(ahead.pieces, ahead.trailers, dropped);
    ahead.replace(body);
  }

  /** Whether what is put out there goes to the client as it is. */
  isExit(out: BodyOutput): boolean {
    return out === this.#exit;
  }

  addLate(transform: LateTransform): void {
    if (this.#late !== null) throw new Error("an answer has one late transform at most");
    this.#late = transform;
    this.response.add(transform);
  }

  hold(transform: HoldingTransform): { room(): void } {
    this.#holds = [...this.#holds, transform];
    this.response.add(transform);
    return this.#exit;
  }

  /** Once nobody would tell of the drain, what is left is put out without a stop; it is no more than was in hand. */
  get clientFull(): boolean {
    return !this.#deaf && this.#client.full;
  }

  #isHeld(): boolean {
    for (const hold of this.#holds) if (hold.holding) return true;
    return false;
  }
  #isHeldUp(): boolean {
    if (this.#late?.full === true) return true;
    for (const hold of this.#holds) if (hold.full) return true;
    return false;
  }

  /** Sends the head if it waits. */
  putHead(): void {
    const head = this.#head;
    if (head === null || this.#isHeld()) return;
    this.#head = null;
    this.#client.head(head);
  }

  /** Nothing of the answer goes out any more. */
  #close(): void {
    this.over = true;
    this.#head = null;
    this.#late?.gone();
    this.#late = null;
    for (const hold of this.#holds) hold.gone();
    this.#holds = NOBODY;
  }

  /** A transform cannot go on: the server is left, and the client is told. */
  broken(cause: Fault): void {
    if (this.over) return;
    this.#close();
    this.sink = null;
    this.#x.sink?.onDownstreamGone(cause);
    if (!this.#x.over) this.#client.fail(cause);
  }

  // ——— RequestSink: what the client's connection tells

  onRequestData(bytes: Buffer, from: number, to: number, given = false): void {
    if (this.#ahead !== null) return this.#keep(this.#ahead, bytes, from, to);
    if (this.sink === null) return;
    if (this.request.empty) this.sink.onRequestData(bytes, from, to, given);
    else this.request.first.data(bytes, from, to);
  }
  #keep(ahead: Ahead, bytes: Buffer, from: number, to: number): void {
    if (ahead.keep(bytes, from, to)) return;
    this.#client.pauseBody();
    ahead.seen();
  }
  onRequestEnd(trailers: HeaderBlock | null): void {
    const ahead = this.#ahead;
    if (ahead !== null) {
      ahead.ended = true;
      ahead.trailers = trailers;
      ahead.seen();
    } else if (this.sink !== null) this.request.first.end(trailers);
  }
  onDownstreamDrain(): void {
    this.#late?.drain();
    if (!this.#isHeldUp()) this.sink?.onDownstreamDrain();
  }
  onDownstreamGone(cause: Fault): void {
    this.#close();
    this.sink?.onDownstreamGone(cause);
    this.sink = null;
    this.#ahead?.seen();
    this.#ahead = null;
  }

  // ——— Downstream: what the pipeline does with the client

  get full(): boolean {
    return this.#client.full || this.#isHeldUp();
  }
  get tunnelIdle(): number {
    return this.#client.tunnelIdle;
  }
  get answered(): boolean {
    return this.#client.answered;
  }
  readBody(sink: RequestSink): void {
    this.sink = sink;
    const ahead = this.#ahead;
    if (ahead === null) return this.#client.readBody(this);
    this.#ahead = null;
    for (const piece of ahead.pieces) this.onRequestData(piece, 0, piece.length);
    if (ahead.ended) this.onRequestEnd(ahead.trailers);
    else this.#client.resumeBody();
  }
  pauseBody(): void {
    this.#client.pauseBody();
  }
  resumeBody(): void {
    this.#client.resumeBody();
  }
  discardBody(): void {
    this.sink = null;
    this.#ahead = null;
    this.#deaf = true;
    this.#client.discardBody();
    this.#late?.drain();
  }
  informational(head: ResponseHead): void {
    this.#client.informational(head);
  }
  head(head: ResponseHead): void {
    const isHeld = this.#isHeld();
    if (this.#late === null && !isHeld) return this.#client.head(head);
    // What the server's connection has read may be gone by the time that the head leaves.
    this.#head = isHeld ? copiedResponse(head) : head;
    this.#x.response = this.#head;
    this.#late?.start(this.#exit);
  }
  data(bytes: Buffer, from: number, to: number, given = false): void {
    if (this.over) return;
    if (this.response.empty) this.#client.data(bytes, from, to, given);
    else this.response.first.data(bytes, from, to);
  }
  /** Around all of this goes only what nobody changes. */
  direct(): DirectOutput | null {
    return this.over || !this.response.empty ? null : (this.#client.direct?.() ?? null);
  }
  end(trailers: HeaderBlock | null): void {
    if (!this.over) this.response.first.end(trailers);
  }
  abort(cause: Fault): void {
    this.#close();
    this.#client.abort(cause);
  }
  /** A whole answer of Sluice's own is sent as it is. */
  reply(answer: Reply): void {
    this.#close();
    this.#client.reply(answer);
  }
  fail(cause: Fault): void {
    this.#close();
    this.#client.fail(cause);
  }
  fitsUpgrade(head: ResponseHead): boolean {
    return this.#client.fitsUpgrade?.(head) ?? true; // most have no handshake of their own
  }
  upgrade(head: ResponseHead): TunnelEnd<unknown> {
    return this.#client.upgrade(head);
  }
  tunnelClosed(bytesIn: number, bytesOut: number): void {
    this.#client.tunnelClosed(bytesIn, bytesOut);
  }
}
