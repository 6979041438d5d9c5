// Two connections that are each other's peer, without a system in between: tests drive the proxy through them.
import { type Connection, type ConnectionHandler, HIGH_WATER, LOW_WATER } from "./connection.ts";
import { beginTurn, endTurn, flushOutbox, inOutbox } from "./outbox.ts";
import { OutputQueue } from "./output-queue.ts";

const NOBODY: ConnectionHandler = { onData() {}, onDrain() {}, onEnd() {}, onClose() {} };

export class MemoryConnection implements Connection {
  handler: ConnectionHandler = NOBODY;
  remoteAddress = "127.0.0.1";
  remotePort = 1;
  closed = false;
  sent = 0;
  peer!: MemoryConnection;
  /** Bytes that the other side may have in flight before this one's writes are queued, as a socket buffer would. */
  window = HIGH_WATER;
  #queue = new OutputQueue();
  #incoming: Buffer[] = [];
  #incomingBytes = 0;
  #paused = false;
  #wasFull = false;
  #ending = false;
  #endTold = false;
  #scheduled = false;

  get queued(): number {
    return this.#queue.length;
  }
  get full(): boolean {
    return this.#queue.length > HIGH_WATER;
  }

  send(bytes: Buffer, start: number, end: number, _copy: boolean): void {
    if (this.closed || this.#ending) return;
    this.#queue.push(bytes, start, end, true);
    this.#pump();
    if (this.full) this.#wasFull = true;
  }

  pause(): void {
    this.#paused = true;
  }
  resume(): void {
    this.#paused = false;
    this.#schedule();
  }
  end(): void {
    if (inOutbox(this)) flushOutbox();
    this.#ending = true;
    this.#pump();
  }
  close(): void {
    this.end();
    const { handler } = this;
    this.handler = { ...NOBODY, onClose: (error) => handler.onClose(error) };
    this.#closeWhenSent();
  }
  destroy(reset = false): void {
    if (this.closed) return;
    this.#queue.clear();
    this.#gone(null);
    const { peer } = this;
    queueMicrotask(() => peer.#gone(reset ? new Error("ECONNRESET") : null));
  }

  #closeWhenSent(): void {
    if (this.#queue.length === 0) queueMicrotask(() => this.destroy());
    else queueMicrotask(() => this.#closeWhenSent());
  }

  #gone(error: Error | null): void {
    if (this.closed) return;
    if (!this.#paused) this.#deliver();
    this.closed = true;
    this.handler.onClose(error);
  }

  /** Moves queued bytes to the peer as far as its window allows. */
  #pump(): void {
    const { peer } = this;
    this.#queue.drainTo((piece) => {
      const taken = Math.min(piece.length, this.window - peer.#incomingBytes);
      if (taken > 0) {
        peer.#incoming.push(piece.subarray(0, taken) as Buffer);
        peer.#incomingBytes += taken;
        this.sent += taken;
      }
      return Math.max(0, taken);
    });
    peer.#schedule();
    if (this.#wasFull && this.#queue.length <= LOW_WATER) {
      this.#wasFull = false;
      queueMicrotask(() => this.#turn(() => this.handler.onDrain()));
    }
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    while (!this.#paused && !this.closed && this.#incoming.length > 0) {
      const chunk = this.#incoming.shift()!;
      this.#incomingBytes -= chunk.length;
      this.#turn(() => this.handler.onData(chunk));
    }
    const { peer } = this;
    if (peer.#queue.length > 0) peer.#pump();
    if (
      peer.#ending &&
      !this.#paused &&
      !this.#endTold &&
      !this.closed &&
      this.#incoming.length === 0 &&
      peer.#queue.length === 0
    ) {
      this.#endTold = true;
      this.#turn(() => this.handler.onEnd());
    }
  }

  #turn(run: () => void): void {
    beginTurn();
    run();
    endTurn();
  }
}

/** A connected pair. */
export function memoryPair(): [MemoryConnection, MemoryConnection] {
  const a = new MemoryConnection();
  const b = new MemoryConnection();
  a.peer = b;
  b.peer = a;
  return [a, b];
}
