// The HTTP/2 client of Node.js itself, in a process of its own: the runtime of the tests has another one.
import { NodeScript } from "./node-script.ts";
import { until } from "./wait.ts";

export interface NodeRequest {
  readonly path: string;
  readonly method?: string;
  readonly body?: string;
  readonly fields?: Readonly<Record<string, string>>;
}
export interface NodeAnswer {
  readonly id: number;
  readonly status: number;
  readonly body: string;
  readonly trailers: Readonly<Record<string, string>>;
  readonly error: string;
}
type Said = { readonly kind: string } & Partial<NodeAnswer> & { readonly code?: number; readonly text?: string };

export class NodeH2 implements AsyncDisposable {
  /** Everything but answers, in order: `connected`, `goaway`, `closed`. */
  readonly events: Said[] = [];
  readonly #script: NodeScript;
  readonly #waiting = new Map<number, (answer: NodeAnswer) => void>();
  #asked = 0;

  private constructor(script: NodeScript) {
    this.#script = script;
    void this.#read();
  }

  /** Connects to an origin such as `https://localhost:8443`; certificates are not looked at. */
  static async connect(origin: string): Promise<NodeH2> {
    const client = new NodeH2(new NodeScript(new URL("./h2-client.mjs", import.meta.url), origin));
    await until(() => client.events.length > 0, `a connection to ${origin}`);
    if (client.events[0]!.kind !== "connected")
      throw new Error(`no connection to ${origin}: ${client.events[0]!.text}`);
    return client;
  }

  async #read(): Promise<void> {
    for await (const said of this.#script.said()) this.#take(said as Said);
  }

  #take(said: Said): void {
    if (said.kind !== "answer") {
      this.events.push(said);
      return;
    }
    this.#waiting.get(said.id!)?.(said as NodeAnswer);
    this.#waiting.delete(said.id!);
  }

  ask({ path, method = "GET", body = "", fields = {} }: NodeRequest): Promise<NodeAnswer> {
    const { promise, resolve } = Promise.withResolvers<NodeAnswer>();
    const id = (this.#asked += 1);
    this.#waiting.set(id, resolve);
    this.#script.say({ id, path, method, body, fields });
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#script.kill();
  }
}
