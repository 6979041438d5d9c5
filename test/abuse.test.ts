// Bans, login throttling, honeypots and challenges as clients meet them.
import { describe, expect, test } from "bun:test";
import { answer, type Message, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { startProxy } from "./support/proxy.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, type SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const TRUST = { trustedProxies: ["127.0.0.1"] };
const ask = (port: number, target: string, ip: string, fields: readonly string[] = []): Promise<Message> =>
  exchange(port, request(target, [`x-forwarded-for: ${ip}`, ...fields]));

async function statuses(
  port: number,
  target: string,
  ip: string,
  times: number,
  fields: readonly string[] = [],
): Promise<number[]> {
  const found: number[] = [];
  for (let i = 0; i < times; i += 1) found.push((await ask(port, target, ip, fields)).status);
  return found;
}

describe("login throttling", () => {
  test("refuses the key on this route alone, for a while", async () => {
    const bans = {
      rules: [
        { on: 401 as const, count: 3, within: "1m", for: "1s", scope: "route" as const, key: ["ip", "header:x-user"] },
      ],
    };
    await using proxy = await startProxy({
      ...TRUST,
      routes: [
        { match: { path: "/login", header: { "x-right": true } }, name: "right", bans, respond: { status: 200 } },
        { match: { path: "/login" }, name: "login", bans, respond: { status: 401 } },
        { respond: { body: "ok" } },
      ],
    });
    const ann = ["x-user: ann"];
    expect(await statuses(proxy.port, "/login", "192.0.2.1", 5, ann)).toEqual([401, 401, 401, 429, 429]);
    const refused = await ask(proxy.port, "/login", "192.0.2.1", ann);
    expect([refused.field("retry-after"), JSON.parse(refused.body).detail]).toEqual([
      "1",
      "Too many failures: try again later.",
    ]);
    expect(await statuses(proxy.port, "/login", "192.0.2.1", 1, ["x-user: bob"])).toEqual([401]);
    expect(await statuses(proxy.port, "/login", "192.0.2.2", 1, ann)).toEqual([401]);
    expect(await statuses(proxy.port, "/", "192.0.2.1", 1, ann)).toEqual([200]);
    await until(async () => (await ask(proxy.port, "/login", "192.0.2.1", ann)).status === 401, "the end of the ban");
  });
});

test("a login that leads back to its form is a failure, one that leads on is none", async () => {
  const bans = { rules: [{ on: 302 as const, location: "/login*", count: 2, scope: "route" as const }] };
  await using backend = await RawBackend.answering(({ target }) =>
    answer(302, "", [`Location: ${target === "/in?right" ? "/home" : "https://a.example/login?to=https://b"}`]),
  );
  await using proxy = await startProxy({ ...TRUST, routes: [{ bans, to: backend.url }] });
  expect(await statuses(proxy.port, "/in?right", "192.0.2.1", 4)).toEqual([302, 302, 302, 302]);
  expect(await statuses(proxy.port, "/in", "192.0.2.1", 4)).toEqual([302, 302, 429, 429]);
  expect(await statuses(proxy.port, "/in?right", "192.0.2.1", 1)).toEqual([429]);
});

const denied = async (proxy: SluiceProcess): Promise<{ address: string; reason: string }[]> => {
  const { body } = await proxy.admin("GET", "/api/access/deny");
  return (body as { denied: { address: string; reason: string }[] }).denied;
};

test("who fails too often, or falls into a honeypot, is banned everywhere, and can be forgiven", async () => {
  using folder = new Folder();
  const config = {
    ...TRUST,
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 2,
    routes: [
      {
        name: "site",
        match: { host: "site.example" },
        bans: {
          rules: [{ on: [404, 429], count: 5 }],
          honeypots: ["/wp-login.php", "/.git/*"],
          except: ["192.0.2.100"],
        },
        files: { root: folder.path },
      },
      { name: "other", respond: { body: "ok" } },
    ],
  };
  await using proxy = await runConfig(folder, config);
  const port = proxy.port();
  const site = (target: string, ip: string) =>
    exchange(port, `GET ${target} HTTP/1.1\r\nHost: site.example\r\nX-Forwarded-For: ${ip}\r\n\r\n`).then(
      ({ status }) => status,
    );
  const seen: number[] = [];
  for (let i = 0; i < 7; i += 1) seen.push(await site(`/none${i}`, "192.0.2.1"));
  expect(seen).toEqual([404, 404, 404, 404, 404, 403, 403]);
  await until(async () => (await ask(port, "/", "192.0.2.1")).status === 403, "the ban on other routes");
  expect(await site("/.git/config", "2001:db8::1")).toBe(404);
  expect(await site("/sluice.json", "2001:db8::2")).toBe(403);
  await until(async () => (await denied(proxy)).length === 2, "two bans");
  expect(await denied(proxy)).toEqual([
    expect.objectContaining({ address: "192.0.2.1", reason: "5 failures on route site" }),
    expect.objectContaining({ address: "2001:db8::/64", reason: "honeypot on route site" }),
  ]);
  for (let i = 0; i < 7; i += 1) expect(await site("/wp-login.php", "192.0.2.100")).toBe(404);
  expect(await statuses(port, "/", "192.0.2.100", 1)).toEqual([200]);
  await proxy.counted('sluice_bans_total{route="site",scope="everywhere"}', 2);
  const response = await fetch(`${proxy.adminUrl}/api/access/deny/192.0.2.1`, { method: "DELETE" });
  expect(response.status).toBe(200);
  expect(await statuses(port, "/", "192.0.2.1", 4)).toEqual([200, 200, 200, 200]);
}, 20_000);

test("only who asks too often has to work", async () => {
  await using proxy = await startProxy({
    ...TRUST,
    routes: [{ challenge: { over: "10/h", difficulty: 8 }, respond: { body: "ok" } }],
  });
  expect(await statuses(proxy.port, "/", "192.0.2.1", 6)).toEqual([200, 200, 200, 200, 200, 403]);
  const page = await ask(proxy.port, "/", "192.0.2.1", ["accept: text/html"]);
  expect([page.status, page.field("content-type")]).toEqual([403, "text/html; charset=utf-8"]);
  expect(await statuses(proxy.port, "/", "192.0.2.2", 1)).toEqual([200]);
});

const WRONG: readonly (readonly [name: string, policy: object, message: RegExp])[] = [
  ["nobody is banned", { bans: {} }, /bans nobody/],
  ["a ban everywhere by a field", { bans: { rules: [{ on: 401, count: 1, key: "header:a" }] } }, /one of an address/],
  [
    "a location without redirects",
    { bans: { rules: [{ on: 401, count: 1, location: "/login" }] } },
    /statuses of redirects/,
  ],
  ["an exception that is no address", { bans: { honeypots: ["/x"], except: ["ten"] } }, /not an address/],
  ["a honeypot that is no path", { bans: { honeypots: ["x"] } }, /write a path/],
  ["a short secret", { challenge: { secret: "short" } }, /at least 16/],
];
describe("refused at start", () => {
  for (const [name, policy, message] of WRONG)
    test(name, async () =>
      expect(await startProxy({ routes: [{ ...policy, respond: {} }] }).then(String, String)).toMatch(message),
    );
});
