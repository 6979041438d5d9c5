// Changes of a JSON value by paths, each one applied to what those before it have made.
import { JsonNode } from "./json-node.ts";
import type { JsonPath, Step } from "./json-path.ts";

/** Is given each place that a path leads to: what holds it, and where in there. */
type Place = (holder: JsonNode, at: number) => void;

/** Finds the places that a path leads to, from its step `from` on. Last ones first, so that they may be removed. */
function visit(node: JsonNode, path: JsonPath, from: number, found: Place): void {
  const step = path[from]!;
  const name = nextName(path, from);
  if (name !== null && !node.mayHave(name, step !== name)) return;
  if (step.kind === "deep") {
    if (from + 1 < path.length) visit(node, path, from + 1, found);
    if (node.openObject() || node.openList())
      for (let at = node.items.length - 1; at >= 0; at -= 1) visit(node.items[at]!, path, from, found);
    return;
  }
  if (step.kind === "name" || step.kind === "members" ? !node.openObject() : !node.openList()) return;
  if (step.kind === "name" || step.kind === "item") {
    const at = step.kind === "name" ? node.find(step) : step.at;
    if (at >= 0 && at < node.items.length) go(node, at, path, from, found);
    return;
  }
  for (let at = node.items.length - 1; at >= 0; at -= 1) go(node, at, path, from, found);
}

/** The first name that is still to come on a path; null for none. */
function nextName(path: JsonPath, from: number): Extract<Step, { kind: "name" }> | null {
  for (let at = from; at < path.length; at += 1) {
    const step = path[at]!;
    if (step.kind === "name") return step;
  }
  return null;
}

function go(node: JsonNode, at: number, path: JsonPath, from: number, found: Place): void {
  if (from + 1 === path.length) found(node, at);
  else visit(node.items[at]!, path, from + 1, found);
}

/** The values that a path leads to, in their order. */
export function valuesAt(root: JsonNode, path: JsonPath): JsonNode[] {
  if (path.length === 0) return [root];
  const values: JsonNode[] = [];
  visit(root, path, 0, (holder, at) => void values.push(holder.items[at]!));
  return values.reverse();
}

/** The value that a path with one place leads to; null when there is none. */
export function valueAt(root: JsonNode, path: JsonPath): JsonNode | null {
  let node = root;
  for (const step of path) {
    if (step.kind === "name") {
      const at = node.openObject() ? node.find(step) : -1;
      if (at < 0) return null;
      node = node.items[at]!;
    } else if (step.kind === "item") {
      const item = node.openList() ? node.items[step.at] : undefined;
      if (item === undefined) return null;
      node = item;
    } else return valuesAt(root, path)[0] ?? null;
  }
  return node;
}

const take: Place = (holder, at) => holder.removeAt(at);

export function removeAt(root: JsonNode, path: JsonPath): void {
  visit(root, path, 0, take);
}

/** Gives members another name in their object; one that has it already is replaced. */
export function renameAt(root: JsonNode, path: JsonPath, name: string): void {
  const holders: [JsonNode, Step][] = [];
  visit(root, path, 0, (holder) => void holders.push([holder, path.at(-1)!]));
  for (const [holder, step] of holders) {
    const at = step.kind === "name" ? holder.find(step) : -1;
    if (at >= 0) holder.rename(at, name);
  }
}

/**
 * Puts a value where a path leads to. Objects that are missing on its way are made, and what stands there and is none
 * is replaced: a client that sends a text in place of an object must not get around it. Lists get no items. `onlyNew`
 * leaves what is there.
 */
export function setAt(root: JsonNode, path: JsonPath, value: JsonNode, onlyNew: boolean): void {
  put(root, path, 0, value, onlyNew);
}

function put(node: JsonNode, path: JsonPath, from: number, value: JsonNode, onlyNew: boolean): void {
  const step = path[from]!;
  const isLast = from + 1 === path.length;
  if (step.kind !== "name") return putItems(node, path, from, value, onlyNew);
  node.forceObject();
  const at = node.find(step);
  if (at < 0) {
    if (isLast) return node.add(step.name, value.copy());
    const made = JsonNode.object();
    node.add(step.name, made);
    put(made, path, from + 1, value, onlyNew);
  } else if (!isLast) put(node.items[at]!, path, from + 1, value, onlyNew);
  else if (!onlyNew) node.items[at] = value.copy();
}

function putItems(node: JsonNode, path: JsonPath, from: number, value: JsonNode, onlyNew: boolean): void {
  const step = path[from]!;
  const isLast = from + 1 === path.length;
  if (step.kind === "members" ? !node.openObject() : !node.openList()) return;
  const first = step.kind === "item" ? step.at : 0;
  const end = step.kind === "item" ? Math.min(first + 1, node.items.length) : node.items.length;
  for (let at = first; at < end; at += 1) {
    if (!isLast) put(node.items[at]!, path, from + 1, value, onlyNew);
    else if (!onlyNew) node.items[at] = value.copy();
  }
}

/** A move within each value that `within` leads to: from one single place to another. */
export interface Move {
  readonly within: JsonPath;
  readonly from: JsonPath;
  readonly to: JsonPath;
}

export function moveAt(root: JsonNode, { within, from, to }: Move): void {
  for (const base of valuesAt(root, within)) {
    let moved: JsonNode | null = null;
    visit(base, from, 0, (holder, at) => {
      moved = holder.items[at]!;
      holder.removeAt(at);
    });
    if (moved !== null) setAt(base, to, moved, false);
  }
}

/** A path of `keep`, and how many of its steps have been gone. */
interface Kept {
  readonly path: JsonPath;
  readonly gone: number;
}

/** Removes everything that none of the paths leads to. */
export function keepAt(root: JsonNode, paths: readonly JsonPath[]): void {
  keep(
    root,
    paths.map((path) => ({ path, gone: 0 })),
  );
}

/** False when nothing of the value is kept. */
function keep(node: JsonNode, kept: readonly Kept[]): boolean {
  const isObject = node.openObject();
  if (!isObject && !node.openList()) return false;
  const places = kept.map(({ path, gone }) => placeOf(path[gone]!, node, isObject));
  node.retain((at) => {
    const inner = kept.filter((_, i) => places[i] === at || places[i] === ALL);
    const isWhole = inner.some(({ path, gone }) => gone + 1 === path.length);
    const rest = inner.map(({ path, gone }) => ({ path, gone: gone + 1 }));
    return isWhole || (rest.length > 0 && keep(node.items[at]!, rest));
  });
  return true;
}

const ALL = -1;
const NOWHERE = -2;

/** Where a step leads in an open object or list: a place, `ALL` or `NOWHERE`. Looked for once, however much is there. */
function placeOf(step: Step, node: JsonNode, isObject: boolean): number {
  if (step.kind === "members") return isObject ? ALL : NOWHERE;
  if (step.kind === "items") return isObject ? NOWHERE : ALL;
  if (step.kind === "item") return isObject ? NOWHERE : step.at;
  const at = isObject && step.kind === "name" ? node.find(step) : -1;
  return at < 0 ? NOWHERE : at;
}
