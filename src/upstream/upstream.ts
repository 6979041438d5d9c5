// A group of servers that can answer the same requests, as one thread knows it: which of them gets the next request,
// which requests wait, and what every answer says about its server.
import { UPSTREAM_DEFAULTS } from "../config/defaults.ts";
import type { UpstreamConfig } from "../config/schema.ts";
import { monotonic } from "../core/clock.ts";
import { DelayLine } from "../core/delay-line.ts";
import { type Fault, fault } from "../core/faults.ts";
import type { TimerWheel } from "../core/timers.ts";
import { receivedCookies } from "../http/cookies.ts";
import type { Http2Metrics, UpstreamMetrics } from "../observe/metrics.ts";
import type { ClientInfo } from "../pipeline/client-info.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { type HedgePolicy, hedgePolicy, NO_RETRY, RetryPolicy } from "../pipeline/retry-policy.ts";
import { writeProxyHeader } from "../transport/proxy-protocol.ts";
import { AdaptiveLimit } from "./adaptive-limit.ts";
import type { Board } from "./board.ts";
import { CircuitBreaker } from "./circuit-breaker.ts";
import { compileHashKey } from "./hash-key.ts";
import { LatencyWindow } from "./latency-window.ts";
import type { UpstreamMembership } from "./member.ts";
import { Outlier } from "./outlier.ts";
import { Server, type ServerOwner } from "./pool.ts";
import { FULL, NOBODY, PlaceQueue } from "./queue.ts";
import type { Resolver } from "./resolver.ts";
import { RetryBudget } from "./retry-budget.ts";
import { Roster } from "./roster.ts";
import { Sticky } from "./sticky.ts";
import { priorityOf } from "./waiting-line.ts";
import type { Want } from "./want.ts";

/** What all upstreams of a thread share. */
export interface UpstreamEnvironment {
  readonly resolver: Resolver;
  readonly wheel: TimerWheel;
  readonly board: Board;
  /** Signs sticky cookies where the configuration has no secret of its own. */
  readonly secret: Uint8Array;
  readonly wallNow: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
  /** Counts what happens; looked up once for each upstream. */
  metrics(upstream: string): UpstreamMetrics;
  /** A server is left out for failing `errors` requests in a row. */
  ejected(upstream: string, server: string, errors: number): void;
}

/** A server whose connect failed is passed over this long while others are there, and longer each further time. */
const FAILED_MS = 1000;
const FAILED_MS_MAX = 30_000;

/** After so many choices that turn out busy, any server with room will do: asking the balancer for each costs more. */
const BUSY_MAX = 8;

/** Whether an answer says that its server is ill: 501 and 505 speak of the request. */
const isServerError = (status: number): boolean => status >= 500 && status !== 501 && status !== 505;

/** Of the eight lanes of a queue, those of the priorities that routes give: high, normal, low. */
const LANES: readonly number[] = [1, 3, 6];

export class Upstream implements ServerOwner {
  readonly name: string;
  readonly config: UpstreamConfig;
  readonly roster: Roster;
  readonly sticky: Sticky | null;
  readonly retry: RetryPolicy;
  readonly hedge: HedgePolicy | null;
  readonly budget: RetryBudget;
  /** 0 for none. */
  readonly totalMs: number;
  readonly queue: PlaceQueue;
  readonly #env: UpstreamEnvironment;
  readonly #board: Board;
  readonly #breaker: CircuitBreaker | null;
  readonly #outlier: Outlier | null;
  /** A line for each policy: in one, a long wait would hold the short ones up. */
  readonly #hedges = new WeakMap<HedgePolicy, DelayLine<{ due(): void }>>();
  #latency: LatencyWindow | null = null; // from the first request on that may be hedged
  readonly #hashKey: ((x: Exchange) => number) | null;
  readonly #adaptive = new Map<Server, AdaptiveLimit>();
  #slots: readonly number[] = [];
  /** Its counts, once there are any: an upstream that nobody uses has no series. */
  #metrics: UpstreamMetrics | null = null;
  #http2: Http2Metrics | null = null;

