import { expect, test } from "bun:test";
import { Rng } from "../../core/fuzz.testing.ts";
import { InFlight } from "./in-flight.ts";

const KEYS = 1000;

test("so many at a time over all threads, each key for itself", () => {
  const memory = new SharedArrayBuffer(InFlight.bytes(KEYS, 2));
  const [a, b] = [new InFlight(memory, 0, KEYS, 2), new InFlight(memory, 1, KEYS, 2)];
  const first = a.enter(1, 1);
  expect(first).toBeGreaterThanOrEqual(0);
  const second = b.enter(1, 1);
  expect([second, a.enter(1, 1), b.enter(1, 1)]).toEqual([first, -1, -1]);
  expect(a.enter(2, 2)).toBeGreaterThanOrEqual(0);
  a.leave(first);
  expect([b.enter(1, 1), a.enter(1, 1)]).toEqual([first, -1]);
});

test("what a thread had under way is taken back when it is gone", () => {
  const memory = new SharedArrayBuffer(InFlight.bytes(KEYS, 2));
  const [a, b] = [new InFlight(memory, 0, KEYS, 3), new InFlight(memory, 1, KEYS, 3)];
  a.enter(1, 1);
  b.enter(1, 1);
  b.enter(1, 1);
  expect(a.enter(1, 1)).toBe(-1);
  InFlight.forget(memory, 1);
  expect([a.enter(1, 1), a.enter(1, 1), a.enter(1, 1)].map((slot) => slot >= 0)).toEqual([true, true, false]);
});

test("a thread without room for its notes counts all the same", () => {
  const memory = new SharedArrayBuffer(InFlight.bytes(KEYS, 1));
  const far = new InFlight(memory, 5, KEYS, 1);
  const slot = far.enter(1, 1);
  expect([slot >= 0, new InFlight(memory, 0, KEYS, 1).enter(1, 1)]).toEqual([true, -1]);
  far.leave(slot);
  InFlight.forget(memory, 5);
  expect(new InFlight(memory, 0, KEYS, 1).enter(1, 1)).toBe(slot);
});

test("whatever comes and goes, counts are those of a plain table", () => {
  for (let seed = 1; seed <= 30; seed += 1) {
    const rng = new Rng(seed);
    const memory = new SharedArrayBuffer(InFlight.bytes(KEYS, 3));
    const threads = [0, 1, 2].map((thread) => new InFlight(memory, thread, KEYS, 3));
    const open: { thread: number; key: number; slot: number }[] = [];
    for (let step = 0; step < 2000; step += 1) {
      const thread = rng.below(3);
      if (rng.oneIn(2) && open.length > 0) {
        const [one] = open.splice(rng.below(open.length), 1);
        threads[one!.thread]!.leave(one!.slot);
      } else if (rng.oneIn(200)) {
        InFlight.forget(memory, thread);
        for (let i = open.length - 1; i >= 0; i -= 1) if (open[i]!.thread === thread) open.splice(i, 1);
        threads[thread] = new InFlight(memory, thread, KEYS, 3);
      } else {
        const key = rng.below(40);
        const slot = threads[thread]!.enter(Math.imul(key + 1, 0x9e3779b1), key);
        expect([seed, step, slot >= 0]).toEqual([seed, step, open.filter((one) => one.key === key).length < 3]);
        if (slot >= 0) open.push({ thread, key, slot });
      }
    }
  }
});

test("a key may have a limit of its own", () => {
  const table = new InFlight(new SharedArrayBuffer(InFlight.bytes(100, 1)), 0, 100, 1);
  const places = [
    table.enter(1, 2, 2),
    table.enter(1, 2, 2),
    table.enter(1, 2, 2),
    table.enter(3, 4),
    table.enter(3, 4),
  ];
  expect(places.map((place) => place >= 0)).toEqual([true, true, false, true, false]);
  table.leave(places[0]!);
  expect(table.enter(1, 2, 1)).toBe(-1); // another plan, under which he has too many under way
  expect(table.enter(1, 2, 2)).toBeGreaterThanOrEqual(0);
});
