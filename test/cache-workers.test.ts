// Workers do not ask a server twice for the same.
import { expect, test } from "bun:test";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, type SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const MINUTE = "Cache-Control: max-age=60";

const run = (folder: Folder, app: RawBackend, more: Readonly<Record<string, unknown>> = {}): Promise<SluiceProcess> =>
  runConfig(folder, {
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 2,
    shutdown: { drain: "20ms" },
    routes: [{ name: "app", cache: { tags: "surrogate-key" }, to: app.url, ...more }],
  });

/** Clients whose requests are under way; the system spreads them over both workers. */
async function ask(
  proxy: SluiceProcess,
  count: number,
  target = "/a",
  fields: readonly string[] = [],
): Promise<Peer[]> {
  const clients = await Promise.all(Array.from({ length: count }, () => Peer.connect(proxy.port())));
  for (const client of clients) client.send(request(target, fields));
  return clients;
}

/** The worst that can be in the connections of two workers: that all went to one. It happens once in 2^count. */
const busy = async (proxy: SluiceProcess): Promise<boolean> =>
  (await proxy.status()).workers.every(({ connections }) => connections > 0);

function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

test("a thousand requests for one cold key make one to the server", async () => {
  using folder = new Folder();
  const go = gate();
  const body = "x".repeat(300_000);
  await using app = await RawBackend.answering(async () => {
    await go.opened;
    return answer(200, body, [MINUTE, "X-Own: 1", "Surrogate-Key: t"]);
  });
  await using proxy = await run(folder, app);
  const clients = await ask(proxy, 1000);
  await until(() => busy(proxy), "both workers to have clients");
  await app.received(1);
  go.open();
  const said = new Set<string | null>();
  for (const client of clients) {
    const got = await client.response();
    if (got.body !== body || got.field("x-own") !== "1") throw new Error("another answer");
    said.add(got.field("cache-status"));
    client.close();
  }
  expect([...said].sort()).toEqual(["sluice; fwd=uri-miss; collapsed", "sluice; fwd=uri-miss; stored"]);
  expect(app.requests.length).toBe(1);
  for (let i = 0; i < 16; i += 1)
    expect((await exchange(proxy.port(), request("/a"))).field("cache-status")).toBe("sluice; hit");
  expect(app.requests.length).toBe(1);
}, 30_000);

test("what one worker has stored, the other one takes from it: variants, and answers without content too", async () => {
  using folder = new Folder();
  await using app = await RawBackend.answering((got) =>
    got.target === "/empty" ? answer(200, "", [MINUTE]) : answer(200, got.field("x-v") ?? "", [MINUTE, "Vary: X-V"]),
  );
  await using proxy = await run(folder, app);
  for (const [target, fields] of [
    ["/empty", []],
    ["/v", ["X-V: 1"]],
    ["/v", ["X-V: 2"]],
  ] as const) {
    const bodies = new Set<string>();
    for (let i = 0; i < 24; i += 1) bodies.add((await exchange(proxy.port(), request(target, fields))).body);
    expect(bodies.size).toBe(1);
  }
  expect(app.requests.length).toBeLessThanOrEqual(4); // a worker that has one variant may have to ask for another
}, 20_000);

test("an answer that is for one is asked for by each, in both workers", async () => {
  using folder = new Folder();
  const go = gate();
  await using app = await RawBackend.answering(async () => {
    await go.opened;
    return answer(200, `${app.requests.length}`, ["Cache-Control: private"]);
  });
  await using proxy = await run(folder, app);
  const clients = await ask(proxy, 40);
  await until(() => busy(proxy), "both workers to have clients");
  await app.received(1);
  go.open();
  for (const client of clients) {
    expect((await client.response()).status).toBe(200);
    client.close();
  }
  expect(app.requests.length).toBe(40);
}, 20_000);

test("a worker that ends takes nobody along", async () => {
  using folder = new Folder();
  await using app = await RawBackend.answering(() => answer(200, "hello", [MINUTE]));
  await using proxy = await run(folder, app);
  const targets = Array.from({ length: 20 }, (_, at) => `/${at}`);
  for (const target of targets) for (let i = 0; i < 4; i += 1) await exchange(proxy.port(), request(target));
  await proxy.admin("POST", "/api/workers/0/restart");
  await until(
    async () =>
      (await proxy.status()).workers.some(({ id, restarts, state }) => id === 0 && restarts === 1 && state === "ready"),
    "the worker to be replaced",
  );
  for (const target of targets)
    for (let i = 0; i < 4; i += 1) expect((await exchange(proxy.port(), request(target))).body).toBe("hello");
}, 20_000);
