// The connections to one server: kept for reuse, bounded in number, with a bounded queue of those who wait for one.
import type { Address } from "../config/address.ts";
import type { UpstreamConfig } from "../config/schema.ts";
import { type Fault, FaultError, fault } from "../core/faults.ts";
import { Timer, type TimerWheel } from "../core/timers.ts";
import type { ServerMetrics } from "../observe/metrics.ts";
import type { ServerRef } from "../pipeline/exchange.ts";
import type { Connection } from "../transport/connection.ts";
import { type Dial, dial } from "../transport/socket.ts";
import { type ClientOwner, H1Client } from "./h1-client.ts";
import { connectAny, orderAddresses } from "./happy-eyeballs.ts";
import type { Resolver } from "./resolver.ts";

/** Who asks for a connection. Exactly one of the two is called, unless it is `withdrawn` by then. */
export interface ConnectionWant {
  /** It is not wanted any more. */
  readonly withdrawn: boolean;
  /** Milliseconds that a connect may take. */
  readonly connectMs: number;
  /** Only a connection that was never used before will do. */
  readonly freshOnly: boolean;
  onConnection(client: H1Client): void;
  onNoConnection(cause: Fault): void;
}

/** A server whose connect failed is passed over this long while others are there. */
const FAILED_MS = 2000;

export class Server implements ServerRef, ClientOwner {
  readonly name: string;
  readonly weight: number;
  /** Its counts, once there are any; kept here so that counting looks nothing up. */
  metrics: ServerMetrics | null = null;
  /** Credit of the smooth weighted round-robin (balance.ts). */
  credit = 0;
  /** On the wheel's clock: until then connects are expected to fail. */
  failedUntil = 0;
  /** Connections that are open or being opened, tunnels included. */
  open = 0;
  readonly address: Address;
  readonly #config: UpstreamConfig;
  readonly #resolver: Resolver;
  readonly #wheel: TimerWheel;
  /** Unused connections; the one used last is taken first (LIFO), so that the others can grow old. */
  readonly #idle: H1Client[] = [];
  readonly #queue: { readonly want: ConnectionWant; readonly timer: Timer }[] = [];
  #turn = 0;
  #retired = false;

  constructor(
    name: string,
    address: Address,
    weight: number,
    config: UpstreamConfig,
    resolver: Resolver,
    wheel: TimerWheel,
  ) {
    this.name = name;
    this.address = address;
    this.weight = weight;
    this.#config = config;
    this.#resolver = resolver;
    this.#wheel = wheel;
  }

  get idle(): number {
    return this.#idle.length;
  }
  get queued(): number {
    return this.#queue.length;
  }

