// What clients get of a stored answer: conditions, ranges, parts, and stale answers where servers fail.
import { describe, expect, test } from "bun:test";
import type { ByteRange } from "../../http/ranges.ts";
import type { PolicyText } from "./cases.testing.ts";
import { validatorsOf } from "./conditional.ts";
import { block, ModelCache, requestHead, responseHead, START } from "./model.testing.ts";
import { isSameWhole, servingPart, storablePart } from "./partial.ts";
import { DEFAULT_POLICY } from "./policy.ts";
import { mayStandIn, wantsOf } from "./reuse.ts";

const STRONG = 'Cache-Control: max-age=60 | ETag: "a" | Last-Modified: {-3600}';
const WEAK = 'Cache-Control: max-age=60 | ETag: W/"a"';
const BARE = "Cache-Control: max-age=60";

type ServingRow = readonly [method: string, response: string, request: string, want: string, status?: number];
const SERVINGS: readonly ServingRow[] = [
  ["GET", STRONG, "", "full"],
  ["HEAD", STRONG, "", "full"],
  // RFC 9111 §4.3.2
  ["GET", STRONG, 'If-None-Match: "a"', "not-modified"],
  ["HEAD", STRONG, 'If-None-Match: "a"', "not-modified"],
  ["GET", STRONG, 'If-None-Match: W/"a"', "not-modified"],
  ["GET", STRONG, 'If-None-Match: "x", "a", "y"', "not-modified"],
  ["GET", STRONG, 'If-None-Match: "b"', "full"],
  ["GET", STRONG, "If-None-Match: *", "not-modified"],
  ["GET", BARE, "If-None-Match: *", "not-modified"],
  ["GET", WEAK, 'If-None-Match: "a"', "not-modified"],
  ["GET", 'Cache-Control: max-age=60 | ETag: "abc\xfc"', 'If-None-Match: "abc\xfc"', "not-modified"],
  ["GET", "Cache-Control: max-age=60 | ETag: abc", "If-None-Match: abc", "not-modified"],
  ["GET", "Cache-Control: max-age=60 | ETag: abc", 'If-None-Match: "abc"', "full"],
  ["GET", STRONG, "If-Modified-Since: {-3600}", "not-modified"],
  ["GET", STRONG, "If-Modified-Since: {-1}", "not-modified"],
  ["GET", STRONG, "If-Modified-Since: {-3601}", "full"],
  ["GET", STRONG, "If-Modified-Since: foo", "full"],
  ["GET", STRONG, 'If-None-Match: "b" | If-Modified-Since: {-1}', "full"],
  ["GET", STRONG, 'If-None-Match: "a" | If-Modified-Since: {-7200}', "not-modified"],
  ["GET", BARE, "If-Modified-Since: {-3000}", "full"],
  ["GET", BARE, "If-Modified-Since: {0}", "not-modified"], // the Date stands in for Last-Modified
  ["GET", `${BARE} | Date: {-3600}`, "If-Modified-Since: {-3000}", "not-modified"],
  ["GET", STRONG, 'If-None-Match: "a"', "full", 404],
  ["GET", STRONG, "If-Modified-Since: {0}", "full", 301],
  ["GET", STRONG, 'If-Match: "a"', "server"],
  ["GET", STRONG, "If-Unmodified-Since: {0}", "server"],
  // RFC 9110 §14
  ["GET", STRONG, "Range: bytes=0-1", "0-1"],
  ["GET", STRONG, "Range: bytes=1-", "1-99"],
  ["GET", STRONG, "Range: bytes=-1", "99-99"],
  ["GET", STRONG, "Range: bytes=100-", "unsatisfiable"],
  ["GET", STRONG, "Range: bytes=0-1,98-", "0-1,98-99"],
  ["GET", STRONG, "Range: lines=0-1", "full"],
  ["HEAD", STRONG, "Range: bytes=0-1", "full"],
  ["GET", STRONG, "Range: bytes=0-1", "full", 404],
  ["GET", STRONG, 'Range: bytes=0-1 | If-None-Match: "a"', "not-modified"],
  ["GET", STRONG, 'Range: bytes=0-1 | If-None-Match: "b"', "0-1"],
  // RFC 9110 §13.1.5
  ["GET", STRONG, 'Range: bytes=0-1 | If-Range: "a"', "0-1"],
  ["GET", STRONG, 'Range: bytes=0-1 | If-Range: "b"', "full"],
  ["GET", WEAK, 'Range: bytes=0-1 | If-Range: W/"a"', "full"],
  ["GET", STRONG, "Range: bytes=0-1 | If-Range: {-3600}", "0-1"],
  ["GET", STRONG, "Range: bytes=0-1 | If-Range: {-3599}", "full"],
  ["GET", "Cache-Control: max-age=60 | Last-Modified: {0}", "Range: bytes=0-1 | If-Range: {0}", "full"],
  ["GET", BARE, "Range: bytes=0-1 | If-Range: {0}", "full"],
];
describe("serving", () => {
  for (const [method, response, request, want, status] of SERVINGS)
    test(`${method} ${request} of ${status ?? 200} ${response}`, () => {
      const cache = new ModelCache();
      expect(cache.store(requestHead(""), responseHead(response, status), 100)).toBe("stored");
      const answer = cache.serve(requestHead(request, "/", method), 5);
      if (typeof answer === "string") expect(answer).toBe(want as "server");
      else if (answer.kind !== "partial") expect(answer.kind as string).toBe(want);
      else expect(answer.ranges.map(({ first, last }) => `${first}-${last}`).join(",")).toBe(want);
    });

  test("is whole while the length is not known", () => {
    const cache = new ModelCache();
    cache.store(requestHead(""), responseHead(STRONG), -1);
    expect(cache.serve(requestHead("Range: bytes=0-1"), 1)).toEqual({ kind: "full" });
  });
});

