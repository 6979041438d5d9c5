// One listener of one thread: its socket, its open connections, and how many of them one address may have.
import { lstatSync, unlinkSync } from "node:fs";
import { type Address, parseListen } from "../config/address.ts";
import type { ListenerConfig } from "../config/schema.ts";
import { addressKey, CidrSet } from "../core/ip.ts";
import type { TimerWheel } from "../core/timers.ts";
import type { HeadLimits } from "../http/h1/limits.ts";
import { type ChallengeAnswers, ChallengeHandler } from "../server/challenge-answers.ts";
import { H1Connection } from "../server/h1-connection.ts";
import { type ExchangeHandler, headLimitsOf, type ListenerContext } from "../server/listener.ts";
import { RedirectingHandler } from "../server/redirecting-handler.ts";
import { acceptBySni, type SniOwner, SniTable } from "../server/sni-router.ts";
import { type TcpContext, TcpSession } from "../server/tcp-session.ts";
import type { Connection, ConnectionHandler } from "../transport/connection.ts";
import { acceptProxied, type ProxiedOwner } from "../transport/proxied-connection.ts";
import { listenOn, type SocketListener } from "../transport/socket.ts";
import { listenTls, type TlsListener } from "../transport/tls.ts";
import { type TlsTakeover, takeOverTls } from "../transport/tls-takeover.ts";
import type { ListenerTls } from "./listener-tls.ts";
import { StreamTarget } from "./stream-target.ts";
import type { Streams } from "./streams.ts";

/** A gauge, as the metrics offer it. */
export interface Gauge {
  add(n: number): void;
}

/** A client's connection, whatever is spoken on it. */
type Client = H1Connection | TcpSession;

