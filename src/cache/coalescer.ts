// Identical requests under way at a time share one answer: `coalesce`, for routes without a cache. Nothing is stored:
// who comes once the head of the answer is there asks anew. It works within one worker.
import type { CoalesceConfig } from "../config/schema-traffic.ts";
import { parseResponseDirectives } from "../engines/cache/cache-control.ts";
import { forwardedStatus } from "../engines/cache/cache-status.ts";
import type { HeaderBlock } from "../http/header-block.ts";
import { ID } from "../http/header-names.ts";
import type { ResponseHead } from "../http/message.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { Joint, type JointOwner } from "./joint.ts";
import { isUnsuitable } from "./place.ts";
import type { CacheEnvironment } from "./visit.ts";

/** The policy of a route, compiled. */
export class CoalesceRules {
  readonly methods: ReadonlySet<string>;
  readonly bodyMax: number;
  readonly sharesCredentials: boolean;
  /** How many requests got the answer to another one. */
  readonly count: (shared: number) => void;
  readonly #names: ReadonlySet<string>;
  readonly #prefixes: readonly string[];

  constructor({ methods, ignore, credentials, maxBody }: CoalesceConfig, count: (shared: number) => void) {
    this.methods = new Set<string>(methods);
    this.bodyMax = maxBody;
    this.sharesCredentials = credentials === "same";
    this.count = count;
    const lower = ignore.map((name) => name.toLowerCase());
    this.#names = new Set(lower.filter((name) => !name.endsWith("*")));
    this.#prefixes = lower.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1));
  }

  ignores(name: string): boolean {
    if (this.#names.has(name)) return true;
    for (const prefix of this.#prefixes) if (name.startsWith(prefix)) return true;
    return false;
  }
}

/** A request with a longer one goes by itself: keys are held as long as requests are. */
const KEY_CHARS_MAX = 16_384;
/** Addresses whose answers may not be shared are remembered for so long: their requests need not wait for each other. */
const ALONE_MS = 10_000;
const ALONE_MAX = 4096;
/** Fields of one connection, or about a part, or by which the method is another one. */
const UNSHAREABLE: ReadonlySet<string> = new Set([
  "range",
  "if-range",
  "if-match",
  "if-unmodified-since",
  "x-http-method-override",
  "x-http-method",
  "x-method-override",
]);
const HOP: ReadonlySet<string> = new Set(["connection", "keep-alive", "te", "content-length"]);
const CREDENTIALS: ReadonlySet<string> = new Set(["authorization", "proxy-authorization", "cookie"]);
/** What these say is about the one who asked. */
const PERSONAL_STATUSES: ReadonlySet<number> = new Set([401, 407, 429]);
const COLLAPSED = { reason: "bypass", status: 0, stored: false, collapsed: true, detail: "" } as const;

export class Coalescer {
  readonly #open = new Map<string, Joint>();
  readonly #alone = new Map<string, number>();

  /** Asks the upstream, or waits for somebody who asks it the same already. */
  handle(x: Exchange, upstream: Upstream, rules: CoalesceRules, env: CacheEnvironment): void {
    const key = keyOf(x, upstream, rules);
    if (key === null || this.#isAlone(key, env.wheel.now)) return env.forward(x, upstream, env);
    const there = this.#open.get(key);
    if (there !== undefined) {
      x.cacheStatus = forwardedStatus(COLLAPSED);
      return there.join(x);
    }
    const joint = Joint.shared(x, upstream, env, this.#ownerOf(key, rules, env));
    this.#open.set(key, joint);
    joint.begin();
  }

  #ownerOf(key: string, rules: CoalesceRules, env: CacheEnvironment): JointOwner {
    return {
      bodyMax: rules.bodyMax,
      suits: (head, first, other) => maySharing(head, first, other, rules),
      closed: (shared) => {
        this.#open.delete(key);
        if (shared > 0) rules.count(shared);
        if (shared < 0) this.#setAlone(key, env.wheel.now);
      },
    };
  }

  #isAlone(key: string, now: number): boolean {
    const until = this.#alone.get(key);
    if (until === undefined) return false;
    if (until > now) return true;
    this.#alone.delete(key);
    return false;
  }

  #setAlone(key: string, now: number): void {
    if (this.#alone.size >= ALONE_MAX) this.#alone.delete(this.#alone.keys().next().value!);
    this.#alone.set(key, now + ALONE_MS);
  }
}

/** All that its answer may depend on; null for a request that goes by itself. */
function keyOf(x: Exchange, upstream: Upstream, rules: CoalesceRules): string | null {
  const { request, identity, clientCert } = x;
  if (!rules.methods.has(request.method) || isUnsuitable(x) || request.connectionNamesFields) return null;
  if ((identity !== null || clientCert !== null) && !rules.sharesCredentials) return null;
  const target = x.rewrittenTarget === "" ? request.target : x.rewrittenTarget;
  let key = `${x.route!.name}\n${upstream.name}\n${request.method} ${x.scheme}://${request.authority}${target}\n`;
  if (identity !== null) key += `${identity.kind}\n${identity.issuer}\n${identity.user}\n${identity.consumer}\n`;
  if (clientCert !== null) key += `${clientCert.fingerprint}\n`;
  for (const [name, value] of request.headers.entries()) {
    const lower = name.toLowerCase();
    if (UNSHAREABLE.has(lower)) return null;
    if (CREDENTIALS.has(lower) && !rules.sharesCredentials) return null;
    if (!HOP.has(lower) && !rules.ignores(lower)) key += `${lower}:${value}\n`;
  }
  return key.length > KEY_CHARS_MAX ? null : key;
}

/** Whether an answer is anybody's who asks the same. */
function maySharing(head: ResponseHead, first: HeaderBlock, other: HeaderBlock, rules: CoalesceRules): boolean {
  const { headers, status } = head;
  if (PERSONAL_STATUSES.has(status) || head.upgrade !== "" || headers.has("set-cookie")) return false;
  const control = headers.getById(ID["cache-control"]);
  if (control !== null && parseResponseDirectives(control).private) return false;
  const vary = headers.getById(ID.vary);
  if (vary === null) return true;
  for (const part of vary.split(",")) {
    const name = part.trim().toLowerCase();
    if (name === "*") return false;
    if (rules.ignores(name) && first.get(name) !== other.get(name)) return false;
  }
  return true;
}
