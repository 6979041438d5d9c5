// One coarse wheel for every time-out of a thread: arming a timer writes one number in the usual case, and no system
// timer is made per connection or request.

import { monotonic } from "./clock.ts";

const TICK_MS = 100;
const SLOTS = 1024; // 102 s in one turn; later deadlines go round again

/** A time-out of one owner. Precision: one tick (100 ms), and as much as the event loop was held up. */
export class Timer {
  /** When it fires, on the wheel's clock; Infinity while it is off. */
  deadline = Number.POSITIVE_INFINITY;
  readonly fire: () => void;
  /** Tick in whose slot it lies; -1 when in none. */
  tick = -1;
  next: Timer | null = null;
  previous: Timer | null = null;

  constructor(fire: () => void) {
    this.fire = fire;
  }
}

export class TimerWheel {
  /** Milliseconds on the monotonic clock at the last tick: the cheap "now" of everything that may be 100 ms off. */
  now: number;
  readonly #clock: () => number;
  readonly #slots: (Timer | null)[] = new Array(SLOTS).fill(null);
  #tick: number;
  #interval: ReturnType<typeof setInterval> | null = null;

  constructor(clock: () => number = monotonic) {
    this.#clock = clock;
    this.now = clock();
    this.#tick = Math.floor(this.now / TICK_MS);
  }

  /** Lets time pass by itself. The wheel does not keep the process alive. */
  start(): void {
    this.#interval ??= setInterval(() => this.turn(), TICK_MS);
    this.#interval.unref();
  }

  stop(): void {
    if (this.#interval !== null) clearInterval(this.#interval);
    this.#interval = null;
  }

  /** Fires the timer in `ms` milliseconds, unless it is armed anew or disarmed before. */
  arm(timer: Timer, ms: number): void {
    const deadline = this.now + ms + TICK_MS; // `now` may lie one tick back
    timer.deadline = deadline;
    // A timer that lies in an earlier slot stays there: it is moved on when that slot comes up.
    const tick = Math.floor(deadline / TICK_MS);
    if (timer.tick >= 0) {
      if (timer.tick <= tick) return;
      this.#unlink(timer);
    }
    this.#link(timer, tick);
  }

  disarm(timer: Timer): void {
    timer.deadline = Number.POSITIVE_INFINITY;
  }

  /** Takes the timer out for good, so that nothing refers to its owner any more. */
  drop(timer: Timer): void {
    timer.deadline = Number.POSITIVE_INFINITY;
    if (timer.tick >= 0) this.#unlink(timer);
  }

  #link(timer: Timer, tick: number): void {
    const at = Math.max(tick, this.#tick + 1);
    const slot = at % SLOTS;
    timer.tick = at;
    timer.previous = null;
    timer.next = this.#slots[slot]!;
    if (timer.next !== null) timer.next.previous = timer;
    this.#slots[slot] = timer;
  }

  #unlink(timer: Timer): void {
    if (timer.next !== null) timer.next.previous = timer.previous;
    if (timer.previous !== null) timer.previous.next = timer.next;
    else this.#slots[timer.tick % SLOTS] = timer.next;
    timer.next = null;
    timer.previous = null;
    timer.tick = -1;
  }

  /** Fires what is due. Called by the interval; tests call it with a clock of their own. */
  turn(): void {
    this.now = this.#clock();
    const last = Math.floor(this.now / TICK_MS);
    // After a long sleep one full turn visits every slot.
    if (last - this.#tick > SLOTS) this.#tick = last - SLOTS;
    while (this.#tick < last) {
      this.#tick += 1;
      this.#visit(this.#tick);
    }
  }

  #visit(tick: number): void {
    let timer = this.#slots[tick % SLOTS]!;
    const due: Timer[] = [];
    while (timer !== null) {
      const next: Timer | null = timer.next;
      if (timer.tick <= tick) {
        this.#unlink(timer);
        if (timer.deadline <= this.now) due.push(timer);
        else if (timer.deadline !== Number.POSITIVE_INFINITY) this.#link(timer, Math.floor(timer.deadline / TICK_MS));
      }
      timer = next!;
    }
    for (const each of due) {
      if (each.deadline > this.now) continue; // another timer's owner has armed or dropped it meanwhile
      each.deadline = Number.POSITIVE_INFINITY;
      each.fire();
    }
  }
}
