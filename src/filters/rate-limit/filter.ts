// `rateLimit`: how often clients may ask, over all threads. Limits are asked in their order; what the earlier ones took
// of a request that a later one refuses is given back.
import { CompileError, within } from "../../config/compile-error.ts";
import type { RateLimitConfig } from "../../config/schema-limits.ts";
import { fault } from "../../core/faults.ts";
import { RefusedClients } from "../../engines/rate-limit/refused-clients.ts";
import { KeyHash } from "../../engines/storage/key-hash.ts";
import type { Exchange, Filter, FilterResult, Outcome } from "../../pipeline/exchange.ts";
import { namesIdentity, type RequestKey, requestKey } from "../../pipeline/request-key.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { FilterContext, FilterDefinition, Policies } from "../definition.ts";
import { answered, waitUntil } from "./answers.ts";
import { type Check, ConcurrentCheck, QuotaCheck, RateCheck } from "./checks.ts";
import { SharedCheck } from "./shared-check.ts";
import { SharedHash } from "./shared-hash.ts";

/** What does not depend on who somebody is: it is counted before that is found out, which costs more. */
export const rateLimit: FilterDefinition = {
  key: "rateLimit",
  compile(policies, context) {
    const limits = limitsOf(policies, context);
    const early = limits.filter(({ identified }) => !identified).length;
    return early === 0 ? [] : [Object.freeze(filterOf(limits, 0, early, context.shared))];
  },
};

/** Limits of those that `auth` knows. */
export const rateLimitIdentified: FilterDefinition = {
  key: "rateLimit",
  compile(policies, context) {
    const limits = limitsOf(policies, context);
    const early = limits.filter(({ identified }) => !identified).length;
    return early === limits.length ? [] : [Object.freeze(filterOf(limits, early, limits.length, context.shared))];
  },
};

/** The limits of a route are compiled once for both filters: what they count in has one name. */
const compiled = new WeakMap<Policies, readonly Limit[]>();

/** Those first that do not depend on who somebody is. */
function limitsOf(policies: Policies, context: FilterContext): readonly Limit[] {
  const known = compiled.get(policies);
  if (known !== undefined) return known;
  const { rateLimit: config = [] } = policies;
  const many = Array.isArray(config);
  const limits = (many ? config : [config]).map((item, at) => {
    const scope = context.scopeOf("rateLimit");
    const limit = (): Limit => {
      const made = compileLimit(item, `${scope} ${at}`, context);
      // One of `defaults` may be meant for the other routes.
      if (made.identified && policies.auth === undefined && scope !== "defaults")
        throw new CompileError("nobody is known here, as the route has no `auth`", ["key"]);
      return made;
    };
    return many ? within(at, limit) : limit();
  });
  refuseSameNames(limits);
  limits.sort((a, b) => Number(a.identified) - Number(b.identified));
  compiled.set(policies, limits);
  return limits;
}

/** One entry of the configuration: what it counts by, and all that it counts. */
interface Limit {
  readonly name: string;
  readonly key: RequestKey;
  readonly checks: readonly Check[];
  /** What clients are told of it; "" for nothing. */
  readonly policy: string;
  /** It counts by who somebody is. */
  readonly identified: boolean;
}

function compileLimit(config: RateLimitConfig, where: string, { shared, state }: FilterContext): Limit {
  const { name = "default", rate, quota, concurrent, burst } = config;
  if (rate === undefined && quota === undefined && concurrent === undefined)
    throw new RangeError("there is nothing to keep to: give it a `rate`, a `quota` or `concurrent`");
  if (rate === undefined && burst !== undefined) throw new RangeError("a `burst` needs a `rate`");
  const parts = [config.key].flat();
  const key = within("key", () => requestKey(parts, new SharedHash(shared), true));
  const checks: Check[] = [];
  // The settings are part of the name: what is counted by others begins anew.
  const memoryOf = (kind: string, own: unknown, bytes: number): SharedArrayBuffer =>
    shared.memory(`${kind} ${where} ${JSON.stringify([config.key, config.clients, own])}`, bytes);
  const isShared = state?.kind === "redis" && config.scope === "cluster";
  const shareable = (check: RateCheck | QuotaCheck): Check =>
    isShared ? new SharedCheck(check, config, memoryOf, shared) : check;
  if (concurrent !== undefined) checks.push(new ConcurrentCheck(concurrent, memoryOf, shared));
  if (rate !== undefined) checks.push(within("rate", () => shareable(new RateCheck(rate, config, memoryOf, shared))));
  if (quota !== undefined)
    checks.push(within("quota", () => shareable(new QuotaCheck(quota, config, memoryOf, shared))));
  const policy = config.headers
    ? checks
        .map((check) => check.policy(name))
        .filter((text) => text !== "")
        .join(", ")
    : "";
  return { name, key, checks, policy, identified: namesIdentity(parts) };
}

