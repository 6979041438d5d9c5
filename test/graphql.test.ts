// `graphql` as clients and servers meet it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { answer, chunks, type Message, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

const JSON_TYPE = "Content-Type: application/json";
const NEW_JSON = "application/graphql-response+json";
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const KNOWN = "query Known($n: Int) { people(first: $n) { a { b { c { d } } } } }\n";

let folder: string;
let backend: RawBackend;
let proxy: TestProxy;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "graphql-"));
  const documents = join(folder, "documents");
  mkdirSync(documents);
  writeFileSync(join(documents, "Known.graphql"), KNOWN);
  writeFileSync(
    join(documents, "relay.json"),
    JSON.stringify({ r1: "{ relay }", intro: "{ __schema { types { name } } }" }),
  );
  const manifest = { format: "apollo-persisted-query-manifest", version: 1, operations: [{ id: "m1", body: "{ m }" }] };
  writeFileSync(join(documents, "manifest.json"), JSON.stringify(manifest));
  const schema = join(folder, "schema.graphql");
  writeFileSync(schema, "type Query { me: User }\ntype User { name: String, secret: String }");
  backend = await RawBackend.answering((got) => answer(200, got.body === "" ? got.target : got.body, [JSON_TYPE]));
  const to = backend.url;
  const basic = { basic: { users: { ann: await Bun.password.hash("pw", { algorithm: "bcrypt", cost: 4 }) } } };
  proxy = await startProxy({
    routes: [
      {
        match: { host: "plain" },
        graphql: { maxDepth: 3, maxAliases: 2, maxDirectives: 1, maxTokens: 60, maxCost: 50 },
        to,
      },
      { match: { host: "open" }, graphql: { introspection: true, maxBatch: 3, uploads: "1MB", websocket: true }, to },
      { match: { host: "groups" }, auth: basic, graphql: { introspection: { groups: ["staff"] } }, to },
      { match: { host: "apq" }, graphql: { persisted: { apq: true }, maxBatch: 3 }, to },
      { match: { host: "list" }, graphql: { maxDepth: 2, persisted: { files: documents, only: true } }, to },
      { match: { host: "ids" }, graphql: { persisted: { files: documents, only: "id" } }, to },
      {
        match: { host: "rules" },
        graphql: {
          operations: { types: ["query", "mutation"], deny: ["Bad*"], anonymous: false },
          fields: { allow: ["Query.*", "Mutation.add*"], deny: ["Query.secret"] },
          preflight: { get: true },
          methods: ["GET", "POST"],
        },
        to,
      },
      { match: { host: "schema" }, graphql: { schema, fields: { deny: ["User.secret"] } }, to },
      {
        match: { host: "log" },
        graphql: { mode: "log", maxDepth: 1, introspection: false, persisted: { files: documents } },
        to,
      },
      { match: { host: "always" }, graphql: { maxDepth: 1, errors: { status: "always" } }, to },
      { match: { host: "problem" }, graphql: { maxDepth: 1, errors: { form: "problem" } }, to },
      { match: { host: "post" }, graphql: { methods: ["POST"], maxBody: "1KB" }, waf: {}, to },
      {
        match: { host: "charged" },
        quota: { per: "ip", default: "all", plans: { all: "1000/d" }, cost: "graphql" },
        graphql: { maxCost: 500 },
        to,
      },
      { match: { host: "rewritten" }, rewrite: { path: "/other" }, graphql: { persisted: { files: documents } }, to },
    ],
  });
}, 30_000);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

function send(host: string, wire: string): Promise<Message> {
  return exchange(proxy.port, wire.replace(/^Host: .*$/m, `Host: ${host}`));
}
const post = (host: string, body: unknown, fields: readonly string[] = [JSON_TYPE]): Promise<Message> =>
  send(host, request("/graphql", fields, "POST", typeof body === "string" ? body : JSON.stringify(body)));
const get = (host: string, query: string, fields: readonly string[] = []): Promise<Message> =>
  send(host, request(`/graphql${query === "" ? "" : "?"}${query}`, fields));
const urlOf = (fields: Readonly<Record<string, string>>): string => new URLSearchParams(fields).toString();
const persisted = (text: string): object => ({ persistedQuery: { version: 1, sha256Hash: sha256(text) } });

