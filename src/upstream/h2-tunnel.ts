// A stream of HTTP/2 that carries another protocol (RFC 8441), seen as a connection: tunnels know no difference.
import { ERROR } from "../http/h2/frames.ts";
import type { H2Stream, StreamHandler } from "../http/h2/stream.ts";
import type { Connection, ConnectionHandler } from "../transport/connection.ts";
import { flushOutbox, inOutbox } from "../transport/outbox.ts";
import { NOBODY } from "../transport/socket.ts";
import type { TlsInfo } from "../transport/tls-info.ts";

const RESET = new Error("ECONNRESET");

export class H2Tunnel implements Connection, StreamHandler {
  handler: ConnectionHandler = NOBODY;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly tls: TlsInfo | null;
  closed = false;
  readonly #stream: H2Stream;
  #accepted = 0;
  /** Our side is closed, or both are to be. */
  #ending = false;
  #closing = false;

  /** `below` is the connection of the stream. */
  constructor(stream: H2Stream, below: Connection) {
    this.#stream = stream;
    this.remoteAddress = below.remoteAddress;
    this.remotePort = below.remotePort;
    this.localAddress = below.localAddress;
    this.localPort = below.localPort;
    this.tls = below.tls;
  }

  get queued(): number {
    return this.#stream.queued;
  }
  get full(): boolean {
    return this.#stream.full;
  }
  get sent(): number {
    return this.#accepted - this.#stream.queued;
  }

  send(bytes: Buffer, start: number, end: number, copy: boolean): void {
    if (this.closed || this.#ending || start === end) return;
    this.#accepted += end - start;
    if (copy) this.#stream.sendData(Buffer.from(bytes.subarray(start, end)), 0, end - start);
    else this.#stream.sendData(bytes, start, end);
  }

  /** What is behind a proxy is known already. */
  announce(): void {}

  pause(): void {
    this.#stream.pause();
  }
  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    if (inOutbox(this)) flushOutbox();
    if (this.closed || this.#ending) return;
    this.#ending = true;
    this.#stream.sendEnd(null);
  }

  close(): void {
    this.end();
    if (this.closed || this.#closing) return;
    this.#closing = true;
    // What is queued still leaves; the peer's end, or whoever looks after the tunnel, ends the stream then.
    if (this.#stream.closed) this.#over(null);
    else if (this.#stream.queued === 0) this.#cut(ERROR.none, null);
    else this.#stream.resume();
  }

  destroy(reset = false): void {
    if (!this.closed) this.#cut(reset ? ERROR.cancel : ERROR.none, null);
  }

  #cut(code: number, error: Error | null): void {
    this.closed = true;
    this.#stream.reset(code);
    // Never inside the call, as with sockets.
    queueMicrotask(() => this.handler.onClose(error));
  }

  #over(error: Error | null): void {
    if (this.closed) return;
    this.closed = true;
    this.handler.onClose(error);
  }

  // ——— the stream's side

  onHead(): void {}

  onData(bytes: Buffer, from: number, to: number): void {
    if (!this.closed && !this.#closing) this.handler.onData(bytes.subarray(from, to) as Buffer);
  }

  onEnd(): void {
    if (!this.closed) this.handler.onEnd();
  }

  onStreamDrain(): void {
    if (!this.closed) this.handler.onDrain();
  }

  onReset(): void {
    this.#over(RESET);
  }

  /** The stream is over in both directions. */
  gone(): void {
    this.#over(null);
  }
}
