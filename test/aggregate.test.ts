// `aggregate` as clients and servers meet it.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ConfigInput } from "../src/index.ts";
import { answer, chunks, type Message, request } from "./support/message.ts";
import { type Echoed, NodeH2Server } from "./support/node-h2-server.ts";
import { exchange, Peer } from "./support/peer.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { until } from "./support/wait.ts";

type Aggregate = NonNullable<NonNullable<ConfigInput["routes"]>[number]["aggregate"]>;

const JSON_TYPE = "Content-Type: application/json";
const json = (body: string): string => answer(200, Buffer.from(body).toString("latin1"), [JSON_TYPE]);

/** What the backend says, by target. */
const ANSWERS: Readonly<Record<string, string | null>> = {
  "/users/7": json('{ "id": 7, "name": "Ünal \\u00e4", "team": "blue/green", "huge": 12345678901234567890.10 }'),
  "/users/8": json('{"id":8,"manager":null}'),
  "/users/0": answer(404, '{"title":"no such user"}', ["Content-Type: application/problem+json"]),
  "/orders?user=7": json('{"data":{"items":[{"sku":"a","n":1},{"sku":"b","n":2}]},"total":2}'),
  "/teams/blue%2Fgreen": json('["ann","bob"]'),
  "/stock?ids=a%2Cb": json('{"a":1,"b":0}'),
  "/empty": answer(204),
  "/broken": json('{"a":'),
  "/text": answer(200, "hello", ["Content-Type: text/plain"]),
  "/gzip": answer(200, "x", [JSON_TYPE, "Content-Encoding: gzip"]),
  "/long": json(`"${"x".repeat(70_000)}"`),
  "/longer": `HTTP/1.1 200 OK\r\n${JSON_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n${chunks("x".repeat(70_000))}`,
  "/failing": answer(500, "oh"),
  "/silent": null,
};

const user: Aggregate["calls"][string] = { to: "app", path: "/users/{id}" };
const silent = { to: "app", path: "/silent" };
const TIMEOUT = "400ms";

const ROUTES: Readonly<Record<string, Aggregate>> = {
  "/object/:id": {
    calls: { user: { ...user, pass: [404] }, none: { to: "app", path: "/empty", passHeaders: ["Cookie"] } },
  },
  "/list/:id": { calls: { user, team: { to: "app", path: "/teams/{call.user.team}" } }, merge: "list", status: 203 },
  "/flat/:id": {
    calls: {
      user,
      orders: { to: "app", path: "/orders?user={call.user.id}", select: "data" },
      one: { to: "app", path: "/long", select: "none", default: 1 },
    },
    merge: "flat",
    missing: "incomplete",
    maxBody: "64KB",
  },
  "/shop/:id": {
    calls: {
      stock: { to: "app", path: "/stock?ids={call.orders.items[*].sku}" },
      orders: { to: "app", path: "/orders?user={id}", select: "data" },
      extra: { to: "app", path: "/failing", when: "{query.extra}", default: { none: true } },
    },
    merge: {
      first: "{call.orders.items[0]}",
      skus: "{call.orders.items[*].sku}",
      stock: "{call.stock}",
      text: 'has "{call.orders.items[1].n}" ä',
      extra: ["{call.extra.none}", "{call.orders.nothing}"],
      n: 1.5,
    },
    headers: { "x-first": "{call.orders.items[0].sku}", "x-none": "{call.extra.x}" },
  },
  "/post": {
    calls: {
      sent: {
        to: "app",
        path: "/echo",
        method: "POST",
        body: { who: "{body.user}", all: "{body}", text: "to {body.user.id}" },
        headers: { "x-id": "{body.user.id}", accept: "text/x, application/json" },
      },
      raw: { to: "app", path: "/echo", method: "PUT", body: "request" },
    },
    maxBody: "64KB",
  },
  "/full": {
    calls: {
      user: { to: "app", path: "/users/7", select: "team" },
      sent: {
        to: "app",
        path: "/echo",
        method: "POST",
        body: { all: Array.from({ length: 200 }, () => "{call.user}") },
        default: "none",
      },
    },
    merge: "list",
    maxTotal: "1KB",
  },
  "/manager": {
    calls: {
      user: { to: "app", path: "/users/8" },
      manager: { to: "app", path: "/users/{call.user.manager}", default: null },
      deep: { to: "app", path: "/x/{query.up}/y", default: null },
    },
    missing: "gone",
  },
  "/slow": {
    calls: {
      user: { to: "app", path: "/users/7" },
      late: { ...silent, timeout: "200ms", default: null },
      never: { ...silent, default: [] },
      behind: { to: "app", path: "/x/{call.never[0]}", default: 0 },
    },
    missing: "gaps",
    timeout: TIMEOUT,
  },
  "/hanging": { calls: { one: silent, two: silent } },
  "/too-late": { calls: { one: silent }, timeout: TIMEOUT },
  "/h2": {
    calls: {
      sent: { to: "h2", path: "/echo?{query}", method: "POST", body: { a: 1 }, headers: { "X-Up": "{header.x-up}" } },
      got: { to: "h2", path: "/echo" },
    },
  },
  "/down": { calls: { one: silent, two: { to: "http://127.0.0.1:1", path: "/" } } },
};
for (const what of ["broken", "text", "gzip", "long", "longer", "failing"])
  Object.assign(ROUTES, { [`/need/${what}`]: { calls: { one: { to: "app", path: `/${what}` } }, maxBody: "64KB" } });

