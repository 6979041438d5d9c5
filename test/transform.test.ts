// `transform` as clients and servers meet it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { brotliCompressSync, gunzipSync, gzipSync, zstdCompressSync } from "node:zlib";
import { answer, chunks, type Message, request } from "./support/message.ts";
import { NodeH2 } from "./support/node-h2.ts";
import { exchange } from "./support/peer.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

const JSON_TYPE = "Content-Type: application/json";
const XML_TYPE = "Content-Type: application/xml";
const ORDER = '{"id":12345678901234567890,"internal":{"cost":1.10},"lines":[{"sku":"a","cost":2},{"sku":"b"}]}';
const CLEAN = '{"id":12345678901234567890,"lines":[{"sku":"a"},{"sku":"b"}]}';
const LONG = JSON.stringify({ internal: 1, text: "x".repeat(200_000), lines: [] });

const coded = (bytes: Buffer, coding: string, status = 200): string =>
  answer(status, bytes.latin1Slice(), [JSON_TYPE, `Content-Encoding: ${coding}`, 'ETag: "1"', "Content-MD5: x"]);

const ANSWERS: Readonly<Record<string, string>> = {
  "/order": answer(200, ORDER, [JSON_TYPE, 'ETag: "1"', "Accept-Ranges: bytes", "Digest: sha-256=x", "X-A: b"]),
  "/chunked": `HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n${chunks(ORDER.slice(0, 30), ORDER.slice(30))}0\r\nDigest: y\r\nX-T: t\r\n\r\n`,
  "/gzip": coded(gzipSync(ORDER), "gzip"),
  "/br": coded(brotliCompressSync(ORDER), "br"),
  "/zstd": coded(zstdCompressSync(ORDER), "zstd"),
  "/broken-gzip": coded(Buffer.from(gzipSync(ORDER)).subarray(0, 40), "gzip"),
  "/compress": coded(Buffer.from("abc"), "compress"),
  "/bomb": coded(gzipSync(Buffer.alloc(20_000_000, 0x20)), "gzip"),
  "/part": answer(206, ORDER.slice(0, 10), [JSON_TYPE, `Content-Range: bytes 0-9/${ORDER.length}`]),
  "/not-json": answer(200, '{"internal":1,', [JSON_TYPE]),
  "/twice": answer(200, '{"internal":1,"a":1,"a":2}', [JSON_TYPE]),
  "/utf-16": answer(200, ORDER, ["Content-Type: application/json; charset=utf-16"]),
  "/empty": answer(200, "", [JSON_TYPE]),
  "/types": answer(200, ORDER, ["Content-Type: text/plain", JSON_TYPE]),
  "/text": answer(200, ORDER, ["Content-Type: text/plain"]),
  "/events": answer(200, `data: ${ORDER}\n\n`, ["Content-Type: text/event-stream"]),
  "/problem": answer(404, '{"title":"none","internal":"db7"}', ["Content-Type: application/problem+json"]),
  "/list": answer(200, "[1]", [JSON_TYPE]),
  "/long": answer(200, LONG, [JSON_TYPE]),
  "/long-gzip": coded(gzipSync(LONG), "gzip"),
  "/long-broken": answer(200, `${LONG.slice(0, -1)},"internal":{"cost":1`, [JSON_TYPE]),
  "/204": "HTTP/1.1 204 No Content\r\n\r\n",
  "/xml": answer(200, '<order id="1"><line>a</line></order>', ["Content-Type: text/xml; charset=utf-8"]),
  "/doctype": answer(200, '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', [XML_TYPE]),
};

function answerTo(got: Message): string {
  const known = ANSWERS[got.target];
  if (known !== undefined && got.method === "HEAD") return known.slice(0, known.indexOf("\r\n\r\n") + 4);
  if (got.target === "/tagged") {
    const fresh = got.field("if-none-match") === 'W/"1"';
    return fresh ? 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n' : ANSWERS["/order"]!;
  }
  const fields = [`Content-Type: ${got.field("content-type") ?? "text/plain"}`, `X-Target: ${got.target}`];
  const seen = ["x-tenant", "content-length", "transfer-encoding", "content-md5"].map(
    (name) => `X-Got-${name}: ${got.field(name) ?? "none"}`,
  );
  return known ?? answer(201, got.body, [...fields, ...seen]);
}

