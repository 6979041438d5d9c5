// Places on the board, handed out by name and given back when nobody can be using them any more.
import { type Board, type Health, SLOTS_MAX } from "../upstream/board.ts";

/** Threads hear of a change within milliseconds; what they have in flight is counted. */
const QUARANTINE_MS = 10_000;

interface Place {
  readonly slot: number;
  readonly count: 1 | 2;
}

export class Slots {
  readonly #board: Board;
  readonly #taken = new Map<string, Place>();
  /** One after the other of single ones, and of pairs. */
  readonly #free: Readonly<Record<Place["count"], number[]>> = { 1: [], 2: [] };
  /** Given back, in the order of time. */
  #quarantine: (Place & { readonly until: number })[] = [];
  #next = 1; // the first is the board's own
  /** What was taken within `allOrNone`. */
  #lately: string[] | null = null;

  constructor(board: Board) {
    this.#board = board;
  }

  has(name: string): boolean {
    return this.#taken.has(name);
  }

  /**
   * The slots of that name, `count` in a row, taken if it has none yet; `health` is what they begin with. Throws a
   * RangeError when all are taken.
   */
  take(name: string, count: Place["count"], health: Health): number {
    const known = this.#taken.get(name);
    if (known !== undefined) return known.slot;
    const slot = this.#free[count].pop() ?? this.#fresh(count);
    for (let at = slot; at < slot + count; at += 1) this.#board.reset(at, health);
    this.#taken.set(name, { slot, count });
    this.#lately?.push(name);
    return slot;
  }

  /** Runs what takes slots. When it throws, all that it took are free again at once: nobody has heard of them. */
  allOrNone<T>(run: () => T): T {
    const lately: string[] = [];
    this.#lately = lately;
    try {
      return run();
    } catch (error) {
      for (const name of lately) {
        const { slot, count } = this.#taken.get(name)!;
        this.#taken.delete(name);
        this.#free[count].push(slot);
      }
      throw error;
    } finally {
      this.#lately = null;
    }
  }

  #fresh(count: number): number {
    const slot = this.#next;
    if (slot + count > SLOTS_MAX) throw new RangeError(`there are more than ${SLOTS_MAX} servers and upstreams`);
    this.#next += count;
    return slot;
  }

  /** Gives back every name that is not `kept`. */
  keep(kept: ReadonlySet<string>, now: number): void {
    for (const [name, place] of this.#taken) {
      if (kept.has(name)) continue;
      this.#taken.delete(name);
      this.#quarantine.push({ ...place, until: now + QUARANTINE_MS });
    }
  }

  /** Makes what was given back long enough ago available. */
  sweep(now: number): void {
    this.#quarantine = this.#quarantine.filter(({ slot, count, until }) => {
      // A tunnel may last for days, and queues (the second of two) be long.
      if (now < until || this.#board.inFlight(slot + count - 1) > 0) return true;
      this.#free[count].push(slot);
      return false;
    });
  }
}
