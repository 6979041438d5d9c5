// Ports where things go wrong.
import { connect, type Socket } from "node:net";

/** A connect on loopback that takes this long hangs. */
const HANGS_MS = 200;

/** Ports that the kernel gives to nobody who asks for any: other tests run at the same time. */
const NOT_GIVEN = { first: 61_000, count: 4000 };

/** A port of 127.0.0.1 on which nobody listens. */
export async function refusingPort(): Promise<number> {
  for (;;) {
    const port = NOT_GIVEN.first + Math.floor(Math.random() * NOT_GIVEN.count);
    const socket = connect({ port, host: "127.0.0.1" });
    const isFree = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(false));
      socket.once("error", () => resolve(true));
    });
    socket.destroy();
    if (isFree) return port;
  }
}

/** A port on which a process listens that never accepts, and whose queue is full: a connect hangs. */
export class SilentPort implements AsyncDisposable {
  readonly port: number;
  readonly #child: Bun.Subprocess;
  readonly #filling: readonly Socket[];

  private constructor(port: number, child: Bun.Subprocess, filling: readonly Socket[]) {
    this.port = port;
    this.#child = child;
    this.#filling = filling;
  }

  static async open(): Promise<SilentPort> {
    const program = `const s = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => console.log(s.address().port));`;
    const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe", stderr: "inherit" });
    const { value } = await child.stdout.getReader().read();
    const port = Number(Buffer.from(value ?? []).toString());
    child.kill("SIGSTOP");
    // The kernel completes connects until the queue is full; then one stays without an answer.
    const filling: Socket[] = [];
    for (let hangs = false; !hangs; ) {
      const socket = connect({ port, host: "127.0.0.1" });
      filling.push(socket);
      hangs = await Promise.race([
        new Promise<boolean>((resolve) => socket.once("connect", () => resolve(false))),
        Bun.sleep(HANGS_MS).then(() => true),
      ]);
    }
    return new SilentPort(port, child, filling);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#filling) {
      socket.on("error", () => {});
      socket.destroy();
    }
    this.#child.kill("SIGKILL");
    await this.#child.exited;
  }
}
