// Stops sending to an upstream while too many of its requests fail, and finds out by a few probes when that is over.
//
// All threads share one circuit, in the 16 integers of the upstream's slot on the board. There is no lock: what belongs
// together lies in one integer and changes by compare-and-exchange, so a thread that ends anywhere leaves nothing half
// done. Where two threads meet in the counts, some requests of one sub-window may go uncounted, which no rate notices.
//
//   0      state and since when: bits 0–1 the state, bits 2–31 the time in units of 16 ms; 0 as a whole when closed
//   1      the trial while half-open: bits 0–9 probes let through, 10–19 probes that succeeded, 20–31 which trial
//   2      number of the current sub-window
//   3–8    requests of six sub-windows
//   9–14   errors of the same
//
// Times are the board's, cut to the 30 bits that fit beside the state. They wrap around after half a year; differences
// do not care.
import type { UpstreamConfig } from "../config/schema.ts";
import type { Board } from "./board.ts";

export type CircuitBreakerConfig = NonNullable<UpstreamConfig["circuitBreaker"]>;
export type CircuitState = "closed" | "open" | "half-open";

const STATE = 0;
const TRIAL = 1;
const CURRENT = 2;
const REQUESTS = 3;
const ERRORS = 9;
/** As many as fit. One is always clean, to be the next; the others are the window. */
const SUB_WINDOWS = 6;

const CLOSED = 0;
const OPEN = 1;
const HALF_OPEN = 2;
const STATE_BITS = 2;
const STATES: readonly CircuitState[] = ["closed", "open", "half-open"];

const UNIT_MS = 16;
const TIME_MASK = 0x3fff_ffff;
/** Threads read the board's clock one after the other: "since" may lie this little in the future, and no more. */
const SKEW_UNITS = 60_000 / UNIT_MS;

const PROBES_MASK = 0x3ff; // `probes` is 1,000 at most
const SUCCESS = 1 << 10;
const TAG_SHIFT = 20;

/** Shares are not exact in binary: 7 % of a hundred requests are 7. */
const ROUNDING = 1e-9;

/** While probes are under way, an answer may come any moment: clients need not wait for all of `openFor`. */
const HALF_OPEN_RETRY_MS = 1000;

export class CircuitBreaker {
  readonly #ints: Int32Array;
  readonly #base: number;
  readonly #board: Board;
  readonly #errorRate: number;
  readonly #minRequests: number;
  readonly #probes: number;
  readonly #openUnits: number;
  readonly #subWindowMs: number;

  /** `slot` is the upstream's own, not a server's. A slot that was reset is a closed circuit without a past. */
  constructor(board: Board, slot: number, config: CircuitBreakerConfig) {
    this.#board = board;
    this.#ints = board.ints;
    this.#base = board.base(slot);
    this.#errorRate = config.errorRate;
    this.#minRequests = config.minRequests;
    this.#probes = config.probes;
    this.#openUnits = Math.ceil(config.openFor / UNIT_MS);
    this.#subWindowMs = Math.max(1, config.window / (SUB_WINDOWS - 1));
  }

