// `validate` as clients and servers meet it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answer, chunks, type Message, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

const DOCUMENT = `openapi: 3.1.0
servers: [{ url: https://api.example.com/v1 }]
paths:
  /orders:
    post:
      requestBody:
        required: true
        content:
          application/json: { schema: { $ref: "#/components/schemas/Order" } }
      responses: { 201: { description: made } }
  /orders/{id}:
    get:
      parameters: [{ name: id, in: path, required: true, schema: { type: integer } }]
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
const ORDERS: Readonly<Record<string, string>> = {
  "/v1/orders/1": answer(200, '{"count":1}', [JSON_TYPE]),
  "/v1/orders/2": answer(200, '{"count":0}', [JSON_TYPE]),
  "/v1/orders/3": answer(418, "teapot"),
  "/v1/orders/4": answer(200, "<p>", ["Content-Type: text/html"]),
  "/v1/orders/5": answer(200, `{"count":1,"note":"${"x".repeat(100_000)}"}`, [JSON_TYPE]),
  "/v1/orders/6": `HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n${chunks('{"count"', ":7}")}0\r\n\r\n`,
};

let folder: string;
let backend: RawBackend;
let proxy: TestProxy;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "validate-"));
  const openapi = join(folder, "openapi.yaml");
  writeFileSync(openapi, DOCUMENT);
  backend = await RawBackend.answering((got) => ORDERS[got.target] ?? answer(201, got.body));
  proxy = await startProxy({
    routes: [
      { match: { host: "strict" }, validate: { openapi, responses: "enforce", maxBody: "64KB" }, to: backend.url },
      { match: { host: "lenient" }, validate: { openapi, requests: "log", responses: "log" }, to: backend.url },
      {
        match: { host: "firewall" },
        waf: { responses: true },
        validate: { openapi, responses: "enforce" },
        to: backend.url,
      },
      { match: { host: "schema" }, validate: { body: { jsonSchema: { type: "array" } } }, to: backend.url },
      { match: { host: "plain" }, validate: { openapi }, to: backend.url },
    ],
  });
}, 30_000);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function ask(host: string, target: string, method = "GET", body = "", fields = [JSON_TYPE]): Promise<Message> {
  const wire = request(target, [...(body === "" ? [] : fields), "Accept-Encoding: gzip"], method, body);
  return exchange(proxy.port, wire.replace(/^Host: .*$/m, `Host: ${host}`));
}

const errorsOf = (message: Message): unknown => (JSON.parse(message.body) as { errors?: unknown }).errors;

describe("requests", () => {
  test("that are as described reach the server as they came", async () => {
    const body = '{ "count": 2,  "note": "two" }';
    const made = await ask("strict", "/v1/orders", "POST", body);
    expect([made.status, made.body]).toEqual([201, body]);
    const firewall = await ask("firewall", "/v1/orders", "POST", body);
    expect([firewall.status, firewall.body]).toEqual([201, body]);
  });

  test("come in pieces as well", async () => {
    const head = request("/v1/orders", [JSON_TYPE, "Transfer-Encoding: chunked"], "POST").replace(
      /^Host: .*$/m,
      "Host: firewall",
    );
    const made = await exchange(proxy.port, `${head}${chunks('{"cou', 'nt":2}')}0\r\n\r\n`);
    expect([made.status, made.body]).toEqual([201, '{"count":2}']);
    const refused = await exchange(proxy.port, `${head}${chunks('{"cou', 'nt":0}')}0\r\n\r\n`);
    expect(refused.status).toBe(400);
  });

  test("that are not are refused before the server is asked", async () => {
    const before = backend.requests.length;
    const body = await ask("plain", "/v1/orders", "POST", '{"count":0}');
    expect([body.status, errorsOf(body)]).toEqual([400, [{ in: "body", path: "/count", message: "must be >= 1" }]]);
    expect(errorsOf(await ask("plain", "/v1/orders/x"))).toEqual([
      { in: "path", path: "/id", message: "must be integer" },
    ]);
    expect((await ask("plain", "/orders/1")).status).toBe(404);
    const method = await ask("plain", "/v1/orders", "PUT", "{}");
    expect([method.status, method.field("allow")]).toEqual([405, "POST"]);
    const type = await ask("plain", "/v1/orders", "POST", "a=b", ["Content-Type: text/plain"]);
    expect([type.status, type.field("accept")]).toEqual([415, "application/json"]);
    const coded = await ask("plain", "/v1/orders", "POST", "xx", [JSON_TYPE, "Content-Encoding: gzip"]);
    expect([coded.status, coded.field("accept-encoding")]).toEqual([415, "identity"]);
    expect((await ask("strict", "/v1/orders", "POST", `{"count":1,"note":"${"x".repeat(70_000)}"}`)).status).toBe(413);
    expect((await ask("plain", "/v1/orders", "POST", "")).status).toBe(400);
    expect(backend.requests.length).toBe(before);
  });

  test("are held against a schema alone", async () => {
    const statuses = await Promise.all([
      ...["[1]", "{}"].map(async (body) => (await ask("schema", "/any", "POST", body)).status),
      ask("schema", "/any").then(({ status }) => status),
    ]);
    expect(statuses).toEqual([201, 400, 201]);
  });

  test("pass where they are only logged", async () => {
    expect((await ask("lenient", "/other")).status).toBe(201);
    expect((await ask("lenient", "/v1/orders", "POST", "no json")).body).toBe("no json");
  });
});

describe("answers", () => {
  const CASES: readonly (readonly [host: string, order: number, status: number])[] = [
    ["strict", 1, 200],
    ["strict", 2, 502],
    ["strict", 3, 502],
    ["strict", 4, 502],
    ["strict", 5, 502], // longer than what is checked
    ["strict", 6, 200],
    ["firewall", 1, 200],
    ["firewall", 2, 502],
    ["firewall", 6, 200],
    ["lenient", 2, 200],
    ["lenient", 3, 418],
    ["lenient", 5, 200],
    ["plain", 2, 200],
  ];
  for (const [host, order, status] of CASES)
    test(`${host}: order ${order}`, async () => {
      const got = await ask(host, `/v1/orders/${order}`);
      expect(got.status).toBe(status);
      if (status === 502) expect(got.body).not.toContain("count");
      else expect(got.body.length).toBeGreaterThan(2);
    });

  test("are asked for without a content coding only where they are looked at", async () => {
    await ask("strict", "/v1/orders/1");
    expect(backend.requests.at(-1)?.field("accept-encoding")).toBe("identity");
    await ask("plain", "/v1/orders/1");
    expect(backend.requests.at(-1)?.field("accept-encoding")).toBe("gzip");
  });
});
