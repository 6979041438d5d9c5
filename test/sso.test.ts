// Single sign-on against a real provider: signing in, who may, and what attackers try on the way.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Rng } from "../src/core/fuzz.testing.ts";
import { answer, type Message } from "./support/message.ts";
import { CLIENT, MiniBrowser, NAVIGATION, SECOND_CLIENT, TestProvider } from "./support/oidc.ts";
import { exchange } from "./support/peer.ts";
import { refusingPort } from "./support/ports.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";

const SECRET = "a secret of the tests, long enough to be one";
const SCOPES = ["openid", "email", "profile", "groups"];

let provider: TestProvider;
let backend: RawBackend;
let proxy: TestProxy;

beforeAll(async () => {
  provider = await TestProvider.start();
  backend = await RawBackend.answering((got) => answer(200, `server ${got.target} ${got.field("x-user") ?? "-"}`));
  const base = { issuer: provider.issuer, ...CLIENT, scopes: SCOPES, cookieSecret: SECRET };
  const pages = { title: "Example" };
  const second = { issuer: provider.issuer, ...SECOND_CLIENT, scopes: SCOPES, cookieSecret: SECRET, name: "second" };
  const plain = {
    authorization: `${provider.issuer}/plain/authorize`,
    token: `${provider.issuer}/plain/token`,
    userinfo: `${provider.issuer}/plain/user`,
    emails: `${provider.issuer}/plain/emails`,
    groups: `${provider.issuer}/plain/orgs`,
  };
  const oidc = {
    ...base,
    pages,
    graph: `${provider.issuer}/graph`,
    claims: ["padding"],
    session: { returnTo: ["https://ok.example"] },
  };
  const choice = {
    providers: {
      main: { issuer: provider.issuer, ...CLIENT, title: "Main <b>" },
      octo: { oauth2: plain, clientId: "plain", user: "preferred_username" },
    },
    cookieSecret: SECRET,
  };
  const respond = { body: "hello {user} {claim.groups}" };
  proxy = await startProxy({
    routes: [
      { match: { host: "second.localhost" }, auth: { oidc: second }, respond },
      { match: { path: "/second" }, auth: { oidc: second }, respond },
      {
        match: { host: "choice.localhost" },
        auth: { oidc: choice },
        respond: { body: "hello {user} {claim.email} {claim.groups}" },
      },
      { match: { path: "/staff" }, auth: { oidc: { ...oidc, allow: { groups: ["staff"] } } }, respond },
      { match: { path: "/corp" }, auth: { oidc: { ...oidc, allow: { emails: ["*@corp.com"] } } }, respond },
      {
        match: { path: "/api/*" },
        auth: { oidc },
        cors: { origins: ["https://app.example"], credentials: true },
        respond,
      },
      { match: { path: "/public" }, to: backend.url },
      {
        match: { path: "/server/*" },
        auth: { oidc },
        requestHeaders: { set: { "x-user": "{user}" } },
        to: backend.url,
      },
      { auth: { oidc }, respond },
    ],
  });
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
});

const APP = "http://app.localhost";
const newBrowser = (): MiniBrowser => new MiniBrowser(() => proxy.port);
const isCallback = (url: string): boolean => url.includes("/.auth/callback/");
const sessionOf = (browser: MiniBrowser, host = "app.localhost"): [string, string][] =>
  [...browser.jar(host)].filter(([name]) => name.startsWith("__Host-sluice-") && !name.includes("-login-"));
const loginsOf = (browser: MiniBrowser): string[] =>
  [...browser.jar("app.localhost").keys()].filter((name) => name.includes("-login-"));

/** When the first one has signed in. */
let firstAt = 0;

async function signedIn(
  account = "ann",
  claims: Readonly<Record<string, unknown>> = {},
  path = "/",
): Promise<MiniBrowser> {
  await provider.set({ account, claims });
  const browser = newBrowser();
  const page = await browser.open(`${APP}${path}`);
  expect(page.body).toContain(account);
  firstAt ||= performance.now();
  return browser;
}

