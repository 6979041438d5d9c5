// Sessions of single sign-on while they last, and how they end: refresh in two workers at once, logout of each kind, the
// provider's word, expiry, secrets that change, and one sign-in for several hosts.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { RedisServer } from "../src/state/redis-server.testing.ts";
import { answer } from "./support/message.ts";
import { CLIENT, MiniBrowser, NAVIGATION, SECOND_CLIENT, TestProvider } from "./support/oidc.ts";
import { Peer } from "./support/peer.ts";
import { startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, type SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const SECRET = "a secret of the tests, long enough to be one";
const OLD_SECRET = "an older secret of the tests, long enough too";
const APP = "http://app.localhost";
const EVENT = { "http://schemas.openid.net/event/backchannel-logout": {} };

let provider: TestProvider;
let backend: RawBackend;
let sluice: SluiceProcess;
const folder = new Folder();
const storage = new Folder();

beforeAll(async () => {
  provider = await TestProvider.start();
  backend = await RawBackend.start(async (peer) => {
    let got = await peer.request();
    for (; got.field("upgrade") !== "websocket" && got.target !== "/stream"; got = await peer.request())
      peer.send(answer(200, got.field(got.target === "/consumer" ? "x-consumer" : "x-user") ?? "-"));
    if (got.field("upgrade") === "websocket") {
      peer.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
      peer.send(Buffer.from([0x82, 4, 1, 2])); // the first half of a frame
      await peer.through("more");
      peer.send(Buffer.from([3, 4, 0x82, 1, 5]));
    } else
      peer.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
      );
    await peer.end(60_000);
  });
  const scopes = ["openid", "email", "profile", "groups", "offline_access"];
  const base = { issuer: provider.issuer, ...CLIENT, scopes, cookieSecret: [SECRET, OLD_SECRET] };
  const second = { issuer: provider.issuer, ...SECOND_CLIENT, scopes, cookieSecret: SECRET };
  const route = { requestHeaders: { set: { "x-user": "{user}", "x-consumer": "{consumer}" } }, to: backend.url };
  const hosts = {
    ...second,
    name: "hosts",
    session: { authHost: "login.localhost", returnTo: ["http://one.localhost", "http://two.localhost"] },
  };
  sluice = await runConfig(folder, {
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 2,
    shutdown: { drain: "20ms" },
    storage: storage.path,
    routes: [
      {
        match: { host: "state.localhost" },
        auth: { oidc: { ...second, name: "state", session: { store: "state" } } },
        ...route,
      },
      {
        match: { host: "short.localhost" },
        auth: { oidc: { ...second, name: "short", session: { idle: "600ms", tunnel: "300ms" } } },
        ...route,
      },
      {
        match: { host: ["login.localhost", "one.localhost", "two.localhost", "evil.localhost"] },
        auth: { oidc: hosts },
        ...route,
      },
      { auth: { oidc: base, consumers: "optional" }, ...route },
    ],
    consumers: { "ann-inc": { credentials: [{ oidc: { issuer: provider.issuer, subject: "ann" } }] } },
  });
});
afterAll(async () => {
  await sluice[Symbol.asyncDispose]();
  await backend[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
  storage[Symbol.dispose]();
});

const newBrowser = (): MiniBrowser => new MiniBrowser(() => sluice.port());
const sessionOf = (browser: MiniBrowser, host: string): [string, string][] =>
  [...browser.jar(host)].filter(([name]) => name.startsWith("__Host-sluice-") && !name.includes("-login-"));

async function signedIn(settings: Readonly<Record<string, unknown>> = {}, origin = APP): Promise<MiniBrowser> {
  await provider.set({ account: "ann", claims: {}, accessTtl: 3600, tokenDown: false, delayMs: 0, ...settings });
  const browser = newBrowser();
  const page = await browser.open(`${origin}/`);
  expect([page.status, page.body]).toEqual([200, String(settings.account ?? "ann")]);
  return browser;
}

/** Asks without taking cookies, over a connection of its own. */
async function askAlone(browser: MiniBrowser, host = "app.localhost", target = "/"): Promise<Response> {
  const cookie = browser.field(host);
  return await fetch(`http://127.0.0.1:${sluice.port()}${target}`, {
    redirect: "manual",
    headers: { host, cookie, connection: "close" },
  });
}

test("somebody who has signed in is the consumer with that subject", async () => {
  const browser = await signedIn();
  expect((await browser.open(`${APP}/consumer`)).body).toBe("ann-inc");
  const other = await signedIn({ account: "bob" });
  expect((await other.open(`${APP}/consumer`)).body).toBe("-");
});

/** Whose access tokens have ended by the time of the second test. */
let due: MiniBrowser;
let gone: MiniBrowser;

test("fifty requests at once on two workers refresh once, and nobody is signed out (#490, #1992)", async () => {
  const hosts = ["app.localhost", "state.localhost"];
  const browsers = await Promise.all(hosts.map((host) => signedIn({ accessTtl: 1, delayMs: 150 }, `http://${host}`)));
  due = await signedIn({ accessTtl: 1 });
  gone = await signedIn({ accessTtl: 1, account: "gone" });
  await provider.set({ delayMs: 150 });
  await Bun.sleep(1100); // the access tokens end
  await provider.set({ accessTtl: 3600 });
  for (const [at, host] of hosts.entries()) {
    const browser = browsers[at]!;
    const before = await provider.counts();
    const all = await Promise.all(Array.from({ length: 50 }, () => askAlone(browser, host)));
    const after = await provider.counts();
    expect(all.map(({ status }) => status)).toEqual(all.map(() => 200));
    expect([after.token - before.token, after.refused - before.refused]).toEqual([1, 0]);
    // Who comes with the cookie of before, as its answer was lost, gets what the first one got.
    const late = await askAlone(browser, host);
    expect(late.status).toBe(200);
    expect((await provider.counts()).token).toBe(after.token);
    if (host === "app.localhost") expect(late.headers.getSetCookie()).toHaveLength(1);
  }
});

test("a provider that is down ends no session, one that says no does (#3369, PR#3333)", async () => {
  await provider.set({ tokenDown: true });
  const counts = await provider.counts();
  expect((await due.ask(`${APP}/`)).status).toBe(200);
  expect(await provider.counts()).toEqual(counts);
  await provider.set({ tokenDown: false });
  await provider.forget(); // no refresh token is one any more
  for (let i = 0; i < 4; i += 1) expect((await askAlone(gone)).status).toBe(401);
});

test("logout ends the session here, at the provider, and for whoever copied the cookie", async () => {
  const browser = await signedIn();
  const stolen = newBrowser();
  for (const [name, value] of browser.jar("app.localhost")) stolen.jar("app.localhost").set(name, value);
  expect((await askAlone(stolen)).status).toBe(200);
  const out = await browser.ask(`${APP}/.auth/logout?rd=/bye`, NAVIGATION);
  const url = new URL(out.headers.get("location")!);
  expect(`${url.origin}${url.pathname}`).toBe(`${provider.issuer}/session/end`);
  expect(url.searchParams.get("id_token_hint")?.split(".")).toHaveLength(3);
  expect(url.searchParams.get("post_logout_redirect_uri")).toBe(`${APP}/.auth/logged-out`);
  expect(sessionOf(browser, "app.localhost")).toEqual([]);
  const back = `${APP}/.auth/logged-out?state=${url.searchParams.get("state")}`;
  expect((await browser.ask(back, NAVIGATION)).headers.get("location")).toBe(`${APP}/bye`);
  for (let i = 0; i < 4; i += 1) expect((await askAlone(stolen)).status).toBe(401); // by both workers
});

const tokenOf = (more: Readonly<Record<string, unknown>>): Record<string, unknown> => {
  const now = Math.floor(Date.now() / 1000);
  const { issuer } = provider;
  return {
    iss: issuer,
    aud: "web",
    iat: now,
    exp: now + 60,
    jti: crypto.randomUUID(),
    events: EVENT,
    sub: "ann",
    ...more,
  };
};
const tellLogout = (token: string, name = "default"): Promise<Response> =>
  fetch(`http://127.0.0.1:${sluice.port()}/.auth/backchannel-logout/${name}`, {
    method: "POST",
    headers: { host: "app.localhost", "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({ logout_token: token }),
  });

test("the provider's word ends sessions, and nobody else's does (#1224)", async () => {
  const browser = await signedIn();
  const now = Math.floor(Date.now() / 1000);
  const wrong: readonly (readonly [name: string, payload: Record<string, unknown>, more?: Record<string, unknown>])[] =
    [
      ["foreign key", tokenOf({}), { foreign: true }],
      ["foreign issuer", tokenOf({ iss: "https://evil.example" })],
      ["foreign audience", tokenOf({ aud: "second" })],
      ["with a nonce", tokenOf({ nonce: "n" })],
      ["without events", tokenOf({ events: {} })],
      ["without jti", tokenOf({ jti: undefined })],
      ["old", tokenOf({ iat: now - 3600 })],
      ["over", tokenOf({ exp: now - 3600 })],
      ["about nobody", tokenOf({ sub: undefined })],
      ["unsigned", tokenOf({}), { header: { alg: "none" }, plain: true }],
    ];
  for (const [name, payload, more] of wrong) {
    const token = await provider.sign(payload, more?.plain === true ? {} : more);
    const [, body] = token.split(".");
    const sent = more?.plain === true ? `${Buffer.from('{"alg":"none"}').toString("base64url")}.${body}.` : token;
    expect([name, (await tellLogout(sent)).status]).toEqual([name, 400]);
  }
  expect((await askAlone(browser)).status).toBe(200);
  const token = await provider.sign(tokenOf({}));
  const told = await tellLogout(token);
  expect([told.status, told.headers.get("cache-control")]).toEqual([200, "no-store"]);
  for (let i = 0; i < 4; i += 1) expect((await askAlone(browser)).status).toBe(401);
  expect((await tellLogout(token)).status).toBe(400); // a token counts once
  const again = await signedIn(); // who signs in after that is not meant
  expect((await askAlone(again)).status).toBe(200);
});

test("by its sid one session ends, and the others of the same person go on; front-channel too", async () => {
  const status = async (browser: MiniBrowser): Promise<number> => (await askAlone(browser)).status;
  const [one, other] = [await signedIn(), await signedIn()];
  // The provider's session outlives ours, and has the same name for the next one.
  const sid = sidOf(await one.ask(`${APP}/.auth/logout`, NAVIGATION));
  const frame = `${APP}/.auth/frontchannel-logout?iss=${encodeURIComponent(provider.issuer)}&sid=${sid}`;
  const ends: readonly (() => Promise<unknown>)[] = [
    async () => {
      const told = await tellLogout(await provider.sign(tokenOf({ sid })));
      expect([told.status, await told.text()]).toEqual([200, ""]);
    },
    async () =>
      expect((await newBrowser().ask(frame)).headers.get("content-security-policy")).toContain(provider.issuer),
  ];
  for (const end of ends) {
    await one.open(`${APP}/`);
    expect(await status(one)).toBe(200);
    await end();
    expect([await status(one), await status(other)]).toEqual([401, 200]);
  }
  expect((await newBrowser().ask(`${APP}/.auth/frontchannel-logout?iss=https://evil.example&sid=x`)).status).toBe(404);
});

/** The provider's session, by the ID token that a logout shows. */
function sidOf(page: { readonly headers: Headers }): string {
  const hint = new URL(page.headers.get("location")!).searchParams.get("id_token_hint")!;
  return String(JSON.parse(Buffer.from(hint.split(".")[1]!, "base64url").toString()).sid ?? "");
}

test("a WebSocket is closed with 1008 between two frames, and a stream is cut, when the session ends (pomerium#1327)", async () => {
  const open = async (host: string, cookies: string): Promise<Peer> => {
    const socket = await Peer.connect(sluice.port());
    const upgrade = [
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Version: 13",
      `Origin: http://${host}`,
    ];
    const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    socket.send(["GET /ws HTTP/1.1", `Host: ${host}`, ...upgrade, key, `Cookie: ${cookies}`, "", ""].join("\r\n"));
    expect((await socket.head()).status).toBe(101);
    expect(await socket.bytes(4)).toBe("\x82\x04\x01\x02");
    return socket;
  };
  const brief = await signedIn({}, "http://short.localhost");
  await using limited = await open("short.localhost", brief.field("short.localhost")); // `tunnel` ends it
  const browser = await signedIn();
  const cookie = `Cookie: ${browser.field("app.localhost")}`;
  await using socket = await open("app.localhost", browser.field("app.localhost"));
  await using stream = await Peer.connect(sluice.port());
  stream.send(["GET /stream HTTP/1.1", "Host: app.localhost", cookie, "", ""].join("\r\n"));
  expect((await stream.head()).status).toBe(200);
  await stream.through("hello\r\n");
  await browser.ask(`${APP}/.auth/logout`, NAVIGATION);
  await stream.end();
  socket.send("more");
  expect(await socket.bytes(6)).toBe("\x03\x04\x88\x02\x03\xf0"); // the frame's rest, then 1008, and not the next one
  await socket.end();
  await Bun.sleep(500);
  limited.send("more");
  expect(await limited.bytes(6)).toBe("\x03\x04\x88\x02\x03\xf0");
});

test("a session ends when nobody has used it for long", async () => {
  const browser = await signedIn({}, "http://short.localhost");
  for (let i = 0; i < 4; i += 1) {
    await Bun.sleep(160);
    expect((await browser.ask("http://short.localhost/")).status).toBe(200); // used, it goes on
  }
  await Bun.sleep(650);
  expect((await browser.ask("http://short.localhost/")).status).toBe(401);
});

test("a session under an older secret goes on under the new one; other secrets open nothing", async () => {
  const { issuer } = provider;
  const respond = { body: "{user}" };
  const proxyWith = (cookieSecret: string | string[]): ReturnType<typeof startProxy> =>
    startProxy({ routes: [{ auth: { oidc: { issuer, ...CLIENT, cookieSecret } }, respond }] });
  await using first = await proxyWith(OLD_SECRET);
  await using second = await proxyWith([SECRET, OLD_SECRET]);
  await using third = await proxyWith(SECRET);
  let port = first.port;
  const browser = new MiniBrowser(() => port);
  await provider.set({ account: "ann" });
  expect((await browser.open(`${APP}/`)).body).toBe("ann");
  port = third.port;
  expect((await browser.ask(`${APP}/`)).status).toBe(401);
  port = second.port;
  expect((await browser.ask(`${APP}/`)).body).toBe("ann");
  port = third.port;
  expect((await browser.ask(`${APP}/`)).body).toBe("ann"); // it was encrypted anew
});

test("sessions in the state: what is stored opens with the cookie alone", async () => {
  const browser = await signedIn({}, "http://state.localhost");
  expect(sessionOf(browser, "state.localhost")[0]![1].length).toBeLessThan(200);
  const stored = [...new Bun.Glob("state/values/*").scanSync(storage.path)].filter((name) => name.includes("session"));
  expect(stored.length).toBeGreaterThan(0);
  for (const name of stored) expect(await Bun.file(`${storage.path}/${name}`).text()).not.toContain("ann");
  await browser.ask("http://state.localhost/.auth/logout", NAVIGATION);
  for (let i = 0; i < 4; i += 1) expect((await askAlone(browser, "state.localhost")).status).toBe(401);
});

test("one sign-in holds for hosts of other domains, by codes that are good once and for who asked", async () => {
  await provider.set({ account: "ann", claims: {}, accessTtl: 3600 });
  const browser = newBrowser();
  const first = await browser.open("http://one.localhost/deep?x=1");
  expect([first.url, first.body]).toEqual(["http://one.localhost/deep?x=1", "ann"]);
  expect(browser.visited.some((url) => url.startsWith("http://login.localhost/.auth/callback/hosts"))).toBe(true);
  const asked = browser.visited.length;
  const accept = await browser.until("http://two.localhost/", (url) => url.includes("/.auth/accept"));
  expect(browser.visited.slice(asked).some((url) => url.startsWith(provider.issuer))).toBe(false);
  expect(accept).not.toContain("ey"); // neither a token nor a session is in the address
  const thief = newBrowser();
  expect((await thief.ask(accept, NAVIGATION)).status).toBe(400);
  expect((await thief.ask(accept.replace("two.", "one."), NAVIGATION)).status).toBe(400);
  expect((await browser.open(accept)).body).toBe("ann");
  browser.jar("two.localhost").clear();
  expect((await browser.ask(accept, NAVIGATION)).status).toBe(400);
  expect((await browser.open("http://two.localhost/again")).body).toBe("ann");
  const evil = await newBrowser().open("http://evil.localhost/");
  expect(evil.status).toBe(403);
  await browser.ask("http://one.localhost/.auth/logout", NAVIGATION);
  for (const host of ["one", "two", "login"])
    expect([host, (await askAlone(browser, `${host}.localhost`)).status]).toEqual([host, 401]);
});

test("two machines refresh once together, and hear of each other's logouts", async () => {
  await using redis = await RedisServer.start();
  const config = {
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 1,
    cluster: { redis: redis.url },
    routes: [
      { auth: { oidc: { issuer: provider.issuer, ...CLIENT, cookieSecret: SECRET } }, respond: { body: "{user}" } },
    ],
  };
  using folders = new DisposableStack();
  const start = (): Promise<SluiceProcess> => runConfig(folders.use(new Folder()), config);
  const machines = await Promise.all([start(), start()]);
  try {
    await provider.set({ account: "ann", claims: {}, accessTtl: 1, delayMs: 100 });
    const browser = new MiniBrowser(() => machines[0]!.port());
    expect((await browser.open(`${APP}/`)).body).toBe("ann");
    await Bun.sleep(1100);
    await provider.set({ accessTtl: 3600 });
    const before = await provider.counts();
    const headers = { host: "app.localhost", cookie: browser.field("app.localhost") };
    const ask = (at: number): Promise<Response> => fetch(`http://127.0.0.1:${machines[at]!.port()}/`, { headers });
    const all = await Promise.all(Array.from({ length: 20 }, (_, i) => ask(i % 2)));
    expect(all.map(({ status }) => status)).toEqual(all.map(() => 200));
    const after = await provider.counts();
    expect([after.token - before.token, after.refused - before.refused]).toEqual([1, 0]);
    await browser.ask(`${APP}/.auth/logout`, NAVIGATION);
    await until(async () => (await ask(1)).status === 401, "the other machine to hear of the logout");
  } finally {
    for (const machine of machines) await machine[Symbol.asyncDispose]();
  }
});

test("logouts are known after a restart", async () => {
  const browser = await signedIn();
  const copy = browser.field("app.localhost");
  await browser.ask(`${APP}/.auth/logout`, NAVIGATION);
  await sluice[Symbol.asyncDispose]();
  const file = `${folder.path}/sluice.json`;
  sluice = await runConfig(folder, JSON.parse(await Bun.file(file).text()));
  const ask = async (): Promise<number> =>
    (await fetch(`http://127.0.0.1:${sluice.port()}/`, { headers: { host: "app.localhost", cookie: copy } })).status;
  await until(async () => (await ask()) === 401, "the session to be ended");
});
