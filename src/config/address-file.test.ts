import { expect, test } from "bun:test";
import { parseAddressFile } from "./address-file.ts";

const CASES: readonly (readonly [text: string, want: readonly string[]])[] = [
  ["", []],
  ["10.0.0.0/8\n192.0.2.1\n2001:db8::/32", ["4/8", "4/32", "6/32"]],
  ["# a list\r\n\r\n10.0.0.0/8\r\n", ["4/8"]],
  ["; Spamhaus\n1.10.16.0/20 ; SBL256894\n", ["4/20"]],
  ["  10.0.0.1\t# the printer", ["4/32"]],
  ["10.0.0.1,bad\n10.0.0.2#worse", ["4/32", "4/32"]],
];
for (const [text, want] of CASES)
  test(JSON.stringify(text), () =>
    expect(parseAddressFile(text).map(({ family, prefix }) => `${family}/${prefix}`)).toEqual([...want]),
  );

test("what is no address is named with its line", () =>
  expect(() => parseAddressFile("10.0.0.1\n\nexample.com\n")).toThrow('line 3: "example.com" is not'));
test("there is an end to it", () =>
  expect(() => parseAddressFile("1.1.1.1\n".repeat(1_000_001))).toThrow("more than 1000000"));
