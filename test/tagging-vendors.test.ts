// What passes between pages and vendors on the site's own address, with vendors as they were seen to behave. The numbers
// are those of the behaviours that the presets are to have.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OpaqueNames, unveiled, veiled } from "../src/engines/tagging/opaque.ts";
import { Analytics } from "./support/analytics.ts";
import { startProxy, type TestProxy } from "./support/proxy.ts";

const GRANTED = { default: "granted" } as const;
const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.7";
const COOKIES = "session=s3cret; _ga=GA1.1.1; FPID=x; csrf=y";

let vendor: Analytics;
let proxy: TestProxy;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tagging-vendors-"));
  vendor = await Analytics.start();
  const to = vendor.url;
  const consent = GRANTED;
  proxy = await startProxy({
    storage: folder,
    routes: [
      { match: { path: "/gtg/*" }, tagging: { preset: "google-tag-gateway", id: "G-ABC123", to, consent } },
      { match: { path: "/sgtm/*" }, tagging: { preset: "sgtm", to, consent } },
      { match: { path: "/ga4/*" }, tagging: { preset: "ga4", to, consent } },
      { match: { path: "/pl/*" }, tagging: { preset: "plausible", to, consent } },
      { match: { path: "/ma/*" }, tagging: { preset: "matomo", to, token: "write", consent } },
      { match: { path: "/ph/*" }, tagging: { preset: "posthog", to, consent } },
      { match: { path: "/um/*" }, tagging: { preset: "umami", to, consent } },
      { match: { path: "/basic/*" }, tagging: { preset: "sgtm", to } },
      { match: { path: "/advanced/*" }, tagging: { preset: "sgtm", to, consent: { mode: "advanced" } } },
      { match: { path: "/page/*" }, inject: { script: "/ga4/t.js", guard: true }, to: "page" },
    ],
    upstreams: { page: { servers: [pages.url.origin] } },
  });
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await vendor[Symbol.asyncDispose]();
  await pages.stop(true);
  rmSync(folder, { recursive: true });
});

const pages = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: () =>
    new Response("<!doctype html><html><!-- <head> --><head><title>größe</title></head><body>b</body></html>", {
      headers: {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": "script-src 'self' 'nonce-abc123'",
      },
    }),
});

