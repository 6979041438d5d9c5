// What attackers try on authentication, beyond what the other files have: names from a dump, floods, personal answers out
// of the cache, smuggled fields, odd spellings of the reserved paths.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { RedisServer } from "../src/state/redis-server.testing.ts";
import { H2Peer } from "./support/h2-peer.ts";
import { data, END_STREAM, frame, headers, requestFields } from "./support/h2-wire.ts";
import { answer, type Message, request } from "./support/message.ts";
import { CLIENT, MiniBrowser, NAVIGATION, SECOND_CLIENT, TestProvider } from "./support/oidc.ts";
import { exchange, Peer } from "./support/peer.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

const SECRET = "a secret of the tests, long enough to be one";
const APP = "http://app.localhost";
const hashed = (key: string): string => `sha256:${new Bun.CryptoHasher("sha256").update(key).digest("hex")}`;

let provider: TestProvider;
let backend: RawBackend;
let verifier: RawBackend;
let mirrored: RawBackend;
let proxy: TestProxy;
/** What the server waits for before it answers `/slow`. */
let release: (() => void) | null = null;

beforeAll(async () => {
  provider = await TestProvider.start();
  backend = await RawBackend.answering(async (got) => {
    const who = `for ${got.field("x-user") ?? "nobody"}`;
    const { target } = got;
    if (target.includes("slow")) await new Promise<void>((resolve) => (release = resolve));
    if (target.includes("private")) return answer(200, who, ["Cache-Control: private, max-age=60"]);
    if (target.includes("public")) return answer(200, "for all", ["Cache-Control: public, max-age=60"]);
    return answer(200, who, ["Cache-Control: max-age=60"]);
  });
  verifier = await RawBackend.answering((got) => {
    const who = got.all("cookie").join("; ");
    return who.includes("who=ann") ? answer(200, "", ["X-User: ann"]) : answer(401);
  });
  mirrored = await RawBackend.answering(() => answer(200));
  const keys = ["ann", "bob"].map((name) => ({ name, key: hashed(name) }));
  const to = backend.url;
  const told = { requestHeaders: { set: { "x-user": "{user}", "x-name": "{claim.name}" } } };
  const oidc = { issuer: provider.issuer, ...CLIENT, cookieSecret: SECRET };
  const second = { ...oidc, ...SECOND_CLIENT, name: "second" };
  const domain = { ...oidc, name: "domain", session: { domain: "corp.localhost" } };
  const seen = { ...oidc, name: "seen", session: { idle: "800ms" } };
  proxy = await startProxy({
    trustedProxies: ["127.0.0.1"],
    listeners: [{ address: "127.0.0.1:0" }, { address: "127.0.0.1:0", h2c: true }],
    upstreams: { shadow: { servers: [mirrored.url] } },
    routes: [
      { match: { path: "/stored/*" }, auth: { apiKey: { keys } }, cache: true, ...told, to },
      { match: { path: "/key/*" }, auth: { apiKey: { keys } }, ...told, to },
      { match: { path: "/mirror/*" }, auth: { apiKey: { keys } }, mirror: { to: "shadow" }, ...told, to },
      { match: { path: "/asked/*" }, auth: { forward: { url: `${verifier.url}/verify`, cache: "1m" } }, ...told, to },
      { match: { path: "/open/*" }, ...told, to },
      { match: { path: "/second" }, auth: { oidc: second }, respond: { body: "{user}" } },
      { match: { host: "*.corp.localhost" }, auth: { oidc: domain }, respond: { body: "{user}" } },
      { match: { path: "/domain" }, auth: { oidc: domain }, respond: { body: "{user}" } },
      { match: { host: "seen.localhost" }, auth: { oidc: seen }, cache: true, ...told, to },
      { auth: { oidc }, ...told, to },
    ],
  });
});
afterAll(async () => {
  await Promise.all([proxy, backend, verifier, mirrored, provider].map((each) => each[Symbol.asyncDispose]()));
});

const h2Port = (): number => Number(proxy.proxy.addresses[1]!.split(":").at(-1));
const newBrowser = (): MiniBrowser => new MiniBrowser(() => proxy.port);
const ask = (target: string, fields: readonly string[] = [], method = "GET"): Promise<Message> =>
  exchange(proxy.port, request(target, fields, method));
