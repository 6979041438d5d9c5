import { expect, test } from "bun:test";
import fc from "fast-check";
import { firstQueryValue, queryValues } from "./query.ts";

const CASES: readonly (readonly [query: string, want: string | null])[] = [
  ["", null],
  ["q", ""],
  ["q=", ""],
  ["q=1", "1"],
  ["a=1&q=2&q=3", "2"],
  ["qq=1&xq=2", null],
  ["a=q=1&b", null],
  ["%71=a+b%21", "a b!"],
  ["q=a=b", "a=b"],
  ["&&q=1", "1"],
];
for (const [query, want] of CASES)
  test(`first value in "${query}"`, () => expect(firstQueryValue(query, "q")).toBe(want));

test("the first value is the first of all values", () => {
  const query = fc.stringMatching(/^[ab=&%+126]{0,24}$/);
  fc.assert(
    fc.property(query, fc.constantFrom("a", "b", "ab", "a b"), (text, name) => {
      expect(firstQueryValue(text, name)).toBe(queryValues(text, name)[0] ?? null);
    }),
    { numRuns: 500 },
  );
});
