// A worker among the others: what it asks them for, and what it gives them (peers.ts).
import { giveCollapsed } from "./collapsed.ts";
import type { Entry } from "./entry.ts";
import type { Fill } from "./fill.ts";
import { exchangeFor } from "./fill-exchange.ts";
import { PeerFetch, type PeerFetchHome, type PeerFetchOwner } from "./peer-fetch.ts";
import { PeerReader } from "./peer-reader.ts";
import type { Lack, PeerMessage, Peers } from "./peers.ts";
import type { Place } from "./place.ts";
import type { Visit } from "./visit.ts";

/**
 * Workers that are asked for one request, one after the other: the first may have lost what it had, and the next may
 * have begun to fetch it meanwhile.
 */
const ASKS_MAX = 3;

/** What a worker has to offer. */
export interface NeighboursOwner extends PeerFetchOwner {
  hasAny(place: Pick<Place, "address" | "extra">): boolean;
  /** A fetch of this key that can be followed, or waited for. */
  fillOf(key: string): Fill | undefined;
  /** Why there are no answers of a key. */
  lackOf(key: string): Lack;
}

/** Who waits for a fetch here. */
interface Wanted {
  readonly worker: number;
  readonly question: number;
}

export class Neighbours implements PeerFetchHome {
  readonly #owner: NeighboursOwner;
  readonly #peers: Peers;
  /** What others are asked for, by key. */
  readonly #asking = new Map<string, PeerFetch>();
  /** Other workers that wait for the head of what is being fetched. */
  readonly #wanted = new Map<Fill, Wanted[]>();
  /** Those that follow, by worker and question. */
  readonly #readers = new Map<string, PeerReader>();

  constructor(owner: NeighboursOwner, peers: Peers) {
    this.#owner = owner;
    this.#peers = peers;
  }

  // ——— what this worker asks for

  /**
   * Whether another worker is asked, or has begun to tell: one that has it, or fetches it. Whoever wants news is not
   * helped by what others have, and parts are each worker's own matter.
   */
  ask(visit: Visit): boolean {
    if (visit.reason === "request" || visit.range !== "") return false;
    const { address, extra } = visit.place;
    const key = address + extra;
    let fetch = this.#asking.get(key);
    if (fetch !== undefined && fetch.entry !== null) return this.#follow(visit, fetch, fetch.entry);
    if (fetch === undefined) {
      const worker = this.#claim(key, visit);
      if (worker < 0) return false;
      fetch = this.#begin(key, worker, visit, false);
    }
    fetch.wait(visit);
    return true;
  }

  /** Whether another worker is asked, or asked already, to fetch anew what has been given out stale. */
  askBehind(visit: Visit): boolean {
    const { address, extra } = visit.place;
    const key = address + extra;
    if (this.#asking.has(key)) return true;
    const worker = this.#claim(key, visit);
    if (worker < 0) return false;
    // The client has its answer before the other worker says what it has.
    this.#begin(key, worker, visit.by(exchangeFor(visit, visit.x.downstream)), true);
    return true;
  }

  /** Who is to be asked; -1 when this worker has to fetch the key. */
  #claim(key: string, visit: Visit): number {
    const worker = this.#peers.claim(key);
    return worker === visit.askedLast || visit.asked >= ASKS_MAX ? -1 : worker;
  }

  #begin(key: string, worker: number, visit: Visit, refreshes: boolean): PeerFetch {
    const fetch = new PeerFetch(this.#owner, this, this.#peers, worker, visit, refreshes);
    this.#asking.set(key, fetch);
    return fetch;
  }

  #follow(visit: Visit, fetch: PeerFetch, entry: Entry): boolean {
    const { now } = this.#owner;
    const suits = fetch.suits(visit, now);
    if (suits) giveCollapsed(visit, entry, now);
    return suits;
  }

  asked(fetch: PeerFetch): void {
    const key = fetch.place.address + fetch.place.extra;
    if (this.#asking.get(key) === fetch) this.#asking.delete(key);
  }

  // ——— what this worker has

  held(key: string): void {
    this.#peers.held(key);
  }
  release(key: string): void {
    this.#peers.release(key);
  }

  /** The head of a fetch is there, and its content may be followed. */
  began(fill: Fill, entry: Entry): void {
    const wanted = this.#wanted.get(fill);
    if (wanted === undefined) return;
    this.#wanted.delete(fill);
    for (const { worker, question } of wanted) this.#stream(worker, question, entry);
  }

  /** A fetch is over, or cannot be followed any more. */
  closed(fill: Fill): void {
    if (fill.visit.range !== "") return; // parts are each worker's own matter
    const { address, extra } = fill.visit.place;
    const key = address + extra;
    if (this.#owner.hasAny(fill.visit.place)) this.#peers.held(key);
    else this.#peers.release(key);
    const wanted = this.#wanted.get(fill);
    if (wanted === undefined) return;
    this.#wanted.delete(fill);
    for (const { worker, question } of wanted) this.#answer(worker, question, address, extra);
  }

  #answer(worker: number, question: number, address: string, extra: string): void {
    const answers = this.#owner.freshOf(address, extra).map((entry) => entry.share());
    const lack = answers.length > 0 ? "nothing" : this.#owner.lackOf(address + extra);
    this.#peers.send(worker, { kind: "have", question, answers, lack });
  }

  #stream(worker: number, question: number, entry: Entry): void {
    const id = idOf(worker, question);
    const reader = new PeerReader(this.#peers, worker, question, entry, () => this.#readers.delete(id));
    this.#readers.set(id, reader);
    reader.start();
  }

  // ——— messages

  onMessage(from: number, message: PeerMessage): void {
    switch (message.kind) {
      case "want":
        return this.#onWant(from, message.question, message.address, message.extra, message.known);
      case "have":
        return this.#peers.waiter(message.question)?.onAnswers(message.answers, message.lack);
      case "begin":
      case "more":
        return this.#onStream(from, message);
      case "taken":
        return this.#readers.get(idOf(from, message.question))?.onTaken(message.offset);
      case "left":
        return this.#readers.get(idOf(from, message.question))?.leave();
      case "gone":
        return this.#onGone(from);
    }
  }

  #onStream(from: number, message: Extract<PeerMessage, { kind: "begin" | "more" }>): void {
    const { question } = message;
    const waiter = this.#peers.waiter(question);
    // Nobody has waited so long: the other must not wait for us either.
    if (waiter === undefined) this.#peers.send(from, { kind: "left", question });
    else if (message.kind === "begin") waiter.onBegin(message.answer, message.total);
    else waiter.onMore(message.pieces, message.length, message.progress, message.fault);
  }

  #onWant(from: number, question: number, address: string, extra: string, known: number): void {
    const key = address + extra;
    const fill = this.#owner.fillOf(key);
    const fresh = this.#owner.freshOf(address, extra).length;
    if (fill === undefined || fresh > known) {
      // With nothing of use here the key is for the other to fetch, and those who want it are to ask that one.
      if (fresh === 0) this.#peers.release(key);
      return this.#answer(from, question, address, extra);
    }
    if (fill.entry !== null) return this.#stream(from, question, fill.entry);
    const wanted = this.#wanted.get(fill);
    if (wanted === undefined) this.#wanted.set(fill, [{ worker: from, question }]);
    else wanted.push({ worker: from, question });
  }

  #onGone(worker: number): void {
    for (const reader of [...this.#readers.values()]) if (reader.worker === worker) reader.leave();
    this.#peers.gone(worker);
  }
}

const idOf = (worker: number, question: number): string => `${worker}:${question}`;
