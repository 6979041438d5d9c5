// A consumer as the admin API keeps him: what was said of him, and his credentials, of which no secret is kept that
// need not be. One record is one line of the store, and one entry of what machines share.
import {
  type ConsumerEntry,
  type CredentialEntry,
  configuredEntry,
  consumerEntry,
  credentialEntry,
} from "../auth/consumers/entries.ts";
import { within } from "../config/compile-error.ts";
import type { CredentialConfig } from "../config/schema-consumers.ts";
import type { PlanLimits } from "../core/plan-limits.ts";

/** A consumer with credentials, as JSON: the admin API takes no larger bodies either. */
export const RECORD_CHARS_MAX = 65_536;
/** That a consumer was removed is known for so long: whoever was away longer is not believed (consumer-sync.ts). */
export const REMOVED_MS = 90 * 86_400_000;

/** What is said of a consumer, in the words of the configuration. */
export interface Settings {
  readonly groups: string[];
  readonly scopes: string[];
  readonly plan?: string | undefined;
  readonly expires?: string | undefined;
  readonly disabled: boolean;
  readonly claims: Record<string, unknown>;
  /** As it was written. */
  readonly limits?: unknown;
}

export interface StoredCredential extends CredentialConfig {
  readonly id: string;
  /** ISO 8601. */
  readonly createdAt: string;
  /** The end of a key that was made here, so that people find it again; absent for others. */
  readonly hint?: string | undefined;
  /** Its owner has made it himself: it can never do more than he may at the moment. */
  readonly self?: boolean | undefined;
}

export interface Content {
  /** ISO 8601. */
  readonly createdAt: string;
  /** Null: the configuration says it. */
  readonly settings: Settings | null;
  /** Those of the settings, as they are counted by. */
  readonly limits: PlanLimits | null;
  readonly credentials: readonly StoredCredential[];
}

export interface ConsumerRecord {
  readonly name: string;
  /** Counts changes, from 1. */
  readonly version: number;
  /** Milliseconds since 1970. */
  readonly changedAt: number;
  /** Null: he was removed. */
  readonly content: Content | null;
}

/** As threads are to know him. Throws CompileError for a credential that is none. */
export function entriesOf({ name, content }: ConsumerRecord): readonly [ConsumerEntry | null, CredentialEntry[]] {
  if (content === null) return [null, []];
  const { settings, limits, credentials } = content;
  const entry =
    settings === null ? configuredEntry(name) : consumerEntry(name, { ...settings, limits: limitsFor(limits) });
  return [entry, credentials.map((one, at) => within(at, () => ownEntry(one)))];
}

function ownEntry(one: StoredCredential): CredentialEntry {
  const entry = credentialEntry(one.id, one);
  return one.self === true ? { ...entry, details: { ...entry.details, self: true } } : entry;
}

type EntryLimits = Parameters<typeof consumerEntry>[1]["limits"];
const limitsFor = (limits: PlanLimits | null): EntryLimits => (limits ?? undefined) as EntryLimits;

/** Whether a record replaces another: the one with more changes; of as many, the later one, and then any but the same. */
export function isNewer(record: ConsumerRecord, than: ConsumerRecord | null): boolean {
  if (than === null) return true;
  if (record.version !== than.version) return record.version > than.version;
  if (record.changedAt !== than.changedAt) return record.changedAt > than.changedAt;
  return JSON.stringify(record.content) > JSON.stringify(than.content);
}

/** For the shared state. */
export const textOfRecord = ({ version, changedAt, content }: ConsumerRecord): string =>
  JSON.stringify([version, changedAt, content]);

/** Null for what is damaged. */
export function recordOfText(name: string, text: string): ConsumerRecord | null {
  let parts: unknown;
  try {
    parts = JSON.parse(text);
  } catch {
    return null;
  }
  if (!Array.isArray(parts) || parts.length !== 3) return null;
  const [version, changedAt, content] = parts as unknown[];
  if (typeof version !== "number" || typeof changedAt !== "number" || !isContent(content)) return null;
  return { name, version, changedAt, content };
}

function isContent(content: unknown): content is Content | null {
  if (content === null) return true;
  if (typeof content !== "object" || content === undefined) return false;
  const { settings, credentials } = content as Partial<Record<keyof Content, unknown>>;
  return typeof settings === "object" && Array.isArray(credentials);
}
