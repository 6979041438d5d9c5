// The main thread of `sluice run`: loads configurations, has the worker threads swap plans, and stops gracefully.
import { randomBytes } from "node:crypto";
import { availableParallelism } from "node:os";
import type { Purge } from "../cache/purge.ts";
import type { CertificateReport } from "../certificates/report.ts";
import { storageFolderOf } from "../certificates/storage-folder.ts";
import { ConfigError, type Diagnostic } from "../config/diagnostic.ts";
import type { Config } from "../config/schema.ts";
import { wallClock } from "../core/clock.ts";
import type { KeyRule } from "../engines/cache/key.ts";
import { type AdjustableLog, createLog, type Log } from "../observe/log.ts";
import { MetricsPage } from "../observe/metrics-page.ts";
import { MetricsStore } from "../observe/metrics-store.ts";
import { processMetrics } from "../observe/thread-metrics.ts";
import type { ProxyEvent } from "../pipeline/events.ts";
import { Providers } from "../providers/providers.ts";
import { Board } from "../upstream/board.ts";
import { type AdminServer, startAdmin } from "./admin.ts";
import type { AdminBackend, ExplainQuery, ProxyStatus, Purged, Readiness, ReloadResult } from "./admin-backend.ts";
import { CacheDisk, type DiskState, type PreparedDisk } from "./cache-disk.ts";
import { Certificates, type PreparedCertificates } from "./certificates.ts";
import { claimAddresses, claimable } from "./claim.ts";
import { Commons, type PreparedCommons } from "./commons.ts";
import { compilePlan, routeReport } from "./compile.ts";
import { type Change, Crew } from "./crew.ts";
import { EventHub } from "./events.ts";
import { explain } from "./explain.ts";
import { Fleet, type PreparedFleet } from "./fleet.ts";
import { boundUrl, listenerNames } from "./listener-names.ts";
import { type ConfigOrigin, type LoadedConfig, loadForWorkers, refreshForWorkers } from "./load.ts";
import { readinessReasons } from "./readiness.ts";
import { failed, forgetWhatLoadingTook, messageOf } from "./reload-result.ts";
import { SharedPurges } from "./shared-purges.ts";
import { adminAddressOf, changesOf, StartError } from "./start.ts";
import { isWatched, upstreamSeries } from "./upstream-metrics.ts";
import { type UpstreamStatus, upstreamReport } from "./upstream-report.ts";
import { VERSION } from "./version.ts";
import { WafBlocks } from "./waf-blocks.ts";
import { watchFiles } from "./watch.ts";
import type { CacheState } from "./worker-messages.ts";

export interface SupervisorOptions {
  readonly config: ConfigOrigin;
  /** In place of the configuration's `workers`. */
  readonly workers?: number;
  /** Reload when a file of the configuration changes. */
  readonly watch?: boolean;
}

/** What workers get beyond the drain time before they are ended. */
const DRAIN_GRACE_MS = 2000;
const ADMIN_CLOSE_MS = 1000; // for answers of the admin API to leave at the very end
/** How long a worker that does not hear may hold up an answer of the admin API. */
const HEARD_MS = 2000;

/** Loads, checks and starts everything. Rejects with ConfigError or StartError, and then nothing runs. */
export async function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const log = createLog("info");
  const providers = new Providers({ log, random: Math.random });
  try {
    const loaded = await loadForWorkers(options.config, providers.read);
    const supervisor = new Supervisor(options, loaded, log, providers);
    await supervisor.start();
    return supervisor;
  } catch (error) {
    providers.stop();
    throw error;
  }
}

/** The parts of a reload that are ready to be put into use. */
interface ReadyParts {
  readonly change: Change;
  readonly fleet: PreparedFleet;
  readonly certificates: PreparedCertificates;
  readonly admin: AdminServer | null;
  readonly commons: PreparedCommons;
  readonly disk: PreparedDisk;
}