test("a login leads back to path and query (#587, #870, #1607), and its cookies are as safe as cookies can be", async () => {
  await provider.set({ account: "ann", claims: {} });
  const browser = newBrowser();
  const first = await browser.ask(`${APP}/deep/link?a=1&b=%2F`, NAVIGATION);
  const login = new URL(first.headers.get("location")!);
  expect(login.searchParams.get("code_challenge_method")).toBe("S256");
  for (const name of ["state", "nonce", "code_challenge"])
    expect(login.searchParams.get(name)?.length).toBeGreaterThan(20);
  expect(first.headers.get("cache-control")).toBe("no-store");
  const page = await browser.open(login.href);
  expect([page.url, page.body]).toEqual([`${APP}/deep/link?a=1&b=%2F`, "hello ann "]);
  const lines = first.headers.getSetCookie();
  for (const line of lines)
    expect(line).toMatch(/^__Host-[^=]+=[^;]+; Max-Age=600; Path=\/; Secure; HttpOnly; SameSite=Lax$/);
  expect(loginsOf(browser)).toEqual([]);
  expect(sessionOf(browser)).toHaveLength(1);
});

test("ten tabs that sign in at once all succeed, and a callback that comes twice leads on (#611, #1685)", async () => {
  await provider.set({ account: "ann", claims: {} });
  const browser = newBrowser();
  const starts = await Promise.all(Array.from({ length: 10 }, (_, i) => browser.ask(`${APP}/tab/${i}`, NAVIGATION)));
  const callbacks: string[] = [];
  for (const start of starts) callbacks.push(await browser.until(start.headers.get("location")!, isCallback));
  const ends = await Promise.all(callbacks.map((url) => browser.ask(url, NAVIGATION)));
  expect(ends.map(({ headers }) => headers.get("location"))).toEqual(ends.map((_, i) => `${APP}/tab/${i}`));
  const again = await browser.ask(callbacks[3]!, NAVIGATION);
  expect([again.status, again.headers.get("location")]).toEqual([303, `${APP}/tab/3`]);
});

test("logins that nobody ends leave five cookies at the most, the newest (#2163, #2383)", async () => {
  const browser = newBrowser();
  for (let i = 0; i < 8; i += 1) await browser.ask(`${APP}/tab/${i}`, NAVIGATION);
  expect(loginsOf(browser)).toHaveLength(5);
});

