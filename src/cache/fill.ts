// One fetch for one key: an exchange of its own with a server, which goes on whoever leaves. Those who want its answer
// wait here for the head, and then follow the content as it comes. An answer that may not be stored goes to one of
// them alone, and the others are let go to ask for themselves.
import { turnTime } from "../core/clock.ts";
import { type Fault, fault } from "../core/faults.ts";
import { Timer } from "../core/timers.ts";
import { parseAge } from "../engines/cache/age.ts";
import { PLAIN_REQUEST } from "../engines/cache/cache-control.ts";
import { type Forwarded, forwardedStatus, STANDS_IN } from "../engines/cache/cache-status.ts";
import { type SearchRule, searchRule } from "../engines/cache/no-vary-search.ts";
import { storablePart } from "../engines/cache/partial.ts";
import { mayStandIn, reuse } from "../engines/cache/reuse.ts";
import { isStaleStatus, isProvoked as provoked } from "../engines/cache/statuses.ts";
import { storedHead } from "../engines/cache/stored-head.ts";
import { type Admission, admit, type Refused } from "../engines/cache/storing.ts";
import { selectVariant, variantOf } from "../engines/cache/vary.ts";
import { copiedFields, copiedResponse } from "../http/copied-head.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Downstream, Exchange, RequestSink, TunnelEnd } from "../pipeline/exchange.ts";
import type { Reply } from "../pipeline/reply.ts";
import { InnerEnvironment } from "../upstream/inner-environment.ts";
import { Body, type BodySource } from "./body.ts";
import type { Stamp } from "./changes.ts";
import { giveCollapsed } from "./collapsed.ts";
import { deliver, send } from "./delivery.ts";
import { Entry } from "./entry.ts";
import type { Failure } from "./failures.ts";
import { type ContentRoom, FillContent, isFar } from "./fill-content.ts";
import { exchangeFor, setCondition } from "./fill-exchange.ts";
import type { LargeWriting } from "./large-file.ts";
import { OF_THE_CLIENT, OF_THIS_ONE, type Why } from "./refusals.ts";
import { renewals } from "./renewal.ts";
import { pathOf } from "./searches.ts";
import type { Host, Visit } from "./visit.ts";

/** What a fetch needs of its cache. */
export interface FillOwner extends ContentRoom {
  readonly now: number;
  stamp(address: string): Stamp;
  /** Whether nothing has changed since. */
  holds(stamp: Stamp): boolean;
  /** The head is there, and others may follow the content. */
  began(fill: Fill, entry: Entry): void;
  /** All of it is there: to be stored. */
  keep(fill: Fill, entry: Entry): void;
  /** All of the content is in that file. Resolves once that can be found. */
  keepFile(fill: Fill, entry: Entry, writing: LargeWriting): Promise<void>;
  /** A stored answer holds again, with other fields. */
  replace(fill: Fill, before: Entry, after: Entry): void;
  remove(fill: Fill, entry: Entry): void;
  /**
   * Answers of this address may not be stored: the next requests do not wait for each other. `clients`: that is so for
   * requests with credentials or cookies.
   */
  refused(fill: Fill, clients: boolean): void;
  /** There is no room for answers of this address; for parts of them there may be. */
  tooLong(fill: Fill): void;
  /** The server has not said what is to become of a stored answer. */
  failed(fill: Fill, failure: Failure): void;
  /** The visit starts anew. */
  again(visit: Visit): void;
  /** The visit asks the server by itself. */
  pass(visit: Visit): void;
  /** Nobody can wait for this fetch, or follow it, any more. */
  closed(fill: Fill): void;
}

/** Others wait this long for one head, then one of them asks again. Most servers answer within a second. */
const WAIT_MS = 5000;
const GONE = fault("client.gone", "nobody wants the answer");
const PART: Refused = { refusal: "status" };

