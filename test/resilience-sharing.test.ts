// What threads share of servers: places that a dead worker had taken, a queue that one worker's room ends in another, and
// names that are found later.
import { expect, test } from "bun:test";
import { DnsServer } from "./support/dns-server.ts";
import { Fleet } from "./support/fleet.ts";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

/** Two workers, and a server that takes `places` requests at a time; `/crash` throws in the worker that serves it. */
const crashing = (url: string, places: number): string => `import { defineConfig, definePlugin } from "sluice";
const bomb = definePlugin({
  name: "bomb",
  request(x) {
    setTimeout(() => { throw new Error("boom"); }, 1);
    return x.respond(202);
  },
});
export default defineConfig({
  listeners: [{ address: "127.0.0.1:0" }], admin: { address: "127.0.0.1:0" }, workers: 2,
  upstreams: { app: { servers: ["${url}"], limits: { connections: ${places}, queue: 0 } } },
  routes: [{ match: { path: "/crash" }, use: [bomb], respond: {} }, { to: "app" }],
});`;

test("the places of a worker that dies are free again", async () => {
  const PLACES = 6;
  using folder = new Folder();
  await using app = await RawBackend.answering((got) => (got.target === "/held" ? null : answer(200, "ok")));
  const file = folder.write("sluice.config.ts", crashing(app.url, PLACES));
  await using proxy = await SluiceProcess.start(["run", "-c", file]);
  const holding: Peer[] = [];
  for (let i = 0; i < PLACES; i += 1) {
    const client = await Peer.connect(proxy.port());
    holding.push(client.send(request("/held")));
    await app.received(i + 1);
  }
  const status = async () => (await exchange(proxy.port(), request("/"))).status;
  expect(await status()).toBe(503); // the limit is that of all workers together
  let crashes = 0;
  // Each crash is one of the two workers'; sooner or later it is one that holds something.
  while (holding.every(({ ended }) => !ended)) {
    await exchange(proxy.port(), request("/crash"));
    crashes += 1;
    const restarts = async () => (await proxy.status()).workers.reduce((sum, worker) => sum + worker.restarts, 0);
    await until(async () => (await restarts()) === crashes, "the worker's replacement");
  }
  await until(async () => (await status()) === 200, "a free place");
  const freed = holding.filter(({ ended }) => ended).length;
  const inFlight = async () =>
    ((await proxy.admin("GET", `/api/upstreams/app/servers/127.0.0.1:${app.port}`)).body as { inFlight: number })
      .inFlight;
  await until(async () => (await inFlight()) === PLACES - freed, "what is in flight to be what is held");
  for (const client of holding) client.close();
  await until(async () => (await inFlight()) === 0, "nothing in flight");
});

test("who waits in one worker hears of room that another one made", async () => {
  const waiting: (() => void)[] = [];
  await using app = await RawBackend.answering(async (got) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.push(resolve);
    await promise;
    return answer(200, got.target);
  });
  using folder = new Folder();
  await using proxy = await runConfig(folder, {
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 2,
    shutdown: { drain: "20ms" },
    upstreams: { app: { servers: [app.url], limits: { connections: 1, queue: 20, queueTimeout: "6s" } } },
    routes: [{ to: "app" }],
  });
  const COUNT = 16; // connections are spread at random: both workers have some
  const all = Array.from({ length: COUNT }, (_, i) => exchange(proxy.port(), request(`/${i}`)));
  for (let i = 0; i < COUNT; i += 1) {
    const from = performance.now();
    await until(() => waiting.length > i, `request ${i} at the server`);
    expect(waiting.length).toBe(i + 1); // never two at a time
    expect(performance.now() - from).toBeLessThan(1000);
    waiting[i]!();
  }
  expect((await Promise.all(all)).map(({ status }) => status)).toEqual(new Array<number>(COUNT).fill(200));
});

test("a name that is not known yet is no reason not to start; one that fails later keeps its servers", async () => {
  await using stack = new AsyncDisposableStack();
  const dns = await DnsServer.start();
  stack.defer(() => dns.close());
  dns.set("A later.test", { kind: "nxdomain" });
  await using fleet = await Fleet.onOnePort(["127.0.0.1", "127.0.0.2"]);
  await using proxy = await fleet.proxy(
    { servers: [], discover: { dns: `later.test:${fleet.servers[0]!.port}`, refresh: "1s" } },
    { resolver: { servers: [dns.address], minTtl: "200ms" } },
  );
  const ask = () => exchange(proxy.port(), request("/"));
  const early = await ask();
  expect(early.status).toBe(503);
  expect(Number(early.field("retry-after"))).toBeGreaterThanOrEqual(1);
  dns.set("A later.test", ["127.0.0.1"], 1);
  await until(async () => (await ask()).body === "a", "the server that was found");
  for (const kind of ["servfail", "silence", "nxdomain"] as const) {
    dns.set("A later.test", { kind });
    const asked = dns.questions.length;
    await until(() => dns.questions.length > asked + 1, `two questions after ${kind}`, 15_000);
    expect([kind, (await ask()).body]).toEqual([kind, "a"]);
  }
  dns.set("A later.test", ["127.0.0.2"], 1);
  await until(async () => (await ask()).body === "b", "the server's successor", 15_000);
}, 60_000);
