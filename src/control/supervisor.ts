// The main thread of `sluice run`: loads configurations, keeps the worker threads alive, swaps plans, and stops gracefully.
import { availableParallelism } from "node:os";
import { randomBytes } from "node:crypto";
import { ConfigError, type Diagnostic, fileError } from "../config/diagnostic.ts";
import { checkConfig, loadConfig } from "../config/load.ts";
import type { Config, ConfigInput } from "../config/schema.ts";
import { monotonic, wallClock } from "../core/clock.ts";
import { createLog, type Log } from "../observe/log.ts";
import { MetricsPage } from "../observe/metrics-page.ts";
import { MetricsStore } from "../observe/metrics-store.ts";
import { processMetrics } from "../observe/thread-metrics.ts";
import { type AdminServer, startAdmin } from "./admin.ts";
import type { AdminBackend, ExplainQuery, ProxyStatus, Readiness, ReloadResult } from "./admin-backend.ts";
import { compilePlan, PlanError } from "./compile.ts";
import { explain } from "./explain.ts";
import { upstreamTotals } from "./upstream-totals.ts";
import { VERSION } from "./version.ts";
import { watchFiles } from "./watch.ts";
import { WorkerError, WorkerHandle } from "./worker-handle.ts";
import type { ConfigSource } from "./worker-messages.ts";

export interface SupervisorOptions {
  /** A file (found as `loadConfig` does when absent), or a configuration given in code. */
  readonly config: { readonly file: string | undefined } | { readonly input: ConfigInput };
  /** In place of the configuration's `workers`. */
  readonly workers?: number;
  /** Reload when a file of the configuration changes. */
  readonly watch?: boolean;
}

/** Something could not be bound or started: exit code 3. */
export class StartError extends Error {}

/** A worker that lived shorter than this did not work at all: the next one waits. */
const HEALTHY_MS = 5000;
const RESTART_DELAY_MS = 1000;
/** What a worker gets beyond the drain time before it is ended. */
const DRAIN_GRACE_MS = 2000;

interface LoadedConfig {
  readonly config: Config;
  readonly source: ConfigSource;
  readonly path: string;
  readonly files: readonly string[];
  readonly diagnostics: readonly Diagnostic[];
}

/** Loads, checks and starts everything. Rejects with ConfigError or StartError, and then nothing runs. */
export async function startSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  const loaded = await load(options);
  const supervisor = new Supervisor(options, loaded);
  await supervisor.start();
  return supervisor;
}

async function load(options: SupervisorOptions): Promise<LoadedConfig> {
  if ("input" in options.config) {
    const { config, diagnostics } = checkConfig(options.config.input);
    return { config, source: { kind: "config", config }, path: "", files: [], diagnostics };
  }
  const { config, diagnostics, path, files } = await loadConfig(options.config.file);
  try {
    compilePlan(config);
  } catch (error) {
    if (error instanceof PlanError) throw fileError(path, error.message);
    throw error;
  }
  return { config, source: usesPlugins(config) ? { kind: "file", path } : { kind: "config", config }, path, files, diagnostics };
}

/** Plugins are functions, and functions cannot be sent to a thread. */
function usesPlugins(config: Config): boolean {
  const uses = (use: unknown): boolean => Array.isArray(use) && use.length > 0;
  return uses(config.defaults.use) || config.routes.some((route) => uses(route.use));
}

export class Supervisor implements AdminBackend {
  readonly log: Log;
  /** Resolves when everything has stopped. */
  readonly stopped: Promise<void>;
  readonly #options: SupervisorOptions;
  readonly #via = `sluice-${randomBytes(4).toString("hex")}`;
  readonly #store = new MetricsStore();
  readonly #page: MetricsPage;
  readonly #workers = new Map<number, WorkerHandle>();
  readonly #restarts = new Map<number, number>();
  readonly #startedAt = new Date(wallClock());
  #loaded: LoadedConfig;
  #loadedAt = this.#startedAt;
  #ports: ReadonlyMap<string, number> = new Map();
  #admin: AdminServer | null = null;
  #state: "starting" | "ready" | "draining" = "starting";
  #unwatch: () => void = () => {};
  #reloading: Promise<unknown> = Promise.resolve();
  readonly #resolveStopped: () => void;

  constructor(options: SupervisorOptions, loaded: LoadedConfig) {
    this.#options = options;
    this.#loaded = loaded;
    this.log = createLog(loaded.config.log.level);
    const own = this.#store.source();
    this.#page = new MetricsPage((message) => own.receive(message));
    this.#store.onCollect(processMetrics(this.#page));
    const { promise, resolve } = Promise.withResolvers<void>();
    this.stopped = promise;
    this.#resolveStopped = resolve;
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
    return this.#loaded.diagnostics.filter(({ severity }) => severity === "warning");
  }

