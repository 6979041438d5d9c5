// Cookies that keep a client where it was: at a server of an upstream, or at an upstream of a split route. The value is
// `TOKEN`, or `TOKEN.ISSUED` with a ttl. TOKEN is a keyed hash of the place, so it says nothing of it, cannot be
// guessed, and never changes with what else there is. It is computed when places come, not when requests do: verifying
// is a look-up. ISSUED is not part of the hash: who changes it lengthens nothing but his own stay.
import { createHmac } from "node:crypto";
import { cookieStart } from "../http/cookies.ts";

export interface StickyConfig {
  /** Name of the cookie. */
  readonly cookie: string;
  /** Milliseconds that a client is remembered after its last visit; undefined for as long as the browser runs. */
  readonly ttl?: number | undefined;
  /** Signs the cookies in place of the process's own secret. */
  readonly secret?: string | undefined;
  readonly sameSite: "lax" | "strict" | "none";
}

/** Where a request's cookie wants it to go. */
export interface StickyHit {
  readonly id: string;
  /** The cookie has lived for half its time: it should be set again. */
  readonly renew: boolean;
}

interface Place {
  readonly id: string;
  readonly token: string;
  readonly fresh: StickyHit;
  readonly old: StickyHit;
  /** Another one whose token begins alike. */
  next: Place | null;
}

/** 96 bits: none is guessed, and no two places get the same. */
const TOKEN_BYTES = 12;
const TOKEN_LENGTH = 16;
/** So many characters of six bits make the number that places are found by. */
const PREFIX_LENGTH = 5;
/** Seconds since 1970 in base 36 have six digits, and seven from 2038 on. */
const ISSUED_LENGTH_MAX = 7;
/** Machines that share a secret may disagree by this much about the time. */
const SKEW_S = 300;
const BASE64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const DOT = 0x2e;

const SIX_BITS = new Int8Array(128).fill(-1);
for (let at = 0; at < BASE64URL.length; at += 1) SIX_BITS[BASE64URL.charCodeAt(at)] = at;

export class Sticky {
  readonly #scope: string;
  readonly #cookie: string;
  readonly #ttlS: number;
  readonly #secret: Uint8Array | string;
  readonly #attributes: string;
  readonly #alwaysSecure: boolean;
  readonly #wallNow: () => number;
  #byId = new Map<string, Place>();
  #byPrefix = new Map<number, Place>();

  /**
   * `scope` says what the ids belong to (`upstream:app`), so that cookies of one are nothing to another.
   * `fallbackSecret` signs where the configuration has no secret; all threads must have the same one.
   * `wallNow` gives milliseconds since 1970.
   */
  constructor(scope: string, config: StickyConfig, fallbackSecret: Uint8Array, wallNow: () => number) {
    const { cookie, ttl, secret, sameSite } = config;
    this.#scope = scope;
    this.#cookie = cookie;
    this.#ttlS = ttl === undefined ? 0 : Math.max(1, Math.ceil(ttl / 1000));
    this.#secret = secret ?? fallbackSecret;
    const maxAge = this.#ttlS === 0 ? "" : `; Max-Age=${this.#ttlS}`;
    const site = sameSite === "lax" ? "Lax" : sameSite === "strict" ? "Strict" : "None";
    this.#attributes = `; Path=/${maxAge}; HttpOnly; SameSite=${site}`;
    this.#alwaysSecure = sameSite === "none"; // browsers drop such a cookie otherwise
    this.#wallNow = wallNow;
  }

  /** Says where clients can be kept, from now on. The tokens of those that stay are not computed again. */
  members(ids: readonly string[]): void {
    const byId = new Map<string, Place>();
    const byPrefix = new Map<number, Place>();
    for (const id of ids) {
      if (byId.has(id)) continue;
      const place = this.#byId.get(id) ?? placeOf(id, this.#tokenOf(id));
      const prefix = prefixAt(place.token, 0);
      place.next = byPrefix.get(prefix) ?? null;
      byPrefix.set(prefix, place);
      byId.set(id, place);
    }
    this.#byId = byId;
    this.#byPrefix = byPrefix;
  }