export class Fill implements Downstream, BodySource, Host {
  readonly tunnelIdle = 0;
  /** Purged: what comes is not stored. */
  discarded = false;
  /** From before the server was asked. */
  readonly stamp: Stamp;
  /** The same for all addresses of its path. */
  readonly pathStamp: Stamp;
  /** What is being stored, once its head is there. */
  entry: Entry | null = null;
  /** For which queries it is as well; null for its own alone. */
  search: SearchRule | null = null;
  readonly visit: Visit;
  readonly #owner: FillOwner;
  readonly #x: Exchange;
  /** Who waits for the head; the first of them is who began, unless it has left. */
  #visits: Visit[] = [];
  /** What the server is asked about; empty without a condition. */
  readonly #asked: readonly Entry[];
  readonly #requestTime: number;
  #sink: RequestSink | null = null;
  #body: Body | null = null;
  /** Where the content goes that is to be stored. */
  #content: FillContent | null = null;
  #answered = false;
  #late = false;
  #over = false;
  #timer: Timer | null = null;

  /** Begins for this visit, without or with a wait for it, and asks whether these entries still hold. */
  constructor(owner: FillOwner, visit: Visit, asked: readonly Entry[]) {
    this.visit = visit;
    this.#owner = owner;
    this.#requestTime = owner.now;
    this.stamp = owner.stamp(visit.place.address);
    this.pathStamp = owner.stamp(pathOf(visit.place.address));
    this.#x = exchangeFor(visit, this);
    this.#asked = setCondition(this.#x.request.headers, asked) ? asked : [];
    if (visit.range !== "") this.#x.request.headers.add("Range", visit.range);
  }

