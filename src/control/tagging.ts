// The events of routes with `tagging`: the thread that has their queues, as the supervisor sees it. Started with the
// configuration that first needs it, kept by reloads, and closed at the end.
import { accessSync, constants, mkdirSync } from "node:fs";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { defaultStorageFolder } from "../certificates/storage-folder.ts";
import type { Config } from "../config/schema.ts";
import { wallClock } from "../core/clock.ts";
import type { Log } from "../observe/log.ts";
import type { ReadSeries } from "../observe/metrics-store.ts";
import type { ProxyEvent } from "../pipeline/events.ts";
import type { Replayed } from "../tagging/dispatch.ts";
import type { Handover, RouteSetup, RouteState, TaggingNews, TaggingOrder } from "../tagging/messages.ts";
import { layOutTroubles, type Trouble } from "../tagging/troubles.ts";
import { type VendorCheck, VendorChecks } from "./vendor-checks.ts";

/** How often it is asked how it is, for the metrics. */
const POLL_MS = 1000;
/** How long the thread may take to say how it is. */
const STATE_WAIT_MS = 2000;
/** How often the log says that events are dropped, while they are. */
const WARN_MS = 60_000;

/** One of the two is called. */
export interface PreparedTagging {
  /** Resolves when the queues are open, and those that are no longer wanted closed. */
  commit(): Promise<void>;
  discard(): void;
}

interface Waiting {
  readonly resolve: (news: TaggingNews | null) => void;
  readonly timer: ReturnType<typeof setTimeout> | null;
}

export class Tagging {
  readonly #log: Log;
  readonly #checks: VendorChecks;
  #worker: Worker | null = null;
  #ended: Promise<void> = Promise.resolve();
  #routes: readonly RouteSetup[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #number = 0;
  /** Events that destinations have left out, by route, destination and reason. */
  readonly #unwanted = new Map<string, { labels: readonly string[]; count: number }>();
  #states: readonly RouteState[] = [];
  #poll: ReturnType<typeof setInterval> | null = null;
  /** Gets events while somebody watches. */
  #tell: ((event: ProxyEvent) => void) | null = null;
  readonly #spread: (memory: SharedArrayBuffer) => void;
  readonly #troubles = new Map<string, Trouble>();
  #memory = layOutTroubles(new Map());
  #warnedAt = Number.NEGATIVE_INFINITY;

  /** `spread` gets which routes' events cannot be kept, for all threads. */
  constructor(log: Log, spread: (memory: SharedArrayBuffer) => void) {
    this.#log = log;
    this.#checks = new VendorChecks(log);
    this.#spread = spread;
  }

  /** The troubles of now, as `spread` gets them. */
  get memory(): SharedArrayBuffer {
    return this.#memory;
  }

  /** Looks whether the folders can be used. Throws an Error in plain words where they cannot. */
  prepare(config: Config): PreparedTagging {
    const routes = setupsOf(config);
    for (const { folder, route } of routes) {
      try {
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
      } catch (error) {
        throw new Error(`events of route ${route} cannot be kept in ${folder}: ${textOf(error)}`);
      }
    }
    const commit = (): Promise<void> => {
      this.#checks.start(config);
      return this.#use(routes);
    };
    return { commit, discard() {} };
  }

