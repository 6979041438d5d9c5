// One listener of one thread: its socket, its open connections, and how many of them one address may have.
import { lstatSync, unlinkSync } from "node:fs";
import { type Address, parseListen } from "../config/address.ts";
import type { ListenerConfig } from "../config/schema.ts";
import { addressKey, CidrSet } from "../core/ip.ts";
import type { TimerWheel } from "../core/timers.ts";
import type { HeadLimits } from "../http/h1/limits.ts";
import { H1Connection } from "../server/h1-connection.ts";
import { type ExchangeHandler, headLimitsOf, type ListenerContext } from "../server/listener.ts";
import { type TcpContext, type TcpRecord, TcpSession } from "../server/tcp-session.ts";
import type { Connection, ConnectionHandler } from "../transport/connection.ts";
import { acceptProxied, type ProxiedOwner } from "../transport/proxied-connection.ts";
import { listenOn, type SocketListener } from "../transport/socket.ts";

import { StreamTarget } from "./stream-target.ts";
import type { Streams } from "./streams.ts";

/** A gauge, as the metrics offer it. */
export interface Gauge {
  add(n: number): void;
}

/** A client's connection, whatever is spoken on it. */
type Client = H1Connection | TcpSession;

export class ActiveListener implements ListenerContext, TcpContext, ProxiedOwner {
  readonly name: string;
  headLimits: HeadLimits;
  readonly handler: ExchangeHandler;
  readonly wheel: TimerWheel;
  draining = false;
  readonly connections: Set<Client> = new Set();
  readonly #streams: Streams;
  readonly #byConnection = new Map<object, Client>();
  /** Connections of trusted proxies that have yet to say whose they are. */
  readonly #arriving = new Set<Connection>();
  readonly #perAddress = new Map<string, number>();
  readonly #gauge: Gauge;
  #socket: SocketListener | null = null;
  #options: ListenerConfig;
  #trusted: CidrSet;
  #isUnix = false;
  #serving = false;

  constructor(
    name: string,
    options: ListenerConfig,
    handler: ExchangeHandler,
    streams: Streams,
    wheel: TimerWheel,
    gauge: Gauge,
  ) {
    this.name = name;
    this.#streams = streams;
    this.#options = options;
    this.headLimits = headLimitsOf(options);
    this.#trusted = trustedBy(options);
    this.handler = handler;
    this.wheel = wheel;
    this.#gauge = gauge;
  }

  get options(): ListenerConfig {
    return this.#options;
  }
  /** Changes the options; connections follow from their next request on. */
  set options(options: ListenerConfig) {
    this.#options = options;
    this.headLimits = headLimitsOf(options);
    this.#trusted = trustedBy(options);
  }

  /** The port it got; 0 for a unix socket. */
  get port(): number {
    return this.#socket?.port ?? 0;
  }

  /**
   * Begins to accept, on `port` in place of a configured 0. Nothing is read before `serve()`: the plan that answers is
   * not in use yet. Throws the system's error.
   */
  listen(port: number): void {
    const address = parseListen(this.options.address);
    if (address === null) throw new Error(`not an address: ${this.options.address}`);
    this.#isUnix = address.kind === "unix";
    if (address.kind === "unix") removeStaleSocket(address.path);
    const bound: Address = address.kind === "tcp" && address.port === 0 ? { ...address, port } : address;
    this.#socket = listenAnywhere(bound, (connection) => this.#accept(connection));
  }

  /** Reads what the connections accepted so far have sent, and from now on all others at once. */
  serve(): void {
    if (this.#serving) return;
    this.#serving = true;
    for (const connection of [...this.#arriving]) connection.resume();
    for (const client of [...this.connections]) {
      client.connection.resume();
      if (client instanceof TcpSession) client.begin();
    }
  }

  #accept(connection: Connection): ConnectionHandler | null {
    const { limits, proxyProtocol } = this.options;
    if (this.connections.size + this.#arriving.size >= limits.connections) return null;
    // Who may open a unix socket is the file system's business.
    if (proxyProtocol === undefined || !(this.#isUnix || this.#trusted.has(connection.remoteAddress)))
      return this.ready(connection);
    this.#arriving.add(connection);
    if (!this.#serving) connection.pause();
    const { required, timeout: timeoutMs } = proxyProtocol;
    return acceptProxied(connection, { required, timeoutMs, wheel: this.wheel }, this);
  }

  refused(connection: Connection): void {
    this.#arriving.delete(connection);
  }

  /** The connection's addresses are those that count. */
  ready(connection: Connection): Client | null {
    this.#arriving.delete(connection);
    const { limits } = this.options;
    const key = addressKey(connection.remoteAddress);
    const open = this.#perAddress.get(key) ?? 0;
    if (open >= limits.connectionsPerAddress) return null;
    this.#perAddress.set(key, open + 1);
    const { tcp } = this.options;
    const client = tcp === undefined ? new H1Connection(connection, this) : new TcpSession(connection, this);
    this.connections.add(client);
    this.#byConnection.set(connection, client);
    this.#gauge.add(1);
    if (!this.#serving) connection.pause();
    else if (client instanceof TcpSession) client.begin();
    return client;
  }

  // ——— TcpContext

  get target(): StreamTarget {
    return new StreamTarget(this.options.tcp!.to, this.#streams.find);
  }
  get idleMs(): number {
    return this.options.tcp?.idle ?? this.options.timeouts.tunnel;
  }
  tcpClosed(connection: Connection, record: TcpRecord): void {
    this.closed(connection);
    this.#streams.tcpClosed(record);
  }

  closed(connection: Connection): void {
    const client = this.#byConnection.get(connection);
    if (client === undefined) return;
    this.#byConnection.delete(connection);
    this.connections.delete(client);
    const key = addressKey(connection.remoteAddress);
    const open = (this.#perAddress.get(key) ?? 1) - 1;
    if (open > 0) this.#perAddress.set(key, open);
    else this.#perAddress.delete(key);
    this.#gauge.add(-1);
  }

  /** Stops accepting; idle connections are closed, the others after their current answer. */
  drain(): void {
    this.draining = true;
    this.#socket?.stop();
    for (const connection of [...this.#arriving]) connection.close();
    for (const client of [...this.connections]) client.drain();
  }

  /** Cuts what is still open. */
  destroy(): void {
    for (const connection of [...this.#arriving]) connection.destroy();
    for (const client of [...this.connections]) {
      if (client instanceof TcpSession) client.cut();
      else client.connection.destroy();
    }
  }
}

const trustedBy = ({ proxyProtocol }: ListenerConfig): CidrSet => new CidrSet(proxyProtocol?.trusted ?? []);

/** A machine without IPv6 has no `::` to listen on; every address is 0.0.0.0 there. */
function listenAnywhere(
  address: Address,
  accept: (connection: Connection) => ConnectionHandler | null,
): SocketListener {
  try {
    return listenOn(address, accept);
  } catch (error) {
    const { code } = error as { code?: string };
    if (address.kind !== "tcp" || address.host !== "::" || (code !== "EAFNOSUPPORT" && code !== "EADDRNOTAVAIL"))
      throw error;
    return listenOn({ ...address, host: "0.0.0.0" }, accept);
  }
}

/** A socket file that an ended process or thread left behind would keep us from listening; claim.ts knows that one has. */
function removeStaleSocket(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSocket()) unlinkSync(path);
}
