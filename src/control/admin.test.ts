import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Purge } from "../cache/purge.ts";
import type { Diagnostic } from "../config/diagnostic.ts";
import { createLog } from "../observe/log.ts";
import { type AdminServer, startAdmin } from "./admin.ts";
import type { AdminBackend, ExplainQuery, ProxyStatus, Readiness, ReloadResult } from "./admin-backend.ts";
import { Commons } from "./commons.ts";
import { EventHub } from "./events.ts";
import { fleetOf } from "./fleet.testing.ts";
import { upstreamReport } from "./upstream-report.ts";
import { WafBlocks } from "./waf-blocks.ts";

const TOKEN = "correct horse".replace(" ", "-");
const STATUS: ProxyStatus = {
  version: "1.2.3",
  pid: 42,
  state: "ready",
  startedAt: "2026-01-01T00:00:00.000Z",
  configFile: "/etc/<b>.yaml",
  configLoadedAt: "2026-01-01T00:00:01.000Z",
  listeners: [{ address: ":0", bound: "[::]:8080", http3: false }],
  workers: [{ id: 1, state: "ready", connections: 3, restarts: 0 }],
};
const DIAGNOSTIC: Diagnostic = {
  severity: "error",
  message: "no such key",
  file: "s.yaml",
  line: 3,
  column: 5,
  path: ["routes", 0],
};

class Backend implements AdminBackend {
  readiness: Readiness = { ready: true, reasons: [] };
  result: ReloadResult = { ok: true, diagnostics: [] };
  readonly done: string[] = [];
  asked: ExplainQuery | null = null;
  status = () => STATUS;
  config = () => ({ admin: { token: "hush" }, listeners: [{ address: ":8080" }] });
  routes = () => [{ name: "r", to: "http://u:p@h/" }];
  commons = new Commons(createLog("error"), () => {});
  events = new EventHub(() => {});
  wafBlocks = new WafBlocks();
  fleet = fleetOf({ app: { servers: ["127.0.0.1:1"] } }).fleet;
  certificates = () => [];
  cache = () => [{ worker: 0, bytes: 10, bytesMax: 20, addresses: 1, evictions: 0, filling: 0 }];
  cacheDisk = () => null;
  purges: Purge[] = [];
  async purge(purge: Purge) {
    this.purges.push(purge);
    return { purged: 3 };
  }
  upstreams = () => upstreamReport(this.fleet.report(), []);
  heard = async () => {};
  ready = () => this.readiness;
  metrics = async () => ({ text: "up 1\n", contentType: "text/plain; version=0.0.4" });
  async reload() {
    this.done.push("reload");
    return this.result;
  }
  drain() {
    this.done.push("drain");
  }
  explain(query: ExplainQuery): unknown {
    if (query.url === "bad") throw new RangeError("not a URL");
    if (query.url === "bug") throw new Error("a bug with internals");
    this.asked = query;
    return { route: "r" };
  }
  restartWorker(id: number) {
    if (id === 1) this.done.push("restart 1");
    return id === 1;
  }
}

type Body = string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;

