// Consumers as operators manage them: through the admin API and the command line of a running proxy, kept through kill -9,
// and followed by what is under way.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { answer, type Message, request } from "./support/message.ts";
import { exchange, Peer } from "./support/peer.ts";
import { RawBackend } from "./support/raw-backend.ts";
import { Folder, runConfig, type SluiceProcess, sluice } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

type Json = Record<string, unknown>;

let folder: Folder;
let app: RawBackend;
let proxy: SluiceProcess;

const configOf = (): Json => ({
  listeners: [{ address: "127.0.0.1:0" }],
  trustedProxies: ["127.0.0.1"],
  storage: folder.path,
  workers: 2,
  shutdown: { drain: "50ms" },
  plans: { gold: {} },
  consumers: { house: { plan: "gold", groups: ["own"], credentials: [{ apiKey: hashed("of the house") }] } },
  routes: [
    {
      match: { path: "/inner/*" },
      auth: { apiKey: { consumers: true }, require: { groups: ["inner"] } },
      respond: { body: "inner" },
    },
    {
      match: { path: "/told/*" },
      auth: { apiKey: { consumers: true } },
      respond: { body: "{consumer} {claim.tenant} {user}" },
    },
    {
      match: { path: "/metered/*" },
      auth: { apiKey: { consumers: true } },
      quota: true,
      respond: { body: "metered" },
    },
    {
      auth: [{ apiKey: { consumers: true } }, { basic: { consumers: true } }, { signature: { consumers: true } }],
      requestHeaders: { set: { "x-consumer": "{consumer}" } },
      to: app.url,
    },
  ],
});

const hashed = (key: string): string => `sha256:${new Bun.CryptoHasher("sha256").update(key).digest("hex")}`;

