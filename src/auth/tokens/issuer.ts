// One issuer of tokens: its keys, and the tokens that were found good. Routes with the same settings share it.
import { compactVerify } from "jose";
import type { JwtIssuerConfig } from "../../config/schema-auth-tokens.ts";
import { fault } from "../../core/faults.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { Answered, Refused } from "../authenticator.ts";
import type { Algorithm } from "./algorithms.ts";
import { type ClaimRules, claimProblem, identityOf } from "./claims.ts";
import type { JwtText } from "./jwt-text.ts";
import type { Found, KeySource } from "./keys.ts";
import type { JsonObject } from "./strict-json.ts";
import { invalid } from "./token-source.ts";
import type { VerificationKey } from "./verification-key.ts";
import { VerifiedTokens } from "./verified-tokens.ts";

interface Verified {
  readonly identity: Identity;
  readonly key: VerificationKey;
}

const ALGORITHM = invalid("an algorithm that is not allowed");
const CRITICAL = invalid("the token's header wants what is not known here");
const TYPE = invalid("a token of another type");
const KEY = invalid("a key that the issuer does not have"); // or not any more: its client has to get a new token
const SIGNATURE = invalid("a wrong signature", true);
const NOBODY = invalid("the token names nobody");
const EMBEDDED = ["b64", "crit", "enc", "zip"];

export class Issuer {
  readonly #rules: ClaimRules;
  readonly #algorithms: readonly Algorithm[];
  readonly #type: string | null;
  readonly #keys: KeySource;
  readonly #tokens = new VerifiedTokens<Verified>();

  constructor({ type }: JwtIssuerConfig, rules: ClaimRules, algorithms: readonly Algorithm[], keys: KeySource) {
    this.#rules = rules;
    this.#algorithms = algorithms;
    this.#type = type === undefined ? null : mediaType(type);
    this.#keys = keys;
  }

  /** Who has issued it, as the token must say; undefined where it need not say. */
  get name(): string | undefined {
    return this.#rules.issuer;
  }

  /** The first request should find keys. */
  begin(shared: Shared): void {
    this.#keys.freshen(shared.wallNow(), shared);
  }

  /** Whose token it is, if that is known already. `hash` is that of the token. */
  known(hash: number, token: string, shared: Shared): Identity | null {
    const now = shared.wallNow();
    const found = this.#tokens.find(hash, token, now);
    if (found === undefined) return null;
    if (found.key.gone) {
      this.#tokens.forget(hash);
      return null;
    }
    this.#keys.freshen(now, shared);
    return found.identity;
  }

  /** Whose token it is. Waits for keys where they have to be fetched, and for the signature. */
  async verify(hash: number, token: string, text: JwtText, shared: Shared): Promise<Identity | Refused | Answered> {
    const { header, claims } = text;
    const problem = this.#headerProblem(header) ?? this.#problem(claims, shared);
    if (problem !== null) return problem;
    const algorithm = header.alg as Algorithm;
    let keys: Found | Promise<Found> = this.#keys.find(algorithm, nameOf(header), shared);
    if (keys instanceof Promise) keys = await keys;
    if (keys === null) {
      const seconds = this.#keys.retrySeconds(shared.wallNow());
      return { answer: fault("auth.unavailable", `no keys of ${this.name}`, seconds) };
    }
    if (keys.length === 0) return KEY;
    const key = await signerOf(token, algorithm, keys);
    if (key === null) return SIGNATURE;
    const identity = identityOf("jwt", claims, this.#rules);
    if (identity === null) return NOBODY;
    const endsAt = (claims.exp as number) * 1000 + this.#rules.leewayMs;
    this.#tokens.keep(hash, token, { identity, key }, endsAt);
    return identity;
  }

  /** Fields that name keys (`jwk`, `jku`, `x5c`, `x5u`) are not looked at: keys come from the issuer alone. */
  #headerProblem(header: JsonObject): Refused | null {
    if (!this.#algorithms.includes(header.alg as Algorithm)) return ALGORITHM;
    if (EMBEDDED.some((name) => Object.hasOwn(header, name))) return CRITICAL;
    if (header.kid !== undefined && typeof header.kid !== "string") return KEY;
    const { typ } = header;
    if (this.#type !== null && (typeof typ !== "string" || mediaType(typ) !== this.#type)) return TYPE;
    return null;
  }

  #problem(claims: JsonObject, shared: Shared): Refused | null {
    return claimProblem(claims, this.#rules, shared.wallNow(), true);
  }
}

const nameOf = ({ kid }: JsonObject): string => (typeof kid === "string" ? kid : "");

/** RFC 7515 section 4.1.9: `application/` may be left out, and case means nothing. */
const mediaType = (type: string): string => type.toLowerCase().replace(/^application\//, "");

async function signerOf(
  token: string,
  algorithm: Algorithm,
  keys: readonly VerificationKey[],
): Promise<VerificationKey | null> {
  const options = { algorithms: [algorithm] };
  for (const key of keys) {
    try {
      await compactVerify(token, key.key, options);
      return key;
    } catch {
      // Whatever was wrong, it was not this key.
    }
  }
  return null;
}
