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

/** The same, once both workers have clients. */
async function askBoth(...asked: Parameters<typeof ask>): Promise<Peer[]> {
  const clients = await ask(...asked);
  await until(() => busy(asked[0]), "both workers to have clients");
  return clients;
}

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
  const clients = await askBoth(proxy, 1000);
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
  const clients = await askBoth(proxy, 40);
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

/** A server that sends a head, at once or when it is told to, and pieces of its content whenever it is told to. */
async function streaming(pieces: number, piece: string, head: Promise<void> = Promise.resolve()) {
  const gates = Array.from({ length: pieces }, gate);
  const length = `Content-Length: ${pieces * piece.length}`;
  const app = await RawBackend.answering(async ({ target }, peer) => {
    if (target === "/marker") return answer(200);
    await head;
    peer.send(`HTTP/1.1 200 OK\r\n${length}\r\n${MINUTE}\r\n\r\n`);
    for (const each of gates) {
      await each.opened;
      peer.send(piece);
    }
    return null;
  });
  return { app, gates, [Symbol.asyncDispose]: () => app[Symbol.asyncDispose]() };
}

const SAID = ["sluice; fwd=uri-miss; collapsed", "sluice; fwd=uri-miss; stored"];

test("clients of all workers follow an answer as it comes, however long that takes", async () => {
  using folder = new Folder();
  const piece = "x".repeat(700_000);
  await using server = await streaming(3, piece);
  const { app, gates } = server;
  await using proxy = await run(folder, app);
  const clients = await askBoth(proxy, 40);
  const said = new Set<string | null>();
  for (const client of clients) said.add((await client.head()).field("cache-status"));
  expect([...said].sort()).toEqual(SAID);
  // The pieces come while the answer is still open, in each worker.
  gates[0]!.open();
  for (const client of clients) expect((await client.bytes(piece.length)).length).toBe(piece.length);
  // Who comes later gets all of it, without another question.
  const late = await ask(proxy, 20);
  for (const client of late) expect((await client.head()).field("cache-status")).toBe(SAID[0]!);
  for (const client of late) expect(await client.bytes(piece.length)).toBe(piece);
  await Bun.sleep(5500); // longer than anybody waits for a head
  for (const each of gates) each.open();
  for (const client of [...clients, ...late]) {
    expect((await client.bytes(2 * piece.length)).length).toBe(2 * piece.length);
    client.close();
  }
  for (let i = 0; i < 8; i += 1)
    expect((await exchange(proxy.port(), request("/a"))).field("cache-status")).toBe("sluice; hit");
  expect(app.requests.length).toBe(1);
}, 30_000);

test("what is too large to be stored is still asked for once by those who wait, and held up by the slowest", async () => {
  using folder = new Folder();
  const piece = "x".repeat(1_000_000);
  const head = gate();
  await using server = await streaming(40, piece, head.opened);
  const { app, gates } = server;
  await using proxy = await run(folder, app, { cache: { memory: "8MB" } });
  const clients = await askBoth(proxy, 12);
  // What was sent before this has been read: who comes after the head asks for itself.
  for (let i = 0; i < 16; i += 1) await exchange(proxy.port(), request("/marker"));
  head.open();
  for (const client of clients) {
    await client.head();
    client.discarding = true;
  }
  const slow = clients[7]!;
  slow.socket.pause();
  for (const each of gates) each.open();
  await until(() => clients[0]!.bytesIn > 500_000, "the first bytes");
  // Sockets and windows take some; the rest waits in the server.
  const peer = await app.peer(0);
  await until(() => peer.socket.writableLength > 0, "the server to be held up");
  slow.socket.resume();
  for (const client of clients) {
    await client.when(() => client.bytesIn > 40 * piece.length, "all of it", 15_000);
    client.close();
  }
  expect(app.requests.filter(({ target }) => target === "/a").length).toBe(1);
}, 30_000);

test("an answer that breaks off breaks off for the clients of all workers", async () => {
  using folder = new Folder();
  const piece = "x".repeat(100_000);
  await using server = await streaming(2, piece);
  const { app, gates } = server;
  await using proxy = await run(folder, app);
  const clients = await askBoth(proxy, 20);
  for (const client of clients) await client.head();
  gates[0]!.open();
  for (const client of clients) await client.bytes(piece.length);
  (await app.peer(0)).reset();
  for (const client of clients) {
    await client.end();
    client.close();
  }
  expect(app.requests.length).toBe(1);
}, 20_000);

test("the end of the worker that fetches ends it for those who follow elsewhere, and nobody waits for it", async () => {
  using folder = new Folder();
  const piece = "x".repeat(100_000);
  await using server = await streaming(2, piece);
  const { app, gates } = server;
  await using proxy = await run(folder, app);
  const clients = await askBoth(proxy, 20);
  for (const client of clients) await client.head();
  gates[0]!.open();
  for (const client of clients) await client.bytes(piece.length);
  let id = -1;
  await until(async () => {
    const { workers } = (await proxy.admin("GET", "/api/cache")).body as { workers: { filling: number }[] };
    id = workers.findIndex(({ filling }) => filling > 0);
    return id >= 0;
  }, "the worker that fetches");
  await proxy.admin("POST", `/api/workers/${id}/restart`);
  for (const client of clients) {
    await client.end();
    client.close();
  }
  for (const each of gates) each.open();
  const again = await ask(proxy, 1);
  expect((await again[0]!.response()).body.length).toBe(2 * piece.length);
  again[0]!.close();
}, 20_000);

test("a stale answer is validated once for all workers, and not at once again when that fails", async () => {
  using folder = new Folder();
  let down = false;
  const STALE = "Cache-Control: max-age=1, stale-if-error=60";
  await using app = await RawBackend.answering(async (got) => {
    if (got.field("if-none-match") === null) return answer(200, "hello", [STALE, 'ETag: "a"']);
    await Bun.sleep(50);
    return down ? answer(503, "down") : `HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n${STALE}\r\n\r\n`;
  });
  await using proxy = await run(folder, app);
  for (let i = 0; i < 16; i += 1) await exchange(proxy.port(), request("/a"));
  expect(app.requests.length).toBe(1);
  await Bun.sleep(1500);
  const validated = await ask(proxy, 50);
  for (const client of validated) expect((await client.response()).body).toBe("hello");
  expect(app.requests.length).toBe(2);
  down = true;
  await Bun.sleep(1500);
  const stale = await ask(proxy, 50);
  for (const client of stale) {
    const got = await client.response();
    expect([got.status, got.body]).toEqual([200, "hello"]);
    expect(got.field("cache-status")).toContain("detail=stale-if-error");
  }
  for (let i = 0; i < 16; i += 1) expect((await exchange(proxy.port(), request("/a"))).body).toBe("hello");
  expect(app.requests.length).toBe(3);
  for (const client of [...validated, ...stale]) client.close();
}, 20_000);
