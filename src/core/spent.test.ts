import { describe, expect, test } from "bun:test";
import { cameBack, freeSpent, isLent, lend, SPENT_MIN, spent } from "./spent.ts";

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

describe("a piece of a chunk whose other pieces are still needed", () => {
  test("is given up to its lender alone", () => {
    const bytes = chunk(SPENT_MIN);
    const before = lend(bytes);
    expect(isLent(bytes)).toBe(true);
    spent(bytes);
    freeSpent();
    expect([cameBack(before), isLent(bytes), isFree(bytes)]).toEqual([true, false, false]);
    spent(bytes);
    freeSpent();
    expect(isFree(bytes)).toBe(true);
  });

  test("is kept by somebody who says nothing", () => {
    expect(cameBack(lend(chunk(SPENT_MIN)))).toBe(false);
  });

  test("others may be lent, and given up, meanwhile", () => {
    const [outer, inner, other] = [chunk(SPENT_MIN), chunk(SPENT_MIN), chunk(SPENT_MIN)];
    const before = lend(outer);
    const between = lend(inner);
    spent(inner);
    spent(other);
    expect([cameBack(between), isLent(outer)]).toEqual([true, true]);
    spent(outer);
    freeSpent();
    expect([cameBack(before), isFree(outer), isFree(inner), isFree(other)]).toEqual([true, false, false, true]);
  });
});