let backend: RawBackend;
let h2: NodeH2Server;
let proxy: TestProxy;

beforeAll(async () => {
  backend = await RawBackend.answering((got) =>
    got.target === "/echo"
      ? json(got.body === "" ? "null" : got.body)
      : ANSWERS[got.target] === undefined
        ? answer(404)
        : ANSWERS[got.target]!,
  );
  h2 = await NodeH2Server.start();
  proxy = await startProxy({
    trustedProxies: ["127.0.0.2"],
    upstreams: {
      h2: { servers: [`h2c://127.0.0.1:${h2.port}`] },
      app: { servers: [backend.url], retry: false, outlier: false },
    },
    defaults: { retry: false },
    routes: Object.entries(ROUTES).map(([path, aggregate]) => ({ match: { path }, aggregate })),
  });
}, 30_000);

afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await h2[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
});

const ask = (target: string, fields: readonly string[] = [], method = "GET", body = ""): Promise<Message> =>
  exchange(proxy.port, request(target, fields, method, body));
const text = ({ body }: Message): string => Buffer.from(body, "latin1").toString();

describe("answers", () => {
  test("by the names of the calls, byte for byte", async () => {
    const got = await ask("/object/7");
    expect(got.status).toBe(200);
    expect(got.field("content-type")).toBe("application/json");
    const theirs = ANSWERS["/users/7"]!.split("\r\n\r\n")[1];
    expect(got.body).toBe(`{"user":${theirs},"none":null}`);
    expect(got.field("x-missing")).toBeNull();
  });
  test("a refusal that is passed on", async () => {
    const got = await ask("/object/0");
    expect([got.status, got.field("content-type"), got.body]).toEqual([
      404,
      "application/problem+json",
      '{"title":"no such user"}',
    ]);
  });
  test("a list, with a call behind another", async () => {
    const got = await ask("/list/7");
    expect(got.status).toBe(203);
    expect(JSON.parse(text(got))).toMatchObject([{ id: 7 }, ["ann", "bob"]]);
  });
  test("flat, with what is missing", async () => {
    const got = await ask("/flat/7");
    expect(JSON.parse(text(got))).toMatchObject({
      id: 7,
      items: [{}, {}],
      one: 1,
      incomplete: [{ call: "one", reason: "content" }],
    });
    expect([got.field("x-missing"), got.field("cache-control")]).toEqual(["one", "no-store"]);
  });
  test("a template", async () => {
    const got = await ask("/shop/7");
    expect(JSON.parse(text(got))).toEqual({
      first: { sku: "a", n: 1 },
      skus: ["a", "b"],
      stock: { a: 1, b: 0 },
      text: 'has "2" ä',
      extra: [true, null],
      n: 1.5,
    });
    expect([got.field("x-first"), got.field("x-none"), got.field("x-missing")]).toEqual(["a", null, null]);
    expect((await ask("/shop/7?extra=1")).field("x-missing")).toBe("extra");
  });
  test("HEAD", async () => {
    const got = await ask("/object/7", [], "HEAD");
    expect([got.status, got.body]).toEqual([200, ""]);
  });
});

