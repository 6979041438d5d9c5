// What is wrong with a configuration, where, and what to write instead.
import { isAbsolute, relative, sep } from "node:path";

/** Keys and list indexes from the top of the configuration to a value. */
export type ConfigPath = readonly (string | number)[];

export interface Problem {
  readonly severity: "error" | "warning";
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
  readonly path: ConfigPath;
  /** Where it is in another file that the configuration names; its place is looked up by `path` otherwise. */
  readonly place?: Required<Place>;
  /** Which half of `key: value` the problem is about. */
  readonly at: "key" | "value";
}

export interface Diagnostic {
  readonly severity: "error" | "warning";
  readonly message: string;
  /** What to do about it. */
  readonly hint?: string;
  /** Path of the file; "" for an object given in code. */
  readonly file: string;
  /** From 1; 0 when the problem has no place in the text. */
  readonly line: number;
  /** From 1, in UTF-16 code units; 0 when the problem has no place in the text. */
  readonly column: number;
  readonly path: ConfigPath;
}

export interface Position {
  readonly line: number;
  readonly column: number;
}

export const NO_POSITION: Position = { line: 0, column: 0 };

/** A position in the file at hand, or in the one that it names. */
export interface Place extends Position {
  readonly file?: string;
}

/** Where a value or its key stands in the text; for a path that is not there, the nearest thing around it. */
export type Locate = (path: ConfigPath, at: "key" | "value") => Place;

/** Thrown for a configuration that cannot be used; `diagnostics` holds at least one error. */
export class ConfigError extends Error {
  readonly diagnostics: readonly Diagnostic[];
  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map(renderDiagnostic).join("\n"));
    this.name = "ConfigError";
    this.diagnostics = diagnostics;
  }
}

/**
 * `file:line:column: error: message`, with the hint on a second line; for objects the path stands in place of the file.
 * Files below the working directory are shown from there on, as compilers do.
 */
export function renderDiagnostic(diagnostic: Diagnostic): string {
  const { line, column, severity, message, hint } = diagnostic;
  const file = showFile(diagnostic.file, process.cwd());
  const where = line > 0 ? `${file}:${line}:${column}` : file === "" ? showPath(diagnostic.path) : file;
  return `${where}: ${severity}: ${message}${hint === undefined ? "" : `\n  hint: ${hint}`}`;
}

/** An absolute path as people at `folder` write it. From `/`, where services run, nothing is gained. */
export function showFile(file: string, folder: string): string {
  if (folder === sep || !isAbsolute(file)) return file;
  const path = relative(folder, file);
  return path === "" || path === ".." || path.startsWith(`..${sep}`) || isAbsolute(path) ? file : path;
}

/** `routes[0].match.path`; `configuration` for the whole. */
export function showPath(path: ConfigPath): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (/^[\w-]+$/.test(part)) text += text === "" ? part : `.${part}`;
    else text += `[${JSON.stringify(part)}]`;
  }
  return text === "" ? "configuration" : text;
}

export function problem(path: ConfigPath, message: string, hint?: string, at: "key" | "value" = "value"): Problem {
  return { severity: "error", message, path, at, ...(hint === undefined ? {} : { hint }) };
}

export function warning(path: ConfigPath, message: string, hint?: string, at: "key" | "value" = "value"): Problem {
  return { ...problem(path, message, hint, at), severity: "warning" };
}

/** Gives problems their place in the file, in the order of the text. */
export function placed(problems: readonly Problem[], file: string, locate: Locate): Diagnostic[] {
  const found = problems.map(
    ({ at, place, ...rest }): Diagnostic => ({ ...rest, file, ...(place ?? locate(rest.path, at)) }),
  );
  return found.sort((a, b) => a.line - b.line || a.column - b.column);
}

/** An error about a file as a whole, or about one place in it. */
export function fileError(file: string, message: string, hint?: string, position = NO_POSITION): ConfigError {
  return new ConfigError(placed([problem([], message, hint)], file, () => position));
}
