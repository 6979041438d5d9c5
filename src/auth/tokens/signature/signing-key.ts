// Keys of signatures: each is for one algorithm (RFC 9421 section 3.3), whatever a signature says.
import { constants, createHmac, createPublicKey, type KeyObject, timingSafeEqual, verify } from "node:crypto";
import { readFileSync } from "node:fs";
import { within } from "../../../config/compile-error.ts";
import type { SignatureAlgorithm, SignatureKeyConfig } from "../../../config/schema-auth-tokens.ts";
import type { Identity } from "../../../pipeline/identity.ts";
import { NO_CLAIMS } from "../../../pipeline/identity.ts";
import { secretBytes } from "../secret.ts";

type Verify = (base: Buffer, signature: Buffer) => boolean;

/** A key and what it is for: a secret, or a public key as PEM or in a file. */
export type KeyMaterial = Pick<SignatureKeyConfig, "algorithm" | "secret" | "publicKey" | "file">;

export interface SigningKey {
  readonly algorithm: SignatureAlgorithm;
  readonly identity: Identity;
  /** Whether the signature is one of the text. It takes a tenth of a millisecond at most. */
  readonly verify: Verify;
}

const RSA_BITS_MIN = 2048;
/** RFC 9421 section 3.3.1. */
const PSS_SALT_BYTES = 64;

/** Throws CompileError for a key that is none, or none for its algorithm. */
export function signingKey(config: SignatureKeyConfig): SigningKey {
  const { algorithm, name, plan = "", scopes, groups } = config;
  const identity: Identity = {
    kind: "signature",
    user: name,
    issuer: "",
    groups,
    scopes,
    plan,
    consumer: "",
    limits: null,
    claims: NO_CLAIMS,
  };
  return { algorithm, identity, verify: verifierFor(config) };
}

/** Checks with this key. Throws CompileError for one that is none, or none for its algorithm. */
export const verifierFor = (key: KeyMaterial): Verify => (key.algorithm === "hmac-sha256" ? hmac(key) : publicKey(key));

function hmac({ secret, publicKey, file }: KeyMaterial): Verify {
  if (secret === undefined || publicKey !== undefined || file !== undefined)
    throw new RangeError("hmac-sha256 needs a `secret`, and nothing else");
  const key = within("secret", () => secretBytes(secret));
  return (base, signature) => {
    const wanted = createHmac("sha256", key).update(base).digest();
    return signature.length === wanted.length && timingSafeEqual(signature, wanted);
  };
}

function publicKey({ algorithm, secret, publicKey, file }: KeyMaterial): Verify {
  if (secret !== undefined) throw new RangeError(`${algorithm} needs a public key, and no \`secret\``);
  if ((publicKey === undefined) === (file === undefined)) throw new RangeError("name a `publicKey` or a `file`");
  const at = publicKey === undefined ? "file" : "publicKey";
  return within(at, () => verifierOf(algorithm, keyOf(publicKey ?? readKey(file!))));
}

function readKey(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    throw new RangeError(`${file} cannot be read`);
  }
}

function keyOf(pem: string): KeyObject {
  if (pem.includes("PRIVATE KEY")) throw new RangeError("this is a private key, which only its owner should have");
  try {
    return createPublicKey(pem);
  } catch {
    throw new RangeError("this is no public key in PEM");
  }
}

function verifierOf(algorithm: SignatureAlgorithm, key: KeyObject): Verify {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  const curve = (name: string): boolean => type === "ec" && details?.namedCurve === name;
  const isRsa = (type === "rsa" || type === "rsa-pss") && (details?.modulusLength ?? 0) >= RSA_BITS_MIN;
  switch (algorithm) {
    case "ed25519":
      if (type === "ed25519") return (base, signature) => isSigned(null, base, key, signature);
      break;
    case "ecdsa-p256-sha256":
      if (curve("prime256v1")) return (base, signature) => isSigned("sha256", base, ieee(key), signature);
      break;
    case "ecdsa-p384-sha384":
      if (curve("secp384r1")) return (base, signature) => isSigned("sha384", base, ieee(key), signature);
      break;
    case "rsa-pss-sha512":
      if (isRsa) return (base, signature) => isSigned("sha512", base, pss(key), signature);
      break;
    case "rsa-v1_5-sha256":
      if (isRsa && type === "rsa") return (base, signature) => isSigned("sha256", base, key, signature);
  }
  throw new RangeError(`this key is not for ${algorithm}; one for RSA has at least ${RSA_BITS_MIN} bits`);
}

type VerifyKey = Parameters<typeof verify>[2];
const ieee = (key: KeyObject): VerifyKey => ({ key, dsaEncoding: "ieee-p1363" });
const pss = (key: KeyObject): VerifyKey => ({
  key,
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength: PSS_SALT_BYTES,
});

/** Libraries throw at signatures of the wrong length. */
function isSigned(hash: string | null, base: Buffer, key: VerifyKey, signature: Buffer): boolean {
  try {
    return verify(hash, base, key, signature);
  } catch {
    return false;
  }
}
