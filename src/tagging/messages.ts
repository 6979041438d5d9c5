// What the thread of the queues is told, and what it tells.
import type { TaggingConfig } from "../config/schema-tagging.ts";
import type { Consent } from "../engines/tagging/consent/consent.ts";
import type { TagEvent } from "../engines/tagging/event.ts";
import type { Unwanted } from "../engines/tagging/selection.ts";
import type { DispatchState, Replayed } from "./dispatch.ts";
import type { RawEvent } from "./raw-event.ts";
import type { Way } from "./trail.ts";

/** One route's part. */
export interface RouteSetup {
  readonly route: string;
  /** Folder of its own for what is kept. */
  readonly folder: string;
  readonly config: TaggingConfig;
}

/** What a worker hands over: events and choices in their order. */
export type Handover =
  | { readonly kind: "events"; readonly route: string; readonly events: readonly RawEvent[] }
  | { readonly kind: "choice"; readonly route: string; readonly visit: string; readonly consent: Consent };

export type TaggingOrder =
  | Handover
  /** Other routes from now on; those that are as they were go on. Answered by `open` or `refused`. */
  | { readonly kind: "setup"; readonly number: number; readonly routes: readonly RouteSetup[] }
  | { readonly kind: "state"; readonly number: number }
  | { readonly kind: "replay"; readonly number: number; readonly route: string; readonly destination: string }
  /** What became of one of the last events. */
  | { readonly kind: "trace"; readonly number: number; readonly id: string }
  /** Whether anybody watches events as they come. */
  | { readonly kind: "watch"; readonly on: boolean }
  /** Writes down what is in memory, and ends. */
  | { readonly kind: "close" };

export interface RouteState extends DispatchState {
  readonly route: string;
}

export type TaggingNews =
  | { readonly kind: "open"; readonly number: number }
  | { readonly kind: "refused"; readonly number: number; readonly route: string; readonly text: string }
  | { readonly kind: "state"; readonly number: number; readonly routes: readonly RouteState[] }
  | { readonly kind: "replayed"; readonly number: number; readonly result: Replayed | string }
  | { readonly kind: "traced"; readonly number: number; readonly ways: readonly (Way & { readonly route: string })[] }
  | { readonly kind: "trouble"; readonly route: string; readonly text: string }
  | {
      readonly kind: "unwanted";
      readonly route: string;
      readonly destination: string;
      readonly why: Unwanted | "age";
      readonly count: number;
    }
  | { readonly kind: "event"; readonly route: string; readonly event: TagEvent };
