// The files of specifications: which may be read, how they become values, and where in them a mistake is.
import { createHash } from "node:crypto";
import { readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, extname, sep } from "node:path";
import { isAlias, isCollection, isNode, LineCounter, parseDocument } from "yaml";
import { CompileError } from "../../config/compile-error.ts";
import type { ValidateConfig } from "../../config/schema-validate.ts";
import {
  type Api,
  type Content,
  compileApi,
  compileSchema,
  Documents,
  type Place,
  SpecError,
} from "../../engines/openapi/index.ts";
import { patternTester } from "./patterns.ts";

/** The largest public descriptions have some 10 MB. */
const FILE_MAX = 16_777_216;
const FILES_MAX = 100;
/** Names that stand for what was said before: a few levels of them make any size out of a few lines. */
const ALIASES_MAX = 1000;

/** What a configuration names: a document, or a schema for all bodies. */
export interface Loaded {
  readonly api: Api | null;
  readonly content: Content | null;
}

// Compiling takes a part of a second: routes with the same document share it, and a reload that changes nothing of it
// takes it over. A few at a time are what configurations have.
const KEPT_MAX = 8;
const kept = new Map<string, { readonly loaded: Loaded; readonly files: ReadonlyMap<string, string> }>();

/** Throws RangeError with file, line and column of what is wrong, or CompileError. */
export function load({ openapi, base, body }: ValidateConfig): Loaded {
  const key = JSON.stringify([openapi, base, body]);
  const known = kept.get(key);
  if (known !== undefined && [...known.files].every(([file, hash]) => hashOf(file) === hash)) return known.loaded;
  const main = openapi ?? (typeof body?.jsonSchema === "string" ? body.jsonSchema : "");
  const texts = new Map<string, string>();
  const documents = new Documents((file, from) => {
    if (texts.size >= FILES_MAX) throw new SpecError(`it is made of more than ${FILES_MAX} files`, from);
    const text = textOf(file, main, from);
    texts.set(file, text);
    return parse(file, text);
  });
  try {
    const loaded = compiled(documents, main, openapi !== undefined, base ?? null, body?.jsonSchema);
    if (kept.size >= KEPT_MAX) kept.clear();
    kept.set(key, { loaded, files: new Map([...texts.keys()].map((file) => [file, hashOf(file)])) });
    return loaded;
  } catch (error) {
    if (!(error instanceof SpecError)) throw error;
    if (error.place.file === "") throw new CompileError(error.message, ["body", "jsonSchema", ...error.place.path]);
    const where = positionIn(texts.get(error.place.file), error.place);
    throw new CompileError(
      `${error.place.file}${where}: ${error.message}`,
      openapi === undefined ? ["body"] : ["openapi"],
    );
  }
}

function compiled(documents: Documents, main: string, isApi: boolean, base: string | null, schema: unknown): Loaded {
  if (isApi) return { api: compileApi(documents, main, base, patternTester), content: null };
  const place: Place = { file: main, path: [] };
  if (typeof schema !== "string") documents.give("", schema);
  const value = typeof schema === "string" ? documents.file(main, place) : schema;
  return { api: null, content: compileSchema(documents, value, place, patternTester) };
}

const hashOf = (file: string): string => {
  try {
    return createHash("sha256").update(readFileSync(file)).digest("hex");
  } catch {
    return "";
  }
};

/** Only files beside the main one, or below, can be meant. */
function textOf(file: string, main: string, from: Place): string {
  if (main === "") throw new SpecError("a schema in the configuration refers to itself alone", from);
  try {
    const folder = realpathSync(dirname(main));
    const real = realpathSync(file);
    if (!real.startsWith(folder === sep ? sep : `${folder}${sep}`) && file !== main)
      throw new SpecError("the file lies neither beside the main one nor below", from);
    const { size } = statSync(real);
    if (size > FILE_MAX) throw new SpecError(`the file is larger than ${FILE_MAX} bytes`, from);
    return readFileSync(real, "utf8");
  } catch (error) {
    if (error instanceof SpecError) throw error;
    throw new SpecError(`the file ${file} cannot be read (${(error as NodeJS.ErrnoException).code})`, from);
  }
}

function parse(file: string, text: string): unknown {
  if (extname(file) === ".json") {
    try {
      return JSON.parse(text);
    } catch {
      // Read as YAML, it is told where the mistake is.
    }
  }
  const document = parseDocument(text, { uniqueKeys: true, prettyErrors: true });
  const [error] = document.errors;
  if (error !== undefined) {
    const [{ line, col }] = error.linePos ?? [{ line: 1, col: 1 }];
    throw new CompileError(`${file}:${line}:${col}: ${error.message.split("\n", 1)[0]}`, []);
  }
  try {
    return document.toJS({ maxAliasCount: ALIASES_MAX });
  } catch (problem) {
    throw new CompileError(`${file}: ${(problem as Error).message}`, []);
  }
}

/** `:line:column` of a place, or of what is there of it. */
function positionIn(text: string | undefined, { path }: Place): string {
  if (text === undefined) return "";
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  let node: unknown = document.contents;
  for (const key of path) {
    const target: unknown = isAlias(node) ? node.resolve(document) : node;
    const next: unknown = isCollection(target)
      ? (target.get(key, true) ?? target.get(String(Number(key)), true))
      : null;
    if (!isNode(next)) break;
    node = next;
  }
  if (!isNode(node) || !node.range) return "";
  const { line, col } = lines.linePos(node.range[0]);
  return `:${line}:${col}`;
}
