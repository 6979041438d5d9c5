// YAML and JSON to plain values, with the place of everything in the text.
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  Scalar,
  type YAMLError,
  type YAMLMap,
} from "yaml";
import { ConfigError, type ConfigPath, type Diagnostic, fileError, type Locate } from "./diagnostic.ts";

/** What a text held. `value` is made of plain objects, lists, texts, numbers, booleans and null. */
export interface ParsedText {
  readonly value: unknown;
  readonly locate: Locate;
}

const DEPTH_MAX = 64; // the schema is 7 deep; more is a mistake or an attack on the stack
/** Values that aliases may multiply a file by: far above what anchors are used for, far below what fills the memory. */
const ALIASED_VALUES_MAX = 100_000;
const ERRORS_MAX = 10;

/** Where a value stands, and what is in it. */
interface Mark {
  readonly key: number;
  readonly value: number;
  readonly children: Map<string | number, Mark> | null;
}

/** Reads YAML 1.2, or JSON when `json` is set. Throws ConfigError with the places of what is wrong. */
export function parseText(text: string, file: string, json: boolean): ParsedText {
  const lines = new LineCounter();
  let document: Document.Parsed;
  try {
    document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false, logLevel: "error" });
  } catch (error) {
    throw fileError(
      file,
      `this cannot be read: ${error instanceof RangeError ? "it is nested too deeply" : String(error)}`,
    );
  }
  if (document.errors.length > 0) {
    if (json) checkJson(text, file, lines, document.errors[0]?.pos[0] ?? 0);
    throw new ConfigError(syntaxErrors(document.errors, file, lines));
  }
  const reader = new Reader(file, json, lines);
  if (document.contents === null)
    throw fileError(file, "the file is empty", "write a starting configuration with `sluice init`");
  const root = reader.read(document.contents, -1, 0);
  if (json) checkJson(text, file, lines, 0);
  return { value: root.value, locate: (path, at) => locate(root.mark, path, at, lines) };
}

interface Read {
  readonly value: unknown;
  readonly mark: Mark;
}

class Reader {
  readonly #file: string;
  readonly #json: boolean;
  readonly #lines: LineCounter;
  readonly #anchors = new Map<string, Node>();
  #aliasDepth = 0;
  #aliased = 0;

  constructor(file: string, json: boolean, lines: LineCounter) {
    this.#file = file;
    this.#json = json;
    this.#lines = lines;
  }

