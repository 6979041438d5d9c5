// Connecting for a check. `node:net` and not transport's `dial`: the runtime cannot give up a `Bun.connect` under way,
// so a server that swallows packets would hold a descriptor for each check until the kernel gives up, two minutes on.
import { connect, isIP, type NetConnectOpts, type Socket } from "node:net";
import type { Address } from "../config/address.ts";
import { type Attempt, connectAny, orderAddresses } from "../upstream/happy-eyeballs.ts";

/** The addresses of a host, at least one, in any order; may reject. `Resolver.lookup` fits. */
export type Resolve = (host: string) => readonly string[] | Promise<readonly string[]>;

/** A socket as connectAny wants it. */
interface Opened {
  readonly socket: Socket;
  close(): void;
}

/**
 * Connects to an address, over whichever of its name's addresses answers first. The promise rejects with the system's
 * error, or that of the look-up. Once cancelled no socket stays open.
 */
export function connectTo(address: Address, resolve: Resolve): Attempt<Socket> {
  let cancelled = false;
  let racing: Attempt<Opened> | null = null;
  const race = (hosts: readonly string[], port: number): Promise<Opened> => {
    if (cancelled) return Promise.reject(new Error("cancelled"));
    racing = connectAny(orderAddresses(hosts), (host) => open({ host, port }));
    return racing.promise;
  };
  const opening = async (): Promise<Socket> => {
    if (address.kind === "unix") {
      racing = open({ path: address.path });
      return (await racing.promise).socket;
    }
    const { host, port } = address;
    return (await race(isIP(host) === 0 ? await resolve(host) : [host], port)).socket;
  };
  return {
    promise: opening(),
    cancel() {
      cancelled = true;
      racing?.cancel();
    },
  };
}

function open(to: NetConnectOpts): Attempt<Opened> {
  const { promise, resolve, reject } = Promise.withResolvers<Opened>();
  const socket = connect(to);
  let connected = false;
  socket.on("error", reject);
  socket.once("connect", () => {
    connected = true;
    socket.setNoDelay(true);
    resolve({ socket, close: () => socket.destroy() });
  });
  socket.once("close", () => reject(new Error("closed before it was open")));
  return {
    promise,
    cancel() {
      if (connected) return; // it belongs to whoever got it
      socket.destroy();
      reject(new Error("cancelled"));
    },
  };
}
