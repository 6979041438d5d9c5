// TCP and unix sockets of the runtime behind the Connection interface.
import { type Connection, type ConnectionHandler, HIGH_WATER, LOW_WATER, type PeerAddress } from "./connection.ts";
import { beginTurn, endTurn, flushOutbox, inOutbox } from "./outbox.ts";
import { OutputQueue } from "./output-queue.ts";

type BunSocket = Bun.Socket<SocketConnection>;

const V4_MAPPED = "::ffff:";

/** IPv4 in dotted form, also where the socket is one of IPv6. */
const unmapped = (address: string): string =>
  address.startsWith(V4_MAPPED) ? address.slice(V4_MAPPED.length) : address;

class SocketConnection implements Connection {
  handler: ConnectionHandler;
  closed = false;
  sent = 0;
  readonly #socket: BunSocket;
  #queue: OutputQueue | null = null;
  #wasFull = false;
  #paused = false;
  // What to do once the queue is empty: nothing, close our side, close both.
  #after: "" | "end" | "close" = "";
  #peerEnded = false;
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

  send(bytes: Buffer, start: number, end: number, copy: boolean): void {
    if (this.closed || this.#after !== "") return;
    let from = start;
    if (this.#queue === null) {
      const taken = this.#socket.write(bytes, start, end - start);
      if (taken < 0) return; // gone; the close event follows
      this.sent += taken;
      from += taken;
      if (from === end) return;
      this.#queue = new OutputQueue();
    }
    this.#queue.push(bytes, from, end, copy);
    if (this.#queue.length > HIGH_WATER) this.#wasFull = true;
  }

  announce(remote: PeerAddress, local: PeerAddress): void {
    this.#remoteAddress = remote.address;
    this.#announced = { remote, local };
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
    if (this.#after === "close") this.#socket.end();
    else this.#socket.shutdown();
  }

  destroy(reset = false): void {
    if (this.closed) return;
    this.#queue = null;
    this.#after = "close";
    if (reset) this.#socket.terminate();
    else this.#socket.end();
  }

  /** The runtime says that the socket takes bytes again (it also says so without need). */
  drained(): void {
    const queue = this.#queue;
    if (queue !== null) {
      queue.drainTo((piece) => {
        const taken = this.#socket.write(piece);
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
    if (this.#peerEnded) return;
    this.#peerEnded = true;
    this.handler.onEnd();
  }

  gone(error: Error | null): void {
    if (this.closed) return;
    this.closed = true;
    this.#queue = null;
    this.handler.onClose(error);
  }
}

/** For a connection that only waits for its queue to empty: bytes of the peer are dropped, the end is still told. */
function ignoringData(handler: ConnectionHandler): ConnectionHandler {
  return { onData() {}, onDrain() {}, onEnd() {}, onClose: (error) => handler.onClose(error) };
}

/** One handler object for all sockets of a direction; state lives in `socket.data` (architecture: no closure per socket). */
const EVENTS = {
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
    ...EVENTS,
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

const NOBODY: ConnectionHandler = { onData() {}, onDrain() {}, onEnd() {}, onClose() {} };

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
      ...EVENTS,
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
