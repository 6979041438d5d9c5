// Consumers and their credentials as threads know them: by what they are found, and what comes of it. Made of the
// configuration and of what the admin API keeps, both in the same form.
import { CompileError, within } from "../../config/compile-error.ts";
import type { ConsumerConfig, CredentialConfig } from "../../config/schema-consumers.ts";
import type { PlanLimits } from "../../core/plan-limits.ts";
import type { Claims } from "../../pipeline/identity.ts";
import { hashProblem } from "../basic/users.ts";
import { attributesOf } from "../mtls/names.ts";
import { type KeyMaterial, verifierFor } from "../tokens/signature/signing-key.ts";

/** What is looked for. A digest of one kind is never taken for one of another, whatever bytes a client has sent. */
export const KIND = { name: 0, apiKey: 1, jwt: 2, oidc: 3, client: 4, signature: 5, mtls: 6, basic: 7 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

export const DIGEST_BYTES = 32;

/** What comes of a credential, beside when it ends. */
export interface CredentialDetails {
  readonly id: string;
  /** In place of the consumer's; null for those. */
  readonly scopes: readonly string[] | null;
  /** The key of a signature. */
  readonly key: KeyMaterial | null;
  /** The hash of a password; "" for a user whom `basic` knows from its own lists. */
  readonly password: string;
  /** Its owner has made it: of its scopes, those count that he has. */
  readonly self?: boolean;
}

export interface CredentialEntry {
  readonly kind: Kind;
  readonly digest: Uint8Array;
  /** Milliseconds since 1970; Infinity for one that does not end. */
  readonly endsAt: number;
  readonly disabled: boolean;
  readonly details: CredentialDetails;
}

export interface ConsumerDetails {
  readonly name: string;
  readonly plan: string;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  readonly claims: Claims;
  readonly limits: PlanLimits | null;
  /** All but the credentials is what the configuration says of the consumer of that name; nobody, without one. */
  readonly isConfigured: boolean;
}

export interface ConsumerEntry {
  readonly endsAt: number;
  readonly disabled: boolean;
  readonly details: ConsumerDetails;
}

/** The end of that day (UTC), or that moment; never, where nothing is said. */
export const endOf = (text: string | undefined): number => {
  if (text === undefined) return Number.POSITIVE_INFINITY;
  return text.includes("T") ? Date.parse(text) : Date.parse(text) + 86_400_000;
};

/** What texts of a kind are found by. Lengths keep two texts from being taken for two others. */
export function digestOf(kind: Kind, ...parts: readonly string[]): Buffer {
  const digest = Buffer.alloc(DIGEST_BYTES);
  const text = parts.map((part) => `${part.length}:${part}`).join("");
  Bun.SHA256.hash(`sluice ${kind} ${text}`, digest);
  return digest;
}

/** A name in a certificate, the same however its attributes are ordered; null for what is none. */
export function sameName(name: string): string | null {
  const attributes = attributesOf(name);
  return attributes === null ? null : [...attributes].sort().join(",");
}

export function consumerEntry(name: string, config: Omit<ConsumerConfig, "credentials">): ConsumerEntry {
  const { groups, scopes, plan = "", claims, limits = null, disabled, expires } = config;
  const details = { name, plan, groups, scopes, claims, limits, isConfigured: false };
  return { endsAt: endOf(expires), disabled, details };
}

/** One of which the configuration says who it is. */
export const configuredEntry = (name: string): ConsumerEntry => ({
  endsAt: Number.POSITIVE_INFINITY,
  disabled: false,
  details: { name, plan: "", groups: [], scopes: [], claims: {}, limits: null, isConfigured: true },
});

/** Throws CompileError (its path begins at the kind) for a key, hash or name that is none. */
export function credentialEntry(id: string, credential: CredentialConfig): CredentialEntry {
  const [kind, digest] = foundBy(credential);
  const { signature, basic, scopes = null, disabled, expires } = credential;
  const key = signature === undefined ? null : within("signature", () => checkedKey(signature));
  const password = basic?.password ?? "";
  const problem = password === "" ? null : hashProblem(password);
  if (problem !== null) throw new CompileError(problem, ["basic", "password"]);
  return { kind, digest, endsAt: endOf(expires), disabled, details: { id, scopes, key, password } };
}

function checkedKey({ algorithm, secret, publicKey }: NonNullable<CredentialConfig["signature"]>): KeyMaterial {
  const key = { algorithm, secret, publicKey };
  verifierFor(key); // it says what is wrong with it
  return key;
}

function foundBy({ apiKey, jwt, oidc, signature, mtls, basic }: CredentialConfig): readonly [Kind, Uint8Array] {
  if (apiKey !== undefined) return [KIND.apiKey, Buffer.from(apiKey.slice("sha256:".length), "hex")];
  if (jwt !== undefined) return [KIND.jwt, digestOf(KIND.jwt, jwt.issuer, jwt.subject)];
  if (oidc !== undefined) {
    const { issuer, subject, clientId = "" } = oidc;
    if (subject !== undefined) return [KIND.oidc, digestOf(KIND.oidc, issuer, subject)];
    return [KIND.client, digestOf(KIND.client, issuer, clientId)];
  }
  if (signature !== undefined) return [KIND.signature, digestOf(KIND.signature, signature.keyId)];
  if (basic !== undefined) return [KIND.basic, digestOf(KIND.basic, basic.user)];
  if (mtls !== undefined) return [KIND.mtls, certificateDigest(mtls)];
  throw new RangeError("a credential without a kind"); // the schema has seen to that
}

function certificateDigest({ subject, issuer, fingerprint }: NonNullable<CredentialConfig["mtls"]>): Buffer {
  if (fingerprint !== undefined) return fingerprintDigest(fingerprint.replaceAll(":", "").toLowerCase());
  const nameOf = (key: "subject" | "issuer", text: string): string => {
    const name = sameName(text);
    if (name === null)
      throw new CompileError(`"${text}" is not a name: write it like CN=robot,O=Example`, ["mtls", key]);
    return name;
  };
  return nameDigest(nameOf("subject", subject ?? ""), issuer === undefined ? "" : nameOf("issuer", issuer));
}

/** 64 hexadecimal digits in lower case. */
export const fingerprintDigest = (hex: string): Buffer => digestOf(KIND.mtls, "fingerprint", hex);

/** Names as `sameName` writes them; "" for any issuer that is trusted. */
export const nameDigest = (subject: string, issuer: string): Buffer => digestOf(KIND.mtls, "subject", subject, issuer);
