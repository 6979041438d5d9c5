// From a file, or an object given in code, to a checked configuration.
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, extname, join, resolve } from "node:path";
import {
  ConfigError,
  type ConfigPath,
  type Diagnostic,
  fileError,
  type Locate,
  NO_POSITION,
  type Problem,
  placed,
} from "./diagnostic.ts";
import { type Environment, expand, type Filled, reasonOf } from "./expand.ts";
import { loadModule } from "./module.ts";
import type { Config } from "./schema.ts";
import { checkShape } from "./shape.ts";
import { parseText } from "./text.ts";
import { validate } from "./validate.ts";

/** The names looked for, in this order. */
export const CONFIG_NAMES = ["sluice.config.ts", "sluice.yaml", "sluice.yml", "sluice.json"] as const;
const SYSTEM_FOLDER = "/etc/sluice";
const FILE_BYTES_MAX = 64 * 1024 * 1024; // 10,000 routes are about 3 MB

export interface CheckOptions {
  /** What `${NAME}` reads. Default: the environment of the process. */
  readonly environment?: Environment;
  /** What else may be wrong with a configuration that is fine otherwise; its problems get their places in the file. */
  readonly verify?: (config: Config) => readonly Problem[];
}

export interface LoadOptions extends CheckOptions {
  /** Where to look for a file, and what a relative path starts from. Default: the working directory. */
  readonly cwd?: string;
  /** Where to look after `cwd`. Default: /etc/sluice. */
  readonly systemFolder?: string;
}

export interface Checked {
  readonly config: Config;
  /** Warnings. */
  readonly diagnostics: readonly Diagnostic[];
}

export interface Loaded extends Checked {
  /** Absolute path of the file. */
  readonly path: string;
  /** Absolute paths of all files that made the configuration: the file, what it imports, and `${file:…}`. */
  readonly files: readonly string[];
}

/**
 * Finds, reads and checks a configuration: `path`, or the first of CONFIG_NAMES in the working directory and then in
 * /etc/sluice. Throws ConfigError, and nothing else, when there is none or it cannot be used.
 */
export async function loadConfig(path?: string, options: LoadOptions = {}): Promise<Loaded> {
  const cwd = options.cwd ?? process.cwd();
  const file = path === undefined ? findConfig(cwd, options.systemFolder ?? SYSTEM_FOLDER) : resolve(cwd, path);
  try {
    const { value, locate, files } = await read(file);
    const checked = check(value, { file, folder: dirname(file), locate }, options);
    return { ...checked, path: file, files: [...new Set([file, ...files, ...checked.files])] };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw fileError(file, `the configuration cannot be used: ${reasonOf(error)}`);
  }
}

/** Checks a configuration given as an object. Its diagnostics have a path and no position. Throws ConfigError. */
export function checkConfig(input: unknown, options: CheckOptions = {}): Checked {
  const { config, diagnostics } = check(input, { file: "", folder: process.cwd(), locate: () => NO_POSITION }, options);
  return { config, diagnostics };
}

function findConfig(cwd: string, systemFolder: string): string {
  for (const folder of [cwd, systemFolder]) {
    for (const name of CONFIG_NAMES) {
      const file = join(folder, name);
      if (existsSync(file)) return file;
    }
  }
  const names = `${CONFIG_NAMES.slice(0, -1).join(", ")} or ${CONFIG_NAMES[CONFIG_NAMES.length - 1]}`;
  throw fileError(cwd, `there is no configuration: no ${names} here or in ${systemFolder}`, START_HINT);
}

const START_HINT = "write a starting configuration with `sluice init`, or name a file with -c FILE";

interface Source {
  readonly value: unknown;
  readonly locate: Locate;
  readonly files: readonly string[];
}

async function read(file: string): Promise<Source> {
  const kind = extname(file).toLowerCase();
  if (![".ts", ".mts", ".js", ".mjs", ".yaml", ".yml", ".json"].includes(kind)) {
    throw fileError(file, `a configuration's name ends in .ts, .yaml, .yml or .json, not in "${kind}"`);
  }
  let text: string;
  try {
    const stat = statSync(file);
    if (stat.isDirectory()) throw fileError(file, "this is a directory, and a configuration is a file");
    if (!stat.isFile()) throw fileError(file, "this is not a regular file");
    if (stat.size > FILE_BYTES_MAX) throw fileError(file, `the file is larger than ${FILE_BYTES_MAX / 1024 / 1024} MB`);
    text = readFileSync(file, "utf8").replace(/^\ufeff/, "");
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw fileError(file, `the configuration cannot be read: ${reasonOf(error)}`, START_HINT);
  }
  if (kind.endsWith("ts") || kind.endsWith("js")) return loadModule(file);
  return { ...parseText(text, file, kind === ".json"), files: [] };
}

/** Where an input comes from. */
interface Origin {
  readonly file: string;
  /** What `${file:PATH}` starts from. */
  readonly folder: string;
  readonly locate: Locate;
}

function check(
  input: unknown,
  { file, folder, locate }: Origin,
  options: CheckOptions,
): Checked & { files: readonly string[] } {
  const { environment = process.env, verify } = options;
  const expanded = expand(input, folder, environment);
  if (expanded.problems.length > 0) throw new ConfigError(placed(expanded.problems, file, locate));
  const shape = checkShape(expanded.value);
  let found: readonly Problem[] = "config" in shape ? validate(shape.config) : shape.problems;
  if ("config" in shape && verify !== undefined && !found.some(isError)) found = [...found, ...verify(shape.config)];
  const diagnostics = placed(
    found.map((one) => withoutSecrets(one, expanded.filled)),
    file,
    locate,
  );
  if (!("config" in shape) || found.some(isError)) throw new ConfigError(diagnostics);
  return { config: shape.config, diagnostics, files: expanded.files };
}

const isError = (one: Problem): boolean => one.severity === "error";

const SECRET_LENGTH_MIN = 4; // shorter ones would be found in the words of every message

/** Messages name what was written (`${TOKEN}`), as what was filled in may be a secret. */
function withoutSecrets(one: Problem, filled: readonly Filled[]): Problem {
  const clean = (text: string): string => {
    let result = text;
    for (const { path, text: secret, written } of filled) {
      if (secret.length < SECRET_LENGTH_MIN || !isAround(path, one.path)) continue;
      for (const form of [JSON.stringify(secret).slice(1, -1), secret, secret.slice(0, 40)])
        result = result.replaceAll(form, () => written);
    }
    return result;
  };
  return { ...one, message: clean(one.message), ...(one.hint === undefined ? {} : { hint: clean(one.hint) }) };
}

function isAround(outer: ConfigPath, inner: ConfigPath): boolean {
  return outer.every((part, at) => at >= inner.length || part === inner[at]);
}