const NO_LOGIN: readonly (readonly [name: string, headers: Readonly<Record<string, string>>])[] = [
  ["a fetch", { accept: "*/*", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty" }],
  ["XMLHttpRequest of an old browser", { accept: "text/html, */*", "x-requested-with": "XMLHttpRequest" }],
  ["an image", { accept: "image/*", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" }],
  ["a prefetch", { ...NAVIGATION, "sec-purpose": "prefetch" }],
  ["a frame", { ...NAVIGATION, "sec-fetch-dest": "iframe" }],
  ["a program", { accept: "*/*" }],
];
for (const [name, headers] of NO_LOGIN) {
  test(`${name} gets 401 with where to sign in, and begins no login (#1393, #2481)`, async () => {
    const browser = newBrowser();
    const page = await browser.ask(`${APP}/api/x`, { ...headers, origin: "https://app.example" });
    expect(page.status).toBe(401);
    expect(JSON.parse(page.body)).toMatchObject({ status: 401, login: expect.stringContaining(`${APP}/.auth/start`) });
    expect(page.headers.get("www-authenticate")).toContain("Cookie");
    expect(page.headers.get("access-control-allow-origin")).toBe("https://app.example");
    expect(page.headers.get("access-control-allow-credentials")).toBe("true");
    expect(page.headers.getSetCookie()).toEqual([]);
  });
}

test("a preflight passes without a session, and a POST is not replayed (#822)", async () => {
  const browser = newBrowser();
  const origin = { origin: "https://app.example", "access-control-request-method": "POST" };
  expect((await browser.ask(`${APP}/api/x`, origin, { method: "OPTIONS" })).status).toBeLessThan(300);
  expect((await browser.ask(`${APP}/form`, NAVIGATION, { method: "POST", body: "a=1" })).status).toBe(401);
});

const LEADS_AWAY = [
  "//evil.example",
  "/\\evil.example",
  "\\\\evil.example",
  "/./\\evil.example",
  "/%5cevil.example",
  "/.//evil.example",
  "///evil.example",
  "https://evil.example/",
  "https://app.localhost@evil.example/",
  "https://app.localhost.evil.example/",
  "http://app.localhost\\@evil.example/",
  "http:evil.example",
  "https:///evil.example",
  "javascript:alert(1)",
  "/\t/evil.example",
  "https://evil-ok.example/",
  "https://ok.example.evil.example/",
];
test("no address leads to another origin after login or logout (GHSA-5m6c, GHSA-j7px, GHSA-4mf2)", async () => {
  const browser = await signedIn();
  for (const bad of LEADS_AWAY) {
    const rd = encodeURIComponent(bad);
    const page = await browser.open(`${APP}/.auth/start?provider=default&rd=${rd}`);
    expect([bad, page.url]).toEqual([bad, `${APP}/`]);
  }
  const out = await newBrowser().ask(
    `${APP}/.auth/logout?rd=${encodeURIComponent("https://evil.example/")}`,
    NAVIGATION,
  );
  expect(out.headers.get("location")).toStartWith(`${APP}/.auth/logged-out`);
  const realm = sessionOf(browser)[0]![0].slice("__Host-sluice-".length);
  const ok = `${APP}/.auth/logout?realm=${realm}&rd=https%3A%2F%2Fok.example%2Fbye`;
  const allowed = await newBrowser().ask(ok, NAVIGATION);
  expect(allowed.headers.get("location")).toBe("https://ok.example/bye");
});

test("servers see who it is but no cookie of the proxy's, on routes without auth neither (#644, bitly#346)", async () => {
  const browser = await signedIn();
  browser.jar("app.localhost").set("theme", "dark");
  expect((await browser.ask(`${APP}/server/a`)).body).toBe("server /server/a ann");
  const seen = backend.requests.at(-1) as Message;
  expect(seen.field("cookie")).toBe("theme=dark");
  await browser.ask(`${APP}/public`);
  expect(backend.requests.at(-1)!.field("cookie")).toBe("theme=dark");
});

test("twelve kilobytes of claims fit into cookies that belong together (#659, #1071)", async () => {
  const padding = Array.from({ length: 120 }, (_, i) => `${i}-${"p".repeat(95)}`);
  const browser = await signedIn("big", { padding });
  const pieces = sessionOf(browser);
  expect(pieces.length).toBeGreaterThan(3);
  for (const [name, value] of pieces)
    expect(`${name}=${value}; Max-Age=604800; Path=/; Secure; HttpOnly; SameSite=Lax`.length).toBeLessThanOrEqual(4000);
  expect((await browser.ask(`${APP}/`)).body).toBe("hello big ");
  const jar = browser.jar("app.localhost");
  const whole = new Map(jar);
  const [second, third] = [pieces[1]!, pieces[2]!];
  const attacks: readonly (readonly [string, () => void])[] = [
    ["reordered", () => void jar.set(second[0], third[1]).set(third[0], second[1])],
    ["changed", () => void jar.set(second[0], `${second[1].slice(0, -1)}${second[1].endsWith("A") ? "B" : "A"}`)],
    ["one missing", () => void jar.delete(third[0])],
    ["cut", () => void jar.set(pieces[0]![0], `1${pieces[0]![1].slice(1)}`)],
  ];
  for (const [name, attack] of attacks) {
    attack();
    expect([name, (await browser.ask(`${APP}/`)).status]).toEqual([name, 401]);
    for (const [key, value] of whole) jar.set(key, value);
  }
  await provider.set({ claims: {} });
  await browser.open(`${APP}/.auth/start?provider=default&rd=/`);
  expect(sessionOf(browser)).toHaveLength(1); // the pieces of before are gone
});

test("pieces of two sessions make no third one", async () => {
  const padding = Array.from({ length: 60 }, (_, i) => `${i}-${"p".repeat(95)}`);
  const [one, other] = [await signedIn("big", { padding }), await signedIn("bog", { padding })];
  const piece = sessionOf(other)[1]!;
  one.jar("app.localhost").set(piece[0], piece[1]);
  expect((await one.ask(`${APP}/`)).status).toBe(401);
});

test("a session is made at login, whatever cookie was there before (GHSA-f24x)", async () => {
  const [attacker, victim] = [await signedIn("eve"), newBrowser()];
  const planted = sessionOf(attacker)[0]!;
  victim.jar("app.localhost").set(...planted);
  await provider.set({ account: "ann" });
  await victim.open(`${APP}/.auth/start?provider=default&rd=/`);
  expect((await victim.ask(`${APP}/`)).body).toBe("hello ann ");
  expect(sessionOf(victim)[0]![1]).not.toBe(planted[1]);
  expect((await attacker.ask(`${APP}/`)).body).toBe("hello eve ");
});

test("a login is not finished in another browser, with another issuer, or without its state (login CSRF, mix-up)", async () => {
  await provider.set({ account: "eve", claims: {} });
  const attacker = newBrowser();
  const callback = await attacker.until(`${APP}/`, isCallback);
  const victim = newBrowser();
  expect((await victim.ask(callback, NAVIGATION)).status).toBe(400);
  const forged = new URL(callback);
  forged.searchParams.set("iss", "https://evil.example");
  expect((await attacker.ask(forged.href, NAVIGATION)).status).toBe(403);
  const later = new URL(await attacker.until(`${APP}/`, isCallback));
  later.searchParams.delete("iss");
  expect((await attacker.ask(later.href, NAVIGATION)).status).toBe(403);
  const nowhere = await attacker.ask(`${APP}/.auth/callback/default?code=x&state=y`, NAVIGATION);
  expect([nowhere.status, nowhere.headers.get("location")]).toEqual([400, null]);
  const refused = new URL(await attacker.until(`${APP}/`, isCallback));
  refused.searchParams.delete("code");
  refused.searchParams.set("error", "access_denied");
  refused.searchParams.set("error_description", "<script>alert(1)</script>");
  const page = await attacker.ask(refused.href, NAVIGATION);
  expect(page.status).toBe(403);
  expect(page.body).not.toContain("alert(1)");
  expect(page.headers.get("content-security-policy")).toStartWith("default-src 'none'; style-src 'sha256-");
  expect(sessionOf(attacker)).toEqual([]);
});

test("whatever comes to a callback or another endpoint, the answer is a page or a refusal", async () => {
  const browser = newBrowser();
  const callback = await browser.until(`${APP}/`, isCallback);
  const rng = new Rng(8);
  const pieces = [
    "code",
    "state",
    "iss",
    "error",
    "=",
    "&",
    "%00",
    "%ff",
    "+",
    "x".repeat(300),
    "[]",
    "realm",
    "to",
    "rd",
  ];
  for (let i = 0; i < 150; i += 1) {
    const path = rng.pick([
      "callback/default",
      "callback/none",
      "callback/",
      "start",
      "accept",
      "logged-out",
      "providers",
    ]);
    const own = rng.oneIn(3) ? new URL(callback).search.slice(1, 1 + rng.below(400)) : "";
    const query = own + Array.from({ length: rng.below(9) }, () => rng.pick(pieces)).join("");
    const { status, headers } = await browser.ask(`${APP}/.auth/${path}?${query}`, NAVIGATION);
    const location = headers.get("location") ?? APP;
    expect([200, 303, 400, 403, 404]).toContain(status);
    expect([APP, provider.issuer]).toContain(new URL(location, APP).origin);
  }
});

const EMAILS: readonly (readonly [claims: Readonly<Record<string, unknown>>, status: number])[] = [
  [{ email: "ann@corp.com" }, 200],
  [{ email: "a@evil@corp.com" }, 403],
  [{ email: "ann@corp.com.evil.example" }, 403],
  [{ email: "ann@evilcorp.com" }, 403],
  [{ email: "ann@corp.com", email_verified: false }, 403],
  [{ email: "ann@corp.com", email_verified: "true" }, 403],
  [{ email: ["ann@corp.com"] }, 403],
];
test("rules look at verified addresses alone (GHSA-c5c4)", async () => {
  for (const [claims, status] of EMAILS) {
    const browser = await signedIn("ann", claims);
    expect([claims, (await browser.ask(`${APP}/corp`, NAVIGATION)).status]).toEqual([claims, status]);
  }
});

test("groups decide by route, also those that Microsoft leaves out; the 403 page is not the 401 (#1158, #2154)", async () => {
  const outside = await signedIn("out", { groups: ["guests"] });
  const page = await outside.ask(`${APP}/staff`, NAVIGATION);
  expect(page.status).toBe(403);
  expect(page.body).toContain("This is not for you");
  expect((await outside.ask(`${APP}/staff`)).headers.get("content-type")).toContain("problem+json");
  expect((await outside.ask(`${APP}/`)).status).toBe(200);
  const inside = await signedIn("ann", { groups: ["guests", "staff"] });
  expect((await inside.ask(`${APP}/staff`, NAVIGATION)).body).toBe("hello ann guests,staff");
  await provider.set({ graphGroups: ["g1", "staff"] });
  const overage = { _claim_names: { groups: "s" }, _claim_sources: { s: { endpoint: "https://evil.example/" } } };
  const many = await signedIn("many", overage);
  expect((await many.ask(`${APP}/staff`)).body).toBe("hello many g1,staff");
});

test("two providers on two routes have sessions of their own, whose cookies do not collide (#926)", async () => {
  const browser = await signedIn();
  const second = await browser.open(`${APP}/second`);
  expect(second.body).toStartWith("hello ann");
  expect(browser.visited.some((url) => url.includes("client_id=second"))).toBe(true);
  expect(sessionOf(browser)).toHaveLength(2);
  await browser.open(`${APP}/.auth/logout`);
  expect(sessionOf(browser)).toHaveLength(1);
});

test("of several providers one is chosen, and plain OAuth 2.0 is enough", async () => {
  const browser = newBrowser();
  const page = await browser.open("http://choice.localhost/deep?x=1");
  expect(page.body).toContain("Main &#60;b&#62;");
  const links = [...page.body.matchAll(/href="([^"]+)"/g)].map(([, href]) => href!.replaceAll("&#38;", "&"));
  expect(links).toHaveLength(2);
  const end = await browser.open(`http://choice.localhost${links[1]}`);
  expect([end.url, end.body]).toEqual(["http://choice.localhost/deep?x=1", "hello octo octo@example.com makers"]);
});

const AROUND = [
  "/public/../secret",
  "/public/%2e%2e/secret",
  "/public%2f..%2fsecret",
  "/public;/../secret",
  "/public/..;/secret",
];
test("no spelling of an open path opens another one, and no User-Agent does (GHSA-7rh7, GHSA-pxq7, GHSA-5hvv)", async () => {
  const paths = [
    ...AROUND,
    "//public/../secret",
    "/secret?/public",
    "/secret%23/public",
    "/secret%3f/public",
    "/./secret",
  ];
  for (const path of paths) {
    const text = [
      `GET ${path} HTTP/1.1`,
      "Host: app.localhost",
      "User-Agent: GoogleHC/1.0",
      "Connection: close",
      "",
      "",
    ];
    const { status } = await exchange(proxy.port, text.join("\r\n"));
    expect([path, status === 400 || status === 401]).toEqual([path, true]);
  }
});

test("fields of identity come from the proxy alone, on open routes too (CVE-2025-64484)", async () => {
  const spoofed = { "x-user": "root", x_user: "root" };
  await newBrowser().ask(`${APP}/public`, spoofed);
  expect(backend.requests.at(-1)!.fields.filter(([name]) => /x[-_]user/i.test(name))).toEqual([]);
  const browser = await signedIn();
  expect((await browser.ask(`${APP}/server/a`, spoofed)).body).toBe("server /server/a ann");
});

test("a WebSocket of another origin is refused, one without a session gets 401 (#2996)", async () => {
  const browser = await signedIn();
  const upgrade = {
    upgrade: "websocket",
    connection: "upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "a".repeat(22),
  };
  expect((await browser.ask(`${APP}/server/ws`, { ...upgrade, origin: "https://evil.example" })).status).toBe(403);
  expect((await browser.ask(`${APP}/server/ws`, { ...upgrade, origin: APP })).status).toBe(200);
  expect((await newBrowser().ask(`${APP}/server/ws`, { ...upgrade, origin: APP })).status).toBe(401);
});

test("nothing below the reserved prefix is forwarded, and userinfo tells who it is", async () => {
  const browser = await signedIn();
  expect((await browser.ask(`${APP}/.auth/nothing`)).status).toBe(404);
  const page = await browser.ask(`${APP}/.auth/userinfo`);
  expect(JSON.parse(page.body)).toMatchObject({ user: "ann", provider: "default" });
  expect((await newBrowser().ask(`${APP}/.auth/userinfo`)).status).toBe(401);
});

test("while the provider is down, who is signed in stays so, and others are told", async () => {
  const browser = await signedIn();
  await provider.set({ tokenDown: true });
  const other = newBrowser();
  const page = await other.open(`${APP}/`);
  expect([page.status, page.headers.get("retry-after")]).toEqual([503, "5"]);
  expect(page.body).toContain("cannot be reached");
  expect((await browser.ask(`${APP}/`)).body).toBe("hello ann ");
  await provider.set({ tokenDown: false });
  expect((await other.open(`${APP}/`)).status).toBe(200);
});

test("a provider that nobody can reach keeps nothing from starting: logins are told, and tried again later", async () => {
  const port = await refusingPort();
  const oidc = { issuer: `http://127.0.0.1:${port}`, ...CLIENT, cookieSecret: SECRET };
  await using other = await startProxy({
    routes: [
      { match: { path: "/open" }, respond: { body: "open" } },
      { auth: { oidc }, respond: { body: "in" } },
    ],
  });
  const browser = new MiniBrowser(() => other.port);
  expect((await browser.ask(`${APP}/open`)).body).toBe("open");
  for (let i = 0; i < 2; i += 1) expect((await browser.open(`${APP}/`)).status).toBe(503);
});

test("keys that the provider has changed are fetched", async () => {
  await signedIn();
  await Bun.sleep(Math.max(0, firstAt + 1050 - performance.now())); // keys are not fetched again within a second
  await provider.rotateKeys();
  await signedIn();
});
