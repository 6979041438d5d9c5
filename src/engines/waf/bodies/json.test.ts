import { expect, test } from "bun:test";
import { parseJson } from "./json.ts";

function read(text: string, depth = 20, count = 100): { pairs: string[]; fault: string } {
  const pairs: string[] = [];
  const fault = parseJson(text, { depth, count }, (name, value) => pairs.push(`${name}=${value}`));
  return { pairs, fault };
}

const GOOD: readonly (readonly [text: string, pairs: readonly string[]])[] = [
  ['{"a":"b"}', ["json.a=b"]],
  ['{"a":{"b":{"c":1}}}', ["json.a.b.c=1"]],
  [
    '{"a":[1,"x",true,false,null]}',
    [0, 1, 2, 3, 4].map((at) => `json.a.array_${at}=${["1", "x", "true", "false", ""][at]}`),
  ],
  ["[1,2]", ["json.array_0=1", "json.array_1=2"]],
  ['[{"a":1},{"a":2}]', ["json.array_0.a=1", "json.array_1.a=2"]],
  ["[[1],[2,[3]]]", ["json.array_0.array_0=1", "json.array_1.array_0=2", "json.array_1.array_1.array_0=3"]],
  ['{"a":1,"a":2}', ["json.a=1", "json.a=2"]],
  ['{"":1}', ["json.empty-key=1"]],
  ['{"a":{},"b":[],"c":1}', ["json.c=1"]],
  ["[[],{},[1]]", ["json.array_2.array_0=1"]],
  ["{}", []],
  ["[]", []],
  ['"x"', ["json=x"]],
  ["1", ["json=1"]],
  [" \t\r\n null ", ["json="]],
  [
    "[-0,-1.5e+10,0.1E2,12345678901234567890]",
    [0, 1, 2, 3].map((at) => `json.array_${at}=${["-0", "-1.5e+10", "0.1E2", "12345678901234567890"][at]}`),
  ],
  ['{"a":"\\u003cscript\\u003e"}', ["json.a=<script>"]],
  ['{"\\u0061":"\\"\\\\\\/\\b\\f\\n\\r\\t"}', ['json.a="\\/\b\f\n\r\t']],
  ['["\\u00e9\\u20ac\\ud83d\\ude00\\u0000"]', ["json.array_0=\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0"]],
  ['["\\ud83d","\\ude00","\\ud83dx","\\ud83d\\u0041"]', ["?", "?", "?x", "?A"].map((v, at) => `json.array_${at}=${v}`)],
  ['{"caf\xc3\xa9":"\xe2\x82\xac"}', ["json.caf\xc3\xa9=\xe2\x82\xac"]],
  ['{"a.b":1}', ["json.a.b=1"]],
  ['{"__proto__":1}', ["json.__proto__=1"]],
];
for (const [text, pairs] of GOOD)
  test(`${JSON.stringify(text)}`, () => {
    expect(read(text)).toEqual({ pairs: [...pairs], fault: "" });
  });

const BAD: readonly (readonly [text: string, fault: string])[] = [
  ["", "JSON: it ends too early at byte 0"],
  ["{", "JSON: a key is missing at byte 1"],
  ['{"a"', "JSON: a colon is missing at byte 4"],
  ['{"a":', "JSON: it ends too early at byte 5"],
  ['{"a":1', "JSON: it ends too early at byte 6"],
  ['{"a":1,}', "JSON: a key is missing at byte 7"],
  ["[1,]", "JSON: no value begins at byte 3"],
  ["[1 2]", "JSON: a comma is missing at byte 3"],
  ["[1}", "JSON: a comma is missing at byte 2"],
  ["1 2", "JSON: something follows the value at byte 2"],
  ["{a:1}", "JSON: a key is missing at byte 1"],
  ["['a']", "JSON: no value begins at byte 1"],
  ["[01]", "JSON: a number is malformed at byte 1"],
  ["[1.]", "JSON: a number is malformed at byte 1"],
  ["[-]", "JSON: a number is malformed at byte 1"],
  ["[1e]", "JSON: a number is malformed at byte 1"],
  ["[+1]", "JSON: no value begins at byte 1"],
  ["[NaN]", "JSON: no value begins at byte 1"],
  ["[/*c*/1]", "JSON: no value begins at byte 1"],
  ['["a', "JSON: a string is not ended at byte 3"],
  ['["a\nb"]', "JSON: a string has a control character at byte 3"],
  ['["\\x41"]', "JSON: an escape is malformed at byte 2"],
  ['["\\u00g0"]', "JSON: an escape is malformed at byte 2"],
  ['["\\u00', "JSON: an escape is malformed at byte 2"],
  ['["\xff"]', "JSON: a string is not UTF-8 at byte 4"],
  ['["\xc0\xaf"]', "JSON: a string is not UTF-8 at byte 5"],
  ['["\xed\xa0\x80"]', "JSON: a string is not UTF-8 at byte 6"],
  ["\xef\xbb\xbf{}", "JSON: no value begins at byte 0"],
];
for (const [text, fault] of BAD)
  test(`refuses ${JSON.stringify(text)}`, () => {
    expect(read(text).fault).toBe(fault);
  });

test("what came before a fault is given out", () => {
  expect(read('{"a":1,"b":2,').pairs).toEqual(["json.a=1", "json.b=2"]);
});

test("depth and number of values are bounded", () => {
  expect(read("[[1]]", 2).fault).toBe("");
  expect(read("[[[1]]]", 2).fault).toBe("JSON: nested too deeply at byte 2");
  expect(read("[1,2]", 5, 2).fault).toBe("");
  expect(read("[1,2,3]", 5, 2)).toEqual({
    pairs: ["json.array_0=1", "json.array_1=2"],
    fault: "JSON: too many values at byte 6",
  });
});

test("a long key over many items does not become as many long names", () => {
  const { pairs, fault } = read(`{"${"k".repeat(75_000)}":[${"1,".repeat(50)}1]}`);
  expect(fault).toStartWith("JSON: names are too long");
  expect(pairs.length).toBe(3);
});

test("depth costs no stack", () => {
  const deep = 200_000;
  expect(read("[".repeat(deep), deep).fault).toStartWith("JSON: it ends too early");
});
