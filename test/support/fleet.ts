// Several servers behind a proxy that runs as users run it, and the load that goes through it while things break.
import type { ConfigInput } from "../../src/index.ts";
import { BackendProcess, type Behaviour, Journal } from "./backend-process.ts";
import { MixedLoadProcess, type MixPlan, type MixReport } from "./mixed-load.ts";
import { Folder, runConfig, type SluiceProcess } from "./sluice.ts";

export type UpstreamInput = NonNullable<ConfigInput["upstreams"]>[string];

/** Servers named a, b, c, … that share a journal. */
export class Fleet implements AsyncDisposable {
  readonly folder = new Folder();
  readonly journal = new Journal(`${this.folder.path}/journal`);
  readonly servers: BackendProcess[] = [];

  static async start(count: number, behaviour: Partial<Behaviour> = {}): Promise<Fleet> {
    const fleet = new Fleet();
    for (let i = 0; i < count; i += 1) await fleet.add(behaviour);
    return fleet;
  }

  /** On one port of several addresses, as servers that are found by their name are. */
  static async onOnePort(hostnames: readonly string[]): Promise<Fleet> {
    for (let tries = 0; ; tries += 1) {
      const fleet = new Fleet();
      try {
        for (const hostname of hostnames) await fleet.add({}, { hostname, port: fleet.servers[0]?.port ?? 0 });
        return fleet;
      } catch (error) {
        await fleet[Symbol.asyncDispose](); // The port was taken at another address.
        if (tries === 3) throw error;
      }
    }
  }

  async add(
    behaviour: Partial<Behaviour> = {},
    where: { hostname?: string; port?: number } = {},
  ): Promise<BackendProcess> {
    const count = this.servers.length;
    const plan = { id: String.fromCharCode(97 + count), seed: count + 1, ...behaviour, ...where };
    const server = await BackendProcess.start(plan, this.journal);
    this.servers.push(server);
    return server;
  }

  /** A proxy of two workers, with the admin API, whose every request goes to the upstream `app`. */
  proxy(app: UpstreamInput = {}, more: Partial<ConfigInput> = {}): Promise<SluiceProcess> {
    return runConfig(this.folder, {
      listeners: [{ address: "127.0.0.1:0" }],
      workers: 2,
      upstreams: { app: { servers: this.servers.map(({ url }) => url), ...app } },
      routes: [{ to: "app" }],
      shutdown: { drain: "20ms" },
      ...more,
    });
  }

  /** Load for as long as the work takes. */
  async underLoad(
    proxy: SluiceProcess,
    work: () => Promise<unknown>,
    plan: Partial<MixPlan> = { connections: 16, pauseMs: 8, postEvery: 5 },
  ): Promise<MixReport> {
    await using load = new MixedLoadProcess({ port: proxy.port(), ...plan });
    await work();
    return await load.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.servers.map((server) => server[Symbol.asyncDispose]()));
    this.folder[Symbol.dispose]();
  }
}

/** Changes an upstream at run time. Answers with the status. */
export async function upstreamApi(
  proxy: SluiceProcess,
  method: "POST" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
): Promise<{ status: number; body: string }> {
  const response = await fetch(`${proxy.adminUrl}/api/upstreams/${path}`, {
    method,
    headers: { "content-type": "application/json", connection: "close" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.text() };
}
