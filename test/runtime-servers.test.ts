// Servers that are added, drained, weighed and removed while the proxy runs: real servers, a proxy of two workers.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Fleet, upstreamApi } from "./support/fleet.ts";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, type SluiceProcess, sluice } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

/** What an added server may take until it has requests. */
const SOON_MS = 1000;
const HEALTH = { path: "/healthz", interval: "200ms", downInterval: "100ms", healthy: 1, unhealthy: 2 } as const;
/** Connections are spread over the workers at random: one of two is not met by this many once in a million times. */
const CONNECTIONS = 20;

const who = async (proxy: SluiceProcess, target = "/"): Promise<string> => {
  const { status, body } = await exchange(proxy.port(), request(target));
  return status === 200 ? body : String(status);
};
/** Everybody who answers requests over connections of their own. */
async function whoAll(proxy: SluiceProcess, count = CONNECTIONS): Promise<string> {
  const seen = new Set<string>();
  for (let i = 0; i < count; i += 1) seen.add(await who(proxy));
  return [...seen].sort().join(" ");
}

interface Shown {
  readonly id: string;
  readonly state: string;
  readonly health: string;
  readonly usable: boolean;
  readonly weight: number;
  readonly origin: string;
  readonly inFlight: number;
  readonly warning?: string;
}
const shown = async (proxy: SluiceProcess, id: string): Promise<Shown> =>
  (await proxy.admin("GET", `/api/upstreams/app/servers/${id}`)).body as Shown;
const change = async (proxy: SluiceProcess, id: string, body: unknown, query = ""): Promise<Shown> => {
  const changed = await upstreamApi(proxy, "PATCH", `app/servers/${id}${query}`, body);
  expect([changed.status, changed.body]).toEqual([200, expect.any(String)]);
  return JSON.parse(changed.body) as Shown;
};

describe("a server that is added", () => {
  test("has requests of all workers within a second", async () => {
    await using fleet = await Fleet.start(2);
    await using proxy = await fleet.proxy();
    expect(await whoAll(proxy)).toBe("a b");
    const c = await fleet.add();
    const added = await upstreamApi(proxy, "POST", "app/servers", { url: c.url, weight: 2 });
    expect([added.status, JSON.parse(added.body)]).toMatchObject([201, { id: c.address, weight: 2, origin: "api" }]);
    const from = performance.now();
    await until(async () => (await who(proxy)) === "c", "a request of the new server", SOON_MS);
    expect(performance.now() - from).toBeLessThan(SOON_MS);
    expect(await whoAll(proxy)).toBe("a b c");
    expect((await upstreamApi(proxy, "POST", "app/servers", { url: c.url })).status).toBe(409);
    await proxy.said(/admin: server added from=127\.0\.0\.1 upstream=app server=\S+ weight=2/);
  });

  test("has none before its first good check", async () => {
    await using fleet = await Fleet.start(2);
    await using proxy = await fleet.proxy({ health: HEALTH });
    const c = await fleet.add({ status: 503 });
    const checks = () => fleet.journal.lines.filter((line) => line === "c GET /healthz").length;
    expect((await upstreamApi(proxy, "POST", "app/servers", { url: c.url })).status).toBe(201);
    await until(() => checks() >= 2, "two checks of the new server");
    expect(await whoAll(proxy)).toBe("a b");
    expect(await shown(proxy, c.address)).toMatchObject({ usable: false });
    expect(fleet.journal.lines).not.toContain("c GET /");
    await c.behave({ status: 200 });
    await until(async () => (await shown(proxy, c.address)).health === "up", "a good check");
    await until(async () => (await who(proxy)) === "c", "a request of the new server", SOON_MS);
    const metrics = await proxy.metrics();
    expect(metrics.get(`sluice_upstream_healthy{upstream="app",server="${c.address}"}`)).toBe(1);
    expect(metrics.get('sluice_health_checks_total{upstream="app",result="failed"}')).toBeGreaterThanOrEqual(2);
    expect(metrics.get('sluice_health_checks_total{upstream="app",result="ok"}')).toBeGreaterThanOrEqual(1);
  });

  test("may be a socket file", async () => {
    await using fleet = await Fleet.start(1);
    await using proxy = await fleet.proxy();
    const path = join(fleet.folder.path, "s.sock");
    await using backend = await RawBackend.answering(() => answer(200, "socket"), path);
    const added = await upstreamApi(proxy, "POST", "app/servers", { url: `unix:${path}` });
    expect([added.status, backend.peers.length]).toEqual([201, 0]);
    await until(async () => (await whoAll(proxy, 4)).includes("socket"), "a request over the socket", SOON_MS);
    const gone = await upstreamApi(proxy, "DELETE", `app/servers/unix:${encodeURIComponent(path)}`);
    expect(gone.status).toBe(200);
    expect(await whoAll(proxy)).toBe("a");
  });
});

