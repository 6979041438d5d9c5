// Events of visitors who have not chosen yet. In memory alone: until they have, nothing of them is written down.
import type { RawEvent } from "./raw-event.ts";

/** Events of one visitor, and of all. */
const OF_ONE_MAX = 100;
const OF_ALL_MAX = 20_000;

interface Waiting {
  readonly untilMs: number;
  readonly events: RawEvent[];
}

export class Undecided {
  /** By visitor, in the order in which they began to wait. */
  readonly #visits = new Map<string, Waiting>();
  #count = 0;

  /** False where there is no room. A visitor's first event says how long all of his wait. */
  hold(raw: RawEvent, untilMs: number): boolean {
    let waiting = this.#visits.get(raw.visit);
    if (this.#count >= OF_ALL_MAX || (waiting !== undefined && waiting.events.length >= OF_ONE_MAX)) return false;
    if (waiting === undefined) {
      waiting = { untilMs, events: [] };
      this.#visits.set(raw.visit, waiting);
    }
    waiting.events.push(raw);
    this.#count += 1;
    return true;
  }

  release(visit: string): readonly RawEvent[] {
    const events = this.#visits.get(visit)?.events ?? [];
    this.#visits.delete(visit);
    this.#count -= events.length;
    return events;
  }

  /** What has waited for long enough. */
  expired(nowMs: number): RawEvent[] {
    const events: RawEvent[] = [];
    for (const [visit, { untilMs }] of this.#visits) {
      if (untilMs > nowMs) break;
      events.push(...this.release(visit));
    }
    return events;
  }
}
