import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { layoutByteranges } from "./byteranges.ts";
import {
  type ByteRange,
  contentRange,
  parseContentRange,
  parseRanges,
  requestedRanges,
  unsatisfiedRange,
} from "./ranges.ts";

const CASES: readonly (readonly [field: string, length: number, want: string])[] = [
  // RFC 9110 §14.1.2
  ["bytes=0-499", 10_000, "0-499"],
  ["bytes=500-999", 10_000, "500-999"],
  ["bytes=-500", 10_000, "9500-9999"],
  ["bytes=9500-", 10_000, "9500-9999"],
  ["bytes=0-0,-1", 10_000, "0-0 9999-9999"],
  ["bytes= 0-999, 4500-5499, -1000", 10_000, "0-999 4500-5499 9000-9999"],
  ["bytes=500-600,601-999", 10_000, "500-999"],
  ["bytes=500-700,601-999", 10_000, "500-999"],
  // the end of the representation
  ["bytes=0-", 10, "0-9"],
  ["bytes=0-9", 10, "0-9"],
  ["bytes=0-10", 10, "0-9"],
  ["bytes=9-", 10, "9-9"],
  ["bytes=10-", 10, "unsatisfiable"],
  ["bytes=10-20", 10, "unsatisfiable"],
  ["bytes=-10", 10, "0-9"],
  ["bytes=-11", 10, "0-9"],
  ["bytes=-0", 10, "unsatisfiable"],
  ["bytes=-0, 3-4", 10, "3-4"],
  ["bytes=20-, 3-4", 10, "3-4"],
  ["bytes=20-30, 40-", 10, "unsatisfiable"],
  ["bytes=0-18446744073709551616", 10, "0-9"],
  ["bytes=18446744073709551616-", 10, "unsatisfiable"],
  [`bytes=-${"9".repeat(400)}`, 10, "0-9"],
  // nothing there
  ["bytes=0-", 0, "unsatisfiable"],
  ["bytes=-1", 0, "whole"],
  ["bytes=-0", 0, "unsatisfiable"],
  // the grammar
  ["Bytes=1-2", 10, "1-2"],
  ["BYTES=1-2", 10, "1-2"],
  ["bytes=,1-2,", 10, "1-2"],
  ["bytes=1-2 , 	,4-4", 10, "1-4"],
  ["bytes=", 10, "whole"],
  ["bytes=,", 10, "whole"],
  ["bytes", 10, "whole"],
  ["", 10, "whole"],
  ["bytes 1-2", 10, "whole"],
  ["bytes =1-2", 10, "whole"],
  [" bytes=1-2", 10, "whole"],
  ["bytes=-", 10, "whole"],
  ["bytes=--1", 10, "whole"],
  ["bytes=1", 10, "whole"],
  ["bytes=2-1", 10, "whole"],
  ["bytes=0-1, 2-1", 10, "whole"],
  ["bytes=1 -2", 10, "whole"],
  ["bytes=1- 2", 10, "whole"],
  ["bytes=1-2 3-4", 10, "whole"],
  ["bytes=1-2;3-4", 10, "whole"],
  ["bytes=+1-2", 10, "whole"],
  ["bytes=0x1-2", 10, "whole"],
  ["bytes=1-2x", 10, "whole"],
  ["bytes=1.0-2", 10, "whole"],
  ["items=0-1", 10, "whole"],
  ["bytes=0-1, items=2-3", 10, "whole"],
  // several: in the order of asking, near ones joined where the earliest stands
  ["bytes=5000-5001, 0-1", 10_000, "5000-5001 0-1"],
  ["bytes=0-9,90-99", 10_000, "0-9 90-99"],
  ["bytes=0-9,89-99", 10_000, "0-99"],
  ["bytes=500-509,0-9,250-259", 10_000, "500-509 0-9 250-259"],
  ["bytes=500-509,0-9,450-460", 10_000, "450-509 0-9"],
  ["bytes=0-9,500-509,1000-1009,510-999", 10_000, "0-9 500-1009"],
  ["bytes=1000-1009,0-9,500-509,10-499", 10_000, "1000-1009 0-509"],
  ["bytes=0-,0-,0-", 10_000, "0-9999"],
  [`bytes=${Array.from({ length: 16 }, (_, n) => `${n * 100}-${n * 100}`).join(",")}`, 1501, "16"],
  [`bytes=${Array.from({ length: 17 }, (_, n) => `${n * 100}-${n * 100}`).join(",")}`, 5000, "whole"],
  [`bytes=${"0-,".repeat(17)}`, 5000, "whole"],
  [`bytes=0-1${",".repeat(1024)}`, 5000, "whole"],
];
for (const [field, length, want] of CASES)
  test(`ranges: ${field.slice(0, 60)} of ${length}`, () => {
    const outcome = requestedRanges(field, length);
    if (outcome.kind !== "partial") expect(outcome.kind as string).toBe(want);
    else if (want === "16") expect(outcome.ranges.length).toBe(16);
    else expect(outcome.ranges.map(({ first, last }) => `${first}-${last}`).join(" ")).toBe(want);
  });

