import { expect, test } from "bun:test";
import { isHostName } from "./host-name.ts";

const NAMES: readonly (readonly [name: string, valid: boolean])[] = [
  ["a", true],
  ["a-b.c1", true],
  ["1.a", true],
  ["3com.example", true],
  [`${"a".repeat(63)}.b`, true],
  [`${"a".repeat(64)}.b`, false],
  [`${"a.".repeat(126)}a`, true],
  [`${"a.".repeat(126)}aa`, false],
  ["", false],
  [".", false],
  [".a", false],
  ["a..b", false],
  ["-a", false],
  ["a-", false],
  ["a-.b", false],
  ["a.-b", false],
  ["A", false],
  ["a b", false],
  ["*.a", false],
  ["1.2.3.4", false],
  ["a.1", false],
  ["127.1", false],
];
for (const [name, valid] of NAMES)
  test(`${JSON.stringify(name.slice(0, 20))} is ${valid ? "a" : "no"} host name`, () =>
    expect(isHostName(name)).toBe(valid));
