// Routes with `openapi` as the routes of the operations of their documents. All that comes after sees plain routes;
// what is wrong with one of these is told where it was written, in the configuration or in the document.
import { CompileError } from "../config/compile-error.ts";
import { type ConfigPath, type Problem, problem } from "../config/diagnostic.ts";
import type { Config, RouteConfig } from "../config/schema.ts";
import type { ApiSource } from "../config/schema-openapi.ts";
import type { Expansion } from "../config/settle.ts";
import { SpecError } from "../engines/openapi/index.ts";
import type { SpecFiles } from "../filters/validate/spec-files.ts";
import { expandApi, type MadeRoute } from "./api-routes.ts";
import { type Portal, portalRoutes } from "./portal/routes.ts";

/** In one configuration; all of them are compiled by every worker. */
const ROUTES_MAX = 50_000;
/** More help nobody, and each has to be looked up in the text. */
const PROBLEMS_MAX = 20;

/** Where a route of the expanded configuration comes from. */
interface Origin {
  readonly index: number;
  readonly made: MadeRoute | null;
}

/** For `expand` of `loadConfig` and `checkConfig`. */
export function expandApis(config: Config): Expansion {
  if (!config.routes.some(({ openapi, portal }) => openapi !== undefined || portal !== undefined))
    return { config, problems: [], files: [], origins: (problems) => problems };
  const routes: RouteConfig[] = [];
  const origins: Origin[] = [];
  const problems: Problem[] = [];
  const files = new Set<string>();
  const told = new Set<string>();
  const portals: Portal[] = [];
  const pages = new Map<string, ApiSource>();
  for (const [index, route] of config.routes.entries()) {
    // What has no name is called after its place, which is another one behind the routes of a document.
    const name = route.name ?? `route-${index + 1}`;
    const made =
      route.portal !== undefined && route.openapi === undefined
        ? portalRoutes(config, route, name, index, portals, problems)
        : route.openapi === undefined
          ? null
          : expanded({ config, problems, files, told, pages }, route, name, index);
    if (made === null) {
      // Where the document cannot be used it is not known which requests would be its own.
      routes.push({
        ...route,
        name,
        ...(route.openapi === undefined ? {} : { match: { ...route.match, path: `${NOTHING}${index}` } }),
      });
      origins.push({ index, made: null });
      continue;
    }
    for (const each of made) {
      routes.push(each.route);
      origins.push({ index, made: each });
    }
    if (routes.length > ROUTES_MAX) {
      problems.push(
        problem(["routes", index, "openapi"], `with this document there are more than ${ROUTES_MAX} routes`),
      );
      break;
    }
  }
  for (const portal of portals) problems.push(...portal.show(config, pages));
  return {
    config: { ...config, routes },
    problems,
    files: [...files],
    origins: (found) => originsOf(found, origins),
  };
}

/** Begins a pattern that no path fits. */
const NOTHING = "~(?!)";

/** What has been found so far. */
interface Found {
  readonly config: Config;
  readonly problems: Problem[];
  /** Absolute paths of documents. */
  readonly files: Set<string>;
  /** Mistakes in documents, which may be named several times. */
  readonly told: Set<string>;
  /** What a page about an API shows, by the name of its route. */
  readonly pages: Map<string, ApiSource>;
}

/** The routes of one document; null where it cannot be used, as `problems` says. */
function expanded(
  { config, problems, files, told, pages }: Found,
  route: RouteConfig,
  name: string,
  index: number,
): readonly MadeRoute[] | null {
  const path = ["routes", index, "openapi"];
  const before = problems.length;
  let specFiles: SpecFiles | null = null;
  let count = 0;
  const wrong = (error: SpecError, at: "key" | "value" = "value"): void => {
    const [top, , ...below] = error.place.path;
    const isPath = top === "paths" && below.length === 0; // which is a key
    const place = specFiles?.locate(error.place, isPath ? "key" : at);
    const key = JSON.stringify([place, error.message]);
    count += 1;
    if (told.has(key) || count > PROBLEMS_MAX) return;
    told.add(key);
    const where = [...path, "document"];
    if (place === undefined || place.line === 0) problems.push(problem(where, `${error.place.file}: ${error.message}`));
    else problems.push({ ...problem(where, error.message), place });
  };
  try {
    const { made, page } = expandApi(config, route, name, (opened) => (specFiles = opened), {
      spec: wrong,
      config: (keys, message, hint, at) => problems.push(problem([...path.slice(0, 2), ...keys], message, hint, at)),
    });
    pages.set(name, page);
    return problems.length > before || count > 0 ? null : made;
  } catch (error) {
    if (error instanceof CompileError && error.cause instanceof SpecError) wrong(error.cause);
    else if (error instanceof SpecError) wrong(error);
    else if (error instanceof CompileError) problems.push(problem([...path, ...error.path], error.message));
    else throw error;
    return null;
  } finally {
    for (const file of (specFiles as SpecFiles | null)?.names ?? [route.openapi!.document]) files.add(file);
  }
}

/** What all routes of a document have from the configuration is wrong once, not for each of them. */
function originsOf(problems: readonly Problem[], origins: readonly Origin[]): Problem[] {
  const told = new Set<string>();
  return problems.flatMap((one) => {
    const mapped = originOf(one, origins);
    const key = JSON.stringify([mapped?.path, mapped?.place, mapped?.message]);
    if (mapped === null || told.has(key)) return [];
    told.add(key);
    return [mapped];
  });
}

function originOf(one: Problem, origins: readonly Origin[]): Problem | null {
  const local = (text: string): string =>
    text.replace(/\broutes\[(\d+)\]/g, (all, number: string) => {
      const origin = origins[Number(number)];
      return origin === undefined ? all : `routes[${origin.index}]`;
    });
  const words = { ...one, message: local(one.message), ...(one.hint === undefined ? {} : { hint: local(one.hint) }) };
  const [top, at, key, ...rest] = one.path;
  const origin = top === "routes" && typeof at === "number" ? origins[at] : undefined;
  if (origin === undefined) return words;
  const whole: ConfigPath = ["routes", origin.index, ...one.path.slice(2)];
  if (origin.made === null) return { ...words, path: whole };
  // A route before it that takes a single operation is how one is answered in another way.
  if (key === undefined && one.severity === "warning" && origin.made.route.source?.kind === "operation") return null;
  return { ...words, ...origin.made.origin(origin.index, typeof key === "string" ? key : "", rest) };
}
