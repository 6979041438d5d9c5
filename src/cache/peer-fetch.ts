// Requests of one key that wait for what another worker fetches or has stored. What it fetches is followed as it comes:
// its pieces are ours too, and where they are let go, it waits for our slowest client.
import { type Fault, fault } from "../core/faults.ts";
import { Timer } from "../core/timers.ts";
import { reuse } from "../engines/cache/reuse.ts";
import { selectVariant } from "../engines/cache/vary.ts";
import { Body, type BodySource } from "./body.ts";
import { giveCollapsed } from "./collapsed.ts";
import { Entry } from "./entry.ts";
import type { Lack, Peers, PeerWaiter, Progress, SharedAnswer } from "./peers.ts";
import type { Place } from "./place.ts";
import type { Host, Visit } from "./visit.ts";

/** A worker answers within a millisecond what it has; the head of what it fetches may take as long as for its own clients. */
const WAIT_MS = 5000;
/** The other is told of this much that has been taken at once, where it waits for that. */
const TOLD_BYTES = 65_536;
const GONE = fault("upstream.incomplete", "the worker that fetched it has ended");

export interface PeerFetchOwner {
  readonly now: number;
  /** The stored answers of a key that are fresh. */
  freshOf(address: string, extra: string): readonly Entry[];
  /** Whether nothing has changed and nothing been purged since this was asked for. */
  isCurrent(answer: SharedAnswer | Entry): boolean;
  /** What another worker has is stored here as well. */
  take(place: Place, answers: readonly SharedAnswer[]): void;
  /** All of it is here. */
  keepShared(place: Place, entry: Entry): void;
  /** The other has nothing. */
  lacks(place: Place, lack: Lack): void;
  /** The visit starts anew. */
  again(visit: Visit): void;
  /** The visit asks the server by itself. */
  pass(visit: Visit): void;
  /** What was to be fetched behind a stale answer is to be fetched here. */
  refresh(visit: Visit): void;
}

/** Who keeps the fetches that others can join. */
export interface PeerFetchHome {
  /** Nobody can wait here, or follow, any more. */
  asked(fetch: PeerFetch): void;
}

export class PeerFetch implements Host, PeerWaiter, BodySource {
  readonly place: Place;
  readonly worker: number;
  /** What is being fetched there, once its head is known. */
  entry: Entry | null = null;
  readonly #owner: PeerFetchOwner;
  readonly #home: PeerFetchHome;
  readonly #peers: Peers;
  readonly #question: number;
  readonly #timer: Timer;
  readonly #dropTimer: () => void;
  /** A stale answer has been given out, and is to be fetched anew. */
  readonly #refreshed: Visit | null;
  #visits: Visit[] = [];
  #told = 0;
  #over = false;

  /** Asks the worker. With `refreshes` nobody waits for the answer to this visit. */
  constructor(
    owner: PeerFetchOwner,
    home: PeerFetchHome,
    peers: Peers,
    worker: number,
    visit: Visit,
    refreshes: boolean,
  ) {
    this.place = visit.place;
    this.worker = worker;
    this.#owner = owner;
    this.#home = home;
    this.#peers = peers;
    this.#refreshed = refreshes ? visit : null;
    const { wheel } = visit.env;
    this.#timer = new Timer(() => this.onAnswers([], "nothing"));
    this.#dropTimer = () => wheel.drop(this.#timer);
    wheel.arm(this.#timer, WAIT_MS);
    const { address, extra } = visit.place;
    this.#question = peers.ask(address, extra, owner.freshOf(address, extra).length, this);
  }

  wait(visit: Visit): void {
    this.#visits.push(visit);
    visit.waitAt(this);
  }

  leave(visit: Visit): void {
    const at = this.#visits.indexOf(visit);
    if (at >= 0) this.#visits.splice(at, 1);
  }

  /** Whether a request gets what is being fetched. */
  suits(visit: Visit, now: number): boolean {
    const { entry } = this;
    if (entry === null || !this.#owner.isCurrent(entry)) return false;
    if (selectVariant([entry], visit.x.request.headers) < 0) return false;
    return reuse(entry.times, visit.wants, now) === "hit";
  }

  /** From here on each of them gets what is stored here now, or what this worker fetches. */
  onAnswers(answers: readonly SharedAnswer[], lack: Lack): void {
    this.#close();
    if (answers.length > 0) this.#owner.take(this.place, answers);
    else this.#owner.lacks(this.place, lack);
    for (const visit of this.#takeVisits()) {
      this.#note(visit);
      this.#owner.again(visit);
    }
    if (this.#refreshed === null || answers.length > 0) return;
    this.#note(this.#refreshed);
    this.#owner.refresh(this.#refreshed);
  }

  onBegin(answer: SharedAnswer, total: number): void {
    this.#dropTimer();
    if (!this.#owner.isCurrent(answer)) {
      this.#tellLeft();
      return this.onAnswers([], "nothing");
    }
    const now = this.#owner.now;
    const entry = Entry.shared(this.place.extra, answer, new Body(total, this));
    this.entry = entry;
    const isFresh = now < entry.times.freshUntil;
    for (const visit of this.#takeVisits()) {
      this.#note(visit);
      if (selectVariant([entry], visit.x.request.headers) < 0) this.#owner.again(visit);
      else if (isFresh) giveCollapsed(visit, entry, now);
      else this.#owner.pass(visit);
    }
  }

  #note(visit: Visit): void {
    visit.asked += 1;
    visit.askedLast = this.worker;
  }

  onMore(pieces: readonly SharedArrayBuffer[], length: number, progress: Progress, cause: Fault | null): void {
    const { entry } = this;
    if (this.#over || entry === null) return;
    const { body } = entry;
    const buffers = pieces.map((piece) => Buffer.from(piece));
    if (progress === "done") return this.#finish(entry, buffers, length);
    body.extend(buffers, length);
    if (progress === "broken") return this.#break(cause ?? GONE);
    if (progress === "window" && !body.windowed) {
      this.#home.asked(this); // nobody can begin to follow
      body.openWindow();
    }
    if (!this.#over) this.#tellTaken(body.windowed ? body.slowest : length);
  }

  #finish(entry: Entry, pieces: readonly Buffer[], length: number): void {
    const { body } = entry;
    const isStored = !body.windowed && this.#owner.isCurrent(entry);
    body.extend(pieces, length);
    body.finish(null);
    if (isStored) this.#owner.keepShared(this.place, entry);
    this.#close();
    body.announce();
  }

  #break(cause: Fault): void {
    this.#close();
    this.entry?.body.break(cause);
  }

  onGone(): void {
    if (this.entry === null) this.onAnswers([], "nothing");
    else this.#break(GONE);
  }

  #takeVisits(): Visit[] {
    const visits = this.#visits;
    this.#visits = [];
    return visits;
  }

  #close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#dropTimer();
    this.#peers.forget(this.#question);
    this.#home.asked(this);
  }

  // ——— BodySource

  onRoom(): void {
    const { slowest, length } = this.entry!.body;
    if (slowest - this.#told >= TOLD_BYTES || slowest === length) this.#tellTaken(slowest);
  }

  onLeft(): void {
    this.#tellLeft();
    this.#close();
  }

  #tellTaken(offset: number): void {
    this.#told = offset;
    this.#peers.send(this.worker, { kind: "taken", question: this.#question, offset });
  }

  #tellLeft(): void {
    this.#peers.send(this.worker, { kind: "left", question: this.#question });
  }
}
