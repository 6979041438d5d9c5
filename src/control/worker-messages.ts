// What the supervisor and its worker threads say to each other. Everything survives structured cloning.
import type { Config } from "../config/schema.ts";
import type { LogLevel } from "../observe/log.ts";
import type { MetricsMessage } from "../observe/metrics-page.ts";

/** A configuration with plugins holds functions, which cannot be sent: the worker loads the same file itself. */
export type ConfigSource =
  | { readonly kind: "config"; readonly config: Config }
  | {
      readonly kind: "file";
      readonly path: string;
      /** All files that made it, and when they began to be read (milliseconds since 1970). */
      readonly files: readonly string[];
      readonly readAt: number;
    };

export interface WorkerData {
  readonly id: number;
  readonly primary: boolean;
  readonly via: string;
  readonly level: LogLevel;
}

export type ToWorker =
  | { readonly kind: "prepare"; readonly source: ConfigSource; readonly ports: ReadonlyMap<string, number> }
  | { readonly kind: "commit" }
  | { readonly kind: "discard" }
  | { readonly kind: "reopen-logs" }
  | { readonly kind: "drain"; readonly ms: number };

export interface ServerState {
  readonly name: string;
  readonly weight: number;
  readonly open: number;
  readonly idle: number;
  readonly queued: number;
  readonly failing: boolean;
}

export interface UpstreamState {
  readonly name: string;
  readonly servers: readonly ServerState[];
}

export type FromWorker =
  | MetricsMessage
  | { readonly kind: "prepared"; readonly ports: ReadonlyMap<string, number> }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "committed" }
  | { readonly kind: "drained" }
  | { readonly kind: "state"; readonly connections: number; readonly upstreams: readonly UpstreamState[] };
