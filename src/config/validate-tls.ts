// What the shape of the keys about TLS cannot say: where certificates come from, names and targets that must exist, and
// what contradicts what. Files are looked at elsewhere: here nothing is read.
import { getCiphers } from "node:tls";
import { type ConfigPath, type Problem, problem, warning } from "./diagnostic.ts";
import type { Config, ListenerConfig, UpstreamConfig } from "./schema.ts";
import type { ClientAuth, ListenerSni, ListenerTls, UpstreamTls } from "./schema-tls.ts";
import { checkAcme, isDnsName } from "./validate-acme.ts";
import { checkHttp3 } from "./validate-http3.ts";
import { checkStreamTarget } from "./validate-targets.ts";

type Listener = ListenerConfig & {
  readonly tls?: ListenerTls | undefined;
  readonly sni?: ListenerSni | undefined;
  readonly redirectToHttps?: ListenerConfig["redirectToHttps"] | undefined;
};
type Upstream = UpstreamConfig & { readonly tls?: UpstreamTls | undefined };

/** A configuration with the keys about TLS. */
export type TlsConfig = Config & {
  readonly listeners: readonly Listener[];
  readonly upstreams: Readonly<Record<string, Upstream>>;
};

/** Errors and warnings about TLS in a configuration of the right shape. */
export function checkTls(config: TlsConfig): Problem[] {
  const hasPlain = config.listeners.some(isPlain);
  return [
    ...config.listeners.flatMap((listener, at) => checkListener(config, listener, ["listeners", at], hasPlain)),
    ...Object.entries(config.upstreams).flatMap(([name, upstream]) => [
      ...checkVersion(upstream, ["upstreams", name, "http2"]),
      ...(upstream.tls === undefined ? [] : checkUpstream(upstream, upstream.tls, ["upstreams", name, "tls"])),
    ]),
  ];
}

/** It answers HTTP without TLS. */
const isPlain = ({ tcp, udp, tls, sni }: Listener): boolean =>
  tcp === undefined && udp === undefined && tls === undefined && sni === undefined;

/** It answers HTTP with TLS. */
const isSecure = ({ tcp, udp, tls }: Listener): boolean => tcp === undefined && udp === undefined && tls !== undefined;

function checkListener(config: TlsConfig, listener: Listener, path: ConfigPath, hasPlain: boolean): Problem[] {
  const { tls, sni, udp, redirectToHttps } = listener;
  const problems: Problem[] = [];
  if (udp !== undefined && (tls !== undefined || sni !== undefined))
    problems.push(
      problem([...path, tls !== undefined ? "tls" : "sni"], "datagrams carry no TLS connections", "remove it", "key"),
    );
  if (sni !== undefined) problems.push(...checkSni(config, listener, sni, [...path, "sni"]));
  if (tls !== undefined) problems.push(...checkTerms(tls, [...path, "tls"], hasPlain));
  if (listener.h2c) {
    const other = (["tls", "sni", "tcp", "udp"] as const).find((key) => listener[key] !== undefined);
    if (other !== undefined)
      problems.push(
        problem(
          [...path, "h2c"],
          `h2c beside ${other}`,
          "it is for plain listeners; with `tls` there is `http2`",
          "key",
        ),
      );
  }
  problems.push(...checkHttp3(listener, [...path, "http3"]));
  if (redirectToHttps === undefined || redirectToHttps === false) return problems;
  const where = [...path, "redirectToHttps"];
  const other = (["tls", "sni", "tcp", "udp"] as const).find((key) => listener[key] !== undefined);
  if (other !== undefined) {
    const why = other === "tls" || other === "sni" ? "what comes here is HTTPS already" : "no HTTP is spoken here";
    problems.push(problem(where, `redirectToHttps beside ${other}: ${why}`, "only a plain listener redirects"));
  } else if (redirectToHttps === true && !config.listeners.some(isSecure)) {
    problems.push(warning(where, "no listener of this configuration speaks HTTPS", "give one of them `tls`"));
  }
  return problems;
}

