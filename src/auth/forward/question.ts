// What an auth server is asked: the fields of a request, and where it was going.
import { HOP_BY_HOP } from "../../http/header-block.ts";
import { NAMES } from "../../http/header-names.ts";
import type { Exchange } from "../../pipeline/exchange.ts";

/** What belongs to the connection or to the content, which the auth server does not get. */
const NOT_ASKED = new Set<string>([
  ...HOP_BY_HOP.map((id) => NAMES[id]!),
  "host",
  "content-length",
  "content-encoding",
  "expect",
  "range",
  "if-none-match",
  "if-modified-since",
  "if-match",
  "if-unmodified-since",
  "if-range",
  "sec-websocket-key",
  "sec-websocket-version",
  "sec-websocket-extensions",
  "sec-websocket-protocol",
]);

/**
 * What only Sluice says: a client's own words for it must not get there, in no spelling that CGI and its heirs take for
 * the same (`X_Forwarded_Uri`).
 */
const OWN = /^(?:x[^a-z0-9](?:forwarded|original|rewrite)[^a-z0-9]|x[^a-z0-9]real[^a-z0-9]ip$|forwarded$)/;

/** The fields of the question; `only` are the names that it may have of the request, undefined for all. */
export function questionOf(x: Exchange, only: readonly string[] | undefined): [name: string, value: string][] {
  const { request } = x;
  const wanted = only === undefined ? null : new Set(only.map((name) => name.toLowerCase()));
  const fields: [string, string][] = [];
  request.headers.forEach((name, value) => {
    const lower = name.toLowerCase();
    if (NOT_ASKED.has(lower) || OWN.test(lower) || wanted?.has(lower) === false) return;
    fields.push([name, value]);
  });
  fields.push(
    ["X-Forwarded-Method", request.method],
    ["X-Forwarded-Proto", x.scheme],
    ["X-Forwarded-Host", request.authority],
    ["X-Forwarded-Uri", request.target],
    ["X-Original-Method", request.method],
    ["X-Original-URL", `${x.scheme}://${request.authority}${request.target}`],
  );
  if (x.ip !== "") fields.push(["X-Forwarded-For", x.ip]);
  return fields;
}
