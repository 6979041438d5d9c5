// A worker without sockets: one connection of a client and one to each server, in memory, for benchmarks of our own
// code.
import { Cache } from "../src/cache/cache.ts";
import { Changes } from "../src/cache/changes.ts";
import { configSchema } from "../src/config/schema.ts";
import { compilePlan } from "../src/control/compile.ts";
import { Fleet } from "../src/control/fleet.ts";
import { ServerChanges } from "../src/control/server-changes.ts";
import { TimerWheel } from "../src/core/timers.ts";
import { createLog } from "../src/observe/log.ts";
import { Metrics } from "../src/observe/metrics.ts";
import { H1Connection } from "../src/server/h1-connection.ts";
import { headLimitsOf, type ListenerContext } from "../src/server/listener.ts";
import type { Connection, ConnectionHandler } from "../src/transport/connection.ts";
import { beginTurn, endTurn } from "../src/transport/outbox.ts";
import { Board } from "../src/upstream/board.ts";
import { H1Client } from "../src/upstream/h1-client.ts";
import { Resolver } from "../src/upstream/resolver.ts";
import { Upstream } from "../src/upstream/upstream.ts";
import { Wire } from "../src/wire.ts";

/** The connection over which bytes went out last. */
let lastSink: Sink;

/** A connection that takes everything at once. */
class Sink implements Connection {
  handler: ConnectionHandler = { onData() {}, onDrain() {}, onEnd() {}, onClose() {} };
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 1;
  readonly localAddress = "127.0.0.1";
  readonly localPort = 2;
  readonly tls = null;
  readonly closed = false;
  readonly queued = 0;
  readonly full = false;
  sent = 0;
  last = "";
  keep = false;
  send(bytes: Buffer, start: number, end: number): void {
    this.sent += end - start;
    lastSink = this;
    if (this.keep) this.last += bytes.latin1Slice(start, end);
  }
  pause(): void {}
  resume(): void {}
  end(): void {}
  close(): void {}
  destroy(): void {}
  announce(): void {}
}

export class InProcess {
  readonly #toClient = new Sink();
  readonly #connection: H1Connection;

  /** `options` are those of the one upstream, `policies` those of the route; `more` is beside them. */
  constructor(servers: number, options: Readonly<Record<string, unknown>>, policies: object = {}, more: object = {}) {
    const config = configSchema.parse({
      ...more,
      listeners: [{ address: "127.0.0.1:0" }],
      upstreams: {
        app: {
          servers: Array.from({ length: servers }, (_, i) => `127.0.0.1:${i + 1}`),
          limits: { requestsPerConnection: 1_000_000_000 },
          ...options,
        },
      },
      routes: [{ to: "app", ...policies }],
    });
    const plan = compilePlan(config);
    const wheel = new TimerWheel();
    const metrics = new Metrics(() => {});
    const log = createLog("error");
    const fleet = new Fleet({ log, memory: Board.memory(1), changes: new ServerChanges(null), onMembers() {} }, config);
    const { memberships } = fleet.prepare(config, plan.upstreams);
    const environment = {
      resolver: new Resolver({ minTtl: 1000, maxTtl: 1000 }),
      wheel,
      board: fleet.board,
      secret: new Uint8Array(32),
      wallNow: Date.now,
      random: Math.random,
      metrics: (name: string) => metrics.upstream(name),
      ejected() {},
    };
    const upstreams = new Map(
      [...plan.upstreams].map(([name, each]) => [name, new Upstream(name, each, memberships.get(name)!, environment)]),
    );
    const { table, caches, coalesce, cacheKeys, cacheBytes, endpoints, identityFields, usage } = plan;
    const cache = cacheBytes === 0 ? null : new Cache(cacheBytes, new Changes(Changes.memory(), 1n), null);
    const requests = metrics.requests(["route-1"]);
    const wire = new Wire(
      {
        table,
        upstreams,
        trustedProxies: null,
        requests,
        caches,
        coalesce,
        cacheKeys,
        cache,
        endpoints,
        identityFields,
        usage,
      },
      wheel,
      log,
      () => {},
    );
    const listener: ListenerContext = {
      name: "bench",
      options: config.listeners[0]!,
      headLimits: headLimitsOf(config.listeners[0]!),
      altSvc: null,
      handler: wire,
      wheel,
      draining: false,
      closed() {},
    };
    for (const server of [...upstreams.values()][0]!.servers) {
      const client = new H1Client(new Sink(), server, wheel, 60_000);
      fleet.board.enter(server.member.slot, 1); // as if it had carried a request
      server.released(client);
    }
    this.#connection = new H1Connection(this.#toClient, listener);
  }

  /** The client sends this. */
  ask(request: Buffer): void {
    beginTurn();
    this.#connection.onData(request);
    endTurn();
  }

  /** The server that has been asked sends this. */
  answer(bytes: Buffer): void {
    beginTurn();
    lastSink.handler.onData(bytes);
    endTurn();
  }

  /** What the client is sent by what `exchange` does. */
  sentBy(exchange: () => void): string {
    this.#toClient.keep = true;
    this.#toClient.last = "";
    exchange();
    this.#toClient.keep = false;
    return this.#toClient.last;
  }
}

/** Microseconds of one call: the median of the rounds, and the best of them. */
export function microsOf(one: () => void, rounds: number, calls = 200_000): { median: number; best: number } {
  const results: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const before = Bun.nanoseconds();
    for (let i = 0; i < calls; i += 1) one();
    results.push((Bun.nanoseconds() - before) / 1000 / calls);
  }
  results.sort((a, b) => a - b);
  return { median: results[results.length >> 1]!, best: results[0]! };
}
