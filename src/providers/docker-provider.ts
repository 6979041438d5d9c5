// `providers.docker`: lists containers, and lists them again when the daemon says that something has happened. While
// the daemon is away, what was known last stays.
import type { Diagnostic } from "../config/diagnostic.ts";
import type { Fragment } from "../config/fragment.ts";
import type { Log } from "../observe/log.ts";
import { daemonReason, followEvents, listContainers } from "./docker-client.ts";
import { emptied, fragmentsOf, type Group, groupContainers } from "./docker-fragments.ts";
import { SettleDown } from "./settle-down.ts";

const CONTAINERS_MAX = 10_000;

export interface DockerTimes {
  /** A burst of events is over after this long without one. */
  readonly quietMs: number;
  /** Longest time that a burst puts the list off. */
  readonly burstMs: number;
  /** The list is asked for anew this often, in case an event was lost, or a network was connected. */
  readonly pollMs: number;
  /** First pause after a failure; each further one is twice as long, up to `retryMaxMs`. */
  readonly retryMs: number;
  readonly retryMaxMs: number;
  /** How long the routes of an upstream answer 503 after its last container has gone; 404 then. */
  readonly holdMs: number;
  /** How long the start of the proxy waits for the first list. */
  readonly startMs: number;
}

const TIMES: DockerTimes = {
  quietMs: 200,
  burstMs: 2000,
  pollMs: 60_000,
  retryMs: 500,
  retryMaxMs: 30_000,
  holdMs: 60_000, // a container that is pulled and created anew is back by then
  startMs: 5000,
};

export interface DockerProviderOptions {
  /** Path of the daemon's socket. */
  readonly socket: string;
  /** The network whose addresses are used; each container's first when null. */
  readonly network: string | null;
  readonly log: Log;
  /** Called when `fragments` or `diagnostics` are others. */
  readonly changed: () => void;
  /** From 0 to 1: spreads the pauses after failures. */
  readonly random: () => number;
  readonly times?: Partial<DockerTimes>;
}

export class DockerProvider {
  readonly #options: DockerProviderOptions;
  readonly #times: DockerTimes;
  readonly #log: Log;
  readonly #stopped = new AbortController();
  readonly #soon: SettleDown;
  readonly #poll: ReturnType<typeof setInterval>;
  /** Upstreams without containers, and the timers that end them. */
  readonly #held = new Map<string, { readonly group: Group; readonly timer: ReturnType<typeof setTimeout> }>();
  #groups: readonly Group[] = [];
  #diagnostics: readonly Diagnostic[] = [];
  #fragments: readonly Fragment[] = [];
  #said = "";
  #isListing = false;
  #isListWanted = false;
  #listFailures = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** Why the daemon cannot be asked at the moment; null when it can. */
  #trouble: string | null = null;
  readonly #firstTry = Promise.withResolvers<void>();

  /** Begins to ask the daemon at once. */
  constructor(options: DockerProviderOptions) {
    this.#options = options;
    this.#times = { ...TIMES, ...options.times };
    this.#log = options.log.with({ socket: options.socket });
    this.#soon = new SettleDown(() => void this.#list(), this.#times.quietMs, this.#times.burstMs);
    this.#poll = setInterval(() => void this.#list(), this.#times.pollMs);
    void this.#list();
    void this.#follow();
  }

  get fragments(): readonly Fragment[] {
    return this.#fragments;
  }
  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  /** Resolves once the daemon has answered or failed to, or was given time enough. */
  async started(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      this.#fail("the daemon has not answered yet");
      resolve();
    }, this.#times.startMs);
    await Promise.race([this.#firstTry.promise, promise]);
    clearTimeout(timer);
  }

  stop(): void {
    this.#stopped.abort();
    this.#soon.stop();
    clearInterval(this.#poll);
    clearTimeout(this.#retry);
    for (const { timer } of this.#held.values()) clearTimeout(timer);
    this.#held.clear();
  }

  /** One list at a time; what is asked for meanwhile is one more behind it. */
  async #list(): Promise<void> {
    const { signal } = this.#stopped;
    this.#isListWanted = true;
    if (this.#isListing) return;
    this.#isListing = true;
    while (this.#isListWanted && !signal.aborted) {
      this.#isListWanted = false;
      clearTimeout(this.#retry);
      try {
        this.#take(await listContainers(this.#options.socket, signal));
        this.#listFailures = 0;
        this.#recover();
      } catch (error) {
        if (signal.aborted) break;
        this.#fail(daemonReason(error));
        this.#retry = setTimeout(() => void this.#list(), this.#pause(this.#listFailures));
        this.#listFailures += 1;
      }
      this.#firstTry.resolve();
    }
    this.#isListing = false;
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stopped;
    for (let failures = 0; !signal.aborted; failures += 1) {
      try {
        const connected = (): void => {
          failures = 0;
          void this.#list(); // for what happened before
        };
        await followEvents(this.#options.socket, signal, connected, () => this.#soon.poke());
      } catch (error) {
        if (!signal.aborted) this.#fail(daemonReason(error));
      }
      if (!signal.aborted) await this.#sleep(this.#pause(failures));
    }
  }

  #pause(failures: number): number {
    const { retryMs, retryMaxMs } = this.#times;
    return Math.min(retryMaxMs, retryMs * 2 ** Math.min(failures, 16)) * (0.5 + this.#options.random() / 2);
  }

  async #sleep(ms: number): Promise<void> {
    const { signal } = this.#stopped;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    const timer = setTimeout(wake, ms);
    signal.addEventListener("abort", wake, { once: true });
    await promise;
    clearTimeout(timer);
    signal.removeEventListener("abort", wake); // a daemon may be away for years of pauses
  }

  #fail(reason: string): void {
    if (this.#trouble === reason) return;
    this.#trouble = reason;
    this.#log.warn("Docker cannot be asked: what is known of its containers stays in use", { reason });
  }

  #recover(): void {
    if (this.#trouble === null) return;
    this.#trouble = null;
    this.#log.info("Docker can be asked again");
  }

  #take(items: readonly unknown[]): void {
    const { groups, diagnostics } = groupContainers(items.slice(0, CONTAINERS_MAX), this.#options.network);
    if (items.length > CONTAINERS_MAX)
      this.#log.warn("there are too many containers: the rest is left out", { limit: CONTAINERS_MAX });
    const here = new Set(groups.map(({ upstream }) => upstream));
    for (const group of this.#groups) if (!here.has(group.upstream)) this.#hold(group);
    for (const name of here) this.#release(name);
    this.#groups = groups;
    this.#diagnostics = diagnostics;
    this.#tell();
  }

  #hold(group: Group): void {
    const { upstream } = group;
    const timer = setTimeout(() => {
      this.#held.delete(upstream);
      this.#tell();
    }, this.#times.holdMs);
    this.#held.set(upstream, { group: emptied(group), timer });
  }

  #release(upstream: string): void {
    clearTimeout(this.#held.get(upstream)?.timer);
    this.#held.delete(upstream);
  }

  #tell(): void {
    const fragments = fragmentsOf([...this.#groups, ...[...this.#held.values()].map(({ group }) => group)]);
    const said = JSON.stringify([fragments, this.#diagnostics]);
    if (said === this.#said) return;
    this.#said = said;
    this.#fragments = fragments;
    this.#options.changed();
  }
}
