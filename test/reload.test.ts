// Another configuration while requests are served: not one of them may notice.
import { describe, expect, test } from "bun:test";
import { mkdirSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { listeningSockets } from "./support/listening.ts";
import { LoadProcess, type LoadRequest } from "./support/load.ts";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { refusingPort } from "./support/ports.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, SluiceProcess } from "./support/sluice.ts";
import { timed, until } from "./support/wait.ts";

/** Reloads of the load test, and the time between them; `RELOAD_EVERY_MS=1000` makes it the 20 reloads in 20 s. */
const RELOADS = 20;
const RELOAD_EVERY_MS = Number(process.env.RELOAD_EVERY_MS ?? 300);
const CONNECTIONS = 48;

const json = (routes: readonly unknown[], more: Readonly<Record<string, unknown>> = {}) => ({
  listeners: [{ address: "127.0.0.1:0" }],
  admin: { address: "127.0.0.1:0" },
  workers: 2,
  routes,
  ...more,
});

/** A proxy that answers everything with a word. */
const saying = (word: string, more: Readonly<Record<string, unknown>> = {}) =>
  json([{ respond: { body: word } }], more);

const says = async (port: number): Promise<string> => (await exchange(port, request("/"))).body;

/** Asks on connections of their own until every worker must have answered one of them. */
async function everybodySays(port: number): Promise<string[]> {
  const words = await Promise.all(Array.from({ length: 24 }, () => says(port)));
  return [...new Set(words)].sort();
}

interface Diagnostics {
  readonly diagnostics: readonly { readonly severity: string; readonly message: string; readonly line: number }[];
}

describe("under load", () => {
  /** A server that says who it is and what it got. */
  const serve = (name: string) =>
    Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      idleTimeout: 255,
      fetch: async (got) => new Response(`${name} ${got.method} ${new URL(got.url).pathname} ${await got.text()}`),
    });

  const LOAD: readonly LoadRequest[] = [
    // The header is the route's, the body the upstream's: both must be of one configuration.
    { text: request("/who/x"), answers: { 200: ["^[AB] GET /x $"] }, echoed: "x-config" },
    {
      text: request("/who/y", [], "POST", "z".repeat(2000)),
      answers: { 200: ["^[AB] POST /y z{2000}$"] },
      echoed: "x-config",
    },
    { text: request("/same"), answers: { 200: ["^A GET /same $"] } },
    { text: request("/only-a"), answers: { 200: ["^only in A$"], 404: ["^nothing$"] } },
  ];

  function configOf(letter: "A" | "B", turn: number, urls: Readonly<Record<"A" | "B", string>>) {
    const who = {
      name: "who",
      match: { path: "/who/*" },
      rewrite: { stripPrefix: "/who" },
      responseHeaders: { set: { "x-config": letter } },
      to: "app",
    };
    const rest = [
      { name: "same", match: { path: "/same" }, to: "same" },
      { name: "none", respond: { status: 404, body: "nothing" } },
    ];
    const onlyA = { name: "only-a", match: { path: "/only-a" }, respond: { body: "only in A" } };
    return json(letter === "A" ? [onlyA, who, ...rest] : [who, ...rest], {
      listeners: [{ address: "127.0.0.1:0" }, ...(letter === "B" ? [{ address: "127.0.0.1:0" }] : [])],
      // Other servers each time, and other settings, so that the pool is a new one.
      upstreams: {
        app: { servers: [urls[letter]], timeouts: { connect: `${2000 + turn}ms` } },
        same: { servers: [urls.A] },
      },
    });
  }

  test(
    `${RELOADS} reloads with other routes, upstreams and listeners lose nothing`,
    async () => {
      await using a = serve("A");
      await using b = serve("B");
      const urls = { A: `http://127.0.0.1:${a.port}`, B: `http://127.0.0.1:${b.port}` };
      using folder = new Folder();
      await using proxy = await runConfig(folder, configOf("A", 0, urls));
      const port = proxy.port();
      const sockets = listeningSockets(port);
      expect(sockets).toHaveLength(2);
      await using load = new LoadProcess({
        port,
        connections: CONNECTIONS,
        requests: LOAD,
        pauseMs: 0,
        reconnect: false,
      });
      let second = 0;
      for (let turn = 1; turn <= RELOADS; turn += 1) {
        const letter = turn % 2 === 1 ? "B" : "A";
        folder.write("sluice.json", configOf(letter, turn, urls));
        const took = await timed(async () => {
          expect(await proxy.reload()).toMatchObject({ status: 200, body: { ok: true } });
          const answers = await Promise.all(Array.from({ length: 8 }, () => exchange(port, request("/who/x"))));
          expect(new Set(answers.map(({ body }) => body))).toEqual(new Set([`${letter} GET /x `]));
          if (letter === "B") second = Number((await proxy.status()).listeners[1]?.bound.split(":").at(-1));
          if (letter === "B") expect((await exchange(second, request("/same"))).body).toBe("A GET /same ");
          else await expect(Peer.connect(second)).rejects.toMatchObject({ code: "ECONNREFUSED" });
        });
        await Bun.sleep(Math.max(0, RELOAD_EVERY_MS - took)); // the pace of the reloads, not a wait for anything
      }
      const report = await load.stop();
      expect(report.failures).toEqual([]);
      expect(report.failed).toBe(0);
      expect(listeningSockets(port)).toEqual(sockets);
      expect(report.answered).toBeGreaterThan(1000);
      for (const kind of ["200 A GET /x ", "200 B GET /x ", "200 only in A", "404 nothing"])
        expect(report.byAnswer).toHaveProperty([kind], expect.any(Number));
      const metrics = await proxy.metrics();
      expect(metrics.get('sluice_config_reloads_total{result="ok"}')).toBe(RELOADS);
      expect([...metrics.keys()].filter((key) => key.includes("undefined"))).toEqual([]);
      expect(proxy.err).not.toContain(" error ");
    },
    RELOADS * RELOAD_EVERY_MS + 60_000,
  );
});