export class ActiveListener implements ListenerContext, ProxiedOwner, SniOwner {
  readonly name: string;
  headLimits: HeadLimits;
  readonly #handler: ExchangeHandler;
  readonly #redirecting: ExchangeHandler;
  readonly #challenged: ExchangeHandler;
  readonly #answers: ChallengeAnswers;
  readonly wheel: TimerWheel;
  draining = false;
  readonly connections: Set<Client> = new Set();
  readonly #streams: Streams;
  /** Null without TLS. */
  readonly tls: ListenerTls | null;
  #secureSocket: TlsListener | null = null;
  #takeover: TlsTakeover | null = null;
  #sni: SniTable | null;
  readonly #contexts = new Map<string, TcpContext>();
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
    tls: ListenerTls | null,
    httpsPort: () => number,
    answers: ChallengeAnswers,
    wheel: TimerWheel,
    gauge: Gauge,
  ) {
    this.name = name;
    this.#streams = streams;
    this.tls = tls;
    this.#sni = sniTableOf(options);
    this.#options = options;
    this.headLimits = headLimitsOf(options);
    this.#trusted = trustedBy(options);
    this.#handler = handler;
    this.#redirecting = new RedirectingHandler(handler, httpsPort);
    this.#answers = answers;
    this.#challenged = new ChallengeHandler(answers, {
      handle: (x) => this.#usualHandler.handle(x),
      finished: (x) => handler.finished(x),
    });
    this.wheel = wheel;
    this.#gauge = gauge;
  }

  get #usualHandler(): ExchangeHandler {
    return this.#options.redirectToHttps ? this.#redirecting : this.#handler;
  }
  get handler(): ExchangeHandler {
    if (this.#answers.asked) return this.#challenged;
    return this.#usualHandler;
  }
  get options(): ListenerConfig {
    return this.#options;
  }
  /** Changes the options; connections follow from their next request on. */
  set options(options: ListenerConfig) {
    this.#options = options;
    this.headLimits = headLimitsOf(options);
    this.#trusted = trustedBy(options);
    this.#sni = sniTableOf(options);
    this.#contexts.clear();
    if (this.tls === null) return;
    this.tls.options = options;
    this.refreshTls();
  }

  /** Uses the certificates and settings as they are now for the next handshakes. */
  refreshTls(): void {
    if (this.tls === null) return;
    const { settings } = this.tls;
    this.#secureSocket?.update(settings);
    this.#takeover?.update(settings);
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
    const looksFirst = this.#sni !== null || this.options.proxyProtocol !== undefined;
    if (this.tls !== null && !looksFirst) {
      const options = this.tls.listenerOptions();
      this.#secureSocket = listenAnywhere(bound, (to) =>
        listenTls(to, options, (connection) => this.#accept(connection)),
      );
      this.#socket = this.#secureSocket;
      return;
    }
    if (this.tls !== null)
      this.#takeover = takeOverTls(this.tls.listenerOptions(), (secured) => this.#secured(secured));
    this.#socket = listenAnywhere(bound, (to) => listenOn(to, (connection) => this.#accept(connection)));
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
      return this.#afterProxy(connection);
    this.#arriving.add(connection);
    if (!this.#serving) connection.pause();
    const { required, timeout: timeoutMs } = proxyProtocol;
    return acceptProxied(connection, { required, timeoutMs, wheel: this.wheel }, this);
  }

  refused(connection: Connection): void {
    this.#arriving.delete(connection);
  }

  /** The connection's addresses are those that count. */
  ready(connection: Connection): ConnectionHandler | null {
    this.#arriving.delete(connection);
    return this.#afterProxy(connection);
  }

  /** Looks at the name that a TLS client asks for, where that decides. */
  #afterProxy(connection: Connection): ConnectionHandler | null {
    if (this.#takeover === null && this.#sni === null) return this.#begin(connection, null);
    this.#arriving.add(connection);
    if (!this.#serving) connection.pause();
    const timeoutMs = this.options.tls?.handshakeTimeout ?? this.options.timeouts.header;
    return acceptBySni(connection, { table: this.#sni ?? ALL_HERE, timeoutMs, wheel: this.wheel }, this);
  }

  // ——— SniOwner

  passthrough(connection: Connection, upstream: string): ConnectionHandler | null {
    this.#arriving.delete(connection);
    return this.#begin(connection, upstream);
  }

  terminate(connection: Connection, early: Buffer): void {
    this.#arriving.delete(connection); // handshakes have a limit of their own
    if (this.#takeover === null) connection.destroy(true);
    else this.#takeover.take(connection, early);
  }

  /** The handshake of a connection that was looked into is through. */
  #secured(connection: Connection): ConnectionHandler | null {
    return this.#begin(connection, null);
  }

  /** Counts the connection and serves it: by HTTP, or forwarded to an upstream as it is. */
  #begin(connection: Connection, upstream: string | null): Client | null {
    const { limits, tls } = this.options;
    if (tls?.clientAuth?.mode === "require" && upstream === null && connection.tls?.authorized !== true) return null;
    const key = addressKey(connection.remoteAddress);
    const open = this.#perAddress.get(key) ?? 0;
    if (open >= limits.connectionsPerAddress) return null;
    this.#perAddress.set(key, open + 1);
    const to = upstream ?? this.options.tcp?.to;
    const client =
      to === undefined ? new H1Connection(connection, this) : new TcpSession(connection, this.#towards(to));
    this.connections.add(client);
    this.#byConnection.set(connection, client);
    this.#gauge.add(1);
    if (!this.#serving) connection.pause();
    else if (client instanceof TcpSession) client.begin();
    return client;
  }

  /** What the sessions to one upstream share. */
  #towards(upstream: string): TcpContext {
    let context = this.#contexts.get(upstream);
    if (context === undefined) {
      context = {
        name: this.name,
        target: new StreamTarget(upstream, this.#streams.find),
        idleMs: this.options.tcp?.idle ?? this.options.timeouts.tunnel,
        wheel: this.wheel,
        tcpClosed: (connection, record) => {
          this.closed(connection);
          this.#streams.tcpClosed(record);
        },
      };
      this.#contexts.set(upstream, context);
    }
    return context;
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

/** Everything is ours to answer. */
const ALL_HERE = new SniTable({ "*": "terminate" });
const sniTableOf = ({ sni }: ListenerConfig): SniTable | null => (sni === undefined ? null : new SniTable(sni));
const trustedBy = ({ proxyProtocol }: ListenerConfig): CidrSet => new CidrSet(proxyProtocol?.trusted ?? []);

/** A machine without IPv6 has no `::` to listen on; every address is 0.0.0.0 there. */
function listenAnywhere<L extends SocketListener>(address: Address, listen: (address: Address) => L): L {
  try {
    return listen(address);
  } catch (error) {
    const { code } = error as { code?: string };
    if (address.kind !== "tcp" || address.host !== "::" || (code !== "EAFNOSUPPORT" && code !== "EADDRNOTAVAIL"))
      throw error;
    return listen({ ...address, host: "0.0.0.0" });
  }
}

/** A socket file that an ended process or thread left behind would keep us from listening; claim.ts knows that one has. */
function removeStaleSocket(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSocket()) unlinkSync(path);
}
