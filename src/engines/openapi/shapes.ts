// What the text of a parameter may be turned into, as far as its schema says so.
import { at, type Documents, fieldOf, isFields, type Place } from "./documents.ts";

const TEXT = 1;
const NUMBER = 2;
const BOOLEAN = 4;
const NULL = 8;

export interface Shape {
  /** Which scalars it may be, as bits. */
  readonly scalars: number;
  /** Of the items, where it may be a list. */
  readonly items: Shape | null;
  /** Of the properties, where it may be an object. */
  readonly properties: ReadonlyMap<string, Shape> | null;
}

const BITS: Readonly<Record<string, number>> = {
  string: TEXT,
  number: NUMBER,
  integer: NUMBER,
  boolean: BOOLEAN,
  null: NULL,
};
export const PLAIN: Shape = { scalars: TEXT, items: null, properties: null };
/** Parameters are at most a list or an object of scalars; forms, which are as well, are no deeper. */
const DEPTH_MAX = 4;
/** Schemas that are looked into for one parameter: of what refers to itself in many ways, the rest adds nothing. */
const SCHEMAS_MAX = 1000;

/** What a schema, and those that it is put together of, say of types. */
export function shapeOf(documents: Documents, schema: unknown, place: Place): Shape {
  return new Look(documents).shape([{ schema, place }], 0);
}

interface Part {
  readonly schema: unknown;
  readonly place: Place;
}

class Look {
  readonly #documents: Documents;
  #left = SCHEMAS_MAX;

  constructor(documents: Documents) {
    this.#documents = documents;
  }

  shape(parts: readonly Part[], depth: number): Shape {
    if (depth > DEPTH_MAX) return PLAIN;
    const all: Part[] = [];
    for (const part of parts) this.#collect(part, all, 0);
    let scalars = 0;
    const items: Part[] = [];
    const properties = new Map<string, Part[]>();
    let isList = false;
    let isObject = false;
    for (const { schema, place } of all) {
      for (const type of [fieldOf(schema, "type")].flat()) {
        isList ||= type === "array";
        isObject ||= type === "object";
        if (typeof type === "string" && Object.hasOwn(BITS, type)) scalars |= BITS[type]!;
      }
      if (fieldOf(schema, "nullable") === true) scalars |= NULL;
      const item = fieldOf(schema, "items");
      if (isFields(item)) items.push({ schema: item, place: at(place, "items") });
      const named = fieldOf(schema, "properties");
      if (!isFields(named)) continue;
      for (const [name, each] of Object.entries(named)) {
        const known = properties.get(name) ?? [];
        known.push({ schema: each, place: at(place, "properties", name) });
        properties.set(name, known);
      }
    }
    const deeper = (each: readonly Part[]): Shape => this.shape(each, depth + 1);
    return {
      scalars,
      items: isList ? deeper(items) : null,
      properties: isObject ? new Map([...properties].map(([name, each]) => [name, deeper(each)])) : null,
    };
  }

  #collect({ schema, place }: Part, all: Part[], depth: number): void {
    if (this.#left <= 0 || depth > 16 || !isFields(schema)) return;
    this.#left -= 1;
    all.push({ schema, place });
    if (typeof schema.$ref === "string") {
      const { value, place: there } = this.#documents.follow(schema, place);
      this.#collect({ schema: value, place: there }, all, depth + 1);
    }
    for (const key of ["allOf", "anyOf", "oneOf"]) {
      const list = fieldOf(schema, key);
      if (!Array.isArray(list)) continue;
      for (const [index, each] of list.entries())
        this.#collect({ schema: each, place: at(place, key, index) }, all, depth + 1);
    }
  }
}

/** The value that a text stands for; the text itself where that is none, which the schema then says. */
export function scalarOf(text: string, { scalars }: Shape): unknown {
  if ((scalars & ~TEXT) === 0) return text;
  if ((scalars & NUMBER) !== 0 && isNumber(text)) return Number(text);
  if ((scalars & BOOLEAN) !== 0 && (text === "true" || text === "false")) return text === "true";
  if ((scalars & NULL) !== 0 && (text === "null" || (text === "" && (scalars & TEXT) === 0))) return null;
  return text;
}

/** RFC 8259 §6, without a look at whether it is in range. */
function isNumber(text: string): boolean {
  const { length } = text;
  let from = text.charCodeAt(0) === 0x2d /* - */ ? 1 : 0;
  const digits = digitsEnd(text, from);
  if (digits === from || (text.charCodeAt(from) === 0x30 && digits > from + 1)) return false;
  from = digits;
  if (text.charCodeAt(from) === 0x2e /* . */) {
    const end = digitsEnd(text, from + 1);
    if (end === from + 1) return false;
    from = end;
  }
  if (from < length && (text.charCodeAt(from) | 0x20) === 0x65 /* e */) {
    const sign = text.charCodeAt(from + 1);
    const start = from + (sign === 0x2b || sign === 0x2d ? 2 : 1);
    const end = digitsEnd(text, start);
    if (end === start) return false;
    from = end;
  }
  return from === length;
}

function digitsEnd(text: string, from: number): number {
  let at = from;
  for (let code = text.charCodeAt(at); code >= 0x30 && code <= 0x39; code = text.charCodeAt(at)) at += 1;
  return at;
}
