import { expect, test } from "bun:test";
import fc from "fast-check";
import { type KeyFormat, parseKey } from "./key.ts";

const UUID = "8e03978e-40d5-43e8-bc93-6894a57f9324";
const CASES: readonly (readonly [value: string, format: KeyFormat, want: string | null])[] = [
  ["abc", "any", "abc"],
  ['"abc"', "any", "abc"],
  ['"a b, c;d"', "any", "a b, c;d"],
  ['"a\\"b"', "any", 'a"b'],
  ["abc", "string", null],
  ['"abc"', "string", "abc"],
  [UUID, "uuid", UUID],
  [`"${UUID.toUpperCase()}"`, "uuid", UUID],
  ["abc", "uuid", null],
  ["", "any", null],
  ['""', "any", null],
  ["a b", "any", null],
  ["a,b", "any", null],
  ["a;b", "any", null],
  ['a"b', "any", null],
  ["\u00e9", "any", null],
  ['"abc', "any", null],
  ['"abc";p=1', "any", null],
  ['"abc" x', "any", null],
  ["x".repeat(20), "any", "x".repeat(20)],
  ["x".repeat(21), "any", null],
  [`"${"x".repeat(21)}"`, "any", null],
];
for (const [value, format, want] of CASES)
  test(`${JSON.stringify(value)} as ${format}`, () =>
    expect(parseKey(value, format, format === "uuid" ? 36 : 20)).toBe(want));

test("a key that is read is short, not empty, and the same in quotes", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary-ascii", maxLength: 60 }), (value) => {
      const key = parseKey(value, "any", 20);
      if (key === null) return;
      expect(key.length).toBeGreaterThan(0);
      expect(key.length).toBeLessThanOrEqual(20);
      expect(parseKey(`"${key.replace(/["\\]/g, "\\$&")}"`, "string", 20)).toBe(key);
    }),
    { numRuns: 2000 },
  );
});
