// What status codes mean to a cache (RFC 9111 §3, RFC 9110 §15).

/** Final statuses whose rules are known here; others are stored only without must-understand (RFC 9111 §5.2.2.3). */
const UNDERSTOOD: ReadonlySet<number> = new Set([
  200, 201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409,
  410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504,
  505, 511,
]);
/** RFC 9110 §15.1: heuristically cacheable. */
const BY_DEFAULT: ReadonlySet<number> = new Set([200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501]);
/**
 * What a single request with a strange field, method, target or body can make a server answer on an address that is
 * fine for all others. Stored, it would keep them all out.
 */
const PROVOKED: ReadonlySet<number> = new Set([
  400, 401, 402, 403, 405, 406, 407, 408, 409, 411, 412, 413, 414, 415, 416, 417, 421, 422, 423, 424, 425, 426, 428,
  429, 431, 511,
]);
const STALE_FOR: ReadonlySet<number> = new Set([500, 502, 503, 504]);

export const isUnderstood = (status: number): boolean => UNDERSTOOD.has(status);
export const isCacheableByDefault = (status: number): boolean => BY_DEFAULT.has(status);
/** Whether a request can bring this status about by how it asks. Every failure of the server is suspected too. */
export const isProvoked = (status: number): boolean => status >= 500 || PROVOKED.has(status);
/** Whether a stale answer may stand in for one of this status (RFC 5861 §4). */
export const isStaleStatus = (status: number): boolean => STALE_FOR.has(status);
