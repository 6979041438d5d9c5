import { expect, test } from "bun:test";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { Collections, type SlotChange, type StoredEntries } from "./collections.ts";

const SEED = 1n;
const memoryOf = (buckets: number): SharedArrayBuffer => new SharedArrayBuffer(Collections.bytesOf(buckets));
const held = (entries: StoredEntries, nowMs = 0): Record<string, string> => {
  const found: Record<string, string> = {};
  entries.each(nowMs, (name, value) => {
    found[name] = value;
  });
  return found;
};
const add = (entries: StoredEntries, name: string, nowMs = 0, keepMs = 1000): void =>
  entries.change(name, nowMs, keepMs, (old) => String(Number(old ?? "0") + 1));

test("one counter for all who look at the same memory, each key and collection for itself", () => {
  const memory = memoryOf(16);
  const [a, b] = [new Collections(memory, SEED), new Collections(memory, SEED)];
  const [first, second] = [a.open("ip", "192.0.2.1"), b.open("ip", "192.0.2.1")];
  add(first, "count");
  expect(held(second)).toEqual({ count: "1" });
  add(second, "count");
  second.change("flag", 0, 1000, () => "caf\xe9 \x00\xff");
  expect(held(first)).toEqual({ count: "2", flag: "caf\xe9 \x00\xff" });
  expect([held(a.open("ip", "192.0.2.2")), held(a.open("session", "192.0.2.1"))]).toEqual([{}, {}]);
  first.change("flag", 0, 1000, () => null);
  first.change("none", 0, 1000, () => null);
  expect(held(second)).toEqual({ count: "2" });
  first.change("count", 0, 1000, () => null);
  expect(held(second)).toEqual({});
});

test("an entry is over when it was said, and the key when it was not changed for long", () => {
  const entries = new Collections(memoryOf(1), SEED).open("ip", "192.0.2.1");
  add(entries, "count");
  add(entries, "other");
  entries.expire("count", 0, 500);
  entries.expire("none", 0, 500);
  expect(Object.keys(held(entries, 499))).toEqual(["count", "other"]);
  expect(Object.keys(held(entries, 500))).toEqual(["other"]);
  // A new one under the same name lasts as long as the key, which lasts longer since it was changed.
  add(entries, "count", 600);
  expect(held(entries, 1599)).toEqual({ other: "1", count: "1" });
  expect(held(entries, 1600)).toEqual({});
  add(entries, "count", 1600);
  expect(held(entries, 1600)).toEqual({ count: "1" });
});

test("a key has room for a kilobyte: what there is stays, what is new finds none", () => {
  const entries = new Collections(memoryOf(1), SEED).open("ip", "192.0.2.1");
  add(entries, "count");
  for (let i = 0; i < 100; i += 1) entries.change(`name${i}`, 0, 1000, () => "x".repeat(40));
  entries.change("long", 0, 1000, () => "x".repeat(2000));
  entries.change("n".repeat(300), 0, 1000, () => "x");
  add(entries, "count");
  const found = held(entries);
  expect([found.count, found.name0?.length, found.name99, found.long]).toEqual(["2", 40, undefined, undefined]);
  expect(Object.keys(found).length).toBeLessThan(25);
});

test("a flood of keys drives out its own kind, and those that go on counting stay", () => {
  const all = new Collections(memoryOf(4), SEED);
  const counted = all.open("ip", "192.0.2.1");
  for (let i = 0; i < 10_000; i += 1) {
    if (i % 100 === 0) for (let n = 0; n < 40; n += 1) add(counted, "count");
    add(all.open("ip", `10.${i}`), "count");
  }
  expect(held(counted)).toEqual({ count: "4000" });
  let left = 0;
  for (let i = 0; i < 10_000; i += 1) if (held(all.open("ip", `10.${i}`)).count !== undefined) left += 1;
  expect(left).toBe(31);
});

test("damaged memory, and a lock that a dead thread holds, are no end", () => {
  const memory = memoryOf(1);
  const entries = new Collections(memory, SEED).open("ip", "192.0.2.1");
  add(entries, "count");
  const slot = [0, 1, 2, 3, 4, 5, 6, 7].find((at) => new Int32Array(memory)[at * 256] !== 0)!;
  const bytes = new Uint8Array(memory, slot * 1024, 1024);
  bytes.fill(255, 56);
  new Int32Array(memory)[slot * 256 + 3] = -5;
  new Int32Array(memory)[slot * 256 + 2]! += 1;
  expect(held(entries)).toEqual({});
  new Int32Array(memory)[5] = 12_345; // the lock of the bucket
  add(entries, "count");
  expect(held(entries)).toEqual({ count: "1" });
});

test("threads that count at the same time lose nothing", async () => {
  const memory = memoryOf(1);
  const threads = [1, 2, 3].map(() => new Worker(new URL("./collections.fixture.ts", import.meta.url)));
  const done = threads.map((thread) => once(thread, "message"));
  for (const thread of threads) thread.postMessage({ memory, times: 20_000 });
  await Promise.all(done);
  await Promise.all(threads.map((thread) => thread.terminate()));
  expect(held(new Collections(memory, SEED).open("ip", "192.0.2.1"))).toEqual({ count: "60000" });
}, 20_000);

test("what has changed is told once, and holds for who is told", () => {
  const [here, there] = [new Collections(memoryOf(16), SEED), new Collections(memoryOf(2), 2n)];
  const [ours, theirs] = [here.open("ip", "192.0.2.1"), there.open("ip", "192.0.2.1")];
  const pass = (from: Collections, to: Collections, most = 100): number => {
    const told: SlotChange[] = [];
    from.changes(most, 0, (change) => told.push(change));
    for (const { id, entries, until } of told) to.put(id, entries, until, 0);
    return told.length;
  };
  add(ours, "count");
  add(ours, "count");
  ours.change("flag", 0, 1000, () => "caf\xe9");
  ours.expire("flag", 0, 500);
  expect([pass(here, there), pass(here, there), pass(there, here)]).toEqual([1, 0, 0]);
  expect(held(theirs)).toEqual({ count: "2", flag: "caf\xe9" });
  expect([held(theirs, 500), held(theirs, 1000)]).toEqual([{ count: "2" }, {}]);
  // What was changed on both sides is newer where it was not told yet.
  add(ours, "count");
  add(theirs, "other");
  expect(pass(here, there)).toBe(1);
  expect(Object.keys(held(theirs))).toEqual(["count", "flag", "other"]);
  expect(pass(there, here)).toBe(1);
  expect(held(ours)).toEqual({ count: "2", flag: "caf\xe9", other: "1" });
  for (const name of ["count", "flag", "other"]) ours.change(name, 0, 1000, () => null);
  expect(pass(here, there)).toBe(1);
  expect(held(theirs)).toEqual({});
  for (let i = 0; i < 20; i += 1) add(here.open("ip", `10.${i}`), "count");
  let told = 0;
  for (let rounds = 0; told < 20 && rounds < 20; rounds += 1) told += pass(here, there, 1);
  expect(told).toBe(20);
  // What cannot be is not taken over.
  const entry = (name: string, value: string) => ({ name, value, expires: 1000 });
  there.put("00", [entry("a", "1")], 1000, 0);
  there.put("00".repeat(16), [entry("a", "x".repeat(1000))], 1000, 0);
  there.put("00".repeat(16), [entry("n".repeat(256), "x")], 1000, 0);
  expect(pass(there, here)).toBe(0);
});
