import { describe, expect, test } from "bun:test";
import { keepAt, moveAt, removeAt, renameAt, setAt, valueAt, valuesAt } from "./edits.ts";
import { readJson } from "./json-document.ts";
import { JsonNode } from "./json-node.ts";
import { parsePath } from "./json-path.ts";
import { writeJson } from "./json-writer.ts";

function edited(json: string, edit: (root: JsonNode) => void): string {
  const { document, problem } = readJson(Buffer.from(json));
  if (problem !== null) return problem;
  const root = JsonNode.read(document);
  edit(root);
  const made = writeJson(root, 1_000_000);
  document.release();
  return made?.toString() ?? "too long";
}

type Edit = readonly [json: string, path: string, want: string];

describe("removed", () => {
  const CASES: readonly Edit[] = [
    ['{"a":1,"b":2}', "a", '{"b":2}'],
    ['{"a":1,"b":2}', "b", '{"a":1}'],
    ['{"a":1}', "a", "{}"],
    ['{"a":1, "b": 2 ,"c":3}', "b", '{"a":1,"c":3}'],
    ['{ "a" : 1 ,\n "b": [1, 2 ] , "c":3 }', "c", '{"a" : 1 ,\n "b": [1, 2 ]}'],
    ['{"a":{"b":{"c":1,"d":2}}}', "a.b.c", '{"a":{"b":{"d":2}}}'],
    ['{"a":[{"x":1,"y":2},{"y":3},4]}', "a[*].x", '{"a":[{"y":2},{"y":3},4]}'],
    ['{"a":[1,2,3]}', "a[1]", '{"a":[1,3]}'],
    ['{"a":[1,2,3]}', "a[*]", '{"a":[]}'],
    ['{"a":[1,2,3]}', "a[3]", '{"a":[1,2,3]}'],
    ['[{"x":1},{"x":2,"z":0}]', "[*].x", '[{},{"z":0}]'],
    ['{"a.b":1,"c":2}', '["a.b"]', '{"c":2}'],
    ['{"\\u0061":1,"b":2}', "a", '{"b":2}'],
    ['{"ü":1,"b":2}', "ü", '{"b":2}'],
    ['{"\\ud83d\\ude00":1,"b":2}', "😀", '{"b":2}'],
    ['{"a":{"x":1},"b":{"x":2,"y":3}}', "*.x", '{"a":{},"b":{"y":3}}'],
    ['{"x":1,"a":[{"x":2,"b":{"x":{"x":3}}}],"y":4}', "**.x", '{"a":[{"b":{}}],"y":4}'],
    ['{"a":{"q":{"x":1}},"x":5}', "a.**.x", '{"a":{"q":{}},"x":5}'],
    ['{"__proto__":{"x":1},"b":1}', "__proto__.x", '{"__proto__":{},"b":1}'],
    ['{"__proto__":1,"constructor":2}', "__proto__", '{"constructor":2}'],
    ["5", "a", "5"],
    ['{"a":5}', "a.b.c", '{"a":5}'],
  ];
  for (const [json, path, want] of CASES)
    test(`${path} of ${json}`, () => expect(edited(json, (root) => removeAt(root, parsePath(path)))).toBe(want));
});

describe("set", () => {
  const CASES: readonly (readonly [json: string, path: string, value: string, want: string])[] = [
    ["{}", "a", "1", '{"a":1}'],
    ['{"a":1,"b":12345678901234567890.10}', "a", '"x"', '{"a":"x","b":12345678901234567890.10}'],
    ["{}", "a.b.c", "[]", '{"a":{"b":{"c":[]}}}'],
    ['{"a":"text"}', "a.b", "1", '{"a":{"b":1}}'],
    ['{"a":[1]}', "a.b", "1", '{"a":{"b":1}}'],
    ['{"a":null}', "a.b", "1", '{"a":{"b":1}}'],
    ['{"l":[{"a":1},{},2]}', "l[*].a", "9", '{"l":[{"a":9},{"a":9},{"a":9}]}'],
    ['{"l":[1,2]}', "l[1]", "9", '{"l":[1,9]}'],
    ['{"l":[1,2]}', "l[2]", "9", '{"l":[1,2]}'],
    ['{"l":5}', "l[*].a", "9", '{"l":5}'],
    ['{"a":{},"b":{"x":1}}', "*.x", "9", '{"a":{"x":9},"b":{"x":9}}'],
    ["{}", "__proto__.polluted", "true", '{"__proto__":{"polluted":true}}'],
    ["{}", "ü", '"é"', '{"ü":"é"}'],
    ["[1]", "[0]", "2", "[2]"],
  ];
  for (const [json, path, value, want] of CASES)
    test(`${path} in ${json}`, () =>
      expect(edited(json, (root) => setAt(root, parsePath(path), JsonNode.of(value), false))).toBe(want));

  test("only where there is nothing", () => {
    const add = (root: JsonNode) => setAt(root, parsePath("l[*].a"), JsonNode.of("0"), true);
    expect(edited('{"l":[{"a":1},{}]}', add)).toBe('{"l":[{"a":1},{"a":0}]}');
  });

  test("what is put in two places are two values", () => {
    const edit = (root: JsonNode) => {
      setAt(root, parsePath("l[*].a"), JsonNode.of('{"x":1}'), false);
      setAt(root, parsePath("l[0].a.x"), JsonNode.of("2"), false);
    };
    expect(edited('{"l":[{},{}]}', edit)).toBe('{"l":[{"a":{"x":2}},{"a":{"x":1}}]}');
  });

  test("a value put into itself ends", () => {
    const edit = (root: JsonNode) => {
      setAt(root, parsePath("a.b"), JsonNode.of("1"), false);
      setAt(root, parsePath("a.c"), valueAt(root, parsePath("a"))!.copy(), false);
    };
    expect(edited('{"a":{}}', edit)).toBe('{"a":{"b":1,"c":{"b":1}}}');
  });
});

