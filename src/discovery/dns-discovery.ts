// Finds the servers of upstreams in the DNS and keeps looking: by TTL, without floods, and never losing a good answer
// to a name server's troubles. The supervisor runs one for all upstreams.
import { parseServer } from "../config/address.ts";
import type { UpstreamConfig } from "../config/schema.ts";
import { wallClock } from "../core/clock.ts";
import type { Log } from "../observe/log.ts";
import { DnsClient } from "./dns-client.ts";
import { type LookUp, lookUp, type Source, type TargetAddresses } from "./look-up.ts";
import { afterAnswer, type DiscoveredServer, type Known, merged, SERVERS_MAX, sameServers } from "./servers.ts";

export type { DiscoveredServer } from "./servers.ts";

/** One entry of an upstream's `discover`. */
export type DiscoverConfig = Exclude<NonNullable<UpstreamConfig["discover"]>, readonly unknown[]>;

/** The `resolver` of the configuration. */
export interface NameServers {
  /** `ip` or `ip:port`; the system's without them. */
  readonly servers?: readonly string[] | undefined;
  /** Bounds in milliseconds for the TTLs of answers. */
  readonly minTtl: number;
  readonly maxTtl: number;
}

/** Runs something once after a while; what it returns calls that off. */
export type Schedule = (run: () => void, afterMs: number) => () => void;

export interface DnsDiscoveryOptions extends NameServers {
  readonly log: Log;
  /** The servers of an upstream, sorted by id, whenever a look-up has changed them. */
  readonly onChange: (upstream: string, servers: readonly DiscoveredServer[]) => void;
  /** Milliseconds since 1970, for `states`. */
  readonly now?: () => number;
  /** From 0 to less than 1. */
  readonly random?: () => number;
  readonly schedule?: Schedule;
}

/** What the admin API tells of a source. Times are milliseconds since 1970. */
export interface DiscoveryState {
  readonly type: "A" | "AAAA" | "SRV";
  readonly name: string;
  /** The upstreams that use it. */
  readonly upstreams: readonly string[];
  readonly servers: number;
  /** When there was a good answer last; null before the first. */
  readonly answeredAt: number | null;
  /** What was wrong with the last look-up, if anything. */
  readonly error: string | null;
  /** Null while a look-up is under way. */
  readonly nextAt: number | null;
}

export interface WantedDiscovery {
  readonly upstream: string;
  readonly sources: readonly DiscoverConfig[];
}

/** The pause after the first failed look-up; it doubles with each further one, up to `refresh`. */
const RETRY_MS = 1000;
/** Whatever the configuration says: shorter pauses are a flood and find nothing sooner. */
const PAUSE_MIN_MS = 100;
/** Many proxies that started together are not to ask together for ever. */
const JITTER = 0.05;

interface Watched {
  readonly source: Source;
  refreshMs: number;
  known: readonly Known[];
  readonly targets: TargetAddresses;
  answeredAt: number | null;
  error: string | null;
  /** Look-ups in a row that failed, in part at least. */
  failures: number;
  dropped: number;
  /** When the next look-up begins; null while one is under way. */
  nextAt: number | null;
  callOff: (() => void) | null;
  /** No upstream uses it any more: what is still on its way is thrown away. */
  isGone: boolean;
}

interface UpstreamServers {
  readonly watched: readonly Watched[];
  /** Those of the sources before: a reload that names others takes no server away before these have answered. */
  kept: readonly DiscoveredServer[];
  servers: readonly DiscoveredServer[];
}

/**
 * Each source is looked up again after the smallest TTL of its answer (`minTtl` at least), and after `refresh` at the
 * latest; SRV records count as having `refresh` for their TTL. An answer that is none (SERVFAIL, time-out, no records)
 * changes nothing and is asked for again after 1 s, 2 s, 4 s … up to `refresh`. A server goes when two good answers in
 * a row leave it out, so after two refreshes at the latest; a new one comes with the first answer that has it.
 */