/** The codes of the errors; "" for an answer of the server. */
function codeOf(message: Message): string {
  if (!message.body.includes('"errors"')) return "";
  const value = JSON.parse(message.body) as { errors: { extensions: { code: string } }[] };
  return value.errors.map(({ extensions }) => extensions.code).join(" ");
}

describe("what requests ask for", () => {
  const CASES: readonly (readonly [host: string, query: string, code: string])[] = [
    ["plain", "{ a { b { c } } }", ""],
    ["plain", "{ a { b { c { d } } } }", "DEPTH_LIMIT"],
    ["plain", "{ ...F } fragment F on Q { a { b { c { d } } } }", "DEPTH_LIMIT"],
    ["plain", "{ x: a y: a z: a }", "ALIAS_LIMIT"],
    ["plain", "{ a @x @y }", "DIRECTIVE_LIMIT"],
    ["plain", `{ ${"a ".repeat(60)} }`, "TOKEN_LIMIT"],
    ["plain", "{ a(first: 100) { b } }", "COST_LIMIT"],
    ["plain", "{ a", "GRAPHQL_PARSE_FAILED"],
    ["plain", "{ ...F }", "GRAPHQL_VALIDATION_FAILED"],
    ["plain", "query A { a } query B { b }", "OPERATION_RESOLUTION_FAILURE"],
    ["plain", "{ __schema { types { name } } }", "INTROSPECTION_DISABLED"],
    ["plain", '{ ...F } fragment F on Query { t: __type(name: "A") { name } }', "INTROSPECTION_DISABLED"],
    ["plain", "{ a { __typename } __typename }", ""],
    ["open", "{ __schema { types { name } } }", ""],
    ["open", "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }", "DEPTH_LIMIT"],
    ["rules", "query Good { a }", ""],
    ["rules", "{ a }", "OPERATION_DENIED"],
    ["rules", "query BadOne { a }", "OPERATION_DENIED"],
    ["rules", "subscription S { a }", "OPERATION_DENIED"],
    ["rules", "mutation M { addOne }", ""],
    ["rules", "mutation M { dropOne }", "FIELD_DENIED"],
    ["rules", "mutation M { ...F } fragment F on X { y: dropOne }", "FIELD_DENIED"],
    ["rules", "query Q { x: secret }", "FIELD_DENIED"],
    ["schema", "{ me { name } }", ""],
    ["schema", "{ me { secret } }", "FIELD_DENIED"],
    ["schema", "{ me { nothing } }", "GRAPHQL_VALIDATION_FAILED"],
    ["list", KNOWN, ""],
    ["list", "{ relay }", ""],
    ["list", "{ relay  }", "PERSISTED_QUERY_REQUIRED"],
    ["ids", KNOWN, "PERSISTED_QUERY_REQUIRED"],
    ["log", "{ a { b } }", ""],
  ];
  for (const [host, query, code] of CASES)
    test(`${host}: ${query.slice(0, 60)}`, async () => {
      const before = backend.requests.length;
      const got = await post(host, { query });
      expect(codeOf(got)).toBe(code);
      expect(got.status).toBe(200);
      expect(backend.requests.length - before).toBe(code === "" ? 1 : 0);
      // The same again, as it is known then.
      expect(codeOf(await post(host, { query }))).toBe(code);
    });

  test("variables count", async () => {
    const query = "query Q($n: Int = 5) { a(first: $n) { b } }";
    const codes = await Promise.all(
      [{}, { n: 40 }, { n: 50 }].map(async (variables) => codeOf(await post("plain", { query, variables }))),
    );
    expect(codes).toEqual(["", "", "COST_LIMIT"]);
  });

  test("one of several operations is named", async () => {
    const query = "query A { a } query B { a { b { c { d } } } }";
    expect(codeOf(await post("plain", { query, operationName: "A" }))).toBe("");
    expect(codeOf(await post("plain", { query, operationName: "B" }))).toBe("DEPTH_LIMIT");
    expect(codeOf(await post("plain", { query, operationName: "C" }))).toBe("OPERATION_RESOLUTION_FAILURE");
  });

  test("a quota is charged what a request costs", async () => {
    const left = async (size: number): Promise<string | null> =>
      (await post("charged", { query: `{ a(first: ${size}) { b } }` })).field("ratelimit");
    expect(await left(200)).toContain("r=999");
    expect(await left(900)).toContain("r=798"); // too dear to run, it costs what any request does
    expect(await left(1)).toContain("r=797");
  });

  test("groups may ask for the schema", async () => {
    const credentials = `Authorization: Basic ${btoa("ann:pw")}`;
    const got = await post("groups", { query: "{ __schema { types { name } } }" }, [JSON_TYPE, credentials]);
    expect(codeOf(got)).toBe("INTROSPECTION_DISABLED"); // ann has no group
  });

  test("what passes reaches the server as it came", async () => {
    const body = '{ "query" : "{a}", "variables": {"n": 12345678901234567890} }';
    expect((await post("plain", body)).body).toBe(body);
    const wire = request("/graphql", [JSON_TYPE, "Transfer-Encoding: chunked"], "POST");
    const got = await send("plain", `${wire}${chunks('{"query"', ':"{a}"}')}0\r\n\r\n`);
    expect(got.body).toBe('{"query":"{a}"}');
  });
});