  constructor(name: string, config: UpstreamConfig, membership: UpstreamMembership, env: UpstreamEnvironment) {
    const { board } = env;
    this.name = name;
    this.config = config;
    this.#env = env;
    this.#board = board;
    this.roster = new Roster(config, board, env.random);
    this.sticky =
      config.sticky === undefined ? null : new Sticky(`upstream:${name}`, config.sticky, env.secret, env.wallNow);
    this.retry = config.retry === false ? NO_RETRY : new RetryPolicy(config.retry);
    // Without retries of its own too: routes may have theirs, and second servers that are asked cost as much.
    const { budget } = config.retry === false ? UPSTREAM_DEFAULTS.retry : config.retry;
    this.budget = new RetryBudget(budget, () => board.now);
    this.hedge = config.hedge === undefined ? null : hedgePolicy(config.hedge);
    this.totalMs = config.timeouts.total ?? 0;
    this.#breaker =
      config.circuitBreaker === undefined ? null : new CircuitBreaker(board, membership.slot, config.circuitBreaker);
    this.#outlier = config.outlier === false ? null : new Outlier(board, config.outlier, () => this.#slots);
    this.#hashKey = hashKeyOf(config);
    this.queue = new PlaceQueue(board, membership.slot + 1, env.wheel, config.limits, {
      place: (want) => this.#place(want),
      give: (want, server) => this.#give(want, server),
      leave: () => this.#breaker?.cancelled(),
    });
    this.setMembers(membership);
  }

  get metrics(): UpstreamMetrics {
    this.#metrics ??= this.#env.metrics(this.name);
    return this.#metrics;
  }
  /** Of servers that are spoken to in HTTP/2. */
  get http2(): Http2Metrics {
    this.#http2 ??= this.metrics.http2();
    return this.#http2;
  }
  get servers(): readonly Server[] {
    return this.roster.servers;
  }

  /** Takes over who the servers are. Those that stay keep their connections. */
  setMembers({ members }: UpstreamMembership): void {
    const { resolver, wheel } = this.#env;
    const before = this.servers;
    const servers = members.map((member) => {
      const known = this.roster.byId(member.id);
      const isSame = known?.member.tls === member.tls && known.member.http === member.http;
      const server = isSame ? known : new Server(member, this, resolver, wheel);
      server.member = member;
      return server;
    });
    for (const server of before) {
      if (servers.includes(server)) continue;
      server.index = -1;
      server.metrics?.end();
      server.metrics = null;
      server.retire();
      this.#adaptive.delete(server);
    }
    this.#slots = members.filter(({ mode }) => mode === "ready").map(({ slot }) => slot);
    this.sticky?.members(members.map(({ id }) => id));
    this.roster.reset(servers);
    this.queue.serve();
  }

  // ——— what a request asks

  /** The Host that servers of this upstream see; null for the client's own. */
  hostFor(server: Server): string | null {
    const { hostHeader } = this.config;
    if (hostHeader === "preserve") return null;
    return hostHeader === "upstream" ? serverHost(server) : hostHeader;
  }

  keyOf(x: Exchange): number {
    return this.#hashKey === null ? 0 : this.#hashKey(x);
  }

  laneOf(x: Exchange): number {
    if (x.priority >= 0) return LANES[x.priority]!;
    const { queuePriority } = this.config.limits;
    return queuePriority === undefined ? 3 : priorityOf(x.header(queuePriority));
  }

  /** What a connection for this client begins with. */
  prefaceFor(client: ClientInfo): Buffer | null {
    const { proxyProtocol } = this.config;
    return proxyProtocol === undefined ? null : writeProxyHeader(proxyProtocol, client.source, client.destination);
  }

  /** The server that the client's cookie names, if it may still be used. */
  stickyServer(x: Exchange): Server | null {
    const hit = this.sticky!.find(receivedCookies(x.request.headers));
    return hit === null ? null : this.roster.byId(hit.id);
  }

  /** Keeps the client at the server that has answered. */
  stick(x: Exchange, server: Server): void {
    const hit = this.sticky!.find(receivedCookies(x.request.headers));
    const cookie = this.sticky!.cookieFor(hit, server.name, x.scheme === "https");
    if (cookie !== null) (x.setCookies ??= []).push(cookie);
  }

  // ——— a server for a request

