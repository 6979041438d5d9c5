// Finds how many requests at a time a server can take: as many as it answers without a queue of its own, and a few
// more. What waits, waits here, where it can be ordered, given to another server, or refused in time.
//
// After the gradient limits of congestion control (TCP Vegas, "gradient 2" of Netflix): the latency of now, compared
// with that of a server that is not crowded, says whether a queue stands in front of it. A round is as many answers as
// there may be requests in flight, so that what one round changed shows in the next.
//
// The latency without a queue is the difficult part. An average, however long, rises with the queue that it should
// tell, and a minimum is mere luck. So it follows the average while less than half of the limit is used, and may fall
// at any time; where the limit is used up for long, a trial now and then cuts it to where no queue should be, and
// measures.

/** The least: fewer could neither measure nor hide the network's time. */
const FLOOR = 4;
/** What a server gets before anything is known of it. It doubles each round until a queue shows. */
const START = 20;
/** Latency may be this much longer than without a queue before the limit falls; services vary as much by themselves. */
const TOLERANCE = 1.5;
/** How far one round moves the limit, and an average, towards what it found. */
const SMOOTHING = 0.2;
/** The queue that is allowed grows up to this much while there is none, to find out how much more the server takes. */
const CALM_MAX = 8;
/** What one round aims at is half of what was, at least. */
const GRADIENT_MIN = 0.5;
/** Answers that a mean takes at least. */
const ROUND_MIN = 20;

/** Trials are this far apart, and this many latencies: each takes three or four latencies, at two thirds of the speed. */
const TRIAL_EVERY_MS = 10_000;
const TRIAL_EVERY_LATENCIES = 100;
/** One comes sooner when the limit fell this far: the server may be slower for good. */
const FALL = 0.6;
/** Or when the last one found the latency this much lower: there may be more to find. */
const FOUND = 0.75;
/** But not before so many latencies. */
const SOON_LATENCIES = 10;
/** The limit of a trial, as a part of what the server seems to answer without a queue. */
const TRIAL_SHARE = 0.7;
/** With a queue in front of it, latency falls as the limit does; without, not at all. The middle of 1 and 1 / 0.7. */
const STILL_QUEUED = 1.2;
/** Answers that a trial waits for first, for each in flight before it: some of those take longer than others. */
const DRAIN = 1.5;
/** A trial ends after so many latencies, even where no answers come. */
const TRIAL_LATENCIES_MAX = 10;

const NONE = 0;
/** Until what was sent before the trial is answered. */
const DRAINING = 1;
const MEASURING = 2;

/** The limit of one server in one thread: it is told of that thread's requests, and limits those. */
export class AdaptiveLimit {
  readonly #max: number;
  readonly #now: () => number;
  #limit: number;
  #isStarting = true;
  /** Rounds in a row without a queue: the longer, the bolder. */
  #calm = 0;
  /** Milliseconds that an answer takes without a queue; 0 before it is known. */
  #base = 0;
  /** The first round is not believed: what answers first of many is what answers fast. */
  #isFirst = true;
  /** The round: good answers, their latencies added up, failures, and the most in flight. */
  #answers = 0;
  #sumMs = 0;
  #failures = 0;
  #inFlightMax = 0;
  /** Answers that this round takes. */
  #round: number;
  #trial: typeof NONE | typeof DRAINING | typeof MEASURING = NONE;
  #trialLimit = 0;
  /** Requests in flight before the trial, or its step, and the latency with so many. */
  #inFlightBefore = 0;
  #meanBefore = 0;
  /** When the trial ends that goes on, or when the next is due, and when it may be at the soonest. */
  #trialAt = 0;
  #trialSoonest = 0;
  /** The highest limit since the last trial. */
  #highest = 0;

  /** `max` is what the limit never exceeds. `now` is any clock in milliseconds; a tick of 100 ms will do. */
  constructor(max: number, now: () => number) {
    this.#max = max;
    this.#now = now;
    this.#limit = Math.min(START, max);
    this.#round = Math.max(ROUND_MIN, this.#limit);
    this.#trialAt = now() + TRIAL_EVERY_MS;
  }

