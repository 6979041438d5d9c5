// Keys that verify tokens: from a JWKS (RFC 7517), from PEM, or secrets of the configuration.
import { createPublicKey } from "node:crypto";
import type { JWK } from "jose";
import { type Algorithm, HMACS, usesOf } from "./algorithms.ts";
import { secretBytes } from "./secret.ts";
import { isObject, type JsonObject } from "./strict-json.ts";

export class VerificationKey {
  /** What tokens call it; "" where it has no name. */
  readonly kid: string;
  readonly algorithms: readonly Algorithm[];
  readonly key: JWK | Uint8Array;
  /** What tells whether it is the same key as another. */
  readonly text: string;
  /** Its issuer does not have it any more: what it verified is not believed any longer. */
  gone = false;

  constructor(kid: string, algorithms: readonly Algorithm[], key: JWK | Uint8Array) {
    this.kid = kid;
    this.algorithms = algorithms;
    this.key = key;
    this.text = JSON.stringify([kid, algorithms, key]);
  }
}

/** A set has a few keys; each that could fit is tried. */
const KEYS_MAX = 64;
/** Tries with different keys for one token that does not say which. */
const TRIES_MAX = 4;

/** The keys of a JWKS that are good for something here; null where it is none at all. */
export function keysOfSet(set: unknown): readonly VerificationKey[] | null {
  if (!isObject(set) || !Array.isArray(set.keys)) return null;
  return set.keys.slice(0, KEYS_MAX).flatMap((jwk: unknown) => {
    const key = isObject(jwk) ? keyOfJwk(jwk) : null;
    return key === null ? [] : [key];
  });
}

/**
 * The key of a public JWK. Null for one that is not for signatures, that is too short, of a kind that is not known, and
 * for secrets (`oct`): these come from the configuration alone.
 */
export function keyOfJwk(jwk: JsonObject): VerificationKey | null {
  const { kty, crv, kid, use, alg, key_ops: operations } = jwk;
  if (use !== undefined && use !== "sig") return null;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) return null;
  if (kty === "oct") return null;
  const found = publicPart(jwk);
  if (found === null) return null;
  const uses = usesOf(kty, crv, found.bits).filter((name) => alg === undefined || alg === name);
  return uses.length === 0 ? null : new VerificationKey(typeof kid === "string" ? kid : "", uses, found.jwk);
}

/** Only what makes the public key, so that nothing else of the JWK means anything, and its length in bits. */
function publicPart(jwk: JsonObject): { jwk: JWK; bits: number } | null {
  try {
    const key = createPublicKey({ key: jwk as JWK, format: "jwk" });
    const part = key.export({ format: "jwk" }) as JWK;
    return { jwk: part, bits: key.asymmetricKeyDetails?.modulusLength ?? modulusBits(part) };
  } catch {
    return null;
  }
}

const modulusBits = ({ n }: JWK): number => (n === undefined ? 0 : Buffer.from(n, "base64url").length * 8);

const PEM_BLOCK = /-----BEGIN ([A-Z ]+)-----[^-]+-----END \1-----/g;

/** The keys of PEM blocks: public keys and certificates. Throws RangeError for what is none of them. */
export function keysOfPem(text: string): readonly VerificationKey[] {
  const blocks = [...text.matchAll(PEM_BLOCK)];
  if (blocks.length === 0) throw new RangeError("there is no key in PEM: it begins with -----BEGIN PUBLIC KEY-----");
  return blocks.map(([block, label]) => {
    if (label!.includes("PRIVATE")) throw new RangeError("this is a private key, which only its owner should have");
    let jwk: JsonObject;
    try {
      jwk = createPublicKey(block).export({ format: "jwk" }) as JsonObject;
    } catch {
      throw new RangeError("there is a PEM block that is neither a public key nor a certificate");
    }
    const key = keyOfJwk(jwk);
    if (key === null) throw new RangeError("a key is of no use here: EC, Ed25519, or RSA of at least 2048 bits is");
    return key;
  });
}

/** A secret for the HMACs that it is long enough for. */
export function keyOfSecret(secret: string): VerificationKey {
  const bytes = secretBytes(secret);
  const uses = usesOf("oct", undefined, bytes.length * 8);
  return new VerificationKey(
    "",
    HMACS.filter((name) => uses.includes(name)),
    bytes,
  );
}

/** Those that may have signed a token with this algorithm and key name, at most as many as are worth trying. */
export function candidates(keys: readonly VerificationKey[], algorithm: Algorithm, kid: string): VerificationKey[] {
  const named = keys.filter(
    (key) => key.algorithms.includes(algorithm) && (kid === "" || key.kid === "" || key.kid === kid),
  );
  return named.slice(0, TRIES_MAX);
}
