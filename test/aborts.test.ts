// A client that goes away: its server is told at once, the log says 499, and nobody takes it for the server's fault.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { UpstreamInput } from "./support/fleet.ts";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { MARKER, proxyHasRead, startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder } from "./support/sluice.ts";
import { timed, until } from "./support/wait.ts";

/** Every way in which an abort could count against a server, at its most sensitive. */
const TOUCHY: UpstreamInput = {
  outlier: { consecutiveErrors: 1, errorRate: "1%", minRequests: 1, interval: "1s", maxEjected: "100%" },
  circuitBreaker: { errorRate: "1%", minRequests: 1 },
};

/** Answers `/held` never, `/half` with half of what it promises, and everything else at once. */
const backend = (): Promise<RawBackend> =>
  RawBackend.answering((got) => {
    if (got.target.startsWith("/held")) return null;
    return got.target === "/half" ? answer(200, "x".repeat(1000)).slice(0, -500) : answer(200, "ok");
  });

const start = (servers: readonly RawBackend[], app: UpstreamInput = {}, log?: string): Promise<TestProxy> =>
  startProxy({
    upstreams: { app: { servers: servers.map(({ url }) => url), ...TOUCHY, ...app } },
    routes: [MARKER, { to: "app" }],
    ...(log === undefined ? {} : { log: { access: { path: log } } }),
  });

/** A client that only closes its sending side is given a second to be answered (docs/security.md). */
const WAYS = [
  ["reset", 500],
  ["finish", 1600],
] as const;

/** The client leaves, and the proxy has noticed. */
async function leave(proxy: TestProxy, client: Peer, way: "reset" | "finish"): Promise<void> {
  client[way]();
  if (way === "finish") await client.end();
  await proxyHasRead(proxy.port);
}

describe("the server's connection ends", () => {
  const CASES: readonly (readonly [name: string, text: string, answered: boolean])[] = [
    ["before the answer", request("/held"), false],
    ["in the middle of the request's body", request("/held", ["Content-Length: 1000"], "POST") + "x".repeat(10), false],
    ["in the middle of the answer", request("/half"), true],
  ];
  for (const [way, mostMs] of WAYS)
    for (const [name, text, answered] of CASES)
      test(`${name} (${way})`, async () => {
        await using app = await RawBackend.start(async (peer, self) => {
          const head = await peer.head();
          self.requests.push(head);
          if (head.target === "/half") peer.send(answer(200, "x".repeat(1000)).slice(0, -500));
          await peer.end();
        });
        await using proxy = await start([app]);
        await using client = await Peer.connect(proxy.port);
        client.send(text);
        const server = await app.peer(0);
        await app.received(1);
        if (answered) await client.through("xxx");
        client[way]();
        expect(await timed(() => server.end())).toBeLessThan(mostMs);
        expect(app.requests.length).toBe(1);
      });
});

test("the log says 499, and which server it was", async () => {
  using folder = new Folder();
  const path = `${folder.path}/access.log`;
  await using app = await backend();
  {
    await using proxy = await start([app], {}, path);
    for (const [way] of WAYS) {
      await using client = await Peer.connect(proxy.port);
      client.send(request(`/held-${way}`));
      await until(() => app.requests.some(({ target }) => target === `/held-${way}`), "the request");
      client[way]();
      await app.peers.at(-1)!.end();
    }
    await exchange(proxy.port, request("/well"));
  }
  const lines = readFileSync(path, "utf8").trim().split("\n");
  const entries = lines.map((line) => JSON.parse(line) as { target: string; status: number; server: string });
  expect(entries.map(({ target, status }) => [target, status])).toEqual([
    ["/held-reset", 499],
    ["/held-finish", 499],
    ["/well", 200],
  ]);
  for (const entry of entries) expect(entry.server).toContain(String(app.port));
});

test("it counts against no server, no circuit and no limit", async () => {
  await using a = await backend();
  await using b = await backend();
  await using proxy = await start([a, b], { limits: { connections: 2, queue: 0 } });
  for (let i = 0; i < 20; i += 1) {
    await using client = await Peer.connect(proxy.port);
    const before = a.requests.length + b.requests.length;
    client.send(request("/held"));
    await until(() => a.requests.length + b.requests.length > before, "the request at a server");
    client[i % 10 === 9 ? "finish" : "reset"]();
    await until(() => [...a.peers, ...b.peers].every(({ ended }) => ended), "the end of the server's connection");
  }
  const seen = { a: a.requests.length, b: b.requests.length };
  expect(seen).toEqual({ a: 10, b: 10 });
  for (let i = 0; i < 4; i += 1) expect((await exchange(proxy.port, request("/well"))).status).toBe(200);
  expect([a.requests.length, b.requests.length]).toEqual([12, 12]);
});

test("nothing is sent for a client that left while it waited for room", async () => {
  using folder = new Folder();
  const path = `${folder.path}/access.log`;
  await using app = await backend();
  {
    await using proxy = await start([app], { limits: { connections: 1, queue: 5, queueTimeout: "8s" } }, path);
    await using first = await Peer.connect(proxy.port);
    first.send(request("/held"));
    await app.received(1);
    for (const [way] of WAYS) {
      await using client = await Peer.connect(proxy.port);
      client.send(request(`/waits-${way}`));
      await proxyHasRead(proxy.port);
      await leave(proxy, client, way);
    }
    first.reset();
    await app.peers[0]!.end();
    expect((await exchange(proxy.port, request("/well"))).status).toBe(200);
    expect(app.requests.map(({ target }) => target)).toEqual(["/held", "/well"]);
  }
  const lines = readFileSync(path, "utf8").trim().split("\n");
  const entries = lines.map((line) => JSON.parse(line) as { target: string; status: number });
  const asked = entries.filter(({ target }) => target !== "/marker").map(({ target, status }) => [target, status]);
  expect(asked).toEqual([
    ["/waits-reset", 499],
    ["/waits-finish", 499],
    ["/held", 499],
    ["/well", 200],
  ]);
});

test("a client that leaves between two tries is not tried for again", async () => {
  await using stack = new AsyncDisposableStack();
  const servers: RawBackend[] = [];
  for (let i = 0; i < 4; i += 1) servers.push(stack.use(await RawBackend.answering(() => answer(503))));
  const asked = () => servers.reduce((sum, { requests }) => sum + requests.length, 0);
  await using proxy = await startProxy({
    upstreams: {
      app: { servers: servers.map(({ url }) => url), outlier: false, retry: { attempts: 3, backoff: "5s" } },
    },
    routes: [MARKER, { to: "app" }],
  });
  for (let tries = 0; tries < 4; tries += 1) {
    const before = asked();
    await using client = await Peer.connect(proxy.port);
    client.send(request("/"));
    await until(() => asked() >= before + 2, "the second try"); // a pause of up to 5 s begins
    client.reset();
    await proxyHasRead(proxy.port);
  }
  const seen = asked();
  expect(seen).toBeLessThanOrEqual(4 * 3); // a pause may have been over before the client left
  await Bun.sleep(2000); // of four pauses one at least is over by then, in 7 runs of 8
  expect(asked()).toBe(seen);
}, 20_000);
