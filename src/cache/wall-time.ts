// The time of day on the path of a request: that of the turn, without a look at the system's clock for each of them.
import { turnTime, wallClock } from "../core/clock.ts";

/** The two clocks are compared this often, as the system's may be set. */
const COMPARE_MS = 1000;

export class WallTime {
  readonly #turn: () => number;
  readonly #wall: () => number;
  #offset = 0;
  #comparedAt = Number.NEGATIVE_INFINITY;

  /** `turn` is the monotonic clock, `wall` milliseconds since 1970; tests give their own. */
  constructor(turn: () => number = turnTime, wall: () => number = wallClock) {
    this.#turn = turn;
    this.#wall = wall;
  }

  /** Whole milliseconds since 1970. */
  now(): number {
    const now = this.#turn();
    if (now - this.#comparedAt > COMPARE_MS) {
      this.#comparedAt = now;
      this.#offset = this.#wall() - now;
    }
    return Math.floor(now + this.#offset);
  }
}
