import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodePercent, encodeComponent, encodeUri, hasDotSegment, normalizePath } from "./path.ts";

const CASES: readonly (readonly [raw: string, want: string | null])[] = [
  ["/", "/"],
  ["/a/b", "/a/b"],
  ["/a/b/", "/a/b/"],
  ["/.well-known/x", "/.well-known/x"],
  ["/a/..b/.c./...", "/a/..b/.c./..."],
  ["/a;v=1/b", "/a;v=1/b"],
  ["/a!$&'()*+,;=:@b", "/a!$&'()*+,;=:@b"],
  // Slashes and dot segments.
  ["//", "/"],
  ["//a///b//", "/a/b/"],
  ["/a/./b", "/a/b"],
  ["/a/.", "/a/"],
  ["/.", "/"],
  ["/a/../b", "/b"],
  ["/a/b/..", "/a/"],
  ["/a/..", "/"],
  ["/a/b/../../c", "/c"],
  // Percent-encoding.
  ["/%41%7e%2D", "/A~-"],
  ["/caf%c3%a9", "/caf%C3%A9"],
  ["/caf\u00c3\u00a9", "/caf%C3%A9"],
  ['/"<>^`{|}', "/%22%3C%3E%5E%60%7B%7C%7D"],
  ["/a%2fb", "/a%2Fb"],
  ["/a%2F%2Fb", "/a%2F%2Fb"],
  ["/file%2Etxt", "/file.txt"],
  ["/%252e%252e/a", "/%252e%252e/a"],
  ["/%25", "/%25"],
  ["/a%20b%3Fc%23d", "/a%20b%3Fc%23d"],
  // Refused.
  ["", null],
  ["a", null],
  ["*", null],
  ["/..", null],
  ["/../a", null],
  ["/a/../..", null],
  ["/a//../b", null],
  ["/a//./../b", null],
  ["//..", null],
  ["/%2e%2e/a", null],
  ["/a/%2E", null],
  ["/a/.%2e/b", null],
  ["/a/..%2fb", null],
  ["/a%2F..%2Fb", null],
  ["/a%2f%2e%2e", null],
  ["/a/..;/b", null],
  ["/a/..;x=y/b", null],
  ["/a/.;", null],
  ["/%00", null],
  ["/a%0d%0ab", null],
  ["/%7F", null],
  ["/%5c", null],
  ["/a\\b", null],
  ["/a b", null],
  ["/a\tb", null],
  ["/a#b", null],
  ["/a?b", null],
  ["/%", null],
  ["/%4", null],
  ["/%4g", null],
  ["/%\u0141\u0141", null],
  ["/\u0141", null],
];

for (const [raw, want] of CASES) test(`${JSON.stringify(raw)} is ${want}`, () => expect(normalizePath(raw)).toBe(want));

describe("properties", () => {
  const piece = fc.constantFrom(
    "/",
    "/",
    "a",
    "B",
    ".",
    "..",
    "%2e",
    "%2F",
    "%41",
    "%c3%a9",
    "%00",
    "%5C",
    "%25",
    ";",
    "%",
    "\\",
    "~",
    "{",
    "é",
  );
  const path = fc.oneof(
    fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join("")}`),
    fc.webUrl({ withQueryParameters: false }).map((url) => new URL(url).pathname),
  );

  test("normalising twice changes nothing, and nothing ambiguous is left", () => {
    fc.assert(
      fc.property(path, (raw) => {
        const once = normalizePath(raw);
        if (once === null) return;
        expect(normalizePath(once)).toBe(once);
        expect(once).not.toMatch(/\/\/|\/\.{1,2}(\/|$)|\\|%5C|%[01]|%7F|%2E|[^\x21-\x7e]/);
        expect(once).toMatch(/^\//);
      }),
      { numRuns: 2000 },
    );
  });

  test("agrees with the URL parser about dot segments where both accept the path", () => {
    const plain = fc
      .array(fc.constantFrom("/", "a", "b", ".", ".."), { maxLength: 10 })
      .map((pieces) => `/${pieces.join("")}`);
    fc.assert(
      fc.property(plain, (raw) => {
        const ours = normalizePath(raw);
        if (ours !== null && !raw.includes("//")) expect(new URL(`http://h${raw}`).pathname).toBe(ours);
      }),
    );
  });

  test("encoded components decode to what they were", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const text = Buffer.from(bytes).toString("latin1");
        expect(decodePercent(encodeComponent(text))).toBe(text);
        expect(encodeComponent(text)).toMatch(/^[A-Za-z0-9\-._~%]*$/);
        expect(encodeUri(text)).toMatch(/^[\x21-\x7e]*$/);
      }),
    );
  });
});

test("dot segments are found as segments only", () => {
  expect(hasDotSegment("/a/../b")).toBe(true);
  expect(hasDotSegment("/a/.")).toBe(true);
  expect(hasDotSegment("/a/.b/c..")).toBe(false);
});

test("invalid percent-encoding stays when decoding", () => expect(decodePercent("a%2Gb%4%41%")).toBe("a%2Gb%4A%"));
