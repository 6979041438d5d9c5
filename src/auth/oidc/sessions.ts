// Sessions of one `oidc`: from the text of a cookie to who it is and back. What was opened is kept for a while, so that
// most requests cost a look into a map.
import { randomBytes } from "node:crypto";
import type { SessionConfig } from "../../config/schema-auth-oidc.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { Cookies } from "./cookies.ts";
import { bySession, keysOf } from "./revocations.ts";
import { type Keyring, openWith, sealWith } from "./seal.ts";
import { decodeSession, encodeSession, identityOf, type Session } from "./session.ts";
import type { Store } from "./store.ts";

/** Opened sessions of a thread: a few kilobytes each. */
const OPENED_MAX = 4096;
/** A session in the state may have been refreshed by another machine: it is read again after this. */
const READ_MS = 15_000;
/** How often at most it is written down that a session was used; at most a twentieth of `idle` is lost by it. */
const SEEN_MS_MIN = 60_000;
/** A longer ID token would cost more in each request than a logout without it. */
const ID_TOKEN_MAX = 2000;

/** Cookies of a session, of 4 KB each, that are worth a line of the log: many proxies take 8 KB of fields. */
const LARGE_PIECES = 3;

export interface Opened {
  readonly session: Session;
  readonly identity: Identity;
  /** What would end it, as far as it was looked up. */
  readonly keys: readonly string[];
  readonly readAt: number;
  /** Encrypted under a secret that is on its way out. */
  readonly isOld: boolean;
  /** How far revocations were looked at, and what came of it. */
  checked: number;
  isRevoked: boolean;
  /** A refresh has failed for reasons that pass: not to be tried before. */
  retryAt: number;
}

export class Sessions {
  readonly cookies: Cookies;
  readonly config: SessionConfig;
  readonly #keyring: Keyring;
  readonly #store: Store;
  readonly #shared: Shared;
  readonly #tag: string;
  readonly #seenMs: number;
  #toldLarge = false;
  readonly #opened = new Map<string, Opened>();
  readonly #byIdentity = new WeakMap<Identity, Opened>();

  constructor(tag: string, config: SessionConfig, cookies: Cookies, keyring: Keyring, store: Store, shared: Shared) {
    this.#tag = tag;
    this.config = config;
    this.cookies = cookies;
    this.#keyring = keyring;
    this.#store = store;
    this.#shared = shared;
    this.#seenMs = Math.max(Math.min(SEEN_MS_MIN, config.idle / 4), config.idle / 20);
  }

  get now(): number {
    return this.#shared.wallNow();
  }

