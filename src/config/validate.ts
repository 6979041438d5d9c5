// What the shape of a configuration cannot say: names that must exist, addresses that must parse, what contradicts
// what.
import { parseIp } from "../core/ip.ts";
import { type Address, looksLikeUrl, parseListen, parseServer } from "./address.ts";
import { type ConfigPath, type Problem, problem, warning } from "./diagnostic.ts";
import { networkProblem } from "./match-checks.ts";
import type { Config, UpstreamConfig } from "./schema.ts";
import { suggest } from "./suggest.ts";
import { checkCompress } from "./validate-compress.ts";
import { checkFiles } from "./validate-files.ts";
import { checkGrpcWeb } from "./validate-grpc.ts";
import { checkHealth } from "./validate-health.ts";
import { checkPlans } from "./validate-plans.ts";
import { checkRoutes, checkServerText } from "./validate-routes.ts";
import { checkTargets } from "./validate-targets.ts";
import { checkTls } from "./validate-tls.ts";

/** Errors and warnings of a configuration of the right shape; `mayBeEmpty` names upstreams that may have no servers. */
export function validate(config: Config, mayBeEmpty: ReadonlySet<string> = new Set()): Problem[] {
  return [
    ...checkAddresses(config),
    ...checkPurpose(config),
    ...config.trustedProxies.flatMap((text, at) => {
      const fault = networkProblem(text);
      return fault === null ? [] : [problem(["trustedProxies", at], fault.message, fault.hint)];
    }),
    ...Object.entries(config.upstreams).flatMap(([name, upstream]) =>
      checkUpstream(name, upstream, mayBeEmpty.has(name)),
    ),
    ...checkRoutes(config),
    ...checkTargets(config),
    ...checkFiles(config),
    ...checkGrpcWeb(config),
    ...checkCompress(config),
    ...checkPlans(config),
    ...checkTls(config),
    ...checkResolver(config),
    ...checkLog(config),
  ];
}

function checkAddresses(config: Config): Problem[] {
  const problems: Problem[] = [];
  const taken = new Map<string, ConfigPath>();
  const take = (text: string, path: ConfigPath, datagrams = false): Address | null => {
    const address = parseListen(text);
    if (address === null) {
      problems.push(problem(path, `"${text}" is not an address to listen at`, listenHint(text)));
      return null;
    }
    const key = `${datagrams ? "udp " : ""}${keyOf(address)}`;
    const first = taken.get(key);
    const shared = address.kind === "tcp" && address.port === 0; // the system gives each a port of its own
    if (first !== undefined && !shared)
      problems.push(problem(path, `"${text}" is taken by ${first.join(".").replace(/\.(\d+)/, "[$1]")} already`));
    else taken.set(key, path);
    return address;
  };
  for (const [at, listener] of config.listeners.entries())
    take(listener.address, ["listeners", at, "address"], listener.udp !== undefined);
  if (config.admin === false) return problems;
  const admin = take(config.admin.address, ["admin", "address"]);
  if (admin !== null && config.admin.token === undefined && !isLocal(admin)) {
    problems.push(
      problem(
        ["admin", "address"],
        `the admin API at "${config.admin.address}" can be reached from other machines and has no token`,
        `give admin.token, such as "\${ADMIN_TOKEN}", or use 127.0.0.1`,
      ),
    );
  }
  return problems;
}

/** HTTP listeners need something to answer with. */
function checkPurpose({ listeners, routes, providers }: Config): Problem[] {
  const provided = providers.files !== undefined || providers.docker !== undefined;
  const http = listeners.some(({ tcp, udp }) => tcp === undefined && udp === undefined);
  if (routes.length > 0 || provided || !http) return [];
  return [problem(["routes"], "routes is missing", "Tried from top to bottom; the first that matches wins.")];
}

function keyOf(address: Address): string {
  if (address.kind === "unix") return `unix:${address.path}`;
  return `${address.host === "0.0.0.0" ? "::" : address.host} ${address.port}`;
}

