import { expect, test } from "bun:test";
import { StreamTable } from "./stream-table.ts";

test("ids that the peer left out", () => {
  const table = new StreamTable();
  for (const id of [1, 3, 9, 11, 21]) table.peerOpened(id);
  const skipped = Array.from({ length: 12 }, (_, i) => 2 * i + 1).filter((id) => table.wasSkipped(id));
  expect([skipped, table.lastPeer]).toEqual([[5, 7, 13, 15, 17, 19], 21]);
});

test("a first id above 1", () => {
  const table = new StreamTable();
  table.peerOpened(7);
  expect([1, 3, 5, 7].map((id) => table.wasSkipped(id))).toEqual([true, true, true, false]);
});

test("of many gaps the last ones are known", () => {
  const table = new StreamTable();
  for (let i = 0; i < 100; i += 1) table.peerOpened(4 * i + 1);
  expect([table.wasSkipped(3), table.wasSkipped(4 * 99 - 1), table.wasSkipped(4 * 50 + 1)]).toEqual([
    false,
    true,
    false,
  ]);
});

test("what we have reset; of those long ago all count as reset", () => {
  const table = new StreamTable();
  expect(table.wasReset(1)).toBe(false);
  for (let id = 101; id <= 105; id += 4) table.rememberReset(id);
  expect([99, 101, 103, 105, 107].map((id) => table.wasReset(id))).toEqual([false, true, false, true, false]);
  for (let i = 0; i < 256; i += 1) table.rememberReset(1001 + 4 * i);
  expect([99, 105, 107, 1001, 1003].map((id) => table.wasReset(id))).toEqual([true, true, false, true, false]);
});
