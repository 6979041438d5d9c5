// One stream of HTTP/2 as a Connection: what a tunnel reads from and writes to (RFC 8441 §4, RFC 9113 §8.5).
import { ERROR } from "../http/h2/frames.ts";
import type { Connection, ConnectionHandler, PeerAddress } from "../transport/connection.ts";
import { NOBODY } from "../transport/socket.ts";
import type { TlsInfo } from "../transport/tls-info.ts";
import type { Carrier, ExchangeStream } from "./exchange-stream.ts";

export class H2StreamConnection implements Connection {
  handler: ConnectionHandler = NOBODY;
  closed = false;
  readonly #stream: ExchangeStream;
  readonly #below: Carrier;
  readonly #reader: { stopReceiving(): void };
  /** Bytes handed to the stream. */
  #taken = 0;
  #isEnded = false;
  /** No more is read: what is queued leaves, then both ways are closed. */
  #isClosing = false;

  /** `below` is the connection that carries the stream; `reader` can stop what the stream receives. */
  constructor(stream: ExchangeStream, below: Carrier, reader: { stopReceiving(): void }) {
    this.#stream = stream;
    this.#below = below;
    this.#reader = reader;
  }

  get remoteAddress(): string {
    return this.#below.remoteAddress;
  }
  get remotePort(): number {
    return this.#below.remotePort;
  }
  get localAddress(): string {
    return this.#below.localAddress;
  }
  get localPort(): number {
    return this.#below.localPort;
  }
  get tls(): TlsInfo | null {
    return this.#below.tls;
  }
  get queued(): number {
    return this.#stream.queued;
  }
  get full(): boolean {
    return this.#stream.full;
  }
  get sent(): number {
    return this.#taken - this.#stream.queued;
  }

  send(bytes: Buffer, start: number, end: number, copy: boolean): void {
    if (this.closed || this.#isEnded) return;
    this.#taken += end - start;
    if (!copy) return this.#stream.sendData(bytes, start, end);
    const own = Buffer.from(bytes.subarray(start, end));
    this.#stream.sendData(own, 0, own.length);
  }

  /** A stream has no addresses of its own that somebody could announce. */
  announce(_remote: PeerAddress, _local: PeerAddress): void {}

  pause(): void {
    if (!this.closed) this.#stream.pause();
  }
  resume(): void {
    if (!this.closed) this.#stream.resume();
  }
  end(): void {
    if (this.closed || this.#isEnded) return;
    this.#isEnded = true;
    this.#stream.sendEnd(null);
  }
  close(): void {
    if (this.closed || this.#isClosing) return;
    this.#isClosing = true;
    const { handler } = this;
    this.handler = { ...NOBODY, onClose: (error) => handler.onClose(error) };
    this.end();
    this.#reader.stopReceiving();
  }
  /** RFC 8441 §5.1: a reset of the tunnel's other side is CANCEL on the stream. */
  destroy(reset = false): void {
    if (this.closed) return;
    this.#stream.reset(reset ? ERROR.cancel : ERROR.none);
    this.gone(null);
  }

  // ——— what the stream tells

  data(bytes: Buffer, from: number, to: number): void {
    this.handler.onData(bytes.subarray(from, to) as Buffer);
  }
  /** The stream is closed both ways. */
  gone(error: Error | null): void {
    if (this.closed) return;
    this.closed = true;
    this.handler.onClose(error);
  }
}
