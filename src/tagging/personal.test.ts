import { expect, test } from "bun:test";
import { finderOf } from "./personal.ts";

const REDACT = ["email"] as const;

test.each([
  [[], "mail ann@example.com now", ["ann@example.com"]],
  [["customer-[0-9]+"], "Customer-4711 is ann@example.com", ["Customer-4711", "ann@example.com"]],
  [["[a-z]+@example", "ple.com!"], "ann@example.com!", ["ann@example.com!"]],
  [["über[0-9]"], "wer über7 ist", ["über7"]],
] as const)("%p in %p", (patterns, text, expected) => {
  const found = finderOf({ redact: [...REDACT], patterns: [...patterns] })(text);
  expect(found.map(({ from, to }) => text.slice(from, to))).toEqual([...expected]);
});

test("an expression that cannot be used is refused", () => {
  expect(() => finderOf({ redact: [], patterns: ["("] })).toThrow(RangeError);
});