  /** The session that a cookie's text stands for; null where it stands for none. A promise where the state is asked. */
  find(text: string): Opened | null | Promise<Opened | null> {
    const known = this.#opened.get(text);
    const isState = this.config.store === "state";
    if (known !== undefined && (!isState || this.now - known.readAt < READ_MS)) return known;
    const plain = this.#keyring.open("session", this.#tag, text);
    if (plain === null) return null;
    if (isState) return this.#read(text, plain, known ?? null);
    const session = decodeSession(plain);
    return session === null ? null : this.remember(text, session, this.#keyring.isOld(text));
  }

  async #read(text: string, pointer: Buffer, known: Opened | null): Promise<Opened | null> {
    const [id, key] = pointer.toString().split(".", 2);
    let sealed: string | null;
    try {
      sealed = await (await this.#store.state()).get(sessionKey(id!));
    } catch {
      return known; // who was known a moment ago is known still
    }
    const plain = sealed === null ? null : openWith(keyOf(key!), id!, Buffer.from(sealed, "base64url"));
    const session = plain === null ? null : decodeSession(plain);
    if (session !== null) return this.remember(text, session, this.#keyring.isOld(text));
    this.#opened.delete(text);
    return null;
  }

  remember(text: string, session: Session, isOld = false): Opened {
    const opened = this.opened(session, isOld);
    if (this.#opened.size >= OPENED_MAX) this.#opened.delete(this.#opened.keys().next().value!);
    this.#opened.set(text, opened);
    return opened;
  }

  /** The same for one request, where the text of its cookie is not known: no other text may ever find it. */
  opened(session: Session, isOld = false): Opened {
    const opened: Opened = {
      session,
      identity: identityOf(session),
      keys: keysOf(session),
      readAt: this.now,
      isOld,
      checked: -1,
      isRevoked: false,
      retryAt: 0,
    };
    this.#byIdentity.set(opened.identity, opened);
    return opened;
  }

  ofIdentity(identity: Identity): Opened | null {
    return this.#byIdentity.get(identity) ?? null;
  }

  /** Whether it still holds. */
  isAlive(opened: Opened, now: number): boolean {
    const { session } = opened;
    if (now >= session.endsAt || now - session.seenAt >= this.config.idle) return false;
    return !this.isRevoked(opened);
  }

  isRevoked(opened: Opened): boolean {
    const { generation } = this.#store;
    if (opened.checked !== generation) {
      opened.isRevoked = this.#store.isRevoked(opened.keys, opened.session.createdAt);
      opened.checked = generation;
    }
    return opened.isRevoked;
  }

  /** Whether it should be written down that it was used, or that its secret is another one now. */
  isStale({ session, isOld }: Opened, now: number): boolean {
    return isOld || now - session.seenAt >= this.#seenMs;
  }

  /**
   * Set-Cookie values for a session; `field` is what the browser has. Null where it is too large for cookies.
   *
   * @throws Error where the state cannot be reached
   */
  async write(session: Session, field: string): Promise<string[] | null> {
    const maxAgeS = Math.max(1, Math.ceil((session.endsAt - this.now) / 1000));
    if (this.config.store === "state") {
      await this.#put(session, maxAgeS * 1000);
      const text = this.#keyring.seal("session", this.#tag, Buffer.from(`${session.id}.${session.key}`));
      return this.cookies.write(text, maxAgeS, field);
    }
    return this.writeCookie(session, field);
  }

  /** The same at once, of sessions that are in cookies. */
  writeCookie(session: Session, field: string): string[] | null {
    const maxAgeS = Math.max(1, Math.ceil((session.endsAt - this.now) / 1000));
    const kept = session.idToken.length > ID_TOKEN_MAX ? { ...session, idToken: "" } : session;
    const lines = this.cookies.write(this.#seal(kept), maxAgeS, field);
    if (lines === null || lines.length >= LARGE_PIECES) this.#tellLarge(lines?.length ?? 0);
    if (lines !== null || kept.idToken === "") return lines;
    return this.cookies.write(this.#seal({ ...kept, idToken: "" }), maxAgeS, field);
  }

  /** Once: whoever reads logs sees it after the first login. */
  #tellLarge(pieces: number): void {
    if (this.#toldLarge) return;
    this.#toldLarge = true;
    const hint = "servers between here and browsers may refuse them: use `session.store: state`, or fewer `claims`";
    this.#shared.tell("sessions are large for cookies", { pieces: pieces || "too many", hint });
  }

  #seal(session: Session): string {
    return this.#keyring.seal("session", this.#tag, encodeSession(session));
  }

  async #put(session: Session, ttlMs: number): Promise<void> {
    const sealed = sealWith(keyOf(session.key), session.id, encodeSession(session)).toString("base64url");
    await (await this.#store.state()).set(sessionKey(session.id), sealed, { ttlMs });
  }

  /** Ends a session for good, also where its cookie has been copied. */
  async end(session: Session): Promise<void> {
    const { id, endsAt } = session;
    const revoked = this.#store.revoke({ what: bySession(id), at: endsAt, until: endsAt });
    if (this.config.store === "state") {
      const state = await this.#store.state().catch(() => null);
      await state?.delete(sessionKey(session.id)).catch(() => undefined);
    }
    await revoked;
  }
}

const sessionKey = (id: string): string => `auth/session/${id}`;
/** The secret of a session, as a key. */
export const keyOf = (secret: string): Buffer => Buffer.from(secret, "base64url");

/** Text that nobody guesses: 128 bits, or as many bytes as asked for. */
export const randomText = (bytes = 16): string => randomBytes(bytes).toString("base64url");