describe("an invalid configuration changes nothing", () => {
  const BROKEN: readonly (readonly [name: string, text: string, line: number, column: number, message: RegExp])[] = [
    ["text that is no YAML", "listeners: [\n", 2, 1, /./],
    ["an unknown key", "listeners: [{ address: ':0' }]\nroutes:\n  - too: x\n", 3, 5, /unknown key "too"/],
    [
      "an upstream that is not there",
      "listeners: [{ address: ':0' }]\nroutes: [{ to: x }]\n",
      2,
      16,
      /no upstream named "x"/,
    ],
    [
      "what only compiling the routes shows",
      "listeners: [{ address: ':0' }]\nroutes:\n  - { rewrite: { path: /a, regex: [b, c] }, to: http://a }\n",
      3,
      16,
      /whole path/,
    ],
  ];
  for (const [name, text, line, column, message] of BROKEN)
    test(name, async () => {
      using folder = new Folder();
      const file = folder.write("sluice.yaml", JSON.stringify(saying("one")));
      await using proxy = await SluiceProcess.start(["run", "-c", file]);
      const before = await proxy.status();
      folder.write("sluice.yaml", text);
      const { status, body } = await proxy.reload();
      expect(status).toBe(422);
      expect((body as Diagnostics).diagnostics[0]).toMatchObject({
        severity: "error",
        file,
        message: expect.stringMatching(message),
        line,
        column,
      });
      expect((await proxy.status()).configLoadedAt).toBe(before.configLoadedAt);
      expect(await everybodySays(proxy.port())).toEqual(["one"]);
      expect((await proxy.metrics()).get('sluice_config_reloads_total{result="failed"}')).toBe(1);
    });

  test("an address that somebody else has, with all new listeners given back", async () => {
    await using taken = await RawBackend.answering(() => answer(200));
    const free = await refusingPort();
    using folder = new Folder();
    await using proxy = await runConfig(folder, saying("one"));
    const listeners = [0, free, taken.port].map((port) => ({ address: `127.0.0.1:${port}` }));
    folder.write("sluice.json", saying("two", { listeners }));
    const { status, body } = await proxy.reload();
    expect(status).toBe(422);
    expect((body as Diagnostics).diagnostics[0]?.message).toContain(`cannot listen on 127.0.0.1:${taken.port}`);
    await expect(Peer.connect(free)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    expect(await everybodySays(proxy.port())).toEqual(["one"]);
  });

  test("an admin address that somebody else has", async () => {
    await using taken = await RawBackend.answering(() => answer(200));
    using folder = new Folder();
    await using proxy = await runConfig(folder, saying("one"));
    folder.write("sluice.json", saying("two", { admin: { address: `127.0.0.1:${taken.port}` } }));
    expect((await proxy.reload()).status).toBe(422);
    expect(await everybodySays(proxy.port())).toEqual(["one"]);
  });
});

describe("what brings a reload about", () => {
  test("SIGHUP", async () => {
    using folder = new Folder();
    await using proxy = await runConfig(folder, saying("one"));
    folder.write("sluice.json", saying("two"));
    proxy.signal("SIGHUP");
    await proxy.said("configuration reloaded");
    expect(await everybodySays(proxy.port())).toEqual(["two"]);
    folder.write("sluice.json", "{");
    proxy.signal("SIGHUP");
    await proxy.said(/error configuration not reloaded .*line=1/);
    expect(await everybodySays(proxy.port())).toEqual(["two"]);
  });

  test("--watch: written in place, renamed over, behind a link, and mended after a mistake", async () => {
    using folder = new Folder();
    mkdirSync(join(folder.path, "v1"));
    mkdirSync(join(folder.path, "v2"));
    folder.write("v1/sluice.json", saying("one"));
    folder.write("v2/sluice.json", saying("linked"));
    symlinkSync("v1", join(folder.path, "current"));
    symlinkSync("current/sluice.json", join(folder.path, "sluice.json"));
    await using proxy = await SluiceProcess.start(["run", "--watch", "-c", join(folder.path, "sluice.json")]);
    const becomes = (word: string) => until(async () => (await everybodySays(proxy.port())).join() === word, word);
    symlinkSync("v2", join(folder.path, "next"));
    renameSync(join(folder.path, "next"), join(folder.path, "current"));
    await becomes("linked");
    folder.write("new.json", saying("renamed"));
    renameSync(join(folder.path, "new.json"), join(folder.path, "sluice.json"));
    await becomes("renamed");
    folder.write("sluice.json", "{ broken");
    await proxy.said("configuration not reloaded");
    expect(await everybodySays(proxy.port())).toEqual(["renamed"]);
    folder.write("sluice.json", saying("mended"));
    await becomes("mended");
  });

  test("--watch follows what a TypeScript configuration imports, a file that came with a failed reload too", async () => {
    using folder = new Folder();
    const config = (imports: string, body: string) => `import { defineConfig } from "sluice";
      ${imports}
      export default defineConfig(${JSON.stringify(saying("@")).replace('"@"', body)});`;
    folder.write("sluice.config.ts", config("", '"one"'));
    await using proxy = await SluiceProcess.start(["run", "--watch", "-c", join(folder.path, "sluice.config.ts")]);
    folder.write("word.ts", "export const word = (;");
    folder.write("sluice.config.ts", config('import { word } from "./word.ts";', "word"));
    await proxy.said("configuration not reloaded");
    folder.write("word.ts", 'export const word = "two";');
    await until(async () => (await says(proxy.port())) === "two", "the imported word");
    folder.write("word.ts", 'export const word = "three";');
    await until(async () => (await says(proxy.port())) === "three", "the changed word");
  });
});

test("a changed plugin is read anew by every worker", async () => {
  using folder = new Folder();
  const plugin = (word: string) => `import { definePlugin } from "sluice";
    export const word = definePlugin({ name: "word", request: (x) => x.respond(200, "${word}") });`;
  folder.write("plugin.ts", plugin("one"));
  const file = folder.write(
    "sluice.config.ts",
    `import { defineConfig } from "sluice";
    import { word } from "./plugin.ts";
    export default defineConfig({
      listeners: [{ address: "127.0.0.1:0" }], admin: { address: "127.0.0.1:0" }, workers: 3,
      routes: [{ use: [word], respond: {} }],
    });`,
  );
  await using proxy = await SluiceProcess.start(["run", "-c", file]);
  expect(await everybodySays(proxy.port())).toEqual(["one"]);
  for (const word of ["two", "three"]) {
    folder.write("plugin.ts", plugin(word));
    expect((await proxy.reload()).status).toBe(200);
    expect(await everybodySays(proxy.port())).toEqual([word]);
  }
});

describe("what goes on", () => {
  const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

  /** A server that becomes an echo. */
  const echoing = () =>
    RawBackend.start(async (peer) => {
      await peer.head();
      peer.send(SWITCH);
      while (!peer.ended)
        await peer.bytes(1).then(
          (byte) => peer.send(byte),
          () => peer.close(),
        );
    });

  async function tunnelTo(port: number): Promise<Peer> {
    const client = await Peer.connect(port);
    client.send(request("/chat", ["Connection: Upgrade", "Upgrade: echo"]));
    expect((await client.head()).status).toBe(101);
    return client;
  }

  const echoes = async (client: Peer): Promise<void> => expect(await client.send("!").bytes(1)).toBe("!");

  test("a tunnel outlives reloads, even one that takes its route and upstream away", async () => {
    await using backend = await echoing();
    using folder = new Folder();
    const upstreams = { chat: { servers: [backend.url] } };
    await using proxy = await runConfig(folder, json([{ to: "chat" }], { upstreams }));
    await using client = await tunnelTo(proxy.port());
    const next = [
      json([{ match: { path: "/x" }, respond: {} }, { to: "chat" }], { upstreams }),
      json([{ to: "chat" }], { upstreams: { chat: { servers: [backend.url], timeouts: { idle: "1s" } } } }),
      saying("no chat"),
    ];
    for (const config of next) {
      folder.write("sluice.json", config);
      expect((await proxy.reload()).status).toBe(200);
      await echoes(client);
    }
  });

  test("a request in flight ends on the plan that it began with, and counts for its route", async () => {
    const release = Promise.withResolvers<void>();
    await using backend = await RawBackend.answering(() => release.promise.then(() => answer(200, "slow")));
    using folder = new Folder();
    const slow = {
      name: "slow",
      match: { path: "/slow" },
      responseHeaders: { set: { "x-plan": "first" } },
      to: backend.url,
    };
    await using proxy = await runConfig(folder, json([slow, { name: "rest", respond: {} }]));
    await using client = await Peer.connect(proxy.port());
    client.send(request("/slow"));
    await backend.received(1);
    folder.write("sluice.json", json([{ name: "only", respond: { body: "new" } }]));
    expect((await proxy.reload()).status).toBe(200);
    release.resolve();
    const got = await client.response();
    expect([got.status, got.body, got.field("x-plan"), got.field("connection")]).toEqual([200, "slow", "first", null]);
    expect((await client.send(request("/slow")).response()).body).toBe("new");
    await proxy.counted('sluice_requests_total{route="slow",method="GET",code="200"}', 1);
    await proxy.counted('sluice_requests_total{route="only",method="GET",code="200"}', 1);
  });

  test("a listener that is taken away refuses at once; its requests are answered, its tunnels get the drain time", async () => {
    const DRAIN_MS = 700;
    const release = Promise.withResolvers<void>();
    await using chat = await echoing();
    await using slow = await RawBackend.answering(() => release.promise.then(() => answer(200, "slow")));
    using folder = new Folder();
    const config = (listeners: number) =>
      json(
        [
          { match: { path: "/chat" }, to: chat.url },
          { match: { path: "/slow" }, to: slow.url },
          { respond: { body: "ok" } },
        ],
        {
          listeners: Array.from({ length: listeners }, () => ({ address: "127.0.0.1:0" })),
          shutdown: { drain: `${DRAIN_MS}ms` },
        },
      );
    await using proxy = await runConfig(folder, config(2));
    const [kept, gone] = [proxy.port(0), proxy.port(1)];
    await using keptTunnel = await tunnelTo(kept);
    await using tunnel = await tunnelTo(gone);
    await using idle = await Peer.connect(gone);
    expect((await idle.send(request("/")).response()).body).toBe("ok");
    await using busy = await Peer.connect(gone);
    busy.send(request("/slow"));
    await slow.received(1);
    folder.write("sluice.json", config(1));
    const cutAfter = await timed(async () => {
      expect((await proxy.reload()).status).toBe(200);
      await expect(Peer.connect(gone)).rejects.toMatchObject({ code: "ECONNREFUSED" });
      await idle.end();
      await echoes(tunnel);
      release.resolve();
      const got = await busy.response();
      expect([got.body, got.field("connection")]).toEqual(["slow", "close"]);
      await busy.end();
      await tunnel.end();
    });
    expect(cutAfter).toBeGreaterThanOrEqual(DRAIN_MS - 50);
    await echoes(keptTunnel);
    expect(await says(kept)).toBe("ok");
  });
});

describe("what a reload changes besides", () => {
  test("the admin API moves; the answer to the reload still arrives", async () => {
    const port = await refusingPort();
    using folder = new Folder();
    await using proxy = await runConfig(folder, saying("one"));
    folder.write("sluice.json", saying("two", { admin: { address: `127.0.0.1:${port}` } }));
    expect((await proxy.reload()).status).toBe(200);
    const moved = await fetch(`http://127.0.0.1:${port}/api/status`);
    expect(moved.status).toBe(200);
    const old = Number(proxy.adminUrl.split(":").at(-1));
    await until(
      () =>
        Peer.connect(old)
          .then(
            (peer) => peer.close(),
            () => true,
          )
          .then(Boolean),
      "the old address to refuse",
    );
    folder.write("sluice.json", saying("three", { admin: false }));
    expect((await fetch(`http://127.0.0.1:${port}/api/config/reload`, { method: "POST" })).status).toBe(200);
    await until(
      () =>
        Peer.connect(port)
          .then(
            (peer) => peer.close(),
            () => true,
          )
          .then(Boolean),
      "the API to be off",
    );
    expect(await everybodySays(proxy.port())).toEqual(["three"]);
  });

  test("the log's level", async () => {
    using folder = new Folder();
    await using proxy = await runConfig(folder, saying("one", { log: { level: "error" } }));
    expect((await proxy.reload()).status).toBe(200);
    folder.write("sluice.json", saying("two", { log: { level: "info" } }));
    expect((await proxy.reload()).status).toBe(200);
    await proxy.said("configuration reloaded");
    expect(proxy.err.match(/configuration reloaded/g)).toHaveLength(2); // the supervisor's and the admin API's, once each
  });

  test("more workers start; fewer are said to take a restart", async () => {
    using folder = new Folder();
    await using proxy = await runConfig(folder, saying("one", { workers: 1 }));
    const sockets = listeningSockets(proxy.port());
    folder.write("sluice.json", saying("two", { workers: 3 }));
    expect(await proxy.reload()).toMatchObject({ status: 200, body: { diagnostics: [] } });
    await until(
      async () => (await proxy.status()).workers.filter(({ state }) => state === "ready").length === 3,
      "3 workers",
    );
    expect(listeningSockets(proxy.port())).toHaveLength(3);
    expect(listeningSockets(proxy.port())).toEqual(expect.arrayContaining(sockets));
    expect(await everybodySays(proxy.port())).toEqual(["two"]);
    folder.write("sluice.json", saying("three", { workers: 2 }));
    const { status, body } = await proxy.reload();
    expect(status).toBe(200);
    expect((body as Diagnostics).diagnostics).toMatchObject([
      { severity: "warning", message: expect.stringContaining("3 workers go on") },
    ]);
    expect((await proxy.status()).workers).toHaveLength(3);
  });
});
