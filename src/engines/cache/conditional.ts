// Conditional requests of clients that the cache answers by itself (RFC 9111 §4.3.2).
import { isNotModified, rangeApplies, type Validators } from "../../http/conditional.ts";
import { type HeaderBlock, type SkipSet, skipSet } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";
import { NO_DATE, parseHttpDate } from "../../http/http-date.ts";
import { type RangeOutcome, requestedRanges } from "../../http/ranges.ts";

/** What is known of a stored answer to compare conditions with; made when it is stored. */
export interface StoredValidators {
  /** As the server sent them. */
  readonly own: Validators;
  /** With the Date in place of a missing Last-Modified, for If-Modified-Since (RFC 9111 §4.3.2). */
  readonly forClient: Validators;
  /** The Last-Modified field as it came, for validation; null where it is missing or no date. */
  readonly lastModified: string | null;
}

/** The validators of a stored head, which has a Date always. `now`: about when, in milliseconds since 1970. */
export function validatorsOf(headers: HeaderBlock, now: number): StoredValidators {
  const dateField = headers.getById(ID.date);
  const date = dateField === null ? NO_DATE : parseHttpDate(dateField, now);
  const field = headers.getById(ID["last-modified"]);
  const lastModified = field === null ? NO_DATE : parseHttpDate(field, now);
  const own: Validators = { etag: headers.getById(ID.etag), lastModified, date };
  if (!Number.isNaN(lastModified)) return { own, forClient: own, lastModified: field };
  return { own, forClient: { ...own, lastModified: date }, lastModified: null };
}

/** Whether a request has conditions that are for the server alone, so that the cache lets it pass (RFC 9111 §4.3.2). */
export function isForServer(request: HeaderBlock): boolean {
  return request.getById(ID["if-match"]) !== null || request.getById(ID["if-unmodified-since"]) !== null;
}

/** What a client gets of a stored answer that may be used. */
export type Serving =
  | { readonly kind: "full" }
  | { readonly kind: "not-modified" }
  /** 206 with these ranges, or 416. */
  | Exclude<RangeOutcome, { readonly kind: "whole" }>;

const FULL: Serving = { kind: "full" };
const NOT_MODIFIED: Serving = { kind: "not-modified" };

/**
 * What to answer to a GET or HEAD from an answer of this status with `length` bytes (-1: not known yet, ranges are not
 * served then). Conditions and ranges count for 200 alone (RFC 9110 §13.2.1, §14.2); ranges only for GET.
 */
export function serving(
  method: string,
  request: HeaderBlock,
  status: number,
  validators: StoredValidators,
  length: number,
  now: number,
): Serving {
  if (status !== 200) return FULL;
  if (isNotModified(request, validators.forClient, now)) return NOT_MODIFIED;
  if (method !== "GET" || length < 0) return FULL;
  const range = request.getById(ID.range);
  if (range === null || !rangeApplies(request, validators.own, now)) return FULL;
  const outcome = requestedRanges(range, length);
  return outcome.kind === "whole" ? FULL : outcome;
}

/** Of the stored head, what a 304 does not repeat: what describes the content that it does not have (RFC 9110 §15.4.5). */
export const NOT_IN_304: SkipSet = skipSet(ID["content-length"], ID["content-type"], ID["content-encoding"]);
