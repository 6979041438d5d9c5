// Single sign-on in a real browser: a deep link, ten tabs at once, the choice page, a WebSocket whose session ends, and
// what the pages look like to those who cannot see them.
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Page } from "playwright-core";
import { BROWSER_START_MS, openPage } from "./support/browser.ts";
import { CLIENT, SECOND_CLIENT, TestProvider } from "./support/oidc.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";
import { Folder } from "./support/sluice.ts";
import { Pki } from "./support/tls.ts";

const SECRET = "a secret of the tests, long enough to be one";
const SOCKET = `<!doctype html><html lang="en"><title>in</title><body><h1 id="who">USER</h1><script>
window.connect = () => new Promise((resolve, reject) => {
  const socket = new WebSocket("wss://" + location.host + "/socket");
  socket.onmessage = () => resolve(new Promise((closed) => { window.closed = closed; }));
  socket.onclose = ({ code }) => { window.code = code; };
  socket.onerror = reject;
  socket.onopen = () => { window.open_ = true; resolve("open"); };
});
</script>`;

const folder = new Folder();
let pki: Pki;
let provider: TestProvider;
let backend: Bun.Server<undefined>;
let proxy: TestProxy;
let page: Page;

beforeAll(async () => {
  pki = await Pki.make();
  provider = await TestProvider.start();
  backend = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch(request, server) {
      if (server.upgrade(request)) return undefined;
      const user = request.headers.get("x-user") ?? "";
      return new Response(SOCKET.replace("USER", user), { headers: { "content-type": "text/html" } });
    },
    websocket: { message() {} },
  });
  const files = await pki.files("server", { names: ["localhost", "choice.localhost"] });
  const oidc = { issuer: provider.issuer, ...CLIENT, cookieSecret: SECRET };
  const providers = {
    one: { issuer: provider.issuer, ...CLIENT, title: "Example" },
    two: { issuer: provider.issuer, ...SECOND_CLIENT, title: "Other" },
  };
  const to = `http://127.0.0.1:${backend.port}`;
  const requestHeaders = { set: { "x-user": "{user}" } };
  proxy = await startProxy({
    listener: { tls: { certificates: [files] } },
    routes: [
      { match: { host: "choice.localhost" }, auth: { oidc: { providers, cookieSecret: SECRET } }, requestHeaders, to },
      { auth: { oidc }, requestHeaders, to },
    ],
  });
  page = await openPage("about:blank", folder.path, "--ignore-certificate-errors");
}, BROWSER_START_MS);
afterAll(async () => {
  await page.context().close();
  await proxy[Symbol.asyncDispose]();
  await backend.stop(true);
  await provider[Symbol.asyncDispose]();
  pki[Symbol.dispose]();
  folder[Symbol.dispose]();
});

const at = (path: string, host = "localhost"): string => `https://${host}:${proxy.port}${path}`;

test("ten tabs of a browser that is not signed in all end where they began", async () => {
  const tabs = await Promise.all(Array.from({ length: 10 }, () => page.context().newPage()));
  await Promise.all(tabs.map((tab, i) => tab.goto(at(`/deep/${i}?q=${i}`))));
  expect(tabs.map((tab) => tab.url())).toEqual(tabs.map((_, i) => at(`/deep/${i}?q=${i}`)));
  for (const tab of tabs) expect(await tab.textContent("#who")).toBe("ann");
  const cookies = await page.context().cookies(at("/"));
  const session = cookies.filter(({ name }) => name.startsWith("__Host-sluice-") && !name.includes("-login-"));
  expect(session.map(({ httpOnly, secure, sameSite }) => [httpOnly, secure, sameSite])).toEqual([[true, true, "Lax"]]);
  await Promise.all(tabs.map((tab) => tab.close()));
}, 20_000);

test("a script that asks without a session gets 401, and no login begins", async () => {
  await page.goto(at("/"));
  const state = await page.context().storageState();
  await page.context().clearCookies();
  const status = await page.evaluate(async () => (await fetch("/data", { redirect: "manual" })).status);
  expect(status).toBe(401);
  expect((await page.context().cookies()).filter(({ name }) => name.includes("sluice"))).toEqual([]);
  await page.context().addCookies(state.cookies);
});

test("a WebSocket is closed with 1008 when its session ends in another tab", async () => {
  await page.goto(at("/"));
  expect(await page.evaluate("window.connect()")).toBe("open");
  const other = await page.context().newPage();
  await other.goto(at("/.auth/logout"), { waitUntil: "commit" });
  await page.waitForFunction("window.code !== undefined", undefined, { timeout: 8000 });
  expect(await page.evaluate("window.code")).toBe(1008);
  await other.close();
}, 20_000);

test("the page on which a provider is chosen works with the keyboard, without scripts", async () => {
  const url = at("/deep?x=1", "choice.localhost");
  await page.goto(url);
  expect(await page.title()).toBe("Sign in");
  expect(await page.getAttribute("html", "lang")).toBe("en");
  expect(await page.locator("main h1").count()).toBe(1);
  expect(await page.locator("script").count()).toBe(0);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  expect(await page.evaluate("document.activeElement.textContent")).toBe("Sign in with Other");
  await page.keyboard.press("Enter");
  await page.waitForURL(url);
  expect(await page.textContent("#who")).toBe("ann");
}, 20_000);
