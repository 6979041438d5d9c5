// From a file, or an object given in code, to a checked configuration.
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, extname, join, resolve } from "node:path";
import {
  ConfigError,
  type Diagnostic,
  fileError,
  type Locate,
  NO_POSITION,
  type Problem,
  placed,
  problem,
} from "./diagnostic.ts";
import { type Expanded, expand, reasonOf } from "./expand.ts";
import { type Fragment, NOTHING_PROVIDED, type Provide, type Provided } from "./fragment.ts";
import { loadModule } from "./module.ts";
import { type Config, configSchema } from "./schema.ts";
import { type CheckOptions, type Main, settle } from "./settle.ts";
import { parseText } from "./text.ts";

/** The names looked for, in this order. */
export const CONFIG_NAMES = ["sluice.config.ts", "sluice.yaml", "sluice.yml", "sluice.json"] as const;
const SYSTEM_FOLDER = "/etc/sluice";
const FILE_BYTES_MAX = 64 * 1024 * 1024; // 10,000 routes are about 3 MB

export type { CheckOptions } from "./settle.ts";

export interface LoadOptions extends CheckOptions {
  /** Where to look for a file, and what a relative path starts from. Default: the working directory. */
  readonly cwd?: string;
  /** Where to look after `cwd`. Default: /etc/sluice. */
  readonly systemFolder?: string;
  /** What the configuration's `providers` have. Without it they have nothing. */
  readonly provide?: Provide;
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
  /** The fragments that are part of it. */
  readonly fragments: readonly Fragment[];
  /** What was wrong with fragments, which are left out or in use as they were before. */
  readonly rejected: readonly Diagnostic[];
  /** What the file said, for `withProvided`. */
  readonly main: Main;
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
    const folder = dirname(file);
    const main: Main = { file, locate, files, expanded: filledIn(value, file, folder, locate, options) };
    return finish(main, await providedFor(main, folder, options.provide), options);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw fileError(file, `the configuration cannot be used: ${reasonOf(error)}`);
  }
}

/**
 * The same configuration with what its providers have now; its own file is not read again. Throws ConfigError, and
 * nothing else, when it cannot be used.
 */
export function withProvided({ main }: Loaded, provided: Provided, options: CheckOptions = {}): Loaded {
  return finish(main, provided, options);
}

function finish(main: Main, provided: Provided, options: CheckOptions): Loaded {
  const { config, diagnostics, fragments, rejected, files } = settle(main, provided, options);
  return {
    config,
    diagnostics,
    fragments,
    rejected,
    main,
    path: main.file,
    files: [...new Set([main.file, ...files])],
  };
}

/** The settings of providers must be right before what these have can be asked for; else the whole check tells. */
async function providedFor({ expanded }: Main, folder: string, provide: Provide | undefined): Promise<Provided> {
  const root = expanded.value;
  if (provide === undefined || typeof root !== "object" || root === null) return NOTHING_PROVIDED;
  const settings = configSchema.shape.providers.safeParse((root as { providers?: unknown }).providers);
  return settings.success ? provide(settings.data, folder) : NOTHING_PROVIDED;
}

/** Checks a configuration given as an object. Its diagnostics have a path and no position. Throws ConfigError. */
export function checkConfig(input: unknown, options: CheckOptions = {}): Checked {
  const locate: Locate = () => NO_POSITION;
  const main: Main = { file: "", locate, files: [], expanded: filledIn(input, "", process.cwd(), locate, options) };
  const verify = (config: Config): readonly Problem[] => [...unprovided(config), ...(options.verify?.(config) ?? [])];
  const { config, diagnostics } = settle(main, NOTHING_PROVIDED, { ...options, verify });
  return { config, diagnostics };
}

/** A program has its own ways to find upstreams, and nothing that follows providers. */
function unprovided({ providers }: Config): Problem[] {
  if (providers.files === undefined && providers.docker === undefined) return [];
  return [
    problem(["providers"], "providers are for configuration files, which `sluice run` follows", undefined, "key"),
  ];
}

function filledIn(
  value: unknown,
  file: string,
  folder: string,
  locate: Locate,
  { environment = process.env }: CheckOptions,
): Expanded {
  const expanded = expand(value, folder, environment);
  if (expanded.problems.length > 0) throw new ConfigError(placed(expanded.problems, file, locate));
  return expanded;
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
