// One client's connection forwarded as it is (layer 4): chooses a server, connects, with another one if that fails, and
// joins the two connections. As long as no server is connected nothing was sent, so every failure may be tried again.
import { turnTime } from "../core/clock.ts";
import { type Fault, FaultError, fault, specOf } from "../core/faults.ts";
import type { TimerWheel } from "../core/timers.ts";
import { type Connection, type ConnectionHandler, HIGH_WATER } from "../transport/connection.ts";
import { write } from "../transport/outbox.ts";
import { writeProxyHeader } from "../transport/proxy-protocol.ts";
import type { Dial } from "../transport/socket.ts";
import { Tunnel, type TunnelOutcome } from "../transport/tunnel.ts";

/**
 * A server as one session sees it, from `choose` on. It is told exactly one of these: `failed`, `withdrawn`, or
 * `opened` and later `closed`.
 */
export interface TcpServer {
  readonly name: string;
  /** Which PROXY header it wants first; null for none. */
  readonly proxyProtocol: "v1" | "v2" | null;
  /**
   * Connects; called once. It may first wait for a place where the server has a limit, and ends in time by itself.
   * Rejects with a FaultError, or with the system's error.
   */
  dial(): Dial;
  failed(cause: Fault): void;
  /** The client left before the connect was through. */
  withdrawn(): void;
  /** Connected, `connectMs` after it was chosen. */
  opened(connectMs: number): void;
  /** The session is over; `cause` says what broke it, null when it ended in order (or was idle). */
  closed(cause: Fault | null): void;
}

/** Where a listener's sessions go. */
export interface TcpTarget {
  /** Name of the upstream, for the record. */
  readonly upstream: string;
  /** Servers tried for one session at most. */
  readonly attempts: number;
  /** A server for this client, by preference none of those tried before; null when there is none. */
  choose(clientAddress: string, tried: readonly TcpServer[]): TcpServer | null;
}

/** A session that is over, for logs and metrics. */
export interface TcpRecord {
  readonly listener: string;
  readonly client: string;
  readonly clientPort: number;
  readonly upstream: string;
  /** The last server that was chosen; "" when there was none. */
  readonly server: string;
  /** Servers that were chosen. */
  readonly attempts: number;
  /** Bytes from and to the client. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  /** From the start to the connected server; negative when it did not come to that. */
  readonly connectMs: number;
  /** What ended it; null for an orderly end, and for silence beyond the time that is allowed. */
  readonly fault: Fault | null;
}

/** What the sessions of one listener share. A session keeps the `target` that it began with. */
export interface TcpContext {
  readonly name: string;
  readonly target: TcpTarget;
  /** How long a session may be silent in both directions, in milliseconds. */
  readonly idleMs: number;
  readonly wheel: TimerWheel;
  /** Told once at the end of each session, also of one that never began. */
  tcpClosed(connection: Connection, record: TcpRecord): void;
}

/** Each chunk that waits is copied together with those before it. */
const EARLY_CHUNKS_MAX = 8;

export class TcpSession implements ConnectionHandler {
  readonly connection: Connection;
  readonly #context: TcpContext;
  readonly #target: TcpTarget;
  readonly #startedAt: number;
  readonly #tried: TcpServer[] = [];
  #server: TcpServer | null = null;
  #dial: Dial | null = null;
  #chosenAt = 0;
  #connectMs = -1;
  /** What the client has sent before there is a server: up to `HIGH_WATER` and one chunk. */
  #early: Buffer | null = null;
  #earlyChunks = 0;
  #clientEnded = false;
  #begun = false;
  #over = false;
  #tunnel: Tunnel | null = null;

  /** The connection's handler must become this one. */
  constructor(connection: Connection, context: TcpContext) {
    this.connection = connection;
    this.#context = context;
    this.#target = context.target;
    this.#startedAt = turnTime();
  }