describe("how requests come", () => {
  const FORM = "Content-Type: application/x-www-form-urlencoded";
  const graphqlType = "Content-Type: application/graphql";
  const CASES: readonly (readonly [name: string, make: () => Promise<Message>, status: number])[] = [
    ["a query by GET", () => get("plain", urlOf({ query: "{a}" })), 200],
    [
      "with variables",
      () => get("plain", urlOf({ query: "query($n:Int){a(first:$n){b}}", variables: '{"n":2}' })),
      200,
    ],
    ["a page", () => get("plain", ""), 200],
    ["a page with parameters of its own", () => get("plain", "theme=dark"), 200],
    ["a mutation by GET", () => get("plain", urlOf({ query: "mutation{a}" })), 405],
    ["one of two", () => get("plain", urlOf({ query: "query A{a} mutation B{b}", operationName: "B" })), 405],
    [
      "a mutation by HEAD",
      () => send("plain", request(`/graphql?${urlOf({ query: "mutation{a}" })}`, [], "HEAD")),
      405,
    ],
    ["a subscription by GET", () => get("plain", urlOf({ query: "subscription{a}" })), 405],
    ["one for events", () => get("plain", urlOf({ query: "subscription{a}" }), ["Accept: text/event-stream"]), 200],
    ["two queries in one URL", () => get("plain", `${urlOf({ query: "{a}" })}&${urlOf({ query: "{b}" })}`), 400],
    ["one in other spelling", () => get("plain", `${urlOf({ query: "{a}" })}&${urlOf({ QUERY: "{b}" })}`), 400],
    ["one in a list", () => get("plain", `${urlOf({ query: "{a}" })}&query%5B%5D=%7Bb%7D`), 400],
    ["one behind a semicolon", () => get("plain", "a=1;query=%7Bb%7D"), 400],
    ["one whose name ends early to some", () => get("plain", "query%00x=%7Bb%7D"), 400],
    ["variables that are none", () => get("plain", urlOf({ query: "{a}", variables: "[1]" })), 400],
    ["an encoding that is none", () => get("plain", "query=%7Ba%E4%7D"), 400],
    [
      "a body of GET",
      () => send("plain", request("/graphql?query=%7Ba%7D", [JSON_TYPE], "GET", '{"query":"{b}"}')),
      400,
    ],
    ["PUT", () => send("plain", request("/graphql", [JSON_TYPE], "PUT", '{"query":"{b}"}')), 405],
    ["OPTIONS", () => send("plain", request("/graphql", [], "OPTIONS")), 200],
    ["GET where there is only POST", () => get("post", urlOf({ query: "{a}" })), 405],
    ["a form", () => post("plain", "query=%7Ba%7D", [FORM]), 415],
    ["text", () => post("plain", '{"query":"{a}"}', ["Content-Type: text/plain"]), 415],
    ["no type", () => post("plain", '{"query":"{a}"}', []), 415],
    ["two types", () => post("plain", '{"query":"{a}"}', [JSON_TYPE, "Content-Type: text/plain"]), 415],
    ["another charset", () => post("plain", '{"query":"{a}"}', [`${JSON_TYPE}; charset=utf-7`]), 415],
    ["the usual charset", () => post("plain", '{"query":"{a}"}', [`${JSON_TYPE}; charset=UTF-8`]), 200],
    ["a content coding", () => post("plain", '{"query":"{a}"}', [JSON_TYPE, "Content-Encoding: gzip"]), 415],
    ["no JSON", () => post("plain", "{"), 400],
    ["a name twice", () => post("plain", '{"query":"{a}","query":"{b}"}'), 400],
    ["a name in two spellings", () => post("plain", '{"query":"{a}","Query":"{b}"}'), 400],
    ["nothing", () => post("plain", "{}"), 400],
    ["no body", () => send("plain", request("/graphql", [JSON_TYPE], "POST")), 400],
    ["a document of its own", () => post("plain", "{ a }", [graphqlType]), 200],
    ["one that is too deep", () => post("always", "{ a { b } }", [graphqlType]), 400],
    [
      "a URL that says more",
      () => send("plain", request("/graphql?query=%7Bb%7D", [JSON_TYPE], "POST", '{"query":"{a}"}')),
      400,
    ],
    [
      "a URL that says the same name",
      () =>
        send(
          "plain",
          request("/graphql?operationName=A", [JSON_TYPE], "POST", '{"query":"query A{a}","operationName":"A"}'),
        ),
      200,
    ],
    [
      "a URL that says another name",
      () =>
        send(
          "plain",
          request("/graphql?operationName=B", [JSON_TYPE], "POST", '{"query":"query A{a}","operationName":"A"}'),
        ),
      400,
    ],
    ["a batch where there are none", () => post("plain", [{ query: "{a}" }, { query: "{a}" }]), 400],
    ["a body that is too long", () => post("post", { query: `{a(b:"${"x".repeat(2000)}")}` }), 413],
    ["GET without a preflight", () => get("rules", urlOf({ query: "query A{a}" })), 403],
    ["GET with one", () => get("rules", urlOf({ query: "query A{a}" }), ["X-Requested-With: me"]), 200],
    ["behind the firewall", () => post("post", { query: "{a}" }), 200],
  ];
  for (const [name, make, status] of CASES) test(name, async () => expect((await make()).status).toBe(status));

  test("a WebSocket only where it may, and with no question beside it", async () => {
    const fields = [
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
      "Sec-WebSocket-Version: 13",
    ];
    const status = async (host: string, query = "", more = fields): Promise<number> =>
      (await get(host, query, more)).status;
    expect(await status("plain")).toBe(403);
    expect(await status("open")).toBe(200); // the server does not agree
    expect(await status("open", urlOf({ query: "mutation{a}" }))).toBe(403);
    expect(await status("open", "", ["Connection: Upgrade", "Upgrade: other"])).toBe(403);
  });

  test("batches are one request", async () => {
    const two = [{ query: "{a}" }, { query: "{b}" }];
    expect((await post("open", two)).body).toBe(JSON.stringify(two));
    const got = await post("open", [{ query: "{a}" }, { query: "{" }]);
    const body = JSON.parse(got.body) as { errors: { extensions: { code: string } }[] }[];
    expect(body.map(({ errors }) => errors[0]?.extensions.code)).toEqual(["BATCH_REFUSED", "GRAPHQL_PARSE_FAILED"]);
    expect(codeOf(await post("open", [two[0], two[0], two[0], two[0]]))).toBe("BATCH_LIMIT");
  });
});

