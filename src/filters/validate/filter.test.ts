import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { validateSchema } from "../../config/schema-validate.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import { isFault } from "../../pipeline/exchange.ts";
import { UNSHARED } from "../../pipeline/shared.ts";
import { contextOf } from "../context.testing.ts";
import { validate } from "./filter.ts";

const DOCUMENT = `openapi: 3.1.0
paths:
  /items:
    get:
      parameters:
        - { name: limit, in: query, schema: { type: integer } }
      responses: { 200: { description: ok } }
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "validate-"));
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
    count: (name: string, labels: readonly string[]) => void counts.push(`${name} ${labels.join(" ")}`),
    tell: (_: string, fields: unknown) => void lines.push(fields),
  };
  return validate.compile({ validate: validateSchema.parse(config) }, contextOf({ shared }))[0]!;
}

/** Status of the answer to a request; 0 when it goes on. */
function statusOf(filter: ReturnType<typeof filterOf>, target: string, method = "GET"): number {
  const outcome = filter.request!(exchangeOf({ target, method }));
  if (outcome === undefined || outcome instanceof Promise) return 0;
  return isFault(outcome!) ? -1 : outcome!.status;
}

const ASKED = ["/items?limit=5", "/items?limit=x", "/other"];
const statuses = (config: object) => {
  const filter = filterOf({ openapi: fileOf("a.yaml", DOCUMENT), ...config });
  return [...ASKED.map((target) => statusOf(filter, target)), statusOf(filter, "/items", "POST")];
};

describe("what becomes of requests", () => {
  const CASES: readonly (readonly [name: string, config: object, want: readonly number[]])[] = [
    ["enforced", {}, [0, 400, 404, 405]],
    ["logged", { requests: "log" }, [0, 0, 0, 0]],
    ["left alone", { requests: "off" }, [0, 0, 0, 0]],
    ["other paths let through", { unknownPaths: "log" }, [0, 400, 0, 405]],
    ["other methods let through", { unknownMethods: "off" }, [0, 400, 404, 0]],
    ["below another path", { base: "/v1" }, [404, 404, 404, 404]],
  ];
  for (const [name, config, want] of CASES) test(name, () => expect(statuses(config)).toEqual([...want]));

  test("it is counted, and logged at most so often", () => {
    const counts: string[] = [];
    const lines: unknown[] = [];
    const filter = filterOf({ openapi: fileOf("a.yaml", DOCUMENT), requests: "log" }, counts, lines);
    for (let time = 0; time < 100; time += 1) statusOf(filter, "/items?limit=x");
    expect(counts).toHaveLength(100);
    expect(counts[0]).toBe("sluice_validation_failures_total test request logged");
    expect(lines.length).toBe(10);
    expect(lines[0]).toMatchObject({ path: "/items", detail: "query/limit: must be integer" });
  });
});

test("the answer says what is wrong where, and no more", () => {
  const filter = filterOf({ openapi: fileOf("a.yaml", DOCUMENT) });
  const x = exchangeOf({ target: "/items?limit=x" });
  const outcome = filter.request!(x) as { body: Buffer };
  expect(JSON.parse(outcome.body.toString())).toEqual({
    type: "about:blank",
    title: "Bad Request",
    status: 400,
    detail: "The request is not as described.",
    requestId: "id-1",
    errors: [{ in: "query", path: "/limit", message: "must be integer" }],
  });
  expect(x.fault?.code).toBe("validate.request");
});

describe("mistakes in files are told with their place", () => {
  const CASES: readonly (readonly [name: string, text: string, message: string])[] = [
    ["type.yaml", DOCUMENT.replace("integer", "whole"), "type.yaml:6:53: the schema is none"],
    ["twice.yaml", DOCUMENT.replace("  /items:", "  /items: {}\n  /items:"), "twice.yaml:4:3: "],
    ["broken.json", '{"openapi": }', "broken.json:1:"],
    ["json.json", '{"openapi": "3.0.0",\n "paths": {"x": {}}}', 'json.json:2:17: "x": a path begins with /'],
    ["outside.yaml", `${DOCUMENT}  /x: { $ref: ../../etc/passwd }\n`, "outside.yaml:8:15: "],
    ["link.yaml", `${DOCUMENT}  /x: { $ref: linked.yaml }\n`, "neither beside the main one nor below"],
  ];
  for (const [name, text, message] of CASES)
    test(name, () => {
      const inner = join(folder, name.split(".")[0]!);
      mkdirSync(inner, { recursive: true });
      const outside = fileOf("secret.yaml", "a: 1");
      symlinkSync(outside, join(inner, "linked.yaml"));
      writeFileSync(join(inner, name), text);
      expect(() => filterOf({ openapi: join(inner, name) })).toThrow(message);
    });

  test("a file that is not there", () => {
    expect(() => filterOf({ openapi: join(folder, "none.yaml") })).toThrow("none.yaml cannot be read (ENOENT)");
  });

  test("aliases that grow without end", () => {
    const levels = Array.from({ length: 30 }, (_, at) => `a${at + 1}: &a${at + 1} [*a${at}, *a${at}, *a${at}]`);
    const file = fileOf("aliases.yaml", `a0: &a0 x\n${levels.join("\n")}\n${DOCUMENT}`);
    expect(() => filterOf({ openapi: file })).toThrow("aliases.yaml");
  });

  test("a schema in the configuration, and one in a file", () => {
    expect(() => filterOf({ body: { jsonSchema: { type: "whole" } } })).toThrow("the schema is none");
    expect(() => filterOf({ body: { jsonSchema: { $ref: "x.json" } } })).toThrow("refers to itself alone");
    expect(() => filterOf({ body: { jsonSchema: fileOf("s.json", '{"pattern": "("}') } })).toThrow("s.json:1:13: ");
    expect(statusOf(filterOf({ body: { jsonSchema: { type: "object" } } }), "/", "POST")).toBe(400);
    expect(statusOf(filterOf({ body: { jsonSchema: { type: "object" } } }), "/")).toBe(0);
  });
});

test("a document that has changed is read again", () => {
  const file = fileOf("changed.yaml", DOCUMENT);
  expect(statusOf(filterOf({ openapi: file }), "/items?limit=x")).toBe(400);
  writeFileSync(file, DOCUMENT.replace("integer", "string"));
  expect(statusOf(filterOf({ openapi: file }), "/items?limit=x")).toBe(0);
});

test("a configuration says one of both", () => {
  expect(validateSchema.safeParse({}).success).toBe(false);
  expect(validateSchema.safeParse({ openapi: "a", body: { jsonSchema: "b" } }).success).toBe(false);
  expect(validateSchema.safeParse({ body: { jsonSchema: "b" }, responses: "log" }).success).toBe(false);
});
