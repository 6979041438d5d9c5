// Whether a client is too slow: a body that dribbles in, or an answer that it does not read, would hold memory and an
// upstream connection for as long as it likes (slow POST, slow read).
import type { Timer } from "../core/timers.ts";
import type { Connection } from "../transport/connection.ts";
import type { ListenerContext } from "./listener.ts";

/** How long a client may go on sending after the last answer (RFC 9112 §9.6). */
export const LINGER_MS = 3000;
/** A client that closed its sending side gets this long to be answered before it counts as gone. */
export const HALF_CLOSED_MS = 1000;
/** The body's rate is judged only after this long. */
const RATE_GRACE_MS = 5000;

export class ClientPace {
  readonly #listener: ListenerContext;
  /** The connection's timer: it fires when the client has been waited for long enough. */
  readonly #timer: Timer;
  #bytes = 0;
  #since = 0;
  /** Bytes that had left at the last look; -1 to let the first look pass. */
  #sent = 0;

  constructor(listener: ListenerContext, timer: Timer) {
    this.#listener = listener;
    this.#timer = timer;
  }

  /** The request's body is awaited from now on; time in which nobody would read it does not count. */
  startBody(): void {
    this.#bytes = 0;
    this.#since = this.#listener.wheel.now;
    this.awaitBody();
  }

  /** The next piece of the body may take as long as the time-out says. */
  awaitBody(): void {
    this.#listener.wheel.arm(this.#timer, this.#listener.options.timeouts.body);
  }

  /** A piece of the body has come. */
  received(bytes: number): void {
    this.#bytes += bytes;
  }

  /** The body comes slower than its minimum rate. */
  get tooSlow(): boolean {
    const { wheel, options } = this.#listener;
    const elapsed = wheel.now - this.#since;
    return elapsed > RATE_GRACE_MS && this.#bytes * 1000 < options.limits.bodyRate * elapsed;
  }

  /** Bytes wait for the client from now on; it is looked at again after a body time-out. */
  watch(connection: Connection): void {
    this.#sent = connection.sent;
    this.#listener.wheel.arm(this.#timer, this.#listener.options.timeouts.body);
  }

  /** The next look at a waiting answer passes, whatever has left. */
  forgive(): void {
    this.#sent = -1;
  }

  /** Bytes wait, and since the last look, a body time-out ago, fewer left than the minimum rate asks for. */
  stalled(connection: Connection): boolean {
    if (connection.queued === 0) return false;
    const { limits, timeouts } = this.#listener.options;
    const least = (limits.bodyRate * timeouts.body) / 1000;
    const slow = this.#sent >= 0 && connection.sent - this.#sent < least;
    this.#sent = connection.sent;
    return slow;
  }
}
