// A schema as readers see it: what may be there, of which type, within which limits. Named schemas are shown once, and
// linked to wherever they are used, so that a page grows with its document and not with what refers to what.
import { type Fields, fieldOf, isFields } from "../../engines/openapi/index.ts";
import { escaped, idOf, inlineHtml } from "./html.ts";

/** What is nested deeper is left to the document. */
const DEPTH_MAX = 8;
const VALUES_MAX = 30;

/** The schema of a body, a parameter or a component. */
export function schemaHtml(schema: unknown, depth = 0): string {
  if (!isFields(schema) || depth > DEPTH_MAX) return `<span class="type">any</span>`;
  const ref = refName(schema);
  if (ref !== null) return `<a class="type" href="#schema-${escaped(idOf(ref))}">${escaped(ref)}</a>`;
  const parts = [`<span class="type">${typeHtml(schema, depth)}</span>`, limitsHtml(schema)];
  for (const [key, words] of COMBINED) {
    const list = fieldOf(schema, key);
    if (!Array.isArray(list) || list.length === 0) continue;
    const items = list.map((each) => `<li>${schemaHtml(each, depth + 1)}</li>`).join("");
    parts.push(`<div class="combined"><span>${words}</span><ul>${items}</ul></div>`);
  }
  parts.push(membersHtml(schema, depth));
  return parts.filter((part) => part !== "").join(" ");
}

const COMBINED = [
  ["allOf", "all of"],
  ["oneOf", "one of"],
  ["anyOf", "any of"],
] as const;

/** The name of the component that is referred to; null for none. */
function refName(schema: unknown): string | null {
  const ref = fieldOf(schema, "$ref");
  if (typeof ref !== "string") return null;
  return (ref.split("/").at(-1) ?? "").replaceAll("~1", "/").replaceAll("~0", "~");
}

function typeHtml(schema: Fields, depth: number): string {
  const types = [schema.type].flat().filter((type) => typeof type === "string");
  if (types.includes("array") || (types.length === 0 && isFields(schema.items)))
    return `list of ${schemaHtml(schema.items, depth + 1)}${types.includes("null") ? " or null" : ""}`;
  const format = typeof schema.format === "string" ? ` (${escaped(schema.format)})` : "";
  const nullable = schema.nullable === true ? " or null" : "";
  if (types.length > 0) return `${escaped(types.join(" or "))}${format}${nullable}`;
  return isFields(schema.properties) ? "object" : "any";
}

const LIMITS: Readonly<Record<string, string>> = {
  minimum: "at least",
  exclusiveMinimum: "above",
  maximum: "at most",
  exclusiveMaximum: "below",
  multipleOf: "a multiple of",
  minLength: "characters at least:",
  maxLength: "characters at most:",
  minItems: "items at least:",
  maxItems: "items at most:",
  pattern: "matches",
  const: "always",
  default: "default:",
};

function limitsHtml(schema: Fields): string {
  const told = Object.entries(LIMITS).flatMap(([key, words]) =>
    Object.hasOwn(schema, key) && typeof schema[key] !== "boolean"
      ? [`${words} <code>${escaped(short(schema[key]))}</code>`]
      : [],
  );
  const values = schema.enum;
  if (Array.isArray(values))
    told.push(
      `one of ${values
        .slice(0, VALUES_MAX)
        .map((value) => `<code>${escaped(short(value))}</code>`)
        .join(", ")}${values.length > VALUES_MAX ? ", …" : ""}`,
    );
  for (const [key, words] of [
    ["readOnly", "only in answers"],
    ["writeOnly", "only in requests"],
    ["deprecated", "deprecated"],
    ["uniqueItems", "all different"],
  ] as const)
    if (schema[key] === true) told.push(words);
  return told.length === 0 ? "" : `<span class="limits">${told.join(", ")}</span>`;
}

const short = (value: unknown): string => {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
};

function membersHtml(schema: Fields, depth: number): string {
  const { properties, required, additionalProperties } = schema;
  const rows = Object.entries(isFields(properties) ? properties : {}).map(([name, each]) => {
    const isRequired = Array.isArray(required) && required.includes(name);
    const description = fieldOf(each, "description");
    const text =
      typeof description === "string" ? `<div class="text">${inlineHtml(description.slice(0, 2000))}</div>` : "";
    const mark = isRequired ? ` <span class="required">required</span>` : "";
    return `<dt><code>${escaped(name)}</code>${mark}</dt><dd>${schemaHtml(each, depth + 1)}${text}</dd>`;
  });
  if (isFields(additionalProperties))
    rows.push(`<dt>other names</dt><dd>${schemaHtml(additionalProperties, depth + 1)}</dd>`);
  return rows.length === 0 ? "" : `<dl class="members">${rows.join("")}</dl>`;
}
