// The portal over HTTP, with two workers: what everybody sees, what consumers may do, and what nobody makes them do.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { CLIENT, MiniBrowser, TestProvider } from "./support/oidc.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { Folder, runConfig, type SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

type Json = Record<string, unknown>;

const DOCUMENT = `openapi: 3.1.0
info: { title: Pets <b>&</b> more, version: "1" }
paths:
  /pets/{id}:
    get:
      operationId: getPet
      security: [{ key: [] }]
      parameters: [{ name: id, in: path, required: true, schema: { type: integer } }]
      responses: { 200: { description: one, content: { application/json: { example: { name: Rex } } } } }
  /inside: { get: { operationId: inside, x-internal: true, responses: { 200: { description: secret } } } }
components: { securitySchemes: { key: { type: apiKey, in: header, name: x-api-key } } }
`;
const hashed = (key: string): string => `sha256:${new Bun.CryptoHasher("sha256").update(key).digest("hex")}`;
const PASSWORD = "correct horse";

let folder: Folder;
let proxy: SluiceProcess;
let url: string;

beforeAll(async () => {
  folder = new Folder();
  folder.write("openapi.yaml", DOCUMENT);
  proxy = await runConfig(folder, {
    listeners: [{ address: "127.0.0.1:0" }],
    storage: folder.path,
    workers: 2,
    log: { level: "info" },
    plans: { gold: { quota: "1000/d" } },
    consumers: {
      acme: {
        plan: "gold",
        scopes: ["read", "write"],
        credentials: [
          { name: "first", apiKey: hashed("of acme") },
          { name: "little", apiKey: hashed("little"), scopes: ["read"] },
          { basic: { user: "ann", password: await Bun.password.hash(PASSWORD, { algorithm: "bcrypt", cost: 4 }) } },
        ],
      },
      other: { credentials: [{ apiKey: hashed("of another") }] },
    },
    defaults: { quota: { default: "gold" } },
    routes: [
      {
        name: "portal",
        portal: { apis: ["pets"], keys: { max: 3, scopes: ["read"] }, title: 'For <"all">' },
        auth: [
          { apiKey: { consumers: true, keys: [{ name: "house", key: hashed("of the house") }] } },
          { basic: { consumers: true } },
        ],
        cors: { origins: ["https://elsewhere.example"], credentials: true },
        rateLimit: [{ name: "each", rate: "1000/s", key: "consumer" }],
      },
      {
        name: "pets",
        openapi: { document: "openapi.yaml", mock: true },
        auth: { apiKey: { consumers: true } },
      },
    ],
  });
  url = `http://127.0.0.1:${proxy.port()}`;
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

interface Sent {
  readonly method?: string;
  readonly key?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Answered {
  readonly status: number;
  readonly body: Json;
  readonly headers: Headers;
}

async function ask(
  path: string,
  { method = "GET", key = "of acme", body, headers = {} }: Sent = {},
): Promise<Answered> {
  const answer = await fetch(`${url}${path}`, {
    method,
    redirect: "manual",
    headers: {
      connection: "close", // so that both workers are asked
      ...(key === "" ? {} : { "x-api-key": key }),
      ...(method === "GET" ? {} : { "x-portal": "1" }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  const isJson = answer.headers.get("content-type")?.includes("json") === true;
  return { status: answer.status, body: isJson ? (JSON.parse(text) as Json) : { text }, headers: answer.headers };
}

const keysOf = async (key = "of acme"): Promise<Json[]> => (await ask("/portal/api/keys", { key })).body.keys as Json[];
const make = (body: unknown = { name: "ci" }, more: Sent = {}): Promise<Answered> =>
  ask("/portal/api/keys", { method: "POST", body, ...more });
const revoke = (id: unknown, more: Sent = {}): Promise<Answered> =>
  ask(`/portal/api/keys/${id}`, { method: "DELETE", ...more });

describe("the page", () => {
  test("is there for everybody, with nothing inline and nothing from elsewhere", async () => {
    const page = await ask("/portal", { key: "" });
    expect(page.status).toBe(200);
    const html = String(page.body.text);
    expect(html).toContain("<title>For &#60;&#34;all&#34;&#62;</title>");
    expect(html).not.toMatch(/<script>|<style| on\w+=|style=|https?:/);
    expect(page.headers.get("content-security-policy")).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    for (const file of ["portal.js", "docs.js", "portal.css"]) {
      const answer = await ask(`/portal/${file}`, { key: "" });
      expect([file, answer.status, answer.headers.get("x-content-type-options")]).toEqual([file, 200, "nosniff"]);
    }
    const etag = page.headers.get("etag") ?? "";
    expect((await ask("/portal", { key: "", headers: { "if-none-match": etag } })).status).toBe(304);
  });

  test("tells nobody anything who has not signed in, or is no consumer", async () => {
    for (const path of ["api/me", "api/keys", "api/usage", "api/docs/pets", "login", "else"])
      expect([path, (await ask(`/portal/${path}`, { key: "" })).status]).toEqual([path, 401]);
    expect((await ask("/portal/api/me", { key: "of the house" })).status).toBe(403);
    expect((await ask("/portal", { method: "POST", key: "" })).status).toBe(401);
  });
});

test("says who somebody is, and shows the documents without what is internal", async () => {
  const me = await ask("/portal/api/me");
  expect(me.body).toMatchObject({
    consumer: "acme",
    plan: "gold",
    apis: [{ name: "pets", title: "Pets <b>&</b> more" }],
  });
  expect([me.headers.get("cache-control"), me.headers.get("access-control-allow-origin")]).toEqual(["no-store", null]);
  const { html } = (await ask("/portal/api/docs/pets")).body;
  expect(html).toContain("/pets/{id}");
  expect(html).toContain("Pets &#60;b&#62;");
  expect(html).not.toContain("inside");
  for (const [path, method, status] of [
    ["/portal/api/docs/else", "GET", 404],
    ["/portal/api/docs/__proto__", "GET", 404],
    ["/portal/api/me/more", "GET", 404],
    ["/portal/api/me", "POST", 405],
    ["/portal/api/keys", "PUT", 405],
    ["/portal/api/keys/x", "GET", 405],
    ["/portal/else", "GET", 404],
  ] as const)
    expect([path, method, (await ask(path, { method })).status]).toEqual([path, method, status]);
  expect((await ask("/portal/login")).headers.get("location")).toBe("/portal?signed-in");
});

test("a key is made, used at once in all workers, shown in usage, rotated and revoked; all of it is told", async () => {
  const made = await make({ name: "ci", ttl: 3600, scopes: ["read"] });
  expect(made).toMatchObject({ status: 201, body: { name: "ci", scopes: ["read"], source: "self" } });
  const { key, id } = made.body as { key: string; id: string };
  const calls = async (what: string, length = 8): Promise<number[]> =>
    Promise.all(Array.from({ length }, async () => (await ask("/pets/7", { key: what })).status));
  expect(new Set(await calls(key))).toEqual(new Set([200]));
  const used = async (): Promise<Json[]> => (await ask("/portal/api/usage")).body.usage as Json[];
  await until(
    async () => (await used()).some(({ route, requests }) => route === "pets.getPet" && requests === 8),
    "usage",
  );
  const { limits } = (await ask("/portal/api/usage")).body as { limits: Json[] };
  expect(limits).toMatchObject([{ name: "gold-day", limit: 1000 }]);
  const rotated = await ask(`/portal/api/keys/${id}/rotate`, { method: "POST", body: { overlap: "1h" } });
  const next = rotated.body as { key: string; id: string };
  expect([rotated.status, await calls(key), await calls(next.key)].flat()).toEqual([201, ...Array(16).fill(200)]);
  expect((await keysOf()).map(({ id: one }) => one)).toEqual([id, next.id, "0", "1"]);
  for (const one of [id, next.id]) expect((await revoke(one)).status).toBe(200);
  // Each counts as a guess: more of them would be refused for that.
  expect([...(await calls(key, 2)), ...(await calls(next.key, 2))]).toEqual(Array(4).fill(401));
  expect((await revoke(id)).status).toBe(404);
  for (const change of ["added", "rotated", "revoked"])
    await proxy.said(new RegExp(`portal: consumer credential ${change}.*acme`));
  expect(proxy.err).not.toContain(key);
});

const BAD: readonly (readonly [name: string, body: unknown, status: number, path: string | null])[] = [
  ["no name", {}, 422, "name"],
  ["an empty name", { name: " " }, 422, "name"],
  ["a name with a line break", { name: "a\nb" }, 422, "name"],
  ["a name with an escape of terminals", { name: "a\u009b31m" }, 422, "name"],
  ["a name that is turned around", { name: "a\u202eb" }, 422, "name"],
  ["a name that is no text", '{"name":"\\ud800"}', 422, "name"],
  ["a name that is too long", { name: "x".repeat(101) }, 422, "name"],
  ["a life that is too long", { name: "a", ttl: 31_536_001 }, 422, "ttl"],
  ["a life that is none", { name: "a", ttl: -1 }, 422, "ttl"],
  ["a life that is no number", { name: "a", ttl: "1h" }, 422, "ttl"],
  ["scopes that are no list", { name: "a", scopes: "read" }, 422, "scopes"],
  ["a scope that keys made here have not", { name: "a", scopes: ["write"] }, 422, null],
  ["a list", [], 422, "name"],
  ["no JSON", "{", 422, "name"],
  ["what is too long", { name: "a", more: "x".repeat(20_000) }, 413, null],
];
for (const [name, body, status, path] of BAD)
  test(`refuses to make a key of ${name}`, async () => {
    const answer = await make(body);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([status, "application/problem+json"]);
    expect((answer.body.errors as Json[] | undefined)?.[0]?.path ?? null).toBe(path);
  });

test("never lets somebody do more by a key than he could before, nor touch the keys of others", async () => {
  const little = await make({ name: "l", scopes: ["read"] }, { key: "little" });
  expect(little.status).toBe(201);
  expect((await make({ name: "w", scopes: ["write"] }, { key: "little" })).status).toBe(422);
  expect((await revoke(little.body.id, { key: "of another" })).status).toBe(404);
  expect(
    (await ask(`/portal/api/keys/${little.body.id}/rotate`, { method: "POST", body: {}, key: "of another" })).status,
  ).toBe(404);
  expect(await keysOf("of another")).toHaveLength(1);
  const others = [await make(), await make()];
  expect((await make()).status).toBe(409);
  for (const { body } of [little, ...others]) expect((await revoke(body.id)).status).toBe(200);
});

const authorization = `Basic ${Buffer.from(`ann:${PASSWORD}`).toString("base64")}`;
const own = (): Record<string, string> => ({ origin: url, "sec-fetch-site": "same-origin" });
const FOREIGN: readonly (readonly [name: string, sent: () => Sent, status: number])[] = [
  ["the page itself", () => ({ key: "", headers: { authorization, ...own() } }), 201],
  [
    "the page itself, in a browser that does not say more",
    () => ({ key: "", headers: { authorization, origin: url } }),
    201,
  ],
  ["a program with a key", () => ({}), 201],
  ["a browser that says nothing of where it comes from", () => ({ key: "", headers: { authorization } }), 403],
  ["another site", () => ({ key: "", headers: { authorization, "sec-fetch-site": "cross-site" } }), 403],
  ["the same site", () => ({ key: "", headers: { authorization, ...own(), "sec-fetch-site": "same-site" } }), 403],
  ["another origin", () => ({ key: "", headers: { authorization, origin: "https://elsewhere.example" } }), 403],
  ["another port", () => ({ headers: { origin: "http://127.0.0.1:1" } }), 403],
  ["no origin at all", () => ({ headers: { origin: "null" } }), 403],
  ["a form", () => ({ body: "name=a", headers: { "content-type": "text/plain" } }), 415],
  ["a script without our field", () => ({ headers: { "x-portal": "" } }), 403],
];
for (const [name, sent, status] of FOREIGN)
  test(`a key that is asked for by ${name}: ${status}`, async () => {
    const answer = await make({ name: "x" }, sent());
    expect(answer.status).toBe(status);
    if (status === 201) expect((await revoke(answer.body.id)).status).toBe(200);
  });

test("preflights of other origins get nothing", async () => {
  const headers = {
    ...{ origin: "https://elsewhere.example", "access-control-request-method": "POST" },
    ...{ "access-control-request-headers": "x-portal,x-api-key,content-type" },
  };
  const answer = await ask("/portal/api/keys", { method: "OPTIONS", key: "", headers });
  expect([answer.status, answer.headers.get("access-control-allow-origin")]).toEqual([401, null]);
});

describe("with a session of single sign-on", () => {
  const APP = "http://app.localhost";
  let provider: TestProvider;
  let app: TestProxy;
  let browser: MiniBrowser;

  beforeAll(async () => {
    provider = await TestProvider.start();
    const { issuer } = provider;
    app = await startProxy({
      storage: `${folder.path}/sso`,
      consumers: { acme: { scopes: ["read"], credentials: [{ oidc: { issuer, subject: "ann" } }] } },
      routes: [
        {
          portal: { keys: { expiry: "1h" } },
          auth: [
            { oidc: { issuer, ...CLIENT, cookieSecret: "a secret of the tests, long enough" }, consumers: "required" },
            { apiKey: { consumers: true } },
          ],
        },
      ],
    });
    browser = new MiniBrowser(() => app.port);
  });
  afterAll(async () => {
    await app[Symbol.asyncDispose]();
    await provider[Symbol.asyncDispose]();
  });

  const OWN = { origin: APP, "sec-fetch-site": "same-origin", "x-portal": "1", "content-type": "application/json" };
  const makeHere = (headers: Readonly<Record<string, string>>): ReturnType<MiniBrowser["ask"]> =>
    browser.ask(`${APP}/portal/api/keys`, headers, { method: "POST", body: JSON.stringify({ name: "ci" }) });

  test("somebody signs in, and makes a key that holds as long as it may", async () => {
    const page = await browser.open(`${APP}/portal`);
    expect([page.status, page.body.includes('href="/portal/login"')]).toEqual([200, true]);
    expect((await browser.ask(`${APP}/portal/api/me`)).status).toBe(401);
    const back = await browser.open(`${APP}/portal/login`);
    expect([back.status, back.url]).toEqual([200, `${APP}/portal?signed-in`]);
    const me = await browser.ask(`${APP}/portal/api/me`);
    expect(JSON.parse(me.body)).toMatchObject({ consumer: "acme", kind: "oidc", keys: { ttlMax: 3600 } });
    const made = await makeHere(OWN);
    expect([made.status, JSON.parse(made.body)]).toMatchObject([201, { scopes: ["read"] }]);
    const { key } = JSON.parse(made.body) as { key: string };
    const other = await fetch(`${app.url}/portal/api/me`, { headers: { "x-api-key": key } });
    expect(await other.json()).toMatchObject({ consumer: "acme", kind: "apiKey" });
  });

  test("no other page makes one with his cookies", async () => {
    for (const headers of [
      { ...OWN, "sec-fetch-site": "cross-site" },
      { ...OWN, "sec-fetch-site": "same-site", origin: "http://other.localhost" },
      { ...OWN, "sec-fetch-site": "none" },
      { ...OWN, origin: "http://app.localhost.evil.example" },
      { ...OWN, origin: "https://app.localhost" },
      { "x-portal": "1", "content-type": "application/json" },
      { origin: APP, "content-type": "application/json" },
    ])
      expect([headers, (await makeHere(headers as Record<string, string>)).status]).toEqual([headers, 403]);
    expect((await makeHere({ ...OWN, "content-type": "text/plain" })).status).toBe(415);
    const { keys } = JSON.parse((await browser.ask(`${APP}/portal/api/keys`)).body) as { keys: Json[] };
    expect(keys).toHaveLength(1);
  });
});