let backend: RawBackend;
let proxy: TestProxy;

beforeAll(async () => {
  backend = await RawBackend.answering(answerTo);
  const to = backend.url;
  const clean = { remove: ["internal", "lines[*].cost"] };
  proxy = await startProxy({
    listener: { h2c: true },
    routes: [
      {
        match: { host: "request", path: ["/orders/:order", "/*"] },
        transform: {
          request: {
            maxBody: "1KB",
            json: {
              remove: ["**.secret"],
              rename: { "user.mail": "email" },
              move: { "meta.trace": "trace", "items[*].m.id": "items[*].id" },
              add: { version: 1 },
              set: {
                "meta.tenant": "{header.x-tenant}",
                "meta.order": "order {order}",
                "meta.first": "{body.items[0].id}",
                "meta.text": 'q="{query.q}" {body.user.email}',
              },
            },
          },
        },
        to,
      },
      {
        match: { host: "promote" },
        transform: {
          request: {
            json: { remove: ["tenant"] },
            headers: { "X-Tenant": "{body.tenant}" },
            query: { page: "{body.page}" },
            path: "/t/{body.tenant}?{query}",
          },
        },
        to,
      },
      { match: { host: "pass" }, transform: { request: { json: { set: { a: 1 } }, otherTypes: "pass" } }, to },
      { match: { host: "strip" }, transform: { response: { json: clean, maxBody: "100KB" } }, compress: true, to },
      { match: { host: "set" }, transform: { response: { json: { set: { a: 1 } }, maxBody: "100KB" } }, to },
      { match: { host: "cached" }, transform: { response: { json: clean } }, compress: true, cache: { ttl: "1m" }, to },
      {
        match: { host: "both" },
        transform: { request: { json: { set: { a: 1 } } }, response: { json: { set: { b: "{header.x-who}" } } } },
        waf: { responses: true },
        to,
      },
      {
        match: { host: "shape" },
        transform: {
          response: [
            {
              for: [404],
              status: { 404: 200 },
              template: { ok: false, why: "{body.title}", was: "{status}", text: "{status}!" },
            },
            {
              for: ["2xx"],
              status: { "2xx": 203 },
              template: { ok: true, skus: "{body.lines[*].sku}", order: "{body.id}", all: ["{body.none}", 1.5] },
            },
          ],
        },
        to,
      },
      { match: { host: "toxml" }, transform: { response: { json: clean, jsonToXml: { root: "order" } } }, to },
      { match: { host: "either" }, transform: { response: { jsonToXml: { root: "o", negotiate: true } } }, to },
      {
        match: { host: "fromxml" },
        transform: {
          request: { xmlToJson: { lists: ["order.line"] }, json: { set: { "order.seen": true } } },
          response: { xmlToJson: true },
        },
        to,
      },
      { match: { host: "toxmlserver" }, transform: { request: { jsonToXml: true } }, to },
      {
        match: { host: "own" },
        transform: { response: { json: { remove: ["secret"] } } },
        respond: { body: '{"a":1,"secret":2}', headers: { "content-type": "application/json" } },
      },
    ],
  });
}, 30_000);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
});

function ask(
  host: string,
  target: string,
  fields: readonly string[] = [],
  method = "GET",
  body = "",
): Promise<Message> {
  return exchange(proxy.port, request(target, fields, method, body).replace(/^Host: .*$/m, `Host: ${host}`));
}
const post = (host: string, target: string, body: string, fields: readonly string[] = []): Promise<Message> =>
  ask(host, target, [JSON_TYPE, ...fields], "POST", body);

