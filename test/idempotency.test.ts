// `idempotency` as clients and servers meet it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { RedisServer } from "../src/state/redis-server.testing.ts";
import { Peer } from "./support/peer.ts";
import { configOf, MARKER, proxyHasRead, startProxy, type TestProxy } from "./support/proxy.ts";
import { Folder } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

/** A server that counts what it carries out. Requests for /held are answered when the test says so. */
class Shop implements AsyncDisposable {
  orders = 0;
  bodies: string[] = [];
  readonly held: ServerResponse[] = [];
  readonly #server: Server;
  private constructor(server: Server) {
    this.#server = server;
  }
  static async open(): Promise<Shop> {
    const server = createServer((request, response) => void shop.#serve(request, response));
    const shop = new Shop(server);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return shop;
  }
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }
  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    try {
      for await (const piece of request) body += String(piece);
    } catch {
      return; // the proxy has left
    }
    this.orders += 1;
    this.bodies.push(body);
    const path = request.url ?? "";
    if (path === "/held") return void this.held.push(response);
    const status = Number(/^\/status\/(\d+)/.exec(path)?.[1] ?? 201);
    if (path === "/broken") {
      response.writeHead(200, { "content-length": "100" });
      response.write("part");
      return void setImmediate(() => response.destroy());
    }
    if (path === "/stream") {
      response.writeHead(200, { "content-type": "text/plain" });
      for (let i = 0; i < 4; i += 1) response.write("x".repeat(20_000));
      return void response.end();
    }
    response.writeHead(status, {
      "content-type": "application/json",
      "x-order": String(this.orders),
      "set-cookie": "a=1",
    });
    response.end(JSON.stringify({ order: this.orders, length: body.length }));
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

let server: Shop;
let proxy: TestProxy;
const idempotency = { maxBody: "32KB" };
const API_KEYS = ["ann", "bob"].map((name) => {
  return { name, key: `sha256:${createHash("sha256").update(`secret of ${name}`).digest("hex")}` };
});

beforeAll(async () => {
  server = await Shop.open();
  proxy = await startProxy({
    routes: [
      MARKER,
      { match: { host: "required" }, idempotency: { required: true, format: "uuid" }, to: server.url },
      { match: { host: "wait" }, idempotency: { concurrent: "wait" }, to: server.url },
      { match: { host: "errors" }, idempotency: { serverErrors: true }, to: server.url },
      { match: { host: "abort" }, idempotency: { whenClientLeaves: "abort" }, to: server.url },
      { match: { host: "loose" }, idempotency: { fingerprint: "off" }, to: server.url },
      { match: { host: "own" }, idempotency: {}, respond: { status: 202, body: "{requestId}" } },
      { match: { host: "users" }, idempotency: {}, auth: { apiKey: { keys: API_KEYS } }, to: server.url },
      { match: { host: "compressed" }, idempotency: {}, compress: { minSize: "1B" }, to: server.url },
      { idempotency, to: server.url },
    ],
  });
}, 20_000);
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

let keys = 0;
const newKey = (): string => `key-${(keys += 1)}`;

interface Asked {
  readonly host?: string;
  readonly path?: string;
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}
function post(
  key: string | null,
  { host = "shop", path = "/orders", method = "POST", body = "{}", headers = {} }: Asked = {},
) {
  const own = key === null ? {} : { "idempotency-key": key };
  return fetch(proxy.url + path, {
    method,
    body,
    headers: { host, "content-type": "application/json", ...own, ...headers },
  });
}

describe("the first answer is given again", () => {
  test("with its status, fields and body, and the server is asked once", async () => {
    const key = newKey();
    const before = server.orders;
    const first = await post(key, { body: '{"a":1}' });
    const text = await first.text();
    const again = await post(key, { body: '{"a":1}' });
    expect([again.status, await again.text()]).toEqual([201, text]);
    for (const name of ["x-order", "content-type", "set-cookie"])
      expect(again.headers.get(name)).toBe(first.headers.get(name));
    expect([first.headers.get("idempotency-replayed"), again.headers.get("idempotency-replayed")]).toEqual([
      null,
      "true",
    ]);
    expect(server.orders).toBe(before + 1);
  });

  test("the same key in quotes is the same key", async () => {
    const key = newKey();
    const first = await (await post(key)).text();
    expect(await (await post(`"${key}"`)).text()).toBe(first);
  });

  test("a large request passes as it comes, and counts as a whole", async () => {
    const key = newKey();
    const body = "y".repeat(3_000_000);
    expect((await post(key, { body })).status).toBe(201);
    expect(server.bodies.at(-1)?.length).toBe(3_000_000);
    expect((await post(key, { body })).headers.get("idempotency-replayed")).toBe("true");
    expect((await post(key, { body: `${body}z` })).status).toBe(422);
  });

  test("to clients that take it compressed and to others", async () => {
    const key = newKey();
    const asked = { host: "compressed", headers: { "accept-encoding": "gzip" } };
    const first = await (await post(key, asked)).text();
    const plain = await post(key, { host: "compressed", headers: { "accept-encoding": "identity" } });
    expect([plain.headers.get("content-encoding"), await plain.text()]).toEqual([null, first]);
    const again = await post(key, asked);
    expect([again.headers.get("content-encoding"), await again.text()]).toEqual(["gzip", first]);
  });

  test("of an answer of Sluice's own too", async () => {
    const key = newKey();
    const first = await (await post(key, { host: "own" })).text();
    expect(await (await post(key, { host: "own" })).text()).toBe(first);
    expect(await (await post(newKey(), { host: "own" })).text()).not.toBe(first);
  });
});

describe("what is refused", () => {
  const CASES: readonly (readonly [name: string, key: string | null, host: string, status: number, type: string])[] = [
    ["no key where one is required", null, "required", 400, "missing"],
    ["no UUID where one is required", "abc", "required", 400, "malformed"],
    ["an empty key", '""', "shop", 400, "malformed"],
    ["a key that is too long", "x".repeat(256), "shop", 400, "malformed"],
    ["a string that does not end", '"abc', "shop", 400, "malformed"],
    ["parameters", '"abc";a=1', "shop", 400, "malformed"],
    ["several keys", "a, b", "shop", 400, "malformed"],
  ];
  for (const [name, key, host, status, type] of CASES)
    test(name, async () => {
      const before = server.orders;
      const answer = await post(key, { host });
      expect(answer.headers.get("content-type")).toBe("application/problem+json");
      expect(await answer.json()).toMatchObject({ status, type: `urn:sluice:problem:idempotency:${type}` });
      expect(server.orders).toBe(before);
    });

  test("another request with the same key", async () => {
    const key = newKey();
    await post(key, { body: "1" });
    const before = server.orders;
    const others = [{ body: "2" }, { body: "1", path: "/other" }, { body: "1", method: "PATCH" }];
    for (const other of others) {
      const answer = await post(key, other);
      expect([answer.status, ((await answer.json()) as { type: string }).type]).toEqual([
        422,
        "urn:sluice:problem:idempotency:reused",
      ]);
    }
    expect(server.orders).toBe(before);
    const loose = newKey();
    const first = await (await post(loose, { host: "loose", body: "1" })).text();
    expect(await (await post(loose, { host: "loose", body: "2" })).text()).toBe(first);
  });
});

describe("while the first request is under way", () => {
  test("another one gets 409, and the answer once it is there", async () => {
    const key = newKey();
    const first = post(key, { path: "/held" });
    await until(() => server.held.length === 1, "the request at the server");
    const busy = await post(key, { path: "/held" });
    expect([busy.status, busy.headers.get("retry-after")]).toEqual([409, "1"]);
    server.held.pop()!.end("done");
    expect(await (await first).text()).toBe("done");
    expect(await (await post(key, { path: "/held" })).text()).toBe("done");
  });

  test("or waits for it", async () => {
    const key = newKey();
    const before = server.orders;
    const asked = { host: "wait", path: "/held" };
    const all = [1, 2, 3].map(() => post(key, asked));
    await until(() => server.held.length === 1, "the request at the server");
    server.held.pop()!.end("one");
    const answers = await Promise.all(all);
    expect(await Promise.all(answers.map((each) => each.text()))).toEqual(["one", "one", "one"]);
    expect(answers.filter((each) => each.headers.get("idempotency-replayed") === "true").length).toBe(2);
    expect(server.orders).toBe(before + 1);
  });

  test("it goes on when its client leaves, and the answer is kept", async () => {
    const key = newKey();
    await leave(key, "shop");
    server.held.pop()!.end("kept");
    await until(async () => (await post(key, { path: "/held" })).status === 200, "the kept answer");
    const again = await post(key, { path: "/held" });
    expect([again.headers.get("idempotency-replayed"), await again.text()]).toEqual(["true", "kept"]);
  });

  test("or it ends with its client, and the key is free", async () => {
    const key = newKey();
    const before = server.orders;
    await leave(key, "abort");
    await until(() => server.held[0]!.destroyed || server.held[0]!.closed, "the end of the request");
    server.held.pop();
    const again = post(key, { host: "abort", path: "/held" });
    await until(() => server.held.length === 1, "the request at the server");
    server.held.pop()!.end("second");
    expect(await (await again).text()).toBe("second");
    expect(server.orders).toBe(before + 2);
  });
});

/** A client that sends all of its request and is gone as soon as the server has it. */
async function leave(key: string, host: string): Promise<void> {
  const socket = connect(proxy.port, "127.0.0.1");
  const head = `POST /held HTTP/1.1\r\nHost: ${host}\r\nIdempotency-Key: ${key}\r\nContent-Type: application/json`;
  socket.write(`${head}\r\nContent-Length: 2\r\n\r\n{}`);
  await until(() => server.held.length === 1, "the request at the server");
  socket.destroy();
}

test("a client that leaves before its request is all there takes it along", async () => {
  const key = newKey();
  const before = server.orders;
  const peer = await Peer.connect(proxy.port);
  peer.send(`POST /orders HTTP/1.1\r\nHost: shop\r\nIdempotency-Key: ${key}\r\nContent-Length: 100\r\n\r\nabc`);
  await proxyHasRead(proxy.port);
  expect((await post(key, { body: "abc" })).status).toBe(409);
  peer.close();
  await until(async () => (await post(key, { body: "abc" })).status === 201, "the key to be free");
  expect(server.orders).toBe(before + 1);
});

describe("answers that are not kept", () => {
  for (const status of [401, 408, 429, 500, 503])
    test(`${status}`, async () => {
      const key = newKey();
      const before = server.orders;
      for (let time = 0; time < 2; time += 1)
        expect((await post(key, { path: `/status/${status}` })).status).toBe(status);
      expect(server.orders).toBe(before + 2);
    });

  test("but server errors where that is asked for, and other refusals always", async () => {
    for (const [host, status] of [
      ["errors", 500],
      ["shop", 400],
      ["shop", 404],
    ] as const) {
      const key = newKey();
      const before = server.orders;
      for (let time = 0; time < 2; time += 1)
        expect((await post(key, { host, path: `/status/${status}` })).status).toBe(status);
      expect(server.orders).toBe(before + 1);
    }
  });

  test("broken ones", async () => {
    const key = newKey();
    const before = server.orders;
    for (let time = 0; time < 2; time += 1)
      await post(key, { path: "/broken" })
        .then((each) => each.text())
        .catch(() => undefined);
    expect(server.orders).toBe(before + 2);
  });

  test("too long ones: they pass, and the same key is told that it was carried out", async () => {
    const key = newKey();
    const before = server.orders;
    expect((await (await post(key, { path: "/stream" })).text()).length).toBe(80_000);
    const again = await post(key, { path: "/stream" });
    expect([again.status, ((await again.json()) as { type: string }).type]).toEqual([
      409,
      "urn:sluice:problem:idempotency:lost",
    ]);
    expect(server.orders).toBe(before + 1);
  });

  test("requests of other methods pass, with or without the field", async () => {
    const before = server.orders;
    for (let time = 0; time < 2; time += 1) await post(newKey(), { method: "PUT" });
    const key = newKey();
    for (let time = 0; time < 2; time += 1) await post(key, { method: "PUT" });
    expect(server.orders).toBe(before + 4);
  });
});

test("keys of one user mean nothing to another", async () => {
  const orders = new Set<string>();
  for (const name of ["ann", "ann", "bob"])
    orders.add(await (await post("shared", { host: "users", headers: { "x-api-key": `secret of ${name}` } })).text());
  expect(orders.size).toBe(2);
});

test("kept answers outlive the process where there is a folder for it", async () => {
  using folder = new Folder();
  const config = { storage: folder.path, routes: [{ idempotency: {}, to: server.url }] };
  const ask = async ({ url }: TestProxy): Promise<string> =>
    await (await fetch(url, { method: "POST", body: "x", headers: { "idempotency-key": "kept" } })).text();
  const before = await startProxy(config);
  const first = await ask(before);
  await before[Symbol.asyncDispose]();
  expect(existsSync(join(folder.path, "idempotency.db"))).toBe(true);
  await using after = await startProxy(config);
  expect(await ask(after)).toBe(first);
  // Nor does a reload that takes the policy away for a while forget them.
  const listeners = [{ address: "127.0.0.1:0" }];
  await after.proxy.reload(configOf({ listeners, storage: folder.path, routes: [{ to: server.url }] }));
  expect(await ask(after)).not.toBe(first);
  await after.proxy.reload(configOf({ ...config, listeners }));
  expect(await ask(after)).toBe(first);
});

test("while the keys cannot be looked up, requests are refused or pass, as configured", async () => {
  const redis = await RedisServer.start();
  await using away = await startProxy({
    cluster: { redis: redis.url },
    log: { level: "error" },
    routes: [
      { match: { host: "allow" }, idempotency: { onStoreError: "allow" }, to: server.url },
      { idempotency: {}, to: server.url },
    ],
  });
  const ask = (host: string) =>
    fetch(away.url, { method: "POST", body: "x", headers: { host, "idempotency-key": "away" } });
  expect((await ask("deny")).status).toBe(201);
  expect((await ask("deny")).headers.get("idempotency-replayed")).toBe("true");
  await redis[Symbol.asyncDispose]();
  const refused = await ask("deny");
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
  expect((await ask("allow")).status).toBe(201);
});
