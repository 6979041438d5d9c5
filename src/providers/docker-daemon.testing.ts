// A Docker daemon on a unix socket, as far as lists of containers and streams of events go; answers look as Docker
// Engine 27 gives them.
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface ContainerOptions {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Addresses by network; `bridge` with 172.17.0.2 when absent. */
  readonly networks?: Readonly<Record<string, string>>;
  /** Exposed TCP ports; 8080 when absent. */
  readonly ports?: readonly number[];
  readonly status?: string;
  readonly networkMode?: string;
}

/** An item of `GET /containers/json`. */
export function containerJson(options: ContainerOptions): Record<string, unknown> {
  const { name, labels = {}, networks = { bridge: "172.17.0.2" }, ports = [8080], networkMode = "bridge" } = options;
  return {
    Id: new Bun.CryptoHasher("sha256").update(name).digest("hex"),
    Names: [`/${name}`],
    Image: "app:latest",
    Command: "/app",
    Created: 1_763_900_000,
    Ports: ports.flatMap((port) => [
      { PrivatePort: port, Type: "tcp" },
      { IP: "::", PrivatePort: port, PublicPort: port, Type: "tcp" },
    ]),
    Labels: { "sluice.enable": "true", ...labels },
    State: "running",
    Status: options.status ?? "Up 5 minutes",
    HostConfig: { NetworkMode: networkMode },
    NetworkSettings: {
      Networks: Object.fromEntries(
        Object.entries(networks).map(([network, address]) => [
          network,
          {
            IPAMConfig: null,
            IPAddress: address,
            IPPrefixLen: 16,
            GlobalIPv6Address: "",
            MacAddress: "02:42:ac:11:00:02",
          },
        ]),
      ),
    },
    Mounts: [],
  };
}

export class DockerDaemon implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "sluice-docker-"));
  readonly socket = join(this.#folder, "docker.sock");
  readonly #streams = new Set<ServerResponse>();
  readonly #connections = new Set<Socket>();
  #server: Server | null = null;
  /** What it lists. */
  containers: readonly Record<string, unknown>[] = [];
  /** Takes the place of a list. */
  list: ((response: ServerResponse) => void) | null = null;
  /** Whether it begins to answer at all. */
  isSilent = false;
  /** Targets of all requests so far. */
  readonly requests: string[] = [];

  async start(): Promise<void> {
    const server = createServer((request, response) => this.#answer(request, response));
    server.on("connection", (connection) => {
      this.#connections.add(connection);
      connection.on("close", () => this.#connections.delete(connection));
    });
    this.#server = server;
    const { promise, resolve } = Promise.withResolvers<void>();
    server.listen(this.socket, resolve);
    await promise;
  }

  /** Goes away with all its connections, as a daemon that is restarted does. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    server.close(() => resolve());
    for (const connection of this.#connections) connection.destroy();
    this.#streams.clear();
    await promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** How many follow its events. */
  get followers(): number {
    return this.#streams.size;
  }

  get lists(): number {
    return this.requests.filter((target) => target.startsWith("/containers/json")).length;
  }

  /** Puts these containers in place of the others and tells of it. */
  become(containers: readonly ContainerOptions[], action = "start"): void {
    this.containers = containers.map(containerJson);
    this.tell(action);
  }

  tell(action: string): void {
    const event = { status: action, id: "abc", Type: "container", Action: action, scope: "local", time: 1_763_900_001 };
    for (const stream of this.#streams) stream.write(`${JSON.stringify(event)}\n`);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const target = request.url ?? "";
    this.requests.push(decodeURIComponent(target));
    if (this.isSilent) return;
    if (target.startsWith("/events")) {
      response.writeHead(200, { "content-type": "application/json" });
      response.flushHeaders();
      this.#streams.add(response);
      response.on("close", () => this.#streams.delete(response));
    } else if (this.list !== null) this.list(response);
    else {
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify(this.containers));
    }
  }
}
