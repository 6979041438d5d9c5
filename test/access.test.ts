// Who may ask, as clients meet it: files that change, denials at run time, and connections that are dropped.
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mmdbOf } from "../src/filters/access/mmdb.testing.ts";
import { request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { startProxy } from "./support/proxy.ts";
import { Folder, runConfig, type SluiceProcess } from "./support/sluice.ts";
import { timed, until } from "./support/wait.ts";

const from = (port: number, ip: string) => exchange(port, request("/", [`x-forwarded-for: ${ip}`]));
const status = async (port: number, ip: string): Promise<number> => (await from(port, ip)).status;

test("403 says nothing of why, and the connection goes on", async () => {
  await using proxy = await startProxy({
    trustedProxies: ["127.0.0.1"],
    routes: [{ access: { deny: ["192.0.2.0/24"], methods: ["GET"] }, respond: { body: "ok" } }],
  });
  await using peer = await Peer.connect(proxy.port);
  peer.send(request("/", ["x-forwarded-for: 192.0.2.1"]) + request("/") + request("/", [], "DELETE"));
  const [denied, fine, method] = [await peer.response(), await peer.response(), await peer.response("DELETE")];
  expect([denied.status, fine.status, method.status]).toEqual([403, 200, 405]);
  expect(JSON.parse(denied.body)).toMatchObject({ status: 403, detail: "Access is denied." });
  expect(method.field("allow")).toBe("GET, HEAD");
});

describe("files", () => {
  test("are followed, and one that is broken stays as it was", async () => {
    using folder = new Folder();
    const list = folder.write("drop.txt", "192.0.2.1\n");
    const database = join(folder.path, "geo.mmdb");
    writeFileSync(database, mmdbOf({ "198.51.100.0/24": { country: { iso_code: "FR" } } }));
    const access = { denyFiles: ["drop.txt"], countries: { database: "geo.mmdb", deny: ["FR"] } };
    const config = {
      listeners: [{ address: "127.0.0.1:0" }],
      workers: 2,
      trustedProxies: ["127.0.0.1"],
      defaults: { access },
      routes: [{ respond: {} }],
    };
    await using proxy = await runConfig(folder, config);
    const port = proxy.port();
    const all = async (): Promise<number[]> => [
      await status(port, "192.0.2.1"),
      await status(port, "192.0.2.2"),
      await status(port, "198.51.100.1"),
    ];
    expect(await all()).toEqual([403, 200, 403]);
    writeFileSync(list, "192.0.2.2\n");
    await until(async () => `${await all()}` === "200,403,403" && `${await all()}` === "200,403,403", "the new list");
    writeFileSync(list, "not an address\n");
    await proxy.said(/cannot be used; it stays as it was.*line 1/);
    expect(await all()).toEqual([200, 403, 403]);
    writeFileSync(database, mmdbOf({ "192.0.2.1/32": { country: { iso_code: "FR" } } }));
    await until(
      async () => `${await all()}` === "403,403,200" && `${await all()}` === "403,403,200",
      "the new database",
    );
  }, 20_000);

  test("that cannot be used are told with their place", async () => {
    const folder = mkdtempSync(join(tmpdir(), "access-"));
    writeFileSync(join(folder, "bad.txt"), "10.0.0.1\nexample.com\n");
    writeFileSync(join(folder, "bad.mmdb"), "nothing");
    const start = (access: object) =>
      startProxy({ routes: [{ access, respond: {} }] }).then(
        () => "started",
        (error: Error) => error.message,
      );
    expect(await start({ denyFiles: [join(folder, "none.txt")] })).toMatch(/cannot be read/);
    const listener = await startProxy({
      listener: { access: { deny: ["10.0.0.1", "ten"] } },
      routes: [{ respond: {} }],
    }).catch(String);
    expect(listener).toMatch(/listeners\[0\]\.access\.deny\[1\].*"ten" is not an address/);
    expect(await start({ denyFiles: [join(folder, "bad.txt")] })).toMatch(/line 2: "example.com" is not/);
    expect(await start({ countries: { database: join(folder, "bad.mmdb"), deny: ["DE"] } })).toMatch(/not a database/);
    rmSync(folder, { recursive: true });
  });
});

const api = async (proxy: SluiceProcess, method: string, path: string, body?: unknown) => {
  const response = await fetch(`${proxy.adminUrl}/api/access/deny${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  return { status: response.status, body: (await response.json()) as { denied: { address: string }[]; until: string } };
};

test("addresses are denied at run time, on all routes and workers, beyond reloads, for their time", async () => {
  using folder = new Folder();
  const config = {
    listeners: [{ address: "127.0.0.1:0" }],
    workers: 2,
    trustedProxies: ["127.0.0.1"],
    routes: [{ respond: {} }],
  };
  await using proxy = await runConfig(folder, config);
  const port = proxy.port();
  const every = async (ip: string): Promise<string> => {
    const found = new Set<number>();
    for (let i = 0; i < 8; i += 1) found.add(await status(port, ip)); // whichever worker takes it
    return [...found].join();
  };
  expect((await api(proxy, "POST", "", { address: "192.0.2.0/24", reason: "scanner" })).status).toBe(201);
  expect(await every("192.0.2.9")).toBe("403");
  expect(await every("192.0.3.9")).toBe("200");
  expect((await proxy.reload()).status).toBe(200);
  expect((await proxy.admin("POST", "/api/workers/1/restart")).status).toBe(202);
  await until(
    async () => (await proxy.status()).workers.some(({ restarts, state }) => restarts === 1 && state === "ready"),
    "a new worker",
  );
  expect(await every("192.0.2.9")).toBe("403");
  expect((await api(proxy, "GET", "")).body.denied).toEqual([
    expect.objectContaining({ address: "192.0.2.0/24", reason: "scanner", until: null }),
  ]);
  expect((await api(proxy, "DELETE", `/${encodeURIComponent("192.0.2.0/24")}`)).status).toBe(200);
  expect(await every("192.0.2.9")).toBe("200");
  expect((await api(proxy, "DELETE", "/192.0.2.9")).status).toBe(404);
  expect((await api(proxy, "POST", "", { address: "ten" })).status).toBe(422);
  expect((await api(proxy, "POST", "", { address: "10.0.0.1", ttl: "soon" })).status).toBe(422);
  const brief = await api(proxy, "POST", "", { address: "2001:DB8:0:0::1", ttl: "1s" });
  expect(Date.parse(brief.body.until)).toBeGreaterThan(Date.now() - 1000);
  expect(await every("2001:db8::1")).toBe("403");
  await until(async () => (await every("2001:db8::1")) === "200", "the end of its time");
}, 20_000);

describe("connections", () => {
  const listener = (access: object, more: object = {}) => ({ ...more, access });
  test("of those who may not are closed before anything is read", async () => {
    await using proxy = await startProxy({ listener: listener({ deny: ["127.0.0.0/8"] }), routes: [{ respond: {} }] });
    await using peer = await Peer.connect(proxy.port);
    peer.send(request("/"));
    await peer.end();
    expect(peer.peek()).toBe("");
  });
  test("of those who may are served, TLS included", async () => {
    const access = { allow: ["127.0.0.1"] };
    await using plain = await startProxy({ listener: listener(access), routes: [{ respond: {} }] });
    expect((await exchange(plain.port, request("/"))).status).toBe(200);
    await using secure = await startProxy({
      listener: listener(access, { tls: { internal: true } }),
      routes: [{ respond: {} }],
    });
    const answer = await fetch(`https://localhost:${secure.port}/`, { tls: { rejectUnauthorized: false } });
    expect(answer.status).toBe(200);
  });
  test("are kept waiting in the tarpit, which gets nothing and gives nothing", async () => {
    await using proxy = await startProxy({
      listener: listener({ deny: ["127.0.0.1"], drop: "tarpit" }),
      routes: [{ respond: {} }],
    });
    await using peer = await Peer.connect(proxy.port);
    peer.send(request("/"));
    const ms = await timed(() => peer.end(300).catch(() => undefined));
    expect(ms).toBeGreaterThanOrEqual(290);
    expect(peer.peek()).toBe("");
  });
});
