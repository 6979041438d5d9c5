import { expect, test } from "bun:test";
import { compilePattern, matchesOf } from "./patterns.ts";

test("places are those of JavaScript's texts", () => {
  const regex = compilePattern("proj-[0-9]+|ü");
  for (const text of ["a Proj-12 b proj-3", "ä😀 proj-1 日本 proj-22 ü", "none", ""]) {
    const found = matchesOf(regex, text).map(([from, to]) => text.slice(from, to));
    expect(found).toEqual([...text.matchAll(/proj-[0-9]+|ü/gi)].map(([match]) => match));
  }
});

test("expressions that make others slow take no time", () => {
  const text = "a".repeat(50_000);
  const start = performance.now();
  for (const pattern of ["(a+)+$x", "(a|aa)+b", "a*a*a*b"]) expect(compilePattern(pattern).test(text)).toBe(false);
  const found = matchesOf(compilePattern("a"), text);
  expect([found.length, found.at(-1)]).toEqual([10_001, [10_000, text.length]]); // nothing behind them goes through
  expect(performance.now() - start).toBeLessThan(3000);
});

test("what cannot be used is refused", () => {
  for (const pattern of ["(", "[z-a]", "a".repeat(5000)]) expect(() => compilePattern(pattern)).toThrow(RangeError);
});
