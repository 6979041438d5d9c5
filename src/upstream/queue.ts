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

// A thread is "in flight" on the queue's slot of the board while it has requests waiting: so the board takes that back
// when the thread ends, and nobody else gets the slot before.
/** The field that counts places that were freed while somebody waited. */
const FREED = 0;

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
  /** The request has waited as long as it may, or was withdrawn, and leaves. */
  leave(want: Want): void;
}

export class PlaceQueue {
  readonly #line: WaitingLine<Want>;
  readonly #board: Board;
  readonly #slot: number;
  readonly #ints: Int32Array;
  readonly #base: number;
  readonly #places: Places;
  readonly #turnAway: (want: Want) => void;
  /** Somebody waits who would go to any server: whoever comes now stands behind him. */
  #open = false;
  #announced = false;
  #listening = false;

  constructor(board: Board, slot: number, wheel: TimerWheel, limits: QueueLimits, places: Places) {
    this.#board = board;
    this.#slot = slot;
    this.#ints = board.ints;
    this.#base = board.base(slot);
    this.#places = places;
    this.#turnAway = (want) => {
      places.leave(want);
      want.onNoServer(fault("upstream.queue_timeout", `waited ${limits.queueTimeout} ms at most`));
    };
    const { queue, queueTimeout } = limits;
    this.#line = new WaitingLine(queue, queueTimeout, wheel, this.#turnAway, (want) => places.leave(want));
  }

  get length(): number {
    return this.#line.length;
  }

  /** Whoever comes now has to wait even if there is a place: it is somebody else's. */
  get occupied(): boolean {
    return this.#open && this.#line.length > 0;
  }

  /** Lets the request wait. False when there is no room. */
  add(want: Want, lane: number): boolean {
    if (!this.#line.push(want, lane)) return false;
    if (!isChoosy(want)) this.#open = true;
    if (!this.#announced) {
      this.#announce();
      this.serve(); // a place that another thread freed before it could know of us would go unnoticed
    }
    if (this.#line.length > 0) this.#listen();
    return true;
  }

  /** A place at this server was given back: somebody here gets it, or somebody in another thread. */
  freed(server: Server): void {
    if (this.#line.length > 0 && this.serve(server)) return;
    // Whoever waits here may be waiting for another server.
    if (this.#board.inFlight(this.#slot) > (this.#announced ? 1 : 0)) {
      Atomics.add(this.#ints, this.#base + FREED, 1);
      Atomics.notify(this.#ints, this.#base + FREED, this.#listening ? 2 : 1); // the first may be this very thread
    }
  }

  /**
   * Gives places to as many as there are places for, in their order; `freed` is the only server that has new ones. True
   * when anybody got one.
   */
  serve(freed: Server | null = null): boolean {
    let served = false;
    while (this.#line.length > 0) {
      let server: Server | null = null;
      this.#open = false;
      const want = this.#line.shift((each) => {
        if (freed !== null && !isFor(each, freed)) return false;
        const found = this.#places.place(each);
        if (typeof found === "object") {
          server = found;
          return true;
        }
        if (found !== FULL || isChoosy(each)) return false;
        this.#open = true;
        return null;
      });
      if (want === null || server === null) break;
      served = true;
      this.#places.give(want, server);
    }
    this.#announce();
    return served;
  }

  /** Says on the board whether anybody waits here. */
  #announce(): void {
    const waits = this.#line.length > 0;
    if (waits === this.#announced) return;
    this.#announced = waits;
    if (waits) this.#board.enter(this.#slot, Number.POSITIVE_INFINITY);
    else this.#board.leave(this.#slot);
  }

  /** Hears of places that other threads free. */
  #listen(): void {
    if (this.#listening) return;
    const at = this.#base + FREED;
    const told = Atomics.waitAsync(this.#ints, at, Atomics.load(this.#ints, at), LOOK_MS);
    this.#listening = true;
    // Told at once when another thread freed a place just now.
    void Promise.resolve(told.value).then(() => {
      this.#listening = false;
      for (let want = this.#line.shift(isLate); want !== null; want = this.#line.shift(isLate)) this.#turnAway(want);
      this.serve();
      if (this.#line.length > 0) this.#listen();
    });
  }
}

/** Whether the request could go there. Many may wait for one server: they are passed over without a look at others. */
function isFor({ pinned, tried }: Want, server: Server): boolean {
  return pinned === null ? tried === null || !tried.includes(server) : pinned === server;
}

const isLate = (want: Want): boolean => want.late === true;

/** It belongs to one server, or was at some already. Others need not wait behind it: there may be room elsewhere. */
const isChoosy = (want: Want): boolean => want.pinned !== null || want.tried !== null;
