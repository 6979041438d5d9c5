// The connections to one server: kept for reuse, opened when needed, and told when the server is given up.
import { isIP } from "node:net";
import type { Address } from "../config/address.ts";
import type { UpstreamConfig } from "../config/schema.ts";
import { type Fault, FaultError, fault } from "../core/faults.ts";
import { Timer, type TimerWheel } from "../core/timers.ts";
import type { Http2Metrics, ServerMetrics } from "../observe/metrics.ts";
import type { ServerRef } from "../pipeline/exchange.ts";
import type { Connection } from "../transport/connection.ts";
import { type Dial, dial } from "../transport/socket.ts";
import { dialTls, type TlsClient } from "../transport/tls-client.ts";
import { TlsError } from "../transport/tls-errors.ts";
import { type ClientOwner, H1Client } from "./h1-client.ts";
import { SharedConnections, type SharingHome } from "./h2-pool.ts";
import { connectAny, orderAddresses } from "./happy-eyeballs.ts";
import type { Member } from "./member.ts";
import type { Resolver } from "./resolver.ts";
import type { UpstreamClient } from "./upstream-client.ts";
import { type Offer, UpstreamTls } from "./upstream-tls.ts";

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
  /** The protocols that the request asks for, which HTTP/1.1 needs a connection of its own for; "" for none. */
  readonly upgrade: string;
  onConnection(client: UpstreamClient): void;
  onNoConnection(cause: Fault): void;
}

/** A connect under way, once it is. */
interface Way {
  attempt: Dial | null;
}

/** A server's place in its upstream. */
export interface ServerOwner {
  readonly config: UpstreamConfig;
  readonly http2: Http2Metrics;
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

/** The one protocol that HTTP/2 may carry (RFC 8441). */
const WEBSOCKET = "websocket";

const EITHER: Offer = ["h2", "http/1.1"];
const HTTP_1: Offer = ["http/1.1"];
const HTTP_2: Offer = ["h2"];

export class Server implements ServerRef, ClientOwner, SharingHome<ConnectionWant> {
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
  /** What it points to may change while connections are open; "" where the address is one. */
  readonly #hostName: string;
  readonly #resolver: Resolver;
  readonly #wheel: TimerWheel;
  /** Open connections, those under way not among them. */
  readonly #clients: Set<H1Client> = new Set();
  #connecting = 0;
  #tunnels = 0;
  /** Unused connections; the one used last is taken first (LIFO), so that the others can grow old. */
  readonly #idle: H1Client[] = [];
  readonly #tls = new Map<Offer, UpstreamTls>();
  /** The connections that requests share; null where the server is not spoken to in HTTP/2. */
  readonly #shared: SharedConnections<ConnectionWant> | null;
  /** It has chosen HTTP/1.1 when it was last asked, and it wants no other. */
  #chosenHttp1 = false;
  #wantsHttp1 = false;
  #turn = 0;
  #retired = false;

  constructor(member: Member, owner: ServerOwner, resolver: Resolver, wheel: TimerWheel) {
    this.name = member.id;
    this.address = member.address;
    this.#hostName = member.address.kind === "unix" || isIP(member.address.host) !== 0 ? "" : member.address.host;
    this.member = member;
    this.#owner = owner;
    this.#resolver = resolver;
    this.#wheel = wheel;
    // Only who has been spoken to shows whether requests can share a connection.
    const expected = member.http === "2" ? this.config.limits.streamsPerConnection : Number.POSITIVE_INFINITY;
    this.#shared = member.http === "1.1" ? null : new SharedConnections(this, wheel, expected);
  }

  get config(): UpstreamConfig {
    return this.#owner.config;
  }
  get http2(): Http2Metrics {
    return this.#owner.http2;
  }
  get idle(): number {
    return this.#idle.length + (this.#shared?.idle ?? 0);
  }
  /** Connections that are open or being opened, tunnels included. */
  get open(): number {
    return this.#clients.size + this.#connecting + this.#tunnels + (this.#shared?.count ?? 0);
  }
  /** A request would need no new connection. */
  get isConnected(): boolean {
    return this.#idle.length > 0 || this.#shared?.hasRoom === true;
  }

