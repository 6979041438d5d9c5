// The book of consumers: what two processes with one file, and two machines with one Redis, make of each other's changes.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Consumers } from "../auth/consumers/consumers.ts";
import type { Config } from "../config/schema.ts";
import { createLog } from "../observe/log.ts";
import { UNSHARED } from "../pipeline/shared.ts";
import type { StateSettings } from "../state/open-state.ts";
import { RedisServer } from "../state/redis-server.testing.ts";
import { ConsumerBook, type Edit } from "./consumer-book.ts";
import { type Content, isNewer, recordOfText, type StoredCredential, textOfRecord } from "./consumer-record.ts";

const CONFIG = { consumers: {}, defaults: {}, routes: [] } as unknown as Config;
const WAIT_MS = 5000;
const folder = mkdtempSync(join(tmpdir(), "consumers-"));
let redis: RedisServer;

beforeAll(async () => {
  redis = await RedisServer.start();
});
afterAll(async () => {
  await redis[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await Bun.sleep(5);
  }
}

const digestOf = (key: string): Buffer => new Bun.CryptoHasher("sha256").update(key).digest();
const keyed = (key: string): StoredCredential => ({
  ...{ id: `id of ${key}`, createdAt: "2026-01-01T00:00:00Z", disabled: false },
  apiKey: `sha256:${digestOf(key).toString("hex")}`,
});
const content = (...keys: string[]): Content => ({
  createdAt: "2026-01-01T00:00:00Z",
  settings: { groups: [], scopes: [], disabled: false, claims: {} },
  limits: null,
  credentials: keys.map(keyed),
});

/** A process, and one of its threads. */
class Machine {
  readonly book: ConsumerBook;
  #memory = new SharedArrayBuffer(0);
  now = Date.now();

  constructor() {
    this.book = new ConsumerBook(
      createLog("error"),
      (memory) => {
        this.#memory = memory;
      },
      () => this.now,
    );
  }

  static async start(where: string | null, state: StateSettings | null = null): Promise<Machine> {
    const machine = new Machine();
    await machine.book.prepare(CONFIG, where).commit(state);
    return machine;
  }

  /** Whose key it is, as a thread sees it. */
  owner(key: string): string | null {
    const shared = {
      ...UNSHARED,
      live: <T>(_: string, read: (m: SharedArrayBuffer) => T) => ({ current: read(this.#memory) }),
    };
    const found = new Consumers(undefined, shared).ofKey(digestOf(key));
    return found === undefined || !("user" in found) ? null : found.user;
  }
  put(name: string, ...keys: string[]): Promise<Edit> {
    return this.book.edit(name, null, () => content(...keys));
  }
  remove(name: string): Promise<Edit> {
    return this.book.edit(name, null, () => null);
  }
}

const newFolder = (): string => mkdtempSync(join(folder, "machine-"));

describe("in a file", () => {
  test("is there again at the next start, and followed by other processes", async () => {
    const where = newFolder();
    const one = await Machine.start(where);
    const other = await Machine.start(where);
    expect(await one.put("acme", "a")).toMatchObject({ kind: "done", others: "none", record: { version: 1 } });
    await until(() => other.owner("a") === "acme", "the other process");
    expect(await other.put("acme", "b")).toMatchObject({ kind: "done", record: { version: 2 } });
    await until(() => one.owner("b") === "acme" && one.owner("a") === null, "the first process");
    await other.remove("acme");
    await until(() => one.owner("b") === null, "the removal");
    await one.put("late", "c");
    await Promise.all([one.book.stop(), other.book.stop()]);
    const again = await Machine.start(where);
    expect([again.owner("c"), again.owner("b"), again.book.find("acme")]).toEqual(["late", null, null]);
    await again.book.stop();
  });

  test("cannot be opened where it cannot be", () => {
    expect(() => new Machine().book.prepare(CONFIG, "/dev/null/x")).toThrow(/consumers cannot be kept in \/dev\/null/);
  });

  test("gives a credential to one consumer alone", async () => {
    const one = await Machine.start(null);
    await one.put("acme", "a");
    expect(await one.put("thief", "a")).toMatchObject({ kind: "refused", status: 409 });
    expect(await one.put("twice", "b", "b")).toMatchObject({ kind: "refused", status: 409 });
    expect(await one.remove("nobody")).toEqual({ kind: "absent" });
    expect(one.owner("a")).toBe("acme");
    await one.book.stop();
  });

  test("forgets nothing while there are consumers in the configuration, and all when there are none", async () => {
    const one = await Machine.start(null);
    await one.put("acme", "a");
    await one.book.prepare(CONFIG, null).commit(null);
    expect(one.owner("a")).toBe("acme");
    await one.book.prepare({ ...CONFIG, consumers: undefined }, null).commit(null);
    expect(one.owner("a")).toBeNull();
    expect(await one.put("acme", "a")).toEqual({ kind: "absent" });
    await one.book.stop();
  });
});

describe("of several machines", () => {
  const state = (prefix: string): StateSettings => ({ kind: "redis", url: redis.url, prefix, timeoutMs: 300 });

  test("follows what others change within a second, and of two changes at a time takes one for the other", async () => {
    const [one, other] = await Promise.all([1, 2].map(() => Machine.start(newFolder(), state("both:"))));
    expect(await one!.put("acme", "a")).toMatchObject({ kind: "done", others: "told" });
    const from = performance.now();
    await until(() => other!.owner("a") === "acme", "the other machine");
    expect(performance.now() - from).toBeLessThan(1000);
    const edits = await Promise.all([
      one!.book.edit("acme", 1, () => content("b")),
      other!.book.edit("acme", 1, () => content("c")),
    ]);
    expect(edits.map(({ kind }) => kind).sort()).toEqual(["done", "stale"]);
    const won = edits[0]!.kind === "done" ? "b" : "c";
    await until(() => one!.owner(won) === "acme" && other!.owner(won) === "acme", "the change that held");
    await other!.remove("acme");
    await until(() => one!.owner(won) === null, "the removal");
    await Promise.all([one!.book.stop(), other!.book.stop()]);
  });

  test("tells at the next start what was missed, and does not bring back what was removed", async () => {
    const [near, far] = [newFolder(), newFolder()];
    const one = await Machine.start(near, state("missed:"));
    let other = await Machine.start(far, state("missed:"));
    await one.put("stays", "a");
    await one.put("goes", "b");
    await until(() => other.owner("a") !== null && other.owner("b") !== null, "the other machine");
    await other.book.stop();
    await one.remove("goes");
    await one.put("stays", "a2");
    other = await Machine.start(far, state("missed:"));
    expect([other.owner("a2"), other.owner("a"), other.owner("b")]).toEqual(["stays", null, null]);
    expect([one.owner("a2"), one.owner("b")]).toEqual(["stays", null]);
    await Promise.all([one.book.stop(), other.book.stop()]);
  });

  test("believes what others have, where it was away for longer than removals are remembered", async () => {
    const far = newFolder();
    const one = await Machine.start(newFolder(), state("long:"));
    await one.put("known", "k");
    const days = async (count: number, where: StateSettings): Promise<string | null> => {
      const other = new Machine();
      other.now = Date.now() + count * 86_400_000;
      await other.book.prepare(CONFIG, far).commit(where);
      const owner = other.owner("a");
      await other.book.stop();
      return owner;
    };
    const away = await Machine.start(far, state("other:"));
    await away.put("old", "a");
    await away.book.stop();
    // A store that does not know it is told by a machine that was there lately, and not by one that was away.
    expect(await days(91, state("long:"))).toBeNull();
    expect(one.owner("a")).toBeNull();
    await one.book.stop();
  });

  test("goes on while the state cannot be reached, and then the newer change holds everywhere", async () => {
    const own = await RedisServer.start();
    const settings: StateSettings = { kind: "redis", url: own.url, timeoutMs: 200 };
    const [one, other] = await Promise.all([1, 2].map(() => Machine.start(newFolder(), settings)));
    await one!.put("acme", "a");
    await until(() => other!.owner("a") === "acme", "the other machine");
    await own[Symbol.asyncDispose]();
    expect(await one!.put("acme", "b")).toMatchObject({ kind: "done", others: "later" });
    await other!.put("acme", "c");
    await other!.put("acme", "d");
    expect([one!.owner("b"), other!.owner("d")]).toEqual(["acme", "acme"]);
    const again = await RedisServer.start(own.port);
    await until(() => one!.owner("d") === "acme" && one!.owner("b") === null, "the newer one");
    expect(other!.owner("d")).toBe("acme");
    await Promise.all([one!.book.stop(), other!.book.stop()]);
    await again[Symbol.asyncDispose]();
  }, 15_000);
});

test("records are what they were as text, and nothing else is one", () => {
  const record = { name: "a", version: 3, changedAt: 7, content: content("k") };
  expect(recordOfText("a", textOfRecord(record))).toEqual(record);
  for (const text of ["", "[]", "{}", "[1,2]", '["1",2,null]', "[1,2,3]", '[1,2,{"settings":1,"credentials":[]}]'])
    expect([text, recordOfText("a", text)]).toEqual([text, null]);
  expect(isNewer(record, null)).toBe(true);
  expect(isNewer(record, record)).toBe(false);
  expect(isNewer({ ...record, version: 4, changedAt: 1 }, record)).toBe(true);
  expect(isNewer({ ...record, changedAt: 8 }, record)).toBe(true);
  expect(isNewer({ ...record, content: null }, record)).not.toBe(isNewer(record, { ...record, content: null }));
});
