// The files of a specification: which may be read, how they become values, and where in them something stands.
import { createHash } from "node:crypto";
import { readFileSync, realpathSync, statSync } from "node:fs";
import { dirname, extname, sep } from "node:path";
import { type Document, isAlias, isCollection, isNode, isPair, isScalar, LineCounter, parseDocument } from "yaml";
import { CompileError } from "../../config/compile-error.ts";
import { Documents, type Place, SpecError } from "../../engines/openapi/index.ts";

/** The largest public descriptions have some 10 MB. */
const FILE_MAX = 16_777_216;
const FILES_MAX = 100;
/** Names that stand for what was said before: a few levels of them make any size out of a few lines. */
const ALIASES_MAX = 1000;

/** Where something stands in a text; line and column from 1, or 0 where it has no place. */
export interface TextPlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

// Reading a long file takes a tenth of a second, and several parts of a configuration look at the same one.
const opened = new Map<string, WeakRef<SpecFiles>>();

export class SpecFiles {
  readonly documents: Documents;
  readonly #main: string;
  readonly #texts = new Map<string, string>();
  readonly #hashes = new Map<string, string>();
  #isChecked = false;
  readonly #parsed = new Map<string, { readonly document: Document; readonly lines: LineCounter }>();

  /** `main` is an absolute path; "" for a schema that stands in a configuration, which can refer to no file. */
  constructor(main: string) {
    this.#main = main;
    this.documents = new Documents((file, from) => {
      if (this.#texts.size >= FILES_MAX) throw new SpecError(`it is made of more than ${FILES_MAX} files`, from);
      const text = textOf(file, main, from);
      this.#texts.set(file, text);
      this.#hashes.set(file, hashOf(text));
      return parse(file, text);
    });
  }

  /** The files of a document that were read already, where none of them has changed since; else new ones. */
  static of(main: string): SpecFiles {
    const known = opened.get(main)?.deref();
    if (known?.isFresh === true) return known;
    for (const [file, ref] of opened) if (ref.deref() === undefined) opened.delete(file);
    const files = new SpecFiles(main);
    opened.set(main, new WeakRef(files));
    return files;
  }

  /** None of the files that were read has changed since. They are looked at once for all routes that are compiled. */
  get isFresh(): boolean {
    if (this.#isChecked) return true;
    const fresh = [...this.#hashes].every(([file, hash]) => {
      try {
        return hashOf(readFileSync(file, "utf8")) === hash;
      } catch {
        return false;
      }
    });
    this.#isChecked = fresh;
    queueMicrotask(() => {
      this.#isChecked = false;
    });
    return fresh;
  }

  /** Absolute paths of those that were read. */
  get names(): string[] {
    return [...this.#texts.keys()];
  }

  /** Tells apart versions of what was read. */
  get digest(): string {
    return [...this.#hashes.values()].join(" ");
  }

  /** Where the value at a place stands, or its key; for a place that is not there, the nearest thing around it. */
  locate({ file, path }: Place, at: "key" | "value" = "value"): TextPlace {
    const text = this.#texts.get(file);
    if (text === undefined) return { file, line: 0, column: 0 };
    let parsed = this.#parsed.get(file);
    if (parsed === undefined) {
      const lines = new LineCounter();
      parsed = { document: parseDocument(text, { lineCounter: lines }), lines };
      this.#parsed.set(file, parsed);
    }
    const { document, lines } = parsed;
    let node: unknown = document.contents;
    let key: unknown = node;
    for (const part of path) {
      const target: unknown = isAlias(node) ? node.resolve(document) : node;
      if (!isCollection(target)) break;
      const pair = target.items.find((each) => isPair(each) && keyText(each.key) === String(part));
      const next: unknown = isPair(pair) ? pair.value : target.get(part, true);
      key = isPair(pair) ? pair.key : next;
      if (!isNode(next)) break;
      node = next;
    }
    const wanted = at === "key" ? key : node;
    if (!isNode(wanted) || !wanted.range) return { file, line: 0, column: 0 };
    const { line, col } = lines.linePos(wanted.range[0]);
    return { file, line, column: col };
  }

  /** An error with its place in words: `openapi.yaml:12:3: …`. */
  inWords(error: SpecError): string {
    const { file, line, column } = this.locate(error.place);
    return `${file}${line > 0 ? `:${line}:${column}` : ""}: ${error.message}`;
  }

  /** The path of the main file. */
  get main(): string {
    return this.#main;
  }
}

const keyText = (key: unknown): string => (isScalar(key) ? String(key.value) : "");

const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");

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
