// Consumers as the admin API shows them: nothing of this lets anybody in.
import { endOf } from "../auth/consumers/entries.ts";
import type { ConsumerConfig, CredentialConfig, CredentialKind } from "../config/schema-consumers.ts";
import { kindsIn } from "../config/schema-consumers.ts";
import type { ConsumerRecord, StoredCredential } from "./consumer-record.ts";

export interface CredentialReport {
  /** Of one of the configuration, its place there. */
  readonly id: string;
  readonly kind: CredentialKind;
  readonly source: "configuration" | "api";
  readonly state: "active" | "disabled" | "expired";
  readonly name?: string | undefined;
  readonly createdAt?: string | undefined;
  readonly expires?: string | undefined;
  readonly scopes?: readonly string[] | undefined;
  /** The last characters of a key that was made here. */
  readonly hint?: string | undefined;
  /** Its owner has made it himself. */
  readonly self?: boolean | undefined;
  /** What it is found by, such as an issuer and a subject; without secrets. */
  readonly [kind: string]: unknown;
}

export interface ConsumerReport {
  readonly name: string;
  /** Where it is said who this is; credentials of both may be there. */
  readonly source: "configuration" | "api";
  readonly state: "active" | "disabled" | "expired";
  /** Counts changes by the admin API; 0 where there were none. */
  readonly version: number;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  readonly plan?: string | undefined;
  readonly expires?: string | undefined;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly limits?: unknown;
  readonly credentials: readonly CredentialReport[];
  readonly createdAt?: string | undefined;
  readonly changedAt?: string | undefined;
}

const stateOf = (disabled: boolean, expires: string | undefined, now: number): ConsumerReport["state"] =>
  disabled ? "disabled" : endOf(expires) <= now ? "expired" : "active";

function credentialReport(
  credential: CredentialConfig & Partial<StoredCredential>,
  at: number,
  now: number,
): CredentialReport {
  const { id, createdAt, hint, self, name, expires, scopes, disabled } = credential;
  const kind = kindsIn(credential)[0]!;
  const source = id === undefined ? "configuration" : "api";
  const state = stateOf(disabled, expires, now);
  return {
    ...{ id: id ?? String(at), kind, source, state, name, createdAt, expires, scopes, hint, self },
    ...openPart(credential),
  };
}

function openPart({ jwt, oidc, mtls, signature, basic }: CredentialConfig): Readonly<Record<string, unknown>> {
  if (jwt !== undefined) return { jwt };
  if (oidc !== undefined) return { oidc };
  if (mtls !== undefined) return { mtls };
  if (basic !== undefined) return { basic: { user: basic.user, hasPassword: basic.password !== undefined } };
  if (signature === undefined) return {};
  const { keyId, algorithm, publicKey } = signature;
  return { signature: { keyId, algorithm, publicKey } };
}

/** Who stands in the configuration, in the admin API's store, or in both. */
export function consumerReport(
  name: string,
  configured: ConsumerConfig | undefined,
  record: ConsumerRecord | null,
  now: number,
): ConsumerReport | null {
  const content = record?.content ?? null;
  const said = configured ?? content?.settings;
  if (said == null) return null; // the configuration names him no more, and nothing else says who he is
  const { groups, scopes, plan, expires, claims, limits, disabled } = said;
  const own = (configured?.credentials ?? []).map((one, at) => credentialReport(one, at, now));
  const kept = (content?.credentials ?? []).map((one, at) => credentialReport(one, at, now));
  return {
    name,
    source: configured === undefined ? "api" : "configuration",
    state: stateOf(disabled, expires, now),
    version: content === null ? 0 : record!.version,
    ...{ groups, scopes, plan, expires, claims, limits },
    credentials: [...own, ...kept],
    createdAt: content?.createdAt,
    changedAt: content === null ? undefined : new Date(record!.changedAt).toISOString(),
  };
}
