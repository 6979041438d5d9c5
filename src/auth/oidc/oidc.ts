// `oidc`: who has signed in with a browser. A request with a session costs a look into a map; all else happens seldom.
import type { OidcConfig } from "../../config/schema-auth-oidc.ts";
import { fault } from "../../core/faults.ts";
import { ID } from "../../http/header-names.ts";
import type { EndableTunnel, Exchange, Outcome } from "../../pipeline/exchange.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { Authenticator, Verdict } from "../authenticator.ts";
import { originalOf } from "../consumers/consumers.ts";
import type { AuthContext } from "../context.ts";
import { isLong } from "../live.ts";
import { Rules } from "../rules.ts";
import { addEndpoints } from "./endpoints.ts";
import { HandOver } from "./hand-over.ts";
import { Login } from "./login.ts";
import { Logout } from "./logout.ts";
import { problemReply, redirectTo } from "./pages.ts";
import { SessionPermission } from "./permission.ts";
import { type Realm, realmOf } from "./realm.ts";
import { isNavigation, originOf } from "./request.ts";
import type { Session } from "./session.ts";
import type { Opened } from "./sessions.ts";

const SIGN_IN = "Sign in first: this is only for those who are known here.";

export function compileOidc(config: OidcConfig, context: AuthContext): Authenticator {
  const [realm, isNew] = realmOf(config, context);
  const login = new Login(realm);
  const over = new HandOver(realm);
  if (isNew) {
    context.endpoints.hide(realm.sessions.cookies);
    addEndpoints(context.endpoints, realm, login, new Logout(realm), over);
  }
  const { allow, require } = config;
  const rules = allow === undefined && require === undefined ? null : new Rules(allow, require);
  return new Oidc(realm, login, over, rules);
}

class Oidc implements Authenticator {
  readonly kind = "oidc";
  readonly challenge: string;
  readonly #realm: Realm;
  readonly #login: Login;
  readonly #over: HandOver;
  readonly #rules: Rules | null;
  #isPrepared = false;
  /** Of the few whose answers get any. */
  readonly #cookies = new WeakMap<Exchange, readonly string[]>();

  constructor(realm: Realm, login: Login, over: HandOver, rules: Rules | null) {
    this.#realm = realm;
    this.#login = login;
    this.#over = over;
    this.#rules = rules;
    this.challenge = `Cookie form-action="${realm.path("start", {})}"`;
  }

  authenticate(x: Exchange): Verdict | Promise<Verdict> {
    if (!this.#isPrepared) this.#prepare();
    const { headers } = x.request;
    if (!headers.received(ID.cookie)) return null;
    const { sessions } = this.#realm;
    const { field, text } = this.#realm.fields.of(headers);
    if (text === null) return null;
    const opened = sessions.find(text);
    if (!(opened instanceof Promise)) return this.#found(x, opened, text, field);
    return opened.then((settled) => this.#found(x, settled, text, field));
  }

  /** The first request has providers found out about, so that the first login need not wait. */
  #prepare(): void {
    this.#isPrepared = true;
    for (const provider of this.#realm.providers.values()) provider.prepare();
  }

  #found(x: Exchange, opened: Opened | null, text: string, field: string): Verdict | Promise<Verdict> {
    const { sessions, refresher, now } = this.#realm;
    if (opened === null || !sessions.isAlive(opened, now)) return null;
    // A page of another origin can open a WebSocket with this browser's cookies, and read what comes.
    if (x.request.upgrade !== "" && !this.#isOwnPage(x))
      return { answer: fault("auth.forbidden", "a WebSocket of another origin") };
    if (refresher.isDue(opened, now)) return this.#refreshed(x, opened, text, field);
    if (sessions.isStale(opened, now)) return this.#seen(x, opened, text, field);
    return this.#admit(x, opened.identity);
  }

  #isOwnPage(x: Exchange): boolean {
    const origin = x.request.header("origin");
    return origin === null || origin === originOf(x) || this.#realm.mayReturnTo(origin);
  }

  async #refreshed(x: Exchange, opened: Opened, text: string, field: string): Promise<Verdict> {
    const { refresher } = this.#realm;
    const provider = this.#realm.providers.get(opened.session.provider);
    if (provider === undefined) return null; // it is not configured any more
    const session = await refresher.run(opened, provider);
    if (session === null) return null;
    if (session === opened.session) return this.#admit(x, opened.identity);
    return await this.#renewed(x, session, text, field);
  }

  /** It is written down that the session was used. */
  async #seen(x: Exchange, { session }: Opened, text: string, field: string): Promise<Verdict> {
    const seenAt = this.#realm.now;
    return await this.#renewed(x, { ...session, seenAt }, text, field);
  }

  async #renewed(x: Exchange, session: Session, text: string, field: string): Promise<Verdict> {
    const { sessions } = this.#realm;
    const cookies = (await sessions.write(session, field).catch(() => null)) ?? NO_COOKIES;
    // In cookies, the next request comes with another text; this one still stands for the session of before.
    const isState = sessions.config.store === "state";
    const opened = isState ? sessions.remember(text, session) : sessions.opened(session);
    this.#cookies.set(x, cookies);
    // Also with an answer of Sluice's own: what is new must reach the browser.
    for (const line of cookies) (x.errorFields ??= []).push(["set-cookie", line]);
    return this.#admit(x, opened.identity);
  }

  #admit(x: Exchange, identity: Identity): Verdict {
    const why = this.#rules?.refusal(identity) ?? null;
    if (why === null) return identity;
    const page = this.forbidden(x, identity);
    if (page === null) return { forbidden: true, identity, why, error: "" };
    this.#realm.audit.tell(x, { kind: "oidc", result: "forbidden", user: identity.user, why });
    return { answer: page };
  }

  login(x: Exchange): Outcome | Promise<Outcome> {
    const realm = this.#realm;
    const own = originOf(x);
    if (!isNavigation(x)) return problemReply(401, SIGN_IN, `${own}${realm.path("start", {})}`);
    const target = realm.returnUrl(x.request.target, own) ?? `${own}/`;
    if (this.#over.isNeeded(x)) return this.#over.begin(x, target);
    const provider = realm.provider("");
    if (provider === null) return redirectTo(realm.path("providers", { rd: target }));
    return this.#login.begin(x, provider, target);
  }

  forbidden(x: Exchange, identity: Identity): Outcome | null {
    if (!isNavigation(x)) return null;
    const { pages } = this.#realm;
    const text = `You are signed in as ${identity.user}, but this page is not for you.`;
    const links = [{ href: this.#realm.path("logout", {}), text: "Sign out, and in as somebody else" }];
    return pages.page({ status: 403, heading: "This is not for you", text, links });
  }

  response(x: Exchange): void {
    const cookies = this.#cookies.get(x);
    const { response } = x;
    if (cookies !== undefined) for (const line of cookies) response.headers.add("set-cookie", line);
    if (isLong(x)) this.#watch(x, null);
  }

  tunnel(x: Exchange, tunnel: EndableTunnel): void {
    this.#watch(x, tunnel);
  }

  #watch(x: Exchange, tunnel: EndableTunnel | null): void {
    const { sessions, live } = this.#realm;
    const opened = x.identity === null ? null : sessions.ofIdentity(originalOf(x.identity));
    if (opened !== null) live.watch(new SessionPermission(sessions, opened, tunnel !== null), x, tunnel);
  }
}

const NO_COOKIES: readonly string[] = [];
