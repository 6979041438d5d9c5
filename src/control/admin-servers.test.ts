import { afterAll, afterEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLog } from "../observe/log.ts";
import { type AdminServer, startAdmin } from "./admin.ts";
import type { AdminBackend } from "./admin-backend.ts";
import { type FleetUnderTest, fleetOf, type Upstreams } from "./fleet.testing.ts";
import { ServerChanges } from "./server-changes.ts";
import { upstreamReport } from "./upstream-report.ts";

const A = "127.0.0.1:1";
const B = "127.0.0.1:2";
const NEW = "127.0.0.1:3";
const SOCKET = "unix:/run/a.sock";
const V6 = "[::1]:80";
const UPSTREAMS: Upstreams = {
  app: { servers: [A, { url: B, weight: 5, zone: "z" }] },
  single: { servers: [SOCKET] },
  "with/slash": { servers: [V6, A], failover: "app" },
};
const AT = "/api/upstreams/app/servers";

const folder = mkdtempSync(join(tmpdir(), "sluice-servers-"));
afterAll(() => rmSync(folder, { recursive: true }));

let under: FleetUnderTest;
let server: AdminServer | null = null;
let said: string[] = [];
afterEach(async () => {
  under.fleet.stop();
  await server?.close();
  server = null;
});

async function start(changes = new ServerChanges(null)): Promise<void> {
  said = [];
  under = fleetOf(UPSTREAMS, changes);
  const { fleet } = under;
  const backend = { fleet, upstreams: () => upstreamReport(fleet.report(), []), heard: async () => {} };
  server = await startAdmin(
    { address: "127.0.0.1:0", log: createLog("info", { write: (line) => said.push(line.slice(25).trimEnd()) }) },
    // What these endpoints do not use is not there.
    backend as unknown as AdminBackend,
  );
}

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly location: string | null;
  readonly type: string | null;
}

