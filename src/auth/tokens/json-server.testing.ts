// A server of JSON on this machine, whose answers a test decides.

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | null;
  readonly body: string;
}

/** `answers` has what each path gets; all others get 404. */
export class JsonServer implements AsyncDisposable {
  readonly asked: Asked[] = [];
  readonly answers = new Map<string, () => Response | Promise<Response>>();
  readonly #server: Bun.Server<undefined>;

  constructor() {
    this.#server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: (request) => this.#answer(request) });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }
  /** How often a path was asked for. */
  count(path: string): number {
    return this.asked.filter((one) => one.path === path).length;
  }
  set(path: string, value: unknown, headers: Readonly<Record<string, string>> = {}): void {
    this.answers.set(path, () => Response.json(value, { headers }));
  }
  fail(path: string, status = 500): void {
    this.answers.set(path, () => new Response("no", { status }));
  }

  async #answer(request: Request): Promise<Response> {
    const path = new URL(request.url).pathname;
    const { method, headers } = request;
    this.asked.push({ method, path, authorization: headers.get("authorization"), body: await request.text() });
    return (await this.answers.get(path)?.()) ?? new Response("", { status: 404 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.stop(true);
  }
}
