import { expect, test } from "bun:test";
import { ConfigError, type ConfigPath, renderDiagnostic } from "./diagnostic.ts";
import { parseText } from "./text.ts";

const VALUES: readonly (readonly [name: string, kind: "yaml" | "json", text: string, want: unknown])[] = [
  [
    "mappings, lists, scalars",
    "yaml",
    "a: [1, true, null, x]\nb:\n  - c: 'd'\n",
    { a: [1, true, null, "x"], b: [{ c: "d" }] },
  ],
  ["yes and on are texts (YAML 1.2)", "yaml", "a: yes\nb: on", { a: "yes", b: "on" }],
  ["keys are texts", "yaml", "404: x\ntrue: y", { "404": "x", true: "y" }],
  ["anchors", "yaml", "a: &x {b: 1}\nc: *x", { a: { b: 1 }, c: { b: 1 } }],
  ["merge keys", "yaml", "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", { a: { b: 1, c: 2 }, d: { b: 1, c: 3 } }],
  [
    "several merge keys",
    "yaml",
    "a: &x {b: 1}\ne: &y {b: 2, f: 3}\nd: {<<: [*x, *y]}",
    { a: { b: 1 }, e: { b: 2, f: 3 }, d: { b: 1, f: 3 } },
  ],
  ["names of object methods", "yaml", "constructor: 1\ntoString: 2", { constructor: 1, toString: 2 }],
  ["JSON with tabs", "json", '{\n\t"a": [1,\n\t\t-2.5e3]\n}', { a: [1, -2500] }],
];
for (const [name, kind, text, want] of VALUES) {
  test(`reads ${name}`, () => expect(parseText(text, "f", kind === "json").value).toEqual(want));
}

const bomb = `a0: &a0 [x, x]\n${Array.from({ length: 40 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`).join("\n")}`;

const ERRORS: readonly (readonly [name: string, kind: "yaml" | "json", text: string, want: string | RegExp])[] = [
  ["a mapping that is not closed", "yaml", "a: 1\nb: {c: 1\nd: 2", /^f:3:1: error: flow map/],
  ["tabs as indentation", "yaml", "a:\n\tb: 1", /^f:2:1: error: tabs are not allowed.*\n {2}hint: indent with spaces$/],
  ["an IPv6 address without quotes", "yaml", "a: [::1]:80", /^f:1:9: error: unexpected scalar.*\n {2}hint: quote/],
  ["a reserved first character", "yaml", "a: @x", /^f:1:4: .*\n {2}hint: quote texts that start with @/],
  [
    "a key that is there twice",
    "yaml",
    "a: 1\nb: 2\na: 3",
    'f:3:1: error: the key "a" is here twice\n  hint: it stands first in line 1',
  ],
  [
    "a key that is there twice, deeper",
    "yaml",
    "x:\n  - { a: 1, a: 2 }",
    'f:2:13: error: the key "a" is here twice\n  hint: it stands first in line 2',
  ],
  [
    "an alias without anchor",
    "yaml",
    "a: *.example.com",
    'f:1:4: error: there is no anchor "&.example.com"\n  hint: a text that starts with * must be quoted: "*.example.com"',
  ],
  ["an alias to what holds it", "yaml", "a: &x [*x]", /error: this is nested more than 64 deep/],
  ["aliases that multiply", "yaml", bomb, /error: the aliases here make too many values/],
  ["deep nesting", "yaml", "[".repeat(100) + "]".repeat(100), /error: this is nested more than 64 deep/],
  ["very deep nesting", "yaml", "[".repeat(100_000), /^f.*: error: /],
  ["two documents", "yaml", "a: 1\n---\nb: 2", /^f:2:1: error: there is a second document/],
  ["a mapping as a key", "yaml", "? {a: 1}\n: 2", /^f:1:3: error: a key must be a text/],
  ["a merge of a text", "yaml", "a: {<<: x}", /^f:1:9: error: `<<` takes over/],
  ["a tag", "yaml", "a: !js x", /^f:1:8: error: tags like "!js"/],
  ["__proto__", "yaml", "__proto__: {a: 1}", /^f:1:1: error: the key "__proto__" is not possible/],
  ["an empty file", "yaml", "# nothing\n", /^f: error: the file is empty\n {2}hint: .*sluice init/],
  ["JSON with a comma too many", "json", '{\n"a": [1,]}', /^f:2:8: error: this is not JSON: /],
  ["JSON with a comment", "json", '{"a": 1} # x', /^f:1:10: error: this is not JSON: /],
  ["JSON without a comma", "json", '{"a": 1\n "b": 2}', /^f:2:2: error: this is not JSON: /],
  ["JSON with plain texts", "json", '{"a": b}', "f:1:7: error: JSON texts stand in double quotes"],
  ["JSON with single quotes", "json", "{\"a\": 'b'}", "f:1:7: error: JSON texts stand in double quotes"],
  ["JSON with plain keys", "json", '{a: "b"}', "f:1:2: error: JSON keys stand in double quotes"],
  ["YAML in a JSON file", "json", "a: 1", "f:1:1: error: JSON objects are written { … }"],
  ["a YAML list in a JSON file", "json", "- 1", "f:1:1: error: JSON lists are written [ … ]"],
  ["JSON that ends too early", "json", '{"a": [1', /^f:1:\d+: error: /],
];
for (const [name, kind, text, want] of ERRORS) {
  test(`refuses ${name}`, () => {
    const shown = errorOf(() => parseText(text, "f", kind === "json"));
    if (typeof want === "string") expect(shown).toBe(want);
    else expect(shown).toMatch(want);
  });
}

function errorOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error.diagnostics.map(renderDiagnostic).join("\n");
    throw error;
  }
  return "no error";
}

const TEXT = `listeners:
  - address: ":1"
    "timeouts": { idle: 5s }
shared: &s { x: 1 }
routes: [ { <<: *s, to: app } ]
`;
const PLACES: readonly (readonly [path: ConfigPath, at: "key" | "value", want: string])[] = [
  [[], "value", "1:1"],
  [["listeners"], "key", "1:1"],
  [["listeners", 0], "value", "2:5"],
  [["listeners", 0, "address"], "key", "2:5"],
  [["listeners", 0, "address"], "value", "2:14"],
  [["listeners", 0, "timeouts", "idle"], "value", "3:25"],
  [["listeners", 0, "timeouts", "header"], "value", "3:5"],
  [["listeners", 7, "address"], "value", "1:1"],
  [["routes", 0, "to"], "value", "5:25"],
  [["routes", 0, "x"], "value", "4:17"],
  [["nothing"], "value", "1:1"],
];
for (const [path, at, want] of PLACES) {
  test(`the ${at} of ${JSON.stringify(path)} stands at ${want}`, () => {
    const { line, column } = parseText(TEXT, "f", false).locate(path, at);
    expect(`${line}:${column}`).toBe(want);
  });
}
