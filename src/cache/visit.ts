// One request on its way through the cache, from the moment that a server has to be asked.
import type { RequestDirectives } from "../engines/cache/cache-control.ts";
import type { ForwardReason } from "../engines/cache/cache-status.ts";
import type { Exchange, RequestSink } from "../pipeline/exchange.ts";
import type { ForwardEnvironment } from "../upstream/forward-environment.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { Encoder, KeptAnswer } from "./encoded.ts";
import type { Entry } from "./entry.ts";
import type { Place } from "./place.ts";
import type { RouteCache } from "./route-cache.ts";

/** What the cache needs from those around it. */
export interface CacheEnvironment extends ForwardEnvironment {
  /** Forwards a request to an upstream. `env` hears what becomes of it. */
  forward(x: Exchange, upstream: Upstream, env: ForwardEnvironment): void;
}

/** Who is told of a client that does not wait any more. */
export interface Host {
  leave(visit: Visit): void;
}

export class Visit implements RequestSink {
  readonly x: Exchange;
  readonly env: CacheEnvironment;
  readonly upstream: Upstream;
  readonly rules: RouteCache;
  readonly place: Place;
  readonly wants: RequestDirectives;
  readonly reason: ForwardReason;
  /** What is stored for it and may not be used without asking. */
  readonly stale: Entry | null;
  /** The server is to be asked without a condition: its answer to one was about something else. */
  unconditional = false;
  /** How often another worker has been asked for it. */
  asked = 0;
  /** The worker that was asked last; -1 for none. */
  askedLast = -1;
  /** How often it has waited for the request of another. */
  waits = 0;
  /** The part that it is about (parts.ts); "" for the whole. */
  range = "";
  host: Host | null = null;
  #key = "";
  readonly #encoder: Encoder;

  constructor(
    x: Exchange,
    env: CacheEnvironment,
    upstream: Upstream,
    rules: RouteCache,
    place: Place,
    wants: RequestDirectives,
    reason: ForwardReason,
    stale: Entry | null,
    encoder: Encoder,
  ) {
    this.#encoder = encoder;
    this.x = x;
    this.env = env;
    this.upstream = upstream;
    this.rules = rules;
    this.place = place;
    this.wants = wants;
    this.reason = reason;
    this.stale = stale;
  }

  /** What it is fetched under: the key of its place, and the part. */
  get key(): string {
    if (this.#key === "") this.#key = this.place.address + this.place.extra + this.range;
    return this.#key;
  }

  /** What filters may take in place of an answer of this address; null for nothing. */
  offer(entry: Entry): KeptAnswer | null {
    return this.#encoder.offer(this.x, this.rules, this.place.address, entry);
  }

  /** What is stored for it is fresh for no time at all. */
  get isNeverFresh(): boolean {
    return this.stale !== null && this.stale.times.freshUntil <= this.stale.times.bornAt;
  }

  /** The same request, about a part of what it asks for, which has a place of its own. */
  ofPart(place: Place, range: string): Visit {
    const { x, env, upstream, rules, wants, reason } = this;
    const visit = new Visit(x, env, upstream, rules, place, wants, reason, null, this.#encoder);
    visit.range = range;
    return visit;
  }

  /** The same by another exchange: a copy, where the client's own is over before the server is asked. */
  by(x: Exchange): Visit {
    const { env, upstream, rules, place, wants, reason, stale } = this;
    return new Visit(x, env, upstream, rules, place, wants, reason, stale, this.#encoder);
  }

  /** Waits: from now on it hears when its client leaves. */
  waitAt(host: Host): void {
    const { x } = this;
    this.host = host;
    x.sink = this;
    x.downstream.readBody(this);
  }

  // Requests that the cache takes have no body.
  onRequestData(): void {}
  onRequestEnd(): void {}
  onDownstreamDrain(): void {}
  onDownstreamGone(): void {
    this.host?.leave(this);
    this.host = null;
  }
}