let backend: Backend;
let said: string[];
let servers: AdminServer[];
const folder = mkdtempSync(join(tmpdir(), "sluice-admin-"));
beforeEach(() => {
  backend = new Backend();
  said = [];
  servers = [];
});
afterEach(() => {
  backend.fleet.stop();
  return Promise.all(servers.map((server) => server.close()));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function start(address = "127.0.0.1:0", token?: string): Promise<AdminServer> {
  const server = await startAdmin(
    { address, token, log: createLog("info", { write: (line) => said.push(line) }) },
    backend,
  );
  servers.push(server);
  return server;
}

const send = (server: AdminServer, method: string, path: string, init: RequestInit = {}) =>
  fetch(`http://${server.address}${path}`, { method, ...init });
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

test("what each endpoint answers", async () => {
  const server = await start();
  const cases: readonly (readonly [path: string, contentType: string, want: unknown])[] = [
    ["/healthz", "text/plain; charset=utf-8", "ok\n"],
    ["/readyz", "application/json", { ready: true, reasons: [] }],
    ["/metrics", "text/plain; version=0.0.4", "up 1\n"],
    ["/api/status", "application/json", { ...STATUS, ready: { ready: true, reasons: [] } }],
    ["/api/config", "application/json", { admin: { token: "[redacted]" }, listeners: [{ address: ":8080" }] }],
    [
      "/api/cache",
      "application/json",
      { workers: [{ worker: 0, bytes: 10, bytesMax: 20, addresses: 1, evictions: 0, filling: 0 }], disk: null },
    ],
    ["/api/routes", "application/json", [{ name: "r", to: "http://[redacted]@h/" }]],
  ];
  for (const [path, contentType, want] of cases) {
    const response = await send(server, "GET", path);
    expect([path, response.status, response.headers.get("content-type")]).toEqual([path, 200, contentType]);
    expect(response.headers.get("cache-control")).toBe("no-store");
    const body = await response.text();
    expect<unknown>(typeof want === "string" ? body : JSON.parse(body)).toEqual(want);
  }
  const head = await send(server, "HEAD", "/api/status");
  expect([head.status, await head.text()]).toEqual([200, ""]);
  expect(said).toEqual([]); // looking changes nothing
});

describe("a purge", () => {
  const post = async (body: unknown) => {
    const headers = { "content-type": "application/json" };
    const response = await send(await start(), "POST", "/api/cache/purge", { body: JSON.stringify(body), headers });
    return [response.status, await response.json()];
  };
  const GOOD: readonly (readonly [body: unknown, want: Purge])[] = [
    [{ url: "https://a.example/b?c" }, { kind: "url", value: "https://a.example/b?c", soft: false }],
    [
      { prefix: "https://a.example/b", soft: true },
      { kind: "prefix", value: "https://a.example/b", soft: true },
    ],
    [{ tag: "t" }, { kind: "tag", value: "t", soft: false }],
    [{ all: true }, { kind: "all", value: "", soft: false }],
  ];
  for (const [body, want] of GOOD)
    test(JSON.stringify(body), async () => {
      expect(await post(body)).toEqual([200, { purged: 3 }]);
      expect(backend.purges).toEqual([want]);
      expect(said.join("")).toContain("cache purged");
    });
  for (const body of [{}, { all: false }, { url: "/b" }, { prefix: "ftp://a/" }, { tag: "t", all: true }, { tag: "" }])
    test(`${JSON.stringify(body)} is refused`, async () => {
      expect((await post(body))[0]).toBe(400);
      expect(backend.purges).toEqual([]);
    });
});

test("the page shows the status, escaped, and allows no script", async () => {
  backend.readiness = { ready: false, reasons: ["upstream <x> has no server"] };
  const response = await send(await start(), "GET", "/");
  const page = await response.text();
  expect(page).toContain("Sluice is not ready");
  expect(page).toContain("/etc/&#60;b&#62;.yaml");
  expect(page).toContain("upstream &#60;x&#62; has no server");
  expect(page).toContain(
    "<td>app</td><td>127.0.0.1:1</td><td>yes</td><td>unknown</td><td>ready</td><td>1</td><td>0</td>",
  );
  expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
});

test("not ready: 503 with the reasons", async () => {
  backend.readiness = { ready: false, reasons: ["draining"] };
  const server = await start();
  const response = await send(server, "GET", "/readyz");
  expect([response.status, await response.json()]).toEqual([503, { ready: false, reasons: ["draining"] }]);
  expect((await send(server, "GET", "/healthz")).status).toBe(200);
});

test("reload: 200, or 422 with diagnostics; both are logged", async () => {
  const server = await start();
  expect(await (await send(server, "POST", "/api/config/reload")).json()).toEqual({ ok: true, diagnostics: [] });
  backend.result = { ok: false, diagnostics: [DIAGNOSTIC] };
  const refused = await send(server, "POST", "/api/config/reload");
  expect([refused.status, refused.headers.get("content-type")]).toEqual([422, "application/problem+json"]);
  expect(await refused.json()).toMatchObject({ status: 422, diagnostics: [DIAGNOSTIC] });
  expect(backend.done).toEqual(["reload", "reload"]);
  expect(said.map((line) => line.slice(25).trimEnd())).toEqual([
    "info  admin: configuration reloaded from=127.0.0.1 warnings=0",
    "warn  admin: reload refused; nothing was changed from=127.0.0.1 problems=1",
  ]);
});

test("drain and worker restarts are done, logged, and refused where there is nothing to restart", async () => {
  const server = await start();
  expect((await send(server, "POST", "/api/drain")).status).toBe(202);
  expect((await send(server, "POST", "/api/workers/1/restart")).status).toBe(202);
  for (const id of ["2", "x", "1e0", "-1", "99999999999999"])
    expect((await send(server, "POST", `/api/workers/${id}/restart`)).status).toBe(404);
  expect(backend.done).toEqual(["drain", "restart 1"]);
  expect(said.length).toBe(2);
});

describe("explain", () => {
  const post = async (body: Body, type = "application/json") => {
    const response = await send(await start(), "POST", "/api/explain", { body, headers: { "content-type": type } });
    return [response.status, ((await response.json()) as { detail?: string }).detail ?? null] as const;
  };
  test("a query with defaults", async () => {
    expect(await post('{"url":"http://a/"}')).toEqual([200, null]);
    expect(backend.asked).toEqual({ method: "GET", url: "http://a/", ip: null, headers: [] });
  });
  test("a whole query", async () => {
    await post(JSON.stringify({ method: "PUT", url: "/x", ip: "192.0.2.1", headers: { a: "1", b: ["2", "3"] } }));
    expect(backend.asked).toEqual({
      method: "PUT",
      url: "/x",
      ip: "192.0.2.1",
      headers: [
        ["a", "1"],
        ["b", "2"],
        ["b", "3"],
      ],
    });
  });
  const REFUSED: readonly (readonly [name: string, body: Body, type: string, status: number])[] = [
    ["no JSON", "{", "application/json", 400],
    ["invalid UTF-8", new Uint8Array([0x22, 0xff, 0x22]), "application/json", 400],
    ["no url", "{}", "application/json", 400],
    ["unknown key", '{"url":"/","x":1}', "application/json", 400],
    ["a URL that is none", '{"url":"bad"}', "application/json", 400],
    ["a form", "url=x", "application/x-www-form-urlencoded", 415],
    ["text, which a page may send without asking", '{"url":"/"}', "text/plain", 415],
    ["too large", `{"url":"${"a".repeat(70_000)}"}`, "application/json", 413],
    [
      "too large, chunked",
      new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(8192)) }),
      "application/json",
      413,
    ],
    ["a bug behind it", '{"url":"bug"}', "application/json", 500],
  ];
  for (const [name, body, type, status] of REFUSED) {
    test(name, async () => {
      const [got, detail] = await post(body, type);
      expect(got).toBe(status);
      expect(detail).not.toContain("internals");
      expect(backend.asked).toBeNull();
    });
  }
});

