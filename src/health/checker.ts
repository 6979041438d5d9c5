// The active checks of all servers: when each is due, what they came to, and who is told of a change. One object for
// the whole process, run by the supervisor; it survives reloads and follows them through `update`.
import { isDeepStrictEqual } from "node:util";
import type { Address, ServerHttp } from "../config/address.ts";
import { wallClock } from "../core/clock.ts";
import type { Log } from "../observe/log.ts";
import { writeProxyHeader } from "../transport/proxy-protocol.ts";
import { compileCheck, type HealthConfig } from "./compile.ts";
import type { Resolve } from "./connect.ts";
import { Lanes, type Waiter } from "./lanes.ts";
import { type CheckTls, type ProbePlan, startProbe, type Verdict } from "./probe.ts";
import { Tally } from "./tally.ts";

/** A server that is to be checked. */
export interface Target {
  readonly upstream: string;
  /** The server's id within its upstream (`host:port` or `unix:/path`). */
  readonly id: string;
  /** Its place on the board. With another slot it is another server. */
  readonly slot: number;
  readonly address: Address;
  readonly health: HealthConfig;
  /** Sent as Host (http) or :authority (grpc), unless the configured headers say otherwise. */
  readonly hostHeader: string;
  /** Null or absent for plain connections. */
  readonly tls?: CheckTls | null | undefined;
  /** The versions of HTTP that the server is spoken to in; 1.1 where it is not said. */
  readonly http?: ServerHttp | undefined;
  /** The PROXY protocol that the server wants, if any: a check says that it speaks for itself. */
  readonly proxyProtocol?: "v1" | "v2" | undefined;
  /** Nobody uses it before its first good check, so it is asked as often as one that is down. */
  readonly awaited?: boolean;
}

export interface HealthChange {
  readonly upstream: string;
  readonly id: string;
  readonly slot: number;
  readonly up: boolean;
  /** What was told before; null for the first time. */
  readonly was: boolean | null;
  /** What the check that decided saw. */
  readonly reason: string;
  /** Checks in a row that said so. */
  readonly checks: number;
}

/** The state of one server, for the admin API. */
export interface HealthState {
  readonly upstream: string;
  readonly id: string;
  readonly slot: number;
  readonly type: HealthConfig["type"];
  /** null until the checks have said anything. */
  readonly up: boolean | null;
  /** When `up` last changed, in milliseconds since 1970; null when it never has. */
  readonly since: number | null;
  /** Checks in a row that went like the last one. */
  readonly inARow: number;
  readonly checks: number;
  readonly failures: number;
  readonly lastCheck: {
    /** Its end, in milliseconds since 1970. */
    readonly at: number;
    readonly ok: boolean;
    /** What it took. */
    readonly ms: number;
    readonly reason: string;
  } | null;
}

/** Calls `fire` once in `ms` milliseconds. The result cancels. */
export type Schedule = (ms: number, fire: () => void) => () => void;

export interface HealthChecksOptions {
  /** A monotonic clock in milliseconds. */
  readonly now: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly log: Log;
  readonly resolve: Resolve;
  /** Called when the checks of a server have come to another result. It may call `update`. */
  readonly onChange: (change: HealthChange) => void;
  /** Called after each check, for those who count them. */
  readonly onChecked?: (upstream: string, ok: boolean) => void;
  /** Milliseconds since 1970. */
  readonly wall?: () => number;
  readonly schedule?: Schedule;
  /** Runs one check; for tests. `done` must not be called within the call. */
  readonly probe?: typeof startProbe;
  /** Checks at a time. */
  readonly concurrency?: number;
}

/** A socket each: well below the usual limit of 1,024 descriptors, and 1,000 servers are through in 16 rounds. */
const CONCURRENCY = 64;
/** Up to this many new servers are checked at once; more are spread over a tenth of their interval. */
const AT_ONCE_MAX = 16;
const FIRST_SPREAD = 0.1;
/** Each wait is this share longer or shorter at most, so that checks that began together drift apart. */
const JITTER = 0.1;
/** Between the end of a check and the next stays this share of the interval, however slow the server is. */
const PAUSE_SHARE = 0.1;
/** A shorter interval is a load test. */
const INTERVAL_MIN_MS = 50;
const DOWN_INTERVAL_MIN_MS = 1000;

