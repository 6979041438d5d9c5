// Servers whose health and answers a test decides, and which keep what they were sent.
import type { UpstreamInput } from "./fleet.ts";
import { answer } from "./message.ts";
import { RawBackend } from "./raw-backend.ts";
import { Folder, runConfig, type SluiceProcess } from "./sluice.ts";

/** Servers that answer with their names a, b, c, …; `health` is what each says to checks of /healthz, `status` to requests. */
export class Servers implements AsyncDisposable {
  readonly all: RawBackend[] = [];
  readonly health: number[] = [];
  readonly status: number[] = [];
  readonly folder = new Folder();

  static async start(count: number): Promise<Servers> {
    const servers = new Servers();
    for (let i = 0; i < count; i += 1) await servers.add();
    return servers;
  }
  async add(): Promise<RawBackend> {
    const at = this.all.length;
    this.health.push(200);
    this.status.push(200);
    const id = String.fromCharCode(97 + at);
    const server = await RawBackend.answering((got) =>
      got.target === "/healthz" ? answer(this.health[at]!, "fine") : answer(this.status[at]!, id),
    );
    this.all.push(server);
    return server;
  }
  /** Requests that are no checks. */
  asked(at: number): number {
    return this.all[at]!.requests.filter(({ target }) => target !== "/healthz").length;
  }
  /** `host:port` of a server, its name in the admin API. */
  id(at: number): string {
    return `127.0.0.1:${this.all[at]!.port}`;
  }
  config(app: UpstreamInput): Record<string, unknown> {
    return {
      listeners: [{ address: "127.0.0.1:0" }],
      workers: 2,
      shutdown: { drain: "20ms" },
      upstreams: { app: { servers: this.all.map(({ url }) => url), ...app } },
      routes: [{ to: "app" }],
    };
  }
  /** A proxy of two workers, with the admin API, whose every request goes to them. */
  run(app: UpstreamInput, more: Readonly<Record<string, unknown>> = {}): Promise<SluiceProcess> {
    return runConfig(this.folder, { ...this.config(app), ...more });
  }
  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of this.all) await server[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}
