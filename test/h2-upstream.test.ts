// Servers that speak HTTP/2, driven for real: Node's in a process of its own, and nginx.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { chunks, request } from "./support/message.ts";
import { NodeH2Server, type NodeH2ServerOptions } from "./support/node-h2-server.ts";
import { exchange, Peer } from "./support/peer.ts";
import { Nginx } from "./support/programs.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { Folder } from "./support/sluice.ts";
import { Pki } from "./support/tls.ts";
import { echoed, plain, proxyFor, secured, started, trusting } from "./support/to-h2-servers.ts";
import { until } from "./support/wait.ts";

let pki: Pki;
/** For 127.0.0.1. */
let tls: { readonly cert: string; readonly key: string };
beforeAll(async () => {
  pki = await Pki.make();
  tls = await pki.pems({ names: ["127.0.0.1"] });
});
afterAll(() => pki[Symbol.dispose]());

const sha256 = (text: string): string => createHash("sha256").update(text, "latin1").digest("hex");

describe("how a server is spoken to", () => {
  const CASES: readonly (readonly [name: string, scheme: string, server: NodeH2ServerOptions, version: number])[] = [
    ["https, a server of both: HTTP/2", "https", {}, 2],
    ["https, a server of HTTP/2 alone", "https", { allowHTTP1: false }, 2],
    ["https, a server of HTTP/1.1 alone", "https", { http1Only: true }, 1],
    ["h2", "h2", {}, 2],
  ];
  for (const [name, scheme, options, version] of CASES)
    test(name, async () => {
      await using server = await NodeH2Server.start({ tls, ...options });
      await using proxy = await proxyFor([`${scheme}://127.0.0.1:${server.port}`], trusting(pki));
      await using client = await Peer.connect(proxy.port);
      for (let i = 0; i < 3; i += 1) {
        const got = echoed(await client.send(request(`/${i}`)).response());
        expect([got.version, got.headers[version === 2 ? ":path" : "x-forwarded-proto"]]).toEqual([
          version as 1 | 2,
          version === 2 ? `/${i}` : "http",
        ]);
      }
      if (version === 2) expect(await server.count("session")).toBe(1);
    });

  test("https without HTTP/2, if the upstream says so", async () => {
    await using server = await NodeH2Server.start({ tls });
    await using proxy = await proxyFor([secured(server)], { ...trusting(pki), http2: false });
    expect(echoed(await exchange(proxy.port, request("/"))).version).toBe(1);
  });

  test("h2:// to a server that does not choose it: 502", async () => {
    await using server = await NodeH2Server.start({ tls, http1Only: true });
    await using proxy = await proxyFor([`h2://127.0.0.1:${server.port}`], trusting(pki));
    expect((await exchange(proxy.port, request("/"))).status).toBe(502);
    expect(await server.count("request")).toBe(0);
  });

  test("many requests at a time find out about a server of HTTP/1.1", async () => {
    await using server = await NodeH2Server.start({ tls, http1Only: true });
    await using proxy = await proxyFor([secured(server)], trusting(pki));
    const all = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => (await exchange(proxy.port, request(`/${i}`))).status),
    );
    expect(new Set(all)).toEqual(new Set([200]));
  });
});