  #tokenOf(id: string): string {
    const hash = createHmac("sha256", this.#secret)
      .update(JSON.stringify([this.#scope, id]))
      .digest();
    return hash.toString("base64url", 0, TOKEN_BYTES);
  }

  /**
   * The member that the request's Cookie field names; null without a valid cookie of this scope, and when its member is
   * gone or its time is over. Allocates nothing.
   */
  find(cookies: string | null): StickyHit | null {
    if (cookies === null) return null;
    const name = this.#cookie;
    for (let at = cookieStart(cookies, name); at >= 0; at = cookieStart(cookies, name, at)) {
      const hit = this.#read(cookies, at);
      if (hit !== null) return hit;
    }
    return null;
  }

  #read(field: string, at: number): StickyHit | null {
    const place = this.#placeAt(field, at);
    if (place === null) return null;
    const after = at + TOKEN_LENGTH;
    if (this.#ttlS === 0) return endsAt(field, after) ? place.fresh : null;
    if (field.charCodeAt(after) !== DOT) return null;
    const issued = issuedAt(field, after + 1);
    if (issued < 0) return null;
    const age = Math.floor(this.#wallNow() / 1000) - issued;
    if (age > this.#ttlS) return null;
    return age * 2 > this.#ttlS || age < -SKEW_S ? place.old : place.fresh;
  }

  /** Not in constant time: a token that somebody guessed would only choose his own server. */
  #placeAt(field: string, at: number): Place | null {
    if (field.length < at + TOKEN_LENGTH) return null;
    let place = this.#byPrefix.get(prefixAt(field, at)) ?? null;
    while (place !== null && !field.startsWith(place.token, at)) place = place.next;
    return place;
  }

  /** The value of a Set-Cookie field that keeps the client at this member. `secure`: it speaks https. */
  setCookie(id: string, secure: boolean): string {
    const token = this.#byId.get(id)?.token ?? this.#tokenOf(id);
    const issued = this.#ttlS === 0 ? "" : `.${Math.floor(this.#wallNow() / 1000).toString(36)}`;
    return `${this.#cookie}=${token}${issued}${this.#attributes}${secure || this.#alwaysSecure ? "; Secure" : ""}`;
  }

  /** What an answer of this member must set, given what the request had; null for nothing. */
  cookieFor(hit: StickyHit | null, id: string, secure: boolean): string | null {
    return hit !== null && hit.id === id && !hit.renew ? null : this.setCookie(id, secure);
  }
}

function placeOf(id: string, token: string): Place {
  return { id, token, fresh: { id, renew: false }, old: { id, renew: true }, next: null };
}

/** The number of the first characters of a token; -1 when they are none of one. */
function prefixAt(text: string, at: number): number {
  let prefix = 0;
  for (let i = at; i < at + PREFIX_LENGTH; i += 1) {
    const code = text.charCodeAt(i);
    const bits = code < 128 ? SIX_BITS[code]! : -1;
    if (bits < 0) return -1;
    prefix = prefix * 64 + bits;
  }
  return prefix;
}

/** Whether a cookie's value ends there. */
function endsAt(field: string, at: number): boolean {
  if (at >= field.length) return true;
  const code = field.charCodeAt(at);
  return code === 0x3b || code === 0x2c || code === 0x20 || code === 0x09;
}

/** The base-36 number from there to the end of the value; -1 when there is none. */
function issuedAt(field: string, from: number): number {
  let value = 0;
  let at = from;
  for (; !endsAt(field, at); at += 1) {
    const code = field.charCodeAt(at);
    const digit = code <= 0x39 ? code - 0x30 : code - 0x61 + 10;
    if (digit < 0 || digit > 35 || (code > 0x39 && code < 0x61) || at - from === ISSUED_LENGTH_MAX) return -1;
    value = value * 36 + digit;
  }
  return at === from ? -1 : value;
}