describe("requests", () => {
  test("reach the server changed, the rest of them byte for byte", async () => {
    const body = `{ "n": 1.00,  "user": {"mail":"a@b","secret":1}, "items":[{"m":{"id":12345678901234567890}}],"meta":{"trace":7,"tenant":"mine"}}`;
    const got = await post("request", "/orders/4%207?q=1%22", body, ["X-Tenant: acme", "Content-MD5: x"]);
    expect(got.body).toBe(
      '{"n": 1.00,"user":{"email":"a@b"},"items":[{"m":{},"id":12345678901234567890}],' +
        '"meta":{"tenant":"acme","order":"order 4 7","first":12345678901234567890,"text":"q=\\"1\\"\\" a@b"},' +
        '"trace":7,"version":1}',
    );
    expect(got.field("x-got-content-length")).toBe(String(got.body.length));
    expect(got.field("x-got-content-md5")).toBe("none");
  });

  test("come in pieces as well, and go on in pieces", async () => {
    const head = request("/x", ["Host: pass", JSON_TYPE, "Transfer-Encoding: chunked"], "POST").replace(
      "Host: app.example\r\n",
      "",
    );
    const got = await exchange(proxy.port, `${head}${chunks('{"b"', ":2}")}0\r\n\r\n`);
    expect([got.body, got.field("x-got-transfer-encoding")]).toEqual(['{"b":2,"a":1}', "chunked"]);
  });

  test("without a body pass", async () => {
    expect((await ask("request", "/order")).status).toBe(200);
    expect((await ask("request", "/x", [JSON_TYPE, "Content-Length: 0"], "POST")).status).toBe(201);
  });

  const REFUSED: readonly (readonly [name: string, body: string, fields: readonly string[], status: number])[] = [
    ["no JSON", "{", [JSON_TYPE], 400],
    ["a name twice", '{"a":1,"\\u0061":2}', [JSON_TYPE], 400],
    ["a list, which cannot have what is set", "[]", [JSON_TYPE], 400],
    ["longer than the limit", `{"a":"${"x".repeat(1100)}"}`, [JSON_TYPE], 413],
    ["of another type", "a=b", ["Content-Type: text/plain"], 415],
    ["of no type", "{}", [], 415],
    ["compressed", "{}", [JSON_TYPE, "Content-Encoding: gzip"], 415],
    ["in another charset", "{}", ["Content-Type: application/json;charset=UTF-16"], 415],
  ];
  for (const [name, body, fields, status] of REFUSED)
    test(`are refused: ${name}`, async () => {
      const before = backend.requests.length;
      expect((await ask("request", "/x", fields, "POST", body)).status).toBe(status);
      expect(backend.requests.length).toBe(before);
    });

  test("of other types pass where they may", async () => {
    const got = await ask("pass", "/x", ["Content-Type: text/plain"], "POST", "{");
    expect([got.status, got.body]).toEqual([201, "{"]);
  });

  test("have fields, path and query made of their body", async () => {
    const got = await post("promote", "/old?a=1&page=9", '{"tenant":"a/b \xc3\xbc","page":2}');
    expect(got.field("x-target")).toBe("/t/a%2Fb%20%C3%BC?a=1&page=2");
    expect(got.body).toBe('{"page":2}');
    expect((await post("promote", "/old", '{"tenant":".."}')).status).toBe(400);
    const split = await post("promote", "/old", '{"tenant":"a\\r\\nX-Evil: 1"}');
    expect(split.field("x-got-x-tenant")).toBe("aX-Evil: 1");
    // What no server would take in a head does not reach one.
    for (const name of ["tenant", "page"])
      expect((await post("promote", "/old", `{"${name}":"${"x".repeat(40_000)}"}`)).status).toBe(400);
  });

  test("are changed on both ways, beside a firewall", async () => {
    const got = await post("both", "/x", "{}", ["X-Who: \xff"]);
    expect([got.status, Buffer.from(got.body, "latin1").toString()]).toEqual([201, '{"a":1,"b":"\ufffd"}']);
  });
});

