// Servers of layer 4, and what the proxy logs of sessions with them.
import { existsSync, readFileSync } from "node:fs";
import type { UpstreamInput } from "./fleet.ts";
import { Peer } from "./peer.ts";
import { RawBackend } from "./raw-backend.ts";
import { Folder, runConfig, type SluiceProcess } from "./sluice.ts";
import { until } from "./wait.ts";

/** A line of the access log about a session. */
export interface SessionLine {
  readonly protocol: "tcp" | "udp";
  readonly ip: string;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  readonly listener: string;
  readonly upstream: string;
  readonly server?: string;
  readonly upstreamMs?: number;
  readonly fault?: string;
}

/** Greets with its name, then sends back what it gets; ends when its client has ended. */
export function echoServer(name: string, where: number | string = 0): Promise<RawBackend> {
  return RawBackend.start(async (peer) => {
    peer.send(name);
    peer.socket.on("data", (chunk: Buffer) => peer.send(chunk));
    peer.socket.on("end", () => peer.finish());
  }, where);
}

/** A client that has heard who its server is. */
export interface Greeted {
  readonly peer: Peer;
  readonly server: string;
}

/** TCP servers named a, b, c, … that echo, and proxies in front of them. */
export class Streams implements AsyncDisposable {
  readonly folder = new Folder();
  readonly servers: RawBackend[] = [];
  readonly #clients: Peer[] = [];

  static async start(count: number): Promise<Streams> {
    const streams = new Streams();
    for (let i = 0; i < count; i += 1) streams.servers.push(await echoServer(String.fromCharCode(97 + i)));
    return streams;
  }

  address(at: number): string {
    return `127.0.0.1:${this.servers[at]!.port}`;
  }

  config(app: UpstreamInput = {}, tcp: object = {}, listener: object = {}): Record<string, unknown> {
    return {
      listeners: [{ address: "127.0.0.1:0", tcp: { to: "app", ...tcp }, ...listener }],
      workers: 2,
      shutdown: { drain: "20ms" },
      log: { access: { path: `${this.folder.path}/access.log` } },
      upstreams: { app: { servers: this.servers.map((_, at) => this.address(at)), ...app } },
    };
  }
  /** A proxy of two workers with the admin API and one listener, whose connections go to the servers. */
  run(app: UpstreamInput = {}, tcp: object = {}, listener: object = {}): Promise<SluiceProcess> {
    return runConfig(this.folder, this.config(app, tcp, listener));
  }
  /** Puts another configuration into use. */
  async reload(proxy: SluiceProcess, config: Readonly<Record<string, unknown>>): Promise<void> {
    this.folder.write("sluice.json", { admin: { address: "127.0.0.1:0" }, ...config });
    const { status, body } = await proxy.reload();
    if (status !== 200) throw new Error(`reload: ${status} ${JSON.stringify(body)}`);
  }

  async connect(proxy: SluiceProcess): Promise<Peer> {
    const peer = await Peer.connect(proxy.port());
    this.#clients.push(peer);
    return peer;
  }
  /** A session with a server. Rejects with PeerGone when there is none. */
  async open(proxy: SluiceProcess): Promise<Greeted> {
    const peer = await this.connect(proxy);
    return { peer, server: await peer.bytes(1) };
  }
  /** The names of the servers of so many sessions, one after the other; `-` for one that was cut. */
  async ask(proxy: SluiceProcess, count: number): Promise<string> {
    let names = "";
    for (let i = 0; i < count; i += 1) {
      const peer = await this.connect(proxy);
      await peer.when(() => peer.bytesIn > 0 || peer.ended, "a greeting or the end");
      names += peer.bytesIn > 0 ? await peer.bytes(1) : "-";
      peer.close();
    }
    return names;
  }

  get lines(): SessionLine[] {
    const file = `${this.folder.path}/access.log`;
    if (!existsSync(file)) return [];
    const whole = readFileSync(file, "utf8").split("\n").slice(0, -1);
    return whole.map((line) => JSON.parse(line) as SessionLine);
  }
  /** Waits for so many lines of the log. */
  async logged(count: number): Promise<SessionLine[]> {
    await until(() => this.lines.length >= count, `${count} lines of the log`);
    return this.lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#clients) peer.close();
    for (const server of this.servers) await server[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

/** What one client sends comes back, whatever it is. */
export async function echoes(peer: Peer, text: string): Promise<boolean> {
  peer.send(text);
  return (await peer.bytes(text.length)) === text;
}

/** Waits until the connection was reset: an orderly end would look like the end of an answer. */
export async function wasReset(peer: Peer): Promise<boolean> {
  await peer.when(() => peer.closed, "the close");
  return peer.error === "ECONNRESET";
}
