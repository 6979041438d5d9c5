import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AdminServer, startAdmin } from "../control/admin.ts";
import type { AdminBackend, ProxyStatus, Readiness, ReloadResult } from "../control/admin-backend.ts";
import type { DiskState } from "../control/cache-disk.ts";
import { Commons } from "../control/commons.ts";
import { EventHub } from "../control/events.ts";
import { fleetOf } from "../control/fleet.testing.ts";
import { WafBlocks } from "../control/waf-blocks.ts";
import { createLog } from "../observe/log.ts";

const STATUS: ProxyStatus = {
  version: "1.2.3",
  pid: 42,
  state: "ready",
  startedAt: "2026-01-01T00:00:00.000Z",
  configFile: "/etc/sluice.yaml",
  configLoadedAt: "2026-01-01T00:00:01.000Z",
  listeners: [
    { address: ":0", bound: "[::]:8080", http3: false },
    { address: ":443", bound: "https://0.0.0.0:443", http3: true },
    { address: "unix:/s", bound: "unix:/s", http3: false },
  ],
  workers: [
    { id: 0, state: "ready", connections: 3, restarts: 0 },
    { id: 1, state: "draining", connections: 4, restarts: 2 },
  ],
};

const DISK: DiskState = {
  path: "/var/cache/sluice",
  bytesMax: 64 * 1_048_576,
  ready: false,
  entries: 9,
  bytes: 3 * 1_048_576,
  queuedBytes: 0,
  stored: 0,
  hits: 4,
  refused: 0,
  evictedSegments: 0,
  failed: 0,
  damaged: 0,
};

let readiness: Readiness;
let result: ReloadResult;
let done: string[];
const { fleet } = fleetOf({});
const backend: AdminBackend = {
  status: () => STATUS,
  config: () => ({}),
  routes: () => [],
  certificates: () => [],
  cache: () => [{ worker: 0, bytes: 1_572_864, bytesMax: 33_554_432, addresses: 7, evictions: 2, filling: 0 }],
  cacheDisk: () => DISK,
  purge: async (purge) => {
    done.push(JSON.stringify(purge));
    return { purged: 5 };
  },
  upstreams: () => [],
  commons: new Commons(createLog("error"), () => {}),
  events: new EventHub(() => {}),
  wafBlocks: new WafBlocks(),
  fleet,
  heard: async () => {},
  ready: () => readiness,
  metrics: async () => ({ text: "", contentType: "text/plain" }),
  reload: async () => {
    done.push("reload");
    return result;
  },
  drain: () => void done.push("drain"),
  explain: () => ({}),
  restartWorker: () => false,
};

const folder = mkdtempSync(join(tmpdir(), "sluice-cli-"));
const TOKEN = "a-token";
let server: AdminServer;
beforeEach(async () => {
  readiness = { ready: true, reasons: [] };
  result = { ok: true, diagnostics: [] };
  done = [];
  server = await startAdmin({ address: "127.0.0.1:0", token: TOKEN, log: createLog("error") }, backend);
});
afterEach(() => server.close());
afterAll(() => {
  fleet.stop();
  rmSync(folder, { recursive: true });
});

const PROGRAM = `
  import { Command } from "commander";
  import * as status from ${JSON.stringify(join(import.meta.dir, "status.ts"))};
  import * as reload from ${JSON.stringify(join(import.meta.dir, "reload.ts"))};
  import * as cache from ${JSON.stringify(join(import.meta.dir, "cache.ts"))};
  import * as drain from ${JSON.stringify(join(import.meta.dir, "drain.ts"))};
  const program = new Command("sluice");
  for (const { register } of [status, reload, cache, drain]) register(program);
  await program.parseAsync(["bun", "sluice", ...JSON.parse(process.env.ARGS)]);`;

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function sluice(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
  const child = Bun.spawn([process.execPath, "-e", PROGRAM], {
    cwd: import.meta.dir,
    stdout: "pipe",
    stderr: "pipe",
    env: { PATH: process.env.PATH ?? "", http_proxy: "http://127.0.0.1:1", ARGS: JSON.stringify(args), ...env },
  });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, err };
}
const reach = () => ["--admin", server.address, "--token", TOKEN];

test("status for people", async () => {
  expect(await sluice(["status", ...reach()])).toEqual({
    code: 0,
    err: "",
    out: `sluice 1.2.3 is ready (process 42, since 2026-01-01T00:00:00.000Z)
configuration: /etc/sluice.yaml, loaded 2026-01-01T00:00:01.000Z
listener: :0 ([::]:8080)
listener: :443 (https://0.0.0.0:443), and HTTP/3
listener: unix:/s
connections: 7
worker 0: ready, 3 connections
worker 1: draining, 4 connections, replaced 2 times
`,
  });
});

test("status says why it is not ready; --json is what the API says", async () => {
  readiness = { ready: false, reasons: ["upstream app has no server"] };
  expect((await sluice(["status", ...reach()])).out).toMatch(
    /^sluice 1\.2\.3 is not ready .*\n {2}upstream app has no server\n/,
  );
  expect(JSON.parse((await sluice(["status", "--json", ...reach()])).out)).toEqual({ ...STATUS, ready: readiness });
});