test("renamed: in its place, and in place of what has the name", () => {
  const rename = (json: string, path: string, name: string) =>
    edited(json, (root) => renameAt(root, parsePath(path), name));
  expect(rename('{"a":1,"b":2}', "a", "c")).toBe('{"c":1,"b":2}');
  expect(rename('{"a":1,"b":2}', "a", "b")).toBe('{"b":1}');
  expect(rename('{"b":2,"a":1}', "a", "b")).toBe('{"b":1}');
  expect(rename('{"a":1}', "a", "a")).toBe('{"a":1}');
  expect(rename('{"a":1}', "x", "y")).toBe('{"a":1}');
  expect(rename('[{"id":1},{"id":2}]', "[*].id", "key")).toBe('[{"key":1},{"key":2}]');
  expect(rename('{"a":{"a":1}}', "**.a", "b\n")).toBe('{"b\\n":{"b\\n":1}}');
});

test("moved", () => {
  const move = (json: string, within: string, from: string, to: string) =>
    edited(json, (root) =>
      moveAt(root, { within: within === "" ? [] : parsePath(within), from: parsePath(from), to: parsePath(to) }),
    );
  expect(move('{"a":{"b":1.10},"c":2}', "", "a.b", "d.e")).toBe('{"a":{},"c":2,"d":{"e":1.10}}');
  expect(move('{"a":1}', "", "x", "y")).toBe('{"a":1}');
  expect(move('{"a":{"b":1}}', "", "a.b", "a")).toBe('{"a":1}');
  expect(move('{"a":{"b":1}}', "", "a", "a.b")).toBe('{"a":{"b":{"b":1}}}');
  expect(move('[{"m":{"id":1}},{"m":{}},{"m":{"id":3}}]', "[*]", "m.id", "id")).toBe(
    '[{"m":{},"id":1},{"m":{}},{"m":{},"id":3}]',
  );
});

test("kept", () => {
  const keep = (json: string, ...paths: string[]) => edited(json, (root) => keepAt(root, paths.map(parsePath)));
  expect(keep('{"a":1,"b":{"c":2,"d":3},"e":[1]}', "b.d", "e")).toBe('{"b":{"d":3},"e":[1]}');
  expect(keep('{"l":[{"id":1,"s":2},{"s":3}],"x":1}', "l[*].id")).toBe('{"l":[{"id":1},{}]}');
  expect(keep('{"a":5}', "a.b")).toBe("{}");
  expect(keep('[{"a":1,"b":2}]', "[*].a")).toBe('[{"a":1}]');
  expect(keep('{"a":{"x":1,"y":2},"b":{"x":3}}', "*.x")).toBe('{"a":{"x":1},"b":{"x":3}}');
  expect(keep('{"a":[1,2,3]}', "a[1]")).toBe('{"a":[2]}');
});

test("values of a path, in their order", () => {
  const { document } = readJson(Buffer.from('{"l":[{"id":1},{"id":[2]},{}]}'));
  const root = JsonNode.read(document!);
  expect(valuesAt(root, parsePath("l[*].id")).map((value) => writeJson(value, 100)?.toString())).toEqual(["1", "[2]"]);
  expect(valueAt(root, parsePath("l[2].id"))).toBeNull();
});

test("what becomes too long is not made", () => {
  const grow = (root: JsonNode) => setAt(root, parsePath("l[*]"), JsonNode.of(`"${"x".repeat(10_000)}"`), false);
  expect(edited(`{"l":[${"1,".repeat(5000)}1]}`, grow)).toBe("too long");
});

describe("paths", () => {
  for (const path of ["", ".", "a.", ".a", "a..b", "a[", "a[-1]", "a[x]", "a b", "a]", "**", "a.**", "**.**.a", "[*]a"])
    test(`${JSON.stringify(path)} is none`, () => expect(() => parsePath(path)).toThrow(RangeError));
  const kinds = (path: string) => parsePath(path).map((step) => ("name" in step ? step.name : step.kind));
  test("what they are made of", () => {
    expect(kinds('a-b[0]["c.d"].**.$e[*].*')).toEqual(["a-b", "item", "c.d", "deep", "$e", "items", "members"]);
    expect(kinds("[*].id")).toEqual(["items", "id"]);
  });
});

test("what is kept of many members is found in time that grows with them alone", () => {
  const many = Array.from({ length: 100_000 }, (_, at) => `"k${at}":1`).join();
  const start = performance.now();
  expect(edited(`{${many}}`, (root) => keepAt(root, ["a", "k5", "b.c"].map(parsePath)))).toBe('{"k5":1}');
  expect(performance.now() - start).toBeLessThan(2000); // were each looked for again, half a minute
});
