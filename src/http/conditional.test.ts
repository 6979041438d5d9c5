import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  evaluatePreconditions,
  hasStrongDate,
  isEntityTag,
  isNotModified,
  isStrongTag,
  listsTag,
  rangeApplies,
  type Validators,
  type Verdict,
} from "./conditional.ts";
import { HeaderBlock } from "./header-block.ts";
import { formatHttpDate, NO_DATE } from "./http-date.ts";

const NOW = Date.UTC(2026, 10, 23, 12);
const MODIFIED = NOW - 3_600_000;
const date = (seconds: number): string => formatHttpDate(MODIFIED + seconds * 1000);
const block = (fields: Readonly<Record<string, string>>): HeaderBlock => HeaderBlock.of(Object.entries(fields));

const STRONG: Validators = { etag: '"a"', lastModified: MODIFIED, date: NOW };
const WEAK: Validators = { etag: 'W/"a"', lastModified: MODIFIED, date: NOW };
const NONE: Validators = { etag: null, lastModified: NO_DATE, date: NOW };
const FRESHLY_MADE: Validators = { etag: null, lastModified: NOW, date: NOW };

type Row = readonly [method: string, fields: Readonly<Record<string, string>>, validators: Validators, want: Verdict];
const PRECONDITIONS: readonly Row[] = [
  ["GET", {}, STRONG, "go"],
  // §13.1.1 If-Match: strong comparison
  ["GET", { "If-Match": '"a"' }, STRONG, "go"],
  ["GET", { "If-Match": '"b"' }, STRONG, "failed"],
  ["PUT", { "If-Match": '"b", "a"' }, STRONG, "go"],
  ["GET", { "If-Match": 'W/"a"' }, STRONG, "failed"],
  ["GET", { "If-Match": '"a"' }, WEAK, "failed"],
  ["GET", { "If-Match": 'W/"a"' }, WEAK, "failed"],
  ["GET", { "If-Match": "*" }, NONE, "go"],
  ["GET", { "If-Match": '"a"' }, NONE, "failed"],
  // §13.1.4 If-Unmodified-Since, only without If-Match
  ["GET", { "If-Unmodified-Since": date(0) }, STRONG, "go"],
  ["GET", { "If-Unmodified-Since": date(1) }, STRONG, "go"],
  ["GET", { "If-Unmodified-Since": date(-1) }, STRONG, "failed"],
  ["GET", { "If-Unmodified-Since": "yesterday" }, STRONG, "go"],
  ["GET", { "If-Unmodified-Since": date(-1) }, NONE, "go"],
  ["GET", { "If-Match": '"a"', "If-Unmodified-Since": date(-1) }, STRONG, "go"],
  // §13.1.2 If-None-Match: weak comparison
  ["GET", { "If-None-Match": '"a"' }, STRONG, "not-modified"],
  ["HEAD", { "If-None-Match": '"a"' }, STRONG, "not-modified"],
  ["PUT", { "If-None-Match": '"a"' }, STRONG, "failed"],
  ["GET", { "If-None-Match": '"b"' }, STRONG, "go"],
  ["PUT", { "If-None-Match": '"b"' }, STRONG, "go"],
  ["GET", { "If-None-Match": 'W/"a"' }, STRONG, "not-modified"],
  ["GET", { "If-None-Match": '"a"' }, WEAK, "not-modified"],
  ["GET", { "If-None-Match": 'W/"a"' }, WEAK, "not-modified"],
  ["GET", { "If-None-Match": "*" }, STRONG, "not-modified"],
  ["PUT", { "If-None-Match": "*" }, STRONG, "failed"],
  ["GET", { "If-None-Match": '"a"' }, NONE, "go"],
  // §13.1.3 If-Modified-Since, only without If-None-Match and only for GET and HEAD
  ["GET", { "If-Modified-Since": date(0) }, STRONG, "not-modified"],
  ["HEAD", { "If-Modified-Since": date(5) }, STRONG, "not-modified"],
  ["GET", { "If-Modified-Since": date(-1) }, STRONG, "go"],
  ["PUT", { "If-Modified-Since": date(0) }, STRONG, "go"],
  ["GET", { "If-Modified-Since": "0" }, STRONG, "go"],
  ["GET", { "If-Modified-Since": `${date(0)}, ${date(0)}` }, STRONG, "go"],
  ["GET", { "If-Modified-Since": date(0) }, NONE, "go"],
  ["GET", { "If-None-Match": '"b"', "If-Modified-Since": date(0) }, STRONG, "go"],
  ["GET", { "If-None-Match": '"a"', "If-Modified-Since": date(-1) }, STRONG, "not-modified"],
  // §13.2.2 what fails first counts
  ["GET", { "If-Match": '"b"', "If-None-Match": '"a"' }, STRONG, "failed"],
  ["GET", { "If-Match": '"a"', "If-None-Match": '"a"' }, STRONG, "not-modified"],
  ["GET", { "If-Unmodified-Since": date(-1), "If-Modified-Since": date(0) }, STRONG, "failed"],
];
for (const [method, fields, validators, want] of PRECONDITIONS)
  test(`preconditions: ${method} ${JSON.stringify(fields)} of ${validators.etag}`, () => {
    const request = block(fields);
    expect(evaluatePreconditions(method, request, validators, NOW)).toBe(want);
    const onlyThese = !("If-Match" in fields || "If-Unmodified-Since" in fields);
    if (onlyThese && method !== "PUT") expect(isNotModified(request, validators, NOW)).toBe(want === "not-modified");
  });

