// Examples that are made of schemas fit them.
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compileSchema, Documents, sampleOf } from "./index.ts";
import { patternSample } from "./pattern-sample.ts";

const PLACE = { file: "/s", path: [] };

function sample(schema: unknown, definitions: unknown = {}, way: "request" | "response" = "response"): unknown {
  const documents = new Documents(() => ({ schema, definitions }));
  return sampleOf(documents, schema, { file: "/s", path: ["schema"] }, way);
}

const person = { type: "object", properties: { name: { type: "string" }, boss: { $ref: "#/definitions/person" } } };
const CASES: readonly (readonly [name: string, schema: unknown, want: unknown])[] = [
  ["text", { type: "string" }, "text"],
  ["text of a length", { type: "string", minLength: 6, maxLength: 6 }, "textte"],
  ["short text", { type: "string", maxLength: 2 }, "te"],
  ["format", { type: "string", format: "date" }, "2026-01-02"],
  ["pattern", { type: "string", pattern: "^[A-Z]{2}-\\d+$" }, "AA-0"],
  ["a pattern that nothing is made of", { type: "string", pattern: "^(?=b)a" }, "text"],
  ["number", { type: "number" }, 0],
  ["at least", { type: "integer", minimum: 3 }, 3],
  ["above", { type: "integer", exclusiveMinimum: 3 }, 4],
  ["above, of 3.0", { type: "integer", minimum: 3, exclusiveMinimum: true }, 4],
  ["below", { type: "integer", maximum: -3, exclusiveMaximum: true }, -4],
  ["between", { type: "number", exclusiveMinimum: 0, maximum: 0.5 }, 0.25],
  ["multiple", { type: "number", minimum: 1, multipleOf: 0.3 }, 1.2],
  ["boolean", { type: "boolean" }, true],
  ["null", { type: "null" }, null],
  ["null or something", { type: ["null", "integer"] }, 0],
  ["example", { type: "string", example: "this" }, "this"],
  ["examples", { type: "string", examples: ["first", "second"] }, "first"],
  ["default", { type: "string", default: "usual" }, "usual"],
  ["constant", { const: 7 }, 7],
  ["one of some", { enum: ["a", "b"] }, "a"],
  ["list", { type: "array", items: { type: "integer" } }, [0]],
  ["list of several", { type: "array", items: { type: "integer" }, minItems: 3, uniqueItems: true }, [0, 1, 2]],
  ["no list", { type: "array", items: { type: "integer" }, maxItems: 0 }, []],
  ["tuple", { type: "array", prefixItems: [{ type: "string" }, { type: "integer" }] }, ["text", 0]],
  ["object", { properties: { a: { type: "string" }, b: { type: "integer" } } }, { a: "text", b: 0 }],
  ["names of any kind", { type: "object", additionalProperties: { type: "integer" } }, { key1: 0 }],
  ["required but not described", { type: "object", required: ["a"] }, { a: "text" }],
  ["only written", { properties: { a: { type: "string", writeOnly: true }, b: { type: "null" } } }, { b: null }],
  ["all of", { allOf: [{ properties: { a: { const: 1 } } }, { properties: { b: { const: 2 } } }] }, { a: 1, b: 2 }],
  ["one of", { oneOf: [{ type: "null" }, { type: "string" }] }, "text"],
  ["beside one of", { properties: { a: { const: 1 } }, anyOf: [{ properties: { b: { const: 2 } } }] }, { a: 1, b: 2 }],
  ["itself", { $ref: "#/definitions/person" }, { name: "text" }],
  ["a list of itself", { type: "array", items: { $ref: "#/definitions/person" } }, [{ name: "text" }]],
  ["what never ends", { $ref: "#/definitions/endless" }, undefined],
];

describe("a sample", () => {
  const definitions = {
    person,
    endless: { type: "object", required: ["next"], properties: { next: { $ref: "#/definitions/endless" } } },
  };
  for (const [name, schema, want] of CASES) test(name, () => expect(sample(schema, definitions)).toEqual(want));

  test("of a request has what is only written", () => {
    const schema = { properties: { a: { type: "null", writeOnly: true }, b: { type: "null", readOnly: true } } };
    expect(sample(schema, {}, "request")).toEqual({ a: null });
  });

  test("of a schema that branches without end is small, and is made at once", () => {
    const branches = Object.fromEntries(
      Array.from({ length: 30 }, (_, at) => [`p${at}`, { $ref: "#/definitions/wide" }]),
    );
    const wide = { allOf: [{ $ref: "#/definitions/half" }, { $ref: "#/definitions/half" }], properties: branches };
    const half = { oneOf: [{ properties: branches }, { type: "object" }] };
    const before = performance.now();
    const made = sample({ type: "object", properties: branches }, { wide, half });
    expect(JSON.stringify(made).length).toBeLessThan(100_000);
    expect(performance.now() - before).toBeLessThan(1000);
  });
});

test("samples fit their schemas", () => {
  const scalar = fc.oneof(
    fc.record({ type: fc.constant("string"), minLength: fc.nat(5), maxLength: fc.integer({ min: 5, max: 9 }) }),
    fc.record({
      type: fc.constant("string"),
      format: fc.constantFrom("date", "date-time", "uuid", "ipv6", "email", "uri"),
    }),
    fc.record({ type: fc.constant("string"), pattern: fc.constantFrom("^[a-f0-9]{8}$", "^(a|b)+c?$", "^\\w+@x\\.y$") }),
    fc.record({ type: fc.constant("integer"), minimum: fc.integer({ min: -50, max: 50 }) }),
    fc.record({
      type: fc.constant("integer"),
      maximum: fc.integer({ min: -50, max: 50 }),
      multipleOf: fc.constantFrom(1, 5),
    }),
    fc.record({ enum: fc.array(fc.string(), { minLength: 1 }) }),
    fc.constant({ type: ["null", "boolean"] }),
  );
  const { schema } = fc.letrec((tie) => ({
    schema: fc.oneof({ maxDepth: 3 }, scalar, tie("list"), tie("object"), tie("all")),
    list: fc.record({ type: fc.constant("array"), items: tie("schema"), minItems: fc.nat(1) }),
    object: fc
      .record({ type: fc.constant("object"), properties: fc.dictionary(fc.constantFrom("a", "b", "c"), tie("schema")) })
      .map((made) => ({
        ...made,
        required: Object.keys(made.properties as object).slice(0, 2),
        additionalProperties: false,
      })),
    all: fc.record({ anyOf: fc.array(tie("schema"), { minLength: 1, maxLength: 3 }) }),
  }));
  fc.assert(
    fc.property(schema, (made) => {
      const documents = new Documents(() => made);
      const { checker } = compileSchema(documents, made, PLACE, (pattern) => new RegExp(pattern, "u"));
      const value = sampleOf(documents, made, PLACE, "response");
      expect(checker!.errors(value, 1000) ?? []).toEqual([]);
    }),
    { numRuns: 50 }, // each compiles a validator
  );
}, 20_000);

test("texts for patterns fit them, or are none", () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[abc\\dw^$.|?*+()[\]{},1-3-]{0,20}$/), (pattern) => {
      const text = patternSample(pattern);
      if (text !== null) expect(text).toMatch(new RegExp(pattern, "u"));
    }),
    { numRuns: 2000 },
  );
});