const sessionIn = (browser: MiniBrowser, host: string): [string, string] | undefined =>
  [...browser.jar(host)].find(([name]) => !name.includes("-login-"));

async function signedIn(origin = APP, claims: Readonly<Record<string, unknown>> = {}): Promise<MiniBrowser> {
  await provider.set({ account: "ann", claims, accessTtl: 3600 });
  const browser = newBrowser();
  expect((await browser.open(`${origin}/`)).status).toBe(200);
  return browser;
}

describe("sessions", () => {
  test("a dump of the state opens nothing, and codes that are made up take no room in it", async () => {
    await using redis = await RedisServer.start();
    const oidc = {
      issuer: provider.issuer,
      ...CLIENT,
      cookieSecret: SECRET,
      session: { authHost: "app.localhost", returnTo: ["http://app.localhost", "http://two.localhost"] },
    };
    const stored = { ...oidc, ...SECOND_CLIENT, name: "stored", session: { store: "state" } } as const;
    const respond = { body: "{user}" };
    await using machine = await startProxy({
      cluster: { redis: redis.url },
      routes: [
        { match: { path: "/stored" }, auth: { oidc: stored }, respond },
        { auth: { oidc }, respond },
      ],
    });
    await provider.set({ account: "ann", claims: {}, accessTtl: 1 });
    const browser = new MiniBrowser(() => machine.port);
    expect((await browser.open(`${APP}/`)).body).toBe("ann");
    await Bun.sleep(1050);
    await provider.set({ accessTtl: 3600 });
    expect((await browser.ask(`${APP}/`)).body).toBe("ann"); // refreshed, and known to this thread
    const client = new Bun.RedisClient(redis.url);
    try {
      const names: string[] = await client.keys("*");
      const ids = names.map((name) => name.split("auth/latest/")[1]).filter((id) => id !== undefined);
      expect(ids.length).toBe(1);
      const [cookie] = sessionIn(browser, "app.localhost")!;
      for (const text of [0, 1, 2].flatMap((at) => [`${ids[0]} ${at}`, `"1${ids[0]} ${at}"`, `${ids[0]}`])) {
        const field = `${cookie}=${text.startsWith('"') ? text : `1${text}`}`;
        expect((await exchange(machine.port, request("/", [`Cookie: ${field}`]))).status).toBe(401);
      }
      await provider.set({ account: "a person's name" });
      const other = new MiniBrowser(() => machine.port);
      expect((await other.open(`${APP}/stored`)).body).toBe("a person's name");
      const all = await Promise.all((await client.keys("*")).map((key: string) => client.get(key).catch(() => null)));
      expect(all.filter((value) => value?.includes("person") || value?.includes("example.com"))).toEqual([]);
      const [, id] = /auth\/session\/(\S+)/.exec((await client.keys("*")).join("\n"))!;
      const [held] = sessionIn(other, "app.localhost")!;
      expect((await exchange(machine.port, request("/stored", [`Cookie: ${held}=1${id}`]))).status).toBe(401);
      await client.send("FLUSHALL", []);
      const copy = new MiniBrowser(() => machine.port);
      copy.cookies.set("app.localhost", new Map([sessionIn(other, "app.localhost")!]));
      expect((await copy.ask(`${APP}/stored`)).status).toBe(200); // known a moment ago
      const thief = new MiniBrowser(() => machine.port);
      await thief.ask("http://two.localhost/", NAVIGATION);
      const state = [...thief.jar("two.localhost").keys()][0]!.split("-login-")[1];
      for (let i = 0; i < 20; i += 1) {
        const code = Buffer.alloc(32, i).toString("base64url");
        const { status } = await thief.ask(`http://two.localhost/.auth/accept?code=${code}&state=${state}`, NAVIGATION);
        expect(status).toBe(400);
      }
      expect((await client.keys("*")).filter((name: string) => name.includes("auth/code"))).toEqual([]);
    } finally {
      client.close();
    }
  });

  test("the session of one realm is none in another, whatever its cookie is called", async () => {
    const browser = await signedIn();
    const [, value] = sessionIn(browser, "app.localhost")!;
    const other = newBrowser();
    await other.open(`${APP}/second`);
    const [name] = sessionIn(other, "app.localhost")!;
    expect((await ask("/second", [`Cookie: ${name}=${value}`])).status).toBe(401);
  });

  test("a cookie for a domain is for its hosts alone, and nobody signs in elsewhere", async () => {
    await provider.set({ account: "ann", claims: {} });
    const browser = newBrowser();
    const callback = await browser.until("http://a.corp.localhost/x", (url) => url.includes("/.auth/callback/"));
    const lines = (await browser.ask(callback, NAVIGATION)).headers.getSetCookie();
    expect(lines[0]).toMatch(/^__Secure-sluice-.*; Domain=corp\.localhost; Secure; HttpOnly; SameSite=Lax$/);
    browser.cookies.set("b.corp.localhost", new Map([sessionIn(browser, "a.corp.localhost")!]));
    expect((await browser.ask("http://b.corp.localhost/")).body).toBe("ann");
    for (const origin of ["http://evilcorp.localhost", "http://corp.localhost.localhost", APP])
      expect((await newBrowser().ask(`${origin}/domain`, NAVIGATION)).status).toBe(403);
  });

  test("clocks of provider and proxy may differ by two minutes, and by no more", async () => {
    const now = Math.floor(Date.now() / 1000);
    const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
    const told = async (at: number, more: object): Promise<number> => {
      const base = { iss: provider.issuer, aud: "web", sub: "nobody", iat: at, jti: crypto.randomUUID(), events };
      const body = `logout_token=${await provider.sign({ ...base, ...more })}`;
      const form = ["Content-Type: application/x-www-form-urlencoded"];
      return (await exchange(proxy.port, request("/.auth/backchannel-logout/default", form, "POST", body))).status;
    };
    expect([await told(now, { exp: now - 90 }), await told(now, { exp: now - 180 })]).toEqual([200, 400]);
    expect([await told(now + 90, { nbf: now + 90 }), await told(now, { nbf: now + 180 })]).toEqual([200, 400]);
    expect([await told(now - 280, {}), await told(now - 320, {}), await told(now + 320, {})]).toEqual([200, 400, 400]);
  });

  test("a callback with a parameter twice redeems nothing", async () => {
    const browser = newBrowser();
    const callback = new URL(await browser.until(`${APP}/`, (url) => url.includes("/.auth/callback/")));
    const before = await provider.counts();
    for (const name of ["code", "iss", "state"]) {
      const url = `${callback.href}&${name}=${encodeURIComponent(callback.searchParams.get(name) ?? "x")}`;
      expect([name, (await new MiniBrowser(() => proxy.port).ask(url, NAVIGATION)).status]).toEqual([name, 400]);
      const { cookies } = browser;
      const copy = newBrowser();
      for (const [host, jar] of cookies) copy.cookies.set(host, new Map(jar));
      expect((await copy.ask(url, NAVIGATION)).status).toBeGreaterThanOrEqual(400);
      expect(sessionIn(copy, "app.localhost")).toBeUndefined();
    }
    expect((await provider.counts()).token).toBe(before.token);
  });
});

