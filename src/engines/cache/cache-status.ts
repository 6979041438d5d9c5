// The Cache-Status field (RFC 9211): what this cache did with a request. Common values are made once.

/** Why a request went to the server (RFC 9211 §2.2). */
export type ForwardReason =
  /** The cache was told not to look: an unsuitable request, a route's rule, hit-for-miss. */
  | "bypass"
  /** Its method is not one that is answered from the cache. */
  | "method"
  /** Nothing is stored for the address. */
  | "uri-miss"
  /** Something is, but no variant that fits. */
  | "vary-miss"
  /** Nothing fits, whichever of both it was. */
  | "miss"
  /** Something fits, but the request wants news. */
  | "request"
  | "stale"
  /** Only a part of it is stored. */
  | "partial";

const NAME = "sluice";

export const HIT_STATUS = `${NAME}; hit`;

/** A hit with what is left of its freshness in seconds (negative when it is stale), for those who may know. */
export function hitStatus(ttlSeconds: number): string {
  return `${HIT_STATUS}; ttl=${Math.floor(ttlSeconds)}`;
}

/** What became of a request that went to the server. */
export interface Forwarded {
  readonly reason: ForwardReason;
  /** The status of the server's answer, where it is not the one that the client gets; 0 otherwise. */
  readonly status: number;
  readonly stored: boolean;
  /** It was answered by a request that was under way for another one. */
  readonly collapsed: boolean;
  /** A word more, for those who may know; "" for none. */
  readonly detail: string;
}

const made = new Map<number, string>();
/** The detail of a stale answer that stands in for one that failed; the reason is `stale` then (RFC 9211 §2.2). */
export const STANDS_IN = "stale-if-error";
/** The same where the server has failed so lately that it is not asked. */
export const STANDS_IN_UNASKED = `${HIT_STATUS}; detail=${STANDS_IN}`;

const REASONS: readonly ForwardReason[] = [
  "bypass",
  "method",
  "uri-miss",
  "vary-miss",
  "miss",
  "request",
  "stale",
  "partial",
];

/** The value for a request that went to the server. */
export function forwardedStatus(forwarded: Forwarded): string {
  if (forwarded.detail !== "") return `${bareStatus(forwarded)}; detail=${detailText(forwarded.detail)}`;
  const flags = (forwarded.stored ? 1 : 0) + (forwarded.collapsed ? 2 : 0);
  // One slot for each combination that can be: 8 reasons, statuses below 1024, two flags.
  const slot = (REASONS.indexOf(forwarded.reason) * 1024 + (forwarded.status & 1023)) * 4 + flags;
  let text = made.get(slot);
  if (text === undefined) {
    text = bareStatus(forwarded);
    made.set(slot, text);
  }
  return text;
}

function bareStatus({ reason, status, stored, collapsed }: Forwarded): string {
  let text = `${NAME}; fwd=${reason}`;
  if (status !== 0) text += `; fwd-status=${status}`;
  if (stored) text += "; stored";
  if (collapsed) text += "; collapsed";
  return text;
}

/** A token where it is one, else a quoted string of what such may hold (RFC 9651 §3.3.3, §3.3.4). */
function detailText(detail: string): string {
  if (/^[A-Za-z*][A-Za-z0-9!#$%&'*+\-.^_`|~:/]*$/.test(detail)) return detail;
  return `"${detail.replace(/[^\x20-\x7e]/g, "?").replace(/[\\"]/g, "\\$&")}"`;
}

/** The `key` parameter as a quoted string (RFC 9211 §2.7). */
export function keyParameter(key: string): string {
  return `; key="${key.replace(/[^\x20-\x7e]/g, " ").replace(/[\\"]/g, "\\$&")}"`;
}
