// A server on raw bytes that keeps everything it was sent.
import { createServer, type Server, type Socket } from "node:net";
import type { Message } from "./message.ts";
import { Peer, PeerGone } from "./peer.ts";
import { until } from "./wait.ts";

/** Serves one connection from its start to its end. */
export type Serve = (peer: Peer, backend: RawBackend) => Promise<void>;

export class RawBackend implements AsyncDisposable {
  readonly #server: Server;
  /** Every connection, in the order of their coming. */
  readonly peers: Peer[] = [];
  /** Every request that `answering` has read, in the order of their coming. */
  readonly requests: Message[] = [];
  readonly #failures: unknown[] = [];

  private constructor(server: Server, serve: Serve) {
    this.#server = server;
    server.on("connection", (socket: Socket) => {
      const peer = new Peer(socket);
      this.peers.push(peer);
      serve(peer, this).catch((error: unknown) => {
        if (!(error instanceof PeerGone)) this.#failures.push(error);
      });
    });
  }

  /** Listens on a port of 127.0.0.1 (0: a free one) or on a unix socket. */
  static async start(serve: Serve, where: number | string = 0): Promise<RawBackend> {
    const server = createServer({ allowHalfOpen: true });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    if (typeof where === "number") server.listen(where, "127.0.0.1", resolve);
    else server.listen(where, resolve);
    await promise;
    return new RawBackend(server, serve);
  }

  /** Answers each request with the text that `respond` makes of it; with null nothing is sent. */
  static answering(
    respond: (request: Message, peer: Peer) => string | null | Promise<string | null>,
    where: number | string = 0,
  ): Promise<RawBackend> {
    return RawBackend.start(async (peer, backend) => {
      while (!peer.ended) {
        const message = await peer.request();
        backend.requests.push(message);
        const text = await respond(message, peer);
        if (text !== null) peer.send(text);
      }
      peer.close();
    }, where);
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The connection with this number, counted from 0, once it is there. */
  async peer(index: number): Promise<Peer> {
    await until(() => this.peers.length > index, `connection ${index} of a backend`);
    return this.peers[index]!;
  }

  /** Waits for that many requests in all. */
  async received(count: number): Promise<void> {
    await until(
      () => this.requests.length >= count,
      `${count} requests at a backend; there are ${this.requests.length}`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const peer of this.peers) peer.close();
    await closed;
    if (this.#failures.length > 0) throw this.#failures[0];
  }
}
