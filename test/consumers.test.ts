// Consumers of the configuration, as clients and servers meet them: each kind of credential, who has to be one, and what
// follows from who it is.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { SignJWT } from "jose";
import { ConfigError } from "../src/index.ts";
import { answer, type Message, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder } from "./support/sluice.ts";
import { connectTls, Pki } from "./support/tls.ts";
import { until } from "./support/wait.ts";

const ISSUER = "https://issuer.example";
const SECRET = "0123456789abcdef0123456789abcdef";
const hashed = (key: string): string => `sha256:${new Bun.CryptoHasher("sha256").update(key).digest("hex")}`;

let backend: RawBackend;
let proxy: TestProxy;
let folder: Folder;
let address = 0;

async function ask(target: string, fields: readonly string[] = []): Promise<Message> {
  address += 1;
  const from = `X-Forwarded-For: 198.18.${address >> 8}.${address & 255}`;
  return exchange(proxy.port, request(target, [from, ...fields]));
}

const token = (subject: string, more: object = {}): Promise<string> =>
  new SignJWT({ ...more })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(ISSUER)
    .setAudience("api")
    .setSubject(subject)
    .setExpirationTime("1h")
    .sign(Buffer.from(SECRET));

beforeAll(async () => {
  backend = await RawBackend.answering(() => answer(200, "ok", ["Connection: close"]));
  folder = new Folder();
  const jwt = { issuer: ISSUER, audience: "api", secret: SECRET };
  const told = { respond: { body: "{consumer}/{user}/{claim.tenant}" } };
  const on = (path: string): object => ({ path });
  const password = await Bun.password.hash("sesame", { algorithm: "bcrypt", cost: 4 });
  proxy = await startProxy({
    trustedProxies: ["127.0.0.1"],
    log: { access: { path: `${folder.path}/access.log` } },
    plans: { gold: {}, free: {} },
    consumers: {
      acme: {
        ...{ groups: ["partners"], scopes: ["read", "write"], plan: "gold", claims: { tenant: "42" } },
        credentials: [
          { name: "server", apiKey: hashed("acme-key") },
          { name: "old", apiKey: hashed("acme-old"), expires: "2020-01-31" },
          { name: "reader", apiKey: hashed("acme-read"), scopes: ["read"] },
          { jwt: { issuer: ISSUER, subject: "acme-app" } },
          { basic: { user: "ann", password } },
          { signature: { keyId: "acme-sig", secret: SECRET } },
        ],
      },
      closed: {
        disabled: true,
        credentials: [{ apiKey: hashed("closed-key") }, { jwt: { issuer: ISSUER, subject: "c" } }],
      },
      small: { plan: "free", credentials: [{ apiKey: hashed("small-key") }] },
    },
    routes: [
      { match: on("/key"), auth: { apiKey: { consumers: true } }, ...told },
      {
        match: on("/both"),
        auth: { apiKey: { consumers: true, keys: [{ name: "own", key: hashed("own-key") }] } },
        ...told,
      },
      {
        match: on("/required"),
        auth: { apiKey: { consumers: true, keys: [{ name: "own", key: hashed("own-key") }] }, consumers: "required" },
        ...told,
      },
      { match: on("/token"), auth: { jwt, consumers: "required" }, ...told },
      { match: on("/any-token"), auth: { jwt, consumers: "optional" }, ...told },
      { match: on("/plain-token"), auth: { jwt }, ...told },
      { match: on("/basic"), auth: { basic: { consumers: true } }, ...told },
      { match: on("/signed"), auth: { signature: { consumers: true, components: ["@method"] } }, ...told },
      { match: on("/partners"), auth: { apiKey: { consumers: true }, require: { groups: ["partners"] } }, ...told },
      { match: on("/write"), auth: { apiKey: { consumers: true }, require: { scopes: ["write"] } }, ...told },
      { match: on("/gold"), auth: { apiKey: { consumers: true }, allow: { plans: ["gold"] } }, ...told },
      { match: on("/acme"), auth: { apiKey: { consumers: true }, allow: { consumers: ["acme"] } }, ...told },
      {
        match: on("/limited"),
        auth: [{ apiKey: { consumers: true } }, { basic: { consumers: true } }],
        rateLimit: { rate: "1/h", burst: 2, key: "consumer" },
        ...told,
      },
      {
        auth: { apiKey: { consumers: true } },
        requestHeaders: { set: { "x-consumer": "{consumer}" } },
        to: backend.url,
      },
    ],
  });
});
afterAll(async () => {
  await Promise.all([proxy, backend].map((each) => each[Symbol.asyncDispose]()));
  folder[Symbol.dispose]();
});

