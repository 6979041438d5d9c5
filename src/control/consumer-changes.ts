// What the admin API changes about consumers, as functions from what there is to what there is to be. Keys, secrets and
// passwords are made here, and leave with the answer: what is kept of a key is its hash.
import { randomBytes } from "node:crypto";
import { endOf } from "../auth/consumers/entries.ts";
import { CREDENTIALS_MAX, type CredentialConfig } from "../config/schema-consumers.ts";
import type { PlanLimits } from "../core/plan-limits.ts";
import { type Change, refusedEdit } from "./consumer-book.ts";
import type { Content, Settings, StoredCredential } from "./consumer-record.ts";

/** As many as a key of AES-256 has. */
const KEY_BYTES = 32;
const ID_BYTES = 6;
/** So that programs that look for leaked keys know one. */
const KEY_PREFIX = "slc_";
const HINT_CHARS = 4;
/** Credentials that ended so long ago make room for new ones. */
const FORGOTTEN_MS = 30 * 86_400_000;

/** What was made, to be shown once. */
export interface Made {
  readonly key?: string;
  readonly secret?: string;
  readonly password?: string;
}

/** A credential as it is asked for: what is to be made is left out. */
export type Wanted = Omit<CredentialConfig, "apiKey"> & { readonly apiKey?: string | true | undefined };

export interface NewCredential {
  readonly credential: StoredCredential;
  readonly made: Made;
}

const random = (bytes: number): string => randomBytes(bytes).toString("base64url");
const newKey = (): string => KEY_PREFIX + random(KEY_BYTES);
const hashOf = (key: string): string => `sha256:${new Bun.CryptoHasher("sha256").update(key).digest("hex")}`;

/** Fills in what is to be made. */
export async function newCredential(wanted: Wanted, nowMs: number): Promise<NewCredential> {
  const { apiKey, signature, basic, ...rest } = wanted;
  const base = { ...rest, id: random(ID_BYTES), createdAt: new Date(nowMs).toISOString() };
  if (apiKey === true) {
    const key = newKey();
    return { credential: { ...base, apiKey: hashOf(key), hint: key.slice(-HINT_CHARS) }, made: { key } };
  }
  if (apiKey !== undefined) return { credential: { ...base, apiKey }, made: {} };
  if (signature !== undefined) {
    const { algorithm, secret, publicKey } = signature;
    const isMade = algorithm === "hmac-sha256" && secret === undefined && publicKey === undefined;
    if (!isMade) return { credential: { ...base, signature }, made: {} };
    const made = `base64:${randomBytes(KEY_BYTES).toString("base64")}`;
    return { credential: { ...base, signature: { ...signature, secret: made } }, made: { secret: made } };
  }
  if (basic !== undefined && basic.password === undefined) {
    const password = random(KEY_BYTES);
    const hash = await Bun.password.hash(password);
    return { credential: { ...base, basic: { ...basic, password: hash } }, made: { password } };
  }
  return { credential: basic === undefined ? base : { ...base, basic }, made: {} };
}

/** The credential that takes the place of one; null where there is nothing that could be made anew. */
export async function successorOf(old: StoredCredential, nowMs: number): Promise<NewCredential | null> {
  const { id: _id, createdAt: _createdAt, hint: _hint, expires: _expires, ...rest } = old;
  if (old.apiKey !== undefined) return newCredential({ ...rest, apiKey: true }, nowMs);
  if (old.signature?.secret === undefined) return null;
  // Signatures name their key, so that both can hold for a while.
  const keyId = `${old.signature.keyId.replace(/\.[\w-]{8}$/, "")}.${random(ID_BYTES)}`;
  return newCredential({ ...rest, apiKey: undefined, signature: { keyId, algorithm: "hmac-sha256" } }, nowMs);
}

