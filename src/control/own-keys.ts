// Keys that consumers manage by themselves (pipeline/own-keys.ts): within what the configuration allows, and never more
// than the credentials can do that they came with.
import { endOf } from "../auth/consumers/entries.ts";
import { wallClock } from "../core/clock.ts";
import type { Log } from "../observe/log.ts";
import type { ConsumerChange, ProxyEvent } from "../pipeline/events.ts";
import {
  type KeyAnswer,
  type KeyOwner,
  type KeyQuestion,
  type KeyTerms,
  type KeyWish,
  keyRefusal,
  type OwnKey,
} from "../pipeline/own-keys.ts";
import { type Change, type ConsumerBook, type Edit, refusedEdit } from "./consumer-book.ts";
import {
  credentialAdded,
  credentialRevoked,
  credentialRotated,
  type NewCredential,
  newCredential,
  successorOf,
} from "./consumer-changes.ts";
import type { StoredCredential } from "./consumer-record.ts";

const DAY_MS = 86_400_000;
/** Consumers who have made keys within a day; of more, those who began the longest ago are forgotten. */
const MAKERS_MAX = 10_000;

/** Who has to hear of changes. */
export interface ToldOfKeys {
  /** Resolves when all threads act on what was changed. */
  heard(): Promise<void>;
  readonly events: { publish(event: ProxyEvent): void };
}

/** What is said of a consumer, as far as it matters here. */
interface Standing {
  readonly isConfigured: boolean;
  readonly scopes: readonly string[];
  readonly stored: readonly StoredCredential[];
  /** That his credentials let him hand on. */
  readonly mayGive: readonly string[];
}

export class OwnKeys {
  readonly #consumers: ConsumerBook;
  readonly #log: Log;
  readonly #now: () => number;
  /** When each consumer has made keys, within a day. */
  readonly #makers = new Map<string, number[]>();

  constructor(consumers: ConsumerBook, log: Log, now: () => number = wallClock) {
    this.#consumers = consumers;
    this.#log = log;
    this.#now = now;
  }

  /** Never rejects for what somebody wishes. */
  async answer({ owner, terms, wish }: KeyQuestion, told: ToldOfKeys): Promise<KeyAnswer> {
    const standing = this.#standing(owner);
    if (standing === null) return keyRefusal(403, "You are no consumer any more.");
    switch (wish.do) {
      case "list":
        return this.#list(owner, standing, terms);
      case "make":
        return this.#make(owner, standing, terms, wish, told);
      case "rotate":
        return this.#rotate(owner, standing, terms, wish, told);
      case "revoke":
        return this.#revoke(owner, wish.id, standing, told);
    }
  }

