import { expect, test } from "bun:test";
import { type Period, QuotaTable } from "./quota.ts";

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
