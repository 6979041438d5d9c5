// The end of sessions: by who signed in, and by providers, whose word comes through the browser or directly.
import { createHash } from "node:crypto";
import type { Exchange, Outcome } from "../../pipeline/exchange.ts";
import { type Reply, reply } from "../../pipeline/reply.ts";
import { redirectTo } from "./pages.ts";
import { type Provider, ProviderDown, ProviderRefuses } from "./provider.ts";
import type { Realm } from "./realm.ts";
import { cookiesOf, originOf, parameter, readForm } from "./request.ts";
import { bySid, bySubject, type Revocation } from "./revocations.ts";

/** A logout token has about one kilobyte. */
const FORM_BYTES_MAX = 16_384;
/** How old a logout token may be, clocks that differ included (OpenID Connect Back-Channel Logout 1.0 section 2.6). */
const TOKEN_AGE_S = 300;
/** What only browsers tell of is remembered for long: fewer of it than of logins. */
const HEARD_STEPS = 5;
const EVENT = "http://schemas.openid.net/event/backchannel-logout";

export class Logout {
  readonly #realm: Realm;

  constructor(realm: Realm) {
    this.#realm = realm;
  }

  /** Ends the session of this browser, and at its provider too. Null where another realm has one to end. */
  async local(x: Exchange): Promise<Outcome | null> {
    const realm = this.#realm;
    const { sessions, keyring, tag } = realm;
    const field = cookiesOf(x);
    const text = sessions.cookies.read(field);
    if (text === null && [...realm.all].some((one) => one !== realm && one.hasCookie(x))) return null;
    const target = realm.returnUrl(parameter(x, "rd"), originOf(x));
    const after = target ?? `${originOf(x)}${realm.path("logged-out", {})}`;
    const opened = text === null ? null : await sessions.find(text);
    if (opened === null) return redirectTo(after, sessions.cookies.clear(field));
    const { session } = opened;
    await sessions.end(session);
    realm.audit.tell(x, { kind: "oidc", result: "logout", user: session.user, why: "" });
    const state = target === null ? "" : keyring.seal("logout", tag, Buffer.from(target));
    const provider = realm.provider(session.provider);
    const there = await provider
      ?.logoutUrl(session.idToken, `${originOf(x)}/.auth/logged-out`, state)
      .catch(() => null); // the session has ended here in any case
    return redirectTo(there ?? after, sessions.cookies.clear(field));
  }

  /** The browser is back from the provider's logout, or there was nowhere to go. */
  done(x: Exchange): Outcome {
    const { pages, all } = this.#realm;
    const state = parameter(x, "state");
    for (const realm of state === "" ? [] : all) {
      const plain = realm.keyring.open("logout", realm.tag, state);
      const target = plain === null ? null : realm.returnUrl(plain.toString(), originOf(x));
      if (target !== null) return redirectTo(target);
    }
    const links = [{ href: this.#realm.path("start", { rd: "/" }), text: "Sign in again" }];
    return pages.page({ status: 200, heading: "You are signed out", text: "Your session here has ended.", links });
  }

  /** A provider says that somebody has signed out there (OpenID Connect Back-Channel Logout 1.0). */
  async backChannel(x: Exchange, provider: Provider): Promise<Outcome> {
    const form = await readForm(x, FORM_BYTES_MAX);
    const token = form?.getAll("logout_token") ?? [];
    if (token.length !== 1) return refusal("there has to be one logout_token");
    try {
      const why = await this.#endBy(provider, token[0]!);
      return why === null ? reply(200, "", { "cache-control": "no-store" }) : refusal(why);
    } catch (error) {
      if (error instanceof ProviderRefuses) return refusal("the token is not valid");
      if (!(error instanceof ProviderDown)) throw error;
      return problem(503, "temporarily_unavailable", "the keys of the provider cannot be had");
    }
  }

  /** Why a token cannot be followed; null once it was. */
  async #endBy(provider: Provider, token: string): Promise<string | null> {
    const { iat, jti, sub, sid, nonce, events, exp, issuer } = await provider.verified(token);
    const nowS = this.#realm.now / 1000;
    if (typeof iat !== "number" || Math.abs(nowS - iat) > TOKEN_AGE_S) return "its time is not now";
    if (typeof jti !== "string" || jti === "") return "it has no jti";
    if (nonce !== undefined) return "it has a nonce";
    if (typeof events !== "object" || events === null || !Object.hasOwn(events, EVENT)) return "it tells no logout";
    const session = typeof sid === "string" ? sid : "";
    const subject = typeof sub === "string" ? sub : "";
    if (session === "" && subject === "") return "it names nobody";
    // Never released: a token counts once.
    const untilS = typeof exp === "number" ? exp - nowS : 0;
    const ttlMs = Math.max(2 * TOKEN_AGE_S, Math.min(untilS, 3600)) * 1000;
    const key = createHash("sha256").update(`${issuer} ${jti}`).digest("base64url");
    try {
      const records = await this.#realm.store.records();
      if ((await records.lock(`auth/jti/${key}`, ttlMs)) === null) return "it was used before";
    } catch {
      throw new ProviderDown("it cannot be found out whether the token was used before");
    }
    await this.#endAll({ what: session === "" ? bySubject(issuer, subject) : bySid(issuer, session) }, subject);
    return null;
  }

  async #endAll(ended: Pick<Revocation, "what" | "heard">, subject: string): Promise<void> {
    const { store, now, config, audit } = this.#realm;
    await store.revoke({ ...ended, at: now, until: now + config.session.absolute });
    audit.tell(null, { kind: "oidc", result: "logout", user: subject, why: "the provider says so" });
  }

  /** The same in a frame of the provider's page (OpenID Connect Front-Channel Logout 1.0). */
  async frontChannel(x: Exchange): Promise<Outcome | null> {
    const issuer = parameter(x, "iss");
    const sid = parameter(x, "sid");
    const { providers, sessions } = this.#realm;
    const isOurs = [...providers.values()].some(({ config }) => sameIssuer(config.issuer, issuer));
    if (!isOurs) return null;
    const refused = this.#realm.tooMany(x, HEARD_STEPS);
    if (refused !== null) return refused;
    if (sid !== "") await this.#endAll({ what: bySid(issuer, sid), heard: true }, "");
    const answer = reply(200, "<!doctype html><title>Signed out</title>", {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      "content-security-policy": `default-src 'none'; frame-ancestors ${new URL(issuer).origin}`,
    });
    for (const line of sessions.cookies.clear(cookiesOf(x))) answer.headers.add("set-cookie", line);
    return answer;
  }
}

const sameIssuer = (configured: string | undefined, told: string): boolean =>
  configured !== undefined && configured.replace(/\/$/, "") === told.replace(/\/$/, "");

const refusal = (why: string): Reply => problem(400, "invalid_request", why);

const problem = (status: number, error: string, why: string): Reply =>
  reply(status, JSON.stringify({ error, error_description: why }), {
    "content-type": "application/json",
    "cache-control": "no-store",
  });
