// Servers and clients of datagrams.
import { createSocket, type Socket } from "node:dgram";
import { DEADLINE_MS } from "./wait.ts";

async function bound(port: number): Promise<Socket> {
  const socket = createSocket("udp4");
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.once("error", reject);
  socket.bind(port, "127.0.0.1", resolve);
  await promise;
  return socket;
}
const closed = (socket: Socket): Promise<void> => new Promise((resolve) => socket.close(() => resolve()));

/** Sends back what it gets, with its name in front. */
export class UdpEcho implements AsyncDisposable {
  readonly #socket: Socket;
  /** Ports that something came from: one for each session. */
  readonly peers: Set<number> = new Set();
  readonly port: number;
  #stopped = false;

  constructor(name: string, socket: Socket) {
    this.#socket = socket;
    this.port = socket.address().port;
    socket.on("error", () => {});
    socket.on("message", (bytes, { port, address }) => {
      this.peers.add(port);
      socket.send(`${name}:${bytes.toString("latin1")}`, port, address);
    });
  }
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await closed(this.#socket);
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
export const udpEcho = async (name: string, port = 0): Promise<UdpEcho> => new UdpEcho(name, await bound(port));

/** A client with a port of its own. */
export class UdpClient implements AsyncDisposable {
  readonly #socket: Socket;
  readonly #to: number;
  readonly got: string[] = [];
  #heard: () => void = () => {};

  constructor(socket: Socket, to: number) {
    this.#socket = socket;
    this.#to = to;
    socket.on("error", () => {});
    socket.on("message", (bytes) => {
      this.got.push(bytes.toString("latin1"));
      this.#heard();
    });
  }
  send(text: string): void {
    this.#socket.send(text, this.#to, "127.0.0.1");
  }
  /** The answer to what is sent; null when none comes within `ms`. */
  async answer(text: string, ms: number): Promise<string | null> {
    const { length } = this.got;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#heard = resolve;
    const timer = setTimeout(resolve, ms);
    this.send(text);
    await promise;
    clearTimeout(timer);
    return this.got[length] ?? null;
  }
  /** The same where one must come. */
  async ask(text: string): Promise<string> {
    const answer = await this.answer(text, DEADLINE_MS);
    if (answer === null) throw new Error(`no answer to ${text}`);
    return answer;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return closed(this.#socket);
  }
}
export const udpClient = async (to: number): Promise<UdpClient> => new UdpClient(await bound(0), to);
