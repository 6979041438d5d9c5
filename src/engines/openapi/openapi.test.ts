import { describe, expect, test } from "bun:test";
import { answerPlan, bodyProblems, compileApi, compileSchema, Documents, headerProblems, SpecError } from "./index.ts";

type Json = Readonly<Record<string, unknown>>;

const native = (pattern: string): RegExp => {
  try {
    return new RegExp(pattern, "u");
  } catch {
    throw new RangeError("no pattern");
  }
};

const apiOf = (document: Json, base: string | null = null, others: Readonly<Record<string, unknown>> = {}) =>
  compileApi(
    new Documents((file, from) => {
      const value = file === "/a/main.yaml" ? document : others[file];
      if (value === undefined) throw new SpecError(`no file ${file}`, from);
      return value;
    }),
    "/a/main.yaml",
    base,
    native,
  );

const withPaths = (paths: Json, version = "3.0.3", more: Json = {}): Json => ({ openapi: version, paths, ...more });
const OK = { "200": { description: "" } };
const get = (parameters: readonly unknown[]): Json => ({ get: { parameters, responses: OK } });

/** What is wrong with the parameters of a GET, as short text. */
function problemsOf(template: string, parameters: readonly unknown[], target: string, fields: Json = {}): string {
  const [path = "", query = ""] = target.split("?");
  const found = apiOf(withPaths({ [template]: get(parameters) })).find("GET", path);
  if (found.kind !== "operation") return found.kind;
  const header = (name: string) => (fields[name] as string | undefined) ?? null;
  const problems = found.operation.parameterProblems({ query, header }, found.values);
  return problems.map((each) => `${each.in}${each.path} ${each.message}`).join("; ");
}

describe("paths", () => {
  const paths = ["/users/me", "/users/{id}", "/users/{id}/{name}.json", "/users/{id}/{rest}", "/v{a}-{b}", "/", "/a b"];
  const api = apiOf(withPaths(Object.fromEntries(paths.map((path) => [path, { get: { responses: OK } }]))));
  const CASES: readonly (readonly [path: string, values: readonly string[] | null])[] = [
    ["/users/me", []],
    ["/users/7", ["7"]],
    ["/users/7/x.json", ["7", "x"]],
    ["/users/7/.json", ["7", ".json"]],
    ["/users/me/x", ["me", "x"]],
    ["/users/", null],
    ["/v1-2-3", ["1", "2-3"]],
    ["/v1", null],
    ["/", []],
    ["/a%20b", []],
    ["/constructor", null],
    ["/users/7/x/y", null],
  ];
  for (const [path, values] of CASES)
    test(path, () => {
      const found = api.find("GET", path);
      expect(found.kind === "operation" ? found.values : null).toEqual(values as string[]);
    });

  test("methods, HEAD and Allow", () => {
    const one = apiOf(withPaths({ "/a": { get: { responses: OK }, delete: { responses: OK } } }));
    expect(one.find("HEAD", "/a").kind).toBe("operation");
    expect(one.find("PUT", "/a")).toEqual({ kind: "method", allow: "GET, HEAD, DELETE" });
    expect(one.find("constructor", "/a").kind).toBe("method");
    expect(one.find("GET", "/b").kind).toBe("path");
  });

  test("begin below the path of the first server, or another", () => {
    const url = "https://{host}/api/{v}/";
    const variables = { host: { default: "a.example" }, v: { default: "v1" } };
    const document = withPaths({ "/a": { get: { responses: OK } } }, "3.1.0", { servers: [{ url, variables }] });
    const kinds = (base: string | null) => {
      const api = apiOf(document, base);
      return ["/api/v1/a", "/api/v1a", "/x/a", "/a"].map((p) => api.find("GET", p).kind);
    };
    expect(kinds(null)).toEqual(["operation", "path", "path", "path"]);
    expect(kinds("/x")).toEqual(["path", "path", "operation", "path"]);
    expect(kinds("")).toEqual(["path", "path", "path", "operation"]);
  });
});

