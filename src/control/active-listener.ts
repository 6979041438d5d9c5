// One listener of one thread: its socket, its open connections, and how many of them one address may have.
import { lstatSync, unlinkSync } from "node:fs";
import { type Address, parseListen } from "../config/address.ts";
import type { ListenerConfig } from "../config/schema.ts";
import { addressKey, CidrSet } from "../core/ip.ts";
import type { TimerWheel } from "../core/timers.ts";
import type { HeadLimits } from "../http/h1/limits.ts";
import type { Log } from "../observe/log.ts";
import type { ClientHttp2Metrics } from "../observe/metrics.ts";
import { type ChallengeAnswers, ChallengeHandler } from "../server/challenge-answers.ts";
import { ElsewhereHandler } from "../server/elsewhere-handler.ts";
import { H1Connection } from "../server/h1-connection.ts";
import { H2Connection, type H2ListenerContext } from "../server/h2-connection.ts";
import { type H2cOwner, H2cPreface } from "../server/h2c-preface.ts";
import { H3Connection, type H3ListenerContext } from "../server/h3-connection.ts";
import { type AltSvc, type ExchangeHandler, headLimitsOf } from "../server/listener.ts";
import { Offenders } from "../server/offenders.ts";
import { RedirectingHandler } from "../server/redirecting-handler.ts";
import { acceptBySni, type HelloEnd, type SniOwner, SniTable } from "../server/sni-router.ts";
import { type TcpContext, TcpSession } from "../server/tcp-session.ts";
import { PolicyHandler } from "../server/tls-policies.ts";
import type { ClientHello } from "../transport/client-hello-body.ts";
import type { Connection, ConnectionHandler } from "../transport/connection.ts";
import { acceptProxied, type ProxiedOwner } from "../transport/proxied-connection.ts";
import type { QuicConnection, QuicConnectionHandler } from "../transport/quic-connection.ts";
import { listenOn, type SocketListener } from "../transport/socket.ts";
import { listenTls, type TlsListener } from "../transport/tls.ts";
import { type TlsTakeover, takeOverTls } from "../transport/tls-takeover.ts";
import type { ListenerGate } from "./listener-gate.ts";
import { altSvcOf, ListenerQuic, type QuicOwner } from "./listener-quic.ts";
import type { ListenerTls } from "./listener-tls.ts";
import { StreamTarget } from "./stream-target.ts";
import type { Streams } from "./streams.ts";

/** A gauge, as the metrics offer it. */
export interface Gauge {
  add(n: number): void;
}

/** A client's connection, whatever is spoken on it. */
type StreamClient = H1Connection | H2Connection | H2cPreface | TcpSession;
type Client = StreamClient | H3Connection;

