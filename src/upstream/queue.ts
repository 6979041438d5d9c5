// Requests that wait for a server with room: bounded in number and time, those of the first lane first. Other threads
// free places too, and tell by a number on the board.
import { fault } from "../core/faults.ts";
import type { TimerWheel } from "../core/timers.ts";
import type { Board } from "./board.ts";
import type { Server } from "./pool.ts";
import { WaitingLine } from "./waiting-line.ts";
import type { Want } from "./want.ts";

/** All servers are busy; there is no server that may be used. */
export const FULL = "full";
export const NOBODY = "nobody";

// Fields of the queue's slot on the board.
/** How many threads have requests waiting. */
const WAITING = 0;
/** Counts places that were freed while somebody waited. */
const FREED = 1;

/** How often the waiting are looked after when nobody tells anything: a server may have come back. */
const LOOK_MS = 100;

export interface QueueLimits {
  readonly queue: number;
  readonly queueTimeout: number;
}

/** What the queue asks of its upstream. */
export interface Places {
  place(want: Want): Server | typeof FULL | typeof NOBODY;
  give(want: Want, server: Server): void;
  /** The request has waited as long as it may, and leaves. */
  leave(want: Want): void;
}

export class PlaceQueue {
  readonly #line: WaitingLine<Want>;
  readonly #ints: Int32Array;
  readonly #base: number;
  readonly #places: Places;
  #announced = false;
  #listening = false;

  constructor(board: Board, slot: number, wheel: TimerWheel, limits: QueueLimits, places: Places) {
    this.#ints = board.ints;
    this.#base = board.base(slot);
    this.#places = places;
    this.#line = new WaitingLine(limits.queue, limits.queueTimeout, wheel, (want) => {
      places.leave(want);
      want.onNoConnection(fault("upstream.queue_timeout", `waited ${limits.queueTimeout} ms`));
    });
  }

  get length(): number {
    return this.#line.length;
  }

  /** Lets the request wait. False when there is no room. */
  add(want: Want, lane: number): boolean {
    if (!this.#line.push(want, lane)) return false;
    this.#announce();
    this.#listen();
    return true;
  }

  /** A place was given back: somebody here gets it, or somebody in another thread. */
  freed(): void {
    if (this.#line.length > 0) this.serve();
    else if (this.#ints[this.#base + WAITING]! > 0) {
      Atomics.add(this.#ints, this.#base + FREED, 1);
      Atomics.notify(this.#ints, this.#base + FREED, 1);
    }
  }

  /** Gives places to as many as there are places for, in their order. */
  serve(): void {
    while (this.#line.length > 0) {
      let server: Server | null = null;
      let isFull = false;
      const want = this.#line.shift((each) => {
        if (isFull) return false;
        const found = this.#places.place(each);
        // Who belongs to one server waits for that one; others need not wait behind him.
        isFull = found === FULL && each.pinned === null;
        if (typeof found !== "object") return false;
        server = found;
        return true;
      });
      if (want === null || server === null) break;
      this.#places.give(want, server);
    }
    this.#announce();
  }

  /** Says on the board whether anybody waits here. */
  #announce(): void {
    const waits = this.#line.length > 0;
    if (waits === this.#announced) return;
    this.#announced = waits;
    Atomics.add(this.#ints, this.#base + WAITING, waits ? 1 : -1);
  }

  /** Hears of places that other threads free. */
  #listen(): void {
    if (this.#listening) return;
    const at = this.#base + FREED;
    const told = Atomics.waitAsync(this.#ints, at, Atomics.load(this.#ints, at), LOOK_MS);
    if (!told.async) return;
    this.#listening = true;
    void told.value.then(() => {
      this.#listening = false;
      this.serve();
      if (this.#line.length > 0) this.#listen();
    });
  }
}
