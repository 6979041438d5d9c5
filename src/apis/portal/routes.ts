// A route with `portal` as two: the page itself, which everybody may see and which says nothing, and what is behind the
// route's `auth`.
import { type ConfigPath, type Problem, problem } from "../../config/diagnostic.ts";
import type { Config, RouteConfig } from "../../config/schema.ts";
import type { AuthEntry } from "../../config/schema-auth.ts";
import type { ApiSource } from "../../config/schema-openapi.ts";
import type { SignIn } from "../../config/schema-portal.ts";
import { suggest } from "../../config/suggest.ts";
import { namesIdentity } from "../../pipeline/request-key.ts";
import type { MadeRoute } from "../api-routes.ts";

/** Files of the page, below its path. */
const PAGE_FILES = ["portal.js", "docs.js", "portal.css"] as const;

/** Policies for what servers answer and operations are about, and for pages of other origins: none of these is here. */
const NOT_HERE = {
  cache: false,
  coalesce: false,
  mirror: false,
  idempotency: false,
  rewrite: false,
  transform: false,
  graphql: false,
  grpc: false,
  grpcWeb: false,
  transcode: false,
  validate: false,
  cors: false,
  inject: false,
} as const satisfies Partial<RouteConfig>;

/** A portal whose documents are found once all routes are expanded. */
export class Portal {
  readonly apis: ApiSource[] = [];
  readonly #names: readonly string[];
  readonly #index: number;

  constructor(names: readonly string[], index: number) {
    this.#names = names;
    this.#index = index;
  }

  /** Finds what it is to show. `pages` are those of documents, by the names of their routes. */
  show(config: Config, pages: ReadonlyMap<string, ApiSource>): Problem[] {
    const withDocument = config.routes.flatMap(({ name, openapi }) => (openapi && name !== undefined ? [name] : []));
    return this.#names.flatMap((name, at): Problem[] => {
      const page = pages.get(name);
      if (page !== undefined) this.apis.push(page);
      // What is wrong with its document is told already.
      if (page !== undefined || withDocument.includes(name)) return [];
      const near = suggest(name, withDocument);
      const path = ["routes", this.#index, "portal", "apis", at];
      const hint = near === null ? "name a route that has `openapi`" : `did you mean "${near}"?`;
      return [problem(path, `there is no route named "${name}" with an OpenAPI document`, hint)];
    });
  }
}

/** The routes of one portal, which is added to `portals`. */
export function portalRoutes(
  config: Config,
  route: RouteConfig,
  name: string,
  index: number,
  portals: Portal[],
  problems: Problem[],
): readonly MadeRoute[] {
  const at = (...keys: ConfigPath): ConfigPath => ["routes", index, ...keys];
  const { path, apis } = route.portal!;
  if (route.match?.path !== undefined || route.match?.method !== undefined)
    problems.push(problem(at("match"), "`portal.path` says where a portal is", "leave out `path` and `method`"));
  const auth = route.auth ?? config.defaults.auth;
  const entries = auth === undefined || auth === false ? [] : [auth].flat();
  if (entries.length === 0)
    problems.push(problem(at("portal"), "nobody could sign in here: the route has no `auth`", undefined, "key"));
  else if (!entries.some(knowsConsumers))
    problems.push(
      problem(
        at(...(route.auth === undefined ? ["portal"] : ["auth"])),
        "a portal is for consumers, and nobody who comes in here is one",
        "write `apiKey: { consumers: true }`, or `consumers: required` beside `oidc`",
      ),
    );
  const portal = new Portal(apis, index);
  portals.push(portal);
  const ways = waysOf(entries.filter(knowsConsumers));
  const origin: MadeRoute["origin"] = (_, key, rest) => {
    const isOwn = ["", "name", "portalSource"].includes(key) || (key === "match" && rest[0] === "path");
    return { path: isOwn ? at("portal") : at(key, ...rest) };
  };
  const shared: RouteConfig = { ...route, ...NOT_HERE };
  const page: RouteConfig = {
    ...shared,
    auth: false,
    quota: false,
    ...unidentified(route),
    name: `${name}/page`,
    match: { ...route.match, path: [path, ...PAGE_FILES.map((file) => `${path}/${file}`)], method: ["GET", "HEAD"] },
    portalSource: { part: "page", apis: [], ways },
  };
  const rest: RouteConfig = {
    ...shared,
    // Whoever has used up his quota should be able to see that: one of `defaults` is not for this.
    quota: route.quota ?? false,
    name,
    match: { ...route.match, path: `${path}/*` },
    portalSource: { part: "rest", apis: portal.apis, ways },
  };
  return [
    { route: page, origin },
    { route: rest, origin },
  ];
}

const knowsConsumers = ({ consumers, apiKey, basic, signature, mtls }: AuthEntry): boolean =>
  consumers !== undefined || [apiKey, basic, signature, mtls].some((kind) => kind?.consumers === true);

/** Nobody is known on the page: limits by who somebody is hold for the rest alone. */
function unidentified({ rateLimit }: RouteConfig): Pick<RouteConfig, "rateLimit"> {
  if (rateLimit === undefined || rateLimit === false) return {};
  const left = [rateLimit].flat().filter(({ key }) => !namesIdentity([key].flat()));
  return { rateLimit: left.length === 0 ? false : left };
}

/** What the page offers to sign in by. Certificates come with the connection, and cookies by themselves. */
function waysOf(entries: readonly AuthEntry[]): SignIn[] {
  const ways = entries.flatMap(({ apiKey, basic, oidc, mtls }): SignIn[] => {
    const found: SignIn[] = [];
    if (apiKey !== undefined) {
      const { header, query, cookie } = apiKey;
      const field = header ?? (query === undefined && cookie === undefined ? "x-api-key" : undefined);
      if (field !== undefined) found.push({ kind: "apiKey", header: field.toLowerCase() });
    }
    if (basic !== undefined) found.push({ kind: "basic" });
    if (oidc !== undefined || mtls !== undefined) found.push({ kind: "session" });
    return found;
  });
  return ways.filter((way, at) => ways.findIndex(({ kind }) => kind === way.kind) === at);
}