  /** Asks the server. */
  start(): void {
    const { env, upstream } = this.visit;
    env.forward(this.#x, upstream, new InnerEnvironment(env));
  }

  // ——— those who want the answer

  /** Whether a request may still wait for the head. */
  get isOpen(): boolean {
    return !this.#answered && !this.#late && !this.#over && !this.isOutdated;
  }

  /** What comes is from before a change. */
  get isOutdated(): boolean {
    return this.discarded || !this.#owner.holds(this.stamp);
  }

  wait(visit: Visit): void {
    this.#visits.push(visit);
    visit.waitAt(this);
    if (this.#visits.length < 2 || this.#timer !== null) return;
    this.#timer = new Timer(() => this.#onLate());
    visit.env.wheel.arm(this.#timer, WAIT_MS);
  }

  leave(visit: Visit): void {
    const at = this.#visits.indexOf(visit);
    if (at >= 0) this.#visits.splice(at, 1);
  }

  /** The server is slow: one of those who wait asks again. */
  #onLate(): void {
    if (this.#answered || this.#over) return;
    this.#late = true;
    const [first, ...others] = this.#takeVisits();
    if (first !== undefined) this.#visits.push(first);
    for (const visit of others) this.#owner.again(visit);
  }

  /** Those who wait; from now on they are the caller's. */
  #takeVisits(): Visit[] {
    const visits = this.#visits;
    this.#visits = [];
    return visits;
  }

  /** Whether a request gets what is being stored. */
  suits(visit: Visit, now: number): boolean {
    const { entry } = this;
    if (entry === null || this.#over || this.isOutdated) return false;
    if (selectVariant([entry], visit.x.request.headers) < 0) return false;
    return reuse(entry.times, visit.wants, now) === "hit";
  }

  #give(visit: Visit, entry: Entry, forwarded: Forwarded, aged: boolean): void {
    const { x } = visit;
    visit.host = null;
    if (x.over) return;
    x.cacheStatus = forwardedStatus(forwarded);
    this.#tell(x);
    // Of what has just begun to come, nobody knows whether it will be asked for again.
    const kept = entry.body.done ? visit.offer(entry) : null;
    deliver(x, visit.env, entry, aged, this.#owner.now, kept);
  }

  /** Who has been asked is told to the access log of the client's request. */
  #tell(x: Exchange): void {
    x.upstream = this.#x.upstream;
    x.server = this.#x.server;
    x.responseAt = turnTime();
  }

  // ——— Downstream: what comes from the server

  get full(): boolean {
    return this.#body?.full === true;
  }
  get answered(): boolean {
    return this.#answered;
  }

  /** There is no body: the request is complete. */
  readBody(sink: RequestSink): void {
    this.#sink = sink;
    sink.onRequestEnd(null);
  }

  informational(head: ResponseHead): void {
    for (const { x } of this.#visits) x.downstream.informational(head);
  }

  head(head: ResponseHead): void {
    this.#answered = true;
    this.#dropTimer();
    head.headers.added = null; // the cookie of a sticky upstream, for nobody in particular
    const { status } = head;
    if (status === 304 && this.#asked.length > 0) return this.#onNotModified(head);
    const now = this.#owner.now;
    if (isStaleStatus(status) && this.#standIn("error", status, now)) return this.#refuse(head, "status");
    const length = head.body === "length" ? head.length : head.body === "none" ? 0 : -1;
    const admission = this.#admit(head, now);
    if ("refusal" in admission) return this.#refuse(head, admission.refusal);
    if (this.isOutdated) return this.#refuse(head, "outdated");
    const entry = this.#entryOf(head, admission, length, now);
    const content = new FillContent(this.#owner, this.visit, entry.body, (isWhole) => this.#onFileOver(isWhole));
    this.#content = content;
    const aged = parseAge(head.headers.getById(ID.age)) > 0;
    if (content.begin(length)) this.#store(head.status, entry, aged, now);
    else this.#passOn(entry, aged, now);
  }

  #admit(head: ResponseHead, now: number): Admission | Refused {
    // A part that nobody asked for is no answer to anybody else; nor is the whole to who wants a part of much.
    if (head.status === 206 ? this.visit.range === "" || storablePart(head) === null : this.visit.range !== "")
      return PART;
    return admit(this.#x.request, head, this.#requestTime, now, this.visit.rules.policy);
  }

  #store(answered: number, entry: Entry, aged: boolean, now: number): void {
    this.entry = entry;
    this.#owner.began(this, entry);
    const visits = this.#takeVisits();
    const mine = visits.indexOf(this.visit) === 0 ? visits.shift() : undefined;
    const status = this.#asked.length > 0 ? answered : 0;
    if (mine !== undefined && this.isFarFrom(mine)) this.#owner.pass(mine);
    else if (mine !== undefined) this.#give(mine, entry, forwarded(mine, status, true, false), aged);
    this.#giveOthers(visits, entry, now);
  }

  /** Whether a request wants a part of long content that will not be there for a while: it asks for that by itself. */
  isFarFrom({ x }: Visit): boolean {
    const body = this.#content?.writing ? this.#body : null;
    return body !== null && body.total > 0 && isFar(x.request, body.length, body.total);
  }

  #entryOf(head: ResponseHead, { times, vary, withheld }: Admission, length: number, now: number): Entry {
    const { place, rules, range } = this.visit;
    const stored = storedHead(head, withheld, head.status === 204 ? -1 : length, now);
    this.search = searchRule(stored.headers);
    const body = new Body(length, this);
    this.#body = body;
    const variant = variantOf(vary, this.#x.request.headers, stored.headers);
    const part = range === "" ? null : storablePart(head);
    const extra = part === null ? place.extra : place.extra + part.first;
    const entry = new Entry(extra, variant, rules.tagsOf(head), this.stamp, times, stored, body);
    entry.part = part;
    return entry;
  }

  /**
   * Whoever waits has asked for news no later than now. Another variant is worth waiting for again; an answer that the
   * server has to be asked about for every request is not.
   */
  #giveOthers(visits: readonly Visit[], entry: Entry, now: number): void {
    const isFresh = now < entry.times.freshUntil;
    for (const visit of visits) {
      if (this.isFarFrom(visit)) this.#owner.pass(visit);
      else if (selectVariant([entry], visit.x.request.headers) < 0) this.#owner.again(visit);
      else if (isFresh) giveCollapsed(visit, entry, now);
      else this.#owner.pass(visit);
    }
  }

  /**
   * There is no room to store it, but it is for everybody: those who wait by now get it through one window, in which
   * the slowest of them sets the pace. Whoever comes later, or wants a part of it, asks for itself.
   */
  #passOn(entry: Entry, aged: boolean, now: number): void {
    this.#owner.tooLong(this);
    this.#endStored();
    this.#owner.began(this, entry);
    this.#owner.closed(this);
    const [own, others] = split(this.#takeVisits(), (visit) => visit === this.visit && !wantsPart(visit));
    const [parts, wholes] = split(others, wantsPart);
    for (const visit of own) this.#give(visit, entry, forwarded(visit, 0, false, false), aged);
    this.#giveOthers(wholes, entry, now);
    entry.body.openWindow();
    for (const visit of parts) this.#owner.pass(visit);
  }

  /** There is something newer than what is stored. */
  #endStored(): void {
    const { stale } = this.visit;
    if (stale !== null) this.#owner.remove(this, stale);
    for (const entry of this.#asked) this.#owner.remove(this, entry);
  }

  /** The answer may not be stored: it is for who began, or for one of those who wait. */
  #refuse(head: ResponseHead, why: Why): void {
    const isProvoked = provoked(head.status);
    if (!isProvoked && !OF_THIS_ONE.has(why)) this.#owner.refused(this, OF_THE_CLIENT.has(why));
    if (!isProvoked && !OF_THE_CLIENT.has(why)) this.#endStored();
    const visits = this.#takeVisits();
    const first = visits[0];
    // What came for one client's cookies or credentials is for that client.
    const mine = first === this.visit ? visits.shift() : undefined;
    const body = new Body(-1, this);
    this.#body = body;
    if (mine !== undefined && !mine.x.over) {
      mine.host = null;
      mine.x.cacheStatus = forwardedStatus(forwarded(mine, 0, false, false));
      this.#tell(mine.x);
      send(mine.x, mine.env, copiedResponse(head), body);
    }
    this.#owner.closed(this);
    body.openWindow();
    for (const visit of visits) this.#owner.pass(visit);
  }

  // ——— validation

  #onNotModified(head: ResponseHead): void {
    const { now } = this.#owner;
    const renewed: Entry[] = [];
    let once: Entry | null = null;
    const { rules } = this.visit;
    const found = renewals(this.#x.request, this.#asked, head, this.#requestTime, now, rules, this.stamp);
    for (const { before, after, fate, isFirst } of found) {
      if (fate === "stored" && !this.isOutdated) {
        renewed.push(after);
        this.#owner.replace(this, before, after);
      } else {
        if (isFirst) once = after;
        if (fate !== "once") this.#owner.remove(this, before);
      }
    }
    this.#owner.closed(this);
    const visits = this.#takeVisits();
    for (const visit of visits) this.#giveRenewed(visit, renewed, visit === this.visit ? once : null, now);
  }

  #giveRenewed(visit: Visit, renewed: readonly Entry[], once: Entry | null, now: number): void {
    const at = selectVariant(renewed, visit.x.request.headers);
    const entry = at < 0 ? once : renewed[at]!;
    const isOwn = visit === this.visit;
    if (entry === null) {
      visit.unconditional = true; // the 304 was about something that this request cannot get
      return this.#owner.again(visit);
    }
    if (!isOwn && reuse(entry.times, visit.wants, now) !== "hit") return this.#owner.pass(visit);
    visit.x.cacheResult = "revalidated";
    this.#give(visit, entry, forwarded(visit, 304, false, !isOwn), false);
  }

  /** Gives stale answers to those who may have them. True: some may, and what failed takes no stored answer's place. */
  #standIn(failure: "error" | "down", status: number, now: number): boolean {
    if (this.visit.stale !== null) this.#owner.failed(this, failure);
    let stood = this.#asked.some(({ times }) => mayStandIn(times, PLAIN_REQUEST, failure, now));
    for (const visit of this.#takeVisits()) {
      const { stale } = visit;
      if (stale === null || !mayStandIn(stale.times, visit.wants, failure, now)) {
        this.#visits.push(visit);
        continue;
      }
      stood = true;
      visit.x.cacheResult = "stale";
      const collapsed = visit !== this.visit;
      this.#give(visit, stale, { reason: visit.reason, status, stored: false, collapsed, detail: STANDS_IN }, true);
    }
    return stood;
  }

  // ——— the content

  data(bytes: Buffer, from: number, to: number): void {
    const body = this.#body;
    if (body === null) return; // that of a 304, or of an answer that another stands in for
    const content = this.entry === null || body.windowed ? null : this.#content!;
    if (content?.grow(body.length + to - from) === false) this.#stopStoring(body);
    body.append(bytes, from, to);
    content?.onMore();
  }

  /** The file has all of the content, or can have no more of it. */
  #onFileOver(isWhole: boolean): void {
    const { entry } = this;
    if (!this.#body!.done) return this.#stopStoring(this.#body!);
    if (!isWhole || entry === null || this.isOutdated) return this.#close();
    void this.#owner.keepFile(this, entry, this.#content!.writing!).then(() => this.#close());
  }

  /** Those who follow get the rest; nothing is stored, and nobody can begin to follow. */
  #stopStoring(body: Body): void {
    this.#owner.tooLong(this);
    this.discarded = true;
    this.#owner.closed(this);
    this.#content!.close();
    body.openWindow();
  }

