// Coalescing, priorities, maintenance and splits by who asks, as clients and servers meet them.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { definePlugin } from "../src/index.ts";
import { request } from "./support/message.ts";
import { Peer } from "./support/peer.ts";
import { MARKER, proxyHasRead, startProxy, type TestProxy } from "./support/proxy.ts";
import { until } from "./support/wait.ts";

interface Asked {
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly response: ServerResponse;
}

/** A server that answers when the test says so, or at once with what is named in the path. */
class Held implements AsyncDisposable {
  readonly asked: Asked[] = [];
  readonly name: string;
  readonly #server: Server;
  private constructor(server: Server, name: string) {
    this.#server = server;
    this.name = name;
  }
  static async open(name = ""): Promise<Held> {
    const server = createServer((request, response) => {
      const url = request.url ?? "";
      if (url.startsWith("/now")) return void response.end(name);
      held.asked.push({ url, headers: request.headers, response });
    });
    const held = new Held(server, name);
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return held;
  }
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }
  /** Waits for as many requests, and gives them out. */
  async take(count: number): Promise<Asked[]> {
    await until(() => this.asked.length >= count, `${count} requests at the server, not ${this.asked.length}`);
    return this.asked.splice(0);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const hashed = (key: string): string => `sha256:${createHash("sha256").update(key).digest("hex")}`;
const consumers = {
  acme: { plan: "gold", groups: ["beta"], claims: { tier: "vip" }, credentials: [{ apiKey: hashed("ann") }] },
  globex: { plan: "free", credentials: [{ apiKey: hashed("bob") }] },
};
const auth = { apiKey: { consumers: true } } as const;

interface Match {
  readonly consumer?: string[];
  readonly plan?: string;
  readonly group?: string;
  readonly claim?: Record<string, string>;
  readonly header?: Record<string, string>;
}
const MATCHES: readonly (readonly [host: string, match: Match])[] = [
  ["consumer", { consumer: ["acme", "initech"] }],
  ["plan", { plan: "gold" }],
  ["group", { group: "beta" }],
  ["claim", { claim: { tier: "~^v" } }],
  ["both", { plan: "gold", header: { "x-beta": "1" } }],
];

let backend: Held;
let proxy: TestProxy;
let canary: Held;

beforeAll(async () => {
  backend = await Held.open("stable");
  canary = await Held.open("canary");
  const split = (weights: readonly [number, number]) => [
    { upstream: "stable", weight: weights[0] },
    { upstream: "canary", weight: weights[1] },
  ];
  proxy = await startProxy({
    plans: { gold: {}, free: {} },
    consumers,
    upstreams: { stable: { servers: [backend.url] }, canary: { servers: [canary.url] } },
    routes: [
      MARKER,
      { match: { host: "same" }, coalesce: { credentials: "same", maxBody: "64KB" }, to: backend.url },
      { match: { host: "coalesce" }, coalesce: { maxBody: "64KB" }, to: backend.url },
      ...MATCHES.map(([host, match]) => ({
        match: { host },
        auth,
        to: [
          { upstream: "stable", weight: 1 },
          { upstream: "canary", weight: 0, match },
        ],
      })),
      { match: { host: "four" }, auth, rateLimit: { concurrent: 4, key: "consumer" }, to: backend.url },
      { match: { host: "few" }, auth, split: { by: "consumer" }, to: split([90, 10]) },
      { match: { host: "closed" }, maintenance: { enabled: true, retryAfter: "10m" }, to: backend.url },
      {
        match: { host: "page" },
        maintenance: {
          enabled: true,
          status: 521,
          body: "<p>soon</p>",
          contentType: "text/html",
          headers: { "x-why": "upgrade" },
          bypass: { header: "x-pass", cookie: "pass", secret: "a secret of some length" },
        },
        to: backend.url,
      },
      { match: { host: "allowed" }, maintenance: { enabled: true, allow: ["127.0.0.0/8"] }, to: backend.url },
    ],
  });
}, 20_000);
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
  await canary[Symbol.asyncDispose]();
});

const get = (host: string, path = "/", headers: Readonly<Record<string, string>> = {}, method = "GET") =>
  fetch(proxy.url + path, { method, headers: { host, "accept-encoding": "identity", ...headers } });

