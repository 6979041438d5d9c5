// What tests of tokens share: keys, tokens that are signed, and a context to compile with.
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from "jose";
import type { z } from "zod";
import { jwtSchema } from "../../config/schema-auth-tokens.ts";
import { exchangeOf } from "../../pipeline/exchange.fixture.ts";
import type { Identity } from "../../pipeline/identity.ts";
import { type Shared, UNSHARED } from "../../pipeline/shared.ts";
import type { Authenticator, Verdict } from "../authenticator.ts";
import { type AuthContext, authContext } from "../context.ts";
import { Endpoints } from "../endpoints.ts";
import { compileJwt } from "./jwt.ts";

/** What the clock of tests shows first, in milliseconds since 1970. */
export const START = 1_800_000_000_000;
export const ISSUER = "https://issuer.example";

/** A clock that a test moves, and what was said. */
export class TestShared {
  ms = START;
  readonly told: string[] = [];
  readonly #starts: (() => void)[] = [];
  readonly shared: Shared = {
    ...UNSHARED,
    memory: (_name, bytes) => new SharedArrayBuffer(bytes),
    now: () => this.ms - START,
    wallNow: () => this.ms,
    onStart: (start) => void this.#starts.push(start),
    tell: (message, fields) => void this.told.push(`${message} ${JSON.stringify(fields)}`),
  };

  /** What was compiled with it comes into use. */
  start(): void {
    for (const start of this.#starts) start();
  }
}

export const contextFor = (shared: Shared, following: readonly string[] = []): AuthContext =>
  authContext("test", "route test 0", shared, new Endpoints(), null, following);

export interface Signer {
  readonly kid: string;
  readonly algorithm: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

export async function signer(kid: string, algorithm = "ES256"): Promise<Signer> {
  const { publicKey, privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return { kid, algorithm, privateKey, jwk: { ...(await exportJWK(publicKey)), kid } };
}

const seconds = (ms: number): number => Math.floor(ms / 1000);

/** Claims that hold for an hour from `ms` on; members that are undefined are left out. */
export const claimsAt = (ms: number, more: JWTPayload = {}): JWTPayload => ({
  iss: ISSUER,
  aud: "api",
  sub: "ann",
  iat: seconds(ms),
  exp: seconds(ms) + 3600,
  ...more,
});

export const sign = (
  by: Signer,
  claims: JWTPayload = claimsAt(START),
  header: Readonly<Record<string, unknown>> = {},
): Promise<string> =>
  new SignJWT(claims).setProtectedHeader({ alg: by.algorithm, kid: by.kid, ...header }).sign(by.privateKey);

/** A token of these very texts, signed by a function of its first two parts. */
export function rawToken(header: string, claims: string, signature: (input: string) => Uint8Array | string): string {
  const input = `${Buffer.from(header).toString("base64url")}.${Buffer.from(claims).toString("base64url")}`;
  return `${input}.${Buffer.from(signature(input)).toString("base64url")}`;
}

export type JwtInput = z.input<typeof jwtSchema>;

export const jwtOf = (config: JwtInput, shared: Shared, following: readonly string[] = []): Authenticator =>
  compileJwt(jwtSchema.parse(config), contextFor(shared, following));

/** What becomes of a request with these fields. */
export const ask = async (
  way: Authenticator,
  headers: readonly (readonly [string, string])[],
  target = "/",
): Promise<Verdict> => way.authenticate(exchangeOf({ headers, target }));

export const bearer = (way: Authenticator, token: string): Promise<Verdict> =>
  ask(way, [["authorization", `Bearer ${token}`]]);

/** A verdict in one word or two: the user, or why not. */
export function said(verdict: Verdict): string {
  if (verdict === null) return "nothing";
  if ("user" in verdict) return verdict.user;
  if ("answer" in verdict) return "code" in verdict.answer ? verdict.answer.code : "an answer";
  return verdict.why;
}

export const isIdentity = (verdict: Verdict): verdict is Identity => verdict !== null && "user" in verdict;
