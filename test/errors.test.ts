// Every answer of Sluice's own to what goes wrong: its status, its form, and what it does not tell.
import { describe, expect, test } from "bun:test";
import { answer, type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { refusingPort } from "./support/ports.ts";
import { type ProxyUnderTest, proxyTo, startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Checks the form of an error and that nothing of the inside is in it. */
function expectError(came: Message, status: number, proxyStatus: string, secrets: readonly string[]): void {
  expect([came.status, came.field("proxy-status")]).toEqual([status, `sluice; error=${proxyStatus}`]);
  expect(came.field("content-type")).toBe("application/problem+json");
  expect(came.field("cache-control")).toBe("no-store");
  expect(came.field("retry-after") !== null).toBe(status === 503);
  const problem = JSON.parse(came.body) as Record<string, unknown>;
  expect(problem).toEqual({
    type: "about:blank",
    title: expect.any(String),
    status,
    detail: expect.any(String),
    requestId: expect.stringMatching(UUID_V7),
  });
  const all = `${came.fields.flat().join("\n")}\n${came.body}`;
  for (const secret of [...secrets, "src/", "Error:", "upstream."]) expect(all).not.toContain(secret);
}

interface Case {
  readonly name: string;
  readonly send: string;
  readonly config?: Partial<ProxyUnderTest>;
  readonly status: number;
  readonly proxyStatus: string;
  /** The connection goes on. */
  readonly stays?: boolean;
}

const LONG = "x".repeat(9000);
const CLIENT: readonly Case[] = [
  { name: "malformed", send: "GET / HTTP/1.1\r\nHost : a\r\n\r\n", status: 400, proxyStatus: "http_request_error" },
  { name: "not HTTP", send: "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", status: 400, proxyStatus: "http_request_error" },
  { name: "ambiguous path", send: request("/%2e%2e/x"), status: 400, proxyStatus: "http_request_error", stays: true },
  {
    name: "no route",
    send: request("/nowhere"),
    config: { routes: [{ match: { path: "/here" }, respond: {} }] },
    status: 404,
    proxyStatus: "destination_not_found",
    stays: true,
  },
  {
    name: "CONNECT",
    send: "CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n",
    status: 405,
    proxyStatus: "http_request_denied",
  },
  {
    name: "a declared body over the limit",
    send: request("/", ["Content-Length: 11"], "POST"),
    config: { routes: [{ limits: { body: "10B" }, respond: {} }] },
    status: 413,
    proxyStatus: "http_request_error",
  },
  { name: "a long target", send: request(`/${LONG}`), status: 414, proxyStatus: "http_request_error" },
  {
    name: "a target over the route's limit",
    send: request(`/${"y".repeat(100)}`),
    config: { routes: [{ limits: { uri: "100B" }, respond: {} }] },
    status: 414,
    proxyStatus: "http_request_error",
  },
  {
    name: "an unknown expectation",
    send: request("/", ["Expect: tea"]),
    status: 417,
    proxyStatus: "http_request_error",
  },
  {
    name: "a large header section",
    send: request(
      "/",
      Array.from({ length: 40 }, (_, at) => `X-${at}: ${"z".repeat(1000)}`),
    ),
    status: 431,
    proxyStatus: "http_request_error",
  },
  {
    name: "many fields",
    send: request("/", new Array(101).fill("X: y")),
    status: 431,
    proxyStatus: "http_request_error",
  },
  {
    name: "a header section over the route's limit",
    send: request("/", [`X: ${"z".repeat(200)}`]),
    config: { routes: [{ limits: { headers: "200B" }, respond: {} }] },
    status: 431,
    proxyStatus: "http_request_error",
  },
  {
    name: "an unknown transfer coding",
    send: request("/", ["Transfer-Encoding: br, chunked"], "POST"),
    status: 501,
    proxyStatus: "http_request_error",
  },
  { name: "HTTP/2 as text", send: "GET / HTTP/2.0\r\nHost: a\r\n\r\n", status: 505, proxyStatus: "http_request_error" },
];

describe("what clients do wrong", () => {
  for (const { name, send, config, status, proxyStatus, stays } of CLIENT)
    test(`${name}: ${status}`, async () => {
      await using proxy = await startProxy({ routes: [{ respond: { body: "fine" } }], ...config });
      await using client = await Peer.connect(proxy.port);
      expectError(await client.send(send).response(), status, proxyStatus, [String(proxy.port)]);
      if (stays === true) {
        client.send(request("/here"));
        expect((await client.response()).status).toBe(200);
      } else await client.end();
    });

  test("a malformed request behind another is answered by itself", async () => {
    await using proxy = await startProxy({ routes: [{ respond: {} }] });
    await using client = await Peer.connect(proxy.port);
    expect((await client.send(request("/", ["Accept: text/html"], "HEAD")).response("HEAD")).status).toBe(200);
    expectError(await client.send("\x00\r\n\r\n").response(), 400, "http_request_error", []);
  });

  test("a chunked body over the limit: 413, and the server never sees its end", async () => {
    await using backend = await RawBackend.answering(() => answer(200));
    await using proxy = await startProxy({ routes: [{ limits: { body: "10B" }, to: backend.url }] });
    await using client = await Peer.connect(proxy.port);
    client.send(`${request("/", ["Transfer-Encoding: chunked"], "POST")}6\r\n123456\r\n6\r\n123456\r\n0\r\n\r\n`);
    expectError(await client.response(), 413, "http_request_error", [String(backend.port)]);
    await client.end();
    await (await backend.peer(0)).end();
    expect(backend.requests).toEqual([]);
  });

  test("a broken chunk: 400, and the server never sees the body's end", async () => {
    await using backend = await RawBackend.answering(() => answer(200));
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    client.send(`${request("/", ["Transfer-Encoding: chunked"], "POST")}6\r\n123456\r\n-1\r\n`);
    expectError(await client.response(), 400, "http_request_error", [String(backend.port)]);
    await client.end();
    await (await backend.peer(0)).end();
    expect(backend.requests).toEqual([]);
  });
});

/** A backend that does `reply` to each request; 503s and the like are the table's. */
const SERVER: readonly (readonly [name: string, reply: string, proxyStatus: string])[] = [
  ["closes before it answers", "", "connection_terminated"],
  ["does not speak HTTP", "SSH-2.0-OpenSSH_9\r\n", "http_protocol_error"],
  ["sends two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "http_protocol_error"],
  [
    "sends length and coding",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "http_protocol_error",
  ],
  ["sends a body behind 204", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "http_protocol_error"],
  ["folds a line", "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\nContent-Length: 0\r\n\r\n", "http_protocol_error"],
  ["sends a bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "http_protocol_error"],
  ["sends too many fields", `HTTP/1.1 200 OK\r\n${"X: y\r\n".repeat(300)}\r\n`, "http_response_header_section_size"],
  [
    "switches protocols unasked",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "http_upgrade_failed",
  ],
  ["ends inside its head", "HTTP/1.1 200 OK\r\nContent-", "connection_terminated"],
];

describe("what servers do wrong", () => {
  for (const [name, reply, proxyStatus] of SERVER)
    test(`${name}: 502, and the next request is not touched by it`, async () => {
      await using backend = await RawBackend.answering((got, peer) => {
        if (got.target === "/good") return answer(200, "good");
        peer.send(reply).finish();
        return null;
      });
      await using proxy = await proxyTo(backend.url);
      await using client = await Peer.connect(proxy.port);
      expectError(await client.send(request("/bad")).response(), 502, proxyStatus, [String(backend.port)]);
      expect((await client.send(request("/good")).response()).body).toBe("good");
      expect(backend.peers.length).toBe(2);
    });

  test("nobody listens: 502", async () => {
    const port = await refusingPort();
    await using proxy = await proxyTo(`http://127.0.0.1:${port}`);
    expectError(await exchange(proxy.port, request("/")), 502, "connection_refused", [String(port)]);
  });

  test("its name does not exist: 503", async () => {
    await using proxy = await startProxy({
      resolver: { servers: [`127.0.0.1:${await refusingPort()}`] },
      routes: [{ to: "http://no-such-name.test" }],
    });
    expectError(await exchange(proxy.port, request("/")), 503, "dns_error", ["no-such-name"]);
  });

  const CUT: readonly (readonly [name: string, reply: string])[] = [
    ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"],
    ["chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"],
    ["a broken chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n"],
  ];
  for (const [name, reply] of CUT)
    test(`an answer cut off inside ${name} is cut off for the client too`, async () => {
      await using backend = await RawBackend.answering((_, peer) => {
        peer.send(reply).finish();
        return null;
      });
      await using proxy = await proxyTo(backend.url);
      await using client = await Peer.connect(proxy.port);
      expect((await client.send(request("/")).head()).status).toBe(200);
      await client.end();
      expect(client.peek()).not.toEndWith("0\r\n\r\n");
      expect(client.peek().replace(/^3\r\n/, "").length).toBeLessThan(10);
    });

  test("for a body without length the cut shows as a reset", async () => {
    await using backend = await RawBackend.answering((_, peer) => {
      peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").finish();
      return null;
    });
    await using proxy = await proxyTo(backend.url);
    await using client = await Peer.connect(proxy.port);
    expect((await client.send("GET / HTTP/1.0\r\n\r\n").head()).status).toBe(200);
    await client.when(() => client.closed, "the connection's end");
    expect(client.error).toBe("ECONNRESET");
  });

  test("an error of its own passes unchanged", async () => {
    await using backend = await RawBackend.answering(() => answer(503, "mine", ["Retry-After: 99"]));
    await using proxy = await proxyTo(backend.url);
    const came = await exchange(proxy.port, request("/"));
    expect([came.status, came.body, came.field("retry-after"), came.field("proxy-status")]).toEqual([
      503,
      "mine",
      "99",
      null,
    ]);
  });
});

describe("the form follows Accept", () => {
  const HTML = "text/html; charset=utf-8";
  const JSON_TYPE = "application/problem+json";
  const CASES: readonly (readonly [accept: string | null, type: string])[] = [
    [null, JSON_TYPE],
    ["*/*", JSON_TYPE],
    ["application/json", JSON_TYPE],
    ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", HTML],
    ["application/json, text/html;q=0.5", JSON_TYPE],
  ];
  for (const [accept, type] of CASES)
    test(`${accept}`, async () => {
      await using proxy = await startProxy({ routes: [{ match: { path: "/x" }, respond: {} }] });
      const came = await exchange(proxy.port, request("/", accept === null ? [] : [`Accept: ${accept}`]));
      expect([came.status, came.field("content-type")]).toEqual([404, type]);
      const id = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}/.exec(came.body)?.[0] ?? "";
      expect(id).toMatch(UUID_V7);
      if (type === HTML) expect(came.body).toStartWith("<!doctype html>");
    });

  test("HEAD gets the head alone", async () => {
    await using proxy = await startProxy({ routes: [{ match: { path: "/x" }, respond: {} }] });
    await using client = await Peer.connect(proxy.port);
    const came = await client.send(request("/", [], "HEAD")).response("HEAD");
    expect([came.status, Number(came.field("content-length")) > 0]).toEqual([404, true]);
    expect((await client.send(request("/x")).response()).status).toBe(200);
  });

  test("the id is the one that a trusted peer gave, made harmless", async () => {
    await using proxy = await startProxy({
      trustedProxies: ["127.0.0.1"],
      routes: [{ match: { path: "/x" }, respond: {} }],
    });
    const came = await exchange(proxy.port, request("/", ["Accept: text/html", "X-Request-Id: <b>&"]));
    expect(came.body).not.toContain("<b>");
    expect(came.body).toContain("&#60;b&#62;&#38;");
  });
});
