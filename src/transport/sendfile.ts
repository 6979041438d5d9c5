// Files that the system itself moves into a socket: their bytes never come into this process. The runtime knows no such
// call, so that of the C library is used where it is found (docs/decisions/0041-static-files.md).
import { dlopen, FFIType, type Pointer, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";

type SendFile = (socket: number, file: number, offset: Pointer, bytes: bigint) => bigint | number;

/** The C library of glibc, and of musl. */
const LIBRARIES: readonly string[] = ["libc.so.6", `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`];
/** `ssize_t sendfile(int out_fd, int in_fd, off_t *offset, size_t count)` */
const SENDFILE = {
  args: [FFIType.i32, FFIType.i32, FFIType.ptr, FFIType.u64],
  returns: FFIType.i64_fast,
} as const;
/** What a socket may hold beyond its buffer: the piece that did not fit any more. */
const BEYOND_BYTES = 1_048_576;

const offset = new BigInt64Array(1);
const offsetAt = ptr(offset);

interface Found {
  readonly call: SendFile;
  readonly inFlightMax: number;
}
/** Null where there is none; undefined before it was looked for. */
let found: Found | null | undefined;

function find(): Found | null {
  if (process.platform !== "linux") return null;
  try {
    // Smallest, usual and largest buffer of a sending socket.
    const largest = Number(readFileSync("/proc/sys/net/ipv4/tcp_wmem", "utf8").trim().split(/\s+/)[2]);
    const call = load();
    return call === null || !(largest > 0) ? null : { call, inFlightMax: largest + BEYOND_BYTES };
  } catch {
    return null; // a system that does not tell
  }
}

function load(): SendFile | null {
  for (const library of LIBRARIES) {
    try {
      return dlopen(library, { sendfile: SENDFILE }).symbols.sendfile;
    } catch {
      // The other C library, or none that may be opened.
    }
  }
  return null;
}

/** Whether files can be moved into sockets on this system. */
function canMoveFiles(): boolean {
  if (found === undefined) found = find();
  return found !== null;
}

/**
 * Most bytes that a socket has taken and that may not have arrived yet; Infinity where files cannot be moved. The pages
 * of a file that are on their way are those of the file still: who changes it changes them.
 */
export const inFlightMax = (): number => (canMoveFiles() ? found!.inFlightMax : Number.POSITIVE_INFINITY);

/**
 * Moves up to `length` bytes of an open file, from `from` on, into a socket that does not block. Returns how many were
 * moved: 0 when it takes none now, or when something is wrong, which an ordinary read or write then tells.
 */
export function moveFile(socket: number, file: number, from: number, length: number): number {
  if (!canMoveFiles()) return 0;
  offset[0] = BigInt(from);
  return Math.max(0, Number(found!.call(socket, file, offsetAt, BigInt(length))));
}
