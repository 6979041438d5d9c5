// Where a request has its token: in Authorization (RFC 6750 section 2.1), another field, a cookie or the query.
import { within } from "../../config/compile-error.ts";
import { cookieValues, receivedCookies } from "../../http/cookies.ts";
import { isFieldName } from "../../http/header-block.ts";
import { ID } from "../../http/header-names.ts";
import { queryValues } from "../../http/query.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Refused } from "../authenticator.ts";
import { removeCookies, removeQueryParameter } from "../strip.ts";

export interface TokenPlace {
  readonly header?: string | undefined;
  readonly cookie?: string | undefined;
  readonly query?: string | undefined;
  readonly forwardToken: boolean;
}

/** Longer ones are refused before anything is done with them: whole heads have 32 KB, and real tokens 1 to 4. */
const TOKEN_MAX = 16_384;
const SCHEME = "bearer";
const SPACE = 0x20;

export const refused = (why: string, error: string, guess = false): Refused => ({ refused: true, why, error, guess });
/** RFC 6750 section 3.1. */
const INVALID_TOKEN = 'error="invalid_token"';
export const invalid = (why: string, guess = false): Refused => refused(why, INVALID_TOKEN, guess);
const TWICE = refused("several tokens at once", 'error="invalid_request"');
const EMPTY = invalid("an empty token");
const TOO_LONG = invalid("a token that is too long");

export class TokenSource {
  /** What tells it from others. */
  readonly name: string;
  readonly #header: string | null;
  readonly #cookie: string | null;
  readonly #query: string | null;
  readonly #keep: boolean;

  /** Throws CompileError where several places are named, or one that is none. */
  constructor({ header, cookie, query, forwardToken }: TokenPlace) {
    const named = [header, cookie, query].filter((one) => one !== undefined);
    if (named.length > 1) throw new RangeError("a token stands in one place: name a `header`, a `cookie` or a `query`");
    if (header !== undefined && !isFieldName(header))
      within("header", () => {
        throw new RangeError(`"${header}" is not a field name`);
      });
    this.#header = header?.toLowerCase() ?? (named.length === 0 ? "authorization" : null);
    this.#cookie = cookie ?? null;
    this.#query = query ?? null;
    this.#keep = forwardToken;
    this.name = JSON.stringify([this.#header, cookie, query]);
  }

  /** The token; null where there is none, and a refusal where it is not clear which it is. */
  read(x: Exchange): string | Refused | null {
    const found = this.#header === "authorization" ? bearerOf(x) : this.#elsewhere(x);
    if (typeof found !== "string") return found;
    if (found === "") return EMPTY;
    return found.length > TOKEN_MAX ? TOO_LONG : found;
  }

  /** Takes it out of the request where servers are not to see it. */
  strip(x: Exchange): void {
    if (this.#keep) return;
    if (this.#header !== null) x.request.headers.remove(this.#header);
    else if (this.#cookie !== null) removeCookies(x.request.headers, (name) => name === this.#cookie);
    else removeQueryParameter(x, this.#query!);
  }

  #elsewhere(x: Exchange): string | Refused | null {
    const values = this.#values(x);
    if (values.length === 0) return null;
    if (values.length > 1) return TWICE;
    const value = values[0]!;
    return this.#header !== null && hasScheme(value) ? value.slice(SCHEME.length).trimStart() : value;
  }

  #values(x: Exchange): readonly string[] {
    if (this.#header !== null) return x.request.headers.getAll(this.#header);
    if (this.#cookie !== null) return cookieValues(receivedCookies(x.request.headers), this.#cookie);
    return x.request.queryAt < 0 ? [] : queryValues(x.request.query, this.#query!);
  }
}

/** Schemes are compared in any case (RFC 9110 section 11.1). */
const hasScheme = (value: string): boolean =>
  value.charCodeAt(SCHEME.length) === SPACE && value.slice(0, SCHEME.length).toLowerCase() === SCHEME;

/** The field is read where it lies; what has another scheme is for others. */
function bearerOf({ request }: Exchange): string | Refused | null {
  const { headers } = request;
  const at = headers.indexOf(ID.authorization);
  if (at < 0) return null;
  if (headers.indexOf(ID.authorization, at + 1) >= 0) return TWICE;
  const value = headers.valueAt(at);
  if (!hasScheme(value)) return value.length === SCHEME.length && value.toLowerCase() === SCHEME ? EMPTY : null;
  let start = SCHEME.length + 1;
  while (value.charCodeAt(start) === SPACE) start += 1;
  return value.slice(start);
}
