// What the admin API needs from the proxy that it administers, and the JSON that it answers with.
import type { Purge } from "../cache/purge.ts";
import type { CertificateReport } from "../certificates/report.ts";
import type { Diagnostic } from "../config/diagnostic.ts";
import type { DiskState } from "./cache-disk.ts";
import type { Commons } from "./commons.ts";
import type { EventHub } from "./events.ts";
import type { Fleet } from "./fleet.ts";
import type { UpstreamStatus } from "./upstream-report.ts";
import type { WafBlocks } from "./waf-blocks.ts";
import type { CacheState } from "./worker-messages.ts";

export interface WorkerStatus {
  readonly id: number;
  readonly state: "starting" | "ready" | "draining";
  /** Open client connections. */
  readonly connections: number;
  /** How often this worker was replaced. */
  readonly restarts: number;
}

export interface ListenerStatus {
  /** As configured. */
  readonly address: string;
  /** Where it really listens, with the port that the system chose for `:0`. */
  readonly bound: string;
  /** HTTP/3 is spoken on the UDP port of the same number. */
  readonly http3: boolean;
}

export interface ProxyStatus {
  readonly version: string;
  readonly pid: number;
  readonly state: "starting" | "ready" | "draining";
  /** ISO 8601. */
  readonly startedAt: string;
  /** Path of the configuration file; "" for a configuration given on the command line. */
  readonly configFile: string;
  /** When the configuration in use was loaded, ISO 8601. */
  readonly configLoadedAt: string;
  readonly listeners: readonly ListenerStatus[];
  readonly workers: readonly WorkerStatus[];
}

export interface Readiness {
  readonly ready: boolean;
  /** Why not, in plain words; empty when ready. */
  readonly reasons: readonly string[];
}

/** Diagnostics hold warnings when `ok`, else at least one error, and then nothing was changed. */
export interface ReloadResult {
  readonly ok: boolean;
  readonly diagnostics: readonly Diagnostic[];
}

/** A request that might come. */
export interface ExplainQuery {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Address of the client; null when it was not said. */
  readonly ip: string | null;
  /** Who would ask, where that chooses an upstream. */
  readonly consumer?: string | undefined;
  readonly plan?: string | undefined;
  readonly groups?: readonly string[] | undefined;
}

/** What became of a purge. */
export interface Purged {
  /** Answers that all workers here have forgotten. */
  readonly purged: number;
  /** Whether other machines have been told, where there are any, or will be once they can be. */
  readonly others?: "told" | "later";
}

/** The supervisor, as the admin API sees it. */
export interface AdminBackend {
  status(): ProxyStatus;
  /** The configuration in use; the admin API takes the secrets out. */
  config(): unknown;
  /** The route table in order, as JSON. */
  routes(): unknown;
  /** Upstreams, their servers and how these are doing, as JSON. */
  upstreams(): readonly UpstreamStatus[];
  /** The certificates of all listeners, without keys. */
  certificates(): readonly CertificateReport[];
  /** What each worker has stored, by its id. */
  cache(): readonly (CacheState & { readonly worker: number })[];
  /** The disk tier of the cache; null without one. */
  cacheDisk(): DiskState | null;
  /** Has stored answers forgotten by all workers, and on the machines that it shares state with. */
  purge(purge: Purge): Promise<Purged>;
  /** Who is banned, denied at run time, to be looked at and changed; and whom limits refuse. */
  readonly commons: Pick<
    Commons,
    "denials" | "bans" | "switches" | "consumers" | "lift" | "forgive" | "kept" | "refusedClients" | "usage" | "tagging"
  >;
  /** What happens, for those who watch. */
  readonly events: EventHub;
  /** The last requests that the firewall refused, or would have. */
  readonly wafBlocks: WafBlocks;
  /** The servers of all upstreams, to be looked at and changed. */
  readonly fleet: Fleet;
  /** Resolves when all workers act on what was changed before; or after a while, when one of them is stuck. */
  heard(): Promise<void>;
  /** Reads the configuration again. Rejects only for bugs. */
  reload(): Promise<ReloadResult>;
  /** Begins the graceful stop that SIGTERM begins, and returns at once. */
  drain(): void;
  ready(): Readiness;
  /** Prometheus text and its media type. */
  metrics(): Promise<{ readonly text: string; readonly contentType: string }>;
  /** What `sluice explain --json` prints. Throws RangeError when the URL or address of the query is not one. */
  explain(query: ExplainQuery): unknown;
  /** Ends one worker, which is then replaced; false when there is none with that id. */
  restartWorker(id: number): boolean;
}
