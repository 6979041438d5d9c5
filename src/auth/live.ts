// What is still under way when whoever asked for it may no more: WebSockets and streams, which are ended then. Looked
// after by each thread for itself, twice a second and only while there are any.
import { fault } from "../core/faults.ts";
import type { EndableTunnel, Exchange } from "../pipeline/exchange.ts";
import type { Held } from "../pipeline/shared.ts";

const LOOK_MS = 500;
/** As many as a thread has connections at the most; what is beyond them is not looked after. */
const LIVE_MAX = 100_000;
/** RFC 6455 section 7.4.1: a message, or here its sender, that breaks the rules of this end. */
const POLICY_VIOLATION = 1008;
/** Shorter answers have ended before anybody could end them. */
const LONG_BYTES = 1_048_576;

/** Who may go on. */
export interface Permission {
  /** Whether it has ended by now (milliseconds since 1970). */
  isOver(now: number): boolean;
}

/** Whether the answer may go on for so long that it has to be looked after. */
export function isLong({ response: { body, length } }: Exchange): boolean {
  return body === "chunked" || body === "close" || (body === "length" && length > LONG_BYTES);
}

/** One exchange that goes on for long. */
class LiveExchange implements Held {
  readonly permission: Permission;
  readonly x: Exchange;
  readonly tunnel: EndableTunnel | null;
  readonly next: Held | null;
  readonly #live: Set<LiveExchange>;

  constructor(permission: Permission, x: Exchange, tunnel: EndableTunnel | null, live: Set<LiveExchange>) {
    this.permission = permission;
    this.x = x;
    this.tunnel = tunnel;
    this.#live = live;
    this.next = x.held;
    x.held = this;
    live.add(this);
  }

  leave(): void {
    this.#live.delete(this);
  }

  end(): void {
    this.leave();
    if (this.tunnel !== null) return this.tunnel.endEarly(POLICY_VIOLATION);
    const { x } = this;
    if (x.over) return;
    const cause = fault("auth.ended");
    x.fault = cause;
    x.sink?.onDownstreamGone(cause);
    if (!x.over) x.downstream.abort(cause);
  }
}

export class Live {
  readonly #now: () => number;
  readonly #live = new Set<LiveExchange>();
  #timer: NodeJS.Timeout | null = null;

  /** `now`: milliseconds since 1970. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Ends the exchange when the permission ends. */
  watch(permission: Permission, x: Exchange, tunnel: EndableTunnel | null): void {
    if (this.#live.size >= LIVE_MAX) return;
    new LiveExchange(permission, x, tunnel, this.#live);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref();
  }

  #look(): void {
    const now = this.#now();
    for (const one of this.#live) if (one.permission.isOver(now)) one.end();
    if (this.#live.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}
