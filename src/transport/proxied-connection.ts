// The step between accepting a connection from a trusted proxy and serving it: reads the PROXY header, and hands the
// connection on with the addresses that it announces. The connection itself is passed on, so nothing stays in its way.
import { Timer, type TimerWheel } from "../core/timers.ts";
import type { Connection, ConnectionHandler } from "./connection.ts";
import { readProxyHeader } from "./proxy-protocol.ts";

export interface ProxiedOptions {
  /** A connection that does not begin with a header is closed; without it, it is taken as it is. */
  readonly required: boolean;
  /** Longest wait for the header in milliseconds. A client that says nothing meanwhile counts as one without it. */
  readonly timeoutMs: number;
  readonly wheel: TimerWheel;
}

/** The rest of the way of a connection whose peer is trusted. One of `ready` and `refused` is called, once. */
export interface ProxiedOwner {
  /** The addresses are those that count. Returns the connection's handler, or null to close it. */
  ready(connection: Connection): ConnectionHandler | null;
  /** The connection is closed, or about to be: by its peer, or for what `reason` says. */
  refused(connection: Connection, reason: string): void;
}

/**
 * Returns the handler that such a connection begins with. Whatever follows the header, its end included, goes to the
 * handler that `owner.ready` returns.
 */
export function acceptProxied(connection: Connection, options: ProxiedOptions, owner: ProxiedOwner): ConnectionHandler {
  return new HeaderAwaited(connection, options, owner);
}

class HeaderAwaited implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #options: ProxiedOptions;
  readonly #owner: ProxiedOwner;
  readonly #timer: Timer;
  /** What has come so far: less than a header, which is bounded. */
  #bytes: Buffer | null = null;
  #begun = false;
  #over = false;
  #next: ConnectionHandler | null = null;

  constructor(connection: Connection, options: ProxiedOptions, owner: ProxiedOwner) {
    this.#connection = connection;
    this.#options = options;
    this.#owner = owner;
    this.#timer = new Timer(() => this.#giveUp(`no PROXY header within ${options.timeoutMs} ms`));
    options.wheel.arm(this.#timer, options.timeoutMs);
  }

  onData(chunk: Buffer): void {
    if (this.#over) return;
    const bytes = this.#bytes === null ? chunk : Buffer.concat([this.#bytes, chunk]);
    this.#bytes = bytes;
    const header = readProxyHeader(bytes);
    switch (header.kind) {
      case "more":
        this.#begun = header.begun;
        return;
      case "absent":
        return this.#giveUp("no PROXY header");
      case "invalid":
        return this.#refuse(`PROXY header: ${header.reason}`);
      case "header":
        if (header.source !== null && header.destination !== null)
          this.#connection.announce(header.source, header.destination);
        this.#bytes = bytes.subarray(header.used) as Buffer;
        this.#handOn();
    }
  }
  onDrain(): void {}
  onEnd(): void {
    // A header in parts cannot become a whole one any more.
    this.#giveUp("closed before the PROXY header");
    this.#next?.onEnd();
  }
  onClose(): void {
    if (this.#over) return;
    this.#stop();
    this.#owner.refused(this.#connection, "closed before the PROXY header");
  }

  /** There is no header: the connection is as good without one, unless it is required or has begun with half of one. */
  #giveUp(reason: string): void {
    if (this.#over) return;
    if (this.#options.required || this.#begun) this.#refuse(reason);
    else this.#handOn();
  }

  #refuse(reason: string): void {
    this.#stop();
    this.#connection.destroy();
    this.#owner.refused(this.#connection, reason);
  }

  #handOn(): void {
    this.#stop();
    const connection = this.#connection;
    const handler = this.#owner.ready(connection);
    if (handler === null) {
      connection.destroy();
      return;
    }
    connection.handler = handler;
    this.#next = handler;
    if (this.#bytes !== null && this.#bytes.length > 0) handler.onData(this.#bytes);
  }

  #stop(): void {
    this.#over = true;
    this.#options.wheel.drop(this.#timer);
  }
}
