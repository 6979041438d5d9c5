import { expect, test } from "bun:test";
import fc from "fast-check";
import { Tally } from "./tally.ts";

/** `+` and `-` are checks; the answer has `U` or `D` where the verdict changes, and `.` where it does not. */
const CASES: readonly (readonly [
  name: string,
  start: boolean | null,
  rise: number,
  fall: number,
  checks: string,
  want: string,
])[] = [
  ["the first good check decides", null, 2, 3, "+++", "U.."],
  ["the first failure does not", null, 2, 3, "---", "..D"],
  ["a good one in between is enough", null, 2, 3, "--+", "..U"],
  ["failures in a row only", true, 2, 3, "--+--+---", "........D"],
  ["good ones in a row only", false, 2, 3, "+-+-++", ".....U"],
  ["after the fall the rise counts in full", null, 3, 1, "-+-+++", "D....U"],
  ["one of each", null, 1, 1, "+-+-", "UDUD"],
];
for (const [name, start, healthy, unhealthy, checks, want] of CASES)
  test(name, () => {
    const tally = new Tally(start);
    const got = [...checks].map((each) =>
      tally.record(each === "+", { healthy, unhealthy }) ? (tally.up ? "U" : "D") : ".",
    );
    expect(got.join("")).toBe(want);
  });

test("any sequence follows the rule", () => {
  const thresholds = fc.integer({ min: 1, max: 5 });
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 60 }), thresholds, thresholds, (checks, healthy, unhealthy) => {
      const tally = new Tally(null);
      let up: boolean | null = null;
      for (let at = 0; at < checks.length; at += 1) {
        // The rule as it is told to users, looked up in the whole history each time.
        const last = (n: number, good: boolean) =>
          at + 1 >= n && checks.slice(at + 1 - n, at + 1).every((c) => c === good);
        const before: boolean | null = up;
        if (up === null && checks[at] === true) up = true;
        else if (up !== true && last(healthy, true)) up = true;
        else if (up !== false && last(unhealthy, false)) up = false;
        expect([tally.record(checks[at]!, { healthy, unhealthy }), tally.up]).toEqual([up !== before, up]);
      }
    }),
  );
});