  async #use(routes: readonly RouteSetup[]): Promise<void> {
    this.#routes = routes;
    if (routes.length === 0) return this.close();
    this.#worker ??= this.#start();
    const news = await this.#ask((number) => ({ kind: "setup", number, routes }), null);
    this.#clear("thread");
    this.#clear("refused");
    if (news?.kind !== "refused") return;
    this.#log.error("events cannot be kept", { route: news.route, error: news.text });
    this.#trouble(news.route, "refused");
  }

  /** How it was a moment ago; says so where events are dropped. */
  #look(states: readonly RouteState[]): void {
    for (const { route, dropped } of states) {
      const before = this.#states.find((state) => state.route === route)?.dropped ?? 0;
      if (dropped > before) this.#trouble(route, "full");
      else this.#trouble(route, null, "full");
      if (dropped <= before || wallClock() - this.#warnedAt < WARN_MS) continue;
      this.#warnedAt = wallClock();
      this.#log.warn("events are dropped, as there is no room for them", { route, dropped });
    }
    this.#states = states;
  }

  /** A route has this trouble now, or, with null, no longer the one that it had. */
  #trouble(route: string, now: Trouble | null, before: Trouble | null = null): void {
    const known = this.#troubles.get(route) ?? null;
    if (known === now || (now === null && known !== before)) return;
    if (now === null) this.#troubles.delete(route);
    else this.#troubles.set(route, now);
    this.#memory = layOutTroubles(this.#troubles);
    this.#spread(this.#memory);
  }

  #clear(trouble: Trouble): void {
    for (const route of [...this.#troubles.keys()]) this.#trouble(route, null, trouble);
  }

  #start(): Worker {
    const worker = new Worker(new URL("../tagging/thread.ts", import.meta.url));
    this.#ended = new Promise((resolve) => worker.once("exit", () => resolve()));
    worker.on("message", (news: TaggingNews) => this.#hear(news));
    worker.on("error", (error) => this.#log.error("the thread of events has failed", { error: textOf(error) }));
    worker.once("exit", () => this.#gone(worker));
    this.#poll ??= setInterval(() => void this.state().then((states) => this.#look(states)), POLL_MS);
    this.#poll.unref();
    if (this.#tell !== null) worker.postMessage({ kind: "watch", on: true } satisfies TaggingOrder);
    return worker;
  }

  /** It has ended without being told to: another one goes on with what is on the disk. */
  #gone(worker: Worker): void {
    for (const number of [...this.#waiting.keys()]) this.#answered(number, null);
    if (this.#worker !== worker) return;
    this.#worker = null;
    for (const { route } of this.#routes) this.#trouble(route, "thread");
    setTimeout(() => void (this.#worker === null && this.#use(this.#routes)), RESTART_MS);
  }

  /** Hands over what a worker has taken: a `Handover`, as all that workers say of events. */
  take(handover: object): void {
    this.#worker?.postMessage(handover as Handover);
  }

  /** How each route's events fare; none where it does not answer. */
  async state(): Promise<readonly RouteState[]> {
    const news = await this.#ask((number) => ({ kind: "state", number }), STATE_WAIT_MS);
    return news?.kind === "state" ? news.routes : [];
  }

  /** Has dead letters sent once more. Rejects with a RangeError in plain words where there is no such destination. */
  async replay(route: string, destination: string): Promise<Replayed> {
    const news = await this.#ask((number) => ({ kind: "replay", number, route, destination }), null);
    if (news?.kind !== "replayed") throw new RangeError("no route has `tagging`");
    if (typeof news.result === "string") throw new RangeError(news.result);
    return news.result;
  }

  /** Events are told from now on, or, with null, no longer. */
  watch(tell: ((event: ProxyEvent) => void) | null): void {
    this.#tell = tell;
    this.#worker?.postMessage({ kind: "watch", on: tell !== null } satisfies TaggingOrder);
  }

  /** What became of one of the last events, on each route that knows it. */
  async trace(id: string): Promise<(TaggingNews & { kind: "traced" })["ways"]> {
    const news = await this.#ask((number) => ({ kind: "trace", number, id }), STATE_WAIT_MS);
    return news?.kind === "traced" ? news.ways : [];
  }

  #ask(order: (number: number) => TaggingOrder, waitMs: number | null): Promise<TaggingNews | null> {
    const worker = this.#worker;
    if (worker === null) return Promise.resolve(null);
    this.#number += 1;
    const number = this.#number;
    return new Promise((resolve) => {
      const timer = waitMs === null ? null : setTimeout(() => this.#answered(number, null), waitMs);
      this.#waiting.set(number, { resolve, timer });
      worker.postMessage(order(number));
    });
  }

  #answered(number: number, news: TaggingNews | null): void {
    const waiting = this.#waiting.get(number);
    if (waiting === undefined) return;
    this.#waiting.delete(number);
    if (waiting.timer !== null) clearTimeout(waiting.timer);
    waiting.resolve(news);
  }

  #hear(news: TaggingNews): void {
    switch (news.kind) {
      case "unwanted": {
        const labels = [news.route, news.destination, news.why];
        const key = labels.join(" ");
        this.#unwanted.set(key, { labels, count: (this.#unwanted.get(key)?.count ?? 0) + news.count });
        break;
      }
      case "trouble":
        if (news.text === "") this.#log.info("events are kept again", { route: news.route });
        else this.#log.error("events cannot be written down", { route: news.route, error: news.text });
        this.#trouble(news.route, news.text === "" ? null : "disk", "disk");
        break;
      case "event":
        this.#tell?.({ kind: "tagging", route: news.route, event: news.event });
        break;
      default:
        this.#answered(news.number, news);
    }
  }

  /** For the metrics, as it was a second ago. */
  series(): ReadSeries[] {
    const series: ReadSeries[] = [];
    for (const { labels, count } of this.#unwanted.values())
      series.push({ name: "sluice_tagging_unwanted_total", labels, value: count });
    for (const { route, destinations, received, dropped, bytes } of this.#states) {
      series.push({ name: "sluice_tagging_received_total", labels: [route], value: received });
      series.push({ name: "sluice_tagging_dropped_total", labels: [route], value: dropped });
      series.push({ name: "sluice_tagging_queue_bytes", labels: [route], value: bytes });
      for (const each of destinations) {
        const labels = [route, each.name];
        series.push({ name: "sluice_tagging_sent_total", labels, value: each.sent });
        series.push({ name: "sluice_tagging_retried_total", labels, value: each.retried });
        series.push({ name: "sluice_tagging_dead_total", labels, value: each.buried });
        series.push({ name: "sluice_tagging_waiting", labels, value: each.waiting });
        series.push({ name: "sluice_tagging_queue_age_seconds", labels, value: each.ageMs / 1000 });
        series.push({ name: "sluice_tagging_vendor_seconds", labels, value: each.latency / 1000 });
      }
    }
    return series;
  }

  /** What was found of the vendors of routes when they came into use. */
  get vendors(): readonly VendorCheck[] {
    return this.#checks.found;
  }

  /** Has what is in memory written down, and ends the thread. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    this.#checks.close();
    if (this.#poll !== null) clearInterval(this.#poll);
    this.#poll = null;
    this.#states = [];
    if (worker === null) return;
    worker.postMessage({ kind: "close" } satisfies TaggingOrder);
    await this.#ended;
  }
}

/** What is restarted too often has no use. */
const RESTART_MS = 1000;

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function setupsOf(config: Config): RouteSetup[] {
  const root = join(config.storage ?? defaultStorageFolder(), "tagging");
  return config.routes.flatMap((route, at) => {
    if (route.tagging === undefined) return [];
    const name = route.name ?? `route-${at + 1}`;
    return [{ route: name, folder: join(root, encodeURIComponent(name)), config: route.tagging }];
  });
}
