// What consumers may do about their own keys: never more than the configuration says, nor than they can do themselves.
import { beforeEach, describe, expect, test } from "bun:test";
import { Consumers } from "../auth/consumers/consumers.ts";
import type { Config } from "../config/schema.ts";
import { createLog } from "../observe/log.ts";
import type { KeyAnswer, KeyOwner, KeyTerms, KeyWish } from "../pipeline/own-keys.ts";
import { UNSHARED } from "../pipeline/shared.ts";
import { ConsumerBook } from "./consumer-book.ts";
import type { StoredCredential } from "./consumer-record.ts";
import { OwnKeys } from "./own-keys.ts";

const HOUR_MS = 3_600_000;
const TERMS: KeyTerms = { max: 2, expiryMs: 24 * HOUR_MS, scopes: null, perDay: 5, overlapMs: HOUR_MS };
const OWNER: KeyOwner = {
  ...{ consumer: "acme", kind: "apiKey", scopes: ["read", "write"] },
  ...{ ip: "192.0.2.1", route: "portal", requestId: "r" },
};
const CONFIG = { consumers: {}, defaults: {}, routes: [] } as unknown as Config;

let book: ConsumerBook;
let desk: OwnKeys;
let now: number;
let memory: SharedArrayBuffer;
const events: unknown[] = [];
const TOLD = { heard: async () => {}, events: { publish: (event: unknown) => void events.push(event) } };

const digestOf = (key: string): Buffer => new Bun.CryptoHasher("sha256").update(key).digest();
const given = (id: string, more: Partial<StoredCredential> = {}): StoredCredential => ({
  ...{ id, createdAt: "2026-01-01T00:00:00Z", disabled: false },
  apiKey: `sha256:${digestOf(id).toString("hex")}`,
  ...more,
});

async function start(scopes: string[], ...credentials: StoredCredential[]): Promise<void> {
  const settings = { groups: [], scopes, disabled: false, claims: {} };
  await book.edit("acme", null, () => ({ createdAt: "2026-01-01T00:00:00Z", settings, limits: null, credentials }));
}

beforeEach(async () => {
  now = Date.UTC(2026, 5, 1);
  events.length = 0;
  memory = new SharedArrayBuffer(0);
  book = new ConsumerBook(
    createLog("error"),
    (next) => {
      memory = next;
    },
    () => now,
  );
  await book.prepare(CONFIG, null).commit(null);
  desk = new OwnKeys(book, createLog("error"), () => now);
  await start(["read", "write"]);
});

const ask = (wish: KeyWish, terms: Partial<KeyTerms> = {}, owner: Partial<KeyOwner> = {}): Promise<KeyAnswer> =>
  desk.answer({ owner: { ...OWNER, ...owner }, terms: { ...TERMS, ...terms }, wish }, TOLD);
const make = (more: Partial<Extract<KeyWish, { do: "make" }>> = {}): KeyWish => ({
  ...{ do: "make", name: "ci", ttlMs: HOUR_MS, scopes: null },
  ...more,
});

async function made(answer: Promise<KeyAnswer>): Promise<Extract<KeyAnswer, { kind: "made" }>> {
  const one = await answer;
  if (one.kind !== "made") throw new Error(JSON.stringify(one));
  return one;
}

/** The scopes of a key, as threads know it; why not, where it is none. */
function scopesOf(key: string): readonly string[] | string {
  const live = <T>(_: string, read: (m: SharedArrayBuffer) => T) => ({ current: read(memory) });
  const found = new Consumers(undefined, { ...UNSHARED, live, wallNow: () => now }).ofKey(digestOf(key));
  return found === undefined ? "unknown" : "user" in found ? found.scopes : found.why;
}

test("makes a key that ends, and tells of it", async () => {
  const { key, made: one } = await made(ask(make({ scopes: ["read"] })));
  expect(scopesOf(key)).toEqual(["read"]);
  expect(one).toMatchObject({ name: "ci", source: "self", scopes: ["read"], expires: "2026-06-01T01:00:00.000Z" });
  expect(key.endsWith(one.hint)).toBe(true);
  expect(events).toEqual([{ kind: "consumer", consumer: "acme", change: "credential-added", credential: one.id }]);
  now += 2 * HOUR_MS;
  expect(scopesOf(key)).toBe("the consumer or the credential has expired");
  expect(JSON.stringify(await ask({ do: "list" }))).not.toContain("sha256");
});

const REFUSED: readonly (readonly [
  name: string,
  wish: KeyWish,
  terms: Partial<KeyTerms>,
  owner: Partial<KeyOwner>,
  status: number,
])[] = [
  ["a scope that the consumer has not", make({ scopes: ["admin"] }), {}, {}, 422],
  ["a scope that the configuration keeps back", make({ scopes: ["write"] }), { scopes: ["read"] }, {}, 422],
  ["a scope that the key has not that he came with", make({ scopes: ["write"] }), {}, { scopes: ["read"] }, 422],
  ["a life that is too long", make({ ttlMs: 25 * HOUR_MS }), {}, {}, 422],
  ["somebody who is not there", make(), {}, { consumer: "nobody" }, 403],
  ["somebody whose name objects have", make(), {}, { consumer: "constructor" }, 403],
  ["to rotate what is not there", { do: "rotate", id: "x", overlapMs: 0 }, {}, {}, 404],
  ["to revoke what is not there", { do: "revoke", id: "x" }, {}, {}, 404],
];
for (const [name, wish, terms, owner, status] of REFUSED)
  test(`refuses ${name}`, async () => {
    expect(await ask(wish, terms, owner)).toMatchObject({ kind: "refused", status });
    expect(events).toEqual([]);
  });

