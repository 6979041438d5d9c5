// The HTTP/2 server of Node.js itself, in a process of its own: the runtime of the tests has another one.
import { NodeScript } from "./node-script.ts";
import { until } from "./wait.ts";

/** What it says of its work: see h2-server.mjs. */
export interface ServerSaid {
  readonly kind: "listening" | "session" | "gone" | "request" | "closed" | "most" | "upgrade" | "settled";
  readonly port?: number;
  readonly path?: string;
  readonly method?: string;
  readonly code?: number;
  readonly session?: number;
  readonly count?: number;
}

export interface NodeH2ServerOptions {
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Over TLS: HTTP/1.1 for those who do not choose h2. */
  readonly allowHTTP1?: boolean;
  readonly http1Only?: boolean;
  readonly settings?: { readonly maxConcurrentStreams?: number; readonly enableConnectProtocol?: boolean };
  readonly answersPerSession?: number;
  /** Milliseconds before it answers with what it got. */
  readonly delay?: number;
}

/** What most paths answer with: the request as the server has got it. */
export interface Echoed {
  readonly version: 1 | 2;
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: number;
  readonly sha256: string;
  readonly trailers: Readonly<Record<string, string>>;
  readonly session: number;
}

export class NodeH2Server implements AsyncDisposable {
  readonly said: ServerSaid[] = [];
  readonly #script: NodeScript;

  private constructor(script: NodeScript) {
    this.#script = script;
    void this.#read();
  }

  static async start(options: NodeH2ServerOptions = {}): Promise<NodeH2Server> {
    const server = new NodeH2Server(
      new NodeScript(new URL("./h2-server.mjs", import.meta.url), JSON.stringify(options)),
    );
    await until(() => server.said.length > 0, "the server to listen");
    return server;
  }

  async #read(): Promise<void> {
    for await (const said of this.#script.said()) this.said.push(said as ServerSaid);
  }

  get port(): number {
    return this.said[0]!.port!;
  }
  /** Reads all that it has to say so far. */
  async settled(): Promise<void> {
    const before = this.#settled();
    this.#script.say("?");
    await until(() => this.#settled() > before, "the server to be read");
  }
  #settled(): number {
    return this.said.filter(({ kind }) => kind === "settled").length;
  }
  /** How often it has said that. */
  async count(kind: ServerSaid["kind"], path?: string): Promise<number> {
    await this.settled();
    return this.said.filter((each) => each.kind === kind && (path === undefined || each.path === path)).length;
  }
  /** Waits until it has said it. */
  async hears(kind: ServerSaid["kind"], path?: string): Promise<ServerSaid> {
    const found = (): ServerSaid | undefined =>
      this.said.find((each) => each.kind === kind && (path === undefined || each.path === path));
    await until(() => found() !== undefined, `the server to say ${kind} ${path ?? ""}`);
    return found()!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#script.kill();
  }
}