test("reload: fine, with a warning, and refused with diagnostics", async () => {
  expect(await sluice(["reload", ...reach()])).toEqual({ code: 0, err: "", out: "reloaded\n" });
  const place = { file: "s.yaml", line: 3, column: 5, path: [] };
  result = { ok: true, diagnostics: [{ severity: "warning", message: "odd", ...place }] };
  expect(await sluice(["reload", ...reach()])).toEqual({
    code: 0,
    err: "s.yaml:3:5: warning: odd\n",
    out: "reloaded\n",
  });
  result = {
    ok: false,
    diagnostics: [{ severity: "error", message: "no such key", hint: "did you mean x", ...place }],
  };
  const refused = await sluice(["reload", ...reach()]);
  expect(refused.err).toBe(
    "s.yaml:3:5: error: no such key\n  hint: did you mean x\nsluice: the configuration is not valid; the proxy goes on with the old one\n",
  );
  expect([refused.code, refused.out]).toEqual([1, ""]);
  const json = await sluice(["reload", "--json", ...reach()]);
  expect([json.code, json.err, JSON.parse(json.out).diagnostics]).toEqual([1, "", [...result.diagnostics]]);
  expect(done.length).toBe(4);
});

test("cache: what is stored, and purges of it", async () => {
  expect((await sluice(["cache", "status", ...reach()])).out).toBe(
    "worker 0: 7 addresses, 1.5 MB of 32.0 MB, 2 evicted\n" +
      "disk /var/cache/sluice: 9 answers, 3 MB of 64 MB, 4 hits (what was there at the start is being read)\n",
  );
  expect(await sluice(["cache", "purge", "--tag", "a", "--soft", ...reach()])).toEqual({
    code: 0,
    err: "",
    out: "purged: 5\n",
  });
  expect(done).toEqual(['{"kind":"tag","value":"a","soft":true}']);
  expect((await sluice(["cache", "purge", "--tag", "a", "--all", ...reach()])).code).toBe(2);
  expect((await sluice(["cache", "purge", "--url", "/a", ...reach()])).err).toContain("not one of http");
  expect(done.length).toBe(1);
});

test("drain, with the token from the environment", async () => {
  const { code, out } = await sluice(["drain", "--admin", server.address], { SLUICE_ADMIN_TOKEN: TOKEN });
  expect([code, out, done]).toEqual([
    0,
    "draining: no new work is taken; the proxy stops when the rest is done\n",
    ["drain"],
  ]);
});

test("address and token from a configuration file", async () => {
  const file = join(folder, "sluice.yaml");
  const config = (admin: string) =>
    Bun.write(file, `listeners: [{ address: ":0" }]\nroutes: [{ respond: { body: hi } }]\nadmin: ${admin}\n`);
  await config(`{ address: "${server.address}", token: "${TOKEN}" }`);
  expect((await sluice(["drain", "-c", file])).code).toBe(0);
  await config("false");
  const off = await sluice(["drain", "-c", file]);
  expect([off.code, off.err]).toEqual([2, `sluice: the admin API is turned off in ${file}\n`]);
  await config("{ adress: x }");
  const invalid = await sluice(["drain", "-c", file]);
  expect(invalid.code).toBe(1);
  expect(invalid.err).toContain("sluice.yaml:3:");
});

test("what goes wrong is said in words, with an exit code", async () => {
  const other = createServer((_, response) => response.end("<html>"));
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  const otherAddress = `127.0.0.1:${(other.address() as AddressInfo).port}`;
  const gone = await startAdmin({ address: "127.0.0.1:0", log: createLog("error") }, backend);
  await gone.close();
  const cases: readonly (readonly [args: readonly string[], code: number, err: string])[] = [
    [["--admin", gone.address], 3, `sluice: cannot reach the admin API on ${gone.address}: nothing listens there`],
    [
      ["--admin", "unix:/nonexistent/sluice.sock"],
      3,
      "sluice: cannot reach the admin API on unix:/nonexistent/sluice.sock: nothing listens there",
    ],
    [
      ["--admin", server.address],
      2,
      `sluice: ${server.address} wants the admin token: give --token, or set SLUICE_ADMIN_TOKEN`,
    ],
    [["--admin", "nonsense"], 2, 'sluice: "nonsense" is not an address'],
    [
      ["--admin", otherAddress],
      3,
      `sluice: what listens on ${otherAddress} is not the admin API of Sluice (status 200)`,
    ],
  ];
  for (const [args, code, err] of cases) {
    const run = await sluice(["status", ...args]);
    expect([run.code, run.out]).toEqual([code, ""]);
    expect(run.err).toStartWith(err);
  }
  const json = await sluice(["status", "--json", "--admin", gone.address]);
  expect(JSON.parse(json.err).error).toStartWith("cannot reach");
  other.close();
});
