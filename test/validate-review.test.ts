// Ways around `validate`, and what bodies that are held cost: each was tried against it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answer, chunks, type Message, request } from "./support/message.ts";
import { NodeH2 } from "./support/node-h2.ts";
import { exchange, Peer } from "./support/peer.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

const DOCUMENT = `openapi: 3.1.0
paths:
  /orders:
    post:
      parameters: [{ name: theme, in: cookie, schema: { enum: [light, dark] } }]
      requestBody:
        required: true
        content:
          application/json: { schema: { $ref: "#/components/schemas/Order" } }
          application/x-www-form-urlencoded: { schema: { $ref: "#/components/schemas/Order" } }
      responses: { 201: { description: made } }
  /any:
    post:
      requestBody: { content: { "*/*": { schema: { $ref: "#/components/schemas/Order" } } } }
      responses: { 201: { description: made } }
  /stored:
    get:
      parameters: [{ name: limit, in: query, schema: { type: integer, maximum: 100 } }]
      responses:
        200:
          description: one
          content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } }
components:
  schemas:
    Order:
      type: object
      required: [count]
      properties: { count: { type: integer, minimum: 1 }, note: { type: string } }
`;

const JSON_TYPE = "Content-Type: application/json";
let folder: string;
let backend: RawBackend;
let proxy: TestProxy;
let stored = '{"count":0}';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "validate-review-"));
  const openapi = join(folder, "openapi.yaml");
  writeFileSync(openapi, DOCUMENT);
  backend = await RawBackend.answering((got) =>
    got.target.startsWith("/stored")
      ? answer(200, stored, [JSON_TYPE, "Cache-Control: max-age=60"])
      : answer(201, got.body),
  );
  const to = backend.url;
  proxy = await startProxy({
    listener: { h2c: true },
    routes: [
      { match: { host: "cached" }, validate: { openapi, responses: "enforce" }, cache: true, to },
      { match: { host: "firewall" }, waf: {}, validate: { openapi }, to },
      { match: { host: "schema" }, validate: { body: { jsonSchema: { type: "object", required: ["count"] } } }, to },
      { validate: { openapi }, to },
    ],
  });
}, 30_000);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const send = (wire: string, host = "app.example"): Promise<Message> =>
  exchange(proxy.port, wire.replace(/^Host: .*$/m, `Host: ${host}`));
const post = (target: string, body: string, fields: readonly string[], host?: string): Promise<Message> =>
  send(request(target, fields, "POST", body), host);

const BAD = '{"count":0}';
const UTF7 = '{"count":1,"note":"+ACIALAAi-count+ACIAOg-0+ACwAIg-x+ACIAOgAi-"}';

describe("no body reaches the server unchecked", () => {
  const CASES: readonly (readonly [name: string, make: () => Promise<Message>, status: number])[] = [
    ["of two types", () => post("/any", BAD, [JSON_TYPE, "Content-Type: text/plain"]), 415],
    ["of two types, the other first", () => post("/any", BAD, ["Content-Type: text/plain", JSON_TYPE]), 415],
    ["in another charset", () => post("/orders", UTF7, [`${JSON_TYPE}; charset=utf-7`]), 415],
    ["in another charset, quoted", () => post("/orders", UTF7, [`${JSON_TYPE}; Charset="UTF-16"`]), 415],
    ["in two charsets", () => post("/orders", UTF7, [`${JSON_TYPE}; charset=utf-8; charset=utf-7`]), 415],
    [
      "in another charset against a schema",
      () => post("/x", '{"count":1}', [`${JSON_TYPE}; charset=utf-7`], "schema"),
      415,
    ],
    [
      "as a form in another charset",
      () => post("/orders", "count=1", ["Content-Type: application/x-www-form-urlencoded; charset=utf-7"]),
      415,
    ],
    ["in the usual charset", () => post("/orders", '{"count":1}', [`${JSON_TYPE};charset="utf-8"`]), 201],
    ["with other parameters", () => post("/orders", '{"count":1}', [`${JSON_TYPE}; version=1`]), 201],
    ["beside a cookie with a space", () => post("/orders", '{"count":1}', [JSON_TYPE, "Cookie: theme =evil"]), 400],
    [
      "beside a cookie with a tab",
      () => post("/orders", '{"count":1}', [JSON_TYPE, "Cookie: a=b;\ttheme\t=evil"]),
      400,
    ],
    ["behind a semicolon", () => send(request("/stored?x=1;limit=999")), 400],
    ["and once more", () => send(request("/stored?limit=5&x=1;limit=6")), 400],
    ["in good order", () => send(request("/stored?x=a;b&limit=5")), 200],
    ["beside a good cookie", () => post("/orders", '{"count":1}', [JSON_TYPE, "Cookie: a=b; theme=dark"]), 201],
    ["as an upgrade", () => post("/orders", BAD, [JSON_TYPE, "Connection: upgrade", "Upgrade: websocket"]), 400],
    [
      "with an empty body",
      () => send(`${request("/orders", [JSON_TYPE, "Transfer-Encoding: chunked"], "POST")}0\r\n\r\n`),
      400,
    ],
    ["with a trailing slash", () => post("/orders/", BAD, [JSON_TYPE]), 404],
    ["in other case", () => post("/Orders", BAD, [JSON_TYPE]), 404],
    ["with an encoded path", () => post("/%6Frders", BAD, [JSON_TYPE]), 400],
    ["with another method", () => send(request("/orders", [JSON_TYPE], "POSTS", BAD)), 405],
  ];
  for (const [name, make, status] of CASES) test(name, async () => expect((await make()).status).toBe(status));
});

