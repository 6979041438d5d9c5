// Refreshing sessions: one at a time for each session, over all threads and machines, as a provider that gives new
// refresh tokens takes the second use of an old one for theft, and ends everything. Who comes too late, in another tab
// or with a cookie of a moment ago, gets what the first one got.
import type { Shared } from "../../pipeline/shared.ts";
import { groupsOf, personOf } from "./claims.ts";
import type { Records } from "./memory-records.ts";
import { type Provider, ProviderRefuses } from "./provider.ts";
import { bySession } from "./revocations.ts";
import { openWith, sealWith } from "./seal.ts";
import { decodeSession, encodeSession, type Session } from "./session.ts";
import { keyOf, type Opened } from "./sessions.ts";
import type { Store } from "./store.ts";

/** A lock lasts that long, and is renewed before: who holds it may have died. */
const LEASE_MS = 10_000;
const RENEW_MS = 3000;
/** Those who wait for another's refresh look this often, and no longer than that. */
const LOOK_MS = 40;
const WAIT_MS = 15_000;
/** After trouble at the provider. */
const RETRY_MS = 30_000;
/** What a long session has in memory is its tokens alone. */
const RECORD_BYTES_MAX = 8192;
const ENDED = "ended";
/** Where a provider does not say how long its tokens hold. */
const HOLDS_S = 3600;

/** The session as it is now; null when it has ended; the same one when it could not be found out. */
export type Refreshed = Session | null;

export class Refresher {
  readonly #store: Store;
  readonly #shared: Shared;
  readonly #running = new Map<string, Promise<Refreshed>>();

  constructor(store: Store, shared: Shared) {
    this.#store = store;
    this.#shared = shared;
  }

  /** Whether the provider should be asked now. */
  isDue({ session, retryAt }: Opened, now: number): boolean {
    return session.refreshAt !== 0 && now >= session.refreshAt && session.refreshToken !== "" && now >= retryAt;
  }

  run(opened: Opened, provider: Provider): Promise<Refreshed> {
    const { session } = opened;
    const running = this.#running.get(session.id);
    if (running !== undefined) return running;
    const refreshed = this.#refresh(session, provider)
      .catch(() => session)
      .then((next) => {
        if (next === session) opened.retryAt = this.#shared.wallNow() + RETRY_MS;
        return next;
      })
      .finally(() => this.#running.delete(session.id));
    this.#running.set(session.id, refreshed);
    return refreshed;
  }

  async #refresh(session: Session, provider: Provider): Promise<Refreshed> {
    const records = await this.#store.records();
    const until = this.#shared.wallNow() + WAIT_MS;
    for (;;) {
      const newer = await this.#newer(records, session);
      if (newer !== session) return newer;
      const lock = await records.lock(`auth/refresh/${session.id}`, LEASE_MS);
      if (lock === null) {
        if (this.#shared.wallNow() > until) return session;
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        continue;
      }
      const renewal = setInterval(() => void lock.renew().catch(() => undefined), RENEW_MS);
      try {
        const meanwhile = await this.#newer(records, session);
        return meanwhile === session ? await this.#ask(records, session, provider) : meanwhile;
      } finally {
        clearInterval(renewal);
        await lock.release().catch(() => undefined);
      }
    }
  }

  /** What another one has got for this session since; the same one where there is nothing newer. */
  async #newer(records: Records, session: Session): Promise<Refreshed> {
    const text = await records.get(latestKey(session));
    if (text === null) return session;
    if (text === ENDED) return null;
    const plain = openWith(keyOf(session.key), session.id, Buffer.from(text, "base64url"));
    const latest = plain === null ? null : decodeSession(plain);
    if (latest === null || latest.generation <= session.generation) return session;
    if (latest.user !== "") return latest;
    const { user, groups, claims } = session;
    return { ...latest, user, groups, claims };
  }

  async #ask(records: Records, session: Session, provider: Provider): Promise<Refreshed> {
    const now = this.#shared.wallNow();
    try {
      const grant = await provider.refresh(session.refreshToken, session.subject);
      const person = await personIn(grant.claims, grant.accessToken, session, provider);
      const next: Session = {
        ...session,
        ...person,
        generation: session.generation + 1,
        scopes: grant.scopes.length > 0 ? grant.scopes : session.scopes,
        seenAt: now,
        refreshAt: now + (grant.expiresInS || HOLDS_S) * 1000,
        refreshToken: grant.refreshToken || session.refreshToken,
        idToken: grant.idToken || session.idToken,
      };
      await this.#keep(records, next);
      return next;
    } catch (error) {
      if (!(error instanceof ProviderRefuses)) throw error;
      this.#shared.tell("a session has ended at its provider", { provider: provider.name, error: error.message });
      await records.set(latestKey(session), ENDED, { ttlMs: WAIT_MS * 4 });
      await this.#store.revoke({ what: bySession(session.id), at: session.endsAt, until: session.endsAt });
      return null;
    }
  }

  /** For those who still have the session of before, for as long as they may come with it. */
  async #keep(records: Records, session: Session): Promise<void> {
    const whole = encodeSession(session);
    const plain =
      whole.length <= RECORD_BYTES_MAX ? whole : encodeSession({ ...session, user: "", groups: [], claims: {} });
    const sealed = sealWith(keyOf(session.key), session.id, plain).toString("base64url");
    const ttlMs = Math.max(1, Math.ceil(session.endsAt - this.#shared.wallNow()));
    await records.set(latestKey(session), sealed, { ttlMs }).catch(() => undefined);
  }
}

const latestKey = ({ id }: Session): string => `auth/latest/${id}`;

/** Who it is now; nothing where the provider could not be asked for that. */
async function personIn(
  claims: Readonly<Record<string, unknown>> | null,
  token: string,
  session: Session,
  { config }: Provider,
): Promise<Pick<Session, "user" | "groups" | "claims"> | Record<string, never>> {
  if (claims === null) return {};
  const groups = await groupsOf(claims, token, config).catch(() => session.groups);
  const person = personOf(claims, groups, config);
  if (person === null && claims[config.user] === undefined) return {}; // a refresh tells less than a login
  if (person === null) throw new ProviderRefuses(`the claim ${config.user} says no longer who it is`);
  return person;
}
