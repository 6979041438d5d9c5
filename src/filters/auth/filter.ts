// `auth`: who asks, and whether they may. The entries are asked in their order; the first that finds credentials of its
// kind decides, so that wrong ones never become another way in.
import type { Authenticator, Verdict } from "../../auth/authenticator.ts";
import type { Consumers } from "../../auth/consumers/consumers.ts";
import { type AuthContext, authContext } from "../../auth/context.ts";
import { isLong, Live } from "../../auth/live.ts";
import { Rules } from "../../auth/rules.ts";
import { within } from "../../config/compile-error.ts";
import type { AuthEntry } from "../../config/schema-auth.ts";
import { type Fault, type FaultCode, fault } from "../../core/faults.ts";
import {
  type EndableTunnel,
  type Exchange,
  type Filter,
  type FilterResult,
  isFault,
  type Outcome,
} from "../../pipeline/exchange.ts";
import type { Identity } from "../../pipeline/identity.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { FilterDefinition } from "../definition.ts";
import { compileKind } from "./kinds.ts";

export const auth: FilterDefinition = {
  key: "auth",
  compile(policies, { scopeOf, route, shared, endpoints, state, servers, consumers }) {
    const config = policies.auth;
    if (config === undefined) return [];
    const many = Array.isArray(config);
    const ways = (many ? config : [config]).map((entry, at, all) => {
      const following = all.slice(at + 1).flatMap((other) => Object.keys(other));
      const scope = `${scopeOf("auth")} ${at}`;
      const context = authContext(route, scope, shared, endpoints, state, following, servers, consumers);
      const way = (): Way => compileWay(entry, context);
      return many ? within(at, way) : way();
    });
    refuseSameCredentials(ways);
    const gate = new Gate(ways, policies.cors !== undefined);
    const filter: Filter = { name: "auth", request: (x) => gate.look(x) };
    if (ways.some(({ answers }) => answers?.response !== undefined))
      filter.response = (x) => x.authenticated?.response?.(x);
    return [Object.freeze(filter)];
  },
};

/** One entry: a way to find out who asks, and who of those may. */
interface Way {
  readonly authenticator: Authenticator;
  readonly rules: readonly Rules[];
  readonly context: AuthContext;
  /** Whether it is asked which consumer somebody is, and has to be one; null for not. */
  readonly consumers: "required" | "optional" | null;
  /** What has something to add to answers, and to do about tunnels; null for nothing. */
  readonly answers: NonNullable<Exchange["authenticated"]> | null;
}

function compileWay(entry: AuthEntry, context: AuthContext): Way {
  const { allow, require } = entry;
  const rules = allow === undefined && require === undefined ? [] : [new Rules(allow, require)];
  const authenticator = compileKind(entry, context);
  const consumers = consumersModeOf(entry);
  const own = authenticator.response === undefined ? null : authenticator;
  const answers = consumers === null ? own : new ConsumerAnswers(own, rules, context.consumers, context.shared);
  return { authenticator, rules, context, consumers, answers };
}

/** An entry that takes credentials of consumers asks whose they are, whatever else it takes. */
function consumersModeOf(entry: AuthEntry): Way["consumers"] {
  const { consumers, apiKey, basic, signature, mtls } = entry;
  const takes = [apiKey, basic, signature, mtls].some((kind) => kind?.consumers === true);
  if (consumers === undefined) return takes ? "optional" : null;
  const refuse = (why: string): never =>
    within("consumers", () => {
      throw new RangeError(why);
    });
  for (const kind of ["ldap", "forward"] as const)
    if (entry[kind] !== undefined)
      refuse(`whom \`${kind}\` knows is no consumer: their credentials are of other kinds`);
  for (const kind of ["apiKey", "signature"] as const)
    if (entry[kind]?.consumers === false)
      refuse(`keys of \`keys\` are of nobody who is a consumer: set \`${kind}.consumers\``);
  return consumers;
}

/** Ends what a consumer has under way when he may no more, beside what the way that found him does. */
class ConsumerAnswers {
  readonly #own: NonNullable<Exchange["authenticated"]> | null;
  readonly #consumers: Consumers;
  readonly #live: Live;
  readonly #may: (identity: Identity) => boolean;

  constructor(
    own: NonNullable<Exchange["authenticated"]> | null,
    rules: readonly Rules[],
    consumers: Consumers,
    shared: Shared,
  ) {
    this.#own = own;
    this.#may = (identity) => rules.every((rule) => rule.refusal(identity) === null);
    this.#consumers = consumers;
    this.#live = new Live(() => shared.wallNow());
  }

  response(x: Exchange): void {
    this.#own?.response?.(x);
    if (isLong(x)) this.#watch(x, null);
  }

  tunnel(x: Exchange, tunnel: EndableTunnel): void {
    this.#own?.tunnel?.(x, tunnel);
    this.#watch(x, tunnel);
  }

  #watch(x: Exchange, tunnel: EndableTunnel | null): void {
    const permission = x.identity === null ? null : this.#consumers.permissionOf(x.identity, this.#may);
    if (permission !== null) this.#live.watch(permission, x, tunnel);
  }
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

  /** Who it is, as the consumer that he is; a fault for those who may not for that. */
  #consumer(x: Exchange, { consumers, context }: Way, identity: Identity): Identity | Fault {
    const judged = context.consumers.judge(identity);
    if (judged !== null && "user" in judged) return judged;
    if (judged === null && consumers === "optional") return identity;
    const why = judged === null ? "no consumer" : judged.why;
    context.audit.tell(x, { kind: identity.kind, result: "forbidden", user: identity.user, why });
    return fault("auth.forbidden", why);
  }

  #admit(x: Exchange, way: Way, found: Identity): Outcome | undefined {
    const { rules, authenticator, context } = way;
    const identity = way.consumers === null ? found : this.#consumer(x, way, found);
    if (!("user" in identity)) return identity;
    for (let i = 0; i < rules.length; i += 1) {
      const why = rules[i]!.refusal(identity);
      if (why === null) continue;
      context.audit.tell(x, { kind: identity.kind, result: "forbidden", user: identity.user, why });
      return authenticator.forbidden?.(x, identity) ?? fault("auth.forbidden", why);
    }
    x.identity = identity;
    x.request.headers.personal = true;
    if (way.answers !== null) x.authenticated = way.answers;
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
