// The `llm` action: what is known of a route to providers of language models. Each request has a visit of its own.
import { CompileError, within } from "../config/compile-error.ts";
import type { LlmConfig } from "../config/schema-llm.ts";
import { turnTime } from "../core/clock.ts";
import type { Api, Format } from "../engines/llm/formats.ts";
import type { Metered } from "../engines/llm/meter.ts";
import type { Usage } from "../engines/llm/usage.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import type { Plugin } from "../pipeline/plugin.ts";
import type { Shared } from "../pipeline/shared.ts";
import type { Tokens } from "../pipeline/tokens.ts";
import { PromptHooks } from "./hooks.ts";
import { TokenLimits } from "./limits.ts";
import { Rules } from "./rules.ts";
import { ModelMap, Target } from "./target.ts";
import { costOf, type Price } from "./token-limit.ts";

export interface GatewayContext {
  readonly route: string;
  readonly shared: Shared;
  /** Machines share what they count. */
  readonly isShared: boolean;
  readonly hasAuth: boolean;
  readonly plugins: readonly Plugin[];
  /** A number in [0, 1). */
  random(): number;
  /** The name of the upstream that a text means. Throws RangeError for one that there is not. */
  upstream(text: string): string;
  /** The host, with its port, of the first server of an upstream; "" where it has none yet. */
  host(upstream: string): string;
}

/** Why another provider is asked. */
export type FailureKind = "connect" | "timeout" | "429" | "5xx";

/** The most that a provider's word on when to come back counts. */
const REST_MAX_MS = 60_000;
/** Requests that are in memory in a thread, in bytes: above it others are turned away. */
const HELD_MAX = 268_435_456;
/** For the metrics, a model that the configuration has no name for. */
const OTHER = "other";

/** What of all requests of this thread is in memory. */
const held = { bytes: 0 };

export class Gateway {
  readonly route: string;
  readonly config: LlmConfig;
  readonly targets: readonly Target[];
  readonly rules: Rules;
  readonly limits: TokenLimits;
  readonly hooks: PromptHooks;
  readonly #shared: Shared;
  readonly #random: () => number;
  readonly #prices: ModelMap<Price>;

  /** Throws CompileError for what cannot work. */
  constructor(config: LlmConfig, context: GatewayContext) {
    const { route, shared, isShared, hasAuth } = context;
    this.route = route;
    this.config = config;
    this.#shared = shared;
    this.#random = context.random;
    this.targets = within("targets", () =>
      config.targets.map((target, at) =>
        within(at, () => {
          const upstream = within("to", () => context.upstream(target.to));
          return new Target(target, upstream, context.host(upstream));
        }),
      ),
    );
    refuseSameNames(this.targets);
    if (config.choose === "weight" && this.targets.every(({ weight }) => weight === 0))
      throw new CompileError("all weights are 0, so nobody is asked", ["targets"]);
    this.rules = new Rules(config);
    this.#prices = new ModelMap(Object.entries(config.prices).map(([name, price]) => [name, priceOf(price)] as const));
    this.limits = within("limits", () => new TokenLimits({ configs: config.limits, route, isShared, hasAuth, shared }));
    for (const [at, { cost }] of config.limits.entries())
      if (cost !== undefined) within("limits", () => within(at, () => within("cost", () => this.#needPrices())));
    this.hooks = new PromptHooks(context.plugins);
  }

  /** What has no price would cost nothing. */
  #needPrices(): void {
    for (const { models, hasAll, name } of this.targets) {
      if (hasAll && this.#prices.get("") === undefined)
        throw new RangeError(`"${name}" has models of any name: give \`prices\` for "*" as well`);
      const free = models.all.find((model) => this.#prices.get(model) === undefined);
      if (free !== undefined) throw new RangeError(`"${free}" has no price in \`prices\``);
    }
  }

  /** Names that clients can ask for. */
  get models(): readonly string[] {
    return [...new Set(this.targets.flatMap(({ models }) => models.names))];
  }

  /** Makes room for a request of so many bytes; false where there is none. */
  hold(bytes: number): boolean {
    if (held.bytes + bytes > HELD_MAX) return false;
    held.bytes += bytes;
    return true;
  }
  release(bytes: number): void {
    held.bytes -= bytes;
  }

  /** Who is asked for a model, the first one first; those that have just failed last. */
  candidates(api: Api, format: Format, model: string): Target[] {
    const mayTranslate = this.config.fallback.translate && (api === "chat" || api === "messages");
    const found = this.targets.filter(
      (target) => target.modelOf(model) !== null && (target.format === format || mayTranslate),
    );
    const first = this.config.choose === "weight" ? weighted(found, this.#random()) : null;
    const ordered = first === null ? found : [first, ...found.filter((target) => target !== first)];
    const now = turnTime();
    const rested = ordered.filter(({ restsUntil }) => restsUntil <= now);
    return [...rested, ...ordered.filter(({ restsUntil }) => restsUntil > now)].slice(0, this.config.fallback.attempts);
  }

  /** A provider has failed: it is asked last for a while. `retryAfter` in seconds, 0 where it has not said. */
  failed(target: Target, kind: FailureKind, retryAfter: number): void {
    const ms = Math.min(REST_MAX_MS, Math.max(this.config.fallback.cooldown, retryAfter * 1000));
    if (this.mayFallBack(kind)) target.restsUntil = turnTime() + ms;
    this.#shared.count("sluice_llm_failures_total", [this.route, target.name, kind]);
  }

  mayFallBack(kind: FailureKind): boolean {
    return this.config.fallback.on.includes(kind);
  }

  costOf(model: string, usage: Usage): number {
    return costOf(this.#prices.get(model), usage);
  }

  /** What logs, metrics and those who meter are told. */
  tokens(x: Exchange, target: Target, model: string, { usage, estimated }: Metered, firstAt: number): Tokens {
    const name = target.models.nameOf(model) || this.#prices.nameOf(model) || OTHER;
    const cost = this.costOf(model, usage);
    const firstMs = firstAt === 0 ? 0 : firstAt - x.startedAt;
    return { provider: target.name, model: name, ...usage, estimated, cost, firstMs };
  }

  /** Marks that were put in place of something. */
  redacted(where: "prompt" | "answer", label: string): void {
    this.#shared.count("sluice_llm_redactions_total", [this.route, where, label]);
  }

  /** Seconds since 1970. */
  get seconds(): number {
    return Math.floor(this.#shared.wallNow() / 1000);
  }
}

const priceOf = ({ input, output, cached, cacheWritten }: LlmConfig["prices"][string]): Price => ({
  input,
  output,
  cached: cached ?? input,
  cacheWritten: cacheWritten ?? input,
});

function refuseSameNames(targets: readonly Target[]): void {
  const seen = new Set<string>();
  for (const [at, { name }] of targets.entries()) {
    if (seen.has(name)) throw new CompileError(`there is another target named "${name}"`, ["targets", at, "name"]);
    seen.add(name);
  }
}

/** One by chance, by weight; null where all have none. */
function weighted(targets: readonly Target[], chance: number): Target | null {
  const total = targets.reduce((sum, { weight }) => sum + weight, 0);
  let at = chance * total;
  for (const target of targets) {
    at -= target.weight;
    if (at < 0) return target;
  }
  return null;
}
