import { describe, expect, test } from "bun:test";
import { DelayLine } from "./delay-line.ts";

/** Resolves when so many items were told of, or after a while. */
async function settle(told: readonly unknown[], count: number): Promise<void> {
  const deadline = performance.now() + 2000;
  while (told.length < count && performance.now() < deadline) await Bun.sleep(1);
}

interface Told {
  readonly item: string;
  readonly after: number;
}

/** A line that notes what it tells, and how long after it was made. */
function lineOf(more: (item: string, line: DelayLine<string>) => void = () => {}): {
  line: DelayLine<string>;
  told: Told[];
} {
  const from = performance.now();
  const told: Told[] = [];
  const line: DelayLine<string> = new DelayLine(
    (item) => {
      told.push({ item, after: performance.now() - from });
      more(item, line);
    },
    () => performance.now(),
  );
  return { line, told };
}

test("tells of each when its time has come, and never before", async () => {
  const { line, told } = lineOf();
  for (const ms of [10, 20, 30, 60]) line.add(String(ms), ms);
  await settle(told, 4);
  expect(told.map(({ item }) => item)).toEqual(["10", "20", "30", "60"]);
  for (const { item, after } of told) expect(after).toBeGreaterThanOrEqual(Number(item));
});

test("a shorter wait stands behind the longer ones that came before", async () => {
  const { line, told } = lineOf();
  line.add("long", 40);
  line.add("short", 1);
  await settle(told, 2);
  expect(told.map(({ item }) => item)).toEqual(["long", "short"]);
});

test("goes on after it was empty", async () => {
  const { line, told } = lineOf();
  for (let i = 1; i <= 3; i += 1) {
    line.add(String(i), 2);
    await settle(told, i);
  }
  expect(told.map(({ item }) => item)).toEqual(["1", "2", "3"]);
});

test("who is told may wait again", async () => {
  const { line, told } = lineOf((item, again) => {
    if (Number(item) < 5) again.add(String(Number(item) + 1), 2);
  });
  line.add("1", 2);
  line.add("other", 2);
  await settle(told, 6);
  expect(told.map(({ item }) => item).sort()).toEqual(["1", "2", "3", "4", "5", "other"]);
});

describe("an item that need not be told any more", () => {
  test("is not, and the others are", async () => {
    const { line, told } = lineOf();
    const waits = ["a", "b", "c"].map((item) => line.add(item, 5));
    waits[0]!.item = null;
    waits[2]!.item = null;
    line.add("d", 5);
    await settle(told, 2);
    expect(told.map(({ item }) => item)).toEqual(["b", "d"]);
  });

  test("is let go of at once", async () => {
    const line = new DelayLine<object>(
      () => {},
      () => performance.now(),
    );
    let collected = 0;
    const registry = new FinalizationRegistry(() => {
      collected += 1;
    });
    for (let i = 0; i < 100; i += 1) {
      const item = { bytes: new Uint8Array(1000) };
      registry.register(item, null);
      line.add(item, 600_000).item = null;
    }
    const deadline = performance.now() + 3000;
    while (collected < 50 && performance.now() < deadline) {
      Bun.gc(true);
      await Bun.sleep(5);
    }
    expect(collected).toBeGreaterThanOrEqual(50);
  });
});

test("many at once", async () => {
  const { line, told } = lineOf();
  for (let i = 0; i < 10_000; i += 1) line.add(String(i), i / 1000);
  await settle(told, 10_000);
  expect(told.map(({ item }) => Number(item))).toEqual(Array.from({ length: 10_000 }, (_, i) => i));
});