describe("a server that is drained", () => {
  test("finishes what it has, and gets nothing new", async () => {
    await using fleet = await Fleet.start(2);
    await using proxy = await fleet.proxy();
    const [a, b] = fleet.servers;
    await change(proxy, a!.address, { state: "drain" });
    const slow = who(proxy, "/slow?ms=1500");
    await until(() => fleet.journal.lines.includes("b GET /slow?ms=1500"), "the slow request");
    await change(proxy, a!.address, { state: "ready" });
    const draining = await change(proxy, b!.address, { state: "drain" });
    expect(draining).toMatchObject({ state: "drain", usable: false, inFlight: 1 });
    expect(await whoAll(proxy)).toBe("a");
    expect((await shown(proxy, b!.address)).inFlight).toBe(1);
    const gauge = `sluice_upstream_in_flight{upstream="app",server="${b!.address}"}`;
    expect((await proxy.metrics()).get(gauge)).toBe(1);
    expect(await slow).toBe("b");
    await until(async () => (await shown(proxy, b!.address)).inFlight === 0, "nothing in flight");
    expect((await proxy.metrics()).get(gauge)).toBe(0);
    await change(proxy, b!.address, { state: "ready" });
    expect(await whoAll(proxy)).toBe("a b");
  });

  test("keeps its tunnels", async () => {
    await using fleet = await Fleet.start(1);
    await using proxy = await fleet.proxy();
    await using backend = await RawBackend.start(async (peer) => {
      await peer.request();
      peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
      peer.socket.on("data", (chunk) => peer.socket.write(chunk));
      await peer.when(() => peer.ended, "the end of the tunnel");
      peer.close();
    });
    const id = `127.0.0.1:${backend.port}`;
    await change(proxy, fleet.servers[0]!.address, { state: "disabled" });
    await upstreamApi(proxy, "POST", "app/servers", { url: backend.url });
    await using client = await Peer.connect(proxy.port());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    expect((await client.response()).status).toBe(101);
    await change(proxy, fleet.servers[0]!.address, { state: "ready" });
    expect((await change(proxy, id, { state: "drain" })).inFlight).toBe(1);
    expect(await whoAll(proxy)).toBe("a");
    const before = client.bytesIn;
    client.send("still there");
    await until(() => client.bytesIn === before + "still there".length, "the echo");
    expect((await shown(proxy, id)).inFlight).toBe(1);
    client.finish();
    await until(async () => (await shown(proxy, id)).inFlight === 0, "the end of the tunnel");
  });

  test("keeps its sticky clients if asked", async () => {
    await using fleet = await Fleet.start(2);
    await using proxy = await fleet.proxy({ sticky: { cookie: "srv" } });
    const [, b] = fleet.servers;
    let cookie = "";
    await until(async () => {
      const came = await exchange(proxy.port(), request("/"));
      if (came.body === "b") cookie = came.field("set-cookie")?.split(";")[0] ?? "";
      return cookie !== "";
    }, "a cookie of b");
    const withCookie = async (): Promise<string> => {
      const seen = new Set<string>();
      for (let i = 0; i < CONNECTIONS; i += 1)
        seen.add((await exchange(proxy.port(), request("/", [`Cookie: ${cookie}`]))).body);
      return [...seen].sort().join(" ");
    };
    await change(proxy, b!.address, { state: "drain-sticky" });
    expect([await whoAll(proxy), await withCookie()]).toEqual(["a", "b"]);
    await change(proxy, b!.address, { state: "drain" });
    expect([await whoAll(proxy), await withCookie()]).toEqual(["a", "a"]);
  });
});

test("a change that is answered holds for every request after it", async () => {
  await using fleet = await Fleet.start(2);
  await using proxy = await fleet.proxy();
  const [a] = fleet.servers;
  const clients = await Promise.all(Array.from({ length: 12 }, () => Peer.connect(proxy.port())));
  const ask = async (client: Peer): Promise<string> => (await client.send(request("/")).response()).body;
  const seen: string[] = [];
  for (let round = 0; round < 40; round += 1) {
    await change(proxy, a!.address, { state: "drain" });
    seen.push(...(await Promise.all(clients.map(ask))));
    await change(proxy, a!.address, { state: "ready" });
    await Promise.all(clients.map(ask));
  }
  expect([...new Set(seen)]).toEqual(["b"]);
  for (const client of clients) client.close();
});

test("weights count at once", async () => {
  await using fleet = await Fleet.start(2);
  await using proxy = await fleet.proxy();
  const [a, b] = fleet.servers;
  expect(await change(proxy, b!.address, { weight: 0 })).toMatchObject({ weight: 0, usable: false });
  expect(await whoAll(proxy)).toBe("a");
  await change(proxy, b!.address, { weight: null });
  expect(await whoAll(proxy)).toBe("a b");
  await change(proxy, a!.address, { weight: 0 });
  expect(await whoAll(proxy)).toBe("b");
});

