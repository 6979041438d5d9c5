// One file of a folder of fragments: YAML or JSON with `upstreams` and `routes`, as the main configuration has them.
import { readFileSync, statSync } from "node:fs";
import { extname } from "node:path";
import { type ConfigError, type ConfigPath, fileError, type Locate } from "../config/diagnostic.ts";
import { reasonOf } from "../config/expand.ts";
import type { Fragment } from "../config/fragment.ts";
import { configSchema } from "../config/schema.ts";
import { suggest } from "../config/suggest.ts";
import { parseText } from "../config/text.ts";

const FILE_BYTES_MAX = 16 * 1024 * 1024; // 50,000 routes; a folder is many files
const KEYS = ["upstreams", "routes"];

/** Files that are none of ours: hidden ones (Kubernetes' `..data`, editors' locks) and what editors leave beside. */
export function isFragmentName(name: string): boolean {
  return !/^[.~#]/.test(name) && /\.(?:yaml|yml|json)$/i.test(name);
}

/** Reads one file. Throws ConfigError with the place of what is wrong. */
export function readFragment(file: string): Fragment {
  return parseFragment(file, textOf(file));
}

function textOf(file: string): string {
  try {
    const stat = statSync(file);
    if (!stat.isFile()) throw fileError(file, "this is not a regular file");
    if (stat.size > FILE_BYTES_MAX) throw fileError(file, `the file is larger than ${FILE_BYTES_MAX / 1024 / 1024} MB`);
    return readFileSync(file, "utf8").replace(/^\ufeff/, "");
  } catch (error) {
    if ((error as Error).name === "ConfigError") throw error;
    throw fileError(file, `the file cannot be read: ${reasonOf(error)}`);
  }
}

function parseFragment(file: string, text: string): Fragment {
  // Writers that empty a file before they fill it must not take its routes away; comments alone are meant.
  if (text.trim() === "") throw fileError(file, "the file is empty", "remove it when it is not wanted any more");
  if (/^(?:\s*(?:#.*)?\n?)*$/.test(text)) return { kind: "file", source: file, upstreams: {}, routes: [] };
  const { value, locate } = parseText(text, file, extname(file).toLowerCase() === ".json");
  const fail = (path: ConfigPath, message: string, hint?: string, at: "key" | "value" = "value"): ConfigError =>
    fileError(file, message, hint, locate(path, at));
  if (!isMap(value)) throw fail([], "a fragment is a mapping", "write `upstreams:` and `routes:`");
  for (const key of Object.keys(value)) {
    if (KEYS.includes(key) || key === "$schema") continue;
    const near = suggest(key, KEYS);
    const isMain = Object.hasOwn(configSchema.shape, key);
    const message = isMain
      ? `"${key}" is for the main configuration alone: a fragment has upstreams and routes`
      : `unknown key "${key}": a fragment has upstreams and routes`;
    throw fail([key], message, isMain || near === null ? undefined : `did you mean "${near}"?`, "key");
  }
  const { upstreams = {}, routes = [] } = value;
  if (!isMap(upstreams)) throw fail(["upstreams"], "upstreams must be a mapping of names to values");
  if (!Array.isArray(routes)) throw fail(["routes"], "routes must be a list");
  return { kind: "file", source: file, upstreams, routes, locate: placesIn(file, locate) };
}

function placesIn(file: string, locate: Locate): NonNullable<Fragment["locate"]> {
  return (path, at) => ({ file, ...locate(path, at) });
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
