// One thread's share of the proxy: its listeners, upstreams and plan. A reload builds the new ones beside the old ones
// and swaps a reference; what did not change is not touched.
import { isDeepStrictEqual } from "node:util";
import { Cache } from "../cache/cache.ts";
import { Changes } from "../cache/changes.ts";
import { DiskCache } from "../cache/disk-cache.ts";
import { DiskStore } from "../cache/disk-store.ts";
import { type PeerMessage, Peers } from "../cache/peers.ts";
import type { Purge } from "../cache/purge.ts";
import type { CertificateUpdate } from "../certificates/served.ts";
import { parseListen } from "../config/address.ts";
import type { Config, ListenerConfig } from "../config/schema.ts";
import { wallClock } from "../core/clock.ts";
import { CidrSet } from "../core/ip.ts";
import { Timer, TimerWheel } from "../core/timers.ts";
import { type AccessLog, createAccessLog } from "../observe/access-log.ts";
import type { CacheMetrics } from "../observe/metrics.ts";
import { ChallengeAnswers } from "../server/challenge-answers.ts";
import { onHandlerException } from "../transport/socket.ts";
import type { UpstreamMembership } from "../upstream/member.ts";
import { Resolver } from "../upstream/resolver.ts";
import type { UpstreamEnvironment } from "../upstream/upstream.ts";
import { Upstreams } from "../upstream/upstreams.ts";
import { Wire, type WirePlan } from "../wire.ts";
import { ActiveListener, kindOf } from "./active-listener.ts";
import { ActiveUdpListener } from "./active-udp-listener.ts";
import type { DiskAccess } from "./cache-disk.ts";
import { compilePlan, type Plan } from "./compile.ts";
import type { DataPlaneOptions } from "./data-plane-options.ts";
import { ListenError } from "./listen-error.ts";
import { gateFor } from "./listener-gate.ts";
import { listenerNames } from "./listener-names.ts";
import { ListenerTls } from "./listener-tls.ts";
import { planless } from "./planless.ts";
import { RequestWatcher } from "./request-watcher.ts";
import { seedOf, type ThreadShared } from "./shared.ts";
import { type Streams, streamsOf } from "./streams.ts";
import { ThreadCommons } from "./thread-commons.ts";
import { upstreamStates } from "./upstream-states.ts";
import type { CacheState, Knowledge, UpstreamState } from "./worker-messages.ts";

type AnyListener = ActiveListener | ActiveUdpListener;

/** A configuration made ready, not in use yet. */
export interface Prepared {
  readonly config: Config;
  readonly plan: Plan;
  readonly resolver: Resolver;
  readonly upstreams: Upstreams;
  readonly certificates: readonly CertificateUpdate[];
  readonly opened: readonly AnyListener[];
  readonly accessLog: AccessLog | null;
  readonly shared: ThreadShared;
}

const HTTPS_PORT = 443;

/** Authorities may come to a machine for what another one has begun. */
const asksForTokens = ({ cluster, listeners }: Config): boolean =>
  cluster !== undefined && listeners.some(({ tls }) => tls?.acme !== undefined);

/** How often it is looked whether anything has changed about servers. */
const LOOK_MS = 100;

export class DataPlane {
  readonly wheel: TimerWheel = new TimerWheel();
  /** What authorities are answered at the moment. */
  readonly answers: ChallengeAnswers = new ChallengeAnswers();
  readonly #wire: Wire;
  readonly #options: DataPlaneOptions;
  readonly #streams: Streams;
  readonly #listeners = new Map<string, AnyListener>();
  /** Listeners taken away by a reload or a stop, until their last connection is gone. */
  readonly #leaving = new Set<AnyListener>();
  /** What changes about servers while no request comes shows here. */
  readonly #look = setInterval(() => this.#lookAround(), LOOK_MS);
  #upstreams = new Upstreams(new Map(), new Map(), null);
  /** Those of a configuration that was made ready: changes of servers reach them too. */
  #prepared: Upstreams | null = null;
  #boardVersion = 0;
  #resolver: Resolver | null = null;
  #config: Config | null = null;
  /** What is stored outlives reloads. */
  #cache: Cache | null = null;
  /** The one that a reload has taken away: what other workers follow there goes on. */
  #formerCache: Cache | null = null;
  /** For stored answers, over all threads. */
  #cacheBytes = 0;
  #threads: number;
  #disk: DiskCache | null = null;
  readonly #changes: Changes;
  readonly #peers: Peers | null;
  #cacheMetrics: CacheMetrics | null = null;
  readonly #commons: ThreadCommons;
  #drained: Promise<void> | null = null;

