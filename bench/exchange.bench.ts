// What one keep-alive exchange costs Sluice's own code: two parsed heads, two written ones, routing, bookkeeping; no
// sockets and no system calls. Sketch: 640 bytes in and 160 bytes back at about 1.2 ns a byte for checking and copying
// are 1 µs; some forty calls into the runtime (slices, copies, clocks) at 20 to 40 ns are another. Over 3 µs something
// allocates per field.
//
// With more than one server it shows what the choice among them costs: `bun bench/exchange.bench.ts --servers 1000
// --balance p2c`.
import { parseArgs } from "node:util";

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
import { BROWSER_FIELDS } from "./heads.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "9" },
    servers: { type: "string", default: "1" },
    balance: { type: "string", default: "round-robin" },
  },
});
const SERVERS = Number(values.servers);
let lastSink: Sink;

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
    if (this.keep) this.last = bytes.latin1Slice(start, end);
  }
  pause(): void {}
  resume(): void {}
  end(): void {}
  close(): void {}
  destroy(): void {}
  announce(): void {}
}

const BROWSER = ["GET /index.html HTTP/1.1", "Host: 127.0.0.1:8080", ...BROWSER_FIELDS, "", ""].join("\r\n");
const ANSWER =
  "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nContent-Type: text/plain\r\nContent-Length: 34\r\nConnection: keep-alive\r\n\r\nhello, this is 34 bytes of content";

const config = configSchema.parse({
  listeners: [{ address: "127.0.0.1:0" }],
  upstreams: {
    app: {
      servers: Array.from({ length: SERVERS }, (_, i) => `127.0.0.1:${i + 1}`),
      balance: values.balance,
      limits: { requestsPerConnection: 1_000_000_000 },
    },
  },
  routes: [{ to: "app" }],
});
const plan = compilePlan(config);
const wheel = new TimerWheel();
const metrics = new Metrics(() => {});
const resolver = new Resolver({ minTtl: 1000, maxTtl: 1000 });
const log = createLog("error");
const fleet = new Fleet({ log, memory: Board.memory(1), changes: new ServerChanges(null), onMembers() {} }, config);
const { memberships } = fleet.prepare(config, plan.upstreams);
const environment = {
  resolver,
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
const wire = new Wire(
  {
    table: plan.table,
    upstreams,
    trustedProxies: null,
    requests: metrics.requests(["route-1"]),
    caches: [],
    cacheKeys: [],
    cache: null,
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
const toClient = new Sink();
const connection = new H1Connection(toClient, listener);
const request = Buffer.from(BROWSER);
const answer = Buffer.from(ANSWER);

function exchange(): void {
  beginTurn();
  connection.onData(request);
  endTurn();
  beginTurn();
  lastSink.handler.onData(answer);
  endTurn();
}

toClient.keep = true;
exchange();
if (!toClient.last.endsWith("content")) throw new Error("the exchange does not work");
toClient.keep = false;
const rounds = Number(values.rounds);
const results: number[] = [];
for (let round = 0; round < rounds; round += 1) {
  const n = 200_000;
  const before = performance.now();
  for (let i = 0; i < n; i += 1) exchange();
  results.push(((performance.now() - before) * 1000) / n);
}
results.sort((a, b) => a - b);
const what = SERVERS === 1 ? "exchange" : `exchange, ${SERVERS} servers, ${values.balance}`;
console.log(`${what}: ${results[results.length >> 1]!.toFixed(2)} µs (best ${results[0]!.toFixed(2)}), budget 3 µs`);
