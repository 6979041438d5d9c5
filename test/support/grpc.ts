// gRPC peers of @grpc/grpc-js, each a process of Node.js of its own: HTTP/2 as others speak it.
import { NodeScript } from "./node-script.ts";
import { DEADLINE_MS } from "./wait.ts";

/** What a server has seen so far. */
export interface Seen {
  readonly calls: number;
  readonly cancelled: number;
  /** Bytes of messages of `Expand`. */
  readonly written: number;
  /** Milliseconds that calls had left when they came. */
  readonly timeouts: readonly number[];
  /** The metadata of the last call. */
  readonly fields: Readonly<Record<string, string>>;
  readonly peers: readonly string[];
  readonly rss: number;
}

export interface GrpcServerOptions {
  /** Files, for TLS. */
  readonly cert?: string;
  readonly key?: string;
  /** The status of all unary calls. */
  readonly fail?: number;
  /** Fields are sent before it. */
  readonly late?: boolean;
}

/** The server of grpc-server.mjs. */
export class GrpcServer implements AsyncDisposable {
  readonly port: number;
  readonly #script: NodeScript;

  private constructor(script: NodeScript, port: number) {
    this.#script = script;
    this.port = port;
  }
  static async start(options: GrpcServerOptions = {}): Promise<GrpcServer> {
    const script = new NodeScript(new URL("./grpc-server.mjs", import.meta.url), JSON.stringify(options));
    return new GrpcServer(script, await script.port());
  }

  /** Ends it at once, with its connections. */
  async kill(): Promise<void> {
    await this.#script.kill();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

/** A call as grpc-client.mjs makes it. */
export interface Call {
  readonly kind: "unary" | "client" | "server" | "bidi";
  readonly path: string;
  /** A message's text, or `[count, size]`. */
  readonly send?: string | readonly [count: number, size: number];
  readonly metadata?: Readonly<Record<string, string>>;
  /** Milliseconds that it may take. */
  readonly deadline?: number;
  /** Cancelled once so many messages have come; 0: at once. */
  readonly cancel?: number;
  /** Milliseconds between its messages. */
  readonly pause?: number;
}

export interface Called {
  readonly code: number;
  readonly details: string;
  readonly messages: number;
  readonly bytes: number;
  /** The first messages as text. */
  readonly text: string;
  /** SHA-256 of all messages. */
  readonly hash: string;
  readonly head: Readonly<Record<string, string>>;
  readonly trailers: Readonly<Record<string, string>>;
  readonly ms: number;
}

/** The client of grpc-client.mjs. */
export class GrpcClient implements AsyncDisposable {
  readonly #script: NodeScript;
  readonly #waiting = new Map<number, (answer: never) => void>();
  #id = 0;

  constructor(port: number, caFile?: string) {
    const caFiles = caFile === undefined ? [] : [caFile];
    this.#script = new NodeScript(new URL("./grpc-client.mjs", import.meta.url), `127.0.0.1:${port}`, ...caFiles);
    void this.#read();
  }

  async #read(): Promise<void> {
    for await (const said of this.#script.said()) {
      const { id, ...answer } = said as { readonly id: number };
      this.#waiting.get(id)?.(answer as never);
      this.#waiting.delete(id);
    }
  }

  #ask<T>(question: object, ms: number): Promise<T> {
    this.#id += 1;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${JSON.stringify(question)}`)), ms);
    this.#waiting.set(this.#id, (answer: T) => {
      clearTimeout(timer);
      resolve(answer);
    });
    this.#script.say({ id: this.#id, ...question });
    return promise;
  }

  call(call: Call, ms: number = DEADLINE_MS): Promise<Called> {
    return this.#ask(call, ms);
  }
  unary(send: string, more: Partial<Call> = {}): Promise<Called> {
    return this.call({ kind: "unary", path: "/test.Echo/Unary", send, ...more });
  }
  /** The same call `times` times with different messages: codes by how often, and answers that were not the message. */
  many(
    call: Call & { readonly times: number; readonly atOnce: number },
    ms: number,
  ): Promise<{ readonly codes: Readonly<Record<string, number>>; readonly wrong: number }> {
    return this.#ask(call, ms);
  }
  /** What the server has seen, asked through the proxy. */
  async seen(): Promise<Seen> {
    return JSON.parse((await this.unary("", { path: "/test.Echo/Seen" })).text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#script.kill();
  }
}
