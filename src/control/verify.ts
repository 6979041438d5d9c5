// Everything that only trying finds wrong with a configuration: its routes compiled, its certificates read.
import { statSync } from "node:fs";
import { leafNames } from "../certificates/client-trust.ts";
import { certificatePairs, coverageProblems } from "../certificates/coverage.ts";
import { FileCertificates } from "../certificates/file-certificates.ts";
import { type ConfigPath, type Problem, problem, warning } from "../config/diagnostic.ts";
import type { Config } from "../config/schema.ts";
import type { ClientAuth } from "../config/schema-tls.ts";
import { createLog } from "../observe/log.ts";
import { checkClientTrust } from "../transport/tls-context.ts";
import { NO_OFFER, readTlsFile, tlsClientFor } from "../upstream/upstream-tls.ts";
import { planProblems } from "./compile.ts";

/** For `verify` of `loadConfig` and `checkConfig`. */
export function configProblems(config: Config): readonly Problem[] {
  return [
    ...planProblems(config),
    ...certificateProblems(config),
    ...clientAuthProblems(config),
    ...upstreamTlsProblems(config),
    ...folderProblems(config),
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

function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.endsWith(":KEY_VALUES_MISMATCH") ? "the key does not belong to the certificate" : message;
}
