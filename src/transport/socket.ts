// TCP and unix sockets of the runtime behind the Connection interface.

import { spent } from "../core/spent.ts";
import { type Connection, type ConnectionHandler, HIGH_WATER, LOW_WATER, type PeerAddress } from "./connection.ts";
import { beginTurn, endTurn, flushOutbox, inOutbox } from "./outbox.ts";
import { OutputQueue } from "./output-queue.ts";
import { inFlightMax, moveFile } from "./sendfile.ts";
import type { TlsInfo } from "./tls-info.ts";

export type BunSocket = Bun.Socket<SocketConnection>;

/** It is in the runtime, though not in its types; -1 once the socket is closed. */
interface WithDescriptor {
  readonly fd: number;
}

const V4_MAPPED = "::ffff:";
const NOTHING = Buffer.alloc(0);
const BROKEN_PIPE = new Error("EPIPE");
/** The code of the errors that the runtime's TLS has with a peer. */
const TLS_BROKEN = "EPROTO";

/** IPv4 in dotted form, also where the socket is one of IPv6. */
const unmapped = (address: string): string =>
  address.startsWith(V4_MAPPED) ? address.slice(V4_MAPPED.length) : address;

/** One socket, plain or TLS: the runtime's calls are the same for both (listeners and dials of TLS are in tls*.ts). */
export class SocketConnection implements Connection {
  handler: ConnectionHandler;
  tls: TlsInfo | null = null;
  closed = false;
  sent = 0;
  #socket: BunSocket;
  #queue: OutputQueue | null = null;
  #wasFull = false;
  #paused = false;
  // What to do once the queue is empty: nothing, close our side, close both.
  #after: "" | "end" | "close" = "";
  #peerEnded = false;
  /** A write has failed, or TLS. An error is told once, so that what follows looks like the peer's orderly end. */
  #broken: Error | null = null;
  #remoteAddress: string | null = null;
  /** Both ends as a proxy in front has announced them. */
  #announced: { readonly remote: PeerAddress; readonly local: PeerAddress } | null = null;

  constructor(socket: BunSocket, handler: ConnectionHandler) {
    this.#socket = socket;
    this.handler = handler;
  }

  get remoteAddress(): string {
    if (this.#remoteAddress === null) {
      this.#remoteAddress = unmapped(this.#socket.remoteAddress ?? "");
    }
    return this.#remoteAddress;
  }
  get remotePort(): number {
    return this.#announced === null ? (this.#socket.remotePort ?? 0) : this.#announced.remote.port;
  }
  get localAddress(): string {
    return this.#announced === null ? unmapped(this.#socket.localAddress ?? "") : this.#announced.local.address;
  }
  get localPort(): number {
    return this.#announced === null ? (this.#socket.localPort ?? 0) : this.#announced.local.port;
  }
  get queued(): number {
    return this.#queue === null ? 0 : this.#queue.length;
  }
  get full(): boolean {
    return this.#queue !== null && this.#queue.length > HIGH_WATER;
  }