/** As many clients at once, all of which the proxy has heard. */
async function crowd(count: number, host: string, path: string, headers: readonly Record<string, string>[] = [{}]) {
  const first = get(host, path, headers[0]);
  await until(() => backend.asked.length === 1, "the first request");
  const others = Array.from({ length: count - 1 }, (_, at) => get(host, path, headers[(at + 1) % headers.length]));
  return [first, ...others];
}
/** So that those that wait for others have surely been read. */
const readByProxy = async (): Promise<void> => {
  await proxyHasRead(proxy.port);
  await get("allowed", "/now");
};
const textsOf = async (all: readonly Promise<Response>[]): Promise<string[]> =>
  await Promise.all(all.map(async (each) => await (await each).text()));

describe("coalesce", () => {
  test("identical requests share an answer, and say so", async () => {
    const all = await crowd(20, "coalesce", "/a");
    await readByProxy();
    const asked = await backend.take(1);
    expect(asked.length).toBe(1);
    asked[0]!.response.end("one for all");
    expect(new Set(await textsOf(all))).toEqual(new Set(["one for all"]));
    const fields = await Promise.all(all.map(async (each) => (await each).headers.get("cache-status")));
    expect(fields.filter((field) => field === "sluice; fwd=bypass; collapsed").length).toBe(19);
    // Nothing is stored.
    const later = get("coalesce", "/a");
    (await backend.take(1))[0]!.response.end("anew");
    expect(await (await later).text()).toBe("anew");
  });

  const DIFFERENT: readonly (readonly [name: string, headers: readonly Record<string, string>[], host?: string])[] = [
    ["other fields", [{ accept: "text/html" }, { accept: "text/plain" }]],
    ["a key of some API", [{ "x-api-key": "1" }, { "x-api-key": "2" }]],
    ["credentials", [{ authorization: "Bearer a" }, { authorization: "Bearer a" }]],
    ["cookies", [{ cookie: "a=1" }, { cookie: "a=1" }]],
    ["other credentials", [{ authorization: "Bearer a" }, { authorization: "Bearer b" }], "same"],
    ["parts", [{ range: "bytes=0-1" }, { range: "bytes=0-1" }]],
  ];
  for (const [name, headers, host = "coalesce"] of DIFFERENT)
    test(`requests with ${name} go by themselves`, async () => {
      const all = await crowd(2, host, "/b", headers);
      const asked = await backend.take(2);
      asked.forEach(({ response }, at) => void response.end(String(at)));
      expect((await textsOf(all)).sort()).toEqual(["0", "1"]);
    });

  test("the same credentials share where that is asked for, and what may differ does not matter", async () => {
    const same = [
      { authorization: "Bearer a", "user-agent": "x" },
      { authorization: "Bearer a", "user-agent": "y" },
    ];
    const all = await crowd(4, "same", "/c", same);
    await readByProxy();
    const asked = await backend.take(1);
    asked[0]!.response.end("ok");
    expect(await textsOf(all)).toEqual(["ok", "ok", "ok", "ok"]);
  });

  const UNSHARED: readonly (readonly [name: string, status: number, fields: Record<string, string>])[] = [
    ["cookies", 200, { "set-cookie": "a=1" }],
    ["private", 200, { "cache-control": "private" }],
    ["401", 401, {}],
    ["vary by what was ignored", 200, { vary: "User-Agent" }],
    ["vary by everything", 200, { vary: "*" }],
    ["long", 200, { "content-length": "100000" }],
  ];
  for (const [name, status, fields] of UNSHARED)
    test(`an answer is for one alone: ${name}`, async () => {
      const path = `/d/${encodeURIComponent(name)}`;
      const all = await crowd(3, "coalesce", path, [
        { "user-agent": "1" },
        { "user-agent": "2" },
        { "user-agent": "3" },
      ]);
      await readByProxy();
      const body = "x".repeat(Number(fields["content-length"] ?? 5));
      (await backend.take(1))[0]!.response.writeHead(status, fields).end(body);
      const asked = await backend.take(2);
      for (const { response } of asked) response.writeHead(status, fields).end(body);
      expect(new Set(await textsOf(all))).toEqual(new Set([body]));
      // For a while they do not wait for each other.
      const next = [get("coalesce", path, { "user-agent": "1" }), get("coalesce", path, { "user-agent": "1" })];
      for (const { response } of await backend.take(2)) response.end("");
      await textsOf(next);
    });

  test("an answer of unknown length is streamed to all, however long it gets", async () => {
    const all = await crowd(3, "coalesce", "/stream");
    await readByProxy();
    const [{ response }] = (await backend.take(1)) as [Asked];
    response.write("begin");
    const readers = await Promise.all(all.map(async (each) => (await each).body!.getReader()));
    for (const reader of readers) expect(Buffer.from((await reader.read()).value!).toString()).toBe("begin");
    response.end("y".repeat(300_000));
    for (const reader of readers) {
      let length = 0;
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        length += value.length;
      }
      expect(length).toBe(300_000);
    }
  });

  test("the first client leaves: the others get the answer; all leave: the server is left", async () => {
    const socket = connect(proxy.port, "127.0.0.1");
    socket.write("GET /leave HTTP/1.1\r\nHost: coalesce\r\nAccept-Encoding: identity\r\n\r\n");
    const [first] = (await backend.take(1)) as [Asked];
    const other = connect(proxy.port, "127.0.0.1");
    other.write("GET /leave HTTP/1.1\r\nHost: coalesce\r\nAccept-Encoding: identity\r\n\r\n");
    await readByProxy();
    socket.destroy();
    await readByProxy();
    expect(first.response.destroyed).toBe(false);
    first.response.write("x");
    const got = await new Promise<string>((resolve) => other.once("data", (piece) => resolve(String(piece))));
    expect(got).toStartWith("HTTP/1.1 200");
    other.destroy();
    await until(() => first.response.destroyed || first.response.closed, "the end of the request");
  });

  test("HEAD has its own answer", async () => {
    const all = [get("coalesce", "/head", {}, "HEAD"), get("coalesce", "/head", {}, "HEAD")];
    await readByProxy();
    const asked = await backend.take(1);
    expect(asked.length).toBe(1);
    asked[0]!.response.writeHead(200, { "content-length": "70000", "x-a": "b" }).end();
    expect((await Promise.all(all)).map(({ headers }) => headers.get("x-a"))).toEqual(["b", "b"]);
  });

  test("a failure is told to all", async () => {
    const all = await crowd(3, "coalesce", "/fail");
    await readByProxy();
    let failed = false;
    const statuses = Promise.all(all).then((each) => {
      failed = true;
      return each.map(({ status }) => status);
    });
    // The request is sent again where a used connection was closed.
    await until(() => {
      for (const { response } of backend.asked.splice(0)) response.socket?.destroy();
      return failed;
    }, "the failure");
    expect(await statuses).toEqual([502, 502, 502]);
  });
});

