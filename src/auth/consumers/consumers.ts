// Whose credentials these are, as one thread knows it: what the configuration says, and behind it the table that the
// admin API changes. Who was found once is known by a look into a map and two loads, which show whether anything about
// them has changed since.
import { CompileError, within } from "../../config/compile-error.ts";
import type { ConsumersConfig } from "../../config/schema-consumers.ts";
import { type Claims, type Identity, type IdentityKind, NO_CLAIMS } from "../../pipeline/identity.ts";
import type { Live as LiveValue, Shared } from "../../pipeline/shared.ts";
import type { Refused } from "../authenticator.ts";
import type { Permission } from "../live.ts";
import { refused } from "../tokens/token-source.ts";
import {
  type ConsumerDetails,
  type ConsumerEntry,
  type CredentialDetails,
  type CredentialEntry,
  consumerEntry,
  credentialEntry,
  DIGEST_BYTES,
  digestOf,
  fingerprintDigest,
  KIND,
  type Kind,
  nameDigest,
  sameName,
} from "./entries.ts";
import { ConsumerTable } from "./table.ts";

/** The memory that the table lies in. */
export const CONSUMERS = "consumers";

/** Credentials that a thread has at hand, about a kilobyte each; finding others costs some microseconds. */
const KNOWN_MAX = 32_768;

const DISABLED = refused("the consumer is disabled", "");
const OFF = refused("the credential is disabled", "");
const EXPIRED = refused("the consumer or the credential has expired", "");

/** A credential that was found. */
export class Known {
  readonly kind: Kind;
  readonly digest: Buffer;
  readonly endsAt: number;
  readonly credential: CredentialDetails;
  readonly consumer: ConsumerDetails;
  /** Who has brought it, where it is all that was brought. */
  readonly identity: Identity;
  readonly refusal: Refused | null;
  /** Where it stands in the table; of one of the configuration, no table. */
  readonly table: ConsumerTable | null;
  readonly slot: number;
  readonly ref: number;
  readonly place: number;
  readonly placeRef: number;

  constructor(
    kind: Kind,
    digest: Buffer,
    credential: Pick<CredentialEntry, "endsAt" | "disabled" | "details">,
    consumer: ConsumerEntry,
    place: Pick<Known, "table" | "slot" | "ref" | "place" | "placeRef">,
  ) {
    this.kind = kind;
    this.digest = digest;
    this.endsAt = Math.min(credential.endsAt, consumer.endsAt);
    this.credential = credential.details;
    this.consumer = consumer.details;
    this.refusal = consumer.disabled ? DISABLED : credential.disabled ? OFF : null;
    this.identity = ownIdentity(kind, consumer.details, credential.details);
    this.table = place.table;
    this.slot = place.slot;
    this.ref = place.ref;
    this.place = place.place;
    this.placeRef = place.placeRef;
  }

  isCurrent(table: ConsumerTable): boolean {
    if (this.table === null) return true;
    return this.table === table && table.holds(this.slot, this.ref, this.place, this.placeRef);
  }

  /** Why it is no good now; null where it is. */
  problem(now: number): Refused | null {
    return this.refusal ?? (this.endsAt <= now ? EXPIRED : null);
  }
}

const IN_CONFIGURATION = { table: null, slot: -1, ref: 0, place: -1, placeRef: 0 };

const KIND_NAMES: Readonly<Record<number, IdentityKind>> = {
  [KIND.apiKey]: "apiKey",
  [KIND.signature]: "signature",
  [KIND.basic]: "basic",
  [KIND.mtls]: "mtls",
  [KIND.jwt]: "jwt",
  [KIND.oidc]: "oidc",
  [KIND.client]: "jwt",
};

function ownIdentity(kind: Kind, consumer: ConsumerDetails, { scopes, self }: CredentialDetails): Identity {
  const { name, groups, plan, limits, claims } = consumer;
  const mayDo =
    scopes === null ? consumer.scopes : scopes.filter((one) => self !== true || consumer.scopes.includes(one));
  return Object.freeze({
    kind: KIND_NAMES[kind] ?? "apiKey",
    user: name,
    issuer: "",
    groups,
    scopes: mayDo,
    plan,
    consumer: name,
    limits,
    claims,
  });
}

