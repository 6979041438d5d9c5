import { expect, test } from "bun:test";
import { ALLOWED, AWAY, Leases, REFUSED, refusedUntil, UNKNOWN } from "./leases.ts";

const NOW = 5000;

function tableOf(cost = 1, keys = 100): { threads: [Leases, Leases]; asker: Leases } {
  const memory = new SharedArrayBuffer(Leases.bytes(keys));
  const asker = new Leases(memory);
  asker.describe({ kind: "rate", step: 1000, most: 10, lease: 8, cost });
  asker.isServed = true;
  return { threads: [new Leases(memory), new Leases(memory)], asker };
}

test("the first is on credit, the next waits for the answer, and then it is taken from what was granted", () => {
  const { threads, asker } = tableOf();
  const [one, other] = threads;
  expect(one.take(1, 2, 1, NOW)).toBe(ALLOWED);
  expect(other.take(1, 2, 1, NOW)).toBe(UNKNOWN);
  expect(one.take(1, 2, 1, NOW)).toBe(UNKNOWN);
  expect(one.isAnswered(1, 2)).toBe(false);
  const [wanted, ...none] = asker.wanted(10);
  expect(none).toEqual([]);
  expect(wanted).toMatchObject({ owed: 1, cost: 1, more: 5 });
  expect(asker.grant(wanted!, 3, 4, 500, null)).toBe(true);
  expect(other.isAnswered(1, 2)).toBe(true);
  expect(other.take(1, 2, 1, NOW)).toBe(ALLOWED);
  expect([other.remaining, other.resetMs]).toEqual([6, 500]);
  expect(one.take(1, 2, 1, NOW)).toBe(ALLOWED);
  one.giveBack(1, 2, 1);
  expect([one.take(1, 2, 1, NOW), one.take(1, 2, 1, NOW)]).toEqual([ALLOWED, ALLOWED]);
  // It ran low, so more is wanted already; another key is apart.
  expect(asker.wanted(10)).toHaveLength(1);
  expect(one.take(1, 2, 1, NOW)).toBe(UNKNOWN);
  expect(one.take(1, 3, 1, NOW)).toBe(ALLOWED);
});

test("where nothing was granted all are refused until then, and who insists while it is asked again", () => {
  const { threads, asker } = tableOf();
  const [one, other] = threads;
  one.take(1, 2, 1, NOW);
  asker.grant(asker.wanted(1)[0]!, 0, 0, 900, refusedUntil(NOW, 40));
  expect(other.take(1, 2, 1, NOW + 10)).toBe(REFUSED);
  expect(other.retryMs).toBe(30);
  expect(asker.wanted(1)).toEqual([]);
  expect(other.take(1, 2, 1, NOW + 50)).toBe(REFUSED);
  expect(asker.wanted(1)).toHaveLength(1);
  expect(other.take(1, 2, 1, NOW + 500)).toBe(UNKNOWN);
});

test("while the store is away nothing is said, and what was let through is charged later", () => {
  const { threads, asker } = tableOf();
  const [one] = threads;
  one.take(1, 2, 1, NOW);
  const [lost] = asker.wanted(1);
  asker.failed(lost!);
  asker.isServed = false;
  expect(one.take(1, 2, 1, NOW)).toBe(AWAY);
  expect(one.isAnswered(1, 2)).toBe(true);
  one.owe(1, 2, 3, NOW);
  one.owe(7, 7, 2, NOW);
  asker.isServed = true;
  expect([one.take(1, 2, 1, NOW), one.take(7, 7, 1, NOW)]).toEqual([UNKNOWN, UNKNOWN]);
  expect(asker.wanted(10).map(({ owed }) => owed)).toEqual([4, 2]);
});

test("a hand that nobody uses is given back, and its key begins anew", () => {
  const { threads, asker } = tableOf();
  const [one] = threads;
  one.take(1, 2, 1, NOW);
  const [wanted] = asker.wanted(1);
  asker.grant(wanted!, 2, 0, 0, null);
  const { slot, tag } = wanted!;
  expect(asker.handOf(slot, tag)).toBe(2);
  expect(asker.reclaim(slot, tag)).toBe(2);
  expect([asker.handOf(slot, tag), asker.reclaim(slot, tag)]).toEqual([0, 0]);
  expect(one.take(1, 2, 1, NOW)).toBe(ALLOWED);
  const [again] = asker.wanted(1);
  expect(again).toMatchObject({ owed: 1 });
  // Who is limited gets no credit again.
  asker.grant(again!, 0, 0, 0, refusedUntil(NOW, 1000));
  expect(asker.reclaim(slot, tag)).toBe(0);
  expect(one.take(1, 2, 1, NOW)).toBe(REFUSED);
});

test("more keys than there is room for, and more than can be asked for, cost their own kind", () => {
  const { threads, asker } = tableOf(1, 16);
  const [one] = threads;
  one.take(0, 1, 1, NOW);
  asker.grant(asker.wanted(1)[0]!, 0, 0, 0, refusedUntil(NOW, 30_000));
  for (let key = 2; key < 50_000; key += 1) one.take(0, key, 1, NOW);
  expect(one.take(0, 1, 1, NOW)).toBe(REFUSED);
  let found = 0;
  for (let some = asker.wanted(512); some.length > 0; some = asker.wanted(512)) {
    found += some.length;
    for (const each of some) asker.grant(each, 0, 0, 0, null);
  }
  expect(found).toBeWithin(16, 4097);
});

test("a key may have a limit of its own, which is asked for in place of the table's", () => {
  const memory = new SharedArrayBuffer(Leases.bytes(100));
  const asker = new Leases(memory);
  asker.describe({ kind: "day", step: 1, most: 0, lease: 0, cost: 1 });
  asker.isServed = true;
  const thread = new Leases(memory);
  expect(thread.take(1, 2, 5, NOW, 1000)).toBe(ALLOWED); // on credit
  const [wanted] = asker.wanted(10);
  expect(wanted).toMatchObject({ owed: 5, cost: 1, more: 9, most: 1000, step: 0 }); // a hundredth in hand
  asker.grant(wanted!, 10, 985, 0, null);
  expect([thread.take(1, 2, 5, NOW, 1000), thread.remaining]).toEqual([ALLOWED, 990]);
  // What costs more than a hundredth is asked for as well.
  expect(thread.take(1, 2, 200, NOW, 1000)).toBe(UNKNOWN);
  const [more] = asker.wanted(10);
  expect(more!.more + 1).toBeGreaterThanOrEqual(200 - 5);
  asker.grant(more!, 300, 600, 0, null);
  expect(thread.take(1, 2, 200, NOW, 1000)).toBe(ALLOWED);
  // A rate has a step besides, and another plan is seen with the next request.
  thread.take(1, 2, 1, NOW, 50, 12.5);
  thread.charge(1, 2, 7, NOW);
  expect(asker.wanted(10)[0]).toMatchObject({ owed: 7, most: 50, step: 12.5 });
});

test("what was used without asking is charged in a moment, of a key that nobody has asked about too", () => {
  const { threads, asker } = tableOf();
  threads[0].charge(5, 6, 0, NOW);
  expect(asker.wanted(10)).toEqual([]);
  threads[0].charge(5, 6, 40, NOW, 100);
  expect(asker.wanted(10)).toMatchObject([{ owed: 40, most: 100 }]);
});
