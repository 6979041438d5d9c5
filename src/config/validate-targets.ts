// Names of upstreams wherever a configuration may name one beside routes' `to`: failover, mirrors, layer 4; and what
// else upstreams and listeners must not say.
import { isIP } from "node:net";
import { looksLikeUrl, parseServer } from "./address.ts";
import { type ConfigPath, type Problem, problem, warning } from "./diagnostic.ts";
import { networkProblem } from "./match-checks.ts";
import type { Config, ListenerConfig } from "./schema.ts";
import { suggest } from "./suggest.ts";
import { checkTarget } from "./validate-routes.ts";

export function checkTargets(config: Config): Problem[] {
  return [
    ...config.listeners.flatMap((listener, at) => checkListener(config, listener, ["listeners", at])),
    ...checkMirrors(config),
    ...Object.keys(config.upstreams).flatMap((name) => [
      ...checkFailover(config, name),
      ...checkDiscovery(config, name),
      ...checkRanges(config, name),
    ]),
    ...unusedUpstreams(config),
  ];
}

function checkListener(config: Config, listener: ListenerConfig, path: ConfigPath): Problem[] {
  const { tcp, udp, proxyProtocol } = listener;
  const problems: Problem[] = [];
  if (tcp !== undefined && udp !== undefined)
    problems.push(problem([...path, "udp"], "a listener has `tcp` or `udp`, not both", "make two listeners", "key"));
  if (tcp !== undefined) problems.push(...checkStreamTarget(config, tcp.to, [...path, "tcp", "to"]));
  if (udp !== undefined) {
    const to = [...path, "udp", "to"];
    problems.push(...checkStreamTarget(config, udp.to, to), ...checkDatagrams(config, udp.to, to));
  }
  if (udp !== undefined && listener.address.startsWith("unix:"))
    problems.push(problem([...path, "address"], "datagrams come at a port, not at a unix socket"));
  if (udp !== undefined && proxyProtocol !== undefined)
    problems.push(problem([...path, "proxyProtocol"], "the PROXY protocol is not taken from datagrams"));
  for (const [at, text] of (proxyProtocol?.trusted ?? []).entries()) {
    const fault = networkProblem(text);
    if (fault !== null) problems.push(problem([...path, "proxyProtocol", "trusted", at], fault.message, fault.hint));
  }
  return problems;
}