describe("answers", () => {
  const CASES: readonly (readonly [target: string, status: number, body: string])[] = [
    ["/order", 200, CLEAN],
    ["/chunked", 200, CLEAN],
    ["/gzip", 200, CLEAN],
    ["/br", 200, CLEAN],
    ["/zstd", 200, CLEAN],
    ["/problem", 404, '{"title":"none"}'],
    ["/types", 200, CLEAN],
    ["/list", 200, "[1]"],
    ["/empty", 200, ""],
    ["/204", 204, ""],
    ["/text", 200, ORDER],
    ["/events", 200, `data: ${ORDER}\n\n`],
  ];
  for (const host of ["strip", "cached"])
    for (const [target, status, body] of CASES)
      test(`${host} ${target}`, async () => {
        const got = await ask(host, target);
        expect([got.status, got.body]).toEqual([status, body]);
        expect(got.field("content-encoding")).toBeNull();
        if (host === "strip" && status !== 204 && target !== "/chunked")
          expect(got.field("content-length")).toBe(String(body.length));
      });

  test("that cannot be changed never go out as they are", async () => {
    for (const target of [
      "/broken-gzip",
      "/compress",
      "/bomb",
      "/part",
      "/not-json",
      "/twice",
      "/utf-16",
      "/long-gzip",
    ]) {
      const got = await ask("strip", target);
      expect([target, got.status]).toEqual([target, 502]);
      expect(got.body).not.toContain("cost");
    }
  });

  test("that are too long to be held are changed as they pass, where something is removed alone", async () => {
    const want = JSON.stringify({ text: "x".repeat(200_000), lines: [] });
    const got = await ask("strip", "/long");
    expect([got.status, got.field("content-length"), got.field("transfer-encoding")]).toEqual([200, null, "chunked"]);
    expect(got.body).toBe(want);
    expect((await ask("set", "/long")).status).toBe(502);
    const coding = await ask("strip", "/long", ["Accept-Encoding: gzip"]);
    expect(gunzipSync(Buffer.from(coding.body, "latin1")).toString()).toBe(want);
    await expect(ask("strip", "/long-broken")).rejects.toThrow();
  });

  test("lose the fields that spoke of other bytes", async () => {
    const got = await ask("strip", "/order", ["Range: bytes=0-3"]);
    expect([got.field("etag"), got.field("accept-ranges"), got.field("digest"), got.field("x-a")]).toEqual([
      'W/"1"',
      null,
      null,
      "b",
    ]);
    expect(backend.requests.at(-1)?.field("range")).toBeNull();
    const chunked = await ask("strip", "/chunked");
    expect(chunked.trailers).toEqual([["X-T", "t"]]);
    const head = await ask("strip", "/order", [], "HEAD");
    expect([head.status, head.field("content-length"), head.field("etag")]).toEqual([200, null, 'W/"1"']);
  });

  test("are known again by the tag that they were given", async () => {
    const got = await ask("strip", "/tagged", ['If-None-Match: W/"1"']);
    expect([got.status, got.field("etag")]).toEqual([304, 'W/"1"']);
  });

  test("are compressed after it", async () => {
    const got = await ask("strip", "/order", ["Accept-Encoding: gzip"]);
    expect(got.body).toBe(CLEAN); // too short
    const before = backend.requests.length;
    const list = JSON.stringify({ internal: 1, lines: Array.from({ length: 300 }, () => ({ sku: "abc", cost: 1 })) });
    await post("pass", "/x", "{}");
    expect(backend.requests.length).toBe(before + 1);
    const large = await ask("strip", "/echo", [JSON_TYPE, "Accept-Encoding: gzip"], "POST", list);
    expect(large.field("content-encoding")).toBe("gzip");
    const text = gunzipSync(Buffer.from(large.body, "latin1")).toString();
    expect(JSON.parse(text)).toEqual({ lines: Array.from({ length: 300 }, () => ({ sku: "abc" })) });
  });

  test("are made anew, and get another status", async () => {
    const good = await ask("shape", "/order");
    expect([good.status, good.body]).toEqual([
      203,
      '{"ok":true,"skus":["a","b"],"order":12345678901234567890,"all":[null,1.5]}',
    ]);
    const bad = await ask("shape", "/problem");
    expect([bad.status, bad.field("content-type"), bad.body]).toEqual([
      200,
      "application/json",
      '{"ok":false,"why":"none","was":404,"text":"404!"}',
    ]);
    expect((await ask("shape", "/204")).status).toBe(204);
  });

  test("of the proxy's own are changed too, but for its errors", async () => {
    expect((await ask("own", "/")).body).toBe('{"a":1}');
    expect(JSON.parse((await post("both", "/x", "[]")).body)).toMatchObject({ status: 400 });
  });

  test("over HTTP/2", async () => {
    await using client = await NodeH2.connect(`http://127.0.0.1:${proxy.port}`);
    const asked = (path: string, host: string, method = "GET", body = "") =>
      client.ask({ path, method, body, fields: { ":authority": host, "content-type": "application/json" } });
    expect(await asked("/gzip", "strip")).toMatchObject({ status: 200, body: CLEAN });
    expect(await asked("/chunked", "strip")).toMatchObject({ status: 200, body: CLEAN });
    expect(await asked("/long", "set")).toMatchObject({ status: 502 });
    expect((await asked("/long", "strip")).body).toHaveLength(200_022);
    expect((await asked("/long-broken", "strip")).error).not.toBe("");
    expect(await asked("/x", "pass", "POST", '{"b":2}')).toMatchObject({ status: 201, body: '{"b":2,"a":1}' });
    expect(await asked("/x", "request", "POST", "{")).toMatchObject({ status: 400 });
  });
});

