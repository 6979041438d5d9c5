import { expect, test } from "bun:test";
import fc from "fast-check";
import { TAGS_MAX, TagIndex } from "./tag-index.ts";

test("finds the entries of a tag", () => {
  const index = new TagIndex(100);
  expect(index.set("a", ["x", "y"])).toBe(true);
  expect(index.set("b", ["y", "y"])).toBe(true);
  expect([...index.keysOf("y")]).toEqual(["a", "b"]);
  expect([...index.keysOf("none")]).toEqual([]);
  expect(index.ties).toBe(3);
});

test("entries may go while they are walked", () => {
  const index = new TagIndex(100);
  for (const key of ["a", "b", "c"]) index.set(key, ["x"]);
  const seen: string[] = [];
  for (const key of index.keysOf("x")) {
    seen.push(key);
    index.delete(key);
  }
  expect(seen).toEqual(["a", "b", "c"]);
  expect([index.ties, [...index.keysOf("x")]]).toEqual([0, []]);
});

test("refuses what it has no room for, and forgets what was there", () => {
  const index = new TagIndex(3);
  index.set("a", ["x", "y"]);
  expect(index.set("b", ["x", "y"])).toBe(false);
  expect([...index.keysOf("x")]).toEqual(["a"]);
  expect(index.set("a", ["p", "q", "r", "s"])).toBe(false);
  expect([index.ties, [...index.keysOf("x")]]).toEqual([0, []]);
  const many = new TagIndex(TAGS_MAX * 2);
  const tags = Array.from({ length: TAGS_MAX + 1 }, (_, i) => `t${i}`);
  expect(many.set("a", tags)).toBe(false);
  expect(many.set("a", tags.slice(1))).toBe(true);
});

test("says the same as a list of pairs, within its limit", () => {
  const key = fc.constantFrom("a", "b", "c", "d");
  const tags = fc.array(fc.constantFrom("x", "y", "z"), { maxLength: 4 });
  const steps = fc.array(fc.tuple(key, fc.option(tags)), { maxLength: 60 });
  fc.assert(
    fc.property(steps, fc.integer({ min: 0, max: 8 }), (all, tiesMax) => {
      const index = new TagIndex(tiesMax);
      const model = new Map<string, Set<string>>();
      const ties = (): number => [...model.values()].reduce((sum, set) => sum + set.size, 0);
      for (const [key, tags] of all) {
        model.delete(key);
        if (tags === null) index.delete(key);
        else if (index.set(key, tags)) model.set(key, new Set(tags));
        else expect(ties() + new Set(tags).size).toBeGreaterThan(tiesMax);
        expect(index.ties).toBe(ties());
        expect(ties()).toBeLessThanOrEqual(tiesMax);
        for (const tag of ["x", "y", "z"]) {
          const want = [...model].filter(([, its]) => its.has(tag)).map(([name]) => name);
          expect([...index.keysOf(tag)].sort()).toEqual(want.sort());
        }
      }
    }),
  );
});
