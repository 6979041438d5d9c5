// The runtime asks Linux to report ICMP errors on its UDP sockets (IP_RECVERR in ip(7)), and then takes each report for
// a packet of its own that could not be sent: that packet is lost, whoever it was for. Anybody who sends a first packet
// from a port and closes it would slow down all others. So the reports are turned off.
import { dlopen } from "bun:ffi";
import { readdirSync, readlinkSync } from "node:fs";

const LIBRARIES = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];
const IPPROTO_IP = 0;
const IP_RECVERR = 11;
const IPPROTO_IPV6 = 41;
const IPV6_RECVERR = 25;
const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SOCK_DGRAM = 2;
const SOCKADDR_BYTES = 28; // sockaddr_in6, the larger one
const PORT_AT = 2; // in both

const SYMBOLS = {
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
} as const;

/** Turns the reports off for the sockets of this process at a UDP port. Returns whether there are none to fear. */
export function ignoreIcmp(port: number): boolean {
  if (process.platform !== "linux") return true; // only Linux reports errors on sockets that are not connected
  try {
    const libc = openLibc();
    let found = 0;
    for (const name of readdirSync("/proc/self/fd")) {
      const fd = Number(name);
      if (!isSocket(name) || optionOf(libc, fd, SOL_SOCKET, SO_TYPE) !== SOCK_DGRAM || portOf(libc, fd) !== port)
        continue;
      found += 1;
      turnOff(libc, fd, IPPROTO_IP, IP_RECVERR);
      turnOff(libc, fd, IPPROTO_IPV6, IPV6_RECVERR);
      if (optionOf(libc, fd, IPPROTO_IP, IP_RECVERR) > 0 || optionOf(libc, fd, IPPROTO_IPV6, IPV6_RECVERR) > 0)
        return false;
    }
    return found > 0;
  } catch {
    return false; // no such library, or no /proc
  }
}

type Libc = ReturnType<typeof dlopen<typeof SYMBOLS>>["symbols"];

let opened: Libc | null = null;
function openLibc(): Libc {
  for (const name of LIBRARIES) {
    if (opened !== null) return opened;
    try {
      opened = dlopen(name, SYMBOLS).symbols;
    } catch {
      // the next one
    }
  }
  if (opened === null) throw new Error("no libc");
  return opened;
}

function isSocket(fd: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).startsWith("socket:");
  } catch {
    return false; // closed in between
  }
}

/** -1 where the socket does not know the option. */
function optionOf(libc: Libc, fd: number, level: number, option: number): number {
  const value = new Int32Array(1);
  const length = new Uint32Array([value.byteLength]);
  return libc.getsockopt(fd, level, option, value, length) === 0 ? value[0]! : -1;
}

function turnOff(libc: Libc, fd: number, level: number, option: number): void {
  const value = new Int32Array(1);
  libc.setsockopt(fd, level, option, value, value.byteLength);
}

function portOf(libc: Libc, fd: number): number {
  const address = Buffer.alloc(SOCKADDR_BYTES);
  const length = new Uint32Array([SOCKADDR_BYTES]);
  return libc.getsockname(fd, address, length) === 0 ? address.readUInt16BE(PORT_AT) : -1;
}
