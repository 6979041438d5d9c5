// Everything that only trying finds wrong with a configuration: its routes compiled, its certificates read.
import { accessSync, constants, existsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { expandApis } from "../apis/expand.ts";
import { leafNames } from "../certificates/client-trust.ts";
import { certificatePairs, coverageProblems } from "../certificates/coverage.ts";
import { FileCertificates } from "../certificates/file-certificates.ts";
import { CompileError } from "../config/compile-error.ts";
import { type ConfigPath, type Problem, problem, warning } from "../config/diagnostic.ts";
import type { Config } from "../config/schema.ts";
import type { ClientAuth } from "../config/schema-tls.ts";
import type { WafConfig } from "../config/schema-waf.ts";
import { AddressRules } from "../filters/access/address-rules.ts";
import { ruleWarnings } from "../filters/waf/rule-files.ts";
import { createLog } from "../observe/log.ts";
import { UNSHARED } from "../pipeline/shared.ts";
import { checkClientTrust } from "../transport/tls-context.ts";
import { NO_OFFER, readTlsFile, tlsClientFor } from "../upstream/upstream-tls.ts";
import { planProblems } from "./compile.ts";
import { readSharedFile, sharedFilesOf } from "./shared-files.ts";

/** How configurations are loaded that are to be run. */
export const CONFIG_CHECKS = { expand: expandApis, verify: configProblems } as const;

/** For `verify` of `loadConfig` and `checkConfig`. */
export function configProblems(config: Config): readonly Problem[] {
  return [
    ...planProblems(config),
    ...certificateProblems(config),
    ...clientAuthProblems(config),
    ...upstreamTlsProblems(config),
    ...folderProblems(config),
    ...cacheFolderProblems(config),
    ...sharedFileProblems(config),
    ...listenerAccessProblems(config),
    ...firewallProblems(config),
  ];
}

function certificateProblems({ listeners, routes }: Config): Problem[] {
  if (!listeners.some(({ tls }) => tls !== undefined)) return [];
  const files = new FileCertificates(certificatePairs(listeners, process.cwd()), {
    log: createLog("error"),
    changed() {},
  });
  const names = listeners.flatMap(({ address }) => files.certificates(address).flatMap((each) => each.names));
  const problems = [...files.problems, ...coverageProblems(listeners, routes, names)];
  files.stop();
  return problems;
}

function clientAuthProblems({ listeners }: Config): Problem[] {
  return listeners.flatMap(({ tls }, at) => {
    const path = ["listeners", at, "tls"];
    const own = tls?.clientAuth === undefined ? [] : trustProblems(tls.clientAuth, [...path, "clientAuth"]);
    const others = (tls?.policies ?? []).flatMap(({ clientAuth }, index) =>
      clientAuth ? trustProblems(clientAuth, [...path, "policies", index, "clientAuth"]) : [],
    );
    return [...own, ...others];
  });
}

/** The revocation lists are to blame when the CAs alone can be used. */
function trustProblems({ ca, crl }: ClientAuth, path: ConfigPath): Problem[] {
  let leaves: string[];
  try {
    const pem = readTlsFile(ca);
    checkClientTrust(pem, undefined);
    leaves = leafNames(pem);
  } catch (error) {
    return [problem([...path, "ca"], `the CAs of clients cannot be used: ${messageOf(error)}`)];
  }
  const problems = leaves.map((name) =>
    warning(
      [...path, "ca"],
      `"${name}" is not a CA: no other certificate is believed for its sake`,
      "give the certificate of the CA that issued those of the clients",
    ),
  );
  if (crl === undefined) return problems;
  try {
    checkClientTrust(readTlsFile(ca), readTlsFile(crl));
  } catch (error) {
    problems.push(problem([...path, "crl"], `the revocation lists cannot be used: ${messageOf(error)}`));
  }
  return problems;
}

function upstreamTlsProblems({ upstreams }: Config): Problem[] {
  return Object.entries(upstreams).flatMap(([name, upstream]) => {
    if (upstream.tls === undefined) return [];
    try {
      tlsClientFor(upstream, "localhost", NO_OFFER);
      return [];
    } catch (error) {
      return [problem(["upstreams", name, "tls"], `it cannot be used: ${messageOf(error)}`)];
    }
  });
}

/** Folders of files must be there when the proxy starts; afterwards they may be put in place of one another. */
function folderProblems({ routes }: Config): Problem[] {
  return routes.flatMap(({ files }, at) => {
    if (files === undefined) return [];
    const path = ["routes", at, "files", "root"];
    try {
      if (statSync(files.root).isDirectory()) return [];
      return [problem(path, `"${files.root}" is not a folder`)];
    } catch (error) {
      return [problem(path, `the folder cannot be read: ${messageOf(error)}`)];
    }
  });
}

/** The folder of the cache need not be there, but it must be one that can be made and written to. */
function cacheFolderProblems({ defaults, routes }: Config): Problem[] {
  return [
    { cache: defaults.cache, path: ["defaults"] },
    ...routes.map(({ cache }, at) => ({ cache, path: ["routes", at] })),
  ]
    .filter(({ cache }) => typeof cache === "object" && cache.disk !== undefined)
    .flatMap(({ cache, path }) => {
      const folder = (cache as { disk: { path: string } }).disk.path;
      try {
        const there = nearest(folder);
        if (!statSync(there).isDirectory()) throw new Error(`${there} is not a folder`);
        accessSync(there, constants.W_OK | constants.X_OK);
        return [];
      } catch (error) {
        return [problem([...path, "cache", "disk", "path"], `the folder cannot be used: ${messageOf(error)}`)];
      }
    });
}

/** What there is to remark on rules, and audit logs that cannot be written. Rules that are no rules, the plan tells of. */
function firewallProblems({ defaults, routes }: Config): Problem[] {
  return [
    { waf: defaults.waf, path: ["defaults", "waf"] },
    ...routes.map(({ waf }, at) => ({ waf, path: ["routes", at, "waf"] })),
  ].flatMap(({ waf, path }) => (waf ? [...remarks(waf, path), ...auditProblems(waf, [...path, "audit", "path"])] : []));
}

function remarks(waf: WafConfig, path: ConfigPath): Problem[] {
  try {
    return ruleWarnings(waf).map((each) => warning([...path, ...each.path], each.message));
  } catch (error) {
    if (error instanceof RangeError || error instanceof CompileError) return [];
    throw error;
  }
}

function auditProblems({ audit }: WafConfig, path: ConfigPath): Problem[] {
  if (audit === undefined) return [];
  try {
    accessSync(existsSync(audit.path) ? audit.path : dirname(audit.path), constants.W_OK);
    return [];
  } catch (error) {
    return [problem(path, `the audit log cannot be written: ${messageOf(error)}`)];
  }
}

/** The path, or what is there of it. */
const nearest = (path: string): string => (existsSync(path) || dirname(path) === path ? path : nearest(dirname(path)));

function listenerAccessProblems({ listeners }: Config): Problem[] {
  return listeners.flatMap(({ access }, at) => {
    try {
      if (access !== undefined) new AddressRules(access, UNSHARED);
      return [];
    } catch (error) {
      if (!(error instanceof CompileError)) throw error;
      return [problem(["listeners", at, "access", ...error.path], error.message)];
    }
  });
}

function sharedFileProblems(config: Config): Problem[] {
  return sharedFilesOf(config).flatMap((named) => {
    try {
      readSharedFile(named);
      return [];
    } catch (error) {
      return [problem(named.path, messageOf(error), `looked for ${named.file}`)];
    }
  });
}

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.endsWith(":KEY_VALUES_MISMATCH") ? "the key does not belong to the certificate" : message;
}