const key = (text: string): string => `X-Api-Key: ${text}`;
const basic = (text: string): string => `Authorization: Basic ${Buffer.from(text).toString("base64")}`;

describe("answers", () => {
  const CASES: readonly (readonly [target: string, field: string, want: number | string])[] = [
    ["/key", key("acme-key"), "acme/acme/42"],
    ["/key", key("acme-old"), 401],
    ["/key", key("closed-key"), 401],
    ["/key", key("nobody"), 401],
    ["/key", "X-Other: x", 401],
    ["/both", key("own-key"), "/own/"],
    ["/both", key("acme-key"), "acme/acme/42"],
    ["/required", key("own-key"), 403],
    ["/required", key("acme-key"), "acme/acme/42"],
    ["/basic", basic("ann:sesame"), "acme/acme/42"],
    ["/basic", basic("ann:wrong"), 401],
    ["/basic", basic("nobody:sesame"), 401],
    ["/partners", key("acme-key"), 200],
    ["/partners", key("small-key"), 403],
    ["/write", key("acme-key"), 200],
    ["/write", key("acme-read"), 403],
    ["/gold", key("small-key"), 403],
    ["/gold", key("acme-read"), 200],
    ["/acme", key("small-key"), 403],
    ["/acme", key("acme-read"), 200],
  ];
  for (const [target, field, want] of CASES)
    test(`${target} ${field.slice(0, 26)}`, async () => {
      const got = await ask(target, [field]);
      if (typeof want === "number") expect(got.status).toBe(want);
      else expect([got.status, got.body]).toEqual([200, want]);
    });

  test("tokens", async () => {
    const get = async (target: string, subject: string): Promise<string> => {
      const got = await ask(target, [`Authorization: Bearer ${await token(subject)}`]);
      return got.status === 200 ? got.body : String(got.status);
    };
    expect(await get("/token", "acme-app")).toBe("acme/acme-app/42");
    expect(await get("/token", "stranger")).toBe("403");
    expect(await get("/token", "c")).toBe("403");
    expect(await get("/any-token", "acme-app")).toBe("acme/acme-app/42");
    expect(await get("/any-token", "stranger")).toBe("/stranger/");
    expect(await get("/any-token", "c")).toBe("403");
    expect(await get("/plain-token", "acme-app")).toBe("/acme-app/");
  });

  test("signatures", async () => {
    const signed = async (keyId: string, secret: string): Promise<Message> => {
      const input = `("@method");created=${Math.floor(Date.now() / 1000)};keyid="${keyId}"`;
      const base = `"@method": GET\n"@signature-params": ${input}`;
      const signature = createHmac("sha256", secret).update(base).digest("base64");
      return ask("/signed", [`Signature-Input: s=${input}`, `Signature: s=:${signature}:`]);
    };
    expect((await signed("acme-sig", SECRET)).body).toBe("acme/acme/42");
    expect((await signed("acme-sig", SECRET.toUpperCase())).status).toBe(401);
    expect((await signed("other", SECRET)).status).toBe(401);
  });
});

test("limits by consumer count all credentials of one together", async () => {
  const statuses: number[] = [];
  for (const field of [key("acme-key"), basic("ann:sesame"), key("acme-read"), key("small-key")])
    statuses.push((await ask("/limited", [field])).status);
  expect(statuses).toEqual([200, 200, 429, 200]);
});

test("servers and the log are told who it is, and clients cannot say so themselves", async () => {
  await ask("/told", [key("acme-key"), "X-Consumer: root", "X_Consumer: root"]);
  const got = backend.requests.at(-1)!;
  expect([got.field("x-consumer"), got.field("x_consumer"), got.field("x-api-key")]).toEqual(["acme", null, null]);
  const log = (): string => readFileSync(`${folder.path}/access.log`, "utf8");
  await until(() => log().includes('"target":"/told"'), "the line");
  const line = log()
    .split("\n")
    .find((text) => text.includes('"target":"/told"'))!;
  expect(JSON.parse(line)).toMatchObject({ consumer: "acme", user: "acme" });
});

