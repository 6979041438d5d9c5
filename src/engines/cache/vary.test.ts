import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { block } from "./model.testing.ts";
import { acceptedCoding, normalEncodings, normalLanguages, preferredLanguage } from "./negotiation.ts";
import { NO_VARY, normalValue, selectVariant, type Variant, variantKey, variantOf, varyRule } from "./vary.ts";

const RULES: readonly (readonly [response: string, want: readonly string[] | null])[] = [
  ["", []],
  ["Vary: Accept", ["accept"]],
  ["Vary: b, A , b", ["a", "b"]],
  ["Vary: a | Vary: B", ["a", "b"]],
  ["Vary: ,a,,", ["a"]],
  ["Vary: a b", null],
  ["Vary: *", null],
  ["Vary: a, Cookie", null],
  ["Vary: X-Keyed", []],
  ["Vary: X-Keyed, a", ["a"]],
];
for (const [response, want] of RULES)
  test(`rule: ${response}`, () => {
    expect(varyRule(block(response), ["x-keyed"])?.names ?? null).toEqual(want === null ? null : [...want]);
  });

test("an answer without Vary shares one rule", () => {
  expect(varyRule(block(""), [])).toBe(NO_VARY);
  expect(varyRule(block("Vary: , ,"), [])).toBe(NO_VARY);
});

describe("values of other fields", () => {
  const CASES: readonly (readonly [value: string, want: string])[] = [
    ["", ""],
    ["a", "a"],
    ["a, b", "a,b"],
    ["a ,\t b,c", "a,b,c"],
    ["a  b", "a b"],
    ["a\tb", "a b"],
    [", a,", ",a,"],
    ['"a,  b" , c', '"a,  b",c'],
    ['"a\\" , b"', '"a\\" , b"'],
    ['"a\\', '"a\\'],
    ["Mozilla/5.0 (X11; Linux)", "Mozilla/5.0 (X11; Linux)"],
  ];
  for (const [value, want] of CASES)
    test(JSON.stringify(value), () => expect(normalValue("foo", block(`Foo: ${value}`))).toBe(want));

  test("no value can look like two, or like none", () => {
    const rule = varyRule(block("Vary: a, b"), [])!;
    const keys = ["", "A:", "A: 1 | B: 2", "A: 12", "A: 1", "B: 1", "A: 1 | B:", "A: | B: 1"].map((fields) =>
      variantKey(rule, block(fields)),
    );
    expect(new Set(keys).size).toBe(keys.length);
  });
});

const ENCODINGS: readonly (readonly [field: string, want: string])[] = [
  ["", ""],
  ["gzip", "gzip"],
  ["gzip, deflate, br, zstd", "br,gzip,zstd"],
  ["zstd;q=1, br;q=0.9, gzip;q=0.9", "zstd>br,gzip"],
  ["gzip;q=0.5", "gzip"],
  ["gzip;q=0.001, br;q=0.002", "br>gzip"],
  ["gzip; q=0.5 , br ;q=1", "br>gzip"],
  ["x-gzip, gzip", "gzip"],
  ["deflate, compress", ""],
  ["identity", ""],
  ["gzip, identity", "gzip,identity"],
  ["identity, gzip;q=0.5", "identity>gzip"],
  ["identity;q=0", "!identity"],
  ["gzip, identity;q=0", "gzip>!identity"],
  ["br;q=0", ""],
  ["*", "*"],
  ["gzip, *;q=0.1", "gzip>*"],
  ["*, br;q=0", "*>!br"],
  ["dcb, gzip", "dcb,gzip"],
  ["gzip, gzip;q=0", "gzip"],
  ["gzip;q=1.1", "gzip;q=1.1"],
  ["gzip;level=5", "gzip;level=5"],
  ["gzip;q=0.1234", "gzip;q=0.1234"],
  ["gzip;q=.5", "gzip;q=.5"],
  ["gzip;q=", "gzip;q="],
];
for (const [field, want] of ENCODINGS) test(`encodings: ${field}`, () => expect(normalEncodings(field)).toBe(want));

test("a list that is far too long is compared as it stands", () => {
  const field = Array.from({ length: 40 }, (_, at) => `c${at}`).join(", ");
  expect(normalEncodings(field)).toBe(field);
});

const LANGUAGES: readonly (readonly [field: string, normal: string, preferred: string])[] = [
  ["en", "en", "en"],
  ["de, en", "de,en", ""],
  ["EN-us,en;q=0.9,de;q=0.8", "en-us>en>de", "en-us"],
  ["en;q=0.8, de;q=0.8, fr;q=0.9", "fr>de,en", "fr"],
  ["en, *;q=0.1", "en>*", "en"],
  ["*", "*", ""],
  ["de;q=0", "!de", ""],
  ["de;q=0.000", "!de", ""],
  ["", "", ""],
  ["de;q=x", "de;q=x", ""],
];
for (const [field, normal, preferred] of LANGUAGES)
  test(`languages: ${field}`, () => {
    expect(normalLanguages(field)).toBe(normal);
    expect(preferredLanguage(field)).toBe(preferred);
  });

