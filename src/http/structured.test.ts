import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  type BareItem,
  type Dictionary,
  type Item,
  type Member,
  parseDictionary,
  parseItem,
  parseList,
} from "./structured.ts";

function bare(item: BareItem): string {
  const value = item.kind === "bytes" ? item.value.toString("latin1") : String(item.value);
  return `${item.kind} ${value}`;
}
const parameters = (of: Item["parameters"]): string => [...of].map(([key, value]) => `;${key}=${bare(value)}`).join("");
function member(of: Member): string {
  if (of.kind === "item") return bare(of.value) + parameters(of.parameters);
  return `(${of.items.map(member).join(" ")})${parameters(of.parameters)}`;
}
const dictionary = (of: Dictionary): string => [...of].map(([key, value]) => `${key}: ${member(value)}`).join(", ");

// RFC 9651 §3.3 and §4.2.3 to §4.2.10; null is what is no item.
const ITEMS: readonly (readonly [field: string, want: string | null])[] = [
  ["42", "integer 42"],
  ["-42", "integer -42"],
  ["0", "integer 0"],
  ["-0", "integer 0"],
  ["042", "integer 42"],
  ["  42  ", "integer 42"],
  ["999999999999999", "integer 999999999999999"],
  ["-999999999999999", "integer -999999999999999"],
  ["1000000000000000", null],
  ["--42", null],
  ["- 42", null],
  ["-", null],
  ["42x", null],
  ["4 2", null],
  ["\t42", null],
  ["4.5", "decimal 4.5"],
  ["-4.5", "decimal -4.5"],
  ["123456789012.123", "decimal 123456789012.123"],
  ["1234567890123.1", null],
  ["1.1234", null],
  ["1.", null],
  [".5", null],
  ["1.5.4", null],
  ['"hello world"', "string hello world"],
  ['""', "string "],
  ['"a\\"b\\\\c"', 'string a"b\\c'],
  ['"a\\nb"', null],
  ['"a', null],
  ['"a\\', null],
  ['"a\\"', null],
  ['"a\tb"', null],
  ['"a\xfcb"', null],
  ["'a'", null],
  ["foo123/456", "token foo123/456"],
  ["*foo", "token *foo"],
  ["a:b!#$%&'*+-.^_`|~", "token a:b!#$%&'*+-.^_`|~"],
  ["foo(", null],
  ["föö", null],
  ["?1", "boolean true"],
  ["?0", "boolean false"],
  ["?2", null],
  ["?", null],
  ["?1x", null],
  [":aGVsbG8=:", "bytes hello"],
  [":aGVsbG8:", "bytes hello"],
  ["::", "bytes "],
  [":aGVsbG8=", null],
  [":aGV sbG8=:", null],
  [":a=b:", null],
  [":_-Ah:", null],
  ["@1659578233", "date 1659578233"],
  ["@-1", "date -1"],
  ["@1.5", null],
  ["@", null],
  ['%"f%c3%bc"', "display fü"],
  ['%"plain"', "display plain"],
  ['%""', "display "],
  ['%"%22"', 'display "'],
  ['%"f%C3%BC"', null],
  ['%"%fc"', null],
  ['%"%c"', null],
  ['%"a', null],
  ["%a", null],
  ["%", null],
  ["5;foo=bar", "integer 5;foo=token bar"],
  ["5;foo;bar=?0", "integer 5;foo=boolean true;bar=boolean false"],
  ["5; foo=1;  bar=2", "integer 5;foo=integer 1;bar=integer 2"],
  ["5;a=1;b=2;a=3", "integer 5;b=integer 2;a=integer 3"],
  ["5 ;foo", null],
  ["5;", null],
  ["5;Foo", null],
  ["5;foo=", null],
  ["5;foo =1", null],
  ["5;1a", null],
  ["", null],
  ["  ", null],
  ["a, b", null],
  ["(a b)", null],
];
describe("items", () => {
  for (const [field, want] of ITEMS)
    test(`item: ${JSON.stringify(field)}`, () => {
      const found = parseItem(field);
      expect(found === null ? null : member(found)).toBe(want);
    });
});

