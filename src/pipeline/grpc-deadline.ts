// The time that a gRPC client gives its call (`grpc-timeout`): when it is over, the server is told to stop and the
// client gets status 4, whatever the answer has come to by then.
import { turnTime } from "../core/clock.ts";
import { type Fault, fault } from "../core/faults.ts";
import { Timer, type TimerWheel } from "../core/timers.ts";
import { BAD_TIMEOUT, formatTimeout, NO_TIMEOUT, receivedTimeout } from "../http/grpc.ts";
import { ID } from "../http/header-names.ts";
import type { Exchange } from "./exchange.ts";
import { failExchange } from "./grpc-reply.ts";

/** Longer than any process runs: such a time is none, and the wheel's numbers stay exact. */
const TIMEOUT_MS_MAX = 1000 * 86_400_000;

export class GrpcDeadline {
  readonly #x: Exchange;
  readonly #wheel: TimerWheel;
  readonly #timer: Timer;
  readonly #at: number;
  /** When the time that the request names was what is left. */
  #namedAt: number;

  private constructor(x: Exchange, wheel: TimerWheel, ms: number) {
    this.#x = x;
    this.#wheel = wheel;
    this.#namedAt = turnTime();
    this.#at = this.#namedAt + ms;
    this.#timer = new Timer(() => this.#expire());
    wheel.arm(this.#timer, ms);
  }

  /**
   * Holds a gRPC call to the time that its client gives it, from now on. Returns the fault where that cannot be
   * understood or is over already; null when the call may go on.
   */
  static start(x: Exchange, wheel: TimerWheel): Fault | null {
    const { headers } = x.request;
    if (!headers.received(ID["grpc-timeout"])) return null;
    const ms = receivedTimeout(headers);
    if (ms === NO_TIMEOUT || ms > TIMEOUT_MS_MAX) return null;
    if (ms === BAD_TIMEOUT) return fault("request.grpc_timeout", headers.get("grpc-timeout") ?? "");
    if (ms === 0) return fault("upstream.deadline", "grpc-timeout 0");
    x.deadline = new GrpcDeadline(x, wheel, ms);
    return null;
  }

  /** A server is asked: it is told what is left of the time. */
  renew(): void {
    const now = turnTime();
    if (now === this.#namedAt) return; // the usual case: the line stays as the client wrote it
    this.#namedAt = now;
    this.#x.request.headers.set("grpc-timeout", formatTimeout(this.#at - now));
  }

  /** The exchange is over. */
  stop(): void {
    this.#wheel.drop(this.#timer);
  }

  #expire(): void {
    const x = this.#x;
    if (x.over) return;
    const cause = fault("upstream.deadline", "grpc-timeout");
    // The server is not to blame: how short the time is was the client's choice.
    x.sink?.onDownstreamGone(cause);
    if (!x.over) failExchange(x, cause);
  }
}
