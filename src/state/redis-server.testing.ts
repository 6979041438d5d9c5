// A Redis server of its own for a test: it listens on a free port and keeps nothing on the disk.
import { createServer } from "node:net";

const READY = "Ready to accept connections";
/** Another process may take the port between our look and the server's start. */
const ATTEMPTS = 5;

export class RedisServer implements AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly #child: Bun.Subprocess;

  private constructor(port: number, child: Bun.Subprocess) {
    this.port = port;
    this.url = `redis://127.0.0.1:${port}`;
    this.#child = child;
  }

  /** On a free port, or the one where an earlier server was. */
  static async start(again?: number): Promise<RedisServer> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const port = again ?? (await freePort());
      const options = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
      const child = Bun.spawn(["redis-server", ...options], { stdin: "ignore", stdout: "pipe", stderr: "inherit" });
      let told = "";
      for await (const chunk of child.stdout) {
        told += Buffer.from(chunk).toString();
        if (told.includes(READY)) return new RedisServer(port, child);
      }
      await child.exited;
    }
    throw new Error("redis-server does not start");
  }

  /** Keeps its connections, and says nothing more. */
  hang(): void {
    this.#child.kill("SIGSTOP");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