describe("XML", () => {
  test("becomes JSON", async () => {
    const got = await ask("fromxml", "/x", [XML_TYPE], "POST", "<order><line>1</line></order>");
    expect([got.field("content-type"), got.body]).toEqual(["application/json", '{"order":{"line":["1"],"seen":true}}']);
    const xml = await ask("fromxml", "/xml");
    expect([xml.field("content-type"), xml.body]).toEqual(["application/json", '{"order":{"@id":"1","line":"a"}}']);
  });

  test("with a DOCTYPE is refused", async () => {
    expect((await ask("fromxml", "/x", [XML_TYPE], "POST", "<!DOCTYPE a><a/>")).status).toBe(400);
    expect((await ask("fromxml", "/doctype")).status).toBe(502);
  });

  const HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n';
  test("is made of JSON", async () => {
    const got = await ask("toxml", "/order");
    expect([got.field("content-type"), got.body]).toEqual([
      "application/xml",
      `${HEAD}<order><id>12345678901234567890</id><lines><sku>a</sku></lines><lines><sku>b</sku></lines></order>`,
    ]);
    const server = await post("toxmlserver", "/x", '{"a":{"@b":1}}');
    expect([server.field("content-type"), server.body]).toEqual(["application/xml", `${HEAD}<a b="1"/>`]);
  });

  test("is for those who prefer it", async () => {
    const want = async (accept: string) => {
      const got = await ask("either", "/list", [`Accept: ${accept}`]);
      expect(got.field("vary")).toBe("Accept");
      return got.field("content-type");
    };
    expect(await want("application/xml")).toBe("application/xml");
    expect(await want("application/json, application/xml;q=0.9")).toBe("application/json");
    expect(await want("application/json;q=0.5, text/xml")).toBe("application/xml");
    expect(await want("*/*")).toBe("application/json");
    const list = "[ 1,  2 ]"; // as nobody wants it otherwise, it is not even looked at
    expect((await ask("either", "/echo", [JSON_TYPE], "POST", list)).body).toBe(list);
    expect((await ask("either", "/not-json")).status).toBe(200);
  });
});
