// All servers of all upstreams: who they are, whether they are well, and what operators want of them. One object for
// the whole process; threads are told who the servers are, and see the rest on the board.
import { parseServer, serverTerms } from "../config/address.ts";
import type { Config, UpstreamConfig } from "../config/schema.ts";
import { monotonic } from "../core/clock.ts";
import { DnsDiscovery } from "../discovery/dns-discovery.ts";
import { HealthChecks, type HealthState, type Target } from "../health/checker.ts";
import type { CheckTls } from "../health/probe.ts";
import type { Log } from "../observe/log.ts";
import { Board, type BoardMemory, HEALTH_AWAITED, HEALTH_DOWN, HEALTH_UNKNOWN, HEALTH_UP } from "../upstream/board.ts";
import type { Member, UpstreamMembership } from "../upstream/member.ts";
import { Outlier } from "../upstream/outlier.ts";
import { Resolver } from "../upstream/resolver.ts";
import type { ServerChange, ServerChanges } from "./server-changes.ts";
import { Slots } from "./slots.ts";

/** How often the board's clock is set. */
const TICK_MS = 100;
const SECOND_MS = 1000;
/** How long a server may be gone from the DNS before what was asked of it is forgotten. */
const FORGET_MS = 3_600_000;

export interface FleetOptions {
  readonly log: Log;
  readonly memory: BoardMemory;
  readonly changes: ServerChanges;
  /** The servers of an upstream in use have changed. */
  onMembers(upstream: string, membership: UpstreamMembership): void;
  /** A server was left out by `evaluate`. */
  onEjected?(upstream: string, reason: string): void;
  /** A server has become well, or is down. */
  onHealth?(change: { upstream: string; server: string; up: boolean; reason: string }): void;
  /** A server was checked. */
  onChecked?(upstream: string, ok: boolean): void;
}

/** The upstreams of a configuration that is being made ready. */
export interface PreparedFleet {
  readonly memberships: ReadonlyMap<string, UpstreamMembership>;
  /** One of the two is called. `discard` gives back what was taken for it. */
  commit(): void;
  discard(): void;
}

/** A server as the admin API shows it. */
export interface ServerReport {
  readonly id: string;
  readonly weight: number;
  readonly backup: boolean;
  readonly zone: string;
  readonly mode: Member["mode"];
  readonly origin: Member["origin"];
  readonly health: "unknown" | "up" | "down" | "awaited";
  /** Milliseconds that it is still left out because of its answers; 0 when it is not. */
  readonly ejectedFor: number;
  /** Whether all accounts let it have requests. */
  readonly usable: boolean;
  readonly inFlight: number;
  readonly lastCheck: HealthState["lastCheck"];
}

interface Group {
  readonly config: UpstreamConfig;
  membership: UpstreamMembership;
  readonly outlier: Outlier | null;
  evaluateAt: number;
}

const HEALTH_NAMES = ["unknown", "up", "down", "awaited"] as const;

export class Fleet {
  readonly board: Board;
  readonly changes: ServerChanges;
  readonly #options: FleetOptions;
  readonly #slots: Slots;
  readonly #checks: HealthChecks;
  readonly #discovery: DnsDiscovery;
  readonly #clock: ReturnType<typeof setInterval>;
  #resolver: Resolver;
  #groups = new Map<string, Group>();
  /** What is being made ready: its slots are not to be given back meanwhile. */
  #prepared: ReadonlyMap<string, UpstreamMembership> = new Map();
  /** Upstreams with more servers than there is room for at the moment. */
  readonly #behind = new Set<string>();
  /** Since when servers that something was asked of are not to be found. */
  readonly #unnamed = new Map<string, number>();
  #version = 0;
  #nextSecond = 0;