test("whatever is asked for, the ranges lie within, apart, and hold all that was asked for", () => {
  const position = fc.oneof(fc.nat(30), fc.nat(2000));
  const member = fc.oneof(
    fc.tuple(position, position).map(([first, more]) => `${first}-${first + more}`),
    position.map((first) => `${first}-`),
    position.map((last) => `-${last}`),
  );
  fc.assert(
    fc.property(
      fc.array(member, { minLength: 1, maxLength: 16 }),
      fc.integer({ min: 1, max: 1500 }),
      (members, length) => {
        const outcome = requestedRanges(`bytes=${members.join(", ")}`, length);
        const wanted = parseRanges(`bytes=${members.join(",")}`)!;
        const asked = (byte: number): boolean =>
          wanted.some(({ first, last }) => (first < 0 ? byte >= length - last : byte >= first && byte <= last));
        const bytes = Array.from({ length }, (_, byte) => byte);
        if (outcome.kind !== "partial") {
          expect(outcome.kind).toBe("unsatisfiable");
          expect(bytes.some(asked)).toBe(false);
          return;
        }
        const has = (byte: number): boolean => outcome.ranges.some(({ first, last }) => byte >= first && byte <= last);
        expect(bytes.filter(asked).every(has)).toBe(true);
        const sorted = [...outcome.ranges].sort((a, b) => a.first - b.first);
        sorted.forEach((range, at) => {
          expect(range.first >= 0 && range.first <= range.last && range.last < length).toBe(true);
          if (at > 0) expect(range.first - sorted[at - 1]!.last).toBeGreaterThan(80);
        });
      },
    ),
  );
});

test("any text is understood or ignored, and never an error", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[bytes=0-9, -]*$/), fc.nat(100), (text, length) => {
      for (const field of [text, `bytes=${text}`]) expect(requestedRanges(field, length).kind).toBeString();
    }),
  );
});

describe("Content-Range", () => {
  const GOOD: readonly (readonly [string, ByteRange, number])[] = [
    ["bytes 0-0/1", { first: 0, last: 0 }, 1],
    ["bytes 42-1233/1234", { first: 42, last: 1233 }, 1234],
    ["bytes 42-1233/*", { first: 42, last: 1233 }, -1],
  ];
  for (const [text, range, length] of GOOD)
    test(text, () => {
      expect(parseContentRange(text)).toEqual({ ...range, length });
      expect(contentRange(range, length)).toBe(text);
    });
  const BAD = [
    "",
    "bytes",
    "bytes */1234",
    "bytes 0-0",
    "bytes 0-0/",
    "bytes 0-/10",
    "bytes -5/10",
    "bytes 5-4/10",
    "bytes 0-10/10",
    "bytes=0-1/10",
    "bytes  0-1/10",
    "bytes 0-1/10 ",
    "bytes 0-1/1x",
    "bytes 0 - 1/10",
    "bytes 0-1/10, bytes 2-3/10",
    "items 0-1/10",
    "bytes 0-18446744073709551616/*",
    "bytes 0-1/18446744073709551616",
  ];
  for (const text of BAD) test(`not ${JSON.stringify(text)}`, () => expect(parseContentRange(text)).toBeNull());
  test("of a 416", () => expect(unsatisfiedRange(10)).toBe("bytes */10"));
});

describe("multipart/byteranges", () => {
  const body = Buffer.from("abcdefghijklmnopqrstuvwxyz");
  const join = (ranges: readonly ByteRange[], type: string | null): { text: string; length: number; type: string } => {
    const { heads, close, length, contentType } = layoutByteranges(ranges, body.length, type, "B0undary");
    const parts = ranges.flatMap(({ first, last }, at) => [heads[at]!, body.subarray(first, last + 1)]);
    return { text: Buffer.concat([...parts, close]).toString(), length, type: contentType };
  };

  test("has the parts with their fields", () => {
    const ranges = [
      { first: 0, last: 2 },
      { first: 25, last: 25 },
    ];
    const { text, length, type } = join(ranges, "text/plain");
    expect(type).toBe("multipart/byteranges; boundary=B0undary");
    expect(text).toBe(
      [
        "--B0undary",
        "Content-Type: text/plain",
        "Content-Range: bytes 0-2/26",
        "",
        "abc",
        "--B0undary",
        "Content-Type: text/plain",
        "Content-Range: bytes 25-25/26",
        "",
        "z",
        "--B0undary--",
        "",
      ].join("\r\n"),
    );
    expect(length).toBe(text.length);
  });

  test("goes without a type", () => {
    const { text, length } = join([{ first: 1, last: 1 }], null);
    expect(text).toBe("--B0undary\r\nContent-Range: bytes 1-1/26\r\n\r\nb\r\n--B0undary--\r\n");
    expect(length).toBe(text.length);
  });
});
