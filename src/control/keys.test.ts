import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkConfig } from "../config/load.ts";
import { createLog } from "../observe/log.ts";
import type { Claimed, KeptAnswer, KeyClaim } from "../pipeline/key-book.ts";
import { RedisServer } from "../state/redis-server.testing.ts";
import { RedisState } from "../state/redis-state.ts";
import { KeyFile } from "./key-file.ts";
import { Keys } from "./keys.ts";
import { LocalKeys } from "./local-keys.ts";
import { RemoteKeys } from "./remote-keys.ts";

const claimOf = (id: string, more: Partial<KeyClaim> = {}): KeyClaim => ({ id, leaseMs: 60_000, waitMs: 0, ...more });
const answerOf = (text: string, bytes = 0): KeptAnswer => ({
  status: 201,
  fields: [["x-a", "b"]],
  body: Buffer.from(text + "x".repeat(bytes)),
  fingerprint: "print",
});
const MINUTE = 60_000;
const tokenOf = (claimed: Claimed): number => {
  if (claimed.kind !== "taken") throw new Error(claimed.kind);
  return claimed.token;
};
const bodyOf = (claimed: Claimed): string =>
  claimed.kind === "kept" ? Buffer.from(claimed.answer.body ?? []).toString() : claimed.kind;

let folder: string;
let redis: RedisServer;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "keys-"));
  redis = await RedisServer.start();
});
afterAll(async () => {
  rmSync(folder, { recursive: true });
  await redis[Symbol.asyncDispose]();
});

/** What both makers have in common. */
interface Book {
  claim(worker: number, claim: KeyClaim): Promise<Claimed>;
  finish(id: string, token: number, answer: KeptAnswer | null, ttlMs: number): void;
  forget(worker: number): void;
  close(): unknown;
}
const fail = (error: unknown): void => {
  throw error;
};
const MAKERS: Readonly<Record<string, () => Promise<Book>>> = {
  "of one machine": async () => new LocalKeys(1_000_000, fail),
  "of several": async () => {
    const prefix = `${crypto.randomUUID()}:`;
    return new RemoteKeys(await RedisState.open({ url: redis.url, prefix }), fail);
  },
};

for (const [name, make] of Object.entries(MAKERS))
  describe(`keys ${name}`, () => {
    test("the first takes it, others are told so, and get the answer once it is there", async () => {
      const book = await make();
      const token = tokenOf(await book.claim(0, claimOf("a")));
      expect(await book.claim(1, claimOf("a"))).toEqual({ kind: "busy" });
      const waits = book.claim(1, claimOf("a", { waitMs: 5000 }));
      book.finish("a", token, answerOf("done"), MINUTE);
      expect(bodyOf(await waits)).toBe("done");
      const kept = await book.claim(2, claimOf("a"));
      expect(kept).toMatchObject({
        kind: "kept",
        answer: { status: 201, fields: [["x-a", "b"]], fingerprint: "print" },
      });
      tokenOf(await book.claim(0, claimOf("b")));
      await book.close();
    });

    test("it is finished by whoever took it alone", async () => {
      const book = await make();
      const token = tokenOf(await book.claim(0, claimOf("a")));
      book.finish("b", token, answerOf("of another book"), MINUTE);
      expect(await book.claim(1, claimOf("a"))).toEqual({ kind: "busy" });
      book.finish("a", token, answerOf("done"), MINUTE);
      expect(bodyOf(await book.claim(1, claimOf("a", { waitMs: 5000 })))).toBe("done");
      await book.close();
    });

    test("one that is freed, or whose worker is gone, can be taken again", async () => {
      const book = await make();
      book.finish("a", tokenOf(await book.claim(0, claimOf("a"))), null, MINUTE);
      tokenOf(await book.claim(1, claimOf("a", { waitMs: 1000 })));
      book.forget(1);
      tokenOf(await book.claim(2, claimOf("a", { waitMs: 1000 })));
      await book.close();
    });

    test("of many at once one takes it", async () => {
      const book = await make();
      const all = await Promise.all(Array.from({ length: 50 }, (_, at) => book.claim(at, claimOf("a"))));
      expect(all.filter(({ kind }) => kind === "taken").length).toBe(1);
      await book.close();
    });

    test("an answer that was too long is known of", async () => {
      const book = await make();
      const token = tokenOf(await book.claim(0, claimOf("a")));
      book.finish("a", token, { ...answerOf(""), body: null }, MINUTE);
      expect(await book.claim(0, claimOf("a", { waitMs: 1000 }))).toMatchObject({
        kind: "kept",
        answer: { body: null },
      });
      await book.close();
    });
  });