describe("splits by who asks", () => {
  for (const [host] of MATCHES)
    test(`${host} chooses the upstream`, async () => {
      const of = async (key: string): Promise<string> =>
        await (await get(host, "/now", { "x-api-key": key, "x-beta": "1" })).text();
      expect([await of("ann"), await of("bob"), await of("ann")]).toEqual(["canary", "stable", "canary"]);
    });

  test("all that is asked for has to fit", async () => {
    expect(await (await get("both", "/now", { "x-api-key": "ann" })).text()).toBe("stable");
  });

  test("a consumer stays where it is", async () => {
    const seen = new Set<string>();
    for (let time = 0; time < 20; time += 1) seen.add(await (await get("few", "/now", { "x-api-key": "ann" })).text());
    expect(seen.size).toBe(1);
  });
});

test("each consumer has so much under way", async () => {
  const all = Array.from({ length: 5 }, () => get("four", "/under-way", { "x-api-key": "ann" }));
  const asked = await backend.take(4);
  all.push(get("four", "/under-way", { "x-api-key": "bob" }));
  asked.push(...(await backend.take(1)));
  for (const { response } of asked) response.end("");
  const statuses = (await Promise.all(all)).map(({ status }) => status);
  expect(statuses.filter((status) => status === 429).length).toBe(1);
  expect(statuses.at(-1)).toBe(200);
});

