import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  ABSENT,
  DELTA_MAX,
  NO_DIRECTIVES,
  PLAIN_REQUEST,
  parseRequestDirectives,
  parseResponseDirectives,
  type RequestDirectives,
  type ResponseDirectives,
} from "./cache-control.ts";

const RESPONSES: readonly (readonly [field: string, want: Partial<ResponseDirectives>])[] = [
  ["", {}],
  [" , ,", {}],
  ["max-age=5", { maxAge: 5 }],
  ["MAX-AGE=5,S-MaxAge=6", { maxAge: 5, sharedMaxAge: 6 }],
  ["max-age=2147483647", { maxAge: 2_147_483_647 }],
  ["max-age=2147483649", { maxAge: DELTA_MAX }],
  ['max-age="5\\0"', { maxAge: 50 }],
  ["max-age=5;x", { maxAge: 0 }],
  ["max-age=5=6", { maxAge: 0 }],
  ["max-age==5", { maxAge: 0 }],
  ["stale-while-revalidate=5, stale-if-error=6", { staleWhileRevalidate: 5, staleIfError: 6 }],
  ["stale-while-revalidate=-5, stale-if-error=x", {}],
  ["no-store,no-cache,private,public", { noStore: true, noCache: true, private: true, public: true }],
  ["must-revalidate, proxy-revalidate", { mustRevalidate: true, proxyRevalidate: true }],
  ["must-understand, no-transform, immutable", { mustUnderstand: true, noTransform: true, immutable: true }],
  ['must-revalidate=1, no-store=""', { mustRevalidate: true, noStore: true }],
  ['public=1, immutable="x"', {}],
  ['private="A, b"', { withheld: ["a", "b"] }],
  ['no-cache="a", private=b', { withheld: ["a", "b"] }],
  ['no-cache=",a,,"', { withheld: ["a"] }],
  ['no-cache=","', { noCache: true }],
  ['no-cache="a b"', { noCache: true }],
  ['no-cache ="a"', { noCache: true }],
  ['no-cache="a', { noCache: true }],
  ['no-cache="a, no-store', { noCache: true, noStore: true }],
  ['a="b\\", max-age=5', { maxAge: 5 }], // never closed: hides nothing
  ['a="b\\", no-store", max-age=5', { maxAge: 5 }],
  ['a b="c, d", max-age=5', { maxAge: 5 }],
  ["=no-store, (no-cache), max-age=5", { maxAge: 5 }],
  ["no-stores, xno-store", {}],
];
for (const [field, want] of RESPONSES)
  test(`response: ${field}`, () => {
    expect(parseResponseDirectives(field)).toEqual({ ...NO_DIRECTIVES, ...want });
  });

const REQUESTS: readonly (readonly [field: string, want: Partial<RequestDirectives>])[] = [
  ["", {}],
  ["no-cache", { noCache: true }],
  ["no-store, only-if-cached", { noStore: true, onlyIfCached: true }],
  ["max-age=5, min-fresh=6, max-stale=7", { maxAge: 5, minFresh: 6, maxStale: 7 }],
  ["max-stale", { maxStale: Number.POSITIVE_INFINITY }],
  ["max-stale=", {}],
  ["max-age=, min-fresh=x", { maxAge: 0 }],
  ["max-age=9, max-age=5", { maxAge: 5 }],
  ["stale-if-error=60", { staleIfError: 60 }],
  ['unknown, x="no-cache"', {}],
];
for (const [field, want] of REQUESTS)
  test(`request: ${field}`, () => {
    expect(parseRequestDirectives(field)).toEqual({ ...PLAIN_REQUEST, ...want });
  });

const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc
    .array(fc.constantFrom("max-age", "no-store", "private", "=", '"', "\\", ",", " ", "a", "5", "-"), {
      maxLength: 12,
    })
    .map((pieces) => pieces.join("")),
);

test("any field gives sane directives, and never an error", () => {
  fc.assert(
    fc.property(text, (field) => {
      const found = parseResponseDirectives(field);
      for (const seconds of [found.maxAge, found.sharedMaxAge, found.staleWhileRevalidate, found.staleIfError])
        expect(seconds === ABSENT || (seconds >= 0 && seconds <= DELTA_MAX && Number.isInteger(seconds))).toBe(true);
      for (const name of found.withheld) expect(name).toMatch(/^[!#$%&'*+\-.^_`|~0-9a-z]+$/);
      const asked = parseRequestDirectives(field);
      expect(asked.maxAge >= 0 && asked.minFresh >= 0 && asked.maxStale >= 0).toBe(true);
    }),
  );
});

test("nothing that comes before it hides a no-store", () => {
  fc.assert(
    fc.property(text, (before) => {
      expect(parseResponseDirectives(`${before}, no-store`).noStore).toBe(true);
    }),
  );
});

test("what is in a closed quoted string means nothing", () => {
  const inner = text.map((written) => written.replace(/[\\"]/g, "\\$&"));
  fc.assert(
    fc.property(inner, (written) => {
      expect(parseResponseDirectives(`x="${written}"`)).toEqual(NO_DIRECTIVES);
      expect(parseResponseDirectives(`x="${written}", max-age=5`)).toEqual({ ...NO_DIRECTIVES, maxAge: 5 });
    }),
  );
});

test("a hostile field costs no more than its length", () => {
  const fields = ['a="'.repeat(30_000), '"\\'.repeat(30_000), 'x"\\",'.repeat(20_000), ",".repeat(90_000)];
  const start = performance.now();
  for (const field of fields) parseResponseDirectives(field);
  expect(performance.now() - start).toBeLessThan(2000); // quadratic, it would be many seconds
});
