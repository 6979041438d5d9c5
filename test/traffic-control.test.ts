// What is switched at run time, and keys of requests among workers: a proxy of two workers that is killed and comes back.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { answer, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, type SluiceProcess, sluice } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

/** Connections are spread over the workers at random: one of two is not met by this many once in a million times. */
const CONNECTIONS = 20;

let folder: Folder;
let stable: RawBackend;
let canary: RawBackend;
let proxy: SluiceProcess;
let orders = 0;
const held: Peer[] = [];

const config = () => ({
  listeners: [{ address: "127.0.0.1:0" }],
  storage: folder.path,
  upstreams: { stable: { servers: [stable.url] }, canary: { servers: [canary.url] } },
  routes: [
    {
      name: "shop",
      match: { path: "/shop" },
      to: [
        { upstream: "stable", weight: 1 },
        { upstream: "canary", weight: 0 },
      ],
    },
    { name: "orders", match: { path: "/orders/*" }, idempotency: {}, to: stable.url },
    { name: "closed", match: { path: "/closed" }, maintenance: { enabled: true }, respond: { body: "open" } },
    {
      name: "pets",
      openapi: { document: folder.write("pets.json", PETS), operations: { own: { to: stable.url } } },
      to: [
        { upstream: "stable", weight: 1 },
        { upstream: "canary", weight: 0 },
      ],
    },
    { name: "rest", respond: { body: "open" } },
  ],
});
const OK = { responses: { 200: { description: "ok" } } };
const PETS = {
  openapi: "3.1.0",
  info: { title: "Pets", version: "1" },
  servers: [{ url: "/v1" }],
  paths: {
    "/a": { get: { operationId: "a", ...OK } },
    "/b": { get: OK },
    "/own": { get: { operationId: "own", ...OK } },
  },
};
const start = (): Promise<SluiceProcess> => runConfig(folder, config(), ["--workers", "2"]);