describe("maintenance", () => {
  test("is answered as a problem, with when to come again", async () => {
    const answer = await get("closed");
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "600"]);
    expect(await answer.json()).toMatchObject({ status: 503, detail: "There is maintenance: try again later." });
  });

  test("or with a text of one's own", async () => {
    const answer = await get("page");
    expect([answer.status, answer.headers.get("content-type"), answer.headers.get("x-why")]).toEqual([
      521,
      "text/html",
      "upgrade",
    ]);
    expect(await answer.text()).toBe("<p>soon</p>");
  });

  const PASS: readonly (readonly [name: string, host: string, headers: Record<string, string>, status: number])[] = [
    ["who is allowed by address", "allowed", {}, 200],
    ["who has the secret in a field", "page", { "x-pass": "a secret of some length" }, 200],
    ["who has it in a cookie", "page", { cookie: "b=1; pass=a secret of some length" }, 200],
    ["nobody with another one", "page", { "x-pass": "a secret of some lengths" }, 521],
  ];
  for (const [name, host, headers, status] of PASS)
    test(`lets through ${name}`, async () => {
      expect((await get(host, "/now", headers)).status).toBe(status);
    });
});

describe("priority", () => {
  test("orders those who wait for a server with room", async () => {
    await using queue = await startProxy({
      upstreams: { one: { servers: [backend.url], limits: { connections: 1, queue: 10, queueTimeout: "5s" } } },
      routes: [
        MARKER,
        { match: { path: "/high/*" }, priority: { level: "high" }, to: "one" },
        { match: { path: "/low/*" }, priority: { level: "low" }, to: "one" },
        { priority: {}, to: "one" },
      ],
    });
    const all = [fetch(`${queue.url}/first`)];
    const [first] = (await backend.take(1)) as [Asked];
    const peers: Peer[] = [];
    for (const path of ["/low/1", "/normal/1", "/high/1", "/low/2", "/high/2"]) {
      const peer = await Peer.connect(queue.port);
      peer.send(request(path));
      await proxyHasRead(queue.port);
      peers.push(peer);
    }
    first.response.end("");
    const order: string[] = [];
    for (let time = 0; time < 5; time += 1) {
      const [next] = (await backend.take(1)) as [Asked];
      order.push(next.url);
      next.response.end("");
    }
    await textsOf(all);
    for (const peer of peers) peer.close();
    expect(order).toEqual(["/high/1", "/high/2", "/normal/1", "/low/1", "/low/2"]);
  });

  test("under overload the most important go on", async () => {
    // Each request of the two lesser routes keeps the event loop for a while: more than it can do.
    const burn = definePlugin({
      name: "burn",
      request() {
        const until = performance.now() + 8;
        while (performance.now() < until);
      },
    });
    await using busy = await startProxy({
      overload: { lag: "20ms" },
      routes: [
        { match: { path: "/high" }, priority: { level: "high" }, respond: { body: "high" } },
        { match: { path: "/health" }, respond: { body: "well" } },
        { match: { path: "/normal" }, priority: {}, use: [burn], respond: { body: "normal" } },
        { priority: { level: "low" }, use: [burn], respond: { body: "low" } },
      ],
    });
    const counts = new Map<string, number>();
    const end = performance.now() + 1500;
    const client = async (path: string): Promise<void> => {
      while (performance.now() < end) {
        const answer = await fetch(busy.url + path);
        await answer.text();
        const key = `${path} ${answer.status}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
        if (answer.status === 503) expect(answer.headers.get("retry-after")).toBe("2");
        await Bun.sleep(1);
      }
    };
    const clients = [...Array(12).fill("/low"), ...Array(4).fill("/normal"), ...Array(4).fill("/high"), "/health"];
    await Promise.all(clients.map(client));
    const of = (key: string): number => counts.get(key) ?? 0;
    const share = (path: string): number => of(`${path} 200`) / (of(`${path} 200`) + of(`${path} 503`));
    expect(share("/high")).toBeGreaterThanOrEqual(0.95);
    expect(share("/health")).toBe(1);
    expect(of("/low 503")).toBeGreaterThan(0);
    expect(share("/low")).toBeLessThan(share("/high"));
  }, 10_000);
});
