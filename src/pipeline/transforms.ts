// Changes of bodies as they pass. A filter puts a transform into an exchange; from then on every piece goes through it,
// on the request's side or the answer's. An exchange without any has none of this in its way.
//
//   client → first request transform → … → last → Forward → server
//   client ← last answer transform ← … ← first ← Forward ← server
//
// Back-pressure passes through: what a transform gives out counts as sent or forwarded like any other bytes, and both
// sides are paused and go on as without it. A late transform, which works while others go on, adds what it has in hand.
import type { Fault } from "../core/faults.ts";
import { copiedResponse } from "../http/copied-head.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { type RequestHead, ResponseHead } from "../http/message.ts";
import type { DirectOutput, Downstream, Exchange, RequestSink, TunnelEnd } from "./exchange.ts";
import type { Reply } from "./reply.ts";

/** Where a transform puts what it makes. */
export interface BodyOutput {
  /** A piece of the new body, not empty. The bytes must stay as they are. */
  data(bytes: Buffer, from: number, to: number): void;
  /** The end of the new body. */
  end(trailers: HeaderBlock | null): void;
  /** The body makes no sense: the exchange fails of it. Nothing may be put out after that. */
  fail(cause: Fault): void;
}

/**
 * Changes one body. Neither sockets, timers nor promises in here: what it is given it passes on, changed, before it
 * returns, or keeps, up to a limit of its own. From one piece it must not make more than a small multiple.
 */
export interface BodyTransform {
  /** A piece of the body, cut anywhere. The bytes may be kept. */
  push(bytes: Buffer, from: number, to: number, out: BodyOutput): void;
  /** The body is over: puts out what is left, then the end. */
  end(trailers: HeaderBlock | null, out: BodyOutput): void;
}

/** Where a late transform puts what it makes, at any time until it has been told that the exchange is gone. */
export interface LateOutput extends BodyOutput {
  /** The client takes no more for now: keep what there is until `drain`. */
  readonly full: boolean;
  /** Lets the head leave; a first piece or the end does so too. */
  head(): void;
  /** The transform, which was full, takes bytes again. */
  room(): void;
}

/**
 * Changes the body of an answer in its own time: what it is given may come out later. The head waits for it, so that it
 * may still be changed by what the body turns out to be.
 */
export interface LateTransform extends BodyTransform {
  /** More is in hand than should be: the server is held up until `out.room()`. */
  readonly full: boolean;
  /** The head is there. Must see to it that the head leaves soon, even where no body comes. */
  start(out: LateOutput): void;
  /** The client takes bytes again, or takes them still. */
  drain(): void;
  /** Nobody wants any more of it. */
  gone(): void;
}

/** Lets nothing of an answer go out before it has been looked at. */
export interface HoldingTransform extends BodyTransform {
  /** The head waits for as long. */
  readonly holding: boolean;
  /** More is in hand than should be. */
  readonly full: boolean;
  /** Nobody wants any more of it. */
  gone(): void;
}

/**
 * Puts a transform behind those of the request that are there: its length is not known any more then. For the request
 * phase. A request without a body stays as it is.
 */
export function transformRequest(x: Exchange, transform: BodyTransform): void {
  if (x.request.body === "none") return;
  forgetLength(x.request);
  transformed(x).request.add(transform);
}

/** The same for one that puts out what it is given: the length stays. */
export function watchRequest(x: Exchange, transform: BodyTransform): void {
  transformed(x).request.add(transform);
}

/** The same for the answer. For the response phase, before the head is written. */
export function transformResponse(x: Exchange, transform: BodyTransform): void {
  if (x.response.body === "none") return;
  forgetLength(x.response);
  transformed(x).response.add(transform);
}

/** Says in the request phase that a late transform of the answer may follow, or one that holds it back. */
export function expectTransform(x: Exchange): void {
  x.expectsLate = true;
}

/**
 * Makes ready for the transform that is expected, before the body of the request is asked for: from then on it is
 * heard how the client takes the answer. An answer for which this is not called gets none.
 */
export function openTransforms(x: Exchange): void {
  if (x.expectsLate) transformed(x);
}

/** Whether something changes the answer's body by now. */
export function isTransformed({ downstream }: Exchange): boolean {
  return downstream instanceof TransformedDownstream && !downstream.response.empty;
}

/**
 * Puts a late transform behind all others of the answer; there can be one. For the response phase of an exchange that
 * expects it. The head's length and framing are the transform's to change.
 */
export function transformLater(x: Exchange, transform: LateTransform): void {
  if (x.response.body !== "none") transformed(x).addLate(transform);
}

/**
 * Keeps an answer back, head and body, until it has been looked at; then it lets all of it through as it came. For the
 * response phase of an exchange that expects it, or whose request was read ahead. `room` of what is returned is to be
 * called when it is not full any more.
 */
export function holdResponse(x: Exchange, transform: HoldingTransform): { room(): void } {
  return transformed(x).hold(transform);
}

/** Looks at the body of a request before anybody forwards it. */
export interface BodyLook {
  /** A piece, which must not be kept; false when enough has been seen. */
  piece(bytes: Buffer, from: number, to: number): boolean;
  /** Enough has been seen, or all there is, or the client has gone. Called once. */
  seen(): void;
}

/**
 * Reads the body of a request ahead and keeps what was read, until the look has seen enough; from then on the client is
 * held up until somebody asks for the body, who gets all of it. For the request phase, of a filter that waits for it;
 * another filter may look behind it.
 */
export function lookAhead(x: Exchange, look: BodyLook): void {
  const { request, downstream } = x;
  if (request.expectContinue) {
    // The client waits for this before it sends anything, and no server has been asked.
    downstream.informational(Object.assign(new ResponseHead(), { status: 100 }));
    request.expectContinue = false;
    request.headers.removeReceived("expect");
  }
  transformed(x).lookAhead(look);
}

/** The body's length is not known any more. */
export function forgetLength(head: RequestHead | ResponseHead): void {
  head.body = "chunked";
  head.length = 0;
  head.headers.removeReceived("content-length");
}

function transformed(x: Exchange): TransformedDownstream {
  if (x.downstream instanceof TransformedDownstream) return x.downstream;
  const downstream = new TransformedDownstream(x, x.downstream);
  x.downstream = downstream;
  return downstream;
}

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
  readonly pieces: Buffer[] = [];
  ended = false;
  trailers: HeaderBlock | null = null;

  constructor(look: BodyLook) {
    this.look = look;
  }

  /** Another one looks at what is there. False when that is all it wants, or all there is. */
  again(look: BodyLook): boolean {
    this.look = look;
    return this.pieces.every((piece) => look.piece(piece, 0, piece.length)) && !this.ended;
  }

  /** False when the client is to be held up. */
  keep(bytes: Buffer, from: number, to: number): boolean {
    this.pieces.push(Buffer.from(bytes.subarray(from, to)));
    return this.look?.piece(bytes, from, to) === true;
  }
  seen(): void {
    const { look } = this;
    this.look = null;
    look?.seen();
  }
}

const NOBODY: readonly HoldingTransform[] = [];

/** Stands between a client's connection and whoever forwards its request. */
class TransformedDownstream implements Downstream, RequestSink {
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
