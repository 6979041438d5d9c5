// What is stored on the disk, and what becomes of it when the program ends.
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createProxy } from "sluice";
import type { DiskState } from "../src/control/cache-disk.ts";
import { request } from "./support/message.ts";
import { contentOf, Origin } from "./support/origin.ts";
import { Peer } from "./support/peer.ts";
import { Folder, runConfig, type SluiceProcess, sluice } from "./support/sluice.ts";
import { until } from "./support/wait.ts";

const MINUTE = "cache-control=max-age%3D600";
setDefaultTimeout(60_000); // programs are started and ended several times

interface Rig extends AsyncDisposable {
  readonly folder: Folder;
  readonly origin: Origin;
  readonly path: string;
  proxy: SluiceProcess;
  get(target: string, headers?: Record<string, string>, method?: string): Promise<Got>;
  /** Ends the program, with or without notice, and starts it again. */
  restart(signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
  disk(): Promise<DiskState>;
  purge(what: unknown): Promise<number>;
}

interface Got {
  readonly status: number;
  readonly cache: string;
  readonly text: string;
  readonly field: (name: string) => string | null;
}

async function rig(cache: Record<string, unknown> = {}, workers = 2, size = "64MB"): Promise<Rig> {
  const folder = new Folder();
  const origin = await Origin.start();
  const path = join(folder.path, "cache");
  const config = {
    listeners: [{ address: "127.0.0.1:0" }],
    workers,
    shutdown: { drain: "20ms" },
    routes: [{ name: "app", cache: { tags: "surrogate-key", disk: { path, size }, ...cache }, to: origin.url }],
  };
  const start = async (): Promise<SluiceProcess> => {
    const proxy = await runConfig(folder, config);
    await until(async () => (await diskOf(proxy)).ready, "what is on the disk to be known");
    return proxy;
  };
  const made: Rig = {
    folder,
    origin,
    path,
    proxy: await start(),
    get: (target, headers = {}, method = "GET") => get(made.proxy.port(), target, headers, method),
    restart: async (signal = "SIGTERM") => {
      made.proxy.signal(signal);
      await made.proxy.exited;
      made.proxy = await start();
    },
    disk: () => diskOf(made.proxy),
    purge: async (what) => {
      const body = JSON.stringify(what);
      const headers = { "content-type": "application/json" };
      const answer = await fetch(`${made.proxy.adminUrl}/api/cache/purge`, { method: "POST", headers, body });
      return ((await answer.json()) as { purged: number }).purged;
    },
    async [Symbol.asyncDispose]() {
      await made.proxy[Symbol.asyncDispose]();
      await origin[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
  return made;
}

const diskOf = async (proxy: SluiceProcess): Promise<DiskState> =>
  ((await proxy.admin("GET", "/api/cache")).body as { disk: DiskState }).disk;

async function get(port: number, target: string, headers: Record<string, string>, method: string): Promise<Got> {
  const answer = await fetch(`http://127.0.0.1:${port}${target}`, {
    method,
    headers: { host: "app.example", connection: "close", ...headers },
  });
  const text = Buffer.from(await answer.arrayBuffer()).toString("latin1");
  return {
    status: answer.status,
    cache: answer.headers.get("cache-status") ?? "",
    text,
    field: (name) => answer.headers.get(name),
  };
}

const stored = (rig: Rig, count: number): Promise<void> =>
  until(async () => (await rig.disk()).stored >= count, `${count} records to be written`);

describe("a restart", () => {
  test.each(["SIGTERM", "SIGKILL"] as const)("keeps what is stored, after %s", async (signal) => {
    await using it = await rig();
    for (let i = 0; i < 20; i += 1) await it.get(`/${i}?${MINUTE}`);
    await stored(it, 20);
    await it.restart(signal);
    for (let i = 0; i < 20; i += 1) {
      const got = await it.get(`/${i}?${MINUTE}`);
      expect([got.cache, got.text.trim(), it.origin.gets(`/${i}`)]).toEqual(["sluice; hit", `/${i} 1`, 1]);
      expect(Number(got.field("age"))).toBeGreaterThanOrEqual(0);
    }
    expect(await it.disk()).toMatchObject({ entries: 20, damaged: 0, failed: 0, refused: 0 });
    expect((await it.disk()).hits).toBeGreaterThanOrEqual(20); // each worker reads once, and has it in memory then
  });

  test("keeps variants, negative answers, parts, conditions, HEAD and only-if-cached", async () => {
    await using it = await rig({ statusTtl: { 404: "10m" } });
    const target = `/v?${MINUTE}&vary=accept-language`;
    for (const language of ["de", "fr", "en"]) await it.get(target, { "accept-language": language });
    await it.get("/none?status=404");
    await it.get(`/part?${MINUTE}&etag=x&bytes=5000`);
    await stored(it, 6);
    await it.restart();
    for (const language of ["fr", "de", "en"]) {
      const got = await it.get(target, { "accept-language": language });
      expect([got.cache, got.text]).toEqual(["sluice; hit", `/v 1 ${language}`]);
    }
    const part = await it.get(`/part?${MINUTE}&etag=x&bytes=5000`, { range: "bytes=1000-1007" });
    expect([part.status, part.text, part.cache]).toEqual([206, contentOf(1000, 8).toString("latin1"), "sluice; hit"]);
    const same = await it.get(`/part?${MINUTE}&etag=x&bytes=5000`, { "if-none-match": '"x"' });
    expect([same.status, same.cache]).toEqual([304, "sluice; hit"]);
    const head = await it.get(`/part?${MINUTE}&etag=x&bytes=5000`, {}, "HEAD");
    expect([head.status, head.field("content-length"), head.text]).toEqual([200, "5000", ""]);
    const only = { "cache-control": "only-if-cached" };
    expect((await it.get("/none?status=404", only)).status).toBe(404);
    expect((await it.get(target, { ...only, "accept-language": "nl" })).status).toBe(504);
    expect([it.origin.gets("/v"), it.origin.gets("/none"), it.origin.gets("/part")]).toEqual([3, 1, 1]);
  });

  test("gives out answers of any length on one connection, asked for in one go or one by one", async () => {
    await using it = await rig({}, 1);
    const sizes = [1, 5000, 8191, 8192, 33_000, 60_000, 70_000, 300_000];
    const targets = sizes.map((size) => `/${size}?${MINUTE}&bytes=${size}`);
    for (const target of targets) await it.get(target);
    await stored(it, targets.length);
    await it.restart();
    await using client = await Peer.connect(it.proxy.port());
    const check = async (round: number): Promise<void> => {
      for (const size of sizes) {
        const got = await client.response();
        expect([round, size, got.status, got.field("cache-status")]).toEqual([round, size, 200, "sluice; hit"]);
        expect(got.field("content-length")).toBe(String(size));
        expect(got.body === contentOf(0, size).toString("latin1")).toBe(true);
      }
    };
    client.send(targets.map((target) => request(target)).join(""));
    await check(0);
    for (const round of [1, 2]) {
      for (const target of targets) client.send(request(target));
      await check(round);
    }
    expect(sizes.map((size) => it.origin.gets(`/${size}`))).toEqual(sizes.map(() => 1));
  });

  test("knows what was validated since it was stored", async () => {
    await using it = await rig({}, 1);
    const target = "/a?cache-control=max-age%3D600&etag=x";
    await it.get(target);
    it.origin.version = 2;
    const renewed = await it.get(target, { "cache-control": "no-cache" });
    expect([renewed.text.trim(), renewed.field("x-version")]).toEqual(["/a 1", "2"]);
    await stored(it, 2);
    await it.restart();
    const got = await it.get(target);
    expect([got.text.trim(), got.field("x-version"), got.cache]).toEqual(["/a 1", "2", "sluice; hit"]);
  });

  test("gives out stale answers when the server fails, and asks whether they hold", async () => {
    await using it = await rig({ staleIfError: "1h" }, 1);
    await it.get("/a?cache-control=max-age%3D0&etag=x");
    await stored(it, 1);
    await it.restart();
    it.origin.failing = 503;
    const got = await it.get("/a?cache-control=max-age%3D0&etag=x");
    expect([got.status, got.text.trim()]).toEqual([200, "/a 1"]);
    expect(got.cache).toContain("stale-if-error");
    it.origin.failing = 0;
    await until(
      async () => (await it.get("/a?cache-control=max-age%3D0&etag=x")).cache.includes("304"),
      "the server to be asked",
    );
  });

  test("does not bring back what requests have changed", async () => {
    await using it = await rig();
    for (const name of ["a", "b"]) await it.get(`/${name}?${MINUTE}`);
    await stored(it, 2);
    await it.get(`/a?${MINUTE}`, {}, "POST");
    await it.restart("SIGKILL");
    expect((await it.get(`/a?${MINUTE}`)).text.trim()).toBe("/a 2");
    expect((await it.get(`/b?${MINUTE}`)).text.trim()).toBe("/b 1");
  });
});

describe("a purge", () => {
  const CASES: readonly (readonly [what: Record<string, unknown>, gone: readonly string[]])[] = [
    [{ url: `http://app.example/a/1?${MINUTE}&surrogate-key=x` }, ["/a/1"]],
    [{ prefix: "http://app.example/a/" }, ["/a/1", "/a/2"]],
    [{ tag: "x" }, ["/a/1", "/b"]],
    [{ all: true }, ["/a/1", "/a/2", "/b"]],
  ];
  const TARGETS = ["/a/1?x", "/a/2?y", "/b?x"].map((each) => {
    const [path, tag] = each.split("?");
    return { path: path!, target: `${path}?${MINUTE}&surrogate-key=${tag}` };
  });

  test.each(CASES)("of %j is not undone by a kill and a restart, and takes nothing else", async (what, gone) => {
    await using it = await rig();
    for (const { target } of TARGETS) await it.get(target);
    await stored(it, 3);
    expect(await it.purge(what)).toBeGreaterThanOrEqual(gone.length);
    await it.restart("SIGKILL");
    for (const { path, target } of TARGETS) {
      await it.get(target);
      expect([path, it.origin.gets(path)]).toEqual([path, gone.includes(path) ? 2 : 1]);
    }
  });

  test.each(CASES)("that is soft, of %j, leaves it stale", async (what, gone) => {
    await using it = await rig({ staleWhileRevalidate: "1h" }, 1);
    for (const { target } of TARGETS) await it.get(target);
    await stored(it, 3);
    await it.restart(); // so that nothing is in memory
    await it.purge({ ...what, soft: true });
    await it.restart("SIGKILL");
    it.origin.version = 2;
    for (const { path, target } of TARGETS) {
      expect((await it.get(target)).text.trim()).toBe(`${path} 1`);
      if (gone.includes(path)) await until(() => it.origin.gets(path) === 2, "it to be fetched anew");
    }
    for (const { path } of TARGETS) expect([path, it.origin.gets(path)]).toEqual([path, gone.includes(path) ? 2 : 1]);
  });
});

describe("long content", () => {
  const BYTES = 60_000_000;
  const target = `/long?${MINUTE}&bytes=${BYTES}`;

  test("lies in a file, and is given out from there while it is written and after a restart", async () => {
    await using it = await rig({}, 1, "800MB");
    let release = (): void => {};
    it.origin.held = new Promise((resolve) => {
      release = resolve;
    });
    const first = Array.from({ length: 4 }, () => it.get(target));
    // A part that is there already, while the rest is still to come.
    await until(() => it.origin.gets("/long") === 1, "the server to be asked");
    const part = it.get(target, { range: "bytes=1000000-1000015" });
    expect((await part).text).toBe(contentOf(1_000_000, 16).toString("latin1"));
    // One that is far from being there is not waited for.
    const far = await it.get(target, { range: "bytes=59000000-59000015" });
    expect([far.text, far.cache]).toEqual([contentOf(59_000_000, 16).toString("latin1"), "sluice; fwd=uri-miss"]);
    release();
    const whole = contentOf(0, BYTES).toString("latin1");
    for (const got of await Promise.all(first)) expect(got.text === whole).toBe(true);
    expect(it.origin.gets("/long")).toBe(2);
    await stored(it, 1);
    await it.restart("SIGKILL");
    const again = await it.get(target);
    expect([again.text === whole, again.cache, again.status]).toEqual([true, "sluice; hit", 200]);
    const range = `bytes=${BYTES - 10}-`;
    expect((await it.get(target, { range })).text).toBe(contentOf(BYTES - 10, 10).toString("latin1"));
    expect((await it.get(target, { range: "bytes=59999990-59999999,0-3" })).status).toBe(206);
    expect(it.origin.gets("/long")).toBe(2);
    expect(readdirSync(it.path).filter((name) => name.endsWith(".object")).length).toBe(1);
    expect(await it.purge({ url: `http://app.example${target}` })).toBe(0); // in memory there was none
    await it.get(target);
    expect(it.origin.gets("/long")).toBe(3);
  });

  test("takes no memory", async () => {
    await using it = await rig({ maxSize: "1GB", memory: "32MB" }, 1, "4GB");
    const bytes = 400_000_000;
    const ask = async (): Promise<number> => {
      const answer = await fetch(`http://127.0.0.1:${it.proxy.port()}/huge?${MINUTE}&bytes=${bytes}`, {
        headers: { host: "app.example" },
      });
      let length = 0;
      for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) length += chunk.length;
      return length;
    };
    const rss = (): number =>
      Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${it.proxy.pid}/status`, "utf8"))![1]) / 1024;
    const before = rss();
    expect(await ask()).toBe(bytes);
    await stored(it, 1);
    expect(await ask()).toBe(bytes);
    expect(it.origin.gets("/huge")).toBe(1);
    expect(rss() - before).toBeLessThan(150); // MB, of 400 that went through twice
  });

  test("goes on to be stored when its client leaves", async () => {
    await using it = await rig({}, 1, "800MB");
    const abort = new AbortController();
    const answer = await fetch(`http://127.0.0.1:${it.proxy.port()}${target}`, {
      headers: { host: "app.example" },
      signal: abort.signal,
    });
    await answer.body!.getReader().read();
    abort.abort();
    await stored(it, 1);
    expect((await it.get(target)).text.length).toBe(BYTES);
    expect(it.origin.gets("/long")).toBe(1);
  });
});

describe("the disk", () => {
  test("takes no more than it may", async () => {
    await using it = await rig({}, 1, "24MB");
    for (let i = 0; i < 600; i += 1) await it.get(`/${i}?${MINUTE}&bytes=100000`);
    await it.get(`/long?${MINUTE}&bytes=2000000`);
    await stored(it, 601);
    const bytes = (): number => readdirSync(it.path).reduce((sum, name) => sum + statSync(join(it.path, name)).size, 0);
    await until(() => bytes() <= 24 * 1024 * 1024, "the files to be small enough");
    expect((await it.disk()).evictedSegments).toBeGreaterThan(0);
    expect((await it.get(`/599?${MINUTE}&bytes=100000`)).cache).toBe("sluice; hit");
  });

  test("may be damaged: nothing of that is given out", async () => {
    await using it = await rig({}, 1);
    for (let i = 0; i < 40; i += 1) await it.get(`/${i}?${MINUTE}`);
    await stored(it, 40);
    it.proxy.signal("SIGTERM");
    await it.proxy.exited;
    const segment = join(it.path, readdirSync(it.path).find((name) => name.endsWith(".segment"))!);
    const content = readFileSync(segment);
    for (let at = 100; at < content.length; at += 1500) content[at]! ^= 0xff;
    writeFileSync(segment, content);
    await it.restart();
    it.origin.version = 2;
    for (let i = 0; i < 40; i += 1) {
      const { text, cache } = await it.get(`/${i}?${MINUTE}`);
      expect(text.trim()).toBe(`/${i} ${cache === "sluice; hit" ? 1 : 2}`);
    }
    expect((await it.disk()).damaged).toBeGreaterThan(0);
  });

  test("may be taken away: the proxy goes on, and says so", async () => {
    await using it = await rig({}, 1);
    await it.get(`/a?${MINUTE}`);
    await stored(it, 1);
    rmSync(it.path, { recursive: true });
    mkdirSync(it.path, { mode: 0 });
    writeFileSync(join(it.folder.path, "x"), "");
    rmSync(it.path, { recursive: true });
    for (let i = 0; i < 10; i += 1) expect((await it.get(`/${i}?${MINUTE}`)).status).toBe(200);
    expect((await it.get(`/long?${MINUTE}&bytes=3000000`)).text.length).toBe(3_000_000);
    await it.get(`/a?${MINUTE}`, {}, "POST"); // what cannot be written down takes all with it
    await it.proxy.said("the cache has trouble with its disk");
    expect((await it.get(`/a?${MINUTE}`)).text.trim()).toBe("/a 2");
  });

  test("is refused in plain words where it cannot be used", async () => {
    await using it = await rig({}, 1);
    const other = it.folder.write("other.json", readFileSync(join(it.folder.path, "sluice.json"), "utf8"));
    const second = await sluice(["run", "-c", other]);
    expect(second.code).toBe(3);
    expect(second.err).toContain(`${it.path} is in use by another process`);
    const file = it.folder.write("file", "");
    const route = (path: string, size = "64MB") => ({ cache: { disk: { path, size } }, to: it.origin.url });
    const listeners = [{ address: "127.0.0.1:0" }];
    const check = async (routes: unknown[]): Promise<string> =>
      (await sluice(["check", "-c", it.folder.write("bad.json", { listeners, routes })])).err;
    expect(await check([route(join(file, "cache"))])).toContain("the folder cannot be used");
    expect(await check([route("a"), { match: { path: "/b" }, ...route("b") }])).toContain("routes share one folder");
    expect(await check([route("a"), { match: { path: "/b" }, ...route("a", "65MB") }])).toContain("name one size");
    expect(await check([route("a", "1MB")])).toContain("the least is 16MB");
  });
});

describe("a reload", () => {
  test("keeps the tier, sets its size, changes the folder and ends it", async () => {
    await using it = await rig();
    const use = async (disk: unknown): Promise<number> => {
      const config = JSON.parse(readFileSync(join(it.folder.path, "sluice.json"), "utf8"));
      config.routes[0].cache.disk = disk;
      it.folder.write("sluice.json", config);
      return (await it.proxy.reload()).status;
    };
    await it.get(`/a?${MINUTE}`);
    await stored(it, 1);
    expect(await use({ path: it.path, size: "128MB" })).toBe(200);
    expect(await it.disk()).toMatchObject({ path: it.path, bytesMax: 128 * 1024 * 1024, entries: 1 });
    const second = join(it.folder.path, "second");
    expect(await use({ path: join(it.folder.path, "sluice.json", "x"), size: "64MB" })).toBe(422);
    expect(await it.disk()).toMatchObject({ path: it.path, entries: 1 });
    expect(await use({ path: second, size: "64MB" })).toBe(200);
    await until(async () => (await it.disk()).ready, "the new folder");
    await it.get(`/b?${MINUTE}`);
    await stored(it, 1);
    expect(await use(undefined)).toBe(200);
    expect(await it.disk()).toBeNull();
    await it.get(`/b?${MINUTE}`);
    expect(it.origin.gets("/b")).toBe(1); // it is in memory
    expect(await use({ path: it.path, size: "64MB" })).toBe(200); // nobody has it any more
    await until(async () => (await it.disk()).ready, "the first folder");
    expect((await it.disk()).entries).toBe(1);
  });
});

test("a proxy in a program has it too", async () => {
  using folder = new Folder();
  await using origin = await Origin.start();
  const disk = { path: join(folder.path, "cache"), size: "64MB" };
  const config = { listeners: [{ address: "127.0.0.1:0" }], routes: [{ cache: { disk }, to: origin.url }] };
  for (let round = 0; round < 2; round += 1) {
    const proxy = await createProxy(config);
    const port = Number(proxy.addresses[0]!.split(":").at(-1));
    const target = `/a?${MINUTE}`;
    if (round === 0) await get(port, target, {}, "GET");
    // What is on the disk is there a moment after the start.
    const only = { "cache-control": "only-if-cached" };
    await until(async () => (await get(port, target, only, "GET")).text.trim() === "/a 1", "a hit");
    await proxy.close();
  }
  expect(origin.gets("/a")).toBe(1);
});

test("metrics and the command tell of it", async () => {
  await using it = await rig({}, 1);
  await it.get(`/a?${MINUTE}`);
  await stored(it, 1);
  await it.restart();
  await it.get(`/a?${MINUTE}`);
  await it.proxy.counted("sluice_cache_disk_hits_total", 1);
  const metrics = await it.proxy.metrics();
  expect(metrics.get("sluice_cache_disk_entries")).toBe(1);
  const { out } = await sluice(["cache", "status", "--admin", it.proxy.adminUrl.replace("http://", "")]);
  expect(out).toContain(`disk ${it.path}: 1 answers`);
});
