import { expect, test } from "bun:test";
import { parseQuota, type Quota } from "./plan-limits.ts";

const CASES: readonly (readonly [text: string, want: Quota | null])[] = [
  ["100000/d", { count: 100_000, per: "day" }],
  ["100000/day", { count: 100_000, per: "day" }],
  ["5/h", { count: 5, per: "hour" }],
  ["5/hour", { count: 5, per: "hour" }],
  ["60/minute", { count: 60, per: "minute" }],
  ["2000000000/month", { count: 2_000_000_000, per: "month" }],
  ["2000000001/month", null], // more than a count of 32 bits can hold
  ["5/m", null], // a minute or a month?
  ["0/d", null],
  ["05/d", null],
  ["1.5/d", null],
  ["5/year", null],
  ["5/", null],
  ["5", null],
  [" 5/d", null],
  ["5/toString", null],
];

for (const [text, want] of CASES)
  test(`quota ${JSON.stringify(text)}`, () => {
    expect(parseQuota(text)).toEqual(want);
  });