  /** Gives a connection: an unused one at once, else a new one, else a place in the queue. */
  request(want: ConnectionWant): void {
    const client = want.freshOnly ? undefined : this.#idle.pop();
    if (client !== undefined) return want.onConnection(client);
    const { limits } = this.#config;
    if (want.freshOnly && this.open >= limits.connections) this.#idle.shift()?.close();
    if (this.open < limits.connections) return this.#connect(want);
    if (this.#queue.length >= limits.queue) this.#dropWithdrawn();
    if (this.#queue.length >= limits.queue) return want.onNoConnection(fault("upstream.queue_full", this.name));
    const timer = new Timer(() => this.#expire(want));
    this.#wheel.arm(timer, limits.queueTimeout);
    this.#queue.push({ want, timer });
  }

  #expire(want: ConnectionWant): void {
    const at = this.#queue.findIndex((each) => each.want === want);
    if (at >= 0) this.#queue.splice(at, 1);
    if (!want.withdrawn) want.onNoConnection(fault("upstream.queue_timeout", this.name));
  }

  /** Those whose clients have left take nobody's place in a full queue. */
  #dropWithdrawn(): void {
    for (let at = this.#queue.length - 1; at >= 0; at -= 1) {
      if (!this.#queue[at]!.want.withdrawn) continue;
      this.#wheel.drop(this.#queue[at]!.timer);
      this.#queue.splice(at, 1);
    }
  }

  /** The first in the queue who still wants a connection. */
  #nextInQueue(): ConnectionWant | null {
    for (let first = this.#queue.shift(); first !== undefined; first = this.#queue.shift()) {
      this.#wheel.drop(first.timer);
      if (!first.want.withdrawn) return first.want;
    }
    return null;
  }

  #connect(want: ConnectionWant): void {
    this.open += 1;
    void this.#open(want.connectMs).then(
      (connection) => this.#connected(connection, want),
      (error: unknown) => this.#notConnected(error, want),
    );
  }

  /** Resolves the name and connects to the first address that answers, within `ms`. */
  async #open(ms: number): Promise<Connection> {
    const { address } = this;
    const late = Promise.withResolvers<never>();
    let attempt: Dial | null = null;
    const timer = new Timer(() => {
      // In this order: the first of the two to be rejected is the reason that is told.
      late.reject(new FaultError(fault("upstream.connect_timeout", `${this.name}: no connection within ${ms} ms`)));
      attempt?.cancel();
    });
    this.#wheel.arm(timer, ms);
    late.promise.catch(() => {}); // it may lose the race without anybody waiting for it
    try {
      if (address.kind === "unix") attempt = dial(address);
      else {
        const found = this.#resolver.lookup(address.host);
        const all = Array.isArray(found) ? (found as readonly string[]) : await Promise.race([found, late.promise]);
        const addresses = this.#rotate(all);
        attempt = connectAny(addresses, (host) => dial({ kind: "tcp", host, port: address.port }));
      }
      return await Promise.race([attempt.promise, late.promise]);
    } finally {
      this.#wheel.drop(timer);
    }
  }

  /** Spreads connections over the addresses of a name, each family by itself. */
  #rotate(addresses: readonly string[]): readonly string[] {
    if (addresses.length < 2) return addresses;
    const from = this.#turn++ % addresses.length;
    return orderAddresses([...addresses.slice(from), ...addresses.slice(0, from)]);
  }

  #connected(connection: Connection, want: ConnectionWant): void {
    this.failedUntil = 0;
    const client = new H1Client(connection, this, this.#wheel, this.#config.timeouts.idle);
    if (!want.withdrawn) want.onConnection(client);
    else this.released(client);
  }

  #notConnected(error: unknown, want: ConnectionWant): void {
    this.open -= 1;
    this.failedUntil = this.#wheel.now + FAILED_MS;
    const cause =
      error instanceof FaultError ? error.fault : fault("upstream.connect_refused", `${this.name}: ${describe(error)}`);
    if (!want.withdrawn) want.onNoConnection(cause);
    this.#serveQueue();
  }

  /** There may be room for one more connection. */
  #serveQueue(): void {
    if (this.open >= this.#config.limits.connections) return;
    const want = this.#nextInQueue();
    if (want !== null) this.#connect(want);
  }

  released(client: H1Client): void {
    if (this.#retired || client.requests >= this.#config.limits.requestsPerConnection || client.idleMs === 0)
      return client.close();
    if (this.#moved(client)) return client.close();
    const want = this.#queue.length === 0 ? null : this.#nextInQueue();
    if (want !== null) want.onConnection(client);
    else this.#idle.push(client);
  }

  /** The name does not point to this connection's address any more. */
  #moved(client: H1Client): boolean {
    if (this.address.kind === "unix" || this.address.host === client.connection.remoteAddress) return false;
    const known = this.#resolver.lookup(this.address.host);
    if (!Array.isArray(known)) {
      (known as Promise<unknown>).catch(() => {});
      return false;
    }
    return !known.includes(client.connection.remoteAddress);
  }

  lost(client: H1Client): void {
    this.open -= 1;
    const at = this.#idle.lastIndexOf(client);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#serveQueue();
  }

  /** A tunnel over one of the connections has ended. */
  tunnelClosed(): void {
    this.open -= 1;
    this.#serveQueue();
  }

  /** Closes what is unused; what is in use is closed when it is through. */
  retire(): void {
    this.#retired = true;
    for (const client of [...this.#idle]) client.close();
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return (error as Error & { code?: string }).code ?? error.message;
}
