// `transcode` and `grpc` between clients of HTTP with JSON and a server of @grpc/grpc-js on Node.js.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { echoDescriptors } from "../src/engines/transcode/descriptors.testing.ts";
import { GrpcClient, GrpcServer } from "./support/grpc.ts";
import { STATUS } from "./support/grpc-rig.ts";
import { answer } from "./support/message.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { until } from "./support/wait.ts";

let folder: string;
let server: GrpcServer;
let proxy: TestProxy;
let client: GrpcClient;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "transcode-"));
  const descriptors = join(folder, "echo.pb");
  writeFileSync(descriptors, echoDescriptors());
  server = await GrpcServer.start();
  const all = { descriptors, unbound: true, names: "proto", enums: "numbers", defaults: true } as const;
  proxy = await startProxy({
    listener: { h2c: true },
    upstreams: { app: { servers: [`h2c://127.0.0.1:${server.port}`] } },
    routes: [
      {
        match: { path: "/other/*" },
        transcode: {
          ...all,
          base: "/other",
          unknownFields: "ignore",
          ignoreQuery: ["key"],
          streams: "array",
          maxMessage: "1KB",
        },
        timeouts: { total: "7s" },
        to: "app",
      },
      {
        match: { path: "/pass/*" },
        transcode: { descriptors, unknownPaths: "pass" },
        rewrite: { stripPrefix: "/pass" },
        to: "app",
      },
      {
        match: { header: { "x-lists": "1" } },
        transcode: { descriptors, unbound: true },
        grpc: {
          allow: ["test.Echo/U*", "test.*/Collect", "test.Echo/Hold"],
          deny: ["*/Hold"],
          only: true,
          maxMessage: "1KB",
        },
        to: "app",
      },
      { transcode: { descriptors, maxBody: "64KB" }, to: "app" },
    ],
  });
  client = new GrpcClient(proxy.port);
}, 30_000);

