import { expect, test } from "bun:test";
import { Board, HEALTH_AWAITED, HEALTH_UNKNOWN, HEALTH_UP, SLOTS_MAX } from "../upstream/board.ts";
import { Slots } from "./slots.ts";

const QUARANTINE_MS = 10_000;
const setUp = () => {
  const board = new Board(Board.memory(1), 0);
  return { board, slots: new Slots(board) };
};

test("a name keeps its slot and what is known there, and no two share one", () => {
  const { board, slots } = setUp();
  const a = slots.take("a", 1, HEALTH_AWAITED);
  expect(board.health(a)).toBe(HEALTH_AWAITED);
  board.setHealth(a, HEALTH_UP);
  expect(slots.take("a", 1, HEALTH_AWAITED)).toBe(a);
  expect(board.health(a)).toBe(HEALTH_UP);
  const pair = slots.take("pair", 2, HEALTH_UNKNOWN);
  const b = slots.take("b", 1, HEALTH_UNKNOWN);
  expect(new Set([0, a, pair, pair + 1, b]).size).toBe(5);
});

test("what is given back is used again after a while, as if new", () => {
  const { board, slots } = setUp();
  const a = slots.take("a", 1, HEALTH_UP);
  board.count(a, true, 0);
  slots.keep(new Set(), 0);
  slots.sweep(QUARANTINE_MS - 1);
  const b = slots.take("b", 1, HEALTH_UNKNOWN);
  expect(b).not.toBe(a);
  slots.sweep(QUARANTINE_MS);
  expect(slots.take("c", 1, HEALTH_UNKNOWN)).toBe(a);
  expect([board.health(a), board.takeWindow(a).errors]).toEqual([HEALTH_UNKNOWN, 0]);
});

test("a slot with requests in flight stays until they are through", () => {
  const { board, slots } = setUp();
  const a = slots.take("a", 1, HEALTH_UP);
  board.enter(a, 1);
  slots.keep(new Set(), 0);
  slots.sweep(QUARANTINE_MS);
  expect(slots.take("b", 1, HEALTH_UP)).not.toBe(a);
  board.leave(a);
  slots.sweep(QUARANTINE_MS);
  expect(slots.take("c", 1, HEALTH_UP)).toBe(a);
});

test("pairs come back as pairs, whatever was written there", () => {
  const { board, slots } = setUp();
  const pair = slots.take("up", 2, HEALTH_UNKNOWN);
  const single = slots.take("a", 1, HEALTH_UNKNOWN);
  board.ints.fill(7, board.base(pair), board.base(pair + 1));
  slots.keep(new Set(), 0);
  slots.sweep(QUARANTINE_MS);
  expect(slots.take("b", 1, HEALTH_UNKNOWN)).toBe(single);
  expect(slots.take("other", 2, HEALTH_UNKNOWN)).toBe(pair);
  expect(board.ints.subarray(board.base(pair), board.base(pair + 2)).every((value) => value === 0)).toBe(true);
});

test("a pair stays while a thread has requests waiting there", () => {
  const { board, slots } = setUp();
  const pair = slots.take("up", 2, HEALTH_UNKNOWN);
  board.enter(pair + 1, 1);
  slots.keep(new Set(), 0);
  slots.sweep(QUARANTINE_MS);
  expect(slots.take("other", 2, HEALTH_UNKNOWN)).not.toBe(pair);
  board.leave(pair + 1);
  slots.sweep(QUARANTINE_MS);
  expect(slots.take("third", 2, HEALTH_UNKNOWN)).toBe(pair);
});

test("what takes too many takes none", () => {
  const { slots } = setUp();
  const a = slots.take("a", 1, HEALTH_UNKNOWN);
  const tooMany = (): void => {
    for (let i = 0; i <= SLOTS_MAX; i += 1) slots.take(`s${i}`, 1, HEALTH_UNKNOWN);
  };
  expect(() => slots.allOrNone(tooMany)).toThrow(RangeError);
  expect([slots.take("a", 1, HEALTH_UNKNOWN), slots.has("s0")]).toEqual([a, false]);
  expect(slots.take("b", 1, HEALTH_UNKNOWN)).toBeGreaterThan(a);
});

test("a name that is kept keeps its slot", () => {
  const { slots } = setUp();
  const a = slots.take("a", 1, HEALTH_UP);
  slots.take("b", 1, HEALTH_UP);
  slots.keep(new Set(["a"]), 0);
  expect([slots.take("a", 1, HEALTH_UP), slots.has("b")]).toEqual([a, false]);
});

test("when all are taken it says so", () => {
  const { slots } = setUp();
  for (let i = 1; i < SLOTS_MAX; i += 1) slots.take(`s${i}`, 1, HEALTH_UNKNOWN);
  expect(() => slots.take("one more", 1, HEALTH_UNKNOWN)).toThrow(RangeError);
  slots.keep(new Set(), 0);
  slots.sweep(QUARANTINE_MS);
  expect(slots.take("one more", 1, HEALTH_UNKNOWN)).toBeGreaterThan(0);
});