export class HealthChecks {
  readonly #shared: Shared;
  readonly #servers = new Map<string, CheckedServer>();

  constructor(options: HealthChecksOptions) {
    this.#shared = {
      ...options,
      wall: options.wall ?? wallClock,
      schedule: options.schedule ?? systemTimer,
      probe: options.probe ?? startProbe,
      lanes: new Lanes(options.concurrency ?? CONCURRENCY),
    };
  }

  /**
   * Says which servers are to be checked from now on. One that was checked before, in the same way, goes on as if
   * nothing had happened; with other checks it keeps what is known of it, but counts anew. One that is not among them
   * is forgotten at once, and its check under way given up: what the board says of it is the caller's to set.
   */
  update(targets: readonly Target[]): void {
    const wanted = new Map<string, Target>();
    for (const target of targets) wanted.set(keyOf(target), target);
    for (const [key, server] of this.#servers) {
      if (wanted.has(key)) continue;
      server.stop();
      this.#servers.delete(key);
    }
    const begun: CheckedServer[] = [];
    for (const [key, target] of wanted) {
      const server = this.#servers.get(key);
      if (server?.follow(target)) continue;
      server?.stop();
      const next = new CheckedServer(target, this.#shared, server?.target.slot === target.slot ? server : null);
      this.#servers.set(key, next);
      begun.push(next);
    }
    for (const server of begun) server.start(begun.length > AT_ONCE_MAX ? FIRST_SPREAD : 0);
  }

  /** Gives up all checks and forgets all servers. No socket stays open. */
  stop(): void {
    this.update([]);
  }

  /** What is known of each server, in no particular order. */
  states(): HealthState[] {
    return [...this.#servers.values()].map((server) => server.state());
  }
}

interface Shared {
  readonly now: () => number;
  readonly random: () => number;
  readonly wall: () => number;
  readonly log: Log;
  readonly resolve: Resolve;
  readonly onChange: (change: HealthChange) => void;
  readonly onChecked?: (upstream: string, ok: boolean) => void;
  readonly schedule: Schedule;
  readonly probe: typeof startProbe;
  readonly lanes: Lanes;
}

/** Names of upstreams and ids have no line ends. */
const keyOf = ({ upstream, id }: Target): string => `${upstream}\n${id}`;

const systemTimer: Schedule = (ms, fire) => {
  const timer = setTimeout(fire, ms);
  timer.unref(); // checks alone do not keep a process alive
  return () => clearTimeout(timer);
};

/** One server and its place in time: waiting for its time, for a free place, or for its answer. */
class CheckedServer implements Waiter {
  target: Target;
  readonly #shared: Shared;
  readonly #tally: Tally;
  #plan: ProbePlan;
  #state: "new" | "resting" | "queued" | "running" | "stopped" = "new";
  /** Cancels the timer or the check, as the state is. */
  #cancel: () => void = () => {};
  #startedAt = 0;
  #since: number | null = null;
  #checks = 0;
  #failures = 0;
  #lastCheck: HealthState["lastCheck"] = null;

  /** `before`: the same server under other checks. */
  constructor(target: Target, shared: Shared, before: CheckedServer | null) {
    this.target = target;
    this.#shared = shared;
    this.#tally = new Tally(before === null ? null : before.#tally.up);
    this.#plan = planOf(target);
    if (before === null) return;
    this.#since = before.#since;
    this.#checks = before.#checks;
    this.#failures = before.#failures;
    this.#lastCheck = before.#lastCheck;
  }

  get upstream(): string {
    return this.target.upstream;
  }

  /** Goes on with a newer description of the same server. False when it is not the same, or checked otherwise. */
  follow(target: Target): boolean {
    const { slot, health, address, hostHeader, http, proxyProtocol, tls } = this.target;
    if (slot !== target.slot) return false;
    if (health !== target.health && !isDeepStrictEqual(health, target.health)) return false;
    this.target = target;
    const isOtherWay =
      hostHeader !== target.hostHeader ||
      http !== target.http ||
      proxyProtocol !== target.proxyProtocol ||
      !isDeepStrictEqual(tls ?? null, target.tls ?? null);
    if (isOtherWay || !isDeepStrictEqual(address, target.address)) this.#plan = planOf(target);
    return true;
  }

  /** Begins with the first check: now, or within this share of the interval. */
  start(spread: number): void {
    if (this.#state !== "new") return; // stopped again by a listener before it came to that
    this.#rest(this.#shared.random() * this.target.health.interval * spread);
  }

  stop(): void {
    const before = this.#state;
    this.#state = "stopped";
    if (before === "queued") this.#shared.lanes.withdraw(this);
    else this.#cancel();
    if (before === "running") this.#shared.lanes.leave(this.upstream);
  }

  #rest(ms: number): void {
    this.#state = "resting";
    this.#cancel = this.#shared.schedule(ms, () => {
      this.#state = "queued";
      this.#shared.lanes.enter(this);
    });
  }

  begin(): void {
    this.#state = "running";
    this.#startedAt = this.#shared.now();
    this.#cancel = this.#shared.probe(this.#plan, this.#shared.resolve, (verdict) => this.#finished(verdict));
  }

  #finished({ ok, reason }: Verdict): void {
    const { now, wall, log, lanes } = this.#shared;
    const { upstream, id, slot, health } = this.target;
    const ms = now() - this.#startedAt;
    this.#lastCheck = { at: wall(), ok, ms, reason };
    this.#checks += 1;
    if (!ok) this.#failures += 1;
    this.#shared.onChecked?.(upstream, ok);
    const was = this.#tally.up;
    const changed = this.#tally.record(ok, health);
    this.#rest(this.#pause(ms));
    lanes.leave(upstream);
    if (!ok && log.enabled("debug")) log.debug("health check failed", { upstream, server: id, reason });
    if (!changed) return;
    this.#since = wall();
    this.#shared.onChange({ upstream, id, slot, up: ok, was, reason, checks: this.#tally.inARow });
  }

  /** How long until the next check, after one that took `ms`: intervals count from start to start. */
  #pause(ms: number): number {
    const { health, awaited } = this.target;
    const { up } = this.#tally;
    const isDown = up === false || (up === null && awaited === true);
    const jitter = 1 - JITTER + 2 * JITTER * this.#shared.random();
    const wait = Math.max(INTERVAL_MIN_MS, isDown ? downInterval(health) : health.interval) * jitter;
    return Math.max(wait - ms, wait * PAUSE_SHARE);
  }

  state(): HealthState {
    const { upstream, id, slot, health } = this.target;
    return {
      upstream,
      id,
      slot,
      type: health.type,
      up: this.#tally.up,
      since: this.#since,
      inARow: this.#tally.inARow,
      checks: this.#checks,
      failures: this.#failures,
      lastCheck: this.#lastCheck,
    };
  }
}

/** The time between two checks of a server that is down. */
function downInterval({ interval, downInterval: told }: HealthConfig): number {
  return told ?? Math.min(interval, Math.max(DOWN_INTERVAL_MIN_MS, interval / 3));
}

const OFFERS: Readonly<Record<ServerHttp, string[]>> = { "1.1": ["http/1.1"], either: ["h2", "http/1.1"], "2": ["h2"] };

function planOf(target: Target): ProbePlan {
  const { address, health, hostHeader, proxyProtocol, tls = null } = target;
  const to = health.port === undefined || address.kind === "unix" ? address : { ...address, port: health.port };
  const preface = proxyProtocol === undefined ? null : writeProxyHeader(proxyProtocol, null, null);
  const http = httpOf(target);
  const converse = compileCheck(health, hostHeader, http);
  return { address: to, timeout: health.timeout, tls, alpn: OFFERS[http], preface, converse };
}

/** What the check is made in: as requests are, but for one on a port of its own, which is rarely that of a service. */
function httpOf({ health, http = "1.1", tls = null }: Target): ServerHttp {
  if (health.type === "grpc") return "2";
  if (health.port === undefined || http === "1.1") return http;
  return tls === null ? "1.1" : "either";
}
