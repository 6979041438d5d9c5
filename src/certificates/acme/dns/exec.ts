// Records by a command: for every DNS that has some program or script.
import { execFile } from "node:child_process";
import type { DnsProvider, TextRecord } from "./provider.ts";

const TIMEOUT_MS = 60_000;
/** Of what the command says; the end of it tells what went wrong. */
const SAID_LENGTH_MAX = 500;
const OUTPUT_BYTES_MAX = 1_048_576;

export class ExecProvider implements DnsProvider {
  readonly #command: readonly [string, ...string[]];
  readonly #timeoutMs: number;

  /** No shell is involved: the command is a program and its arguments. */
  constructor(command: readonly [string, ...string[]], timeoutMs = TIMEOUT_MS) {
    this.#command = command;
    this.#timeoutMs = timeoutMs;
  }

  present(record: TextRecord, signal: AbortSignal): Promise<void> {
    return this.#run("present", record, signal);
  }

  cleanUp(record: TextRecord, signal: AbortSignal): Promise<void> {
    return this.#run("cleanup", record, signal);
  }

  #run(action: string, { name, value }: TextRecord, signal: AbortSignal): Promise<void> {
    const [program, ...args] = this.#command;
    const options = { timeout: this.#timeoutMs, maxBuffer: OUTPUT_BYTES_MAX, signal };
    return new Promise((resolve, reject) => {
      execFile(program, [...args, action, name, value], options, (error, stdout, stderr) => {
        if (error === null) return resolve();
        if (signal.aborted) return reject(signal.reason);
        const said = `${stdout}${stderr}`.trim().slice(-SAID_LENGTH_MAX);
        const why = error.killed ? `it took longer than ${this.#timeoutMs} ms` : reasonOf(error);
        reject(new Error(`${program} ${action} ${name}: ${why}${said === "" ? "" : `: ${said}`}`));
      });
    });
  }
}

/** How it ended; `message` would repeat the whole command with the value. */
function reasonOf(error: { readonly code?: string | number | null; readonly signal?: string | null }): string {
  if (typeof error.code === "number") return `exit code ${error.code}`;
  return typeof error.code === "string" ? error.code : `ended by ${error.signal ?? "a signal"}`;
}
