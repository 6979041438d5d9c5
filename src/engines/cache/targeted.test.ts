import { expect, test } from "bun:test";
import fc from "fast-check";
import { NO_DIRECTIVES, parseResponseDirectives, type ResponseDirectives } from "./cache-control.ts";
import { block } from "./model.testing.ts";
import { isCacheableByDefault, isProvoked, isStaleStatus, isUnderstood } from "./statuses.ts";
import { instructionsOf, parseTargeted } from "./targeted.ts";

const CASES: readonly (readonly [field: string, want: Partial<ResponseDirectives> | null])[] = [
  ["max-age=5", { maxAge: 5 }],
  ["max-age=-5", { maxAge: 0 }],
  ["max-age=999999999999999", { maxAge: 2_147_483_648 }],
  ["max-age=5;a=b", { maxAge: 5 }],
  [
    "s-maxage=1, stale-while-revalidate=2, stale-if-error=3",
    { sharedMaxAge: 1, staleWhileRevalidate: 2, staleIfError: 3 },
  ],
  ["no-store, public=?1, immutable=?0", { noStore: true, public: true }],
  ["private, no-cache", { private: true, noCache: true }],
  ["private=?0, no-cache=?0", {}],
  ['no-cache="a, B"', { withheld: ["a", "b"] }],
  ["private=a", { withheld: ["a"] }],
  ['private=("a" b)', { withheld: ["a", "b"] }],
  ["private=()", { private: true }],
  ["unknown=(1 2);x, other=:aGk=:", {}],
  ["", null],
  ["  ", null],
  ["max-age", null],
  ['max-age="5"', null],
  ["max-age=5.0", null],
  ["max-age=(5)", null],
  ["no-store=1", null],
  ["no-store=(a)", null],
  ["private=5", null],
  ["private=(5)", null],
  ["Max-Age=5", null],
  ["max-age=5,", null],
];
for (const [field, want] of CASES)
  test(`targeted: ${field}`, () => {
    expect(parseTargeted(field)).toEqual(want === null ? null : { ...NO_DIRECTIVES, ...want });
  });

test("the first field that can be read counts", () => {
  const all = "Sluice-Cache-Control: max-age=1 | CDN-Cache-Control: max-age=2 | Cache-Control: max-age=3";
  const ages = [all, all.replace("max-age=1", "?"), all.replace(/max-age=[12]/g, "?"), ""].map((text) => {
    const { directives, targeted } = instructionsOf(block(text));
    return [directives.maxAge, targeted];
  });
  expect(ages).toEqual([
    [1, true],
    [2, true],
    [3, false],
    [-1, false],
  ]);
});

test("what both grammars can say means the same", () => {
  const directive = fc.oneof(
    fc.constantFrom(
      "no-store",
      "public",
      "must-revalidate",
      "private",
      "no-cache",
      "immutable",
      "foo",
      'private="a, b"',
    ),
    fc
      .tuple(fc.constantFrom("max-age", "s-maxage", "stale-if-error"), fc.nat(9999))
      .map(([name, value]) => `${name}=${value}`),
  );
  const unique = fc.uniqueArray(directive, { minLength: 1, maxLength: 5, selector: (text) => text.split("=")[0]! });
  fc.assert(
    fc.property(unique, (directives) => {
      const field = directives.join(", ");
      expect(parseTargeted(field)).toEqual(parseResponseDirectives(field));
    }),
  );
});

test("statuses that may be provoked are not those that caches live by", () => {
  const all = Array.from({ length: 500 }, (_, at) => at + 100);
  const risky = all.filter((status) => isCacheableByDefault(status) && isProvoked(status));
  expect(risky).toEqual([405, 414, 501]);
  expect(all.filter(isStaleStatus)).toEqual([500, 502, 503, 504]);
  expect(all.filter((status) => isCacheableByDefault(status) && !isUnderstood(status))).toEqual([]);
  expect([299, 499, 599, 304, 101].some(isUnderstood)).toBe(false);
});
