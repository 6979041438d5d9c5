// What the system knows of listening sockets.
import { readFileSync } from "node:fs";

const LISTEN = "0A";

/** The inodes of the sockets that listen on a port of IPv4, sorted: one for each worker, and others when one was opened anew. */
export function listeningSockets(port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  return readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(`:${hex}`) && fields[3] === LISTEN)
    .map((fields) => fields[9] ?? "")
    .sort();
}
