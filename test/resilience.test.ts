// Under load, one of three servers fails in every way there is: no GET is lost, and no POST reaches servers twice.
import { expect, test } from "bun:test";
import { DnsServer } from "./support/dns-server.ts";
import { Fleet, upstreamApi } from "./support/fleet.ts";
import { expectNothingLost } from "./support/nothing-lost.ts";

const CLIENTS = 16;
/** Load before and after what happens, long enough for all that follows from it. */
const BEFORE_MS = 1000;
const AFTER_MS = 3000;

test("a server is killed, and comes back", async () => {
  await using fleet = await Fleet.start(3);
  await using proxy = await fleet.proxy();
  const [, b] = fleet.servers;
  const report = await fleet.underLoad(proxy, async () => {
    await Bun.sleep(BEFORE_MS);
    await b!.kill();
    await Bun.sleep(AFTER_MS);
    await b!.restart();
    await Bun.sleep(BEFORE_MS);
  });
  const lost = expectNothingLost(report, fleet.journal);
  // Only what was at the server when it died: at most one request of each client.
  expect(lost).toBeLessThanOrEqual(CLIENTS);
});

test("a server is stopped, as a machine that hangs", async () => {
  await using fleet = await Fleet.start(3);
  await using proxy = await fleet.proxy({
    timeouts: { response: "1s" },
    health: { interval: "200ms", timeout: "200ms" },
  });
  const [, b] = fleet.servers;
  let before = 0;
  let after = 0;
  const report = await fleet.underLoad(proxy, async () => {
    await Bun.sleep(BEFORE_MS);
    b!.signal("SIGSTOP");
    await Bun.sleep(AFTER_MS);
    before = fleet.journal.lines.length;
    await Bun.sleep(500);
    after = fleet.journal.lines.length;
    b!.signal("SIGCONT");
    await Bun.sleep(AFTER_MS / 2);
  });
  const lost = expectNothingLost(report, fleet.journal);
  // What was under way at each client when it stopped; once the checks have seen it, nobody waits for it any more.
  expect(lost).toBeLessThanOrEqual(CLIENTS);
  expect(after - before).toBeGreaterThan(200);
  expect(report.latencies["200"]!.max).toBeLessThan(2500);
});

test("a server answers 503", async () => {
  await using fleet = await Fleet.start(3);
  await using proxy = await fleet.proxy();
  const report = await fleet.underLoad(proxy, async () => {
    await Bun.sleep(BEFORE_MS);
    await fleet.servers[1]!.behave({ status: 503 });
    await Bun.sleep(AFTER_MS);
  });
  const lost = expectNothingLost(report, fleet.journal);
  // It is left out after five errors in a row; POSTs among those, and among what was under way, got its answer.
  expect(lost).toBeLessThanOrEqual(5 + CLIENTS);
  expect(report.answers["POST 503"] ?? 0).toBe(lost);
});

test("a server closes its connections at random", async () => {
  await using fleet = await Fleet.start(3);
  await using proxy = await fleet.proxy();
  const report = await fleet.underLoad(proxy, async () => {
    await Bun.sleep(BEFORE_MS);
    await fleet.servers[1]!.behave({ closeShare: 0.3 });
    await Bun.sleep(AFTER_MS);
  });
  expectNothingLost(report, fleet.journal);
});

test("all servers close their connections at random", async () => {
  await using fleet = await Fleet.start(3, { closeShare: 0.1 });
  await using proxy = await fleet.proxy();
  const report = await fleet.underLoad(proxy, () => Bun.sleep(AFTER_MS));
  expectNothingLost(report, fleet.journal);
});

test("a server is drained and replaced through the admin API", async () => {
  await using fleet = await Fleet.start(3, { latencyMs: 20 });
  await using proxy = await fleet.proxy();
  const [, b] = fleet.servers;
  const report = await fleet.underLoad(proxy, async () => {
    await Bun.sleep(BEFORE_MS);
    const drained = await upstreamApi(proxy, "PATCH", `app/servers/${b!.address}`, { state: "drain" });
    expect(drained.status).toBe(200);
    await Bun.sleep(BEFORE_MS);
    const quiet = fleet.journal.lines.filter((line) => line.startsWith("b ")).length;
    await Bun.sleep(BEFORE_MS);
    expect(fleet.journal.lines.filter((line) => line.startsWith("b ")).length).toBe(quiet);
    const fresh = await fleet.add({ latencyMs: 20 });
    expect((await upstreamApi(proxy, "POST", "app/servers", { url: fresh.url, weight: 1 })).status).toBe(201);
    expect((await upstreamApi(proxy, "DELETE", `app/servers/${b!.address}`)).status).toBe(200);
    await b!.kill();
    await Bun.sleep(BEFORE_MS);
  });
  expect(expectNothingLost(report, fleet.journal)).toBe(0);
  expect(report.servers.d).toBeGreaterThan(50);
});

for (const how of ["SIGTERM", "SIGKILL"] as const)
  test(`servers are restarted one by one (${how})`, async () => {
    await using fleet = await Fleet.start(3);
    await using proxy = await fleet.proxy();
    const report = await fleet.underLoad(proxy, async () => {
      await Bun.sleep(BEFORE_MS);
      for (const server of fleet.servers) {
        await server.kill(how);
        await Bun.sleep(500);
        await server.restart();
        await Bun.sleep(500);
      }
      await Bun.sleep(BEFORE_MS);
    });
    expect(expectNothingLost(report, fleet.journal)).toBeLessThanOrEqual(3 * CLIENTS);
  });

test("a server is removed from the DNS, and then ends", async () => {
  const hosts = ["127.0.0.1", "127.0.0.2", "127.0.0.3"];
  await using stack = new AsyncDisposableStack();
  const dns = await DnsServer.start();
  stack.defer(() => dns.close());
  await using fleet = await Fleet.onOnePort(hosts);
  dns.set("A app.test", hosts, 1);
  await using proxy = await fleet.proxy(
    { servers: [], discover: { dns: `app.test:${fleet.servers[0]!.port}`, refresh: "1s" } },
    { resolver: { servers: [dns.address], minTtl: "1s" } },
  );
  const [, b] = fleet.servers;
  const report = await fleet.underLoad(proxy, async () => {
    await Bun.sleep(BEFORE_MS);
    dns.set("A app.test", [hosts[0]!, hosts[2]!], 1);
    await Bun.sleep(AFTER_MS);
    const quiet = fleet.journal.lines.filter((line) => line.startsWith("b ")).length;
    expect(quiet).toBeGreaterThan(50);
    await Bun.sleep(500);
    expect(fleet.journal.lines.filter((line) => line.startsWith("b ")).length).toBe(quiet);
    await b!.kill();
    await Bun.sleep(BEFORE_MS / 2);
  });
  expect(expectNothingLost(report, fleet.journal)).toBe(0);
});
