// `json` of a transform, compiled: paths are read once, and values made for each exchange.
import { CompileError, within } from "../../config/compile-error.ts";
import type { JsonEdits } from "../../config/schema-transform.ts";
import { keepAt, type Move, moveAt, removeAt, renameAt, setAt } from "../../engines/transform/edits.ts";
import type { JsonNode } from "../../engines/transform/json-node.ts";
import { isSingle, type JsonPath, parsePath } from "../../engines/transform/json-path.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import { compileValue, type Value } from "./values.ts";

interface Put {
  readonly path: JsonPath;
  readonly value: Value;
  readonly onlyNew: boolean;
}

export interface CompiledEdits {
  /** What is made is the same for all exchanges with the same body. */
  readonly isFixed: boolean;
  /** Something has to be a member of the body itself: a list or a text cannot have it. */
  readonly wantsObject: boolean;
  /** What is removed, where nothing else is done and each path can be looked for by itself; else null. */
  readonly removed: readonly JsonPath[] | null;
  /** Without `canHold` nothing is put into the body itself, which is no object. */
  apply(x: Exchange, body: JsonNode, canHold: boolean): void;
}

/** Throws CompileError for a path or a value that is none. */
export function compileEdits(config: JsonEdits, params: readonly string[]): CompiledEdits {
  const keep = config.keep === undefined ? null : within("keep", () => pathsOf(config.keep ?? []));
  within("keep", () => keep?.forEach((path, at) => void within(at, () => refuseDeep(path))));
  const remove = within("remove", () => pathsOf(config.remove));
  const rename = Object.entries(config.rename).map(([path, name]) =>
    within("rename", () => within(path, () => compileRename(path, name))),
  );
  const move = Object.entries(config.move).map(([from, to]) =>
    within("move", () => within(from, () => compileMove(parsePath(from), parsePath(to)))),
  );
  const put = [...compilePuts("add", config.add, params), ...compilePuts("set", config.set, params)];
  return {
    removed: isAlone(remove) && !keep && rename.length + move.length + put.length === 0 ? remove : null,
    isFixed: put.every(({ value }) => value.isFixed),
    wantsObject: put.some(({ path }) => path[0]!.kind === "name"),
    apply(x, body, canHold) {
      if (keep !== null) keepAt(body, keep);
      for (const path of remove) removeAt(body, path);
      for (const { path, name } of rename) renameAt(body, path, name);
      for (const each of move) moveAt(body, each);
      for (const { path, value, onlyNew } of put) {
        if (canHold || path[0]!.kind !== "name") setAt(body, path, value.make(x, body), onlyNew);
      }
    },
  };
}

/** An item that is removed gives those behind it other numbers, which a second path would mean. */
const isAlone = (paths: readonly JsonPath[]): boolean =>
  paths.length === 1 || !paths.some((path) => path.some(({ kind }) => kind === "item"));

const pathsOf = (texts: readonly string[]): JsonPath[] => texts.map((text, at) => within(at, () => parsePath(text)));

function compileRename(text: string, name: string): { readonly path: JsonPath; readonly name: string } {
  const path = parsePath(text);
  if (path.at(-1)?.kind !== "name") throw new RangeError(`"${text}": only what has a name can get another one`);
  return { path, name };
}

/** Up to the last step that may lead to several places, both paths are the same: what moves stays in one of them. */
function compileMove(from: JsonPath, to: JsonPath): Move {
  let shared = from.length;
  while (shared > 0 && isSingle([from[shared - 1]!])) shared -= 1;
  const isSame = from
    .slice(0, shared)
    .every((step, at) => step.kind === to[at]?.kind && nameOf(step) === nameOf(to[at]));
  if (!isSame || !isSingle(to.slice(shared))) {
    throw new RangeError("where several things move, both paths begin the same, up to the last wildcard");
  }
  if (shared === from.length || shared === to.length) throw new RangeError("a path ends with a name or a number here");
  if (from.slice(0, shared).some(({ kind }) => kind === "deep")) throw new RangeError("** cannot stand here");
  return { within: from.slice(0, shared), from: from.slice(shared), to: to.slice(shared) };
}

const nameOf = (step: JsonPath[number] | undefined): string | number | null =>
  step?.kind === "name" ? step.name : step?.kind === "item" ? step.at : null;

function compilePuts(key: "add" | "set", config: Readonly<Record<string, unknown>>, params: readonly string[]): Put[] {
  return Object.entries(config).map(([text, value]) =>
    within(key, () =>
      within(text, () => {
        const path = parsePath(text);
        refuseDeep(path);
        return { path, value: compileValue(value, params), onlyNew: key === "add" };
      }),
    ),
  );
}

function refuseDeep(path: JsonPath): void {
  if (path.some(({ kind }) => kind === "deep")) throw new CompileError("** cannot stand here", []);
}
