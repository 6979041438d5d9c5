// The processes and the temporary folder of a run. Whatever happens (error, Ctrl-C), all of them are gone at the end.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive, type ProcessStat, processTree } from "./proc.ts";

/** Long enough for every peer to end by itself once its clients are gone. */
const STOP_MS = 5000;
const START_MS = 15_000;
/** One question of those that wait for a start. */
export const ASK_MS = 1000;

/** A server that we started, pinned to one core. */
export interface Child {
  readonly pid: number;
  /** What it has printed so far (both streams). */
  output(): string;
  hasExited(): boolean;
  /** SIGTERM, then SIGKILL for what is left of it and its descendants after five seconds. */
  stop(): Promise<void>;
}

export interface ChildOptions {
  readonly core: number;
  readonly directory: string;
  readonly env?: Readonly<Record<string, string>>;
}

const living = new Set<Child>();
const generators = new Set<{ kill(signal: "SIGKILL"): void }>();
let temporary: string | null = null;

/** Starts a command on one core; its threads and children inherit the pinning. */
export function startChild(name: string, command: readonly string[], options: ChildOptions): Child {
  const log = join(options.directory, `${name}.log`);
  const child = Bun.spawn(["taskset", "-c", String(options.core), ...command], {
    cwd: options.directory,
    env: { ...process.env, ...options.env },
    stdin: "ignore",
    stdout: Bun.file(log),
    stderr: Bun.file(`${log}.err`),
  });
  const handle: Child = {
    pid: child.pid,
    output: () => [log, `${log}.err`].map((path) => (existsSync(path) ? readFileSync(path, "utf8") : "")).join(""),
    hasExited: () => child.exitCode !== null || child.signalCode !== null,
    async stop() {
      const tree = processTree(child.pid);
      child.kill("SIGTERM");
      await Promise.race([child.exited, Bun.sleep(STOP_MS)]);
      for (const stat of tree) killNow(stat);
      await child.exited;
      living.delete(handle);
    },
  };
  living.add(handle);
  return handle;
}

/** Starts a load generator on one core, with pipes to talk to it; it is killed when the run ends before it does. */
export function startGenerator(command: readonly string[], core: number): Bun.Subprocess<"pipe", "pipe", "pipe"> {
  const child = Bun.spawn(["taskset", "-c", String(core), ...command], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "pipe",
  });
  generators.add(child);
  void child.exited.then(() => generators.delete(child));
  return child;
}

/** Asks an address once: null when it was answered well, else what was wrong. May throw instead. */
export type Ask = (url: string) => Promise<string | null>;

/**
 * Waits until the address answers: by default, a GET with 200.
 *
 * @throws Error with the child's output when it ends, or does not answer within 15 seconds.
 */
export async function waitUntilServing(child: Child, name: string, url: string, ask: Ask = getOnce): Promise<void> {
  const deadline = performance.now() + START_MS;
  let last = "no answer";
  while (performance.now() < deadline && !child.hasExited()) {
    try {
      const problem = await ask(url);
      if (problem === null) return;
      last = problem;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    await Bun.sleep(50);
  }
  const state = child.hasExited() ? "ended at once" : `did not serve ${url} (${last})`;
  throw new Error(`${name} ${state}: ${child.output().trim().slice(-1500)}`);
}

async function getOnce(url: string): Promise<string | null> {
  const response = await fetch(url, {
    keepalive: false,
    signal: AbortSignal.timeout(ASK_MS),
    tls: { rejectUnauthorized: false },
  });
  await response.arrayBuffer();
  return response.status === 200 ? null : `status ${response.status}`;
}

/** One folder for the run, in memory where the system has such a place, so that no disk takes part. */
export function temporaryDirectory(): string {
  temporary ??= mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "sluice-bench-"));
  return temporary;
}

/** A port that is free on loopback now. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = listener;
  listener.stop(true);
  return port;
}

/** Stops every child that is left and removes the temporary folder. */
async function cleanUp(): Promise<void> {
  killGenerators();
  await Promise.all([...living].map((child) => child.stop()));
  removeTemporary();
}

/** Runs a program's body so that its children end with it: after an error, Ctrl-C or SIGTERM too. Sets the exit code. */
export async function runAndCleanUp(body: () => Promise<number>): Promise<void> {
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const) {
    process.on(signal, () => void cleanUp().finally(() => process.exit(code)));
  }
  process.on("exit", () => {
    // The last resort after an uncaught error: nothing can be awaited any more.
    killGenerators();
    for (const child of living) for (const stat of processTree(child.pid)) killNow(stat);
    removeTemporary();
  });
  try {
    process.exitCode = await body();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  } finally {
    await cleanUp();
  }
}

/** Kills that very process, if it still lives. */
function killNow(stat: ProcessStat): void {
  try {
    if (isAlive(stat)) process.kill(stat.pid, "SIGKILL");
  } catch {
    // It ended between the two calls.
  }
}

/** They own nothing but sockets, so there is nothing for them to end in order. */
function killGenerators(): void {
  for (const child of generators) child.kill("SIGKILL");
}

function removeTemporary(): void {
  if (temporary !== null) rmSync(temporary, { recursive: true, force: true });
  temporary = null;
}
