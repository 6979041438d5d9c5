// Two connections that are each other's peer, without a system in between: tests drive the proxy through them. They
// behave as sockets do (connection.test.ts holds both to one contract); events come in microtasks, never inside a call.

import { spent } from "../core/spent.ts";
import { type Connection, type ConnectionHandler, HIGH_WATER, LOW_WATER, type PeerAddress } from "./connection.ts";
import { beginTurn, endTurn, flushOutbox, inOutbox } from "./outbox.ts";
import { OutputQueue } from "./output-queue.ts";
import type { TlsInfo } from "./tls-info.ts";

const NOBODY: ConnectionHandler = { onData() {}, onDrain() {}, onEnd() {}, onClose() {} };

export class MemoryConnection implements Connection {
  handler: ConnectionHandler = NOBODY;
  remoteAddress = "127.0.0.1";
  remotePort = 1;
  localAddress = "127.0.0.1";
  localPort = 2;
  tls: TlsInfo | null = null;
  closed = false;
  sent = 0;
  peer!: MemoryConnection;
  /** Bytes that the other side may have in flight before this one's writes are queued, as a socket buffer would. */
  window = HIGH_WATER;
  readonly #queue = new OutputQueue();
  #incoming: Buffer[] = [];
  #incomingBytes = 0;
  #paused = false;
  #wasFull = false;
  /** What to do once the queue is empty: nothing, close our side, close both. */
  #after: "" | "end" | "close" = "";
  /** Our end stands behind the last byte that the peer has yet to read. */
  #finished = false;
  #endTold = false;
  #scheduled = false;

  get queued(): number {
    return this.#queue.length;
  }
  get full(): boolean {
    return this.#queue.length > HIGH_WATER;
  }

  send(bytes: Buffer, start: number, end: number, _copy: boolean, given = false): void {
    if (this.closed || this.#after !== "") return;
    this.#queue.push(bytes, start, end, true);
    if (given) spent(bytes); // as early as a socket could, so that a test sees who looks at it after all
    this.#pump();
    if (this.full) this.#wasFull = true;
  }

  announce(remote: PeerAddress, local: PeerAddress): void {
    this.remoteAddress = remote.address;
    this.remotePort = remote.port;
    this.localAddress = local.address;
    this.localPort = local.port;
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
    if (this.closed || this.#after !== "") return;
    this.#after = "end";
    this.#pump();
  }
  close(): void {
    if (inOutbox(this)) flushOutbox();
    if (this.closed || this.#after === "close") return;
    this.#after = "close";
    const { handler } = this;
    this.handler = { ...NOBODY, onClose: (error) => handler.onClose(error) };
    this.resume();
    this.#pump();
  }
  destroy(reset = false): void {
    if (this.closed) return;
    this.#after = "close";
    this.handler = { ...NOBODY, onClose: this.handler.onClose.bind(this.handler) };
    this.#queue.clear();
    if (reset) this.peer.#reset();
    this.#schedule();
  }

  /** The peer is gone while bytes are on their way to or from it. */
  #reset(): void {
    this.#incoming = [];
    this.#incomingBytes = 0;
    queueMicrotask(() => this.#gone(new Error("ECONNRESET")));
  }

  #gone(error: Error | null): void {
    if (this.closed) return;
    this.closed = true;
    this.#finished = true;
    this.#queue.clear();
    this.#turn(() => this.handler.onClose(error));
    const { peer } = this;
    if (this.#incomingBytes > 0 || peer.#queue.length > 0) peer.#reset();
    else peer.#schedule();
  }

  /** Moves queued bytes to the peer as far as its window allows. */
  #pump(): void {
    const { peer } = this;
    if (peer.closed && this.#queue.length > 0) {
      this.#reset();
      return;
    }
    this.#queue.drainTo((piece) => {
      const taken = Math.max(0, Math.min(piece.length, this.window - peer.#incomingBytes));
      if (taken > 0) peer.#incoming.push(piece.subarray(0, taken) as Buffer);
      peer.#incomingBytes += taken;
      this.sent += taken;
      return taken;
    });
    peer.#schedule();
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#look();
    });
  }

  /** Tells everything that can be told by now. */
  #look(): void {
    const { peer } = this;
    while (!this.#paused && !this.closed && this.#incoming.length > 0) {
      const chunk = this.#incoming.shift()!;
      this.#incomingBytes -= chunk.length;
      this.#turn(() => this.handler.onData(chunk));
    }
    if (peer.#queue.length > 0 && this.#incomingBytes < peer.window && !peer.closed) peer.#pump();
    if (this.closed) return;
    if (this.#wasFull && this.#queue.length <= LOW_WATER) {
      this.#wasFull = false;
      this.#turn(() => this.handler.onDrain());
    }
    if (this.#after !== "" && this.#queue.length === 0 && !this.#finished) {
      this.#finished = true;
      peer.#schedule();
    }
    const isPeersEndRead = !this.#paused && this.#incoming.length === 0 && peer.#finished && peer.#queue.length === 0;
    if (isPeersEndRead && !this.#endTold) {
      this.#endTold = true;
      this.#turn(() => this.handler.onEnd());
    }
    const isClosed = this.#after === "close" && this.#queue.length === 0;
    if (isClosed || (isPeersEndRead && this.#finished)) this.#gone(null);
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
