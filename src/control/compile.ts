// From a checked configuration to the plan that workers run: the route table, and for each route only what it uses.
import { join } from "node:path";
import { checkEndpoint } from "../auth/check-endpoint.ts";
import { Endpoints } from "../auth/endpoints.ts";
import type { RouteCache } from "../cache/route-cache.ts";
import { looksLikeUrl } from "../config/address.ts";
import { CompileError, within } from "../config/compile-error.ts";
import { POLICY_KEYS, UPSTREAM_DEFAULTS } from "../config/defaults.ts";
import { type Problem, problem, showPath } from "../config/diagnostic.ts";
import type { Config, ListenerConfig, PolicyConfig, RouteConfig, UpstreamConfig } from "../config/schema.ts";
import { wallClock } from "../core/clock.ts";
import type { KeyRule } from "../engines/cache/key.ts";
import { FileServer } from "../files/file-server.ts";
import { Site } from "../files/site.ts";
import type { Policies } from "../filters/definition.ts";
import { compileFilters } from "../filters/index.ts";
import { compileRedirect } from "../filters/redirect/filter.ts";
import type { Action, Route } from "../pipeline/exchange.ts";
import type { IdentityFields } from "../pipeline/identity-fields.ts";
import { hedgePolicy, NO_RETRY, RetryPolicy } from "../pipeline/retry-policy.ts";
import { type Shared, UNSHARED } from "../pipeline/shared.ts";
import { compileConditions } from "../routing/conditions.ts";
import { paramNames } from "../routing/pattern.ts";
import { compileRoutes, type RouteSource, type RouteTable } from "../routing/table.ts";
import type { StateSettings } from "../state/open-state.ts";
import { Sticky } from "../upstream/sticky.ts";
import { cacheSettings, compileCache, DiskChoice } from "./compile-cache.ts";
import { identityFieldsOf } from "./identity-names.ts";
import { compileRespond } from "./respond.ts";
import { compileSplit, type Target } from "./split.ts";

export interface Plan {
  readonly table: RouteTable<Route>;
  readonly routes: readonly Route[];
  /** The same routes with their match blocks, for `explainMatch`. */
  readonly sources: readonly RouteSource<Route>[];
  /** Where each of them may forward to, for `explain`; empty for one that answers by itself. */
  readonly targets: readonly (readonly Target[])[];
  /** Every upstream by name: the configured ones, then one for each URL or list of URLs that routes hold. */
  readonly upstreams: ReadonlyMap<string, UpstreamConfig>;
  /** By route; null for those without. */
  readonly caches: readonly (RouteCache | null)[];
  /** One key for each way in which these count a query. */
  readonly cacheKeys: readonly KeyRule[];
  /** Bytes for stored answers, over all workers; 0 where no route has a cache. */
  readonly cacheBytes: number;
  /** The disk tier of routes that have one. */
  readonly cacheDisk: DiskChoice["chosen"];
  /** What Sluice answers below `/.auth/`; null where no route needs it. */
  readonly endpoints: Endpoints | null;
  /** What clients may not send; null where no route has `auth`. */
  readonly identityFields: IdentityFields | null;
}

/** For plans that are only looked at, in which no cookie is ever made or believed. */
const NO_SECRET = new Uint8Array(32);

/** Why a configuration of the right shape cannot be compiled; the problems carry the keys that are to blame. */
export class PlanError extends Error {
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super(problems.map(({ path, message }) => `${showPath(path)}: ${message}`).join("\n"));
    this.name = "PlanError";
    this.problems = problems;
  }
}

/**
 * Compiles a configuration. What its filters share with other threads comes from `shared`; `secret` signs the cookies
 * of split routes, and is the same for all threads that carry traffic. Throws PlanError with everything that is wrong,
 * not only the first.
 */