  /** Chooses a server, now or when there is room. */
  acquire(want: Want): void {
    if (this.#breaker !== null && !this.#breaker.allow()) return want.onNoServer(this.#circuitOpen(this.#breaker));
    const found = this.queue.occupied && want.patient ? FULL : this.#place(want);
    if (typeof found === "object") return this.#give(want, found);
    if (found === FULL && want.patient && this.queue.add(want, want.lane)) return;
    this.#breaker?.cancelled();
    want.onNoServer(found === FULL ? fault("upstream.queue_full", this.name) : this.#nobody());
  }

  #circuitOpen(breaker: CircuitBreaker): Fault {
    return fault("upstream.circuit_open", this.name, Math.ceil(breaker.retryAfterMs() / 1000));
  }

  #nobody(): Fault {
    return fault("upstream.none", this.servers.length === 0 ? `${this.name}: no servers are known` : this.name);
  }

  /** A server with a place for this request, which is taken; FULL when all are busy, NOBODY when there is none. */
  #place(want: Want): Server | typeof FULL | typeof NOBODY {
    const { roster } = this;
    const { pinned, tried } = want;
    if (pinned !== null && pinned.index >= 0 && roster.keeps(pinned)) return this.#enter(pinned) ? pinned : FULL;
    const key = this.#hashKey === null ? 0 : want.key;
    if (tried === null) {
      const server = roster.next(key, null);
      if (server === null) return NOBODY;
      if (this.#enter(server)) return server;
    }
    return this.#placeAmong(key, tried, want.patient);
  }

  /** The same among those that were not tried and are not busy. Who only asks to be faster gets no last resort. */
  #placeAmong(key: number, tried: readonly Server[] | null, patient: boolean): Server | typeof FULL | typeof NOBODY {
    const retry = tried !== null && patient;
    const mask = this.roster.mask();
    for (const server of tried ?? []) if (server.index >= 0) mask[server.index] = 1;
    for (let busy = 0; busy < BUSY_MAX; busy += 1) {
      const server = this.roster.next(key, mask) ?? this.roster.beyond(mask, retry && busy === 0);
      if (server === null) return busy > 0 ? FULL : NOBODY;
      if (this.#enter(server)) return server;
      mask[server.index] = 1;
    }
    return this.roster.find((server) => mask[server.index] === 0 && this.#enter(server)) ?? FULL;
  }

  #enter(server: Server): boolean {
    const { connections, adaptive } = this.config.limits;
    const { slot } = server.member;
    if (adaptive && this.#board.ownInFlight(slot) >= this.#adaptiveOf(server).limit) return false;
    return this.#board.enter(slot, connections);
  }

  #adaptiveOf(server: Server): AdaptiveLimit {
    let limit = this.#adaptive.get(server);
    if (limit === undefined) {
      limit = new AdaptiveLimit(this.config.limits.connections, () => this.#board.now);
      this.#adaptive.set(server, limit);
    }
    return limit;
  }

  #give(want: Want, server: Server): void {
    // One request finds out whether it can be reached again; the others are not to wait for that.
    if (server.failures > 0 && !server.isConnected) this.#tryOnce(server);
    want.onServer(server);
  }