beforeAll(async () => {
  folder = new Folder();
  stable = await RawBackend.answering((got, peer) => {
    if (got.method === "POST") orders += 1;
    if (got.target !== "/orders/held") return answer(200, got.method === "POST" ? `order ${orders}` : "stable");
    held.push(peer);
    return null;
  });
  canary = await RawBackend.answering(() => answer(200, "canary"));
  proxy = await start();
}, 30_000);
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await stable[Symbol.asyncDispose]();
  await canary[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

/** What connections of their own are answered: status, or the body of 200. */
async function all(target: string): Promise<string> {
  const seen = new Set<string>();
  for (let time = 0; time < CONNECTIONS; time += 1) {
    const { status, body } = await exchange(proxy.port(), request(target));
    seen.add(status === 200 ? body : String(status));
  }
  return [...seen].sort().join(" ");
}
async function admin(method: string, path: string, body?: unknown) {
  const headers = { "content-type": "application/json", connection: "close" };
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const response = await fetch(proxy.adminUrl + path, { method, headers, ...sent });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}
const cli = (...args: string[]) => sluice(["maintenance", ...args, "--admin", proxy.adminUrl.slice("http://".length)]);

describe("maintenance at run time", () => {
  test("of all routes, of all workers at once, and back", async () => {
    expect(await all("/rest")).toBe("open");
    const on = await cli("on", "--reason", "new disks", "--for", "1h");
    expect([on.code, on.out]).toEqual([
      0,
      expect.stringMatching(/^rest: maintenance \(admin, until .*: new disks\)$/m),
    ]);
    expect([await all("/rest"), await all("/shop"), await all("/closed")]).toEqual(["503", "503", "503"]);
    expect((await cli("off")).code).toBe(0);
    expect([await all("/rest"), await all("/closed")]).toEqual(["open", "open"]);
    expect((await cli("clear")).code).toBe(0);
    expect([await all("/rest"), await all("/closed")]).toEqual(["open", "503"]);
  });

  test("of one route", async () => {
    expect((await cli("on", "--route", "rest")).code).toBe(0);
    expect([await all("/rest"), await all("/shop")]).toEqual(["503", "stable"]);
    expect((await admin("DELETE", "/api/maintenance?route=rest")).status).toBe(200);
    expect(await all("/rest")).toBe("open");
  });

  test("mistakes change nothing", async () => {
    expect((await admin("PUT", "/api/maintenance", { enabled: true, route: "none" })).status).toBe(404);
    expect((await admin("PUT", "/api/maintenance", { on: true })).status).toBe(422);
    expect((await admin("PUT", "/api/maintenance", { enabled: true, for: "soon" })).status).toBe(422);
    expect((await cli("on", "--route", "none")).code).not.toBe(0);
    expect(await all("/rest")).toBe("open");
  });
});

describe("weights at run time", () => {
  test("from blue to green, in all workers at once, and back", async () => {
    expect(await all("/shop")).toBe("stable");
    const switched = await admin("PATCH", "/api/routes/shop/split", { weights: { stable: 0, canary: 1 } });
    expect(switched).toMatchObject({ status: 200, body: { weights: { stable: 0, canary: 1 }, changed: true } });
    expect(await all("/shop")).toBe("canary");
    const explained = await admin("POST", "/api/explain", { url: "/shop" });
    expect(explained.body).toMatchObject({ match: { upstreams: [{ name: "canary", share: 1 }] } });
    expect((await admin("DELETE", "/api/routes/shop/split")).body).toMatchObject({ changed: false });
    expect(await all("/shop")).toBe("stable");
  });

  test("of all operations of an API, or of one", async () => {
    const patch = (route: string, canary: number) =>
      admin("PATCH", `/api/routes/${route}/split`, { weights: { stable: 1 - canary, canary } });
    const seen = async (): Promise<string[]> => [await all("/v1/a"), await all("/v1/b"), await all("/v1/own")];
    expect(await patch("pets", 1)).toMatchObject({ status: 200, body: { weights: { stable: 0, canary: 1 } } });
    expect(await seen()).toEqual(["canary", "canary", "stable"]);
    expect((await patch("pets.a", 0)).status).toBe(200);
    expect(await seen()).toEqual(["stable", "canary", "stable"]);
    expect((await patch("pets.own", 0)).status).toBe(409);
    for (const route of ["pets", "pets.a"])
      expect((await admin("DELETE", `/api/routes/${route}/split`)).body).toMatchObject({ changed: false });
    expect(await seen()).toEqual(["stable", "stable", "stable"]);
    expect((await admin("PUT", "/api/maintenance", { enabled: true, route: "pets" })).status).toBe(200);
    expect([...(await seen()), await all("/rest")]).toEqual(["503", "503", "503", "open"]);
    expect((await admin("DELETE", "/api/maintenance?route=pets")).status).toBe(200);
    expect(await all("/v1/own")).toBe("stable");
  });

  test("mistakes change nothing", async () => {
    const patch = (route: string, weights: unknown) => admin("PATCH", `/api/routes/${route}/split`, { weights });
    expect((await patch("none", {})).status).toBe(404);
    expect((await patch("rest", {})).status).toBe(409);
    expect((await patch("shop", { other: 1 })).status).toBe(422);
    expect((await patch("shop", { stable: 0 })).status).toBe(422);
    expect((await patch("shop", { stable: -1 })).status).toBe(422);
    expect(await all("/shop")).toBe("stable");
  });
});

const order = (key: string, target = "/orders/1") =>
  exchange(proxy.port(), request(target, [`Idempotency-Key: ${key}`], "POST", "{}"));

describe("keys of requests", () => {
  test("are those of all workers: of many at once one is carried out", async () => {
    const before = orders;
    for (let round = 0; round < 5; round += 1) {
      const answers = await Promise.all(Array.from({ length: CONNECTIONS }, () => order(`round-${round}`)));
      const done = new Set(answers.filter(({ status }) => status === 200).map(({ body }) => body));
      expect(done.size).toBe(1);
      for (const { status } of answers) expect([200, 409]).toContain(status);
    }
    expect(orders).toBe(before + 5);
  });

  test("a worker that dies frees what it had", async () => {
    const first = await Peer.connect(proxy.port());
    first.send(request("/orders/held", ["Idempotency-Key: dying"], "POST", "{}"));
    await until(() => held.length === 1, "the request at the server");
    expect((await order("dying", "/orders/held")).status).toBe(409);
    for (const id of [0, 1]) await admin("POST", `/api/workers/${id}/restart`);
    await until(
      async () => (await proxy.status()).workers.every(({ restarts, state }) => restarts === 1 && state === "ready"),
      "new workers",
    );
    const again = await Peer.connect(proxy.port());
    again.send(request("/orders/held", ["Idempotency-Key: dying"], "POST", "{}"));
    await until(() => held.length === 2, "the request at the server again");
    held[1]!.send(answer(200, "second"));
    expect((await again.response()).body).toBe("second");
    first.close();
    again.close();
  });
});

test("all of it outlives a proxy that is killed", async () => {
  const kept = (await order("kept")).body;
  await admin("PUT", "/api/maintenance", { enabled: true, route: "rest" });
  await admin("PATCH", "/api/routes/shop/split", { weights: { stable: 0, canary: 1 } });
  await proxy[Symbol.asyncDispose](); // SIGKILL
  proxy = await start();
  expect((await order("kept")).body).toBe(kept);
  expect([await all("/rest"), await all("/shop")]).toEqual(["503", "canary"]);
}, 20_000);