  /**
   * Whether a request may be sent. Of one that may, either `outcome` or `cancelled` is called in the end; if neither
   * ever is, other probes are let through after `openFor`.
   */
  allow(): boolean {
    const word = Atomics.load(this.#ints, this.#base + STATE);
    return word === CLOSED || this.#allowProbe(word);
  }

  /** Tells how a request that was allowed ended. */
  outcome(isError: boolean): void {
    const word = Atomics.load(this.#ints, this.#base + STATE);
    if (word === CLOSED) this.#count(isError);
    else if (stateOf(word) === HALF_OPEN) this.#probed(word, isError);
    // Open: it was sent before, and what it says is known.
  }

  /** An allowed request ended in a way that says nothing of the upstream: another probe may go in its place. */
  cancelled(): void {
    const word = Atomics.load(this.#ints, this.#base + STATE);
    if (stateOf(word) !== HALF_OPEN) return;
    const at = this.#base + TRIAL;
    for (;;) {
      const trial = Atomics.load(this.#ints, at);
      // None under way: it was sent before this trial began.
      if (!isTrialOf(trial, word) || sent(trial) <= succeeded(trial)) return;
      if (Atomics.compareExchange(this.#ints, at, trial, trial - 1) === trial) return;
    }
  }

  /** An open circuit stays "open" until a request asks for the first probe. */
  get state(): CircuitState {
    return STATES[stateOf(Atomics.load(this.#ints, this.#base + STATE))]!;
  }

  /** Milliseconds after which asking again makes sense; 0 while requests are allowed. */
  retryAfterMs(): number {
    const word = Atomics.load(this.#ints, this.#base + STATE);
    if (word === CLOSED) return 0;
    const left = (this.#openUnits - this.#unitsSince(word)) * UNIT_MS;
    return Math.max(0, stateOf(word) === OPEN ? left : Math.min(left, HALF_OPEN_RETRY_MS));
  }

  // ——— open and half-open

  #allowProbe(seen: number): boolean {
    const ints = this.#ints;
    let word = seen;
    for (;;) {
      if (word === CLOSED) return true;
      if (stateOf(word) === HALF_OPEN && this.#takeProbe(word)) return true;
      // Open, or half-open with all probes sent: only time helps.
      if (this.#unitsSince(word) < this.#openUnits) return false;
      Atomics.compareExchange(ints, this.#base + STATE, word, this.#word(HALF_OPEN));
      const next = Atomics.load(ints, this.#base + STATE);
      if (next === word) return false; // the clock stands still within a trial that took no time
      word = next;
    }
  }

  /** Takes one of the trial's probes. The trial's word is begun by whoever comes first. */
  #takeProbe(word: number): boolean {
    const at = this.#base + TRIAL;
    for (;;) {
      const trial = Atomics.load(this.#ints, at);
      const begun = isTrialOf(trial, word) ? trial : tagOf(word) << TAG_SHIFT;
      if (sent(begun) >= this.#probes) return false;
      if (Atomics.compareExchange(this.#ints, at, trial, begun + 1) === trial) return true;
    }
  }

  #probed(word: number, isError: boolean): void {
    if (isError) {
      Atomics.compareExchange(this.#ints, this.#base + STATE, word, this.#word(OPEN));
      return;
    }
    const at = this.#base + TRIAL;
    for (;;) {
      const trial = Atomics.load(this.#ints, at);
      // More successes than probes: some were sent before this trial.
      if (!isTrialOf(trial, word) || succeeded(trial) >= sent(trial)) return;
      if (Atomics.compareExchange(this.#ints, at, trial, trial + SUCCESS) !== trial) continue;
      if (succeeded(trial) + 1 < this.#probes) return;
      // Nobody counts before the circuit is closed, so the window can be cleaned for it now.
      this.#clean(0, SUB_WINDOWS);
      Atomics.compareExchange(this.#ints, this.#base + STATE, word, CLOSED);
      return;
    }
  }

  // ——— closed

  #count(isError: boolean): void {
    const ints = this.#ints;
    const at = this.#base;
    const sub = this.#subWindow();
    Atomics.add(ints, at + REQUESTS + sub, 1);
    if (!isError) return;
    Atomics.add(ints, at + ERRORS + sub, 1);
    // Only an error can make the rate too high.
    let requests = 0;
    let errors = 0;
    for (let i = 0; i < SUB_WINDOWS; i += 1) {
      requests += Atomics.load(ints, at + REQUESTS + i);
      errors += Atomics.load(ints, at + ERRORS + i);
    }
    if (requests >= this.#minRequests && errors >= this.#errorRate * requests - ROUNDING)
      Atomics.compareExchange(ints, at + STATE, CLOSED, this.#word(OPEN));
  }

  /** The place of the current sub-window. Whoever comes first in a new one throws away what is too old. */
  #subWindow(): number {
    const at = this.#base + CURRENT;
    const number = Math.floor(this.#board.now / this.#subWindowMs) & TIME_MASK;
    const current = Atomics.load(this.#ints, at);
    const passed = number - current;
    if (passed === 0) return number % SUB_WINDOWS;
    // A little behind: this thread's clock is from before another's. Far behind: the number began again at 0.
    if (passed < 0 && passed > -SUB_WINDOWS) return current % SUB_WINDOWS;
    if (Atomics.compareExchange(this.#ints, at, current, number) === current) {
      // The one after `current` is clean already. The one after `number` is made so now, before anybody counts in it.
      const stale = passed > 0 ? Math.min(passed, SUB_WINDOWS) : SUB_WINDOWS;
      this.#clean(number + 2 - stale, number + 2);
    }
    return number % SUB_WINDOWS;
  }

  /** Empties the sub-windows from number `from` up to, not including, `to`. */
  #clean(from: number, to: number): void {
    for (let number = from; number < to; number += 1) {
      const sub = (number + SUB_WINDOWS) % SUB_WINDOWS;
      Atomics.store(this.#ints, this.#base + REQUESTS + sub, 0);
      Atomics.store(this.#ints, this.#base + ERRORS + sub, 0);
    }
  }

  // ——— times

  #word(state: typeof OPEN | typeof HALF_OPEN): number {
    return (Math.floor(this.#board.now / UNIT_MS) << STATE_BITS) | state;
  }

  #unitsSince(word: number): number {
    // Shifting there and back extends the sign of 30 bits.
    const units = ((Math.floor(this.#board.now / UNIT_MS) - (word >> STATE_BITS)) << STATE_BITS) >> STATE_BITS;
    if (units >= 0) return units;
    return units > -SKEW_UNITS ? 0 : this.#openUnits; // long ago: nobody asked for a quarter of a year
  }
}

const stateOf = (word: number): number => word & 3;
/** Twelve bits of the time when a trial began tell it from the one before it. */
const tagOf = (word: number): number => (word >>> STATE_BITS) & 0xfff;
const isTrialOf = (trial: number, word: number): boolean => trial >>> TAG_SHIFT === tagOf(word);
const sent = (trial: number): number => trial & PROBES_MASK;
const succeeded = (trial: number): number => (trial >>> 10) & PROBES_MASK;