export function compilePlan(config: Config, secret: Uint8Array = NO_SECRET, shared: Shared = UNSHARED): Plan {
  const upstreams = new Map(Object.entries(config.upstreams));
  const sources: RouteSource<Route>[] = [];
  const targets: (readonly Target[])[] = [];
  const caches: (RouteCache | null)[] = [];
  const disk = new DiskChoice();
  const endpoints = new Endpoints();
  const problems = new Map<string, Problem>();
  for (const to of config.listeners.flatMap(streamTargets)) if (!upstreams.has(to)) anonymous([to], upstreams);
  config.routes.forEach((route, index) => {
    try {
      const to = readTargets(route, upstreams);
      const value = compileRoute(config, route, index, to, upstreams, secret, shared, endpoints);
      sources.push({ name: value.name, match: route.match, value });
      targets.push(to);
      caches.push(readCache(config, route, value.name, disk));
    } catch (error) {
      if (!(error instanceof CompileError)) throw error;
      const path = blamed(route, index, error.path);
      problems.set(showPath(path), problem(path, error.message)); // a mistake in `defaults` is found once per route
    }
  });
  for (const index of sameNames(sources)) {
    const path = ["routes", index, "name"];
    problems.set(showPath(path), problem(path, `there is another route named "${sources[index]?.name}"`));
  }
  if (problems.size > 0) throw new PlanError([...problems.values()]);
  const routes = sources.map((source) => source.value);
  const cacheBytes = Math.max(0, ...config.routes.map((route) => cacheOf(config, route)?.memory ?? 0));
  const cacheKeys = keysByQuery(caches);
  const cacheDisk = disk.chosen;
  const table = compileRoutes(sources);
  if (routes.some(({ requestFilters }) => requestFilters.some(({ name }) => name === "auth")))
    endpoints.add("check", checkEndpoint(table));
  const compiled = { table, routes, sources, targets, upstreams, caches, cacheKeys, cacheBytes, cacheDisk };
  return { ...compiled, endpoints: endpoints.empty ? null : endpoints, identityFields: identityFieldsOf(config) };
}

/** Where machines, or one after a restart, find what they share; null where the configuration names no such place. */
export function stateOf({ cluster, storage }: Config): StateSettings | null {
  if (cluster !== undefined) return { kind: "redis", url: cluster.redis, prefix: cluster.prefix };
  return storage === undefined ? null : { kind: "files", folder: join(storage, "state") };
}

const serversOf = (upstream: UpstreamConfig | undefined): readonly string[] | null =>
  upstream?.servers.map((server) => (typeof server === "string" ? server : server.url)) ?? null;

/** The route table in order, for the admin API. */
export const routeReport = ({ routes, sources }: Plan): unknown =>
  routes.map((route, i) => ({
    name: route.name,
    match: sources[i]!.match ?? {},
    requestFilters: route.requestFilters.map((filter) => filter.name),
    responseFilters: route.responseFilters.map((filter) => filter.name),
    action: route.action.kind,
    upstreams: route.upstreams,
  }));

/** Of the keys that count a query alike, one. */
function keysByQuery(caches: readonly (RouteCache | null)[]): readonly KeyRule[] {
  const keys = new Map<string, KeyRule>();
  for (const rules of caches) if (rules !== null) keys.set(JSON.stringify(rules.key.query), rules.key);
  return [...keys.values()];
}

/** The cache of a route. A default means those that ask servers; a route that has it for nothing is told. */
function cacheOf(config: Config, route: RouteConfig): ReturnType<typeof cacheSettings> | null {
  const { cache } = mergePolicies(config.defaults, route);
  return cache === undefined || route.to === undefined ? null : cacheSettings(cache);
}

function readCache(config: Config, route: RouteConfig, name: string, disk: DiskChoice): RouteCache | null {
  if (route.to === undefined && route.cache !== undefined && route.cache !== false)
    throw new CompileError("there is nothing to store: this route asks no server", ["cache"]);
  const settings = cacheOf(config, route);
  if (settings === null) return null;
  const { compress } = mergePolicies(config.defaults, route);
  return within("cache", () => {
    disk.take(settings.disk);
    return compileCache(settings, name, compress);
  });
}

/** What only compiling the routes finds, as `loadConfig` and `checkConfig` want it for `verify`. */
export function planProblems(config: Config): readonly Problem[] {
  try {
    compilePlan(config);
    return [];
  } catch (error) {
    if (error instanceof PlanError) return error.problems;
    throw error;
  }
}

