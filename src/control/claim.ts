// Whether an address is ours to take. Threads share their ports (SO_REUSEPORT), so the system would let a second Sluice
// of the same user share them as well, and each would get a part of the connections.
import { lstatSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { parseListen } from "../config/address.ts";
import type { ListenerConfig } from "../config/schema.ts";
import { isTaken } from "../transport/socket.ts";
import { ListenError } from "./listen-error.ts";

/** Addresses that could be taken. Ports of datagrams are no other program's by mistake: the system tells. */
export const claimable = (listeners: readonly ListenerConfig[]): string[] =>
  listeners.flatMap(({ address, udp }) => (udp === undefined ? [address] : []));

/**
 * Looks at the addresses of `wanted` that are not among `held` (where this proxy listens already) and removes socket
 * files that ended processes left there. Rejects with ListenError when somebody listens on one of them.
 */
export async function claimAddresses(wanted: readonly string[], held: readonly string[]): Promise<void> {
  const ours = new Set(held.map(portOf));
  for (const address of wanted) {
    if (held.includes(address)) continue;
    const parsed = parseListen(address);
    if (parsed === null) continue;
    if (parsed.kind === "unix") {
      if (await isSocketInUse(parsed.path)) throw new ListenError(address, { code: "EADDRINUSE" });
    } else if (parsed.port !== 0 && !ours.has(parsed.port) && isTaken(parsed.host, parsed.port)) {
      // A port of ours in other words (`:80` and `0.0.0.0:80`) is shared on purpose for as long as a reload takes.
      throw new ListenError(address, { code: "EADDRINUSE" });
    }
  }
}

function portOf(address: string): number {
  const parsed = parseListen(address);
  return parsed?.kind === "tcp" ? parsed.port : 0;
}

/** Whether a process listens on the socket file. One that nobody listens on is removed: it would be in the way. */
export async function isSocketInUse(path: string): Promise<boolean> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return false;
  const refused = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
    socket.once("connect", () => {
      socket.destroy();
      resolve(false);
    });
  });
  if (refused) rmSync(path, { force: true });
  return !refused;
}
