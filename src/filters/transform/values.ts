// Values of JSON with placeholders in their texts, made for one exchange and its body. A text that is one placeholder
// of the body, of a claim or of the status alone becomes that value, with its type; any other is a text.
import { within } from "../../config/compile-error.ts";
import { templatePieces } from "../../core/placeholders.ts";
import { valueAt, valuesAt } from "../../engines/transform/edits.ts";
import { JsonNode } from "../../engines/transform/json-node.ts";
import { isSingle, type JsonPath, parsePath } from "../../engines/transform/json-path.ts";
import { writeJson } from "../../engines/transform/json-writer.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { compileTemplate, type OwnSources, type Template, type TemplatePlace } from "../../pipeline/template.ts";

/** A value to be put somewhere. */
export interface Value {
  /** It is the same for all exchanges with the same body. */
  readonly isFixed: boolean;
  make(x: Exchange, body: JsonNode | null): JsonNode;
}

/** Longest text that a placeholder makes of an object or list. */
const TEXT_MAX = 65_536;
const NULL_TEXT = "null";

/** The body and the status that placeholders speak of, while they are filled in. */
let current: JsonNode | null = null;
let currentStatus = 0;

const bodyPath = (argument: string): JsonPath => (argument === "" ? [] : parsePath(argument));

/** What stands at a path of the body as text: objects and lists as JSON, "" where there is nothing. */
function bodyText(path: JsonPath): string {
  const found = current === null ? null : valueAt(current, path);
  if (found === null) return "";
  return found.scalarText() ?? writeJson(found, TEXT_MAX)?.toString() ?? "";
}

/** Placeholders that there are where a body is at hand. */
const BODY: OwnSources = (name, argument) => {
  if (name === "status" && argument === "") return () => String(currentStatus);
  if (name !== "body") return null;
  const path = bodyPath(argument);
  return () => bodyText(path);
};

/** A template in which `{body.PATH}` may stand, for a field, a path or a query. */
export function compileBodyTemplate(
  text: string,
  params: readonly string[],
  place: TemplatePlace,
): (x: Exchange, body: JsonNode | null) => string {
  const template = compileTemplate(text, params, place, BODY);
  return (x, body) => render(template, x, body);
}

function render(template: Template, x: Exchange, body: JsonNode | null): string {
  current = body;
  currentStatus = x.response.status;
  try {
    return template.render(x);
  } finally {
    current = null;
  }
}

/** Compiles a value of the configuration. Throws CompileError for a placeholder that there is not. */
export function compileValue(value: unknown, params: readonly string[]): Value {
  if (typeof value === "string") return compileText(value, params);
  if (Array.isArray(value)) return compileList(value, params);
  if (typeof value === "object" && value !== null) return compileObject(value as Record<string, unknown>, params);
  return constant(JSON.stringify(value) ?? NULL_TEXT);
}

function constant(text: string): Value {
  const node = JsonNode.of(text);
  return { isFixed: true, make: () => node };
}

function compileText(text: string, params: readonly string[]): Value {
  const pieces = templatePieces(text);
  const [only] = pieces;
  if (pieces.length === 1 && only?.kind === "placeholder") {
    if (only.name === "body") return bodyValue(bodyPath(only.argument));
    if (only.name === "status" && only.argument === "") return statusValue;
    if (only.name === "claim" && only.argument !== "") return claimValue(only.argument);
  }
  const template = compileTemplate(text, params, "text", BODY);
  if (template.constant !== null) return constant(jsonText(template.constant));
  const isFixed = pieces.every((piece) => piece.kind === "text" || piece.name === "body" || piece.name === "status");
  return { isFixed, make: (x, body) => JsonNode.of(jsonText(render(template, x, body))) };
}

/** A JSON string from bytes; what clients send in fields need not be UTF-8. */
const jsonText = (bytes: string): string => JSON.stringify(Buffer.from(bytes, "latin1").toString());

/** One value, or a list of all that the path leads to. */
function bodyValue(path: JsonPath): Value {
  const isOne = isSingle(path);
  return {
    isFixed: true,
    make(_, body) {
      if (body === null) return JsonNode.of(NULL_TEXT);
      if (isOne) return valueAt(body, path)?.copy() ?? JsonNode.of(NULL_TEXT);
      return JsonNode.list(valuesAt(body, path).map((found) => found.copy()));
    },
  };
}

const statusValue: Value = { isFixed: true, make: (x) => JsonNode.of(String(x.response.status)) };

const claimValue = (name: string): Value => ({
  isFixed: false,
  make({ identity }) {
    const claim = identity !== null && Object.hasOwn(identity.claims, name) ? identity.claims[name] : null;
    return JsonNode.of(JSON.stringify(claim) ?? NULL_TEXT);
  },
});

function compileList(list: readonly unknown[], params: readonly string[]): Value {
  const items = list.map((item, at) => within(at, () => compileValue(item, params)));
  if (items.every(isConstant)) return constant(JSON.stringify(list));
  return {
    isFixed: items.every(({ isFixed }) => isFixed),
    make: (x, body) => JsonNode.list(items.map((item) => item.make(x, body))),
  };
}

function compileObject(object: Readonly<Record<string, unknown>>, params: readonly string[]): Value {
  const members = Object.entries(object).map(
    ([name, value]) => [name, within(name, () => compileValue(value, params))] as const,
  );
  if (members.every(([, value]) => isConstant(value))) return constant(JSON.stringify(object));
  return {
    isFixed: members.every(([, { isFixed }]) => isFixed),
    make(x, body) {
      const made = JsonNode.object();
      for (const [name, value] of members) made.add(name, value.make(x, body));
      return made;
    },
  };
}

/** A value without any placeholder makes one and the same node. */
const isConstant = (value: Value): boolean => value.make.length === 0;