/** Somebody known in another way, as the consumer that he is. */
function mappedIdentity(identity: Identity, { consumer, credential }: Known): Identity {
  const own = identity.scopes;
  const mayHave = credential.scopes;
  const scopes = own.length === 0 ? (mayHave ?? consumer.scopes) : own.filter((one) => mayHave?.includes(one) ?? true);
  const mapped = Object.freeze({
    kind: identity.kind,
    user: identity.user,
    issuer: identity.issuer,
    groups: [...new Set([...consumer.groups, ...identity.groups])],
    scopes,
    plan: consumer.plan === "" ? identity.plan : consumer.plan,
    consumer: consumer.name,
    limits: consumer.limits,
    claims: consumer.claims === NO_CLAIMS ? identity.claims : { ...identity.claims, ...consumer.claims },
  });
  originals.set(mapped, identity);
  return mapped;
}

const originals = new WeakMap<Identity, Identity>();

/** The identity as it was before it was known whose it is. */
export const originalOf = (identity: Identity): Identity => originals.get(identity) ?? identity;

/** What was found out about an identity; it holds until something changes. */
interface Mapping {
  readonly table: ConsumerTable;
  readonly changes: number;
  readonly known: Known | null;
  readonly identity: Identity | null;
}

/** The consumers of the configuration: credentials by digest, and what is said of each by name. */
export interface ConfiguredConsumers {
  readonly byDigest: ReadonlyMap<string, Known>;
  readonly byName: ReadonlyMap<string, ConsumerEntry>;
}

const compiled = new WeakMap<ConsumersConfig, ConfiguredConsumers>();
const NOBODY: ConfiguredConsumers = { byDigest: new Map(), byName: new Map() };

/** Throws CompileError (its path begins with a name) for credentials that are none, and for two that are the same. */
export function configuredConsumers(config: ConsumersConfig | undefined): ConfiguredConsumers {
  if (config === undefined) return NOBODY;
  const before = compiled.get(config);
  if (before !== undefined) return before;
  const byDigest = new Map<string, Known>();
  const byName = new Map<string, ConsumerEntry>();
  for (const [name, consumer] of Object.entries(config)) {
    const entry = consumerEntry(name, consumer);
    byName.set(name, entry);
    for (const [at, credential] of consumer.credentials.entries())
      within(name, () =>
        within("credentials", () =>
          within(at, () => {
            const { kind, digest, ...rest } = credentialEntry(String(at), credential);
            const known = new Known(kind, Buffer.from(digest), rest, entry, IN_CONFIGURATION);
            const key = keyOf(kind, known.digest);
            const other = byDigest.get(key);
            if (other !== undefined)
              throw new CompileError(`consumer "${other.consumer.name}" has the same credential`);
            byDigest.set(key, known);
          }),
        ),
      );
  }
  const all = { byDigest, byName };
  compiled.set(config, all);
  return all;
}

const keyOf = (kind: Kind, digest: Buffer): string => `${kind}${digest.latin1Slice(0, DIGEST_BYTES)}`;

/** Those of the plan that is in use, by what all plans of a thread have in common. */
const inUse = new WeakMap<LiveValue<ConsumerTable>, Consumers>();

export class Consumers {
  readonly #configured: ConfiguredConsumers;
  readonly #live: LiveValue<ConsumerTable>;
  readonly #shared: Shared;
  readonly #known = new Map<string, Known>();
  /** Keys alone, whose digests are looked up as they are. */
  readonly #knownKeys = new Map<string, Known>();
  readonly #mappings = new WeakMap<Identity, Mapping>();
  readonly #byIdentity = new WeakMap<Identity, Known>();

