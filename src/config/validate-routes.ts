// Routes and policies beyond their shape: actions, names, templates, header edits.
import { HOP_BY_HOP, isFieldName } from "../http/header-block.ts";
import { ID, idOf } from "../http/header-names.ts";
import { normalizePath } from "../http/path.ts";
import { looksLikeUrl, parseServer } from "./address.ts";
import { type ConfigPath, type Problem, problem, warning } from "./diagnostic.ts";
import { checkMatch, eachOf, paramsOfPath, regexFault } from "./match-checks.ts";
import { NO_PARAMS, type RouteParams, unknownPlaceholders } from "./placeholders.ts";
import { unreachableRoutes } from "./reachability.ts";
import type { Config, PolicyConfig, RouteConfig } from "./schema.ts";
import { suggest } from "./suggest.ts";

export function checkRoutes(config: Config): Problem[] {
  const problems = checkPolicies(config.defaults, ["defaults"], NO_PARAMS);
  const names = new Map<string, number>();
  for (const [at, route] of config.routes.entries()) {
    const path = ["routes", at];
    problems.push(...checkName(route, path, names, at));
    if (route.match !== undefined) problems.push(...checkMatch(route.match, [...path, "match"]));
    if (route.match?.clientCert !== undefined && !config.listeners.some(asksForCertificates))
      problems.push(
        warning(
          [...path, "match", "clientCert"],
          "no listener asks clients for certificates: this route is never reached",
          "give one of them tls.clientAuth",
          "key",
        ),
      );
    problems.push(...checkAction(config, route, path));
    const params = paramsOf(route);
    problems.push(...checkPolicies(route, path, params));
    if (route.respond !== undefined) problems.push(...checkRespond(route.respond, [...path, "respond"], params));
  }
  // Warnings about patterns that are wrong would only confuse.
  return problems.some((one) => one.severity === "error")
    ? problems
    : [...problems, ...unreachableRoutes(config.routes)];
}

const asksForCertificates = ({ tls }: Config["listeners"][number]): boolean =>
  tls !== undefined &&
  [tls, ...tls.policies].some(({ clientAuth }) => clientAuth !== undefined && clientAuth !== false);

function checkName(route: RouteConfig, path: ConfigPath, names: Map<string, number>, at: number): Problem[] {
  if (route.name === undefined) return [];
  const where = [...path, "name"];
  if (!/^[^\x00-\x1f\x7f]+$/.test(route.name))
    return [problem(where, "a route's name must have at least one character, and no control characters")];
  const first = names.get(route.name);
  if (first !== undefined)
    return [problem(where, `there is another route named "${route.name}"`, `it is routes[${first}]`)];
  names.set(route.name, at);
  return [];
}

function paramsOf(route: RouteConfig): RouteParams {
  const lists = eachOf(route.match?.path, []).map(([text]) => paramsOfPath(text));
  const all = [...new Set(lists.flat())];
  const always = all.filter((name) => lists.every((list) => list.includes(name)));
  return { always, sometimes: all.filter((name) => !always.includes(name)) };
}

const ACTIONS = ["to", "respond", "files", "aggregate", "llm", "tagging", "portal"] as const;

function checkAction(config: Config, route: RouteConfig, path: ConfigPath): Problem[] {
  const [action, second] = ACTIONS.filter((key) => route[key] !== undefined);
  if (second !== undefined) {
    return [
      problem(
        [...path, second],
        `a route has one action, and this one has \`${action}\` and \`${second}\``,
        "remove one of them",
        "key",
      ),
    ];
  }
  const redirects = (route.redirect ?? config.defaults.redirect ?? false) !== false;
  if (route.openapi !== undefined && action !== undefined && action !== "to")
    return [
      problem(
        [...path, action],
        `a route with \`openapi\` has \`to\` or mocks, and no \`${action}\``,
        undefined,
        "key",
      ),
    ];
  if (action === undefined) {
    return redirects || route.openapi !== undefined || route.source !== undefined
      ? []
      : [
          problem(
            path,
            "this route does nothing",
            "give it `to`, `respond`, `files`, `aggregate`, `llm`, `tagging`, `portal` or `redirect`",
          ),
        ];
  }
  const unused = redirects
    ? [
        warning(
          [...path, action],
          `\`${action}\` is never used: \`redirect\` answers every request of this route before`,
          route.redirect === undefined
            ? "write `redirect: false` to turn off the one in `defaults`"
            : "remove one of them",
          "key",
        ),
      ]
    : [];
  return [...unused, ...checkTargets(config, route, [...path, "to"]), ...checkCalls(config, route, path)];
}

