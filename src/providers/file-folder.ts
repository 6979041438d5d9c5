// A folder of fragments as it is at one moment.
import { readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { ConfigError, type Diagnostic, fileError, type Problem, problem } from "../config/diagnostic.ts";
import { reasonOf } from "../config/expand.ts";
import { type Fragment, NOTHING_PROVIDED, type Provide } from "../config/fragment.ts";
import { wallClock } from "../core/clock.ts";
import { isFragmentName, readFragment } from "./file-fragment.ts";

const FILES_MAX = 10_000; // more are not written by hand; one file may hold thousands of routes
/** Times of files are set by a clock of the kernel that ticks every few milliseconds: two writes may share one. */
const YOUNG_MS = 50;

/** What one file of the folder says; `fragment` is null when it cannot be used. */
export interface FileState {
  /** Absolute path. */
  readonly source: string;
  readonly fragment: Fragment | null;
  readonly diagnostics: readonly Diagnostic[];
  /** Of the file when it was read; "" when it was so young that another write may look the same. */
  readonly signature: string;
}

/**
 * The files of the folder in the order of their names, or why it cannot be read in plain words. What has not changed
 * since `before` is not read again, and the same values stay the same objects.
 */
export function readFolder(folder: string, before: readonly FileState[]): readonly FileState[] | string {
  let names: string[];
  try {
    names = readdirSync(folder).filter(isFragmentName).sort();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" ? "there is no such folder" : code === "ENOTDIR" ? "it is not a folder" : reasonOf(error);
  }
  const known = new Map(before.map((one) => [one.source, one]));
  const states = names.slice(0, FILES_MAX).map((name) => {
    const source = join(folder, name);
    return readState(source, known.get(source));
  });
  return names.length > FILES_MAX ? [...states, tooMany(folder, names.length)] : states;
}

function readState(source: string, known: FileState | undefined): FileState {
  const signature = signatureOf(source);
  if (known !== undefined && signature !== "" && known.signature === signature) return known;
  try {
    const fragment = readFragment(source);
    const old = known?.fragment ?? null;
    const isSame = old !== null && contentOf(old) === contentOf(fragment);
    const values = isSame ? { upstreams: old.upstreams, routes: old.routes } : {};
    return { source, fragment: { ...fragment, ...values }, diagnostics: [], signature };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { source, fragment: null, diagnostics: error.diagnostics, signature };
  }
}

const contentOf = ({ upstreams, routes }: Fragment): string => JSON.stringify([upstreams, routes]);

/** Other than before when another file is at that path, or it was written to. */
function signatureOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || wallClock() - stat.ctimeMs < YOUNG_MS) return "";
  return `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}`;
}

function tooMany(folder: string, count: number): FileState {
  const { diagnostics } = fileError(folder, `there are ${count} files here, and the first ${FILES_MAX} are used`);
  return { source: folder, fragment: null, diagnostics, signature: "" };
}

/** Whether two states of a folder say the same; where in the files it stands does not count. */
export function saysTheSame(a: readonly FileState[], b: readonly FileState[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, at) => {
      const other = b[at]!;
      if (one.source !== other.source || one.fragment?.upstreams !== other.fragment?.upstreams) return false;
      if (one.fragment?.routes !== other.fragment?.routes) return false;
      return JSON.stringify(one.diagnostics) === JSON.stringify(other.diagnostics);
    })
  );
}

/** That the folder of `providers.files.path` cannot be read. */
export function missingProblem(path: string, folder: string, reason: string): Problem {
  const where = ["providers", "files", "path"];
  return problem(where, `the folder "${path}" cannot be read: ${reason}`, `looked for ${folder}`);
}

/** What files provide now, for commands that look at a configuration once. */
export const provideFiles: Provide = ({ files }, base) => {
  if (files === undefined) return NOTHING_PROVIDED;
  const folder = resolve(base, files.path);
  const states = readFolder(folder, []);
  if (typeof states === "string")
    return { ...NOTHING_PROVIDED, problems: [missingProblem(files.path, folder, states)] };
  return {
    fragments: states.flatMap(({ fragment }) => fragment ?? []),
    problems: [],
    rejected: states.flatMap(({ diagnostics }) => diagnostics),
  };
};
