// `auth`: who asks, and whether they may. The entries are asked in their order; the first that finds credentials of its
// kind decides, so that wrong ones never become another way in.
import type { Authenticator, Verdict } from "../../auth/authenticator.ts";
import { type AuthContext, authContext } from "../../auth/context.ts";
import { Rules } from "../../auth/rules.ts";
import { within } from "../../config/compile-error.ts";
import type { AuthEntry } from "../../config/schema-auth.ts";
import { type FaultCode, fault } from "../../core/faults.ts";
import { type Exchange, type Filter, type FilterResult, isFault, type Outcome } from "../../pipeline/exchange.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { FilterDefinition } from "../definition.ts";
import { compileKind } from "./kinds.ts";

export const auth: FilterDefinition = {
  key: "auth",
  compile(policies, { scopeOf, route, shared, endpoints, state, servers }) {
    const config = policies.auth;
    if (config === undefined) return [];
    const many = Array.isArray(config);
    const ways = (many ? config : [config]).map((entry, at, all) => {
      const following = all.slice(at + 1).flatMap((other) => Object.keys(other));
      const context = authContext(route, `${scopeOf("auth")} ${at}`, shared, endpoints, state, following, servers);
      const way = (): Way => compileWay(entry, context);
      return many ? within(at, way) : way();
    });
    refuseSameCredentials(ways);
    const gate = new Gate(ways, policies.cors !== undefined);
    const filter: Filter = { name: "auth", request: (x) => gate.look(x) };
    if (ways.some(({ authenticator }) => authenticator.response !== undefined))
      filter.response = (x) => x.authenticated?.response?.(x);
    return [Object.freeze(filter)];
  },
};

/** One entry: a way to find out who asks, and who of those may. */
interface Way {
  readonly authenticator: Authenticator;
  readonly rules: readonly Rules[];
  readonly context: AuthContext;
}

function compileWay(entry: AuthEntry, context: AuthContext): Way {
  const { allow, require } = entry;
  const rules = allow === undefined && require === undefined ? [] : [new Rules(allow, require)];
  return { authenticator: compileKind(entry, context), rules, context };
}

/** Of two ways that read the same field the second would never be asked: what is wrong for one goes nowhere else. */
function refuseSameCredentials(ways: readonly Way[]): void {
  const isPassword = ({ authenticator: { kind } }: Way): boolean => kind === "basic" || kind === "ldap";
  const first = ways.findIndex(isPassword);
  const second = ways.findIndex((way, at) => at > first && isPassword(way));
  if (second < 0) return;
  within(second, () => {
    throw new RangeError(`entry ${first} reads names and passwords already: put all of them into one`);
  });
}

class Gate {
  readonly #ways: readonly Way[];
  /** Preflights come without credentials, and `cors` answers all of them. */
  readonly #preflights: boolean;

  constructor(ways: readonly Way[], preflights: boolean) {
    this.#ways = ways;
    this.#preflights = preflights;
  }

  look(x: Exchange): FilterResult {
    if (this.#preflights && x.request.method === "OPTIONS" && isPreflight(x)) return undefined;
    return this.#ask(x, 0);
  }

  #ask(x: Exchange, from: number): FilterResult {
    const ways = this.#ways;
    for (let i = from; i < ways.length; i += 1) {
      const way = ways[i]!;
      const verdict = way.authenticator.authenticate(x);
      if (verdict === null) continue;
      if (!(verdict instanceof Promise)) return this.#decide(x, way, verdict);
      return verdict.then((settled) => {
        if (x.over) return undefined; // its head may be another request's by now
        return settled === null ? this.#ask(x, i + 1) : this.#decide(x, way, settled);
      });
    }
    return this.#login(x, 0);
  }

  #decide(x: Exchange, way: Way, verdict: NonNullable<Verdict>): Outcome | undefined {
    if ("user" in verdict) return this.#admit(x, way, verdict);
    const { kind } = way.authenticator;
    const { audit, throttle } = way.context;
    if ("answer" in verdict) return verdict.answer;
    if ("forbidden" in verdict) {
      audit.tell(x, { kind, result: "forbidden", user: verdict.identity.user, why: verdict.why });
      if (verdict.error !== "") challenge(x, [way], verdict.error);
      return fault("auth.forbidden", verdict.why);
    }
    if (verdict.guess) {
      const wait = throttle.waitSeconds(x.ip, "");
      throttle.failed(x.ip, "");
      if (wait > 0) {
        audit.tell(x, { kind, result: "throttled", user: "", why: verdict.why });
        return fault("limit.failures", "guesses", wait);
      }
    }
    audit.tell(x, { kind, result: "refused", user: "", why: verdict.why });
    return this.#unauthorized(x, "auth.refused", verdict.why, way, verdict.error);
  }

  #admit(x: Exchange, way: Way, identity: Identity): Outcome | undefined {
    const { rules, authenticator, context } = way;
    for (let i = 0; i < rules.length; i += 1) {
      const why = rules[i]!.refusal(identity);
      if (why === null) continue;
      context.audit.tell(x, { kind: identity.kind, result: "forbidden", user: identity.user, why });
      return authenticator.forbidden?.(x, identity) ?? fault("auth.forbidden", why);
    }
    x.identity = identity;
    x.request.headers.personal = true;
    if (authenticator.response !== undefined) x.authenticated = authenticator;
    return undefined;
  }

  /** There are no credentials at all: some ways can help to get some. */
  #login(x: Exchange, from: number): FilterResult {
    const ways = this.#ways;
    for (let i = from; i < ways.length; i += 1) {
      const outcome = ways[i]!.authenticator.login?.(x) ?? null;
      if (outcome === null) continue;
      if (!(outcome instanceof Promise)) return this.#helped(x, outcome);
      return outcome.then((settled) => {
        if (x.over) return undefined;
        return settled === null ? this.#login(x, i + 1) : this.#helped(x, settled);
      });
    }
    ways[0]!.context.audit.tell(x, { kind: "", result: "required", user: "", why: "" });
    return this.#unauthorized(x, "auth.required", "", null, "");
  }

  /** A way's own 401 tells of all other ways too. */
  #helped(x: Exchange, outcome: Outcome): Outcome {
    if (isFault(outcome) || outcome.status !== 401) return outcome;
    this.#ways[0]!.context.audit.tell(x, { kind: "", result: "required", user: "", why: "" });
    for (const { authenticator } of this.#ways)
      if (authenticator.challenge !== "") outcome.headers.add("www-authenticate", authenticator.challenge);
    return outcome;
  }

  #unauthorized(x: Exchange, code: FaultCode, why: string, way: Way | null, error: string): Outcome {
    // What the connection does not have no request can bring.
    if (this.#ways.every(({ authenticator }) => authenticator.kind === "mtls")) return fault("auth.certificate", why);
    challenge(x, way === null || error === "" ? this.#ways : [way], error);
    return fault(code, why);
  }
}

/** A 401 says how to get in (RFC 9110 section 11.6.1), with all ways there are or the one that says what was wrong. */
function challenge(x: Exchange, ways: readonly Way[], error: string): void {
  const fields = (x.errorFields ??= []);
  for (const { authenticator } of ways) {
    const text = authenticator.challenge;
    if (text === "") continue;
    const more = error === "" ? "" : `${text.includes(" ") ? "," : ""} ${error}`;
    fields.push(["www-authenticate", `${text}${more}`]);
  }
}

/** As `cors` sees it (filters/cors). */
const isPreflight = ({ request }: Exchange): boolean =>
  request.header("origin") !== null && request.header("access-control-request-method") !== null;
