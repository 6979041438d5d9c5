// What the bench knows of a proxy. Every file in peers/ exports one of these.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { issueLeaf, issueRoot } from "../src/certificates/issue.ts";
import { type Child, startChild, waitUntilServing } from "./child.ts";

export interface PeerContext {
  readonly port: number;
  readonly backendPort: number;
  /** Whether it reads HTTP (7) or forwards connections as they are (4). */
  readonly layer: 4 | 7;
  /** It speaks TLS with its clients, with the certificate in `server.pem` and the key in `server.key` of its folder. */
  readonly tls: boolean;
  /** The core that the proxy is pinned to. */
  readonly core: number;
  /** A folder of its own, removed after the run. */
  readonly directory: string;
  /** Most clients at a time; for peers whose tables have a fixed size. */
  readonly connections: number;
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
  version(): string;
  start(context: PeerContext): Promise<RunningPeer>;
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
    await waitUntilServing(child, name, `${context.tls ? "https" : "http"}://127.0.0.1:${context.port}/small`);
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