beforeAll(async () => {
  folder = new Folder();
  app = await RawBackend.answering(({ target }) => {
    if (target === "/stream") return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    return target === "/chat" ? SWITCHED : answer(200, "ok", ["Connection: close"]);
  });
  proxy = await runConfig(folder, configOf());
});
afterAll(async () => {
  await proxy[Symbol.asyncDispose]();
  await app[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

interface Answered {
  readonly status: number;
  readonly body: Json;
  readonly etag: string | null;
}

async function admin(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
  to = proxy,
): Promise<Answered> {
  const response = await fetch(`${to.adminUrl}/api/consumers${path}`, {
    method,
    headers: { connection: "close", ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Json, etag: response.headers.get("etag") };
}

const SWITCHED = [
  ...["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"],
  ...["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "", ""],
].join("\r\n");

let address = 0;
/** In the name of another client each time, so that wrong keys of one test do not count for another. */
async function ask(key: string, target = "/", to = proxy): Promise<Message> {
  address += 1;
  const from = `X-Forwarded-For: 198.18.${address >> 8}.${address & 255}`;
  return exchange(to.port(), request(target, [from, `X-Api-Key: ${key}`]));
}
const statusOf = async (key: string, target = "/", to = proxy): Promise<number> => (await ask(key, target, to)).status;

async function added(name: string, more: Json = {}): Promise<string> {
  const { status, body } = await admin("POST", "", { name, credentials: [{ apiKey: true }], ...more });
  expect(status).toBe(201);
  return (body.made as { key: string }[])[0]!.key;
}
const idsOf = async (name: string): Promise<string[]> =>
  ((await admin("GET", `/${name}`)).body.credentials as { id: string }[]).map(({ id }) => id);

describe("the admin API", () => {
  test("adds, shows, changes and removes, at once in all workers", async () => {
    const key = await added("acme", { groups: ["inner"], plan: "gold", claims: { tenant: 42 } });
    expect(key).toMatch(/^slc_[\w-]{43}$/);
    for (let i = 0; i < 8; i += 1) expect((await ask(key, "/told/")).body).toBe("acme 42 acme");
    expect(await statusOf(key, "/inner/")).toBe(200);
    await ask(key, "/to-the-server");
    expect(app.requests.at(-1)!.field("x-consumer")).toBe("acme");
    expect(app.requests.at(-1)!.field("x-api-key")).toBeNull();
    const { body, etag } = await admin("GET", "/acme");
    expect(body).toMatchObject({ name: "acme", source: "api", state: "active", version: 1, plan: "gold" });
    expect(JSON.stringify(body)).not.toContain(key);
    expect(JSON.stringify(body)).not.toContain("sha256");
    expect(body.credentials).toMatchObject([{ kind: "apiKey", hint: key.slice(-4), state: "active" }]);
    expect(etag).toBe('"1"');
    const changed = await admin("PATCH", "/acme", { groups: [], plan: null, claims: { tenant: 7 } });
    expect(changed).toMatchObject({ status: 200, etag: '"2"', body: { groups: [], version: 2 } });
    expect(changed.body.plan).toBeUndefined();
    for (let i = 0; i < 8; i += 1) expect(await statusOf(key, "/inner/")).toBe(403);
    expect((await ask(key, "/told/")).body).toBe("acme 7 acme");
    expect(await admin("DELETE", "/acme")).toMatchObject({ status: 200, body: { removed: true } });
    for (let i = 0; i < 8; i += 1) expect(await statusOf(key)).toBe(401);
    expect((await admin("GET", "/acme")).status).toBe(404);
  });

  test("refuses who is disabled or has ended, and lets him in again", async () => {
    const key = await added("blinker");
    const set = async (patch: Json): Promise<number> => {
      expect((await admin("PATCH", "/blinker", patch)).status).toBe(200);
      return statusOf(key);
    };
    expect(await set({ disabled: true })).toBe(401);
    expect((await admin("GET", "/blinker")).body.state).toBe("disabled");
    expect(await set({ disabled: false })).toBe(200);
    expect(await set({ expires: "2020-01-31" })).toBe(401);
    expect(await set({ expires: null })).toBe(200);
    const [id] = await idsOf("blinker");
    expect((await admin("PATCH", `/blinker/credentials/${id}`, { disabled: true })).status).toBe(200);
    expect(await statusOf(key)).toBe(401);
    expect((await admin("PATCH", `/blinker/credentials/${id}`, { disabled: false, name: "x" })).body).toMatchObject({
      credential: { id, name: "x", state: "active" },
    });
    expect(await statusOf(key)).toBe(200);
    expect((await admin("DELETE", `/blinker/credentials/${id}`)).body).toMatchObject({ id, revoked: true });
    expect(await statusOf(key)).toBe(401);
    expect((await admin("DELETE", `/blinker/credentials/${id}`)).status).toBe(404);
  });

  test("rotates: the old key goes on for the overlap, and no longer", async () => {
    const old = await added("turner", { scopes: ["read"] });
    const [id] = await idsOf("turner");
    const { status, body } = await admin("POST", `/turner/credentials/${id}/rotate`, { overlap: "1h" });
    expect(status).toBe(201);
    const next = body.key as string;
    expect([await statusOf(old), await statusOf(next)]).toEqual([200, 200]);
    const credentials = (await admin("GET", "/turner/credentials")).body.credentials as Json[];
    expect(Date.parse(credentials[0]!.expires as string) - Date.now()).toBeWithin(3_500_000, 3_600_001);
    const [, second] = await idsOf("turner");
    const third = (await admin("POST", `/turner/credentials/${second}/rotate`, { overlap: "0s" })).body.key as string;
    expect([await statusOf(old), await statusOf(next), await statusOf(third)]).toEqual([200, 401, 200]);
    const soon = (await admin("POST", `/turner/credentials/${(await idsOf("turner"))[1]}/rotate`, { overlap: "300ms" }))
      .body.key as string;
    await until(async () => (await statusOf(third)) === 401, "the end of the overlap");
    expect(await statusOf(soon)).toBe(200);
  });

  test("takes a change for the version that it was made for alone", async () => {
    await added("edited");
    const change = (groups: string[], ifMatch: string): Promise<Answered> =>
      admin("PATCH", "/edited", { groups }, { "if-match": ifMatch });
    const all = await Promise.all(["a", "b", "c"].map((group) => change([group], '"1"')));
    expect(all.map(({ status }) => status).sort()).toEqual([200, 412, 412]);
    expect(await change(["d"], '"2"')).toMatchObject({ status: 200, etag: '"3"' });
    expect(await change(["e"], "x")).toMatchObject({ status: 400 });
    expect((await admin("DELETE", "/edited", undefined, { "if-match": '"2"' })).status).toBe(412);
    expect((await admin("DELETE", "/edited", undefined, { "if-match": '"3"' })).status).toBe(200);
    // One that was removed goes on counting, so that an old ETag never fits a new consumer.
    await added("edited");
    expect((await admin("GET", "/edited")).etag).toBe('"5"');
  });

  const WRONG: readonly (readonly [name: string, method: string, path: string, body: unknown, status: number])[] = [
    ["no name", "POST", "", {}, 422],
    ["a name with a space", "POST", "", { name: "a b" }, 422],
    ["a name that is too long", "POST", "", { name: "a".repeat(101) }, 422],
    ["a key that is not known", "POST", "", { name: "x", colour: "red" }, 422],
    ["two kinds", "POST", "/house/credentials", { apiKey: true, basic: { user: "x" } }, 422],
    ["no kind", "POST", "/house/credentials", { name: "x" }, 422],
    ["a hash that is none", "POST", "/house/credentials", { apiKey: "abc" }, 422],
    ["a password that is no hash", "POST", "/house/credentials", { basic: { user: "x", password: "abc" } }, 422],
    ["a name that is none", "POST", "/house/credentials", { mtls: { subject: "robot" } }, 422],
    ["too short a secret", "POST", "/house/credentials", { signature: { keyId: "k", secret: "abc" } }, 422],
    ["somebody of the configuration", "POST", "", { name: "house" }, 409],
    ["what the configuration says", "PATCH", "/house", { groups: [] }, 409],
    ["removing whom the configuration names", "DELETE", "/house", undefined, 409],
    ["another one's key", "POST", "", { name: "thief", credentials: [{ apiKey: hashed("of the house") }] }, 409],
    ["nobody", "PATCH", "/nobody", { groups: [] }, 404],
    ["nobody's credential", "POST", "/nobody/credentials", { apiKey: true }, 404],
    ["claims without end", "POST", "", { name: "x", claims: { a: "x".repeat(5000) } }, 422],
    ["an overlap without end", "POST", "/house/credentials/x/rotate", { overlap: "1000d" }, 422],
  ];
  test("says what is wrong, and changes nothing", async () => {
    for (const [name, method, path, body, status] of WRONG)
      expect([name, (await admin(method, path, body)).status]).toEqual([name, status]);
    expect((await admin("GET", "/x")).status).toBe(404);
    expect((await admin("GET", "/thief")).status).toBe(404);
  });

  test("adds credentials to whom the configuration names, and lists all by name", async () => {
    const { status, body } = await admin("POST", "/house/credentials", { apiKey: true, name: "more" });
    expect(status).toBe(201);
    const key = body.key as string;
    expect((await ask(key, "/told/")).body).toBe("house  house");
    expect((await admin("GET", "/house")).body).toMatchObject({
      source: "configuration",
      credentials: [{ source: "configuration" }, { source: "api", name: "more" }],
    });
    await added("zoe");
    const page = async (query: string): Promise<unknown> => {
      const { body: found } = await admin("GET", `?${query}`);
      return [(found.consumers as { name: string }[]).map(({ name }) => name), found.next];
    };
    expect(await page("prefix=zo")).toEqual([["zoe"], null]);
    expect(await page("limit=1&after=edited")).toEqual([["house"], "house"]);
    expect((await admin("GET", "?limit=0")).status).toBe(400);
    expect(await page("limit=1&after=turner")).toEqual([["zoe"], null]);
  });

  test("makes passwords and secrets for signatures, which work", async () => {
    await added("all-kinds");
    const { body } = await admin("POST", "/all-kinds/credentials", { basic: { user: "ann" } });
    const token = Buffer.from(`ann:${body.password}`).toString("base64");
    const login = (): Promise<Message> =>
      exchange(proxy.port(), request("/", [`X-Forwarded-For: 203.0.113.9`, `Authorization: Basic ${token}`]));
    expect((await login()).status).toBe(200);
    expect(app.requests.at(-1)!.field("x-consumer")).toBe("all-kinds");
    const id = (body.credential as { id: string }).id;
    await admin("DELETE", `/all-kinds/credentials/${id}`);
    // What was remembered of a right password is not believed any more.
    for (let i = 0; i < 4; i += 1) expect((await login()).status).toBe(401);
    const made = await admin("POST", "/all-kinds/credentials", { signature: { keyId: "ci" } });
    expect(made.body.secret).toMatch(/^base64:/);
    const turned = await admin(
      "POST",
      `/all-kinds/credentials/${(made.body.credential as { id: string }).id}/rotate`,
      {},
    );
    expect(turned.body.credential).toMatchObject({ signature: { algorithm: "hmac-sha256" } });
    expect(turned.body.secret).not.toBe(made.body.secret);
    expect(JSON.stringify((await admin("GET", "/all-kinds")).body)).not.toContain("base64:");
  });

  test("gives limits of its own, which hold in place of the plan's", async () => {
    const free = await added("free", { plan: "gold" });
    const bound = await added("bound", { plan: "gold", limits: { quota: "2/d" } });
    const meter = async (key: string): Promise<number[]> => {
      const statuses: number[] = [];
      for (let i = 0; i < 4; i += 1) statuses.push(await statusOf(key, "/metered/"));
      return statuses;
    };
    expect([await meter(free), await meter(bound)]).toEqual([
      [200, 200, 200, 200],
      [200, 200, 429, 429],
    ]);
    await admin("PATCH", "/bound", { limits: { quota: "3/d" } });
    expect(await meter(bound)).toEqual([200, 429, 429, 429]);
  });

  test("logs and tells what was done, without secrets", async () => {
    const response = await fetch(`${proxy.adminUrl}/api/events?kinds=consumer`);
    const reader = response.body!.getReader();
    const key = await added("watched");
    let told = "";
    const decoder = new TextDecoder();
    await until(async () => {
      told += decoder.decode((await reader.read()).value);
      return told.includes('"created"');
    }, "the event");
    await reader.cancel();
    expect(told).toContain('"consumer":"watched"');
    await proxy.said(/consumer created.*watched/);
    for (const text of [told, proxy.err]) expect(text).not.toContain(key);
  });
});

describe("what is under way", () => {
  const UPGRADE = [
    ...["Connection: Upgrade", "Upgrade: websocket"],
    ...["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="],
  ];
  const CASES: readonly (readonly [name: string, target: string, fields: readonly string[]])[] = [
    ["a WebSocket", "/chat", UPGRADE],
    ["a stream", "/stream", []],
  ];
  test("goes on when something about the consumer changes, and ends with him", async () => {
    const live = await Promise.all(
      CASES.map(async ([name, target, fields]) => {
        const who = `under-way${target.replace("/", "-")}`;
        const peer = await Peer.connect(proxy.port());
        peer.send(request(target, [`X-Api-Key: ${await added(who)}`, ...fields]));
        await peer.through(target === "/chat" ? "\r\n\r\n" : "abc");
        await admin("PATCH", `/${who}`, { groups: ["new"] });
        return { name, who, peer };
      }),
    );
    await Bun.sleep(1100); // it is looked after twice a second
    for (const { name, who, peer } of live) {
      expect([name, peer.ended]).toEqual([name, false]);
      await admin("PATCH", `/${who}`, { disabled: true });
    }
    for (const { name, peer } of live) {
      await until(() => peer.ended, `the end of ${name}`);
      peer.close();
    }
  });
});

test("the command line does it all", async () => {
  const run = (...args: string[]): ReturnType<typeof sluice> =>
    sluice(["consumers", ...args, "--admin", proxy.adminUrl.replace("http://", "")]);
  const about = ["--group", "inner", "--plan", "gold", "--claim", "tenant=9", "--rate", "5/s", "--quota", "900/d"];
  const made = await run("add", "cli", ...about, "--key");
  expect([made.code, made.err]).toEqual([0, ""]);
  const key = /^key: (\S+)$/m.exec(made.out)![1]!;
  expect((await ask(key, "/told/")).body).toBe("cli 9 cli");
  const more = await run("key", "add", "cli", "--name", "laptop", "--expires", "2090-01-01");
  const id = /^id: +(\S+)$/m.exec(more.out)![1]!;
  const [list, show, turned] = await Promise.all([
    run("list", "--prefix", "cli"),
    run("show", "cli"),
    run("key", "rotate", "cli", id, "--overlap", "0s"),
  ]);
  expect(list.out).toMatch(/^cli: plan gold; groups inner; \d credentials\n$/);
  expect(show.out).toContain('limits {"rate":"5/s","quota":["900/d"]}');
  const fresh = /^key: (\S+)$/m.exec(turned.out)![1]!;
  expect([await statusOf(fresh), await statusOf(/^key: (\S+)$/m.exec(more.out)![1]!)]).toEqual([200, 401]);
  const nextId = /^id: +(\S+)$/m.exec(turned.out)![1]!;
  const [revoked, disabled, wrong] = await Promise.all([
    run("key", "revoke", "cli", nextId),
    run("disable", "cli"),
    run("add", "not a name"),
  ]);
  expect(revoked.out).toBe(`${nextId} of cli is revoked\n`);
  expect(disabled.out).toBe("cli is disabled\n");
  expect([await statusOf(key), await statusOf(fresh)]).toEqual([401, 401]);
  expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining("name: ")]);
  expect((await run("remove", "cli")).out).toBe("cli is removed\n");
}, 20_000);

test("a reload keeps them, and changes those of the configuration", async () => {
  const key = await added("stays");
  const more = (await admin("POST", "/house/credentials", { apiKey: true })).body.key as string;
  const all = async (): Promise<number[]> =>
    Promise.all([key, more, "of the house"].map((each) => statusOf(each, "/told/")));
  const use = async (consumers: Json): Promise<void> => {
    folder.write("sluice.json", { admin: { address: "127.0.0.1:0" }, ...configOf(), consumers });
    expect((await proxy.reload()).status).toBe(200);
  };
  expect(await all()).toEqual([200, 200, 200]);
  await use({});
  expect(await all()).toEqual([200, 401, 401]);
  await use({ house: { disabled: true, credentials: [{ apiKey: hashed("of the house") }] } });
  expect(await all()).toEqual([200, 401, 401]);
  await use({ house: { credentials: [{ apiKey: hashed("of the house") }] } });
  expect(await all()).toEqual([200, 200, 200]);
  await admin("DELETE", "/stays");
  expect(await all()).toEqual([401, 200, 200]);
});

test("everything holds after kill -9", async () => {
  const key = await added("survivor", { limits: { rate: "100/s" } });
  const gone = await added("removed");
  await admin("DELETE", "/removed");
  proxy.signal("SIGKILL");
  await proxy.exited;
  proxy = await runConfig(folder, configOf());
  expect([await statusOf(key), await statusOf(gone)]).toEqual([200, 401]);
  expect((await admin("GET", "/survivor")).body).toMatchObject({ version: 1, limits: { rate: "100/s" } });
  const { status } = await admin("POST", "/survivor/credentials", { apiKey: true });
  expect(status).toBe(201);
});
