// What the layers above see of a byte stream between two peers: TCP, unix socket, TLS, or a pair in memory.
import type { TlsInfo } from "./tls-info.ts";

/** What a connection tells its owner. One object serves the whole life of a connection; it can be exchanged. */
export interface ConnectionHandler {
  /** Bytes arrived. The chunk belongs to the handler, which may keep it. */
  onData(chunk: Buffer): void;
  /** The output queue has fallen to the low-water mark after it had been above the high-water mark. */
  onDrain(): void;
  /** The peer has closed its sending side; ours is still open. */
  onEnd(): void;
  /** The connection is gone, both ways. Called exactly once, whoever closed it. `error` is null for an orderly end. */
  onClose(error: Error | null): void;
}

/** Above this many queued bytes a connection is `full`; once down to `LOW_WATER` its handler's `onDrain` is called. */
export const HIGH_WATER = 65_536;
export const LOW_WATER = 16_384;

/** One end of a connection. */
export interface PeerAddress {
  /** IPv4 in dotted form (mapped addresses too), IPv6 as RFC 5952 writes it; "" for unix sockets. */
  readonly address: string;
  readonly port: number;
}

export interface Connection {
  handler: ConnectionHandler;
  /** Address of the peer; "" for unix sockets. IPv4 in dotted form. */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Our end of it; "" and 0 for unix sockets. */
  readonly localAddress: string;
  readonly localPort: number;
  /** What the handshake agreed on; null where the connection is not encrypted. */
  readonly tls: TlsInfo | null;
  readonly closed: boolean;
  /** Bytes accepted from the caller that the system has not taken yet. */
  readonly queued: number;
  /** More is queued than `HIGH_WATER`: the caller should stop until `onDrain`. */
  readonly full: boolean;
  /** Bytes that the system has taken so far. */
  readonly sent: number;
  /**
   * Sends `bytes[start, end)` now, behind what is queued. With `copy` the caller may change the bytes after the call;
   * without it they must stay as they are. `given`: nobody else looks at them or at the rest of their buffer, which is
   * freed once they are sent. Only outbox.ts calls this with bytes of the outbox; others use `write`.
   */
  send(bytes: Buffer, start: number, end: number, copy: boolean, given?: boolean): void;
  /**
   * Sends of `bytes[start, end)` what the system takes at once, and keeps nothing of the rest: the bytes may change
   * after the call. Returns how many; 0 when something is queued before them.
   */
  offer?(bytes: Buffer, start: number, end: number): number;
  /** Most bytes that may be on their way behind `move`; Infinity where it cannot be used. */
  readonly inFlightMax?: number;
  /**
   * Has the system move bytes of an open file into the connection (sendfile.ts). Returns how many; 0 when something is
   * queued before them, or none are taken now.
   */
  move?(fd: number, from: number, length: number): number;
  /** Has `onDrain` called once what is queued has left, however little that is. False when nothing is queued. */
  remind?(): boolean;
  /** From now on these are the two addresses: a proxy in front has announced them (proxied-connection.ts). */
  announce(remote: PeerAddress, local: PeerAddress): void;
  /** Stops and restarts reading. Both may be called again without effect. */
  pause(): void;
  resume(): void;
  /** Closes our sending side once the queue is empty; reading goes on. */
  end(): void;
  /** Sends what is queued, then closes both ways; nothing is read any more. */
  close(): void;
  /** Closes both ways at once and drops the queue. With `reset` the peer sees a reset instead of an orderly end. */
  destroy(reset?: boolean): void;
}
