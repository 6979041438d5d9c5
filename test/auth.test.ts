// Who asks, as clients and servers meet it: each kind, lists of them, rules, and what is taken out of requests.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { answer, type Message, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { refusingPort } from "./support/ports.ts";
import { Nginx } from "./support/programs.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, sluice } from "./support/sluice.ts";
import { connectTls, Pki } from "./support/tls.ts";
import { until } from "./support/wait.ts";

const quick = (password: string): Promise<string> => Bun.password.hash(password, { algorithm: "bcrypt", cost: 4 });
const hashed = (key: string): string => `sha256:${new Bun.CryptoHasher("sha256").update(key).digest("hex")}`;
const basic = (user: string, password: string): string =>
  `Authorization: Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

let backend: RawBackend;
let verifier: RawBackend;
let proxy: TestProxy;
let address = 0;

/** Asks in the name of another client each time, so that nobody's wrong passwords count for others. */
async function ask(target: string, fields: readonly string[] = [], method = "GET"): Promise<Message> {
  address += 1;
  const from = `X-Forwarded-For: 198.18.${address >> 8}.${address & 255}`;
  return exchange(proxy.port, request(target, [from, ...fields], method));
}
/** What the server got last. */
const seen = (name: string): string | null => backend.requests.at(-1)!.field(name);

beforeAll(async () => {
  backend = await RawBackend.answering((got) =>
    got.target.startsWith("/stored")
      ? answer(200, `for ${got.field("x-user")}`, ["Cache-Control: max-age=60"])
      : answer(200, "ok"),
  );
  verifier = await RawBackend.answering((got) => {
    const who = got.field("cookie") ?? "";
    if (who === "who=ann")
      return answer(200, "", ["X-User: ann", "X-Role: admin", "Set-Cookie: seen=1", "Remote-Groups: staff, ops"]);
    if (who === "who=slow") return null;
    if (who === "who=broken") return answer(500, "secrets of the inside");
    if (who === "who=large") return answer(403, "x".repeat(70_000));
    if (who === "who=none")
      return answer(403, "not you", ["Content-Type: text/plain", "X-Reason: none", "X-Inside: 1"]);
    return answer(302, "", ["Location: https://login.example/?back=x", "Set-Cookie: flow=1"]);
  });
  const ann = await quick("sesame");
  const umlaut = await quick("pässword:with:colons");
  const users = { ann, jörg: umlaut };
  const keys = [
    { name: "acme", key: hashed("abc"), plan: "gold", scopes: ["read"], claims: { tenant: "42" }, groups: ["g"] },
    { name: "acme", key: hashed("abc2") },
    { name: "old", key: hashed("expired"), expires: "2020-01-31" },
  ];
  const to = backend.url;
  const told = { requestHeaders: { set: { "x-user": "{user}", "x-tenant": "{claim.tenant}" } } };
  const forward = (more: object) => ({
    forward: { url: `${verifier.url}/verify`, copyHeaders: ["X-User", "X-Role"], ...more },
  });
  proxy = await startProxy({
    trustedProxies: ["127.0.0.1"],
    routes: [
      { match: { path: "/basic/*" }, auth: { basic: { users, realm: 'a "realm"' } }, ...told, to },
      { match: { path: "/keep/*" }, auth: { basic: { users, keep: true } }, to },
      {
        match: { path: "/key/*" },
        auth: { apiKey: { header: "X-Key", query: "key", cookie: "key", keys } },
        ...told,
        to,
      },
      {
        match: { path: "/any/*" },
        auth: [{ apiKey: { keys } }, { basic: { users }, allow: { users: ["ann"] } }],
        cors: { origins: ["https://page.example"], methods: ["GET"], headers: ["x-api-key"] },
        ...told,
        to,
      },
      { match: { path: "/gold/*" }, auth: { apiKey: { keys }, require: { groups: ["g"] } }, to },
      { match: { path: "/nobody/*" }, auth: { apiKey: { keys }, allow: { users: [] } }, to },
      { match: { path: "/stored/*" }, auth: { apiKey: { keys } }, cache: true, ...told, to },
      {
        match: { path: "/limited/*" },
        auth: { apiKey: { keys } },
        rateLimit: [
          { name: "all", rate: "1000/s" },
          { name: "each", rate: "1/h", burst: 2, key: "apiKey" },
        ],
        to,
      },
      { match: { path: "/forward/*" }, auth: forward({ timeout: "300ms", answerHeaders: ["X-Reason"] }), to },
      {
        match: { path: "/groups/*" },
        auth: { ...forward({ groupsHeader: "Remote-Groups", cache: "1m" }), require: { groups: ["ops"] } },
        respond: { body: "{user}" },
      },
      { to },
    ],
  });
});
afterAll(async () => {
  await Promise.all([proxy, backend, verifier].map((each) => each[Symbol.asyncDispose]()));
});

describe("answers", () => {
  const CASES: readonly (readonly [name: string, target: string, fields: readonly string[], status: number])[] = [
    ["no password", "/basic/", [], 401],
    ["a password", "/basic/", [basic("ann", "sesame")], 200],
    ["a password with colons and umlauts", "/basic/", [basic("jörg", "pässword:with:colons")], 200],
    ["a wrong password", "/basic/", [basic("ann", "sesam")], 401],
    ["no password at all", "/basic/", [basic("ann", "")], 401],
    ["somebody unknown", "/basic/", [basic("bob", "sesame")], 401],
    ["the scheme in another case", "/basic/", [basic("ann", "sesame").replace("Basic", "BASIC")], 200],
    ["two passwords", "/basic/", [basic("ann", "sesame"), basic("ann", "sesame")], 401],
    ["no base64", "/basic/", ["Authorization: Basic ann:sesame"], 401],
    ["no colon", "/basic/", [`Authorization: Basic ${btoa("ann")}`], 401],
    ["no UTF-8", "/basic/", [`Authorization: Basic ${btoa("ann:\xff")}`], 401],
    ["another scheme", "/basic/", ["Authorization: Bearer abc"], 401],
    ["a key", "/key/", ["X-Key: abc"], 200],
    ["the same owner's other key", "/key/", ["X-Key: abc2"], 200],
    ["a wrong key", "/key/", ["X-Key: abd"], 401],
    ["an empty key", "/key/", ["X-Key:"], 401],
    ["its hash in place of a key", "/key/", [`X-Key: ${hashed("abc")}`], 401],
    ["an expired key", "/key/", ["X-Key: expired"], 401],
    ["a key in the query", "/key/?a=1&key=abc&b=2", [], 200],
    ["a key in a cookie", "/key/", ["Cookie: a=1; key=abc; b=2"], 200],
    ["two keys", "/key/?key=abc", ["X-Key: abc"], 401],
    ["two keys in the query", "/key/?key=abc&key=abc", [], 401],
    ["one of a list", "/any/", ["X-Api-Key: abc"], 200],
    ["another of a list", "/any/", [basic("ann", "sesame")], 200],
    ["a wrong key is not another way in", "/any/", ["X-Api-Key: abd", basic("ann", "sesame")], 401],
    ["the rules of an entry are its own", "/any/", [basic("jörg", "pässword:with:colons")], 403],
    ["a group that is required", "/gold/", ["X-Api-Key: abc"], 200],
    ["a group that is not there", "/gold/", ["X-Api-Key: abc2"], 403],
    ["an empty list has nobody in it", "/nobody/", ["X-Api-Key: abc"], 403],
    ["no auth", "/open", [], 200],
  ];
  for (const [name, target, fields, status] of CASES)
    test(name, async () => expect((await ask(target, fields)).status).toBe(status));

  test("401 names every way there is, 403 is another page", async () => {
    const unknown = await ask("/any/");
    expect(unknown.all("www-authenticate")).toEqual([
      'ApiKey header="x-api-key"',
      'Basic realm="Restricted", charset="UTF-8"',
    ]);
    expect((await ask("/basic/")).field("www-authenticate")).toBe('Basic realm="a \\"realm\\"", charset="UTF-8"');
    expect(JSON.parse(unknown.body)).toMatchObject({ status: 401 });
    const pages = [
      await ask("/nobody/", ["Accept: text/html"]),
      await ask("/nobody/", ["Accept: text/html", "X-Api-Key: abc"]),
    ];
    expect(pages.map(({ status }) => status)).toEqual([401, 403]);
    expect(pages[0]!.body).toContain("Sign in first");
    expect(pages[1]!.body).toContain("not for you");
    expect(pages[1]!.field("www-authenticate")).toBeNull();
  });

  test("pages of other origins can read them, and ask before", async () => {
    const origin = "Origin: https://page.example";
    const refused = await ask("/any/", [origin]);
    expect([refused.status, refused.field("access-control-allow-origin")]).toEqual([401, "https://page.example"]);
    const before = backend.requests.length;
    const preflight = await ask("/any/", [origin, "Access-Control-Request-Method: GET"], "OPTIONS");
    expect([preflight.status, preflight.field("access-control-allow-methods")]).toEqual([204, "GET"]);
    const foreign = await ask(
      "/any/",
      ["Origin: https://evil.example", "Access-Control-Request-Method: GET"],
      "OPTIONS",
    );
    expect(foreign.status).toBe(403);
    expect((await ask("/any/", [], "OPTIONS")).status).toBe(401);
    expect((await ask("/basic/", [origin, "Access-Control-Request-Method: GET"], "OPTIONS")).status).toBe(401);
    expect(backend.requests.length).toBe(before);
  });
});

describe("what servers see", () => {
  test("who it is, and no credentials", async () => {
    await ask("/basic/", [basic("jörg", "pässword:with:colons")]);
    expect(Buffer.from(seen("x-user")!, "latin1").toString()).toBe("jörg");
    expect(seen("authorization")).toBeNull();
    await ask("/keep/", [basic("ann", "sesame")]);
    expect(seen("authorization")).toStartWith("Basic ");
    await ask("/key/?a=1&key=abc&b=2", ["Cookie: a=1"]);
    expect([backend.requests.at(-1)!.target, seen("x-user"), seen("x-tenant")]).toEqual([
      "/key/?a=1&b=2",
      "acme",
      "42",
    ]);
    await ask("/key/?%6bey=abc");
    expect(backend.requests.at(-1)!.target).toBe("/key/");
    await ask("/key/", ["Cookie: a=1; key=abc; b=2"]);
    expect(seen("cookie")).toBe("a=1; b=2");
    await ask("/key/", ["X-Key: abc"]);
    expect(seen("x-key")).toBeNull();
  });

  test("no field of identity that clients send, on no route", async () => {
    const spellings = [
      "X-User",
      "x-uSER",
      "X.User",
      "X-Tenant",
      "X-Role",
      "X-Forwarded-User",
      "X-AUTH-Request-Anything",
      "Remote-User",
    ];
    for (const target of ["/open", "/key/"]) {
      await ask(target, ["X-Key: abc", "X-Fine: 1", ...spellings.map((name) => `${name}: evil`)]);
      const got = backend.requests.at(-1)!;
      expect(got.field("x-fine")).toBe("1");
      expect(got.fields.filter(([, value]) => value === "evil")).toEqual([]);
    }
    const head = "POST /open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-User, X-Fine\r\n\r\n";
    await exchange(proxy.port, `${head}1\r\na\r\n0\r\nX-User: evil\r\nx-user: evil\r\nX-Fine: 1\r\n\r\n`);
    expect(backend.requests.at(-1)!.trailers).toEqual([["X-Fine", "1"]]);
  });

  test("an answer to somebody known is not stored for others", async () => {
    expect((await ask("/stored/", ["X-Api-Key: abc"])).body).toBe("for acme");
    const before = backend.requests.length;
    await ask("/stored/", ["X-Api-Key: abc"]);
    expect(backend.requests.length).toBe(before + 1);
  });
});

describe("nothing that is written otherwise passes for an open route", () => {
  const TARGETS = [
    ...["/key/?/open/", "/key/?x=/open/x", "/key/#/open/", "/key%23/open/", "/key/open/"],
    ...["/open/../key/", "/open/%2e%2e/key/", "/open/..%2fkey/", "/open%2f../key/", "//open/../key/", "/open/.."],
    ...[
      "/open/..;/key/",
      "/open/..;x/key/",
      "/open/.;/..;/key/",
      "/open\\..\\key/",
      "/open/%5c../key/",
      "/open/.%00./key/",
    ],
    ...["http://app.example/open/../key/", "/OPEN/"],
  ];
  let closed: TestProxy;
  beforeAll(async () => {
    closed = await startProxy({
      routes: [
        { match: { path: "/open/*" }, to: backend.url },
        { auth: { apiKey: { keys: [{ name: "acme", key: hashed("abc") }] } }, to: backend.url },
      ],
    });
  });
  afterAll(() => closed[Symbol.asyncDispose]());
  for (const target of TARGETS)
    test(target, async () => {
      const before = backend.requests.length;
      const got = await exchange(closed.port, request(target, ["User-Agent: kube-probe/1.30"]));
      expect([400, 401]).toContain(got.status);
      expect(backend.requests.length).toBe(before);
    });
});

test("limits by the owner of a key are counted behind `auth`, those by address before", async () => {
  const of = async (key: string): Promise<Message> => ask("/limited/", [`X-Api-Key: ${key}`]);
  const first = await of("abc");
  expect(first.field("ratelimit-policy")).toMatch(/^"all";q=.*, "each";q=/);
  expect(first.field("ratelimit")).toMatch(/^"all";r=\d+.*, "each";r=1/);
  expect([(await of("abc2")).status, (await of("abc")).status]).toEqual([200, 429]);
  expect((await ask("/limited/")).status).toBe(401);
});

describe("another server decides", () => {
  test("2xx goes on with its fields and without the client's", async () => {
    const got = await ask("/forward/a?b", [
      "Cookie: who=ann",
      "X-Role: evil",
      "X-Forwarded-Uri: /evil",
      "X-Original-URL: /evil",
    ]);
    expect([got.status, got.all("set-cookie")]).toEqual([200, ["seen=1"]]);
    expect([seen("x-user"), seen("x-role")]).toEqual(["ann", "admin"]);
    const asked = verifier.requests.at(-1)!;
    expect(asked.first).toBe("GET /verify HTTP/1.1");
    expect(asked.field("x-forwarded-uri")).toBe("/forward/a?b");
    expect(asked.field("x-forwarded-method")).toBe("GET");
    expect(asked.field("x-forwarded-host")).toBe("app.example");
    expect(asked.field("x-original-url")).toBe("http://app.example/forward/a?b");
    expect(asked.field("content-length")).toBeNull();
    expect(asked.field("x-role")).toBeNull();
  });

  const ANSWERS: readonly (readonly [cookie: string, status: number, body: string | RegExp])[] = [
    ["who=none", 403, "not you"],
    ["who=broken", 503, /cannot be found out/],
    ["who=slow", 503, /cannot be found out/],
    ["who=large", 503, /cannot be found out/],
    ["who=nobody", 302, ""],
  ];
  for (const [cookie, status, body] of ANSWERS)
    test(cookie, async () => {
      const before = backend.requests.length;
      const got = await ask("/forward/", [`Cookie: ${cookie}`]);
      expect(got.status).toBe(status);
      expect(got.body).toMatch(body);
      expect(got.field("x-inside")).toBeNull();
      if (status === 403) expect(got.field("x-reason")).toBe("none");
      if (status === 302)
        expect([got.field("location"), got.field("set-cookie")]).toEqual(["https://login.example/?back=x", "flow=1"]);
      expect(backend.requests.length).toBe(before);
    });

  test("a permission is remembered for the same request of the same client (PR#662, traefik#6777)", async () => {
    const from = async (ip: string, target: string, cookie: string): Promise<string> =>
      (await exchange(proxy.port, request(target, [`X-Forwarded-For: ${ip}`, `Cookie: ${cookie}`]))).body;
    const asked = (): number => verifier.requests.length;
    const before = asked();
    expect(await from("192.0.2.1", "/groups/", "who=ann")).toBe("ann");
    expect(await from("192.0.2.1", "/groups/", "who=ann")).toBe("ann");
    expect(asked()).toBe(before + 1);
    await from("192.0.2.1", "/groups/x", "who=ann");
    await from("192.0.2.2", "/groups/", "who=ann");
    expect(await from("192.0.2.1", "/groups/", "who=none")).toBe("not you");
    expect(asked()).toBe(before + 4);
  });
});

test("an upstream's servers are asked in turn, and the next where one is gone", async () => {
  await using tested = await startProxy({
    upstreams: { auth: { servers: [`127.0.0.1:${await refusingPort()}`, { url: verifier.url, weight: 2 }] } },
    routes: [{ auth: { forward: { url: "http://auth/verify?a" } }, respond: { body: "{user}" } }],
  });
  for (let i = 0; i < 3; i += 1)
    expect((await exchange(tested.port, request("/", ["Cookie: who=ann"]))).body).toBe("ann");
  expect(verifier.requests.at(-1)!.target).toBe("/verify?a");
});

describe("/.auth/check", () => {
  const check = (fields: readonly string[], query = "") =>
    exchange(proxy.port, request(`/.auth/check${query}`, fields));
  const of = (uri: string): string => `X-Forwarded-Uri: ${uri}`;
  const CASES: readonly (readonly [name: string, fields: readonly string[], status: number])[] = [
    ["of nothing", [], 400],
    ["of an open route", [of("/open")], 200],
    ["without credentials", [of("/any/")], 401],
    ["with credentials", [of("/any/"), "X-Api-Key: abc"], 200],
    ["with a key in the address", [of("/key/?key=abc")], 200],
    ["as nginx says it", ["X-Original-URL: http://a.example/any/?x", "X-Original-Method: POST", "X-Api-Key: abc"], 200],
    ["of those who may not", [of("/nobody/"), "X-Api-Key: abc"], 403],
    ["of a path that means two things", [of("/any/..%2f../open")], 400],
    ["of a fragment", [of("/any/#/open"), "X-Forwarded-Method: GET"], 400],
    ["of a path that leads elsewhere", [of("/open/../any/")], 401],
    ["of a method that is none", [of("/open"), "X-Forwarded-Method: G T"], 400],
  ];
  for (const [name, fields, status] of CASES) test(name, async () => expect((await check(fields)).status).toBe(status));

  test("says who it is", async () => {
    const got = await check([of("/any/"), "X-Api-Key: abc"]);
    expect(got.field("x-forwarded-user")).toBe("acme");
    expect(got.field("x-auth-request-groups")).toBe("g");
    expect(got.field("cache-control")).toBe("no-store");
  });

  test("a redirect is one for those who can pass it on", async () => {
    const plain = await check([of("/forward/")]);
    expect([plain.status, plain.field("location")]).toEqual([401, "https://login.example/?back=x"]);
    expect((await check([of("/forward/")], "?redirect")).status).toBe(302);
  });

  test("nginx asks it as it asks any other", async () => {
    await using nginx = await Nginx.start(
      `location / { auth_request /check; auth_request_set $user $upstream_http_x_auth_request_user; add_header X-User $user; }
       location = /check {
         internal;
         proxy_pass http://127.0.0.1:${proxy.port}/.auth/check;
         proxy_pass_request_body off;
         proxy_set_header Content-Length "";
         proxy_set_header X-Forwarded-Method $request_method;
         proxy_set_header X-Forwarded-Host $host;
         proxy_set_header X-Forwarded-Uri $request_uri;
         proxy_set_header X-Forwarded-For 198.51.100.7;
       }`,
      { any: "content" },
    );
    const get = (target: string, ...fields: string[]) =>
      exchange(nginx.socket, request(target, ["Connection: close", ...fields]));
    const fine = await get("/any", "X-Api-Key: abc");
    expect([fine.status, fine.body, fine.field("x-user")]).toEqual([200, "content", "acme"]);
    const refused = await get("/any");
    expect([refused.status, refused.field("www-authenticate")]).toEqual([401, 'ApiKey header="x-api-key"']);
    expect((await get("/nobody", "X-Api-Key: abc")).status).toBe(403);
    expect((await get("/any/..%2f", "X-Api-Key: abc")).status).toBe(500); // nginx makes that of 400
  });

  test("nothing below the prefix is forwarded", async () => {
    const before = backend.requests.length;
    for (const [target, method, status] of [
      ["/.auth/", "GET", 404],
      ["/.auth/other", "GET", 404],
      ["/%2eauth/x", "GET", 404],
      ["/a/../.auth/x", "GET", 404],
      ["/.auth/check", "TRACE", 405],
    ] as const)
      expect([target, (await ask(target, [], method)).status]).toEqual([target, status]);
    expect(backend.requests.length).toBe(before);
  });
});

test("certificates: names that fit, and other ways for those that do not", async () => {
  using pki = await Pki.make();
  const server = await pki.files("server", {});
  const tls = { certificates: [server], clientAuth: { ca: pki.caFile, mode: "optional" as const } };
  await using tested = await startProxy({
    listeners: [{ address: "127.0.0.1:0", tls }],
    routes: [
      { match: { path: "/only" }, auth: { mtls: { subjects: ["CN=robot"], user: "cn" } }, respond: { body: "{user}" } },
      {
        auth: [{ mtls: { subjects: ["CN=robot"] } }, { apiKey: { keys: [{ name: "acme", key: hashed("abc") }] } }],
        respond: { body: "{user}" },
      },
    ],
  });
  const get = async (name: string | null, target: string, fields: readonly string[] = []): Promise<string> => {
    const own = name === null ? {} : await pki.pems({ subject: `CN=${name},O=Example`, usage: "client" });
    await using client = await connectTls(tested.port, own);
    const got = await client.get(target, fields);
    return `${got.status} ${got.status === 200 ? got.body : ""}`;
  };
  expect(await get("robot", "/only")).toBe("200 robot");
  expect(await get("person", "/only")).toBe("403 ");
  expect(await get(null, "/only")).toBe("403 ");
  expect(await get("person", "/", ["X-Api-Key: abc"])).toBe("200 acme");
  expect(await get(null, "/")).toBe("401 ");
});

test("a file of users is followed, wrong passwords wait, and it is told", async () => {
  using folder = new Folder();
  const file = folder.write("users", `# people\nann:${await quick("one")}\n`);
  await using tested = await runConfig(folder, {
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 2,
    trustedProxies: ["127.0.0.1"],
    log: { access: { format: "common" } },
    routes: [{ name: "site", auth: { basic: { usersFile: "users" } }, respond: {} }],
  });
  const get = async (ip: string, password: string): Promise<Message> =>
    exchange(tested.port(), request("/", [`X-Forwarded-For: ${ip}`, basic("ann", password)]));
  const status = async (ip: string, password: string): Promise<number> => (await get(ip, password)).status;
  expect(await status("192.0.2.1", "one")).toBe(200);
  writeFileSync(file, `ann:${await quick("two")}\n`);
  await tested.said("a file has changed and is in use");
  // Both workers have it a moment later; wrong passwords of one address would have to wait at some time.
  let client = 2;
  const next = (): string => `192.0.2.${++client}`;
  await until(async () => (await status(next(), "two")) === 200 && (await status(next(), "two")) === 200, "two");
  expect(await status("192.0.2.2", "one")).toBe(401);
  writeFileSync(file, "ann:{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=\n");
  await tested.said(/cannot be used; it stays as it was.*line 1: this hash is SHA-1/);
  expect(await status("192.0.2.1", "two")).toBe(200);

  const guesses: Message[] = [];
  for (let i = 0; i < 14; i += 1) guesses.push(await get("198.51.100.1", `guess ${i}`));
  const waits = guesses.filter((got) => got.status === 429);
  expect(waits.length).toBeGreaterThanOrEqual(2);
  expect(Number(waits.at(-1)!.field("retry-after"))).toBeGreaterThanOrEqual(1);
  expect((await get("198.51.100.1", "a right one would wait too")).status).toBe(429);
  expect(await status("203.0.113.1", "two")).toBe(200);
  await tested.said(/authentication worker=\d result=login kind=basic route=site user=ann ip=192\.0\.2\.1 /);
  expect((await tested.metrics()).get('sluice_auth_total{kind="basic",result="refused"}')).toBeGreaterThan(8);
  expect((await tested.metrics()).get('sluice_auth_total{kind="basic",result="throttled"}')).toBeGreaterThan(1);
  expect(tested.out).toContain(" - ann [");
}, 30_000);