  send(bytes: Buffer, start: number, end: number, copy: boolean, given = false): void {
    if (this.closed || this.#after !== "") return;
    let from = start;
    if (this.#queue === null) {
      const taken = this.#socket.write(bytes, start, end - start);
      if (taken < 0) {
        this.#broken = BROKEN_PIPE;
        return; // gone; the close event follows
      }
      this.sent += taken;
      from += taken;
      if (from === end) {
        if (given) spent(bytes);
        return;
      }
      this.#queue = new OutputQueue();
    }
    this.#queue.push(bytes, from, end, copy, given);
    if (this.#queue.length > HIGH_WATER) this.#wasFull = true;
  }

  offer(bytes: Buffer, start: number, end: number): number {
    if (this.closed || this.#after !== "" || this.#queue !== null) return 0;
    const taken = this.#socket.write(bytes, start, end - start);
    if (taken < 0) this.#broken = BROKEN_PIPE;
    if (taken <= 0) return 0;
    this.sent += taken;
    return taken;
  }

  get inFlightMax(): number {
    return this.tls === null ? inFlightMax() : Number.POSITIVE_INFINITY;
  }

  move(fd: number, from: number, length: number): number {
    if (this.closed || this.#after !== "" || this.#queue !== null || this.tls !== null) return 0;
    const { fd: socket } = this.#socket as unknown as WithDescriptor;
    const moved = socket < 0 ? 0 : moveFile(socket, fd, from, length);
    this.sent += moved;
    return moved;
  }

  remind(): boolean {
    if (this.#queue === null) return false;
    this.#wasFull = true;
    return true;
  }

  announce(remote: PeerAddress, local: PeerAddress): void {
    this.#remoteAddress = remote.address;
    this.#announced = { remote, local };
  }

  /**
   * Goes on over the socket that `upgrade` puts in front of its own one: TLS that begins on an open connection. Events
   * of the new one must come here, those of the own one, encrypted, are dropped. Throws what `upgrade` throws.
   */
  continueOver(upgrade: (own: BunSocket) => BunSocket): void {
    const own = this.#socket;
    this.resume();
    own.data = BELOW;
    try {
      this.#socket = upgrade(own);
    } catch (error) {
      own.data = this;
      throw error;
    }
  }

  pause(): void {
    if (this.#paused || this.closed) return;
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#paused || this.closed) return;
    this.#paused = false;
    this.#socket.resume();
  }

  end(): void {
    if (inOutbox(this)) flushOutbox();
    if (this.closed || this.#after !== "") return;
    this.#after = "end";
    if (this.#queue === null) this.#finish();
  }

  close(): void {
    if (inOutbox(this)) flushOutbox();
    if (this.closed || this.#after === "close") return;
    this.#after = "close";
    this.handler = ignoringData(this.handler);
    if (this.#queue === null) this.#finish();
    else this.resume(); // a paused socket would not tell that the peer has gone
  }

  #finish(): void {
    if (this.#after === "close") this.#close(false);
    else this.#socket.shutdown();
  }

  #close(atOnce: boolean): void {
    if (this.tls === null) {
      this.#socket.end();
      return;
    }
    // `end` of a TLS socket would wait for the peer to end as well, and `close` for it to take what the runtime has
    // encrypted already; both for ever, and neither can be cut short. A write after the shutdown tells whether anything
    // is left: if so, `drained` comes back here, or somebody destroys the connection.
    this.#socket.shutdown();
    if (this.#socket.write(NOTHING) < 0) this.#socket.close();
    else if (atOnce) this.#socket.terminate();
  }

  destroy(reset = false): void {
    if (this.closed) return;
    this.#queue = null;
    this.#after = "close";
    if (reset) this.#socket.terminate();
    else this.#close(true);
  }

  /** The runtime says that the socket takes bytes again (it also says so without need). */
  drained(): void {
    const queue = this.#queue;
    if (queue !== null) {
      queue.drainTo((piece) => {
        const taken = this.#socket.write(piece);
        if (taken < 0) this.#broken = BROKEN_PIPE;
        if (taken <= 0) return 0;
        this.sent += taken;
        return taken;
      });
      if (queue.length === 0) this.#queue = null;
    }
    if (this.#wasFull && this.queued <= LOW_WATER) {
      this.#wasFull = false;
      this.handler.onDrain();
    }
    if (this.#queue === null && this.#after !== "" && !this.closed) this.#finish();
  }

  ended(): void {
    if (this.#peerEnded || this.#broken !== null) return;
    this.#peerEnded = true;
    this.handler.onEnd();
  }

  /** The peer has broken the rules of TLS; the close follows. */
  broke(error: Error): void {
    this.#broken ??= error;
  }

  gone(error: Error | null): void {
    if (this.closed) return;
    this.closed = true;
    this.#queue = null;
    this.handler.onClose(error ?? this.#broken);
  }
}

/** For a connection that only waits for its queue to empty: bytes of the peer are dropped, the end is still told. */
function ignoringData(handler: ConnectionHandler): ConnectionHandler {
  return { onData() {}, onDrain() {}, onEnd() {}, onClose: (error) => handler.onClose(error) };
}

/** Hears of the sockets below those of TLS; nothing is ever sent over it. */
const BELOW = new SocketConnection(null as never, {
  onData() {},
  onDrain() {},
  onEnd() {},
  onClose() {},
});

/** One handler object for all sockets of a direction; state lives in `socket.data` (architecture: no closure per socket). */
export const SOCKET_EVENTS = {
  data(socket: BunSocket, chunk: Buffer): void {
    beginTurn();
    socket.data.handler.onData(chunk);
    endTurn();
  },
  drain(socket: BunSocket): void {
    beginTurn();
    socket.data?.drained();
    endTurn();
  },
  end(socket: BunSocket): void {
    beginTurn();
    socket.data.ended();
    endTurn();
  },
  close(socket: BunSocket, error?: Error): void {
    beginTurn();
    socket.data?.gone(error ?? null);
    endTurn();
  },
  error(socket: BunSocket, error: Error): void {
    if ((error as { code?: string }).code === TLS_BROKEN) return socket.data.broke(error);
    // An exception in one of our own handlers arrives here: it is a bug, and must not take other connections along.
    reportBug(error);
    socket.terminate();
    endTurn();
  },
};

let reportBug: (error: Error) => void = (error) =>
  queueMicrotask(() => {
    throw error;
  });
/** Sets what is done with exceptions out of connection handlers. The connection is closed in any case. */
export function onHandlerException(report: (error: Error) => void): void {
  reportBug = report;
}
/** Tells of an exception out of a handler of other transports. */
export function handlerException(error: unknown): void {
  reportBug(error instanceof Error ? error : new Error(String(error)));
}

export type SocketAddress =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

export interface SocketListener {
  /** The port it got, where 0 was asked for; 0 for a unix socket. */
  readonly port: number;
  /** Stops accepting; open connections go on. */
  stop(): void;
}

/**
 * Listens. `accept` gets each new connection and returns its handler, or null to close it at once. Several threads may
 * listen on one TCP address. Throws the runtime's error (`code` EADDRINUSE and the like).
 */
export function listenOn(
  address: SocketAddress,
  accept: (connection: Connection) => ConnectionHandler | null,
): SocketListener {
  const socket = {
    ...SOCKET_EVENTS,
    open(bunSocket: BunSocket): void {
      const connection = new SocketConnection(bunSocket, NOBODY);
      bunSocket.data = connection;
      beginTurn();
      const handler = accept(connection);
      if (handler === null) connection.destroy();
      else connection.handler = handler;
      endTurn();
    },
  };
  if (address.kind === "unix") {
    const listener = Bun.listen<SocketConnection>({ unix: address.path, socket, allowHalfOpen: true });
    return { port: 0, stop: () => listener.stop() };
  }
  // `reusePort` is in the runtime, though not in the types of `listen`.
  const options = { hostname: address.host, port: address.port, socket, allowHalfOpen: true, reusePort: true };
  const listener = Bun.listen<SocketConnection>(options);
  return { port: listener.port, stop: () => listener.stop() };
}

/** Whether somebody listens on a TCP address already, even somebody who would share it. */
export function isTaken(host: string, port: number): boolean {
  try {
    Bun.listen({ hostname: host, port, socket: { data() {} } }).stop(true);
    return false;
  } catch (error) {
    return (error as { code?: string }).code === "EADDRINUSE";
  }
}

export const NOBODY: ConnectionHandler = { onData() {}, onDrain() {}, onEnd() {}, onClose() {} };

/** A connect under way. */
export interface Dial {
  readonly promise: Promise<Connection>;
  /** Gives up: the promise rejects, and a connection that comes up all the same is closed. */
  cancel(): void;
}

/** Connects to an address given as numbers (no names). Rejects with the system's error (`code` ECONNREFUSED and the like). */
export function dial(address: SocketAddress): Dial {
  let cancelled = false;
  let giveUp: (error: Error) => void = () => {};
  const promise = new Promise<Connection>((resolve, reject) => {
    giveUp = reject;
    const socket = {
      ...SOCKET_EVENTS,
      open(bunSocket: BunSocket): void {
        const connection = new SocketConnection(bunSocket, NOBODY);
        bunSocket.data = connection;
        if (cancelled) return connection.destroy();
        bunSocket.setNoDelay(true);
        resolve(connection);
      },
      connectError(_socket: BunSocket, error: Error): void {
        reject(error);
      },
    };
    const to = address.kind === "unix" ? { unix: address.path } : { hostname: address.host, port: address.port };
    const options = { ...to, socket, allowHalfOpen: true } as Bun.TCPSocketConnectOptions<SocketConnection>;
    Bun.connect<SocketConnection>(options).catch(reject);
  });
  return {
    promise,
    cancel() {
      cancelled = true;
      giveUp(new Error("cancelled"));
    },
  };
}