function checkSni(config: TlsConfig, { tls, tcp }: Listener, sni: ListenerSni, path: ConfigPath): Problem[] {
  const problems: Problem[] = [];
  const seen = new Map<string, string>();
  const entries = Object.entries(sni);
  if (entries.length === 0)
    problems.push(problem(path, "every connection would be refused: no name is listed", 'write "*": terminate'));
  if (tcp !== undefined)
    problems.push(problem(path, "`tcp` sends everything to one place", "write the target into `sni`", "key"));
  for (const [pattern, rule] of entries) {
    const where = [...path, pattern];
    const message = patternProblem(pattern);
    if (message !== null) problems.push(problem(where, message.text, message.hint, "key"));
    const first = seen.get(pattern.toLowerCase());
    if (first !== undefined)
      problems.push(problem(where, `"${pattern}" and "${first}" are one name`, undefined, "key"));
    seen.set(pattern.toLowerCase(), pattern);
    if (rule !== "terminate") problems.push(...checkStreamTarget(config, rule.passthrough, [...where, "passthrough"]));
    else if (tls === undefined)
      problems.push(
        problem(
          where,
          "this listener has no `tls` to terminate with",
          "give it tls: { certificates, acme or internal }",
        ),
      );
  }
  if (tls !== undefined && entries.length > 0 && !entries.some(([, rule]) => rule === "terminate"))
    problems.push(warning(path, "`tls` is not used: no name is terminated here", 'add "*": terminate', "key"));
  return problems;
}

function patternProblem(pattern: string): { readonly text: string; readonly hint: string } | null {
  if (pattern === "*") return null;
  const name = pattern.startsWith("*.") ? pattern.slice(2) : pattern;
  if (name.includes("*"))
    return { text: `"${pattern}": a wildcard may only stand in front`, hint: "write it like *.example.com" };
  if (/[/@]/.test(name)) return { text: `"${pattern}" is not a host name`, hint: "write the name alone" };
  if (name.includes(":")) return { text: `"${pattern}": names have no port`, hint: "leave the port out" };
  if (isDnsName(name)) return null;
  const hint = /[^\x00-\x7f]/.test(name) ? "write it in ASCII, as xn--…" : "write it like git.example.com";
  return { text: `"${pattern}" is not a host name`, hint };
}

/** What is shown to clients and asked of them. */
function checkTerms(tls: ListenerTls, path: ConfigPath, hasPlain: boolean): Problem[] {
  const { certificates, acme, internal, ciphers, minVersion, clientAuth, policies, handshakeTimeout, keyLog } = tls;
  const problems: Problem[] = [];
  if (certificates.length === 0 && acme === undefined && !internal)
    problems.push(problem(path, "TLS needs a certificate", "give certificates, acme or internal: true", "key"));
  for (const [at, pair] of certificates.entries())
    for (const key of ["cert", "key"] as const)
      if (pair[key] === "") problems.push(problem([...path, "certificates", at, key], "the file's name is empty"));
  if (acme !== undefined) problems.push(...checkAcme(acme, [...path, "acme"], hasPlain));
  if (ciphers !== undefined) problems.push(...checkCiphers(ciphers, minVersion, [...path, "ciphers"]));
  if (clientAuth !== undefined) problems.push(...checkClientAuth(clientAuth, [...path, "clientAuth"]));
  problems.push(...checkPolicies(policies, minVersion, [...path, "policies"]));
  if (handshakeTimeout === 0)
    problems.push(problem([...path, "handshakeTimeout"], "no handshake is over within 0 ms", "write it like 10s"));
  if (keyLog !== undefined)
    problems.push(
      warning([...path, "keyLog"], "whoever can read that file can decrypt all connections", "remove it when done"),
    );
  return problems;
}

function checkClientAuth({ ca, crl }: ClientAuth, path: ConfigPath): Problem[] {
  const problems: Problem[] = [];
  if (ca === "")
    problems.push(problem([...path, "ca"], "the file's name is empty", "it holds the CAs of your clients"));
  if (crl === "") problems.push(problem([...path, "crl"], "the file's name is empty"));
  return problems;
}