const PARTS: readonly (readonly [contentRange: string, body: number, want: string | null, type?: string])[] = [
  ["bytes 0-4/10", 5, "0-4/10"],
  ["bytes 5-9/10", 5, "5-9/10"],
  ["bytes 4-9/10", 5, null], // fewer bytes than it says
  ["bytes 0-4/*", 5, null],
  ["bytes */10", 5, null],
  ["items 0-4/10", 5, null],
  ["bytes 0-4/10 | Content-Range: bytes 0-4/10", 5, null],
  ["bytes 0-4/10", 5, null, "multipart/byteranges; boundary=x"],
];
describe("RFC 9111 §3.3 parts", () => {
  for (const [range, body, want, type] of PARTS)
    test(`${range} with ${body} bytes${type === undefined ? "" : ` of ${type}`}`, () => {
      const head = responseHead(`Content-Range: ${range} | Content-Type: ${type ?? "text/plain"}`, 206);
      head.body = "length";
      head.length = body;
      const part = storablePart(head);
      expect(part === null ? null : `${part.first}-${part.last}/${part.length}`).toBe(want);
    });

  test("only of a 206, and of a body without a length as it says", () => {
    const head = responseHead("Content-Range: bytes 0-4/10", 200);
    expect(storablePart(head)).toBeNull();
    head.status = 206;
    head.body = "chunked";
    expect(storablePart(head)).not.toBeNull();
  });
});

const ranges = (text: string): ByteRange[] =>
  text === ""
    ? []
    : text.split(" ").map((range) => {
        const [first, last] = range.split("-").map(Number);
        return { first: first!, last: last! };
      });
const written = (of: readonly ByteRange[] | null): string | null =>
  of === null ? null : of.map(({ first, last }) => `${first}-${last}`).join(" ");

describe("serving out of parts", () => {
  const CASES: readonly (readonly [parts: string, request: string, want: string | null])[] = [
    ["4-8", "Range: bytes=4-8", "4-8"],
    ["4-8", "Range: bytes=6-7", "6-7"],
    ["4-9", "Range: bytes=-1", "9-9"],
    ["4-9", "Range: bytes=6-", "6-9"],
    ["4-8", "Range: bytes=6-", null],
    ["4-8", "Range: bytes=3-5", null],
    ["4-8", "Range: bytes=0-0,5-6", null],
    ["4-8", "Range: bytes=10-", "unsatisfiable"],
    ["4-8", "", null],
    ["0-9", "", "full"],
    ["4-8", 'Range: bytes=4-5 | If-Range: "b"', null],
    ["4-8", 'Range: bytes=4-5 | If-Range: "a"', "4-5"],
    ["4-8", 'Range: bytes=0-1 | If-None-Match: "a"', "not-modified"],
  ];
  for (const [parts, request, want] of CASES)
    test(`${parts} for ${request || "all"}`, () => {
      const validators = validatorsOf(block(`${STRONG} | Date: {0}`), START);
      const answer = servingPart(block(request), validators, ranges(parts), 10, START);
      expect(answer === null ? null : answer.kind === "partial" ? written(answer.ranges) : answer.kind).toBe(want);
    });
});