describe("floods", () => {
  const from = (ip: string): Record<string, string> => ({ "x-forwarded-for": ip });

  test("logouts that browsers tell of are bounded for each address, and drive out no others", async () => {
    const browser = await signedIn();
    const copied = `Cookie: ${browser.field("app.localhost")}`;
    await browser.ask(`${APP}/.auth/logout`, NAVIGATION);
    const frame = (i: number) => `/.auth/frontchannel-logout?iss=${encodeURIComponent(provider.issuer)}&sid=${i}`;
    const statuses: number[] = [];
    for (let i = 0; i < 80; i += 1) statuses.push((await ask(frame(i), ["X-Forwarded-For: 198.51.100.1"])).status);
    expect(statuses.slice(0, 50).every((status) => status === 200)).toBe(true);
    expect(statuses.slice(70).every((status) => status === 429)).toBe(true);
    expect((await ask(frame(1), ["X-Forwarded-For: 198.51.100.2"])).status).toBe(200);
    expect((await ask("/", [copied])).status).toBe(401);
  });

  test("logins that nobody ends are too, and who is signed in does not wait", async () => {
    const browser = await signedIn();
    const asked: Promise<number>[] = [];
    for (let i = 0; i < 330; i += 1)
      asked.push(
        newBrowser()
          .ask(`${APP}/`, { ...NAVIGATION, ...from("198.51.100.3") })
          .then(({ status }) => status),
      );
    const statuses = await Promise.all(asked);
    expect(new Set(statuses)).toEqual(new Set([303, 429]));
    const limited = await newBrowser().ask(`${APP}/.auth/start`, { ...NAVIGATION, ...from("198.51.100.3") });
    expect([limited.status, Number(limited.headers.get("retry-after")) > 0]).toEqual([429, true]);
    expect((await browser.ask(`${APP}/`, from("198.51.100.3"))).status).toBe(200);
    expect((await newBrowser().ask(`${APP}/`, { ...NAVIGATION, ...from("198.51.100.4") })).status).toBe(303);
  });
});