  /** Throws CompileError, as `configuredConsumers` does. */
  constructor(config: ConsumersConfig | undefined, shared: Shared) {
    this.#configured = configuredConsumers(config);
    this.#shared = shared;
    this.#live = shared.live(CONSUMERS, (memory) => new ConsumerTable(memory));
    shared.onStart(() => void inUse.set(this.#live, this));
  }

  /** The owner of a key with this SHA-256; undefined for nobody. */
  ofKey(digest: Buffer): Identity | Refused | undefined {
    const key = digest.latin1Slice(0, DIGEST_BYTES);
    let known = this.#knownKeys.get(key);
    if (known === undefined || !known.isCurrent(this.#live.current)) {
      const found = this.#look(KIND.apiKey, digest);
      if (found === null) {
        if (known !== undefined) this.#knownKeys.delete(key);
        return undefined;
      }
      if (this.#knownKeys.size >= KNOWN_MAX) this.#knownKeys.delete(this.#knownKeys.keys().next().value!);
      this.#knownKeys.set(key, found);
      known = found;
    }
    return known.problem(this.#shared.wallNow()) ?? known.identity;
  }

  /** The key with which signatures of that name are made; null for none. */
  signer(keyId: string): Known | null {
    return this.#find(KIND.signature, digestOf(KIND.signature, keyId));
  }

  /** The name that a password belongs to; null where it is nobody's, or is a name alone. */
  withPassword(user: string): Known | null {
    const known = this.#find(KIND.basic, digestOf(KIND.basic, user));
    return known === null || known.credential.password === "" ? null : known;
  }

  problem(known: Known): Refused | null {
    return known.problem(this.#shared.wallNow());
  }

  /** Whether what an identity comes from is as it was; true for those that come from elsewhere. */
  isCurrent(identity: Identity): boolean {
    const known = this.#byIdentity.get(identity);
    return known === undefined || (known.isCurrent(this.#live.current) && this.problem(known) === null);
  }

  /** Somebody who is known already, as the consumer that he is; null for one who is none. */
  judge(identity: Identity): Identity | Refused | null {
    if (identity.consumer !== "") return identity;
    const table = this.#live.current;
    let mapping = this.#mappings.get(identity);
    if (mapping === undefined || !this.#holds(mapping, table)) {
      const { changes } = table;
      const known = this.#whose(identity);
      // Of somebody for whom nothing has changed it is the same, so that what others remember of it holds.
      const mapped = known === null || known !== mapping?.known ? null : mapping.identity;
      const made = known === null ? null : (mapped ?? mappedIdentity(identity, known));
      mapping = { table, changes, known, identity: made };
      this.#mappings.set(identity, mapping);
      if (known !== null) this.#byIdentity.set(mapping.identity!, known);
    }
    const { known } = mapping;
    return known === null ? null : (known.problem(this.#shared.wallNow()) ?? mapping.identity);
  }

  /** A change to anybody may be a credential that says more exactly who it is than the one that was found. */
  #holds({ table, changes }: Mapping, now: ConsumerTable): boolean {
    return table === now && changes === now.changes;
  }

  /**
   * For how long an identity that was found here may go on; null for one that was found elsewhere. `may` is asked again
   * with what it has become.
   */
  permissionOf(identity: Identity, may: (now: Identity) => boolean): Permission | null {
    const known = this.#byIdentity.get(identity);
    return known === undefined ? null : new ConsumerPermission(known, this, this.#live, originals.get(identity), may);
  }

  /** The credential as it is now; null where it is gone. */
  again(known: Known): Known | null {
    return known.isCurrent(this.#live.current) ? this.#configuredAgain(known) : this.#look(known.kind, known.digest);
  }

  /** What the configuration of another plan has said may be said no more. */
  #configuredAgain(known: Known): Known | null {
    return known.table === null ? this.#look(known.kind, known.digest) : known;
  }

  #find(kind: Kind, digest: Buffer): Known | null {
    const key = keyOf(kind, digest);
    const before = this.#known.get(key);
    if (before?.isCurrent(this.#live.current) === true) return before;
    const found = this.#look(kind, digest);
    if (found === null) {
      this.#known.delete(key);
      return null;
    }
    if (this.#known.size >= KNOWN_MAX) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(key, found);
    return found;
  }

  #look(kind: Kind, digest: Buffer): Known | null {
    const configured = this.#configured.byDigest.get(keyOf(kind, digest));
    const known = configured ?? this.#inTable(kind, digest);
    if (known !== null) this.#byIdentity.set(known.identity, known);
    return known;
  }

  #inTable(kind: Kind, digest: Buffer): Known | null {
    const table = this.#live.current;
    const found = table.find(digest, kind);
    if (found === null) return null;
    const { slot, ref, consumer: place, consumerRef: placeRef, endsAt, details, credential } = found;
    const own: ConsumerEntry = { endsAt, disabled: found.isConsumerDisabled, details };
    // What the configuration says of somebody holds for the credentials of the admin API as well.
    const entry = this.#configured.byName.get(details.name) ?? (details.isConfigured ? null : own);
    if (entry === null) return null;
    const one = { endsAt, disabled: found.isDisabled, details: credential };
    return new Known(kind, Buffer.from(digest), one, entry, { table, slot, ref, place, placeRef });
  }

  /** By what a way of authentication vouches for, never by what somebody may call himself. */
  #whose({ kind, issuer, user, claims }: Identity): Known | null {
    if (kind === "jwt" || kind === "introspection") {
      const { sub } = claims;
      const subject = typeof sub === "string" ? sub : "";
      const known =
        subject === "" ? null : (this.#of(KIND.jwt, issuer, subject) ?? this.#of(KIND.oidc, issuer, subject));
      const client = clientOf(claims);
      return known ?? (client === "" ? null : this.#of(KIND.client, issuer, client));
    }
    if (kind === "oidc") return typeof claims.sub === "string" ? this.#of(KIND.oidc, issuer, claims.sub) : null;
    if (kind === "mtls") return this.#certificate(claims);
    if (kind !== "basic") return null;
    const known = this.#of(KIND.basic, user);
    return known?.credential.password === "" ? known : null;
  }

  #of(kind: Kind, ...parts: readonly string[]): Known | null {
    return this.#find(kind, digestOf(kind, ...parts));
  }

  #certificate({ fingerprint, subject, issuer }: Claims): Known | null {
    const known = typeof fingerprint === "string" ? this.#find(KIND.mtls, fingerprintDigest(fingerprint)) : null;
    const name = typeof subject === "string" ? sameName(subject) : null;
    if (known !== null || name === null) return known;
    const ca = typeof issuer === "string" ? (sameName(issuer) ?? "") : "";
    const byBoth = ca === "" ? null : this.#find(KIND.mtls, nameDigest(name, ca));
    return byBoth ?? this.#find(KIND.mtls, nameDigest(name, ""));
  }
}

/** The client that a token was issued to (RFC 9068 section 2.2; OpenID Connect Core section 2 for `azp`). */
function clientOf({ client_id: client, azp }: Claims): string {
  if (typeof client === "string") return client;
  return typeof azp === "string" ? azp : "";
}

/** What a consumer has under way may go on while his credential holds, in whatever plan is in use by then. */
class ConsumerPermission implements Permission {
  #known: Known;
  readonly #consumers: Consumers;
  readonly #live: LiveValue<ConsumerTable>;
  /** Who it is beside the consumer. */
  readonly #original: Identity | undefined;
  readonly #may: (now: Identity) => boolean;

  constructor(
    known: Known,
    consumers: Consumers,
    live: LiveValue<ConsumerTable>,
    original: Identity | undefined,
    may: (now: Identity) => boolean,
  ) {
    this.#known = known;
    this.#consumers = consumers;
    this.#live = live;
    this.#original = original;
    this.#may = may;
  }

  isOver(now: number): boolean {
    const known = (inUse.get(this.#live) ?? this.#consumers).again(this.#known);
    if (known === null || known.problem(now) !== null) return true;
    if (known === this.#known) return false;
    this.#known = known;
    return !this.#may(this.#original === undefined ? known.identity : mappedIdentity(this.#original, known));
  }
}
