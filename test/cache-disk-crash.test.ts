// The program is killed in the midst of storing, again and again: what it finds on the disk afterwards is what was stored,
// and nothing of what requests had changed before.
import { expect, test } from "bun:test";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { DiskState } from "../src/control/cache-disk.ts";
import { Folder, runConfig, type SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

/** More of them by hand: `SLUICE_KILLS=100 bun test …`. */
const KILLS = Number(process.env.SLUICE_KILLS ?? 10);
const KEYS = 60;
const CLIENTS = 8;
const LONG_BYTES = 1_200_000;

/** The content of a version of a key; some are long enough for a file of their own. */
function contentOf(key: number, version: number): string {
  const bytes = key % 20 === 0 ? LONG_BYTES + version : (key * 131 + version * 17) % 9000;
  return `${key}:${version}:${String.fromCharCode(97 + (version % 26)).repeat(bytes)}`;
}

class Versions implements AsyncDisposable {
  readonly #server = createServer((request, response) => this.#answer(request, response));
  readonly #versions = new Map<number, number>();
  gets = 0;

  static async start(): Promise<Versions> {
    const versions = new Versions();
    await new Promise<void>((resolve) => versions.#server.listen(0, "127.0.0.1", resolve));
    return versions;
  }
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
  #of(key: number): number {
    return this.#versions.get(key) ?? 0;
  }

  #answer({ url = "", method }: IncomingMessage, response: ServerResponse): void {
    const key = Number(url.slice(1));
    if (method === "POST") {
      const version = this.#of(key) + 1;
      this.#versions.set(key, version);
      return void response.writeHead(204, { "x-version": version }).end();
    }
    this.gets += 1;
    response.setHeader("cache-control", "max-age=600");
    response.end(contentOf(key, this.#of(key)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

const ask = (proxy: SluiceProcess, key: number, method = "GET"): Promise<Response> =>
  fetch(`http://127.0.0.1:${proxy.port()}/${key}`, { method, headers: { host: "app.example", connection: "close" } });

/** The version that an answer has; throws when it is not as it was sent. */
function versionIn(key: number, text: string): number {
  const version = Number(text.split(":")[1]);
  if (text !== contentOf(key, version)) throw new Error(`key ${key}: an answer that was never sent`);
  return version;
}

test(
  `${KILLS} kills`,
  async () => {
    using folder = new Folder();
    await using origin = await Versions.start();
    const path = join(folder.path, "cache");
    const config = {
      listeners: [{ address: "127.0.0.1:0" }],
      workers: 2,
      routes: [{ name: "app", cache: { memory: "16MB", disk: { path, size: "64MB" } }, to: origin.url }],
    };
    /** Of each key, what clients know to have been changed. */
    const known = new Map<number, number>();
    const disk = async (proxy: SluiceProcess): Promise<DiskState> =>
      ((await proxy.admin("GET", "/api/cache")).body as { disk: DiskState }).disk;
    let hits = 0;
    for (let kill = 0; kill <= KILLS; kill += 1) {
      await using proxy = await runConfig(folder, config);
      await until(async () => (await disk(proxy)).ready, "what is on the disk to be known");
      for (let key = 0; key < KEYS; key += 1) {
        const answer = await ask(proxy, key);
        if (answer.headers.get("cache-status") === "sluice; hit") hits += 1;
        expect(versionIn(key, await answer.text())).toBeGreaterThanOrEqual(known.get(key) ?? 0);
      }
      expect((await disk(proxy)).damaged).toBe(0);
      if (kill === KILLS) break;
      await interrupted(proxy, 10 + ((kill * 37) % 150), async (turn) => {
        const key = (turn * 7919) % KEYS;
        if (turn % 10 !== 0) return void versionIn(key, await (await ask(proxy, key)).text());
        const version = Number((await ask(proxy, key, "POST")).headers.get("x-version"));
        known.set(key, Math.max(version, known.get(key) ?? 0));
      });
    }
    expect(hits).toBeGreaterThan(KILLS * KEYS * 0.2);
  },
  20_000 + KILLS * 3000,
);

/** Lets clients work for a while, and kills the program in the midst of it. */
async function interrupted(proxy: SluiceProcess, ms: number, work: (turn: number) => Promise<void>): Promise<void> {
  let turn = 0;
  let isKilled = false;
  const client = async (): Promise<void> => {
    while (!isKilled) {
      turn += 1;
      try {
        await work(turn);
      } catch (error) {
        if (!isKilled) throw error;
      }
    }
  };
  const clients = Array.from({ length: CLIENTS }, client);
  await Bun.sleep(ms);
  isKilled = true;
  proxy.signal("SIGKILL");
  await Promise.all([proxy.exited, ...clients]);
}
