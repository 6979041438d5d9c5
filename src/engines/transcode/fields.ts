// Fields of messages by their paths, and what texts in paths and queries are to them in proto3's JSON.
import { type DescField, type DescMessage, type JsonValue, ScalarType } from "@bufbuild/protobuf";

export type JsonObject = Record<string, JsonValue>;

/** Fields from a message down to the one that is meant. */
export type FieldPath = readonly DescField[];

/** Messages whose JSON is a text. */
const TEXTS: ReadonlySet<string> = new Set([
  "google.protobuf.Timestamp",
  "google.protobuf.Duration",
  "google.protobuf.FieldMask",
]);
/** Those that stand for one value, which their field `value` has. */
const WRAPPER = /^google\.protobuf\.(?:Double|Float|U?Int(?:32|64)|Bool|String|Bytes)Value$/;
const DEPTH_MAX = 32;

/** The field of that name, as the file has it or as JSON has it. */
export const fieldOf = (message: DescMessage, name: string): DescField | null =>
  message.fields.find((field) => field.name === name || field.jsonName === name) ?? null;

/** The fields that `a.b.c` names; null when it names none that a text can be the value of. */
export function fieldPathOf(message: DescMessage, text: string): FieldPath | null {
  const names = text.split(".");
  if (names.length > DEPTH_MAX) return null;
  const path: DescField[] = [];
  let holder: DescMessage | null = message;
  for (const name of names) {
    const field: DescField | null = holder === null ? null : fieldOf(holder, name);
    if (field === null) return null;
    path.push(field);
    holder = field.fieldKind === "message" && !isText(field.message) ? field.message : null;
  }
  return isLeaf(path.at(-1)!) ? path : null;
}

const isText = ({ typeName }: DescMessage): boolean => TEXTS.has(typeName) || WRAPPER.test(typeName);

/** Whether a text can be its value, or one of its values. */
function isLeaf(field: DescField): boolean {
  const kind = field.fieldKind === "list" ? field.listKind : field.fieldKind;
  if (kind === "scalar" || kind === "enum") return true;
  return kind === "message" && isText(field.message!);
}

/** The JSON of a text; null when it cannot be one. What is wrong with numbers and the like the reader of JSON finds. */
function jsonOf(field: DescField, text: string): JsonValue | null {
  const kind = field.fieldKind === "list" ? field.listKind : field.fieldKind;
  if (kind === "enum") return /^-?\d{1,10}$/.test(text) ? Number(text) : text;
  if (kind === "message") {
    const wrapped = field.message!.fields[0]!;
    return WRAPPER.test(field.message!.typeName) ? jsonOf(wrapped, text) : text;
  }
  if (field.scalar !== ScalarType.BOOL) return text;
  return text === "true" ? true : text === "false" ? false : null;
}

/** Where an object of JSON has a field: under its name for JSON from now on. */
function settle(object: JsonObject, { name, jsonName }: DescField): string {
  if (name !== jsonName && Object.hasOwn(object, name)) {
    object[jsonName] ??= object[name]!;
    delete object[name];
  }
  return jsonName;
}

/**
 * Puts a text where a path leads to: into a list behind what is there, if `add`, else in place of it. Returns what is
 * wrong; "" for nothing.
 */
export function putText(root: JsonObject, path: FieldPath, text: string, add: boolean): string {
  let object = root;
  for (const field of path.slice(0, -1)) {
    const name = settle(object, field);
    const inner = object[name];
    if (typeof inner === "object" && inner !== null && !Array.isArray(inner)) object = inner;
    else object[name] = object = {};
  }
  const field = path.at(-1)!;
  const value = jsonOf(field, text);
  if (value === null) return "must be true or false";
  const name = settle(object, field);
  if (field.fieldKind !== "list") {
    if (add && Object.hasOwn(object, name)) return "must not be there twice";
    object[name] = value;
    return "";
  }
  const before = object[name];
  if (add && Array.isArray(before)) before.push(value);
  else object[name] = [value];
  return "";
}

/** Puts JSON in place of a field of the message itself. */
export function putJson(root: JsonObject, field: DescField, value: JsonValue): void {
  root[settle(root, field)] = value;
}
