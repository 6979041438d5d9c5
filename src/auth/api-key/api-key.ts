// Keys of programs. The configuration has their SHA-256 alone: a key is long and random, so nothing slower is needed,
// and a digest that is looked up tells nobody by its time how near a guess was.
import { within } from "../../config/compile-error.ts";
import type { ApiKeyConfig } from "../../config/schema-auth.ts";
import { cookieValues, receivedCookies } from "../../http/cookies.ts";
import { isFieldName } from "../../http/header-block.ts";
import { queryValues } from "../../http/query.ts";
import type { Exchange } from "../../pipeline/exchange.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { Authenticator, Refused, Verdict } from "../authenticator.ts";
import type { Consumers } from "../consumers/consumers.ts";
import type { AuthContext } from "../context.ts";
import { removeCookies, removeQueryParameter } from "../strip.ts";

const DIGEST_BYTES = 32;
const HASHED = /^sha256:([0-9a-f]{64})$/;
const digest = Buffer.alloc(DIGEST_BYTES);

interface Key {
  readonly identity: Identity;
  /** Milliseconds since 1970; Infinity for one that does not end. */
  readonly endsAt: number;
}

/** Throws CompileError for keys that are none, and for two that are the same. */
export function compileApiKey(config: ApiKeyConfig, { shared, consumers }: AuthContext): Authenticator {
  if (config.keys.length === 0 && !config.consumers)
    throw new RangeError("there are no `keys`, so nobody could get in: write some, or `consumers: true`");
  const { query, cookie } = config;
  const header = config.header ?? (query === undefined && cookie === undefined ? "x-api-key" : undefined);
  if (header !== undefined && !isFieldName(header))
    within("header", () => {
      throw new RangeError(`"${header}" is not a field name`);
    });
  return new ApiKeys({ ...config, header }, keysOf(config), config.consumers ? consumers : null, shared);
}

function keysOf({ keys }: ApiKeyConfig): ReadonlyMap<string, Key> {
  const byDigest = new Map<string, Key>();
  within("keys", () => {
    for (const [at, { key, name, plan = "", scopes, groups, claims, expires }] of keys.entries())
      within(at, () => {
        const hex = HASHED.exec(key)?.[1];
        if (hex === undefined)
          within("key", () => {
            throw new RangeError("write its hash, as `sluice hash-password --key` makes it: sha256:… (64 digits)");
          });
        const known = Buffer.from(hex ?? "", "hex").latin1Slice();
        if (byDigest.has(known)) throw new RangeError("this key stands here twice");
        const identity: Identity = {
          kind: "apiKey",
          user: name,
          issuer: "",
          groups,
          scopes,
          plan,
          consumer: "",
          limits: null,
          claims,
        };
        byDigest.set(known, { identity, endsAt: expires === undefined ? Number.POSITIVE_INFINITY : endOf(expires) });
      });
  });
  return byDigest;
}

/** The end of that day (UTC), or that moment. */
const endOf = (text: string): number => (text.includes("T") ? Date.parse(text) : Date.parse(text) + 86_400_000);

const UNKNOWN: Refused = { refused: true, why: "unknown key", error: "", guess: true };
const EXPIRED: Refused = { refused: true, why: "the key has expired", error: "", guess: false };
const TWICE: Refused = { refused: true, why: "several keys at once", error: "", guess: false };

const BEARER_FIELD = "authorization";
const BEARER = "bearer ";

/** The key behind the scheme that programs send keys in this field with (RFC 6750); null for another one. */
const bearerOf = (text: string): string | null =>
  text.slice(0, BEARER.length).toLowerCase() === BEARER ? text.slice(BEARER.length).trim() : null;

class ApiKeys implements Authenticator {
  readonly kind = "apiKey";
  /** There is no scheme for it that everybody knows; this one says where it belongs. */
  readonly challenge: string;
  readonly #header: string | null;
  readonly #query: string | null;
  readonly #cookie: string | null;
  readonly #keep: boolean;
  readonly #keys: ReadonlyMap<string, Key>;
  readonly #consumers: Consumers | null;
  readonly #shared: Shared;

  constructor(
    { header, query, cookie, keep }: Pick<ApiKeyConfig, "query" | "cookie" | "keep"> & { header: string | undefined },
    keys: ReadonlyMap<string, Key>,
    consumers: Consumers | null,
    shared: Shared,
  ) {
    this.#header = header?.toLowerCase() ?? null;
    this.#query = query ?? null;
    this.#cookie = cookie ?? null;
    this.#keep = keep;
    this.#keys = keys;
    this.#consumers = consumers;
    this.#shared = shared;
    const isBearer = this.#header === BEARER_FIELD;
    this.challenge = header === undefined ? "" : isBearer ? "Bearer" : `ApiKey header="${header}"`;
  }

  authenticate(x: Exchange): Verdict {
    let text: string | null = null;
    if (this.#header !== null) {
      text = x.request.header(this.#header);
      if (text !== null && this.#header === BEARER_FIELD) text = bearerOf(text);
      if (text !== null && !this.#keep) x.request.headers.remove(this.#header);
    }
    if (this.#query !== null && x.request.queryAt >= 0) {
      const values = queryValues(x.request.query, this.#query);
      if (values.length > 0 && !this.#keep) removeQueryParameter(x, this.#query);
      if (values.length > 1 || (values.length > 0 && text !== null)) return TWICE;
      if (values.length > 0) text = values[0]!;
    }
    if (this.#cookie !== null) {
      const values = cookieValues(receivedCookies(x.request.headers), this.#cookie);
      if (values.length > 0 && !this.#keep) removeCookies(x.request.headers, (name) => name === this.#cookie);
      if (values.length > 1 || (values.length > 0 && text !== null)) return TWICE;
      if (values.length > 0) text = values[0]!;
    }
    return text === null ? null : this.#find(text);
  }

  #find(text: string): Verdict {
    Bun.SHA256.hash(text, digest);
    const key = this.#keys.get(digest.latin1Slice(0, DIGEST_BYTES));
    if (key === undefined) return this.#consumers?.ofKey(digest) ?? UNKNOWN;
    return key.endsAt <= this.#shared.wallNow() ? EXPIRED : key.identity;
  }
}
