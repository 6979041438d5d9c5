// What of a request decides where consistent hashing sends it, as a number of 32 bits.
import { firstCookie, receivedCookies } from "../http/cookies.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { firstQueryValue } from "../http/query.ts";
import { hashAddress, hashText } from "./balance/hash.ts";

/** What keys are made of; an exchange is one. */
export interface KeySubject {
  /** The client's address. */
  readonly ip: string;
  /** The request as the client sent it: what rewrites make of its target moves nobody. */
  readonly request: {
    readonly headers: HeaderBlock;
    readonly target: string;
    /** Normalised; null when it is ambiguous. */
    readonly path: string | null;
    readonly query: string;
    header(name: string): string | null;
  };
}

export type HashKey = (x: KeySubject) => number;

/**
 * Reads what `balance.hash` says: `header:NAME`, `cookie:NAME`, `query:NAME`, `ip` (IPv6: its /64), `path` or `url`
 * (path and query as the client wrote them). A request without that field, cookie or parameter goes by the client's
 * address. Throws RangeError for anything else.
 */
export function compileHashKey(spec: string): HashKey {
  const colon = spec.indexOf(":");
  const name = colon < 0 ? "" : spec.slice(colon + 1);
  switch (colon < 0 ? spec : spec.slice(0, colon + 1)) {
    case "ip":
      return byAddress;
    case "path":
      return (x) => hashText(x.request.path ?? x.request.target);
    case "url":
      return (x) => hashText(x.request.target);
    case "header:":
      return named(name, (x) => textOr(x, x.request.header(name)));
    case "cookie:":
      return named(name, (x) => textOr(x, firstCookie(receivedCookies(x.request.headers), name)));
    case "query:":
      return named(name, (x) => textOr(x, firstQueryValue(x.request.query, name)));
    default:
      throw new RangeError(`"${spec}" is no hash key: write header:NAME, cookie:NAME, query:NAME, ip, path or url`);
  }
}

const byAddress: HashKey = (x) => hashAddress(x.ip);

const textOr = (x: KeySubject, text: string | null): number => (text === null ? hashAddress(x.ip) : hashText(text));

function named(name: string, key: HashKey): HashKey {
  if (name === "") throw new RangeError("a hash key needs a name behind the colon");
  return key;
}
