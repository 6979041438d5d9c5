// Datagrams forwarded as they are (layer 4). Each client (address and port) has a session: one server, and a socket of
// its own to it, so that answers find their way back. It lasts as long as something comes from either side.
import { turnTime } from "../core/clock.ts";
import { type Fault, FaultError, fault, specOf } from "../core/faults.ts";
import { Timer, type TimerWheel } from "../core/timers.ts";
import {
  connectUdp,
  listenUdp,
  type UdpAddress,
  type UdpConnection,
  type UdpHandler,
  type UdpListener,
} from "../transport/udp.ts";

/** A server as one session sees it. It is told exactly one of `failed` and `closed`, at the end; `answered` at most once. */
export interface UdpServer {
  readonly name: string;
  /** Its address in numbers; a promise only where a name has to be looked up. */
  address(): UdpAddress | Promise<UdpAddress>;
  /** It cannot be reached, or nobody listens there. */
  failed(cause: Fault): void;
  /** The first datagram came back, `ms` after it was chosen. */
  answered(ms: number): void;
  /** The session is over; `answered` says whether anything ever came back. */
  closed(answered: boolean): void;
}

/** Where a listener's datagrams go. */
export interface UdpTarget {
  /** Name of the upstream, for the record. */
  readonly upstream: string;
  /** A server for this client; null when there is none. */
  choose(clientAddress: string): UdpServer | null;
}

/** A session that is over, for logs and metrics. */
export interface UdpRecord {
  readonly listener: string;
  readonly client: string;
  readonly clientPort: number;
  readonly upstream: string;
  readonly server: string;
  /** Bytes and datagrams from and to the client. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly datagramsIn: number;
  readonly datagramsOut: number;
  readonly durationMs: number;
  /** Why it ended; null for silence, which is how sessions end. */
  readonly fault: Fault | null;
}

/** What was done with datagrams that went nowhere. */
export type UdpDrop = "sessions" | "no-server" | "draining" | "waiting" | "send";

/** What the sessions of a listener share; read for each new session, so that a reload is followed. */
export interface UdpContext {
  readonly name: string;
  readonly target: UdpTarget;
  /** How long a session may be silent in both directions, in milliseconds. */
  readonly idleMs: number;
  /** Sessions at a time, of all clients and of one address. */
  readonly sessions: number;
  readonly sessionsPerAddress: number;
  readonly wheel: TimerWheel;
  /** A session begins (1) or ends (-1). */
  udpSessions(change: 1 | -1): void;
  udpClosed(record: UdpRecord): void;
  /**
   * A datagram was dropped: there are too many sessions, there is no server, no new sessions are taken, the server's
   * name took too long, or the system would not send it.
   */
  udpDropped(why: UdpDrop): void;
}

/** Datagrams that wait for a server's name: enough for a client's first burst. */
const WAITING_MAX = 16;
/** A socket that cannot be had for these reasons says nothing of the server (socket(2)). */
const OUR_LIMITS: ReadonlySet<string> = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]);

export class UdpProxy {
  readonly context: UdpContext;
  /** Sessions by address and port: two look-ups and no string to be built for each datagram. */
  readonly #clients = new Map<string, Map<number, UdpSession>>();
  #sessions = 0;
  #socket: UdpListener | null = null;
  #serving = false;
  #draining = false;

  constructor(context: UdpContext) {
    this.context = context;
  }

  get sessions(): number {
    return this.#sessions;
  }
  /** The port it got. */
  get port(): number {
    return this.#socket?.port ?? 0;
  }

  /** Begins to receive; what comes before `serve()` is dropped. Throws the system's error. */
  listen(address: UdpAddress): void {
    this.#socket = listenUdp(address, (bytes, port, from) => this.#received(bytes, port, from));
  }

  /** From now on there are sessions. */
  serve(): void {
    this.#serving = true;
  }

