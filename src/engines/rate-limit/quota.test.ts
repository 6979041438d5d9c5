import { expect, test } from "bun:test";
import type { Period } from "../../core/plan-limits.ts";
import { QuotaTable } from "./quota.ts";

const tableOf = (max: number, per: Period, memory = new SharedArrayBuffer(QuotaTable.bytes(100))): QuotaTable =>
  new QuotaTable(memory, max, per);
const at = (text: string): number => Date.parse(text);

test("so many in a day of the calendar, each key for itself", () => {
  const table = tableOf(3, "day");
  const morning = at("2026-03-01T06:00:00Z");
  for (const left of [2, 1, 0]) expect([table.take(1, 1, 1, morning), table.remaining]).toEqual([true, left]);
  expect([table.take(1, 1, 1, morning), table.remaining]).toEqual([false, 0]);
  expect(table.resetMs(morning)).toBe(18 * 3_600_000);
  expect(table.take(2, 2, 1, morning)).toBe(true);
  expect(table.take(1, 1, 1, at("2026-03-01T23:59:59.999Z"))).toBe(false);
  expect(table.take(1, 1, 1, at("2026-03-02T00:00:00Z"))).toBe(true);
});

test("months have their own length, and years end", () => {
  const table = tableOf(1, "month");
  for (const [month, days] of [
    ["2026-12", 31],
    ["2027-01", 31],
    ["2027-02", 28],
    ["2028-02", 29],
  ] as const) {
    const first = at(`${month}-01T00:00:00Z`);
    expect([table.take(1, 1, 1, first), table.take(1, 1, 1, first + 1)]).toEqual([true, false]);
    expect(table.resetMs(first)).toBe(days * 86_400_000);
  }
});

test("what costs more than is left is refused as a whole; what is given back is there again", () => {
  const table = tableOf(5, "day");
  expect([table.take(1, 1, 3, 0), table.take(1, 1, 3, 0), table.take(1, 1, 2, 0)]).toEqual([true, false, true]);
  table.giveBack(1, 1, 3);
  expect([table.take(1, 1, 3, 0), table.take(1, 1, 1, 0)]).toEqual([true, false]);
});

test("threads count in the same memory, and a late one does not bring yesterday back", () => {
  const memory = new SharedArrayBuffer(QuotaTable.bytes(100));
  const a = tableOf(2, "day", memory);
  const b = tableOf(2, "day", memory);
  const today = at("2026-03-02T00:00:00Z");
  expect([a.take(1, 1, 1, today), b.take(1, 1, 1, today), a.take(1, 1, 1, today)]).toEqual([true, true, false]);
  const late = tableOf(2, "day", memory);
  expect(late.take(1, 1, 1, today - 1)).toBe(false);
  expect(a.take(1, 1, 1, today)).toBe(false);
});

test("of more keys than there is room for, those with the most requests stay", () => {
  const memory = new SharedArrayBuffer(QuotaTable.bytes(8)); // one bucket
  const table = tableOf(10, "day", memory);
  for (let i = 0; i < 10; i += 1) table.take(0, 7, 1, 0);
  for (let key = 100; key < 1000; key += 1) expect(table.take(0, key, 1, 0)).toBe(true);
  expect(table.take(0, 7, 1, 0)).toBe(false);
  expect(table.evictions).toBeGreaterThan(800);
});

test("minutes and hours are periods as well", () => {
  const minutes = tableOf(1, "minute");
  expect(minutes.take(1, 1, 1, at("2026-03-01T06:00:10Z"))).toBe(true);
  expect(minutes.take(1, 1, 1, at("2026-03-01T06:00:59Z"))).toBe(false);
  expect(minutes.resetMs(at("2026-03-01T06:00:59Z"))).toBe(1000);
  expect(minutes.take(1, 1, 1, at("2026-03-01T06:01:00Z"))).toBe(true);
  const hours = tableOf(1, "hour");
  expect([hours.take(1, 1, 1, at("2026-03-01T06:59:59Z")), hours.take(1, 1, 1, at("2026-03-01T07:00:00Z"))]).toEqual([
    true,
    true,
  ]);
});

test("a key may have a limit of its own, and keeps its count when that changes", () => {
  const table = tableOf(0, "day");
  const now = at("2026-03-01T06:00:00Z");
  expect([table.take(1, 1, 2, now, 3), table.remaining, table.used]).toEqual([true, 1, 2]);
  expect([table.take(2, 2, 2, now, 1), table.remaining, table.used]).toEqual([false, 1, 0]);
  expect([table.take(1, 1, 2, now, 3), table.used]).toEqual([false, 2]);
  expect([table.take(1, 1, 2, now, 10), table.remaining, table.used]).toEqual([true, 6, 4]);
  expect([table.take(1, 1, 1, now, 2), table.remaining]).toEqual([false, 0]);
});

test("what is charged counts whether it is there or not, and never below nothing or beyond its room", () => {
  const table = tableOf(0, "day");
  const now = at("2026-03-01T06:00:00Z");
  table.charge(1, 1, 50, now);
  expect([table.used, table.take(1, 1, 1, now, 10), table.look(1, 1, now)]).toEqual([50, false, 50]);
  table.charge(1, 1, -70, now);
  expect([table.used, table.look(1, 1, now), table.look(3, 3, now)]).toEqual([0, 0, 0]);
  table.charge(1, 1, 2_000_000_000, now);
  table.charge(1, 1, 2_000_000_000, now);
  expect(table.look(1, 1, now)).toBe(2 ** 31 - 1);
  expect(table.look(1, 1, at("2026-03-02T00:00:00Z"))).toBe(0);
});