test("servers that are removed finish what they have; without the last there are 503s, until one comes back", async () => {
  await using fleet = await Fleet.start(2);
  await using proxy = await fleet.proxy();
  const [a, b] = fleet.servers;
  expect((await upstreamApi(proxy, "DELETE", `app/servers/${a!.address}`)).body).not.toContain("warning");
  expect(await whoAll(proxy)).toBe("b");
  const slow = who(proxy, "/slow?ms=500");
  await until(() => fleet.journal.lines.includes("b GET /slow?ms=500"), "the slow request");
  const last = await upstreamApi(proxy, "DELETE", `app/servers/${b!.address}`);
  expect(JSON.parse(last.body)).toEqual({ id: b!.address, removed: true, inFlight: 1, warning: expect.any(String) });
  expect(await whoAll(proxy)).toBe("503");
  expect((await proxy.admin("GET", "/readyz")).status).toBe(503);
  expect(await slow).toBe("b");
  expect((await upstreamApi(proxy, "POST", "app/servers", { url: a!.url })).status).toBe(201);
  expect(await whoAll(proxy)).toBe("a");
  expect(await shown(proxy, a!.address)).toMatchObject({ origin: "config" });
});

test("a reload keeps what was changed, and a worker that is replaced knows it", async () => {
  await using fleet = await Fleet.start(3);
  const [a, b, c] = fleet.servers;
  await using proxy = await fleet.proxy({ servers: [a!.url, b!.url] });
  await change(proxy, a!.address, { state: "drain" });
  await upstreamApi(proxy, "POST", "app/servers", { url: c!.url });
  expect(await whoAll(proxy)).toBe("b c");
  const file = join(fleet.folder.path, "sluice.json");
  const config = JSON.parse(readFileSync(file, "utf8"));
  // Other settings make the workers build the upstream anew.
  config.upstreams.app = { servers: [a!.url, { url: b!.url, weight: 3 }], balance: "least-connections" };
  fleet.folder.write("sluice.json", config);
  expect((await proxy.reload()).status).toBe(200);
  expect(await whoAll(proxy)).toBe("b c");
  expect((await shown(proxy, b!.address)).weight).toBe(3);
  for (const id of [0, 1]) {
    await proxy.admin("POST", `/api/workers/${id}/restart`);
    await until(async () => {
      const worker = (await proxy.status()).workers.find((each) => each.id === id);
      return worker?.restarts === 1 && worker.state === "ready";
    }, `worker ${id} to be replaced`);
  }
  expect(await whoAll(proxy)).toBe("b c");
});

describe("what is kept", () => {
  test("is there after a restart, and the rest is not", async () => {
    await using fleet = await Fleet.start(3);
    const [a, b, c] = fleet.servers;
    const admin = { address: "127.0.0.1:0", state: join(fleet.folder.path, "state/changes.json") };
    const servers = [a!.url, b!.url];
    {
      await using proxy = await fleet.proxy({ servers }, { admin });
      await change(proxy, a!.address, { state: "drain" }, "?persist=true");
      await upstreamApi(proxy, "POST", "app/servers?persist=true", { url: c!.url, weight: 4 });
      await change(proxy, b!.address, { state: "disabled" });
      expect(await whoAll(proxy)).toBe("c");
    }
    await using proxy = await fleet.proxy({ servers }, { admin });
    expect(await whoAll(proxy)).toBe("b c");
    expect(await shown(proxy, c!.address)).toMatchObject({ weight: 4, origin: "api" });
    expect(await shown(proxy, a!.address)).toMatchObject({ state: "drain" });
  });

  test("in a file that is broken is an error at the start", async () => {
    using folder = new Folder();
    const state = folder.write("changes.json", "{ broken");
    const config = folder.write("sluice.json", {
      admin: { address: "127.0.0.1:0", state },
      listeners: [{ address: "127.0.0.1:0" }],
      routes: [{ to: "http://127.0.0.1:1" }],
    });
    const { code, err } = await sluice(["run", "-c", config]);
    expect([code, err]).toEqual([
      3,
      expect.stringContaining(`admin.state: ${state} is not a file of kept changes; mend it or move it away`),
    ]);
    expect(err).not.toContain("    at ");
  });

  test("needs a file", async () => {
    using folder = new Folder();
    await using proxy = await runConfig(folder, {
      listeners: [{ address: "127.0.0.1:0" }],
      upstreams: { app: { servers: ["127.0.0.1:1"] } },
      routes: [{ to: "app" }],
    });
    const refused = await upstreamApi(proxy, "DELETE", "app/servers/127.0.0.1:1?persist=true");
    expect([refused.status, JSON.parse(refused.body).detail]).toEqual([409, expect.stringContaining("`admin.state`")]);
  });
});
