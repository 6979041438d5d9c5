import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { PLAIN_KEY } from "../engines/cache/key.ts";
import { answersOf, contentOf } from "./answers.testing.ts";
import { Answers } from "./answers.ts";
import type { Address } from "./entry.ts";
import { purgeStored } from "./purging.ts";

const MB = 1024 * 1024;
const left: [string, readonly string[]][] = [];
const answers = (bytes = MB): Answers => new Answers(bytes, (address, extras) => void left.push([address, extras]));
const contents = (stored: Address | undefined): string[] => (stored?.variants ?? []).map(contentOf);

describe("what is stored", () => {
  test("comes back as it was, from where it is packed", () => {
    const s = answers();
    const before = answersOf("content");
    expect(s.put("/a", before)).toBe(true);
    const after = s.get("/a")!;
    expect(after).not.toBe(before);
    const [was, is] = [before.variants[0]!, after.variants[0]!];
    expect(contentOf(is)).toBe("content");
    expect(is.stored.headers.entries()).toEqual(was.stored.headers.entries());
    const { status, extra, tags, stamp, times, rule, key, validators } = is;
    expect({ status, extra, tags, stamp, times, rule, key, validators }).toEqual({
      status: was.status,
      extra: was.extra,
      tags: was.tags,
      stamp: was.stamp,
      times: was.times,
      rule: was.rule,
      key: was.key,
      validators: was.validators,
    });
    expect(s.get("/a")).toBe(after); // it stays open
    expect([s.get("/b"), s.stats().hits, s.stats().misses]).toEqual([undefined, 2, 1]);
  });

  test.each([0, 1, 65_536, 65_537, 100_000])("with %p bytes", (bytes) => {
    const s = answers();
    const content = "0123456789abcdef".repeat(bytes / 16 + 1).slice(0, bytes);
    s.put("/a", answersOf(content));
    expect(contents(s.get("/a"))).toEqual([content]);
    expect(s.extras("/a")).toEqual(["route\napp\n0"]);
  });

  test("may be several answers", () => {
    const s = answers();
    const both = answersOf("one", "two");
    s.put("/a", both);
    expect([s.get("/a"), s.extras("/a")]).toEqual([both, ["route\napp\n0", "route\napp\n1"]]);
  });

  test("is replaced, changed and deleted, open or not", () => {
    const s = answers();
    for (const opens of [false, true]) {
      s.put("/a", answersOf("one"));
      if (opens) s.peek("/a");
      s.put("/a", answersOf("other"));
      expect(contents(s.peek("/a"))).toEqual(["other"]);
      const open = s.peek("/a")!;
      open.variants.push(...answersOf("more").variants);
      expect(s.put("/a", open)).toBe(true);
      expect(contents(s.peek("/a"))).toEqual(["other", "more"]);
      if (!opens) s.put("/a", answersOf("one"));
      s.delete("/a");
      expect([s.has("/a"), s.stats().entries, s.stats().bytes]).toEqual([false, 0, 0]);
    }
  });

  test("is refused when it is too large, and nothing is left", () => {
    const s = answers();
    for (const content of ["x".repeat(60_000), "x".repeat(200_000)]) {
      s.put("/a", answersOf("small"));
      s.resize(content.length === 60_000 ? MB / 4 : MB);
      expect(s.put("/a", answersOf(content))).toBe(false);
      expect([s.has("/a"), s.stats().bytes]).toEqual([false, 0]);
    }
  });

  test("is gone once it is closed, and nothing is stored any more", () => {
    const s = answers();
    s.put("/a", answersOf("a"));
    s.put("/b", answersOf("a", "b"));
    s.close();
    expect([s.get("/a"), s.get("/b"), s.put("/c", answersOf("c")), s.stats().bytes]).toEqual([
      undefined,
      undefined,
      false,
      0,
    ]);
  });
});

