// A second server is asked when the first one is slow; whoever answers first is heard, the others are given up.
import { turnTime } from "../core/clock.ts";
import type { Delayed } from "../core/delay-line.ts";
import { type Fault, fault, specOf } from "../core/faults.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { HedgePolicy } from "../pipeline/retry-policy.ts";
import type { ConnectionWant, Server } from "./pool.ts";
import type { Upstream } from "./upstream.ts";
import type { UpstreamCall, UpstreamClient } from "./upstream-client.ts";
import type { Want } from "./want.ts";

/** Who asked the first server. */
export interface RaceOwner {
  readonly withdrawn: boolean;
  readonly connectMs: number;
  /** How long an answer may take. */
  readonly responseMs: number;
  readonly key: number;
  /** The server asked first. */
  readonly leader: Server | null;
  readonly tried: readonly Server[] | null;
  /** At most what is left until its deadline. */
  within(ms: number): number;
  hostFor(server: Server): string | null;
  /** Another server has answered first: its connection is the owner's from now on. Returns what `onResponse` does. */
  raceWon(server: Server, client: UpstreamClient, attemptAt: number, head: ResponseHead): boolean;
  /** Nobody is left in the race. */
  raceLost(cause: Fault, tried: readonly Server[]): void;
}

export class Race {
  readonly owner: RaceOwner;
  readonly x: Exchange;
  readonly upstream: Upstream;
  readonly #policy: HedgePolicy;
  readonly #rivals: Rival[] = [];
  #pending = 0;
  #leaderFault: Fault | null = null;
  #delayed: Delayed<unknown> | null = null;
  #over = false;

  /** Begins one for a request that may be sent to several servers; null for all others. */
  static start(owner: RaceOwner, x: Exchange, upstream: Upstream, policy: HedgePolicy): Race | null {
    const { body, method, upgrade } = x.request;
    if (body !== "none" || upgrade !== "" || !upstream.hedgeable(method)) return null;
    const race = new Race(owner, x, upstream, policy);
    race.wait();
    return race;
  }

  constructor(owner: RaceOwner, x: Exchange, upstream: Upstream, policy: HedgePolicy) {
    this.owner = owner;
    this.x = x;
    this.upstream = upstream;
    this.#policy = policy;
  }

  get over(): boolean {
    return this.#over || this.owner.withdrawn;
  }
  /** Others than the first are being asked. */
  get running(): boolean {
    return !this.#over && this.#pending > 0;
  }

  /** Lets the first server think for as long as the policy says. */
  wait(): void {
    const { quantile, afterMs } = this.#policy;
    const ms = quantile === 0 ? afterMs : this.upstream.latencyQuantile(quantile);
    if (ms > 0) this.#delayed = this.upstream.hedges(this.#policy).add(this, ms);
  }

  /** The time has come: one more server is asked. */
  due(): void {
    if (this.over || this.#leaderFault !== null) return;
    if (this.#rivals.length >= this.#policy.max || !this.upstream.mayRetry()) return;
    const rival = new Rival(this, [
      ...(this.owner.tried ?? []),
      ...(this.owner.leader === null ? [] : [this.owner.leader]),
      ...this.servers,
    ]);
    this.#rivals.push(rival);
    this.#pending += 1;
    this.upstream.hedged();
    this.upstream.acquire(rival);
    if (this.#rivals.length < this.#policy.max) this.wait();
  }

  /** The servers asked by rivals. */
  get servers(): Server[] {
    return this.#rivals.flatMap(({ server }) => (server === null ? [] : [server]));
  }

  won(winner: Rival, client: UpstreamClient, attemptAt: number, head: ResponseHead): boolean {
    this.#end();
    for (const rival of this.#rivals) if (rival !== winner) rival.cancel();
    return this.owner.raceWon(winner.server!, client, attemptAt, head);
  }

  failed(cause: Fault): void {
    this.#pending -= 1;
    if (this.#over || this.#pending > 0 || this.#leaderFault === null) return;
    this.#end();
    this.owner.raceLost(specOf(cause).side === "upstream" ? this.#leaderFault : cause, this.servers);
  }

  /** The first server has failed; the others may still answer. */
  leaderFailed(cause: Fault): void {
    this.#leaderFault = cause;
  }

  /** The first server has answered, or nobody wants an answer any more. */
  cancel(): void {
    if (this.#over) return;
    this.#end();
    for (const rival of this.#rivals) rival.cancel();
  }

  /** An exchange that is over is not kept until another server would have been asked. */
  #end(): void {
    this.#over = true;
    if (this.#delayed !== null) this.#delayed.item = null;
  }
}

class Rival implements Want, ConnectionWant, UpstreamCall {
  readonly freshOnly = false;
  readonly repeatable = true;
  readonly upgrade = ""; // none of those who race has one
  readonly pinned = null;
  readonly patient = false;
  readonly lane = 7;
  readonly movable = false;
  readonly tried: readonly Server[];
  server: Server | null = null;
  readonly #race: Race;
  #client: UpstreamClient | null = null;
  #attemptAt = 0;
  #over = false;

  constructor(race: Race, tried: readonly Server[]) {
    this.#race = race;
    this.tried = tried;
  }

  get withdrawn(): boolean {
    return this.#over || this.#race.over;
  }
  get connectMs(): number {
    return this.#race.owner.connectMs;
  }
  get key(): number {
    return this.#race.owner.key;
  }
  get preface(): Buffer | null {
    return this.#race.upstream.prefaceFor(this.#race.x.client);
  }

  onServer(server: Server): void {
    this.server = server;
    server.request(this);
  }

  onNoServer(cause: Fault): void {
    this.#fail(cause);
  }

  onConnection(client: UpstreamClient): void {
    const { x, owner } = this.#race;
    const { responseMs } = owner;
    this.#client = client;
    this.#attemptAt = turnTime();
    client.start(this, x, owner.hostFor(this.server!), owner.within(responseMs), responseMs);
    client.sendEnd(null);
  }

  onNoConnection(cause: Fault): void {
    this.#race.upstream.unreachable(this.server!);
    this.#fail(cause);
  }

  onInformational(): void {}

  onResponse(head: ResponseHead): boolean {
    const client = this.#client!;
    this.#client = null;
    this.#over = true;
    // The winner's owner counts what became of it. What asks for another try is none: the first may do better.
    if (head.status < 500 && head.status !== 101) return this.#race.won(this, client, this.#attemptAt, head);
    this.#race.upstream.outcome(this.server!, head.status, turnTime() - this.#attemptAt);
    if (head.status === 101) client.abandon();
    else client.drop();
    this.#race.failed(fault("upstream.bad_response", `status ${head.status}`));
    return true;
  }

  onFault(cause: Fault): void {
    this.#client = null;
    if (this.#over) return;
    const { upstream } = this.#race;
    if (cause.code === "upstream.refused") upstream.withdrawn();
    else upstream.outcome(this.server!, 0, turnTime() - this.#attemptAt);
    this.#fail(cause);
  }

  #fail(cause: Fault): void {
    this.#over = true;
    this.#race.failed(cause);
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#client === null) return;
    this.#race.upstream.cancelled(this.server!);
    this.#client.abandon();
    this.#client = null;
  }

  // A request in a race has no body, and what an answer holds goes to whoever has taken the connection over.
  onData(): void {}
  onEnd(): void {}
  onDrain(): void {}
}