/** Where streams and datagrams go: an upstream, or an address with its port. */
export function checkStreamTarget(config: Config, text: string, path: ConfigPath): Problem[] {
  if (Object.hasOwn(config.upstreams, text) || looksLikeUrl(text) || parseServer(text)?.kind !== "tcp")
    return checkTarget(config, text, path);
  if (/:\d+$/.test(text)) return [];
  // One word may be a name misspelled as well as an address.
  if (!/[.[]/.test(text)) return checkTarget(config, text, path);
  return [problem(path, `there is no upstream named "${text}"`, `if it is an address, write ${text}:PORT`)];
}

/** Datagrams go to ports. */
function checkDatagrams({ upstreams }: Config, to: string, path: ConfigPath): Problem[] {
  const servers = Object.hasOwn(upstreams, to) ? upstreams[to]!.servers : [to];
  const socket = servers
    .map((each) => (typeof each === "string" ? each : each.url))
    .find((url) => url.startsWith("unix:"));
  return socket === undefined ? [] : [problem(path, `datagrams go to a port, and "${socket}" is a unix socket`)];
}

function checkMirrors(config: Config): Problem[] {
  const places: [typeof config.defaults.mirror, ConfigPath][] = [
    [config.defaults.mirror, ["defaults", "mirror", "to"]],
    ...config.routes.map(({ mirror }, at): [typeof mirror, ConfigPath] => [mirror, ["routes", at, "mirror", "to"]]),
  ];
  return places.flatMap(([mirror, path]) =>
    mirror === undefined || mirror === false ? [] : checkTarget(config, mirror.to, path),
  );
}

/** Upstreams that take over from one another must come to an end. */
function checkFailover({ upstreams }: Config, name: string): Problem[] {
  const path = ["upstreams", name, "failover"];
  const { failover } = upstreams[name]!;
  if (failover === undefined) return [];
  if (!Object.hasOwn(upstreams, failover)) {
    const near = suggest(failover, Object.keys(upstreams));
    const hint = near === null ? "it must be one of `upstreams`" : `did you mean "${near}"?`;
    return [problem(path, `there is no upstream named "${failover}"`, hint)];
  }
  const seen = [name];
  for (let next: string | undefined = failover; next !== undefined; next = upstreams[next]?.failover) {
    if (next === name)
      return [problem(path, `"${name}" would fail over to itself`, `the way is ${[...seen, name].join(" → ")}`)];
    if (seen.includes(next)) return []; // another one's circle
    seen.push(next);
  }
  return [];
}

function checkDiscovery({ upstreams }: Config, name: string): Problem[] {
  const { discover } = upstreams[name]!;
  const sources = discover === undefined ? [] : [discover].flat();
  return sources.flatMap(({ dns, type }, at) => {
    const path = ["upstreams", name, "discover", ...(Array.isArray(discover) ? [at] : []), "dns"];
    const address = looksLikeUrl(dns) ? null : parseServer(dns);
    if (type === "SRV" && /^[a-z0-9_.-]+$/i.test(dns) && !dns.startsWith(".")) return [];
    if (type === "SRV")
      return [
        problem(
          path,
          `"${dns}" is not the name of SRV records`,
          "write it without a port, like _http._tcp.app.internal",
        ),
      ];
    if (address?.kind !== "tcp")
      return [problem(path, `"${dns}" is not a name to look up`, "write it like app.internal:8080")];
    if (isIP(address.host) !== 0) return [problem(path, `"${dns}" is an address already`, "list it under `servers`")];
    return [];
  });
}

function checkRanges({ upstreams }: Config, name: string): Problem[] {
  const { balance, preferZone, servers, timeouts, retry } = upstreams[name]!;
  const path = ["upstreams", name];
  const problems: Problem[] = [];
  if (typeof balance === "object" && balance.maxLoad !== undefined && balance.maxLoad < 1)
    problems.push(problem([...path, "balance", "maxLoad"], "maxLoad must be at least 100%", "write it like 125%"));
  const zones = servers.flatMap((server) => (typeof server === "string" ? [] : [server.zone]));
  if (preferZone !== undefined && servers.length > 0 && !zones.includes(preferZone))
    problems.push(warning([...path, "preferZone"], `no server of "${name}" stands in the zone "${preferZone}"`));
  if (retry !== false && retry.perTry !== undefined && retry.perTry >= timeouts.response)
    problems.push(
      warning([...path, "retry", "perTry"], "perTry is not shorter than timeouts.response: it has no effect"),
    );
  return problems;
}

function unusedUpstreams(config: Config): Problem[] {
  const used = new Set<string | undefined>();
  for (const { to, mirror, llm, aggregate } of config.routes) {
    for (const call of Object.values(aggregate?.calls ?? {})) used.add(call.to);
    for (const target of llm?.targets ?? []) used.add(target.to);
    if (typeof to === "string") used.add(to);
    else for (const target of to ?? []) if (typeof target !== "string") used.add(target.upstream);
    if (typeof mirror === "object") used.add(mirror.to);
  }
  if (typeof config.defaults.mirror === "object") used.add(config.defaults.mirror.to);
  for (const { tcp, udp, sni } of config.listeners) {
    used.add(tcp?.to).add(udp?.to);
    for (const rule of Object.values(sni ?? {})) if (rule !== "terminate") used.add(rule.passthrough);
  }
  for (const { failover } of Object.values(config.upstreams)) used.add(failover);
  return Object.keys(config.upstreams)
    .filter((name) => !used.has(name))
    .map((name) => warning(["upstreams", name], `no route uses the upstream "${name}"`, undefined, "key"));
}
