// Whatever text comes from clients and servers, each reader gives a sane value and never an error.
import { expect, test } from "bun:test";
import fc from "fast-check";
import { contentRange, parseContentRange } from "../../http/ranges.ts";
import { initialAge, parseAge } from "./age.ts";
import { invalidated } from "./invalidation.ts";
import { block, requestHead } from "./model.testing.ts";
import { acceptedCoding, normalEncodings, normalLanguages, preferredLanguage } from "./negotiation.ts";
import { searchKey, searchRule } from "./no-vary-search.ts";
import { parseTargeted } from "./targeted.ts";

/** Field values, often of pieces that mean something. */
const textOf = (...pieces: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof(
    fc.stringMatching(/^[\t -~\x80-\xff]{0,30}$/),
    fc
      .array(fc.constantFrom(...pieces, ",", ";", "=", " ", '"', "\\", "*"), { maxLength: 12 })
      .map((all) => all.join("")),
  );

test("Age", () => {
  const cases: readonly (readonly [field: string | null, want: number])[] = [
    [null, 0],
    ["", 0],
    ["0", 0],
    ["12", 12],
    ["0012", 12],
    ["12 , 5", 12],
    [",12", 0],
    [" 12", 0], // never with the space: fields are trimmed
    ["+12", 0],
    ["1e3", 0],
    ["4294967296", 2_147_483_648],
  ];
  for (const [field, want] of cases) expect(parseAge(field)).toBe(want);
  fc.assert(
    fc.property(textOf("1", "2147483648", "-", "."), (field) => {
      const age = parseAge(field);
      expect(Number.isInteger(age) && age >= 0 && age <= 2_147_483_648).toBe(true);
    }),
  );
});

test("RFC 9111 §4.2.3: an answer is never younger than what is known of it", () => {
  const time = fc.integer({ min: 0, max: 4e12 });
  fc.assert(
    fc.property(
      fc.nat(10_000),
      fc.oneof(time, fc.constant(Number.NaN)),
      time,
      fc.nat(60_000),
      (age, date, sent, took) => {
        const came = sent + took;
        const initial = initialAge(age, date, sent, came);
        expect(initial).toBeGreaterThanOrEqual(age * 1000 + took);
        if (!Number.isNaN(date)) expect(initial).toBeGreaterThan(came - date - 1000);
      },
    ),
  );
});

test("Accept-Encoding and Accept-Language", () => {
  fc.assert(
    fc.property(textOf("gzip", "br", "q=", "0.5", "1", "0", "de", "en-US", "identity"), (field) => {
      // The second time from what was kept.
      for (const normal of [normalEncodings, normalLanguages]) expect(normal(field)).toBe(normal(field));
      expect(preferredLanguage(field)).not.toContain(",");
      expect(acceptedCoding(field, "gzip")).toBeBoolean();
    }),
  );
});

test("clients that say ever new things cost no memory for good", () => {
  for (let at = 0; at < 5000; at += 1) expect(normalEncodings(`c${at}, gzip`)).toBe(`c${at},gzip`);
  expect(normalEncodings(`${"a".repeat(500)}, gzip`)).toBe(`${"a".repeat(500)},gzip`);
});

test("targeted fields and No-Vary-Search", () => {
  const pieces = textOf("max-age", "no-store", "private", "5", "(", ")", "params", "except", "key-order", "?1", '"a"');
  fc.assert(
    fc.property(pieces, fc.stringMatching(/^[!-~]{0,30}$/), (field, query) => {
      expect(parseTargeted(field)?.maxAge ?? 0).toBeGreaterThanOrEqual(-1);
      const rule = searchRule(block(`No-Vary-Search: ${field.trim()}`));
      // What a query is found under leads to the same again.
      if (rule !== null) expect(searchKey(rule, searchKey(rule, query))).toBe(searchKey(rule, query));
    }),
  );
});

test("Location and Content-Location", () => {
  fc.assert(
    fc.property(textOf("/", "//", "..", "%2f", "?", "#", ":", "http", "example.com", "@", "["), (reference) => {
      const request = requestHead("", "/a/b?c", "POST");
      const targets = invalidated("https", request, 201, block(`Location: ${reference.trim()}`));
      expect(targets[0]).toBe("/a/b?c");
      for (const target of targets) expect(target).toMatch(/^\/[!-~]*$/);
    }),
  );
});

test("Content-Range", () => {
  fc.assert(
    fc.property(
      textOf("bytes ", "0-5", "/10", "/*", "7"),
      fc.nat(50),
      fc.nat(50),
      fc.nat(50),
      (field, first, more, rest) => {
        const range = { first, last: first + more };
        const length = range.last + 1 + rest;
        expect(parseContentRange(contentRange(range, length))).toEqual({ ...range, length });
        const found = parseContentRange(field);
        if (found !== null)
          expect(found.first <= found.last && (found.length < 0 || found.last < found.length)).toBe(true);
      },
    ),
  );
});
