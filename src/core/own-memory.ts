// Memory that the collector knows nothing of, for bytes that are kept for long. The runtime lets its garbage grow with
// what lives: a hundred megabytes of buffers would have it leave as much again lying about. Where the C library cannot
// be used, these bytes are buffers like others (docs/decisions/0044-memory-of-the-cache.md).
import { dlopen, FFIType, type Pointer, ptr, read } from "bun:ffi";

/** The C library of glibc, of musl, and of macOS. */
const LIBRARIES: readonly string[] = [
  "libc.so.6",
  `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`,
  "libSystem.B.dylib",
];
const CALLS = {
  malloc: { args: [FFIType.u64], returns: FFIType.ptr },
  free: { args: [FFIType.ptr], returns: FFIType.void },
  memcpy: { args: [FFIType.ptr, FFIType.ptr, FFIType.u64], returns: FFIType.ptr },
} as const;

/** Where something lies; never 0. It is good until it is freed, which has to happen once. */
export type Handle = number;

interface Memory {
  /** Keeps a copy of the first `length` bytes; 0 where there is no memory. */
  keep(bytes: Buffer, length: number): Handle;
  /** Copies `length` bytes, from `offset` on, to the beginning of `into`. */
  copyTo(into: Buffer, handle: Handle, offset: number, length: number): void;
  /** Copies all of `bytes` over what lies at `offset`. */
  overwrite(handle: Handle, offset: number, bytes: Buffer): void;
  /** The number of four bytes at the offset. */
  int32(handle: Handle, offset: number): number;
  free(handle: Handle): void;
}

function native(): Memory | null {
  for (const library of LIBRARIES) {
    try {
      const { malloc, free, memcpy } = dlopen(library, CALLS).symbols;
      const at = (handle: Handle): Pointer => handle as Pointer;
      return {
        keep(bytes, length) {
          const address = malloc(length);
          if (address === null) return 0;
          memcpy(address, ptr(bytes), length);
          return Number(address);
        },
        copyTo: (into, handle, offset, length) => void memcpy(ptr(into), at(handle + offset), length),
        overwrite: (handle, offset, bytes) => void memcpy(at(handle + offset), ptr(bytes), bytes.length),
        int32: (handle, offset) => read.i32(at(handle), offset),
        free: (handle) => free(at(handle)),
      };
    } catch {
      // Another C library, or none that may be opened.
    }
  }
  return null;
}

/** Exported for its test. */
export function ofBuffers(): Memory {
  const kept = new Map<Handle, Buffer>();
  let last = 0;
  return {
    keep(bytes, length) {
      last += 1;
      kept.set(last, Buffer.from(bytes.subarray(0, length)));
      return last;
    },
    copyTo: (into, handle, offset, length) => void kept.get(handle)!.copy(into, 0, offset, offset + length),
    overwrite: (handle, offset, bytes) => void bytes.copy(kept.get(handle)!, offset),
    int32: (handle, offset) => kept.get(handle)!.readInt32LE(offset),
    free: (handle) => void kept.delete(handle),
  };
}

/** That of this thread. */
export const ownMemory: Memory = native() ?? ofBuffers();
