// When a request may be tried again and when a second server is asked at the same time: what an upstream or a route
// says, made ready for the way of a request.
import { type Fault, specOf } from "../core/faults.ts";
import { GRPC_STATUS, grpcStatusOf } from "../http/grpc.ts";
import { ID } from "../http/header-names.ts";
import type { ResponseHead } from "../http/message.ts";

/** How a policy is written in a configuration, apart from `hedge`. */
export interface RetryRules {
  readonly attempts: number;
  readonly on: readonly string[];
  readonly unsafeMethods: boolean;
  readonly perTry?: number | undefined;
  readonly backoff: number;
  readonly body: number;
}

/** RFC 9110 §9.2.2: methods whose second sending does no further harm. */
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]);

export const isIdempotent = (method: string): boolean => IDEMPOTENT.has(method);

/** Nothing was sent to any server: there is none, or none that can be reached. */
export const isUnsent = (cause: Fault): boolean =>
  cause.code === "upstream.none" || cause.code === "upstream.circuit_open" || specOf(cause).retry === "always";

/** Words of `retry.on` for a grpc-status. */
const GRPC_WORDS: Readonly<Record<string, number>> = {
  "grpc-cancelled": GRPC_STATUS.cancelled,
  "grpc-deadline-exceeded": GRPC_STATUS.deadlineExceeded,
  "grpc-resource-exhausted": GRPC_STATUS.resourceExhausted,
  "grpc-internal": GRPC_STATUS.internal,
  "grpc-unavailable": GRPC_STATUS.unavailable,
};

export class RetryPolicy {
  /** How often a request may be tried again. */
  readonly attempts: number;
  readonly unsafeMethods: boolean;
  /** Longest wait for an answer while another try may follow, in milliseconds; 0 for no limit of its own. */
  readonly perTryMs: number;
  readonly #backoffMs: number;
  /** Longest request body that is kept, in bytes. */
  readonly bodyMax: number;
  readonly #connect: boolean;
  readonly #reset: boolean;
  /** By status: the server's answer, or the error that Sluice would make. */
  readonly #statuses: readonly number[];
  readonly #grpcStatuses: readonly number[];

  constructor(rules: RetryRules) {
    this.attempts = rules.attempts;
    this.unsafeMethods = rules.unsafeMethods;
    // Where no answer in time is not tried again, a shorter time would only make failures of what others answer late.
    this.perTryMs = rules.on.includes("504") ? (rules.perTry ?? 0) : 0;
    this.#backoffMs = rules.backoff;
    this.bodyMax = rules.body;
    this.#connect = rules.on.includes("connect");
    this.#reset = rules.on.includes("reset");
    this.#statuses = rules.on.map(Number).filter((status) => status > 0);
    this.#grpcStatuses = rules.on.flatMap((word) => GRPC_WORDS[word] ?? []);
  }

  /** Whether a request may leave a server that is found to be down. */
  get moves(): boolean {
    return this.#reset;
  }

  onStatus(status: number): boolean {
    return this.#statuses.includes(status);
  }

  /** Whether this answer may be followed by another try: by its status, or the grpc-status that stands in its head. */
  onAnswer({ status, headers }: ResponseHead): boolean {
    if (status >= 400) return this.onStatus(status);
    if (this.#grpcStatuses.length === 0 || !headers.received(ID["grpc-status"])) return false;
    return this.#grpcStatuses.includes(grpcStatusOf(headers));
  }

  /** Whether this failure may be followed by another try. `repeatable`: sending the request twice does no harm. */
  onFault(cause: Fault, repeatable: boolean): boolean {
    const { retry, status } = specOf(cause);
    if (retry === "always") return this.#connect; // nothing was sent
    if (retry === "never" || !repeatable) return false;
    return retry === "reset" ? this.#reset : this.#statuses.includes(status);
  }

  /** How long to wait before the retry with this number, from 1, in milliseconds: none before the first. */
  pauseMs(retry: number, random: number): number {
    return retry < 2 ? 0 : Math.round(random * this.#backoffMs * 2 ** (retry - 2));
  }
}

/** What a server has refused without looking at it is sent again in any case, if it is not longer than this. */
const UNSEEN_BODY_BYTES = 65_536;

export const NO_RETRY: RetryPolicy = new RetryPolicy({
  attempts: 0,
  on: [],
  unsafeMethods: false,
  backoff: 0,
  body: UNSEEN_BODY_BYTES,
});

/** When more servers are asked: after a time in milliseconds, or at a quantile (0 to 1) of the upstream's latencies. */
export interface HedgePolicy {
  readonly max: number;
  readonly afterMs: number;
  /** 0 for `afterMs`. */
  readonly quantile: number;
}

/** `p95` or milliseconds as a policy. */
export function hedgePolicy(rules: { readonly after: string | number; readonly max: number }): HedgePolicy {
  const { after, max } = rules;
  if (typeof after === "number") return { max, afterMs: after, quantile: 0 };
  return { max, afterMs: 0, quantile: Number(after.slice(1)) / 100 };
}