function listenHint(text: string): string {
  if (/^\d+$/.test(text)) return `write ":${text}"`;
  if (text.includes("://")) return "write it without a scheme, like :8080";
  if (text.startsWith("unix:")) return "write it like unix:/run/sluice.sock: an absolute path of at most 107 bytes";
  return "write it like :8080, 127.0.0.1:8080, [::1]:8080 or unix:/run/sluice.sock";
}

function isLocal(address: Address): boolean {
  if (address.kind === "unix" || address.host === "localhost" || address.host === "::1") return true;
  const ip = parseIp(address.host);
  return ip !== null && ip.family === 4 && (ip.words[0] ?? 0) >>> 24 === 127;
}

function checkUpstream(name: string, upstream: UpstreamConfig, mayBeEmpty: boolean): Problem[] {
  const path = ["upstreams", name];
  const problems: Problem[] = [];
  if (!/^[^\s\x00-\x1f\x7f]+$/.test(name))
    problems.push(problem(path, `"${name}" is not a name for an upstream`, "a name has no spaces", "key"));
  else if (looksLikeUrl(name))
    problems.push(problem(path, `the name "${name}" would be taken for a URL in \`to\``, "choose a plain name", "key"));
  for (const [at, server] of upstream.servers.entries()) {
    problems.push(
      ...(typeof server === "string"
        ? checkServerText(server, [...path, "servers", at])
        : checkServerText(server.url, [...path, "servers", at, "url"])),
    );
  }
  if (upstream.servers.length === 0) {
    if (upstream.discover === undefined && !mayBeEmpty)
      problems.push(problem(path, "this upstream has no servers", "give it `servers` or `discover`", "key"));
  } else if (upstream.servers.every((server) => typeof server !== "string" && server.weight === 0)) {
    problems.push(problem([...path, "servers"], "all weights are 0, so no server gets a request"));
  }
  if (upstream.health !== undefined) problems.push(...checkHealth(upstream.health, [...path, "health"]));
  return [...problems, ...checkHostHeader(upstream.hostHeader, [...path, "hostHeader"])];
}

function checkHostHeader(text: string, path: ConfigPath): Problem[] {
  const words = ["preserve", "upstream"];
  if (words.includes(text)) return [];
  const near = text.includes(".") ? null : suggest(text, words);
  if (near !== null)
    return [warning(path, `"${text}" is sent to servers as the host's name`, `did you mean "${near}"?`)];
  return parseServer(text)?.kind === "tcp" && !looksLikeUrl(text)
    ? []
    : [problem(path, `"${text}" is not a host`, "write preserve, upstream, or a name such as app.internal")];
}

function checkResolver({ resolver }: Config): Problem[] {
  const problems = (resolver.servers ?? []).flatMap((text, at) => {
    const bare = parseIp(text) !== null ? text : null;
    const address = bare === null ? parseListen(text) : null;
    const isIp =
      bare !== null ||
      (address?.kind === "tcp" && !text.startsWith(":") && parseIp(address.host) !== null && address.port > 0);
    return isIp
      ? []
      : [
          problem(
            ["resolver", "servers", at],
            `"${text}" is not the address of a DNS server`,
            "write it like 192.0.2.53 or 192.0.2.53:5353",
          ),
        ];
  });
  if (resolver.minTtl > resolver.maxTtl) problems.push(problem(["resolver", "minTtl"], "minTtl is longer than maxTtl"));
  return problems;
}

function checkLog({ log }: Config): Problem[] {
  if (log.access === false) return [];
  const problems =
    Number.parseFloat(log.access.sample) > 100
      ? [problem(["log", "access", "sample"], `"${log.access.sample}" is more than all of them`, "write at most 100%")]
      : [];
  return log.access.path === ""
    ? [...problems, problem(["log", "access", "path"], "the path is empty", "write stdout, stderr or a file")]
    : problems;
}