test("keys that nobody has count as guesses", async () => {
  const guess = async (): Promise<number> =>
    (await exchange(proxy.port, request("/key", ["X-Forwarded-For: 203.0.113.77", key(`guess-${Math.random()}`)])))
      .status;
  const statuses: number[] = [];
  for (let i = 0; i < 14; i += 1) statuses.push(await guess());
  expect(statuses.slice(0, 8)).toEqual(Array.from({ length: 8 }, () => 401));
  expect(statuses.at(-1)).toBe(429);
});

test("certificates of consumers", async () => {
  using pki = await Pki.make();
  const server = await pki.files("server", {});
  const tls = { certificates: [server], clientAuth: { ca: pki.caFile, mode: "optional" as const } };
  await using tested = await startProxy({
    listeners: [{ address: "127.0.0.1:0", tls }],
    consumers: { robot: { credentials: [{ mtls: { subject: "O=Example, CN=robot" } }] } },
    routes: [
      {
        match: { path: "/named" },
        auth: { mtls: { subjects: ["O=Example"] }, consumers: "optional" },
        respond: { body: "{consumer}" },
      },
      { auth: { mtls: { consumers: true, user: "cn" } }, respond: { body: "{consumer} {user}" } },
    ],
  });
  const get = async (name: string | null, target: string): Promise<string> => {
    const own = name === null ? {} : await pki.pems({ subject: `CN=${name},O=Example`, usage: "client" });
    await using client = await connectTls(tested.port, own);
    const got = await client.get(target);
    return `${got.status} ${got.status === 200 ? got.body : ""}`;
  };
  expect(await get("robot", "/")).toBe("200 robot robot");
  expect(await get("person", "/")).toBe("403 ");
  expect(await get(null, "/")).toBe("403 ");
  expect(await get("robot", "/named")).toBe("200 robot");
  expect(await get("person", "/named")).toBe("200 ");
});

describe("a configuration", () => {
  const start = (more: object): Promise<unknown> =>
    startProxy({ routes: [{ respond: {} }], ...more }).then((started) => started[Symbol.asyncDispose]());
  const CASES: readonly (readonly [name: string, config: object, path: string, message: RegExp])[] = [
    ["a name with a space", { consumers: { "a b": {} } }, "consumers.a b", /letters, digits/],
    [
      "two kinds",
      { consumers: { a: { credentials: [{ apiKey: hashed("a"), basic: { user: "x" } }] } } },
      "consumers.a.credentials.0",
      /one kind/,
    ],
    [
      "a key that is no hash",
      { consumers: { a: { credentials: [{ apiKey: "x" }] } } },
      "consumers.a.credentials.0.apiKey",
      /sha256/,
    ],
    [
      "the same key twice",
      { consumers: { a: { credentials: [{ apiKey: hashed("a") }] }, b: { credentials: [{ apiKey: hashed("a") }] } } },
      "consumers.b.credentials.0",
      /consumer "a" has the same/,
    ],
    ["keys for nobody", { routes: [{ auth: { apiKey: {} }, respond: {} }] }, "routes.0.auth.apiKey", /consumers: true/],
    [
      "keys that no consumer can have",
      {
        routes: [{ auth: { apiKey: { keys: [{ name: "x", key: hashed("x") }] }, consumers: "required" }, respond: {} }],
      },
      "routes.0.auth.consumers",
      /apiKey.consumers/,
    ],
    [
      "people of an auth server",
      { routes: [{ auth: { forward: { url: "http://127.0.0.1:1/" }, consumers: "optional" }, respond: {} }] },
      "routes.0.auth.consumers",
      /`forward` knows is no consumer/,
    ],
  ];
  for (const [name, config, path, message] of CASES)
    test(`with ${name} is refused`, async () => {
      const error = await start(config).catch((thrown: unknown) => thrown);
      if (!(error instanceof ConfigError)) throw error ?? new Error("it was taken");
      const found = error.diagnostics.find((one) => one.path.join(".") === path);
      expect(found?.message ?? error.message).toMatch(message);
    });
});