async function ask(method: string, path: string, body?: unknown): Promise<Answer> {
  const response = await fetch(`http://${server!.address}${path}`, {
    method,
    headers: { "content-type": "application/json" },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  return {
    status: response.status,
    body: (await response.json()) as Answer["body"],
    location: response.headers.get("location"),
    type: response.headers.get("content-type"),
  };
}

const shownOf = (id: string, more: Readonly<Record<string, unknown>> = {}) => ({
  id,
  state: "ready",
  weight: 1,
  backup: false,
  zone: "",
  origin: "config",
  health: "unknown",
  ejectedFor: 0,
  usable: true,
  inFlight: 0,
  open: 0,
  idle: 0,
  failing: false,
  lastCheck: null,
  ...more,
});

test("what is shown of upstreams and servers", async () => {
  await start();
  const single = { name: "single", queued: 0, circuit: "none", servers: [shownOf(SOCKET)] };
  const all = (await ask("GET", "/api/upstreams")).body as unknown as unknown[];
  expect(all.length).toBe(3);
  expect(all[1]).toEqual(single);
  expect((await ask("GET", "/api/upstreams/single")).body).toEqual(single);
  expect((await ask("GET", `${AT}/${B}`)).body).toEqual(shownOf(B, { weight: 5, zone: "z" }));
});

test("ids and names are percent-encoded where they must be, and may be where they need not", async () => {
  await start();
  for (const [path, id] of [
    ["/api/upstreams/single/servers/unix:%2Frun%2Fa.sock", SOCKET],
    ["/api/upstreams/single/servers/unix%3A%2frun%2fa.sock", SOCKET],
    [`/api/upstreams/with%2Fslash/servers/${V6}`, V6],
    [`/api/upstreams/with%2Fslash/servers/${encodeURIComponent(V6)}`, V6],
  ] as const)
    expect([path, (await ask("GET", path)).body.id]).toEqual([path, id]);
  const there = await ask("POST", "/api/upstreams/with%2Fslash/servers", { url: "unix:/run/b c.sock" });
  expect(there.location).toBe("/api/upstreams/with%2Fslash/servers/unix%3A%2Frun%2Fb%20c.sock");
  expect((await ask("GET", there.location!)).body).toEqual(there.body);
});

test("a server is added, changed and removed, and the log says by whom", async () => {
  await start();
  const added = await ask("POST", AT, { url: `http://${NEW}/`, weight: 3 });
  expect([added.status, added.location, added.type]).toEqual([201, `${AT}/127.0.0.1%3A3`, "application/json"]);
  expect(added.body).toEqual(shownOf(NEW, { weight: 3, origin: "api" }));
  const changed = await ask("PATCH", `${AT}/${NEW}`, { state: "drain-sticky", backup: true, zone: "z" });
  const draining = shownOf(NEW, { weight: 3, origin: "api", state: "drain-sticky", backup: true, zone: "z" });
  expect([changed.status, changed.body]).toEqual([200, { ...draining, usable: false }]);
  const removed = await ask("DELETE", `${AT}/${NEW}`);
  expect([removed.status, removed.body]).toEqual([200, { id: NEW, removed: true, inFlight: 0 }]);
  expect((await ask("GET", `${AT}/${NEW}`)).status).toBe(404);
  expect(said).toEqual([
    `info  admin: server added from=127.0.0.1 upstream=app server=${NEW} weight=3 persist=false`,
    `info  admin: server changed from=127.0.0.1 upstream=app server=${NEW} state=drain-sticky backup=true zone=z persist=false`,
    `info  admin: server removed from=127.0.0.1 upstream=app server=${NEW} persist=false`,
  ]);
});

test("changes add up, and null takes one back", async () => {
  await start();
  const path = `${AT}/${B}`;
  await ask("PATCH", path, { weight: 7 });
  expect((await ask("PATCH", path, { state: "drain" })).body).toMatchObject({ weight: 7, state: "drain" });
  expect((await ask("PATCH", path, { state: "ready" })).body).toMatchObject({
    weight: 7,
    state: "ready",
    usable: true,
  });
  expect((await ask("PATCH", path, { weight: null })).body).toMatchObject({ weight: 5 });
  expect(under.fleet.changes.of("app").size).toBe(0);
});

test("one that was removed is added again: as configured, but for what is given", async () => {
  await start();
  await ask("DELETE", `${AT}/${B}`);
  expect((await ask("POST", AT, { url: B })).body).toEqual(shownOf(B, { weight: 5, zone: "z" }));
  await ask("DELETE", `${AT}/${B}`);
  expect((await ask("POST", AT, { url: B, weight: 2 })).body).toEqual(shownOf(B, { weight: 2, zone: "z" }));
  await ask("DELETE", `${AT}/${B}`);
  under.use({ ...UPSTREAMS, app: { servers: [A] } });
  expect((await ask("POST", AT, { url: B })).body).toEqual(shownOf(B, { origin: "api" }));
});

test("what is in flight is told, and falls", async () => {
  await start();
  const { slot } = under.fleet.member("app", A)!;
  under.fleet.board.enter(slot, 9);
  expect((await ask("PATCH", `${AT}/${A}`, { state: "drain" })).body.inFlight).toBe(1);
  under.fleet.board.leave(slot);
  expect((await ask("GET", `${AT}/${A}`)).body.inFlight).toBe(0);
  under.fleet.board.enter(slot, 9);
  expect((await ask("DELETE", `${AT}/${A}`)).body.inFlight).toBe(1);
});

test("the last server that can be used goes with a warning", async () => {
  await start();
  const first = await ask("PATCH", `${AT}/${A}`, { state: "disabled" });
  expect(first.body.warning).toBeUndefined();
  const last = await ask("DELETE", `${AT}/${B}`);
  const text = "No server of this upstream can be used now: its requests are answered 503.";
  expect([last.status, last.body.warning]).toEqual([200, text]);
  expect((await ask("DELETE", `${AT}/${A}`)).body.warning).toBeUndefined(); // it was not used before
  expect((await ask("GET", "/api/upstreams/app")).body.servers).toEqual([]);
  const slash = "/api/upstreams/with%2Fslash/servers";
  expect((await ask("DELETE", `${slash}/${V6}`)).body.warning).toBeUndefined();
  expect((await ask("PATCH", `${slash}/${A}`, { weight: 0 })).body.warning).toBe(
    "No server of this upstream can be used now: its requests go to the upstream app.",
  );
});

const REFUSED: readonly (readonly [method: string, path: string, body: unknown, status: number, detail: string])[] = [
  ["GET", "/api/upstreams/other", undefined, 404, "There is no upstream with that name."],
  ["GET", "/api/upstreams/%zz", undefined, 404, "There is nothing at this address."],
  ["GET", `${AT}/${NEW}`, undefined, 404, "The upstream has no server with that id."],
  ["GET", `/api/upstreams/other/servers/${A}`, undefined, 404, "There is no upstream with that name."],
  ["POST", "/api/upstreams/other/servers", { url: NEW }, 404, "There is no upstream with that name."],
  ["POST", AT, { url: `http://${A}` }, 409, `The upstream has the server ${A} already: change it with PATCH.`],
  [
    "POST",
    AT,
    { url: "ftp://a" },
    422,
    '"ftp://a": "ftp" is not a scheme of servers; use http://, https://, h2c://, h2:// or unix:',
  ],
  ["POST", AT, { url: "" }, 422, '"" is not the address of a server'],
  ["POST", AT, { url: "a:0" }, 422, '"a:0" is not the address of a server'],
  ["POST", AT, {}, 422, "The body does not describe a server."],
  ["POST", AT, { url: NEW, wieght: 1 }, 422, "The body does not describe a server."],
  ["POST", AT, { url: NEW, weight: 1001 }, 422, "The body does not describe a server."],
  ["POST", AT, { url: NEW, zone: "z".repeat(101) }, 422, "The body does not describe a server."],
  ["POST", AT, { url: "a".repeat(70_000) }, 413, "The body is larger than 65536 bytes."],
  ["POST", AT, "{", 400, "The body is not JSON."],
  ["POST", `${AT}?persist=yes`, { url: NEW }, 422, "Write `persist=true` or `persist=false`."],
  ["POST", `${AT}?persist=true`, { url: NEW }, 409, "Changes cannot be kept: name a file with `admin.state`"],
  ["PATCH", `/api/upstreams/other/servers/${A}`, { weight: 1 }, 404, "There is no upstream with that name."],
  ["PATCH", `${AT}/${NEW}`, { weight: 1 }, 404, "The upstream has no server with that id."],
  ["PATCH", `${AT}/${A}`, { weight: -1 }, 422, "The body does not describe a change."],
  ["PATCH", `${AT}/${A}`, { weight: 1.5 }, 422, "The body does not describe a change."],
  ["PATCH", `${AT}/${A}`, { state: "gone" }, 422, "The body does not describe a change."],
  ["PATCH", `${AT}/${A}`, { mode: "drain" }, 422, "The body does not describe a change."],
  ["PATCH", `${AT}/${A}`, {}, 422, "The body does not describe a change."],
  ["PATCH", `${AT}/${A}`, [], 422, "The body does not describe a change."],
  ["PATCH", `${AT}/${A}?persist=true`, { weight: 1 }, 409, "Changes cannot be kept"],
  ["DELETE", `/api/upstreams/other/servers/${A}`, undefined, 404, "There is no upstream with that name."],
  ["DELETE", `${AT}/${NEW}`, undefined, 404, "The upstream has no server with that id."],
  ["DELETE", `${AT}/${A}?persist=true`, undefined, 409, "Changes cannot be kept"],
];
test("what is refused changes nothing", async () => {
  await start();
  const before = under.fleet.report();
  for (const [method, path, body, status, detail] of REFUSED) {
    const refused = await ask(method, path, body);
    const about = JSON.stringify([method, path, body]).slice(0, 100);
    expect([about, refused.status, refused.type]).toEqual([about, status, "application/problem+json"]);
    expect(refused.body).toMatchObject({ status });
    expect([about, refused.body.detail]).toEqual([about, expect.stringContaining(detail)]);
  }
  expect(under.fleet.report()).toEqual(before);
  expect([under.told, said]).toEqual([[], []]);
  const { body } = await ask("PATCH", `${AT}/${A}`, { weight: -1, state: "gone" });
  expect((body.errors as { path: string }[]).map(({ path }) => path)).toEqual(["weight", "state"]);
});

test("what is kept is on disk, and what cannot be written changes nothing", async () => {
  const path = join(folder, "state.json");
  await start(new ServerChanges(path));
  await ask("PATCH", `${AT}/${A}?persist=true`, { state: "drain" });
  await ask("POST", `${AT}?persist=true`, { url: NEW, weight: 2 });
  await ask("DELETE", `${AT}/${B}?persist=true`);
  await ask("PATCH", `${AT}/${NEW}?persist=false`, { weight: 9 });
  const kept = { [A]: { mode: "drain" }, [NEW]: { url: NEW, weight: 2 }, [B]: { removed: true } };
  expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({ upstreams: { app: kept } });
  expect(said[0]).toBe(`info  admin: server changed from=127.0.0.1 upstream=app server=${A} state=drain persist=true`);
  rmSync(path);
  mkdirSync(path);
  const refused = await ask("DELETE", `${AT}/${NEW}?persist=true`);
  expect([refused.status, refused.body.detail]).toEqual([
    500,
    "The change could not be written to the file of `admin.state`; nothing was changed.",
  ]);
  expect((await ask("GET", `${AT}/${NEW}`)).body.weight).toBe(9);
});
