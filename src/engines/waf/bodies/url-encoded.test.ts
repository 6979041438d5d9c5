import { expect, test } from "bun:test";
import { parseCookies, parseUrlEncoded, URLENCODED_INVALID, URLENCODED_TOO_MANY } from "./url-encoded.ts";

function argumentsOf(text: string, separator = "&", countMax = 100): { pairs: string[]; outcome: number } {
  const pairs: string[] = [];
  const outcome = parseUrlEncoded(text, separator, countMax, (name, value) => pairs.push(`${name}:${value}`));
  return { pairs, outcome };
}

const CASES: readonly (readonly [text: string, pairs: readonly string[], outcome: number])[] = [
  ["", [], 0],
  ["a=b", ["a:b"], 0],
  ["a=b&c=d", ["a:b", "c:d"], 0],
  ["a=b&a=c&a", ["a:b", "a:c", "a:"], 0],
  ["a&b=c", ["a:", "b:c"], 0],
  ["a=b=c", ["a:b=c"], 0],
  ["=b", [":b"], 0],
  ["&&a=b&", ["a:b"], 0],
  ["a+b=c+d%21", ["a b:c d!"], 0],
  ["a%3db=%26", ["a=b:&"], 0],
  ["a=%zz&b=%4", ["a:%zz", "b:%4"], URLENCODED_INVALID],
  ["a=%", ["a:%"], URLENCODED_INVALID],
  ["a=%u0041", ["a:%u0041"], URLENCODED_INVALID],
  ["a=%00\xff", ["a:\0\xff"], 0],
  ["a;b=c", ["a;b:c"], 0],
];
for (const [text, pairs, outcome] of CASES)
  test(`arguments of ${JSON.stringify(text)}`, () => {
    expect(argumentsOf(text)).toEqual({ pairs: [...pairs], outcome });
  });

test("another separator", () => {
  expect(argumentsOf("a=b;c=d&e", ";").pairs).toEqual(["a:b", "c:d&e"]);
});

test("arguments beyond the limit are told, and not given out", () => {
  expect(argumentsOf("a=1&b=2&c=3", "&", 2)).toEqual({ pairs: ["a:1", "b:2"], outcome: URLENCODED_TOO_MANY });
  expect(argumentsOf("a=1&b=2&", "&", 2).outcome).toBe(0);
});

const COOKIES: readonly (readonly [field: string, pairs: readonly string[]])[] = [
  ["", []],
  ["a=b", ["a:b"]],
  ["a=b; c=d;e=f", ["a:b", "c:d", "e:f"]],
  ["a", ["a:"]],
  ["a=b=c; ;=x; d =e", ["a:b=c", "d :e"]],
  ['a="b; c"', ['a:"b', 'c":']],
  ["a=%41+b", ["a:%41+b"]],
  ["a=b, c=d", ["a:b, c=d"]],
];
for (const [field, pairs] of COOKIES)
  test(`cookies of ${JSON.stringify(field)}`, () => {
    const found: string[] = [];
    expect(parseCookies(field, 10, (name, value) => found.push(`${name}:${value}`))).toBeTrue();
    expect(found).toEqual([...pairs]);
  });

test("cookies beyond the limit are told", () => {
  let found = 0;
  expect(parseCookies("a=1; b=2; c=3", 2, () => (found += 1))).toBeFalse();
  expect(found).toBe(2);
});
