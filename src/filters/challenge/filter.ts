// `challenge`: a page that has the browser do some work before it goes on. Programs that ask for anything but a page
// are refused. Crawlers that are let through need a route of their own.
import { hkdfSync } from "node:crypto";
import { within } from "../../config/compile-error.ts";
import { CHALLENGE_DEFAULTS } from "../../config/defaults.ts";
import type { ChallengeConfig } from "../../config/schema-abuse.ts";
import { fault } from "../../core/faults.ts";
import { addressKey } from "../../core/ip.ts";
import { GcraTable } from "../../engines/rate-limit/gcra.ts";
import { KeyHash } from "../../engines/storage/key-hash.ts";
import { cookieValues, receivedCookies } from "../../http/cookies.ts";
import type { Exchange, Filter, Outcome } from "../../pipeline/exchange.ts";
import { reply } from "../../pipeline/reply.ts";
import { type RequestKey, requestKey } from "../../pipeline/request-key.ts";
import type { Shared } from "../../pipeline/shared.ts";
import type { FilterDefinition } from "../definition.ts";
import { challengePage, PAGE_POLICY } from "./page.ts";
import { Work } from "./work.ts";

/** Addresses whose rate is counted at a time. */
const CLIENTS = 100_000;
/** Solutions that are known to be right: checking one costs two digests. */
const REMEMBERED = 8192;
/** Cookies of that name that are looked at: a site may have set several. */
const COOKIES_MAX = 3;

export const challenge: FilterDefinition = {
  key: "challenge",
  compile(policies, { scopeOf, shared }) {
    if (policies.challenge === undefined) return [];
    const config: ChallengeConfig = policies.challenge === true ? CHALLENGE_DEFAULTS : policies.challenge;
    const scope = scopeOf("challenge");
    const over = config.over === undefined ? null : within("over", () => new Over(config, scope, shared));
    const gate = new Gate(config, scope, shared);
    const filter: Filter = {
      name: "challenge",
      request: (x) => (over?.isBelow(x) === true ? undefined : gate.look(x)),
    };
    return [Object.freeze(filter)];
  },
};

/** Who asks less often than the rate is left alone. */
class Over {
  readonly #key: RequestKey;
  readonly #table: GcraTable;
  readonly #shared: Shared;

  constructor({ over }: ChallengeConfig, scope: string, shared: Shared) {
    const { count, perMs } = over!;
    this.#key = requestKey(["ip"], new KeyHash(shared.seed));
    const memory = shared.memory(`challenge ${scope} ${count} ${perMs}`, GcraTable.bytes(CLIENTS));
    this.#table = new GcraTable(memory, { intervalMs: perMs / count, burst: Math.max(1, Math.ceil(count / 2)) });
    this.#shared = shared;
    shared.onTick({ tick: (nowMs, sinceMs) => this.#table.sweep(nowMs, sinceMs) });
  }

  isBelow(x: Exchange): boolean {
    this.#key.of(x);
    return this.#table.take(this.#key.low, this.#key.high, 1, this.#shared.now());
  }
}

class Gate {
  readonly #work: Work;
  readonly #config: ChallengeConfig;
  readonly #shared: Shared;
  /** By solution and address: until when it holds. */
  readonly #solved = new Map<string, number>();

  constructor(config: ChallengeConfig, scope: string, shared: Shared) {
    const { secret, difficulty, ttl } = config;
    // Those of a configuration hold on all routes that have the same; others on the route that they were made for.
    const info = secret === undefined ? scope : "";
    const key = Buffer.from(hkdfSync("sha256", secret ?? shared.secret, "", `sluice challenge ${info}`, 32));
    this.#work = new Work(key, difficulty, ttl);
    this.#config = config;
    this.#shared = shared;
  }

  look(x: Exchange): Outcome | undefined {
    const { cookie, difficulty, ttl } = this.#config;
    const address = addressKey(x.ip);
    const now = this.#shared.wallNow();
    const values = cookieValues(receivedCookies(x.request.headers), cookie);
    for (let i = 0; i < values.length && i < COOKIES_MAX; i += 1)
      if (this.#isSolved(values[i]!, address, now)) return undefined;
    if (!wantsPage(x)) return fault("bot.challenge", "no solution");
    const page = challengePage(this.#work.task(address, now), difficulty, cookie, Math.floor(ttl / 1000));
    return reply(403, page, {
      "content-type": "text/html; charset=utf-8",
      "cache-control": "no-store",
      "content-security-policy": PAGE_POLICY,
      "x-robots-tag": "noindex",
    });
  }

  #isSolved(solution: string, address: string, now: number): boolean {
    const key = `${solution} ${address}`;
    const known = this.#solved.get(key);
    if (known !== undefined) return known > now;
    const untilMs = this.#work.solvedUntil(solution, address, now);
    if (untilMs === 0) return false;
    if (this.#solved.size >= REMEMBERED) this.#solved.clear();
    this.#solved.set(key, untilMs);
    return true;
  }
}

/** A browser that goes somewhere, which can show a page and come again. */
function wantsPage(x: Exchange): boolean {
  const { method } = x.request;
  return (method === "GET" || method === "HEAD") && (x.request.header("accept") ?? "").includes("text/html");
}
