// What would happen to a request, in words and as JSON: for `sluice explain` and the admin API.
import type { Config } from "../config/schema.ts";
import { CidrSet, canonicalIp } from "../core/ip.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { RequestHead } from "../http/message.ts";
import type { Route } from "../pipeline/exchange.ts";
import { explainMatch, type RouteVerdict } from "../routing/explain.ts";
import type { ExplainQuery } from "./admin-backend.ts";
import { compilePlan } from "./compile.ts";
import { possibleTargets } from "./split.ts";

export interface Explanation {
  readonly request: {
    readonly method: string;
    readonly host: string;
    readonly path: string | null;
    readonly query: string;
    readonly ip: string;
    readonly trusted: boolean;
  };
  /** Address of the listener that would take it: the one with the URL's port, else every one that speaks HTTP. */
  readonly listeners: readonly string[];
  /** Every route up to the one that matches. */
  readonly routes: readonly RouteVerdict[];
  /** Null when no route matches: 404. */
  readonly match: {
    readonly route: string;
    readonly requestFilters: readonly string[];
    readonly responseFilters: readonly string[];
    readonly action: "forward" | "reply";
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

const DEFAULT_IP = "127.0.0.1";

/** Follows a request through a configuration. Throws RangeError when its URL, address or a field is not one. */
export function explain(config: Config, query: ExplainQuery): Explanation {
  const head = headOf(query);
  const ip = query.ip === null ? DEFAULT_IP : canonicalIp(query.ip);
  if (ip === null) throw new RangeError(`not an IP address: ${query.ip}`);
  const plan = compilePlan(config);
  const { host, path, method, query: search } = head;
  const header = (name: string): string | null => head.header(name);
  const subject = { host, path, method, query: search, ip, clientCert: null, header };
  const listeners = listenersFor(config, head.authority);
  const routes = head.path === null ? [] : explainMatch(plan.sources, subject);
  const hit = routes.at(-1)?.matched === true ? plan.routes[routes.length - 1]! : null;
  const { action } = hit ?? { action: null };
  return {
    request: {
      method: head.method,
      host: head.host,
      path: head.path,
      query: head.query,
      ip,
      trusted: new CidrSet(config.trustedProxies).has(ip),
    },
    listeners,
    routes,
    match:
      hit === null || action === null
        ? null
        : {
            route: hit.name,
            requestFilters: hit.requestFilters.map((filter) => filter.name),
            responseFilters: hit.responseFilters.map((filter) => filter.name),
            action: action.kind,
            upstreams: possibleTargets(plan.targets[hit.index]!, subject).map(({ name, share }) => ({
              name,
              share,
              servers: (plan.upstreams.get(name)?.servers ?? []).map((server) =>
                typeof server === "string" ? server : server.url,
              ),
            })),
          },
    refused: listeners.length === 0 ? "no listener speaks HTTP" : refusalOf(head, hit),
  };
}

function refusalOf(head: RequestHead, hit: Route | null): string | null {
  if (head.path === null) return "the path is ambiguous or malformed: 400";
  return hit === null ? "no route matches: 404" : null;
}

function headOf({ method, url, headers }: ExplainQuery): RequestHead {
  const parts = /^(?:https?:\/\/([^/?#]*))?(\/[^#]*|\?[^#]*|)$/i.exec(url);
  if (parts === null) throw new RangeError(`not a URL: ${url} (write http://host/path, or just /path)`);
  const head = new RequestHead();
  head.method = method.toUpperCase();
  head.authority = (parts[1] ?? "").toLowerCase();
  const target = parts[2]!;
  head.target = target.startsWith("/") ? target : `/${target}`;
  head.queryAt = head.target.indexOf("?");
  const given = HeaderBlock.of(headers);
  const host = given.get("host");
  if (host !== null) head.authority = host.toLowerCase();
  given.forEach((name, value) => {
    head.headers.add(name, value);
  });
  return head;
}

const percent = (share: number): string => `${Number((share * 100).toFixed(2))}%`;

function listenersFor(config: Config, authority: string): string[] {
  const all = config.listeners.flatMap(({ address, tcp, udp }) =>
    tcp === undefined && udp === undefined ? [address] : [],
  );
  const port = /:(\d+)$/.exec(authority)?.[1] ?? "80";
  const exact = all.filter((address) => address.endsWith(`:${port}`));
  return exact.length > 0 ? exact : all;
}

/** The same in words, a line for each step. */
export function explanationText(explanation: Explanation): string {
  const { request, listeners, routes, match, refused } = explanation;
  const origin = request.host === "" ? "" : `http://${request.host}`;
  const query = request.query === "" ? "" : `?${request.query}`;
  const client = `${request.ip}${request.trusted ? " (trusted proxy)" : ""}`;
  const lines = [
    `${request.method} ${origin}${request.path ?? "?"}${query} from ${client}`,
    `listener   ${listeners.join(", ") || "none"}`,
  ];
  for (const verdict of routes)
    lines.push(`route      ${verdict.route}: ${verdict.matched ? "matches" : "no"}: ${verdict.text}`);
  if (match !== null) {
    lines.push(
      `filters    ${[...match.requestFilters, ...match.responseFilters.map((name) => `${name} (response)`)].join(", ") || "none"}`,
    );
    if (match.action === "reply") lines.push("action     answered by Sluice");
    for (const { name, share, servers } of match.upstreams)
      lines.push(`upstream   ${name}${share < 1 ? ` (${percent(share)})` : ""}: ${servers.join(", ")}`);
  }
  if (refused !== null) lines.push(`refused    ${refused}`);
  return lines.join("\n");
}