describe("one request", () => {
  test("head, body and trailers, both ways", async () => {
    await using it = await started();
    await using client = await Peer.connect(it.proxy.port);
    client.send(request("/echo", ["Transfer-Encoding: chunked", "TE: trailers", "Connection: te"], "POST"));
    client.send(`${chunks("one, ", "two")}0\r\nX-Check: yes\r\n\r\n`);
    const came = await client.response();
    const got = echoed(came);
    expect([got.bytes, got.sha256, got.trailers]).toEqual([8, sha256("one, two"), { "x-check": "yes" }]);
    expect([got.headers[":scheme"], got.headers[":authority"], got.headers.te]).toEqual([
      "http",
      "app.example",
      "trailers",
    ]);
    expect([came.field("content-type"), came.trailers]).toEqual(["application/json", [["x-sum", "42"]]]);
    expect(came.field("via")).toStartWith("2 ");
  });

  const ONE_MB = "0123456789abcdef".repeat(65_536);
  test("1 MB up and 1 MB down", async () => {
    await using it = await started();
    await using client = await Peer.connect(it.proxy.port);
    for (let i = 0; i < 3; i += 1) {
      const got = echoed(await client.send(request("/up", [], "PUT", ONE_MB)).response());
      expect([got.bytes, got.sha256]).toEqual([ONE_MB.length, sha256(ONE_MB)]);
      const came = await client.send(request(`/size/${ONE_MB.length}`)).response();
      expect(came.body === ONE_MB).toBe(true);
    }
    expect(await it.server.count("session")).toBe(1);
  });

  test("clients that do not read hold up their own answers alone", async () => {
    await using it = await started();
    const slow = await Promise.all(Array.from({ length: 40 }, () => Peer.connect(it.proxy.port)));
    for (const client of slow) {
      client.socket.pause();
      client.send(request("/size/20000000"));
    }
    await using other = await Peer.connect(it.proxy.port);
    for (let i = 0; i < 20; i += 1) {
      const came = await other.send(request("/size/100000")).response();
      expect(came.body.length).toBe(100_000);
    }
    expect([await it.server.count("session"), await it.server.count("closed", "/size/20000000")]).toEqual([1, 0]);
    slow[0]!.discarding = true;
    slow[0]!.socket.resume();
    await until(() => slow[0]!.bytesIn > 20_000_000, "the rest", 20_000);
    for (const client of slow) client.close();
  }, 30_000);

  test("interim answers", async () => {
    await using it = await started();
    await using client = await Peer.connect(it.proxy.port);
    const hints = await client.send(request("/hints")).head();
    expect([hints.status, hints.field("link")]).toEqual([103, "</style.css>; rel=preload"]);
    expect((await client.response()).status).toBe(200);
    client.send(request("/continue", ["Content-Length: 4", "Expect: 100-continue"], "POST"));
    expect((await client.head()).status).toBe(100);
    expect(echoed(await client.send("body").response()).bytes).toBe(4);
  });

  test("HEAD, and an answer without content", async () => {
    await using it = await started();
    const came = await exchange(it.proxy.port, request("/size/1000", [], "HEAD"));
    expect([came.status, came.field("content-length"), came.body]).toEqual([200, "1000", ""]);
  });

  test("a stream that breaks ends the answer, and nothing else", async () => {
    await using it = await started();
    await using broken = await Peer.connect(it.proxy.port);
    const head = await broken.send(request("/broken")).head();
    expect(head.status).toBe(200);
    await broken.end();
    expect((await exchange(it.proxy.port, request("/"))).status).toBe(200);
    expect(await it.server.count("session")).toBe(1);
  });

  test("an answer before the end of the request", async () => {
    await using it = await started();
    await using client = await Peer.connect(it.proxy.port);
    client.send(request("/early", ["Content-Length: 10000000"], "PUT"));
    client.send("x".repeat(10_000));
    const came = await client.response();
    expect([came.status, came.body]).toEqual([413, "too large"]);
  });

  test("a client that leaves: the server's stream is cancelled, and its connection stays", async () => {
    await using it = await started();
    for (const body of ["", "half"]) {
      await using client = await Peer.connect(it.proxy.port);
      const fields = body === "" ? [] : ["Content-Length: 8"];
      client.send(request(`/hold/${body}`, fields, body === "" ? "GET" : "POST") + body);
      await it.server.hears("request", `/hold/${body}`);
      client.reset();
      expect((await it.server.hears("closed", `/hold/${body}`)).code).toBe(8);
    }
    expect((await exchange(it.proxy.port, request("/"))).status).toBe(200);
    expect(await it.server.count("session")).toBe(1);
  });

  test("a server that does not answer in time: 504, and its stream is cancelled", async () => {
    await using it = await started({}, { timeouts: { response: "150ms" }, retry: false });
    expect((await exchange(it.proxy.port, request("/hold"))).status).toBe(504);
    expect((await it.server.hears("closed", "/hold")).code).toBe(8);
    expect((await exchange(it.proxy.port, request("/"))).status).toBe(200);
    expect(await it.server.count("session")).toBe(1);
  });
});

describe("many requests at a time", () => {
  const ask = (proxy: TestProxy, count: number, path: string): Promise<number[]> =>
    Promise.all(Array.from({ length: count }, async () => (await exchange(proxy.port, request(path))).status));

  test("share a connection", async () => {
    await using it = await started();
    await exchange(it.proxy.port, request("/"));
    expect(new Set(await ask(it.proxy, 60, "/slow/300"))).toEqual(new Set([200]));
    expect([
      await it.server.count("session"),
      it.server.said.findLast(({ kind }) => kind === "most")!.count! > 10,
    ]).toEqual([1, true]);
  });

  test("take more connections where the server allows few of them on one", async () => {
    await using it = await started({ settings: { maxConcurrentStreams: 4 } });
    expect(new Set(await ask(it.proxy, 20, "/slow/50"))).toEqual(new Set([200]));
    expect(new Set(await ask(it.proxy, 20, "/slow/50"))).toEqual(new Set([200]));
    expect(await it.server.count("session")).toBeGreaterThanOrEqual(5);
    expect(it.server.said.findLast(({ kind }) => kind === "most")!.count).toBe(4);
  });

  test("are spread by the requests that servers have, not by connections", async () => {
    await using a = await NodeH2Server.start();
    await using b = await NodeH2Server.start();
    await using proxy = await proxyFor([plain(a), plain(b)], { balance: "least-connections" });
    const held = await Promise.all(Array.from({ length: 10 }, () => Peer.connect(proxy.port)));
    for (const [i, client] of held.entries()) {
      client.send(request("/hold"));
      await until(async () => (await a.count("request")) + (await b.count("request")) === i + 1, `request ${i}`);
    }
    expect([
      await a.count("request"),
      await b.count("request"),
      await a.count("session"),
      await b.count("session"),
    ]).toEqual([5, 5, 1, 1]);
    for (const client of held) client.close();
  });
});

