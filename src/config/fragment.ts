// Parts of a configuration that come from elsewhere than its file: `upstreams` and `routes` of a folder of files or of
// containers. They are merged into the file's before all of it is checked, and what is wrong is told at its own place.
import { dirname } from "node:path";
import { looksLikeUrl } from "./address.ts";
import { type ConfigPath, type Diagnostic, type Place, type Problem, problem, warning } from "./diagnostic.ts";
import type { Expanded } from "./expand.ts";
import type { Config } from "./schema.ts";
import { suggest } from "./suggest.ts";

/** Values as users write them. Threads can send it to each other without `locate` (`sendable`). */
export interface Fragment {
  /** Placeholders are filled in for files alone, as labels are not the operator's; only containers may all be gone. */
  readonly kind: "file" | "docker";
  /** Who says it: a file's absolute path, or `docker: upstream NAME`. The same for all versions of a fragment. */
  readonly source: string;
  readonly upstreams: Readonly<Record<string, unknown>>;
  readonly routes: readonly unknown[];
  /** Where each route stands among those of all fragments, the smallest first. Without it 0; equal ones keep their order. */
  readonly order?: readonly number[];
  /** Where a value stands; `source` when absent. */
  readonly locate?: (path: ConfigPath, at: "key" | "value") => Required<Place>;
  /** The version in use until now, perhaps the same: it takes the place of one that cannot be used. */
  readonly before?: Fragment;
}

/** What providers have at a time. */
export interface Provided {
  readonly fragments: readonly Fragment[];
  /** What is wrong with the settings of the providers, with paths of the main configuration. */
  readonly problems: readonly Problem[];
  /** What is wrong with single files or containers, which are left out or used as they were before. */
  readonly rejected: readonly Diagnostic[];
}

/**
 * Called with the `providers` of a configuration and the folder that its relative paths start from, once these are
 * known to be well-formed and before anything else is checked.
 */
export type Provide = (settings: Config["providers"], folder: string) => Provided | Promise<Provided>;

export const NOTHING_PROVIDED: Provided = { fragments: [], problems: [], rejected: [] };

/** The fragment as another thread can have it: its diagnostics name the source and no line. */
export function sendable({ kind, source, upstreams, routes, order }: Fragment): Fragment {
  return { kind, source, upstreams, routes, ...(order === undefined ? {} : { order }) };
}

/** A fragment with its placeholders filled in. */
export interface Part {
  readonly fragment: Fragment;
  readonly expanded: Expanded;
}

/** What `${file:PATH}` of a fragment starts from; null when its texts are taken as they are. */
export function folderOf({ kind, source }: Fragment): string | null {
  return kind === "file" ? dirname(source) : null;
}

/** A problem with its path within the fragment; within the main configuration when `part` is null. */
export interface Found {
  readonly part: Part | null;
  readonly problem: Problem;
}

export interface Merged {
  readonly value: unknown;
  /** Names that exist twice, and names that nothing has brought yet. */
  readonly found: readonly Found[];
  /** Names of the upstreams that may have no server for the time being. */
  readonly mayBeEmpty: ReadonlySet<string>;
  /** Where the value at a path of the merged configuration comes from. */
  origin(path: ConfigPath): { readonly part: Part | null; readonly path: ConfigPath };
}

/** What providers of containers may call an upstream: nothing that could pass for an address or a path. */
export const PROVIDED_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/;

interface RouteOrigin {
  readonly part: Part;
  readonly at: number;
  readonly order: number;
}

/**
 * Puts the routes of fragments behind those of the main configuration, and their upstreams beside its own. Where main's
 * `upstreams` or `routes` are of the wrong kind, it is left as it is for the check of its shape.
 */
export function mergeFragments(main: unknown, parts: readonly Part[]): Merged {
  const root = asMap(main);
  const ownUpstreams = asMap(root?.upstreams ?? {});
  const ownRoutes: unknown = root?.routes ?? [];
  if (root === null || ownUpstreams === null || !Array.isArray(ownRoutes)) {
    return { value: main, found: [], mayBeEmpty: new Set(), origin: (path) => ({ part: null, path }) };
  }
  const { upstreams, owners, found } = mergeUpstreams(ownUpstreams, parts);
  const routes = parts
    .flatMap((part) =>
      part.fragment.routes.map((_, at): RouteOrigin => ({ part, at, order: part.fragment.order?.[at] ?? 0 })),
    )
    .sort((a, b) => a.order - b.order);
  const origin: Merged["origin"] = (path) => {
    const [top, key] = path;
    if (top === "upstreams" && typeof key === "string") return { part: owners.get(key) ?? null, path };
    const route = top === "routes" && typeof key === "number" ? routes[key - ownRoutes.length] : undefined;
    return route === undefined
      ? { part: null, path }
      : { part: route.part, path: ["routes", route.at, ...path.slice(2)] };
  };
  const value = {
    ...root,
    ...(root.upstreams === null ? {} : { upstreams }),
    ...(root.routes === null ? {} : { routes: [...ownRoutes, ...routes.map(routeOf)] }),
  };
  const mayBeEmpty = new Set([...owners].flatMap(([name, part]) => (part.fragment.kind === "docker" ? [name] : [])));
  if (asMap(asMap(root.providers)?.docker) !== null) {
    for (const { part, problem } of awaitUpstreams(value, upstreams, mayBeEmpty, origin)) found.push({ part, problem });
  }
  return { value, found, mayBeEmpty, origin };
}

