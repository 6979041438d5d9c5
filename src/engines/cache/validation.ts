// Asking the server whether a stored answer still holds (RFC 9111 §4.3), and what its answer changes.
import { hasStrongDate, isStrongTag, listsTag } from "../../http/conditional.ts";
import type { HeaderBlock } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";
import { formatHttpDate, parseHttpDate } from "../../http/http-date.ts";
import type { RequestHead, ResponseHead } from "../../http/message.ts";
import { parseAge } from "./age.ts";
import type { StoredValidators } from "./conditional.ts";
import type { CachePolicy } from "./policy.ts";
import { type StoredHead, updatedHead } from "./stored-head.ts";
import { type Admission, admitUpdated, type Refused } from "./storing.ts";

/** Entity tags beyond this many are not worth the bytes of the request. */
const TAGS_MAX = 16;

/**
 * Fields of a client's request that a request which fills the cache must not have: the answer would be for this client
 * alone.
 */
export const CLIENT_CONDITIONS: readonly string[] = [
  "if-match",
  "if-none-match",
  "if-modified-since",
  "if-unmodified-since",
  "if-range",
  "range",
];

/** The condition of a request that validates; null for a field that it does not have. */
export interface Condition {
  readonly ifNoneMatch: string | null;
  readonly ifModifiedSince: string | null;
}

/**
 * The condition to ask with (RFC 9111 §4.3.1): the entity tags of all these stored answers, the one that was selected
 * first, and the modification time of that. Null when there is nothing to ask with.
 */
export function conditionFor(stored: readonly StoredValidators[]): Condition | null {
  const tags = new Set<string>();
  for (const { own } of stored) if (own.etag !== null && tags.size < TAGS_MAX) tags.add(own.etag);
  const ifModifiedSince = stored[0]?.lastModified ?? null;
  if (tags.size === 0 && ifModifiedSince === null) return null;
  return { ifNoneMatch: tags.size === 0 ? null : [...tags].join(", "), ifModifiedSince };
}

/**
 * Which of the stored answers that were asked about a 304 is about (RFC 9111 §4.3.4), by index; the last ones came
 * last. None: the 304 is about something else, and the server has to be asked without a condition.
 */
export function confirmed(stored: readonly StoredValidators[], answer: HeaderBlock, now: number): number[] {
  const etag = answer.getById(ID.etag);
  const field = answer.getById(ID["last-modified"]);
  const lastModified = field === null ? Number.NaN : parseHttpDate(field, now);
  if (etag !== null && isStrongTag(etag)) {
    const same = indexes(stored, ({ own }) => own.etag === etag);
    if (same.length > 0) return same;
  }
  // Servers that compress weaken the tag of a 200 and forget it with the 304: compared weakly, it is what they were
  // asked.
  if (etag !== null) return indexes(stored, ({ own }) => listsTag(etag, own.etag, false)).slice(-1);
  if (!Number.isNaN(lastModified)) return indexes(stored, ({ own }) => own.lastModified === lastModified).slice(-1);
  // Without any validator it can only be about the one that was asked for.
  return stored.length === 1 ? [0] : [];
}

function indexes(stored: readonly StoredValidators[], fits: (each: StoredValidators) => boolean): number[] {
  return stored.flatMap((each, at) => (fits(each) ? [at] : []));
}

/** A stored answer after a 304, or the answer to a HEAD, has been worked into it. */
export interface Freshened {
  readonly head: StoredHead;
  /** Whether it may go on being stored: a 304 may say that it may not, and then it is given out once. */
  readonly admission: Admission | Refused;
}

/**
 * Works the fields of a 304 into a stored answer of `length` bytes, and its freshness anew (RFC 9111 §3.2, §4.3.4).
 * `request` is the one that was sent for it; times are milliseconds since 1970.
 */
export function freshen(
  request: RequestHead,
  stored: StoredHead,
  answer: ResponseHead,
  length: number,
  requestTime: number,
  responseTime: number,
  policy: CachePolicy,
): Freshened {
  // Without a Date of its own it is as old as it looks: it would be taken for as old as what it has just confirmed.
  if (answer.headers.getById(ID.date) === null) answer.headers.add("Date", formatHttpDate(responseTime));
  const age = parseAge(answer.headers.getById(ID.age));
  const unwithheld = updatedHead(stored, answer, [], length);
  const admission = admitUpdated(request, unwithheld, age, requestTime, responseTime, policy);
  if (!("times" in admission) || admission.withheld.length === 0) return { head: unwithheld, admission };
  return { head: updatedHead(stored, answer, admission.withheld, length), admission };
}

/**
 * What the 200 that answers a HEAD says of a stored answer to GET with `length` bytes (RFC 9111 §4.3.5): its fields
 * are to be worked in, or the stored answer is out of date. Other statuses say nothing.
 */
export function headSays(
  stored: StoredValidators,
  length: number,
  answer: ResponseHead,
): "update" | "outdated" | "nothing" {
  if (answer.status !== 200) return "nothing";
  const { headers } = answer;
  const etag = headers.getById(ID.etag);
  if (etag !== null && etag !== stored.own.etag) return "outdated";
  const lastModified = headers.getById(ID["last-modified"]);
  if (lastModified !== null && lastModified !== stored.lastModified) return "outdated";
  const stated = headers.getById(ID["content-length"]);
  return stated !== null && Number(stated) !== length ? "outdated" : "update";
}

/**
 * What to put into If-Range to have the missing bytes of a part: a validator that tells every two versions apart; null
 * without one, and parts must not be put together (RFC 9110 §15.3.7.3).
 */
export function strongValidator({ own, lastModified }: StoredValidators): string | null {
  if (own.etag !== null && isStrongTag(own.etag)) return own.etag;
  return lastModified !== null && hasStrongDate(own) ? lastModified : null;
}
