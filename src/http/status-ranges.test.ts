import { expect, test } from "bun:test";
import { StatusRanges } from "./status-ranges.ts";

const CASES: readonly (readonly [text: string, inside: readonly number[], outside: readonly number[]])[] = [
  ["200-399", [200, 204, 301, 399], [100, 199, 400, 503]],
  ["200, 204", [200, 204], [201, 203, 205, 0, 999]],
  ["200-299,404", [250, 404], [300, 403, 405]],
  [" 503 ", [503], [502, 504]],
];
for (const [text, inside, outside] of CASES)
  test(text, () => {
    const ranges = StatusRanges.parse(text);
    expect(inside.filter((status) => !ranges.has(status))).toEqual([]);
    expect(outside.filter((status) => ranges.has(status))).toEqual([]);
  });

for (const text of ["", "20", "600", "200-", "300-200", "200 204", "2xx", "200,"])
  test(`refused: "${text}"`, () => expect(() => StatusRanges.parse(text)).toThrow(RangeError));