  /** Passes the server over until it is known whether this connect succeeds. */
  #tryOnce(server: Server): void {
    server.probed = true;
    server.failedUntil = this.#board.now + this.config.timeouts.connect;
    this.roster.touch();
  }

  serverFreed(server: Server): void {
    this.#board.leave(server.member.slot);
    this.queue.freed(server);
  }

  withdrawn(): void {
    this.#breaker?.cancelled();
  }

  serverFailed(server: Server): void {
    const { now } = this.#board;
    // Those that were on their way together fail together: that is one failure.
    if (server.probed || server.failures === 0) server.failures += 1;
    server.probed = false;
    server.failedUntil = now + Math.min(FAILED_MS * 2 ** (server.failures - 1), FAILED_MS_MAX);
    this.roster.touch();
  }

  serverConnected(server: Server): void {
    server.failures = 0;
    server.failedUntil = 0;
    server.probed = false;
    this.roster.touch();
  }

  // ——— what became of it

  /**
   * A request to a server is over; `status` is 0 without an answer. `ms` went by up to its head. `failed`: the answer
   * says in another way that the server is to blame.
   */
  outcome(server: Server, status: number, ms: number, failed = false): void {
    const isError = failed || status === 0 || isServerError(status);
    const { slot } = server.member;
    this.#count(server, status);
    if (status !== 0) {
      this.metrics.duration.observe(ms / 1000);
      this.#latency?.observe(ms);
    }
    const inARow = this.#board.count(slot, isError, ms);
    if (inARow > 0 && this.servers.length > 1 && this.#outlier?.errorsInARow(slot, inARow) === true) {
      this.metrics.ejections("errors in a row").add(1);
      this.#env.ejected(this.name, server.name, inARow);
    }
    this.#breaker?.outcome(isError);
    if (server.index >= 0) this.roster.balancer.observe(server.index, ms, isError, this.#board.now);
    if (this.config.limits.adaptive) this.#adaptiveOf(server).sample(ms, this.#board.ownInFlight(slot), isError);
  }

  /** Servers that have left count nothing: their series have ended. */
  #count(server: Server, status: number): void {
    if (server.index < 0) return;
    server.metrics ??= this.metrics.server(server.name);
    server.metrics.count(status);
  }

  /** A connect failed. It is passed over for that already, so it is no error in a row. */
  unreachable(server: Server): void {
    this.#count(server, 0);
    this.#breaker?.outcome(true);
    if (server.index >= 0) this.roster.balancer.observe(server.index, 0, true, this.#board.now);
  }

  /** A connection of layer 4 is there, `ms` after it was asked for. */
  streamOpened(server: Server, ms: number): void {
    if (server.failures > 0) this.serverConnected(server);
    this.#board.count(server.member.slot, false, ms);
    this.#breaker?.outcome(false);
    if (server.index >= 0) this.roster.balancer.observe(server.index, ms, false, this.#board.now);
  }

  /** A request was given up for reasons that are not its server's: nothing is held against it. */
  cancelled(server: Server): void {
    this.#count(server, CLIENT_GONE);
    this.#breaker?.cancelled();
  }

  /** Whether the budget has room for one more try; it is spent. */
  mayRetry(): boolean {
    if (this.budget.take()) return true;
    this.metrics.budgetExhausted.add(1);
    return false;
  }
  retried(): void {
    this.metrics.retries.add(1);
  }
  hedged(): void {
    this.metrics.hedges.add(1);
  }

  /** The pause before a retry is a matter of chance: those that failed together do not come back together. */
  pauseMs(policy: RetryPolicy, retry: number): number {
    return policy.pauseMs(retry, this.#env.random());
  }

  /** Whether a server is left that was not tried and is not this one. */
  hasOther(tried: readonly Server[] | null, than: Server): boolean {
    return this.roster.hasOther((server) => server !== than && tried?.includes(server) !== true);
  }

  /** Whether a second server may be asked for such a request. */
  hedgeable(method: string): boolean {
    return this.servers.length > 1 && (method === "GET" || method === "HEAD" || method === "OPTIONS");
  }

  /** Where requests that are hedged by this policy wait for their time. */
  hedges(policy: HedgePolicy): DelayLine<{ due(): void }> {
    let line = this.#hedges.get(policy);
    if (line === undefined) {
      line = new DelayLine((race) => race.due(), monotonic);
      this.#hedges.set(policy, line);
    }
    return line;
  }

  /** That quantile of the latencies of late in milliseconds; 0 while too little is known. */
  latencyQuantile(q: number): number {
    this.#latency ??= new LatencyWindow(() => this.#board.now);
    return this.#latency.quantile(q);
  }

  get circuit(): "closed" | "open" | "half-open" | "none" {
    return this.#breaker === null ? "none" : this.#breaker.state;
  }

  /** Looks whether anything has changed while no request came. Called now and then. */
  look(): void {
    void this.roster.available;
  }

  retire(): void {
    for (const server of this.servers) server.retire();
  }
}

const CLIENT_GONE = 499;

function hashKeyOf({ balance }: UpstreamConfig): ((x: Exchange) => number) | null {
  if (balance === "ip-hash") return compileHashKey("ip");
  return typeof balance === "object" ? compileHashKey(balance.hash) : null;
}

/** RFC 9110 §7.2: the default port is left out. A unix socket has no name of its own. */
export function serverHost(server: Server): string {
  const { address } = server;
  if (address.kind === "unix") return "localhost";
  const usual = server.member.tls ? 443 : 80;
  return address.port === usual ? server.name.slice(0, server.name.lastIndexOf(":")) : server.name;
}