describe("bodies with files", () => {
  const TYPE = "Content-Type: multipart/form-data; boundary=xx";
  const ASKED = "Apollo-Require-Preflight: 1";
  const part = (name: string, value: string): string =>
    `--xx\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const FILE =
    '--xx\r\nContent-Disposition: form-data; name="0"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nfile\r\n';
  const QUERY = '{"query":"mutation($f:Upload){up(f:$f)}","variables":{"f":null}}';
  const GOOD = `${part("operations", QUERY)}${part("map", '{"0":["variables.f"]}')}${FILE}--xx--\r\n`;
  const IN_CHARSET = (charset: string): string =>
    GOOD.replace('name="operations"', `name="operations"\r\nContent-Type: application/json; charset=${charset}`);
  const CASES: readonly (readonly [name: string, host: string, body: string, fields: string[], status: number])[] = [
    ["pass", "open", GOOD, [TYPE, ASKED], 200],
    ["need a field that other pages cannot send", "open", GOOD, [TYPE], 403],
    ["are not taken elsewhere", "plain", GOOD, [TYPE, ASKED], 415],
    ["need operations", "open", `${part("map", "{}")}--xx--\r\n`, [TYPE, ASKED], 400],
    ["have them once", "open", GOOD.replace("--xx--", `${part("operations", "{}")}--xx--`), [TYPE, ASKED], 400],
    ["have them in no file", "open", `${FILE.replace('"0"', '"operations"')}--xx--\r\n`, [TYPE, ASKED], 400],
    ["end", "open", GOOD.replace("--xx--\r\n", ""), [TYPE, ASKED], 400],
    ["end with their end", "open", `${GOOD}more`, [TYPE, ASKED], 400],
    ["have heads like all others", "open", GOOD.replace('name="map"', "name*=utf-8''map"), [TYPE, ASKED], 400],
    ["have text in UTF-8", "open", IN_CHARSET("utf-8"), [TYPE, ASKED], 200],
    ["have it in no other charset", "open", IN_CHARSET("gbk"), [TYPE, ASKED], 400],
    ["name none for all", "open", GOOD.replace("--xx--", `${part("_charset_", "gbk")}--xx--`), [TYPE, ASKED], 400],
    ["have a boundary", "open", GOOD, ["Content-Type: multipart/form-data", ASKED], 400],
    ["have operations that may run", "open", GOOD.replace("mutation(", "mutation mutation"), [TYPE, ASKED], 200],
  ];
  for (const [name, host, body, fields, status] of CASES)
    test(name, async () => {
      const got = await post(host, body, fields);
      expect(got.status).toBe(status);
      if (name === "pass") expect(got.body).toBe(GOOD);
      if (name.endsWith("may run")) expect(codeOf(got)).toBe("GRAPHQL_PARSE_FAILED");
    });
});

test("where refusals are only noted, documents are put in all the same", async () => {
  const got = await post("log", { id: "intro" });
  expect([got.status, JSON.parse(got.body)]).toEqual([200, { query: "{ __schema { types { name } } }" }]);
});

describe("how refusals are told", () => {
  const DEEP = { query: "{ a { b } }" };
  const CASES: readonly (readonly [host: string, accept: string, status: number, type: string])[] = [
    ["log", "application/json", 200, "application/json"],
    ["always", "application/json", 400, "application/json; charset=utf-8"],
    ["always", NEW_JSON, 400, `${NEW_JSON}; charset=utf-8`],
    ["problem", "application/json", 400, "application/problem+json"],
    ["problem", "text/html", 400, "text/html; charset=utf-8"],
  ];
  for (const [host, accept, status, type] of CASES)
    test(`${host}: ${accept}`, async () => {
      const got = await post(host, DEEP, [JSON_TYPE, `Accept: ${accept}`]);
      expect([got.status, got.field("content-type")]).toEqual([status, type]);
    });

  test("with the status to those who understand it", async () => {
    const query = "{ a { b { c { d } } } }";
    const told = async (accept: readonly string[]): Promise<unknown> => {
      const got = await post("plain", { query }, [JSON_TYPE, ...accept]);
      return [got.status, got.field("content-type")];
    };
    expect(await told([])).toEqual([200, "application/json; charset=utf-8"]);
    expect(await told([`Accept: ${NEW_JSON}, application/json;q=0.9`])).toEqual([400, `${NEW_JSON}; charset=utf-8`]);
    const denied = await post("plain", { query: "{__schema{types{name}}}" }, [JSON_TYPE, `Accept: ${NEW_JSON}`]);
    expect([denied.status, denied.field("cache-control")]).toEqual([403, "private, no-store"]);
  });

  test("as problem details with a list", async () => {
    const got = await post("problem", DEEP);
    expect(JSON.parse(got.body)).toMatchObject({
      status: 400,
      detail: "The GraphQL operation asks for too much.",
      errors: [{ extensions: { code: "DEPTH_LIMIT" } }],
    });
  });
});

test("who asks with another method is told which ones there are", async () => {
  const allowed = async (wire: string, host = "plain"): Promise<string | null> =>
    (await send(host, wire)).field("allow");
  expect(await allowed(request(`/graphql?${urlOf({ query: "mutation{a}" })}`))).toBe("POST");
  expect(await allowed(request("/graphql", [], "DELETE"))).toBe("GET, POST");
  expect(await allowed(request("/graphql?query=%7Ba%7D"), "post")).toBe("POST");
});

describe("documents that are named", () => {
  const QUERY = "query Named($n: Int) { a(first: $n) }";

  test("are asked for, sent once, and then known", async () => {
    const byHash = { extensions: persisted(QUERY), variables: { n: 1 } };
    const first = await post("apq", byHash);
    expect([first.status, codeOf(first)]).toEqual([200, "PERSISTED_QUERY_NOT_FOUND"]);
    expect((JSON.parse(first.body) as { errors: { message: string }[] }).errors[0]?.message).toBe(
      "PersistedQueryNotFound",
    );
    const sent = await post("apq", { query: QUERY, ...byHash });
    expect(JSON.parse(sent.body)).toEqual({ query: QUERY, variables: { n: 1 } });
    const found = await post(
      "apq",
      `{"variables":{"n":12345678901234567890},"extensions":${JSON.stringify(persisted(QUERY))}}`,
    );
    expect(found.body).toBe(`{"variables":{"n":12345678901234567890},"query":${JSON.stringify(QUERY)}}`);
    expect(backend.requests.at(-1)?.field("content-length")).toBe(String(found.body.length));
  });

  test("by chunks, by GET and in batches as well", async () => {
    await post("apq", { query: QUERY, extensions: persisted(QUERY) });
    const wire = request("/graphql", [JSON_TYPE, "Transfer-Encoding: chunked"], "POST");
    const hash = JSON.stringify({ extensions: persisted(QUERY) });
    const chunked = await send("apq", `${wire}${chunks(hash.slice(0, 20), hash.slice(20))}0\r\n\r\n`);
    expect(JSON.parse(chunked.body)).toEqual({ query: QUERY });
    const extensions = JSON.stringify({ ...persisted(QUERY), trace: 1 });
    const asked = await get("apq", `a=b&i%64=&${urlOf({ extensions, variables: '{"n":1}' })}`);
    const target = new URL(asked.body, "http://server");
    expect(Object.fromEntries(target.searchParams)).toEqual({
      query: QUERY,
      a: "b",
      variables: '{"n":1}',
      extensions: '{"trace":1}',
    });
    const batch = await post("apq", [{ query: "{x}" }, { extensions: persisted(QUERY) }]);
    expect(JSON.parse(batch.body)).toEqual([{ query: "{x}" }, { query: QUERY }]);
  });

  test("only where the hash is theirs, and they may run", async () => {
    const wrong = await post("apq", { query: "{a}", extensions: persisted("{b}") });
    expect([wrong.status, codeOf(wrong)]).toEqual([400, "BAD_REQUEST"]);
    const denied = "{ __schema { types { name } } }";
    expect(codeOf(await post("apq", { query: denied, extensions: persisted(denied) }))).toBe("INTROSPECTION_DISABLED");
    expect(codeOf(await post("apq", { extensions: persisted(denied) }))).toBe("PERSISTED_QUERY_NOT_FOUND");
  });

  test("nowhere else, as nobody knows them", async () => {
    expect(codeOf(await post("plain", { extensions: persisted(QUERY) }))).toBe("PERSISTED_QUERY_NOT_SUPPORTED");
    expect(codeOf(await post("plain", { documentId: "x" }))).toBe("PERSISTED_QUERY_NOT_SUPPORTED");
  });

  test("by the ids of a list", async () => {
    for (const message of [
      { id: "Known" },
      { documentId: "Known" },
      { documentId: `sha256:${sha256(KNOWN)}` },
      { extensions: persisted(KNOWN) },
    ])
      expect(JSON.parse((await post("list", { ...message, variables: { n: 1 } })).body)).toEqual({
        query: KNOWN,
        variables: { n: 1 },
      });
    expect(JSON.parse((await post("ids", { id: "r1" })).body)).toEqual({ query: "{ relay }" });
    expect(JSON.parse((await post("ids", { id: "m1" })).body)).toEqual({ query: "{ m }" });
    expect(codeOf(await post("ids", { id: "none" }))).toBe("PERSISTED_QUERY_NOT_FOUND");
    expect(codeOf(await post("list", { id: "r1", query: KNOWN }))).toBe("BAD_REQUEST");
  });

  test("where the target is rewritten too", async () => {
    const got = await get("rewritten", urlOf({ id: "r1" }));
    expect(got.body).toBe("/other?query=%7B%20relay%20%7D");
  });
});