describe("sluice hash-password", () => {
  const hash = (args: readonly string[], input: string) => sluice(["hash-password", ...args], { input });

  test("makes what the configuration takes", async () => {
    const [argon, bcrypt, key, made] = await Promise.all([
      hash([], "pässword\n"),
      hash(["--bcrypt", "--user", "ann"], "pässword"),
      hash(["--key"], "abc\r\n"),
      hash(["--new-key"], ""),
    ]);
    expect(await Bun.password.verify("pässword", argon.out.trim())).toBe(true);
    expect(argon.out).toStartWith("$argon2id$");
    const [name, line] = bcrypt.out.trim().split(":");
    expect([name, await Bun.password.verify("pässword", line!)]).toEqual(["ann", true]);
    expect(key.out.trim()).toBe(hashed("abc"));
    const [, secret = "", digest] = /^key: {2}(\S{43})\nhash: (\S+)\n$/.exec(made.out) ?? [];
    expect(digest).toBe(hashed(secret));
  });

  test("refuses what could not be sent, or what others could read", async () => {
    const ended = await Promise.all([
      hash([], ""),
      hash([], "two\nlines\n"),
      hash(["--user", "a:b"], "secret"),
      hash(["secret"], ""),
      hash(["--key", "--bcrypt"], "secret"),
    ]);
    expect(ended.map(({ code }) => code)).toEqual([2, 2, 2, 2, 2]);
    expect(ended.map(({ out }) => out)).toEqual(["", "", "", "", ""]);
  });
});
