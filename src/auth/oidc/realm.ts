// All that routes with the same `oidc` have in common: its providers, its sessions, its pages. One for each thread and
// plan.
import { createHash } from "node:crypto";
import type { OidcConfig, ProviderConfig } from "../../config/schema-auth-oidc.ts";
import { fault } from "../../core/faults.ts";
import { receivedCookies } from "../../http/cookies.ts";
import type { Exchange, Outcome } from "../../pipeline/exchange.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { Audit } from "../audit.ts";
import type { AuthContext } from "../context.ts";
import { CookieMemo } from "../cookie-memo.ts";
import type { Endpoints } from "../endpoints.ts";
import { Live } from "../live.ts";
import { Cookies } from "./cookies.ts";
import { Pages } from "./pages.ts";
import { Provider } from "./provider.ts";
import { Refresher } from "./refresh.ts";
import { cookiesOf } from "./request.ts";
import { returnUrl } from "./return-url.ts";
import { Keyring } from "./seal.ts";
import { type Opened, Sessions } from "./sessions.ts";
import { Store } from "./store.ts";
import { Visits } from "./visits.ts";

export class Realm {
  /** Tells it from others, in the names of cookies too; the same after a restart. */
  readonly tag: string;
  readonly config: OidcConfig;
  readonly providers: ReadonlyMap<string, Provider>;
  readonly keyring: Keyring;
  readonly store: Store;
  readonly sessions: Sessions;
  readonly refresher: Refresher;
  readonly pages: Pages;
  readonly live: Live;
  readonly visits: Visits;
  /** Cookie fields, and the session's text in them. */
  readonly fields: CookieMemo<{ readonly field: string; readonly text: string | null }>;
  readonly audit: Audit;
  readonly shared: Shared;
  /** All of the plan, this one included. */
  readonly all: Iterable<Realm>;
  readonly #returnTo: ReadonlySet<string>;

  constructor(config: OidcConfig, context: AuthContext, store: Store, all: Iterable<Realm>) {
    const { shared } = context;
    const providers = providersOf(config);
    const { domain = null, authHost = "" } = config.session;
    const who = [...providers].map(([key, one]) => [
      key,
      one.issuer,
      one.type,
      one.oauth2?.authorization,
      one.clientId,
    ]);
    const identity = JSON.stringify([who, domain, authHost]);
    this.tag = createHash("sha256").update(identity).digest("hex").slice(0, 8);
    this.config = config;
    this.shared = shared;
    this.audit = context.audit;
    this.all = all;
    this.store = store;
    this.providers = new Map(
      [...providers].map(([key, one]) => [key, new Provider(key, one, () => shared.wallNow())] as const),
    );
    const secrets = [config.cookieSecret ?? context.secretFor(`oidc ${this.tag}`)].flat();
    this.keyring = new Keyring(secrets);
    const cookies = new Cookies({ name: config.session.cookie, tag: this.tag, domain });
    this.sessions = new Sessions(this.tag, config.session, cookies, this.keyring, store, shared);
    this.refresher = new Refresher(store, shared);
    this.pages = new Pages(config.pages);
    this.live = new Live(() => this.now);
    this.visits = new Visits(shared);
    this.fields = new CookieMemo((headers) => {
      const field = receivedCookies(headers)!;
      return { field, text: cookies.read(field) };
    });
    this.#returnTo = new Set(config.session.returnTo);
  }

  get now(): number {
    return this.shared.wallNow();
  }

  /** The provider of that name, or the only one; null where one has to be chosen. */
  provider(name: string): Provider | null {
    if (name !== "") return this.providers.get(name) ?? null;
    return this.providers.size === 1 ? this.providers.values().next().value! : null;
  }

  /** Where somebody may be led to, as a whole URL; null for nowhere. */
  returnUrl(text: string, origin: string): string | null {
    return returnUrl(text, origin, this.#returnTo);
  }
  mayReturnTo(origin: string): boolean {
    return this.#returnTo.has(origin);
  }

  /** The session that a request comes with, if it still holds. */
  async sessionOf(x: Exchange): Promise<Opened | null> {
    const text = this.sessions.cookies.read(cookiesOf(x));
    const opened = text === null ? null : await this.sessions.find(text);
    return opened !== null && this.sessions.isAlive(opened, this.now) ? opened : null;
  }

  /** Counts a step of a login. An answer where there were too many from this address; null to go on. */
  tooMany(x: Exchange, steps = 1): Outcome | null {
    const wait = this.visits.waitSeconds(x, steps);
    return wait === 0 ? null : fault("limit.rate", "steps of logins", wait);
  }

  hasCookie(x: Exchange): boolean {
    return this.sessions.cookies.read(cookiesOf(x)) !== null;
  }

  /** An address of this realm below the reserved prefix. */
  path(endpoint: string, parameters: Readonly<Record<string, string>>): string {
    return `/.auth/${endpoint}?${new URLSearchParams({ realm: this.tag, ...parameters })}`;
  }
}

function providersOf(config: OidcConfig): ReadonlyMap<string, ProviderConfig> {
  if (config.providers !== undefined) return new Map(Object.entries(config.providers));
  const { clientId } = config;
  return new Map([[config.name, { ...config, clientId: clientId! }]]);
}

const REALMS = new WeakMap<Endpoints, Map<string, Realm>>();
const STORES = new WeakMap<Endpoints, Store>();

/**
 * The realm for these settings in the plan, and whether it is a new one.
 *
 * @throws RangeError where another one has a provider of the same name, which stands in the path of its callback
 */
export function realmOf(config: OidcConfig, context: AuthContext): readonly [realm: Realm, isNew: boolean] {
  const { endpoints, state, shared } = context;
  if (config.session.store === "state" && state === null)
    throw new RangeError("`session.store: state` needs a place for it: `cluster.redis`, or `storage`");
  const { allow: _allow, require: _require, ...rest } = config;
  const key = JSON.stringify(rest);
  const realms = REALMS.get(endpoints) ?? new Map<string, Realm>();
  REALMS.set(endpoints, realms);
  const known = realms.get(key);
  if (known !== undefined) return [known, false];
  const store = STORES.get(endpoints) ?? new Store(state, shared);
  STORES.set(endpoints, store);
  const others = [...realms.values()];
  const realm = new Realm(config, context, store, { [Symbol.iterator]: () => realms.values() });
  for (const name of realm.providers.keys())
    if (others.some((one) => one.providers.has(name)))
      throw new RangeError(
        `another \`oidc\` with other settings has a provider named "${name}": give it another \`name\``,
      );
  realms.set(key, realm);
  return [realm, true];
}