  async start(): Promise<void> {
    try {
      await this.#startAdmin(this.#loaded.config);
      const count = this.#workerCount();
      // The first worker's ports are everybody's, where the system was to choose one.
      const first = await this.#startWorker(0);
      const others = Array.from({ length: count - 1 }, (_, i) => this.#startWorker(i + 1));
      await Promise.all([first, ...others]);
    } catch (error) {
      await this.#stopAll();
      throw error instanceof StartError ? error : new StartError(error instanceof Error ? error.message : String(error));
    }
    this.#state = "ready";
    if (this.#options.watch === true) this.#watch();
    Bun.gc(true); // what loading and checking left behind would otherwise stay for as long as nothing happens here
  }

  #workerCount(): number {
    const { workers } = this.#loaded.config;
    return this.#options.workers ?? (workers === "auto" ? availableParallelism() : workers);
  }

  async #startAdmin(config: Config): Promise<void> {
    if (config.admin === false) return;
    try {
      this.#admin = await startAdmin({ address: config.admin.address, token: config.admin.token, log: this.log }, this);
    } catch (error) {
      throw new StartError(error instanceof Error ? error.message : String(error));
    }
  }

  async #startWorker(id: number): Promise<void> {
    const startedAt = monotonic();
    const worker = new WorkerHandle({ id, primary: id === 0, via: this.#via }, this.#store.source(), (error) => this.#ended(id, startedAt, error));
    this.#workers.set(id, worker);
    this.#ports = await worker.prepare(this.#loaded.source, this.#ports);
    await worker.commit();
  }

  /** A worker has ended: unless we are stopping, another takes its place. */
  #ended(id: number, startedAt: number, error: Error | null): void {
    this.#workers.delete(id);
    if (this.#state !== "ready") return;
    const lived = monotonic() - startedAt;
    this.log.error("a worker ended; it is replaced", { worker: id, error: error?.stack ?? error?.message ?? "no exception" });
    this.#page.cell("sluice_worker_restarts_total", []).add(1);
    this.#restarts.set(id, (this.#restarts.get(id) ?? 0) + 1);
    const start = (): void => {
      if (this.#state === "ready") void this.#startWorker(id).catch((cause: Error) => this.#workerFailed(id, cause));
    };
    if (lived >= HEALTHY_MS) start();
    else setTimeout(start, lived < RESTART_DELAY_MS ? RESTART_DELAY_MS : 0);
  }

  /** It could not begin; its end brings the next try. */
  #workerFailed(id: number, cause: Error): void {
    this.log.error("a worker could not start", { worker: id, error: cause.message });
    void this.#workers.get(id)?.terminate();
  }

  #watch(): void {
    this.#unwatch();
    this.#unwatch = watchFiles(this.#loaded.files, () => {
      void this.reload();
    });
  }

  /** Reads the configuration again. Reloads follow one another; a bad configuration changes nothing. */
  reload(): Promise<ReloadResult> {
    const next = this.#reloading.then(() => this.#reload(this.#options));
    this.#reloading = next.catch(() => undefined);
    return next;
  }

  /** Puts a configuration given in code into use. */
  reloadWith(input: ConfigInput): Promise<ReloadResult> {
    const next = this.#reloading.then(() => this.#reload({ ...this.#options, config: { input } }));
    this.#reloading = next.catch(() => undefined);
    return next;
  }

  async #reload(options: SupervisorOptions): Promise<ReloadResult> {
    const result = await this.#tryReload(options);
    this.#page.cell("sluice_config_reloads_total", [result.ok ? "ok" : "failed"]).add(1);
    if (result.ok) this.log.info("configuration reloaded", { file: this.#loaded.path });
    else for (const { message, file, line } of result.diagnostics) this.log.error("configuration not reloaded", { message, file, line });
    if (this.#options.watch === true && this.#state === "ready") this.#watch();
    return result;
  }

  async #tryReload(options: SupervisorOptions): Promise<ReloadResult> {
    if (this.#state !== "ready") return failed("the proxy is stopping");
    let loaded: LoadedConfig;
    try {
      loaded = await load(options);
    } catch (error) {
      if (error instanceof ConfigError) return { ok: false, diagnostics: error.diagnostics };
      throw error;
    }
    const workers = [...this.#workers.values()].filter(({ state }) => state === "ready");
    const prepared: WorkerHandle[] = [];
    try {
      let ports = this.#ports;
      for (const worker of workers) {
        ports = await worker.prepare(loaded.source, ports);
        prepared.push(worker);
      }
      this.#ports = ports;
    } catch (error) {
      for (const worker of prepared) worker.discard();
      if (error instanceof WorkerError) return failed(error.message, loaded.path);
      return failed(`a worker ended during the reload: ${String(error)}`, loaded.path);
    }
    this.#setAdminToken(loaded.config);
    this.#loaded = loaded;
    this.#loadedAt = new Date(wallClock());
    await Promise.all(workers.map((worker) => worker.commit().catch(() => undefined)));
    return { ok: true, diagnostics: loaded.diagnostics };
  }

  #setAdminToken(config: Config): void {
    if (config.admin === false || this.#admin === null) return;
    try {
      this.#admin.setToken(config.admin.token);
    } catch (error) {
      this.log.warn("the admin token stays as it was", { error: String(error) });
    }
  }

  /** Stops gracefully: requests in flight are answered, tunnels get the drain time. Resolves when all is through. */
  async stop(): Promise<void> {
    if (this.#state === "draining") return this.stopped;
    this.#state = "draining";
    this.#unwatch();
    const ms = this.#loaded.config.shutdown.drain;
    const late = new Promise<void>((resolve) => setTimeout(resolve, ms + DRAIN_GRACE_MS).unref());
    await Promise.race([Promise.all([...this.#workers.values()].map((worker) => worker.drain(ms))), late]);
    await this.#stopAll();
    this.#resolveStopped();
  }

  async #stopAll(): Promise<void> {
    this.#state = "draining";
    await Promise.all([...this.#workers.values()].map((worker) => worker.terminate()));
    await this.#admin?.close();
    this.#admin = null;
  }

  reopenLogs(): void {
    for (const worker of this.#workers.values()) worker.reopenLogs();
  }

  // ——— AdminBackend

  status(): ProxyStatus {
    const workers = [...this.#workers.values()].sort((a, b) => a.id - b.id);
    return {
      version: VERSION,
      pid: process.pid,
      state: this.#state,
      startedAt: this.#startedAt.toISOString(),
      configFile: this.#loaded.path,
      configLoadedAt: this.#loadedAt.toISOString(),
      listeners: this.#loaded.config.listeners.map(({ address }) => ({ address, bound: this.#bound(address) })),
      workers: workers.map(({ id, state, connections }) => ({ id, state, connections, restarts: this.#restarts.get(id) ?? 0 })),
    };
  }

  #bound(address: string): string {
    if (address.startsWith("unix:")) return address;
    const port = this.#ports.get(address);
    const real = port === undefined ? address : address.replace(/\d+$/, String(port));
    return `http://${real.startsWith(":") ? `0.0.0.0${real}` : real}`;
  }

  config(): unknown {
    return this.#loaded.config;
  }

  routes(): unknown {
    const plan = compilePlan(this.#loaded.config);
    return plan.routes.map((route, i) => ({
      name: route.name,
      match: plan.sources[i]!.match ?? {},
      requestFilters: route.requestFilters.map((filter) => filter.name),
      responseFilters: route.responseFilters.map((filter) => filter.name),
      action: route.action.kind,
      upstreams: route.upstreams,
    }));
  }

  upstreams(): unknown {
    return upstreamTotals([...this.#workers.values()].map((worker) => worker.upstreams));
  }

  drain(): void {
    void this.stop();
  }

  ready(): Readiness {
    const reasons: string[] = [];
    if (this.#state !== "ready") reasons.push(this.#state === "draining" ? "the proxy is draining" : "the proxy is starting");
    const ready = [...this.#workers.values()].filter(({ state }) => state === "ready").length;
    if (this.#state === "ready" && ready === 0) reasons.push("no worker accepts connections");
    return { ready: reasons.length === 0, reasons };
  }

  async metrics(): Promise<{ text: string; contentType: string }> {
    return { text: await this.#store.render(), contentType: this.#store.contentType };
  }

  explain(query: ExplainQuery): unknown {
    return explain(this.#loaded.config, query);
  }

  restartWorker(id: number): boolean {
    const worker = this.#workers.get(id);
    void worker?.terminate();
    return worker !== undefined;
  }
}

function failed(message: string, file = ""): ReloadResult {
  return { ok: false, diagnostics: [{ severity: "error", message, file, line: 0, column: 0, path: [] }] };
}