/** Names and addresses that a listener forwards connections to. */
function streamTargets({ tcp, udp, sni }: ListenerConfig): string[] {
  const passed = Object.values(sni ?? {}).flatMap((rule) => (rule === "terminate" ? [] : [rule.passthrough]));
  return [tcp?.to, udp?.to, ...passed].filter((to) => to !== undefined);
}

/** A policy that the route does not have itself comes from the defaults. */
function blamed(route: RouteConfig, index: number, path: CompileError["path"]): (string | number)[] {
  const [key] = path;
  const inherited = isPolicyKey(key) && route[key] === undefined;
  return inherited ? ["defaults", ...path] : ["routes", index, ...path];
}

function* sameNames(sources: readonly RouteSource<Route>[]): Generator<number> {
  const seen = new Set<string>();
  for (const [index, { name }] of sources.entries()) {
    if (seen.has(name)) yield index;
    seen.add(name);
  }
}

const isPolicyKey = (key: unknown): key is keyof PolicyConfig => (POLICY_KEYS as readonly unknown[]).includes(key);

/** The policies of the route with this name; null when there is none. */
export function policiesOf(config: Config, name: string): Policies | null {
  const route = config.routes.find((each, index) => (each.name ?? `route-${index + 1}`) === name);
  return route === undefined ? null : mergePolicies(config.defaults, route);
}

/** The policies of a route: its own key replaces the default as a whole, `false` turns it off. */
function mergePolicies(defaults: PolicyConfig, route: PolicyConfig): Policies {
  const merged: Record<string, unknown> = {};
  for (const key of POLICY_KEYS) {
    const policy = route[key] ?? defaults[key];
    if (policy !== undefined && policy !== false) merged[key] = policy;
  }
  return merged as Policies;
}

function compileRoute(
  config: Config,
  route: RouteConfig,
  index: number,
  targets: readonly Target[],
  upstreams: Map<string, UpstreamConfig>,
  secret: Uint8Array,
  shared: Shared,
  endpoints: Endpoints,
): Route {
  const name = route.name ?? `route-${index + 1}`;
  const policies = mergePolicies(config.defaults, route);
  const { paths } = within("match", () => compileConditions(route.match));
  const params = [...new Set((paths ?? []).flatMap(paramNames))];
  // A route's own limits are its own; those of `defaults` are one for all routes that have them from there.
  const scopeOf = (key: keyof PolicyConfig): string => (route[key] === undefined ? "defaults" : `route ${name}`);
  const filters = compileFilters(policies, {
    route: name,
    params,
    scopeOf,
    shared,
    endpoints,
    state: stateOf(config),
    servers: (upstream) => serversOf(upstreams.get(upstream)),
  });
  const sticky = compileSticky(route, name, secret);
  return Object.freeze({
    name,
    index,
    requestFilters: filters.request,
    responseFilters: filters.response,
    finishFilters: filters.finish,
    action: compileAction(route, policies, params, targets, sticky),
    upstreams: [...new Set(targets.map((target) => target.name))],
    bodyMax: policies.limits?.body ?? Number.POSITIVE_INFINITY,
    responseTimeout: policies.timeouts?.response ?? 0,
    connectTimeout: policies.timeouts?.connect ?? 0,
    tunnelIdle: policies.timeouts?.idle ?? 0,
    totalTimeout: policies.timeouts?.total ?? 0,
    ...compileTries(route, config.defaults),
    mirror: compileMirror(policies, upstreams),
    rate: policies.limits?.rate ?? 0,
    retained: policies.use !== undefined && policies.use.length > 0,
  });
}

const ACTIONS = ["to", "respond", "files"] as const;

function compileAction(
  route: RouteConfig,
  policies: Policies,
  params: readonly string[],
  targets: readonly Target[],
  sticky: Sticky | null,
): Action {
  const { to, respond, files } = route;
  const [first, second] = ACTIONS.filter((key) => route[key] !== undefined);
  if (second !== undefined)
    throw new CompileError(`a route has one action, not \`${first}\` and \`${second}\``, [second]);
  if (to !== undefined) return { kind: "forward", pick: compileSplit(targets, sticky) };
  if (respond !== undefined) return { kind: "reply", reply: within("respond", () => compileRespond(respond, params)) };
  if (files !== undefined) {
    const server = within("files", () => new FileServer(new Site(files)));
    return { kind: "serve", serve: (x, env) => server.serve(x, env) };
  }
  const { redirect } = policies;
  if (redirect === undefined)
    throw new CompileError("this route does nothing: give it `to`, `respond`, `files` or `redirect`");
  // The filter has answered before the action is asked; it is the action as well so that every route has one.
  return { kind: "reply", reply: within("redirect", () => compileRedirect(redirect, params)) };
}

