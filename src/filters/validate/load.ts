// What `validate` names, compiled: routes with the same document share it.
import { CompileError } from "../../config/compile-error.ts";
import type { ValidateConfig } from "../../config/schema-validate.ts";
import {
  type Api,
  type Content,
  compileApi,
  compileSchema,
  type Documents,
  type Place,
  SpecError,
} from "../../engines/openapi/index.ts";
import { patternTester } from "./patterns.ts";
import { SpecFiles } from "./spec-files.ts";

/** What a configuration names: a document, or a schema for all bodies. */
export interface Loaded {
  readonly api: Api | null;
  readonly content: Content | null;
}

// Compiling takes a part of a second: routes with the same document share it, and a reload that changes nothing of it
// takes it over. A few at a time are what configurations have.
const KEPT_MAX = 8;
const kept = new Map<string, { readonly loaded: Loaded; readonly files: SpecFiles }>();

/** Throws RangeError with file, line and column of what is wrong, or CompileError. */
export function load({ openapi, base, body }: ValidateConfig): Loaded {
  const key = JSON.stringify([openapi, base, body]);
  const known = kept.get(key);
  const main = openapi ?? (typeof body?.jsonSchema === "string" ? body.jsonSchema : "");
  const files = main === "" ? new SpecFiles(main) : SpecFiles.of(main);
  if (known !== undefined && (main === "" || known.files === files)) return known.loaded;
  try {
    const loaded = compiled(files.documents, main, openapi !== undefined, base ?? null, body?.jsonSchema);
    if (kept.size >= KEPT_MAX) kept.clear();
    kept.set(key, { loaded, files });
    return loaded;
  } catch (error) {
    if (!(error instanceof SpecError)) throw error;
    if (error.place.file === "") throw new CompileError(error.message, ["body", "jsonSchema", ...error.place.path]);
    const told = new CompileError(files.inWords(error), openapi === undefined ? ["body"] : ["openapi"]);
    told.cause = error;
    throw told;
  }
}

function compiled(documents: Documents, main: string, isApi: boolean, base: string | null, schema: unknown): Loaded {
  if (isApi) return { api: compileApi(documents, main, base, patternTester), content: null };
  const place: Place = { file: main, path: [] };
  if (typeof schema !== "string") documents.give("", schema);
  const value = typeof schema === "string" ? documents.file(main, place) : schema;
  return { api: null, content: compileSchema(documents, value, place, patternTester) };
}