describe("keys of one machine", () => {
  test("end with their time", async () => {
    let now = 1000;
    const book = new LocalKeys(1_000_000, fail, () => now);
    book.finish("a", tokenOf(await book.claim(0, claimOf("a"))), answerOf("a"), MINUTE);
    now += MINUTE - 1;
    expect(bodyOf(await book.claim(0, claimOf("a")))).toBe("a");
    now += 1;
    tokenOf(await book.claim(0, claimOf("a")));
    expect(book.bytes).toBe(0);
  });

  test("take no more memory than they may: the oldest make room", async () => {
    const book = new LocalKeys(10_000, fail);
    for (let at = 0; at < 20; at += 1)
      book.finish(`${at}`, tokenOf(await book.claim(0, claimOf(`${at}`))), answerOf("", 1000), MINUTE);
    expect(book.bytes).toBeLessThanOrEqual(10_000);
    expect(book.evicted).toBe(13);
    tokenOf(await book.claim(0, claimOf("0")));
    expect((await book.claim(0, claimOf("19"))).kind).toBe("kept");
  });

  test("outlive the process in a file, which forgets them when it is time", async () => {
    const path = join(folder, "a", "keys.db");
    let now = 1000;
    const first = new LocalKeys(1_000_000, fail, () => now);
    first.use(KeyFile.open(path));
    for (const id of ["a", "b"])
      first.finish(id, tokenOf(await first.claim(0, claimOf(id))), answerOf(id), id === "a" ? 10 : MINUTE);
    first.close();
    now += 100;
    const second = new LocalKeys(1_000_000, fail, () => now);
    second.use(KeyFile.open(path));
    expect(bodyOf(await second.claim(0, claimOf("b")))).toBe("b");
    expect((await second.claim(0, claimOf("a"))).kind).toBe("taken");
    second.sweep();
    now += MINUTE;
    second.sweep();
    expect([...KeyFile.open(path).rows(0)]).toEqual([]);
    second.close();
  });

  test("the file and its companions are their owner's alone", () => {
    const path = join(folder, "b", "keys.db");
    const file = KeyFile.open(path);
    file.put({ id: "a", untilMs: 10, answer: answerOf("a") });
    expect(["", "-wal", "-shm"].map((end) => statSync(path + end).mode & 0o777)).toEqual([0o600, 0o600, 0o600]);
    file.close();
  });

  test("a file that is none is begun anew", () => {
    const path = join(folder, "broken.db");
    writeFileSync(path, "this is no database ".repeat(500));
    const file = KeyFile.open(path);
    file.put({ id: "a", untilMs: 10, answer: answerOf("a") });
    expect([...file.rows(0)].map(({ id }) => id)).toEqual(["a"]);
    file.close();
  });
});

describe("keys of several machines", () => {
  test("are taken by one of them, and free again some time after it has died", async () => {
    const prefix = `${crypto.randomUUID()}:`;
    const open = async (): Promise<RemoteKeys> =>
      new RemoteKeys(await RedisState.open({ url: redis.url, prefix }), () => undefined);
    const [a, b] = [await open(), await open()];
    const lease = claimOf("a", { leaseMs: 600 });
    tokenOf(await a.claim(0, lease));
    // It is renewed for as long as the machine lives.
    await Bun.sleep(900);
    expect(await b.claim(0, lease)).toEqual({ kind: "busy" });
    await a.close();
    tokenOf(await b.claim(0, { ...lease, waitMs: 3000 }));
    await b.close();
  });

  test("the first answer stays", async () => {
    const prefix = `${crypto.randomUUID()}:`;
    const state = await RedisState.open({ url: redis.url, prefix });
    const book = new RemoteKeys(state, fail);
    const token = tokenOf(await book.claim(0, claimOf("a", { leaseMs: 30 })));
    await Bun.sleep(60); // the lease is lost before it was renewed
    book.finish("a", tokenOf(await book.claim(1, claimOf("a"))), answerOf("second"), MINUTE);
    expect(bodyOf(await book.claim(2, claimOf("a", { waitMs: 1000 })))).toBe("second");
    book.finish("a", token, answerOf("first"), MINUTE);
    await Bun.sleep(50);
    expect(bodyOf(await book.claim(2, claimOf("a")))).toBe("second");
    await book.close();
  });
});

describe("the book of all workers", () => {
  const STORES: readonly (readonly [name: string, cluster: () => object])[] = [
    ["of one machine", () => ({})],
    ["of several", () => ({ cluster: { redis: redis.url } })],
  ];
  for (const [name, cluster] of STORES)
    test(`gives no key to a worker that has ended while it waited (${name})`, async () => {
      const routes = [{ idempotency: {}, respond: {} }];
      const book = new Keys(createLog("error"));
      book.use(checkConfig({ listeners: [{ address: ":0" }], routes, ...cluster() }).config);
      tokenOf(await book.claim(0, claimOf("a")));
      const [own, other] = [0, 1].map((worker) => book.claim(worker, claimOf("a", { waitMs: 3000 })));
      book.forget(0);
      expect((await own!).kind).toBe("unknown");
      const token = tokenOf(await other!);
      book.finish("a", token, answerOf("done"), MINUTE);
      expect(bodyOf(await book.claim(0, claimOf("a", { waitMs: 1000 })))).toBe("done");
      book.stop();
    });
});