  /** Gives a connection: an unused one at once, else a new one. The caller has a place in flight for it. */
  request(want: ConnectionWant): void {
    if (this.#shared !== null && this.#mayShare(want)) return this.#shared.request(want);
    const client = want.freshOnly || want.preface !== null ? undefined : this.#takeIdle(want.repeatable);
    if (client === undefined) this.#connect(want);
    else want.onConnection(client);
  }

  /** Other protocols go over HTTP/1.1, unless the server speaks HTTP/2 alone, or has said that it carries this one. */
  #mayShare({ preface, upgrade }: ConnectionWant): boolean {
    if (preface !== null) return false;
    if (this.member.http === "2") return true;
    if (this.#chosenHttp1 || this.#wantsHttp1) return false;
    return upgrade === "" || (upgrade === WEBSOCKET && this.#shared!.carriesTunnels);
  }

  /** The one used last, unless it has waited too long for a request that gets one try only. */
  #takeIdle(repeatable: boolean): H1Client | undefined {
    if (repeatable) return this.#idle.pop();
    const last = this.#idle[this.#idle.length - 1];
    return last !== undefined && this.#wheel.now - last.idleSince <= TRUSTED_IDLE_MS ? this.#idle.pop() : undefined;
  }

  #connect(want: ConnectionWant): void {
    this.#connecting += 1;
    void this.reach(want.connectMs, want.preface, this.#offerFor(want)).promise.then(
      (connection) => this.#connected(connection, want),
      (error: unknown) => {
        this.#connecting -= 1;
        this.unreachable(error, [want]);
      },
    );
  }

  /** A connection for one client's exchange gains nothing from HTTP/2. */
  #offerFor({ preface, upgrade }: ConnectionWant): Offer {
    if (this.member.http === "2") return HTTP_2;
    return this.member.http === "1.1" || this.#wantsHttp1 || upgrade !== "" || preface !== null ? HTTP_1 : EITHER;
  }

  /**
   * Opens a connection within `ms` milliseconds: resolves the name and connects to the first address that answers, and
   * offers these protocols over TLS. Rejects with a FaultError or the system's error.
   */
  reach(ms: number, preface: Buffer | null, offer: Offer = HTTP_1): Dial {
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
    const promise = this.#open(way, stop.promise, preface, offer).finally(() => this.#wheel.drop(timer));
    return { promise, cancel: () => giveUp(fault("client.gone", "gone before the connection was there")) };
  }