function checkTargets(config: Config, route: RouteConfig, path: ConfigPath): Problem[] {
  const { to } = route;
  if (to === undefined) return [];
  if (typeof to === "string") return checkTarget(config, to, path);
  const found = to.flatMap((target, at): Problem[] => {
    if (typeof target !== "string") return checkTarget(config, target.upstream, [...path, at, "upstream"]);
    if (looksLikeUrl(target)) return checkServerText(target, [...path, at]);
    const hint = Object.hasOwn(config.upstreams, target)
      ? `for several upstreams write [{ upstream: ${target}, weight: 1 }, …]`
      : "write it like http://127.0.0.1:3001";
    return [problem([...path, at], `"${target}" is not a URL`, hint)];
  });
  const noWeight = to.every((target) => typeof target !== "string" && target.weight === 0);
  return noWeight ? [...found, problem(path, "all weights are 0, so no upstream gets a request")] : found;
}

function checkCalls(config: Config, { aggregate, llm }: RouteConfig, path: ConfigPath): Problem[] {
  const providers = (llm?.targets ?? []).flatMap(({ to }, at) =>
    checkTarget(config, to, [...path, "llm", "targets", at, "to"]),
  );
  const calls = Object.entries(aggregate?.calls ?? {}).flatMap(([name, { to }]) =>
    checkTarget(config, to, [...path, "aggregate", "calls", name, "to"]),
  );
  return [...providers, ...calls];
}

/** An upstream's name or a URL. */
export function checkTarget(config: Config, text: string, path: ConfigPath): Problem[] {
  return looksLikeUrl(text) ? checkServerText(text, path) : checkUpstreamName(config, text, path);
}

function checkUpstreamName(config: Config, name: string, path: ConfigPath): Problem[] {
  if (Object.hasOwn(config.upstreams, name)) return [];
  const names = Object.keys(config.upstreams);
  if (parseServer(name)?.kind === "tcp" && /[.:]/.test(name))
    return [problem(path, `there is no upstream named "${name}"`, `if it is an address, write http://${name}`)];
  const near = suggest(name, names);
  const known =
    names.length === 0
      ? "there are none: describe it under `upstreams`, or write a URL"
      : `known upstreams: ${names.slice(0, 10).join(", ")}`;
  return [problem(path, `there is no upstream named "${name}"`, near === null ? known : `did you mean "${near}"?`)];
}

/** The address of a server, and in plain words why it is none. */
export function checkServerText(text: string, path: ConfigPath): Problem[] {
  if (parseServer(text) !== null) return [];
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme !== undefined && !["http", "https", "h2c", "h2"].includes(scheme)) {
    const hint = "use http://, https://, h2c://, h2:// or unix:";
    return [problem(path, `"${text}": "${scheme}" is not a scheme of servers`, hint)];
  }
  if (text.startsWith("unix:"))
    return [
      problem(
        path,
        `"${text}" is not the address of a unix socket`,
        "write it like unix:/run/app.sock: an absolute path of at most 107 bytes",
      ),
    ];
  const authority = /^(?:https?|h2c?):\/\/[^/?#]+(?=[/?#])/i.exec(text)?.[0];
  if (authority !== undefined && parseServer(authority) !== null) {
    return [
      problem(
        path,
        `"${text}": a server's address has no path`,
        "put a path in front of requests with rewrite: { addPrefix: /path }",
      ),
    ];
  }
  return [
    problem(
      path,
      `"${text}" is not the address of a server`,
      "write it like 127.0.0.1:3001, http://app:3001 or unix:/run/app.sock",
    ),
  ];
}

function checkPolicies(policies: PolicyConfig, path: ConfigPath, params: RouteParams): Problem[] {
  const { redirect, rewrite, requestHeaders, responseHeaders, securityHeaders } = policies;
  return [
    ...(redirect ? checkRedirect(redirect.to, [...path, "redirect", "to"], params) : []),
    ...(rewrite ? checkRewrite(rewrite, [...path, "rewrite"], params) : []),
    ...(requestHeaders ? checkEdits(requestHeaders, [...path, "requestHeaders"], params) : []),
    ...(responseHeaders ? checkEdits(responseHeaders, [...path, "responseHeaders"], params) : []),
    ...(typeof securityHeaders === "object"
      ? checkHsts(securityHeaders.hsts, [...path, "securityHeaders", "hsts"])
      : []),
  ];
}

/** What browser vendors ask of names that they bring along (hstspreload.org). */
const PRELOAD_MS = 31_536_000_000;

function checkHsts(
  hsts: Exclude<PolicyConfig["securityHeaders"], boolean | undefined>["hsts"],
  path: ConfigPath,
): Problem[] {
  if (typeof hsts === "boolean" || !hsts.preload || (hsts.includeSubDomains && hsts.maxAge >= PRELOAD_MS)) return [];
  const hint = "browsers take names with includeSubDomains: true and a maxAge of at least 365d only";
  return [warning([...path, "preload"], "preload has no effect like this", hint)];
}

