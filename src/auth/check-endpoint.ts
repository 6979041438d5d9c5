// `/.auth/check`: another proxy asks whether a request may go on, as with Traefik's ForwardAuth, Caddy's
// forward_auth and nginx's auth_request. The `auth` of the route decides that would have served it here.
import { type Fault, fault } from "../core/faults.ts";
import { isAuthority } from "../http/grammar.ts";
import { HeaderBlock } from "../http/header-block.ts";
import { ResponseHead } from "../http/message.ts";
import type { Exchange, FilterResult, Outcome, Route } from "../pipeline/exchange.ts";
import { isFault } from "../pipeline/exchange.ts";
import { claimText } from "../pipeline/identity.ts";
import type { Reply } from "../pipeline/reply.ts";
import type { Endpoint } from "./endpoints.ts";

/** Whatever method a proxy asks with: the one that counts is what it says. */
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const NO_BODY = Buffer.alloc(0);

/** What finds the route of a request (routing/table.ts). */
interface Routes {
  find(x: Exchange): Route | null;
  readonly params: Exchange["params"];
}

export function checkEndpoint(routes: Routes): Endpoint {
  return {
    methods: METHODS,
    handle(x) {
      // What anybody says of another request is worth nothing, and tells what is behind which route.
      if (!x.trusted) return fault("access.denied", "/.auth/check is for trustedProxies");
      const redirects = x.request.query === "redirect";
      const back = memento(x);
      const problem = asAsked(x);
      const checked = problem ?? check(x, routes);
      if (!(checked instanceof Promise)) return finish(x, checked, redirects, back);
      return checked.then(
        (outcome) => finish(x, outcome, redirects, back),
        (error: unknown) => {
          back();
          throw error;
        },
      );
    },
  };
}

function check(x: Exchange, routes: Routes): FilterResult {
  const route = routes.find(x);
  if (route === null) return fault("route.none", `${x.request.authority} ${x.request.target}`);
  x.route = route;
  x.params = routes.params;
  return route.requestFilters.find(({ name }) => name === "auth")?.request?.(x);
}

/** Makes the request what the proxy was asked. */
function asAsked(x: Exchange): Fault | null {
  const { request } = x;
  const method = x.header("x-forwarded-method") ?? x.header("x-original-method") ?? request.method;
  const uri = x.header("x-forwarded-uri") ?? x.header("x-original-uri");
  const url = uri === null ? URL.parse(x.header("x-original-url") ?? "") : null;
  const target = uri ?? (url === null ? null : url.pathname + url.search);
  const host = (x.header("x-forwarded-host") ?? url?.host ?? request.authority).toLowerCase();
  if (target === null) return fault("h1.bad_request", "neither X-Forwarded-Uri nor X-Original-URL");
  if (!/^[A-Z-]{1,32}$/.test(method) || !/^\/[\x21-\x7e]*$/.test(target) || !isAuthority(host))
    return fault("h1.bad_request", "what the proxy says of the request is malformed");
  request.method = method;
  request.authority = host;
  request.target = target;
  request.queryAt = target.indexOf("?");
  return request.badPath ? fault("request.path", target) : null;
}

/** Logs and metrics are about the question, not about what it asks for. */
function memento(x: Exchange): () => void {
  const { request } = x;
  const { method, authority, target, queryAt } = request;
  return () => {
    request.method = method;
    request.authority = authority;
    request.target = target;
    request.queryAt = queryAt;
    x.route = null;
  };
}

// biome-ignore lint/suspicious/noConfusingVoidType: what filters give.
function finish(x: Exchange, outcome: Outcome | undefined | void, redirects: boolean, back: () => void): Outcome {
  if (x.over) return fault("client.gone"); // its head may be another request's by now
  const answer =
    outcome === undefined ? permission(x) : redirects || isFault(outcome) ? outcome : unredirected(outcome);
  back();
  return answer;
}

function permission(x: Exchange): Outcome {
  // The certificate is that of the proxy, whoever asked it.
  if (x.identity?.kind === "mtls") return fault("auth.certificate", "asked by a proxy");
  x.response = new ResponseHead();
  const { headers } = x.response;
  const { identity } = x;
  if (identity !== null) {
    const fields: readonly (readonly [name: string, value: string])[] = [
      ["User", identity.user],
      ["Email", claimText(identity, "email")],
      ["Groups", identity.groups.join(",")],
      ["Consumer", identity.consumer],
      ["Preferred-Username", claimText(identity, "preferred_username")],
    ];
    for (const [name, value] of fields) {
      if (value === "") continue;
      const text = Buffer.from(value.replace(/[\x00-\x1f\x7f]/g, "")).latin1Slice();
      headers.add(`X-Forwarded-${name}`, text);
      headers.add(`X-Auth-Request-${name}`, text);
    }
    x.authenticated?.response?.(x);
  }
  for (const cookie of x.setCookies ?? []) headers.add("set-cookie", cookie);
  return { status: 200, headers: HeaderBlock.of(headers.entries()), body: NO_BODY };
}

/** nginx takes a redirect for a failure: it gets 401 and may send the client to `Location` itself. */
function unredirected(outcome: Reply): Reply {
  return outcome.status >= 300 && outcome.status < 400 ? { ...outcome, status: 401 } : outcome;
}
