import { expect, test } from "bun:test";
import { Seen } from "./seen.ts";

test("knows what came lately, and forgets it for others", () => {
  const seen = new Seen(1 << 20); // 64 slots
  expect([seen.note(5, 1), seen.note(5, 1), seen.note(6, 1), seen.note(5, 1)]).toEqual([false, true, false, true]);
  expect([seen.note(5 + 64, 2), seen.note(5, 1)]).toEqual([false, false]);
});

test("remembers as many as there is memory for", () => {
  for (const [bytes, slots] of [
    [0, 64],
    [1 << 20, 64],
    [1 << 24, 1024],
    [2 ** 40, 1 << 20],
  ] as const) {
    const seen = new Seen(bytes);
    for (let key = 0; key < slots; key += 1) seen.note(key, 1);
    expect(seen.note(0, 1)).toBe(true);
    seen.note(slots, 2);
    expect(seen.note(0, 1)).toBe(false);
  }
});