const ask = (path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(proxy.url + path, {
    redirect: "manual",
    ...init,
    headers: { "user-agent": FIREFOX, cookie: COOKIES, authorization: "Bearer x", ...init.headers },
  });

/** Where each preset puts a hit, and how the vendor is asked. */
const HITS: readonly (readonly [preset: string, path: string, asked: RegExp])[] = [
  ["google-tag-gateway", "/gtg/p/g/collect?v=2&tid=G-ABC123&en=x", /^\/gtg\/p\/g\/collect\?v=2&tid=G-ABC123&en=x$/],
  ["sgtm", "/sgtm/g/collect?v=2&tid=G-A&en=x", /^\/g\/collect\?v=2&tid=G-A&en=x$/],
  ["ga4", "/ga4/g/collect?v=2&tid=G-A&en=x", /^\/g\/collect\?v=2&tid=G-A&en=x$/],
  ["plausible", "/pl/api/event?d=s.example", /^\/api\/event\?d=s\.example$/],
  ["matomo", "/ma/matomo.php?idsite=1&rec=1", /^\/matomo\.php\?idsite=1&rec=1&cip=127\.0\.0\.0&token_auth=write$/],
  ["posthog", "/ph/e/?ip=1", /^\/e\/\?ip=1$/],
  ["umami", "/um/api/send", /^\/api\/send$/],
];

describe("hits (1, 4, 38)", () => {
  test.each(HITS)("%s", async (_preset, path, asked) => {
    const response = await ask(path, { method: "POST", body: "x=1", headers: { "content-type": "text/plain" } });
    expect(response.status).toBeLessThan(300);
    expect(vendor.last.target).toMatch(asked);
    expect(vendor.last.headers.host).toBe(vendor.host);
  });

  test.each(HITS)("of %s say no more than they may (6, 7, 28)", async (_preset, path) => {
    await ask(path, { headers: { "x-forwarded-for": "198.51.100.7", "sec-ch-ua-model": "X" } });
    const { headers } = vendor.last;
    expect(headers["x-forwarded-for"]).toBe("127.0.0.0");
    expect(headers.authorization).toBeUndefined();
    expect(headers["sec-ch-ua-model"]).toBeUndefined();
    expect(headers["user-agent"]).toContain("Firefox/128.0");
    expect(headers.cookie ?? "").not.toMatch(/session|csrf/);
    expect(headers.cookie).toBe("_ga=GA1.1.1; FPID=x");
  });

  test("of vendors come no cookies but those that may (8)", async () => {
    const cookies = (await ask("/sgtm/g/collect?v=2&tid=G-A&en=x")).headers.getSetCookie();
    expect(cookies.length).toBe(2);
    expect(cookies[0]).toMatch(/^FPID=a\.b; Path=\/; .*Max-Age=34560000/);
    for (const cookie of cookies) {
      expect(cookie).toMatch(/; Secure; SameSite=Lax$/);
      expect(cookie).not.toContain("Domain");
    }
  });

  test("have nothing personal in them (25, 26)", async () => {
    const personal = encodeURIComponent("https://s.example/?email=ann@example.com");
    const body = "en=x&ep.mail=ann%40example.com";
    await ask(`/sgtm/g/collect?v=2&tid=G-A&dl=${personal}`, { method: "POST", body });
    expect(decodeURIComponent(vendor.last.target)).not.toContain("ann");
    expect(vendor.last.body.toString()).not.toContain("ann");
    expect(vendor.last.body.toString()).toContain("en=x");
  });
});

describe("consent (11, 12, 13)", () => {
  const hit = "/g/collect?v=2&tid=G-A&cid=7.7&en=x";
  test("without it nothing is passed on", async () => {
    const before = vendor.asked.length;
    expect((await ask(`/basic${hit}`)).status).toBe(204);
    expect((await ask(`/sgtm${hit}&gcs=G100`)).status).toBe(204);
    expect((await ask(`/sgtm${hit}`, { headers: { dnt: "1" } })).status).toBe(204);
    expect(vendor.asked.length).toBe(before);
  });

  test("or passed on without ids and cookies, in both directions", async () => {
    const response = await ask(`/advanced${hit}&uid=ann`);
    expect(vendor.last.headers.cookie).toBeUndefined();
    expect(vendor.last.target).not.toMatch(/7\.7|uid/);
    expect(response.headers.getSetCookie()).toEqual([]);
  });
});

describe("scripts (16, 17, 18, 19)", () => {
  test("ask the site in place of the vendor, and nobody in place of others", async () => {
    const response = await ask("/ga4/gtag/js?id=G-A");
    const text = await response.text();
    expect(text).toContain(`${proxy.url}/ga4/gtag/js`);
    expect(text).toContain("www.googletagmanager.com.evil.com");
    expect(text).toContain("größe");
    expect(text).not.toMatch(/\/\/www\.google(?:tagmanager|-analytics)\.com[/'"]/);
    expect(response.headers.get("content-type")).toBe("application/javascript; charset=UTF-8");
    expect(response.headers.getSetCookie()).toEqual([]);
  });

  test("that come compressed all the same are read and rewritten", async () => {
    vendor.deaf = true;
    const text = await (await ask("/ga4/gtag/js?id=G-DEAF")).text();
    vendor.deaf = false;
    expect(text).toContain(`${proxy.url}/ga4/gtag/js`);
  });

  test("are fetched once, and given out while the vendor is down", async () => {
    const of = async (): Promise<string> => (await ask("/ga4/gtag/js?id=G-ONCE")).text();
    const texts = await Promise.all([of(), of(), of()]);
    expect(new Set(texts).size).toBe(1);
    expect(vendor.count("G-ONCE")).toBe(1);
    vendor.down = true;
    expect(await of()).toBe(texts[0]!);
    vendor.down = false;
  });

  test("of a preview are never kept, and their large fields pass (24)", async () => {
    const preview = { headers: { cookie: "gtm_debug=1" } };
    for (let i = 0; i < 2; i += 1) await (await ask("/sgtm/gtm.js?id=GTM-P", preview)).text();
    expect(vendor.count("GTM-P")).toBe(2);
    const response = await ask("/sgtm/debug-me", { headers: { "x-gtm-server-preview": "p" } });
    expect(response.headers.get("x-encrypted-debug-headers")?.length).toBe(120_000);
  });
});

test("pages get the script and the guard in their head, with the nonce of their policy (20, 21)", async () => {
  const text = await (await ask("/page/a", { headers: { accept: "text/html" } })).text();
  expect(text.match(/<script/g)?.length).toBe(2);
  expect(text).toMatch(/<!-- <head> --><head><script[^>]*src="\/ga4\/guard\.js"[^>]*>/);
  expect(text.match(/nonce="abc123"/g)?.length).toBe(2);
  expect(text).toContain("<title>größe</title>");
  expect(await (await ask("/ga4/guard.js")).text()).toContain("www.googletagmanager.com");
});

test("names that say nothing hold for a while, and what is veiled comes out again (22, 23)", () => {
  const options = { secret: "0123456789abcdef", scope: "r", rotateMs: 1000, overlapMs: 500 };
  const names = new OpaqueNames(options, ["t", "relay"]);
  const name = names.name("t", names.period(10_000));
  expect(name).not.toBe(new OpaqueNames({ ...options, scope: "s" }, ["t", "relay"]).name("t", names.period(10_000)));
  expect(names.find(name, 10_999)).toMatchObject({ what: "t" });
  expect(names.find(name, 11_400)).toMatchObject({ what: "t" });
  expect(names.find(name, 12_600)).toBeNull();
  expect(unveiled(veiled("/g/collect?v=2", name), name)).toBe("/g/collect?v=2");
  expect(unveiled("%%", name)).toBeNull();
});
