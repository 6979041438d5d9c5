// From a checked configuration to the plan that workers run: the route table, and for each route only what it uses.
import { join } from "node:path";
import { type AggregatePlan, compileAggregate } from "../aggregate/plan.ts";
import { Run } from "../aggregate/run.ts";
import { compileApiAction, compileFirst } from "../apis/action.ts";
import { compilePortal } from "../apis/portal/action.ts";
import { checkEndpoint } from "../auth/check-endpoint.ts";
import { Consumers } from "../auth/consumers/consumers.ts";
import { Endpoints } from "../auth/endpoints.ts";
import { CoalesceRules } from "../cache/coalescer.ts";
import type { RouteCache } from "../cache/route-cache.ts";
import { looksLikeUrl } from "../config/address.ts";
import { CompileError, within } from "../config/compile-error.ts";
import { POLICY_KEYS, UPSTREAM_DEFAULTS } from "../config/defaults.ts";
import { type Problem, problem, showPath } from "../config/diagnostic.ts";
import { thresholdsOf } from "../config/plan-defaults.ts";
import type { Config, ListenerConfig, PolicyConfig, RouteConfig, UpstreamConfig } from "../config/schema.ts";
import { wallClock } from "../core/clock.ts";
import type { KeyRule } from "../engines/cache/key.ts";
import type { UsageMeter } from "../engines/usage/meter.ts";
import { FileServer } from "../files/file-server.ts";
import { Site } from "../files/site.ts";
import type { Policies } from "../filters/definition.ts";
import { compileFilters } from "../filters/index.ts";
import { usageEndpoint } from "../filters/rate-limit/usage-endpoint.ts";
import { compileRedirect } from "../filters/redirect/filter.ts";
import type { Gateway } from "../llm/gateway.ts";
import { Visit } from "../llm/visit.ts";
import type { Action, Filter, Route } from "../pipeline/exchange.ts";
import type { IdentityFields } from "../pipeline/identity-fields.ts";
import { hedgePolicy, NO_RETRY, RetryPolicy } from "../pipeline/retry-policy.ts";
import { type Shared, UNSHARED } from "../pipeline/shared.ts";
import { readSwitches, SWITCHES } from "../pipeline/switches.ts";
import { compileConditions } from "../routing/conditions.ts";
import { paramNames } from "../routing/pattern.ts";
import { compileRoutes, type RouteSource, type RouteTable } from "../routing/table.ts";
import { versionFields } from "../routing/version.ts";
import type { StateSettings } from "../state/open-state.ts";
import { Sticky } from "../upstream/sticky.ts";
import { cacheSettings, compileCache, DiskChoice } from "./compile-cache.ts";
import { compileGateway } from "./compile-llm.ts";
import { compileTagging, shownPaths, type TaggingParts, taggingCache, withTaggingLimits } from "./compile-tagging.ts";
import { compileUsage } from "./compile-usage.ts";
import { compileIdentityMatch } from "./identity-match.ts";
import { identityFieldsOf } from "./identity-names.ts";
import { compileRespond } from "./respond.ts";
import { compileSplit, type Target } from "./split.ts";
import { checkSplit, splitNames } from "./split-checks.ts";

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
  /** How identical requests share answers, by route; null for those that do not. */
  readonly coalesce: readonly (CoalesceRules | null)[];
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
  /** Counts what is used in this thread; null where nobody wants to know. */
  readonly usage: UsageMeter | null;
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
  const coalesce: (CoalesceRules | null)[] = [];
  const disk = new DiskChoice();
  const filters = (): readonly Filter[] => sources.flatMap(({ value }) => value.requestFilters);
  const endpoints = new Endpoints();
  const problems = new Map<string, Problem>();
  for (const to of config.listeners.flatMap(streamTargets)) if (!upstreams.has(to)) anonymous([to], upstreams);
  const consumers = compileConsumers(config, shared, problems);
  config.routes.forEach((route, index) => {
    try {
      const to = readTargets(route, upstreams);
      const value = compileRoute(config, route, index, to, upstreams, secret, shared, endpoints, consumers, filters);
      sources.push({ name: value.name, match: route.match, value });
      targets.push(to);
      caches.push(readCache(config, route, value.name, disk));
      coalesce.push(readCoalesce(config, route, value.name, shared));
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
  const usage = usageEndpoint(routes, shared);
  if (usage !== null) endpoints.add("usage", usage);
  const compiled = { table, routes, sources, targets, upstreams, caches, coalesce, cacheKeys, cacheBytes, cacheDisk };
  const names = routes.map(({ name }) => name);
  return {
    ...compiled,
    endpoints: endpoints.empty ? null : endpoints,
    identityFields: identityFieldsOf(config),
    usage: compileUsage(config, shared, names),
  };
}

/** Those of the configuration, and behind them those of the admin API; without them where something is wrong. */
function compileConsumers({ consumers }: Config, shared: Shared, problems: Map<string, Problem>): Consumers {
  try {
    return new Consumers(consumers, shared);
  } catch (error) {
    if (!(error instanceof CompileError)) throw error;
    const path = ["consumers", ...error.path];
    problems.set(showPath(path), problem(path, error.message));
    return new Consumers(undefined, shared);
  }
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
  if (route.tagging !== undefined) return taggingCache(route, config.defaults);
  const { cache } = mergePolicies(config.defaults, route);
  return cache === undefined || route.to === undefined ? null : cacheSettings(cache);
}

function readCache(config: Config, route: RouteConfig, name: string, disk: DiskChoice): RouteCache | null {
  const isStorable = route.to !== undefined || route.tagging !== undefined;
  if (!isStorable && route.cache !== undefined && route.cache !== false)
    throw new CompileError("there is nothing to store: this route asks no server", ["cache"]);
  const settings = cacheOf(config, route);
  if (settings === null) return null;
  const { compress } = mergePolicies(config.defaults, route);
  return within("cache", () => {
    disk.take(settings.disk);
    // Nothing of a visitor goes along with what is asked of vendors and stored.
    return compileCache(keyedByVersion(settings, route), name, compress, route.tagging !== undefined);
  });
}

/** A default means those that ask servers and have no cache, which does so by itself. */
function readCoalesce(config: Config, route: RouteConfig, name: string, shared: Shared): CoalesceRules | null {
  const { coalesce, cache } = mergePolicies(config.defaults, route);
  if (coalesce === undefined) return null;
  const isOwn = route.coalesce !== undefined;
  if (isOwn && route.to === undefined)
    throw new CompileError("there is nothing to share: this route asks no server", ["coalesce"]);
  if (isOwn && cache !== undefined) throw new CompileError("the cache of the route does that already", ["coalesce"]);
  if (route.to === undefined || cache !== undefined) return null;
  return new CoalesceRules(coalesce, (requests) => {
    for (let times = 0; times < requests; times += 1) shared.count("sluice_coalesced_total", [name]);
  });
}

/** The fields by which a request is for a route or not, where that is a matter of versions. */
const fieldsOfVersion = ({ match }: RouteConfig): readonly string[] =>
  match?.version === undefined ? [] : versionFields(match.version);

/** Versions have the same addresses: what is stored of one must not be given out for another. */
function keyedByVersion(settings: ReturnType<typeof cacheSettings>, route: RouteConfig): typeof settings {
  const headers = [...new Set([...settings.key.headers, ...fieldsOfVersion(route)])];
  return { ...settings, key: { ...settings.key, headers } };
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
  consumers: Consumers,
  allFilters: () => readonly Filter[],
): Route {
  const name = route.name ?? `route-${index + 1}`;
  const policies = withTaggingLimits(mergePolicies(config.defaults, route), route);
  const { paths } = within("match", () => compileConditions(route.match));
  const params = [...new Set((paths ?? []).flatMap(paramNames))];
  // A route's own limits are its own; those of `defaults` are one for all routes that have them from there.
  // Routes that were made of one document have together what is said for all of them.
  const { source } = route;
  const scopeOf = (key: keyof PolicyConfig): string => {
    if (route[key] === undefined) return "defaults";
    return source === undefined || source.own.includes(key) ? `route ${name}` : `api ${source.api}`;
  };
  const filters = compileFilters(policies, {
    route: name,
    api: source?.api ?? name,
    params,
    versionFields: fieldsOfVersion(route),
    scopeOf,
    shared,
    overload: config.overload,
    plans: config.plans,
    thresholds: thresholdsOf(config),
    endpoints,
    state: stateOf(config),
    servers: (upstream) => serversOf(upstreams.get(upstream)),
    scriptPath: shownPaths(config.routes),
    consumers,
  });
  checkSplit(route, policies.auth !== undefined);
  const sticky = compileSticky(route, name, secret);
  const first = compileFirst(source, route.to !== undefined);
  const aggregate = readAggregate(route, name, params, upstreams);
  const names = {
    upstream: (text: string) => upstreamName(text, upstreams),
    server: (of: string) => serversOf(upstreams.get(of))?.[0],
  };
  const gateway = compileGateway(config, route, name, policies, names, shared);
  const tagging = compileTagging(route, name, paths ?? [], upstreams, shared);
  const inner = [...(aggregate?.calls ?? []), ...(gateway?.targets ?? [])];
  const before = [first, tagging?.filter ?? null].filter((filter) => filter?.response !== undefined) as Filter[];
  const asked = [...targets, ...(tagging?.upstreams ?? []), ...inner.map(({ upstream }) => ({ name: upstream }))];
  return Object.freeze({
    name,
    index,
    requestFilters: requestOrder(first, filters.request, tagging),
    closedFilters: requestOrder(first, filters.closed, tagging),
    responseFilters: before.length === 0 ? filters.response : [...before, ...filters.response],
    finishFilters: filters.finish,
    action:
      route.portal === undefined
        ? compileAction(route, name, policies, params, targets, sticky, aggregate, gateway, tagging, shared)
        : compilePortal(route, name, shared, allFilters),
    upstreams: [...new Set(asked.map((target) => target.name))],
    bodyMax: policies.limits?.body ?? Number.POSITIVE_INFINITY,
    responseTimeout: policies.timeouts?.response ?? 0,
    connectTimeout: policies.timeouts?.connect ?? 0,
    tunnelIdle: policies.timeouts?.idle ?? 0,
    totalTimeout: policies.timeouts?.total ?? 0,
    ...compileTries(route, config.defaults),
    mirror: compileMirror(policies, upstreams),
    rate: policies.limits?.rate ?? 0,
    retained: policies.use !== undefined && policies.use.length > 0,
    discreet: tagging !== null,
  });
}

/** What is passed on to vendors is looked at last, as it will be forwarded. */
function requestOrder(
  fallback: Filter | null,
  filters: readonly Filter[],
  tagging: TaggingParts | null,
): readonly Filter[] {
  if (fallback === null && tagging === null) return filters;
  return [fallback, ...filters, tagging?.filter ?? null].filter((filter) => filter !== null);
}

const ACTIONS = ["to", "respond", "files", "aggregate", "llm", "tagging", "portal"] as const;

function compileAction(
  route: RouteConfig,
  name: string,
  policies: Policies,
  params: readonly string[],
  targets: readonly Target[],
  sticky: Sticky | null,
  aggregate: AggregatePlan | null,
  gateway: Gateway | null,
  tagging: TaggingParts | null,
  shared: Shared,
): Action {
  const { to, respond, files } = route;
  const [first, second] = ACTIONS.filter((key) => route[key] !== undefined);
  if (second !== undefined)
    throw new CompileError(`a route has one action, not \`${first}\` and \`${second}\``, [second]);
  if (to !== undefined) {
    const switches = shared.live(SWITCHES, readSwitches);
    const by = route.split?.by ?? null;
    return { kind: "forward", pick: compileSplit({ ...splitNames(route, name), targets, sticky, by, switches }) };
  }
  if (respond !== undefined) return { kind: "reply", reply: within("respond", () => compileRespond(respond, params)) };
  if (files !== undefined) {
    const server = within("files", () => new FileServer(new Site(files)));
    return { kind: "serve", serve: (x, env) => server.serve(x, env) };
  }
  if (gateway !== null) return { kind: "serve", serve: (x, env) => Visit.start(x, env, gateway) };
  if (aggregate !== null) return { kind: "serve", serve: (x, env) => Run.start(x, env, aggregate, shared) };
  if (tagging !== null) return tagging.action;
  const { redirect } = policies;
  if (route.source !== undefined && redirect === undefined) return compileApiAction(route.source);
  if (redirect === undefined)
    throw new CompileError(
      "this route does nothing: give it `to`, `respond`, `files`, `aggregate`, `llm`, `tagging`, `portal` or `redirect`",
    );
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

/** The calls of a route that makes one answer of several; null for any other. */
function readAggregate(
  { aggregate }: RouteConfig,
  route: string,
  params: readonly string[],
  upstreams: Map<string, UpstreamConfig>,
): AggregatePlan | null {
  if (aggregate === undefined) return null;
  const upstream = (text: string): string => upstreamName(text, upstreams);
  return within("aggregate", () => compileAggregate(aggregate, { route, params, upstream }));
}

/** The upstreams of a route's `to`, in its order. */
function readTargets(route: RouteConfig, upstreams: Map<string, UpstreamConfig>): readonly Target[] {
  const { to } = route;
  return to === undefined ? [] : within("to", () => targetsOf(to, upstreams));
}

function targetsOf(to: NonNullable<RouteConfig["to"]>, upstreams: Map<string, UpstreamConfig>): Target[] {
  const alone = (name: string): Target[] => [{ name, weight: 1, conditions: null, identity: null }];
  if (typeof to === "string") return alone(upstreamName(to, upstreams));
  const urls = to.filter((target) => typeof target === "string");
  if (urls.length > 0) {
    const wrong = urls.findIndex((url) => !looksLikeUrl(url));
    if (wrong >= 0) throw new CompileError(`"${urls[wrong]}" is not a URL`, [wrong]);
    return alone(anonymous(urls, upstreams));
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
  const { header, cookie, ...who } = match ?? {};
  const others = within("match", () => compileConditions({ header, cookie }).others);
  const identity = within("match", () => compileIdentityMatch(who));
  if (match !== undefined && others.length === 0 && identity === null)
    throw new CompileError("it asks for nothing: give it a `header`, a `cookie`, or who it is for", ["match"]);
  const conditions = others.length === 0 ? null : others;
  return { name: within("upstream", () => upstreamName(target.upstream, upstreams)), weight, conditions, identity };
}

/** What keeps the clients of a route at the upstream that they were given; null for nothing. */
function compileSticky(route: RouteConfig, name: string, secret: Uint8Array): Sticky | null {
  const { cookie, ttl, secret: own } = route.split ?? {};
  if (cookie === undefined) return null;
  return new Sticky(`route:${name}`, { cookie, ttl, secret: own, sameSite: "lax" }, secret, wallClock);
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
