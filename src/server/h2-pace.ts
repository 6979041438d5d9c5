// Whether the client of one HTTP/2 stream is too slow: a body that dribbles in, or an answer whose stream gets no
// window, would hold memory and a server's connection for as long as it likes. Streams are looked at one by one, so
// that the others of the connection go on.
import type { ListenerContext } from "./listener.ts";

/** The body's rate is judged only after this long. */
const RATE_GRACE_MS = 5000;

const NEVER = Number.POSITIVE_INFINITY;

/** Times are those of the listener's wheel. The owner looks at `deadline`. */
export class H2Pace {
  readonly #listener: ListenerContext;
  #bytes = 0;
  #since = 0;
  /** Longest silence that a body may fall into. */
  #silenceMs = 0;
  /** The body has a minimum rate. */
  #isRated = true;
  #sent = 0;
  #sentByAll = 0;
  /** When the next piece of the body must have come. */
  #bodyBy = NEVER;
  /** When it is looked at again how much of the answer has left. */
  #writeBy = NEVER;

  constructor(listener: ListenerContext) {
    this.#listener = listener;
  }

  /** When there is something to look at; Infinity while nothing is waited for. */
  get deadline(): number {
    return Math.min(this.#bodyBy, this.#writeBy);
  }

  /** The request's body is awaited from now on; time in which nobody would read it does not count. */
  startBody(): void {
    this.#bytes = 0;
    this.#since = this.#listener.wheel.now;
    this.#silenceMs = this.#listener.options.timeouts.body;
    this.#bodyBy = this.#since + this.#silenceMs;
  }

  /** The same for a stream of messages, which may be as slow as it likes: both sides together are silent for `ms`. */
  startMessages(ms: number): void {
    this.#isRated = false;
    this.#silenceMs = ms;
    this.#bodyBy = this.#listener.wheel.now + ms;
  }

  /** The other side has said something. */
  answered(): void {
    if (!this.#isRated && this.#bodyBy !== NEVER) this.#bodyBy = this.#listener.wheel.now + this.#silenceMs;
  }

  /** A piece of the body has come. False: it comes slower than its minimum rate. */
  received(bytes: number): boolean {
    const { wheel, options } = this.#listener;
    this.#bytes += bytes;
    if (this.#bodyBy !== NEVER) this.#bodyBy = wheel.now + this.#silenceMs;
    if (!this.#isRated) return true;
    const elapsed = wheel.now - this.#since;
    return elapsed <= RATE_GRACE_MS || this.#bytes * 1000 >= options.limits.bodyRate * elapsed;
  }

  /** The body is not awaited: it is there, or it is we who do not read it. */
  stopBody(): void {
    this.#bodyBy = NEVER;
  }

  /** The body has not come in time. */
  get bodyOverdue(): boolean {
    return this.#listener.wheel.now >= this.#bodyBy;
  }

  /** Bytes of the answer wait; `sent` of them have left so far, and `sentByAll` of the whole connection. */
  watch(sent: number, sentByAll: number): void {
    if (this.#writeBy !== NEVER) return;
    this.#sent = sent;
    this.#sentByAll = sentByAll;
    this.#writeBy = this.#listener.wheel.now + this.#listener.options.timeouts.body;
  }

  /** Nothing waits any more. */
  stopWatch(): void {
    this.#writeBy = NEVER;
  }

  get writeDue(): boolean {
    return this.#listener.wheel.now >= this.#writeBy;
  }

  /**
   * Since the last look, a body time-out ago, fewer bytes left than the minimum rate asks for, and not because other
   * streams of the connection were first: it `hasNoWindow`, or nothing moves at all.
   */
  stalled(sent: number, sentByAll: number, hasNoWindow: boolean): boolean {
    const { limits, timeouts } = this.#listener.options;
    const least = (limits.bodyRate * timeouts.body) / 1000;
    const isSlow = sent - this.#sent < least;
    const isStuck = hasNoWindow || sentByAll - this.#sentByAll < least;
    this.#sent = sent;
    this.#sentByAll = sentByAll;
    this.#writeBy = this.#listener.wheel.now + timeouts.body;
    return isSlow && isStuck;
  }
}