const routeOf = ({ part, at }: RouteOrigin): unknown => (part.expanded.value as Fragment).routes[at];

function mergeUpstreams(
  own: Readonly<Record<string, unknown>>,
  parts: readonly Part[],
): { upstreams: Record<string, unknown>; owners: Map<string, Part>; found: Found[] } {
  const upstreams = { ...own };
  const owners = new Map<string, Part>();
  const found: Found[] = [];
  for (const part of parts) {
    for (const [name, upstream] of Object.entries((part.expanded.value as Fragment).upstreams)) {
      if (Object.hasOwn(upstreams, name)) {
        found.push(twice(name, owners.get(name) ?? null, part));
        continue;
      }
      upstreams[name] = upstream;
      owners.set(name, part);
    }
  }
  return { upstreams, owners, found };
}

/** The second of a name is wrong; the first when it is new, so that what is added breaks nothing that worked. */
function twice(name: string, first: Part | null, second: Part): Found {
  const path = ["upstreams", name];
  const had = ({ fragment }: Part): boolean => Object.hasOwn(fragment.before?.upstreams ?? {}, name);
  const isFirst = first !== null && had(second) && !had(first);
  const part = isFirst ? first : second;
  const other = isFirst ? second : first;
  const where = other === null ? "the main configuration" : showPlace(placeIn(other.fragment, path, "key"));
  return { part, problem: problem(path, `there is another upstream named "${name}"`, `it is in ${where}`, "key") };
}

/** Where something of a fragment stands. */
export function placeIn(fragment: Fragment, path: ConfigPath, at: "key" | "value"): Required<Place> {
  return fragment.locate?.(path, at) ?? { file: fragment.source, line: 0, column: 0 };
}

const showPlace = ({ file, line }: Required<Place>): string => (line > 0 ? `${file}:${line}` : file);

/**
 * With containers as a source, an upstream that is named and not there may come at any time, or come back: it becomes
 * one without servers, so that a stopped container is no reason to refuse the rest of the configuration.
 */
function awaitUpstreams(
  value: unknown,
  upstreams: Record<string, unknown>,
  mayBeEmpty: Set<string>,
  origin: Merged["origin"],
): Found[] {
  const known = new Set(Object.keys(upstreams));
  return upstreamsNamed(value).flatMap(({ name, path }) => {
    if (known.has(name) || !PROVIDED_NAME.test(name)) return [];
    upstreams[name] = { servers: [] };
    mayBeEmpty.add(name);
    const from = origin(path);
    const near = suggest(name, known);
    const hint = near === null ? "its requests are answered 503 until then" : `did you mean "${near}"?`;
    return [
      { part: from.part, problem: warning(from.path, `no container brings the upstream "${name}" for now`, hint) },
    ];
  });
}

interface NamedUpstream {
  readonly name: string;
  readonly path: ConfigPath;
}

/** Every upstream that a configuration refers to by its name, in listeners, routes and upstreams. */
function upstreamsNamed(value: unknown): NamedUpstream[] {
  const named: NamedUpstream[] = [];
  const take = (name: unknown, ...path: ConfigPath): void => {
    if (typeof name === "string" && !looksLikeUrl(name)) named.push({ name, path });
  };
  const root = asMap(value);
  for (const [at, listener] of listOf(root?.listeners).entries()) {
    for (const key of ["tcp", "udp"]) take(asMap(asMap(listener)?.[key])?.to, "listeners", at, key, "to");
  }
  for (const [name, upstream] of Object.entries(asMap(root?.upstreams) ?? {}))
    take(asMap(upstream)?.failover, "upstreams", name, "failover");
  for (const [at, route] of listOf(root?.routes).entries()) {
    const { to, mirror } = asMap(route) ?? {};
    take(to, "routes", at, "to");
    for (const [index, target] of listOf(to).entries())
      take(asMap(target)?.upstream, "routes", at, "to", index, "upstream");
    take(asMap(mirror)?.to, "routes", at, "mirror", "to");
  }
  take(asMap(asMap(root?.defaults)?.mirror)?.to, "defaults", "mirror", "to");
  return named;
}

function asMap(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
