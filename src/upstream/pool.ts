// The connections to one server: kept for reuse, opened when needed, and told when the server is given up.
import type { Address } from "../config/address.ts";
import type { UpstreamConfig } from "../config/schema.ts";
import { type Fault, FaultError, fault } from "../core/faults.ts";
import { Timer, type TimerWheel } from "../core/timers.ts";
import type { ServerMetrics } from "../observe/metrics.ts";
import type { ServerRef } from "../pipeline/exchange.ts";
import type { Connection } from "../transport/connection.ts";
import { type Dial, dial } from "../transport/socket.ts";
import { dialTls, type TlsClient } from "../transport/tls-client.ts";
import { TlsError } from "../transport/tls-errors.ts";
import { type ClientOwner, H1Client } from "./h1-client.ts";
import { connectAny, orderAddresses } from "./happy-eyeballs.ts";
import type { Member } from "./member.ts";
import type { Resolver } from "./resolver.ts";
import { UpstreamTls } from "./upstream-tls.ts";

/** Who asks for a connection. Exactly one of the last two is called, unless it is `withdrawn` by then. */
export interface ConnectionWant {
  /** It is not wanted any more. */
  readonly withdrawn: boolean;
  /** Milliseconds that a connect may take. */
  readonly connectMs: number;
  /** Only a connection that was never used before will do. */
  readonly freshOnly: boolean;
  /** The request may be sent again should the connection turn out to be closed already. */
  readonly repeatable: boolean;
  /** What a new connection begins with: a PROXY protocol header. Null for none; such connections are not shared. */
  readonly preface: Buffer | null;
  onConnection(client: H1Client): void;
  onNoConnection(cause: Fault): void;
}

/** A connect under way, once it is. */
interface Way {
  attempt: Dial | null;
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

/**
 * Many servers close connections that were unused for five seconds, and few say so. A request that cannot be sent twice
 * gets a new one rather than one of which that may be true.
 */
const TRUSTED_IDLE_MS = 4000;

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
  #tls: UpstreamTls | null = null;
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
    const client = want.freshOnly || want.preface !== null ? undefined : this.#takeIdle(want.repeatable);
    if (client === undefined) this.#connect(want);
    else want.onConnection(client);
  }

  /** The one used last, unless it has waited too long for a request that gets one try only. */
  #takeIdle(repeatable: boolean): H1Client | undefined {
    if (repeatable) return this.#idle.pop();
    const last = this.#idle[this.#idle.length - 1];
    return last !== undefined && this.#wheel.now - last.idleSince <= TRUSTED_IDLE_MS ? this.#idle.pop() : undefined;
  }

  #connect(want: ConnectionWant): void {
    this.#connecting += 1;
    void this.reach(want.connectMs, want.preface).promise.then(
      (connection) => this.#connected(connection, want),
      (error: unknown) => this.#notConnected(error, want),
    );
  }

  /**
   * Opens a connection within `ms` milliseconds: resolves the name and connects to the first address that answers.
   * Rejects with a FaultError or the system's error.
   */
  reach(ms: number, preface: Buffer | null): Dial {
    const stop = Promise.withResolvers<never>();
    stop.promise.catch(() => {}); // it may lose the race without anybody waiting for it
    const way: Way = { attempt: null };
    const giveUp = (cause: Fault): void => {
      // In this order: the first of the two to be rejected is the reason that is told.
      stop.reject(new FaultError(cause));
      way.attempt?.cancel();
    };
    const timer = new Timer(() =>
      giveUp(fault("upstream.connect_timeout", `${this.name}: no connection within ${ms} ms`)),
    );
    this.#wheel.arm(timer, ms);
    const promise = this.#open(way, stop.promise, preface).finally(() => this.#wheel.drop(timer));
    return { promise, cancel: () => giveUp(fault("client.gone", "gone before the connection was there")) };
  }

  async #open(way: Way, stopped: Promise<never>, preface: Buffer | null): Promise<Connection> {
    const { address } = this;
    if (address.kind === "unix") way.attempt = dial(address);
    else {
      const all = await Promise.race([this.addresses(), stopped]);
      const client = this.#tlsClient();
      way.attempt = connectAny(all, (host) => {
        const to = { kind: "tcp", host, port: address.port } as const;
        return client === null ? dial(to) : dialTls(to, client);
      });
    }
    const connection = await Promise.race([way.attempt.promise, stopped]);
    if (preface !== null) connection.send(preface, 0, preface.length, false);
    return connection;
  }

  /** Made at the first connect: its files may not be needed before. */
  #tlsClient(): TlsClient | null {
    if (!this.member.tls || this.address.kind === "unix") return null;
    this.#tls ??= new UpstreamTls(this.#owner.config, this.address.host);
    return this.#tls.client(this.#wheel.now);
  }

  /** The addresses of its name in the order in which to try them; at once when they are known. TCP and UDP only. */
  addresses(): readonly string[] | Promise<readonly string[]> {
    if (this.address.kind === "unix") return [];
    const found = this.#resolver.lookup(this.address.host);
    if (!Array.isArray(found)) return (found as Promise<readonly string[]>).then((all) => this.#rotate(all));
    return this.#rotate(found as readonly string[]);
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
    // Freed first: if there is nobody else, it is asked again itself.
    this.#owner.serverFreed(this);
    if (want.withdrawn) this.#owner.withdrawn();
    else want.onNoConnection(connectFault(this.name, error));
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
function connectFault(name: string, error: unknown): Fault {
  if (error instanceof TlsError) {
    const isVerdict = error.code.includes("CERT") || error.code.startsWith("UNABLE_TO");
    return fault(isVerdict ? "upstream.certificate" : "upstream.tls", `${name}: ${error.message}`);
  }
  return error instanceof FaultError ? error.fault : fault("upstream.connect_refused", `${name}: ${describe(error)}`);
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return (error as Error & { code?: string }).code ?? error.message;
}