const IF_RANGE: readonly (readonly [value: string | null, validators: Validators, want: boolean])[] = [
  [null, NONE, true],
  ['"a"', STRONG, true],
  ['"b"', STRONG, false],
  ['W/"a"', STRONG, false],
  ['W/"a"', WEAK, false],
  ['"a"', WEAK, false],
  ['"a"', NONE, false],
  ['"a", "b"', STRONG, false],
  ["*", STRONG, false],
  ["a", { ...STRONG, etag: "a" }, false],
  ["", STRONG, false],
  [date(0), STRONG, true],
  [date(1), STRONG, false],
  [date(-1), STRONG, false],
  [date(0), NONE, false],
  [formatHttpDate(NOW), FRESHLY_MADE, false],
  [date(0), { ...STRONG, date: NO_DATE }, false],
];
for (const [value, validators, want] of IF_RANGE)
  test(`If-Range: ${value} of ${validators.etag}`, () => {
    const request = block(value === null ? {} : { "If-Range": value });
    expect(rangeApplies(request, validators, NOW)).toBe(want);
  });

const LISTS: readonly (readonly [field: string, etag: string | null, weak: boolean, strong: boolean])[] = [
  ['"a"', '"a"', true, true],
  ['"a" , "b"', '"b"', true, true],
  [',, "b",\t"a" ,', '"a"', true, true],
  ['"a","b","c"', '"c"', true, true],
  ['"a,b"', '"a,b"', true, true],
  ['"a,b"', '"a"', false, false],
  ['"x", "a,b", "y"', '"a,b"', true, true],
  ['"x,"a","', '"a"', false, false],
  ['""', '""', true, true],
  ['"ab"', '"a"', false, false],
  ['"a"', '"ab"', false, false],
  ['"A"', '"a"', false, false],
  ['W/"x", W/"a"', '"a"', true, false],
  ['"\xfc"', '"\xfc"', true, true],
  ["", '"a"', false, false],
  ["*", null, true, true],
  ["*, *", '"a"', false, false],
  // no entity tags: only ever the same as the same bytes
  ["a", '"a"', false, false],
  ['"a"', "a", false, false],
  ["a", "a", true, false],
  ["b, a", "a", true, false],
  ['w/"a"', 'w/"a"', true, false],
  ['w/"a"', '"a"', false, false],
  ['W"a"', 'W"a"', true, false],
  ['W\\"a"', 'W\\"a"', true, false],
  ['"a"b', '"a"', false, false],
  ['"a"b, "a"', '"a"', true, true],
  ['"a', '"a"', false, false],
  ['"a', '"a', true, false],
  ['"a b"', '"a b"', true, false],
];
for (const [field, etag, weak, strong] of LISTS)
  test(`tags: ${field} and ${etag}`, () => {
    expect(listsTag(field, etag, false)).toBe(weak);
    expect(listsTag(field, etag, true)).toBe(strong);
  });

test("entity tags", () => {
  for (const tag of ['"a"', '""', 'W/"a"', '"\xff!"']) expect(isEntityTag(tag)).toBe(true);
  for (const text of ["", '"', "a", 'w/"a"', "W/a", "W/", '"a"b', '"a b"', '"a\x7f"', '"a", "b"', "*"])
    expect(isEntityTag(text)).toBe(false);
  expect([isStrongTag('"a"'), isStrongTag('W/"a"'), isStrongTag("a")]).toEqual([true, false, false]);
});

test("a modification time is strong a second later", () => {
  expect(hasStrongDate({ etag: null, lastModified: 1000, date: 2000 })).toBe(true);
  expect(hasStrongDate({ etag: null, lastModified: 1000, date: 1999 })).toBe(false);
});

test("a tag is found in any list that holds it, and in no other", () => {
  const opaque = fc.stringMatching(/^[!#-~]{0,6}$/);
  const tag = fc.tuple(fc.boolean(), opaque).map(([weak, text]) => `${weak ? "W/" : ""}"${text}"`);
  const gap = fc.constantFrom(",", ", ", " ,", "\t,  ", ",,");
  fc.assert(
    fc.property(fc.array(fc.tuple(tag, gap), { maxLength: 8 }), tag, (members, wanted) => {
      const field = members.map(([member, between]) => member + between).join("");
      const bare = (text: string): string => text.slice(text.indexOf('"'));
      expect(listsTag(field, wanted, false)).toBe(members.some(([member]) => bare(member) === bare(wanted)));
      const isStrong = wanted.startsWith('"');
      expect(listsTag(field, wanted, true)).toBe(isStrong && members.some(([member]) => member === wanted));
    }),
  );
});

test("a hostile list costs no more than its length", () => {
  const fields = [
    '"'.repeat(300_000),
    '"x y,'.repeat(60_000),
    ", ".repeat(150_000),
    '"a,'.repeat(100_000),
    "W/".repeat(150_000),
  ];
  const start = performance.now();
  for (const field of fields) listsTag(field, '"z"', false);
  expect(performance.now() - start).toBeLessThan(2000); // quadratic, it would be minutes
});
