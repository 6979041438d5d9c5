import { expect, test } from "bun:test";
import { cycleProblems, directionProblem, importsOf } from "./imports.ts";
import { decisionProblems, textProblems } from "./text.ts";

test("every way of importing is found, packages are not", () => {
  const source = `
import { a } from "../core/a.ts";
import type { B } from "./b.ts";
import "./c.ts";
export * from './d.ts';
export type { E } from "./e.ts";
const f = await import("./f.ts");
type G = import("./g.ts").G;
new Worker(new URL("./h.ts", import.meta.url));
import { readFileSync } from "node:fs";
import {
  long,
  list,
} from "./i.ts";`;
  const names = ["src/core/a.ts", ..."bcdefghi".split("").map((each) => `src/http/${each}.ts`)];
  expect(importsOf("src/http/x.ts", source).sort()).toEqual(names.sort());
});

const DIRECTIONS: readonly (readonly [from: string, to: string, want: "fine" | string])[] = [
  ["src/http/h1/a.ts", "src/http/b.ts", "fine"],
  ["src/http/h1/a.ts", "src/core/b.ts", "fine"],
  ["src/http/h1/a.ts", "src/transport/b.ts", "src/http/ may not import src/transport/"],
  ["src/core/a.ts", "src/http/b.ts", "src/core/ may not import src/http/"],
  ["src/upstream/a.ts", "src/server/b.ts", "may not import"],
  ["src/cli/a.ts", "src/control/b.ts", "fine"],
  ["src/control/a.ts", "src/cli/b.ts", "may not import"],
  ["src/wire.ts", "src/server/a.ts", "fine"],
  ["src/main.ts", "src/wire.ts", "fine"],
  ["src/control/a.ts", "src/wire.ts", "fine"],
  ["src/upstream/a.ts", "src/wire.ts", "may not import"],
  ["src/index.ts", "src/main.ts", "nobody imports"],
  ["src/odd/a.ts", "src/core/b.ts", "not in the table"],
  ["src/core/a.ts", "test/support/b.ts", "outside of src/"],
  ["src/filters/cors/a.ts", "src/filters/cors/b.ts", "fine"],
  ["src/filters/cors/a.ts", "src/filters/waf/b.ts", "neighbour"],
  ["src/filters/index.ts", "src/filters/waf/b.ts", "fine"],
  ["test/a.test.ts", "src/index.ts", "fine"],
];
for (const [from, to, want] of DIRECTIONS)
  test(`${from} → ${to}: ${want}`, () => {
    const problem = directionProblem(from, to);
    if (want === "fine") expect(problem).toBeNull();
    else expect(problem).toContain(want);
  });

test("cycles are found, diamonds are not cycles", () => {
  const graph = (edges: Record<string, string[]>) => new Map(Object.entries(edges));
  expect(cycleProblems(graph({ a: ["b", "c"], b: ["d"], c: ["d"], d: [] }))).toEqual([]);
  expect(cycleProblems(graph({ a: ["b"], b: ["c"], c: ["b"] }))).toEqual(["import cycle: b → c → b"]);
  expect(cycleProblems(graph({ a: ["a"] }))).toEqual(["import cycle: a → a"]);
});

const words = (...parts: string[]) => parts.join("");
const TEXTS: readonly (readonly [name: string, path: string, text: string, want: readonly string[]])[] = [
  ["nothing wrong", "src/a.ts", "const a = 1;\n", []],
  ["a long file", "src/a.ts", "a;\n".repeat(501), ["src/a.ts: 501 lines; 500 is the most"]],
  ["the longest file", "src/a.ts", "a;\n".repeat(500), []],
  ["a long test", "src/a.test.ts", "a;\n".repeat(900), []],
  ["a long line", "src/a.ts", `${"a + ".repeat(31)}b;`, ["src/a.ts:1: 126 characters; 120 is the most"]],
  ["a long string", "src/a.ts", `const a = "${"b ".repeat(70)}";`, []],
  ["long prose", "docs/a.md", "a ".repeat(100), []],
  [
    "the clock",
    "src/http/a.ts",
    "const a = Date.now();",
    ["src/http/a.ts:1: Date.now( – take the time from core/clock.ts, or as an argument"],
  ],
  ["the clock in a comment", "src/http/a.ts", "// Date.now() is slow", []],
  ["the clock where it belongs", "src/core/clock.ts", "const a = Date.now();", []],
  ["the clock in a test", "src/http/a.test.ts", "const a = Date.now();", []],
  [
    "chance",
    "src/http/a.ts",
    "Math.random()",
    ["src/http/a.ts:1: Math.random( – take the source of chance as an argument"],
  ],
  [
    "sockets",
    "src/server/a.ts",
    "Bun.listen({})",
    ["src/server/a.ts:1: Bun.listen( – only src/transport/ touches sockets"],
  ],
  ["sockets where they belong", "src/transport/a.ts", "Bun.listen({})", []],
  ["a leftover", "docs/a.md", words("FIX", "ME later"), ["docs/a.md:1: a leftover note; do it, or write an issue"]],
  ["a machine's path", "docs/a.md", words("see /ho", "me/ann/x"), ["docs/a.md:1: a path of one machine"]],
  ["a registry", "a.json", words('"https://regis', 'try.example.com/a"'), ["a.json:1: the host of a package registry"]],
];
for (const [name, path, text, want] of TEXTS) test(name, () => expect(textProblems(path, text)).toEqual([...want]));

const BODY = "\n\n## Context\n\na\n\n## Decision\n\nb\n\n## Consequences\n\nc\n\n## Revisit when\n\nd\n";
const DECISIONS: readonly (readonly [name: string, path: string, text: string, want: readonly string[]])[] = [
  ["in form", "0001-runtime.md", `# 0001 Runtime${BODY}`, []],
  ["odd name", "runtime.md", `# 0001 Runtime${BODY}`, ["name must read"]],
  ["another number", "0002-runtime.md", `# 0001 Runtime${BODY}`, ["title must read"]],
  [
    "a section missing",
    "0001-runtime.md",
    `# 0001 Runtime${BODY.replace("## Decision", "## Idea")}`,
    ['"## Decision"'],
  ],
  [
    "out of order",
    "0001-runtime.md",
    `# 0001 R\n\n## Decision\n${BODY.replace("## Decision\n", "")}`,
    ['"## Decision"'],
  ],
];
for (const [name, path, text, want] of DECISIONS)
  test(`a decision: ${name}`, () => {
    const problems = decisionProblems(`docs/decisions/${path}`, text);
    expect(problems).toHaveLength(want.length);
    want.forEach((part, index) => {
      expect(problems[index]).toContain(part);
    });
  });
