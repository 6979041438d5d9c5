// What is still under way when its session ends: WebSockets and streams, which are ended with it. Looked after by each
// thread for itself, twice a second and only while there are any.
import { fault } from "../../core/faults.ts";
import type { EndableTunnel, Exchange } from "../../pipeline/exchange.ts";
import type { Held } from "../../pipeline/shared.ts";
import type { Opened, Sessions } from "./sessions.ts";

const LOOK_MS = 500;
/** As many as a thread has connections at the most; what is beyond them is not looked after. */
const LIVE_MAX = 100_000;
/** RFC 6455 section 7.4.1: a message, or here its sender, that breaks the rules of this end. */
const POLICY_VIOLATION = 1008;

/** One exchange that goes on for long. */
class LiveExchange implements Held {
  readonly opened: Opened;
  readonly x: Exchange;
  readonly tunnel: EndableTunnel | null;
  readonly until: number;
  readonly next: Held | null;
  readonly #live: Set<LiveExchange>;

  constructor(opened: Opened, x: Exchange, tunnel: EndableTunnel | null, until: number, live: Set<LiveExchange>) {
    this.opened = opened;
    this.x = x;
    this.tunnel = tunnel;
    this.until = until;
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
  readonly #sessions: Sessions;
  readonly #live = new Set<LiveExchange>();
  #timer: NodeJS.Timeout | null = null;

  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  /** Ends the exchange when its session ends. */
  watch(opened: Opened, x: Exchange, tunnel: EndableTunnel | null): void {
    if (this.#live.size >= LIVE_MAX) return;
    const { tunnel: tunnelMs } = this.#sessions.config;
    const { endsAt } = opened.session;
    const until = tunnel === null || tunnelMs === undefined ? endsAt : Math.min(endsAt, this.#sessions.now + tunnelMs);
    new LiveExchange(opened, x, tunnel, until, this.#live);
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref();
  }

  #look(): void {
    const { now } = this.#sessions;
    for (const one of this.#live) if (now >= one.until || this.#sessions.isRevoked(one.opened)) one.end();
    if (this.#live.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }
}
