import { expect, test } from "bun:test";
import fc from "fast-check";
import { NameTable, normalName, normalPattern } from "./selection.ts";

const NAMES: readonly (readonly [name: string, want: string | null])[] = [
  ["example.com", "example.com"],
  ["EXAMPLE.com", "example.com"],
  ["example.com.", "example.com"],
  ["Example.Com.", "example.com"],
  ["localhost", "localhost"],
  ["xn--bcher-kva.example", "xn--bcher-kva.example"],
  ["_acme-challenge.a_b.example", "_acme-challenge.a_b.example"],
  ["1.example", "1.example"],
  ["3com", "3com"],
  [`${"a".repeat(63)}.example`, `${"a".repeat(63)}.example`],
  [`${"a".repeat(64)}.example`, null],
  [`example.${"a".repeat(64)}`, null],
  [`${"a.".repeat(126)}a`, `${"a.".repeat(126)}a`],
  [`${"a.".repeat(126)}a.`, `${"a.".repeat(126)}a`],
  [`${"a.".repeat(126)}ab`, null],
  ["", null],
  [".", null],
  ["..", null],
  ["a..b", null],
  [".a", null],
  ["a..", null],
  ["*", null],
  ["*.example.com", null],
  ["127.0.0.1", null],
  ["127.0.0.1.", null],
  ["1", null],
  ["::1", null],
  ["[::1]", null],
  ["a b", null],
  ["a/b", null],
  ["a\0b", null],
  ["bücher.example", null],
];
for (const [name, want] of NAMES)
  test(`normalName ${JSON.stringify(name.slice(0, 40))} ${name.length}`, () => {
    expect(normalName(name)).toBe(want);
    expect(normalPattern(`*.${name}`)).toBe(want === null ? null : `*.${want}`);
  });

test("partial and inner wildcards are no patterns", () => {
  for (const pattern of ["*", "*.", "a*.example.com", "a.*.example.com", "*.*.example.com", "**.example.com"])
    expect(normalPattern(pattern)).toBeNull();
});

const TABLE = new NameTable(
  [
    ["a.example.com", "exact"],
    ["*.example.com", "wild"],
    ["UPPER.example.org.", "upper"],
    ["*.Sub.Example.com", "sub"],
    ["localhost", "local"],
    ["127.0.0.1", "never"],
    ["b*.example.net", "never"],
  ],
  "default",
);
const FOUND: readonly (readonly [name: string | undefined, want: string])[] = [
  ["a.example.com", "exact"],
  ["A.EXAMPLE.COM.", "exact"],
  ["b.example.com", "wild"],
  ["B.Example.com", "wild"],
  ["example.com", "default"],
  ["a.b.example.com", "default"],
  ["x.sub.example.com", "sub"],
  ["sub.example.com", "wild"],
  ["upper.example.org", "upper"],
  ["localhost", "local"],
  ["*.example.com", "default"],
  ["127.0.0.1", "default"],
  ["b.example.net", "default"],
  ["", "default"],
  [undefined, "default"],
];
for (const [name, want] of FOUND) test(`chooses for ${name}`, () => expect(TABLE.choose(name)).toBe(want));

test("find has no default, `*` is one, and a table may have none", () => {
  expect(TABLE.find("other.example")).toBeUndefined();
  expect(TABLE.size).toBe(5);
  expect(new NameTable([["*", 1]], 2).choose("x")).toBe(1);
  expect(new NameTable([["a", 1]]).choose("x")).toBeNull();
});

test("finds what a plain search finds", () => {
  const label = fc.constantFrom("a", "b", "C", "d-e", "f_g", "x".repeat(63));
  const name = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
  const pattern = fc.oneof(
    name,
    name.map((one) => `*.${one}`),
  );
  fc.assert(
    fc.property(fc.array(pattern), name, fc.boolean(), (patterns, asked, dotted) => {
      const table = new NameTable(patterns.map((one) => [one, one.toLowerCase()] as const));
      const wanted = asked.toLowerCase();
      const parent = `*${wanted.slice(wanted.indexOf("."))}`;
      const lower = patterns.map((one) => one.toLowerCase());
      const slow =
        lower.find((one) => one === wanted) ?? (wanted.includes(".") ? lower.find((one) => one === parent) : undefined);
      expect(table.find(dotted ? `${asked}.` : asked)).toBe(slow);
    }),
  );
});

test("any text at all is looked for without an error, and normal names stay as they are", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
      const normal = normalName(text);
      if (normal !== null) expect(normalName(normal)).toBe(normal);
      TABLE.choose(text);
    }),
  );
});
