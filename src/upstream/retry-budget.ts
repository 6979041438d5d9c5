// How many retries an upstream may get: a share of its requests, so that a failing server is not met with a multiple of
// the traffic that it fails under.

/** Retries per second that are always allowed: with little traffic a share of it would be none. */
const RESERVE_PER_SECOND = 3;
/** Most retries saved up of those, and what a budget begins with. */
const RESERVE_MAX = 10;
/**
 * What requests deposit is worth spending for this long to twice this long. When a server dies, all that it had in
 * flight, and what is sent there until it is ejected, wants to be tried again at once: the share of what ten seconds
 * brought covers that. Savings of hours would let retries double the traffic for minutes.
 */
const AGE_MS = 10_000;
/** Shares are not exact in binary: ten deposits of 0.1 are worth one retry. */
const ROUNDING = 1e-9;

/**
 * The retries that one thread may make at one upstream. Whatever happens, they are never more than `share` × requests,
 * three for each second, and ten.
 */
export class RetryBudget {
  readonly #share: number;
  readonly #now: () => number;
  /** Tokens deposited in this span of `AGE_MS`, and those left of the span before, which are spent first. */
  #young = 0;
  #old = 0;
  #spanEnds: number;
  #reserve = RESERVE_MAX;
  #reserveAt: number;

  /** `share` of the requests, 0 to 1. `now` is any clock in milliseconds that never goes back; a coarse one will do. */
  constructor(share: number, now: () => number) {
    this.#share = share;
    this.#now = now;
    this.#reserveAt = now();
    this.#spanEnds = this.#reserveAt + AGE_MS;
  }

  /** Counts a request: its first try, never a retry. */
  request(): void {
    const now = this.#now();
    if (now >= this.#spanEnds) this.#nextSpan(now);
    this.#young += this.#share;
  }

  /** Whether there is budget for one more. */
  get left(): boolean {
    const now = this.#now();
    if (now >= this.#spanEnds) this.#nextSpan(now);
    this.#reserve = Math.min(RESERVE_MAX, this.#reserve + ((now - this.#reserveAt) * RESERVE_PER_SECOND) / 1000);
    this.#reserveAt = now;
    return this.#old + this.#young + this.#reserve >= 1 - ROUNDING;
  }

  /** Takes what one retry (or one hedged request) costs; false when there is no budget for it. */
  take(): boolean {
    if (!this.left) return false;
    const fromOld = Math.min(this.#old, 1);
    const fromYoung = Math.min(this.#young, 1 - fromOld);
    this.#old -= fromOld;
    this.#young -= fromYoung;
    this.#reserve = Math.max(0, this.#reserve - (1 - fromOld - fromYoung));
    return true;
  }

  #nextSpan(now: number): void {
    this.#old = now < this.#spanEnds + AGE_MS ? this.#young : 0;
    this.#young = 0;
    this.#spanEnds = now + AGE_MS;
  }
}