  #standing({ consumer, kind, scopes: brought }: KeyOwner): Standing | null {
    const consumers = this.#consumers;
    const configured = Object.hasOwn(consumers.configured, consumer) ? consumers.configured[consumer] : undefined;
    const content = consumers.find(consumer)?.content ?? null;
    const said = configured ?? content?.settings;
    if (said == null) return null;
    const stored = content?.credentials ?? [];
    // Scopes of a session are about its provider; what is said of the credential that it goes by holds all the same.
    const narrowed = [...(configured?.credentials ?? []), ...stored].flatMap(({ oidc, scopes }) =>
      oidc === undefined || scopes === undefined ? [] : [scopes],
    );
    const limits = kind === "oidc" ? narrowed : [brought];
    const mayGive = said.scopes.filter((scope) => limits.every((list) => list.includes(scope)));
    return { isConfigured: configured !== undefined, scopes: said.scopes, stored, mayGive };
  }

  #list({ consumer }: KeyOwner, { scopes, stored, mayGive }: Standing, terms: KeyTerms): KeyAnswer {
    const consumers = this.#consumers;
    const own = Object.hasOwn(consumers.configured, consumer) ? consumers.configured[consumer]!.credentials : [];
    const now = this.#now();
    const fixed = own.flatMap((one, at): OwnKey[] =>
      one.apiKey === undefined
        ? []
        : [{ ...shown({ ...one, id: String(at), createdAt: "" }, scopes, now), source: "configuration" }],
    );
    const kept = stored.filter(({ apiKey }) => apiKey !== undefined).map((one) => shown(one, scopes, now));
    return { kind: "keys", keys: [...kept, ...fixed], scopes: offered(mayGive, terms) };
  }

  async #make(
    owner: KeyOwner,
    { isConfigured, mayGive, scopes: all }: Standing,
    terms: KeyTerms,
    { name, ttlMs, scopes }: Extract<KeyWish, { do: "make" }>,
    told: ToldOfKeys,
  ): Promise<KeyAnswer> {
    const offer = offered(mayGive, terms);
    const beyond = scopes?.find((scope) => !offer.includes(scope));
    if (beyond !== undefined) return keyRefusal(422, `You cannot give a key the scope "${beyond}".`);
    if (ttlMs > terms.expiryMs) return keyRefusal(422, "The key would live longer than it may.");
    const tooMany = this.#tooMany(owner.consumer, terms);
    if (tooMany !== null) return tooMany;
    const now = this.#now();
    const { credential, made } = await newCredential({ apiKey: true, name, disabled: false }, now);
    const one: StoredCredential = {
      ...credential,
      expires: new Date(now + ttlMs).toISOString(),
      scopes: [...(scopes ?? offer)],
      self: true,
    };
    const how = credentialAdded(one, isConfigured, now);
    const edit = await this.#edit(told, owner, one.id, "credential-added", (before, record) =>
      living(before?.credentials ?? [], now) >= terms.max
        ? refusedEdit(409, `you have ${terms.max} keys, which is as many as you may: revoke one first`)
        : how(before, record),
    );
    return this.#made(owner, edit, { credential: one, made }, all, now);
  }

  async #rotate(
    owner: KeyOwner,
    { scopes: all, stored, mayGive }: Standing,
    terms: KeyTerms,
    { id, overlapMs }: Extract<KeyWish, { do: "rotate" }>,
    told: ToldOfKeys,
  ): Promise<KeyAnswer> {
    const old = stored.find((one) => one.id === id && one.apiKey !== undefined);
    if (old === undefined) return ABSENT;
    if (overlapMs > terms.overlapMs) return keyRefusal(422, "The old key would go on for longer than it may.");
    const now = this.#now();
    const { state, scopes } = shown(old, all, now);
    if (state !== "active") return keyRefusal(409, "This key is not in use any more: make another one.");
    // Who has a key for little cannot get one for more by it.
    if (scopes.some((scope) => !mayGive.includes(scope)))
      return keyRefusal(403, "This key can do more than the credentials that you came with.");
    const tooMany = this.#tooMany(owner.consumer, terms);
    if (tooMany !== null) return tooMany;
    const next = (await successorOf(old, now))!; // of a key there always is one
    const credential = { ...next.credential, ...termsOfNext(old, terms, now) };
    const how = credentialRotated(id, credential, overlapMs, now);
    const edit = await this.#edit(told, owner, credential.id, "credential-rotated", (before, record) =>
      overlapMs > 0 && old.self === true && living(before?.credentials ?? [], now) > terms.max
        ? refusedEdit(409, "a key that was rotated before is still there: revoke it first")
        : how(before, record),
    );
    return this.#made(owner, edit, { credential, made: next.made }, all, now);
  }

  async #revoke(owner: KeyOwner, id: string, { stored }: Standing, told: ToldOfKeys): Promise<KeyAnswer> {
    if (!stored.some((one) => one.id === id && one.apiKey !== undefined)) return ABSENT;
    const edit = await this.#edit(told, owner, id, "credential-revoked", credentialRevoked(id, this.#now()));
    return edit.kind === "done" ? { kind: "revoked", id } : refusalOf(edit);
  }

  #made(
    { consumer }: KeyOwner,
    edit: Edit,
    { credential, made }: NewCredential,
    scopes: readonly string[],
    now: number,
  ): KeyAnswer {
    if (edit.kind !== "done") {
      this.#makers.get(consumer)?.pop(); // it has not been made
      return refusalOf(edit);
    }
    return { kind: "made", key: made.key ?? "", made: shown(credential, scopes, now) };
  }

  /** Counts one more; a refusal where there are too many. Those that are still being made count as well. */
  #tooMany(consumer: string, { perDay }: KeyTerms): KeyAnswer | null {
    const now = this.#now();
    const since = now - DAY_MS;
    const times = (this.#makers.get(consumer) ?? []).filter((at) => at > since);
    this.#makers.delete(consumer);
    if (this.#makers.size >= MAKERS_MAX) this.#makers.delete(this.#makers.keys().next().value!);
    this.#makers.set(consumer, times);
    if (times.length < perDay) {
      times.push(now);
      return null;
    }
    const seconds = Math.max(1, Math.ceil((times[times.length - perDay]! - since) / 1000));
    return keyRefusal(429, `You may make ${perDay} keys within a day.`, seconds);
  }

  /** Changes the consumer; answered when all threads act on it, logged and told. */
  async #edit(
    told: ToldOfKeys,
    owner: KeyOwner,
    credential: string,
    change: ConsumerChange,
    how: Change,
  ): Promise<Edit> {
    const { consumer, kind, ip, route, requestId } = owner;
    const edit = await this.#consumers.edit(consumer, null, how);
    if (edit.kind !== "done") return edit;
    await told.heard();
    this.#log.info(`portal: consumer ${change.replace("-", " ")}`, {
      consumer,
      credential,
      by: kind,
      route,
      ip,
      requestId,
    });
    told.events.publish({ kind: "consumer", consumer, change, credential });
    return edit;
  }
}

