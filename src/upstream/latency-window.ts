// Which time a share of the last requests stayed under: what "slow" means for hedging.

/**
 * Buckets in microseconds: sixteen for each power of two, so that a bucket is 3 to 6 % wide and its middle is at most
 * 3.2 % off. From 64 µs to 67 s: what is faster or slower is neither worth a second request nor waited for.
 */
const SUB_BITS = 4;
const FIRST_EXPONENT = 6;
const LAST_EXPONENT = 25;
const BUCKETS = (LAST_EXPONENT - FIRST_EXPONENT + 1) << SUB_BITS;
const US_MIN = 2 ** FIRST_EXPONENT;
const US_MAX = 2 ** (LAST_EXPONENT + 1) - 1;

/** Two halves make the window: a latency counts for 15 to 30 s. */
const HALF_MS = 15_000;
/** A quantile asked for again is not counted out again before. */
const FRESH_MS = 100;
/** Fewer requests say nothing. A high quantile takes more: one must lie above it. */
const SAMPLES_MIN = 20;
/** One of twenty is 5 %, although 20 × (1 − 0.95) is not quite 1 in binary. */
const ROUNDING = 1e-6;

/** The latencies that one thread has seen of one upstream in about half a minute. 2.6 KB. */
export class LatencyWindow {
  readonly #now: () => number;
  /** Requests in each bucket, of the half that is being filled and of the one before. */
  #counts = new Uint32Array(BUCKETS);
  #before = new Uint32Array(BUCKETS);
  #halfEnds: number;
  /** The last answer of `quantile`, what was asked, and until when it holds. */
  #answer = 0;
  #asked = -1;
  #answerUntil = 0;

  /** `now` is any clock in milliseconds that never goes back; a coarse one will do. */
  constructor(now: () => number) {
    this.#now = now;
    this.#halfEnds = now() + HALF_MS;
  }

  /** Counts a request that was answered after `ms`. */
  observe(ms: number): void {
    const now = this.#now();
    if (now >= this.#halfEnds) this.#turn(now);
    const us = Math.min(Math.max(ms * 1000, US_MIN), US_MAX) | 0;
    const exponent = 31 - Math.clz32(us);
    // The bits after the leading one, which itself adds the first sixteen: taken off with the exponent.
    const at = ((exponent - FIRST_EXPONENT - 1) << SUB_BITS) + (us >>> (exponent - SUB_BITS));
    this.#counts[at]! += 1;
  }

  /**
   * The time in milliseconds that the share `q` (0 to 1) of the requests stayed under, give or take 3.2 %, and up to
   * 100 ms old. 0 while there are too few to say: 20, or as many as it takes for one to lie above.
   */
  quantile(q: number): number {
    const now = this.#now();
    if (q === this.#asked && now < this.#answerUntil) return this.#answer;
    if (now >= this.#halfEnds) this.#turn(now);
    this.#asked = q;
    this.#answerUntil = now + FRESH_MS;
    this.#answer = this.#find(q);
    return this.#answer;
  }

  #find(q: number): number {
    let total = 0;
    for (let at = 0; at < BUCKETS; at += 1) total += this.#counts[at]! + this.#before[at]!;
    if (total < SAMPLES_MIN || total * (1 - q) < 1 - ROUNDING) return 0;
    const rank = Math.max(1, Math.ceil(total * q - ROUNDING));
    let seen = 0;
    let at = -1;
    while (seen < rank) {
      at += 1;
      seen += this.#counts[at]! + this.#before[at]!;
    }
    return middleMs(at);
  }

  #turn(now: number): void {
    const old = this.#before;
    this.#before = this.#counts;
    this.#counts = old;
    old.fill(0);
    // Nothing was counted for longer than a half: what is left is too old as well.
    if (now >= this.#halfEnds + HALF_MS) this.#before.fill(0);
    this.#halfEnds = now + HALF_MS;
  }
}

function middleMs(at: number): number {
  const width = 2 ** ((at >>> SUB_BITS) + FIRST_EXPONENT - SUB_BITS);
  const start = ((at & 15) + 16) * width;
  return (start + width / 2) / 1000;
}