describe("stored answers", () => {
  const as = (name: string): string[] => [`X-Api-Key: ${name}`];

  test("personal ones are for nobody else, also where both ask at once", async () => {
    for (const target of ["/stored/slow-private", "/stored/slow-plain"]) {
      const before = backend.requests.length;
      const both = [ask(target, as("ann")), ask(target, as("bob"))];
      await backend.received(before + 1);
      for (const deadline = Date.now() + 2000; Date.now() < deadline; ) {
        release?.();
        release = null;
        if ((await Promise.race([Promise.all(both), Bun.sleep(5)])) !== undefined) break;
      }
      expect((await Promise.all(both)).map(({ body }) => body)).toEqual(["for ann", "for bob"]);
    }
  });

  test("those for all are given to those who may, and to nobody else", async () => {
    expect((await ask("/stored/public", as("ann"))).body).toBe("for all");
    const before = backend.requests.length;
    expect((await ask("/stored/public", as("bob"))).body).toBe("for all");
    expect((await ask("/stored/public", as("eve"))).status).toBe(401);
    expect((await ask("/stored/public")).status).toBe(401);
    expect((await ask("/stored/public", ["Cache-Control: only-if-cached"])).status).toBe(401);
    expect(backend.requests.length).toBe(before);
  });

  test("a session that is written anew is in no stored answer", async () => {
    const browser = await signedIn("http://seen.localhost");
    await Bun.sleep(300);
    const first = await browser.ask("http://seen.localhost/public");
    expect(first.headers.getSetCookie().length).toBe(1);
    const other = await signedIn("http://seen.localhost");
    const second = await other.ask("http://seen.localhost/public");
    expect([second.body, second.headers.getSetCookie()]).toEqual(["for all", []]);
  });
});

