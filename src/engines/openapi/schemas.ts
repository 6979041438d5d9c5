// Schemas of OpenAPI 3.0 and 3.1 and of JSON Schema, put into the one form that validators are made of: JSON Schema
// 2020-12 in one flat table without references that leave it, and without what says nothing about values.
import {
  at,
  type Documents,
  type Fields,
  fieldOf,
  isFields,
  type Located,
  type Place,
  SpecError,
} from "./documents.ts";

/** Deeper nesting has no use, and would take the stack of whoever walks it. */
const DEPTH_MAX = 64;
/** The largest public specifications have some ten thousand schemas that can be referred to. */
const SCHEMAS_MAX = 20_000;

/** The keyword by which it is counted how often a part of the table is gone into. */
export const STEP = "x-step";

export type Dialect = "3.0" | "3.1";
/** Which way a message goes: properties that are only read are not asked of requests, nor written ones of answers. */
export type Direction = "request" | "response";

const SINGLE = [
  ...["not", "additionalProperties", "if", "then", "else", "contains", "propertyNames"],
  ...["unevaluatedItems", "unevaluatedProperties"],
];
const LISTS = ["allOf", "anyOf", "oneOf", "prefixItems"];
const MAPS = ["properties", "patternProperties", "dependentSchemas"];
const VALUES = [
  ...["type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"],
  ...["maxLength", "minLength", "pattern", "maxItems", "minItems", "uniqueItems", "maxContains", "minContains"],
  ...["maxProperties", "minProperties", "required", "dependentRequired", "format"],
];
const REFUSED = ["$dynamicRef", "$recursiveRef"];

export class Schemas {
  readonly #documents: Documents;
  readonly #dialect: Dialect;
  readonly #direction: Direction;
  readonly #checkPattern: (pattern: string) => void;
  readonly #places: Place[] = [];
  readonly #byPlace = new Map<string, number>();
  readonly #made: unknown[] = [];
  readonly #waiting: Located[] = [];

  /** `checkPattern` throws RangeError for an expression that cannot be used. */
  constructor(documents: Documents, dialect: Dialect, direction: Direction, checkPattern: (pattern: string) => void) {
    this.#documents = documents;
    this.#dialect = dialect;
    this.#direction = direction;
    this.#checkPattern = checkPattern;
  }

  /** Takes a schema, and all that it refers to; returns its number in the table. */
  add(value: unknown, place: Place): number {
    const number = this.#numberOf({ value, place });
    for (let next = this.#waiting.pop(); next !== undefined; next = this.#waiting.pop()) {
      const own = this.#byPlace.get(keyOf(next.place))!;
      this.#made[own] = this.#translate(next.value, next.place, 0);
    }
    return number;
  }

  /** Takes a schema that was made, of what is in the table already (`referenceTo`). Its number. */
  addMade(schema: Fields, place: Place): number {
    this.#places.push(place);
    return this.#made.push(schema) - 1;
  }

