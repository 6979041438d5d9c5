// What tokens say: whether they hold now and here (RFC 7519 section 4.1), and who it is.
import type { Identity, IdentityKind } from "../../pipeline/identity.ts";
import type { Forbidden, Refused } from "../authenticator.ts";
import type { JsonObject } from "./strict-json.ts";
import { invalid } from "./token-source.ts";

export interface ClaimRules {
  /** Undefined where any will do. */
  readonly issuer: string | undefined;
  /** Undefined where any will do. */
  readonly audience: readonly string[] | undefined;
  readonly leewayMs: number;
  /** Claims that become parts of the identity. */
  readonly user: string;
  readonly groups: string;
  readonly plan: string | undefined;
}

/** A date in a token, in milliseconds; NaN for none, and for what is no date. */
const dateOf = (value: unknown): number => (typeof value === "number" && Number.isFinite(value) ? value * 1000 : NaN);

const EXPIRED = invalid("the token has expired");
const NO_EXPIRY = invalid("the token does not say when it expires");
const NOT_YET = invalid("the token does not hold yet");
const FUTURE = invalid("the token is from the future");
const ISSUER = invalid("the token is from another issuer");
const AUDIENCE = invalid("the token is for somebody else");

/** Why the token does not hold; null where it does. An `exp` has to be there where `expires`. */
export function claimProblem(
  claims: JsonObject,
  { issuer, audience, leewayMs }: ClaimRules,
  nowMs: number,
  expires: boolean,
): Refused | null {
  const { exp, nbf, iat, iss, aud } = claims;
  if (exp !== undefined || expires) {
    const endsAt = dateOf(exp);
    if (Number.isNaN(endsAt)) return NO_EXPIRY;
    if (endsAt + leewayMs <= nowMs) return EXPIRED;
  }
  if (nbf !== undefined && !(dateOf(nbf) - leewayMs <= nowMs)) return NOT_YET;
  if (iat !== undefined && !(dateOf(iat) - leewayMs <= nowMs)) return FUTURE;
  if (issuer !== undefined && iss !== issuer) return ISSUER;
  if (audience !== undefined && !isFor(aud, audience)) return AUDIENCE;
  return null;
}

/** A text, or a list of texts alone. */
function isFor(aud: unknown, audience: readonly string[]): boolean {
  if (typeof aud === "string") return audience.includes(aud);
  if (!Array.isArray(aud) || !aud.every((one) => typeof one === "string")) return false;
  return aud.some((one) => audience.includes(one));
}

/** The claim, or what dots in the name lead to. */
function claimAt(claims: JsonObject, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name];
  let value: unknown = claims;
  for (const part of name.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as JsonObject)[part];
  }
  return value;
}

const texts = (value: unknown): readonly string[] =>
  typeof value === "string" ? [value] : Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];

/** `scope` is a text with spaces (RFC 8693 section 4.2); some write `scp`, as a text or a list. */
const scopesOf = ({ scope, scp }: JsonObject): readonly string[] =>
  texts(scope ?? scp)
    .flatMap((text) => text.split(" "))
    .filter((text) => text !== "");

/** Who it is; null where the claims do not name anybody. */
export function identityOf(kind: IdentityKind, claims: JsonObject, rules: ClaimRules): Identity | null {
  const name = claimAt(claims, rules.user);
  const user = typeof name === "number" ? String(name) : name;
  if (typeof user !== "string" || user === "") return null;
  const { iss } = claims;
  const plan = rules.plan === undefined ? undefined : claimAt(claims, rules.plan);
  return Object.freeze({
    kind,
    user,
    issuer: typeof iss === "string" ? iss : (rules.issuer ?? ""),
    groups: texts(claimAt(claims, rules.groups)),
    scopes: scopesOf(claims),
    plan: typeof plan === "string" ? plan : "",
    consumer: "",
    limits: null,
    claims,
  });
}

/** What a token has to be for, and what somebody gets whose token is not (RFC 6750 section 3.1). */
export class ScopeRule {
  readonly #scopes: readonly string[];
  readonly #error: string;

  /** Throws RangeError for what is no scope. */
  constructor(scopes: readonly string[]) {
    for (const scope of scopes)
      if (!/^[!#-[\]-~]+$/.test(scope)) throw new RangeError(`"${scope}" is no scope: it has no spaces or quotes`);
    this.#scopes = scopes;
    this.#error = `error="insufficient_scope", scope="${scopes.join(" ")}"`;
  }

  /** The identity, or why it is not enough. */
  judge(identity: Identity): Identity | Forbidden {
    const { scopes } = identity;
    for (let i = 0; i < this.#scopes.length; i += 1) {
      const scope = this.#scopes[i]!;
      if (!scopes.includes(scope))
        return { forbidden: true, identity, why: `without the scope ${scope}`, error: this.#error };
    }
    return identity;
  }
}
