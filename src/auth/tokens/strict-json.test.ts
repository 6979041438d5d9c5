import { expect, test } from "bun:test";
import { strictObject } from "./strict-json.ts";

const GOOD = [
  "{}",
  '{"a":1}',
  '{"a":{"a":{"a":[]}}}',
  '{"a":[{"b":1},{"b":2}]}',
  '{"a":"a\\":1,\\"a"}',
  ' {"\\\\":1,"a":2} ',
  '{"a":":","b":":"}',
];
const BAD = [
  "",
  "[]",
  "1",
  '"a"',
  "null",
  "{",
  '{"a":1}x',
  '{"a":1,"a":1}',
  '{"a":1,"\\u0061":1}',
  '{"b":{"a":1,"a":2}}',
  '{"b":[{"a":1,"a":2}]}',
  `{"a":${"[".repeat(40)}${"]".repeat(40)}}`,
];

for (const text of GOOD)
  test(`${text} is an object`, () => expect(strictObject(Buffer.from(text))).toEqual(JSON.parse(text)));
for (const text of BAD) test(`${text.slice(0, 30)} is none`, () => expect(strictObject(Buffer.from(text))).toBeNull());

test("what is no UTF-8 is none", () => expect(strictObject(Buffer.from([0x7b, 0xff, 0x7d]))).toBeNull());
