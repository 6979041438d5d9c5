import { expect, test } from "bun:test";
import fc from "fast-check";
import { firstCookie } from "../http/cookies.ts";
import { queryValues } from "../http/query.ts";
import { exchangeOf } from "../pipeline/exchange.fixture.ts";
import { removeCookies, removeQueryParameter } from "./strip.ts";

const COOKIES: readonly (readonly [field: string, left: string | null])[] = [
  ["a=1; key=2; b=3", "a=1; b=3"],
  ["key=2", null],
  ["key=2;key=3 ; a=1", "a=1"],
  ["keys=2; akey=1", "keys=2; akey=1"],
  [" key = 2; a=1", "a=1"],
  ["a=1, key=2", null],
  ['a="key=2"', 'a="key=2"'],
  ["key; a=1", "a=1"],
];
for (const [field, left] of COOKIES)
  test(`cookies: ${field}`, () => {
    const x = exchangeOf({ headers: [["cookie", field]] });
    removeCookies(x.request.headers, (name) => name === "key");
    expect(x.request.header("cookie")).toBe(left);
  });

test("what is left of cookies never has ours", () => {
  const piece = fc.constantFrom("key", "=", ";", ",", " ", "a", '"', "\t");
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 20 }), (pieces) => {
      const x = exchangeOf({ headers: [["cookie", pieces.join("").trim() || "a"]] });
      removeCookies(x.request.headers, (name) => name === "key");
      expect(firstCookie(x.request.header("cookie"), "key")).toBeNull();
    }),
  );
});

test("what is left of a query never has the parameter, and all others", () => {
  const piece = fc.constantFrom("key", "%6bey", "k%65y", "=", "&", "a", "+", "?", "%");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const query = pieces.join("");
      const x = exchangeOf({ target: `/p?${query}` });
      removeQueryParameter(x, "key");
      expect(queryValues(x.request.query, "key")).toEqual([]);
      expect(queryValues(x.request.query, "a")).toEqual(queryValues(query, "a"));
      expect(x.request.rawPath).toBe("/p");
    }),
  );
});
