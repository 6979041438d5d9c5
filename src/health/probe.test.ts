import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttp, type IncomingMessage } from "node:http";
import { createServer as createHttp2, type Http2Server, type ServerHttp2Stream } from "node:http2";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Address } from "../config/address.ts";
import { upstreamSchema } from "../config/schema-upstreams.ts";
import { FaultError, fault } from "../core/faults.ts";
import { writeProxyHeader } from "../transport/proxy-protocol.ts";
import { compileCheck, type HealthConfig } from "./compile.ts";
import type { Resolve } from "./connect.ts";
import { startProbe, type Verdict } from "./probe.ts";
import { answering, deadAddress, endless, listening, socketCount, type TestServer, until } from "./servers.testing.ts";

const folder = mkdtempSync(join(tmpdir(), "health-"));
const servers: { close(): Promise<void> }[] = [];
afterAll(async () => {
  for (const server of servers) await server.close();
  rmSync(folder, { recursive: true });
});

type HealthInput = Partial<Record<keyof HealthConfig, unknown>>;
const health = (input: HealthInput = {}): HealthConfig =>
  upstreamSchema.parse({ servers: [], health: { timeout: "2s", ...input } }).health!;

const noNames: Resolve = (host) => Promise.reject(new FaultError(fault("upstream.dns", `${host}: no such name`)));

function check(address: Address, input: HealthInput = {}, resolve = noNames): Promise<Verdict> {
  const config = health(input);
  const converse = compileCheck(config, "app.internal:8080");
  return new Promise((done) =>
    startProbe({ address, timeout: config.timeout, tls: null, alpn: [], preface: null, converse }, resolve, done),
  );
}

async function serving(serve: (socket: Socket) => void, server?: Server): Promise<TestServer> {
  const started = await listening(serve, server);
  servers.push(started);
  return started;
}

const HEAD = "HTTP/1.1 200 OK\r\n";
const withBody = (body: string) => `${HEAD}Content-Length: ${body.length}\r\n\r\n${body}`;
const good = (reason = "status 200"): Verdict => ({ ok: true, reason });
const bad = (reason: string): Verdict => ({ ok: false, reason });