describe("parameters", () => {
  const p = (name: string, schema: Json, more: Json = {}) => ({ name, in: "query", schema, ...more });
  const integer = { type: "integer" };
  const list = { type: "array", items: integer };
  const object = { type: "object", properties: { a: integer, b: { type: "string" } }, additionalProperties: false };
  const CASES: readonly (readonly [name: string, parameter: Json, query: string, want: string])[] = [
    ["an integer", p("n", integer), "n=5", ""],
    ["no integer", p("n", integer), "n=5x", "query/n must be integer"],
    ["hexadecimal", p("n", integer), "n=0x5", "query/n must be integer"],
    ["zeros in front", p("n", integer), "n=007", "query/n must be integer"],
    ["an exponent", p("n", { type: "number", maximum: 99 }), "n=1e3", "query/n must be <= 99"],
    ["empty", p("n", integer), "n=", "query/n must be integer"],
    ["empty, allowed", p("n", integer, { allowEmptyValue: true }), "n=", ""],
    ["required", p("n", integer, { required: true }), "m=1", "query must have required property 'n'"],
    ["twice", p("n", integer), "n=1&n=2", "query/n must not be there twice"],
    ["encoded name", p("n", integer), "%6e=x", "query/n must be integer"],
    ["bad encoding", p("s", { type: "string" }), "s=%zz", "query/s must be percent-encoded UTF-8"],
    ["no UTF-8", p("s", { type: "string" }), "s=%ff", "query/s must be percent-encoded UTF-8"],
    ["a plus is a space", p("s", { enum: ["a b"] }), "s=a+b", ""],
    ["boolean", p("b", { type: "boolean" }), "b=true", ""],
    ["no boolean", p("b", { type: "boolean" }), "b=1", "query/b must be boolean"],
    ["text that looks like a number", p("s", { type: "string" }), "s=5", ""],
    ["of two types", p("s", { oneOf: [integer, { type: "string", enum: ["x"] }] }), "s=5", ""],
    ["form, exploded", p("l", list), "l=1&l=2", ""],
    ["form, exploded, wrong", p("l", list), "l=1&l=x", "query/l/1 must be integer"],
    ["form", p("l", list, { explode: false }), "l=1,2,x", "query/l/2 must be integer"],
    ["pipes", p("l", list, { style: "pipeDelimited", explode: false }), "l=1%7C2|3", ""],
    ["spaces", p("l", list, { style: "spaceDelimited", explode: false }), "l=1%202+x", "query/l/2 must be integer"],
    ["deep object", p("o", object, { style: "deepObject", explode: true }), "o[a]=1&o%5Bb%5D=x", ""],
    ["deep object, wrong", p("o", object, { style: "deepObject" }), "o[a]=z", "query/o/a must be integer"],
    [
      "deep object, unknown",
      p("o", object, { style: "deepObject" }),
      "o[c]=z",
      "query/o must NOT have additional properties: c",
    ],
    ["object, exploded", p("o", object), "a=x", "query/o/a must be integer"],
    ["object in one", p("o", object, { explode: false }), "o=a,1,b,x", ""],
    ["object in one, odd", p("o", object, { explode: false }), "o=a,1,b", "query/o must be names and values in turn"],
    ["JSON", { name: "j", in: "query", content: { "application/json": { schema: list } } }, "j=[1,2]", ""],
    [
      "JSON, wrong",
      { name: "j", in: "query", content: { "application/json": { schema: list } } },
      "j=[1,",
      "query/j must be JSON",
    ],
    ["a name of prototypes", p("__proto__", integer, { required: true }), "__proto__=5", ""],
    [
      "constructor is not there",
      p("constructor", { type: "string" }, { required: true }),
      "",
      "query must have required property 'constructor'",
    ],
  ];
  for (const [name, parameter, query, want] of CASES)
    test(name, () => expect(problemsOf("/", [parameter], `/?${query}`)).toBe(want));

  test("of the path, in fields and cookies", () => {
    const all = [
      { name: "id", in: "path", required: true, schema: { type: "string", maxLength: 3 } },
      { name: "X-Count", in: "header", schema: integer, required: true },
      { name: "Authorization", in: "header", schema: integer, required: true },
      { name: "X-List", in: "header", schema: list },
      { name: "seen", in: "cookie", schema: { type: "boolean" } },
    ];
    const fields = { "x-count": "5", "x-list": "1, 2", cookie: "a=b; seen=true" };
    expect(problemsOf("/{id}", all, "/%C3%A4%20x", fields)).toBe("");
    expect(problemsOf("/{id}", all, "/abcd", { ...fields, "x-list": "1,x", cookie: "seen=yes" })).toBe(
      "path/id must NOT have more than 3 characters; header/x-list/1 must be integer; cookie/seen must be boolean",
    );
    expect(problemsOf("/{id}", all, "/a", {})).toBe("header must have required property 'x-count'");
  });

  test("are at most so many", () => {
    expect(problemsOf("/", [p("n", integer)], `/?${"a&".repeat(1001)}`)).toBe(
      "query must not have more than 1000 parts",
    );
  });
});

