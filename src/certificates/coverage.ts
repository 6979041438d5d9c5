// What a configuration says about certificates: the files to read, and hosts of routes that no certificate is for.
import { resolve } from "node:path";
import { domainToASCII } from "node:url";
import { type ConfigPath, type Problem, warning } from "../config/diagnostic.ts";
import { canonicalIp } from "../core/ip.ts";
import type { CertificatePair } from "./file-certificates.ts";
import { NameTable } from "./selection.ts";

/** What is looked at of a listener. */
export interface TlsListener {
  readonly address: string;
  readonly tls?:
    | {
        readonly certificates: readonly { readonly cert: string; readonly key: string }[];
        readonly internal: boolean;
        readonly acme?: { readonly domains: readonly string[]; readonly onDemand?: unknown } | undefined;
      }
    | undefined;
}

/** What is looked at of a route. */
export interface RoutedHosts {
  readonly match?: { readonly host?: string | readonly string[] | undefined } | undefined;
}

/** The certificate files of all listeners; `folder` is what relative paths start from. */
export function certificatePairs(listeners: readonly TlsListener[], folder: string): CertificatePair[] {
  return listeners.flatMap(({ address, tls }, index) =>
    (tls?.certificates ?? []).map(({ cert, key }, at) => ({
      listener: address,
      path: ["listeners", index, "tls", "certificates", at],
      cert: resolve(folder, cert),
      key: resolve(folder, key),
    })),
  );
}

/** A label that no certificate names: only a wildcard covers it. */
const ANY_LABEL = "_any_";

/** A warning for each host of a route for which no listener with TLS has a certificate; `fromFiles` are names in files. */
export function coverageProblems(
  listeners: readonly TlsListener[],
  routes: readonly RoutedHosts[],
  fromFiles: Iterable<string>,
): Problem[] {
  const terminating = listeners.flatMap(({ tls }) => (tls === undefined ? [] : [tls]));
  // Some make certificates for whatever is asked for.
  const anyName = terminating.some(({ internal, acme }) => internal || acme?.onDemand !== undefined);
  if (terminating.length === 0 || anyName) return [];
  const names = new Set([...fromFiles, ...terminating.flatMap(({ acme }) => acme?.domains ?? [])]);
  const table = new NameTable([...names].map((name) => [name, true] as const));
  const isCovered = (host: string): boolean => {
    const ip = canonicalIp(host.replace(/^\[|\]$/g, ""));
    if (ip !== null) return names.has(ip);
    const name = domainToASCII(host.replace(/^\*\./, ""));
    return host === "*" || table.find(host.startsWith("*.") ? `${ANY_LABEL}.${name}` : name) !== undefined;
  };
  return routes.flatMap(({ match }, at) =>
    hostsOf(match?.host, at)
      .filter(({ host }) => !isCovered(host))
      .map(problemOf),
  );
}

interface HostAt {
  readonly host: string;
  readonly path: ConfigPath;
}

function hostsOf(host: string | readonly string[] | undefined, route: number): HostAt[] {
  const path = ["routes", route, "match", "host"];
  if (typeof host === "string") return [{ host, path }];
  return (host ?? []).map((one, at) => ({ host: one, path: [...path, at] }));
}

const problemOf = ({ host, path }: HostAt): Problem =>
  warning(
    path,
    `no certificate is for "${host}": clients that come over TLS refuse to talk to it`,
    "add one to tls.certificates of a listener, or let tls.acme or tls.internal provide it",
  );
