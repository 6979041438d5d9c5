// A group of servers that can answer the same requests, and which of them gets the next one.
import { parseServer } from "../config/address.ts";
import type { UpstreamConfig } from "../config/schema.ts";
import type { TimerWheel } from "../core/timers.ts";
import type { UpstreamMetrics } from "../observe/metrics.ts";
import { Server } from "./pool.ts";
import type { Resolver } from "./resolver.ts";

export class Upstream {
  readonly name: string;
  /** Its counts, once there are any; kept here so that counting looks nothing up. */
  metrics: UpstreamMetrics | null = null;
  readonly config: UpstreamConfig;
  readonly servers: readonly Server[];
  readonly #wheel: TimerWheel;
  readonly #totalWeight: number;
  readonly #equalWeights: boolean;
  #turn = 0;

  constructor(name: string, config: UpstreamConfig, resolver: Resolver, wheel: TimerWheel) {
    this.name = name;
    this.config = config;
    this.#wheel = wheel;
    this.servers = config.servers.map((each) => {
      const { url, weight } = typeof each === "string" ? { url: each, weight: 1 } : each;
      const address = parseServer(url);
      if (address === null) throw new Error(`upstream ${name}: not a server address: ${url}`);
      const label = address.kind === "unix" ? `unix:${address.path}` : hostPort(address.host, address.port);
      return new Server(label, address, weight, config, resolver, wheel);
    });
    this.#totalWeight = this.servers.reduce((sum, server) => sum + server.weight, 0);
    this.#equalWeights = this.servers.every((server) => server.weight === this.servers[0]!.weight);
  }

  /** The Host that servers of this upstream see; null for the client's own. */
  hostFor(server: Server): string | null {
    const { hostHeader } = this.config;
    if (hostHeader === "preserve") return null;
    return hostHeader === "upstream" ? serverHost(server) : hostHeader;
  }

  /**
   * The next server in turn that was not tried yet, by smooth weighted round-robin. One whose connect failed lately is
   * passed over while another is left. Null when all were tried.
   */
  pick(tried: readonly Server[] | null): Server | null {
    const { servers } = this;
    if (servers.length === 1) return tried === null && servers[0]!.weight > 0 ? servers[0]! : null;
    return this.#next(tried, true) ?? this.#next(tried, false);
  }

  #next(tried: readonly Server[] | null, healthyOnly: boolean): Server | null {
    const { servers } = this;
    const now = this.#wheel.now;
    const usable = (server: Server): boolean =>
      server.weight > 0 && !(healthyOnly && server.failedUntil > now) && tried?.includes(server) !== true;
    if (this.#equalWeights) {
      for (let i = 0; i < servers.length; i += 1) {
        const server = servers[(this.#turn + i) % servers.length]!;
        if (!usable(server)) continue;
        this.#turn = (this.#turn + i + 1) % servers.length;
        return server;
      }
      return null;
    }
    let best: Server | null = null;
    let total = 0;
    for (const server of servers) {
      if (!usable(server)) continue;
      total += server.weight;
      server.credit += server.weight;
      if (best === null || server.credit > best.credit) best = server;
    }
    if (best !== null) best.credit -= total === 0 ? this.#totalWeight : total;
    return best;
  }

  retire(): void {
    for (const server of this.servers) server.retire();
  }
}

const hostPort = (host: string, port: number): string => (host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);

/** RFC 9110 §7.2: the default port is left out. A unix socket has no name of its own. */
export function serverHost(server: Server): string {
  const { address } = server;
  if (address.kind === "unix") return "localhost";
  const full = hostPort(address.host, address.port);
  return address.port === 80 ? full.slice(0, -3) : full;
}
