// A session of single sign-on: what is known of who signed in, until when it holds, and how it becomes bytes and back.
import type { Claims, Identity } from "../../pipeline/identity.ts";

export interface Session {
  /** Made at each login, so that nobody can know it before. */
  readonly id: string;
  /** Secret of its own: what stores keep of it opens with this alone. */
  readonly key: string;
  /** How often it was refreshed. */
  readonly generation: number;
  /** Name of the provider. */
  readonly provider: string;
  readonly issuer: string;
  readonly subject: string;
  /** The provider's session, for logouts that it tells of; "" where it has told none. */
  readonly sid: string;
  readonly user: string;
  readonly groups: readonly string[];
  readonly scopes: readonly string[];
  readonly claims: Claims;
  /** All times in milliseconds since 1970. */
  readonly createdAt: number;
  /** When it was last seen, as far as that was written down. */
  readonly seenAt: number;
  readonly endsAt: number;
  /** From then on the provider is to be asked whether it still holds; 0 for never. */
  readonly refreshAt: number;
  readonly refreshToken: string;
  /** For the logout at the provider; "" where it was not given, or is too long to keep. */
  readonly idToken: string;
}

/** A change of what follows means that sessions of before are none any more. */
const FORMAT = 1;

export function encodeSession(session: Session): Buffer {
  const s = session;
  const who = [s.provider, s.issuer, s.subject, s.sid, s.user, s.groups, s.scopes, s.claims];
  const times = [s.createdAt, s.seenAt, s.endsAt, s.refreshAt];
  return Buffer.from(JSON.stringify([FORMAT, s.id, s.key, s.generation, ...who, ...times, s.refreshToken, s.idToken]));
}

const TEXTS = [1, 2, 4, 5, 6, 7, 8, 16, 17];
const NUMBERS = [3, 12, 13, 14, 15];

/** Null for what is no session. It was encrypted by us, so only its format is looked at. */
export function decodeSession(bytes: Buffer): Session | null {
  let parts: unknown;
  try {
    parts = JSON.parse(bytes.toString());
  } catch {
    return null;
  }
  if (!Array.isArray(parts) || parts.length !== 18 || parts[0] !== FORMAT) return null;
  if (!TEXTS.every((at) => typeof parts[at] === "string")) return null;
  if (!NUMBERS.every((at) => typeof parts[at] === "number")) return null;
  const [, id, key, generation, provider, issuer, subject, sid, user, groups, scopes, claims] = parts;
  const [createdAt, seenAt, endsAt, refreshAt, refreshToken, idToken] = parts.slice(12);
  const who = { provider, issuer, subject, sid, user, groups, scopes, claims };
  return { id, key, generation, ...who, createdAt, seenAt, endsAt, refreshAt, refreshToken, idToken };
}

export function identityOf(session: Session): Identity {
  const { user, issuer, groups, scopes, claims } = session;
  return Object.freeze({ kind: "oidc", user, issuer, groups, scopes, plan: "", consumer: "", limits: null, claims });
}