  end(trailers: HeaderBlock | null): void {
    const { entry } = this;
    const body = this.#body;
    // What is stored is given out without them.
    body?.finish(body.windowed && trailers !== null ? copiedFields(trailers) : null);
    if (this.#content?.writing && body?.windowed === false) {
      body.announce();
      return this.#content.onMore();
    }
    if (entry !== null && !this.isOutdated) this.#owner.keep(this, entry);
    this.#close();
    body?.announce();
  }

  /** The answer breaks off: nothing is stored, and who follows it sees that. */
  abort(cause: Fault): void {
    this.#close();
    this.#body?.break(cause);
    for (const visit of this.#takeVisits()) this.#failVisit(visit, cause); // a body that was none of theirs
  }

  /** No answer. */
  fail(cause: Fault): void {
    if (this.#answered) return this.abort(cause);
    this.#close();
    this.#standIn("down", 0, this.#owner.now);
    for (const visit of this.#takeVisits()) this.#failVisit(visit, cause);
  }

  #failVisit(visit: Visit, cause: Fault): void {
    visit.host = null;
    const { x } = visit;
    if (x.over) return;
    x.upstream = this.#x.upstream;
    x.server = this.#x.server;
    x.downstream.fail(cause);
  }

  /** A server never answers a fetch with an answer of Sluice's own; a fault that has become one does. */
  reply(_answer: Reply): void {
    this.fail(fault("proxy.internal", "a fetch was answered here"));
  }

  #close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#x.over = true;
    this.#x.copy?.gone();
    this.#dropTimer();
    this.#owner.closed(this);
    this.#content?.close();
  }

  #dropTimer(): void {
    if (this.#timer !== null) this.visit.env.wheel.drop(this.#timer);
    this.#timer = null;
  }

  // ——— BodySource

  onRoom(): void {
    if (!this.#over) this.#sink?.onDownstreamDrain();
  }

  /** The only ones who wanted it are gone. */
  onLeft(): void {
    if (this.#over) return;
    this.#close();
    this.#sink?.onDownstreamGone(GONE);
  }

  // ——— what a request without a body never has

  pauseBody(): void {}
  resumeBody(): void {}
  discardBody(): void {}
  upgrade(): TunnelEnd<unknown> {
    throw new Error("a fetch is no tunnel");
  }
  tunnelClosed(): void {}
}

/** Cache-Status of an answer that the server gave; `status` where the client gets another one, else 0. */
function forwarded(visit: Visit, status: number, stored: boolean, collapsed: boolean): Forwarded {
  return { reason: visit.reason, status, stored, collapsed, detail: "" };
}

/** A part of what is too large to be stored is better asked for by itself. */
const wantsPart = ({ x, range }: Visit): boolean => range === "" && x.request.headers.getById(ID.range) !== null;

function split(visits: readonly Visit[], belongs: (visit: Visit) => boolean): [Visit[], Visit[]] {
  return [visits.filter(belongs), visits.filter((visit) => !belongs(visit))];
}
