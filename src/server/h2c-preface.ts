// Which version of HTTP a client of a plain listener speaks: one that knows that we speak HTTP/2 begins with its preface
// (RFC 9113 §3.3), and no request of HTTP/1.1 begins like that.
import { Timer, type TimerWheel } from "../core/timers.ts";
import type { Connection, ConnectionHandler } from "../transport/connection.ts";

/** `PRI` is no method of HTTP/1.1 (RFC 9113 §11.7), so what differs from this behind it is broken HTTP/2. */
const BEGINNING = Buffer.from("PRI * HTTP/2.0");

export interface H2cOwner {
  readonly wheel: TimerWheel;
  /** The client speaks HTTP/2, or HTTP/1.1. Returns what handles its bytes from now on; they follow at once. */
  chosen(first: H2cPreface, isHttp2: boolean): ConnectionHandler;
  closed(connection: Connection): void;
}

/** Looks at a connection's first bytes. */
export class H2cPreface implements ConnectionHandler {
  readonly connection: Connection;
  readonly #owner: H2cOwner;
  readonly #timer: Timer;
  /** At most as long as what is compared. */
  #early: Buffer | null = null;

  /** Closes the connection when nothing comes for `timeoutMs`. */
  constructor(connection: Connection, owner: H2cOwner, timeoutMs: number) {
    this.connection = connection;
    this.#owner = owner;
    this.#timer = new Timer(() => connection.close());
    owner.wheel.arm(this.#timer, timeoutMs);
  }

  /** It has not said anything yet. */
  drain(): void {
    this.connection.close();
  }

  onData(chunk: Buffer): void {
    const early = this.#early === null ? chunk : Buffer.concat([this.#early, chunk]);
    const length = Math.min(early.length, BEGINNING.length);
    const isAlike = early.compare(BEGINNING, 0, length, 0, length) === 0;
    if (isAlike && length < BEGINNING.length) {
      this.#early = early;
      return;
    }
    this.#owner.wheel.drop(this.#timer);
    const handler = this.#owner.chosen(this, isAlike);
    this.connection.handler = handler;
    handler.onData(early);
  }

  onDrain(): void {}
  onEnd(): void {
    this.connection.close();
  }
  onClose(): void {
    this.#owner.wheel.drop(this.#timer);
    this.#owner.closed(this.connection);
  }
}
