// What the threads of the disk tier say to each other.
import type { MessagePort } from "node:worker_threads";
import type { SweepRule } from "./disk-sweep.ts";

/** What a thread needs to read and feed the tier. */
export interface DiskShare {
  readonly path: string;
  readonly seed: bigint;
  /** Large bodies may be this long. */
  readonly largeBytesMax: number;
  readonly index: SharedArrayBuffer;
  readonly board: SharedArrayBuffer;
  /** See disk-changes.ts. */
  readonly changes: SharedArrayBuffer;
}

/** What the writing thread is started with. */
export interface DiskSetup {
  readonly path: string;
  readonly bytesMax: number;
  readonly segmentBytes: number;
  readonly index: SharedArrayBuffer;
  readonly board: SharedArrayBuffer;
  readonly changes: SharedArrayBuffer;
}

/** From who started the thread. */
export type DiskOrder =
  | { readonly kind: "connect"; readonly port: MessagePort }
  | { readonly kind: "resize"; readonly bytesMax: number }
  | { readonly kind: "close" };

/** To who started the thread. */
export type DiskNews =
  | { readonly kind: "open"; readonly seed: bigint }
  | { readonly kind: "refused"; readonly text: string }
  | { readonly kind: "trouble"; readonly text: string };

/** From a thread with a port. `flush`, `sweep` and `sync` are answered. */
export type DiskTask =
  | { readonly kind: "put"; readonly low: number; readonly high: number; readonly record: Uint8Array }
  | { readonly kind: "delete"; readonly low: number; readonly high: number; readonly record: Uint8Array }
  | { readonly kind: "flush"; readonly number: number }
  /** What was put, deleted and changed so far is to be on the disk itself. */
  | { readonly kind: "sync"; readonly number: number }
  /** Nothing of what is there can be trusted any more. */
  | { readonly kind: "distrust" }
  | { readonly kind: "sweep"; readonly number: number; readonly rule: SweepRule };

/** The answer to a task with this number: done. `removed` are the entries that a sweep removed. */
export interface DiskAnswer {
  readonly number: number;
  readonly removed: number;
}
