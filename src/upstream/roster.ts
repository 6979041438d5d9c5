// Which servers of an upstream may get requests right now, and how much each: what the supervisor, the checks, the
// outcomes and the clock say, as one column of weights that the balancer works on.
import type { UpstreamConfig } from "../config/schema.ts";
import { type Balancer, type Candidates, createBalancer } from "./balance/balancer.ts";
import { type Board, HEALTH_AWAITED, HEALTH_DOWN } from "./board.ts";
import type { Server } from "./pool.ts";

/** The preferred zone keeps all requests as long as its usable servers, times this, could bear them. */
const ZONE_HEADROOM = 1.4;
/** A server that comes back begins with this part of its weight. */
const SLOW_START_MIN = 0.05;
/** How often weights that grow are looked at. */
const SLOW_START_STEP_MS = 200;

/** More than any server has in flight. */
const UNREACHED_LOAD = 1e9;

export class Roster {
  readonly config: UpstreamConfig;
  servers: readonly Server[] = [];
  readonly balancer: Balancer;
  readonly #board: Board;
  #byId: ReadonlyMap<string, Server> = new Map();
  #weights = new Float64Array(0);
  #usable = new Uint8Array(0);
  /** Usable, but in a zone that gets nothing while the preferred one has room. */
  #spare = new Uint8Array(0);
  #mask = new Uint8Array(0);
  #down = new Uint8Array(0);
  /** The board's version that the weights are of, and when time alone changes them. */
  #version = -1;
  #until = 0;
  #available = false;

  constructor(config: UpstreamConfig, board: Board, random: () => number) {
    this.config = config;
    this.#board = board;
    this.balancer = createBalancer(config.balance, random, () => board.now);
  }