export class ActiveListener
  implements H2ListenerContext, H3ListenerContext, QuicOwner, ProxiedOwner, SniOwner, H2cOwner
{
  readonly name: string;
  headLimits: HeadLimits;
  readonly #handler: ExchangeHandler;
  readonly #redirecting: ExchangeHandler;
  readonly #challenged: ExchangeHandler;
  readonly #policed: ExchangeHandler;
  /** The one of the three that the options ask for. */
  #usual: ExchangeHandler;
  readonly #answers: ChallengeAnswers;
  readonly wheel: TimerWheel;
  draining = false;
  /** Who may connect; null for everybody. */
  gate: ListenerGate | null = null;
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
  readonly http2: ClientHttp2Metrics;
  readonly offenders = new Offenders();
  readonly #http3Metrics: () => ClientHttp2Metrics;
  #http3: ClientHttp2Metrics | null = null;
  /** Null without HTTP/3, and in all threads but the one that has its port. */
  #quic: ListenerQuic | null = null;
  /** Another thread has the port. */
  #quicElsewhere = false;
  #altSvc: AltSvc | null = null;
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
    http2: ClientHttp2Metrics,
    http3: () => ClientHttp2Metrics,
  ) {
    this.name = name;
    this.#streams = streams;
    this.tls = tls;
    this.#sni = sniTableOf(options);
    this.#options = options;
    this.headLimits = headLimitsOf(options);
    this.#trusted = trustedBy(options);
    this.#handler = handler;
    this.#redirecting = new RedirectingHandler(handler, () => {
      const { redirectToHttps } = this.#options;
      return typeof redirectToHttps === "object" ? redirectToHttps.port : httpsPort();
    });
    this.#policed = tls === null ? handler : new PolicyHandler(() => tls.policies, handler);
    this.#usual = this.#usualFor(options);
    this.#answers = answers;
    this.#challenged = new ChallengeHandler(answers, {
      handle: (x) => this.#usual.handle(x),
      finished: (x) => handler.finished(x),
    });
    this.wheel = wheel;
    this.#gauge = gauge;
    this.http2 = http2;
    this.#http3Metrics = http3;
  }

  #usualFor(options: ListenerConfig): ExchangeHandler {
    if (options.redirectToHttps !== false) return this.#redirecting;
    const next = looksAtHosts(options) ? this.#policed : this.#handler;
    return this.#sni === null || !passesOn(options) ? next : new ElsewhereHandler(this.#sni, next);
  }
  get handler(): ExchangeHandler {
    if (this.#answers.asked) return this.#challenged;
    return this.#usual;
  }
  get options(): ListenerConfig {
    return this.#options;
  }
  /** Changes the options; connections follow from their next request on. */
  set options(options: ListenerConfig) {
    this.#options = options;
    this.#sni = sniTableOf(options);
    this.#usual = this.#usualFor(options);
    this.headLimits = headLimitsOf(options);
    this.#trusted = trustedBy(options);
    this.#contexts.clear();
    this.#altSvc = altSvcOf(options, this.port);
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
    this.#quic?.take(this.tls.certificates);
  }

  /** Told to clients once it is true. */
  get altSvc(): AltSvc | null {
    return this.#quicElsewhere || this.#quic?.accepts === true ? this.#altSvc : null;
  }

  /**
   * Opens the UDP port of the same number, for HTTP/3. `before` is the listener that has it now, from which it is taken
   * over when this one comes into use. Throws the error of the system.
   */
  listenQuic(log: Log, isHere: boolean, before: ActiveListener | null): void {
    const address = parseListen(this.options.address);
    this.#altSvc = altSvcOf(this.options, this.port);
    if (this.options.http3 === false || this.tls === null || address?.kind !== "tcp") return;
    this.#quicElsewhere = !isHere;
    if (!isHere || (before !== null && before.#quic !== null)) return;
    this.#quic = new ListenerQuic(this.name, address.host, this.port, this, log);
    this.#quic.take(this.tls.certificates);
  }

  /** Clients of that listener's UDP port are this one's from now on; those that are there stay with it. */
  takeQuic(before: ActiveListener): void {
    if (this.options.http3 === false || before.#quic === null || this.#quic !== null) return;
    this.#quic = before.#quic;
    this.#quic.owner = this;
    before.#quic = null;
  }

  acceptQuic(connection: QuicConnection): QuicConnectionHandler | null {
    if (this.gate?.admits(connection.remoteAddress) === false) return null;
    const client = this.#counted(connection, () => new H3Connection(connection, this));
    return client instanceof H3Connection ? client : null;
  }

  /** Made for the first client: most listeners, and most threads, have none. */
  get http3(): ClientHttp2Metrics {
    return (this.#http3 ??= this.#http3Metrics());
  }

  onQuicHandshake(result: "ok" | "failed"): void {
    this.tls?.quicHandshake(result);
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
    if (this.tls !== null && !looksFirst(this.options)) {
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
    this.#quic?.serve();
    for (const connection of [...this.#arriving]) connection.resume();
    for (const client of [...this.connections]) {
      if (client instanceof H3Connection) continue;
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

  refused(connection: Connection, _reason: string, hello?: HelloEnd): void {
    this.#arriving.delete(connection);
    if (hello !== undefined) this.tls?.ended(hello);
  }

  /** The connection's addresses are those that count. */
  ready(connection: Connection): ConnectionHandler | null {
    this.#arriving.delete(connection);
    return this.#afterProxy(connection);
  }

  /** Looks at the name that a TLS client asks for, where that decides. */
  #afterProxy(connection: Connection): ConnectionHandler | null {
    const { gate } = this;
    if (gate !== null && !gate.admits(connection.remoteAddress)) return gate.drop(connection);
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

  terminate(connection: Connection, early: Buffer, { serverName }: ClientHello): void {
    this.#arriving.delete(connection); // handshakes have a limit of their own
    const { tls } = this;
    if (this.#takeover === null || tls === null) return connection.destroy(true);
    try {
      this.#takeover.take(connection, early, tls.termsFor(serverName));
    } catch (error) {
      tls.broken(error);
      connection.destroy(true);
    }
  }

  /** The handshake of a connection that was looked into is through. */
  #secured(connection: Connection): ConnectionHandler | null {
    return this.#begin(connection, null);
  }

  /** Counts the connection and serves it: by HTTP, or forwarded to an upstream as it is. */
  #begin(connection: Connection, upstream: string | null): StreamClient | null {
    if (upstream === null && this.#needsCertificate(connection) && connection.tls?.authorized !== true) return null;
    const to = upstream ?? this.options.tcp?.to;
    const client = this.#counted<StreamClient>(connection, () =>
      to === undefined ? this.#httpClient(connection) : new TcpSession(connection, this.#towards(to)),
    );
    if (client === null) return null;
    if (!this.#serving) connection.pause();
    else if (client instanceof TcpSession) client.begin();
    return client;
  }

  /** Null: the listener or the address has too many. */
  #counted<C extends Client>(connection: Connection | QuicConnection, make: () => C): C | null {
    const { limits } = this.options;
    if (this.connections.size + this.#arriving.size >= limits.connections) return null;
    const key = addressKey(connection.remoteAddress);
    const open = this.#perAddress.get(key) ?? 0;
    if (open >= limits.connectionsPerAddress) return null;
    this.#perAddress.set(key, open + 1);
    const client = make();
    this.connections.add(client);
    this.#byConnection.set(connection, client);
    this.#gauge.add(1);
    return client;
  }

  #httpClient(connection: Connection): StreamClient {
    if (connection.tls?.alpn === "h2") return new H2Connection(connection, this);
    const { h2c, timeouts } = this.options;
    if (h2c && connection.tls === null) return new H2cPreface(connection, this, timeouts.header);
    return new H1Connection(connection, this);
  }

  chosen(first: H2cPreface, isHttp2: boolean): ConnectionHandler {
    const { connection } = first;
    const client = isHttp2 ? new H2Connection(connection, this) : new H1Connection(connection, this);
    this.connections.delete(first);
    this.connections.add(client);
    this.#byConnection.set(connection, client);
    return client;
  }

  #needsCertificate({ tls }: Connection): boolean {
    // The terms of the handshake may be those from before a reload.
    return tls?.policy?.needsCertificate ?? this.options.tls?.clientAuth?.mode === "require";
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

  closed(connection: Connection | QuicConnection): void {
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
    this.#quic?.stop();
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

/** Whether something is read of a connection before TLS begins: whose it is, or the name that it asks for. */
const looksFirst = ({ sni, proxyProtocol, access, tls }: ListenerConfig): boolean =>
  sni !== undefined || proxyProtocol !== undefined || access !== undefined || looksAtHosts({ tls });

/** What a listener's socket is opened for: another kind takes another socket. */
export const kindOf = (options: ListenerConfig): string => {
  const { tls, udp } = options;
  if (udp !== undefined) return "udp";
  if (tls === undefined) return "plain";
  const looks = looksFirst(options);
  const quic = options.http3 === false ? "" : ", quic";
  return `${looks ? "looked into" : "tls"}${quic}${tls.keyLog === undefined ? "" : `, keys to ${tls.keyLog}`}`;
};

/** Whether the terms of TLS differ by host. */
const looksAtHosts = ({ tls }: Pick<ListenerConfig, "tls">): boolean => tls !== undefined && tls.policies.length > 0;

/** Whether some names are passed on as they are. */
const passesOn = ({ sni = {} }: ListenerConfig): boolean => Object.values(sni).some((rule) => rule !== "terminate");

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