  async #open(way: Way, stopped: Promise<never>, preface: Buffer | null, offer: Offer): Promise<Connection> {
    const { address } = this;
    if (address.kind === "unix") way.attempt = dial(address);
    else {
      const all = await Promise.race([this.addresses(), stopped]);
      const client = this.#tlsClient(offer);
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
  #tlsClient(offer: Offer): TlsClient | null {
    if (!this.member.tls || this.address.kind === "unix") return null;
    let tls = this.#tls.get(offer);
    if (tls === undefined) {
      tls = new UpstreamTls(this.config, this.address.host, offer);
      this.#tls.set(offer, tls);
    }
    return tls.client(this.#wheel.now);
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
    let isHttp2: boolean;
    try {
      isHttp2 = this.speaksHttp2(connection);
    } catch (error) {
      connection.destroy();
      return this.unreachable(error, [want]);
    }
    if (!isHttp2) return this.#useHttp1(connection, want);
    // A server that has changed its mind, or one that speaks nothing else to a client that wants no company.
    if (!want.withdrawn) want.onConnection(this.#shared!.adoptFor(connection));
    else {
      connection.close();
      this.gaveUp(want, null);
    }
  }

  /** Makes a connection of HTTP/1.1, and gives it to this request if it still wants one. */
  #useHttp1(connection: Connection, want: ConnectionWant): void {
    const client = new H1Client(connection, this, this.#wheel, this.config.timeouts.idle);
    this.#clients.add(client);
    if (want.preface !== null) client.idleMs = 0; // it speaks for one client: nobody else's request may follow
    if (!want.withdrawn) return want.onConnection(client);
    if (this.#mayKeep(client)) this.#idle.push(client);
    else client.close();
    this.gaveUp(want, null);
  }

  // ——— what the connections that requests share ask and tell

  openShared(ms: number): Promise<Connection> {
    return this.reach(ms, null, this.member.http === "2" ? HTTP_2 : EITHER).promise;
  }

  speaksHttp2({ tls }: Connection): boolean {
    if (this.failures > 0) this.#owner.serverConnected(this);
    if (tls === null) return this.member.http === "2";
    if (tls.alpn === "h2") {
      this.#chosenHttp1 = false;
      return true;
    }
    if (this.member.http === "2")
      throw new FaultError(fault("upstream.tls", `${this.name}: it does not choose h2 (ALPN)`));
    return false;
  }

  foundHttp1(connection: Connection, wants: readonly ConnectionWant[]): void {
    this.#chosenHttp1 = true;
    const first = wants.find((want) => !want.withdrawn) ?? wants[0];
    if (first === undefined) return connection.close();
    this.#useHttp1(connection, first);
    for (const want of wants) {
      if (want === first) continue;
      if (want.withdrawn) this.gaveUp(want, null);
      else this.#connect(want);
    }
  }

  unreachable(error: unknown, wants: readonly ConnectionWant[]): void {
    this.#owner.serverFailed(this);
    const cause = connectFault(this.name, error);
    for (const want of wants) this.gaveUp(want, want.withdrawn ? null : cause);
  }

  gaveUp(want: ConnectionWant, cause: Fault | null): void {
    // Freed first: if there is nobody else, it is asked again itself.
    this.#owner.serverFreed(this);
    if (cause === null) this.#owner.withdrawn();
    else want.onNoConnection(cause);
  }

  requestOver(): void {
    this.#owner.serverFreed(this);
  }

  refusesHttp2(): boolean {
    this.#wantsHttp1 = this.member.http === "either";
    return this.#wantsHttp1;
  }

  released(client: H1Client): void {
    if (this.#mayKeep(client)) this.#idle.push(client);
    else client.close();
    this.#owner.serverFreed(this);
  }

  #mayKeep(client: H1Client): boolean {
    const { limits } = this.config;
    if (this.#retired || client.requests >= limits.requestsPerConnection || client.idleMs === 0) return false;
    return !this.hasMoved(client.connection);
  }

  /** The name does not point to this connection's address any more. */
  hasMoved(connection: Connection): boolean {
    if (this.#hostName === "") return false;
    const { remoteAddress } = connection;
    const known = this.#resolver.lookup(this.#hostName);
    if (!Array.isArray(known)) {
      (known as Promise<unknown>).catch(() => {});
      return false;
    }
    return !known.includes(remoteAddress);
  }

  lost(client: H1Client, inUse: boolean): void {
    this.#clients.delete(client);
    const at = this.#idle.lastIndexOf(client);
    if (at >= 0) this.#idle.splice(at, 1);
    if (inUse) this.#owner.serverFreed(this);
  }

  /** A connection carries a tunnel from now on, or a stream of one; `tunnelClosed` is its end. Null: it was no request's. */
  tunnelOpened(client: UpstreamClient | null): void {
    if (client instanceof H1Client) this.#clients.delete(client);
    if (isOwnConnection(client)) this.#tunnels += 1;
  }
  tunnelClosed(client: UpstreamClient | null): void {
    if (isOwnConnection(client)) this.#tunnels -= 1;
    this.#owner.serverFreed(this);
  }

  /** The server is down: requests that it has not begun to answer, and that another may answer, are taken from it. */
  forsake(): void {
    for (const client of [...this.#clients]) client.forsake();
    this.#shared?.forsake();
  }

  /** Closes what is unused; what is in use is closed when it is through. */
  retire(): void {
    this.#retired = true;
    for (const client of [...this.#idle]) client.close();
    this.#shared?.retire();
  }
}

const isOwnConnection = (client: UpstreamClient | null): boolean => client === null || client instanceof H1Client;

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
