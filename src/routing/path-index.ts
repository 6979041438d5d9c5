// Routes by path: a map for exact paths, a tree of segments for prefixes and parameters, lists for all others. Every
// entry knows its place in the configuration; a search keeps the lowest place found and skips what cannot beat it.
import type { Condition } from "./conditions.ts";
import type { PathPattern, PathSegment } from "./pattern.ts";
import type { RouteSubject } from "./subject.ts";

export interface Entry {
  /** Place in the configuration: the lowest that matches wins. */
  readonly order: number;
  readonly others: readonly Condition[];
}

/** One look-up on its way through the indexes. */
export interface Search {
  subject: RouteSubject;
  /** Null matches no path pattern. */
  path: string | null;
  /** The lowest place found so far, Infinity before. */
  found: number;
}

interface RegexEntry {
  readonly regex: RegExp;
  readonly entry: Entry;
}

interface Node {
  children: Map<string, Node> | null;
  param: Node | null;
  /** Patterns that end here, and those that go on with `/*`. */
  readonly ends: Entry[];
  readonly prefixes: Entry[];
  /** The lowest place in this node and below it. */
  lowest: number;
}

/** All lists are in ascending order of place, because routes are added in that order. */
export interface PathIndex {
  readonly anyPath: Entry[];
  readonly exact: Map<string, Entry[]>;
  readonly regexes: RegexEntry[];
  root: Node | null;
}

export const createPathIndex = (): PathIndex => ({ anyPath: [], exact: new Map(), regexes: [], root: null });

const createNode = (lowest: number): Node => ({ children: null, param: null, ends: [], prefixes: [], lowest });

/** Adds an entry under a pattern, null for any path. Entries must come in ascending order of place. */
export function addEntry(index: PathIndex, pattern: PathPattern | null, entry: Entry): void {
  if (pattern === null) index.anyPath.push(entry);
  else if (pattern.kind === "regex") index.regexes.push({ regex: pattern.regex, entry });
  else if (pattern.kind === "exact") {
    const entries = index.exact.get(pattern.path);
    if (entries === undefined) index.exact.set(pattern.path, [entry]);
    else entries.push(entry);
  } else {
    let node = (index.root ??= createNode(entry.order));
    for (const segment of pattern.segments) node = childOf(node, segment, entry.order);
    (pattern.prefix ? node.prefixes : node.ends).push(entry);
  }
}

function childOf(node: Node, segment: PathSegment, order: number): Node {
  if ("param" in segment) return (node.param ??= createNode(order));
  const children = (node.children ??= new Map<string, Node>());
  let child = children.get(segment.text);
  if (child === undefined) children.set(segment.text, (child = createNode(order)));
  return child;
}

/** Lowers `search.found` to the first entry of this index that matches, if that comes before what was found already. */
export function searchPaths(index: PathIndex, search: Search): void {
  tryEntries(index.anyPath, search);
  const path = search.path;
  if (path === null) return;
  if (index.exact.size > 0) {
    const entries = index.exact.get(path);
    if (entries !== undefined) tryEntries(entries, search);
  }
  if (index.root !== null) searchTree(index.root, path, 1, search);
  for (const { regex, entry } of index.regexes) {
    if (entry.order >= search.found) return;
    if (regex.test(path) && fits(entry.others, search.subject)) search.found = entry.order;
  }
}

/** `at` is where the next segment begins; beyond the end of the path once all of them are used. */
function searchTree(node: Node, path: string, at: number, search: Search): void {
  if (node.lowest >= search.found) return;
  if (node.prefixes.length > 0) tryEntries(node.prefixes, search);
  if (at > path.length) {
    if (node.ends.length > 0) tryEntries(node.ends, search);
    return;
  }
  if (node.children === null && node.param === null) return;
  const slash = path.indexOf("/", at);
  const end = slash < 0 ? path.length : slash;
  if (node.children !== null) {
    const child = node.children.get(path.slice(at, end));
    if (child !== undefined) searchTree(child, path, end + 1, search);
  }
  if (node.param !== null && end > at) searchTree(node.param, path, end + 1, search);
}

function tryEntries(entries: readonly Entry[], search: Search): void {
  for (let at = 0; at < entries.length; at += 1) {
    const entry = entries[at]!;
    if (entry.order >= search.found) return;
    if (fits(entry.others, search.subject)) {
      search.found = entry.order;
      return;
    }
  }
}

function fits(conditions: readonly Condition[], subject: RouteSubject): boolean {
  for (let at = 0; at < conditions.length; at += 1) if (!conditions[at]!.test(subject)) return false;
  return true;
}
