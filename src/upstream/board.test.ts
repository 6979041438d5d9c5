import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Board, HEALTH_AWAITED, HEALTH_DOWN, HEALTH_UNKNOWN, HEALTH_UP, type Health, SLOTS_MAX } from "./board.ts";
import { MEMORY, takeSlots } from "./upstream.testing.ts";

const [one, two] = [new Board(MEMORY, 0), new Board(MEMORY, 1)];

describe("places", () => {
  test("are those of all threads together", () => {
    const slot = takeSlots(1);
    expect([one.enter(slot, 2), two.enter(slot, 2), one.enter(slot, 2), two.enter(slot, 2)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(two.inFlight(slot)).toBe(2);
    one.leave(slot);
    expect([two.enter(slot, 2), two.inFlight(slot)]).toEqual([true, 2]);
  });

  test("a limit of none lets nobody in", () => {
    const slot = takeSlots(1);
    expect([one.enter(slot, 0), one.inFlight(slot)]).toEqual([false, 0]);
  });

  test("those of a thread that ended are taken back, and no others", () => {
    const [a, b] = [takeSlots(1), takeSlots(1)];
    for (const slot of [a, a, a, b]) one.enter(slot, 9);
    for (const slot of [a, b, b]) two.enter(slot, 9);
    one.clearRow(1);
    expect([one.inFlight(a), one.inFlight(b)]).toEqual([3, 1]);
    one.clearRow(1);
    expect([one.inFlight(a), one.inFlight(b)]).toEqual([3, 1]);
    new Board(MEMORY, 1).enter(a, 9); // its successor
    expect(one.inFlight(a)).toBe(4);
  });

  test("the last slot is like the others", () => {
    const last = SLOTS_MAX - 1;
    expect([two.enter(last, 1), two.enter(last, 1)]).toEqual([true, false]);
    one.clearRow(1);
    expect(one.inFlight(last)).toBe(0);
  });

  test("property: never more than the limit, never less than none", () => {
    const step = fc.record({ thread: fc.boolean(), enter: fc.boolean(), limit: fc.integer({ min: 1, max: 4 }) });
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const slot = takeSlots(1);
        const held = new Map<Board, number>([
          [one, 0],
          [two, 0],
        ]);
        for (const { thread, enter, limit } of steps) {
          const board = thread ? one : two;
          const mine = held.get(board)!;
          const all = one.inFlight(slot);
          if (enter) {
            const entered = board.enter(slot, limit);
            expect(entered).toBe(all < limit);
            if (entered) held.set(board, mine + 1);
          } else if (mine > 0) {
            board.leave(slot);
            held.set(board, mine - 1);
          }
          expect(two.inFlight(slot)).toBe(held.get(one)! + held.get(two)!);
        }
        one.clearRow(0);
        one.clearRow(1);
        expect(one.inFlight(slot)).toBe(0);
      }),
      { numRuns: 50 },
    );
  });
});

describe("health", () => {
  const CASES: readonly (readonly [from: Health, to: Health, slowStart: boolean])[] = [
    [HEALTH_UNKNOWN, HEALTH_UP, false],
    [HEALTH_AWAITED, HEALTH_UP, true],
    [HEALTH_DOWN, HEALTH_UP, true],
    [HEALTH_UP, HEALTH_DOWN, false],
    [HEALTH_DOWN, HEALTH_UNKNOWN, false],
  ];
  for (const [from, to, slowStart] of CASES)
    test(`${from} to ${to} ${slowStart ? "begins" : "does not begin"} a slow start`, () => {
      const slot = takeSlots(1);
      one.tick(5000);
      one.reset(slot, from);
      const before = one.version;
      one.setHealth(slot, to);
      expect([two.health(slot), two.upSince(slot)]).toEqual([to, slowStart ? 5000 : 0]);
      expect(two.version).not.toBe(before);
      const after = one.version;
      one.setHealth(slot, to);
      expect(one.version).toBe(after);
    });
});

describe("outcomes", () => {
  test("a window is what was counted since it was last taken", () => {
    const slot = takeSlots(1);
    expect([one.count(slot, true, 0), two.count(slot, true, 0)]).toEqual([1, 2]);
    expect([one.count(slot, false, 10), two.count(slot, false, 30)]).toEqual([0, 0]);
    expect(one.count(slot, true, 99)).toBe(1);
    expect(two.takeWindow(slot)).toEqual({ requests: 5, errors: 3, meanLatency: 20 });
    expect(two.takeWindow(slot)).toEqual({ requests: 0, errors: 0, meanLatency: 0 });
    expect(one.count(slot, true, 0)).toBe(2); // errors in a row are not the window's
  });

  test("very long times count as ten seconds", () => {
    const slot = takeSlots(1);
    one.count(slot, false, 3_600_000);
    expect(one.takeWindow(slot).meanLatency).toBe(10_000);
  });
});

test("a slot that becomes another server's remembers nothing, and its neighbours everything", () => {
  const [before, slot, after] = [takeSlots(1), takeSlots(1), takeSlots(1)];
  for (const each of [before, slot, after]) {
    one.enter(each, 9);
    one.count(each, true, 5);
    one.eject(each, 777, 0);
    one.setHealth(each, HEALTH_DOWN);
  }
  one.reset(slot, HEALTH_AWAITED);
  const seen = (each: number): unknown[] => [
    two.health(each),
    two.inFlight(each),
    two.ejectedUntil(each),
    two.ejections(each),
    two.upSince(each),
    two.takeWindow(each).requests,
  ];
  expect(seen(slot)).toEqual([HEALTH_AWAITED, 0, 0, 0, 0, 0]);
  for (const each of [before, after]) expect(seen(each)).toEqual([HEALTH_DOWN, 1, 777, 1, 777, 1]);
});

test("an ejection that another thread has made since is not made again", () => {
  const slot = takeSlots(1);
  expect([one.eject(slot, 100, 0), two.eject(slot, 200, 0), two.eject(slot, 300, 1)]).toEqual([true, false, true]);
  expect(one.ejections(slot)).toBe(2);
  one.forgive(slot);
  one.takeBack(slot);
  one.forgive(slot);
  expect([one.ejections(slot), one.ejectedUntil(slot)]).toEqual([0, 0]);
});