function checkRedirect(to: string, path: ConfigPath, params: RouteParams): Problem[] {
  if (!/^(?:https?:\/\/|\/|\{)/i.test(to)) {
    return [problem(path, `"${to}" is not a location`, "it starts with http://, https://, a slash or a placeholder")];
  }
  return hasControls(to) ? [controlsProblem(path)] : checkTemplate(to, path, params);
}

/** What could end a line, and what no URL or header may carry; everything else can be encoded. */
function hasControls(text: string): boolean {
  return /[\x00-\x1f\x7f]/.test(text);
}

function controlsProblem(path: ConfigPath): Problem {
  return problem(path, "there is a line break or another control character in this text", "write it on one line");
}

function checkTemplate(text: string, path: ConfigPath, params: RouteParams): Problem[] {
  return unknownPlaceholders(text, params).map(({ message, hint }) => problem(path, message, hint));
}

function checkRewrite(
  rewrite: Exclude<PolicyConfig["rewrite"], false | undefined>,
  path: ConfigPath,
  params: RouteParams,
): Problem[] {
  const problems: Problem[] = [];
  for (const key of ["stripPrefix", "addPrefix"] as const) {
    const text = rewrite[key];
    if (text !== undefined && normalizePath(text) === null) {
      problems.push(
        problem([...path, key], `"${text}" is not a path prefix`, "write a plain path such as /api, without query"),
      );
    }
  }
  if (rewrite.path !== undefined) problems.push(...checkNewPath(rewrite.path, [...path, "path"], params));
  if (rewrite.regex !== undefined) {
    const [source, replacement] = rewrite.regex;
    const fault = regexFault(source);
    if (fault !== null) return [...problems, problem([...path, "regex", 0], fault.message)];
    // An empty alternative always matches, and tells how many groups there are.
    const groups = (new RegExp(`${source}|`).exec("")?.length ?? 1) - 1;
    for (const [all, number] of replacement.replaceAll("$$", "").matchAll(/\$(\d)/g)) {
      if (Number(number) > groups)
        problems.push(problem([...path, "regex", 1], `there is no group for ${all}: the expression has ${groups}`));
    }
  }
  return problems;
}

function checkNewPath(text: string, path: ConfigPath, params: RouteParams): Problem[] {
  if (!/^[/{]/.test(text)) return [problem(path, `"${text}" is not a path`, "it starts with a slash")];
  if (text.includes("#")) return [problem(path, `"${text}": a path has no fragment`, "remove what starts with #")];
  return hasControls(text) ? [controlsProblem(path)] : checkTemplate(text, path, params);
}

function checkEdits(
  edits: Exclude<PolicyConfig["requestHeaders"], false | undefined>,
  path: ConfigPath,
  params: RouteParams,
): Problem[] {
  return [
    ...checkFields(edits.set, [...path, "set"], params),
    ...checkFields(edits.add, [...path, "add"], params),
    ...edits.remove.flatMap((name, at) => checkFieldName(name, [...path, "remove", at], "value")),
  ];
}

function checkFields(fields: Readonly<Record<string, string>>, path: ConfigPath, params: RouteParams): Problem[] {
  return Object.entries(fields).flatMap(([name, value]) => {
    const where = [...path, name];
    const wrongName = checkFieldName(name, where, "key");
    if (wrongName.length > 0) return wrongName;
    if (hasControls(value)) return [controlsProblem(where)];
    return checkTemplate(value, where, params);
  });
}

function checkFieldName(name: string, path: ConfigPath, at: "key" | "value"): Problem[] {
  if (!isFieldName(name))
    return [problem(path, `"${name}" is not a header name`, "names are made of letters, digits and -", at)];
  const id = idOf(name.toLowerCase());
  const isOwn = id !== 0 && (id === ID["content-length"] || id === ID.expect || HOP_BY_HOP.includes(id));
  if (!isOwn) return [];
  return [
    problem(
      path,
      `"${name}" frames the message or belongs to one connection, so only the proxy writes it`,
      "remove this line",
      at,
    ),
  ];
}

/** Statuses whose answers have no body (RFC 9110 §15.3.5, §15.3.6, §15.4.5). */
const NO_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

function checkRespond(respond: NonNullable<RouteConfig["respond"]>, path: ConfigPath, params: RouteParams): Problem[] {
  const noBody = NO_BODY.has(respond.status) && respond.body !== "";
  return [
    ...(noBody
      ? [warning([...path, "body"], `an answer with status ${respond.status} has no body, so this one is not sent`)]
      : []),
    ...checkTemplate(respond.body, [...path, "body"], params),
    ...checkFields(respond.headers, [...path, "headers"], params),
  ];
}