  constructor(options: FleetOptions, { resolver }: Config) {
    const { log } = options;
    this.#options = options;
    this.changes = options.changes;
    this.board = new Board(options.memory, 0);
    this.board.tick(monotonic());
    this.#slots = new Slots(this.board);
    this.#resolver = makeResolver(resolver);
    this.#checks = new HealthChecks({
      now: monotonic,
      random: Math.random,
      log,
      resolve: (host) => this.#resolver.lookup(host),
      onChecked: (upstream, ok) => options.onChecked?.(upstream, ok),
      onChange: ({ upstream, id, slot, up, was, reason }) => {
        this.board.setHealth(slot, up ? HEALTH_UP : HEALTH_DOWN);
        if (was === null && up) return; // nothing out of the ordinary
        options.onHealth?.({ upstream, server: id, up, reason });
        log[up ? "info" : "warn"](up ? "a server is healthy" : "a server is down", { upstream, server: id, reason });
      },
    });
    this.#discovery = new DnsDiscovery({ ...resolver, log, onChange: (upstream) => this.#follow(upstream) });
    this.#clock = setInterval(() => this.#tick(), TICK_MS);
    this.#clock.unref();
  }

  /**
   * Works out who the servers are under a new configuration. Nothing that is in use changes before `commit`. Throws a
   * RangeError when there are too many.
   */
  prepare(config: Config, upstreams: ReadonlyMap<string, UpstreamConfig>): PreparedFleet {
    const memberships = this.#slots.allOrNone(
      () => new Map([...upstreams].map(([name, upstream]) => [name, this.#membershipOf(name, upstream)])),
    );
    this.#prepared = memberships;
    return {
      memberships,
      commit: () => this.#commit(config, upstreams, memberships),
      discard: () => {
        this.#prepared = new Map();
        this.#settle();
      },
    };
  }

  #commit(
    config: Config,
    upstreams: ReadonlyMap<string, UpstreamConfig>,
    memberships: ReadonlyMap<string, UpstreamMembership>,
  ): void {
    this.#resolver = makeResolver(config.resolver);
    const overtaken = new Set<string>();
    const groups = new Map<string, Group>();
    for (const [name, upstream] of upstreams) {
      const slots = (): readonly number[] =>
        groups.get(name)!.membership.members.flatMap(({ slot, mode }) => (mode === "ready" ? [slot] : []));
      const outlier = upstream.outlier === false ? null : new Outlier(this.board, upstream.outlier, slots);
      const before = this.#groups.get(name);
      const membership = memberships.get(name)!;
      // Threads were told of a change to what it was before, and take the newest for the right one.
      if (before !== undefined && before.membership.version > membership.version) overtaken.add(name);
      if (outlier !== null && before?.outlier === null)
        for (const { slot } of membership.members) this.board.takeWindow(slot);
      groups.set(name, {
        config: upstream,
        membership,
        outlier,
        evaluateAt: before?.evaluateAt ?? 0,
      });
    }
    this.#groups = groups;
    this.#discovery.update(
      [...upstreams].flatMap(([upstream, { discover }]) =>
        discover === undefined ? [] : [{ upstream, sources: [discover].flat() }],
      ),
      config.resolver,
    );
    // An operator or the DNS may have changed something since it was prepared.
    for (const name of groups.keys()) this.#follow(name, overtaken.has(name));
    this.#prepared = new Map();
    this.#settle();
  }

  /** Checks those who are there, and gives back the slots of those who are not. */
  #settle(): void {
    const targets: Target[] = [];
    const kept = new Set<string>();
    for (const [upstream, { config, membership }] of this.#groups) {
      kept.add(upstreamKey(upstream));
      for (const member of membership.members) {
        kept.add(serverKey(upstream, member.id));
        const { health } = config;
        if (config.outlier === false && this.board.ejectedUntil(member.slot) > this.board.now)
          this.board.takeBack(member.slot);
        if (health === undefined || member.mode === "disabled") {
          if (this.board.health(member.slot) !== HEALTH_UNKNOWN) this.board.setHealth(member.slot, HEALTH_UNKNOWN);
          continue;
        }
        const { id, slot, address } = member;
        const awaited = this.board.health(slot) === HEALTH_AWAITED;
        const hostHeader = hostOf(config, member);
        targets.push({
          upstream,
          id,
          slot,
          address,
          health,
          awaited,
          hostHeader,
          proxyProtocol: config.proxyProtocol,
          tls: tlsOf(config, member),
          http: member.http,
        });
      }
    }
    for (const [upstream, { members }] of this.#prepared) {
      kept.add(upstreamKey(upstream));
      for (const { id } of members) kept.add(serverKey(upstream, id));
    }
    this.#checks.update(targets);
    this.#slots.keep(kept, this.board.now);
  }

  /** Who the servers of an upstream are: what is configured and discovered, with what operators have changed. */
  #membershipOf(name: string, config: UpstreamConfig): UpstreamMembership {
    const changes = this.changes.of(name);
    const wanted = new Map<string, Omit<Member, "slot">>();
    const add = (member: Omit<Member, "slot" | "mode">, change: ServerChange | undefined): void => {
      if (change?.removed === true || wanted.has(member.id)) return;
      wanted.set(member.id, {
        ...member,
        weight: change?.weight ?? member.weight,
        backup: change?.backup ?? member.backup,
        zone: change?.zone ?? member.zone,
        mode: change?.mode ?? "ready",
      });
    };
    for (const spec of configured(name, config)) add({ ...spec, origin: "config" }, changes.get(spec.id));
    for (const { id, host, port, weight, backup } of this.#discovery.current(name)) {
      const address = { kind: "tcp", host, port } as const;
      add({ id, address, ...serverTerms("", config), weight, backup, zone: "", origin: "discovered" }, changes.get(id));
    }
    for (const [id, change] of changes) {
      const address = change.url === undefined ? null : parseServer(change.url);
      const terms = serverTerms(change.url ?? "", config);
      if (address !== null) add({ id, address, ...terms, weight: 1, backup: false, zone: "", origin: "api" }, change);
    }
    const others = this.#groups.get(name)?.membership.members ?? [];
    const joins = others.some(({ id }) => wanted.get(id)?.mode === "ready");
    const slot = this.#slots.take(upstreamKey(name), 2, HEALTH_UNKNOWN);
    const members = [...wanted.values()].map((member) => ({
      ...member,
      slot: this.#place(name, member.id, config, joins),
    }));
    this.#version += 1;
    return { members, slot, version: this.#version };
  }

  /** A server that joins others while they work is checked before it is used, and begins slowly. */
  #place(upstream: string, id: string, { health }: UpstreamConfig, joins: boolean): number {
    const key = serverKey(upstream, id);
    const isNew = !this.#slots.has(key);
    const slot = this.#slots.take(key, 1, health !== undefined && joins ? HEALTH_AWAITED : HEALTH_UNKNOWN);
    if (isNew && joins) this.board.setUpSince(slot, this.board.now);
    return slot;
  }

  /**
   * Looks again who the servers of an upstream are, and tells the threads if they have changed. Throws a RangeError
   * when there are too many, and then nothing has changed.
   */
  #refresh(name: string, isToldAnyway = false): void {
    const group = this.#groups.get(name);
    if (group === undefined) return;
    const next = this.#slots.allOrNone(() => this.#membershipOf(name, group.config));
    if (!isToldAnyway && sameMembers(group.membership.members, next.members)) return;
    group.membership = next;
    this.#options.onMembers(name, next);
    this.#settle();
  }

  /** The same where nobody can be told that there is no room: it is made up for when there is. */
  #follow(name: string, isToldAnyway = false): void {
    try {
      this.#refresh(name, isToldAnyway);
      this.#behind.delete(name);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      if (!this.#behind.has(name))
        this.#options.log.error("new servers are left out", { upstream: name, reason: error.message });
      this.#behind.add(name);
    }
  }

  // ——— what operators do

  has(upstream: string): boolean {
    return this.#groups.has(upstream);
  }
  member(upstream: string, id: string): Member | null {
    return this.#groups.get(upstream)?.membership.members.find((each) => each.id === id) ?? null;
  }
  memberships(): Map<string, UpstreamMembership> {
    return new Map([...this.#groups].map(([name, { membership }]) => [name, membership]));
  }

  /**
   * Changes a server or adds one (`change.url`); null takes the changes back. Throws what cannot be written to disk,
   * and a RangeError when there is no room for one more server; then nothing has changed.
   */
  change(upstream: string, id: string, change: ServerChange | null, keep: boolean): void {
    const before = this.changes.of(upstream).get(id) ?? null;
    const member = this.member(upstream, id);
    const returns = member !== null && member.mode !== "ready" && (change?.mode ?? "ready") === "ready";
    this.changes.set(upstream, id, change, keep);
    if (returns) this.board.setUpSince(member.slot, this.board.now);
    // It was not checked meanwhile.
    if (returns && member.mode === "disabled" && this.#groups.get(upstream)?.config.health !== undefined)
      this.board.setHealth(member.slot, HEALTH_AWAITED);
    try {
      this.#refresh(upstream);
    } catch (error) {
      this.changes.set(upstream, id, before, keep);
      throw error;
    }
  }

  /** Takes a server out; one of the configuration or the DNS stays out until it is added again. */
  remove(upstream: string, id: string, keep: boolean): void {
    const origin = this.member(upstream, id)?.origin;
    this.change(upstream, id, origin === "api" ? null : { removed: true }, keep);
  }

  // ——— time

  /**
   * What was asked of a server that the DNS has not named for long is forgotten: its address may be another one's by
   * now. A server that only the API knows stays, and so does what is kept on disk.
   */
  #forget(now: number): void {
    for (const [upstream, { config }] of this.#groups) {
      const changes = this.changes.of(upstream);
      if (config.discover === undefined || changes.size === 0) continue;
      const named = new Set(this.#discovery.current(upstream).map(({ id }) => id));
      for (const { id } of configured(upstream, config)) named.add(id);
      for (const [id, change] of changes) {
        const key = serverKey(upstream, id);
        if (change.url !== undefined || named.has(id)) this.#unnamed.delete(key);
        else if (!this.#unnamed.has(key)) this.#unnamed.set(key, now);
        else if (now - this.#unnamed.get(key)! > FORGET_MS) {
          this.#unnamed.delete(key);
          this.changes.forget(upstream, id);
        }
      }
    }
  }

  #tick(): void {
    const now = monotonic();
    this.board.tick(now);
    if (now < this.#nextSecond) return;
    this.#nextSecond = now + SECOND_MS;
    this.#slots.sweep(now);
    this.#forget(now);
    for (const upstream of this.#behind) this.#follow(upstream);
    for (const [upstream, group] of this.#groups) this.#evaluate(upstream, group, now);
  }

  #evaluate(upstream: string, group: Group, now: number): void {
    const { outlier, membership, config } = group;
    if (outlier === null || config.outlier === false || now < group.evaluateAt) return;
    group.evaluateAt = now + config.outlier.interval;
    // What somebody did while nobody judged it is nothing to judge it by later.
    const isAlone = membership.members.length < 2;
    for (const { slot, mode } of membership.members) if (isAlone || mode !== "ready") this.board.takeWindow(slot);
    if (isAlone) return;
    for (const { slot, reason, forMs } of outlier.evaluate()) {
      const server = membership.members.find((member) => member.slot === slot)?.id;
      this.#options.log.warn("a server is left out", { upstream, server, reason, forMs: Math.round(forMs) });
      this.#options.onEjected?.(upstream, reason);
    }
  }

  // ——— reports

  /** What is known of every server, by upstream. */
  report(): Map<string, ServerReport[]> {
    const checks = new Map(this.#checks.states().map((state) => [serverKey(state.upstream, state.id), state]));
    const report = new Map<string, ServerReport[]>();
    for (const [name, { membership }] of this.#groups) {
      report.set(
        name,
        membership.members.map((member) => this.#reportOf(member, checks.get(serverKey(name, member.id)) ?? null)),
      );
    }
    return report;
  }

  #reportOf(member: Member, state: HealthState | null): ServerReport {
    const { id, weight, backup, zone, mode, origin, slot } = member;
    const health = this.board.health(slot);
    const ejectedFor = Math.max(0, Math.round(this.board.ejectedUntil(slot) - this.board.now));
    const well = health === HEALTH_UP || health === HEALTH_UNKNOWN;
    return {
      id,
      weight,
      backup,
      zone,
      mode,
      origin,
      health: HEALTH_NAMES[health],
      ejectedFor,
      usable: well && mode === "ready" && weight > 0 && ejectedFor === 0,
      inFlight: this.board.inFlight(slot),
      lastCheck: state?.lastCheck ?? null,
    };
  }

  configOf(upstream: string): UpstreamConfig | null {
    return this.#groups.get(upstream)?.config ?? null;
  }

  discoveries(): ReturnType<DnsDiscovery["states"]> {
    return this.#discovery.states();
  }

  stop(): void {
    clearInterval(this.#clock);
    this.#checks.stop();
    this.#discovery.stop();
  }
}

/** The servers that the configuration lists. */
function configured(upstream: string, config: UpstreamConfig): Omit<Member, "slot" | "mode" | "origin">[] {
  return config.servers.map((each) => {
    const { url, ...spec } = typeof each === "string" ? { url: each, weight: 1, backup: false, zone: "" } : each;
    const address = parseServer(url);
    if (address === null) throw new Error(`upstream ${upstream}: not a server address: ${url}`);
    return { ...spec, id: serverId(address), address, ...serverTerms(url, config) };
  });
}

const upstreamKey = (upstream: string): string => upstream;
const serverKey = (upstream: string, id: string): string => `${upstream}\0${id}`;

/** The identity of a server: its address, whatever list names it. */
export function serverId(address: Member["address"]): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  return `${address.host.includes(":") ? `[${address.host}]` : address.host}:${address.port}`;
}

/** How checks secure their connections; null for plain ones. */
const tlsOf = (config: UpstreamConfig, { tls, address }: Member): CheckTls | null =>
  tls && address.kind === "tcp"
    ? { verify: true, ...config.tls, serverName: config.tls?.serverName ?? address.host }
    : null;

/** The Host that checks name. */
function hostOf({ hostHeader }: UpstreamConfig, { id, address }: Member): string {
  if (hostHeader !== "preserve" && hostHeader !== "upstream") return hostHeader;
  return address.kind === "unix" ? "localhost" : id;
}

function makeResolver({ servers, minTtl, maxTtl }: Config["resolver"]): Resolver {
  return new Resolver({ minTtl, maxTtl, ...(servers === undefined ? {} : { servers }) });
}

function sameMembers(a: readonly Member[], b: readonly Member[]): boolean {
  return (
    a.length === b.length &&
    a.every((member, at) => {
      const other = b[at]!;
      return (
        member.id === other.id &&
        member.slot === other.slot &&
        member.weight === other.weight &&
        member.backup === other.backup &&
        member.zone === other.zone &&
        member.tls === other.tls &&
        member.http === other.http &&
        member.mode === other.mode
      );
    })
  );
}
