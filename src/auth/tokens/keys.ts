// Where the keys of an issuer come from: the configuration, or the issuer.
import { readFileSync } from "node:fs";
import { within } from "../../config/compile-error.ts";
import type { JwtIssuerConfig } from "../../config/schema-auth-tokens.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { Algorithm } from "./algorithms.ts";
import { strictObject } from "./strict-json.ts";
import { candidates, keyOfJwk, keyOfSecret, keysOfPem, keysOfSet, type VerificationKey } from "./verification-key.ts";

/** Keys that may have signed a token; null where the issuer's keys cannot be had. */
export type Found = readonly VerificationKey[] | null;

export interface KeySource {
  find(algorithm: Algorithm, kid: string, shared: Shared): Found | Promise<Found>;
  /** Asked for each request: fetches in the background what is no longer fresh. */
  freshen(nowMs: number, shared: Shared): void;
  /** Seconds after which it may be worth another try, after null. */
  retrySeconds(nowMs: number): number;
}

export class FixedKeys implements KeySource {
  readonly #keys: readonly VerificationKey[];

  constructor(keys: readonly VerificationKey[]) {
    this.#keys = keys;
  }

  find(algorithm: Algorithm, kid: string): Found {
    return candidates(this.#keys, algorithm, kid);
  }
  freshen(): void {}
  retrySeconds(): number {
    return 0;
  }
}

/** The keys that the configuration has. Throws CompileError for one that is none. */
export function configuredKeys({ keys, file, secret }: JwtIssuerConfig): readonly VerificationKey[] {
  const found: VerificationKey[] = [];
  within("keys", () => {
    for (const [at, key] of (keys ?? []).entries()) within(at, () => found.push(...keysOfEntry(key)));
  });
  if (file !== undefined) within("file", () => found.push(...keysOfFile(file)));
  if (secret !== undefined) within("secret", () => found.push(...[secret].flat().map(keyOfSecret)));
  return found;
}

function keysOfEntry(key: string | Record<string, unknown>): readonly VerificationKey[] {
  if (typeof key === "string") return keysOfPem(key);
  const found = keyOfJwk(key);
  if (found === null)
    throw new RangeError("this JWK is no public key for signatures: EC, Ed25519, or RSA of at least 2048 bits is");
  return [found];
}

function keysOfFile(file: string): readonly VerificationKey[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    throw new RangeError(`${file} cannot be read`);
  }
  const set = strictObject(bytes);
  const keys = set === null ? keysOfPem(bytes.toString()) : (keysOfSet(set) ?? keysOfEntry({ ...set }));
  if (keys.length === 0) throw new RangeError(`${file} has no key for signatures`);
  return keys;
}
