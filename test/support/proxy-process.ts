// A proxy in a process of its own, so that what it costs can be told from what the test costs.
import { readFileSync } from "node:fs";
import { configOf, type ProxyUnderTest } from "./proxy.ts";

const PROGRAM = `
import { createProxy } from ${JSON.stringify(new URL("../../src/index.ts", import.meta.url).pathname)};
const proxy = await createProxy(JSON.parse(process.argv.at(-1)));
console.log(proxy.addresses[0]);
`;

export class ProxyProcess implements AsyncDisposable {
  readonly port: number;
  readonly #child: Bun.Subprocess;

  private constructor(port: number, child: Bun.Subprocess) {
    this.port = port;
    this.#child = child;
  }

  /** Starts; the configuration goes over as JSON. */
  static async start(config: ProxyUnderTest): Promise<ProxyProcess> {
    const child = Bun.spawn([process.execPath, "-e", PROGRAM, "--", JSON.stringify(configOf(config))], {
      stdout: "pipe",
      stderr: "inherit",
    });
    const { value } = await child.stdout.getReader().read();
    const port = Number(
      Buffer.from(value ?? [])
        .toString()
        .trim()
        .split(":")
        .at(-1),
    );
    if (!Number.isInteger(port) || port === 0) throw new Error("the proxy's process did not start");
    return new ProxyProcess(port, child);
  }

  /** Resident memory in bytes. */
  get memory(): number {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.#child.pid}/status`, "utf8"))?.[1];
    return Number(kilobytes) * 1024;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}
