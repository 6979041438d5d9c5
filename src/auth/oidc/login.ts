// Signing in: to the provider and back. A login under way is a cookie of ten minutes with what has to come back as it
// went out; where it leads to travels through the provider, encrypted, so that it survives the loss of that cookie.
import { createHash } from "node:crypto";
import type { Exchange, Outcome } from "../../pipeline/exchange.ts";
import { type Grant, groupsOf, personOf } from "./claims.ts";
import { redirectTo } from "./pages.ts";
import { type LoginChecks, type Provider, ProviderDown, ProviderRefuses } from "./provider.ts";
import type { Realm } from "./realm.ts";
import { cookiesOf, keepsCookies, originOf, parameter } from "./request.ts";
import type { Session } from "./session.ts";
import { randomText } from "./sessions.ts";

const LOGIN_S = 600;
/** Logins under way in one browser: as many cookies, which travel with each request. */
const LOGINS_MAX = 5;
/** The state comes back through the provider, and browsers and servers bound addresses. */
const STATE_MAX = 4096;
/** 256 bits; RFC 7636 section 4.1 asks for that. */
const VERIFIER_BYTES = 32;

/** Names the cookie of a login. */
const hashOf = (state: string): string => createHash("sha256").update(state).digest("base64url").slice(0, 16);

export class Login {
  readonly #realm: Realm;

  constructor(realm: Realm) {
    this.#realm = realm;
  }

