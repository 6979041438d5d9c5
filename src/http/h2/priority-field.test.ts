import { describe, expect, test } from "bun:test";
import { parsePriority } from "./priority-field.ts";

/** RFC 9218 §4, RFC 9651 §4.2.2; `null` for what is no dictionary. */
const CASES: readonly (readonly [text: string, urgency: number | null, incremental?: boolean])[] = [
  ["", 3, false],
  ["  ", 3, false],
  ["u=0", 0, false],
  ["u=7", 7, false],
  ["i", 3, true],
  ["u=5, i", 5, true],
  ["i,u=5", 5, true],
  ["u=5;x=1, i;y", 5, true],
  ["i=?0", 3, false],
  ["i=?1", 3, true],
  ["i=1", 3, false],
  ["u=8", 3, false],
  ["u=-1", 3, false],
  ["u=1.0", 3, false],
  ["u=?1", 3, false],
  ["u=2, u=6", 6, false],
  ["what=1, *x, u=1, a-b.c_d*", 1, false],
  ["u=1,", null],
  [",u=1", null],
  ["u=", null],
  ["U=1", null],
  ["=1", null],
  ["%", null],
  ["1=2", null],
  [`u=1${" ".repeat(300)}`, null],
];
for (const [text, urgency, incremental] of CASES)
  test(JSON.stringify(text.slice(0, 30)), () =>
    expect(parsePriority(text)).toEqual(urgency === null ? null : { urgency, incremental: incremental! }),
  );

describe("over what was known before", () => {
  const before = { urgency: 5, incremental: true };
  const MERGED: readonly (readonly [text: string, urgency: number, incremental: boolean])[] = [
    ["", 5, true],
    ["u=1", 1, true],
    ["i=?0", 5, false],
    ["u=9", 3, true],
  ];
  for (const [text, urgency, incremental] of MERGED)
    test(JSON.stringify(text), () => expect(parsePriority(text, before)).toEqual({ urgency, incremental }));
});
