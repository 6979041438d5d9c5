// Programs that a test drives or talks to.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, type NetConnectOpts } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "../../tools/debian.ts";
import { until } from "./wait.ts";

const need = (name: string): string => {
  const path = findProgram(name);
  if (path === null) throw new Error(`${name} is not installed`);
  return path;
};

export interface Outcome {
  readonly out: string;
  readonly err: string;
  readonly code: number;
}

/** Runs a program to its end, while this process goes on. */
export async function run(name: string, args: readonly string[], input = ""): Promise<Outcome> {
  const child = Bun.spawn([need(name), ...args], { stdin: Buffer.from(input), stdout: "pipe", stderr: "pipe" });
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { out, err, code };
}

/** A program that runs until the test is over. */
export class Running implements AsyncDisposable {
  readonly child: Bun.Subprocess;
  readonly #cleanUp: () => void;
  constructor(child: Bun.Subprocess, cleanUp: () => void = () => {}) {
    this.child = child;
    this.#cleanUp = cleanUp;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    await this.child.exited;
    this.#cleanUp();
  }
}

/** nginx in one process, with `server` as the inside of its server block and these files under its root. */
export class Nginx extends Running {
  readonly socket: string;
  private constructor(child: Bun.Subprocess, socket: string, cleanUp: () => void) {
    super(child, cleanUp);
    this.socket = socket;
  }

  static async start(server: string, files: Readonly<Record<string, string>>): Promise<Nginx> {
    const directory = mkdtempSync(join(tmpdir(), "nginx-"));
    const socket = join(directory, "nginx.sock");
    mkdirSync(join(directory, "root"));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, "root", name), text);
    const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    writeFileSync(
      join(directory, "nginx.conf"),
      `daemon off; master_process off; pid ${directory}/pid; error_log stderr crit;
      events { worker_connections 256; }
      http {
        access_log off;
        ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join(" ")}
        server { listen unix:${socket}; root ${directory}/root; ${server} }
      }`,
    );
    const child = Bun.spawn([need("nginx"), "-p", directory, "-c", join(directory, "nginx.conf"), "-e", "stderr"], {
      stdout: "inherit",
      stderr: "inherit",
    });
    const nginx = new Nginx(child, socket, () => rmSync(directory, { recursive: true }));
    await until(() => accepts({ path: socket }), "nginx to listen");
    return nginx;
  }
}

/** Whether somebody listens there. */
export function accepts(where: NetConnectOpts): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(where);
  socket.once("connect", () => {
    socket.destroy();
    resolve(true);
  });
  socket.once("error", () => resolve(false));
  return promise;
}

/** A server of Node's own `http`: `handler` is the text of its request listener, `more` runs with `server` in scope. */
export class NodeServer extends Running {
  readonly url: string;
  private constructor(child: Bun.Subprocess, url: string) {
    super(child);
    this.url = url;
  }

  static async start(handler: string, more = ""): Promise<NodeServer> {
    const program = `
      const server = require("node:http").createServer(${handler});
      ${more}
      server.listen(0, "127.0.0.1", () => console.log(server.address().port));`;
    const child = Bun.spawn([need("node"), "-e", program], { stdout: "pipe", stderr: "inherit" });
    const { value } = await child.stdout.getReader().read();
    return new NodeServer(
      child,
      `http://127.0.0.1:${Buffer.from(value ?? [])
        .toString()
        .trim()}`,
    );
  }
}
