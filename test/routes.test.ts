// Routes, actions, policies and plugins, seen from outside.
import { describe, expect, test } from "bun:test";
import { definePlugin, type Exchange } from "../src/index.ts";
import { answer, chunks, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { proxyTo, startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { until } from "./support/wait.ts";

type Routes = Parameters<typeof startProxy>[0]["routes"];

describe("matching", () => {
  const respond = (body: string) => ({ respond: { body } });
  const ROUTES: Routes = [
    { match: { path: "/users/:id/posts/:post" }, ...respond("{id} wrote {post}") },
    { match: { host: "exact.example" }, ...respond("host") },
    { match: { host: ["*.wild.example", "other.example"] }, ...respond("wild") },
    { match: { path: "/exact" }, ...respond("exact") },
    { match: { path: "/prefix/*" }, ...respond("prefix") },
    { match: { path: "~^/re/[0-9]+$" }, ...respond("regex") },
    { match: { method: ["PUT", "PATCH"] }, ...respond("method") },
    { match: { header: { "x-beta": "1", "x-any": true } }, ...respond("header") },
    { match: { query: { debug: "~^(yes|on)$" } }, ...respond("query") },
    { match: { cookie: { tier: "gold" } }, ...respond("cookie") },
    { match: { clientIp: "127.0.0.2" }, ...respond("ip") },
    { match: { path: "/*" }, ...respond("rest {path}") },
  ];
  const CASES: readonly (readonly [text: string, want: string, from?: string])[] = [
    [request("/exact"), "exact"],
    [request("/exact/"), "rest /exact/"],
    [request("/prefix"), "prefix"],
    [request("/prefix/a/b"), "prefix"],
    [request("/prefixed"), "rest /prefixed"],
    [request("/a/../exact"), "exact"],
    [request("//exact"), "exact"],
    [request("/%65xact"), "exact"],
    [request("/a%2Fexact"), "rest /a%2Fexact"],
    [request("/re/42"), "regex"],
    [request("/re/x"), "rest /re/x"],
    [request("/users/ann/posts/7?x"), "ann wrote 7"],
    ["GET /exact HTTP/1.1\r\nHost: EXACT.example:99\r\n\r\n", "host"],
    ["GET http://exact.example/exact HTTP/1.1\r\nHost: exact.example\r\n\r\n", "host"],
    ["GET / HTTP/1.1\r\nHost: a.b.wild.example\r\n\r\n", "wild"],
    ["GET / HTTP/1.1\r\nHost: wild.example\r\n\r\n", "rest /"],
    [request("/m", [], "PUT"), "method"],
    [request("/h", ["X-Beta: 1", "X-Any: whatever"]), "header"],
    [request("/h", ["X-Beta: 2", "X-Any: whatever"]), "rest /h"],
    [request("/q?a=1&debug=on"), "query"],
    [request("/q?a=1&debug=only"), "rest /q"],
    [request("/c", ["Cookie: a=b; tier=gold"]), "cookie"],
    [request("/i"), "ip", "127.0.0.2"],
    [request("/i"), "rest /i"],
  ];
  for (const [text, want, from] of CASES)
    test(`${JSON.stringify(text.slice(0, 60))} → ${want}`, async () => {
      await using proxy = await startProxy({ routes: ROUTES });
      await using client = await Peer.connect(proxy.port, from);
      expect((await client.send(text).response()).body).toBe(want);
    });
});

describe("ambiguous paths are refused, and the connection goes on", () => {
  const PATHS: readonly string[] = [
    "/%00",
    "/a/%2e%2e/b",
    "/a/%2e/b",
    "/..",
    "/a/../../b",
    "/a%2F..%2Fb",
    "/a/..;x/b",
    "/%",
    "/%4",
    "/%zz",
    "/a\\b",
    "/a%5cb",
    "/a//../b",
    "/%0a",
  ];
  for (const path of PATHS)
    test(path, async () => {
      await using backend = await RawBackend.answering(() => answer(200));
      await using proxy = await proxyTo(backend.url);
      await using client = await Peer.connect(proxy.port);
      expect((await client.send(request(path)).response()).status).toBe(400);
      expect((await client.send(request("/fine")).response()).status).toBe(200);
      expect(backend.requests.map(({ target }) => target)).toEqual(["/fine"]);
    });
});

test("the original path is forwarded, whatever form was matched", async () => {
  await using backend = await RawBackend.answering(() => answer(200));
  await using proxy = await startProxy({ routes: [{ match: { path: "/a/c/*" }, to: backend.url }] });
  const targets = ["/a/./b/../c/%7Ex//y?q=/../", "//a//c", "/%61/c/?", "/a/c/%2F"];
  for (const target of targets) expect((await exchange(proxy.port, request(target))).status).toBe(200);
  expect(backend.requests.map(({ target }) => target)).toEqual(targets);
});

describe("actions", () => {
  test("to: a name, a URL, a list and a weighted split", async () => {
    await using a = await RawBackend.answering(() => answer(200, "a"));
    await using b = await RawBackend.answering(() => answer(200, "b"));
    await using proxy = await startProxy({
      upstreams: { a: { servers: [a.url] }, b: { servers: [b.url] } },
      routes: [
        { match: { path: "/name" }, to: "a" },
        { match: { path: "/url" }, to: b.url },
        { match: { path: "/list" }, to: [a.url, b.url] },
        {
          match: { path: "/split" },
          to: [
            { upstream: "a", weight: 3 },
            { upstream: "b", weight: 1 },
          ],
        },
      ],
    });
    const ask = async (path: string) => (await exchange(proxy.port, request(path))).body;
    expect([await ask("/name"), await ask("/url")]).toEqual(["a", "b"]);
    expect([await ask("/list"), await ask("/list")].toSorted()).toEqual(["a", "b"]);
    let shares = "";
    for (let i = 0; i < 400; i += 1) shares += await ask("/split");
    const share = shares.replaceAll("b", "").length / shares.length;
    expect(share).toBeGreaterThan(0.6);
    expect(share).toBeLessThan(0.9);
  });

  test("respond, for every method, with and without a body to drop", async () => {
    await using proxy = await startProxy({
      routes: [{ respond: { status: 201, body: "hi {query.name}", headers: { "x-id": "{requestId}" } } }],
    });
    await using client = await Peer.connect(proxy.port);
    const came = await client.send(request("/?name=ann")).response();
    expect([came.status, came.body, came.field("content-type")]).toEqual([201, "hi ann", "text/plain; charset=utf-8"]);
    expect(came.field("x-id")).toMatch(/^[0-9a-f-]{36}$/);
    expect((await client.send(request("/", [], "POST", "x".repeat(100_000))).response()).body).toBe("hi ");
    const head = await client.send(request("/?name=ann", [], "HEAD")).response("HEAD");
    expect([head.status, head.field("content-length")]).toEqual([201, "6"]);
    client.send(`${request("/?name=c", ["Transfer-Encoding: chunked"], "POST")}${chunks("ab")}0\r\n\r\n`);
    expect((await client.response()).body).toBe("hi c");
  });

  test("redirect", async () => {
    await using proxy = await startProxy({
      routes: [
        { match: { path: "/old/:id" }, redirect: { to: "/new/{id}", status: 301 } },
        { redirect: { to: "https://www.example.com{uri}" } },
      ],
    });
    const old = await exchange(proxy.port, request("/old/a%20b"));
    expect([old.status, old.field("location"), old.body]).toEqual([301, "/new/a%20b", ""]);
    const rest = await exchange(proxy.port, request("/x?y=1"));
    expect([rest.status, rest.field("location")]).toEqual([308, "https://www.example.com/x?y=1"]);
  });
});

describe("policies", () => {
  test("rewrite", async () => {
    await using backend = await RawBackend.answering(() => answer(200));
    const query = { set: { a: "{header.x-a}" }, remove: ["utm_*"] };
    await using proxy = await startProxy({
      routes: [
        { match: { path: "/v1/*" }, rewrite: { stripPrefix: "/v1", addPrefix: "/api" }, to: backend.url },
        { match: { path: "/u/:id" }, rewrite: { path: "/users/{id}" }, to: backend.url },
        { match: { path: "/re/*" }, rewrite: { regex: ["^/re/(.*)", "/x/$1/y"] }, to: backend.url },
        { rewrite: { query }, to: backend.url },
      ],
    });
    const pairs: readonly (readonly [string, string])[] = [
      ["/v1/a/b?c=1", "/api/a/b?c=1"],
      ["/v1", "/api"],
      ["/u/a%2Fb?x", "/users/a%2Fb?x"],
      ["/re/1", "/x/1/y"],
      ["/%71/./?utm_source=1&b=2&a=3", "/%71/./?b=2&a=5%206"],
    ];
    for (const [from] of pairs) await exchange(proxy.port, request(from, ["X-A: 5 6"]));
    expect(backend.requests.map(({ target }) => target)).toEqual(pairs.map(([, to]) => to));
  });

  test("requestHeaders and responseHeaders", async () => {
    await using backend = await RawBackend.answering(() =>
      answer(200, "body", ["Server: secret", "X-Old: 1", "X-Both: 1"]),
    );
    await using proxy = await startProxy({
      defaults: { responseHeaders: { remove: ["server"] } },
      routes: [
        { match: { path: "/default" }, to: backend.url },
        {
          requestHeaders: {
            set: { "X-User": "{header.x-name} at {ip}", "x-forwarded-for": "unknown" },
            add: { "X-Many": "2" },
            remove: ["cookie", "authorization"],
          },
          responseHeaders: {
            set: { "X-Old": "2", "X-Frame-Options": "DENY" },
            add: { "X-Both": "2" },
            remove: ["via"],
          },
          to: backend.url,
        },
      ],
    });
    const fields = ["X-Name: ann", "X-User: forged", "X-Many: 1", "Cookie: a=1", "Authorization: x", "X-Left: 1"];
    const came = await exchange(proxy.port, request("/", fields, "POST", "abc"));
    const got = backend.requests[0]!;
    expect(got.all("x-user")).toEqual(["ann at 127.0.0.1"]);
    expect(got.all("x-forwarded-for")).toEqual(["unknown"]);
    expect(got.all("x-many")).toEqual(["1", "2"]);
    expect([got.field("cookie"), got.field("authorization"), got.field("x-left"), got.body]).toEqual([
      null,
      null,
      "1",
      "abc",
    ]);
    expect(came.all("x-old")).toEqual(["2"]);
    expect(came.all("x-both")).toEqual(["1", "2"]);
    expect([came.field("x-frame-options"), came.field("server"), came.body]).toEqual(["DENY", "secret", "body"]);
    expect((await exchange(proxy.port, request("/default"))).field("server")).toBeNull();
  });

  test("a body just at its limit passes; one byte more is stopped, also while it streams", async () => {
    await using backend = await RawBackend.answering((got) => answer(200, String(got.body.length)));
    await using proxy = await startProxy({ routes: [{ limits: { body: "1KB" }, to: backend.url }] });
    expect((await exchange(proxy.port, request("/", [], "POST", "x".repeat(1024)))).body).toBe("1024");
    expect((await exchange(proxy.port, request("/", [], "POST", "x".repeat(1025)))).status).toBe(413);
    const head = request("/", ["Transfer-Encoding: chunked"], "POST");
    expect((await exchange(proxy.port, `${head}${chunks("x".repeat(1000), "y".repeat(24))}0\r\n\r\n`)).body).toBe(
      "1024",
    );
    expect((await exchange(proxy.port, `${head}${chunks("x".repeat(1000), "y".repeat(25))}0\r\n\r\n`)).status).toBe(
      413,
    );
  });
});

describe("plugins", () => {
  const later = <T>(value: T): Promise<T> => new Promise((resolve) => setTimeout(() => resolve(value), 5));

  /** What came of `/` with the plugin in the route, and then of the same connection without it. */
  async function through(plugin: ReturnType<typeof definePlugin>, reply = answer(200, "server"), method = "POST") {
    await using backend = await RawBackend.answering((got) => (got.target === "/next" ? answer(200, "next") : reply));
    await using proxy = await startProxy({
      routes: [{ match: { path: "/" }, use: [plugin], to: backend.url }, { to: backend.url }],
    });
    await using client = await Peer.connect(proxy.port);
    const came = await client.send(request("/", [], method, method === "POST" ? "hello" : "")).response(method);
    expect((await client.send(request("/next")).response()).body).toBe("next");
    const got = backend.requests.find(({ target }) => target === "/") ?? null;
    return { came, got, connections: backend.peers.length };
  }

  const EDIT = {
    request: (x: Exchange) => x.request.headers.set("x-from-plugin", "1"),
    response: (x: Exchange) =>
      x.response.setHeader("x-to-client", `${x.response.status} ${x.server?.name.split(":")[0]}`),
  };
  const MODES = {
    sync: <T>(work: T): T => work,
    async: (work: (x: Exchange) => unknown) => async (x: Exchange) => {
      await later(0);
      return work(x) as never;
    },
  };

  for (const [mode, wrap] of Object.entries(MODES)) {
    test(`edit both heads (${mode})`, async () => {
      const plugin = { name: "edit", request: wrap(EDIT.request), response: wrap(EDIT.response) };
      const { came, got } = await through(plugin as never);
      expect([got?.field("x-from-plugin"), got?.body]).toEqual(["1", "hello"]);
      expect([came.field("x-to-client"), came.body]).toEqual(["200 127.0.0.1", "server"]);
    });

    test(`answer in the request phase (${mode})`, async () => {
      const request = wrap((x: Exchange) => x.respond(403, "blocked", { "x-why": "plugin" }));
      const { came, got } = await through({ name: "block", request } as never);
      expect([came.status, came.body, came.field("x-why"), got]).toEqual([403, "blocked", "plugin", null]);
    });

    test(`answer in the response phase (${mode})`, async () => {
      const response = wrap((x: Exchange) => x.respond(418, `not ${x.response.status}`));
      const { came } = await through({ name: "replace", response } as never);
      expect([came.status, came.body]).toEqual([418, "not 200"]);
    });

    for (const phase of ["request", "response"])
      test(`that throw in the ${phase} phase: 500, and nothing else breaks (${mode})`, async () => {
        const broken = wrap(() => {
          throw new Error("secret detail");
        });
        const { came } = await through({ name: "broken", [phase]: broken } as never);
        expect([came.status, came.field("proxy-status")]).toEqual([500, "sluice; error=proxy_internal_error"]);
        expect(came.body).not.toContain("secret");
      });

    const BODYLESS: readonly (readonly [reply: string, method: string])[] = [
      ["HTTP/1.1 204 No Content\r\n\r\n", "GET"],
      ["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD"],
      ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "GET"],
      ["HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "GET"],
    ];
    for (const [reply, method] of BODYLESS)
      test(`see answers without a body: ${method} ${JSON.stringify(reply)} (${mode})`, async () => {
        const { came } = await through({ name: "edit", response: wrap(EDIT.response) } as never, reply, method);
        expect([came.status, came.field("x-to-client")]).toEqual([
          Number(reply.slice(9, 12)),
          `${came.status} 127.0.0.1`,
        ]);
      });
  }

  test("a body that comes while the response phase waits is not lost", async () => {
    const big = "0123456789".repeat(300_000);
    const response = async (): Promise<void> => later(undefined);
    const { came } = await through(definePlugin({ name: "wait", response }), answer(200, big));
    expect(came.body === big).toBe(true);
  });

  test("a body without length that ends while the response phase waits is not lost", async () => {
    await using backend = await RawBackend.answering((_, peer) => {
      peer.send("HTTP/1.1 200 OK\r\n\r\nall of it").finish();
      return null;
    });
    const response = async (): Promise<void> => later(undefined);
    await using proxy = await startProxy({
      routes: [{ use: [definePlugin({ name: "wait", response })], to: backend.url }],
    });
    expect((await exchange(proxy.port, request("/"))).body).toBe("all of it");
  });

  for (const phase of ["request", "response"] as const)
    test(`a client that leaves while a plugin waits in the ${phase} phase disturbs nobody`, async () => {
      let waiting = 0;
      let done = 0;
      const wait = async (): Promise<void> => {
        waiting += 1;
        await Bun.sleep(200);
        done += 1;
      };
      await using backend = await RawBackend.answering(() => answer(200, "fine"));
      await using proxy = await startProxy({
        routes: [
          { match: { path: "/slow" }, use: [definePlugin({ name: "slow", [phase]: wait })], to: backend.url },
          { to: backend.url },
        ],
      });
      await using client = await Peer.connect(proxy.port);
      client.send(request("/slow"));
      await until(() => waiting === 1, "the plugin to run");
      client.reset();
      await until(() => done === 1, "the plugin to end");
      expect((await exchange(proxy.port, request("/"))).body).toBe("fine");
      expect(backend.requests.map(({ target }) => target)).toEqual(phase === "request" ? ["/"] : ["/slow", "/"]);
    });

  test("run in order, and see answers of the proxy's own as well", async () => {
    const seen: string[] = [];
    const named = (name: string) =>
      definePlugin({
        name,
        request: () => void seen.push(`${name} >`),
        response: (x) => {
          seen.push(`${name} <`);
          x.response.setHeader(`x-${name}`, String(x.response.status));
        },
      });
    await using proxy = await startProxy({ routes: [{ use: [named("one"), named("two")], respond: { status: 202 } }] });
    const came = await exchange(proxy.port, request("/"));
    expect([came.status, came.field("x-one"), came.field("x-two")]).toEqual([202, "202", "202"]);
    expect(seen).toEqual(["one >", "two >", "one <", "two <"]);
  });

  test("may keep an exchange beyond its end", async () => {
    const kept: Exchange[] = [];
    await using backend = await RawBackend.answering((got) => answer(200, "", [`X-Echo: ${got.target}`]));
    await using proxy = await startProxy({
      routes: [
        { use: [definePlugin({ name: "keep", response: (x: Exchange) => void kept.push(x) })], to: backend.url },
      ],
    });
    await using client = await Peer.connect(proxy.port);
    for (let i = 0; i < 3; i += 1) await client.send(request(`/${i}`, [`X-N: ${i}`])).response();
    expect(kept.map((x) => [x.request.target, x.request.header("x-n"), x.response.header("x-echo"), x.status])).toEqual(
      [
        ["/0", "0", "/0", 200],
        ["/1", "1", "/1", 200],
        ["/2", "2", "/2", 200],
      ],
    );
  });
});
