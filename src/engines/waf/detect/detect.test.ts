import { expect, test } from "bun:test";
import { BENIGN } from "./benign.testing.ts";
import { SQL_ATTACKS } from "./sql-attacks.testing.ts";
import { detectSqli } from "./sqli.ts";
import { detectXss } from "./xss.ts";
import { XSS_ATTACKS } from "./xss-attacks.testing.ts";

/** Values come as bytes. */
const bytesOf = (text: string): string => Buffer.from(text, "utf8").latin1Slice();

for (const [name, attacks] of Object.entries(SQL_ATTACKS))
  test(`SQL: ${name}`, () => {
    expect(attacks.filter((attack) => detectSqli(bytesOf(attack)) === "")).toEqual([]);
  });

for (const [name, attacks] of Object.entries(XSS_ATTACKS))
  test(`markup: ${name}`, () => {
    expect(attacks.filter((attack) => !detectXss(bytesOf(attack)))).toEqual([]);
  });

for (const [name, texts] of Object.entries(BENIGN))
  test(`no attack: ${name}`, () => {
    expect(texts.filter((text) => detectSqli(bytesOf(text)) !== "")).toEqual([]);
    expect(texts.filter((text) => detectXss(bytesOf(text)))).toEqual([]);
  });

test("a no-break space is a blank where it is a byte of its own", () => {
  expect(detectSqli("1\xa0OR\xa01=1")).toStartWith("1&1=1");
  expect(detectSqli("'\xa0or\xa01=1#")).toStartWith("s&1=1");
  // As a part of a letter it ends no word: "déjà OR 1" with the last letter in two bytes, and a kana in three.
  expect(detectSqli("d\xc3\xa9j\xc3\xa0or 1 \xe3\x81\xa0or 1")).toBe("");
});

test("NUL bytes in names of tags and attributes are passed over", () => {
  expect([detectXss("<scr\0ipt>"), detectXss("<b o\0nerror=x>"), detectXss("<\0b>")]).toEqual([true, true, false]);
});

test("markup without a beginning of its own", () => {
  for (const attack of ["</script>", "'></img src=x onerror=alert(1)>", "x/onerror=alert(1)", "<import>"])
    expect([attack, detectXss(attack)]).toEqual([attack, true]);
});

const FINGERPRINTS: readonly (readonly [value: string, fingerprint: string])[] = [
  ["1 or 1=1", "1&1=1"],
  ["x' union all select 1", "sUkE1"],
  ["sleep(5)", "F(1)"],
  ["1 --", "1c"],
  ["1' or @a:=1", "s&v"],
  ["admin'--", "sc"],
  ["1;drop table x", "1;Ekn"],
  ["/*/*/1 union all", "X1U"],
];
for (const [value, fingerprint] of FINGERPRINTS)
  test(`fingerprint of ${value}`, () => {
    expect(detectSqli(value)).toStartWith(fingerprint);
  });

test("there are many of each kind", () => {
  for (const table of [SQL_ATTACKS, XSS_ATTACKS, BENIGN])
    expect(Object.values(table).flat().length).toBeGreaterThanOrEqual(200);
});