function checkPolicies(
  policies: ListenerTls["policies"],
  usualVersion: ListenerTls["minVersion"],
  path: ConfigPath,
): Problem[] {
  const problems: Problem[] = [];
  const seen = new Map<string, string>();
  for (const [at, { hosts, minVersion, ciphers, clientAuth }] of policies.entries()) {
    const where = [...path, at];
    for (const [index, pattern] of hosts.entries()) {
      const place = [...where, "hosts", index];
      const message =
        pattern === "*" ? { text: '"*" is the listener itself', hint: "leave it out" } : patternProblem(pattern);
      if (message !== null) problems.push(problem(place, message.text, message.hint));
      const first = seen.get(pattern.toLowerCase());
      if (first !== undefined)
        problems.push(problem(place, `"${pattern}" stands there twice`, "a name has one policy"));
      seen.set(pattern.toLowerCase(), pattern);
    }
    if (minVersion === undefined && ciphers === undefined && clientAuth === undefined)
      problems.push(warning(where, "this policy changes nothing", "give it minVersion, ciphers or clientAuth"));
    if (ciphers !== undefined)
      problems.push(...checkCiphers(ciphers, minVersion ?? usualVersion, [...where, "ciphers"]));
    if (clientAuth) problems.push(...checkClientAuth(clientAuth, [...where, "clientAuth"]));
  }
  return problems;
}

function checkCiphers(ciphers: string, minVersion: ListenerTls["minVersion"], path: ConfigPath): Problem[] {
  if (minVersion === "1.3")
    return [warning(path, "ciphers has no effect: it is about TLS 1.2, which is not spoken", "remove it")];
  const known = new Set(getCiphers());
  return ciphers.split(":").flatMap((name) => {
    if (name.startsWith("TLS_"))
      return [problem(path, `"${name}" is of TLS 1.3, whose suites are fixed`, "leave it out")];
    if (!known.has(name.toLowerCase())) return [problem(path, `"${name}" is not a cipher suite of this runtime`)];
    if (!/^ECDHE-.*(?:GCM|CHACHA20)/.test(name))
      return [warning(path, `"${name}" is weak`, "use ECDHE with GCM or CHACHA20-POLY1305")];
    return [];
  });
}

const urlsOf = ({ servers }: Upstream): string[] =>
  servers.map((server) => (typeof server === "string" ? server : server.url));

function checkVersion(upstream: Upstream, path: ConfigPath): Problem[] {
  const other = upstream.http2 === false ? urlsOf(upstream).find((url) => /^h2c?:\/\//i.test(url)) : undefined;
  if (other === undefined) return [];
  return [warning(path, `"${other}" is spoken to in HTTP/2 all the same`, "write https:// or http:// in its place")];
}

function checkUpstream(upstream: Upstream, tls: UpstreamTls, path: ConfigPath): Problem[] {
  const problems: Problem[] = [];
  const { serverName, ca, cert, key, verify } = tls;
  const urls = urlsOf(upstream);
  const plain = urls.find((url) => /^http:\/\//i.test(url));
  if (plain !== undefined)
    problems.push(
      warning(path, `"${plain}" is spoken to over TLS, as the upstream has \`tls\``, "write https://host:port", "key"),
    );
  const clear = urls.find((url) => /^h2c:\/\//i.test(url));
  if (clear !== undefined)
    problems.push(
      warning(path, `"${clear}" is spoken to in clear text, in spite of \`tls\``, "write h2://host:port", "key"),
    );
  if (serverName !== undefined && !isDnsName(serverName))
    problems.push(
      problem([...path, "serverName"], `"${serverName}" is not a host name`, "write a name such as app.internal"),
    );
  if ((cert === undefined) !== (key === undefined)) {
    const missing = cert === undefined ? "cert" : "key";
    const given = cert === undefined ? "key" : "cert";
    problems.push(problem([...path, given], `${given} without ${missing}`, `give tls.${missing} as well`));
  }
  for (const name of ["ca", "cert", "key"] as const)
    if (tls[name] === "") problems.push(problem([...path, name], "the file's name is empty"));
  if (verify) return problems;
  problems.push(
    warning(
      [...path, "verify"],
      "servers need not prove who they are: anybody on the way can read and change everything",
      "give tls.ca in place of verify: false",
    ),
  );
  if (ca !== undefined) problems.push(warning([...path, "ca"], "ca has no effect with verify: false"));
  return problems;
}
