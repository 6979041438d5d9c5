// Parameters of an operation: where each stands in a request, how it is written there, and what it is turned into. One
// schema checks all of them at once.
import { at, type Documents, type Fields, fieldOf, fieldsAt, type Place, SpecError } from "./documents.ts";
import { parseJson } from "./json-text.ts";
import { decode, Pairs } from "./pairs.ts";
import { PLAIN, type Shape, scalarOf, shapeOf } from "./shapes.ts";

export const PARTS = ["path", "query", "header", "cookie"] as const;
export type Part = (typeof PARTS)[number];

export interface Parameter {
  readonly name: string;
  readonly in: Part;
  readonly required: boolean;
  readonly style: Style;
  readonly explode: boolean;
  readonly allowEmpty: boolean;
  readonly shape: Shape;
  readonly schema: unknown;
  readonly place: Place;
}

type Style = "simple" | "form" | "spaceDelimited" | "pipeDelimited" | "deepObject" | "json";

const STYLES: Readonly<Record<Part, readonly Style[]>> = {
  path: ["simple"],
  query: ["form", "spaceDelimited", "pipeDelimited", "deepObject"],
  header: ["simple"],
  cookie: ["form"],
};
/** Which are described elsewhere, whatever a parameter says. */
const IGNORED = ["accept", "content-type", "authorization"];

/** Reads a parameter's description; null for one that says nothing. */
export function parameterOf(documents: Documents, value: unknown, place: Place): Parameter | null {
  const fields = fieldsAt(value, place);
  const { name, in: part } = fields;
  if (typeof name !== "string" || name === "") throw new SpecError("a parameter has a name", place);
  const where = PARTS.find((each) => each === part);
  if (where === undefined) throw new SpecError("`in` is path, query, header or cookie", at(place, "in"));
  const lower = where === "header" ? name.toLowerCase() : name;
  if (where === "header" && IGNORED.includes(lower)) return null;
  const required = fields.required === true;
  if (where === "path" && !required) throw new SpecError("a parameter of the path is `required: true`", place);
  const common = { name: lower, in: where, required, allowEmpty: fields.allowEmptyValue === true };
  const { content } = fields;
  if (content !== undefined) return { ...common, ...contentOf(content, at(place, "content")), explode: false };
  const schema = fieldOf(fields, "schema");
  if (schema === undefined) throw new SpecError("a parameter has a `schema` or `content`", place);
  const style = styleOf(fields, where, place);
  const explode = typeof fields.explode === "boolean" ? fields.explode : style === "form";
  const shape = shapeOf(documents, schema, at(place, "schema"));
  return { ...common, style, explode, shape, schema, place: at(place, "schema") };
}

function styleOf(fields: Fields, where: Part, place: Place): Style {
  const { style = STYLES[where][0] } = fields;
  const known = STYLES[where].find((each) => each === style);
  if (known !== undefined) return known;
  throw new SpecError(`in: ${where} has the styles ${STYLES[where].join(", ")} here`, at(place, "style"));
}

function contentOf(content: unknown, place: Place): Pick<Parameter, "style" | "shape" | "schema" | "place"> {
  const [first, ...others] = Object.entries(fieldsAt(content, place));
  if (first === undefined || others.length > 0) throw new SpecError("`content` has one media type", place);
  const [type, media] = first;
  const schema = fieldOf(media, "schema") ?? true;
  const style = /^application\/(?:.+\+)?json\b/i.test(type) ? "json" : "simple";
  return { style, shape: PLAIN, schema: style === "json" ? schema : true, place: at(place, type, "schema") };
}

