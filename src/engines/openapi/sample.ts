// Values made of schemas, for examples: the same for the same schema, small, and as it wants them as far as that can be
// had without searching. What refers to itself ends where it may.
import { at, type Documents, type Fields, fieldOf, isFields, type Place } from "./documents.ts";
import { patternSample } from "./pattern-sample.ts";

/** Values in one sample: of schemas that branch without end, the rest adds nothing. */
const VALUES_MAX = 2000;
const DEPTH_MAX = 16;
/** Objects and lists that are deeper are left out where they may be: examples are to be read. */
const OPTIONAL_DEPTH_MAX = 3;
const ITEMS_MAX = 10;
const TEXT_MAX = 1000;

/** There is no value here that ends: whoever needs one has none either. */
const NONE = Symbol("none");

interface Part {
  readonly schema: unknown;
  readonly place: Place;
}

/** Which way the value goes: properties that are only written are no part of answers, nor read ones of requests. */
type Way = "request" | "response";

/** An example of a schema; undefined where none can be made. Throws SpecError for references that lead nowhere. */
export function sampleOf(documents: Documents, schema: unknown, place: Place, way: Way): unknown {
  const made = new Sampler(documents, way).value([{ schema, place }], 0, []);
  return made === NONE ? undefined : made;
}

/** The example that is written at a schema, a parameter or a media type; undefined for none. */
export function writtenExample(documents: Documents, value: unknown, place: Place): unknown {
  const example = fieldOf(value, "example");
  if (example !== undefined) return example;
  const examples = fieldOf(value, "examples");
  if (Array.isArray(examples)) return examples[0];
  for (const [name, each] of Object.entries(isFields(examples) ? examples : {})) {
    const found = fieldOf(documents.follow(each, at(place, "examples", name)).value, "value");
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A schema and all that is put together with it. */
interface Whole {
  readonly fields: Fields;
  readonly properties: Map<string, Part[]>;
  readonly required: Set<string>;
  readonly items: Part[];
  readonly prefix: Part[];
  readonly others: Part | null;
}

interface Growing extends Whole {
  readonly fields: Record<string, unknown>;
  others: Part | null;
}

const empty = (): Growing => ({
  fields: {},
  properties: new Map(),
  required: new Set(),
  items: [],
  prefix: [],
  others: null,
});

function join(whole: Growing, one: Growing): void {
  Object.assign(whole.fields, one.fields);
  for (const [name, parts] of one.properties)
    whole.properties.set(name, [...(whole.properties.get(name) ?? []), ...parts]);
  for (const name of one.required) whole.required.add(name);
  whole.items.push(...one.items);
  for (const [index, part] of one.prefix.entries()) whole.prefix[index] ??= part;
  whole.others = one.others ?? whole.others;
}

class Sampler {
  readonly #documents: Documents;
  readonly #skipped: string;
  #left = VALUES_MAX;

  constructor(documents: Documents, way: Way) {
    this.#documents = documents;
    this.#skipped = way === "response" ? "writeOnly" : "readOnly";
  }

  /** `within`: the places of the schemas that this one is part of; `needed`: it cannot be left out. */
  value(parts: readonly Part[], depth: number, within: readonly string[], needed = true): unknown {
    this.#left -= 1;
    if (this.#left < 0 || depth > DEPTH_MAX) return NONE;
    const path = [...within];
    const whole = empty();
    for (const part of parts) if (!this.#gather(part, whole, path, 0)) return NONE;
    const { fields } = whole;
    const written = writtenExample(this.#documents, fields, parts[0]!.place);
    if (written !== undefined) return written;
    for (const key of ["const", "default"]) if (Object.hasOwn(fields, key)) return fields[key];
    if (Array.isArray(fields.enum) && fields.enum.length > 0) return fields.enum[0];
    const type = [fields.type].flat().find((each) => each !== "null");
    if (type === undefined && [fields.type].flat().includes("null")) return null;
    const name = typeof type === "string" ? type : guessed(whole);
    if (!needed && depth > OPTIONAL_DEPTH_MAX && (name === "object" || name === "array")) return NONE;
    return this.#ofType(name, whole, depth, path);
  }

  #ofType(type: string, whole: Whole, depth: number, path: readonly string[]): unknown {
    switch (type) {
      case "object":
        return this.#object(whole, depth, path);
      case "array":
        return this.#array(whole, depth, path);
      case "string":
        return textOf(whole.fields);
      case "integer":
        return numberOf(whole.fields, true);
      case "number":
        return numberOf(whole.fields, false);
      case "boolean":
        return true;
      default:
        return null;
    }
  }

  #object({ properties, required, others, fields }: Whole, depth: number, path: readonly string[]): unknown {
    const made: [string, unknown][] = [];
    for (const [name, parts] of properties) {
      const isSkipped = parts.some(
        ({ schema, place }) => fieldOf(this.#documents.follow(schema, place).value, this.#skipped) === true,
      );
      if (isSkipped) continue;
      const value = this.value(parts, depth + 1, path, required.has(name));
      if (value !== NONE) made.push([name, value]);
      else if (required.has(name)) return NONE;
    }
    const least = Math.min(Number(fields.minProperties) || 0, ITEMS_MAX);
    const wanted = others !== null && made.length === 0 ? Math.max(1, least) : least;
    for (const name of required) if (!properties.has(name)) made.push([name, this.#other(others, depth, path)]);
    for (let count = 1; others !== null && made.length < wanted; count += 1) {
      const value = this.value([others], depth + 1, path);
      if (value === NONE) break;
      made.push([`key${count}`, value]);
    }
    return Object.fromEntries(made.filter(([, value]) => value !== NONE));
  }

  #other(others: Part | null, depth: number, path: readonly string[]): unknown {
    return others === null ? "text" : this.value([others], depth + 1, path);
  }

  #array({ items, prefix, fields }: Whole, depth: number, path: readonly string[]): unknown {
    const most = Math.min(Number(fields.maxItems ?? ITEMS_MAX), ITEMS_MAX);
    const count = Math.min(Math.max(Number(fields.minItems) || 0, prefix.length, 1), most);
    const made: unknown[] = [];
    for (let index = 0; index < count; index += 1) {
      const one = prefix[index];
      if (one === undefined && items.length === 0) break;
      const isNeeded = index < (Number(fields.minItems) || 0);
      const value = this.value(one === undefined ? items : [one], depth + 1, path, isNeeded);
      if (value === NONE) return made.length >= (Number(fields.minItems) || 0) ? made : NONE;
      // Where all have to differ, more than one of a kind is only tried with numbers and texts.
      made.push(fields.uniqueItems === true && index > 0 ? varied(value, index) : value);
    }
    return made;
  }

  /** False for what refers to itself. */
  #gather({ schema, place }: Part, whole: Growing, path: string[], depth: number): boolean {
    this.#left -= 1;
    if (depth > DEPTH_MAX || this.#left < 0) return false;
    if (!isFields(schema)) return schema !== false;
    const { $ref, allOf } = schema;
    if (typeof $ref === "string") {
      const { value, place: there } = this.#documents.follow(schema, place);
      const key = `${there.file}#${there.path.join("/")}`;
      if (path.includes(key)) return false;
      path.push(key);
      if (!this.#gather({ schema: value, place: there }, whole, path, depth + 1)) return false;
    }
    Object.assign(whole.fields, schema);
    this.#take(schema, whole, place);
    for (const [index, each] of (Array.isArray(allOf) ? allOf : []).entries())
      if (!this.#gather({ schema: each, place: at(place, "allOf", index) }, whole, path, depth + 1)) return false;
    for (const key of ["oneOf", "anyOf"]) {
      const list = fieldOf(schema, key);
      if (Array.isArray(list) && !this.#one(list, at(place, key), whole, path, depth)) return false;
    }
    return true;
  }

  /** The first of several that ends, but not null where there is another. */
  #one(list: readonly unknown[], place: Place, whole: Growing, path: string[], depth: number): boolean {
    const order = [...list.keys()].sort((a, b) => Number(isNull(list[a])) - Number(isNull(list[b])));
    for (const index of order) {
      const before = path.length;
      const one = empty();
      if (this.#gather({ schema: list[index], place: at(place, index) }, one, path, depth + 1)) {
        join(whole, one);
        return true;
      }
      path.length = before;
    }
    return false;
  }

  #take(schema: Fields, whole: Growing, place: Place): void {
    const { properties, required, items, prefixItems, additionalProperties } = schema;
    for (const [name, each] of Object.entries(isFields(properties) ? properties : {})) {
      const known = whole.properties.get(name) ?? [];
      known.push({ schema: each, place: at(place, "properties", name) });
      whole.properties.set(name, known);
    }
    for (const name of Array.isArray(required) ? required : []) whole.required.add(String(name));
    if (isFields(items) || items === true) whole.items.push({ schema: items, place: at(place, "items") });
    const listed = Array.isArray(prefixItems) ? prefixItems : Array.isArray(items) ? items : [];
    for (const [index, each] of listed.entries())
      whole.prefix[index] ??= {
        schema: each,
        place: at(place, Array.isArray(prefixItems) ? "prefixItems" : "items", index),
      };
    if (isFields(additionalProperties))
      whole.others = { schema: additionalProperties, place: at(place, "additionalProperties") };
  }
}

const isNull = (schema: unknown): boolean => fieldOf(schema, "type") === "null";

/** The type of what a schema without one is most likely about. */
function guessed({ fields, properties, items, prefix }: Whole): string {
  if (properties.size > 0 || isFields(fields.additionalProperties)) return "object";
  if (items.length > 0 || prefix.length > 0) return "array";
  if (["minimum", "maximum", "multipleOf"].some((key) => Object.hasOwn(fields, key))) return "number";
  if (["pattern", "format", "minLength", "maxLength"].some((key) => Object.hasOwn(fields, key))) return "string";
  return "object";
}

const varied = (value: unknown, index: number): unknown =>
  typeof value === "number" ? value + index : typeof value === "string" ? `${value}${index}` : value;

const FORMATS: Readonly<Record<string, string>> = {
  "date-time": "2026-01-02T03:04:05Z",
  date: "2026-01-02",
  time: "03:04:05Z",
  duration: "P1D",
  email: "ann@example.com",
  "idn-email": "ann@example.com",
  hostname: "example.com",
  "idn-hostname": "example.com",
  ipv4: "192.0.2.1",
  ipv6: "2001:db8::1",
  uri: "https://example.com/",
  url: "https://example.com/",
  "uri-reference": "/example",
  iri: "https://example.com/",
  "iri-reference": "/example",
  "uri-template": "/{id}",
  uuid: "3fa85f64-5717-4562-b3fc-2c963f66afa6",
  "json-pointer": "/example",
  "relative-json-pointer": "0",
  regex: "^a$",
  byte: "dGV4dA==",
  binary: "text",
  password: "password",
};

function textOf({ format, pattern, minLength, maxLength }: Fields): string {
  const formatted = typeof format === "string" && Object.hasOwn(FORMATS, format) ? FORMATS[format]! : null;
  const fitting = typeof pattern === "string" ? patternSample(pattern) : null;
  let text = fitting ?? formatted ?? "text";
  if (fitting !== null || formatted !== null) return text;
  const least = Math.min(Number(minLength) || 0, TEXT_MAX);
  while (text.length < least) text += "text".slice(0, least - text.length);
  return typeof maxLength === "number" ? text.slice(0, Math.max(0, maxLength)) : text;
}

function numberOf(
  { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf }: Fields,
  whole: boolean,
): number {
  const step = typeof multipleOf === "number" && multipleOf > 0 ? multipleOf : whole ? 1 : 0;
  let low = Number.NEGATIVE_INFINITY;
  let high = Number.POSITIVE_INFINITY;
  // Of 3.0, a flag says that the limit is none of the numbers; of 3.1, a number of its own.
  const least = typeof minimum === "number" ? minimum : null;
  const most = typeof maximum === "number" ? maximum : null;
  if (least !== null) low = exclusiveMinimum === true ? after(least, step, most) : least;
  if (typeof exclusiveMinimum === "number") low = Math.max(low, after(exclusiveMinimum, step, most));
  if (most !== null) high = exclusiveMaximum === true ? before(most, step, least) : most;
  if (typeof exclusiveMaximum === "number") high = Math.min(high, before(exclusiveMaximum, step, least));
  const near = low > 0 ? low : high < 0 ? high : 0;
  if (step === 0 || near === 0) return near;
  const rounded = (near > 0 ? Math.ceil(near / step) : Math.floor(near / step)) * step;
  return Number(rounded.toFixed(9));
}

const after = (limit: number, step: number, most: number | null): number =>
  limit + (step > 0 ? step : most === null ? 1 : Math.min(1, Math.abs(most - limit) / 2));
const before = (limit: number, step: number, least: number | null): number =>
  limit - (step > 0 ? step : least === null ? 1 : Math.min(1, Math.abs(limit - least) / 2));