export class DnsDiscovery {
  readonly #log: Log;
  readonly #onChange: DnsDiscoveryOptions["onChange"];
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #schedule: Schedule;
  readonly #client: DnsClient;
  #minTtl: number;
  #maxTtl: number;
  /** By type, name and port: upstreams that name the same source share it. */
  #watched = new Map<string, Watched>();
  #upstreams = new Map<string, UpstreamServers>();
  #isStopped = false;

  constructor(options: DnsDiscoveryOptions) {
    this.#log = options.log;
    this.#onChange = options.onChange;
    this.#now = options.now ?? wallClock;
    this.#random = options.random ?? Math.random;
    this.#schedule = options.schedule ?? systemTimer;
    this.#client = new DnsClient(options.servers);
    this.#minTtl = options.minTtl;
    this.#maxTtl = options.maxTtl;
  }

  /**
   * Says what is to be found from now on; other name servers count from the next question on. Sources that were there
   * before keep their servers and their time-table, whatever upstream uses them. New ones are looked up at once, in the
   * background; until then an upstream keeps what its sources before had found. It never calls `onChange`: read
   * `current` afterwards.
   */
  update(wanted: readonly WantedDiscovery[], nameServers?: NameServers): void {
    if (this.#isStopped) return;
    if (nameServers !== undefined) {
      this.#client.setServers(nameServers.servers);
      this.#minTtl = nameServers.minTtl;
      this.#maxTtl = nameServers.maxTtl;
    }
    const before = this.#watched;
    const upstreamsBefore = this.#upstreams;
    const refreshes = new Map<string, number>();
    this.#watched = new Map();
    this.#upstreams = new Map();
    for (const { upstream, sources } of wanted) {
      const watched = sources.map((config) => {
        const source = sourceOf(config);
        const key = `${source.type} ${source.name} ${source.port}`;
        const each = this.#watched.get(key) ?? before.get(key) ?? watch(source);
        this.#watched.set(key, each);
        refreshes.set(key, Math.min(config.refresh, refreshes.get(key) ?? config.refresh));
        return each;
      });
      const kept = haveAnswered(watched) ? [] : (upstreamsBefore.get(upstream)?.servers ?? []);
      this.#upstreams.set(upstream, { watched, kept, servers: mergedOf(watched, kept) });
    }
    for (const [key, each] of before) if (!this.#watched.has(key)) forget(each);
    for (const [key, each] of this.#watched) this.#begin(each, refreshes.get(key)!, !before.has(key));
  }

  /** The servers of an upstream that are known now, sorted by id; none before the first answer. */
  current(upstream: string): readonly DiscoveredServer[] {
    return this.#upstreams.get(upstream)?.servers ?? [];
  }

  /** How each source is doing, in the order of the configuration. */
  states(): DiscoveryState[] {
    return [...this.#watched.values()].map((each) => ({
      type: each.source.type,
      name: each.source.name,
      upstreams: [...this.#upstreams].filter(([, { watched }]) => watched.includes(each)).map(([name]) => name),
      servers: each.known.length,
      answeredAt: each.answeredAt,
      error: each.error,
      nextAt: each.nextAt,
    }));
  }

  /** Ends all look-ups and timers for good. `onChange` is not called any more; `current` still answers. */
  stop(): void {
    this.#isStopped = true;
    for (const each of this.#watched.values()) forget(each);
    this.#client.cancel();
  }

  #begin(each: Watched, refreshMs: number, isNew: boolean): void {
    const isSooner = refreshMs < each.refreshMs;
    each.refreshMs = refreshMs;
    if (isNew) void this.#refresh(each);
    else if (isSooner && each.nextAt !== null) this.#wait(each, Math.min(refreshMs, each.nextAt - this.#now()));
  }

  /** One look-up, and the appointment for the next. There is one at a time: nothing else begins them. */
  async #refresh(each: Watched): Promise<void> {
    each.nextAt = null;
    each.callOff = null;
    const found = await lookUp(this.#client, each.source, each.targets);
    if (each.isGone) return;
    this.#report(each, found);
    each.error = found.error;
    each.failures = found.error === null ? 0 : each.failures + 1;
    each.dropped = found.dropped;
    this.#wait(each, this.#pause(each, found));
    if (found.servers.length === 0) return;
    each.answeredAt = this.#now();
    each.known = afterAnswer(each.known, found.servers);
    this.#publish(each);
  }

  /** Milliseconds until the next look-up, before jitter. */
  #pause(each: Watched, found: LookUp): number {
    const ttl = Math.min(this.#maxTtl, Math.max(this.#minTtl, found.ttlMs));
    const fresh = found.servers.length === 0 ? each.refreshMs : Math.min(each.refreshMs, ttl);
    return each.failures === 0 ? fresh : Math.min(fresh, RETRY_MS * 2 ** (each.failures - 1));
  }

  #wait(each: Watched, afterMs: number): void {
    each.callOff?.();
    const pause = Math.max(PAUSE_MIN_MS, afterMs) * (1 - JITTER + 2 * JITTER * this.#random());
    each.nextAt = this.#now() + pause;
    each.callOff = this.#schedule(() => void this.#refresh(each), pause);
  }

  #publish(each: Watched): void {
    for (const [name, upstream] of this.#upstreams) {
      if (each.isGone || !upstream.watched.includes(each)) continue;
      if (haveAnswered(upstream.watched)) upstream.kept = [];
      const servers = mergedOf(upstream.watched, upstream.kept);
      if (sameServers(servers, upstream.servers)) continue;
      this.#log.info("discovery: servers changed", { upstream: name, servers: servers.length });
      upstream.servers = servers;
      this.#onChange(name, servers);
    }
  }

  /** A line when something begins or ends, not for each look-up in between. */
  #report(each: Watched, found: LookUp): void {
    const { type, name } = each.source;
    const fields = { type, name };
    if (found.error !== null && each.error === null) {
      const effect =
        found.servers.length > 0
          ? "a part of the look-up failed"
          : each.known.length > 0
            ? "look-up failed; the last good answer is kept"
            : "look-up failed; there is no server yet";
      this.#log.warn(`discovery: ${effect}`, { ...fields, why: found.error });
    }
    if (found.error === null && each.error !== null) this.#log.info("discovery: look-ups work again", fields);
    if (found.dropped > 0 && each.dropped === 0)
      this.#log.warn("discovery: too many servers; the rest is left out", {
        ...fields,
        most: SERVERS_MAX,
        dropped: found.dropped,
      });
  }
}