test("what leaves for others is told of with the rests of its keys", () => {
  const s = answers(MB / 4);
  left.length = 0;
  for (let at = 0; at < 400; at += 1) s.put(`/${at}`, at % 2 === 0 ? answersOf("x".repeat(900)) : answersOf("a", "b"));
  const { entries, evictions, bytes } = s.stats();
  expect([left.length, entries]).toEqual([evictions, 400 - evictions]);
  expect(bytes).toBeLessThanOrEqual(MB / 4);
  for (const [address, extras] of left) {
    const isOdd = Number(address.slice(1)) % 2 === 1;
    expect(extras).toEqual(isOdd ? ["route\napp\n0", "route\napp\n1"] : ["route\napp\n0"]);
    expect(s.has(address)).toBe(false);
  }
});

test("answers that others are asked for more than are closed, and come back all the same", () => {
  const s = answers(4 * MB);
  for (let at = 0; at < 300; at += 1) s.put(`/${at}`, answersOf(`content of ${at} `.padEnd(5000, "x")));
  const first = s.get("/0");
  for (let round = 0; round < 3; round += 1) {
    for (let at = 0; at < 300; at += 1) {
      expect(contents(s.get(`/${at}`))).toEqual([`content of ${at} `.padEnd(5000, "x")]);
      expect(s.stats().bytes).toBeLessThanOrEqual(4 * MB);
      if (at % 3 === 0) s.get("/1");
    }
  }
  expect(s.get("/0")).not.toBe(first);
});

test("what is purged in part is stale, open or not, and stays so", () => {
  const s = answers();
  s.put("/packed", answersOf("a"));
  s.put("/open", answersOf("a"));
  s.put("/several", answersOf("a", "b"));
  s.get("/open");
  expect(["/packed", "/open", "/several", "/none"].map((address) => s.expire(address, 5000))).toEqual([1, 1, 2, 0]);
  const until = (address: string): number[] => s.get(address)!.variants.map(({ times }) => times.freshUntil);
  expect([until("/packed"), until("/open"), until("/several")]).toEqual([[5000], [5000], [5000, 5000]]);
});

test("what is purged softly by its address stays stale when it is closed", async () => {
  const s = answers();
  s.put("http\na.example\n/\n", answersOf("a"));
  const nothing = { tagged: () => [], discardFills() {}, forget() {}, left() {}, now: 5000 };
  const purged = { ...nothing, store: s, alike: (address: string) => address };
  expect(await purgeStored({ kind: "url", value: "http://a.example/", soft: true }, [PLAIN_KEY], purged)).toBe(1);
  for (let at = 0; at < 100; at += 1) s.put(`/${at}`, answersOf("x".repeat(5000)));
  for (let at = 0; at < 100; at += 1) for (let round = 0; round < 2; round += 1) s.get(`/${at}`);
  expect(s.get("http\na.example\n/\n")!.variants.map(({ times }) => times.freshUntil)).toEqual([5000]);
});

test("a sweep goes over all in steps", () => {
  const s = answers();
  for (let at = 0; at < 100; at += 1) s.put(`/${at % 2 === 0 ? "even" : "odd"}/${at}`, answersOf("a"));
  s.get("/odd/51");
  const sweep = s.sweep((address) => address.startsWith("/odd/"));
  expect(Array.from({ length: 4 }, () => sweep.step(30))).toEqual([false, false, false, true]);
  expect([s.stats().entries, s.has("/odd/51"), s.has("/even/50")]).toEqual([50, false, true]);
});

test("a scan of 300,000 addresses stays within the memory and a tenth", async () => {
  const run = (megabytes: number): number => {
    const script = join(import.meta.dir, "answers-scan.fixture.ts");
    const { stdout } = Bun.spawnSync([process.execPath, script, String(megabytes)], { timeout: 60_000 });
    return Number(stdout.toString());
  };
  const [without, within] = [run(1), run(64)];
  expect(without).toBeGreaterThan(10 * MB);
  expect(within - without).toBeLessThanOrEqual(64 * 1.1 * MB);
  expect(within - without).toBeGreaterThan(40 * MB); // it has indeed stored as much
}, 120_000);