describe("requests", () => {
  test("of the client's body", async () => {
    const body = '{"user":{"id":3,"big":9007199254740993}}';
    const got = await ask("/post", [JSON_TYPE], "POST", body);
    expect(got.body).toBe(`{"sent":{"who":{"id":3,"big":9007199254740993},"all":${body},"text":"to 3"},"raw":${body}}`);
    const sent = backend.requests.findLast((each) => each.target === "/echo" && each.method === "POST")!;
    expect([sent.field("x-id"), sent.field("accept"), sent.field("content-type")]).toEqual([
      "3",
      "text/x, application/json",
      "application/json",
    ]);
  });
  const BODIES = [
    ["no JSON", "{", 400],
    ["not there", "", 502],
    ["too long", `"${"x".repeat(70_000)}"`, 413],
  ] as const;
  for (const [name, body, status] of BODIES)
    test(`a body that is ${name}`, async () =>
      expect((await ask("/post", [JSON_TYPE], "POST", body)).status).toBe(status));

  test("fields", async () => {
    await ask("/object/7", [
      "Authorization: Bearer x",
      "Cookie: a=b",
      "Accept-Encoding: gzip",
      "X-Forwarded-For: 1.2.3.4",
    ]);
    const sent = backend.requests.findLast(({ target }) => target === "/users/7")!;
    expect(
      ["authorization", "cookie", "accept", "accept-encoding", "host", "x-forwarded-for"].map((name) =>
        sent.field(name),
      ),
    ).toEqual(["Bearer x", null, "application/json", "identity", "app.example", "127.0.0.1"]);
    expect(sent.field("via")).toStartWith("1.1 sluice");
    const other = backend.requests.findLast(({ target }) => target === "/empty")!;
    expect([other.field("cookie"), other.field("authorization")]).toEqual(["a=b", null]);
  });
});

describe("requests over HTTP/2, and for trusted proxies", () => {
  test("have what others have", async () => {
    const got = JSON.parse((await ask("/h2?a=b", ["X-Up: yes"])).body) as Record<"sent" | "got", Echoed>;
    expect(got.sent).toMatchObject({ version: 2, bytes: 7 });
    expect(got.sent.headers).toMatchObject({
      ":path": "/echo?a=b",
      ":method": "POST",
      "x-up": "yes",
      "content-length": "7",
    });
    expect(got.got.headers).toMatchObject({ ":authority": "app.example", accept: "application/json" });
    expect(got.got.headers["x-request-id"]).toBe(got.sent.headers["x-request-id"]!);
  });
  test("say what the proxy before us has said", async () => {
    const said = ["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Request-Id: one", "Via: 1.1 front"];
    await using client = await Peer.connect(proxy.port, "127.0.0.2");
    client.send(request("/object/7", said));
    expect((await client.response("GET")).status).toBe(200);
    const sent = backend.requests.findLast(({ target }) => target === "/users/7")!;
    expect(["x-forwarded-for", "x-forwarded-proto", "x-request-id"].map((name) => sent.field(name))).toEqual([
      "192.0.2.7, 127.0.0.2",
      "https",
      "one",
    ]);
    expect(sent.field("via")).toMatch(/^1\.1 front, 1\.1 sluice/);
  });
});

describe("what fails", () => {
  const NEEDED = ["broken", "text", "gzip", "long", "longer", "failing"];
  for (const what of NEEDED)
    test(`a call that is needed: ${what}`, async () => {
      const got = await ask(`/need/${what}`);
      expect([got.status, got.field("content-type")]).toEqual([502, "application/problem+json"]);
      expect(JSON.parse(got.body).detail).toBe("A part of the answer could not be had.");
    });
  test("values that are not there, and ways that lead elsewhere", async () => {
    const got = await ask("/manager?up=..");
    expect(JSON.parse(got.body)).toEqual({
      user: { id: 8, manager: null },
      manager: null,
      deep: null,
      gone: [
        { call: "deep", reason: "value" },
        { call: "manager", reason: "value" },
      ],
    });
    expect((await ask("/manager?up=a%2f..%0d%0ax")).status).toBe(200);
    expect(backend.requests.at(-1)!.target).toBe("/x/a%2F..x/y");
  });

  test("content that comes out too long is not left out", async () => {
    const before = backend.requests.length;
    expect(JSON.parse((await ask("/full")).body)).toEqual(["blue/green", "none"]);
    expect(backend.requests.slice(before).map(({ target }) => target)).toEqual(["/users/7"]);
  });
  test("time", async () => {
    const got = await ask("/slow");
    expect(JSON.parse(text(got))).toMatchObject({ user: { id: 7 }, late: null, never: [], behind: 0 });
    expect(JSON.parse(text(got)).gaps).toHaveLength(3);
    expect(got.field("x-missing")).toBe("late, never, behind");
    expect((await ask("/too-late")).status).toBe(504);
  });
  test("a server that is not there", async () => {
    const got = await ask("/down");
    expect([got.status, JSON.parse(got.body).detail]).toEqual([502, "The server could not be reached."]);
  });
  test("a client that leaves ends its calls", async () => {
    const before = backend.peers.length;
    const client = await Peer.connect(proxy.port);
    client.send(request("/hanging"));
    await until(
      () =>
        backend.requests.filter(({ target }) => target === "/silent").length > 1 &&
        backend.peers.filter(({ ended }) => !ended).length > 1,
      "calls",
    );
    const open = (): number => backend.peers.slice(before).filter(({ ended }) => !ended).length;
    client.close();
    await until(() => open() === 0, "calls to end");
  });
});