test("what calls itself gRPC is a request like others", async () => {
  const before = backend.requests.length;
  for (const type of ["application/grpc", "application/grpc+json", "application/grpc-web"]) {
    const fields = [`Content-Type: ${type}`];
    expect((await post("/orders", BAD, fields)).field("grpc-status")).toBe("13");
    expect((await post("/none", BAD, fields)).field("grpc-status")).toBe("12");
    expect((await post("/x", "{}", fields, "schema")).field("grpc-status")).toBe("13");
  }
  expect(backend.requests.length).toBe(before);
});

describe("bodies that are held", () => {
  test("go on with their trailers", async () => {
    const head = request("/orders", [JSON_TYPE, "TE: trailers", "Transfer-Encoding: chunked"], "POST");
    for (const host of ["app.example", "firewall"]) {
      const got = await send(`${head}${chunks('{"count"', ":2}")}0\r\nX-Sum: abc\r\n\r\n`, host);
      expect([got.status, got.body]).toEqual([201, '{"count":2}']);
      expect(backend.requests.at(-1)?.trailers).toEqual([["X-Sum", "abc"]]);
    }
  });

  test("may come in any number of pieces", async () => {
    const text = `{"count":1,"note":"${"x".repeat(20_000)}"}`;
    const head = request("/orders", [JSON_TYPE, "Transfer-Encoding: chunked"], "POST");
    const got = await send(`${head}${chunks(...text)}0\r\n\r\n`, "firewall");
    expect([got.status, got.body]).toEqual([201, text]);
  });

  test("come over HTTP/2, longer than its windows, many at a time", async () => {
    await using client = await NodeH2.connect(proxy.url);
    const text = (at: number): string => `{"count":${at},"note":"${"x".repeat(300_000)}"}`;
    const fields = { "content-type": "application/json" };
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, at) => client.ask({ path: "/orders", method: "POST", body: text(at), fields })),
    );
    expect(answers.map(({ status }) => status)).toEqual([400, 201, 201, 201, 201, 201]);
    expect(answers.slice(1).every(({ body }, at) => body === text(at + 1))).toBe(true);
    const long = await client.ask({ path: "/orders", method: "POST", body: `"${"x".repeat(1_200_000)}"`, fields });
    expect([long.status, long.error]).toEqual([413, ""]);
    expect((await client.ask({ path: "/orders", method: "POST", body: text(1), fields })).status).toBe(201);
  });

  test("of clients that go are no requests", async () => {
    const before = backend.requests.length;
    for (const host of ["app.example", "firewall"]) {
      const peer = await Peer.connect(proxy.port);
      const head = request("/orders", [JSON_TYPE, "Content-Length: 11"], "POST").replace(
        /^Host: .*$/m,
        `Host: ${host}`,
      );
      peer.send(`${head}{"count":`);
      await exchange(proxy.port, request("/none")); // it was read by now
      peer.socket.destroy();
    }
    expect((await post("/orders", '{"count":1}', [JSON_TYPE])).status).toBe(201);
    expect(backend.requests.length).toBe(before + 1);
  });

  test("wait for 100 Continue, and get it once", async () => {
    const peer = await Peer.connect(proxy.port);
    peer.send(request("/orders", [JSON_TYPE, "Content-Length: 11", "Expect: 100-continue"], "POST"));
    expect((await peer.head()).status).toBe(100);
    peer.send('{"count":1}');
    expect((await peer.response()).status).toBe(201);
    expect(backend.requests.at(-1)?.field("expect")).toBeNull();
    peer.close();
  });

  test("one after the other on one connection", async () => {
    const peer = await Peer.connect(proxy.port);
    const bodies = ['{"count":1}', BAD, '{"count":3}'];
    peer.send(bodies.map((body) => request("/orders", [JSON_TYPE], "POST", body)).join(""));
    const statuses: number[] = [];
    for (const _ of bodies) statuses.push((await peer.response()).status);
    expect(statuses).toEqual([201, 400, 201]);
    peer.close();
  });
});

test("an answer that is refused is not given out of the cache", async () => {
  const get = () => send(request("/stored"), "cached");
  const asked = (): number => backend.requests.filter((each) => each.target === "/stored").length;
  for (const times of [1, 2]) {
    expect((await get()).status).toBe(502);
    expect(asked()).toBe(times);
  }
  stored = '{"count":1}';
  for (const _ of [1, 2]) {
    const got = await get();
    expect([got.status, got.body]).toEqual([200, stored]);
  }
  expect(asked()).toBe(3); // from then on it is stored
  const part = await send(request("/stored", ["Range: bytes=0-3"]), "cached");
  expect([part.status, part.body]).toEqual([200, stored]);
  // A refusal of another answer says nothing about it.
  expect((await send(request("/stored", ["If-Match: nothing"]), "cached")).status).toBe(200);
  expect((await get()).status).toBe(200);
  expect(asked()).toBe(4);
});