describe("fields", () => {
  test("`Connection` takes no field away that says who it is (CVE-2024-45410)", async () => {
    await ask("/key/", ["X-Api-Key: ann", "Connection: close, X-User, X-Api-Key"]);
    expect(backend.requests.at(-1)!.field("x-user")).toBe("ann");
  });

  test("who asked before over the same connection is nobody for the next request", async () => {
    await using peer = await Peer.connect(proxy.port);
    peer.send(request("/key/", ["X-Api-Key: ann"]));
    expect((await peer.response()).body).toBe("for ann");
    peer.send(request("/open/", ["X-User: ann"]));
    await peer.response();
    expect(backend.requests.at(-1)!.field("x-user") ?? "").toBe("");
  });

  test("over HTTP/2 neither fields nor trailers say who it is", async () => {
    await using peer = await H2Peer.connect(h2Port());
    const spoofed = [
      ["x-user", "root"],
      ["x_user", "root"],
      ["remote-user", "root"],
    ] as const;
    peer.send(headers(1, requestFields("POST", "/open/h2", spoofed)), data(1, "a"));
    peer.send(frame("HEADERS", 1, END_STREAM | 4, headers(1, spoofed).subarray(9)));
    await peer.answer(1);
    const got = backend.requests.at(-1)!;
    expect([got.target, [...got.fields, ...got.trailers].filter(([, value]) => value === "root")]).toEqual([
      "/open/h2",
      [],
    ]);
  });

  test("a claim never ends a field", async () => {
    const browser = await signedIn(APP, { name: "Ann\r\nX-Admin: 1\r\n\r\nGET /smuggled HTTP/1.1\r\n" });
    const before = backend.requests.length;
    await browser.ask(`${APP}/claims`);
    const [got] = backend.requests.slice(before);
    expect(backend.requests.length).toBe(before + 1);
    expect([got!.field("x-admin"), got!.field("x-name")?.startsWith("Ann")]).toEqual([null, true]);
  });

  test("a copy of the traffic has no credentials in it", async () => {
    await ask("/mirror/", ["X-Api-Key: ann", "X-Forwarded-User: root"]);
    await mirrored.received(1);
    expect(["x-api-key", "x-forwarded-user"].map((name) => mirrored.requests[0]!.field(name))).toEqual([null, null]);
  });

  test("an auth server hears of the address from the proxy alone (GHSA-7x63), and each client for itself", async () => {
    const spellings = ["X_Forwarded_Uri", "X.Forwarded.Uri", "X-Forwarded_Uri", "x_original_url", "X_Real_IP"];
    expect((await ask("/asked/a", ["Cookie: who=ann", ...spellings.map((name) => `${name}: /open/`)])).status).toBe(
      200,
    );
    const got = verifier.requests.at(-1)!;
    expect([got.field("x-forwarded-uri"), got.fields.filter(([, value]) => value === "/open/")]).toEqual([
      "/asked/a",
      [],
    ]);
    expect((await ask("/asked/b", ["Cookie: a=b", "Cookie: who=ann"])).status).toBe(200);
    expect((await ask("/asked/b", ["Cookie: a=b", "Cookie: who=eve"])).status).toBe(401);
    expect((await ask("/asked/b", ["Cookie: a=b"])).status).toBe(401);
  });
});

test("no page shows what it is asked with as markup, and no field says which host it is (CVE-2024-21492 to 21500)", async () => {
  const evil = `"'><script>alert(1)</script>`;
  const forms = [evil, encodeURIComponent(evil)].map((text) =>
    text.replaceAll(/[<>" ]/g, (c) => encodeURIComponent(c)),
  );
  const paths = [
    "start?rd=",
    "providers?rd=",
    "logout?rd=",
    "callback/default?state=",
    "logged-out?state=",
    "accept?code=",
  ];
  for (const path of paths)
    for (const form of forms) {
      const page = await ask(`/.auth/${path}${form}`, ["Accept: text/html"]);
      expect([path, /<script|["']>/.test(page.body.replaceAll(/<(?:a|meta|html)[^>]*>/g, ""))]).toEqual([path, false]);
      expect(page.field("location") ?? "").not.toContain("script>");
    }
  const spoofed = {
    "x-forwarded-host": "evil.example",
    "x-original-url": "http://evil.example/",
    forwarded: "host=evil.example",
  };
  const { headers } = await newBrowser().ask(`${APP}/deep`, { ...NAVIGATION, ...spoofed });
  const location = new URL(headers.get("location")!);
  expect(location.origin).toBe(provider.issuer);
  expect(location.searchParams.get("redirect_uri")).toBe(`${APP}/.auth/callback/default`);
});

test("no spelling of a reserved path gets to a server", async () => {
  const before = backend.requests.length;
  const targets = ["/.auth/", "/.auth/x", "/%2Eauth/x", "/open/../.auth/x", "/./.auth/x", "/.auth/%2e%2e/.auth/x"];
  for (const target of [...targets, ...targets.map((each) => `http://other.example${each}`)]) {
    const { status } = await ask(target);
    expect([target, status === 404 || status === 400]).toEqual([target, true]);
  }
  expect((await ask("app.localhost:80", [], "CONNECT")).status).toBeGreaterThanOrEqual(400);
  expect(backend.requests.length).toBe(before);
  // What is another path for servers is another one here, and has the rules of its route.
  for (const target of ["//.auth/x", "/.AUTH/x", "/.auth", "/.auth%2fx", "/.auth;/x"])
    expect([target, [400, 401, 404].includes((await ask(target)).status)]).toEqual([target, true]);
  expect((await ask("/.auth/../open/")).status).toBe(200);
});
