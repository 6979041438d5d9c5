// Values as the bodies of messages, by their content type.
import { fieldOf } from "../engines/openapi/index.ts";

/** Examples that are larger are no examples. */
const BODY_MAX = 1_048_576;
const DEPTH_MAX = 32;

/** The bytes of a value; none of undefined. Texts stand for themselves, but in JSON. */
export function bodyOf(value: unknown, type: string, schema: unknown): Buffer {
  if (value === undefined) return Buffer.alloc(0);
  const bytes = Buffer.from(textOf(value, type.toLowerCase().split(";", 1)[0]!.trim(), schema));
  return bytes.length > BODY_MAX ? Buffer.alloc(0) : bytes;
}

function textOf(value: unknown, type: string, schema: unknown): string {
  const isJson = type.endsWith("/json") || type.endsWith("+json");
  if (typeof value === "string" && !isJson) return value;
  if (type === "application/x-www-form-urlencoded" && typeof value === "object" && value !== null) return formOf(value);
  if (type.endsWith("/xml") || type.endsWith("+xml"))
    return `<?xml version="1.0" encoding="UTF-8"?>\n${xmlOf(nameOf(schema), value, 0)}\n`;
  return JSON.stringify(value);
}

function formOf(value: object): string {
  const pairs = Object.entries(value).flatMap(([name, each]) =>
    [each].flat().map((one): [string, string] => [name, typeof one === "object" ? JSON.stringify(one) : String(one)]),
  );
  return new URLSearchParams(pairs).toString();
}

/** What the outermost element is called: as `xml.name` has it, or the name of the schema. */
function nameOf(schema: unknown): string {
  const said = fieldOf(fieldOf(schema, "xml"), "name");
  if (typeof said === "string") return elementName(said);
  const ref = fieldOf(schema, "$ref");
  return elementName(typeof ref === "string" ? (ref.split("/").at(-1) ?? "") : "root");
}

const elementName = (name: string): string => (/^[A-Za-z_][\w.-]*$/.test(name) ? name : "item");

function xmlOf(name: string, value: unknown, depth: number): string {
  if (depth > DEPTH_MAX) return "";
  if (Array.isArray(value)) return value.map((each) => xmlOf(name, each, depth + 1)).join("");
  const inner =
    typeof value === "object" && value !== null
      ? Object.entries(value)
          .map(([key, each]) => xmlOf(elementName(key), each, depth + 1))
          .join("")
      : String(value ?? "").replace(/[&<>]/g, (char) => `&#${char.charCodeAt(0)};`);
  return `<${name}>${inner}</${name}>`;
}