const ANSWERS: readonly (readonly [
  name: string,
  serve: (socket: Socket) => void,
  options: HealthInput,
  want: Verdict,
])[] = [
  ["a good answer", answering(withBody("ok")), {}, good()],
  ["without a body", answering("HTTP/1.1 204 No Content\r\n\r\n", "stay"), {}, good("status 204")],
  ["a body until the end", answering("HTTP/1.0 200 OK\r\n\r\nhello"), {}, good()],
  ["a chunked body", answering(`${HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`, "stay"), {}, good()],
  ["an interim answer first", answering(`HTTP/1.1 103 Early Hints\r\n\r\n${withBody("ok")}`), {}, good()],
  ["HEAD, whose body is only announced", answering(`${HEAD}Content-Length: 9\r\n\r\n`), { method: "HEAD" }, good()],
  ["an error", answering("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), {}, bad("status 503")],
  ["an error that is expected", answering("HTTP/1.1 404 No\r\n\r\n"), { status: "204, 400-404" }, good("status 404")],
  ["a status that is none of those", answering(withBody("")), { status: 204 }, bad("status 200")],
  ["a text in the body", answering(withBody("all is well")), { body: "is well" }, good()],
  [
    "a text in two chunks of the body",
    answering(`${HEAD}Transfer-Encoding: chunked\r\n\r\n6\r\nall is\r\n5\r\n well\r\n0\r\n\r\n`),
    { body: "is well" },
    good(),
  ],
  [
    "a text found before the body's end",
    answering(`${HEAD}Content-Length: 99\r\n\r\nok`, "stay"),
    { body: "ok" },
    good(),
  ],
  ["a body without the text", answering(withBody("sick")), { body: "well" }, bad('body does not contain "well"')],
  ["an expression that fits", answering(withBody('{"up":true}')), { body: '~^\\{"up": ?true\\}$' }, good()],
  ["one that does not", answering(withBody("{}")), { body: "~up" }, bad("body does not match ~up")],
  ["no answer", () => {}, { timeout: "120ms" }, bad("no answer within 120 ms")],
  [
    "half a head",
    answering("HTTP/1.1 200 OK\r\nA: b\r\n", "stay"),
    { timeout: "120ms" },
    bad("no answer within 120 ms"),
  ],
  ["half a body", answering(`${HEAD}Content-Length: 9\r\n\r\nok`), {}, bad("closed inside the answer")],
  ["an end instead of an answer", answering(""), {}, bad("closed before the answer")],
  ["a reset", (socket) => socket.once("data", () => socket.resetAndDestroy()), {}, bad("ECONNRESET")],
  ["garbage", answering("\x00\xffSSH-2.0-x\r\n"), {}, bad("bad answer: not a status line")],
  ["garbage before anybody asked", (socket) => socket.write("220 mail\r\n"), {}, bad("bad answer: not a status line")],
  [
    "a broken chunk",
    answering(`${HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n`),
    {},
    bad("bad answer: chunk size without a digit"),
  ],
  ["an endless head", endless(HEAD, "a: b\r\n"), {}, bad("bad answer: too many fields")],
  ["an endless field", endless(`${HEAD}a: `, "bbbb"), {}, bad("bad answer: header section over its limit")],
  ["endless interim answers", endless("", "HTTP/1.1 100 Continue\r\n\r\n"), {}, bad("too many interim responses")],
  ["an endless body", endless(`${HEAD}\r\n`, "abcdefgh"), {}, good()],
  [
    "an endless body without the text",
    endless(`${HEAD}\r\n`, "abcdefgh"),
    { body: "xyz" },
    bad('body does not contain "xyz"'),
  ],
  ["an endless body and an expression", endless(`${HEAD}\r\n`, "abcdefgh"), { body: "~^(?:abcdefgh){8192}$" }, good()],
  ["tcp", () => {}, { type: "tcp" }, good("connected")],
  ["grpc, a reset", (socket) => socket.resetAndDestroy(), { type: "grpc" }, bad("*")],
  ["grpc, an HTTP/1 server", answering("HTTP/1.1 400 Bad Request\r\n\r\n"), { type: "grpc" }, bad("*")],
  ["grpc, garbage", endless("\x00\xff", "\x00\x01garbage"), { type: "grpc" }, bad("*")],
  ["grpc, an end", (socket) => socket.end(), { type: "grpc" }, bad("*")],
  ["grpc, no answer", () => {}, { type: "grpc", timeout: "120ms" }, bad("no answer within 120 ms")],
];

for (const [name, serve, options, want] of ANSWERS)
  test(`answer: ${name}`, async () => {
    const server = await serving(serve);
    const got = await check(server.address, options);
    expect(want.reason === "*" ? { ...got, reason: "*" } : got).toEqual(want);
    expect(got.reason).toMatch(/^[\x20-\x7e]{3,160}$/);
    await until(() => server.open.size === 0, "the check's connection is closed");
  });

const INVALID: readonly (readonly [options: HealthInput, reason: RegExp])[] = [
  [{ body: "~(" }, /^the check is not valid: /],
  [{ status: "404-400" }, /"404-400" ends before it begins/],
  [{ method: "GET /" }, /"GET \/" is not a method/],
  [{ path: "/a b" }, /"\/a b" is not a path/],
  [{ headers: { "a\r\nb": "c" } }, /not a field/],
  [{ headers: { a: "b\r\nc: d" } }, /not a field/],
  [{ type: "grpc", headers: { a: "b\nc" } }, /not a field/],
];
for (const [options, reason] of INVALID)
  test(`not valid: ${JSON.stringify(options)}`, async () => {
    const server = await serving(answering(withBody("ok")));
    const verdict = await check(server.address, options);
    expect([verdict.ok, reason.test(verdict.reason) ? "" : verdict.reason]).toEqual([false, ""]);
  });

test("the time for which this thread is too busy to see the answer does not count", async () => {
  const { address } = await serving(answering(withBody("ok")));
  const checked = check(address, { timeout: "100ms" });
  for (const end = performance.now() + 400; performance.now() < end; );
  expect(await checked).toEqual(good());
});

test("the request is what the configuration says", async () => {
  const seen: IncomingMessage[] = [];
  const http = createHttp((request, response) => {
    seen.push(request);
    response.end("ok");
  });
  const server = await serving(() => {}, http as unknown as Server);
  expect(await check(server.address)).toEqual(good());
  const headers = { Host: "other.example", "X-Key": "1", Connection: "keep-alive", "User-Agent": "me" };
  expect(await check(server.address, { method: "POST", path: "/healthz?deep=1", headers })).toEqual(good());
  const told = seen.map(({ method, url, headers }) => ({ method, url, ...headers }));
  expect<unknown>(told).toEqual([
    {
      method: "GET",
      url: "/",
      host: "app.internal:8080",
      "user-agent": "sluice-health/1",
      accept: "*/*",
      connection: "close",
    },
    {
      method: "POST",
      url: "/healthz?deep=1",
      host: "other.example",
      "user-agent": "me",
      "x-key": "1",
      accept: "*/*",
      "content-length": "0",
      connection: "close",
    },
  ]);
});

test("connects that fail", async () => {
  const dead = await deadAddress();
  for (const type of ["http", "tcp", "grpc"]) {
    expect(await check(dead, { type })).toEqual(bad("ECONNREFUSED"));
    expect(await check({ kind: "unix", path: join(folder, "none.sock") }, { type })).toEqual(bad("ENOENT"));
    expect(await check({ kind: "tcp", host: "none.test", port: 1 }, { type })).toEqual(bad("none.test: no such name"));
  }
});

test("names: every address is tried, and the look-up counts for the time-out", async () => {
  const server = await serving(answering(withBody("ok")));
  const named = { ...server.address, host: "app.test" };
  expect(await check(named, {}, (host) => (host === "app.test" ? ["::1", "127.0.0.1"] : []))).toEqual(good());
  const never: Resolve = () => new Promise(() => {});
  expect(await check(named, { timeout: "60ms" }, never)).toEqual(bad("no connection within 60 ms"));
  const thrown: Resolve = () => {
    throw new Error("broken\nresolver");
  };
  expect(await check(named, {}, thrown)).toEqual(bad("broken resolver"));
});

test("unix sockets", async () => {
  const path = join(folder, "app.sock");
  const server = createServer(answering(withBody("ok")));
  await new Promise<void>((resolve) => server.listen(path, resolve));
  servers.push({ close: () => new Promise((resolve) => server.close(() => resolve())) });
  expect(await check({ kind: "unix", path })).toEqual(good());
  expect(await check({ kind: "unix", path }, { type: "tcp" })).toEqual(good("connected"));
});

const QUEUE_FULL = `
import socket, sys
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen(0)
clients = [socket.socket() for _ in range(6)]
for client in clients:
    client.setblocking(False)
    client.connect_ex(server.getsockname())
print(server.getsockname()[1], flush=True)
sys.stdin.read()
`;

test.skipIf(Bun.which("python3") === null)("a connect that hangs leaves no socket behind", async () => {
  // Node's backlog is never full; a queue of length 0 lets further connects hang.
  const child = Bun.spawn(["python3", "-c", QUEUE_FULL], { stdin: "pipe", stdout: "pipe" });
  try {
    const line = await child.stdout.getReader().read();
    const address: Address = { kind: "tcp", host: "127.0.0.1", port: Number(Buffer.from(line.value!).toString()) };
    const before = socketCount();
    for (const type of ["http", "tcp", "grpc"])
      expect(await check(address, { type, timeout: "100ms" })).toEqual(bad("no connection within 100 ms"));
    await until(() => socketCount() <= before, "the sockets are closed");
  } finally {
    child.kill();
    await child.exited;
  }
});

test("a check says for itself that it speaks, where the server wants the PROXY protocol", async () => {
  const got = Promise.withResolvers<string>();
  const server = await serving((socket) => {
    socket.once("data", (chunk) => {
      got.resolve(chunk.toString("latin1"));
      socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
  });
  const config = health({});
  const preface = writeProxyHeader("v1", null, null);
  const plan = {
    address: server.address,
    timeout: 2000,
    tls: null,
    alpn: [],
    preface,
    converse: compileCheck(config, "app.internal"),
  };
  const verdict = await new Promise<Verdict>((done) => startProbe(plan, noNames, done));
  expect(verdict.ok).toBe(true);
  expect(await got.promise).toStartWith("PROXY UNKNOWN\r\nGET / HTTP/1.1\r\n");
});

test("a check that is given up says nothing and closes its connection", async () => {
  for (const type of ["http", "grpc"] as const) {
    const server = await serving(() => {});
    const config = health({ type });
    let told = 0;
    const plan = {
      address: server.address,
      timeout: 150,
      tls: null,
      alpn: [],
      preface: null,
      converse: compileCheck(config, "a"),
    };
    const cancel = startProbe(plan, noNames, () => (told += 1));
    const early = startProbe(plan, noNames, () => (told += 1));
    early();
    await until(() => server.accepted() > 0, "connected");
    cancel();
    cancel();
    await until(() => server.open.size === 0, "closed");
    await Bun.sleep(200); // beyond the time-out, which must not fire
    expect(told).toBe(0);
  }
});

// ——— gRPC

async function grpcServer(serve: (stream: ServerHttp2Stream, headers: Record<string, unknown>) => void) {
  const http2: Http2Server = createHttp2();
  http2.on("stream", (stream: ServerHttp2Stream, headers: Record<string, unknown>) => {
    stream.on("error", () => {});
    serve(stream, headers);
  });
  http2.on("sessionError", () => {});
  return serving(() => {}, http2 as unknown as Server);
}

function reply(stream: ServerHttp2Stream, message: readonly number[], trailers: Record<string, string>): void {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  stream.end(Buffer.from(message));
}

const OK = { "grpc-status": "0" };
const GRPC: readonly (readonly [name: string, serve: (stream: ServerHttp2Stream) => void, want: Verdict])[] = [
  ["serving", (stream) => reply(stream, [0, 0, 0, 0, 2, 8, 1], OK), good("grpc: SERVING")],
  ["not serving", (stream) => reply(stream, [0, 0, 0, 0, 2, 8, 2], OK), bad("grpc: NOT_SERVING")],
  ["unknown", (stream) => reply(stream, [0, 0, 0, 0, 0], OK), bad("grpc: UNKNOWN")],
  ["a status of the future", (stream) => reply(stream, [0, 0, 0, 0, 2, 8, 9], OK), bad("grpc: status 9")],
  ["fields of the future", (stream) => reply(stream, [0, 0, 0, 0, 6, 0x12, 2, 1, 1, 8, 1], OK), good("grpc: SERVING")],
  ["a compressed message", (stream) => reply(stream, [1, 0, 0, 0, 2, 8, 1], OK), bad("grpc: not a health response")],
  ["a cut message", (stream) => reply(stream, [0, 0, 0, 0, 9, 8, 1], OK), bad("grpc: not a health response")],
  ["no message", (stream) => reply(stream, [], OK), bad("grpc: not a health response")],
  [
    "an error in the trailers",
    (stream) => reply(stream, [0, 0, 0, 0, 2, 8, 1], { "grpc-status": "14" }),
    bad("grpc: UNAVAILABLE"),
  ],
  [
    "an error without a message",
    (stream) => stream.respond({ ":status": 200, "grpc-status": "12" }, { endStream: true }),
    bad("grpc: UNIMPLEMENTED"),
  ],
  ["an odd error", (stream) => reply(stream, [], { "grpc-status": "99" }), bad("grpc-status 99")],
  ["no grpc-status", (stream) => reply(stream, [0, 0, 0, 0, 2, 8, 1], {}), bad("grpc: an answer without grpc-status")],
  ["an HTTP error", (stream) => stream.respond({ ":status": 503 }, { endStream: true }), bad("status 503")],
  ["a long answer", (stream) => reply(stream, new Array(5000).fill(0), OK), bad("grpc: the answer is too long")],
  ["a stream that is reset", (stream) => stream.close(2), bad("*")],
];
for (const [name, serve, want] of GRPC)
  test(`grpc: ${name}`, async () => {
    const server = await grpcServer(serve);
    const got = await check(server.address, { type: "grpc" });
    expect(want.reason === "*" ? { ...got, reason: "*" } : got).toEqual(want);
    await until(() => server.open.size === 0, "the check's connection is closed");
  });

test("grpc: the request", async () => {
  const seen: unknown[] = [];
  const server = await grpcServer((stream, headers) => {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("end", () => {
      seen.push({ ...headers, body: Buffer.concat(chunks).toString("latin1") });
      reply(stream, [0, 0, 0, 0, 2, 8, 1], OK);
    });
  });
  const service = "a".repeat(200);
  const options = { type: "grpc", service, headers: { Host: "grpc.test", "X-Key": "1", TE: "x" }, timeout: "1500ms" };
  expect(await check(server.address, options)).toEqual(good("grpc: SERVING"));
  expect(seen).toEqual([
    expect.objectContaining({
      ":method": "POST",
      ":path": "/grpc.health.v1.Health/Check",
      ":scheme": "http",
      ":authority": "grpc.test",
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-timeout": "1500m",
      "user-agent": "sluice-health/1",
      "x-key": "1",
      body: `\0\0\0\0\xcb\n\xc8\x01${service}`,
    }),
  ]);
});
