// What goes wrong between us and an authority, as one kind of error with the fields that decide what to do next.

export interface ProblemFields {
  /** The last part of an RFC 8555 §6.7 type, such as `rateLimited`; or one of ours: `unreachable`, `unusable`. */
  readonly type: string;
  readonly detail: string;
  /** Of the answer; 0 when there was none. */
  readonly status?: number;
  /** The authority wants to be left alone for so long. */
  readonly retryAfterMs?: number | null;
}

export class AcmeProblem extends Error {
  readonly type: string;
  readonly status: number;
  readonly retryAfterMs: number | null;

  constructor({ type, detail, status = 0, retryAfterMs = null }: ProblemFields) {
    super(`${type}: ${detail}`);
    this.name = "AcmeProblem";
    this.type = type;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

const URN = "urn:ietf:params:acme:error:";
/** Enough to understand it, and too little to fill a log with. */
const DETAIL_LENGTH_MAX = 500;

/** A problem document (RFC 9457) in an answer, or in the `error` of an order or a challenge. */
export function problemOf(document: unknown, status: number, retryAfterMs: number | null = null): AcmeProblem {
  const { type, detail, subproblems } = (typeof document === "object" && document !== null ? document : {}) as {
    readonly [field in "type" | "detail" | "subproblems"]?: unknown;
  };
  const texts = [typeof detail === "string" ? detail : `status ${status} without a reason`];
  if (Array.isArray(subproblems)) {
    for (const each of subproblems as readonly { readonly detail?: unknown }[])
      if (typeof each?.detail === "string") texts.push(each.detail);
  }
  return new AcmeProblem({
    type: typeof type === "string" ? type.replace(URN, "") : "unusable",
    detail: texts.join("; ").slice(0, DETAIL_LENGTH_MAX),
    status,
    retryAfterMs,
  });
}

/** Whether it says something of the directory and nothing of the name: asking it for other names is no use now. */
export const isOutage = (error: unknown): boolean =>
  error instanceof AcmeProblem &&
  (error.type === "unreachable" || error.type === "serverInternal" || error.status >= 500);
