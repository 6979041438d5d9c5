// The paths of single sign-on below `/.auth/`.
import type { Exchange, Outcome } from "../../pipeline/exchange.ts";
import { reply } from "../../pipeline/reply.ts";
import type { Endpoint, Endpoints } from "../endpoints.ts";
import type { HandOver } from "./hand-over.ts";
import type { Login } from "./login.ts";
import type { Logout } from "./logout.ts";
import type { Provider } from "./provider.ts";
import type { Realm } from "./realm.ts";
import { originOf, parameter } from "./request.ts";

const GET = ["GET"];
const GET_POST = ["GET", "POST"];

export function addEndpoints(endpoints: Endpoints, realm: Realm, login: Login, logout: Logout, over: HandOver): void {
  const add = (path: string, methods: Endpoint["methods"], handle: Endpoint["handle"]): void =>
    endpoints.add(path, { methods, handle: (x, rest) => (isFor(x, realm) ? handle(x, rest) : null) });
  const named = (act: (x: Exchange, provider: Provider) => Promise<Outcome>): Endpoint["handle"] => {
    return (x, name) => {
      const provider = realm.providers.get(name);
      return provider === undefined ? null : act(x, provider);
    };
  };
  add("start", GET, (x) => {
    const name = parameter(x, "provider");
    return name === "" || realm.providers.has(name) ? start(x, realm, login, over) : null;
  });
  add("providers", GET, (x) => chooser(realm, parameter(x, "rd")));
  add(
    "callback/*",
    GET,
    named((x, provider) => login.finish(x, provider)),
  );
  add("accept", GET, (x) => over.accept(x));
  add("logout", GET_POST, (x) => logout.local(x));
  add("logged-out", GET, (x) => logout.done(x));
  add(
    "backchannel-logout/*",
    ["POST"],
    named((x, provider) => logout.backChannel(x, provider)),
  );
  add("frontchannel-logout", GET, (x) => logout.frontChannel(x));
  add("userinfo", GET, (x) => userinfo(x, realm));
}

/** Several may answer the same path: one that is named is meant. */
function isFor(x: Exchange, { tag }: Realm): boolean {
  const named = parameter(x, "realm");
  return named === "" || named === tag;
}

async function start(x: Exchange, realm: Realm, login: Login, over: HandOver): Promise<Outcome> {
  const to = parameter(x, "to");
  const wish = to === "" ? null : over.wishOf(to);
  if (to !== "" && (wish === null || over.isNeeded(x)))
    return realm.pages.page({ status: 400, heading: "The sign-in is over", text: "Begin again, please.", links: [] });
  const opened = wish === null ? null : await realm.sessionOf(x);
  if (wish !== null && opened !== null) return over.give(opened.session, wish);
  const rd = wish === null ? parameter(x, "rd") || "/" : realm.path("start", { to });
  const target = realm.returnUrl(rd, originOf(x)) ?? `${originOf(x)}/`;
  if (over.isNeeded(x)) return over.begin(x, target);
  const provider = realm.provider(parameter(x, "provider"));
  return provider === null ? chooser(realm, rd) : await login.begin(x, provider, target);
}

/** The page on which a provider is chosen. */
function chooser(realm: Realm, rd: string): Outcome {
  const links = [...realm.providers.values()].map(({ name, title }) => ({
    href: realm.path("start", { provider: name, rd }),
    text: `Sign in with ${title}`,
  }));
  const { pages } = realm;
  return pages.page({ status: 200, heading: pages.title, text: "Choose how to sign in.", links });
}

/** Who is signed in, for scripts of the page. */
async function userinfo(x: Exchange, realm: Realm): Promise<Outcome | null> {
  const opened = await realm.sessionOf(x);
  if (opened === null && [...realm.all].some((one) => one !== realm && one.hasCookie(x))) return null;
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  if (opened === null) return reply(401, JSON.stringify({ login: realm.path("start", {}) }), headers);
  const { user, groups, claims, provider, endsAt } = opened.session;
  return reply(
    200,
    JSON.stringify({ user, groups, claims, provider, endsAt: new Date(endsAt).toISOString() }),
    headers,
  );
}