/** Something that a text cannot be turned into at all. */
export class Unreadable {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

const ENCODING = new Unreadable("must be percent-encoded UTF-8");
const TWICE = new Unreadable("must not be there twice");
const NO_JSON = new Unreadable("must be JSON");
const PAIRED = new Unreadable("must be names and values in turn");

/** The value of a parameter of the path or a field, written `simple`. `encoded` says whether it is percent-encoded. */
export function simpleValue(text: string, parameter: Parameter, encoded: boolean): unknown {
  const { shape, explode, style } = parameter;
  if (style === "json") return jsonValue(encoded ? decode(text, false) : text);
  if (shape.items !== null) return listOf(text.split(","), shape.items, encoded, false);
  if (shape.properties !== null) return objectOf(text, shape.properties, explode, encoded, false);
  const plain = encoded ? decode(text, false) : text;
  return plain === null ? ENCODING : scalarOf(plain, shape);
}

/** The value of a parameter among pairs; undefined when it is not there. */
export function pairedValue(pairs: Pairs, parameter: Parameter, plus: boolean): unknown {
  const { name, shape, style, explode } = parameter;
  if (shape.properties !== null && style === "deepObject")
    return membersOf(pairs, shape.properties, `${name}[`, "]", plus);
  if (shape.properties !== null && style === "form" && explode) return membersOf(pairs, shape.properties, "", "", plus);
  const { names, values } = pairs;
  const found = names.indexOf(name);
  if (found < 0) return undefined;
  const text = values[found]!;
  const again = names.indexOf(name, found + 1);
  if (shape.items !== null && explode) {
    const all = values.filter((_, index) => names[index] === name);
    return listOf(all, shape.items, true, plus);
  }
  if (again >= 0) return TWICE;
  if (text === "" && parameter.allowEmpty) return undefined;
  if (style === "json") return jsonValue(decode(text, plus));
  if (shape.items !== null) return listOf(split(text, style), shape.items, true, plus);
  if (shape.properties !== null) return objectOf(text, shape.properties, false, true, plus);
  const plain = decode(text, plus);
  return plain === null ? ENCODING : scalarOf(plain, shape);
}

/** A form as an object: what its schema calls a list may be there several times. */
export function formValue(text: string, shape: Shape): unknown {
  const pairs = Pairs.query(text);
  if (pairs.problem !== "") return new Unreadable(pairs.problem);
  const made: [string, unknown][] = [];
  for (const name of new Set(pairs.names)) {
    const own = shape.properties?.get(name) ?? PLAIN;
    const parameter = { ...FORM, name, shape: own.properties === null ? own : PLAIN };
    const value = pairedValue(pairs, parameter, true);
    if (value instanceof Unreadable) return value;
    made.push([name, value]);
  }
  return Object.fromEntries(made);
}

const FORM: Parameter = {
  name: "",
  in: "query",
  required: false,
  style: "form",
  explode: true,
  allowEmpty: false,
  shape: PLAIN,
  schema: true,
  place: { file: "", path: [] },
};

function jsonValue(text: string | null): unknown {
  if (text === null) return ENCODING;
  const parsed = parseJson(Buffer.from(text));
  return parsed.problem === null ? parsed.value : NO_JSON;
}

function split(text: string, style: Style): string[] {
  if (style === "spaceDelimited") return text.replaceAll("%20", "+").split("+");
  if (style === "pipeDelimited") return text.replaceAll(/%7c/gi, "|").split("|");
  return text.split(",");
}

function listOf(texts: readonly string[], items: Shape, encoded: boolean, plus: boolean): unknown {
  const made: unknown[] = [];
  for (const text of texts) {
    const plain = encoded ? decode(text, plus) : text.trim();
    if (plain === null) return ENCODING;
    made.push(scalarOf(plain, items));
  }
  return made;
}

/** `a,1,b,2`, or exploded `a=1,b=2`. */
function objectOf(
  text: string,
  shapes: ReadonlyMap<string, Shape>,
  explode: boolean,
  encoded: boolean,
  plus: boolean,
): unknown {
  const parts = explode ? text.split(",").flatMap((part) => halves(part)) : text.split(",");
  if (parts.length % 2 !== 0) return PAIRED;
  const made = new Map<string, unknown>();
  for (let index = 0; index < parts.length; index += 2) {
    const name = encoded ? decode(parts[index]!, plus) : parts[index]!.trim();
    const value = encoded ? decode(parts[index + 1]!, plus) : parts[index + 1]!.trim();
    if (name === null || value === null) return ENCODING;
    if (made.has(name)) return TWICE;
    made.set(name, scalarOf(value, shapes.get(name) ?? PLAIN));
  }
  return Object.fromEntries(made);
}

function halves(part: string): string[] {
  const equals = part.indexOf("=");
  return equals < 0 ? [part] : [part.slice(0, equals), part.slice(equals + 1)];
}

/** Members that have pairs of their own: those in brackets behind a name, or those that the schema knows. */
function membersOf(
  { names, values }: Pairs,
  shapes: ReadonlyMap<string, Shape>,
  before: string,
  after: string,
  plus: boolean,
): unknown {
  const made = new Map<string, unknown>();
  for (const [index, name] of names.entries()) {
    if (!name.startsWith(before) || !name.endsWith(after)) continue;
    const member = name.slice(before.length, name.length - after.length);
    if (before === "" && !shapes.has(member)) continue;
    const plain = decode(values[index]!, plus);
    if (plain === null) return ENCODING;
    const shape = shapes.get(member) ?? PLAIN;
    const value = scalarOf(plain, shape.items ?? shape);
    const list = made.get(member);
    if (shape.items === null && made.has(member)) return TWICE;
    if (shape.items === null) made.set(member, value);
    else if (Array.isArray(list)) list.push(value);
    else made.set(member, [value]);
  }
  return made.size === 0 ? undefined : Object.fromEntries(made);
}
