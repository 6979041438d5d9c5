// `bin/sluice` as users run it: a process of its own, with its output.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DEADLINE_MS, until } from "./wait.ts";

const PROGRAM = join(import.meta.dir, "../../bin/sluice");

export interface Ended {
  readonly out: string;
  readonly err: string;
  readonly code: number;
}

export interface StartOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What is piped in; nothing without it. */
  readonly input?: string;
}

/** Runs a command to its end. */
export async function sluice(args: readonly string[], options: StartOptions = {}): Promise<Ended> {
  const child = spawn(args, options);
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { out, err, code };
}

const spawn = (args: readonly string[], { cwd, env, input }: StartOptions) =>
  Bun.spawn([PROGRAM, ...args], {
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env },
    stdin: input === undefined ? "ignore" : Buffer.from(input),
    stdout: "pipe",
    stderr: "pipe",
  });

/** A directory for one test. */
export class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), "sluice-test-"));
  /** Writes a file; objects as JSON. Answers with its path. */
  write(name: string, content: unknown): string {
    const path = join(this.path, name);
    writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
    return path;
  }
  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** A `sluice` command that goes on until it is told to stop. */
export class SluiceProcess implements AsyncDisposable {
  out = "";
  err = "";
  /** Exit code once it has ended. */
  code: number | null = null;
  readonly exited: Promise<number>;
  readonly #child: ReturnType<typeof spawn>;

  private constructor(child: ReturnType<typeof spawn>) {
    this.#child = child;
    this.exited = child.exited.then((code) => (this.code = code));
    void this.#read(child.stdout, (text) => (this.out += text));
    void this.#read(child.stderr, (text) => (this.err += text));
  }

  async #read(stream: ReadableStream<Uint8Array>, take: (text: string) => void): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
  }

  /** Starts the command and waits for `sluice ready`. */
  static async start(args: readonly string[], options: StartOptions = {}): Promise<SluiceProcess> {
    const running = new SluiceProcess(spawn(args, options));
    await until(() => running.out.includes("sluice ready\n") || running.code !== null, "sluice ready");
    if (running.code !== null) throw new Error(`sluice ended with ${running.code}: ${running.err}`);
    return running;
  }

  get pid(): number {
    return this.#child.pid;
  }
  /** Where it listens, in the order of its lines. */
  get addresses(): string[] {
    return [...this.out.matchAll(/^listening on (.+)$/gm)].map((match) => match[1]!);
  }
  /** The port of the listener with this number, counted from 0. */
  port(index = 0): number {
    return Number(this.addresses[index]?.split(":").at(-1));
  }
  get adminUrl(): string {
    return `http://${/^admin API on (.+)$/m.exec(this.out)?.[1]}`;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Asks the admin API. Bodies of answers are JSON, or text. */
  async admin(method: "GET" | "POST", path: string): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`${this.adminUrl}${path}`, { method, headers: { connection: "close" } });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get("content-type") ?? "");
    return { status: response.status, body: isJson ? JSON.parse(text) : text };
  }

  reload(): Promise<{ status: number; body: unknown }> {
    return this.admin("POST", "/api/config/reload");
  }

  async status(): Promise<Status> {
    return (await this.admin("GET", "/api/status")).body as Status;
  }

  /** Every sample of /metrics by its name and labels. */
  async metrics(): Promise<Map<string, number>> {
    const { body } = await this.admin("GET", "/metrics");
    const lines = (body as string).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
    );
  }

  /** Waits for a sample of /metrics: what is counted, is counted behind the answer that the client has already. */
  async counted(sample: string, value: number): Promise<void> {
    let seen: number | undefined;
    const isThere = async (): Promise<boolean> => (seen = (await this.metrics()).get(sample)) === value;
    await until(isThere, `${sample} to be ${value}`).catch((error: Error) => {
      throw new Error(`${error.message}; it is ${seen}`);
    });
  }

  /** Waits for a line of its log. */
  async said(text: string | RegExp, ms: number = DEADLINE_MS): Promise<void> {
    const matches = (): boolean => (typeof text === "string" ? this.err.includes(text) : text.test(this.err));
    await until(() => matches() || this.code !== null, `${text} in the log`, ms);
    if (!matches()) throw new Error(`ended before ${text} was in the log: ${this.err}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.code === null) this.#child.kill("SIGKILL");
    await this.exited;
  }
}

export interface Status {
  readonly state: string;
  readonly configLoadedAt: string;
  readonly listeners: readonly { readonly address: string; readonly bound: string }[];
  readonly workers: readonly {
    readonly id: number;
    readonly state: string;
    readonly connections: number;
    readonly restarts: number;
  }[];
}

/** `run` on a configuration: admin API on a free port, and nothing waits long for the end. */
export async function runConfig(
  folder: Folder,
  config: Readonly<Record<string, unknown>>,
  args: readonly string[] = [],
  options: StartOptions = {},
): Promise<SluiceProcess> {
  const file = folder.write("sluice.json", { admin: { address: "127.0.0.1:0" }, ...config });
  return SluiceProcess.start(["run", "-c", file, ...args], options);
}