describe("RFC 9111 §3.4 combining", () => {
  const SAME: readonly (readonly [stored: string, answer: string, want: boolean])[] = [
    ['ETag: "a"', 'ETag: "a"', true],
    ['ETag: "a"', 'ETag: "b"', false],
    ['ETag: W/"a"', 'ETag: W/"a"', false],
    ["", "", false],
    ["Last-Modified: {-60}", "Last-Modified: {-60}", true],
    ["Last-Modified: {-60}", "Last-Modified: {-61}", false],
    ["Last-Modified: {0}", "Last-Modified: {0}", false], // it may have changed within the second
    ['ETag: "a" | Last-Modified: {-60}', "Last-Modified: {-60}", false],
  ];
  for (const [stored, answer, want] of SAME)
    test(`${stored} and ${answer}`, () => {
      const [one, other] = [stored, answer].map((text) =>
        validatorsOf(block(`${text && `${text} | `}Date: {0}`), START),
      );
      expect(isSameWhole(one!, 10, other!, { first: 5, last: 9, length: 10 })).toBe(want);
      expect(isSameWhole(one!, 11, other!, { first: 5, last: 9, length: 10 })).toBe(false);
    });
});

// RFC 5861 §4 and RFC 9111 §4.2.4: after so many seconds, for an error answer and for none at all.
type StandInRow = readonly [
  response: string,
  seconds: number,
  error: boolean,
  down: boolean,
  request?: string,
  policy?: PolicyText,
];
const STAND_INS: readonly StandInRow[] = [
  ["Cache-Control: max-age=60", 61, false, true],
  ["Cache-Control: max-age=60", 60 + 86_399, false, true],
  ["Cache-Control: max-age=60", 60 + 86_400, false, false],
  ["Cache-Control: max-age=60", 61, false, false, "", { staleIfDown: 0 }],
  ["Cache-Control: max-age=60, stale-if-error=30", 61, true, true],
  ["Cache-Control: max-age=60, stale-if-error=30", 89, true, true],
  ["Cache-Control: max-age=60, stale-if-error=30", 90, false, false],
  ["Cache-Control: max-age=60, stale-if-error=0", 61, false, true],
  ["Cache-Control: max-age=60, must-revalidate", 61, false, false],
  ["Cache-Control: max-age=60, proxy-revalidate", 61, false, false],
  ["Cache-Control: max-age=60, must-revalidate, stale-if-error=30", 61, false, false],
  ['Cache-Control: max-age=60, no-cache | ETag: "a"', 1, false, false],
  ["Cache-Control: s-maxage=60", 61, false, false],
  ["Cache-Control: s-maxage=60, stale-if-error=30", 61, true, true],
  ["Cache-Control: max-age=60", 61, true, true, "", { staleIfError: 30_000 }],
  ["Cache-Control: max-age=60", 91, false, false, "", { staleIfError: 30_000 }],
  ["Cache-Control: max-age=60, must-revalidate", 61, false, false, "", { staleIfError: 30_000, override: true }],
  ["Cache-Control: max-age=60, stale-if-error=5", 70, true, true, "", { staleIfError: 30_000, override: true }],
  ["Cache-Control: max-age=60", 61, true, true, "Cache-Control: stale-if-error=30"],
  ["Cache-Control: max-age=60", 91, false, true, "Cache-Control: stale-if-error=30"],
  ["Cache-Control: max-age=60, must-revalidate", 61, false, false, "Cache-Control: stale-if-error=30"],
  ["Cache-Control: max-age=60", 30, true, true, "Cache-Control: no-cache"],
];
describe("stale answers where servers fail", () => {
  for (const [response, seconds, error, down, request = "", policy = {}] of STAND_INS)
    test(`${response} after ${seconds} ${request} ${JSON.stringify(policy)}`, () => {
      const cache = new ModelCache(policy);
      expect(cache.store(requestHead(""), responseHead(response), 10)).toBe("stored");
      const wants = wantsOf(block(request), DEFAULT_POLICY);
      const { times } = cache.last.admission;
      expect(mayStandIn(times, wants, "error", START + seconds * 1000)).toBe(error);
      expect(mayStandIn(times, wants, "down", START + seconds * 1000)).toBe(down);
    });
});

test("the Age of what is given out", () => {
  const cache = new ModelCache();
  cache.store(requestHead(""), responseHead("Cache-Control: max-age=600 | Age: 30"), 10, 0, 2);
  expect([cache.age(2), cache.age(3.9), cache.age(600), cache.age(-100), cache.age(1e12)]).toEqual([
    32, 33, 630, 0, 2_147_483_648,
  ]);
});
