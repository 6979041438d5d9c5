import { expect, test } from "bun:test";
import fc from "fast-check";
import { FilterParser } from "ldapts";
import { escapeValue } from "./escape.ts";

const CASES: readonly (readonly [value: string, want: string])[] = [
  ["ann", "ann"],
  ["*", "\\2a"],
  ["a)(uid=*", "a\\29\\28uid\\3d\\2a"],
  ["\\", "\\5c"],
  ["a,ou=x", "a\\2cou\\3dx"],
  [" #a", "\\20\\23a"],
  ["\0", "\\00"],
  ["jörg", "jörg"],
];
for (const [value, want] of CASES) test(JSON.stringify(value), () => expect(escapeValue(value)).toBe(want));

test("whatever stands in a filter is one value of it", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "grapheme", minLength: 1 }).filter((text) => text.trim() === text),
      (value) => {
        const filter = FilterParser.parseString(`(uid=${escapeValue(value)})`);
        expect(filter).toMatchObject({ attribute: "uid", value: Buffer.from(value).toString() });
      },
    ),
  );
});