function refuseSameNames(limits: readonly Limit[]): void {
  const names = new Set<string>();
  for (const [at, { name }] of limits.entries()) {
    if (names.has(name))
      within(at, () => {
        throw new RangeError(`there is another limit named "${name}": give each its own \`name\``);
      });
    names.add(name);
  }
}

/** Asks the limits from `from` up to `to`; those before have been asked already. */
function filterOf(limits: readonly Limit[], from: number, to: number, shared: Shared): Filter {
  const policy = limits
    .slice(0, to)
    .map((limit) => limit.policy)
    .filter((text) => text !== "")
    .join(", ");
  const clients = new RefusedClients(shared.memory(RefusedClients.memory, RefusedClients.bytes));
  const wallNow = (): number => shared.wallNow();
  const asked = { limits, to, policy, clients, hash: new KeyHash(shared.seed), wallNow };
  const request = (x: Exchange): FilterResult => ask(asked, x, from, 0, x.limits, 0);
  if (policy === "") return { name: "rate-limit", request };
  return {
    name: "rate-limit",
    request,
    response(x) {
      if (x.limits === "") return;
      x.response.headers.set("ratelimit-policy", policy);
      x.response.headers.set("ratelimit", x.limits);
    },
  };
}

interface Asked {
  readonly limits: readonly Limit[];
  readonly to: number;
  readonly policy: string;
  /** Where it is noted who was refused. */
  readonly clients: RefusedClients;
  readonly hash: KeyHash;
  readonly wallNow: () => number;
}

/** Asks the checks from `check` of limit `limit` on; `untilMs` is until when it may wait for some, 0 if it has not yet. */
function ask(asked: Asked, x: Exchange, limit: number, check: number, before: string, untilMs: number): FilterResult {
  const { limits, to, policy } = asked;
  let told = before;
  for (let i = limit; i < to; i += 1) {
    const { key, checks, name, policy: own } = limits[i]!;
    key.of(x);
    const { low, high } = key;
    for (let j = i === limit ? check : 0; j < checks.length; j += 1) {
      const each = checks[j]!;
      let allowed = each.take(x, low, high);
      if (!allowed && each.isUnknown && each instanceof SharedCheck) {
        const until = untilMs === 0 ? waitUntil() : untilMs;
        const soon = answered(each, low, high, until);
        const soFar = told;
        // An exchange that has ended meanwhile may have lent its head to another one.
        if (soon !== null) return soon.then(() => (x.over ? undefined : ask(asked, x, i, j, soFar, until)));
        allowed = each.takeAlone(x, low, high);
      }
      if (own !== "") told = joined(told, each.left(name));
      if (!allowed) {
        asked.clients.note(x.ip, name, x.route?.name ?? "", asked.hash, asked.wallNow());
        return refuse(x, limits, i, j, told, policy);
      }
    }
  }
  x.limits = told;
  return undefined;
}

const joined = (told: string, more: string): string => (told === "" ? more : more === "" ? told : `${told}, ${more}`);

/** Gives back what was taken before check `check` of limit `limit` refused. */
function refuse(
  x: Exchange,
  limits: readonly Limit[],
  limit: number,
  check: number,
  told: string,
  policy: string,
): Outcome {
  const refusing = limits[limit]!;
  for (let i = limit; i >= 0; i -= 1) {
    const { key, checks } = limits[i]!;
    key.of(x);
    for (let j = (i === limit ? check : checks.length) - 1; j >= 0; j -= 1) checks[j]!.giveBack(key.low, key.high);
  }
  x.limit = refusing.name;
  if (told !== "") (x.errorFields ??= []).push(["ratelimit-policy", policy], ["ratelimit", told]);
  const by = refusing.checks[check]!;
  return fault(by.fault, `limit "${refusing.name}"`, Math.max(1, Math.ceil(by.retryMs / 1000)));
}
