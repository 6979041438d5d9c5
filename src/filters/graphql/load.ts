// The files that `graphql` names: a schema, and documents that are known. They are read at the start and at reloads.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, extname, join } from "node:path";
import { CompileError, within } from "../../config/compile-error.ts";
import type { GraphqlConfig } from "../../config/schema-graphql.ts";
import {
  type Document,
  Documents,
  isInSchema,
  type Rules,
  readSchema,
  SchemaError,
  sha256,
} from "../../engines/graphql/index.ts";

/** Schemas of large companies have some megabytes. */
const FILE_MAX = 16_777_216;
const FILES_MAX = 10_000;
const DOCUMENTS_MAX = 50_000;
/** Documents of the list are no stranger's: this is for mistakes. */
const TOKENS_MAX = 1_000_000;

/** The documents of a list. */
export interface KnownList {
  /** By id and by SHA-256; files are called by their names without the ending as well. */
  readonly byId: ReadonlyMap<string, string>;
  /** What became of each text. */
  readonly byText: ReadonlyMap<string, Document>;
}

export interface Loaded {
  readonly documents: Documents;
  readonly list: KnownList | null;
}

// Building a schema takes a while: routes with the same settings share it, and so does a reload that changes nothing.
const KEPT_MAX = 8;
const kept = new Map<string, { readonly loaded: Loaded; readonly files: ReadonlyMap<string, string> }>();

/** Throws CompileError with file, line and column of what is wrong. */
export function load(config: GraphqlConfig): Loaded {
  const { schema, cost, fields, persisted } = config;
  const key = JSON.stringify([schema, cost, fields, persisted?.files]);
  const known = kept.get(key);
  if (known !== undefined && [...known.files].every(([file, hash]) => hashOf(file) === hash)) return known.loaded;
  const reader = new Reader();
  const graph = schema === undefined ? null : within("schema", () => schemaOf(reader, schema));
  checkCoordinates(config, graph);
  const documents = new Documents(graph, rulesOf(config));
  const files = persisted?.files;
  const list =
    files === undefined
      ? null
      : within("persisted", () => within("files", () => listOf(reader, [files].flat(), documents)));
  const loaded: Loaded = { documents, list };
  if (kept.size >= KEPT_MAX) kept.clear();
  kept.set(key, { loaded, files: reader.hashes });
  return loaded;
}

function rulesOf({ cost, fields }: GraphqlConfig): Rules {
  return {
    field: cost.field,
    weights: new Map(Object.entries(cost.weights)),
    sizeArguments: cost.sizeArguments.map((each) => each.split(".")),
    assumedSize: cost.listSize,
    denied: fields.deny,
    allowed: fields.allow ?? null,
  };
}

/** What is written for a field that is not there would silently mean nothing. */
function checkCoordinates({ cost, fields }: GraphqlConfig, schema: ReturnType<typeof readSchema> | null): void {
  const all: readonly (readonly [path: readonly (string | number)[], coordinate: string])[] = [
    ...Object.keys(cost.weights).map((each) => [["cost", "weights", each], each] as const),
    ...(fields.allow ?? []).map((each, at) => [["fields", "allow", at], each] as const),
    ...fields.deny.map((each, at) => [["fields", "deny", at], each] as const),
  ];
  for (const [path, coordinate] of all) {
    if (schema !== null) {
      if (!isInSchema(schema, coordinate)) throw new CompileError(`the schema has no ${coordinate}`, path);
    } else if (!/^(?:\*|Query|Mutation|Subscription)\./.test(coordinate))
      throw new CompileError(
        `${coordinate}: without a \`schema\`, only fields of Query, Mutation and Subscription are told from others`,
        path,
      );
  }
  if (schema === null) return;
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].map(
    (each) => each?.name,
  );
  for (const [at, coordinate] of (fields.allow ?? []).entries())
    if (!["*", ...roots].includes(coordinate.split(".")[0]))
      throw new CompileError(`${coordinate}: \`allow\` is about the fields of operations`, ["fields", "allow", at]);
}

