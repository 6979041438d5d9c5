import { expect, test } from "bun:test";
import type { SearchRule } from "../engines/cache/no-vary-search.ts";
import { pathOf, Searches } from "./searches.ts";

const STAMP = { slot: 0, count: 0, purges: 0 } as Parameters<Searches["add"]>[2];
const UTM: SearchRule = { anyOrder: false, listed: true, names: new Set(["utm"]) };
const ORDER: SearchRule = { anyOrder: true, listed: true, names: new Set() };
const addressOf = (target: string): string => `https\nexample.com\n${target}\n`;

function searches(...stored: readonly (readonly [target: string, rule: SearchRule])[]): Searches {
  const all = new Searches();
  for (const [target, rule] of stored) all.add(addressOf(target), rule, STAMP);
  return all;
}

const FINDS: readonly (readonly [stored: Searches, target: string, found: string | null])[] = [
  [searches(), "/a", null],
  [searches(["/a?utm=1", UTM]), "/a?utm=2", "/a?utm=1"],
  [searches(["/a?utm=1", UTM]), "/a", "/a?utm=1"],
  [searches(["/a", UTM]), "/a?utm=1", "/a"],
  [searches(["/a?utm=1", UTM]), "/b?utm=2", null],
  [searches(["/a?x=1&utm=1", UTM]), "/a?x=2&utm=1", null],
  [searches(["/a?x=1&y=2", ORDER]), "/a?y=2&x=1", "/a?x=1&y=2"],
  [searches(["/a?x=1&y=2", ORDER], ["/a?utm=1", UTM]), "/a?y=2&x=1", "/a?x=1&y=2"],
  [searches(["/a?utm=1", UTM], ["/a?utm=2", UTM]), "/a?utm=3", "/a?utm=2"],
];
for (const [stored, target, found] of FINDS)
  test(`${target} finds ${found}`, () => {
    expect(stored.find(addressOf(target))?.address ?? null).toBe(found === null ? null : addressOf(found));
  });

test("what is gone is not found, and leaves nothing behind", () => {
  const all = searches(["/a?utm=1", UTM], ["/a?utm=2", UTM], ["/a?x=1", ORDER]);
  expect(all.size).toBe(2);
  for (const target of ["/a?utm=1", "/a?utm=2", "/a?x=1", "/never"]) all.delete(addressOf(target));
  expect(all.size).toBe(0);
  expect(all.find(addressOf("/a?utm=3"))).toBeNull();
});

test("many rules and answers do not take more than their room", () => {
  const all = new Searches();
  for (let i = 0; i < 70_000; i += 1) all.add(addressOf(`/a?x=${i}`), { ...UTM, names: new Set([`n${i % 9}`]) }, STAMP);
  expect(all.size).toBe(65_536);
  expect(all.find(addressOf("/a?x=69999&n6=1"))?.address).toBe(addressOf("/a?x=69999"));
  expect(all.find(addressOf("/a?x=1"))).toBeNull();
});

test("the path of an address stands for all of its queries, and is none of them", () => {
  expect(pathOf(addressOf("/a"))).toBe(pathOf(addressOf("/a?b=1?c")));
  expect(pathOf(addressOf("/a"))).not.toBe(addressOf("/a"));
});