afterAll(async () => {
  await client[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

interface Ask {
  readonly method?: string;
  readonly body?: string;
  readonly fields?: Readonly<Record<string, string>>;
}

async function ask(path: string, { method, body, fields }: Ask = {}) {
  const type: Record<string, string> = body === undefined ? {} : { "content-type": "application/json" };
  const answer = await fetch(proxy.url + path, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: { ...type, ...fields },
    ...(body === undefined ? {} : { body }),
  });
  return {
    status: answer.status,
    type: answer.headers.get("content-type"),
    text: await answer.text(),
    headers: answer.headers,
  };
}
const post = (body: string): Ask => ({ body });

describe("one message", () => {
  const CASES: readonly (readonly [path: string, ask: Ask, want: unknown])[] = [
    ["/v1/shelves/a%20b/books/c%2Fd", {}, { name: "shelves/a b/books/c%2Fd" }],
    [
      "/v1/shelves/1/books/2?big=9007199254740993&tags=x&tags=y%26+z&inner.on=true&inner.deepEr.kind=SECOND&numbers=1&numbers=-2",
      {},
      {
        name: "shelves/1/books/2",
        big: "9007199254740993",
        tags: ["x", "y& z"],
        inner: { on: true, deepEr: { kind: "SECOND" } },
        numbers: [1, -2],
      },
    ],
    [
      "/v1/shelves/1/books/1?sent_at=2020-01-01T00:00:00Z&note=hi&raw=AAEC&kind=1&ratio=1e3",
      {},
      {
        name: "shelves/1/books/1",
        sentAt: "2020-01-01T00:00:00Z",
        note: "hi",
        raw: "AAEC",
        kind: "FIRST",
        ratio: 1000,
      },
    ],
    ["/v1/messages", post('{"name":"ä","big":-5,"list":[{"id":"1"},{}],"deep":null}'), 400],
    [
      "/v1/messages",
      post('{"name":"ä","big":-5,"list":[{"id":"1"},{}]}'),
      { name: "ä", big: "-5", list: [{ id: "1" }, {}] },
    ],
    ["/v1/messages", post('{"big":9007199254740993}'), { big: "9007199254740993" }],
    ["/v1/messages", post(" "), 400],
    ["/v1/messages", post(""), {}],
    ["/v1/messages/7", { method: "PUT", body: '{"inner":{"on":true,"id":"8"}}' }, { inner: { id: "7", on: true } }],
    ["/v1/inner/n", { method: "PATCH", body: '{"on":true}' }, { on: true }],
    ["/v1/inner/n?inner.id=5", { method: "PATCH", body: '{"on":true}' }, 400],
    ["/v1/files/a/b/c:purge", { method: "DELETE" }, { name: "files/a/b/c" }],
    ["/v1/flags/true/SECOND/12", {}, { inner: { on: true }, kind: "SECOND", big: "12" }],
    ["/v1/tags?tags=a", {}, ["a"]],
    ["/v1/tags", {}, []],
    [
      "/other/v1/messages",
      post('{"sent_at":"2020-01-01T00:00:00Z","nope":{},"kind":2,"numbers":[1]}'),
      expect.objectContaining({ sent_at: "2020-01-01T00:00:00Z", kind: 2, numbers: [1], big: "0", tags: [] }),
    ],
    ["/other/v1/tags?key=x", {}, []],
  ];
  for (const [path, how, want] of CASES)
    test(`${how.method ?? ""} ${path} ${how.body ?? ""}`, async () => {
      const got = await ask(path, how);
      if (typeof want === "number") return expect(got.status).toBe(want);
      expect([got.status, got.type]).toEqual([200, "application/json"]);
      expect(JSON.parse(got.text)).toEqual(want);
      expect(got.headers.get("x-tail")).toBe("t"); // the server's trailers
      expect([...got.headers.keys()].filter((name) => name.startsWith("grpc"))).toEqual([]);
    });

  test("a body of any type", async () => {
    const got = await ask("/v1/raw", { body: "hello", fields: { "content-type": "text/weird; charset=x" } });
    expect([got.status, got.type, got.text]).toEqual([200, "text/weird", "hello"]);
  });
  test("long messages in pieces", async () => {
    const name = "x".repeat(60_000);
    expect(JSON.parse((await ask("/v1/messages", post(JSON.stringify({ name })))).text)).toEqual({ name });
  });
  test("what the server is sent", async () => {
    await ask("/other/v1/messages", {
      body: "{}",
      fields: { "x-meta": "1", "accept-encoding": "gzip", accept: "text/x" },
    });
    const { fields, timeouts } = await client.seen();
    expect(fields).toMatchObject({ "x-meta": "1", "x-forwarded-for": "127.0.0.1" });
    expect([fields.accept, fields["accept-encoding"]]).toEqual([undefined, undefined]);
    expect(timeouts.at(-1)).toBeWithin(1, 7001);
  });
});

describe("what is refused", () => {
  const CASES: readonly (readonly [path: string, ask: Ask, status: number, told?: object])[] = [
    ["/v1/messages", post('{"nope":1}'), 400, { in: "body", path: "", message: 'key "nope" is unknown' }],
    ["/v1/messages", post('{"big":"x"}'), 400, { in: "body", path: "big" }],
    ["/v1/messages", post("[]"), 400, { message: "must be a JSON object" }],
    ["/v1/messages", post("{"), 400, { message: "must be JSON" }],
    ["/v1/messages?name=x", post("{}"), 400, { in: "query", path: "name" }],
    ["/v1/tags?nope=1", {}, 400, { in: "query", path: "nope", message: "is not known" }],
    ["/v1/tags?big=1&big=2", {}, 400, { message: "must not be there twice" }],
    ["/v1/tags?inner=1", {}, 400, { path: "inner" }],
    ["/v1/flags/maybe/SECOND/12", {}, 400, { in: "path", path: "inner.on", message: "must be true or false" }],
    ["/v1/inner/%FF", { method: "PATCH", body: "{}" }, 400, { message: "must be text in UTF-8" }],
    ["/v1/messages", { body: "{}", fields: { "content-type": "text/plain" } }, 415],
    ["/v1/messages", { body: "{}", fields: { "content-encoding": "gzip" } }, 415],
    ["/v1/messages", post(`{"name":"${"x".repeat(70_000)}"}`), 413],
    ["/v1/messages", {}, 405],
    ["/v1/nothing", {}, 404],
    ["/v1/shelves/1/books", {}, 404],
    ["/test.Echo/Unary", post("{}"), 404],
    ["/pass/test.Echo/Unary", post("{}"), 415], // by the server itself
  ];
  for (const [path, how, status, told] of CASES)
    test(`${path} ${how.body?.slice(0, 30) ?? ""} ${status}`, async () => {
      const got = await ask(path, how);
      expect(got.status).toBe(status);
      if (told !== undefined) expect(JSON.parse(got.text).errors).toMatchObject([told]);
      if (status === 405) expect(got.headers.get("allow")).toBe("POST");
    });

  test("a message that is too long for the route", async () => {
    expect((await ask("/other/v1/messages", post(`{"name":"${"x".repeat(2000)}"}`))).status).toBe(502);
  });
});

describe("statuses", () => {
  const HTTP = [499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
  test("of calls", async () => {
    const got = await Promise.all(HTTP.map((_, at) => ask("/v1/tags", { fields: { "x-fail": String(at + 1) } })));
    expect(got.map(({ status }) => status)).toEqual(HTTP);
    for (const [at, { text, type }] of got.entries()) {
      expect(JSON.parse(text)).toEqual({ code: at + 1, message: "as you wish: 100 % grün" });
      expect(type).toBe("application/json");
    }
  });
  test("with details", async () => {
    const any = (type: string, value: Uint8Array): Uint8Array =>
      new BinaryWriter().tag(1, 2).string(`type.googleapis.com/${type}`).tag(2, 2).bytes(value).finish();
    const inner = new BinaryWriter().tag(1, 2).string("why").finish();
    const details = new BinaryWriter().tag(1, 0).int32(9).tag(2, 2).string("m");
    details.tag(3, 2).bytes(any("test.Inner", inner)).tag(3, 2).bytes(any("not.Known", inner));
    const bytes = Buffer.from(details.finish()).toString("base64");
    const got = await ask("/v1/tags", { fields: { "x-fail": "9", "x-details-bin": bytes } });
    expect(JSON.parse(got.text).details).toEqual([
      { "@type": "type.googleapis.com/test.Inner", id: "why" },
      { "@type": "type.googleapis.com/not.Known", value: Buffer.from(inner).toString("base64") },
    ]);
  });
});

describe("many messages", () => {
  const line = '{"name":"x"}';
  const CASES: readonly (readonly [
    name: string,
    path: string,
    fields: Record<string, string>,
    type: string,
    text: string,
  ])[] = [
    ["lines", "/v1/stream/x", { "x-times": "3" }, "application/x-ndjson", `${line}\n${line}\n${line}\n`],
    ["none", "/v1/stream/x", { "x-times": "0" }, "application/x-ndjson", ""],
    ["a field of each", "/v1/stream/x/big?big=7", { "x-times": "2" }, "application/x-ndjson", '"7"\n"7"\n'],
    [
      "events",
      "/v1/stream/x",
      { "x-times": "2", accept: "text/event-stream" },
      "text/event-stream",
      `data: ${line}\n\ndata: ${line}\n\n`,
    ],
    ["a list", "/other/v1/stream/x?key=1", { "x-times": "2" }, "application/json", "[…,…]"],
    ["an empty list", "/other/v1/stream/x", { "x-times": "0" }, "application/json", "[]"],
    [
      "an error behind lines",
      "/v1/stream/x",
      { "x-times": "1", "x-fail": "5" },
      "application/x-ndjson",
      `${line}\n{"error":{"code":5,"message":"as you wish: 100 % grün"}}\n`,
    ],
    [
      "an error behind events",
      "/v1/stream/x",
      { "x-times": "1", "x-fail": "5", accept: "text/event-stream" },
      "text/event-stream",
      `data: ${line}\n\nevent: error\ndata: {"code":5,"message":"as you wish: 100 % grün"}\n\n`,
    ],
  ];
  for (const [name, path, fields, type, text] of CASES)
    test(name, async () => {
      const got = await ask(path, { fields });
      expect([got.status, got.type]).toEqual([200, type]);
      expect(text.includes("…") ? JSON.parse(got.text).length : got.text).toEqual(text.includes("…") ? 2 : text);
    });
  test("an error before all of them", async () => {
    const got = await ask("/v1/stream/x", { fields: { "x-times": "0", "x-fail": "5" } });
    expect([got.status, got.type, JSON.parse(got.text).code]).toEqual([404, "application/json", 5]);
  });
  test("an error within a list cuts it off", async () => {
    expect(ask("/other/v1/stream/x", { fields: { "x-times": "2", "x-fail": "5" } })).rejects.toThrow();
  });
  test("both ways", async () => {
    const lines = '{"name":"a"}\n\n{"name":"b"}\n';
    const fields = { "content-type": "application/x-ndjson" };
    expect((await ask("/v1/chat", { body: lines, fields })).text).toBe('{"name":"a"}\n{"name":"b"}\n');
    expect((await ask("/v1/chat", post('[{"name":"a"},{}]'))).text).toBe('{"name":"a"}\n{}\n');
    expect((await ask("/v1/chat", post("{}"))).status).toBe(400);
  });
  test("messages come one by one, and a client that leaves ends the call", async () => {
    const { calls, cancelled } = await client.seen();
    const stop = new AbortController();
    const asked = fetch(`${proxy.url}/other/test.Echo/Hold`, {
      method: "POST",
      body: "{}",
      headers: { "content-type": "application/json" },
      signal: stop.signal,
    });
    await until(async () => (await client.seen()).calls > calls, "the call");
    stop.abort();
    await asked.catch(() => null);
    await until(async () => (await client.seen()).cancelled === cancelled + 1, "its end");
  });
});

test("a server of plain HTTP", async () => {
  await using backend = await RawBackend.answering(({ target }) =>
    target.endsWith("Repeat") ? answer(503, "busy") : answer(200, "{}"),
  );
  await using other = await startProxy({
    routes: [{ transcode: { descriptors: join(folder, "echo.pb") }, retry: false, to: backend.url }],
  });
  const asked = (path: string): Promise<Response> => fetch(other.url + path);
  expect((await asked("/v1/tags?tags=a")).status).toBe(502);
  const [sent] = backend.requests;
  expect([sent!.first, sent!.field("content-type"), sent!.field("transfer-encoding")]).toEqual([
    "POST /test.Echo/Unary HTTP/1.1",
    "application/grpc",
    "chunked",
  ]);
  // What it refuses by itself is passed on.
  const refused = await asked("/v1/stream/x");
  expect([refused.status, await refused.text()]).toEqual([503, "busy"]);
});

describe("clients of gRPC", () => {
  test("pass as they are", async () => {
    expect(await client.unary("hello")).toMatchObject({ code: 0, text: "hello" });
  });
  const lists = { metadata: { "x-lists": "1" } };
  const CASES: readonly (readonly [path: string, code: number])[] = [
    ["/test.Echo/Unary", 0],
    ["/test.Echo/Seen", STATUS.unimplemented],
    ["/test.Echos/Unary", STATUS.unimplemented],
    ["/test.Echo/Hold", STATUS.denied],
    ["/test.Other/Hold", STATUS.denied],
    ["/test.Echo/Unary/x", STATUS.unimplemented],
  ];
  for (const [path, code] of CASES)
    test(`${path} ${code}`, async () => expect(await client.unary("x", { path, ...lists })).toMatchObject({ code }));

  test("messages of any number, none of them too long", async () => {
    const collect = { kind: "client", path: "/test.Echo/Collect", ...lists } as const;
    expect(await client.call({ ...collect, send: [100, 1024] })).toMatchObject({ code: 0, text: "100 102400" });
    expect(await client.call({ ...collect, send: [2, 1025] })).toMatchObject({ code: STATUS.exhausted });
  });
  test("the same for JSON", async () => {
    const fields = { "x-lists": "1" };
    expect((await ask("/test.Echo/Hold", { body: "{}", fields })).status).toBe(403);
    expect((await ask("/v1/stream/x", { fields })).status).toBe(404);
    expect((await ask("/v1/tags", { fields })).status).toBe(200);
    expect((await ask("/v1/messages", { body: `{"name":"${"x".repeat(2000)}"}`, fields })).status).toBe(413);
  });
});
