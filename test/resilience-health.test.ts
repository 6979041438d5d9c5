// Servers that are left out, for how long, and when rather all are used than none.
import { describe, expect, test } from "bun:test";
import { answer, request } from "./support/message.ts";
import { exchange } from "./support/peer.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Servers } from "./support/servers.ts";
import type { SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const HEALTH = { path: "/healthz", interval: "100ms", downInterval: "100ms", healthy: 2, unhealthy: 2 } as const;

/** The answers to `count` requests over connections of their own: who said what, each once. */
async function ask(proxy: SluiceProcess, count: number): Promise<string> {
  const seen = new Set<string>();
  for (let i = 0; i < count; i += 1) {
    const { status, body } = await exchange(proxy.port(), request("/"));
    seen.add(status === 200 ? body : String(status));
  }
  return [...seen].sort().join(" ");
}

describe("outliers", () => {
  test("errors in a row leave a server out for a time, for all workers", async () => {
    await using servers = await Servers.start(3);
    await using proxy = await servers.run({
      outlier: { consecutiveErrors: 3, ejectFor: "1s", interval: "60s" },
      retry: false,
    });
    servers.status[1] = 500;
    await until(async () => (await ask(proxy, 6)) === "a c", "b to be left out");
    expect(servers.asked(1)).toBeLessThanOrEqual(4);
    const asked = servers.asked(1);
    expect(await ask(proxy, 20)).toBe("a c");
    expect(servers.asked(1)).toBe(asked);
    servers.status[1] = 200;
    await until(async () => (await ask(proxy, 6)) === "a b c", "b to be back");
  });

  test("no more of them than maxEjected are left out", async () => {
    await using servers = await Servers.start(4);
    await using proxy = await servers.run({
      outlier: { consecutiveErrors: 2, ejectFor: "30s", maxEjected: "50%" },
      retry: false,
    });
    servers.status.fill(500);
    for (let i = 0; i < 40; i += 1) await ask(proxy, 1);
    const before = servers.all.map((_, at) => servers.asked(at));
    await ask(proxy, 24);
    const still = servers.all.filter((_, at) => servers.asked(at) > before[at]!);
    expect(still.length).toBe(2);
  });

  test("false leaves nobody out", async () => {
    await using servers = await Servers.start(2);
    await using proxy = await servers.run({ outlier: false, retry: false });
    servers.status[1] = 500;
    for (let i = 0; i < 30; i += 1) await ask(proxy, 1);
    expect(servers.asked(1)).toBeGreaterThanOrEqual(12);
  });
});

describe("active checks", () => {
  test("one failed check changes nothing; several in a row do, and several good ones change it back", async () => {
    await using servers = await Servers.start(2);
    await using proxy = await servers.run({ health: { ...HEALTH, unhealthy: 3 } });
    await until(() => servers.all[1]!.requests.length >= 2, "the first checks");
    const checks = () => servers.all[1]!.requests.filter(({ target }) => target === "/healthz").length;
    servers.health[1] = 500;
    const from = checks();
    await until(() => checks() > from, "a failed check");
    servers.health[1] = 200;
    await until(() => checks() > from + 4, "more checks");
    expect(await ask(proxy, 8)).toBe("a b");
    servers.health[1] = 500;
    await until(async () => (await ask(proxy, 8)) === "a", "b to be left out");
    servers.health[1] = 200;
    await until(async () => (await ask(proxy, 8)) === "a b", "b to be back");
  });

  test("are asked once by the process, however many workers it has", async () => {
    await using servers = await Servers.start(1);
    await using proxy = await servers.run({ health: { ...HEALTH, interval: "200ms" } });
    await until(() => servers.all[0]!.requests.length >= 3, "some checks");
    const from = performance.now();
    const before = servers.all[0]!.requests.length;
    await Bun.sleep(2000);
    const inAll = servers.all[0]!.requests.length - before;
    const interval = (performance.now() - from) / inAll;
    expect(interval).toBeGreaterThan(160); // two workers would ask every 100 ms
    expect(interval).toBeLessThan(260);
    expect(await ask(proxy, 2)).toBe("a");
  });

  test("what they said survives a reload", async () => {
    await using servers = await Servers.start(2);
    await using proxy = await servers.run({ health: HEALTH });
    servers.health[1] = 500;
    await until(async () => (await ask(proxy, 8)) === "a", "b to be left out");
    await servers.add();
    servers.folder.write("sluice.json", { admin: { address: "127.0.0.1:0" }, ...servers.config({ health: HEALTH }) });
    const asked = servers.asked(1);
    expect((await proxy.reload()).status).toBe(200);
    for (let i = 0; i < 20; i += 1) expect(["a", "c"]).toContain(await ask(proxy, 1));
    expect(servers.asked(1)).toBe(asked);
  });

  test("a body that must be there, and a port of its own", async () => {
    await using servers = await Servers.start(2);
    await using checker = await RawBackend.answering((got) =>
      answer(200, got.target === "/healthz" ? "all FINE here" : ""),
    );
    const port = checker.port;
    await using proxy = await servers.run({ health: { ...HEALTH, port, body: "~fine$" } });
    await until(async () => (await ask(proxy, 4)) === "503", "both to be left out");
    servers.folder.write("sluice.json", {
      admin: { address: "127.0.0.1:0" },
      ...servers.config({ health: { ...HEALTH, port, body: "FINE" } }),
    });
    expect((await proxy.reload()).status).toBe(200);
    await until(async () => (await ask(proxy, 8)) === "a b", "both to be back");
    expect(servers.all[0]!.requests.every(({ target }) => target !== "/healthz")).toBe(true);
  });

  test("a connect is enough for tcp", async () => {
    await using servers = await Servers.start(2);
    await using proxy = await servers.run({ health: { type: "tcp", interval: "100ms", unhealthy: 2 }, retry: false });
    expect(await ask(proxy, 8)).toBe("a b");
    await servers.all[1]![Symbol.asyncDispose]();
    await until(async () => (await ask(proxy, 8)) === "a", "b to be left out");
  });
});

describe("panic", () => {
  const DOWN = [500, 500, 200];
  for (const [panic, answers] of [
    ["50%", "a b c"],
    ["20%", "c"],
  ] as const)
    test(`with a third of the servers well and a threshold of ${panic}, ${answers} answer`, async () => {
      await using servers = await Servers.start(3);
      await using proxy = await servers.run({ health: HEALTH, panic });
      DOWN.forEach((status, at) => {
        servers.health[at] = status;
      });
      const checked = () =>
        servers.all.every(({ requests }) => requests.filter(({ target }) => target === "/healthz").length > 8);
      await until(checked, "the checks");
      await until(async () => (await ask(proxy, 9)) === answers, `the answers of ${answers}`);
    });
});
