// Routes that can never be reached, because an earlier route takes all their requests.
import { isDeepStrictEqual } from "node:util";
import { type Problem, warning } from "./diagnostic.ts";
import type { MatchConfig, RouteConfig } from "./schema.ts";

/** Earlier routes looked at for each route: keeps ten thousand routes of one path from costing a hundred million looks. */
const CANDIDATES_MAX = 64;

/** A match block with its patterns in the one form that they are compared in. */
interface Shape {
  readonly match: MatchConfig;
  readonly hosts: ReadonlySet<string>;
  readonly paths: ReadonlySet<string>;
}

/** A warning for every route whose requests an earlier one takes. May overlook some, never warns wrongly. */
export function unreachableRoutes(routes: readonly RouteConfig[]): Problem[] {
  const problems: Problem[] = [];
  const shapes = routes.map(
    ({ match = {} }): Shape => ({ match, hosts: new Set(hostsOf(match)), paths: new Set(pathsOf(match)) }),
  );
  const earlier = new Map<string, number[]>();
  for (const [at, shape] of shapes.entries()) {
    const hosts = [...shape.hosts].map(widerHosts);
    const paths = [...shape.paths].map(widerPaths);
    const by = candidates(earlier, hosts[0] ?? [], paths[0] ?? []).find((other) =>
      covers(shapes[other]!, shape.match, hosts, paths),
    );
    if (by === undefined) {
      remember(earlier, shape, at);
      continue;
    }
    const message = `this route is never reached: ${nameOf(routes, by)} before it takes all its requests`;
    problems.push(warning(["routes", at], message, "put the narrower route first"));
  }
  return problems;
}

function nameOf(routes: readonly RouteConfig[], at: number): string {
  const name = routes[at]?.name;
  return name === undefined ? `routes[${at}]` : `"${name}" (routes[${at}])`;
}

const ANY_HOST = "*";
const ANY_PATH = "/*";

const listOf = (value: string | readonly string[] | undefined, any: string): readonly string[] =>
  value === undefined ? [any] : typeof value === "string" ? [value] : value;
const hostsOf = (match: MatchConfig): readonly string[] =>
  listOf(match.host, ANY_HOST).map((host) => host.toLowerCase().replace(/\.$/, ""));
const pathsOf = (match: MatchConfig): readonly string[] => listOf(match.path, ANY_PATH).map(withoutNames);
/** Which names parameters have does not change what they match. */
const withoutNames = (path: string): string => (path.startsWith("~") ? path : path.replace(/\/:[^/]*/g, "/:"));

function remember(earlier: Map<string, number[]>, { hosts, paths }: Shape, at: number): void {
  for (const host of hosts) {
    for (const path of paths) {
      const key = `${host} ${path}`;
      const list = earlier.get(key);
      if (list === undefined) earlier.set(key, [at]);
      else if (list.length < CANDIDATES_MAX) list.push(at);
    }
  }
}

/** Routes that may cover another, in order: whoever covers it also covers its first host with its first path. */
function candidates(
  earlier: ReadonlyMap<string, readonly number[]>,
  hosts: readonly string[],
  paths: readonly string[],
): number[] {
  const found = new Set<number>();
  for (const host of hosts) {
    for (const path of paths) {
      for (const at of earlier.get(`${host} ${path}`) ?? []) found.add(at);
    }
  }
  return [...found].sort((a, b) => a - b);
}

/** The host pattern itself, and every pattern that takes all that it takes. */
function widerHosts(host: string): string[] {
  const wider = host === ANY_HOST ? [host] : [host, ANY_HOST];
  const labels = (host.startsWith("*.") ? host.slice(2) : host).split(".");
  for (let at = 1; at < labels.length; at += 1) wider.push(`*.${labels.slice(at).join(".")}`);
  return wider;
}

/** The path pattern itself, and every pattern that takes all that it takes (but for some with several parameters). */
function widerPaths(path: string): string[] {
  if (path === ANY_PATH) return [path];
  if (path.startsWith("~")) return [path, ANY_PATH];
  const segments = path.split("/").slice(1);
  const wider = [path, ANY_PATH];
  for (let length = 1; length <= segments.length; length += 1) wider.push(`/${segments.slice(0, length).join("/")}/*`);
  for (const [at, segment] of segments.entries()) {
    if (segment !== "*" && segment !== "") wider.push(`/${segments.with(at, ":").join("/")}`);
  }
  return wider;
}

type ClientCert = MatchConfig["clientCert"];
const coversCertificate = (wide: ClientCert, narrow: ClientCert): boolean =>
  wide === undefined || (wide === true && narrow !== undefined) || isDeepStrictEqual(wide, narrow);

/** Whether `wide` takes every request of the other match, given all that is wider than each of its hosts and paths. */
function covers(
  { match: wide, hosts, paths }: Shape,
  narrow: MatchConfig,
  widerThanHosts: readonly (readonly string[])[],
  widerThanPaths: readonly (readonly string[])[],
): boolean {
  if (!widerThanHosts.every((wider) => wider.some((host) => hosts.has(host)))) return false;
  if (!widerThanPaths.every((wider) => wider.some((path) => paths.has(path)))) return false;
  if (!within(wide.method, narrow.method) || !within(wide.clientIp, narrow.clientIp)) return false;
  if (!coversCertificate(wide.clientCert, narrow.clientCert)) return false;
  if (wide.version !== undefined && !isDeepStrictEqual(wide.version, narrow.version)) return false;
  return (["header", "query", "cookie"] as const).every((key) =>
    Object.entries(wide[key] ?? {}).every(([name, wanted]) => {
      const got = narrow[key]?.[name];
      return got !== undefined && (wanted === true || wanted === got);
    }),
  );
}

function within(wide: string | readonly string[] | undefined, narrow: string | readonly string[] | undefined): boolean {
  if (wide === undefined) return true;
  if (narrow === undefined) return false;
  const allowed = listOf(wide, "");
  return listOf(narrow, "").every((value) => allowed.includes(value));
}