test("unknown paths and wrong methods", async () => {
  const server = await start();
  const cases: readonly (readonly [method: string, path: string, status: number, allow: string | null])[] = [
    ["GET", "/nothing", 404, null],
    ["GET", "/api/status/", 404, null],
    ["GET", "/api/workers/1/2/restart", 404, null],
    ["POST", "/api/status", 405, "GET, HEAD"],
    ["DELETE", "/", 405, "GET, HEAD"],
    ["GET", "/api/drain", 405, "POST"],
    ["GET", "/api/workers/1/restart", 405, "POST"],
    ["GET", "/api/workers/%ff/restart", 404, null],
    ["PUT", "/api/upstreams/app/servers/127.0.0.1:1", 405, "GET, HEAD, PATCH, DELETE"],
  ];
  for (const [method, path, status, allow] of cases) {
    const response = await send(server, method, path);
    expect([path, response.status, response.headers.get("allow")]).toEqual([path, status, allow]);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(await response.json()).toMatchObject({ status });
  }
  expect(backend.done).toEqual([]);
});

test("with a token: nothing without it but a yes or no for probes", async () => {
  backend.readiness = { ready: false, reasons: ["upstream app has no server"] };
  const server = await start("127.0.0.1:0", TOKEN);
  for (const headers of [{}, bearer("wrong"), bearer(`${TOKEN}x`), bearer(""), { authorization: `Basic ${TOKEN}` }]) {
    for (const [method, path] of [
      ["GET", "/"],
      ["GET", "/metrics"],
      ["GET", "/api/config"],
      ["POST", "/api/drain"],
      ["GET", "/nothing"],
    ] as const) {
      const response = await send(server, method, path, { headers });
      expect([path, response.status]).toEqual([path, 401]);
      expect(response.headers.get("www-authenticate")).toStartWith("Bearer");
    }
    expect(await (await send(server, "GET", "/readyz", { headers })).json()).toEqual({ ready: false });
    expect((await send(server, "GET", "/healthz", { headers })).status).toBe(200);
  }
  expect(backend.done).toEqual([]);
  expect((await send(server, "POST", "/api/drain", { headers: bearer(TOKEN) })).status).toBe(202);
  expect(await (await send(server, "GET", "/readyz", { headers: bearer(TOKEN) })).json()).toEqual(backend.readiness);
  server.setToken("next");
  expect((await send(server, "GET", "/api/status", { headers: bearer(TOKEN) })).status).toBe(401);
  expect((await send(server, "GET", "/api/status", { headers: bearer("next") })).status).toBe(200);
});

/** The status of a request written by hand, as `fetch` would not send these fields. */
function rawStatus(server: AdminServer, head: string): Promise<number> {
  const { port } = new URL(`http://${server.address}`);
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(Number(port), "127.0.0.1", () => socket.write(`${head}\r\nConnection: close\r\n\r\n`));
    socket.on("data", (chunk) => {
      text += chunk;
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1])));
  });
}