  read(node: Node | null, key: number, depth: number): Read {
    if (depth > DEPTH_MAX) throw this.#error(node, `this is nested more than ${DEPTH_MAX} deep, or refers to itself`);
    if (this.#aliasDepth > 0 && (this.#aliased += 1) > ALIASED_VALUES_MAX)
      throw this.#error(node, "the aliases here make too many values");
    if (isAlias(node)) return this.#readAlias(node.source, node, key, depth);
    const value = offsetOf(node) ?? key;
    if (node === null) return { value: null, mark: { key, value, children: null } };
    if (node.tag !== undefined && !node.tag.startsWith("tag:yaml.org,2002:"))
      throw this.#error(node, `tags like "${node.tag}" mean nothing here`);
    if ((isMap(node) || isSeq(node) || isScalar(node)) && node.anchor !== undefined)
      this.#anchors.set(node.anchor, node);
    if (isMap(node)) return this.#readMap(node, key, depth);
    if (isSeq(node)) {
      if (this.#json && !node.flow) throw this.#error(node, "JSON lists are written [ … ]");
      const children = new Map<number, Mark>();
      const items = node.items.map((item, at) => {
        const read = this.read(item as Node | null, -1, depth + 1);
        children.set(at, read.mark);
        return read.value;
      });
      return { value: items, mark: { key, value, children } };
    }
    if (isScalar(node)) {
      if (this.#json) this.#checkJsonScalar(node);
      return { value: node.value, mark: { key, value, children: null } };
    }
    throw this.#error(node, "a value was expected here");
  }

  #readAlias(name: string, node: Node, key: number, depth: number): Read {
    const target = this.#anchors.get(name);
    if (target === undefined) {
      throw this.#error(node, `there is no anchor "&${name}"`, `a text that starts with * must be quoted: "*${name}"`);
    }
    this.#aliasDepth += 1;
    const read = this.read(target, key, depth + 1);
    this.#aliasDepth -= 1;
    return read;
  }

  #readMap(node: YAMLMap, key: number, depth: number): Read {
    if (this.#json && !node.flow) throw this.#error(node, "JSON objects are written { … }");
    const children = new Map<string, Mark>();
    const value: Record<string, unknown> = {};
    const merged: Read[] = [];
    for (const pair of node.items as Pair<Node | null, Node | null>[]) {
      const name = this.#keyOf(pair.key);
      const at = offsetOf(pair.key) ?? -1;
      if (name === "<<" && isScalar(pair.key) && pair.key.type === Scalar.PLAIN) {
        merged.push(...this.#mergedMaps(pair.value, depth));
        continue;
      }
      if (Object.hasOwn(value, name)) {
        const first = this.#lines.linePos(children.get(name)?.key ?? 0).line;
        throw this.#error(pair.key, `the key "${name}" is here twice`, `it stands first in line ${first}`);
      }
      const read = this.read(pair.value, at, depth + 1);
      value[name] = read.value;
      children.set(name, read.mark);
    }
    for (const from of merged) {
      for (const [name, inner] of Object.entries(from.value as Record<string, unknown>)) {
        if (Object.hasOwn(value, name)) continue;
        value[name] = inner;
        const mark = from.mark.children?.get(name);
        if (mark !== undefined) children.set(name, mark);
      }
    }
    return { value, mark: { key, value: offsetOf(node) ?? key, children } };
  }

  /** `<<: *base` or `<<: [*a, *b]`: keys to take over where the map has none of that name. */
  #mergedMaps(node: Node | null, depth: number): Read[] {
    const maps = isSeq(node) ? (node.items as Node[]) : [node];
    return maps.map((map) => {
      const read = this.read(map, -1, depth + 1);
      if (typeof read.value === "object" && read.value !== null && !Array.isArray(read.value)) return read;
      throw this.#error(map, "`<<` takes over the keys of a mapping, and this is none");
    });
  }

  #keyOf(node: Node | null): string {
    if (!isScalar(node))
      throw this.#error(node, "a key must be a text", "quote a text that starts with one of { [ * & ! | > % @");
    if (this.#json && node.type !== Scalar.QUOTE_DOUBLE) throw this.#error(node, "JSON keys stand in double quotes");
    const name = typeof node.value === "string" ? node.value : (node.source ?? String(node.value));
    if (name === "__proto__") throw this.#error(node, `the key "${name}" is not possible`);
    return name;
  }

  #checkJsonScalar(node: Scalar): void {
    if (node.type === Scalar.QUOTE_DOUBLE) return;
    if (
      node.type === Scalar.PLAIN &&
      /^(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)$/.test(node.source ?? "")
    )
      return;
    throw this.#error(node, "JSON texts stand in double quotes");
  }

  #error(node: Node | null, message: string, hint?: string): ConfigError {
    const { line, col } = this.#lines.linePos(offsetOf(node) ?? 0);
    return fileError(this.#file, message, hint, { line, column: col });
  }
}

function offsetOf(node: Node | null | undefined): number | null {
  return node?.range?.[0] ?? null;
}

function locate(
  root: Mark,
  path: ConfigPath,
  at: "key" | "value",
  lines: LineCounter,
): { line: number; column: number } {
  let mark = root;
  let whole = true;
  for (const part of path) {
    const next = mark.children?.get(part);
    if (next === undefined) {
      whole = false;
      break;
    }
    mark = next;
  }
  const key = at === "key" || !whole ? mark.key : -1;
  const { line, col } = lines.linePos(Math.max(0, key >= 0 ? key : mark.value));
  return { line, column: col };
}

const SYNTAX_HINTS: Readonly<Partial<Record<YAMLError["code"], string>>> = {
  BAD_SCALAR_START: "quote texts that start with @ or `",
  TAB_AS_INDENT: "indent with spaces",
  UNEXPECTED_TOKEN: 'quote texts that start with one of [ { * & ! | > % @, such as "[::1]:8080" or "{uri}"',
  MULTIPLE_DOCS: "one file holds one configuration: remove the `---`",
  BLOCK_AS_IMPLICIT_KEY: "quote texts that hold a colon and a space",
  BAD_INDENT: "keys of one mapping start in the same column, and [ … ] and { … } must be closed",
};

/** One error for each line: those behind the first in a line are mostly its consequences. */
function syntaxErrors(errors: readonly YAMLError[], file: string, lines: LineCounter): Diagnostic[] {
  const found = new Map<number, Diagnostic>();
  for (const error of errors) {
    const { line, col } = lines.linePos(error.pos[0]);
    if (found.has(line) || found.size >= ERRORS_MAX) continue;
    const hint = SYNTAX_HINTS[error.code];
    const message = error.code === "MULTIPLE_DOCS" ? "there is a second document here" : lowerFirst(error.message);
    found.set(line, {
      severity: "error",
      message,
      file,
      line,
      column: col,
      path: [],
      ...(hint === undefined ? {} : { hint }),
    });
  }
  return [...found.values()];
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}

/**
 * What YAML allows and JSON does not: comments, a comma behind the last item, missing commas. The place of the likely
 * cause is looked for in the text; where none is found it is `otherwise`.
 */
function checkJson(text: string, file: string, lines: LineCounter, otherwise: number): void {
  try {
    JSON.parse(text);
  } catch (error) {
    // Texts are blanked out, so that what looks wrong is wrong.
    const bare = text.replace(/"(?:[^"\\]|\\.)*"/g, (quoted) => `"${"_".repeat(quoted.length - 2)}"`);
    const cause = /#|\/\/|\/\*|,(?=\s*[}\]])|(?<=["\w}\]]\s+)["[{]/.exec(bare)?.index;
    const { line, col } = lines.linePos(cause ?? otherwise);
    const said = error instanceof Error ? error.message.replace(/^JSON Parse error: /, "") : String(error);
    throw fileError(
      file,
      `this is not JSON: ${said}`,
      "JSON has no comments and no comma behind the last item; YAML has",
      { line, column: col },
    );
  }
}
