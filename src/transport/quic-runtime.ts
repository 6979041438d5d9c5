// The runtime's QUIC, loaded where it is wanted: it warns at once that it is experimental. Whoever opens a port says
// that as well, with the listener's name and in the log, so the runtime's own line is left out.

import type { QuicStream } from "node:quic";

type Runtime = typeof import("node:quic");

let loaded: Runtime | null = null;

/** Throws an Error where the runtime has none. */
export function quic(): Runtime {
  loaded ??= load();
  if (loaded === null) throw new Error("this runtime has no node:quic");
  return loaded;
}

function load(): Runtime | null {
  const { emitWarning } = process;
  process.emitWarning = (...told: readonly unknown[]) => {
    if (told[1] !== "ExperimentalWarning") Reflect.apply(emitWarning, process, told);
  };
  try {
    return process.getBuiltinModule("node:quic") ?? null;
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** A stream with the calls that the types leave out. */
export type NativeStream = QuicStream & {
  /** Asks the client to send no more (STOP_SENDING). */
  stopSending(code: bigint): void;
  /** Ends our side at once (RESET_STREAM). */
  resetStream(code: bigint): void;
};

export const DRAINABLE: unique symbol = Symbol.for("Stream.drainableProtocol") as never;

/** What the runtime's streams are written to with; its types leave out how much more it takes. */
export interface NativeWriter {
  /** Bytes until it is full; null when nothing can be written any more. */
  readonly desiredSize: number | null;
  /** False: full. A full writer takes nothing; one that is not takes pieces of any size, and copies them. */
  writeSync(piece: Uint8Array): boolean;
  /** Returns -1 while it is full. */
  endSync(): number;
  /** Settles when it is no longer full; null when it is not. Until then it takes nothing. */
  [DRAINABLE](): Promise<unknown> | null;
}
