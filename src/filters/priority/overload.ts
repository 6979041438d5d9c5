// How overloaded this thread is, and who is to be refused for that. Two things tell: how late the event loop runs, and,
// where a limit is given, how many requests are under way. The pressure rises while one of them is above its target and
// falls while both are below; the less important a request is, the less pressure refuses it.
//
//   pressure   0 ────── 1 ────── 2 ────── 3
//   low        0 → 100 %, then all
//   normal              0 → 100 %, then all
//   high                         0 → 90 %
import type { OverloadConfig } from "../../config/schema-traffic.ts";
import { monotonic } from "../../core/clock.ts";

/** 0 is high, 1 normal, 2 low. */
export type Level = 0 | 1 | 2;

/** Often enough to see a turn of the event loop that took long, and seldom enough to cost nothing. */
const TICK_MS = 25;
/** What one tick adds at twice the target; four times as much a second refuses a level that was let through. */
const RISE = 0.1;
/** It falls more slowly than it rises, so that it does not swing: some two seconds for each level. */
const FALL = 0.015;
/** What was measured longer ago says nothing. */
const STALE_MS = 1000;
/** A single late turn is no overload. */
const SMOOTHING = 0.4;
/** Some of the most important are let through whatever happens: otherwise nobody would ever notice that it is over. */
const PRESSURE_MAX = 2.9;
const RATIO_MAX = 4;

/** The controller alone: told of what is measured, without a clock of its own. */
export class Pressure {
  #value = 0;
  #lagMs = 0;
  /** What of each level's share has not made a whole request yet. */
  readonly #credit = new Float64Array(3);

  get value(): number {
    return this.#value;
  }

  /** `lagMs`: how late the event loop ran; targets are above 0. */
  measure(lagMs: number, lagTarget: number, underWay: number, requestsMax: number): void {
    this.#lagMs += (lagMs - this.#lagMs) * SMOOTHING;
    const ratio = Math.min(RATIO_MAX, Math.max(this.#lagMs / lagTarget, underWay / requestsMax));
    const step = ratio > 1 ? RISE * (ratio - 1) : -FALL;
    this.#value = Math.min(PRESSURE_MAX, Math.max(0, this.#value + step));
  }

  /** Whether a request of this level is to be refused: as many of each level as the pressure says, evenly spread. */
  refuses(level: Level): boolean {
    const share = this.#value - (2 - level);
    if (share <= 0) return false;
    if (share >= 1) return true;
    const credit = this.#credit[level]! + share;
    this.#credit[level] = credit >= 1 ? credit - 1 : credit;
    return credit >= 1;
  }
}

/** That of this thread, over all its routes and from one configuration to the next. */
class Overload {
  #pressure = new Pressure();
  underWay = 0;
  #users = 0;
  #timer: NodeJS.Timeout | null = null;
  #expected = 0;
  #lag = 0;
  #requests = 0;

  /** A plan with priorities comes into use; what is returned ends that. */
  use({ lag, requests }: OverloadConfig): () => void {
    this.#users += 1;
    this.#lag = Math.max(1, lag);
    this.#requests = requests ?? Number.POSITIVE_INFINITY;
    if (this.#timer === null) {
      const now = monotonic();
      // A reload is no reason to forget; a time in which nobody measured is.
      if (now - this.#expected > STALE_MS) this.#pressure = new Pressure();
      this.#expected = now + TICK_MS;
      this.#timer = setInterval(() => this.#tick(), TICK_MS);
      this.#timer.unref();
    }
    return () => this.#leave();
  }

  refuses(level: Level): boolean {
    return this.#timer !== null && this.#pressure.refuses(level);
  }

  #leave(): void {
    this.#users -= 1;
    if (this.#users > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #tick(): void {
    const now = monotonic();
    this.#pressure.measure(Math.max(0, now - this.#expected), this.#lag, this.underWay, this.#requests);
    this.#expected = now + TICK_MS;
  }
}

export const overload: Overload = new Overload();