const ABSENT = keyRefusal(404, "You have no such key, or it is one that only an operator can change.");

const offered = (mayGive: readonly string[], { scopes }: KeyTerms): string[] =>
  mayGive.filter((scope) => scopes?.includes(scope) ?? true);

/** Keys that their owner has made and that have not ended. */
const living = (credentials: readonly StoredCredential[], now: number): number =>
  credentials.filter(({ self, expires }) => self === true && endOf(expires) > now).length;

/** A key of an operator's keeps its end; one of the owner's own gets as long a life as it had, within the terms of now. */
function termsOfNext(old: StoredCredential, { expiryMs, scopes }: KeyTerms, now: number): Partial<StoredCredential> {
  const { self, expires, createdAt, scopes: had } = old;
  if (self !== true) return expires === undefined ? {} : { expires };
  const lifeMs = Math.min(expiryMs, endOf(expires) - Date.parse(createdAt));
  return {
    expires: new Date(now + lifeMs).toISOString(),
    scopes: (had ?? []).filter((scope) => scopes?.includes(scope) ?? true),
  };
}

function shown(one: StoredCredential, all: readonly string[], now: number): OwnKey {
  const { id, name = "", hint = "", disabled, scopes, createdAt, expires = "", self = false } = one;
  const state = disabled ? "disabled" : expires !== "" && endOf(expires) <= now ? "expired" : "active";
  const own = scopes === undefined ? all : self ? scopes.filter((scope) => all.includes(scope)) : scopes;
  return { id, name, hint, state, source: self ? "self" : "operator", scopes: own, createdAt, expires };
}

function refusalOf(edit: Exclude<Edit, { kind: "done" }>): KeyAnswer {
  if (edit.kind === "absent") return ABSENT;
  if (edit.kind === "stale") return keyRefusal(409, "Somebody else has changed this at the same time: try it again.");
  return keyRefusal(edit.status, `This cannot be: ${edit.why}.`);
}