export const created =
  (settings: Settings, limits: PlanLimits | null, credentials: readonly StoredCredential[], nowMs: number): Change =>
  (before) => {
    if (before !== null) return refusedEdit(409, "there is a consumer of that name already", "name");
    return { createdAt: new Date(nowMs).toISOString(), settings, limits, credentials };
  };

/** `null` takes a setting back. */
export const changed =
  (
    patch: Readonly<Record<string, unknown>>,
    settingsOf: (settings: unknown) => readonly [Settings, PlanLimits | null],
  ): Change =>
  (before) => {
    if (before === null) return null;
    if (before.settings === null) return refusedEdit(409, CONFIGURED);
    const merged = Object.entries({ ...before.settings, ...patch }).filter(([, value]) => value !== null);
    const [settings, limits] = settingsOf(Object.fromEntries(merged));
    return { ...before, settings, limits };
  };

const CONFIGURED = "the configuration says who this consumer is: change it there";

/** Credentials of somebody whom the configuration names are all that is kept of him. */
export const removed =
  (isConfigured: boolean): Change =>
  () =>
    isConfigured ? refusedEdit(409, CONFIGURED) : null;

type Credentials = readonly StoredCredential[];

/** Changes the credentials. `isConfigured`: there may be none of that consumer here yet. */
const withCredentials =
  (
    isConfigured: boolean,
    nowMs: number,
    change: (credentials: Credentials) => ReturnType<Change> | Credentials,
  ): Change =>
  (before) => {
    if (before === null && !isConfigured) return null;
    const content: Content = before ?? {
      ...{ createdAt: new Date(nowMs).toISOString(), settings: null, limits: null, credentials: [] },
    };
    const next = change(content.credentials);
    return Array.isArray(next) ? { ...content, credentials: next as StoredCredential[] } : (next as ReturnType<Change>);
  };

export const credentialAdded = (credential: StoredCredential, isConfigured: boolean, nowMs: number): Change =>
  withCredentials(isConfigured, nowMs, (credentials) => added(credentials, credential, nowMs));

function added(
  credentials: Credentials,
  credential: StoredCredential,
  nowMs: number,
): ReturnType<Change> | Credentials {
  const kept = credentials.filter(({ expires }) => endOf(expires) > nowMs - FORGOTTEN_MS);
  if (kept.length < CREDENTIALS_MAX) return [...kept, credential];
  return refusedEdit(409, `a consumer has ${CREDENTIALS_MAX} credentials at most: revoke one first`);
}

const ABSENT = { kind: "absent" } as const;

/** Name, end, scopes and whether it is disabled; `null` takes one back. */
export const credentialChanged = (id: string, patch: Readonly<Record<string, unknown>>, nowMs: number): Change =>
  withCredentials(false, nowMs, (credentials) => {
    if (!credentials.some((one) => one.id === id)) return ABSENT;
    return credentials.map((one) => {
      if (one.id !== id) return one;
      const merged = Object.entries({ ...one, ...patch }).filter(([, value]) => value !== null);
      return Object.fromEntries(merged) as unknown as StoredCredential;
    });
  });

export const credentialRevoked = (id: string, nowMs: number): Change =>
  withCredentials(false, nowMs, (credentials) => {
    const left = credentials.filter((one) => one.id !== id);
    return left.length === credentials.length ? ABSENT : left;
  });

/** The old one goes on for `overlapMs` at most. */
export const credentialRotated = (id: string, next: StoredCredential, overlapMs: number, nowMs: number): Change =>
  withCredentials(false, nowMs, (credentials) => {
    const old = credentials.find((one) => one.id === id);
    if (old === undefined) return ABSENT;
    const until = Math.min(endOf(old.expires), nowMs + overlapMs);
    const ending = { ...old, expires: new Date(until).toISOString() };
    const others =
      overlapMs === 0
        ? credentials.filter((one) => one !== old)
        : credentials.map((one) => (one === old ? ending : one));
    return added(others, next, nowMs);
  });
