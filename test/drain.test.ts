// The end: what has begun is finished, and nothing new begins.
import { describe, expect, test } from "bun:test";
import { answer, request } from "./support/message.ts";
import { Peer } from "./support/peer.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, SluiceProcess, sluice } from "./support/sluice.ts";
import { timed, until } from "./support/wait.ts";

const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

/** Answers `/slow` when it is let, `/chat` with an echo, everything else at once. */
class Backend implements AsyncDisposable {
  readonly server: RawBackend;
  readonly #release: () => void;
  private constructor(server: RawBackend, release: () => void) {
    this.server = server;
    this.#release = release;
  }
  static async start(): Promise<Backend> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const server = await RawBackend.start(async (peer, self) => {
      for (;;) {
        const message = await peer.request();
        self.requests.push(message);
        if (message.target === "/chat") {
          peer.send(SWITCH);
          while (!peer.ended)
            await peer.bytes(1).then(
              (byte) => peer.send(byte),
              () => peer.close(),
            );
        }
        if (message.target === "/slow") await promise;
        peer.send(answer(200, message.body === "" ? "ok" : message.body));
      }
    });
    return new Backend(server, resolve);
  }
  answerSlow(): void {
    this.#release();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]();
  }
}

const config = (backend: Backend, drain: string) => ({
  listeners: [{ address: "127.0.0.1:0" }],
  workers: 2,
  shutdown: { drain },
  routes: [{ to: backend.server.url }],
});

async function tunnelTo(port: number): Promise<Peer> {
  const client = await Peer.connect(port);
  client.send(request("/chat", ["Connection: Upgrade", "Upgrade: echo"]));
  expect((await client.head()).status).toBe(101);
  return client;
}

const refuses = async (port: number): Promise<boolean> => {
  try {
    (await Peer.connect(port)).close();
    return false;
  } catch (error) {
    return (error as { code?: string }).code === "ECONNREFUSED";
  }
};

describe("a graceful stop", () => {
  const WAYS: readonly (readonly [name: string, stop: (proxy: SluiceProcess) => Promise<void>])[] = [
    ["SIGTERM", async (proxy) => proxy.signal("SIGTERM")],
    ["SIGINT", async (proxy) => proxy.signal("SIGINT")],
    [
      "sluice drain",
      async (proxy) => {
        const { out, code } = await sluice(["drain", "--admin", proxy.adminUrl.slice("http://".length)]);
        expect([out, code]).toEqual(["draining: no new work is taken; the proxy stops when the rest is done\n", 0]);
      },
    ],
  ];
  for (const [name, stop] of WAYS)
    test(`${name}: requests in flight are answered, idle connections closed, new ones refused`, async () => {
      await using backend = await Backend.start();
      using folder = new Folder();
      await using proxy = await runConfig(folder, config(backend, "20s"));
      const port = proxy.port();
      await using idle = await Peer.connect(port);
      expect((await idle.send(request("/")).response()).field("connection")).toBeNull();
      await using fresh = await Peer.connect(port);
      await using waiting = await Peer.connect(port);
      waiting.send(request("/slow"));
      await using uploading = await Peer.connect(port);
      uploading.send(`PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc`);
      await backend.server.received(2);
      await until(
        async () => (await proxy.metrics()).get('sluice_connections{listener="127.0.0.1:0"}') === 4,
        "4 connections",
      );
      await stop(proxy);
      await idle.end();
      await fresh.end();
      await until(() => refuses(port), "new connections to be refused");
      expect(await proxy.admin("GET", "/readyz")).toEqual({
        status: 503,
        body: { ready: false, reasons: ["the proxy is draining"] },
      });
      expect((await proxy.status()).state).toBe("draining");
      expect((await proxy.reload()).status).toBe(422);
      expect([waiting.ended, uploading.ended, proxy.code]).toEqual([false, false, null]);
      backend.answerSlow();
      uploading.send("def");
      for (const [client, body] of [
        [waiting, "ok"],
        [uploading, "abcdef"],
      ] as const) {
        const got = await client.response();
        expect([got.status, got.body, got.field("connection")]).toEqual([200, body, "close"]);
        await client.end();
      }
      waiting.close();
      uploading.close();
      expect(await proxy.exited).toBe(0);
      expect(proxy.err).not.toContain("worker");
    });

  test("nothing to wait for: it ends at once", async () => {
    await using backend = await Backend.start();
    using folder = new Folder();
    await using proxy = await runConfig(folder, config(backend, "20s"));
    await using idle = await Peer.connect(proxy.port());
    await idle.send(request("/")).response();
    proxy.signal("SIGTERM");
    expect(await timed(() => proxy.exited)).toBeLessThan(2000);
    expect(proxy.code).toBe(0);
  });

  test("tunnels get the drain time and are cut then", async () => {
    const DRAIN_MS = 800;
    await using backend = await Backend.start();
    using folder = new Folder();
    await using proxy = await runConfig(folder, config(backend, `${DRAIN_MS}ms`));
    await using tunnel = await tunnelTo(proxy.port());
    await using stuck = await Peer.connect(proxy.port());
    stuck.send(request("/slow"));
    await backend.server.received(2);
    const took = await timed(async () => {
      proxy.signal("SIGTERM");
      await until(() => refuses(proxy.port()), "new connections to be refused");
      expect(await tunnel.send("!").bytes(1)).toBe("!");
      await Promise.all([tunnel.end(), stuck.end(), proxy.exited]);
    });
    expect(took).toBeGreaterThanOrEqual(DRAIN_MS - 50);
    expect(took).toBeLessThan(DRAIN_MS + 2000);
    expect(proxy.code).toBe(0);
  });

  test("a tunnel that ends by itself lets the proxy end before the drain time", async () => {
    await using backend = await Backend.start();
    using folder = new Folder();
    await using proxy = await runConfig(folder, config(backend, "20s"));
    await using tunnel = await tunnelTo(proxy.port());
    proxy.signal("SIGTERM");
    await until(() => refuses(proxy.port()), "new connections to be refused");
    expect(await tunnel.send("!").bytes(1)).toBe("!");
    tunnel.close();
    expect(await timed(() => proxy.exited)).toBeLessThan(2000);
    expect(proxy.code).toBe(0);
  });

  test("a second SIGTERM waits for nothing", async () => {
    await using backend = await Backend.start();
    using folder = new Folder();
    await using proxy = await runConfig(folder, config(backend, "20s"));
    await using stuck = await Peer.connect(proxy.port());
    stuck.send(request("/slow"));
    await backend.server.received(1);
    proxy.signal("SIGTERM");
    await proxy.said("stopping");
    proxy.signal("SIGTERM");
    expect(await timed(() => proxy.exited)).toBeLessThan(2000);
    expect(proxy.code).toBe(0);
    await stuck.end();
  });

  test("a stop in the middle of a reload", async () => {
    using folder = new Folder();
    const text = (wait: string) => `import { defineConfig } from "sluice";
      ${wait}
      export default defineConfig({
        listeners: [{ address: "127.0.0.1:0" }], admin: { address: "127.0.0.1:0" }, shutdown: { drain: "1s" },
        routes: [{ respond: {} }],
      });`;
    await using proxy = await SluiceProcess.start(["run", "-c", folder.write("sluice.config.ts", text(""))]);
    folder.write("sluice.config.ts", text('console.error("loading"); await new Promise(() => {});'));
    const reload = proxy.reload().catch(() => null);
    await proxy.said("loading");
    proxy.signal("SIGTERM");
    expect(await timed(() => proxy.exited)).toBeLessThan(4000);
    expect(proxy.code).toBe(0);
    await reload;
  });
});
