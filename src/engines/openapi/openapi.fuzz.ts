// Whatever a document says, it compiles or is refused as a SpecError; and whatever a request says to one that compiles,
// the answer is a short list. `bun src/engines/openapi/openapi.fuzz.ts 182` replays one seed.
import { type Rng, runAlone } from "../../core/fuzz.testing.ts";
import { type Api, bodyProblems, compileApi, Documents, SpecError } from "./index.ts";

const KEYS = [
  ...[
    "type",
    "items",
    "properties",
    "required",
    "allOf",
    "anyOf",
    "not",
    "$ref",
    "enum",
    "nullable",
    "pattern",
    "format",
  ],
  ...[
    "minimum",
    "exclusiveMinimum",
    "uniqueItems",
    "additionalProperties",
    "parameters",
    "schema",
    "in",
    "name",
    "style",
  ],
  ...[
    "requestBody",
    "content",
    "application/json",
    "responses",
    "200",
    "get",
    "post",
    "/a/{id}",
    "__proto__",
    "explode",
  ],
];
const WORDS = [
  ...[
    "string",
    "integer",
    "array",
    "object",
    "null",
    "query",
    "path",
    "deepObject",
    "#/paths",
    "#/components/schemas/A",
  ],
  ...["a.yaml#/x", "date-time", "^a+$", "(", "", "1", "true", "__proto__", "constructor"],
];

function anything(rng: Rng, depth: number): unknown {
  const kind = rng.below(depth > 4 ? 4 : 7);
  if (kind === 0) return rng.pick(WORDS);
  if (kind === 1) return rng.below(100) - 50;
  if (kind === 2) return rng.oneIn(2);
  if (kind === 3) return null;
  if (kind === 4) return Array.from({ length: rng.below(4) }, () => anything(rng, depth + 1));
  const names = Array.from({ length: rng.below(5) }, () => rng.pick(KEYS));
  return Object.fromEntries(names.map((name) => [name, anything(rng, depth + 1)]));
}

/** A document that is right, but for what is put into some places of it. */
function document(rng: Rng): unknown {
  const maybe = (value: unknown): unknown => (rng.oneIn(8) ? anything(rng, 0) : value);
  const schema = (depth: number): unknown => {
    if (depth > 3 || rng.oneIn(3)) return maybe({ type: rng.pick(["string", "integer", "boolean"]) });
    if (rng.oneIn(3)) return maybe({ type: "array", items: schema(depth + 1), uniqueItems: maybe(true) });
    if (rng.oneIn(4)) return maybe({ $ref: "#/components/schemas/A" });
    return maybe({
      type: "object",
      properties: { a: schema(depth + 1), b: schema(depth + 1) },
      required: maybe(["a"]),
    });
  };
  const query = { name: "q", in: maybe("query"), style: maybe("form"), explode: maybe(true), schema: schema(0) };
  const body = { content: maybe({ "application/json": { schema: schema(0) } }) };
  const operation = { parameters: maybe([query]), requestBody: maybe(body), responses: maybe({ 200: {} }) };
  const components = { schemas: maybe({ A: schema(0) }) };
  return { openapi: rng.pick(["3.0.3", "3.1.0"]), paths: maybe({ "/a": { post: maybe(operation) } }), components };
}

const PIECES = [
  "q=",
  "&",
  "1",
  "x",
  "%41",
  "%",
  "[a]",
  "+",
  ",",
  "true",
  "__proto__",
  "=",
  '"a"',
  "{",
  "}",
  "[",
  "]",
  ":",
];

export function openapiLaw(rng: Rng): void {
  const value = document(rng);
  let api: Api;
  try {
    api = compileApi(new Documents(() => value), "/a.yaml", null, (pattern) => new SafeRegExp(pattern));
  } catch (error) {
    if (error instanceof SpecError) return;
    throw new Error(`${JSON.stringify(value)}: ${(error as Error).stack}`);
  }
  const found = api.find("POST", "/a");
  if (found.kind !== "operation") return;
  for (let round = 0; round < 8; round += 1) {
    const query = Array.from({ length: rng.below(12) }, () => rng.pick(PIECES)).join("");
    const problems = found.operation.parameterProblems({ query, header: () => null }, found.values);
    if (problems.length > 10) throw new Error(`${query}: a long list`);
    const plan = found.operation.bodyPlan(
      { header: (name) => (name === "content-type" ? "application/json" : null) },
      true,
    );
    if (plan.kind !== "check") continue;
    const text = rng.oneIn(2) ? JSON.stringify(anything(rng, 0)) : query;
    if (bodyProblems(Buffer.from(text), plan.content, plan.reading).length > 10)
      throw new Error(`${text}: a long list`);
  }
}

class SafeRegExp {
  readonly #regex: RegExp;
  constructor(pattern: string) {
    try {
      this.#regex = new RegExp(pattern, "u");
    } catch {
      throw new RangeError("no pattern");
    }
  }
  test(text: string): boolean {
    return this.#regex.test(text);
  }
}

if (import.meta.main) runAlone("openapi", openapiLaw);