  /** Takes no new sessions. Those there are go on until they are silent; with the last one the socket is closed. */
  drain(): void {
    this.#draining = true;
    if (this.#sessions === 0) this.#stop();
  }

  /** Ends all sessions and closes the socket. */
  destroy(): void {
    this.#draining = true;
    for (const ports of [...this.#clients.values()]) for (const session of [...ports.values()]) session.end(null);
    this.#stop();
  }

  #stop(): void {
    this.#socket?.stop();
    this.#socket = null;
  }

  #received(bytes: Buffer, port: number, address: string): void {
    const session = this.#clients.get(address)?.get(port) ?? this.#begin(port, address);
    session?.fromClient(bytes);
  }

  #begin(port: number, address: string): UdpSession | null {
    const { context } = this;
    if (!this.#serving || this.#draining) return this.#drop("draining");
    if (this.#sessions >= context.sessions) return this.#drop("sessions");
    const ports = this.#clients.get(address);
    if (ports !== undefined && ports.size >= context.sessionsPerAddress) return this.#drop("sessions");
    const client = unmapped(address);
    const server = context.target.choose(client);
    if (server === null) return this.#drop("no-server");
    const session = new UdpSession(this, client, address, port, server);
    if (ports === undefined) this.#clients.set(address, new Map([[port, session]]));
    else ports.set(port, session);
    this.#sessions += 1;
    context.udpSessions(1);
    session.open();
    return session;
  }

  #drop(why: UdpDrop): null {
    this.context.udpDropped(why);
    return null;
  }

  toClient(bytes: Buffer, port: number, address: string): boolean {
    return this.#socket?.send(bytes, port, address) ?? false;
  }

  /** A session's last word. */
  ended(session: UdpSession, record: UdpRecord): void {
    const ports = this.#clients.get(session.address)!;
    ports.delete(session.port);
    if (ports.size === 0) this.#clients.delete(session.address);
    this.#sessions -= 1;
    this.context.udpSessions(-1);
    this.context.udpClosed(record);
    if (this.#draining && this.#sessions === 0) this.#stop();
  }
}

/** Clients of a socket that serves both families (RFC 4291 §2.5.5.2). */
const V4_MAPPED = "::ffff:";
const unmapped = (address: string): string =>
  address.startsWith(V4_MAPPED) ? address.slice(V4_MAPPED.length) : address;

class UdpSession implements UdpHandler {
  /** The client as the listening socket names it. */
  readonly address: string;
  readonly port: number;
  readonly #client: string;
  readonly #proxy: UdpProxy;
  readonly #server: UdpServer;
  readonly #upstream: string;
  readonly #idleMs: number;
  readonly #timer: Timer;
  readonly #startedAt: number;
  #socket: UdpConnection | null = null;
  /** What came while the server's name was looked up. */
  #waiting: Buffer[] | null = null;
  #bytesIn = 0;
  #bytesOut = 0;
  #datagramsIn = 0;
  #datagramsOut = 0;
  #over = false;

  constructor(proxy: UdpProxy, client: string, address: string, port: number, server: UdpServer) {
    this.#proxy = proxy;
    this.#client = client;
    this.address = address;
    this.port = port;
    this.#server = server;
    this.#upstream = proxy.context.target.upstream;
    this.#idleMs = proxy.context.idleMs;
    this.#timer = new Timer(() => this.end(null));
    this.#startedAt = turnTime();
    proxy.context.wheel.arm(this.#timer, this.#idleMs);
  }

  open(): void {
    const address = this.#server.address();
    if (!(address instanceof Promise)) return this.#connect(address);
    this.#waiting = [];
    address.then(
      (found) => this.#connect(found),
      (error: unknown) => this.#failed(error),
    );
  }

  #connect(address: UdpAddress): void {
    if (this.#over) return;
    try {
      this.#socket = connectUdp(address, this);
    } catch (error) {
      return this.#failed(error);
    }
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting !== null) for (const bytes of waiting) this.#toServer(bytes);
  }

  fromClient(bytes: Buffer): void {
    if (this.#over) return;
    this.#touch();
    this.#datagramsIn += 1;
    this.#bytesIn += bytes.length;
    if (this.#waiting === null) return this.#toServer(bytes);
    if (this.#waiting.length < WAITING_MAX) this.#waiting.push(bytes);
    else this.#proxy.context.udpDropped("waiting");
  }

  #toServer(bytes: Buffer): void {
    if (this.#socket?.send(bytes) !== true) this.#proxy.context.udpDropped("send");
  }

  onDatagram(bytes: Buffer): void {
    if (this.#over) return;
    this.#touch();
    if (this.#datagramsOut === 0) this.#server.answered(turnTime() - this.#startedAt);
    this.#datagramsOut += 1;
    this.#bytesOut += bytes.length;
    if (!this.#proxy.toClient(bytes, this.port, this.address)) this.#proxy.context.udpDropped("send");
  }

  onUnreachable(error: Error): void {
    this.#failed(error);
  }

  #touch(): void {
    this.#proxy.context.wheel.arm(this.#timer, this.#idleMs);
  }

  #failed(error: unknown): void {
    if (error instanceof FaultError) return this.end(error.fault);
    const code = (error as { readonly code?: string } | null)?.code ?? String(error);
    const blame = OUR_LIMITS.has(code) ? "proxy.internal" : "upstream.connect_refused";
    this.end(fault(blame, `${this.#server.name}: ${code}`));
  }

  /** The client's next datagram begins another session, which may be with another server. */
  end(cause: Fault | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#proxy.context.wheel.drop(this.#timer);
    this.#socket?.close();
    this.#waiting = null;
    if (cause !== null && specOf(cause).side === "upstream") this.#server.failed(cause);
    else this.#server.closed(this.#datagramsOut > 0);
    this.#proxy.ended(this, {
      listener: this.#proxy.context.name,
      client: this.#client,
      clientPort: this.port,
      upstream: this.#upstream,
      server: this.#server.name,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      datagramsIn: this.#datagramsIn,
      datagramsOut: this.#datagramsOut,
      durationMs: turnTime() - this.#startedAt,
      fault: cause,
    });
  }
}
