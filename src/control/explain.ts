// What would happen to a request, in words and as JSON: for `sluice explain` and the admin API.
import { isIP } from "node:net";
import type { RouteCache } from "../cache/route-cache.ts";
import { parseListen } from "../config/address.ts";
import type { Config, ListenerConfig } from "../config/schema.ts";
import { CidrSet, canonicalIp } from "../core/ip.ts";
import { keyedTarget } from "../engines/cache/key.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { RequestHead } from "../http/message.ts";
import type { Route } from "../pipeline/exchange.ts";
import { redirectToHttps } from "../pipeline/https-redirect.ts";
import { NO_SWITCHES, type Switches } from "../pipeline/switches.ts";
import { explainMatch, type RouteVerdict } from "../routing/explain.ts";
import { SniTable } from "../server/sni-router.ts";
import type { ExplainQuery } from "./admin-backend.ts";
import { compilePlan } from "./compile.ts";
import { askedFor, identityOf, NOBODY_KEPT } from "./explain-consumers.ts";
import { possibleTargets } from "./split.ts";
import { splitNames } from "./split-checks.ts";

export interface Explanation {
  readonly request: {
    readonly method: string;
    /** The URL's, else that of the listeners. */
    readonly scheme: Scheme;
    readonly host: string;
    readonly path: string | null;
    readonly query: string;
    readonly ip: string;
    readonly trusted: boolean;
  };
  /** Address of the listener that would take it: the one with the URL's port, else every one that speaks HTTP so. */
  readonly listeners: readonly string[];
  /** What the listener does with it before any route is asked; null when routes decide. */
  readonly ahead: string | null;
  /** Every route up to the one that matches. */
  readonly routes: readonly RouteVerdict[];
  /** Null when no route matches: 404. */
  readonly match: {
    readonly route: string;
    readonly requestFilters: readonly string[];
    readonly responseFilters: readonly string[];
    readonly action: "forward" | "reply" | "serve";
    /** How `auth` asks for consumers: `apiKey optional`, `jwt required`. */
    readonly consumers: readonly string[];
    /** The key's address, where a stored answer may be given; null where none is looked for. */
    readonly cacheKey: string | null;
    /** Those that this request may go to, with what share (0 to 1) where no cookie of the split says more. */
    readonly upstreams: readonly {
      readonly name: string;
      readonly share: number;
      readonly servers: readonly string[];
    }[];
  } | null;
  /** What would be answered without any route: the reason, else null. */
  readonly refused: string | null;
}

type Scheme = "http" | "https";

const DEFAULT_IP = "127.0.0.1";

/** Follows a request through a configuration. Throws RangeError when its URL, address or a field is not one. */
export function explain(
  config: Config,
  query: ExplainQuery,
  switches: Switches = NO_SWITCHES,
  kept = NOBODY_KEPT,
): Explanation {
  const { head, scheme } = headOf(query);
  const ip = query.ip === null ? DEFAULT_IP : canonicalIp(query.ip);
  if (ip === null) throw new RangeError(`not an IP address: ${query.ip}`);
  const plan = compilePlan(config);
  const { host, path, method, query: search } = head;
  const header = (name: string): string | null => head.header(name);
  const subject = { host, path, method, query: search, ip, clientCert: null, header };
  const listeners = listenersFor(config, scheme, head.authority);
  const ahead = aheadOf(config, listeners, head);
  const routes = head.path === null || ahead !== null ? [] : explainMatch(plan.sources, subject);
  const hit = routes.at(-1)?.matched === true ? plan.routes[routes.length - 1]! : null;
  const { action } = hit ?? { action: null };
  const splitOf = ({ name, index }: Route): Parameters<typeof possibleTargets>[0] => ({
    ...splitNames(config.routes[index]!, name),
    targets: plan.targets[index]!,
    by: config.routes[index]?.split?.by ?? null,
    switches: { current: switches },
  });
  return {
    request: {
      method: head.method,
      scheme: scheme ?? (listeners.length > 0 && listeners.every(isSecure) ? "https" : "http"),
      host: head.host,
      path: head.path,
      query: head.query,
      ip,
      trusted: new CidrSet(config.trustedProxies).has(ip),
    },
    listeners: listeners.map(({ address }) => address),
    ahead,
    routes,
    match:
      hit === null || action === null
        ? null
        : {
            route: hit.name,
            requestFilters: hit.requestFilters.map((filter) => filter.name),
            responseFilters: hit.responseFilters.map((filter) => filter.name),
            // Of actions that answer by themselves, a portal has neither files nor servers.
            action: config.routes[hit.index]!.portal === undefined ? action.kind : "reply",
            consumers: askedFor(config, hit.name),
            cacheKey: cacheKeyOf(plan.caches[hit.index]!, head, scheme ?? "http"),
            upstreams: targetsOf(hit, possibleTargets(splitOf(hit), subject, identityOf(query, config, kept))).map(
              ({ name, share }) => ({
                name,
                share,
                servers: (plan.upstreams.get(name)?.servers ?? []).map((server) =>
                  typeof server === "string" ? server : server.url,
                ),
              }),
            ),
          },
    refused: listeners.length === 0 ? "no listener speaks HTTP" : ahead === null ? refusalOf(head, hit) : null,
  };
}

/** An action that makes requests of its own may ask all of its upstreams for one of the client's. */
const targetsOf = ({ action, upstreams }: Route, targets: ReturnType<typeof possibleTargets>): typeof targets =>
  action.kind === "serve" ? upstreams.map((name) => ({ name, share: 1 })) : targets;

