import { describe, expect, test } from "bun:test";
import { readJson } from "./json-document.ts";

const problemOf = (text: string | Buffer): string | null => {
  const { document, problem } = readJson(Buffer.from(text as string));
  document?.release();
  return problem;
};

describe("taken", () => {
  const TEXTS = [
    ..."1 0 -0 0.5 -1.25e+10 1E5 12345678901234567890123 true false null".split(" "),
    ...[' "" ', '"a\\n\\u00e9\\/"', "[]", "[ ]", "{}", "{ }", "[1,[2,[3]]]", '{"a":{"b":[{}]}}', '"\\ud800"', '"\x7f"'],
    ...["\t[\r\n1 , 2 ]\n", '{"a":1,"A":2,"":3}', "[".repeat(64) + "]".repeat(64)],
  ];
  for (const text of TEXTS) test(JSON.stringify(text.slice(0, 40)), () => expect(problemOf(text)).toBeNull());
});

describe("not JSON", () => {
  const TEXTS = [
    ...["", " ", "nul", "nulll", "True", "01", "-", "1.", ".5", "1e", "1e+", "+1", "0x1", "NaN", "Infinity", "1 2"],
    ...['"', '"a', '"\\x"', '"\\u12g4"', '"\\u123', '"a\nb"', '"\\', "'a'", "[1,]", "[,1]", "[1 2]", "[", "]", "[1}"],
    ...['{"a"}', '{"a":}', '{"a":1,}', "{a:1}", "{1:2}", '{"a":1 "b":2}', "{", '{"a":1', "[1]]", "\ufeff{}", "//x\n1"],
  ];
  for (const text of TEXTS) test(JSON.stringify(text), () => expect(problemOf(text)).toBe("must be JSON"));
});

test("names that are there twice", () => {
  const TWICE = "must not have a name twice in an object";
  expect(problemOf('{"a":1,"a":2}')).toBe(TWICE);
  expect(problemOf('[{"x":{"a":1,"\\u0061":2}}]')).toBe(TWICE);
  expect(problemOf('{"__proto__":1,"__proto__":2}')).toBe(TWICE);
  const many = Array.from({ length: 40 }, (_, at) => `"n${at}":{}`).join(",");
  expect(problemOf(`{${many}}`)).toBeNull();
  expect(problemOf(`{${many},"n17":1}`)).toBe(TWICE);
});

test("nested too deep, and no UTF-8", () => {
  expect(problemOf("[".repeat(65) + "]".repeat(65))).toBe("must not be nested more than 64 deep");
  expect(problemOf(Buffer.from([0x22, 0xff, 0x22]))).toBe("must be text in UTF-8");
  expect(problemOf(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))).toBe("must be text in UTF-8");
});

test("a long text takes time in proportion to its length", () => {
  const names = Array.from({ length: 100_000 }, (_, at) => `"n${at}":${at}`).join(",");
  const before = performance.now();
  expect(problemOf(`{${names}}`)).toBeNull();
  expect(problemOf(`[${"0,".repeat(500_000)}0]`)).toBeNull();
  expect(performance.now() - before).toBeLessThan(5000);
});
