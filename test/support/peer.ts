// One end of a connection on raw bytes: a client, or what a server accepted.
import { connect, type Socket } from "node:net";
import { field, Message } from "./message.ts";
import { DEADLINE_MS } from "./wait.ts";

/** The other side ended before what was waited for had come. */
export class PeerGone extends Error {}

export class Peer implements AsyncDisposable {
  readonly socket: Socket;
  /** Bytes received so far, the ones already taken included. */
  bytesIn = 0;
  /** The other side has closed its sending side, or the connection is gone. */
  ended = false;
  closed = false;
  /** Code of the error that ended it: ECONNRESET and the like. */
  error = "";
  /** Bytes are counted and dropped. */
  discarding = false;
  #received: Buffer = Buffer.alloc(0);
  #wakers: (() => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => {
      this.bytesIn += chunk.length;
      if (!this.discarding) this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    socket.on("end", () => {
      this.ended = true;
      this.#wake();
    });
    socket.on("error", (error: Error & { code?: string }) => {
      this.error = error.code ?? error.message;
    });
    socket.on("close", () => {
      this.ended = true;
      this.closed = true;
      this.#wake();
    });
  }

  /** Connects to a port of 127.0.0.1, or to a unix socket; `from` is an address of loopback. */
  static connect(to: number | string, from = "127.0.0.1"): Promise<Peer> {
    const { promise, resolve, reject } = Promise.withResolvers<Peer>();
    const where = typeof to === "number" ? { port: to, host: "127.0.0.1", localAddress: from } : { path: to };
    const socket = connect({ ...where, allowHalfOpen: true });
    const peer = new Peer(socket);
    socket.once("connect", () => resolve(peer));
    socket.once("error", reject);
    return promise;
  }

  #wake(): void {
    const wakers = this.#wakers;
    this.#wakers = [];
    for (const wake of wakers) wake();
  }

  /** Waits until `condition` holds; it is looked at after everything that happens to the connection. */
  async when(condition: () => boolean, what: string, ms = DEADLINE_MS): Promise<void> {
    const deadline = performance.now() + ms;
    while (!condition()) {
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`not within ${ms} ms: ${what}; received ${JSON.stringify(this.peek(300))}`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wakers.push(resolve);
      const timer = setTimeout(resolve, left);
      await promise;
      clearTimeout(timer);
    }
  }

  async #have(condition: () => boolean, what: string, ms?: number): Promise<void> {
    await this.when(() => condition() || this.ended, what, ms);
    if (!condition()) throw new PeerGone(`ended before ${what}; received ${JSON.stringify(this.peek(300))}`);
  }

  send(bytes: string | Uint8Array): this {
    this.socket.write(typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes);
    return this;
  }

  /** What has arrived and was not taken. */
  peek(most = Number.POSITIVE_INFINITY): string {
    return this.#received.latin1Slice(0, Math.min(most, this.#received.length));
  }

  #take(bytes: number): string {
    const text = this.#received.latin1Slice(0, bytes);
    this.#received = this.#received.subarray(bytes) as Buffer;
    return text;
  }

  /** Everything up to and with `marker`. */
  async through(marker: string, ms?: number): Promise<string> {
    await this.#have(() => this.#received.includes(marker, 0, "latin1"), JSON.stringify(marker), ms);
    return this.#take(this.#received.indexOf(marker, 0, "latin1") + marker.length);
  }

  async bytes(count: number, ms?: number): Promise<string> {
    await this.#have(() => this.#received.length >= count, `${count} bytes`, ms);
    return this.#take(count);
  }

  /** The next head; its body stays to be read. */
  async head(ms?: number): Promise<Message> {
    return new Message((await this.through("\r\n\r\n", ms)).slice(0, -4));
  }

  /** The next request as a whole. */
  async request(): Promise<Message> {
    const message = await this.head();
    await this.#body(message, "none");
    return message;
  }

  /** The next response as a whole, interim ones too; `method` is that of its request. */
  async response(method = "GET", ms?: number): Promise<Message> {
    const message = await this.head(ms);
    const { status } = message;
    if (method !== "HEAD" && status >= 200 && status !== 204 && status !== 304) await this.#body(message, "close");
    return message;
  }

  async #body(message: Message, otherwise: "none" | "close"): Promise<void> {
    if (message.field("transfer-encoding") === "chunked") return this.#chunked(message);
    const length = message.field("content-length");
    if (length !== null) message.body = await this.bytes(Number(length));
    else if (otherwise === "close") {
      await this.when(() => this.ended, "the end of a body without length");
      message.body = this.#take(this.#received.length);
    }
  }

  async #chunked(message: Message): Promise<void> {
    for (;;) {
      const piece = await this.chunk();
      if (piece === null) break;
      message.body += piece;
    }
    const trailers: string[] = [];
    for (let line = await this.through("\r\n"); line !== "\r\n"; line = await this.through("\r\n"))
      trailers.push(line.slice(0, -2));
    message.trailers = trailers.map(field);
  }

  /** The content of the next chunk; null for the last one, whose trailers stay to be read. */
  async chunk(): Promise<string | null> {
    const size = Number.parseInt(await this.through("\r\n"), 16);
    if (size === 0) return null;
    return (await this.bytes(size + 2)).slice(0, -2);
  }

  async end(ms?: number): Promise<void> {
    await this.when(() => this.ended, "the other side's end", ms);
  }

  /** Sends as much as the other side takes, until that ends the connection. */
  async sendEndlessly(): Promise<void> {
    const piece = "x".repeat(65_536);
    const feed = setInterval(() => {
      while (this.socket.writable && this.socket.writableLength < 1_000_000) this.send(piece);
    }, 1);
    await this.end().finally(() => clearInterval(feed));
  }

  /** Closes the sending side; reading goes on. */
  finish(): void {
    this.socket.end();
  }
  reset(): void {
    this.socket.resetAndDestroy();
  }
  close(): void {
    this.socket.destroy();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.when(() => this.closed, "closing");
  }
}

/** Sends a request on a connection of its own and answers with the response. */
export async function exchange(to: number | string, text: string): Promise<Message> {
  await using client = await Peer.connect(to);
  client.send(text);
  return await client.response(text.slice(0, text.indexOf(" ")));
}