const LISTS: readonly (readonly [field: string, want: string | null])[] = [
  ["", ""],
  ["   ", ""],
  ["a", "token a"],
  ["a,b", "token a, token b"],
  ["a ,\t b", "token a, token b"],
  ['"a, b", c', "string a, b, token c"],
  ["()", "()"],
  ["(a)", "(token a)"],
  ["( a  b )", "(token a token b)"],
  ["(a b), c;x", "(token a token b), token c;x=boolean true"],
  ['("foo"; a=1;b=2);lvl=5', "(string foo;a=integer 1;b=integer 2);lvl=integer 5"],
  ["a,", null],
  ["a, ", null],
  [",a", null],
  ["a,,b", null],
  ["a b", null],
  ["(a", null],
  ["(a,b)", null],
  ["(a b))", null],
  ["((a))", null],
  ['("a""b")', null],
];
describe("lists", () => {
  for (const [field, want] of LISTS)
    test(`list: ${JSON.stringify(field)}`, () => {
      const found = parseList(field);
      expect(found === null ? null : found.map(member).join(", ")).toBe(want);
    });
});

const DICTIONARIES: readonly (readonly [field: string, want: string | null])[] = [
  ["", ""],
  ["a=1", "a: integer 1"],
  ["a", "a: boolean true"],
  ["a;x=1, b=?0, c", "a: boolean true;x=integer 1, b: boolean false, c: boolean true"],
  ["a=(1 2), b=3", "a: (integer 1 integer 2), b: integer 3"],
  ["a=1,b=2,a=3", "b: integer 2, a: integer 3"],
  ["*a=1, a-b_c.d*=2", "*a: integer 1, a-b_c.d*: integer 2"],
  ["a=", null],
  ["a =1", null],
  ["a= 1", null],
  ["A=1", null],
  ["aB=1", null],
  ["1a=1", null],
  ["-a=1", null],
  ["a=1,", null],
  ["a=1 b=2", null],
  ["a=1;", null],
  ["=1", null],
  ["a==1", null],
  ["a=1, &", null],
];
describe("dictionaries", () => {
  for (const [field, want] of DICTIONARIES)
    test(`dictionary: ${JSON.stringify(field)}`, () => {
      const found = parseDictionary(field);
      expect(found === null ? null : dictionary(found)).toBe(want);
    });
});

const key = fc.stringMatching(/^[a-z*][a-z0-9_\-.*]{0,6}$/);
const plain = fc.oneof(
  fc.integer({ min: -999_999, max: 999_999 }).map((value): [string, string] => [String(value), `integer ${value}`]),
  fc.stringMatching(/^[A-Za-z*][A-Za-z0-9:/*.]{0,6}$/).map((value): [string, string] => [value, `token ${value}`]),
  fc
    .stringMatching(/^[ -~]{0,8}$/)
    .map((value): [string, string] => [`"${value.replace(/[\\"]/g, "\\$&")}"`, `string ${value}`]),
  fc.boolean().map((value): [string, string] => [value ? "?1" : "?0", `boolean ${value}`]),
  fc
    .uint8Array({ maxLength: 6 })
    .map((value): [string, string] => [
      `:${Buffer.from(value).toString("base64")}:`,
      `bytes ${Buffer.from(value).toString("latin1")}`,
    ]),
);

test("what is written is read back", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(key, plain), { maxLength: 6 }), (members) => {
      const field = members.map(([name, [written]]) => `${name}=${written}`).join(", ");
      const want = new Map<string, string>();
      for (const [name, [, meant]] of members) {
        want.delete(name);
        want.set(name, meant);
      }
      const found = parseDictionary(field)!;
      expect([...found].map(([name, value]) => [name, member(value)])).toEqual([...want]);
    }),
  );
});

test("any text is read or refused, and never an error", () => {
  const near = fc.stringMatching(/^[a-z0-9=;,()":?@%*.\\ -]{0,40}$/);
  fc.assert(
    fc.property(fc.oneof(fc.string(), near), (text) => {
      for (const parse of [parseDictionary, parseList, parseItem]) {
        const found = parse(text);
        expect(found === null || typeof found === "object").toBe(true);
      }
    }),
  );
});

test("a hostile field costs no more than its length", () => {
  expect(parseList("a,".repeat(20_000))).toBeNull();
  const fields = ["(".repeat(16_000), ":".repeat(16_000), '"\\'.repeat(8000), "a;a;".repeat(4000), "a=1,".repeat(4000)];
  const start = performance.now();
  for (const field of fields) parseDictionary(field);
  expect(performance.now() - start).toBeLessThan(1000);
});
