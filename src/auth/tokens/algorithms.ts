// The algorithms of signatures (RFC 7518 section 3, RFC 8037, RFC 9864), and which keys each is for. A key says by its
// own kind what it can be used with, so that no token can have it taken for another one.
import type { JwtIssuerConfig } from "../../config/schema-auth-tokens.ts";

export type Algorithm = NonNullable<JwtIssuerConfig["algorithms"]>[number];

interface Use {
  /** What a JWK of such a key says (`kty`, and `crv` where there are several). */
  readonly kty: "EC" | "RSA" | "OKP" | "oct";
  readonly crv?: string;
  /** The least length of a key, in bits (RFC 7518 sections 3.2 and 3.3). */
  readonly bits?: number;
}

const RSA: Use = { kty: "RSA", bits: 2048 };

const USES: Readonly<Record<Algorithm, Use>> = {
  ES256: { kty: "EC", crv: "P-256" },
  ES384: { kty: "EC", crv: "P-384" },
  ES512: { kty: "EC", crv: "P-521" },
  RS256: RSA,
  RS384: RSA,
  RS512: RSA,
  PS256: RSA,
  PS384: RSA,
  PS512: RSA,
  EdDSA: { kty: "OKP", crv: "Ed25519" },
  Ed25519: { kty: "OKP", crv: "Ed25519" },
  HS256: { kty: "oct", bits: 256 },
  HS384: { kty: "oct", bits: 384 },
  HS512: { kty: "oct", bits: 512 },
};

const ALL = Object.keys(USES) as Algorithm[];
export const HMACS: readonly Algorithm[] = ALL.filter((name) => USES[name].kty === "oct");
export const PUBLIC: readonly Algorithm[] = ALL.filter((name) => USES[name].kty !== "oct");

/** All that a key of this kind and length can be used for. */
export const usesOf = (kty: unknown, crv: unknown, bits: number): readonly Algorithm[] =>
  ALL.filter((name) => {
    const use = USES[name];
    return use.kty === kty && (use.crv === undefined || use.crv === crv) && bits >= (use.bits ?? 0);
  });
