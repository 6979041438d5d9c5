import { expect, test } from "bun:test";
import fc from "fast-check";
import { KeyTable } from "./key-table.ts";

test("holds what a map holds", () => {
  const step = fc.record({ key: fc.integer({ min: 0, max: 3000 }).map(String), adds: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { minLength: 100, maxLength: 5000 }), (steps) => {
      const table = new KeyTable<number>();
      const model = new Map<string, number>();
      for (const [at, { key, adds }] of steps.entries()) {
        expect(table.get(key)).toBe(model.get(key));
        if (!adds) {
          table.delete(key);
          model.delete(key);
        } else if (!table.has(key)) {
          table.add(key, at);
          model.set(key, at);
        }
      }
      const found = new Map<string, number>();
      table.forEach((value, key) => void found.set(key, value));
      expect([...found].sort()).toEqual([...model].sort());
    }),
    { numRuns: 20 },
  );
});