/** What is wrong with a body of this type. */
function bodyOf(schema: Json, text: string, version = "3.0.3", type = "application/json"): string {
  const post = { requestBody: { required: true, content: { [type]: { schema } } }, responses: OK };
  const components = {
    schemas: { Node: { type: "object", properties: { next: { $ref: "#/components/schemas/Node" } } } },
  };
  const found = apiOf(withPaths({ "/": { post } }, version, { components })).find("POST", "/");
  if (found.kind !== "operation") return found.kind;
  const plan = found.operation.bodyPlan({ header: (name) => (name === "content-type" ? type : null) }, true);
  if (plan.kind !== "check") return plan.kind;
  return bodyProblems(Buffer.from(text), plan.content, plan.reading)
    .map((each) => `${each.path} ${each.message}`)
    .join("; ");
}

describe("bodies", () => {
  const CASES: readonly (readonly [name: string, schema: Json, body: string, want: string, version?: string])[] = [
    ["nullable", { type: "string", nullable: true }, "null", ""],
    ["nullable is nothing in 3.1", { type: "string", nullable: true }, "null", " must be string", "3.1.0"],
    ["exclusive, as a flag", { type: "number", minimum: 1, exclusiveMinimum: true }, "1", " must be > 1"],
    ["exclusive, as a number", { exclusiveMinimum: 1 }, "1", " must be > 1", "3.1.0"],
    ["types", { type: ["string", "null"] }, "5", " must be string,null", "3.1.0"],
    [
      "a reference to itself",
      { $ref: "#/components/schemas/Node" },
      '{"next":{"next":5}}',
      "/next/next must be object",
    ],
    [
      "several things",
      { properties: { a: { type: "string" }, b: { type: "string" } } },
      '{"a":1,"b":2}',
      "/a must be string; /b must be string",
    ],
    ["a name twice", {}, '{"a":1,"a":2}', " must not have a name twice in an object"],
    ["a name twice, escaped", {}, '{"a":1,"\\u0061":2}', " must not have a name twice in an object"],
    ["colons and quotes in texts", {}, '{"a:\\":":["x:y","\\\\"]}', ""],
    ["no JSON", {}, "{a:1}", " must be JSON"],
    ["nothing", {}, "", " must be JSON"],
    ["too deep", {}, "[".repeat(100_000), " must not be nested more than 64 deep"],
    [
      "prototype names",
      { required: ["constructor"] },
      '{"__proto__":{"constructor":1}}',
      " must have required property 'constructor'",
    ],
    [
      "unknown names",
      { additionalProperties: false },
      '{"__proto__":1}',
      " must NOT have additional properties: __proto__",
    ],
    ["equal objects", { uniqueItems: true }, '[{"a":1,"b":2},{"b":2,"a":1}]', " must not have equal items"],
    ["unequal items", { uniqueItems: true }, '[1,"1",[1],{"a":1},null,true]', ""],
    ["a format", { type: "string", format: "date" }, '"2026-02-30"', ' must match format "date"'],
    ["only read", { properties: { id: { readOnly: true } }, required: ["id"] }, "{}", ""],
    [
      "only written",
      { properties: { id: { writeOnly: true } }, required: ["id"] },
      "{}",
      " must have required property 'id'",
    ],
  ];
  for (const [name, schema, body, want, version] of CASES)
    test(name, () => expect(bodyOf(schema, body, version)).toBe(want));

  test("no UTF-8", () => {
    const { checker } = compileSchema(new Documents(() => null), { type: "string" }, { file: "", path: [] }, native);
    const problems = bodyProblems(
      Buffer.from([0x22, 0xff, 0x22]),
      { checker, shape: { scalars: 0, items: null, properties: null } },
      "json",
    );
    expect(problems[0]?.message).toBe("must be text in UTF-8");
  });

  test("forms", () => {
    const schema = {
      type: "object",
      properties: { n: { type: "integer" }, l: { type: "array", items: { type: "integer" } } },
      required: ["n"],
    };
    const form = (text: string) => bodyOf(schema, text, "3.0.3", "application/x-www-form-urlencoded");
    expect([form("n=5&l=1&l=2&o=x"), form("n=x"), form("l=1"), form("n=1&n=2"), form("n=%zz")]).toEqual([
      ...["", "/n must be integer", " must have required property 'n'", " must not be there twice"],
      " must be percent-encoded UTF-8",
    ]);
  });

  test("many equal items take no time", () => {
    const text = JSON.stringify(Array.from({ length: 100_000 }, (_, at) => ({ at })));
    const start = performance.now();
    expect(bodyOf({ uniqueItems: true }, text)).toBe("");
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test("schemas that refer to themselves in several ways take no time without end", () => {
    const children = { type: "array", items: { $ref: "#/x" } };
    const kind = (name: string) => ({ properties: { children, kind: { const: name } }, required: ["kind"] });
    const post = { requestBody: { content: { "application/json": { schema: { $ref: "#/x" } } } }, responses: OK };
    const x = { oneOf: [kind("a"), kind("b"), kind("c")] };
    const found = apiOf({ ...withPaths({ "/": { post } }), x }).find("POST", "/");
    if (found.kind !== "operation") throw new Error(found.kind);
    const json = { header: (name: string) => (name === "content-type" ? "application/json" : null) };
    const taken = found.operation.bodyPlan(json, true);
    if (taken.kind !== "check") throw new Error(taken.kind);
    const check = (depth: number) => {
      const text = `${'{"kind":"a","children":['.repeat(depth)}{"kind":"a"}${"]}".repeat(depth)}`;
      return bodyProblems(Buffer.from(text), taken.content, "json").map((each) => each.message);
    };
    const start = performance.now();
    expect(check(3)).toEqual([]);
    expect(check(30)).toEqual(["takes too long to check"]);
    expect(performance.now() - start).toBeLessThan(5000);
  });

  test("numbers that are no exact multiples in binary", () => {
    expect(bodyOf({ multipleOf: 0.01 }, "19.99")).toBe("");
    expect(bodyOf({ multipleOf: 0.01 }, "19.995")).toBe(" must be multiple of 0.01");
  });

  test("the list of what is wrong is short", () => {
    expect(bodyOf({ items: { type: "string" } }, JSON.stringify(Array(1000).fill(1))).split("; ")).toHaveLength(10);
  });
});

test("content types", () => {
  const content = { "application/json; v=2": {}, "text/*": {}, "image/png": {} };
  const post = { requestBody: { required: true, content }, responses: OK };
  const found = apiOf(withPaths({ "/": { post } })).find("POST", "/");
  if (found.kind !== "operation") throw new Error(found.kind);
  const { operation } = found;
  const kind = (type: string | null, hasBody = true) =>
    operation.bodyPlan({ header: (name) => (name === "content-type" ? type : null) }, hasBody).kind;
  expect(
    ["application/json", "application/json;V=2; x=1", "text/html", "image/gif", "", null].map((t) => kind(t)),
  ).toEqual(["type", "pass", "pass", "type", "type", "type"]);
  expect(kind(null, false)).toBe("missing");
});

test("answers", () => {
  const headers = { "X-Left": { required: true, schema: { type: "integer" } } };
  const content = { "application/json": { schema: { type: "array" } } };
  const responses = { "200": { description: "", headers, content }, "4XX": { description: "" } };
  const found = apiOf(withPaths({ "/": { get: { responses } } })).find("GET", "/");
  if (found.kind !== "operation") throw new Error(found.kind);
  const { operation } = found;
  expect([operation.answer(200), operation.answer(404), operation.answer(500)].map((each) => each !== null)).toEqual([
    true,
    true,
    false,
  ]);
  const answer = operation.answer(200)!;
  expect(headerProblems({ header: () => "5" }, answer)).toEqual([]);
  expect(headerProblems({ header: () => "x" }, answer)[0]?.path).toBe("/x-left");
  expect(headerProblems({ header: () => null }, answer)).toHaveLength(1);
  expect(answerPlan({ header: () => "text/html" }, answer).kind).toBe("type");
  expect(answerPlan({ header: (name) => (name === "content-type" ? "application/json" : null) }, answer).kind).toBe(
    "check",
  );
});

describe("what is no document", () => {
  const body = (schema: unknown): Json =>
    withPaths({ "/": { post: { requestBody: { content: { "application/json": { schema } } } } } });
  const CASES: readonly (readonly [name: string, document: unknown, message: string, path: string])[] = [
    ["nothing", null, "an object", ""],
    ["another version", { swagger: "2.0", paths: {} }, "version 2.0 is not supported", "openapi"],
    ["no paths", { openapi: "3.0.0" }, "no `paths`", ""],
    ["a path without a slash", withPaths({ a: {} }), "begins with /", "paths/a"],
    ["two paths alike", withPaths({ "/{a}": {}, "/{b}": {} }), "the same but for the names", "paths//{b}"],
    ["names side by side", withPaths({ "/{a}{b}": {} }), "between two names", "paths//{a}{b}"],
    [
      "a parameter that is not in the path",
      withPaths({ "/": get([{ name: "a", in: "path", required: true, schema: {} }]) }),
      "no {a}",
      "paths///get/parameters/0/schema",
    ],
    [
      "a style that is not known",
      withPaths({ "/": get([{ name: "a", in: "query", style: "matrix", schema: {} }]) }),
      "styles",
      "paths///get/parameters/0/style",
    ],
    [
      "a type that is none",
      body({ type: "text" }),
      "the schema is none",
      "paths///post/requestBody/content/application/json/schema/type",
    ],
    [
      "a pattern that is none",
      body({ pattern: "(" }),
      "no pattern",
      "paths///post/requestBody/content/application/json/schema/pattern",
    ],
    [
      "a reference to nothing",
      body({ $ref: "#/components/x" }),
      "leads nowhere",
      "paths///post/requestBody/content/application/json/schema/$ref",
    ],
    [
      "a reference to a prototype",
      body({ $ref: "#/constructor" }),
      "leads nowhere",
      "paths///post/requestBody/content/application/json/schema/$ref",
    ],
    [
      "a reference elsewhere",
      body({ $ref: "https://a.example/x.json" }),
      "is somewhere else",
      "paths///post/requestBody/content/application/json/schema/$ref",
    ],
    [
      "a circle",
      { ...body({ $ref: "#/x" }), x: { $ref: "#/x" } },
      "in a circle",
      "paths///post/requestBody/content/application/json/schema/$ref",
    ],
    [
      "a dynamic reference",
      body({ $dynamicRef: "#a" }),
      "not supported",
      "paths///post/requestBody/content/application/json/schema/$dynamicRef",
    ],
  ];
  for (const [name, document, message, path] of CASES)
    test(name, () => {
      let error: unknown = null;
      try {
        apiOf(document as Json);
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toBeInstanceOf(SpecError);
      expect((error as SpecError).message).toContain(message);
      expect((error as SpecError).place.path.join("/")).toBe(path);
    });

  test("schemas without end", () => {
    let schema: Json = {};
    for (let depth = 0; depth < 100_000; depth += 1) schema = { not: schema };
    expect(() => apiOf(body(schema))).toThrow("nested more than");
  });
});

test("references lead to files beside", () => {
  const schema = { $ref: "schemas/order.yaml#/Order" };
  const post = { requestBody: { content: { "application/json": { schema } } }, responses: OK };
  const order = { Order: { properties: { next: { $ref: "#/Next" } } }, Next: { type: "integer" } };
  const api = apiOf(withPaths({ "/": { post } }), null, { "/a/schemas/order.yaml": order });
  const found = api.find("POST", "/");
  if (found.kind !== "operation") throw new Error(found.kind);
  const plan = found.operation.bodyPlan(
    { header: (name) => (name === "content-type" ? "application/json" : null) },
    true,
  );
  if (plan.kind !== "check") throw new Error(plan.kind);
  expect(bodyProblems(Buffer.from('{"next":"x"}'), plan.content, "json")[0]?.path).toBe("/next");
});