describe("servers that turn requests away", () => {
  for (const method of ["GET", "POST"])
    test(`REFUSED_STREAM: a ${method} is sent again, without a retry policy too`, async () => {
      for (const retry of [undefined, false as const]) {
        await using it = await started({}, retry === undefined ? {} : { retry });
        const body = method === "POST" ? "body" : "";
        const came = await exchange(it.proxy.port, request("/refuse/3", [], method, body));
        expect([came.status, echoed(came).bytes]).toEqual([200, body.length]);
      }
    });

  test("HTTP_1_1_REQUIRED: the request goes over HTTP/1.1", async () => {
    await using server = await NodeH2Server.start({ tls });
    await using proxy = await proxyFor([secured(server)], trusting(pki));
    for (const method of ["GET", "POST"]) {
      const came = await exchange(proxy.port, request("/http11", [], method, method === "POST" ? "body" : ""));
      expect(echoed(came).version).toBe(1);
    }
  });

  test("HTTP_1_1_REQUIRED of a server that was said to speak HTTP/2 alone: 502, asked once", async () => {
    await using it = await started();
    expect((await exchange(it.proxy.port, request("/http11", [], "POST", "body"))).status).toBe(502);
    expect(await it.server.count("request")).toBe(1);
  });

  for (const isSecured of [false, true])
    test(`GOAWAY again and again under load${isSecured ? ", over TLS" : ""}: nothing is lost`, async () => {
      const lost = await loadWhileLeaving(isSecured);
      expect(lost).toEqual([]);
    }, 30_000);

  /** 2,000 requests to a server that ends each connection after 25; answers with what was not a good answer. */
  async function loadWhileLeaving(isSecured: boolean): Promise<string[]> {
    await using server = await NodeH2Server.start({ answersPerSession: 25, ...(isSecured ? { tls } : {}) });
    await using proxy = isSecured ? await proxyFor([secured(server)], trusting(pki)) : await proxyFor([plain(server)]);
    let at = 0;
    const lost: string[] = [];
    await Promise.all(
      Array.from({ length: 16 }, async (_, worker) => {
        await using client = await Peer.connect(proxy.port);
        while (at < 2000) {
          at += 1;
          const body = worker % 2 === 0 ? "" : `body ${at}`;
          const came = await client.send(request(`/${at}`, [], body === "" ? "GET" : "POST", body)).response();
          if (came.status !== 200 || echoed(came).bytes !== body.length) lost.push(`${came.status} ${came.body}`);
        }
      }),
    );
    expect(await server.count("session")).toBeGreaterThan(50);
    return lost;
  }

  test("a client stays at its server while that turns requests away", async () => {
    await using a = await NodeH2Server.start();
    await using b = await NodeH2Server.start();
    await using proxy = await proxyFor([plain(a), plain(b)], { sticky: { cookie: "srv" } });
    const first = await exchange(proxy.port, request("/"));
    const cookie = first.field("set-cookie")!.split(";")[0]!;
    const [mine, other] = (await a.count("request")) === 1 ? [a, b] : [b, a];
    expect((await exchange(proxy.port, request("/refuse/2", [`Cookie: ${cookie}`]))).status).toBe(200);
    expect([await mine.count("request"), await other.count("request")]).toEqual([4, 0]);
  });
});

test("of two servers that are asked, the slower one's stream is cancelled", async () => {
  await using slow = await NodeH2Server.start({ delay: 60_000 });
  await using fast = await NodeH2Server.start();
  await using proxy = await proxyFor([plain(slow), plain(fast)], { hedge: { after: "50ms", max: 1 } });
  for (const path of ["/0", "/1"]) expect((await exchange(proxy.port, request(path))).status).toBe(200);
  expect((await slow.hears("closed")).code).toBe(8);
  expect(await fast.count("request")).toBe(2);
});

