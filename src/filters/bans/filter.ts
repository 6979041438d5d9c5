// `bans`: whoever fails too often, or asks for what nobody honest asks for, is refused for a while. Events are counted
// in memory that all threads share. A ban everywhere goes to the supervisor, which denies the address on all routes;
// this route knows at once.
import { within } from "../../config/compile-error.ts";
import type { BansConfig } from "../../config/schema-abuse.ts";
import { fault } from "../../core/faults.ts";
import { addressKey, CidrSet } from "../../core/ip.ts";
import { GcraTable } from "../../engines/rate-limit/gcra.ts";
import { KeyHash } from "../../engines/storage/key-hash.ts";
import type { Exchange, Filter, Outcome } from "../../pipeline/exchange.ts";
import { type RequestKey, requestKey } from "../../pipeline/request-key.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { FilterDefinition } from "../definition.ts";

type Rule = BansConfig["rules"][number];

/** Clients that are counted, and that are banned, at a time by each rule: 1.6 MB each. */
const CLIENTS = 100_000;

/** Clocks of threads may differ by so much: what is over is over for all of them. */
const SKEW_MS = 1000;

export const bans: FilterDefinition = {
  key: "bans",
  compile(policies, { scopeOf, route, shared }) {
    const config = policies.bans;
    if (config === undefined) return [];
    const { honeypots, rules, except } = config;
    if (honeypots.length === 0 && rules.length === 0)
      throw new RangeError("it bans nobody: give it `rules` or `honeypots`");
    const exempt = within("except", () => new CidrSet(except));
    const scope = scopeOf("bans");
    const compiled = within("rules", () =>
      rules.map((rule, at) => within(at, () => new BanRule(rule, `${scope} ${at}`, shared))),
    );
    const traps = honeypots.length === 0 ? null : new Traps(config, `${scope} honeypots`, shared);
    const filter: Filter = {
      name: "bans",
      request(x) {
        for (let i = 0; i < compiled.length; i += 1) {
          const refusal = compiled[i]!.refusal(x);
          if (refusal !== null) return exempt.has(x.ip) ? undefined : refusal;
        }
        return traps === null || exempt.has(x.ip) ? undefined : traps.look(x, route);
      },
    };
    const byStatus = compiled.filter((rule) => rule.location === "");
    if (byStatus.length > 0) {
      filter.finished = (x) => {
        for (let i = 0; i < byStatus.length; i += 1)
          if (byStatus[i]!.counts(x) && !exempt.has(x.ip)) byStatus[i]!.count(x, route);
      };
    }
    // The fields of an answer are only there while it is on its way.
    const byLocation = compiled.filter((rule) => rule.location !== "");
    if (byLocation.length > 0) {
      filter.response = (x) => {
        for (let i = 0; i < byLocation.length; i += 1)
          if (byLocation[i]!.leadsBack(x) && !exempt.has(x.ip)) byLocation[i]!.count(x, route);
      };
    }
    return [Object.freeze(filter)];
  },
};

/** Who is banned at the moment, of one rule: a bucket of one request is empty for as long as the ban holds. */
class Banned {
  /** What the rule is called in all processes with the same configuration. */
  readonly rule: string;
  readonly forMs: number;
  readonly #table: GcraTable;
  readonly #shared: Shared;