/** What a route says of retries and hedging; `false` turns them off, also where the upstream has them. */
function compileTries(route: PolicyConfig, defaults: PolicyConfig): Pick<Route, "retry" | "hedge"> {
  const retry = route.retry ?? defaults.retry;
  const hedge = route.hedge ?? defaults.hedge;
  return {
    retry: retry === undefined ? undefined : retry === false ? NO_RETRY : new RetryPolicy(retry),
    hedge: hedge === undefined ? undefined : hedge === false ? null : hedgePolicy(hedge),
  };
}

/** The upstreams of a route's `to`, in its order. */
function readTargets(route: RouteConfig, upstreams: Map<string, UpstreamConfig>): readonly Target[] {
  const { to } = route;
  return to === undefined ? [] : within("to", () => targetsOf(to, upstreams));
}

function targetsOf(to: NonNullable<RouteConfig["to"]>, upstreams: Map<string, UpstreamConfig>): Target[] {
  if (typeof to === "string") return [{ name: upstreamName(to, upstreams), weight: 1, conditions: null }];
  const urls = to.filter((target) => typeof target === "string");
  if (urls.length > 0) {
    const wrong = urls.findIndex((url) => !looksLikeUrl(url));
    if (wrong >= 0) throw new CompileError(`"${urls[wrong]}" is not a URL`, [wrong]);
    return [{ name: anonymous(urls, upstreams), weight: 1, conditions: null }];
  }
  const targets = to.flatMap((target, at) =>
    typeof target === "string" ? [] : [within(at, () => readWeighted(target, upstreams))],
  );
  if (targets.every((target) => target.weight === 0))
    throw new RangeError("all weights are 0, so no upstream gets a request");
  return targets;
}

type WeightedConfig = Exclude<Exclude<NonNullable<RouteConfig["to"]>, string>[number], string>;

function readWeighted(target: WeightedConfig, upstreams: Map<string, UpstreamConfig>): Target {
  const { match, weight } = target;
  const conditions = match === undefined ? null : within("match", () => compileConditions(match).others);
  if (conditions?.length === 0) throw new CompileError("it needs a `header` or a `cookie`", ["match"]);
  return { name: within("upstream", () => upstreamName(target.upstream, upstreams)), weight, conditions };
}

/** What keeps the clients of a route at the upstream that they were given; null for nothing. */
function compileSticky(route: RouteConfig, name: string, secret: Uint8Array): Sticky | null {
  const { split, to } = route;
  if (split === undefined) return null;
  if (!Array.isArray(to) || typeof to[0] === "string")
    throw new CompileError("there is nothing to split: `to` is not a weighted list", ["split"]);
  return new Sticky(`route:${name}`, { ...split, sameSite: "lax" }, secret, wallClock);
}

function compileMirror({ mirror }: Policies, upstreams: Map<string, UpstreamConfig>): Route["mirror"] {
  if (mirror === undefined) return null;
  const upstream = within("mirror", () => within("to", () => upstreamName(mirror.to, upstreams)));
  const { sample } = mirror;
  return { upstream, sampled: sample >= 1 ? () => true : () => Math.random() < sample, bodyMax: mirror.body };
}

function upstreamName(text: string, upstreams: Map<string, UpstreamConfig>): string {
  if (upstreams.has(text)) return text;
  if (!looksLikeUrl(text)) throw new RangeError(`there is no upstream named "${text}"`);
  return anonymous([text], upstreams);
}

/** An upstream for URLs, which are its name as well, so that routes with the same ones share its connections. */
function anonymous(urls: readonly string[], upstreams: Map<string, UpstreamConfig>): string {
  const name = urls.join(", ");
  if (!upstreams.has(name)) upstreams.set(name, { servers: [...urls], ...UPSTREAM_DEFAULTS });
  return name;
}