export class Supervisor implements AdminBackend {
  readonly #stopped = Promise.withResolvers<void>();
  /** Resolves when everything has stopped. */
  readonly stopped: Promise<void> = this.#stopped.promise;
  readonly #log: AdjustableLog;
  readonly #options: SupervisorOptions;
  readonly #providers: Providers;
  readonly #store = new MetricsStore();
  readonly #page: MetricsPage;
  readonly #fleet: Fleet;
  readonly #certificates: Certificates;
  readonly #crew: Crew;
  readonly commons: Commons;
  readonly #disk: CacheDisk;
  readonly #purges: SharedPurges;
  readonly events = new EventHub((isWatched) => this.#crew.setWatched(isWatched));
  readonly wafBlocks = new WafBlocks();
  readonly #startedAt = new Date(wallClock());
  #loaded: LoadedConfig;
  #loadedAt = this.#startedAt;
  #admin: AdminServer | null = null;
  #state: "starting" | "ready" | "draining" = "starting";
  #unwatch: () => void = () => {};
  #reloading: Promise<unknown> = Promise.resolve();
  readonly #limitsAlone = (): void => this.#page.cell("sluice_limit_outages_total", []).add(1);

  constructor(options: SupervisorOptions, loaded: LoadedConfig, log: AdjustableLog, providers: Providers) {
    this.#options = options;
    this.#loaded = loaded;
    this.#providers = providers;
    const { level } = loaded.config.log;
    this.#log = log;
    log.setLevel(level);
    const own = this.#store.source();
    this.#page = new MetricsPage((message) => own.receive(message));
    this.#store.onCollect(processMetrics(this.#page));
    this.#store.onRender(() =>
      this.#certificates.expiry().map(({ name, value }) => {
        return { name: "sluice_tls_certificate_expiry_seconds", labels: [name], value };
      }),
    );
    this.#store.onRender(() =>
      upstreamSeries(this.upstreams(), (name) => isWatched(this.#loaded.config, this.#fleet, name)),
    );
    this.#disk = new CacheDisk(log);
    this.#store.onRender(() => [...this.#disk.series(), ...this.commons.tagging.series()]);
    const restarts = this.#page.cell("sluice_worker_restarts_total", []);
    const board = Board.memory(1);
    this.#fleet = new Fleet(
      {
        log: this.#log,
        memory: board,
        changes: changesOf(loaded.config),
        onMembers: (upstream, membership) => this.#crew.setMembers(upstream, membership),
        onChecked: (upstream, ok) =>
          this.#page.cell("sluice_health_checks_total", [upstream, ok ? "ok" : "failed"]).add(1),
        onHealth: (change) => this.#happened({ kind: "health", ...change }),
        onEjected: (upstream, reason) => this.#page.cell("sluice_upstream_ejections_total", [upstream, reason]).add(1),
      },
      loaded.config,
    );
    const setMemory = (name: string, memory: SharedArrayBuffer): void => this.#crew.setMemory(name, memory);
    this.commons = new Commons(log, setMemory, this.#limitsAlone, storageFolderOf);
    this.#certificates = new Certificates({
      log,
      now: wallClock,
      changed: (listener) =>
        this.#crew.setCertificates((known) => this.#certificates.update(listener, known), listener),
      onChallenge: async (change) => {
        this.#crew.setChallenge(change);
        await this.#crew.hears();
      },
      onOrdered: (result) => this.#page.cell("sluice_acme_orders_total", [result]).add(1),
    });
    this.#crew = new Crew(
      {
        via: `sluice-${randomBytes(4).toString("hex")}`,
        level,
        log: this.#log,
        store: this.#store,
        board,
        secret: this.commons.secret,
        disk: this.#disk,
        knowledge: () => ({
          memberships: this.#fleet.memberships(),
          certificates: this.#certificates.updates,
          challenges: this.#certificates.challenges,
          memories: this.commons.memories,
        }),
        answers: {
          certificateFor: (listener, name) => this.#certificates.answer(listener, name),
          handOver: (what) => this.commons.tagging.take(what),
          ...this.commons.answers,
          ownKeys: (question) => this.commons.consumerKeys.answer(question, this),
          event: (event) => this.#happened(event),
          responseTo: (token) => this.#certificates.responseTo(token),
        },
        isWatched: () => this.events.isWatched,
        onEnd: (id) => {
          this.#fleet.board.clearRow(id + 1);
          this.commons.forget(id);
        },
        onRestart: () => restarts.add(1),
      },
      loaded.source,
    );
    this.#purges = new SharedPurges(log, (purge) => this.#purge(purge));
  }

  get log(): Log {
    return this.#log;
  }
  /** Where it listens: `http://host:port`, in the order of the configuration. */
  get addresses(): string[] {
    return this.status().listeners.map(({ bound }) => bound);
  }
  /** Where the admin API listens; null when it is off. */
  get adminAddress(): string | null {
    return this.#admin?.address ?? null;
  }
  get warnings(): readonly Diagnostic[] {
    return this.#loaded.diagnostics;
  }

  async start(): Promise<void> {
    const { config } = this.#loaded;
    this.events.pagesWatched = (tell) => this.commons.tagging.watch(tell);
    try {
      const commons = this.commons.prepare(config, this.#wantedWorkers(config));
      this.#fleet.prepare(config, compilePlan(config, undefined, commons.shared).upstreams).commit();
      await commons.commit();
      await (await this.#disk.prepare(compilePlan(config).cacheDisk)).commit(() => {});
      await this.#certificates.prepare(config).commit();
      await claimAddresses(claimable(config.listeners), []);
      this.#admin = await this.#openAdmin(config);
      await this.#purges.follow(config, compilePlan(config).cacheDisk?.path ?? null);
      await this.#crew.start(this.#wantedWorkers(config));
    } catch (error) {
      await this.#stopAll();
      throw new StartError(messageOf(error));
    }
    this.#state = "ready";
    this.#watch(this.#loaded.readAt, []);
    this.#providers.accept(this.#loaded);
    this.#providers.follow(() => void this.#refresh());
    forgetWhatLoadingTook();
  }

  /** Told to those who watch; blocks of the firewall are kept for those who ask why. */
  #happened(event: ProxyEvent): void {
    if (event.kind === "quota" && !this.commons.usage.notice(event)) return; // another thread has told it
    if (event.kind === "waf") this.wafBlocks.add(event);
    this.events.publish(event);
  }

  #wantedWorkers({ workers }: Config): number {
    return this.#options.workers ?? (workers === "auto" ? availableParallelism() : workers);
  }

  async #openAdmin({ admin }: Config): Promise<AdminServer | null> {
    if (admin === false) return null;
    return startAdmin({ address: admin.address, token: admin.token, log: this.#log }, this);
  }

  /** Reloads when files change after `sinceMs`; `more` are those that may hold what a reload failed for. */
  #watch(sinceMs: number, more: readonly string[]): void {
    if (this.#options.watch !== true) return;
    this.#unwatch();
    this.#unwatch = watchFiles([...new Set([...this.#loaded.files, ...more])], sinceMs, () => void this.reload());
  }

  /** Reads the configuration again. Reloads follow one another; a bad configuration changes nothing. */
  reload(): Promise<ReloadResult> {
    const next = this.#reloading.then(() => this.#reload());
    this.#reloading = next.catch(() => undefined);
    return next;
  }

  async #reload(): Promise<ReloadResult> {
    const startedAt = wallClock();
    const result = await this.#tryReload(() => loadForWorkers(this.#options.config, this.#providers.read));
    this.#page.cell("sluice_config_reloads_total", [result.ok ? "ok" : "failed"]).add(1);
    for (const { severity, message, file, line, column } of result.diagnostics) {
      const text = severity === "error" ? "configuration not reloaded" : "configuration reloaded with a warning";
      this.#log[severity === "error" ? "error" : "warn"](text, { message, file, line, column });
    }
    if (result.ok) this.#log.info("configuration reloaded", { file: this.#loaded.path });
    const problems = result.diagnostics.map(({ message }) => message);
    this.#happened({ kind: "reload", ok: result.ok, problems });
    const files = result.diagnostics.map(({ file }) => file).filter((file) => file !== "");
    if (this.#state === "ready") this.#watch(startedAt, files);
    forgetWhatLoadingTook();
    return result;
  }

  /** The providers have something new: puts it into use beside the file as it was read last. */
  #refresh(): Promise<unknown> {
    const next = this.#reloading.then(() => this.#refreshed());
    this.#reloading = next.catch(() => undefined);
    return next;
  }

  async #refreshed(): Promise<void> {
    const result = await this.#tryReload(() => refreshForWorkers(this.#options.config, this.#loaded, this.#providers));
    const what = result.ok ? "upstreams and routes of providers are in use" : "providers' changes were not used";
    const problems = result.diagnostics.map(({ message }) => message).join("; ");
    this.#log[result.ok ? "info" : "error"](what, problems === "" ? {} : { problems });
    forgetWhatLoadingTook();
  }

  async #tryReload(load: () => Promise<LoadedConfig>): Promise<ReloadResult> {
    if (this.#state !== "ready") return failed("the proxy is stopping");
    let loaded: LoadedConfig;
    try {
      loaded = await load();
    } catch (error) {
      if (error instanceof ConfigError) return { ok: false, diagnostics: error.diagnostics };
      throw error;
    }
    let change: Change;
    let fleet: PreparedFleet | null = null;
    let certificates: PreparedCertificates | null = null;
    let admin = this.#admin;
    let commons: PreparedCommons;
    let disk: PreparedDisk | null = null;
    try {
      await claimAddresses(claimable(loaded.config.listeners), claimable(this.#loaded.config.listeners));
      if (adminAddressOf(loaded.config) !== adminAddressOf(this.#loaded.config))
        admin = await this.#openAdmin(loaded.config);
      commons = this.commons.prepare(loaded.config, this.#wantedWorkers(loaded.config));
      fleet = this.#fleet.prepare(loaded.config, compilePlan(loaded.config, undefined, commons.shared).upstreams);
      const names = listenerNames(loaded.config.listeners);
      certificates = this.#certificates.prepare(loaded.config);
      const { challenges } = this.#certificates;
      const knowledge = {
        memberships: fleet.memberships,
        certificates: certificates.updates,
        challenges,
        memories: commons.memories,
      };
      disk = await this.#disk.prepare(compilePlan(loaded.config).cacheDisk);
      change = await this.#crew.prepare(loaded.source, names, knowledge);
    } catch (error) {
      fleet?.discard();
      certificates?.discard();
      disk?.discard();
      if (admin !== this.#admin) void admin?.close();
      return failed(messageOf(error), loaded.path);
    }
    return this.#adopt(loaded, { change, fleet, certificates, admin, commons, disk });
  }

  /** Everything is ready: puts it into use. */
  async #adopt(loaded: LoadedConfig, parts: ReadyParts): Promise<ReloadResult> {
    const { change, fleet, certificates, admin } = parts;
    const { config } = loaded;
    if (this.#state !== "ready") {
      change.discard();
      fleet.discard();
      certificates.discard();
      parts.disk.discard();
      if (admin !== this.#admin) void admin?.close();
      return failed("the proxy is stopping");
    }
    const previous = this.#admin;
    this.#admin = admin;
    if (admin === previous && config.admin !== false) admin?.setToken(config.admin.token);
    this.#loaded = loaded;
    const kept = parts.commons.commit();
    this.#providers.accept(loaded);
    this.#loadedAt = new Date(wallClock());
    this.#log.setLevel(config.log.level);
    fleet.commit();
    await certificates.commit().catch((error: unknown) => {
      this.#log.error("certificates cannot be ordered", { error: messageOf(error) });
    });
    await change.commit();
    await parts.disk.commit((tier) => this.#crew.useDisk(tier));
    await this.#purges.follow(config, compilePlan(config).cacheDisk?.path ?? null);
    await kept;
    // Not waited for: the answer to this very reload may have to leave through it.
    if (previous !== admin) void previous?.close();
    return { ok: true, diagnostics: [...loaded.diagnostics, ...this.#setWorkers(loaded)] };
  }

  /**
   * More workers are started at once. Fewer would lose requests: the system has spread connections over all of them
   * that some have not accepted yet.
   */
  #setWorkers({ config, path }: LoadedConfig): Diagnostic[] {
    const wanted = this.#wantedWorkers(config);
    const running = this.#crew.wanted;
    this.#crew.grow(wanted);
    if (wanted >= running) return [];
    const message = `${running} workers go on: fewer (${wanted}) take a restart`;
    return [{ severity: "warning", message, file: path, line: 0, column: 0, path: ["workers"] }];
  }

  /** Stops gracefully: requests in flight are answered, tunnels get the drain time. Resolves when all is through. */
  async stop(): Promise<void> {
    if (this.#state === "draining") return this.stopped;
    this.#state = "draining";
    this.#unwatch();
    const ms = this.#loaded.config.shutdown.drain;
    await Promise.race([this.#crew.drain(ms), Bun.sleep(ms + DRAIN_GRACE_MS)]);
    await this.#stopAll();
    this.#stopped.resolve();
  }

  async #stopAll(): Promise<void> {
    this.#state = "draining";
    await this.#crew.terminate();
    await this.#disk.close();
    this.#fleet.stop();
    await this.commons.stop();
    await this.#purges.stop();
    await this.#certificates.stop();
    this.#providers.stop();
    this.events.close();
    await Promise.race([this.#admin?.close(), Bun.sleep(ADMIN_CLOSE_MS)]);
    this.#admin = null;
  }

  reopenLogs(): void {
    this.#crew.reopenLogs();
  }

  // ——— AdminBackend

  status(): ProxyStatus {
    const { config, path } = this.#loaded;
    const names = listenerNames(config.listeners);
    return {
      version: VERSION,
      pid: process.pid,
      state: this.#state,
      startedAt: this.#startedAt.toISOString(),
      configFile: path,
      configLoadedAt: this.#loadedAt.toISOString(),
      listeners: config.listeners.map((listener, at) => {
        return {
          address: listener.address,
          bound: boundUrl(listener, this.#crew.ports.get(names[at]!)),
          http3: listener.http3 !== false,
        };
      }),
      workers: this.#crew.workers.map(({ id, state, connections }) => {
        return { id, state, connections, restarts: this.#crew.restartsOf(id) };
      }),
    };
  }

  config(): unknown {
    return this.#loaded.config;
  }

  routes(): unknown {
    return routeReport(compilePlan(this.#loaded.config));
  }

  upstreams(): readonly UpstreamStatus[] {
    return upstreamReport(
      this.#fleet.report(),
      this.#crew.workers.map((worker) => worker.upstreams),
    );
  }

  cache(): (CacheState & { worker: number })[] {
    return this.#crew.workers.map(({ id, cache }) => ({ worker: id, ...cache }));
  }

  async purge(purge: Purge): Promise<Purged> {
    const purged = await this.#purge(purge);
    const others = await this.#purges.tell(purge);
    return others === "none" ? { purged } : { purged, others };
  }

  #purge(purge: Purge): Promise<number> {
    const keys = (): readonly KeyRule[] => compilePlan(this.#loaded.config).cacheKeys;
    return this.#disk.purge(purge, keys, () => this.#crew.purge(purge));
  }

  cacheDisk(): DiskState | null {
    return this.#disk.state();
  }

  certificates(): CertificateReport[] {
    return this.#certificates.report();
  }

  get fleet(): Fleet {
    return this.#fleet;
  }

  async heard(): Promise<void> {
    await Promise.race([this.#crew.hears(), Bun.sleep(HEARD_MS)]);
  }

  drain(): void {
    void this.stop();
  }

  ready(): Readiness {
    const workers = this.#crew.ready.map(({ id }) => id);
    const reasons = readinessReasons(this.#state, this.#loaded.config, workers, this.upstreams());
    return { ready: reasons.length === 0, reasons };
  }

  async metrics(): Promise<{ text: string; contentType: string }> {
    return { text: await this.#store.render(), contentType: this.#store.contentType };
  }

  explain(query: ExplainQuery): unknown {
    return explain(this.#loaded.config, query, this.commons.switches.switches, this.commons.consumers.said);
  }

  restartWorker(id: number): boolean {
    return this.#crew.restart(id);
  }
}
