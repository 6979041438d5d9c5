import { expect, test } from "bun:test";
import { parseDictionary, parseItem, parseList } from "./structured.ts";
import { dictionaryText, itemText, listText } from "./structured-text.ts";

const ITEMS: readonly (readonly [field: string, want: string])[] = [
  ["042", "42"],
  ["-0", "0"],
  ["1.50", "1.5"],
  ["1.0", "1.0"],
  ["-0.001", "-0.001"],
  ['"a\\"b\\\\c"', '"a\\"b\\\\c"'],
  ["foo/bar:*", "foo/bar:*"],
  [":aGVsbG8:", ":aGVsbG8=:"],
  ["::", "::"],
  ["?0", "?0"],
  ["@1659578233", "@1659578233"],
  ['%"f%c3%bc%c3%bc %25%22"', '%"f%c3%bc%c3%bc %25%22"'],
  ["a;b;c=?1;d=?0; e=1.5", "a;b;c;d=?0;e=1.5"],
];
for (const [field, want] of ITEMS)
  test(`item ${field}`, () => {
    expect(itemText(parseItem(field)!)).toBe(want);
    expect(itemText(parseItem(want)!)).toBe(want);
  });

test("lists and dictionaries", () => {
  expect(listText(parseList(' a ,  (b   c;d );e="f" ,1')!)).toBe('a, (b c;d);e="f", 1');
  expect(dictionaryText(parseDictionary(" a=1,b=?1;x , c,  d=(e  f);g=?0,h=?0")!)).toBe(
    "a=1, b;x, c, d=(e f);g=?0, h=?0",
  );
  expect([listText([]), dictionaryText(new Map())]).toEqual(["", ""]);
});
