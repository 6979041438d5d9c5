// Memory of idle keep-alive connections: a fresh process before and after they were opened and served once each.
import { join } from "node:path";
import { startGenerator } from "./child.ts";
import { privateBytes, residentBytes } from "./proc.ts";

export interface IdleMemory {
  /** Connections that were open when memory was read. */
  readonly connections: number;
  /** Private memory above the process that had none of them, for each connection. */
  readonly bytesPerConnection: number;
  readonly residentBytesBefore: number;
  readonly residentBytes: number;
}

/** Files that each side needs beside its connections: libraries, logs, listeners, connections to the backend. */
const SPARE_FILES = 1000;
/** Lets garbage of the start and of the opening be collected; the same for every peer. */
const SETTLE_MS = 3000;
const OPEN_MS = 60_000;

/** How many connections the limit of open files allows, at most the wanted number. */
export function affordableConnections(wanted: number): number {
  const limit = Number(/^Max open files\s+(\d+)/m.exec(limitsOf(process.pid))?.[1] ?? 1024);
  return Math.max(1, Math.min(wanted, limit - SPARE_FILES));
}

/** Raises this process's limit of open files, which peers and clients inherit, as far as it may be raised. */
export function raiseFileLimit(wanted: number): void {
  const row = /^Max open files\s+(\d+)\s+(\d+)/m.exec(limitsOf(process.pid));
  if (row === null || Number(row[1]) >= wanted) return;
  const prlimit = (soft: number, hard: number) =>
    Bun.spawnSync(["prlimit", "--pid", String(process.pid), `--nofile=${soft}:${hard}`], { stderr: "ignore" }).success;
  // Only root may raise the hard limit; else take all of it.
  if (!prlimit(wanted, Math.max(wanted, Number(row[2])))) prlimit(Number(row[2]), Number(row[2]));
}

/**
 * Opens the connections through a client process on the load core and weighs the peer.
 *
 * @throws Error when one of them could not be opened, or was closed before memory was read.
 */
export async function weighIdle(
  peer: { readonly pid: number; readonly port: number },
  options: { readonly core: number; readonly connections: number },
): Promise<IdleMemory> {
  await Bun.sleep(SETTLE_MS);
  const [privateBefore, residentBytesBefore] = [privateBytes(peer.pid), residentBytes(peer.pid)];
  const script = join(import.meta.dir, "idle-client.ts");
  const command = [process.execPath, script, String(peer.port), String(options.connections)];
  const client = startGenerator(command, options.core);
  const timer = setTimeout(() => client.kill("SIGKILL"), OPEN_MS);
  try {
    const answers = client.stdout.pipeThrough(new TextDecoderStream()).getReader();
    await expectOpen(answers, options.connections, client.stderr);
    await Bun.sleep(SETTLE_MS);
    const [privateAfter, resident] = [privateBytes(peer.pid), residentBytes(peer.pid)];
    client.stdin.write("\n");
    await client.stdin.flush();
    await expectOpen(answers, options.connections, client.stderr);
    return {
      connections: options.connections,
      bytesPerConnection: (privateAfter - privateBefore) / options.connections,
      residentBytesBefore,
      residentBytes: resident,
    };
  } finally {
    clearTimeout(timer);
    client.kill("SIGKILL"); // It only holds sockets; the kernel closes them.
    await client.exited;
  }
}

async function expectOpen(
  answers: { read(): Promise<{ value?: string | undefined }> },
  wanted: number,
  complaints: ReadableStream<Uint8Array>,
): Promise<void> {
  const { value } = await answers.read();
  if (value?.trim() === String(wanted)) return;
  const reason = value === undefined ? await new Response(complaints).text() : "";
  throw new Error(`${value?.trim() ?? "not all"} of ${wanted} idle connections were open. ${reason}`.trim());
}

function limitsOf(pid: number): string {
  return Bun.spawnSync(["cat", `/proc/${pid}/limits`]).stdout.toString();
}
