// Tokens and signatures as programs bring them: real sockets, issuers that change their keys, several threads.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, createHmac } from "node:crypto";
import { JsonServer } from "../src/auth/tokens/json-server.testing.ts";
import { claimsAt, type Signer, sign, signer } from "../src/auth/tokens/tokens.testing.ts";
import { answer, chunks, type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { configOf, startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, sluice } from "./support/sluice.ts";

const SECRET = "0123456789abcdef0123456789abcdef";
const KEYS = [{ id: "k", name: "acme", algorithm: "hmac-sha256" as const, secret: SECRET }];

let a: Signer;
let b: Signer;
let issuer: JsonServer;
let backend: RawBackend;
let proxy: TestProxy;

const jwt = () => ({ issuer: "https://issuer.example", audience: "api", jwks: `${issuer.url}/jwks` });
const introspection = () => ({ endpoint: `${issuer.url}/introspect`, clientId: "us", clientSecret: "s" });

function routes() {
  const to = backend.url;
  const told = { requestHeaders: { set: { "x-user": "{user}", "x-tenant": "{claim.tenant}" } }, to };
  return [
    { match: { path: "/jwt" }, auth: { jwt: jwt() }, ...told },
    { match: { path: "/write" }, auth: { jwt: { ...jwt(), requireScopes: ["write"], forwardToken: false } }, ...told },
    { match: { path: "/ops" }, auth: { jwt: jwt(), require: { claims: { tenant: [42, 43] } } }, ...told },
    { match: { path: "/both" }, auth: [{ jwt: jwt() }, { introspection: introspection() }], ...told },
    { match: { path: "/limited" }, auth: { jwt: jwt() }, rateLimit: { rate: "1/h", key: "user" }, ...told },
    { match: { path: "/down" }, auth: { jwt: { ...jwt(), jwks: `${issuer.url}/nothing` } }, ...told },
    { match: { path: "/signed" }, auth: { signature: { keys: KEYS, bodyBuffer: "1KB" } }, ...told },
  ];
}

beforeAll(async () => {
  [a, b] = await Promise.all([signer("a"), signer("b")]);
  issuer = new JsonServer();
  issuer.set("/jwks", { keys: [a.jwk] }, { "cache-control": "max-age=3600" });
  issuer.answers.set("/introspect", () => {
    const token = new URLSearchParams(issuer.asked.at(-1)!.body).get("token");
    return Response.json(token === "opaque" ? { active: true, sub: "robot" } : { active: false });
  });
  backend = await RawBackend.answering((got) => answer(200, `for ${got.field("x-user")}`));
  proxy = await startProxy({ log: { level: "error" }, routes: routes(), listener: { http2: true } });
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
  await issuer[Symbol.asyncDispose]();
});

const ask = (target: string, fields: readonly string[] = []): Promise<Message> =>
  exchange(proxy.port, request(target, fields));
const bearer = (token: string): string[] => [`Authorization: Bearer ${token}`];
const valid = (by: Signer = a, more: Readonly<Record<string, unknown>> = {}): Promise<string> =>
  sign(by, claimsAt(Date.now(), more));
const got = (name: string): string | null => backend.requests.at(-1)!.field(name);

describe("tokens", () => {
  test("tell servers who asks", async () => {
    const token = await valid(a, { tenant: 42 });
    const first = await ask("/jwt", bearer(token));
    expect([first.status, first.body, got("x-tenant")]).toEqual([200, "for ann", "42"]);
    expect(got("authorization")).toBe(`Bearer ${token}`);
    expect((await ask("/jwt", bearer(token))).body).toBe("for ann");
  });

  test("are taken out where they are not to be seen, whether they are known or not", async () => {
    const token = await valid(a, { scope: "write" });
    for (let i = 0; i < 2; i += 1) {
      expect((await ask("/write", bearer(token))).status).toBe(200);
      expect(got("authorization")).toBeNull();
    }
  });

  test("that are missing, wrong or not enough are told so (RFC 6750)", async () => {
    const none = await ask("/jwt");
    expect([none.status, none.field("www-authenticate")]).toEqual([401, "Bearer"]);
    const wrong = await ask("/jwt", bearer("x"));
    expect([wrong.status, wrong.field("www-authenticate")]).toEqual([401, 'Bearer error="invalid_token"']);
    const little = await ask("/write", bearer(await valid(a, { scope: "read" })));
    const want = 'Bearer error="insufficient_scope", scope="write"';
    expect([little.status, little.field("www-authenticate")]).toEqual([403, want]);
    expect([(await ask("/ops", bearer(await valid()))).status, none.field("cache-control")]).toEqual([403, "no-store"]);
    expect((await ask("/ops", bearer(await valid(a, { tenant: 43 })))).status).toBe(200);
    expect((await ask("/jwt", [...bearer(await valid()), ...bearer(await valid())])).status).toBe(401);
  });

  test("are counted by their users", async () => {
    const of = async (sub: string): Promise<number> =>
      (await ask("/limited", bearer(await valid(a, { sub, jti: crypto.randomUUID() })))).status;
    expect([await of("x"), await of("x"), await of("y")]).toEqual([200, 429, 200]);
  });

  test("that are no JWT go on to the server that knows them", async () => {
    expect((await ask("/both", bearer(await valid()))).body).toBe("for ann");
    expect((await ask("/both", bearer("opaque"))).body).toBe("for robot");
    expect((await ask("/both", bearer("other"))).status).toBe(401);
    expect((await ask("/both", bearer("opaque"))).status).toBe(200);
    expect(issuer.count("/introspect")).toBe(2);
  });

  test("of an issuer that cannot be reached are 503, soon to be tried again", async () => {
    const answered = await ask("/down", bearer(await valid()));
    expect([answered.status, answered.field("retry-after")]).toEqual([503, "1"]);
  });

  test("of new keys are believed at once, and a reload keeps the keys", async () => {
    issuer.set("/jwks", { keys: [a.jwk, b.jwk] });
    expect((await ask("/jwt", bearer(await valid(b)))).status).toBe(200);
    const count = issuer.count("/jwks");
    await proxy.proxy.reload(configOf({ log: { level: "error" }, routes: routes() }));
    expect((await ask("/jwt", bearer(await valid(b, { jti: "1" })))).status).toBe(200);
    expect(issuer.count("/jwks")).toBe(count);
  });
});

interface Signed {
  readonly body?: string;
  readonly digest?: string;
  readonly nonce?: string;
}

/** The fields of a signed POST to /signed. */
function signedFields({ body = "", digest = body, nonce = "" }: Signed): string[] {
  const names = ["@method", "@authority", "@path", "@query", ...(body === "" ? [] : ["content-digest"])];
  const sum = `sha-256=:${createHash("sha256").update(digest).digest("base64")}:`;
  const created = Math.floor(Date.now() / 1000);
  const values: Record<string, string> = { "@method": "POST", "@authority": "app.example", "@path": "/signed" };
  const list = names.map((name) => `"${name}"`).join(" ");
  const input = `(${list});created=${created};keyid="k"${nonce === "" ? "" : `;nonce="${nonce}"`}`;
  const lines = names.map((name) => `"${name}": ${values[name] ?? (name === "@query" ? "?" : sum)}`);
  const base = [...lines, `"@signature-params": ${input}`].join("\n");
  const signature = createHmac("sha256", SECRET).update(base).digest("base64");
  const fields = [`Signature-Input: s=${input}`, `Signature: s=:${signature}:`];
  return body === "" ? fields : [...fields, `Content-Digest: ${sum}`];
}
const post = (signed: Signed, more: readonly string[] = []): string =>
  request("/signed", [...signedFields(signed), ...more], "POST", signed.body);

describe("signatures", () => {
  test("tell servers who asks, with bodies of any length", async () => {
    for (const body of ["", "x", "x".repeat(1024), "x".repeat(1025), "x".repeat(300_000)]) {
      const answered = await exchange(proxy.port, post({ body }));
      expect([answered.status, answered.body]).toEqual([200, "for acme"]);
      expect(backend.requests.at(-1)!.body.length).toBe(body.length);
    }
  });

  test("a body that was changed never reaches a server whole", async () => {
    const before = backend.requests.length;
    const short = await exchange(proxy.port, post({ body: "pay 900", digest: "pay 100" }));
    expect(short.status).toBe(401);
    expect(backend.requests).toHaveLength(before);
    const long = await exchange(proxy.port, post({ body: "x".repeat(200_000), digest: "y" }));
    expect(long.status).toBe(401);
    expect(backend.requests).toHaveLength(before);
  });

  test("a body in chunks, and one that is waited for", async () => {
    const [head] = post({ body: "abcdef" }).split("Content-Length");
    const text = `${head}Transfer-Encoding: chunked\r\n\r\n${chunks("abc", "def")}0\r\n\r\n`;
    expect((await exchange(proxy.port, text)).status).toBe(200);
    await using peer = await Peer.connect(proxy.port);
    const [waiting] = post({ body: "abc" }, ["Expect: 100-continue"]).split("abc");
    peer.send(waiting!);
    expect((await peer.response()).status).toBe(100);
    peer.send("abc");
    expect((await peer.response()).status).toBe(200);
  });

  test("what is not signed, or not as it came, is refused", async () => {
    const unsigned = await exchange(proxy.port, request("/signed"));
    expect([unsigned.status, unsigned.field("www-authenticate")]).toEqual([401, "Signature"]);
    const query = post({}).replace("/signed", "/signed?admin=1");
    const method = post({}).replace("POST", "PUT");
    const body = request("/signed", signedFields({}), "POST", "more");
    for (const text of [query, method, body]) expect((await exchange(proxy.port, text)).status).toBe(401);
  });

  test("a client that leaves in the middle of its body costs nothing", async () => {
    const peer = await Peer.connect(proxy.port);
    peer.send(post({ body: "x".repeat(900) }).slice(0, -400));
    await peer[Symbol.asyncDispose]();
    expect((await exchange(proxy.port, post({ body: "x" }))).status).toBe(200);
  });
});

describe("a program", () => {
  test("accepts a nonce once over all its threads, and keeps secrets to itself", async () => {
    using folder = new Folder();
    const signed = { match: { path: "/signed" }, auth: { signature: { keys: KEYS } }, respond: { body: "ok" } };
    const config = { listeners: [{ address: "127.0.0.1:0" }], workers: 2, routes: [signed] };
    await using running = await runConfig(folder, config);
    const text = post({ nonce: "once" });
    const answers = await Promise.all(Array.from({ length: 16 }, () => exchange(running.port(), text)));
    const statuses = answers.map(({ status }) => status).sort();
    expect(statuses).toEqual([200, ...Array.from({ length: 15 }, () => 401)]);
    expect(JSON.stringify((await running.admin("GET", "/api/config")).body)).not.toContain(SECRET);
  });

  test("says where settings are wrong", async () => {
    using folder = new Folder();
    const auth = { jwt: { issuer: "https://i.example", audience: "api", jwks: "http://i.example/jwks" } };
    const file = folder.write("sluice.json", {
      listeners: [{ address: "127.0.0.1:0" }],
      routes: [{ auth, respond: {} }],
    });
    const { code, err, out } = await sluice(["check", "-c", file]);
    expect(code).not.toBe(0);
    expect(`${out}${err}`).toContain("write https://");
  });
});
