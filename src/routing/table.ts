// The compiled route table: the first matching route in configuration order, found through maps of hosts and paths.
import { within } from "../config/compile-error.ts";
import type { MatchConfig } from "../config/schema.ts";
import { type Condition, compileConditions } from "./conditions.ts";
import { addEntry, createPathIndex, type Entry, type PathIndex, type Search, searchPaths } from "./path-index.ts";
import { extractParams, type HostPattern, normalizeHost, type PathPattern } from "./pattern.ts";
import type { RouteSubject } from "./subject.ts";

export interface RouteSource<T> {
  readonly name: string;
  readonly match?: MatchConfig | undefined;
  readonly value: T;
}

export interface RouteTable<T> {
  /** The first route that matches, null when none does. Synchronous; allocates only for a hit with parameters. */
  find(subject: RouteSubject): T | null;
  /** Path parameters of the last hit by name, null when its pattern has none. */
  readonly params: Readonly<Record<string, string>> | null;
}

/** The route of an entry: what stands behind its place in the order. */
interface Target<T> {
  readonly value: T;
  readonly pattern: PathPattern | null;
  readonly hasParams: boolean;
}

/**
 * Compiles routes, tried in the order given. Throws CompileError with the path `[index, "match", key, …]` for a
 * pattern that cannot be read.
 */
export function compileRoutes<T>(routes: readonly RouteSource<T>[]): RouteTable<T> {
  const builder = new TableBuilder<T>();
  routes.forEach((route, at) => {
    const conditions = within(at, () => within("match", () => compileConditions(route.match)));
    builder.add(route.value, conditions.hosts, conditions.paths, conditions.others);
  });
  return new Table(builder);
}

class TableBuilder<T> {
  readonly targets: Target<T>[] = [];
  readonly anyHost: PathIndex = createPathIndex();
  readonly byHost = new Map<string, PathIndex>();
  readonly bySuffix = new Map<string, PathIndex>();
  /** The place of the first route without any condition: nothing behind it can be reached. */
  always = -1;
  usesPath = false;

  add(
    value: T,
    hosts: readonly HostPattern[] | null,
    paths: readonly PathPattern[] | null,
    others: readonly Condition[],
  ): void {
    if (this.always >= 0) return;
    if (hosts === null && paths === null && others.length === 0) this.always = this.targets.length;
    if (paths !== null) this.usesPath = true;
    // Each path pattern gets a place of its own, so that of two patterns of one route the first gives the parameters.
    for (const pattern of paths ?? [null]) {
      const entry: Entry = { order: this.targets.length, others };
      this.targets.push({ value, pattern, hasParams: pattern !== null && pattern.kind !== "exact" });
      for (const host of hosts ?? [ANY_HOST]) addEntry(this.#indexOf(host), pattern, entry);
    }
  }

  #indexOf(host: HostPattern): PathIndex {
    if (host.kind === "any") return this.anyHost;
    const [map, key] = host.kind === "exact" ? [this.byHost, host.host] : [this.bySuffix, host.suffix];
    let index = map.get(key);
    if (index === undefined) map.set(key, (index = createPathIndex()));
    return index;
  }
}

const ANY_HOST: HostPattern = { kind: "any" };

class Table<T> implements RouteTable<T> {
  params: Readonly<Record<string, string>> | null = null;
  readonly #targets: readonly Target<T>[];
  readonly #anyHost: PathIndex;
  readonly #byHost: ReadonlyMap<string, PathIndex>;
  readonly #bySuffix: ReadonlyMap<string, PathIndex>;
  readonly #usesHost: boolean;
  readonly #usesPath: boolean;
  /** The value of a first route that matches everything: most proxies have that one route alone. */
  readonly #only: T | null;
  readonly #search: Search = { subject: NO_SUBJECT, path: "", found: Number.POSITIVE_INFINITY };

  constructor(built: TableBuilder<T>) {
    this.#targets = built.targets;
    this.#anyHost = built.anyHost;
    this.#byHost = built.byHost;
    this.#bySuffix = built.bySuffix;
    this.#usesHost = built.byHost.size > 0 || built.bySuffix.size > 0;
    this.#usesPath = built.usesPath;
    this.#only = built.always === 0 ? built.targets[0]!.value : null;
  }

  find(subject: RouteSubject): T | null {
    if (this.#only !== null) return this.#only;
    const search = this.#search;
    search.subject = subject;
    search.path = this.#usesPath ? subject.path : null;
    search.found = Number.POSITIVE_INFINITY;
    if (this.#usesHost) this.#searchHosts(normalizeHost(subject.host), search);
    searchPaths(this.#anyHost, search);
    search.subject = NO_SUBJECT; // A table outlives its requests: it must not keep the last one alive.
    this.params = null;
    if (search.found === Number.POSITIVE_INFINITY) return null;
    const target = this.#targets[search.found]!;
    if (target.hasParams) this.params = extractParams(target.pattern!, search.path!);
    return target.value;
  }

  #searchHosts(host: string, search: Search): void {
    const exact = this.#byHost.get(host);
    if (exact !== undefined) searchPaths(exact, search);
    if (this.#bySuffix.size === 0) return;
    for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
      const below = this.#bySuffix.get(host.slice(dot + 1));
      if (below !== undefined) searchPaths(below, search);
    }
  }
}

const NO_SUBJECT: RouteSubject = {
  host: "",
  path: null,
  method: "",
  query: "",
  ip: "",
  clientCert: null,
  header: () => null,
};
