// A request to a server that does not belong to one client alone: others may wait for the same answer, or it is to be
// kept whoever leaves. It has an exchange of its own; its content is a Body, which everybody reads at his own pace.
import { turnTime } from "../core/clock.ts";
import { type Fault, fault } from "../core/faults.ts";
import { copiedFields, copiedRequest, copiedResponse } from "../http/copied-head.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { ResponseHead } from "../http/message.ts";
import { type Downstream, Exchange, type RequestSink, type TunnelEnd } from "../pipeline/exchange.ts";
import type { AnswerKeeper } from "../pipeline/keeper.ts";
import { openTransforms } from "../pipeline/transforms.ts";
import { InnerEnvironment } from "../upstream/inner-environment.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { Body, type BodySource } from "./body.ts";
import { NOTHING, Reader, WHOLE } from "./reader.ts";
import type { CacheEnvironment } from "./visit.ts";

const GONE = fault("client.gone", "nobody wants the answer");

/** Where requests that may share an answer find each other. */
export interface JointOwner {
  /** Longest content that is held for all. */
  readonly bodyMax: number;
  /** Whether the answer may go to another request as well. */
  suits(head: ResponseHead, first: HeaderBlock, other: HeaderBlock): boolean;
  /** Nobody can join any more; `shared` is to how many it went beside the first, -1 where it may go to nobody. */
  closed(shared: number): void;
}

/** A request that waits for the answer to another one. */
class Follower implements RequestSink {
  readonly x: Exchange;
  readonly #left: (follower: Follower) => void;

  constructor(x: Exchange, left: (follower: Follower) => void) {
    this.x = x;
    this.#left = left;
  }
  // Requests that follow have no body.
  onRequestData(): void {}
  onRequestEnd(): void {}
  onDownstreamDrain(): void {}
  onDownstreamGone(): void {
    this.#left(this);
  }
}

export class Joint implements Downstream, BodySource, RequestSink {
  readonly tunnelIdle = 0;
  /** That of the client who began it. */
  readonly #first: Exchange;
  readonly #x: Exchange;
  readonly #upstream: Upstream;
  readonly #env: CacheEnvironment;
  readonly #keeper: AnswerKeeper | null;
  readonly #owner: JointOwner | null;
  #followers: Follower[] = [];
  #sink: RequestSink | null = null;
  /** Sends the answer to the first client. */
  #reader: Reader | null = null;
  #head: ResponseHead | null = null;
  #body: Body | null = null;
  #requestDone: boolean;
  #over = false;
  #isTold = false;
  #isGiving = false;

  private constructor(first: Exchange, upstream: Upstream, env: CacheEnvironment, owner: JointOwner | null) {
    this.#first = first;
    this.#upstream = upstream;
    this.#env = env;
    this.#owner = owner;
    this.#keeper = first.keeper;
    this.#requestDone = first.request.body === "none";
    this.#x = exchangeOf(first, this);
  }

  /** Sends a request whose answer is kept (`x.keeper`). */
  static keep(x: Exchange, upstream: Upstream, env: CacheEnvironment): void {
    const joint = new Joint(x, upstream, env, null);
    x.keeper!.begun();
    openTransforms(x);
    joint.#start();
  }

  /** Makes ready a request without a body that others may join; `begin` sends it. */
  static shared(x: Exchange, upstream: Upstream, env: CacheEnvironment, owner: JointOwner): Joint {
    return new Joint(x, upstream, env, owner);
  }

  begin(): void {
    openTransforms(this.#first);
    this.#first.downstream.readBody(this); // so that it is heard when the client leaves before anybody is asked
    this.#start();
  }

  #start(): void {
    this.#first.sink = this;
    this.#env.forward(this.#x, this.#upstream, new InnerEnvironment(this.#env));
  }

