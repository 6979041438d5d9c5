import { expect, test } from "bun:test";
import { MemoryRecords } from "./memory-records.ts";
import { Revocations } from "./revocations.ts";

let now = 1000;
const make = (): [MemoryRecords, MemoryRecords] => {
  const memory = new SharedArrayBuffer(MemoryRecords.bytes);
  return [new MemoryRecords(memory, () => now), new MemoryRecords(memory, () => now)];
};

test("what one thread stores another one reads, until its time is over", async () => {
  const [one, other] = make();
  await one.set("a", "value", { ttlMs: 100 });
  expect(await other.get("a")).toBe("value");
  await other.set("a", "newer", { ttlMs: 100 });
  expect(await one.get("a")).toBe("newer");
  now += 101;
  expect(await one.get("a")).toBeNull();
  await one.set("a", "again", { ttlMs: 100 });
  await other.delete("a");
  expect(await one.get("a")).toBeNull();
});

test("a lock is one thread's, until it is released or its time is over", async () => {
  const [one, other] = make();
  const lock = await one.lock("k", 100);
  expect(await other.lock("k", 100)).toBeNull();
  now += 90;
  expect(await lock!.renew()).toBe(true);
  now += 90;
  expect(await other.lock("k", 100)).toBeNull();
  now += 20;
  const theirs = await other.lock("k", 100);
  expect(theirs).not.toBeNull();
  expect(await lock!.renew()).toBe(false);
  await lock!.release(); // it is not ours any more
  expect(await one.lock("k", 100)).toBeNull();
  await theirs!.release();
  expect(await one.lock("k", 100)).not.toBeNull();
});

test("what is too long is not kept, nor is what it was to replace", async () => {
  const [one] = make();
  await one.set("a", "short", { ttlMs: 100 });
  await one.set("a", "x".repeat(20_000), { ttlMs: 100 });
  expect(await one.get("a")).toBeNull();
});

test("of too many, those that end first make room", async () => {
  const [one] = make();
  await one.set("keep", "kept", { ttlMs: 100_000 });
  for (let i = 0; i < 3000; i += 1) await one.set(`many ${i}`, "x", { ttlMs: 1000 });
  expect(await one.get("keep")).toBe("kept");
});

test("in a plan that is only looked at, nothing is kept", async () => {
  const none = new MemoryRecords(new SharedArrayBuffer(0), () => now);
  await none.set("a", "b");
  expect([await none.get("a"), await none.lock("a", 1)]).toEqual([null, null]);
});

test("what is ended is so for all threads, for those that began before, until no such session can be left", () => {
  const memory = new SharedArrayBuffer(Revocations.bytes);
  const [one, other] = [new Revocations(memory, () => now, "salt"), new Revocations(memory, () => now, "salt")];
  const before = other.generation;
  expect(one.add({ what: "session a", at: now, until: now + 100 })).toBe(true);
  expect(other.generation).not.toBe(before);
  expect(other.has(["session b", "session a"], now - 1)).toBe(true);
  expect(other.has(["session a"], now + 10)).toBe(true); // clocks of threads differ
  expect(other.has(["session a"], now + 11)).toBe(false);
  expect(other.add({ what: "session a", at: now, until: now + 100 })).toBe(false);
  now += 101;
  expect(other.has(["session a"], 0)).toBe(false);
  for (let i = 0; i < 70_000; i += 1) one.add({ what: `session ${i}`, at: now, until: now + 100 + i });
  expect(other.has(["session 69999"], now)).toBe(true);
});
