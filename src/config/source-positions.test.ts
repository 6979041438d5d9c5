// biome-ignore-all lint/suspicious/noTemplateCurlyInString: sources in texts
import { expect, test } from "bun:test";
import type { ConfigPath } from "./diagnostic.ts";
import { locateInSource } from "./source-positions.ts";

/** A source in which `^` stands right before the place to be found (it is taken out first). */
const CASES: readonly (readonly [name: string, source: string, path: ConfigPath, at: "key" | "value"])[] = [
  ["a value", "export default { a: ^1 };", ["a"], "value"],
  ["a key", "export default { ^a: 1 };", ["a"], "key"],
  ["a key in quotes", "export default { ^'a b': 1 };", ["a b"], "key"],
  ["the value of a key in quotes", 'export default { "a b" : ^1 };', ["a b"], "value"],
  ["an item", "export default { a: [1, [2, 3], ^{ b: 4 }] };", ["a", 2], "value"],
  ["a value in an item", "export default { a: [{ b: 1 }, { b: ^2 }] };", ["a", 1, "b"], "value"],
  ["through a call", "export default defineConfig({ a: ^1 });", ["a"], "value"],
  ["through nested calls and parentheses", "export default await wrap.it((defineConfig({ a: ^1 })));", ["a"], "value"],
  ["through a name", "const c = { a: ^1 };\nexport default c;", ["a"], "value"],
  ["through a typed name", "const c: ConfigInput = { a: ^1 };\nexport default defineConfig(c);", ["a"], "value"],
  ["through a name below", "const list = [1, ^2];\nexport default { a: list };", ["a", 1], "value"],
  ["through a shorthand", "const a = [1, ^2];\nexport default { a };", ["a", 1], "value"],
  ["a shorthand itself", "const a = 1;\nexport default { ^a };", ["a"], "key"],
  [
    "past comments and texts",
    'export default { /* a: 1, { */ x: "a: 1, {", // a: 1\n  y: `[a: ${1}`, a: ^1 };',
    ["a"],
    "value",
  ],
  ["past the same key elsewhere", "export default { x: { a: 1 }, a: ^2 };", ["a"], "value"],
  ["past functions", "export default { x(a) { return [a, 1]; }, a: ^2 };", ["a"], "value"],
  ["around what is computed", "export default { a: ^make(1) };", ["a", 0, "b"], "value"],
  ["around what is spread", "export default ^{ ...base };", ["a"], "value"],
  ["around what is not there", "export default { a: ^{ b: 1 } };", ["a", "c"], "value"],
  ["around a name of another file", "import { a } from 'x';\nexport default { a: ^a };", ["a", "b"], "value"],
  ["in a name that means itself", "const a = ^a;\nexport default a;", ["b"], "value"],
  ["in a file without default export", "^const a = 1;", ["a"], "value"],
];
for (const [name, marked, path, at] of CASES) {
  test(`finds a place ${name}`, () => {
    const before = marked.slice(0, marked.indexOf("^"));
    const want = { line: before.split("\n").length, column: before.length - before.lastIndexOf("\n") };
    expect(locateInSource(marked.replace("^", ""), path, at)).toEqual(want);
  });
}
