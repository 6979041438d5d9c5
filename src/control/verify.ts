// Everything that only trying finds wrong with a configuration: its routes compiled, its certificates read.
import { certificatePairs, coverageProblems } from "../certificates/coverage.ts";
import { FileCertificates } from "../certificates/file-certificates.ts";
import { type Problem, problem } from "../config/diagnostic.ts";
import type { Config } from "../config/schema.ts";
import { createLog } from "../observe/log.ts";
import { makeListenerContext } from "../transport/tls-context.ts";
import { readTlsFile, tlsClientFor } from "../upstream/upstream-tls.ts";
import { planProblems } from "./compile.ts";

/** For `verify` of `loadConfig` and `checkConfig`. */
export function configProblems(config: Config): readonly Problem[] {
  return [
    ...planProblems(config),
    ...certificateProblems(config),
    ...clientAuthProblems(config),
    ...upstreamTlsProblems(config),
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
    if (tls?.clientAuth === undefined) return [];
    const { ca, crl } = tls.clientAuth;
    const path = ["listeners", at, "tls", "clientAuth"];
    try {
      makeListenerContext({
        fallback: null,
        minVersion: "1.2",
        requestClientCertificate: true,
        clientCa: readTlsFile(ca),
        ...(crl === undefined ? {} : { clientCrl: readTlsFile(crl) }),
      });
      return [];
    } catch (error) {
      return [problem([...path, "ca"], `the CAs of clients cannot be used: ${messageOf(error)}`)];
    }
  });
}

function upstreamTlsProblems({ upstreams }: Config): Problem[] {
  return Object.entries(upstreams).flatMap(([name, upstream]) => {
    if (upstream.tls === undefined) return [];
    try {
      tlsClientFor(upstream, "localhost");
      return [];
    } catch (error) {
      return [problem(["upstreams", name, "tls"], `it cannot be used: ${messageOf(error)}`)];
    }
  });
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