  /** Sends the browser to the provider; `target` is where it ends up. */
  async begin(x: Exchange, provider: Provider, target: string): Promise<Outcome> {
    const { sessions, keyring, now, tag, config } = this.#realm;
    if (!keepsCookies(x))
      return this.#page(400, "This needs HTTPS", "Signing in works over a secure connection alone.");
    // The browser would keep no cookie, and be sent around in circles.
    if (!isBelow(x.request.host, config.session.domain))
      return this.#page(
        403,
        "Nobody can sign in here",
        "This host is not one of the domain that sign-in is set up for.",
      );
    const refused = this.#realm.tooMany(x);
    if (refused !== null) return refused;
    const about = `${tag} ${provider.name}`;
    const state = keyring.seal("state", about, Buffer.from(JSON.stringify([target, now, randomText()])));
    const checks: LoginChecks = { state, nonce: randomText(), verifier: randomText(VERIFIER_BYTES) };
    try {
      const url = await provider.loginUrl(callbackUrl(x, provider), checks);
      const hash = hashOf(state);
      const kept = Buffer.from(JSON.stringify([checks.nonce, checks.verifier, now]));
      const text = keyring.seal("flow", `${about} ${hash}`, kept);
      const cookies = sessions.cookies;
      const began = Math.floor(now / 1000);
      return redirectTo(url, cookies.writeFlow(hash, began, text, LOGIN_S, cookiesOf(x), LOGINS_MAX));
    } catch (error) {
      if (!(error instanceof ProviderDown)) throw error;
      return this.#down(x, provider, error, target);
    }
  }

  /** The browser is back from the provider. */
  async finish(x: Exchange, provider: Provider): Promise<Outcome> {
    const { keyring, tag, sessions, now } = this.#realm;
    const refused = this.#realm.tooMany(x);
    if (refused !== null) return refused;
    const state = parameter(x, "state");
    const about = `${tag} ${provider.name}`;
    const target = state.length > STATE_MAX ? null : targetOf(keyring.open("state", about, state));
    const own = target === null ? null : this.#realm.returnUrl(target, originOf(x));
    if (own === null)
      return this.#page(400, "This sign-in did not begin here", "Begin again, please.", this.#again(provider, "/"));
    const hash = hashOf(state);
    const text = sessions.cookies.readFlow(hash, cookiesOf(x));
    const flow = text === null ? null : flowOf(keyring.open("flow", `${about} ${hash}`, text), now);
    if (flow === null) {
      // Another tab was quicker, or somebody pressed "back": who is signed in wants to get on.
      if ((await this.#realm.sessionOf(x)) !== null) return redirectTo(own);
      const hint = "It took too long, or the browser keeps no cookies.";
      return this.#page(400, "The sign-in is over", hint, this.#again(provider, own));
    }
    const cookie = sessions.cookies.clearFlow(hash);
    try {
      const url = new URL(`${callbackUrl(x, provider)}?${x.request.query}`);
      const grant = await provider.redeem(url, { state, ...flow });
      return await this.#signedIn(x, provider, grant, own, cookie);
    } catch (error) {
      if (error instanceof ProviderDown) return this.#down(x, provider, error, own);
      if (!(error instanceof ProviderRefuses)) throw error;
      if ((await this.#realm.sessionOf(x)) !== null) return redirectTo(own, [cookie]);
      this.#realm.audit.tell(x, { kind: "oidc", result: "refused", user: "", why: error.message });
      const page = this.#page(403, "Signing in did not work", `${provider.title} says no.`, this.#again(provider, own));
      page.headers.add("set-cookie", cookie);
      return page;
    }
  }

  async #signedIn(x: Exchange, provider: Provider, grant: Grant, target: string, cookie: string): Promise<Outcome> {
    const { sessions, audit } = this.#realm;
    const claims = grant.claims ?? {};
    let groups: readonly string[];
    try {
      groups = await groupsOf(claims, grant.accessToken, provider.config);
    } catch (error) {
      throw new ProviderDown(String(error)); // without its groups, somebody might be let in or kept out wrongly
    }
    const person = personOf(claims, groups, provider.config);
    if (person === null) {
      const why = `the claim ${provider.config.user} does not say who it is`;
      audit.tell(x, { kind: "oidc", result: "refused", user: grant.subject, why });
      const text = "The provider does not say what is needed to know you here.";
      return this.#page(403, "Signing in did not work", text, this.#again(provider, target));
    }
    const session = this.#session(provider, grant, person, claims);
    const lines = await sessions.write(session, cookiesOf(x)).catch(() => null);
    if (lines === null) {
      audit.tell(x, { kind: "oidc", result: "failed", user: session.user, why: "the session cannot be stored" });
      return this.#page(503, "Signing in did not work", "The session cannot be kept. Try again later.", []);
    }
    audit.tell(x, { kind: "oidc", result: "login", user: session.user, why: "" });
    return redirectTo(target, [...lines, cookie]);
  }

  #session(
    provider: Provider,
    grant: Grant,
    person: Pick<Session, "user" | "groups" | "claims">,
    { sid }: Readonly<Record<string, unknown>>,
  ): Session {
    const { now, config } = this.#realm;
    const { issuer, subject, scopes, refreshToken, idToken, expiresInS } = grant;
    return {
      id: randomText(),
      key: randomText(VERIFIER_BYTES),
      generation: 0,
      provider: provider.name,
      issuer,
      subject,
      sid: typeof sid === "string" ? sid : "",
      ...person,
      scopes,
      createdAt: now,
      seenAt: now,
      endsAt: now + config.session.absolute,
      refreshAt: refreshToken === "" || expiresInS === 0 ? 0 : now + expiresInS * 1000,
      refreshToken,
      idToken,
    };
  }

  #down(x: Exchange, provider: Provider, error: ProviderDown, target: string): Outcome {
    this.#realm.audit.tell(x, { kind: "oidc", result: "failed", user: "", why: error.message });
    const text = `${provider.title} cannot be reached at the moment. Try again in a while.`;
    const page = this.#page(503, "Signing in does not work now", text, this.#again(provider, target));
    page.headers.add("retry-after", "5");
    return page;
  }

  #again(provider: Provider, target: string): readonly { readonly href: string; readonly text: string }[] {
    return [{ href: this.#realm.path("start", { provider: provider.name, rd: target }), text: "Try again" }];
  }

  #page(
    status: number,
    heading: string,
    text: string,
    links: readonly { readonly href: string; readonly text: string }[] = [],
  ): ReturnType<Realm["pages"]["page"]> {
    return this.#realm.pages.page({ status, heading, text, links });
  }
}

const isBelow = (host: string, domain: string | undefined): boolean =>
  domain === undefined || host === domain || host.endsWith(`.${domain}`);

const callbackUrl = (x: Exchange, { name }: Provider): string => `${originOf(x)}/.auth/callback/${name}`;

function targetOf(plain: Buffer | null): string | null {
  if (plain === null) return null;
  const [target] = JSON.parse(plain.toString()) as [string, number, string];
  return target;
}

function flowOf(plain: Buffer | null, now: number): Pick<LoginChecks, "nonce" | "verifier"> | null {
  if (plain === null) return null;
  const [nonce, verifier, beganAt] = JSON.parse(plain.toString()) as [string, string, number];
  return now - beganAt > LOGIN_S * 1000 ? null : { nonce, verifier };
}
