// What every way of authentication offers to the filter `auth` (filters/auth), which asks them in their order.
import type { Exchange, Outcome } from "../pipeline/exchange.ts";
import type { Identity } from "../pipeline/identity.ts";

/** Credentials came, and they are wrong. No other way is asked: a wrong key must not become a login. */
export interface Refused {
  readonly refused: true;
  /** For the log and for events, without secrets. */
  readonly why: string;
  /**
   * The parameters of the challenge that say why (`error="invalid_token"`) in WWW-Authenticate; "" for none.
   */
  readonly error: string;
  /** Whether it counts as a guess, for the throttle: an expired token does not, a wrong password does. */
  readonly guess: boolean;
}

/** Somebody known, who may not: 403. */
export interface Forbidden {
  readonly forbidden: true;
  readonly identity: Identity;
  readonly why: string;
  /** As that of Refused (`error="insufficient_scope"`). */
  readonly error: string;
}

/** An answer in place of the filter's own: a redirect to log in, a page, what an auth server says, a fault (503). */
export interface Answered {
  readonly answer: Outcome;
}

/** Null: there are no credentials of this kind. */
export type Verdict = Identity | Refused | Forbidden | Answered | null;

export interface Authenticator {
  readonly kind: Identity["kind"];
  /** The challenge of WWW-Authenticate without its `error` (RFC 9110 section 11.6.1); "" for none. */
  readonly challenge: string;
  /**
   * Who it is. A promise only where something has to be waited for. It never throws for what a client sends. It removes
   * what it has read and servers should not see (the session's cookie).
   */
  authenticate(x: Exchange): Verdict | Promise<Verdict>;
  /**
   * Asked when no way has found credentials: an answer that lets the client get some (a redirect to the provider for a
   * top-level navigation), null for the plain 401.
   */
  login?(x: Exchange): Outcome | null | Promise<Outcome | null>;
  /** Asked where rules forbid it to somebody known: an answer in place of the plain 403; null for that. */
  forbidden?(x: Exchange, identity: Identity): Outcome | null;
  /** The head of the answer is there: fields may be added (cookies). Only asked of the one that found the identity. */
  response?(x: Exchange): void;
}
