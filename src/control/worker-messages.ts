// What the supervisor and its worker threads say to each other. Everything survives structured cloning.

import type { PeerMessage } from "../cache/peers.ts";
import type { Purge } from "../cache/purge.ts";
import type { NameAnswer } from "../certificates/contexts.ts";
import type { CertificateUpdate } from "../certificates/served.ts";
import type { Fragment } from "../config/fragment.ts";
import type { Config } from "../config/schema.ts";
import type { LogLevel } from "../observe/log.ts";
import type { MetricsMessage } from "../observe/metrics-page.ts";
import type { ProxyEvent } from "../pipeline/events.ts";
import type { Claimed } from "../pipeline/key-book.ts";
import type { KeyAnswer, KeyQuestion } from "../pipeline/own-keys.ts";
import type { Ban } from "../pipeline/shared.ts";
import type { ChallengeAnswer } from "../server/challenge-answers.ts";
import type { BoardMemory } from "../upstream/board.ts";
import type { UpstreamMembership } from "../upstream/member.ts";
import type { DiskAccess } from "./cache-disk.ts";
import type { KeyMessage } from "./keys.ts";
import type { Memories } from "./shared.ts";

/** A configuration with plugins holds functions, which cannot be sent: the worker loads the same file itself. */
export type ConfigSource =
  | { readonly kind: "config"; readonly config: Config }
  | {
      readonly kind: "file";
      readonly path: string;
      /** All files that made it, and when they began to be read (milliseconds since 1970). */
      readonly files: readonly string[];
      readonly readAt: number;
      /** What providers added to it. */
      readonly fragments: readonly Fragment[];
    };

export interface WorkerData {
  readonly id: number;
  readonly primary: boolean;
  readonly via: string;
  readonly level: LogLevel;
  /** What all threads share of their servers; a worker's own row on it is its id + 1. */
  readonly board: BoardMemory;
  /** Signs sticky cookies where the configuration has no secret. */
  readonly secret: Uint8Array;
  /** How many workers there are. */
  readonly threads: number;
  /** See cache/changes.ts. */
  readonly cacheChanges: SharedArrayBuffer;
  /** See cache/peers.ts. */
  readonly cacheDirectory: SharedArrayBuffer;
}

/** Who the servers are, by upstream. */
export type Memberships = ReadonlyMap<string, UpstreamMembership>;

/** What workers know beside the configuration, and hear of when it changes. */
export interface Knowledge {
  readonly memberships: Memberships;
  readonly certificates: readonly CertificateUpdate[];
  /** What authorities are answered at the moment. */
  readonly challenges: readonly ChallengeAnswer[];
  /** What filters of all threads share, by name. */
  readonly memories: Memories;
}

export type ToWorker =
  | {
      readonly kind: "prepare";
      readonly source: ConfigSource;
      readonly ports: ReadonlyMap<string, number>;
      readonly knowledge: Knowledge;
    }
  /** Something to answer an authority, or no longer. */
  | { readonly kind: "challenge"; readonly change: ChallengeAnswer }
  /** The certificates of one listener are others. */
  | { readonly kind: "certificates"; readonly update: CertificateUpdate }
  /** What was asked for with `want-certificate`. */
  | { readonly kind: "certificate"; readonly question: number; readonly answer: NameAnswer }
  /** What was asked for with `want-token`; null when nobody knows of it. */
  | { readonly kind: "token"; readonly question: number; readonly response: string | null }
  /** What has become of a key that was asked for with `key`. */
  | { readonly kind: "claimed"; readonly question: number; readonly claimed: Claimed }
  /** What was asked for with `want-usage`. */
  | { readonly kind: "usage"; readonly question: number; readonly usage: readonly object[] }
  /** What was asked for with `own-keys`. */
  | { readonly kind: "own-keys-answer"; readonly question: number; readonly answer: KeyAnswer }
  /** What threads look things up in is another one now. */
  | { readonly kind: "memory"; readonly name: string; readonly memory: SharedArrayBuffer }
  /** The servers of one upstream have changed. */
  | { readonly kind: "members"; readonly upstream: string; readonly membership: UpstreamMembership }
  /** To be answered at once: what was said before has been heard. */
  | { readonly kind: "ping" }
  | { readonly kind: "commit" }
  | { readonly kind: "discard" }
  /** What another worker says about what is stored. */
  | { readonly kind: "from-peer"; readonly from: number; readonly message: PeerMessage }
  /** Stored answers are to be forgotten; answered with `purged`. */
  | { readonly kind: "purge"; readonly question: number; readonly purge: Purge }
  /** There are to be so many workers: each has an equal part of the memory for stored answers. */
  | { readonly kind: "threads"; readonly count: number }
  /** Where answers are stored on the disk. */
  | { readonly kind: "disk"; readonly access: DiskAccess | null }
  /** Somebody watches what is served, or nobody does any more. */
  | { readonly kind: "watched"; readonly isWatched: boolean }
  | { readonly kind: "reopen-logs" }
  | { readonly kind: "drain"; readonly ms: number };

export interface ServerState {
  readonly name: string;
  readonly open: number;
  readonly idle: number;
  /** Its connects fail. */
  readonly failing: boolean;
}

export interface UpstreamState {
  readonly name: string;
  /** Requests that wait for a server with room. */
  readonly queued: number;
  readonly circuit: "none" | "closed" | "open" | "half-open";
  readonly servers: readonly ServerState[];
}

/** What a worker has stored. */
export interface CacheState {
  readonly bytes: number;
  readonly bytesMax: number;
  readonly addresses: number;
  /** Addresses forgotten so far because others needed their room. */
  readonly evictions: number;
  /** Fetches under way. */
  readonly filling: number;
}

export type FromWorker =
  | MetricsMessage
  | { readonly kind: "prepared"; readonly ports: ReadonlyMap<string, number> }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "committed" }
  | { readonly kind: "pong" }
  | { readonly kind: "drained" }
  /** Somebody is banned because of what came from him. */
  | { readonly kind: "ban"; readonly ban: Ban }
  /** Events of pages (tagging/messages.ts). */
  | { readonly kind: "hand-over"; readonly what: object }
  /** For those who watch. */
  | { readonly kind: "event"; readonly event: ProxyEvent }
  /** A client wants a certificate that the worker has not. */
  | {
      readonly kind: "want-certificate";
      readonly question: number;
      readonly listener: string;
      readonly name: string;
    }
  /** An authority asks for what another machine may have begun. */
  | { readonly kind: "want-token"; readonly question: number; readonly token: string }
  /** About a key of a request; `question` is 0 where there is nothing to answer. */
  | { readonly kind: "key"; readonly question: number; readonly message: KeyMessage }
  /** Somebody wants to know what he has used. */
  | {
      readonly kind: "want-usage";
      readonly question: number;
      readonly who: "user" | "consumer";
      readonly subject: string;
    }
  /** A consumer wants something about his own keys. */
  | { readonly kind: "own-keys"; readonly question: number; readonly about: KeyQuestion }
  /** For another worker, about what is stored. */
  | { readonly kind: "to-peer"; readonly to: number; readonly message: PeerMessage }
  | { readonly kind: "purged"; readonly question: number; readonly count: number }
  | {
      readonly kind: "state";
      readonly connections: number;
      readonly upstreams: readonly UpstreamState[];
      readonly cache: CacheState;
    };
