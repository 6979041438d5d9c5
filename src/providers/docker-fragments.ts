// Containers to fragments: one for each upstream, with the servers and routes of all containers that name it.
import type { ConfigPath, Diagnostic, Place } from "../config/diagnostic.ts";
import type { Fragment } from "../config/fragment.ts";
import type { ConfigInput } from "../config/schema.ts";
import { type Container, type ReadContainer, readContainer } from "./docker-container.ts";
import type { LabelFault, LabelRoute } from "./docker-labels.ts";

type UpstreamInput = NonNullable<ConfigInput["upstreams"]>[string];
type RouteInput = NonNullable<ConfigInput["routes"]>[number];

/** All that containers say about one upstream. */
export interface Group {
  readonly upstream: string;
  readonly input: UpstreamInput;
  /** The container that chose the upstream's name, for messages. */
  readonly container: string;
  readonly routes: readonly GroupRoute[];
}

interface GroupRoute {
  /** The container that asks for it, for messages. */
  readonly container: string;
  readonly wish: LabelRoute;
  readonly input: RouteInput;
}

export interface Grouped {
  readonly groups: readonly Group[];
  /** What is wrong with containers. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Groups what `GET /containers/json` answered; the same containers in any order give the same. */
export function groupContainers(items: readonly unknown[], network: string | null): Grouped {
  const read = items.map((item) => readContainer(item, network)).sort((a, b) => compare(a.name, b.name));
  const diagnostics = read.flatMap((one) => one.faults.map((fault) => diagnosticOf(one, fault)));
  const members = new Map<string, Container[]>();
  const projects = projectsOf(read);
  for (const one of read) {
    const { container } = one;
    if (container === null) continue;
    const project = projects.get(container.upstream);
    if (container.project !== null && project !== undefined && container.project !== project) {
      diagnostics.push(diagnosticOf(one, otherProject(container, project)));
      continue;
    }
    const list = members.get(container.upstream);
    if (list === undefined) members.set(container.upstream, [container]);
    else list.push(container);
  }
  const groups = [...members].map(([upstream, containers]) => groupOf(upstream, containers));
  return { groups: groups.sort((a, b) => compare(a.upstream, b.upstream)), diagnostics };
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * Two Compose projects may both have a service `web`, and each its own in mind: the first by name has it. Containers
 * that say `sluice.upstream` mean what they say, and may join any.
 */
function projectsOf(read: readonly ReadContainer[]): Map<string, string> {
  const projects = new Map<string, string>();
  for (const { container } of read) {
    if (container === null || container.project === null) continue;
    const first = projects.get(container.upstream);
    if (first === undefined || container.project < first) projects.set(container.upstream, container.project);
  }
  return projects;
}

function otherProject({ upstream, project }: Container, first: string): LabelFault {
  return {
    severity: "error",
    label: null,
    message: `its service "${upstream}" of the project "${project}" has the name of one of the project "${first}"`,
    hint: "give one of them another name with the label sluice.upstream",
  };
}

function groupOf(upstream: string, containers: readonly Container[]): Group {
  const servers = new Map<string, number>();
  for (const { url, weight, isHealthy } of containers) if (isHealthy && weight > 0) servers.set(url, weight);
  const health = containers.find(({ healthPath }) => healthPath !== null)?.healthPath;
  const routes = new Map<string, GroupRoute>();
  const counts = new Map<string, number>();
  for (const { name: container, routes: wishes } of containers) {
    for (const wish of wishes) {
      // The same route from several containers is one; while a deployment changes it, there are two for a while.
      const key = JSON.stringify(wish);
      if (routes.has(key)) continue;
      const wanted = `docker:${upstream}${wish.name === "" ? "" : `:${wish.name}`}`;
      const count = (counts.get(wanted) ?? 0) + 1;
      counts.set(wanted, count);
      const name = count === 1 ? wanted : `${wanted}#${count}`;
      routes.set(key, { container, wish, input: routeInput(name, upstream, wish) });
    }
  }
  const input: UpstreamInput = {
    servers: [...servers].map(([url, weight]) => (weight === 1 ? url : { url, weight })),
    ...(health === null || health === undefined ? {} : { health: { path: health } }),
  };
  return { upstream, container: containers[0]!.name, input, routes: [...routes.values()] };
}

function routeInput(name: string, upstream: string, { hosts, path, stripPrefix }: LabelRoute): RouteInput {
  return {
    name,
    match: { ...(hosts.length === 0 ? {} : { host: [...hosts] }), ...(path === null ? {} : { path }) },
    ...(stripPrefix === null ? {} : { rewrite: { stripPrefix } }),
    to: upstream,
  };
}

/** The group while none of its containers is there: its routes answer 503, as it may come back in a moment. */
export function emptied(group: Group): Group {
  return { ...group, input: { ...group.input, servers: [] } };
}

/** One fragment for each group, and the order of all their routes. */
export function fragmentsOf(groups: readonly Group[]): Fragment[] {
  const sorted = groups.flatMap(({ routes }) => routes).sort(byPrecedence);
  const order = new Map(sorted.map((route, at) => [route, at + 1]));
  return groups.map((group) => ({
    kind: "docker" as const,
    source: `docker: upstream ${group.upstream}`,
    upstreams: { [group.upstream]: group.input },
    routes: group.routes.map(({ input }) => input),
    order: group.routes.map((route) => order.get(route)!),
    locate: (path) => placeOf(group, path),
  }));
}

/** The wanted priority first; then what says more about the path, and then about the host. */
function byPrecedence(a: GroupRoute, b: GroupRoute): number {
  return (
    b.wish.priority - a.wish.priority ||
    pathRank(b.wish.path) - pathRank(a.wish.path) ||
    hostRank(b.wish.hosts) - hostRank(a.wish.hosts) ||
    compare(a.input.name ?? "", b.input.name ?? "")
  );
}

/** Twice the length of what must be there literally, and one more for a path that must be all of it. */
function pathRank(path: string | null): number {
  if (path === null) return -1;
  const literal = path.replace(/\/\*$/, "").replace(/\/:[^/]*/g, "/");
  return literal.length * 2 + (path.endsWith("/*") ? 0 : 1);
}

function hostRank(hosts: readonly string[]): number {
  if (hosts.length === 0 || hosts.includes("*")) return 0;
  const wildcard = hosts.find((host) => host.startsWith("*."));
  return wildcard === undefined ? 1000 : wildcard.length; // a name has at most 253 characters
}

function placeOf(group: Group, path: ConfigPath): Required<Place> {
  const route = path[0] === "routes" ? group.routes[Number(path[1])] : undefined;
  if (route === undefined) return labelPlace(group.container, null);
  const key = path.includes("host") ? "host" : path.includes("stripPrefix") ? "stripPrefix" : "path";
  const isAbout = path.includes("match") || path.includes("rewrite");
  const before = route.wish.name === "" ? "sluice." : `sluice.routes.${route.wish.name}.`;
  return labelPlace(route.container, isAbout ? before + key : null);
}

function labelPlace(container: string, label: string | null): Required<Place> {
  const file = `docker: container ${container}${label === null ? "" : `, label ${label}`}`;
  return { file, line: 0, column: 0 };
}

function diagnosticOf({ name, container }: ReadContainer, { severity, label, message, hint }: LabelFault): Diagnostic {
  const left = container === null || severity === "error" ? ": this container is left out" : "";
  return {
    severity,
    message: message + left,
    ...labelPlace(name, label),
    path: [],
    ...(hint === undefined ? {} : { hint }),
  };
}
