// docs/reference.md out of the JSON Schema: one table for each object of the configuration.
import type { JsonSchema } from "../src/config/json-schema.ts";

interface Section {
  /** How users get there: `listeners[].timeouts`. */
  readonly name: string;
  readonly schema: JsonSchema;
}

const HEAD = `# Configuration reference

<!-- Made from src/config/schema.ts by tools/generate.ts. Do not edit. -->

All keys of the configuration. YAML, JSON and TypeScript say the same thing, and unknown keys are errors.

| what | how it is written |
| --- | --- |
| duration | \`250ms\`, \`5s\`, \`1m\`, \`2h\`, \`30d\` |
| size | \`512B\`, \`64KB\`, \`10MB\`, \`1GB\`; powers of 1024 |
| data rate | a size for each second, minute, hour or day: \`64KB/s\`, \`10MB/m\` |
| share | \`10%\` |
| rate | \`100/s\`, \`1000/m\`, \`10000/h\`, \`50000/d\` |

In every text, also in the middle of one, these are filled in before anything else is looked at:

| placeholder | what takes its place |
| --- | --- |
| \`\${NAME}\` | the environment variable; an error when it is not set |
| \`\${NAME:-default}\` | the environment variable, or the default when it is not set or empty |
| \`\${file:PATH}\` | the content of a file without its last line break; the path starts from the configuration's folder |
| \`$\${\` | a plain \`\${\` |

A \`$\` before anything else stays as it is (\`$1\` in \`rewrite.regex\`). Keys are not filled in. Where a number or \`true\` is
expected, a text that was filled in becomes one: \`workers: \${WORKERS}\`.

Templates (\`redirect.to\`, \`rewrite.path\`, values of headers, \`respond.body\`) know \`{host}\`, \`{path}\`, \`{query}\`,
\`{uri}\`, \`{method}\`, \`{scheme}\`, \`{ip}\`, \`{requestId}\`, \`{route}\`, \`{upstream}\`, \`{server}\`, \`{user}\`, \`{claim.NAME}\`,
\`{header.NAME}\`, \`{cookie.NAME}\`, \`{query.NAME}\` and the path parameters of the route (\`{id}\` for \`:id\`). Braces around
anything but a name are plain text, and \`{{name}}\` stands for the text \`{name}\`.

In YAML, \`<<: *name\` takes over the keys of the mapping that is marked \`&name\`. An object that is left out has the
defaults of its keys; a policy that is left out is off.
`;

/** The page, as Markdown. */
export function referencePage(root: JsonSchema): string {
  const sections = new Map<string, Section>();
  collect({ name: "", schema: root }, sections);
  return `${HEAD}${[...sections.values()].map((section) => render(section, sections)).join("")}`;
}

/** The objects below one; those with the same keys (a policy in `routes` and in `defaults`) share a section. */
function collect(section: Section, sections: Map<string, Section>): void {
  const shape = shapeOf(section.schema);
  if (sections.has(shape)) return;
  sections.set(shape, section);
  const members = Object.entries(section.schema.properties ?? {});
  // Routes first, so that what both have is named after them.
  if (section.name === "") members.sort(([a], [b]) => Number(a === "defaults") - Number(b === "defaults"));
  for (const [key, schema] of members) {
    const name = section.name === "" ? key : `${section.name}.${key}`;
    for (const inner of objectsIn(schema, name)) collect(inner, sections);
  }
}

function shapeOf(schema: JsonSchema): string {
  return JSON.stringify(schema.properties);
}

function objectsIn(schema: JsonSchema, name: string): Section[] {
  if (schema.anyOf !== undefined) return schema.anyOf.flatMap((one) => objectsIn(one, name));
  if (schema.properties !== undefined) return [{ name, schema }];
  if (schema.items !== undefined) return objectsIn(schema.items, `${name}[]`);
  if (schema.additionalProperties) return objectsIn(schema.additionalProperties, `${name}.NAME`);
  return [];
}

function render({ name, schema }: Section, sections: ReadonlyMap<string, Section>): string {
  const rows = Object.entries(schema.properties ?? {}).map(([key, value]) => {
    const required = schema.required?.includes(key) === true;
    const byDefault = required
      ? "required"
      : value.default === undefined
        ? ""
        : `\`${JSON.stringify(value.default).replace(/^"(.+)"$/, "$1")}\``;
    return `| \`${key}\` | ${typeOf(value, sections)} | ${byDefault} | ${cell(value.description ?? "")} |`;
  });
  const title = name === "" ? "The whole configuration" : `\`${name}\``;
  return `\n## ${title}\n\n| key | type | default | what it is |\n| --- | --- | --- | --- |\n${rows.join("\n")}\n`;
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

/** The type in the words of users. */
function typeOf(schema: JsonSchema, sections: ReadonlyMap<string, Section>): string {
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map((one) => typeOf(one, sections)))].join(" or ");
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(", ");
  if (schema.title !== undefined) return schema.title;
  if (schema.type === "integer" || schema.type === "number") return `number${range(schema)}`;
  if (schema.type === "string") return "text";
  if (schema.type === "boolean") return "`true` or `false`";
  if (schema.type === "array")
    return schema.prefixItems === undefined
      ? `list of ${typeOf(schema.items ?? {}, sections)}`
      : `list of ${schema.prefixItems.length}`;
  if (schema.properties !== undefined) {
    const name = sections.get(shapeOf(schema))?.name ?? "";
    return `[object](#${anchorOf(name)})`;
  }
  if (schema.additionalProperties) return `names with ${typeOf(schema.additionalProperties, sections)}`;
  return "plugin";
}

function range({ minimum, maximum }: JsonSchema): string {
  if (minimum !== undefined && maximum !== undefined) return `, ${minimum} to ${maximum}`;
  return minimum === undefined ? "" : `, at least ${minimum}`;
}

/** How Markdown renderers name the heading of a section. */
function anchorOf(name: string): string {
  return name.toLowerCase().replace(/[^\w-]/g, "");
}
