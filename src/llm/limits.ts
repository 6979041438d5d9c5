// The limits of a route: an estimate is reserved of all of them before a provider is asked, and settled afterwards.
import { within } from "../config/compile-error.ts";
import type { LlmLimitConfig } from "../config/schema-llm.ts";
import type { Usage } from "../engines/llm/usage.ts";
import { KeyHash } from "../engines/storage/key-hash.ts";
import type { Exchange } from "../pipeline/exchange.ts";
import { type RequestKey, requestKey } from "../pipeline/request-key.ts";
import { LIMIT_SEED, type Live, type Shared } from "../pipeline/shared.ts";
import { ModelMap } from "./target.ts";
import { type MemoryOf, TokenLimit, WAIT } from "./token-limit.ts";

/** It is looked again whether other machines have answered; nobody waits for longer than that many times. */
const LOOK_MS = 5;
const LOOKS_MAX = 50;
const SEED_BYTES = 8;

interface Entry {
  readonly limit: TokenLimit;
  readonly key: RequestKey | null;
  readonly byModel: boolean;
  readonly models: ModelMap<true> | null;
}

/** What a request has reserved of one limit. */
interface Reserved {
  readonly limit: TokenLimit;
  readonly low: number;
  readonly high: number;
  readonly amount: number;
}

export interface LimitSettings {
  readonly configs: readonly LlmLimitConfig[];
  readonly route: string;
  /** They are counted with other machines. */
  readonly isShared: boolean;
  readonly hasAuth: boolean;
  readonly shared: Shared;
}

export class TokenLimits {
  readonly #entries: readonly Entry[];
  readonly #shared: Shared;
  readonly #seeded: Live<KeyHash>;
  readonly policy: string;

  /** Throws CompileError. */
  constructor(settings: LimitSettings) {
    const { configs, shared } = settings;
    this.#shared = shared;
    this.#seeded = shared.live(LIMIT_SEED, (memory) => {
      const isShared = memory.byteLength === SEED_BYTES;
      return new KeyHash(isShared ? new DataView(memory).getBigUint64(0) : shared.seed);
    });
    const hash = new LiveHash(this.#seeded);
    this.#entries = configs.map((config, at) => within(at, () => entryOf(config, at, settings, hash)));
    const names = this.#entries.map(({ limit }) => limit.name);
    const again = names.findIndex((name, at) => names.indexOf(name) < at);
    if (again >= 0)
      within(again, () => {
        throw new RangeError(`there is another limit named "${names[again]}": give each its own \`name\``);
      });
    this.policy = this.#entries.map(({ limit }) => limit.policy).join(", ");
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Reserves an estimate of all limits of a model, or nothing of any. Waits where other machines have to be asked. */
  async reserve(x: Exchange, model: string, usage: Usage, cost: number): Promise<Reservation> {
    const reserved: Reserved[] = [];
    const left: string[] = [];
    for (const entry of this.#entries) {
      if (entry.models !== null && entry.models.get(model) === undefined) continue;
      const { limit } = entry;
      const [low, high] = this.#keyOf(entry, x, model);
      const amount = limit.reserved(usage, cost);
      let answer = limit.take(low, high, amount);
      for (let looks = 0; answer === WAIT && looks < LOOKS_MAX; looks += 1) {
        await Bun.sleep(LOOK_MS);
        if (x.over) break;
        answer = limit.take(low, high, amount);
      }
      // An exchange that has ended meanwhile may have lent its head to another one.
      if (answer === WAIT) answer = x.over ? 0 : limit.alone(low, high, amount);
      left.push(limit.left);
      if (answer === 1) {
        reserved.push({ limit, low, high, amount });
        continue;
      }
      const { retryMs } = limit;
      for (const each of reserved) each.limit.charge(each.low, each.high, -each.amount);
      return new Reservation([], left.join(", "), limit, retryMs);
    }
    return new Reservation(reserved, left.join(", "), null, 0);
  }

  #keyOf({ key, byModel }: Entry, x: Exchange, model: string): [low: number, high: number] {
    let [low, high] = [0, 0];
    if (key !== null) {
      key.of(x);
      ({ low, high } = key);
    }
    if (!byModel) return [low, high];
    const hash = this.#seeded.current;
    hash.of(model);
    // Both halves take up both, so that neither makes the other's difference good.
    return [
      (Math.imul(low ^ (low >>> 15), 0x85ebca6b) ^ hash.low) >>> 0,
      (Math.imul(high, 0xc2b2ae35) ^ hash.high) >>> 0,
    ];
  }

  /** Milliseconds since 1970. */
  get wallNow(): number {
    return this.#shared.wallNow();
  }
}

export class Reservation {
  /** The limit that refused; null where all have room. */
  readonly refusedBy: TokenLimit | null;
  readonly retryMs: number;
  /** What clients are told of what is left. */
  readonly left: string;
  #reserved: readonly Reserved[];

  constructor(reserved: readonly Reserved[], left: string, refusedBy: TokenLimit | null, retryMs: number) {
    this.#reserved = reserved;
    this.left = left;
    this.refusedBy = refusedBy;
    this.retryMs = retryMs;
  }

  /** What was used in the end; null for nothing at all. A second call changes nothing. */
  settle(usage: Usage | null, cost: number): void {
    for (const { limit, low, high, amount } of this.#reserved)
      limit.charge(low, high, (usage === null ? 0 : limit.amount(usage, cost)) - amount);
    this.#reserved = [];
  }
}

/** Keys are hashed under one seed on all machines. */
class LiveHash {
  low = 0;
  high = 0;
  readonly #live: Live<KeyHash>;
  constructor(live: Live<KeyHash>) {
    this.#live = live;
  }
  of(key: string | Uint8Array): void {
    const hash = this.#live.current;
    hash.of(key);
    this.low = hash.low;
    this.high = hash.high;
  }
}

const MODEL = "model";

function entryOf(config: LlmLimitConfig, at: number, settings: LimitSettings, hash: LiveHash): Entry {
  const { route, isShared, hasAuth, shared } = settings;
  const parts = [config.key].flat();
  const others = parts.filter((part) => part !== MODEL);
  const key = others.length === 0 ? null : within("key", () => keyOf(others, hash, hasAuth));
  const memoryOf: MemoryOf = (kind, own, bytes) =>
    shared.memory(`${kind} route ${route} llm ${at} ${JSON.stringify([config.key, config.clients, own])}`, bytes);
  const limit = new TokenLimit(config, memoryOf, isShared && config.scope === "cluster", shared);
  const models = config.models === undefined ? null : new ModelMap(config.models.map((name) => [name, true] as const));
  return { limit, key, byModel: parts.includes(MODEL), models };
}

function keyOf(parts: readonly string[], hash: LiveHash, hasAuth: boolean): RequestKey {
  const key = requestKey(parts, hash, true);
  const who = parts.find((part) => part === "user" || part === "apiKey" || part === "consumer");
  if (who !== undefined && !hasAuth)
    throw new RangeError(`nobody is known here, as the route has no \`auth\`: count by something else than \`${who}\``);
  return key;
}