describe("how many", () => {
  test("at a time", async () => {
    const all = await Promise.all([ask(make()), ask(make()), ask(make())]);
    expect(all.map((answer) => (answer.kind === "refused" ? answer.status : answer.kind)).sort()).toEqual([
      409,
      "made",
      "made",
    ]);
    now += 2 * HOUR_MS; // they have ended
    expect(await ask(make())).toMatchObject({ kind: "made" });
  });

  test("within a day, also when they are asked for all at once", async () => {
    await start(["read", "write"], given("a"));
    const rotate: KeyWish = { do: "rotate", id: "a", overlapMs: 1000 };
    const all = await Promise.all(Array.from({ length: 12 }, () => ask(rotate)));
    expect(all.filter(({ kind }) => kind === "made").length).toBeLessThanOrEqual(5);
    expect(all.filter((answer) => answer.kind === "refused" && answer.status === 429)).toHaveLength(7);
  });

  test("within a day, whatever becomes of them", async () => {
    for (let i = 0; i < 5; i += 1) {
      const { made: one } = await made(ask(make()));
      expect(await ask({ do: "revoke", id: one.id })).toEqual({ kind: "revoked", id: one.id });
      now += HOUR_MS;
    }
    expect(await ask(make())).toMatchObject({ kind: "refused", status: 429, retryAfter: 19 * 3600 });
    now += 19 * HOUR_MS + 1000;
    expect(await ask(make())).toMatchObject({ kind: "made" });
  });
});

describe("rotates", () => {
  test("a key of his own, for as long as it was good", async () => {
    const old = await made(ask(make({ scopes: ["read"] })));
    now += HOUR_MS / 2;
    const next = await made(ask({ do: "rotate", id: old.made.id, overlapMs: HOUR_MS / 4 }));
    expect([scopesOf(old.key), scopesOf(next.key)]).toEqual([["read"], ["read"]]);
    expect(next.made).toMatchObject({ name: "ci", source: "self", expires: "2026-06-01T01:30:00.000Z" });
    now += HOUR_MS / 3;
    expect([scopesOf(old.key), scopesOf(next.key)]).toEqual(["the consumer or the credential has expired", ["read"]]);
    expect(events.at(-1)).toMatchObject({ change: "credential-rotated", credential: next.made.id });
  });

  test("a key of an operator's, whose end stays", async () => {
    await start(["read"], given("a", { expires: "2026-07-01T00:00:00Z" }), given("b"));
    const kept = await made(ask({ do: "rotate", id: "a", overlapMs: 0 }, {}, { scopes: ["read"] }));
    expect(kept.made).toMatchObject({ source: "operator", expires: "2026-07-01T00:00:00Z", scopes: ["read"] });
    expect(scopesOf("a")).toBe("unknown");
    expect((await made(ask({ do: "rotate", id: "b", overlapMs: 0 }))).made.expires).toBe("");
  });

  test("nothing that can do more than he who asks", async () => {
    await start(["read", "write"], given("a", { scopes: ["write"] }), given("off", { disabled: true }));
    expect(await ask({ do: "rotate", id: "a", overlapMs: 0 }, {}, { scopes: ["read"] })).toMatchObject({ status: 403 });
    expect(await ask({ do: "rotate", id: "off", overlapMs: 0 })).toMatchObject({ status: 409 });
    expect(await ask({ do: "rotate", id: "a", overlapMs: 2 * HOUR_MS })).toMatchObject({ status: 422 });
  });

  test("no more of them than there may be", async () => {
    const all = [await made(ask(make())), await made(ask(make()))];
    const next = await made(ask({ do: "rotate", id: all[0]!.made.id, overlapMs: 1000 }));
    const again: KeyWish = { do: "rotate", id: next.made.id, overlapMs: 1000 };
    expect(await ask(again)).toMatchObject({ kind: "refused", status: 409 });
    expect(await ask({ ...again, overlapMs: 0 })).toMatchObject({ kind: "made" });
  });
});

test("a scope that is taken from a consumer is taken from the keys that he has made", async () => {
  const { key, made: one } = await made(ask(make()));
  const record = book.find("acme")!.content!;
  await book.edit("acme", null, () => ({ ...record, settings: { ...record.settings!, scopes: ["read"] } }));
  expect(scopesOf(key)).toEqual(["read"]);
  expect(await ask({ do: "list" })).toMatchObject({ keys: [{ id: one.id, scopes: ["read"] }], scopes: ["read"] });
});

test("of a session, the scopes of its credential count and not those of its provider", async () => {
  const oidc = { issuer: "https://id.example.com", subject: "ann" };
  await start(["read", "write"], { ...given("s"), apiKey: undefined, oidc, scopes: ["read"] });
  const session = { kind: "oidc", scopes: ["openid"] } as const;
  expect(await ask({ do: "list" }, {}, session)).toEqual({ kind: "keys", keys: [], scopes: ["read"] });
  expect(await ask(make({ scopes: ["write"] }), {}, session)).toMatchObject({ status: 422 });
  expect(await ask({ do: "revoke", id: "s" }, {}, session)).toMatchObject({ status: 404 });
});
