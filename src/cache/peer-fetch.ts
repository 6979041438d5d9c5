// Requests of one key that wait for what another worker fetches or has stored.
import { Timer } from "../core/timers.ts";
import type { Peers, PeerWaiter, SharedAnswer } from "./peers.ts";
import type { Place } from "./place.ts";
import type { CacheEnvironment, Host, Visit } from "./visit.ts";

/** A worker answers within a millisecond what it has; what it fetches may take as long as others wait for a fetch. */
const WAIT_MS = 5000;

export interface PeerFetchOwner {
  /** What another worker has is stored here as well. */
  take(place: Place, answers: readonly SharedAnswer[]): void;
  /** The visit starts anew. */
  again(visit: Visit): void;
  /** Nobody can wait here any more. */
  asked(fetch: PeerFetch): void;
}

export class PeerFetch implements Host, PeerWaiter {
  readonly place: Place;
  readonly #owner: PeerFetchOwner;
  readonly #peers: Peers;
  readonly #env: CacheEnvironment;
  readonly #question: number;
  readonly #timer: Timer;
  #visits: Visit[] = [];

  /** Asks the worker. */
  constructor(owner: PeerFetchOwner, peers: Peers, worker: number, { place, env }: Visit) {
    this.place = place;
    this.#owner = owner;
    this.#peers = peers;
    this.#env = env;
    this.#timer = new Timer(() => this.onAnswers([]));
    env.wheel.arm(this.#timer, WAIT_MS);
    this.#question = peers.ask(worker, place.address, place.extra, this);
  }

  wait(visit: Visit): void {
    this.#visits.push(visit);
    visit.waitAt(this);
  }

  leave(visit: Visit): void {
    const at = this.#visits.indexOf(visit);
    if (at >= 0) this.#visits.splice(at, 1);
  }

  /** Whatever came: from here on each of them gets what is stored here now, or what this worker fetches. */
  onAnswers(answers: readonly SharedAnswer[]): void {
    this.#env.wheel.drop(this.#timer);
    this.#peers.forget(this.#question);
    this.#owner.asked(this);
    if (answers.length > 0) this.#owner.take(this.place, answers);
    const visits = this.#visits;
    this.#visits = [];
    for (const visit of visits) {
      visit.asked = true;
      this.#owner.again(visit);
    }
  }
}