/** Reads files, and remembers what they were. */
class Reader {
  readonly hashes = new Map<string, string>();

  text(file: string): string {
    if (this.hashes.size >= FILES_MAX) throw new CompileError(`there are more than ${FILES_MAX} files`, []);
    try {
      if (statSync(file).size > FILE_MAX) throw new CompileError(`${file} is larger than ${FILE_MAX} bytes`, []);
      const text = readFileSync(file, "utf8");
      this.hashes.set(file, sha256(text));
      return text;
    } catch (error) {
      if (error instanceof CompileError) throw error;
      throw new CompileError(`the file ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`, []);
    }
  }

  /** The file, or those in the folder. */
  under(path: string): string[] {
    try {
      if (!statSync(path).isDirectory()) return [path];
      const names = readdirSync(path).sort();
      this.hashes.set(path, sha256(names.join("\n")));
      return names.filter((name) => ENDINGS.includes(extname(name))).map((name) => join(path, name));
    } catch (error) {
      throw new CompileError(`${path} cannot be read (${(error as NodeJS.ErrnoException).code})`, []);
    }
  }
}

const GRAPHQL_ENDINGS = [".graphql", ".gql"];
const ENDINGS = [...GRAPHQL_ENDINGS, ".json"];

const hashOf = (path: string): string => {
  try {
    return sha256(statSync(path).isDirectory() ? readdirSync(path).sort().join("\n") : readFileSync(path, "utf8"));
  } catch {
    return "";
  }
};

function schemaOf(reader: Reader, file: string): ReturnType<typeof readSchema> {
  const text = reader.text(file);
  try {
    return readSchema(text);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    throw new CompileError(`${file}${error.line === 0 ? "" : `:${error.line}:${error.column}`}: ${error.message}`, []);
  }
}

function listOf(reader: Reader, paths: readonly string[], documents: Documents): KnownList {
  const byId = new Map<string, string>();
  const byText = new Map<string, Document>();
  const add = (file: string, ids: readonly string[], text: string): void => {
    if (!byText.has(text)) {
      if (byText.size >= DOCUMENTS_MAX) throw new CompileError(`there are more than ${DOCUMENTS_MAX} documents`, []);
      const read = documents.read(text, TOKENS_MAX);
      if (read.kind !== "document") {
        const [{ message, locations } = { message: "" }] = read.errors;
        const where = locations?.[0] === undefined ? "" : `:${locations[0].line}:${locations[0].column}`;
        throw new CompileError(`${file}${file.endsWith(".json") ? ` (${ids[0]})` : where}: ${message}`, []);
      }
      byText.set(text, read);
    }
    for (const id of [...ids, sha256(text)]) {
      if ((byId.get(id) ?? text) !== text) throw new CompileError(`${file}: "${id}" is another document elsewhere`, []);
      byId.set(id, text);
    }
  };
  for (const file of paths.flatMap((path) => reader.under(path))) {
    const text = reader.text(file);
    if (GRAPHQL_ENDINGS.includes(extname(file))) add(file, [basename(file, extname(file))], text);
    else for (const [id, document] of manifestOf(file, text)) add(file, [id], document);
  }
  if (byText.size === 0) throw new CompileError("there are no documents: files end in .graphql, .gql or .json", []);
  return { byId, byText };
}

/** Ids and documents of a file: a manifest of Apollo, or an object of documents by their ids. */
function manifestOf(file: string, text: string): [id: string, document: string][] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CompileError(`${file}: it is no JSON`, []);
  }
  const wrong = new CompileError(`${file}: documents by their ids, or a manifest of Apollo, were expected`, []);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw wrong;
  const { format, operations } = value as { readonly format?: unknown; readonly operations?: unknown };
  const entries =
    format === "apollo-persisted-query-manifest" && Array.isArray(operations)
      ? operations.map((each: { readonly id?: unknown; readonly body?: unknown } | null) => [each?.id, each?.body])
      : Object.entries(value);
  return entries.map(([id, document]): [string, string] => {
    if (typeof id !== "string" || typeof document !== "string") throw wrong;
    return [id, document];
  });
}
