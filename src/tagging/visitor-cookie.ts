// The browser's id in a cookie of the site that scripts cannot read, and the session that it is in.
import { randomBytes } from "node:crypto";
import { firstCookie, receivedCookies } from "../http/cookies.ts";
import type { Exchange } from "../pipeline/exchange.ts";

export interface Visitor {
  readonly id: string;
  /** Seconds since 1970 at which the session began, as GA4 counts sessions. */
  readonly session: number;
}

/** Browsers keep no cookie longer: 400 days (draft-ietf-httpbis-rfc6265bis section 5.5). */
export const MAX_AGE_MAX_S = 34_560_000;
/** A session ends when nothing has come for so long, as everywhere in web analytics. */
const SESSION_IDLE_S = 1800;
const ID_BYTES = 16;
/** `id.session.last`, times in seconds of base 36. */
const VALUE = /^([\w-]{22})\.([0-9a-z]{6,7})\.([0-9a-z]{6,7})$/;

export class VisitorCookie {
  readonly #name: string;
  readonly #maxAgeS: number;

  constructor(name: string, maxAgeMs: number) {
    this.#name = name;
    this.#maxAgeS = Math.min(Math.floor(maxAgeMs / 1000), MAX_AGE_MAX_S);
  }

  /** Who it is, somebody new where the cookie is not there or none of ours; renews it in the answer. */
  meet(x: Exchange, nowMs: number): Visitor {
    const now = Math.floor(nowMs / 1000);
    const known = VALUE.exec(firstCookie(receivedCookies(x.request.headers), this.#name) ?? "");
    const id = known?.[1] ?? randomBytes(ID_BYTES).toString("base64url");
    const last = known === null ? 0 : Number.parseInt(known[3]!, 36);
    const goesOn = now - last < SESSION_IDLE_S && last <= now;
    const session = known !== null && goesOn ? Number.parseInt(known[2]!, 36) : now;
    this.#set(x, `${id}.${session.toString(36)}.${now.toString(36)}`, this.#maxAgeS);
    return { id, session };
  }

  /** Consent was taken back: the browser is to forget it. */
  forget(x: Exchange): void {
    if (firstCookie(receivedCookies(x.request.headers), this.#name) !== null) this.#set(x, "", 0);
  }

  #set(x: Exchange, value: string, maxAge: number): void {
    const cookie = `${this.#name}=${value}; Path=/; Max-Age=${maxAge}; Secure; HttpOnly; SameSite=Lax`;
    (x.setCookies ??= []).push(cookie);
  }
}

/** Cookies of scripts that the server sets again, with the values that they have. */
export function keptCookies(x: Exchange, names: readonly string[]): void {
  const field = receivedCookies(x.request.headers);
  for (const name of names) {
    const value = firstCookie(field, name);
    if (value === null || value === "" || !COOKIE_VALUE.test(value)) continue;
    (x.setCookies ??= []).push(`${name}=${value}; Path=/; Max-Age=${MAX_AGE_MAX_S}; Secure; SameSite=Lax`);
  }
}

/** RFC 6265 section 4.1.1, and not so long that it would not be set anyway. */
const COOKIE_VALUE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]{1,2000}$/;
