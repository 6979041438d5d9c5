// How old an answer is (RFC 9111 §4.2.3).
import { isDigit, isSpace } from "../../http/grammar.ts";
import { DELTA_MAX } from "./cache-control.ts";

/**
 * The seconds of an Age field: of a list the first member, larger ones as 2^31; 0 without the field and where it is no
 * number (RFC 9111 §5.1).
 */
export function parseAge(field: string | null): number {
  if (field === null) return 0;
  const comma = field.indexOf(",");
  let end = comma < 0 ? field.length : comma;
  while (end > 0 && isSpace(field.charCodeAt(end - 1))) end -= 1;
  if (end === 0) return 0;
  for (let at = 0; at < end; at += 1) if (!isDigit(field.charCodeAt(at))) return 0;
  return Math.min(Number(field.slice(0, end)), DELTA_MAX);
}

/**
 * How old an answer was when it came, in milliseconds: corrected_initial_age of RFC 9111 §4.2.3. `date` is NO_DATE
 * when the answer has none, or a broken one; then only Age tells. `requestTime` and `responseTime` are when the
 * request was sent and when the head of the answer came.
 */
export function initialAge(age: number, date: number, requestTime: number, responseTime: number): number {
  const corrected = age * 1000 + Math.max(0, responseTime - requestTime);
  // Dates are cut to whole seconds: what is younger than one may be as good as new, and `max-age=1` would be worth
  // nothing.
  const apparent = Math.floor((responseTime - date) / 1000) * 1000;
  return apparent > corrected ? apparent : corrected;
}

/** The Age field of an answer that was as good as made at `bornAt` (RFC 9111 §5.1). */
export function ageSeconds(bornAt: number, now: number): number {
  const seconds = Math.floor((now - bornAt) / 1000);
  return seconds < 0 ? 0 : Math.min(seconds, DELTA_MAX);
}
