// Messages over HTTP/3 (RFC 9114): what servers and clients get of each other, with the runtime's QUIC as client.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import type { ConfigInput } from "../src/index.ts";
import { pattern } from "./support/body-server.ts";
import { type Fields, H3Client, head } from "./support/h3.ts";
import { answer, chunks, type Message } from "./support/message.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { type Files, Pki } from "./support/tls.ts";
import { until } from "./support/wait.ts";

const PIECE = pattern();
const sha = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");
const accept = (key: string): string =>
  createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");

let pki: Pki;
let files: Files;
let backend: RawBackend;
let proxy: TestProxy;
let client: H3Client;

/** What the server says to each target. */
const ANSWERS: Readonly<Record<string, (got: Message) => string>> = {
  "/plain": () => answer(200, "hello", ["Content-Type: text/plain", "X-A: 1", "X-A: 2", "Keep-Alive: timeout=5"]),
  "/chunked": () => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks("one", "two")}0\r\n\r\n`,
  "/trailers": () =>
    `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n${chunks("body")}0\r\nX-T: 1\r\nX-T: 2\r\nContent-Length: 4\r\n\r\n`,
  "/hints": () => `HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n${answer(200, "after")}`,
  "/empty": () => "HTTP/1.1 204 No Content\r\n\r\n",
  "/same": () => 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\n\r\n',
  "/close": () => "HTTP/1.1 200 OK\r\nConnection: close, X-Private\r\nX-Private: 1\r\n\r\nuntil the end",
  "/cookies": () => answer(200, "", ["Set-Cookie: a=1", "Set-Cookie: b=2"]),
  "/twice": () => answer(200, "", ["Content-Language: de", "Content-Language: en", "Age: 1", "Age: 2"]),
  "/many": () =>
    answer(
      200,
      "",
      Array.from({ length: 140 }, (_, n) => `X-${n}: v`),
    ),
  "/latin": () => answer(200, "", ["X-L: caf\xe9"]),
  "/cut": () => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
  "/body": ({ body }) => answer(200, `${body.length} ${sha(Buffer.from(body, "latin1"))}`),
};

beforeAll(async () => {
  pki = await Pki.make();
  files = await pki.files("app", { names: ["app.test"] });
  backend = await RawBackend.start(async (peer, self) => {
    while (!peer.ended) {
      const got = await peer.request();
      self.requests.push(got);
      const text = ANSWERS[got.target]?.(got) ?? answer(200, lines(got));
      peer.send(got.method === "HEAD" ? text.slice(0, text.indexOf("\r\n\r\n") + 4) : text);
      if (/close|cut/.test(got.target)) return peer.close();
    }
  });
  proxy = await secured([
    { match: { path: "/respond" }, respond: { status: 201, body: "{scheme} {host}" } },
    { to: backend.url },
  ]);
});
beforeEach(async () => {
  if (client === undefined || client.closedWith !== null) client = await H3Client.connect(proxy.port);
});
afterAll(async () => {
  await client?.[Symbol.asyncDispose]();
  await proxy?.[Symbol.asyncDispose]();
  await backend?.[Symbol.asyncDispose]();
  pki?.[Symbol.dispose]();
});

const secured = (routes: ConfigInput["routes"]): Promise<TestProxy> =>
  startProxy({ log: { level: "error" }, listener: { tls: { certificates: [files] }, http3: true }, routes });

const lines = (got: Message): string =>
  [got.first, ...got.fields.map(([name, value]) => `${name}: ${value}`), "", got.body].join("\n");

describe("answers", () => {
  const CASES: readonly (readonly [target: string, status: number, body: string, fields: Fields])[] = [
    ["/plain", 200, "hello", { "x-a": ["1", "2"], "content-length": "5" }],
    ["/chunked", 200, "onetwo", {}],
    ["/hints", 200, "after", {}],
    ["/empty", 204, "", {}],
    ["/same", 304, "", { etag: '"x"' }],
    ["/close", 200, "until the end", {}],
    ["/cookies", 200, "", { "set-cookie": ["a=1", "b=2"] }],
    ["/twice", 200, "", { "content-language": "de, en", age: "1, 2" }],
    ["/latin", 200, "", { "x-l": "caf\xe9" }],
    ["/respond", 201, "https app.test", {}],
  ];
  for (const [target, status, body, fields] of CASES) {
    test(target, async () => {
      const got = await client.get(target);
      expect([got.status, got.body.latin1Slice(), got.reset]).toEqual([status, body, -1]);
      expect(got.fields).toMatchObject(fields);
      const names = Object.keys(got.fields);
      for (const name of ["connection", "keep-alive", "transfer-encoding", "x-private", "alt-svc"])
        expect(names).not.toContain(name);
      expect(names).toContain("date");
    });
  }

  test("have their trailers, without those that are none", async () => {
    const got = await client.get("/trailers");
    expect([got.body.latin1Slice(), got.trailers]).toEqual(["body", { "x-t": ["1", "2"] } as never]);
  });
  test("come with interim answers before them", async () => {
    const got = await client.get("/hints");
    expect(got.informational).toMatchObject([{ ":status": "103", link: "</a>; rel=preload" }]);
  });
  test("to HEAD have a length and no content", async () => {
    const got = await (await client.begin(head("HEAD", "/plain"))).done;
    expect([got.status, got.fields["content-length"], got.body.length]).toEqual([200, "5", 0]);
  });
  test("with more fields than the runtime can send are a 502", async () => {
    const got = await client.get("/many");
    expect([got.status, got.body.length]).toEqual([502, 0]);
  });
  test("that are cut off are reset, not ended", async () => {
    const got = await client.get("/cut");
    expect(got.reset).toBe(0x102); // which may overtake what came before
  });
});

describe("requests", () => {
  test("reach the server like those of HTTP/1.1", async () => {
    const { body } = await client.get("/echo?a=b", { cookie: ["a=1", "b=2"], "x-a": ["1", "2"], te: "trailers" });
    const text = body.latin1Slice();
    expect(text).toStartWith("GET /echo?a=b HTTP/1.1\nhost: app.test\n");
    for (const line of [
      "cookie: a=1; b=2",
      "x-a: 1",
      "x-a: 2",
      "X-Forwarded-For: 127.0.0.1",
      "X-Forwarded-Proto: https",
    ])
      expect(text).toContain(`\n${line}\n`);
    expect(text).toMatch(/\nVia: 3 sluice/);
    expect(text).not.toMatch(/transfer-encoding|content-length/i);
  });
  test("have a length where they say it, and are chunked where not", async () => {
    const told = (await client.post("/echo", Buffer.from("12345"), { "content-length": "5" })).body.latin1Slice();
    expect(told).toMatch(/content-length: 5\n[\s\S]*\n12345$/i);
    const untold = (await client.post("/echo", Buffer.from("12345"))).body.latin1Slice();
    expect(untold).toMatch(/transfer-encoding: chunked\n[\s\S]*\n12345$/i);
  });
  test("have trailers", async () => {
    await client.post("/echo", Buffer.from("x"), {}, { "x-t": "1", authorization: "x" });
    expect(backend.requests.at(-1)!.trailers).toEqual([["x-t", "1"]]);
  });
  test("bring bodies of any size", async () => {
    for (const size of [0, 1, 1200, 65_536, 3_000_000]) {
      const body =
        PIECE.length >= size ? PIECE.subarray(0, size) : Buffer.concat([PIECE, PIECE, PIECE]).subarray(0, size);
      const got = await client.post("/body", body, size === 1200 ? { "content-length": "1200" } : {});
      expect(got.body.latin1Slice()).toBe(`${size} ${sha(body)}`);
    }
  });
  test("may be answered before their end", async () => {
    await using hasty = await RawBackend.start(async (peer) => {
      await peer.head();
      peer.send(answer(413, "too much", ["Connection: close"]));
      peer.close();
    });
    await using own = await secured([{ to: hasty.url }]);
    await using client = await H3Client.connect(own.port);
    const request = await client.begin(head("POST", "/"), true);
    await request.write(PIECE.subarray(0, 50_000));
    const got = await request.done;
    expect([got.status, got.body.latin1Slice()]).toEqual([413, "too much"]);
    // The client is told to stop; the connection serves others.
    await until(() => request.stream.destroyed, "the end of the stream");
    expect((await client.get("/")).status).toBe(413);
  });
  test("run beside each other", async () => {
    const all = await Promise.all(Array.from({ length: 60 }, (_, n) => client.get(`/echo?${n}`)));
    expect(all.map(({ body }) => body.latin1Slice().split("\n")[0])).toEqual(
      Array.from({ length: 60 }, (_, n) => `GET /echo?${n} HTTP/1.1`),
    );
  });
});

describe("malformed requests", () => {
  const without = (name: string): Fields => {
    const { [name]: _, ...rest } = head("GET", "/");
    return rest;
  };
  const CASES: readonly (readonly [what: string, fields: Fields])[] = [
    ["no :path", without(":path")],
    ["no :method", without(":method")],
    ["no :scheme", without(":scheme")],
    ["no authority", without(":authority")],
    ["empty :path", head("GET", "")],
    ["a :path with a space", head("GET", "/a b")],
    ["a :path with a line break", head("GET", "/a\r\nx: y")],
    ["a :path that is none", head("GET", "a")],
    ["a method that is no token", head("GE T", "/")],
    ["a method with a line break", head("GET / HTTP/1.1\r\nx: y\r\n\r\nGET", "/")],
    ["another scheme", { ...head("GET", "/"), ":scheme": "ftp" }],
    ["an authority with user information", head("GET", "/", "user@app.test")],
    ["an authority with a line break", head("GET", "/", "app.test\r\nx: y")],
    ["a Host that says otherwise", { ...head("GET", "/"), host: "other.test" }],
    [":protocol without CONNECT", { ...head("GET", "/"), ":protocol": "websocket" }],
    ["CONNECT with :path and no :protocol", head("CONNECT", "/")],
    [":status", { ...head("GET", "/"), ":status": "200" }],
    ["a line break in a value", { ...head("GET", "/"), "x-a": "1\r\nx-b: 2" }],
    ["a control byte in a value", { ...head("GET", "/"), "x-a": "1\x01" }],
    ["space before a value", { ...head("GET", "/"), "x-a": " 1" }],
    ["space behind a value", { ...head("GET", "/"), "x-a": "1 " }],
  ];
  for (const [what, fields] of CASES) {
    test(`${what} resets the stream, and nothing reaches a server`, async () => {
      await using own = await H3Client.connect(proxy.port);
      const before = backend.requests.length;
      const got = await (await own.begin(fields)).done;
      expect([got.status, got.reset]).toEqual([0, 0x10e]);
      expect((await own.get("/plain")).status).toBe(200);
      expect(backend.requests.length).toBe(before + 1);
    });
  }

  // What the runtime itself refuses costs the client its connection.
  const FATAL: readonly (readonly [what: string, fields: Fields, body: string])[] = [
    ["less content than Content-Length says", { "content-length": "5" }, "1234"],
    ["more content than Content-Length says", { "content-length": "3" }, "1234"],
    ["a Content-Length that is no number", { "content-length": "abc" }, "1234"],
  ];
  for (const [what, fields, body] of FATAL) {
    test(`${what} ends the connection`, async () => {
      await using own = await H3Client.connect(proxy.port);
      const before = backend.requests.length;
      const request = await own.begin({ ...head("POST", "/echo"), ...fields }, true);
      await request.write(Buffer.from(body));
      request.end();
      expect((await request.done).status).toBe(0);
      await own.closed;
      expect(own.closedWith).toBe(0x10e);
      await client.get("/plain");
      const seen = backend.requests.slice(before).filter(({ target }) => target === "/echo");
      expect(seen.map((message) => message.body)).toEqual([]);
    });
  }

  test("a CONNECT is answered with 405", async () => {
    const got = await (await client.begin({ ":method": "CONNECT", ":authority": "app.test:443" }, true)).done;
    expect(got.status).toBe(405);
  });
});

describe("WebSocket (RFC 9220)", () => {
  test("becomes an upgrade of HTTP/1.1", async () => {
    await using far = await RawBackend.start(async (peer, self) => {
      const got = await peer.head();
      self.requests.push(got);
      peer.send(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept(got.field("sec-websocket-key") ?? "")}\r\n\r\n`,
      );
      peer.socket.on("data", (chunk: Buffer) => peer.send(chunk));
      peer.socket.on("end", () => peer.socket.end());
    });
    await using own = await secured([{ to: far.url }]);
    await using browser = await H3Client.connect(own.port);
    const socket = await browser.begin({ ...head("CONNECT", "/chat"), ":protocol": "websocket" }, true);
    await until(() => socket.got.status > 0, "the answer");
    expect([socket.got.status, socket.got.fields["sec-websocket-accept"]]).toEqual([200, undefined]);
    expect(far.requests[0]!.first).toBe("GET /chat HTTP/1.1");
    for (const text of ["ping", "pong"]) {
      await socket.write(Buffer.from(text));
      await until(() => socket.body.latin1Slice().endsWith(text), text);
    }
    socket.end();
    const got = await socket.done;
    expect([got.body.latin1Slice(), got.reset]).toEqual(["pingpong", -1]);
  });
});
