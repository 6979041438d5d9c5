// Leaves servers out that fail requests or are much slower than the others, for a while that grows each time.
import type { UpstreamConfig } from "../config/schema.ts";
import { type Board, HEALTH_AWAITED, HEALTH_DOWN, type WindowCounts } from "./board.ts";

export type OutlierConfig = Exclude<UpstreamConfig["outlier"], false>;

export interface Ejection {
  readonly slot: number;
  readonly reason: "errors in a row" | "error rate" | "latency";
  readonly forMs: number;
}

/** Fewer servers than this have no typical latency. */
const MEASURED_MIN = 3;
/** Servers that were ejected together do not come back together: up to this part of the time is taken off. */
const JITTER = 0.1;
/** Shares are not exact in binary: 29 % of a hundred servers are 29. */
const ROUNDING = 1e-9;

/** A server of which an interval says something. */
interface Judged {
  readonly slot: number;
  /** How far it is out: a share of errors, or a multiple of the others' latency. The worst are ejected first. */
  readonly score: number;
}

/**
 * Finds the servers of one upstream to leave out. Any number of threads may call `errorsInARow`, each on an object of
 * its own; one thread alone calls `evaluate`.
 */
export class Outlier {
  readonly #board: Board;
  readonly #config: OutlierConfig;
  readonly #slots: () => readonly number[];
  readonly #random: () => number;
  #evaluatedAt: number;

  /** `slots` are the servers that could get requests: those that an operator disabled do not count. */
  constructor(board: Board, config: OutlierConfig, slots: () => readonly number[], random: () => number = Math.random) {
    this.#board = board;
    this.#config = config;
    this.#slots = slots;
    this.#random = random;
    this.#evaluatedAt = board.now;
  }

  /**
   * Called with what `board.count` returned after an error. True when this ejected the server; where as many as may be
   * are ejected already, the next error tries again.
   */
  errorsInARow(slot: number, count: number): boolean {
    const { consecutiveErrors } = this.#config;
    if (consecutiveErrors === 0 || count < consecutiveErrors) return false;
    const slots = this.#slots();
    return slots.includes(slot) && this.#eject(slot, slots) > 0;
  }

  /** Judges what every server did since the last call, which was `interval` ago. Returns what it ejected. */
  evaluate(): Ejection[] {
    const board = this.#board;
    const slots = this.#slots();
    const failing: Judged[] = [];
    const measured: Judged[] = [];
    const behaved: number[] = [];
    for (const slot of slots) {
      const window = board.takeWindow(slot);
      // Whoever came back since the last call is not judged yet: the window may hold what it was ejected for.
      if (board.ejectedUntil(slot) > this.#evaluatedAt) continue;
      if (this.#isFailing(window)) {
        // Too few requests say nothing, but are nothing to be forgiven for either.
        if (window.requests >= this.#config.minRequests) failing.push({ slot, score: window.errors / window.requests });
        continue;
      }
      behaved.push(slot);
      if (window.requests - window.errors >= this.#config.minRequests)
        measured.push({ slot, score: window.meanLatency });
    }
    this.#evaluatedAt = board.now;
    const slow = this.#slow(measured);
    const ejected: Ejection[] = [];
    this.#ejectWorst(failing, "error rate", slots, ejected);
    this.#ejectWorst(slow, "latency", slots, ejected);
    for (const slot of behaved) if (!slow.some((each) => each.slot === slot)) board.forgive(slot);
    return ejected;
  }

  #isFailing(window: WindowCounts): boolean {
    return window.errors > 0 && window.errors >= this.#config.errorRate * window.requests - ROUNDING;
  }

  /** Those whose mean latency is `latency` times the median of the others', or more. */
  #slow(measured: Judged[]): Judged[] {
    const { latency } = this.#config;
    if (latency === undefined || measured.length < MEASURED_MIN) return [];
    measured.sort((a, b) => a.score - b.score);
    const slow: Judged[] = [];
    for (let at = 0; at < measured.length; at += 1) {
      const { slot, score } = measured[at]!;
      const median = medianWithout(measured, at);
      if (median > 0 && score >= latency * median) slow.push({ slot, score: score / median });
    }
    return slow;
  }

  #ejectWorst(judged: Judged[], reason: Ejection["reason"], slots: readonly number[], into: Ejection[]): void {
    judged.sort((a, b) => b.score - a.score);
    for (const { slot } of judged) {
      const forMs = this.#eject(slot, slots);
      if (forMs > 0) into.push({ slot, reason, forMs });
    }
  }

  /** Returns for how many milliseconds; 0 when it is already or may not be. */
  #eject(slot: number, slots: readonly number[]): number {
    const board = this.#board;
    const { now } = board;
    const before = board.ejections(slot); // read before the time: see `Board.eject`
    if (board.ejectedUntil(slot) > now || !this.#mayBeOut(slots, slot, 1)) return 0;
    const { ejectFor, ejectMax } = this.#config;
    const longest = Math.min(ejectFor * (before + 1), ejectMax);
    const forMs = Math.max(1, Math.round(longest * (1 - JITTER * this.#random())));
    if (!board.eject(slot, now + forMs, before)) return 0;
    // Further ejections would be no longer, but would take as many intervals to be forgiven.
    if (ejectFor * before >= ejectMax) board.forgive(slot);
    // Another thread may have ejected another server just now, each seeing that one may go. Both see both from here on,
    // and at least one takes it back.
    if (this.#mayBeOut(slots, slot, 0)) return forMs;
    board.takeBack(slot);
    return 0;
  }

  /** Whether `more` servers may be out than are now, with `slot` out: others stay usable, and the share is kept. */
  #mayBeOut(slots: readonly number[], slot: number, more: number): boolean {
    const board = this.#board;
    const { now } = board;
    let ejected = more;
    let usable = 0;
    for (const each of slots) {
      if (board.ejectedUntil(each) > now) ejected += 1;
      else if (each !== slot && isWell(board, each)) usable += 1;
    }
    const most = Math.max(Math.floor(slots.length * this.#config.maxEjected + ROUNDING), slots.length > 1 ? 1 : 0);
    return ejected <= most && usable > 0;
  }
}

function isWell(board: Board, slot: number): boolean {
  const health = board.health(slot);
  return health !== HEALTH_DOWN && health !== HEALTH_AWAITED;
}

/** The median of the scores of all but one, which are in ascending order. */
function medianWithout(sorted: readonly Judged[], left: number): number {
  const others = sorted.length - 1;
  const score = (at: number): number => sorted[at < left ? at : at + 1]!.score;
  const middle = others >> 1;
  return others % 2 === 1 ? score(middle) : (score(middle - 1) + score(middle)) / 2;
}