  /** Waits for the answer too. */
  join(x: Exchange): void {
    const follower = new Follower(x, (each) => this.#leave(each));
    this.#followers.push(follower);
    x.sink = follower;
    x.downstream.readBody(follower);
  }

  #leave(follower: Follower): void {
    const at = this.#followers.indexOf(follower);
    if (at >= 0) this.#followers.splice(at, 1);
    if (this.#first.over) this.#abandonIfUnwanted();
  }

  // ——— RequestSink: what comes from the first client

  onRequestData(bytes: Buffer, from: number, to: number, given = false): void {
    this.#sink?.onRequestData(bytes, from, to, given);
  }
  onRequestEnd(trailers: HeaderBlock | null): void {
    if (this.#requestDone) return;
    this.#requestDone = true;
    if (trailers !== null) this.#env.cleanTrailers(trailers);
    this.#sink?.onRequestEnd(trailers);
  }
  onDownstreamDrain(): void {
    this.#reader?.onDownstreamDrain();
  }
  onDownstreamGone(cause: Fault): void {
    this.#reader?.onDownstreamGone(cause);
    if (!this.#requestDone) return this.#abandon(cause);
    this.#first.over = true; // it is told so in a moment
    this.#abandonIfUnwanted();
  }

  #abandonIfUnwanted(): void {
    if (this.#keeper?.stays === true || this.#followers.length > 0 || this.#body?.isFollowed === true) return;
    this.#abandon(GONE);
  }

  #abandon(cause: Fault): void {
    if (this.#over) return;
    const sink = this.#sink;
    this.#close();
    this.#keeperFailed();
    this.#body?.break(cause);
    sink?.onDownstreamGone(cause);
  }

  #keeperFailed(): void {
    if (!this.#isTold) this.#keeper?.failed();
    this.#isTold = true;
  }

  #close(): void {
    this.#over = true;
    this.#x.over = true;
    this.#x.copy?.gone();
    if (this.#head === null) this.#owner?.closed(0);
    this.#sink = null;
  }

  // ——— Downstream: what comes from the server

  get full(): boolean {
    return this.#body?.full === true;
  }
  get answered(): boolean {
    return this.#head !== null;
  }
  readBody(sink: RequestSink): void {
    this.#sink = sink;
    if (this.#requestDone) return sink.onRequestEnd(null);
    this.#first.downstream.readBody(this);
  }
  pauseBody(): void {
    if (!this.#requestDone) this.#first.downstream.pauseBody();
  }
  resumeBody(): void {
    if (!this.#requestDone) this.#first.downstream.resumeBody();
  }
  discardBody(): void {
    if (!this.#requestDone) this.#first.downstream.discardBody();
  }
  informational(head: ResponseHead): void {
    if (!this.#first.over) this.#first.downstream.informational(head);
  }

  head(received: ResponseHead): void {
    const followers = this.#followers;
    this.#followers = [];
    // The cookie of a sticky upstream is for one client.
    if (followers.length > 0) received.headers.added = null;
    const head = copiedResponse(received);
    this.#head = head;
    const length = head.body === "length" ? head.length : head.body === "none" ? 0 : -1;
    const body = new Body(length, this);
    this.#body = body;
    const isShort = length <= this.#bodyMax;
    const suited = isShort ? followers.filter(({ x }) => this.#suits(head, x)) : [];
    if (this.#owner !== null) this.#owner.closed(followers.length > 0 && suited.length === 0 ? -1 : suited.length);
    this.#isGiving = true;
    if (!this.#first.over) this.#give(this.#first);
    for (const { x } of suited) if (!x.over) this.#give(x);
    this.#isGiving = false;
    if (!body.isFollowed) this.onUnread();
    if (!isShort) this.#tooLong(body);
    for (const follower of followers)
      if (!suited.includes(follower) && !follower.x.over) this.#env.forward(follower.x, this.#upstream, this.#env);
  }

  get #bodyMax(): number {
    return this.#keeper?.bodyMax ?? this.#owner?.bodyMax ?? 0;
  }

  #suits(head: ResponseHead, x: Exchange): boolean {
    return this.#owner?.suits(head, this.#x.request.headers, x.request.headers) === true;
  }

  #give(x: Exchange): void {
    const head = copiedResponse(this.#head!);
    x.upstream = this.#x.upstream;
    x.server = this.#x.server;
    x.responseAt = turnTime();
    if (x.setCookies !== null) for (const cookie of x.setCookies) head.headers.add("set-cookie", cookie);
    x.response = head;
    const isFirst = x === this.#first;
    const reader = new Reader(x, this.#env, this.#body!, this.#hasContent ? WHOLE : NOTHING, null, isFirst);
    if (isFirst) this.#reader = reader;
    reader.start();
  }

  /** All who share ask with the same method. */
  get #hasContent(): boolean {
    return this.#head!.body !== "none" && this.#x.request.method !== "HEAD";
  }

  data(bytes: Buffer, from: number, to: number): void {
    const body = this.#body;
    if (body === null || this.#over) return;
    if (!body.windowed && body.length + to - from > this.#bodyMax) this.#tooLong(body);
    body.append(bytes, from, to);
  }

  /** From now on only what somebody has still to read is there. */
  #tooLong(body: Body): void {
    if (!this.#isTold) this.#keeper?.answered(this.#head!, null);
    this.#isTold = true;
    body.openWindow();
  }

  end(trailers: HeaderBlock | null): void {
    const body = this.#body;
    if (body === null || this.#over) return;
    body.finish(trailers === null ? null : copiedFields(trailers));
    // What the rest of the request would have been is not known, and trailers are not kept.
    if (!this.#requestDone || trailers !== null) this.#keeperFailed();
    if (!this.#isTold) this.#keeper?.answered(this.#head!, piecesOf(body));
    this.#isTold = true;
    if (this.#requestDone) this.#close();
    body.announce();
  }

  fail(cause: Fault): void {
    if (this.#over) return;
    const followers = this.#followers;
    this.#followers = [];
    const isAnswered = this.#head !== null;
    this.#close();
    this.#keeperFailed();
    this.#body?.break(cause);
    if (isAnswered) return;
    for (const { x } of [{ x: this.#first }, ...followers]) {
      x.upstream = this.#x.upstream;
      x.server = this.#x.server;
      if (!x.over) x.downstream.fail(cause);
    }
  }
  abort(cause: Fault): void {
    this.fail(cause);
  }
  reply(): void {
    this.fail(fault("proxy.internal", "a request of several was answered here"));
  }
  upgrade(): TunnelEnd<unknown> {
    throw new Error("a request of several is no tunnel");
  }
  tunnelClosed(): void {}

  // ——— BodySource

  onRoom(): void {
    if (!this.#over) this.#sink?.onDownstreamDrain();
  }
  onLeft(): void {
    this.#abandon(GONE);
  }
  onUnread(): void {
    // What has no content is read at once, and its end is near.
    if (!this.#isGiving && this.#hasContent) this.#abandonIfUnwanted();
  }
}

/** The pieces of content that is whole, each as long as what is in it. */
function piecesOf(body: Body): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.pieces; at += 1) pieces.push(body.piece(at)!.subarray(0, body.filled(at)) as Buffer);
  return pieces;
}

/** What the client asked for, in an exchange that outlives it. */
function exchangeOf(first: Exchange, downstream: Downstream): Exchange {
  const { request } = first;
  const head = copiedRequest(request);
  head.body = request.body;
  head.length = request.length;
  head.expectContinue = request.expectContinue;
  const x = new Exchange(head, new ResponseHead(), downstream, first.client, first.listener, turnTime());
  x.ip = first.ip;
  x.trusted = first.trusted;
  x.scheme = first.scheme;
  x.route = first.route;
  x.params = first.params;
  x.requestId = first.requestId;
  x.identity = first.identity;
  x.priority = first.priority;
  x.grpc = first.grpc;
  x.rewrittenTarget = first.rewrittenTarget;
  return x;
}
