// What the layers above see of a byte stream between two peers: TCP, unix socket, TLS, or a pair in memory.

/** What a connection tells its owner. One object serves the whole life of a connection; it can be exchanged. */
export interface ConnectionHandler {
  /** Bytes arrived. The chunk belongs to the handler, which may keep it. */
  onData(chunk: Buffer): void;
  /** The output queue has fallen to the low-water mark after `write` had answered false. */
  onDrain(): void;
  /** The peer has closed its sending side; ours is still open. */
  onEnd(): void;
  /** The connection is gone, both ways. Called exactly once, whoever closed it. `error` is null for an orderly end. */
  onClose(error: Error | null): void;
}

/** Above this many queued bytes `write` answers false; at or under `LOW_WATER` `onDrain` is called. */
export const HIGH_WATER = 65_536;
export const LOW_WATER = 16_384;

export interface Connection {
  handler: ConnectionHandler;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localPort: number;
  readonly closed: boolean;
  /** Bytes accepted from the caller that the peer's system has not taken yet. */
  readonly queued: number;
  /**
   * Sends `bytes[start, end)`. The bytes may be changed by the caller after the call if `copy` is true (what cannot leave
   * at once is copied); otherwise they are kept as they are. False asks the caller to wait for `onDrain`.
   */
  write(bytes: Buffer, start: number, end: number, copy: boolean): boolean;
  /** Stops and restarts reading. Both may be called again without effect. */
  pause(): void;
  resume(): void;
  /** Closes our sending side once the queue is empty; reading goes on. */
  end(): void;
  /** Sends what is queued, then closes both ways; reading stops at once. */
  close(): void;
  /** Closes both ways at once and drops the queue. `reset` makes the peer see a reset rather than an orderly end. */
  destroy(reset?: boolean): void;
}
