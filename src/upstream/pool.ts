// The connections to one server: kept for reuse, opened when needed, and told when the server is given up.
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
import type { Member } from "./member.ts";
import type { Resolver } from "./resolver.ts";

/** Who asks for a connection. Exactly one of the last two is called, unless it is `withdrawn` by then. */
export interface ConnectionWant {
  /** It is not wanted any more. */
  readonly withdrawn: boolean;
  /** Milliseconds that a connect may take. */
  readonly connectMs: number;
  /** Only a connection that was never used before will do. */
  readonly freshOnly: boolean;
  /** What a new connection begins with: a PROXY protocol header. Null for none; such connections are not shared. */
  readonly preface: Buffer | null;
  onConnection(client: H1Client): void;
  onNoConnection(cause: Fault): void;
}

/** A server's place in its upstream. */
export interface ServerOwner {
  readonly config: UpstreamConfig;
  /** A request or tunnel is through: the server has room for another. */
  serverFreed(server: Server): void;
  /** Who had asked for a connection does not want it any more. */
  withdrawn(): void;
  /** A connect failed: it is passed over for a while. */
  serverFailed(server: Server): void;
  /** One succeeded after some that had failed. */
  serverConnected(server: Server): void;
}

export class Server implements ServerRef, ClientOwner {
  readonly name: string;
  readonly address: Address;
  /** Its counts, once there are any; kept here so that counting looks nothing up. */
  metrics: ServerMetrics | null = null;
  /** What the supervisor said of it last. */
  member: Member;
  /** Its index among the candidates of its upstream; -1 once it has left. */
  index = -1;
  /** On the board's clock: until then connects are expected to fail. How many did, one after the other. */
  failedUntil = 0;
  failures = 0;
  /** One request is finding out whether it can be reached again. */
  probed = false;
  readonly #owner: ServerOwner;
  readonly #resolver: Resolver;
  readonly #wheel: TimerWheel;
  /** Open connections, those under way not among them. */
  readonly #clients: Set<H1Client> = new Set();
  #connecting = 0;
  #tunnels = 0;
  /** Unused connections; the one used last is taken first (LIFO), so that the others can grow old. */
  readonly #idle: H1Client[] = [];
  #turn = 0;
  #retired = false;

  constructor(member: Member, owner: ServerOwner, resolver: Resolver, wheel: TimerWheel) {
    this.name = member.id;
    this.address = member.address;
    this.member = member;
    this.#owner = owner;
    this.#resolver = resolver;
    this.#wheel = wheel;
  }

  get idle(): number {
    return this.#idle.length;
  }
  /** Connections that are open or being opened, tunnels included. */
  get open(): number {
    return this.#clients.size + this.#connecting + this.#tunnels;
  }

  /** Gives a connection: an unused one at once, else a new one. The caller has a place in flight for it. */
  request(want: ConnectionWant): void {
    const client = want.freshOnly || want.preface !== null ? undefined : this.#idle.pop();
    if (client === undefined) this.#connect(want);
    else want.onConnection(client);
  }

  #connect(want: ConnectionWant): void {
    this.#connecting += 1;
    void this.connection(want.connectMs, want.preface).then(
      (connection) => this.#connected(connection, want),
      (error: unknown) => this.#notConnected(error, want),
    );
  }

  /**
   * Opens a connection within `ms` milliseconds: resolves the name and connects to the first address that answers.
   * Rejects with a FaultError or the system's error.
   */
  async connection(ms: number, preface: Buffer | null): Promise<Connection> {
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
      const connection = await Promise.race([attempt.promise, late.promise]);
      if (preface !== null) connection.send(preface, 0, preface.length, false);
      return connection;
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
    this.#connecting -= 1;
    if (this.failures > 0) this.#owner.serverConnected(this);
    const client = new H1Client(connection, this, this.#wheel, this.#owner.config.timeouts.idle);
    this.#clients.add(client);
    if (want.preface !== null) client.idleMs = 0; // it speaks for one client: nobody else's request may follow
    if (!want.withdrawn) return want.onConnection(client);
    this.#owner.withdrawn();
    if (this.#mayKeep(client)) this.#idle.push(client);
    else client.close();
    this.#owner.serverFreed(this);
  }

  #notConnected(error: unknown, want: ConnectionWant): void {
    this.#connecting -= 1;
    this.#owner.serverFailed(this);
    if (!want.withdrawn) want.onNoConnection(connectFault(this.name, error));
    this.#owner.serverFreed(this);
  }

  released(client: H1Client): void {
    if (this.#mayKeep(client)) this.#idle.push(client);
    else client.close();
    this.#owner.serverFreed(this);
  }

  #mayKeep(client: H1Client): boolean {
    const { limits } = this.#owner.config;
    if (this.#retired || client.requests >= limits.requestsPerConnection || client.idleMs === 0) return false;
    return !this.#moved(client);
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

  lost(client: H1Client, inUse: boolean): void {
    this.#clients.delete(client);
    const at = this.#idle.lastIndexOf(client);
    if (at >= 0) this.#idle.splice(at, 1);
    if (inUse) this.#owner.serverFreed(this);
  }

  /** One of the connections carries a tunnel from now on; `tunnelClosed` is its end. */
  tunnelOpened(client: H1Client | null): void {
    if (client !== null) this.#clients.delete(client);
    this.#tunnels += 1;
  }
  tunnelClosed(): void {
    this.#tunnels -= 1;
    this.#owner.serverFreed(this);
  }

  /** The server is down: requests that it has not begun to answer, and that another may answer, are taken from it. */
  forsake(): void {
    for (const client of [...this.#clients]) client.forsake();
  }

  /** Closes what is unused; what is in use is closed when it is through. */
  retire(): void {
    this.#retired = true;
    for (const client of [...this.#idle]) client.close();
  }
}

/** Why a connection could not be had. */
export function connectFault(name: string, error: unknown): Fault {
  return error instanceof FaultError ? error.fault : fault("upstream.connect_refused", `${name}: ${describe(error)}`);
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return (error as Error & { code?: string }).code ?? error.message;
}