function watch(source: Source): Watched {
  return {
    source,
    refreshMs: Number.POSITIVE_INFINITY,
    known: [],
    targets: new Map(),
    answeredAt: null,
    error: null,
    failures: 0,
    dropped: 0,
    nextAt: null,
    callOff: null,
    isGone: false,
  };
}

function forget(each: Watched): void {
  each.isGone = true;
  each.callOff?.();
  each.callOff = null;
  each.nextAt = null;
}

/** `name:port`, port 80 without one. A text that is neither is looked up as it is, and not found. */
function sourceOf({ dns, type }: DiscoverConfig): Source {
  const address = parseServer(dns);
  const host = address?.kind === "tcp" ? address.host : dns;
  const name = host.endsWith(".") ? host.slice(0, -1) : host;
  return { type, name, port: address?.kind === "tcp" && type !== "SRV" ? address.port : 80 };
}

const haveAnswered = (watched: readonly Watched[]): boolean => watched.every((each) => each.answeredAt !== null);

const mergedOf = (watched: readonly Watched[], kept: readonly DiscoveredServer[]): readonly DiscoveredServer[] =>
  merged([...watched.map((each) => each.known.map(({ server }) => server)), kept]);

const systemTimer: Schedule = (run, afterMs) => {
  const timer = setTimeout(run, afterMs);
  timer.unref(); // What keeps the process alive is its listeners.
  return () => clearTimeout(timer);
};
