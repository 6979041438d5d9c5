// `${NAME}`, `${NAME:-default}` and `${file:PATH}` in the texts of a configuration.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders are what this file is about
import { readFileSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { type ConfigPath, type Problem, problem } from "./diagnostic.ts";
import { schemasAt } from "./json-schema.ts";
import { suggest } from "./suggest.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** A text that was filled in, for messages: they show what was written and never the secret. */
export interface Filled {
  readonly path: ConfigPath;
  readonly written: string;
  readonly text: string;
}

export interface Expanded {
  readonly value: unknown;
  readonly problems: readonly Problem[];
  readonly filled: readonly Filled[];
  /** Absolute paths of the files that were read. */
  readonly files: readonly string[];
}

const SECRET_BYTES_MAX = 1024 * 1024; // a secret is a line; this stops a wrong path from filling the memory
const DEPTH_MAX = 64;
/** `$${` is a plain `${`; a `$` before anything else is left alone, so that `$1` in a rewrite stays. */
const PLACEHOLDER = /\$\$\{|\$\{([^}]*)(\}?)/g;

/** A copy of `value` with the placeholders of all its texts filled in; `folder` is what `${file:…}` starts from. */
export function expand(value: unknown, folder: string, environment: Environment): Expanded {
  const problems: Problem[] = [];
  const filled: Filled[] = [];
  const files: string[] = [];

  function fill(inner: string, path: ConfigPath): string {
    if (inner.startsWith("file:")) {
      const file = resolve(folder, inner.slice(5));
      files.push(file);
      const read = readSecret(file);
      if (typeof read === "string") return read;
      problems.push(problem(path, `the file "${inner.slice(5)}" cannot be read: ${read.reason}`, `looked for ${file}`));
      return "";
    }
    const parts = /^([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/.exec(inner);
    if (parts === null) {
      problems.push(
        problem(
          path,
          `"\${${inner}}" is not a placeholder`,
          "write ${NAME}, ${NAME:-default} or ${file:PATH}; a literal ${ is written $${",
        ),
      );
      return "";
    }
    const name = parts[1] ?? "";
    const set = environment[name];
    if (parts[2] !== undefined) return set === undefined || set === "" ? parts[2] : set;
    if (set !== undefined) return set;
    const near = suggest(name, Object.keys(environment));
    problems.push(
      problem(
        path,
        `the environment variable ${name} is not set`,
        `${near === null ? "" : `did you mean ${near}? `}set it, or give a default: \${${name}:-default}`,
      ),
    );
    return "";
  }

  function text(written: string, path: ConfigPath): unknown {
    if (!written.includes("${")) return written;
    let done = true;
    const result = written.replace(PLACEHOLDER, (all, inner: string | undefined, end: string | undefined) => {
      if (inner === undefined) return "${";
      if (end === "}") return fill(inner, path);
      done = false;
      return all;
    });
    if (!done) problems.push(problem(path, "a ${ is not closed by }", "a literal ${ is written $${"));
    filled.push({ path, written, text: result });
    return asRuled(result, path);
  }

  function walk(node: unknown, path: ConfigPath): unknown {
    if (typeof node === "string") return text(node, path);
    if (typeof node !== "object" || node === null || isPluginList(path)) return node;
    if (path.length > DEPTH_MAX) {
      problems.push(problem(path, `this is nested more than ${DEPTH_MAX} deep, or refers to itself`));
      return null;
    }
    if (Array.isArray(node)) return node.map((item, at) => walk(item, [...path, at]));
    const prototype: unknown = Object.getPrototypeOf(node);
    if (prototype !== Object.prototype && prototype !== null) return node;
    const copy: Record<string, unknown> = {};
    for (const [key, inner] of Object.entries(node)) {
      if (key === "__proto__") problems.push(problem(path, `the key "${key}" is not possible`));
      else copy[key] = walk(inner, [...path, key]);
    }
    return copy;
  }

  return { value: walk(value, []), problems, filled, files };
}

/** Plugins are code, and stay the very objects that they are. */
function isPluginList(path: ConfigPath): boolean {
  return (
    path[path.length - 1] === "use" &&
    ((path.length === 3 && path[0] === "routes") || (path.length === 2 && path[0] === "defaults"))
  );
}

/** A filled-in text that stands where only a number or a truth value may becomes one: `workers: ${WORKERS}`. */
function asRuled(text: string, path: ConfigPath): unknown {
  const allowed = schemasAt(path);
  const takesText = allowed.some(
    (node) => node.type === "string" && (node.enum ?? [node.const ?? text]).includes(text),
  );
  if (takesText) return text;
  const takesNumber = allowed.some((node) => node.type === "integer" || node.type === "number");
  if (takesNumber && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  const takesTruth = allowed.some((node) => node.type === "boolean");
  return takesTruth && (text === "true" || text === "false") ? text === "true" : text;
}

function readSecret(file: string): string | { reason: string } {
  try {
    const stat = statSync(file);
    if (!stat.isFile()) return { reason: "it is not a file" };
    if (stat.size > SECRET_BYTES_MAX) return { reason: `it is larger than ${SECRET_BYTES_MAX / 1024 / 1024} MB` };
    return readFileSync(file, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    return { reason: reasonOf(error) };
  }
}

/** A failed file access in plain words. */
export function reasonOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  if (code === "ENOENT" || code === "ENOTDIR") return "there is no such file";
  if (code === "EACCES" || code === "EPERM") return "this user may not read it";
  if (code === "EISDIR") return "it is a directory";
  return error instanceof Error ? error.message : String(error);
}