  /** How many requests may be in flight: a whole number, 4 (or `max`, if less) at least. */
  get limit(): number {
    if (this.#trial === NONE) return Math.floor(this.#limit);
    if (this.#now() < this.#trialAt) return this.#trialLimit;
    this.#endTrial(0);
    this.#beginRound();
    return Math.floor(this.#limit);
  }

  /**
   * Tells of a request that ended: after `ms`, with `inFlight` under way (itself included). The time of `failed` ones
   * says nothing, but the limit falls by their share. Cancelled ones are not told.
   */
  sample(ms: number, inFlight: number, failed: boolean): void {
    if (inFlight > this.#inFlightMax) this.#inFlightMax = inFlight;
    if (failed) this.#failures += 1;
    else {
      this.#answers += 1;
      this.#sumMs += ms;
    }
    if (this.#answers + this.#failures >= this.#round) this.#endRound();
  }

  #endRound(): void {
    const meanMs = this.#answers === 0 ? 0 : this.#sumMs / this.#answers;
    if (this.#trial === DRAINING) {
      this.#trial = MEASURING;
      this.#meanBefore = meanMs;
    } else if (this.#trial === MEASURING) this.#judgeTrial(meanMs);
    else this.#adjust(meanMs, this.#failures / (this.#answers + this.#failures));
    this.#beginRound();
  }

  #beginRound(): void {
    let answers = this.#limit;
    if (this.#trial === DRAINING) answers = this.#inFlightBefore * DRAIN;
    if (this.#trial === MEASURING) answers = this.#trialLimit;
    this.#round = Math.max(ROUND_MIN, answers);
    this.#answers = 0;
    this.#sumMs = 0;
    this.#failures = 0;
    this.#inFlightMax = 0;
  }

  #adjust(meanMs: number, failed: number): void {
    const isCrowded = this.#inFlightMax >= this.#limit / 2;
    if (meanMs > 0) {
      if (this.#isFirst) {
        this.#isFirst = false;
        return;
      }
      if (this.#base === 0) this.#base = meanMs;
      else if (!isCrowded || meanMs < this.#base) this.#base += (meanMs - this.#base) * SMOOTHING;
    }
    // Unused, the limit says nothing about the server, and must not grow without anybody having tried it.
    if (!isCrowded && failed === 0) return;
    const gradient = meanMs === 0 ? 1 : Math.max(GRADIENT_MIN, Math.min(1, (TOLERANCE * this.#base) / meanMs));
    this.#calm = gradient === 1 && failed === 0 ? Math.min(CALM_MAX, this.#calm + 1) : 0;
    if (this.#isStarting && this.#calm === 0) {
      this.#isStarting = false;
      this.#trialAt = 0; // at once: a queue is there for the first time, and may have been when the base was found
    }
    if (this.#isStarting) this.#limit *= 2;
    else {
      const allowance = isCrowded ? Math.sqrt(this.#limit) * Math.max(1, this.#calm) : 0;
      const aim = this.#limit * gradient * (1 - failed) + allowance;
      this.#limit += (aim - this.#limit) * SMOOTHING;
    }
    this.#limit = Math.min(this.#max, Math.max(FLOOR, this.#limit));
    this.#highest = Math.max(this.#highest, this.#limit);
    if (isCrowded && meanMs > 0) this.#considerTrial(meanMs);
  }

  #considerTrial(meanMs: number): void {
    const now = this.#now();
    const hasFallen = this.#limit < this.#highest * FALL && now >= this.#trialSoonest;
    if (now < this.#trialAt && !hasFallen) return;
    const seemsFree = this.#limit * Math.min(1, this.#base / meanMs);
    this.#try(seemsFree * TRIAL_SHARE, this.#inFlightMax, now + TRIAL_LATENCIES_MAX * meanMs);
  }

  /** Begins a trial or its next step. */
  #try(limit: number, inFlightBefore: number, until: number): void {
    this.#trial = DRAINING;
    this.#trialLimit = Math.max(Math.min(FLOOR, this.#max), Math.floor(limit));
    this.#inFlightBefore = inFlightBefore;
    this.#trialAt = until + 100; // a coarse clock may lie that much back
  }

  #judgeTrial(meanMs: number): void {
    const withQueue = (this.#meanBefore * this.#trialLimit) / this.#inFlightBefore;
    if (meanMs === 0 || meanMs > withQueue * STILL_QUEUED || this.#trialLimit <= FLOOR) this.#endTrial(meanMs);
    // The server was as busy as ever, so going further down costs nothing.
    else this.#try(this.#trialLimit * TRIAL_SHARE, this.#trialLimit, this.#now() + TRIAL_LATENCIES_MAX * meanMs);
  }

  /** Takes what was measured as the latency without a queue; 0 when nothing could be. */
  #endTrial(meanMs: number): void {
    const now = this.#now();
    const hasFound = meanMs > 0 && meanMs < this.#base * FOUND;
    if (meanMs > 0) this.#base = meanMs;
    this.#trial = NONE;
    this.#highest = this.#limit;
    this.#trialSoonest = now + SOON_LATENCIES * this.#base;
    this.#trialAt = hasFound ? this.#trialSoonest : now + Math.max(TRIAL_EVERY_MS, TRIAL_EVERY_LATENCIES * this.#base);
  }
}
