// Servers that are not like the others: backups, zones, those that come back, those that a client is kept at.
import { describe, expect, test } from "bun:test";
import { type UpstreamInput, upstreamApi } from "./support/fleet.ts";
import { type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { Servers } from "./support/servers.ts";
import type { SluiceProcess } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

/** Checks as fast as they go, so that what they say is seen soon. */
const HEALTH = { path: "/healthz", interval: "100ms", downInterval: "100ms", healthy: 1, unhealthy: 1 } as const;

const who = async (proxy: SluiceProcess, fields: readonly string[] = []): Promise<string> =>
  (await exchange(proxy.port(), request("/", fields))).body;

/** Who answers `count` requests, each over a connection of its own. */
async function whoAll(proxy: SluiceProcess, count: number, fields: readonly string[] = []): Promise<string> {
  const seen = new Set<string>();
  for (let i = 0; i < count; i += 1) seen.add(await who(proxy, fields));
  return [...seen].sort().join("");
}

describe("backups", () => {
  test("get requests only while no other server can", async () => {
    await using servers = await Servers.start(3);
    const [a, b, c] = servers.all;
    await using proxy = await servers.run({
      servers: [a!.url, b!.url, { url: c!.url, backup: true }],
      health: HEALTH,
    });
    expect(await whoAll(proxy, 20)).toBe("ab");
    servers.health[0] = 503;
    await until(async () => (await whoAll(proxy, 8)) === "b", "a to be left out");
    servers.health[1] = 503;
    await until(async () => (await whoAll(proxy, 8)) === "c", "the backup");
    servers.health[0] = 200;
    await until(async () => (await whoAll(proxy, 8)) === "a", "a to be back");
    expect(c!.requests.filter(({ target }) => target === "/").length).toBeGreaterThan(0);
  });

  test("a backup answers what its refusing elders could not", async () => {
    await using servers = await Servers.start(2);
    const [a, b] = servers.all;
    await using proxy = await servers.run({ servers: [a!.url, { url: b!.url, backup: true }] });
    await servers.all[0]![Symbol.asyncDispose]();
    for (let i = 0; i < 10; i += 1) {
      const came = await exchange(proxy.port(), request("/", [], "POST", "x"));
      expect([came.status, came.body]).toEqual([200, "b"]);
    }
  });
});

describe("zones", () => {
  test("the preferred zone gets the requests while it is well, and what it cannot bear spills over", async () => {
    await using servers = await Servers.start(4);
    const zones = ["here", "here", "there", "there"];
    await using proxy = await servers.run({
      servers: servers.all.map(({ url }, at) => ({ url, zone: zones[at]! })),
      preferZone: "here",
      health: HEALTH,
    });
    expect(await whoAll(proxy, 30)).toBe("ab");
    [servers.health[0], servers.health[1]] = [503, 503];
    await until(async () => (await whoAll(proxy, 12)) === "cd", "the other zone");
    servers.health.fill(200);
    await until(async () => (await whoAll(proxy, 12)) === "ab", "the preferred zone");
  });
});

describe("slow start", () => {
  test("a server that comes back gets its share little by little", async () => {
    await using servers = await Servers.start(2);
    await using proxy = await servers.run({ health: HEALTH, slowStart: "3s" }, { workers: 1 });
    await using client = await Peer.connect(proxy.port());
    const next = async (): Promise<string> => (await client.send(request("/")).response()).body;
    const share = async (ms: number): Promise<number> => {
      const from = performance.now();
      let [all, ofB] = [0, 0];
      while (performance.now() - from < ms) {
        all += 1;
        if ((await next()) === "b") ofB += 1;
        await Bun.sleep(1);
      }
      return ofB / all;
    };
    expect(await share(300)).toBeGreaterThan(0.45); // at the start of the proxy nobody is new
    servers.health[1] = 503;
    await until(async () => (await share(50)) === 0, "b to be left out");
    servers.health[1] = 200;
    await until(async () => (await next()) === "b", "b to be back");
    const early = await share(600);
    await Bun.sleep(1200);
    const middle = await share(300);
    await Bun.sleep(1200);
    const late = await share(300);
    expect(early).toBeLessThan(0.25);
    expect(middle).toBeGreaterThan(early);
    expect(middle).toBeLessThan(0.47);
    expect(late).toBeGreaterThan(0.47);
  });
});

describe("sticky cookies", () => {
  const cookieOf = (message: Message): string => message.field("set-cookie")?.split(";")[0] ?? "";
  /** A client without a cookie until it is kept at that server. */
  async function stickTo(proxy: SluiceProcess, id: string): Promise<string> {
    for (let i = 0; i < 20; i += 1) {
      const came = await exchange(proxy.port(), request("/"));
      if (came.body === id) return cookieOf(came);
    }
    throw new Error(`nobody came to ${id}`);
  }

  test("attributes", async () => {
    await using servers = await Servers.start(2);
    const attributes = async (sticky: UpstreamInput["sticky"]): Promise<string[]> => {
      await using proxy = await servers.run({ sticky });
      const set = (await exchange(proxy.port(), request("/"))).all("set-cookie");
      expect(set.length).toBe(1);
      const [pair = "", ...rest] = set[0]!.split(/; */);
      expect(pair).toMatch(/^srv=[\w.~-]{16,200}$/);
      expect(pair).not.toContain("127.0.0.1");
      expect(Buffer.from(pair.slice(4), "base64").toString("latin1")).not.toContain("127.0.0.1");
      return rest.map((each) => each.toLowerCase()).sort();
    };
    expect(await attributes({ cookie: "srv" })).toEqual(["httponly", "path=/", "samesite=lax"]);
    expect(await attributes({ cookie: "srv", ttl: "1h", sameSite: "strict" })).toEqual([
      "httponly",
      "max-age=3600",
      "path=/",
      "samesite=strict",
    ]);
  });

  test("keep a client at its server, and are not given again", async () => {
    await using servers = await Servers.start(3);
    await using proxy = await servers.run({ sticky: { cookie: "srv" } });
    for (const id of ["a", "b", "c"]) {
      const cookie = await stickTo(proxy, id);
      for (let i = 0; i < 10; i += 1) {
        const came = await exchange(proxy.port(), request("/", [`Cookie: x=1; ${cookie}; y=2`]));
        expect([came.body, came.field("set-cookie")]).toEqual([id, null]);
      }
    }
  });

  test("a forged one counts as none, and is replaced", async () => {
    await using servers = await Servers.start(3);
    await using proxy = await servers.run({ sticky: { cookie: "srv", secret: "sixteen characters" } });
    const cookie = await stickTo(proxy, "b");
    const value = cookie.slice(4);
    const last = value.at(-1) === "A" ? "B" : "A";
    const first = value[0] === "A" ? "B" : "A";
    const middle = value.length >> 1;
    const flipped = value[middle] === "A" ? "B" : "A";
    const forged = [
      "",
      "b",
      servers.id(1),
      Buffer.from(servers.id(1)).toString("base64url"),
      first + value.slice(1),
      value.slice(0, middle) + flipped + value.slice(middle + 1),
      value.slice(0, -4) + last.repeat(4),
      value.slice(0, -1),
      `${value}A`,
      "A".repeat(5000),
    ];
    for (const each of forged) {
      const seen = new Set<string>();
      for (let i = 0; i < 9; i += 1) {
        const came = await exchange(proxy.port(), request("/", [`Cookie: srv=${each}`]));
        expect([each, came.status]).toEqual([each, 200]);
        expect([each, cookieOf(came).startsWith("srv=")]).toEqual([each, true]);
        seen.add(came.body);
      }
      expect([each, seen.size > 1]).toEqual([each, true]);
    }
  });

  test("a secret makes them hold in another process; another secret does not", async () => {
    await using servers = await Servers.start(3);
    const start = (secret: string) => servers.run({ sticky: { cookie: "srv", secret } });
    let cookie: string;
    {
      await using first = await start("the same secret in both");
      cookie = await stickTo(first, "c");
    }
    await using second = await start("the same secret in both");
    for (let i = 0; i < 6; i += 1) expect(await who(second, [`Cookie: ${cookie}`])).toBe("c");
    await using third = await start("another secret of its own");
    expect(cookieOf(await exchange(third.port(), request("/", [`Cookie: ${cookie}`])))).not.toBe("");
  });

  test("a new one is given when the server is gone; others do not notice", async () => {
    await using servers = await Servers.start(3);
    await using proxy = await servers.run({ sticky: { cookie: "srv" } });
    const [toA, toB] = [await stickTo(proxy, "a"), await stickTo(proxy, "b")];
    expect((await upstreamApi(proxy, "DELETE", `app/servers/${servers.id(1)}`)).status).toBe(200);
    const moved = await exchange(proxy.port(), request("/", [`Cookie: ${toB}`]));
    expect(moved.status).toBe(200);
    expect(["a", "c"]).toContain(moved.body);
    const next = cookieOf(moved);
    expect(next.startsWith("srv=")).toBe(true);
    for (let i = 0; i < 6; i += 1) {
      expect(await who(proxy, [`Cookie: ${next}`])).toBe(moved.body);
      const unmoved = await exchange(proxy.port(), request("/", [`Cookie: ${toA}`]));
      expect([unmoved.body, unmoved.field("set-cookie")]).toEqual(["a", null]);
    }
    const added = await servers.add();
    expect((await upstreamApi(proxy, "POST", "app/servers", { url: added.url })).status).toBe(201);
    for (let i = 0; i < 6; i += 1) expect(await who(proxy, [`Cookie: ${toA}`])).toBe("a");
  });

  test("a reload with other servers before it does not move a client", async () => {
    await using servers = await Servers.start(3);
    await using proxy = await servers.run({ sticky: { cookie: "srv" } });
    const toC = await stickTo(proxy, "c");
    const [, b, c] = servers.all;
    servers.folder.write("sluice.json", {
      admin: { address: "127.0.0.1:0" },
      ...servers.config({ servers: [c!.url, b!.url], sticky: { cookie: "srv" } }),
    });
    expect((await proxy.reload()).status).toBe(200);
    for (let i = 0; i < 6; i += 1) expect(await who(proxy, [`Cookie: ${toC}`])).toBe("c");
  });

  test("drain, drain-sticky, disabled and ready", async () => {
    await using servers = await Servers.start(2);
    await using proxy = await servers.run({ sticky: { cookie: "srv" } });
    const cookie = await stickTo(proxy, "b");
    const set = async (state: string): Promise<void> => {
      const done = await upstreamApi(proxy, "PATCH", `app/servers/${servers.id(1)}`, { state });
      expect([state, done.status]).toEqual([state, 200]);
    };
    await set("drain-sticky");
    expect(await whoAll(proxy, 12)).toBe("a");
    expect(await whoAll(proxy, 12, [`Cookie: ${cookie}`])).toBe("b");
    await set("drain");
    expect(await whoAll(proxy, 12)).toBe("a");
    expect(await whoAll(proxy, 12, [`Cookie: ${cookie}`])).toBe("a");
    await set("disabled");
    expect(await whoAll(proxy, 12, [`Cookie: ${cookie}`])).toBe("a");
    await set("ready");
    expect(await whoAll(proxy, 12)).toBe("ab");
    expect(await whoAll(proxy, 12, [`Cookie: ${cookie}`])).toBe("b");
  });

  test("a server that refuses loses its client to another", async () => {
    await using servers = await Servers.start(2);
    await using proxy = await servers.run({ sticky: { cookie: "srv" } });
    const cookie = await stickTo(proxy, "b");
    await servers.all[1]![Symbol.asyncDispose]();
    const came = await exchange(proxy.port(), request("/", [`Cookie: ${cookie}`]));
    expect([came.status, came.body]).toEqual([200, "a"]);
    expect(cookieOf(came)).not.toBe("");
    expect(cookieOf(came)).not.toBe(cookie);
  });
});