function cacheKeyOf(rules: RouteCache | null, head: RequestHead, scheme: Scheme): string | null {
  if (rules === null || (head.method !== "GET" && head.method !== "HEAD")) return null;
  return `${scheme}://${head.authority}${keyedTarget(head, rules.key)}`;
}

function refusalOf(head: RequestHead, hit: Route | null): string | null {
  if (head.path === null) return "the path is ambiguous or malformed: 400";
  return hit === null ? "no route matches: 404" : null;
}

function headOf({ method, url, headers }: ExplainQuery): { head: RequestHead; scheme: Scheme | null } {
  const parts = /^(?:(https?):\/\/([^/?#]*))?(\/[^#]*|\?[^#]*|)$/i.exec(url);
  if (parts === null) throw new RangeError(`not a URL: ${url} (write http://host/path, or just /path)`);
  const head = new RequestHead();
  head.method = method.toUpperCase();
  head.authority = (parts[2] ?? "").toLowerCase();
  const target = parts[3]!;
  head.target = target.startsWith("/") ? target : `/${target}`;
  head.queryAt = head.target.indexOf("?");
  const given = HeaderBlock.of(headers);
  const host = given.get("host");
  if (host !== null) head.authority = host.toLowerCase();
  given.forEach((name, value) => {
    head.headers.add(name, value);
  });
  return { head, scheme: (parts[1]?.toLowerCase() as Scheme | undefined) ?? null };
}

const percent = (share: number): string => `${Number((share * 100).toFixed(2))}%`;

const isSecure = ({ tls, sni }: ListenerConfig): boolean => tls !== undefined || sni !== undefined;

/** A URL of HTTPS may come through something in front that ends TLS: plain listeners take it where no other is there. */
function listenersFor(config: Config, scheme: Scheme | null, authority: string): ListenerConfig[] {
  const all = config.listeners.filter(({ tcp, udp }) => tcp === undefined && udp === undefined);
  const alike = all.filter((listener) => scheme === null || isSecure(listener) === (scheme === "https"));
  const some = alike.length > 0 ? alike : all;
  const usual = scheme === null ? undefined : scheme === "https" ? "443" : "80";
  const port = /:(\d+)$/.exec(authority)?.[1] ?? usual;
  const exact = some.filter(({ address }) => port !== undefined && address.endsWith(`:${port}`));
  if (exact.length > 0) return exact;
  const serving = some.filter(({ redirectToHttps }) => redirectToHttps === false);
  return serving.length > 0 ? serving : some;
}

/** What all these listeners do with a request without asking a route; null when one of them asks. */
function aheadOf(config: Config, listeners: readonly ListenerConfig[], head: RequestHead): string | null {
  const all = listeners.map((listener) => passedOn(listener, head.host) ?? redirected(config, listener, head));
  return all.includes(null) ? null : (all[0] ?? null);
}

function passedOn({ sni }: ListenerConfig, host: string): string | null {
  if (sni === undefined) return null;
  const rule = new SniTable(sni).find(host === "" || isIP(host) !== 0 ? null : host);
  if (rule === null) return "refused: no name in `sni` fits";
  return rule === "terminate" ? null : `passed on to ${rule.passthrough} as it is, by the name in TLS`;
}

function redirected({ listeners }: Config, { redirectToHttps: how }: ListenerConfig, head: RequestHead): string | null {
  if (how === false) return null;
  const secure = listeners.find(({ tls, tcp }) => tls !== undefined && tcp === undefined);
  const listen = secure === undefined ? null : parseListen(secure.address);
  const port = typeof how === "object" ? how.port : listen?.kind === "tcp" ? listen.port : 443;
  const answer = redirectToHttps(head, port);
  return answer === null ? null : `redirected to ${answer.headers.get("location") ?? "HTTPS"} (308)`;
}

/** The same in words, a line for each step. */
export function explanationText(explanation: Explanation): string {
  const { request, listeners, ahead, routes, match, refused } = explanation;
  const origin = request.host === "" ? "" : `${request.scheme}://${request.host}`;
  const query = request.query === "" ? "" : `?${request.query}`;
  const client = `${request.ip}${request.trusted ? " (trusted proxy)" : ""}`;
  const lines = [
    `${request.method} ${origin}${request.path ?? "?"}${query} from ${client}`,
    `listener   ${listeners.join(", ") || "none"}`,
  ];
  if (ahead !== null) lines.push(`action     ${ahead}`);
  for (const verdict of routes)
    lines.push(`route      ${verdict.route}: ${verdict.matched ? "matches" : "no"}: ${verdict.text}`);
  if (match !== null) {
    lines.push(
      `filters    ${[...match.requestFilters, ...match.responseFilters.map((name) => `${name} (response)`)].join(", ") || "none"}`,
    );
    if (match.action === "reply") lines.push("action     answered by Sluice");
    if (match.action === "serve") lines.push("action     served from files");
    if (match.consumers.length > 0) lines.push(`consumers  ${match.consumers.join(", ")}`);
    if (match.cacheKey !== null) lines.push(`cache      ${match.cacheKey}`);
    for (const { name, share, servers } of match.upstreams)
      lines.push(`upstream   ${name}${share < 1 ? ` (${percent(share)})` : ""}: ${servers.join(", ")}`);
  }
  if (refused !== null) lines.push(`refused    ${refused}`);
  return lines.join("\n");
}
