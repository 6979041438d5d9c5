import { describe, expect, test } from "bun:test";
import { freeSpent, SPENT_MIN, spent } from "./spent.ts";

const chunk = (size: number): Buffer => Buffer.from(new ArrayBuffer(size));
const isFree = (bytes: Buffer): boolean => (bytes.buffer as ArrayBuffer).detached;

describe("what is freed", () => {
  for (const [name, bytes, freed] of [
    ["a large chunk", chunk(SPENT_MIN), true],
    ["a small one", chunk(SPENT_MIN - 1), false],
    ["the beginning of a larger buffer", chunk(3 * SPENT_MIN).subarray(0, 2 * SPENT_MIN), false],
    ["the end of a larger buffer", chunk(3 * SPENT_MIN).subarray(SPENT_MIN), false],
  ] as [string, Buffer, boolean][]) {
    test(name, () => {
      spent(bytes);
      expect(isFree(bytes)).toBe(false);
      freeSpent();
      expect(isFree(bytes)).toBe(freed);
    });
  }

  test("one that is given up twice", () => {
    const bytes = chunk(SPENT_MIN);
    spent(bytes);
    spent(bytes);
    freeSpent();
    expect(isFree(bytes)).toBe(true);
    expect(freeSpent).not.toThrow();
  });
});
