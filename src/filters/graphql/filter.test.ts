import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { graphqlSchema } from "../../config/schema-graphql.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import { UNSHARED } from "../../pipeline/shared.ts";
import { contextOf } from "../context.testing.ts";
import { graphql } from "./filter.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "graphql-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function fileOf(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

function filterOf(config: object, counts: string[] = [], lines: unknown[] = []) {
  const shared = {
    ...UNSHARED,
    count: (_: string, labels: readonly string[]) => void counts.push(labels.join(" ")),
    tell: (_: string, fields: unknown) => void lines.push(fields),
  };
  return graphql.compile({ graphql: graphqlSchema.parse(config) }, contextOf({ shared }))[0]!;
}

const ask = (filter: ReturnType<typeof filterOf>, query: string, more: object = {}) => {
  const x = exchangeOf({ target: `/graphql?query=${encodeURIComponent(query)}`, ...more });
  const outcome = filter.request!(x) as { status: number } | undefined;
  return { x, status: outcome?.status ?? 0 };
};

describe("mistakes are told with their place", () => {
  const SCHEMA = "type Query { me: User }\ntype User { name: String }\n";
  const CASES: readonly (readonly [name: string, make: () => object, message: string])[] = [
    ["no schema", () => ({ schema: join(folder, "none") }), "none cannot be read (ENOENT)"],
    ["a wrong one", () => ({ schema: fileOf("w.graphql", "type Query {\n  a Int\n}") }), "w.graphql:2:5: Syntax Error"],
    [
      "an unknown type",
      () => ({ schema: fileOf("u.graphql", "type Query {\n  a: B\n}") }),
      "u.graphql:2:6: Unknown type",
    ],
    [
      "a field that is not there",
      () => ({ schema: fileOf("s.graphql", SCHEMA), fields: { deny: ["User.nam"] } }),
      "the schema has no User.nam",
    ],
    [
      "a weight of none",
      () => ({ schema: fileOf("s.graphql", SCHEMA), cost: { weights: { Usr: 1 } } }),
      "the schema has no Usr",
    ],
    [
      "a field below",
      () => ({ schema: fileOf("s.graphql", SCHEMA), fields: { allow: ["User.name"] } }),
      "is about the fields of operations",
    ],
    ["one that nobody can tell", () => ({ fields: { deny: ["User.name"] } }), "without a `schema`"],
    ["no documents", () => ({ persisted: { files: folder } }), "there are no documents"],
    ["a wrong document", () => ({ persisted: { files: fileOf("d.graphql", "{ a\n") } }), "d.graphql:2:1: Syntax Error"],
    [
      "a wrong one in a list",
      () => ({ persisted: { files: fileOf("l.json", '{"x1":"{"}') } }),
      "l.json (x1): Syntax Error",
    ],
    ["no list", () => ({ persisted: { files: fileOf("n.json", "[]") } }), "documents by their ids"],
    ["no JSON", () => ({ persisted: { files: fileOf("j.json", "{") } }), "it is no JSON"],
    [
      "two documents with one id",
      () => ({ persisted: { files: [fileOf("a.json", '{"x":"{a}"}'), fileOf("b.json", '{"x":"{b}"}')] } }),
      '"x" is another document elsewhere',
    ],
  ];
  for (const [name, make, message] of CASES)
    test(name, () => {
      if (name === "no documents") {
        const empty = join(folder, "empty");
        mkdirSync(empty);
        expect(() => filterOf({ persisted: { files: empty } })).toThrow(message);
      } else expect(() => filterOf(make())).toThrow(message);
    });

  test("and what makes no sense", () => {
    for (const wrong of [
      { persisted: {} },
      { persisted: { apq: true, only: true } },
      { fields: { deny: ["name"] } },
      { operations: { allow: ["a b"] } },
      { cost: { sizeArguments: ["first."] } },
      { maxDepth: 0 },
    ])
      expect(graphqlSchema.safeParse(wrong).success).toBe(false);
  });
});

test("files that have changed are read again", () => {
  const file = fileOf("changed.json", '{"x":"{a}"}');
  const config = { persisted: { files: file, only: true } };
  expect(ask(filterOf(config), "{b}").status).toBe(200);
  writeFileSync(file, '{"x":"{b}"}');
  expect(ask(filterOf(config), "{b}").status).toBe(0);
});

test("what becomes of requests is counted, and logged at most so often", () => {
  const counts: string[] = [];
  const lines: unknown[] = [];
  const filter = filterOf({ maxDepth: 1, maxCost: 3 }, counts, lines);
  ask(filter, "query Q { a }");
  ask(filter, "mutation M { a }");
  ask(filter, "{ a b c d }");
  ask(filter, "{");
  expect(counts).toEqual(["test query passed", "test mutation method", "test query cost", "test  syntax"]);
  for (let time = 0; time < 100; time += 1) ask(filter, "query Deep { a { b } }");
  expect(counts.at(-1)).toBe("test query depth");
  expect(lines.length).toBe(10);
  expect(lines.at(-1)).toMatchObject({ type: "query", operation: "Deep", reason: "depth", result: "refused" });
});

test("others see what it is and what it costs", () => {
  const { x } = ask(filterOf({}), "query Name { a(first: 5) { b } }");
  expect([x.operation, x.points, x.fault]).toEqual(["Name", 6, null]);
  const refused = ask(filterOf({ maxDepth: 1 }), "query Deep { a { b } }");
  expect([refused.x.operation, refused.x.fault?.code]).toEqual(["Deep", "graphql.limit"]);
});

test("some may ask for the schema", () => {
  const filter = filterOf({ introspection: { groups: ["staff"] }, errors: { status: "always" } });
  const statusFor = (groups: readonly string[] | null): number => {
    const x = exchangeOf({ target: `/?query=${encodeURIComponent("{__schema{types{name}}}")}` });
    if (groups !== null) x.identity = { groups } as unknown as NonNullable<typeof x.identity>;
    return (filter.request!(x) as { status: number } | undefined)?.status ?? 0;
  };
  expect([statusFor(null), statusFor(["other"]), statusFor(["other", "staff"])]).toEqual([403, 403, 0]);
});
