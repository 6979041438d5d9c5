// What the bench knows of a proxy. Every file in peers/ exports one of these.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { issueLeaf, issueRoot } from "../src/certificates/issue.ts";
import { type Child, startChild, waitUntilServing } from "./child.ts";
import { callOnce } from "./grpc-call.ts";
import { GRPC_PATH, type Protocol, type Speech } from "./scenario.ts";

/** With TLS, the certificate is in `server.pem` and the key in `server.key` of its folder. */
export interface PeerContext extends Speech {
  readonly port: number;
  /** For gRPC, that of the backend's server for HTTP/2. */
  readonly backendPort: number;
  /** The core that the proxy is pinned to. */
  readonly core: number;
  /** A folder of its own, removed after the run. */
  readonly directory: string;
  /** The folder of the files that are served, and of no use to proxies. */
  readonly publicFolder: string;
  /** Most clients at a time; for peers whose tables have a fixed size. */
  readonly connections: number;
  /** Memory of Sluice's cache; its default without. */
  readonly cacheMegabytes?: number;
}

export interface RunningPeer {
  /** The first process; CPU and memory are those of it and all its descendants. */
  readonly pid: number;
  readonly port: number;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  /** Debian packages that it needs. */
  readonly packages: readonly string[];
  /** Debian packages that it needs besides to forward connections as they are; null when it cannot. */
  readonly layer4: readonly string[] | null;
  /** Whether the bench knows how to have it speak TLS. */
  readonly tls: boolean;
  /** What the bench knows how to have it speak with clients. */
  readonly protocols: readonly Protocol[];
  /** Whether it can speak HTTP/2 with servers. */
  readonly grpc: boolean;
  /** Whether the bench knows how to have it compress. */
  readonly gzip: boolean;
  /** Whether the bench knows how to have it serve files. */
  readonly files: boolean;
  /** Whether the bench knows how to have it cache; "only": it takes part where that is measured, and nowhere else. */
  readonly cache: boolean | "only";
  /** Debian packages that it needs besides to be a firewall; null when it cannot. */
  readonly waf: readonly string[] | null;
  version(): string;
  start(context: PeerContext): Promise<RunningPeer>;
}

/** Whether a peer can take part in a scenario. */
export function speaks(peer: Peer, { layer, tls, protocol, grpc, gzip, files, cache, waf }: Speech): boolean {
  return (
    (layer === 7 || peer.layer4 !== null) &&
    (!tls || peer.tls) &&
    (!grpc || peer.grpc) &&
    (gzip === 0 || peer.gzip) &&
    (!files || peer.files) &&
    (!waf || peer.waf !== null) &&
    (cache ? peer.cache !== false : peer.cache !== "only") &&
    peer.protocols.includes(protocol)
  );
}

const DAY_MS = 86_400_000;

/** Writes `server.pem`, `server.key`, and both in `server.both`: ECDSA with P-256, as most of the web has. */
export function writeCertificate(directory: string): void {
  const now = Date.now();
  const validity = { notBeforeMs: now - DAY_MS, notAfterMs: now + DAY_MS };
  const leaf = issueLeaf(["bench.example", "127.0.0.1"], validity, issueRoot("bench", validity));
  writeFileSync(join(directory, "server.pem"), leaf.certPem);
  writeFileSync(join(directory, "server.key"), leaf.keyPem);
  writeFileSync(join(directory, "server.both"), leaf.certPem + leaf.keyPem);
}

/** Starts a peer's command on its core and waits until it proxies. */
export async function startPeer(
  name: string,
  command: readonly string[],
  context: PeerContext,
  env: Readonly<Record<string, string>> = {},
): Promise<RunningPeer> {
  const child: Child = startChild(name, command, { core: context.core, directory: context.directory, env });
  try {
    const url = `${context.tls ? "https" : "http"}://127.0.0.1:${context.port}${context.grpc ? GRPC_PATH : "/small"}`;
    await (context.grpc ? waitUntilServing(child, name, url, callOnce) : waitUntilServing(child, name, url));
  } catch (error) {
    await child.stop();
    throw error;
  }
  return { pid: child.pid, port: context.port, stop: () => child.stop() };
}

/** The first version-like word that a command prints; "unknown" when there is none. */
export function printedVersion(command: readonly string[]): string {
  const { stdout, stderr } = Bun.spawnSync([...command], { stdin: "ignore" });
  return /\d+\.\d+[\w.]*/.exec(`${stdout}${stderr}`)?.[0] ?? "unknown";
}