test("foreign Host and Origin are refused", async () => {
  const open = await start();
  const guarded = await start("127.0.0.1:0", TOKEN);
  const cases: readonly (readonly [server: AdminServer, head: string, status: number])[] = [
    [open, "GET /api/config HTTP/1.1\r\nHost: 127.0.0.1:9901", 200],
    [open, "GET /api/config HTTP/1.1\r\nHost: LOCALHOST:1", 200],
    [open, "GET /api/config HTTP/1.1\r\nHost: [::1]:9901", 200],
    [open, "GET /api/config HTTP/1.1\r\nHost: evil.example", 421],
    [open, "GET /healthz HTTP/1.1\r\nHost: evil.example:9901", 421],
    [open, "GET /api/config HTTP/1.1\r\nHost: 127.0.0.1.evil.example", 421],
    [open, "GET /api/config HTTP/1.1\r\nHost: [::1].evil.example", 421],
    [open, "GET /api/config HTTP/1.1\r\nHost: localhost.evil.example", 421],
    [open, "GET http://127.0.0.1/api/config HTTP/1.1\r\nHost: evil.example", 421],
    [open, "GET /api/config HTTP/1.1\r\nHost:", 421],
    [open, "POST /api/drain HTTP/1.1\r\nHost: localhost:9901\r\nOrigin: http://localhost:9901", 202],
    [open, "POST /api/drain HTTP/1.1\r\nHost: localhost:9901\r\nOrigin: http://localhost:3000", 403],
    [open, "POST /api/drain HTTP/1.1\r\nHost: localhost:9901\r\nOrigin: https://evil.example", 403],
    [open, "POST /api/drain HTTP/1.1\r\nHost: localhost:9901\r\nOrigin: null", 403],
    [open, "POST /api/drain HTTP/1.1\r\nHost: localhost:9901\r\nSec-Fetch-Site: cross-site", 403],
    [guarded, "GET /api/status HTTP/1.1\r\nHost: proxy.internal", 421],
    [guarded, `GET /api/status HTTP/1.1\r\nHost: proxy.internal\r\nAuthorization: Bearer ${TOKEN}`, 200],
    [
      guarded,
      `POST /api/drain HTTP/1.1\r\nHost: proxy.internal\r\nAuthorization: Bearer ${TOKEN}\r\nOrigin: https://evil.example`,
      403,
    ],
  ];
  for (const [server, head, status] of cases) expect([head, await rawStatus(server, head)]).toEqual([head, status]);
  expect(backend.done).toEqual(["drain"]);
  expect(said.filter((line) => line.includes("request refused")).length).toBe(
    cases.filter(([, , status]) => status > 400).length,
  );
});

test("off loopback a token is required", async () => {
  for (const address of [":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "proxy.internal:0"]) {
    await expect(start(address)).rejects.toThrow(
      /^admin\.token is required, as others can reach .*: set one, or listen on 127\.0\.0\.1$/,
    );
  }
  const server = await start("0.0.0.0:0", TOKEN);
  const response = await fetch(`http://127.0.0.1:${server.address.split(":")[1]}/api/status`, {
    headers: bearer(TOKEN),
  });
  expect(response.status).toBe(200);
  expect(() => server.setToken(undefined)).toThrow("admin.token is required");
});

test("an address that is taken, wrong or not ours is named", async () => {
  const { address } = await start();
  await expect(start(address)).rejects.toThrow(
    `cannot listen on ${address} for the admin API: another program, or another Sluice, listens there`,
  );
  await expect(start("nonsense")).rejects.toThrow('admin.address: "nonsense" is not an address');
  await expect(start("192.0.2.1:0", TOKEN)).rejects.toThrow("this machine does not have that address");
});

test("close frees the port at once", async () => {
  const first = await start();
  await first.close();
  expect((await start(first.address)).address).toBe(first.address);
});

test("a unix socket: for the owner only, stale ones replaced, live ones left alone", async () => {
  const path = join(folder, "admin.sock");
  const stale = Bun.spawnSync([
    process.execPath,
    "-e",
    `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`,
  ]);
  expect(stale.exitCode).not.toBe(0);
  expect(statSync(path).isSocket()).toBe(true);
  const server = await start(`unix:${path}`);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const response = await fetch("http://any.name/api/status", { unix: path });
  expect(response.status).toBe(200);
  await expect(start(`unix:${path}`)).rejects.toThrow("listens there");
  await server.close();
  const file = join(folder, "file");
  writeFileSync(file, "precious");
  await expect(start(`unix:${file}`)).rejects.toThrow("cannot listen on");
  expect(await Bun.file(file).text()).toBe("precious");
  const other = createServer().listen(path);
  await new Promise((resolve) => other.once("listening", resolve));
  await expect(start(`unix:${path}`)).rejects.toThrow("listens there");
  other.close();
});
