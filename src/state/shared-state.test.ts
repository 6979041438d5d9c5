import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openState, type StateSettings } from "./open-state.ts";
import { RedisServer } from "./redis-server.testing.ts";
import type { SharedState } from "./shared-state.ts";

const WAIT_MS = 5000;

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error("waited in vain");
    await Bun.sleep(5);
  }
}

const LONG = `acme/certificate/${"a-very-long-label.".repeat(20)}test`;
const KEYS: readonly string[] = [
  "a",
  "a/b",
  "a.b",
  ".",
  "..",
  "../x",
  "A",
  "*.example.com",
  "a+b",
  "a%2bb",
  "a~b",
  LONG,
];

const MAKERS: readonly (readonly [name: string, start: () => Promise<Store>])[] = [
  ["files", startFiles],
  ["redis", startRedis],
];

interface Store extends AsyncDisposable {
  readonly settings: StateSettings;
}

async function startFiles(): Promise<Store> {
  const folder = mkdtempSync(join(tmpdir(), "state-"));
  return {
    settings: { kind: "files", folder: join(folder, "made", "new") },
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

async function startRedis(): Promise<Store> {
  const server = await RedisServer.start();
  return {
    settings: { kind: "redis", url: server.url, prefix: "te[s]t*:" },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

for (const [name, start] of MAKERS) {
  describe(`shared state in ${name}`, () => {
    let store: Store;
    let one: SharedState;
    let other: SharedState;
    const errors: Error[] = [];

    beforeAll(async () => {
      store = await start();
      one = await openState(store.settings, (error) => errors.push(error));
      other = await openState(store.settings, (error) => errors.push(error));
    });
    afterAll(async () => {
      await one.close();
      await other.close();
      await store[Symbol.asyncDispose]();
      expect(errors).toEqual([]);
    });

    test("keys stay apart, and each has the value set last, whoever asks", async () => {
      for (const key of KEYS) await one.set(key, `old ${key}`);
      for (const key of KEYS) await other.set(key, `new ${key}\n é`);
      for (const key of KEYS) expect(await one.get(key)).toBe(`new ${key}\n é`);
      expect(await one.list("")).toEqual([...KEYS].sort());
      expect(await other.list("a/")).toEqual(["a/b"]);
      expect(await other.list("acme/")).toEqual([LONG]);
      expect(await other.list("*")).toEqual(["*.example.com"]);
      for (const key of KEYS) await one.delete(key);
      await one.delete("a");
      for (const key of KEYS) expect(await other.get(key)).toBeNull();
      expect(await other.list("")).toEqual([]);
    });

    test("what is no key is refused", async () => {
      for (const key of ["", "a b", "é", "a\0", "x".repeat(513)]) {
        await expect(async () => await one.get(key)).toThrow(TypeError);
        await expect(async () => await one.set(key, "")).toThrow(TypeError);
        await expect(async () => await one.lock(key, 1000)).toThrow(TypeError);
      }
    });

    test("a value with a time is gone when it is over, and a new one without has none", async () => {
      await one.set("short", "1", { ttlMs: 400 });
      await one.set("kept", "1", { ttlMs: 400 });
      await one.set("kept", "2");
      expect(await other.get("short")).toBe("1");
      await until(async () => (await other.get("short")) === null);
      expect(await other.list("")).toEqual(["kept"]);
      expect(await other.get("kept")).toBe("2");
      await one.delete("kept");
    });

    test("a lock has one owner until it is released", async () => {
      const lock = await one.lock("work", 60_000);
      expect(await other.lock("work", 60_000)).toBeNull();
      expect(await one.lock("work", 60_000)).toBeNull();
      const apart = await other.lock("work/other", 60_000);
      expect(apart).not.toBeNull();
      await lock?.release();
      const next = await other.lock("work", 60_000);
      expect(next?.token).toBeGreaterThan(lock?.token ?? Number.POSITIVE_INFINITY);
      expect(await lock?.renew()).toBe(false);
      await lock?.release(); // not its own any more
      expect(await one.lock("work", 60_000)).toBeNull();
      await next?.release();
      await apart?.release();
    });

    test("a lock whose owner died is free when its time is over; one that is renewed is not", async () => {
      const dead = await one.lock("left", 500);
      const alive = await one.lock("held", 500);
      expect([dead, alive]).not.toContain(null);
      let taken = null;
      let token = alive?.token ?? 0;
      await until(async () => {
        expect(await alive?.renew()).toBe(true);
        expect(alive?.token).toBeGreaterThan(token);
        token = alive?.token ?? 0;
        expect(await other.lock("held", 500)).toBeNull();
        return (taken = await other.lock("left", 60_000)) !== null;
      });
      expect(taken).not.toBeNull();
      expect(await dead?.renew()).toBe(false);
    });

    test("of many who want a lock at once, one gets it", async () => {
      for (let round = 0; round < 20; round += 1) {
        const all = await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 ? one : other).lock("rush", 60_000)));
        const owners = all.filter((lock) => lock !== null);
        expect(owners).toHaveLength(1);
        await owners[0]?.release();
      }
    });

    test("processes that count under a lock lose nothing", async () => {
      const program = `
        import { openState } from ${JSON.stringify(join(import.meta.dir, "open-state.ts"))};
        const state = await openState(${JSON.stringify(store.settings)}, () => {});
        for (let i = 0; i < 20; ) {
          const lock = await state.lock("counting", 10_000);
          if (lock === null) { await Bun.sleep(1); continue; }
          const before = Number(await state.get("count"));
          await state.set("count", String(before + 1));
          await lock.release();
          i += 1;
        }
        await state.close();
      `;
      const children = [1, 2, 3].map(() => Bun.spawn([process.execPath, "-e", program], { stderr: "inherit" }));
      expect(await Promise.all(children.map((child) => child.exited))).toEqual([0, 0, 0]);
      expect(await one.get("count")).toBe("60");
    });

    test("messages reach every subscriber of the topic, in their order, until it ends", async () => {
      const heard: string[] = [];
      const ends = [
        await one.subscribe("news", (message) => heard.push(`one ${message}`)),
        await other.subscribe("news", (message) => heard.push(`other ${message}`)),
        await other.subscribe("news/else", (message) => heard.push(`else ${message}`)),
      ];
      await one.publish("news", "1");
      await one.publish("news", "2");
      await other.publish("news/else", "3");
      await until(() => heard.length === 5);
      expect(heard.filter((line) => line.startsWith("one"))).toEqual(["one 1", "one 2"]);
      expect(heard.filter((line) => line.startsWith("other"))).toEqual(["other 1", "other 2"]);
      expect(heard).toContain("else 3");
      await ends[0]?.();
      await one.publish("news", "4");
      await until(() => heard.includes("other 4"));
      expect(heard).not.toContain("one 4");
      for (const end of ends.slice(1)) await end();
    });
  });
}
