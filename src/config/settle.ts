// The check of a configuration with its fragments. A fragment that is wrong never holds the rest up: the version before
// it is taken, or it is left out. What is wrong with the main configuration refuses all of it.

import { dirname } from "node:path";
import {
  ConfigError,
  type ConfigPath,
  type Diagnostic,
  type Locate,
  type Problem,
  placed,
  renderDiagnostic,
} from "./diagnostic.ts";
import { type Environment, type Expanded, expand, type Filled } from "./expand.ts";
import type { Provided } from "./fragment.ts";
import { type Found, type Fragment, folderOf, type Merged, mergeFragments, type Part, placeIn } from "./fragment.ts";
import { withAbsolutePaths } from "./paths.ts";
import type { Config } from "./schema.ts";
import { checkShape } from "./shape.ts";
import { validate } from "./validate.ts";

export interface CheckOptions {
  /** What `${NAME}` reads. Default: the environment of the process. */
  readonly environment?: Environment;
  /** Makes routes of the documents that routes name. Without it these are left as they are. */
  readonly expand?: (config: Config) => Expansion;
  /** What else may be wrong with a configuration that is fine otherwise; its problems get their places in the file. */
  readonly verify?: (config: Config) => readonly Problem[];
}

/** A configuration whose routes were made of documents where it names some. */
export interface Expansion {
  readonly config: Config;
  /** What is wrong with the documents. */
  readonly problems: readonly Problem[];
  /** Problems of the expanded configuration as problems of the one that was written. */
  origins(problems: readonly Problem[]): readonly Problem[];
  /** Absolute paths of the documents. */
  readonly files: readonly string[];
}

/** The main configuration as it was read. */
export interface Main {
  /** Absolute path of the file; "" for an object given in code. */
  readonly file: string;
  readonly locate: Locate;
  /** What else was read to get it. */
  readonly files: readonly string[];
  readonly expanded: Expanded;
}

export interface Settled {
  readonly config: Config;
  /** Warnings. */
  readonly diagnostics: readonly Diagnostic[];
  /** The fragments that are part of it. */
  readonly fragments: readonly Fragment[];
  /** What was wrong with fragments that are not. */
  readonly rejected: readonly Diagnostic[];
  /** What was read beside the file. */
  readonly files: readonly string[];
}

/** Merges and checks. Throws ConfigError when the main configuration cannot be used with what is left of the fragments. */
export function settle(main: Main, provided: Provided, options: CheckOptions): Settled {
  const { environment = process.env } = options;
  const rejected = [...provided.rejected];
  const told = new Set(rejected.map(renderDiagnostic));
  let parts = provided.fragments.map((fragment) => partOf(fragment, environment));
  // Every round takes at least one version of a fragment away.
  for (;;) {
    const { merged, config, files, found } = examine(main, provided, parts, options);
    const guilty = new Set(found.flatMap(({ part, problem }) => (part !== null && isError(problem) ? [part] : [])));
    if (guilty.size === 0) {
      const diagnostics = placedAll(found, main, merged);
      if (config === null || found.some(({ problem }) => isError(problem)))
        throw new ConfigError([...diagnostics, ...rejected]);
      return {
        config,
        diagnostics,
        fragments: parts.map(({ fragment }) => fragment),
        rejected,
        files: [
          ...main.files,
          ...[main.expanded, ...parts.map(({ expanded }) => expanded)].flatMap((each) => each.files),
          ...files,
        ],
      };
    }
    const errors = found.filter(({ part, problem }) => part !== null && isError(problem));
    for (const one of placedAll(errors, main, merged)) {
      const text = renderDiagnostic(one);
      if (!told.has(text)) rejected.push(one);
      told.add(text);
    }
    parts = parts.flatMap((part) => (guilty.has(part) ? partBefore(part, environment) : [part]));
  }
}

const isError = (one: Problem): boolean => one.severity === "error";

function partOf(fragment: Fragment, environment: Environment): Part {
  const { upstreams, routes } = fragment;
  const folder = folderOf(fragment);
  const value = { upstreams, routes };
  const expanded: Expanded =
    folder === null ? { value, problems: [], filled: [], files: [] } : expand(value, folder, environment);
  return { fragment, expanded };
}

/** The version before it, when that is another one. */
function partBefore({ fragment }: Part, environment: Environment): Part[] {
  const { before } = fragment;
  if (before === undefined || (before.upstreams === fragment.upstreams && before.routes === fragment.routes)) return [];
  return [partOf(before, environment)];
}

interface Examined {
  readonly merged: Merged;
  /** Null when it has not the right shape. */
  readonly config: Config | null;
  /** Documents that routes were made of. */
  readonly files: readonly string[];
  readonly found: readonly Found[];
}

function examine(main: Main, provided: Provided, parts: readonly Part[], options: CheckOptions): Examined {
  const { verify, expand: expandRoutes } = options;
  const merged = mergeFragments(main.expanded.value, parts);
  const unfilled = parts.flatMap((part) => part.expanded.problems.map((problem): Found => ({ part, problem })));
  const own = provided.problems.map((problem): Found => ({ part: null, problem }));
  const found = [...own, ...unfilled, ...merged.found];
  const take = (problems: readonly Problem[]): void => {
    for (const problem of problems) {
      const { part, path } = merged.origin(problem.path);
      found.push({ part, problem: { ...problem, path } });
    }
  };
  const shape = checkShape(merged.value);
  if (!("config" in shape)) {
    take(shape.problems);
    return { merged, config: null, files: [], found };
  }
  const written = withAbsolutePaths(shape.config, main.file === "" ? process.cwd() : dirname(main.file));
  const expansion = expandRoutes?.(written) ?? UNEXPANDED;
  const config = expansion.config ?? written;
  take(expansion.problems);
  take(expansion.origins(validate(config, merged.mayBeEmpty)));
  if (verify !== undefined && !found.some(({ problem }) => isError(problem))) take(expansion.origins(verify(config)));
  return { merged, config, files: expansion.files, found };
}

const UNEXPANDED = { config: null, problems: [], files: [], origins: (problems: readonly Problem[]) => problems };

/** Everything at its place: the main configuration first, then the fragments in their order. */
function placedAll(found: readonly Found[], main: Main, merged: Merged): Diagnostic[] {
  const byPart = new Map<Part | null, Problem[]>([[null, []]]);
  for (const { part, problem } of found) {
    const { filled } = part === null ? main.expanded : part.expanded;
    const clean = inItsWords(withoutSecrets(problem, filled), part, merged);
    const list = byPart.get(part);
    if (list === undefined) byPart.set(part, [clean]);
    else list.push(clean);
  }
  return [...byPart].flatMap(([part, problems]) =>
    part === null
      ? placed(problems, main.file, main.locate)
      : placed(problems, part.fragment.source, (path, at) => placeIn(part.fragment, path, at)),
  );
}

/** Messages count the routes of the whole; the user sees those of one file. */
function inItsWords(one: Problem, part: Part | null, merged: Merged): Problem {
  const local = (text: string): string =>
    text.replace(/\broutes\[(\d+)\]/g, (all, number: string) => {
      const { part: owner, path } = merged.origin(["routes", Number(number)]);
      if (owner === null) return part === null ? all : `${all} of the main configuration`;
      return owner === part ? `routes[${path[1]}]` : `routes[${path[1]}] of ${owner.fragment.source}`;
    });
  return { ...one, message: local(one.message), ...(one.hint === undefined ? {} : { hint: local(one.hint) }) };
}

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