  /** `forget` ends what was counted of the key. */
  constructor(name: string, forMs: number, key: RequestKey, shared: Shared, forget: (key: RequestKey) => void) {
    this.rule = `bans ${name} ${forMs}`;
    this.forMs = forMs;
    this.#table = new GcraTable(shared.memory(this.rule, GcraTable.bytes(CLIENTS)), { intervalMs: forMs, burst: 1 });
    this.#shared = shared;
    shared.onTick({ tick: (nowMs, sinceMs) => this.#table.sweep(nowMs, sinceMs) });
    shared.onBans(this.rule, {
      add: (values, ms) => {
        key.ofValues(values);
        const parts = Math.min(1, ms / forMs);
        if (this.leftMs(key) === 0) this.#table.take(key.low, key.high, parts, shared.now());
      },
      lift: (values) => {
        key.ofValues(values);
        this.#table.giveBack(key.low, key.high, (this.leftMs(key) + SKEW_MS) / forMs);
        forget(key);
      },
    });
  }

  /** False when the key is banned already. */
  add({ low, high }: RequestKey): boolean {
    return this.#table.take(low, high, 1, this.#shared.now());
  }

  /** Milliseconds that the ban holds on; 0 without one. */
  leftMs({ low, high }: RequestKey): number {
    return this.#table.aheadMs(low, high, this.#shared.now());
  }
}

class BanRule {
  /** Where redirects lead that count; "" for all answers of the statuses. */
  readonly location: string;
  readonly #statuses: ReadonlySet<number>;
  readonly #waf: boolean;
  readonly #key: RequestKey;
  readonly #events: GcraTable;
  readonly #banned: Banned;
  readonly #rule: Rule;
  readonly #shared: Shared;

  /** Throws CompileError for a key that is none. */
  constructor(rule: Rule, scope: string, shared: Shared) {
    const on = [rule.on].flat();
    this.#statuses = new Set(on.filter((event) => event !== "waf"));
    this.#waf = on.includes("waf");
    this.location = rule.location ?? "";
    if (this.location !== "" && on.some((event) => event === "waf" || event < 300 || event > 399))
      throw new RangeError("with a `location`, `on` has statuses of redirects alone, such as 302");
    const everywhere = rule.scope === "everywhere";
    this.#key = within("key", () => {
      const parts = [rule.key].flat();
      if (everywhere && parts.join() !== "ip") throw new RangeError("a ban everywhere is one of an address: `ip`");
      return requestKey(parts, new KeyHash(shared.seed));
    });
    const name = `${scope} ${JSON.stringify([rule.key, on, rule.count, rule.within, this.location])}`;
    const intervalMs = rule.within / rule.count;
    const events = new GcraTable(shared.memory(`events ${name}`, GcraTable.bytes(CLIENTS)), {
      intervalMs,
      burst: rule.count,
    });
    this.#events = events;
    this.#banned = new Banned(name, rule.for, this.#key, shared, ({ low, high }) =>
      events.giveBack(low, high, (events.aheadMs(low, high, shared.now()) + SKEW_MS) / intervalMs),
    );
    this.#rule = rule;
    this.#shared = shared;
    shared.onTick({ tick: (nowMs, sinceMs) => this.#events.sweep(nowMs, sinceMs) });
  }

  /** Why the request may not, for as long as its key is banned. */
  refusal(x: Exchange): Outcome | null {
    this.#key.of(x);
    const leftMs = this.#banned.leftMs(this.#key);
    if (leftMs === 0) return null;
    if (this.#rule.scope === "everywhere") return fault("access.denied", "banned");
    return fault("limit.failures", "banned", Math.max(1, Math.ceil(leftMs / 1000)));
  }

  /** Whether the exchange that has ended is such an event. What a ban itself refuses is none, or it would never end. */
  counts(x: Exchange): boolean {
    const code = x.fault?.code ?? "";
    if (code === "limit.failures" || code === "access.denied") return false;
    return this.#statuses.has(x.status) || (this.#waf && code.startsWith("waf."));
  }

  /** Whether the answer is a redirect that counts, as that of a login that has failed. */
  leadsBack(x: Exchange): boolean {
    const { response, fault: failed } = x;
    if (failed !== null || !this.#statuses.has(response.status)) return false;
    const target = pathOf(response.headers.get("location") ?? "");
    const { location } = this;
    return location.endsWith("*") ? target.startsWith(location.slice(0, -1)) : target === location;
  }

  count(x: Exchange, route: string): void {
    this.#key.of(x);
    const { low, high } = this.#key;
    const { count, within: withinMs } = this.#rule;
    // Half an event of room, as clocks of threads differ by some milliseconds.
    const isFull =
      !this.#events.take(low, high, 1, this.#shared.now()) || this.#events.resetMs > ((count - 0.5) * withinMs) / count;
    if (!isFull) return;
    if (!this.#banned.add(this.#key)) return;
    const { scope, key } = this.#rule;
    const made = {
      scope,
      parts: [key].flat(),
      values: this.#key.values(x),
      why: `${count} failures on route ${route}`,
    };
    ban(x, this.#banned, made, this.#shared);
  }
}

class Traps {
  readonly #exact: ReadonlySet<string>;
  readonly #below: readonly string[];
  readonly #key: RequestKey;
  readonly #banned: Banned;
  readonly #shared: Shared;

  constructor(config: BansConfig, name: string, shared: Shared) {
    const paths = config.honeypots;
    this.#exact = new Set(paths.filter((path) => !path.endsWith("*")));
    this.#below = paths.filter((path) => path.endsWith("*")).map((path) => path.slice(0, -1));
    this.#key = requestKey(["ip"], new KeyHash(shared.seed));
    this.#banned = new Banned(name, config.for, this.#key, shared, () => {});
    this.#shared = shared;
  }

  look(x: Exchange, route: string): Outcome | undefined {
    this.#key.of(x);
    if (this.#banned.leftMs(this.#key) > 0) return fault("access.denied", "banned");
    const path = x.request.path ?? "";
    if (!this.#exact.has(path) && !this.#below.some((start) => path.startsWith(start))) return undefined;
    if (this.#banned.add(this.#key)) {
      const values = this.#key.values(x);
      const made = { scope: "everywhere", parts: ["ip"], values, why: `honeypot on route ${route}` } as const;
      ban(x, this.#banned, made, this.#shared);
    }
    // As if there were nothing: whoever looks for holes learns least from that.
    return fault("route.none", "a honeypot");
  }
}

/** The path and query of a Location, which may name a host. */
function pathOf(location: string): string {
  const host = location.startsWith("/") && !location.startsWith("//") ? -1 : location.indexOf("//");
  if (host < 0) return location;
  const path = location.indexOf("/", host + 2);
  return path < 0 ? "/" : location.slice(path);
}

interface Made {
  readonly scope: Rule["scope"];
  readonly parts: readonly string[];
  readonly values: readonly string[];
  readonly why: string;
}

function ban(x: Exchange, { rule, forMs }: Banned, { scope, parts, values, why }: Made, shared: Shared): void {
  const route = x.route?.name ?? "";
  shared.count("sluice_bans_total", [x.route?.name ?? "-", scope]);
  const told = { ip: addressKey(x.ip), scope, seconds: Math.round(forMs / 1000), why };
  shared.tell("a client is banned", told);
  shared.event({ kind: "ban", route, ...told });
  shared.ban({ rule, route, scope, key: parts.map((part, at) => [part, values[at]!] as const), forMs, why });
}