  /** Looks for a server: once the plan that says where to go is in use. */
  begin(): void {
    if (this.#begun || this.#over) return;
    this.#begun = true;
    this.#next(fault("upstream.none", this.#target.upstream));
  }

  /** A session has no point at which it could be asked to end: it goes on until it ends or is cut. */
  drain(): void {
    if (!this.#begun) this.cut(); // it never will
  }

  /** Ends it at once. Both sides see a reset, for neither has got the whole. */
  cut(): void {
    if (this.#tunnel !== null) return this.#tunnel.cut();
    this.#giveUp(fault("proxy.shutdown"));
    this.connection.destroy(true);
  }

  onData(chunk: Buffer): void {
    const early = this.#early === null ? chunk : Buffer.concat([this.#early, chunk]);
    this.#early = early;
    this.#earlyChunks += 1;
    // Few send more than one before they are answered, and a pause costs as much as a small write.
    if (early.length > HIGH_WATER || this.#earlyChunks >= EARLY_CHUNKS_MAX) this.connection.pause();
  }
  onDrain(): void {}
  onEnd(): void {
    // It may only have closed its sending side; the server shall see that, and may answer.
    this.#clientEnded = true;
  }
  onClose(): void {
    this.#giveUp(fault("client.gone"));
  }

  /** There will be no server for it. */
  #giveUp(cause: Fault): void {
    if (this.#over) return;
    const dial = this.#dial;
    this.#finish(0, 0, cause);
    if (dial === null) return; // it has not begun
    dial.cancel();
    this.#server!.withdrawn();
  }

  /** Tries the next server; `last` is why there is none so far. */
  #next(last: Fault): void {
    const target = this.#target;
    const server =
      this.#tried.length < target.attempts ? target.choose(this.connection.remoteAddress, this.#tried) : null;
    if (server === null) return this.#refuse(last);
    this.#tried.push(server);
    this.#server = server;
    this.#chosenAt = turnTime();
    const dial = server.dial();
    this.#dial = dial;
    dial.promise.then(
      (connection) => this.#connected(connection, server),
      (error: unknown) => this.#notConnected(error, server),
    );
  }

  #refuse(cause: Fault): void {
    this.#finish(0, 0, cause);
    // A reset: an orderly end could be taken for the server's answer.
    this.connection.destroy(true);
  }

  #notConnected(error: unknown, server: TcpServer): void {
    if (this.#over) return; // we gave it up ourselves
    const cause =
      error instanceof FaultError ? error.fault : fault("upstream.connect_refused", describe(server, error));
    server.failed(cause);
    // Who has waited for a place in vain, or was turned away, does not stand in line again.
    if (specOf(cause).retry === "never") this.#refuse(cause);
    else this.#next(cause);
  }

  #connected(connection: Connection, server: TcpServer): void {
    if (this.#over) return connection.destroy(); // it was faster than our giving up
    const client = this.connection;
    const now = turnTime();
    this.#connectMs = now - this.#startedAt;
    server.opened(now - this.#chosenAt);
    const { proxyProtocol } = server;
    if (proxyProtocol !== null) {
      const from = { address: client.remoteAddress, port: client.remotePort };
      const to = { address: client.localAddress, port: client.localPort };
      const header = writeProxyHeader(proxyProtocol, from, to);
      write(connection, header, 0, header.length);
    }
    const { idleMs, wheel } = this.#context;
    this.#tunnel = new Tunnel(client, this.#early, connection, null, idleMs, wheel, (bytesIn, bytesOut, outcome) => {
      const cause = faultOf(outcome, server);
      this.#finish(bytesIn, bytesOut, cause);
      server.closed(cause);
    });
    this.#early = null;
    if (this.#clientEnded) this.#tunnel.endedEarly();
  }

  #finish(bytesIn: number, bytesOut: number, cause: Fault | null): void {
    this.#over = true;
    this.#dial = null;
    this.#early = null;
    const { connection } = this;
    this.#context.tcpClosed(connection, {
      listener: this.#context.name,
      client: connection.remoteAddress,
      clientPort: connection.remotePort,
      upstream: this.#target.upstream,
      server: this.#server?.name ?? "",
      attempts: this.#tried.length,
      bytesIn,
      bytesOut,
      durationMs: turnTime() - this.#startedAt,
      connectMs: this.#connectMs,
      fault: cause,
    });
  }
}

/** What broke a tunnel from a client (a) to a server (b); null when nothing did. */
function faultOf(outcome: TunnelOutcome, server: TcpServer): Fault | null {
  if (outcome === "lostA") return fault("client.gone");
  if (outcome === "cut") return fault("proxy.shutdown");
  return outcome === "lostB" ? fault("upstream.reset", server.name) : null;
}

function describe(server: TcpServer, error: unknown): string {
  const code = (error as { readonly code?: string } | null)?.code;
  return `${server.name}: ${code ?? (error instanceof Error ? error.message : String(error))}`;
}
