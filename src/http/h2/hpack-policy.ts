// Which fields the encoder gives a place in the dynamic table (RFC 7541 §7.1 on what must not have one).
import { ID, ID_COUNT, type KnownName } from "../header-names.ts";

/** Always inserted: the value repeats from message to message, or is one of a few. */
export const STEADY = 1;
/** Inserted once for its name, and with another value only when that value has come before. */
const OBSERVED = 2;
/** Never inserted: the value is another one each time, and the name is in the static table. */
export const VARYING = 3;
/** Written as a literal that nobody on the way may ever index: whoever can guess values may not learn of a hit. */
export const SECRET = 4;

const STEADY_NAMES: readonly KnownName[] = [
  "server",
  "via",
  "date", // changes once a second, and stands in every answer of that second
  "content-type",
  "content-encoding",
  "cache-control",
  "vary",
  "accept",
  "accept-encoding",
  "accept-language",
  "user-agent",
  "te",
  "x-forwarded-proto",
  "x-forwarded-host",
  "x-forwarded-port",
];
const VARYING_NAMES: readonly KnownName[] = [
  "etag",
  "content-length",
  "location",
  "last-modified",
  "if-none-match",
  "if-modified-since",
  "range",
  "age",
  "cookie", // long ones; a short one is a secret
];
const SECRET_NAMES: readonly KnownName[] = ["authorization", "proxy-authorization", "set-cookie"];

const POLICIES: Uint8Array = new Uint8Array(ID_COUNT).fill(OBSERVED);
for (const name of STEADY_NAMES) POLICIES[ID[name]] = STEADY;
for (const name of VARYING_NAMES) POLICIES[ID[name]] = VARYING;
for (const name of SECRET_NAMES) POLICIES[ID[name]] = SECRET;

/** A cookie of fewer bytes could be guessed. Longer ones are random enough (20 is what others draw the line at). */
const SHORT_COOKIE = 20;

/** How a field with this id and this many bytes of value is written. */
export function policyOf(id: number, valueLength: number): number {
  return id === ID.cookie && valueLength < SHORT_COOKIE ? SECRET : POLICIES[id]!;
}