  /** The table as one schema, whose parts are `#/$defs/<number>`. */
  table(): Fields {
    const counted = this.#made.map((schema, number): [string, unknown] => [
      `${number}`,
      isFields(schema) ? { [STEP]: true, ...schema } : schema,
    ]);
    return { $defs: Object.fromEntries(counted) };
  }

  /** Where a part of the table was written. */
  placeOf(pointer: string): Place {
    const [, , number = "0", ...rest] = pointer
      .split("/")
      .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
    return at(this.#places[Number(number)]!, ...rest);
  }

  #numberOf(located: Located): number {
    const key = keyOf(located.place);
    const known = this.#byPlace.get(key);
    if (known !== undefined) return known;
    const number = this.#places.length;
    if (number >= SCHEMAS_MAX) throw new SpecError(`there are more than ${SCHEMAS_MAX} schemas`, located.place);
    this.#byPlace.set(key, number);
    this.#places.push(located.place);
    this.#made.push(true);
    this.#waiting.push(located);
    return number;
  }

  #translate(schema: unknown, place: Place, depth: number): unknown {
    if (typeof schema === "boolean") return schema;
    if (!isFields(schema)) throw new SpecError("a schema was expected", place);
    if (depth > DEPTH_MAX) throw new SpecError(`schemas are nested more than ${DEPTH_MAX} deep`, place);
    for (const key of REFUSED)
      if (Object.hasOwn(schema, key)) throw new SpecError(`${key} is not supported: refer with $ref`, at(place, key));
    const made: [string, unknown][] = [];
    const ref = fieldOf(schema, "$ref");
    if (typeof ref === "string") {
      const target = this.#documents.resolve(ref, at(place, "$ref"));
      made.push(...Object.entries(referenceTo(this.#numberOf(target))));
      if (this.#dialect === "3.0") return Object.fromEntries(made);
    }
    const nested = (value: unknown, ...keys: (string | number)[]): unknown =>
      this.#translate(value, at(place, ...keys), depth + 1);
    for (const key of SINGLE) if (Object.hasOwn(schema, key)) made.push([key, nested(schema[key], key)]);
    for (const key of LISTS) {
      const list = fieldOf(schema, key);
      if (list === undefined) continue;
      if (!Array.isArray(list)) throw new SpecError("a list of schemas was expected", at(place, key));
      made.push([key, list.map((each, index) => nested(each, key, index))]);
    }
    for (const key of MAPS) {
      const map = fieldOf(schema, key);
      if (map === undefined) continue;
      if (!isFields(map)) throw new SpecError("schemas by name were expected", at(place, key));
      if (key === "patternProperties") for (const name of Object.keys(map)) this.#pattern(name, at(place, key, name));
      made.push([key, Object.fromEntries(Object.entries(map).map(([name, each]) => [name, nested(each, key, name)]))]);
    }
    for (const key of VALUES) if (Object.hasOwn(schema, key)) made.push([key, schema[key]]);
    const { pattern } = schema;
    if (typeof pattern === "string") this.#pattern(pattern, at(place, "pattern"));
    const whole: Record<string, unknown> = Object.fromEntries(made);
    this.#items(schema, whole, nested);
    dependencies(schema, whole, nested);
    if (this.#dialect === "3.0") olderForm(schema, whole);
    this.#oneWay(schema, whole, place);
    return whole;
  }

  #pattern(pattern: string, place: Place): void {
    try {
      this.#checkPattern(pattern);
    } catch (error) {
      if (error instanceof RangeError) throw new SpecError(error.message, place);
      throw error;
    }
  }

  /** Lists of `items` are what `prefixItems` was before 2020-12. */
  #items(schema: Fields, whole: Record<string, unknown>, nested: Nested): void {
    const items = fieldOf(schema, "items");
    if (items === undefined) return;
    if (!Array.isArray(items)) {
      whole.items = nested(items, "items");
      return;
    }
    if (items.length > 0) whole.prefixItems = items.map((each, index) => nested(each, "items", index));
    if (Object.hasOwn(schema, "additionalItems")) whole.items = nested(schema.additionalItems, "additionalItems");
  }

  #oneWay(schema: Fields, whole: Record<string, unknown>, place: Place): void {
    const { properties } = schema;
    const { required } = whole;
    if (!Array.isArray(required) || !isFields(properties)) return;
    const other = this.#direction === "request" ? "readOnly" : "writeOnly";
    whole.required = required.filter((name) => {
      if (typeof name !== "string" || !Object.hasOwn(properties, name)) return true;
      const property = this.#documents.follow(properties[name], at(place, "properties", name));
      return fieldOf(property.value, other) !== true;
    });
  }
}

type Nested = (value: unknown, ...keys: (string | number)[]) => unknown;

/** A schema for what has this number. */
export const referenceTo = (number: number): Fields => ({ $ref: `#/$defs/${number}` });

const keyOf = ({ file, path }: Place): string => JSON.stringify([file, ...path]);

/** `dependencies` is what `dependentRequired` and `dependentSchemas` were before 2019-09. */
function dependencies(schema: Fields, whole: Record<string, unknown>, nested: Nested): void {
  const map = fieldOf(schema, "dependencies");
  if (!isFields(map)) return;
  const entries = Object.entries(map);
  const names = entries.filter(([, each]) => Array.isArray(each));
  const schemas = entries.filter(([, each]) => !Array.isArray(each));
  if (names.length > 0) whole.dependentRequired = Object.fromEntries(names);
  if (schemas.length > 0)
    whole.dependentSchemas = Object.fromEntries(
      schemas.map(([name, each]) => [name, nested(each, "dependencies", name)]),
    );
}

/** OpenAPI 3.0 has `nullable`, and limits that say by a flag whether they belong to what is allowed. */
function olderForm(schema: Fields, whole: Record<string, unknown>): void {
  const { type } = whole;
  if (schema.nullable === true && typeof type === "string") whole.type = [type, "null"];
  for (const [flag, limit] of [
    ["exclusiveMinimum", "minimum"],
    ["exclusiveMaximum", "maximum"],
  ] as const) {
    if (typeof whole[flag] !== "boolean") continue;
    const isExclusive = whole[flag];
    delete whole[flag];
    if (!isExclusive || whole[limit] === undefined) continue;
    whole[flag] = whole[limit];
    delete whole[limit];
  }
}
