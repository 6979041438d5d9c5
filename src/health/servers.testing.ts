// Servers that misbehave, and the sockets that this process has open.
import { readdirSync, readlinkSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import type { Address } from "../config/address.ts";

export interface TestServer {
  readonly address: Address & { readonly kind: "tcp" };
  /** Connections that are open at the moment. */
  readonly open: ReadonlySet<Socket>;
  /** Connections accepted so far. */
  accepted(): number;
  close(): Promise<void>;
}

/** Listens on a free port of 127.0.0.1; `serve` gets each connection. `engine` is a server that reads by itself. */
export async function listening(serve: (socket: Socket) => void, engine?: Server): Promise<TestServer> {
  const server = engine ?? createServer();
  const open = new Set<Socket>();
  let accepted = 0;
  server.on("connection", (socket: Socket) => {
    accepted += 1;
    open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => open.delete(socket));
    serve(socket);
    if (engine === undefined) socket.resume(); // the end of a connection is only told to those who read
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: { kind: "tcp", host: "127.0.0.1", port: (server.address() as AddressInfo).port },
    open,
    accepted: () => accepted,
    close: async () => {
      for (const socket of open) socket.destroy();
      await new Promise<unknown>((resolve) => server.close(resolve));
    },
  };
}

/** Answers every request head with the same bytes, then does what `then` says. */
export function answering(bytes: string, then: "end" | "stay" | "reset" = "end"): (socket: Socket) => void {
  return (socket) => {
    socket.once("data", () => {
      if (then === "end") socket.end(bytes, "latin1");
      else if (then === "stay") socket.write(bytes, "latin1");
      else socket.write(bytes, "latin1", () => socket.resetAndDestroy());
    });
  };
}

/** Sends `first`, then `piece` again and again for as long as anybody reads. */
export function endless(first: string, piece: string): (socket: Socket) => void {
  return (socket) => {
    const more = Buffer.from(piece.repeat(64), "latin1");
    const pump = () => {
      while (socket.writable && !socket.destroyed && socket.write(more));
    };
    socket.once("data", () => {
      socket.write(first, "latin1");
      socket.on("drain", pump);
      pump();
    });
  };
}

/** A port of 127.0.0.1 on which nobody listens. */
export async function deadAddress(): Promise<Address & { readonly kind: "tcp" }> {
  const server = await listening(() => {});
  await server.close();
  return server.address;
}

/** How many sockets this process has. */
export function socketCount(): number {
  let count = 0;
  for (const descriptor of readdirSync("/proc/self/fd")) {
    try {
      if (readlinkSync(`/proc/self/fd/${descriptor}`).startsWith("socket:")) count += 1;
    } catch {
      // The descriptor of the listing itself is gone by now.
    }
  }
  return count;
}

const UNTIL_MS = 5000;

/** Waits until it is so; throws after five seconds. */
export async function until(isSo: () => boolean, what: string): Promise<void> {
  const end = performance.now() + UNTIL_MS;
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`not within ${UNTIL_MS} ms: ${what}`);
    await Bun.sleep(5);
  }
}
