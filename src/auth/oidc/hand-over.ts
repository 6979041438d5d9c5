// One sign-in for hosts of different domains: all sign in at one of them, which hands the session over. What passes
// through the browser is a code that is good once, for a minute, for one origin, and for the browser that asked.
import { createHash } from "node:crypto";
import type { Exchange, Outcome } from "../../pipeline/exchange.ts";
import { redirectTo } from "./pages.ts";
import type { Realm } from "./realm.ts";
import { cookiesOf, keepsCookies, originOf, parameter } from "./request.ts";
import { openWith, sealWith } from "./seal.ts";
import { decodeSession, encodeSession, type Session } from "./session.ts";
import { keyOf, randomText } from "./sessions.ts";

const CODE_MS = 60_000;
const FLOW_S = 600;
const FLOWS_MAX = 5;
const KEY_BYTES = 32;

/** What a host asks of the one that signs in. */
interface Wish {
  readonly origin: string;
  readonly target: string;
  /** Names the cookie of the browser that asked. */
  readonly hash: string;
  readonly beganAt: number;
}

export class HandOver {
  readonly #realm: Realm;

  constructor(realm: Realm) {
    this.#realm = realm;
  }

  /** Whether another host signs in for this one. */
  isNeeded(x: Exchange): boolean {
    const { authHost } = this.#realm.config.session;
    return authHost !== undefined && x.request.authority !== authHost;
  }

  /** Sends the browser to the host that signs in. */
  begin(x: Exchange, target: string): Outcome {
    const { keyring, tag, sessions, now, config } = this.#realm;
    const origin = originOf(x);
    // Anybody can send any Host: only for those that are listed is a code ever made.
    if (!this.#realm.mayReturnTo(origin) || !keepsCookies(x))
      return this.#page(403, "Nobody can sign in here", "This host is not one of those that sign-in is set up for.");
    const refused = this.#realm.tooMany(x);
    if (refused !== null) return refused;
    const secret = randomText();
    const hash = createHash("sha256").update(secret).digest("base64url").slice(0, 16);
    const wish: Wish = { origin, target, hash, beganAt: now };
    const to = keyring.seal("state", `${tag} hand-over`, Buffer.from(JSON.stringify(wish)));
    const kept = keyring.seal("flow", `${tag} hand-over ${hash}`, Buffer.from(JSON.stringify([secret, now])));
    const url = `https://${config.session.authHost}${this.#realm.path("start", { to })}`;
    const began = Math.floor(now / 1000);
    return redirectTo(schemeOf(x, url), sessions.cookies.writeFlow(hash, began, kept, FLOW_S, cookiesOf(x), FLOWS_MAX));
  }

  /** What a host asks for; null for what no host has asked. */
  wishOf(to: string): Wish | null {
    const { keyring, tag, now } = this.#realm;
    const plain = keyring.open("state", `${tag} hand-over`, to);
    if (plain === null) return null;
    const wish = JSON.parse(plain.toString()) as Wish;
    return now - wish.beganAt > FLOW_S * 1000 || !this.#realm.mayReturnTo(wish.origin) ? null : wish;
  }

  /** At the host that signs in: hands the session to the one that asked. */
  async give(session: Session, { origin, hash, target }: Wish): Promise<Outcome> {
    const code = randomText(KEY_BYTES);
    const plain = Buffer.from(JSON.stringify([origin, hash, target, encodeSession(session).toString("base64")]));
    const sealed = sealWith(keyOf(code), "hand-over", plain).toString("base64url");
    try {
      await (await this.#realm.store.records()).set(recordOf(code), sealed, { ttlMs: CODE_MS });
    } catch {
      return this.#page(503, "Signing in does not work now", "Try again in a while.");
    }
    return redirectTo(`${origin}${this.#realm.path("accept", { code, state: hash })}`);
  }

  /** Back at the host that asked. */
  async accept(x: Exchange): Promise<Outcome> {
    const { sessions, keyring, tag, now } = this.#realm;
    const refused = this.#realm.tooMany(x);
    if (refused !== null) return refused;
    const code = parameter(x, "code");
    const hash = parameter(x, "state");
    const kept = sessions.cookies.readFlow(hash, cookiesOf(x));
    const plain = kept === null ? null : keyring.open("flow", `${tag} hand-over ${hash}`, kept);
    const isFresh = plain !== null && now - (JSON.parse(plain.toString()) as [string, number])[1] <= FLOW_S * 1000;
    const given = isFresh ? await this.#take(code) : null;
    if (given === null || given.origin !== originOf(x) || given.hash !== hash) {
      if ((await this.#realm.sessionOf(x)) !== null) return redirectTo(`${originOf(x)}/`);
      return this.#page(400, "The sign-in is over", "It took too long, or the browser keeps no cookies.");
    }
    const lines = await sessions.write(given.session, cookiesOf(x)).catch(() => null);
    if (lines === null) return this.#page(503, "Signing in did not work", "The session cannot be kept.");
    this.#realm.audit.tell(x, { kind: "oidc", result: "login", user: given.session.user, why: "handed over" });
    const target = this.#realm.returnUrl(given.target, originOf(x)) ?? `${originOf(x)}/`;
    return redirectTo(target, [...lines, sessions.cookies.clearFlow(hash)]);
  }

  /** What a code stands for, once. */
  async #take(code: string): Promise<(Omit<Wish, "beganAt"> & { readonly session: Session }) | null> {
    const key = keyOf(code);
    if (key.length !== KEY_BYTES) return null;
    try {
      const records = await this.#realm.store.records();
      const text = await records.get(recordOf(code));
      if (text === null) return null; // before the lock, as anybody can make codes up, and locks take room
      // Never released: of several who come with the same code, the first one gets it.
      if ((await records.lock(recordOf(code), CODE_MS)) === null) return null;
      await records.delete(recordOf(code));
      const plain = openWith(key, "hand-over", Buffer.from(text, "base64url"));
      if (plain === null) return null;
      const [origin, hash, target, bytes] = JSON.parse(plain.toString()) as [string, string, string, string];
      const session = decodeSession(Buffer.from(bytes, "base64"));
      return session === null ? null : { origin, hash, target, session };
    } catch {
      return null;
    }
  }

  #page(status: number, heading: string, text: string): Outcome {
    return this.#realm.pages.page({ status, heading, text, links: [] });
  }
}

/** A code is not to be found where records are kept. */
const recordOf = (code: string): string => `auth/code/${createHash("sha256").update(code).digest("base64url")}`;

/** The host that signs in is asked the same way as the one that asks; on this machine that may be without TLS. */
const schemeOf = (x: Exchange, url: string): string => (x.scheme === "https" ? url : url.replace(/^https:/, "http:"));