  constructor(options: DataPlaneOptions) {
    this.#options = options;
    const seed = seedOf(options.secret);
    this.#commons = new ThreadCommons(options, options.peers?.worker ?? 0);
    this.#threads = options.threads;
    this.#changes = new Changes(options.cacheChanges, seed);
    const { peers } = options;
    this.#peers = peers === null ? null : new Peers(peers.memory, seed, peers.worker, peers.send);
    const empty = planless(options.metrics);
    this.#wire = new Wire(empty, this.wheel, options.log, (listener, change) =>
      options.metrics.tunnels(listener).add(change),
    );
    this.#wire.denied = this.#commons.denied;
    this.#wire.switches = this.#commons.switches;
    this.#streams = streamsOf(
      (name) => this.#upstreams.get(name) ?? null,
      options.metrics,
      () => this.#wire.accessLog,
    );
    this.wheel.start();
    this.#look.unref();
    onHandlerException((error) =>
      options.log.error("a connection was dropped because of a bug", { error: error.stack ?? error.message }),
    );
  }

  /**
   * Builds everything that can fail beside what runs, new listeners included (on `ports[name]` where 0 is configured).
   * Nothing that is in use changes. Throws PlanError, ListenError, or the error of a log file that cannot be opened,
   * and then nothing is left open.
   */
  prepare(
    config: Config,
    ports: ReadonlyMap<string, number>,
    { memberships, certificates, challenges, memories }: Knowledge,
  ): Prepared {
    for (const change of challenges) this.answers.set(change);
    const shared = this.#commons.prepare(memories);
    const plan = compilePlan(config, this.#options.secret, shared);
    if (this.#drained !== null) throw new Error("the proxy is stopping");
    const accessLog = this.#newAccessLog(config);
    try {
      const opened = this.#openListeners(config, ports, certificates, shared);
      const resolver = this.#resolverFor(config);
      const upstreams = new Upstreams(plan.upstreams, memberships, this.#environment(resolver));
      this.#prepared = upstreams;
      return { config, plan, resolver, upstreams, certificates, opened, accessLog, shared };
    } catch (error) {
      void accessLog?.close();
      throw error;
    }
  }

  /** Takes a prepared configuration back. */
  discard(prepared: Prepared): void {
    if (this.#prepared === prepared.upstreams) this.#prepared = null;
    for (const listener of prepared.opened) listener.drain();
    void prepared.accessLog?.close();
  }

  /** Puts a prepared configuration into use. Cannot fail; once the proxy stops it is taken back instead. */
  commit(prepared: Prepared): void {
    if (this.#drained !== null) return this.discard(prepared);
    const { config } = prepared;
    this.#setPlan(prepared);
    if (prepared.accessLog !== null) {
      void this.#wire.accessLog.close();
      this.#wire.accessLog = prepared.accessLog;
    }
    for (const listener of prepared.opened) {
      const before = this.#listeners.get(listener.name);
      if (before instanceof ActiveListener && listener instanceof ActiveListener) listener.takeQuic(before);
      if (before !== undefined) this.#leave(before, config.shutdown.drain);
      this.#listeners.set(listener.name, listener);
      listener.serve();
    }
    for (const update of prepared.certificates) this.setCertificates(update);
    const names = listenerNames(config.listeners);
    for (const [at, name] of names.entries()) {
      const listener = this.#listeners.get(name)!;
      listener.options = config.listeners[at]!;
      if (listener instanceof ActiveListener)
        listener.gate = gateFor(config.listeners[at]!, prepared.shared, this.#commons.denied, this.wheel);
    }
    for (const [name, listener] of this.#listeners) {
      if (names.includes(name)) continue;
      this.#listeners.delete(name);
      this.#leave(listener, config.shutdown.drain);
    }
    this.answers.ask = asksForTokens(config) ? this.#options.askToken : null;
    this.#config = config;
  }

  #openListeners(
    config: Config,
    ports: ReadonlyMap<string, number>,
    certificates: readonly CertificateUpdate[],
    shared: ThreadShared,
  ): AnyListener[] {
    const opened: AnyListener[] = [];
    for (const [at, name] of listenerNames(config.listeners).entries()) {
      const options = config.listeners[at]!;
      const there = this.#listeners.get(name);
      // One that looked otherwise at connections is opened anew beside the one in use.
      if (there !== undefined && kindOf(there.options) === kindOf(options)) continue;
      const unix = parseListen(options.address)?.kind === "unix";
      const listener = this.#newListener(name, options, certificates, shared);
      try {
        if (!unix || this.#options.primary) listener.listen(ports.get(name) ?? 0);
        if (listener instanceof ActiveListener)
          listener.listenQuic(this.#options.log, this.#options.primary, there instanceof ActiveListener ? there : null);
      } catch (error) {
        for (const each of [...opened, listener]) each.drain();
        throw new ListenError(options.address, error);
      }
      opened.push(listener);
    }
    return opened;
  }

  #newListener(
    name: string,
    options: ListenerConfig,
    certificates: readonly CertificateUpdate[],
    shared: ThreadShared,
  ): AnyListener {
    if (options.udp !== undefined) return new ActiveUdpListener(name, options, this.#streams, this.wheel);
    const gauge = this.#options.metrics.connections(name);
    const tls = options.tls === undefined ? null : this.#newTls(name, options, certificates);
    const listener = new ActiveListener(
      name,
      options,
      this.#wire,
      this.#streams,
      tls,
      this.#httpsPort,
      this.answers,
      this.wheel,
      gauge,
      this.#options.metrics.http2(name),
      () => this.#options.metrics.http3(name),
    );
    listener.gate = gateFor(options, shared, this.#commons.denied, this.wheel);
    return listener;
  }

  /** What threads look things up in has changed. */
  setMemory(name: string, memory: SharedArrayBuffer): void {
    this.#commons.set(name, memory);
  }

  /** Somebody watches from now on what is served, or nobody does any more. */
  setWatched(isWatched: boolean): void {
    this.#wire.watcher = isWatched ? new RequestWatcher(this.#options.event) : null;
  }

  /** Where redirects to HTTPS lead: the first listener that speaks it. */
  readonly #httpsPort = (): number => {
    for (const listener of this.#listeners.values()) {
      if (listener instanceof ActiveListener && listener.tls !== null && listener.options.tcp === undefined)
        return listener.port;
    }
    return HTTPS_PORT;
  };

  #newTls(name: string, options: ListenerConfig, certificates: readonly CertificateUpdate[]): ListenerTls {
    const { log, metrics, ask } = this.#options;
    const env = { wheel: this.wheel, log, metrics, ask, answers: this.answers };
    return new ListenerTls(name, options, certificates.find(({ listener }) => listener === name) ?? null, env);
  }

  #resolverFor(config: Config): Resolver {
    if (this.#resolver !== null && isDeepStrictEqual(this.#config?.resolver, config.resolver)) return this.#resolver;
    const { servers, minTtl, maxTtl } = config.resolver;
    return new Resolver({ minTtl, maxTtl, ...(servers === undefined ? {} : { servers }) });
  }

  /** Swaps the plan. */
  #setPlan({ config, plan, resolver, upstreams, shared }: Prepared): void {
    this.#commons.commit(shared, config);
    const sameResolver = resolver === this.#resolver;
    this.#resolver = resolver;
    const before = this.#upstreams;
    this.#upstreams = upstreams;
    this.#prepared = null;
    const { table, routes, caches, coalesce, cacheKeys, endpoints, identityFields, usage } = plan;
    const wirePlan: WirePlan = {
      ...{ table, caches, coalesce, cacheKeys, endpoints, identityFields, usage },
      upstreams,
      trustedProxies: config.trustedProxies.length === 0 ? null : new CidrSet(config.trustedProxies),
      requests: this.#options.metrics.requests(routes.map((route) => route.name)),
      cache: this.#cacheFor(plan),
    };
    this.#wire.plan = wirePlan;
    before.giveWay(upstreams, sameResolver);
  }

  #cacheFor({ cacheBytes }: Plan): Cache | null {
    this.#cacheBytes = cacheBytes;
    const share = Math.floor(cacheBytes / this.#threads);
    if (share === 0) this.dropCache();
    else if (this.#cache === null) this.#cache = new Cache(share, this.#changes, this.#peers);
    else this.#cache.resize(share);
    this.#cache?.useDisk(this.#disk);
    return this.#cache;
  }

  /** The disk tier of stored answers is another one, or none, from now on. */
  setDisk(access: DiskAccess | null): void {
    this.#disk?.close();
    this.#disk = access === null ? null : new DiskCache(new DiskStore(access.share, access.port));
    this.#changes.kept = this.#disk;
    this.#cache?.useDisk(this.#disk);
  }

  /** There are to be so many threads, all of which have an equal part of the memory for stored answers. */
  setThreads(count: number): void {
    this.#threads = count;
    this.#cache?.resize(Math.floor(this.#cacheBytes / count));
  }

  /** Gives back the memory of all that is stored. */
  dropCache(): void {
    if (this.#cache === null) return;
    this.#cache.close();
    this.#formerCache = this.#cache;
    this.#cache = null;
    const { peers } = this.#options;
    if (peers !== null) Peers.forget(peers.memory, peers.worker);
    for (const gauge of ["bytes", "addresses"] as const) this.#cacheMetrics?.[gauge].set(0);
  }

  #environment(resolver: Resolver): UpstreamEnvironment {
    const { log, metrics, board, secret } = this.#options;
    return {
      resolver,
      wheel: this.wheel,
      board,
      secret,
      wallNow: wallClock,
      random: Math.random,
      metrics: (upstream) => metrics.upstream(upstream),
      ejected: (upstream, server, errors) =>
        log.warn("a server is left out", { upstream, server, reason: "errors in a row", errors }),
    };
  }

  /** The servers of an upstream have changed. A change may overtake the configuration that it was prepared for. */
  setMembers(upstream: string, membership: UpstreamMembership): void {
    this.#upstreams.setMembers(upstream, membership);
    this.#prepared?.setMembers(upstream, membership);
  }

  /** The certificates of a listener are others. */
  setCertificates(update: CertificateUpdate): void {
    for (const listener of this.#listeners.values()) {
      if (!(listener instanceof ActiveListener) || listener.name !== update.listener) continue;
      listener.tls?.update(update);
      try {
        listener.refreshTls();
      } catch (error) {
        this.#options.log.error("new certificates cannot be used", { listener: listener.name, error: String(error) });
      }
    }
  }

  #lookAround(): void {
    this.#lookAtServers();
    this.#commons.tick(this.#options.primary);
    const cache = this.#cache;
    if (cache === null) return;
    this.#cacheMetrics ??= this.#options.metrics.cache();
    const { bytes, entries, evictions } = cache.store.stats();
    this.#cacheMetrics.bytes.set(bytes);
    this.#cacheMetrics.addresses.set(entries);
    this.#cacheMetrics.evictions.set(evictions);
  }

  #lookAtServers(): void {
    const { version } = this.#options.board;
    if (version === this.#boardVersion) return;
    this.#boardVersion = version;
    for (const upstream of this.#upstreams.made) upstream.look();
  }

  /** Null when the one in use goes on. */
  #newAccessLog(config: Config): AccessLog | null {
    if (this.#config !== null && isDeepStrictEqual(this.#config.log.access, config.log.access)) return null;
    const { log, metrics } = this.#options;
    return createAccessLog(config.log.access, { log, onDropped: (lines) => metrics.accessLogDropped.add(lines) });
  }

  #leave(listener: AnyListener, drainMs: number): void {
    listener.drain();
    this.#leaving.add(listener);
    const timer = new Timer(() => {
      listener.destroy();
      this.#leaving.delete(listener);
    });
    this.wheel.arm(timer, drainMs);
  }

  /** The port of each listener by name (listener-names.ts), what is prepared included; 0 for unix sockets. */
  ports(prepared: Prepared): Map<string, number> {
    return new Map([...this.#listeners.values(), ...prepared.opened].map((listener) => [listener.name, listener.port]));
  }

  /** Open client connections. */
  get connections(): number {
    let open = 0;
    for (const listener of [...this.#listeners.values(), ...this.#leaving]) open += listener.connections.size;
    return open;
  }

  /** What upstreams are doing in this thread. */
  upstreamStatus(): UpstreamState[] {
    return upstreamStates(this.#upstreams.made, this.#options.board.now);
  }

  /** Forgets stored answers in this thread; resolves to how many these were. */
  async purge(purge: Purge): Promise<number> {
    const { cache, cacheKeys } = this.#wire.plan;
    return cache === null ? 0 : cache.purge(purge, cacheKeys);
  }

  /** A message of another thread about what is stored. */
  onPeer(from: number, message: PeerMessage): void {
    if (this.#cache !== null) this.#cache.onPeer(from, message);
    else if (message.kind === "want") {
      this.#peers?.send(from, { kind: "have", question: message.question, answers: [], lack: "nothing" });
    } else this.#formerCache?.onPeer(from, message);
  }

  /** What is stored in this thread. */
  cacheStatus(): CacheState {
    const { bytes = 0, bytesMax = 0, entries = 0, evictions = 0 } = this.#cache?.store.stats() ?? {};
    return { bytes, bytesMax, addresses: entries, evictions, filling: this.#cache?.filling ?? 0 };
  }

  /** Opens the files of all logs anew, after log rotation. */
  async reopenLogs(): Promise<void> {
    await Promise.all([this.#wire.accessLog.reopen(), this.#commons.reopenLogs()]);
  }

  /**
   * Stops: no new connections, idle ones are closed, requests in flight are answered with `Connection: close`, tunnels
   * go on. Resolves when all are through, or after `drainMs`, when the rest is cut.
   */
  drain(drainMs: number): Promise<void> {
    this.#drained ??= this.#drain(drainMs);
    return this.#drained;
  }

  async #drain(drainMs: number): Promise<void> {
    for (const listener of this.#listeners.values()) {
      listener.drain();
      this.#leaving.add(listener);
    }
    this.#listeners.clear();
    const { promise, resolve } = Promise.withResolvers<void>();
    const until = performance.now() + drainMs;
    const look = setInterval(() => {
      if (this.connections > 0 && performance.now() < until) return;
      clearInterval(look);
      resolve();
    }, 20);
    await promise;
    for (const tunnel of [...this.#wire.tunnels]) tunnel.close();
    for (const listener of this.#leaving) listener.destroy();
    this.#leaving.clear();
    this.#upstreams.retire();
    await this.#commons.stop();
    await this.#wire.accessLog.close();
    this.setDisk(null);
    this.dropCache();
    clearInterval(this.#look);
    this.wheel.stop();
  }
}