test("copies of requests go to such servers", async () => {
  await using main = await NodeH2Server.start();
  await using shadow = await NodeH2Server.start();
  await using proxy = await startProxy({
    upstreams: {
      main: { servers: [plain(main)] },
      shadow: { servers: [plain(shadow)] },
    },
    routes: [{ to: "main", mirror: { to: "shadow" } }],
  });
  for (const body of ["", "body"])
    expect((await exchange(proxy.port, request(`/echo/${body}`, [], "POST", body))).status).toBe(200);
  await shadow.hears("closed", "/echo/body");
  await shadow.hears("closed", "/echo/");
  const got = shadow.said.filter(({ kind }) => kind === "closed");
  expect(got.map(({ path, code }) => `${path} ${code}`).sort()).toEqual(["/echo/ 0", "/echo/body 0"]);
});

test("checks are made in the version that requests are, and the metrics count", async () => {
  await using server = await NodeH2Server.start();
  await using proxy = await pki.run({
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 1,
    upstreams: {
      app: { servers: [plain(server)], outlier: false, health: { path: "/healthz", interval: "100ms", timeout: "1s" } },
    },
    routes: [{ to: "app" }],
  });
  const metric = async (name: string): Promise<number> =>
    (await proxy.metrics()).get(`sluice_${name.replace("app", 'upstream="app"')}`) ?? 0;
  await until(async () => (await metric('health_checks_total{app,result="ok"}')) > 1, "good checks");
  expect([
    await metric('health_checks_total{app,result="failed"}'),
    (await server.count("request", "/healthz")) > 1,
  ]).toEqual([0, true]);
  expect((await exchange(proxy.port(), request("/refuse/1"))).status).toBe(200);
  expect((await exchange(proxy.port(), request("/leave"))).status).toBe(200);
  await using held = await Peer.connect(proxy.port());
  held.send(request("/hold"));
  await server.hears("request", "/hold");
  const counts = async (): Promise<number[]> =>
    Promise.all(
      ["connections", "streams", "goaways_total", "refused_total"].map((each) => metric(`upstream_http2_${each}{app}`)),
    );
  await until(async () => (await counts()).join() === "1,1,1,1", `counts, which are ${await counts()}`);
});

describe("nginx", () => {
  const text = "0123456789".repeat(100_000);
  const folder = new Folder();
  const socket = join(folder.path, "h2.sock");
  let nginx: Nginx;
  let proxy: TestProxy;
  beforeAll(async () => {
    nginx = await Nginx.start(
      `listen unix:${socket} http2; listen unix:${socket}.proxied http2 proxy_protocol; keepalive_requests 40; client_max_body_size 10m;
      add_header x-from $proxy_protocol_addr always;
      add_header x-got "$server_protocol $connection $request_method" always;
      location /put { client_body_in_single_buffer on; return 200 "put"; }`,
      { "large.txt": text, "small.txt": "small" },
    );
    proxy = await proxyFor([`unix:${socket}`], { http2: "only" });
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await nginx[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  test("answers over HTTP/2, and large ones too", async () => {
    await using client = await Peer.connect(proxy.port);
    const small = await client.send(request("/small.txt")).response();
    expect([small.body, small.field("x-got")]).toEqual(["small", expect.stringMatching(/^HTTP\/2\.0 \d+ GET$/)]);
    expect((await client.send(request("/large.txt")).response()).body === text).toBe(true);
    expect((await client.send(request("/none")).response()).status).toBe(404);
    expect((await client.send(request("/put", [], "PUT", text)).response()).status).toBe(200);
  });

  test("with PROXY headers, every connection is one client's", async () => {
    await using told = await proxyFor([`unix:${socket}.proxied`], { http2: "only", proxyProtocol: "v2" });
    const connections = new Set<string>();
    for (let i = 0; i < 3; i += 1) {
      const came = await exchange(told.port, request("/small.txt"));
      expect([came.body, came.field("x-from")]).toEqual(["small", "127.0.0.1"]);
      connections.add(came.field("x-got")!);
    }
    expect(connections.size).toBe(3);
  });

  test("which ends its connections now and then: nothing is lost", async () => {
    const connections = new Set<string>();
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        await using client = await Peer.connect(proxy.port);
        for (let i = 0; i < 60; i += 1) {
          const came = await client.send(request("/small.txt")).response();
          expect([came.status, came.body]).toEqual([200, "small"]);
          connections.add(came.field("x-got")!);
        }
      }),
    );
    expect(connections.size).toBeGreaterThan(5);
  });
});
