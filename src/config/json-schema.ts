// The JSON Schema of what users write, made from the one schema; and the way to the part of it that rules a given path.
import { z } from "zod";
import type { ConfigPath } from "./diagnostic.ts";
import { configSchema } from "./schema.ts";

/** The parts of JSON Schema (2020-12) that occur in ours. */
export interface JsonSchema {
  readonly $id?: string;
  title?: string;
  description?: string;
  default?: unknown;
  type?: string;
  const?: unknown;
  enum?: readonly unknown[];
  pattern?: string;
  examples?: readonly unknown[];
  anyOf?: readonly JsonSchema[];
  properties?: Readonly<Record<string, JsonSchema>>;
  required?: readonly string[];
  additionalProperties?: JsonSchema | false;
  items?: JsonSchema;
  prefixItems?: readonly JsonSchema[];
  minItems?: number;
  minimum?: number;
  maximum?: number;
}

type Scales = readonly (readonly [unit: string, scale: number])[];

const DURATIONS: Scales = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1000],
  ["ms", 1],
];

const SIZES: Scales = [
  ["TB", 1024 ** 4],
  ["GB", 1024 ** 3],
  ["MB", 1024 ** 2],
  ["KB", 1024],
  ["B", 1],
];

interface UnitStyle {
  readonly example: string;
  /** A number of the checked configuration as users write it. */
  write(n: number): string;
}

/** What the texts with a unit are called in schema.ts (`title`). */
const UNITS: Readonly<Record<string, UnitStyle>> = {
  duration: { example: "5s", write: (ms) => written(ms, DURATIONS) },
  size: { example: "64KB", write: (bytes) => written(bytes, SIZES) },
  "data rate": { example: "10MB/s", write: (perSecond) => `${written(perSecond, SIZES)}/s` },
  share: { example: "10%", write: (part) => `${Number((part * 100).toFixed(4))}%` },
  rate: { example: "100/s", write: String },
};

/** An editor sees the text before `${NAME}` is filled in. */
const PLACEHOLDER = "|.*\\$\\{.*";

let cached: JsonSchema | null = null;

/** The JSON Schema of the configuration file. Made once; not to be changed by callers. */
export function configJsonSchema(): JsonSchema {
  cached ??= z.toJSONSchema(configSchema, {
    io: "input",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => refine(zodSchema, jsonSchema as JsonSchema),
  }) as JsonSchema;
  return cached;
}

function refine(zodSchema: z.core.$ZodTypes, json: JsonSchema): void {
  const definition = zodSchema._zod.def;
  const unit = UNITS[json.title ?? ""];
  if (unit !== undefined) json.examples = [unit.example];
  if (unit !== undefined && definition.type === "default" && typeof definition.defaultValue === "number") {
    json.default = unit.write(definition.defaultValue);
  }
  // An object without defaults of its own says so by leaving the key away.
  if (definition.type === "prefault") delete json.default;
  if (json.maximum === Number.MAX_SAFE_INTEGER) delete json.maximum;
  if (json.pattern !== undefined && !json.pattern.includes(PLACEHOLDER)) {
    json.pattern = `^(${json.pattern.replace(/^\^/, "").replace(/\$$/, "")}${PLACEHOLDER})$`;
  }
}

/** With the largest unit that leaves no fraction. */
function written(n: number, units: Scales): string {
  const fits = units.find(([, scale]) => n >= scale && n % scale === 0) ?? units[units.length - 1]!;
  return `${n / fits[1]}${fits[0]}`;
}

/** Every schema that may rule the value at this path, unions opened; none when the path is not part of the schema. */
export function schemasAt(path: ConfigPath): readonly JsonSchema[] {
  let nodes = opened(configJsonSchema());
  for (const part of path) {
    nodes = nodes.flatMap((node) => {
      const next = typeof part === "number" ? itemOf(node, part) : memberOf(node, part);
      return next === null ? [] : opened(next);
    });
  }
  return nodes;
}

function opened(node: JsonSchema): readonly JsonSchema[] {
  return node.anyOf === undefined ? [node] : node.anyOf.flatMap(opened);
}

function itemOf(node: JsonSchema, index: number): JsonSchema | null {
  return node.prefixItems?.[index] ?? node.items ?? null;
}

function memberOf(node: JsonSchema, key: string): JsonSchema | null {
  if (node.properties !== undefined && Object.hasOwn(node.properties, key)) return node.properties[key] ?? null;
  return node.additionalProperties || null;
}

/** The description of the value at this path; null when it has none. */
export function descriptionAt(path: ConfigPath): string | null {
  const key = path[path.length - 1];
  if (typeof key !== "string") return null;
  for (const node of schemasAt(path.slice(0, -1))) {
    const text = memberOf(node, key)?.description;
    if (text !== undefined) return text;
  }
  return null;
}