const ACCEPTED: readonly (readonly [field: string | null, encoding: string, want: boolean])[] = [
  [null, "gzip", true],
  ["gzip", "gzip", true],
  ["gzip", "x-gzip", true],
  ["x-gzip", "gzip", true],
  ["gzip", "br", false],
  ["", "br", false],
  ["*", "br", true],
  ["*;q=0", "br", false],
  ["br;q=0, *", "br", false],
  ["gzip, br", "gzip, br", true],
  ["gzip", "gzip, br", false],
  ["gzip", "identity", true],
  ["broken;;", "br", true],
];
for (const [field, encoding, want] of ACCEPTED)
  test(`coding: ${encoding} for ${field}`, () => expect(acceptedCoding(field, encoding)).toBe(want));

describe("selection", () => {
  const stored = (request: string, response: string): Variant => {
    const rule = varyRule(block(response), [])!;
    return variantOf(rule, block(request), block(response));
  };

  test("takes the last of those that match", () => {
    const variants = [stored("", ""), stored("Foo: 1", "Vary: Foo"), stored("Foo: 2", "Vary: Foo"), stored("", "")];
    expect(selectVariant(variants, block("Foo: 1"))).toBe(3);
    expect(selectVariant(variants.slice(0, 3), block("Foo: 1"))).toBe(1);
    expect(selectVariant(variants.slice(0, 3), block("Foo: 3"))).toBe(0);
    expect(selectVariant(variants.slice(1, 3), block("Foo: 3"))).toBe(-1);
    expect(selectVariant([], block(""))).toBe(-1);
  });

  test("goes by the rule of each", () => {
    const variants = [stored("Foo: 1 | Bar: 1", "Vary: Foo"), stored("Foo: 2 | Bar: 2", "Vary: Bar")];
    expect(selectVariant(variants, block("Foo: 1 | Bar: 3"))).toBe(0);
    expect(selectVariant(variants, block("Foo: 1 | Bar: 2"))).toBe(1);
    expect(selectVariant(variants, block("Foo: 2 | Bar: 1"))).toBe(-1);
  });

  test("gives nobody a coding that it cannot read", () => {
    const variants = [
      stored("Accept-Encoding: gzip", "Vary: Accept-Encoding"),
      stored("Accept-Encoding: gzip, deflate", "Vary: Accept-Encoding | Content-Encoding: deflate"),
    ];
    expect(selectVariant(variants, block("Accept-Encoding: gzip, deflate"))).toBe(1);
    expect(selectVariant(variants, block("Accept-Encoding: gzip"))).toBe(0);
    const forgetful = [stored("Accept-Encoding: br", "Content-Encoding: br")];
    expect(selectVariant(forgetful, block("Accept-Encoding: br, gzip"))).toBe(0);
    expect(selectVariant(forgetful, block("Accept-Encoding: gzip"))).toBe(-1);
    expect(selectVariant(forgetful, block(""))).toBe(0); // RFC 9110 §12.5.3: any coding will do
  });
});

test("a normal form is its own normal form", () => {
  const value = fc.stringMatching(/^[a-c,"\\ \t]{0,16}$/).map((text) => text.trim());
  fc.assert(
    fc.property(value, (text) => {
      const normal = normalValue("foo", block(`Foo: ${text}`));
      expect(normalValue("foo", block(`Foo: ${normal}`))).toBe(normal.trim());
    }),
  );
});

test("clients that mean the same share a variant, whatever order and space", () => {
  const range = fc.constantFrom("en", "de", "fr-CA", "*", "gzip", "br", "zstd", "identity");
  const members = fc
    .uniqueArray(range, { maxLength: 5 })
    .chain((names) =>
      fc.tuple(
        fc.constant(names.map((name, at) => `${name};q=${at === 0 ? "1" : "0.5"}`)),
        fc.shuffledSubarray(names, { minLength: names.length }),
        fc.constantFrom(",", ", ", " ,  "),
      ),
    );
  fc.assert(
    fc.property(members, ([written, order, gap]) => {
      const shuffled = order.map((name) => written.find((member) => member.startsWith(`${name};`))!.toUpperCase());
      for (const normal of [normalEncodings, normalLanguages])
        expect(normal(shuffled.join(gap))).toBe(normal(written.join(",")));
    }),
  );
});