  /** Replaces the servers; each gets its index. */
  reset(servers: readonly Server[]): void {
    const { length } = servers;
    this.#look(); // those who stay may have gone down just now
    this.servers = servers;
    this.#byId = new Map(servers.map((server) => [server.name, server]));
    this.#weights = new Float64Array(length);
    this.#usable = new Uint8Array(length);
    this.#spare = new Uint8Array(length);
    this.#mask = new Uint8Array(length);
    this.#down = new Uint8Array(length);
    const slots = new Int32Array(length);
    const baseWeights = new Float64Array(length);
    for (const [at, server] of servers.entries()) {
      server.index = at;
      slots[at] = server.member.slot;
      baseWeights[at] = server.member.weight;
      if (this.#board.health(slots[at]!) === HEALTH_DOWN) this.#down[at] = 1;
    }
    const candidates: Candidates = {
      count: length,
      ids: servers.map(({ name }) => name),
      weights: this.#weights,
      baseWeights,
      slots,
      ...this.#board.inFlightColumn,
    };
    this.balancer.reset(candidates);
    this.#version = -1;
  }

  byId(id: string): Server | null {
    return this.#byId.get(id) ?? null;
  }

  /** Whether any server may get a request. */
  get available(): boolean {
    this.#look();
    return this.#available;
  }

  /** The next server; null when none is left. `excluded` has 1 for every index that must not be chosen. */
  next(key: number, excluded: Uint8Array | null): Server | null {
    this.#look();
    const at = this.balancer.pick(key, excluded);
    return at >= 0 ? this.servers[at]! : null;
  }

  /** One where `next` knows none: of a zone that is not preferred. For `retry` also one that is left out or a backup. */
  beyond(excluded: Uint8Array, retry: boolean): Server | null {
    let best: Server | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (const [at, server] of this.servers.entries()) {
      if (excluded[at] === 1 || !(this.#spare[at] === 1 || (retry && this.#mayBeTried(server)))) continue;
      // Nothing is in flight at a server that cannot be reached.
      const load =
        this.#board.inFlight(server.member.slot) + (server.failedUntil > this.#board.now ? UNREACHED_LOAD : 0);
      if (load >= least) continue;
      best = server;
      least = load;
    }
    return best;
  }

  /** The first server, in the order of the list, that may get requests and satisfies this. */
  find(test: (server: Server) => boolean): Server | null {
    this.#look();
    for (const [at, server] of this.servers.entries()) {
      if ((this.#weights[at]! > 0 || this.#spare[at] === 1) && test(server)) return server;
    }
    return null;
  }

  /** For another try even a server that is left out for its answers is better than none. */
  #mayBeTried(server: Server): boolean {
    const { mode, weight } = server.member;
    return mode === "ready" && weight > 0 && this.#notDown(server);
  }

  /** Whether a client that belongs to this server may go there, drained or not. */
  keeps(server: Server): boolean {
    const { mode } = server.member;
    if (mode !== "ready" && mode !== "drain-sticky") return false;
    return this.#usableByItself(server, this.#board.now);
  }

  /** Whether there is a server for another try that satisfies this. */
  hasOther(test: (server: Server) => boolean): boolean {
    return this.servers.some((server) => this.#mayBeTried(server) && test(server));
  }

  /** A column of zeros, to be filled and used before anybody else asks for it. */
  mask(): Uint8Array {
    return this.#mask.fill(0);
  }

  /** Makes the next choice look at everything again. */
  touch(): void {
    this.#version = -1;
  }

  /** Looks whether anything has changed; the usual answer costs two loads. */
  #look(): void {
    const { version, now } = this.#board;
    if (version === this.#version && now < this.#until) return;
    this.#version = version;
    this.#until = Number.POSITIVE_INFINITY;
    this.#weigh(now);
    this.balancer.reweigh();
  }

  #usableByItself(server: Server, now: number): boolean {
    const { slot } = server.member;
    const health = this.#board.health(slot);
    if (health === HEALTH_DOWN || health === HEALTH_AWAITED) return false;
    return this.#board.ejectedUntil(slot) <= now && server.failedUntil <= now;
  }

  #weigh(now: number): void {
    const { servers } = this;
    const usable = this.#usable;
    let all = 0;
    let good = 0;
    let backups = 0;
    for (const [at, server] of servers.entries()) {
      usable[at] = 0;
      const { mode, weight, slot, backup } = server.member;
      this.#noteDown(at, server);
      if (mode !== "ready" || weight === 0) continue;
      if (!backup) all += 1;
      if (!this.#usableByItself(server, now)) {
        this.#lookAgain(this.#board.ejectedUntil(slot), now);
        this.#lookAgain(server.failedUntil, now);
        continue;
      }
      usable[at] = 1;
      if (backup) backups += 1;
      else good += 1;
    }
    // Backups that are well are better than servers of which none is.
    const panic = all > 0 && good / all < this.config.panic && (good > 0 || backups === 0);
    this.#available =
      (panic && this.#assign(now, false, () => true)) ||
      this.#assign(now, false, (_, at) => usable[at] === 1) ||
      this.#assign(now, true, (_, at) => usable[at] === 1) ||
      this.#assign(now, false, (server) => this.#notDown(server)) ||
      this.#assign(now, true, (server) => this.#notDown(server)) ||
      this.#assign(now, false, (server) => this.#isAwaited(server));
  }

  /** A server that nothing is known of is better than none. */
  #isAwaited(server: Server): boolean {
    return this.#board.health(server.member.slot) === HEALTH_AWAITED;
  }

  /** Passive signs alone leave nobody out when there is nobody else. */
  #notDown(server: Server): boolean {
    const health = this.#board.health(server.member.slot);
    return health !== HEALTH_DOWN && health !== HEALTH_AWAITED;
  }

  /** A server that the checks have just taken out gives back what it has not begun to answer. */
  #noteDown(at: number, server: Server): void {
    const down = this.#board.health(server.member.slot) === HEALTH_DOWN ? 1 : 0;
    if (down === 1 && this.#down[at] === 0) queueMicrotask(() => server.forsake());
    this.#down[at] = down;
  }

  #lookAgain(at: number, now: number): void {
    if (at > now && at < this.#until) this.#until = at;
  }

  /** Gives weights to the ready servers (backups or not) that `fits`; false when there are none. */
  #assign(now: number, backup: boolean, fits: (server: Server, at: number) => boolean): boolean {
    const weights = this.#weights;
    const { preferZone } = this.config;
    let local = 0;
    let localAll = 0;
    let remote = 0;
    for (const [at, server] of this.servers.entries()) {
      weights[at] = 0;
      this.#spare[at] = 0;
      const { member } = server;
      if (member.mode !== "ready" || member.backup !== backup) continue;
      if (member.zone === preferZone) localAll += member.weight;
      if (!fits(server, at)) continue;
      weights[at] = this.#ramped(member.slot, member.weight, now);
      if (member.zone === preferZone) local += weights[at];
      else remote += weights[at];
    }
    if (preferZone !== undefined && local > 0 && remote > 0) this.#preferLocal(local, localAll, remote);
    return local + remote > 0;
  }

  /** What the preferred zone cannot bear goes to the others. */
  #preferLocal(local: number, localAll: number, remote: number): void {
    const part = Math.min(1, (ZONE_HEADROOM * local) / localAll);
    const factor = part === 1 ? 0 : (((1 - part) / part) * local) / remote;
    for (const [at, { member }] of this.servers.entries()) {
      if (member.zone === this.config.preferZone || this.#weights[at] === 0) continue;
      this.#weights[at] = this.#weights[at]! * factor;
      if (factor === 0) this.#spare[at] = 1;
    }
  }

  /** The weight of a server that is coming back grows with time. */
  #ramped(slot: number, weight: number, now: number): number {
    const { slowStart } = this.config;
    const since = this.#board.upSince(slot);
    if (slowStart === undefined || since === 0 || now >= since + slowStart) return weight;
    this.#lookAgain(now + SLOW_START_STEP_MS, now);
    return weight * Math.max(SLOW_START_MIN, (now - since) / slowStart);
  }
}
