// Holds one stream of bytes down to a rate: bytes are counted as they pass, and who is ahead of the rate waits for a
// tick of the timer wheel. Nothing is kept here and no piece is cut: a large one passes at once and is paid for later.
import { turnTime } from "../core/clock.ts";
import { Timer, type TimerWheel } from "../core/timers.ts";

/** The wheel turns so often, and a timer's time is rounded up by as much. */
const TICK_MS = 100;
/** A stream may be ahead by half a tick, as waiting for the next one puts it behind by half a tick on average. */
const AHEAD_MS = TICK_MS / 2;
/** Time that nobody used is not saved up beyond this, else a pause would be followed by a burst. */
const SAVED_MS = TICK_MS;

export class Pace {
  readonly #msPerByte: number;
  readonly #wheel: TimerWheel;
  readonly #now: () => number;
  readonly #timer: Timer;
  readonly #resume: () => void;
  /** When all that has passed would have passed at exactly the rate. */
  #due: number;

  /**
   * `rate` is in bytes per second; `resume` is called each time that the stream may go on after it had to wait.
   * `now` is the wheel's clock, read finer.
   */
  constructor(rate: number, wheel: TimerWheel, resume: () => void, now: () => number = turnTime) {
    this.#msPerByte = 1000 / rate;
    this.#wheel = wheel;
    this.#now = now;
    this.#resume = resume;
    this.#timer = new Timer(() => this.#look());
    this.#due = now();
  }

  /** The stream has to wait: `resume` will be called. */
  get waiting(): boolean {
    return this.#timer.deadline !== Number.POSITIVE_INFINITY;
  }

  /** So many bytes pass. False: the stream must be stopped until `resume`; what comes all the same is paid for too. */
  take(bytes: number): boolean {
    const now = this.#now();
    this.#due = Math.max(this.#due, now - SAVED_MS) + bytes * this.#msPerByte;
    if (this.#due - now <= AHEAD_MS && !this.waiting) return true;
    this.#wait();
    return false;
  }

  /** The stream has ended: nothing is waited for any more. */
  stop(): void {
    this.#wheel.drop(this.#timer);
  }

  /** Arms the timer for the first tick that is not too early; the wheel adds a tick by itself. */
  #wait(): void {
    this.#wheel.arm(this.#timer, this.#due - AHEAD_MS - this.#wheel.now - TICK_MS);
  }

  #look(): void {
    if (this.#due - this.#now() > AHEAD_MS) this.#wait();
    else this.#resume();
  }
}
