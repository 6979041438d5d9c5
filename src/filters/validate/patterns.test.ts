import { describe, expect, test } from "bun:test";
import { patternTester } from "./patterns.ts";

const TEXTS = ["", "a", "abc", "a-b", "A1", "ä", "日本", "a\nb", "x.y", "[]", "0", "😀", "a b", "-"];
const SAME = [
  ...["^[a-z]+$", "^.$", "^..$", "[^a-z]", "^\\w+$", "\\d", "^(?:[a-z0-9]+-)*[a-z0-9]+$", "^[\\w.-]*$", "^\\S+$"],
  ...["^[[\\]]+$", "\\u0041", "^\\u{61}", "\\x2e", "^[^\\n]*$", "^(?!a)", "^$", "[.]", "^[\\-a]+$", "ä", "^\\p{L}+$"],
];

describe("patterns find what the runtime finds", () => {
  for (const pattern of SAME)
    test(pattern, () => {
      const native = new RegExp(pattern, pattern.includes("\\-") ? "" : "u");
      const tester = patternTester(pattern);
      expect(TEXTS.map((text) => tester.test(text))).toEqual(TEXTS.map((text) => native.test(text)));
    });
});

test("patterns that make others slow take no time", () => {
  const text = `${"a".repeat(50_000)}!`;
  const start = performance.now();
  for (const pattern of ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "a*a*a*b", "(x+x+)+y"]) {
    expect(patternTester(pattern).test(text)).toBe(false);
  }
  expect(performance.now() - start).toBeLessThan(5000);
});

test("what cannot be used is refused", () => {
  for (const pattern of ["(", "[z-a]", "^(ä+)+$", "^\\p{L}+ä+$", "(?<=ä)x", "a".repeat(5000)])
    expect(() => patternTester(pattern)).toThrow(RangeError);
});
