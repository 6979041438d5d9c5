// Shared state of many machines in Redis or Valkey.
import { createClient } from "redis";
import type { RedisClient, RedisCommands } from "./redis-commands.ts";
import { RedisCounters } from "./redis-counters.ts";
import { RedisMap } from "./redis-map.ts";
import type { SharedCounters } from "./shared-counters.ts";
import type { SharedMap } from "./shared-map.ts";
import { checkKey, type Lock, type SetOptions, type SharedState, type Unsubscribe } from "./shared-state.ts";

export interface RedisStateOptions {
  /** `redis://[[user]:password@]host[:port][/database]`, or `rediss://` for TLS. */
  readonly url: string;
  /** Put before every key, lock and topic, so that several installations can share one server. Default `sluice:`. */
  readonly prefix?: string;
  /** How long connecting, and each command, may take. Default 5000. */
  readonly timeoutMs?: number;
  /** Told of each failure of the connection. It is made again by itself. */
  readonly onError?: (error: Error) => void;
}

const TIMEOUT_MS = 5000;
/** How long to wait before connecting again: longer each time, up to this. */
const RECONNECT_MAX_MS = 3000;
const RECONNECT_STEP_MS = 100;
/** Keys asked for at once while listing: a server is busy for well under a millisecond with these. */
const SCAN_COUNT = 500;

/** KEYS: lock, counter. ARGV: owner, milliseconds. The token, or 0. */
const TAKE = `if redis.call("SET", KEYS[1], ARGV[1], "NX", "PX", ARGV[2]) then return redis.call("INCR", KEYS[2]) end
return 0`;
const RENEW = `if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return redis.call("INCR", KEYS[2])`;
const RELEASE = `if redis.call("GET", KEYS[1]) == ARGV[1] then return redis.call("DEL", KEYS[1]) end
return 0`;

export class RedisState implements SharedState {
  readonly counters: SharedCounters;
  readonly #commands: RedisCommands;
  readonly #self = crypto.randomUUID();
  readonly #client: RedisClient;
  /** A connection with subscriptions can do nothing else. */
  readonly #listening: RedisClient;
  readonly #prefix: string;
  readonly #timeoutMs: number;

  /** Why it could not connect, for as long as it could not. */
  #lastError: Error | null = null;

  private constructor(options: RedisStateOptions) {
    this.#prefix = options.prefix ?? "sluice:";
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const onError = (error: Error): void => {
      this.#lastError = error;
      options.onError?.(error);
    };
    this.#client = newClient(options.url, this.#timeoutMs, onError);
    this.#listening = newClient(options.url, this.#timeoutMs, onError);
    this.#commands = {
      client: this.#client,
      prefix: this.#prefix,
      within: (work) => this.#within(work),
      scan: (base) => this.#scan(base),
      subscribe: (channel, listener) => this.#subscribe(channel, listener),
    };
    this.counters = new RedisCounters(this.#commands);
  }

  /**
   * Connects.
   *
   * @throws Error when the server cannot be reached in time or refuses us; it never tells the password of the URL
   */
  static async open(options: RedisStateOptions): Promise<RedisState> {
    const state = new RedisState(options);
    try {
      await state.#within(Promise.all([state.#client.connect(), state.#listening.connect()]));
      return state;
    } catch (error) {
      await state.close();
      const why = state.#lastError ?? error;
      throw new Error(`cannot use Redis: ${why instanceof Error ? why.message : String(why)}`);
    }
  }

  async get(key: string): Promise<string | null> {
    checkKey(key);
    return await this.#within(this.#client.get(this.#value(key)));
  }

  async set(key: string, value: string, options: SetOptions = {}): Promise<void> {
    checkKey(key);
    const expiration = options.ttlMs === undefined ? {} : { expiration: { type: "PX" as const, value: options.ttlMs } };
    await this.#within(this.#client.set(this.#value(key), value, expiration));
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    await this.#within(this.#client.del(this.#value(key)));
  }

  async list(prefix: string): Promise<string[]> {
    const base = this.#value("");
    return (await this.#scan(base + prefix)).map((key) => key.slice(base.length)).sort();
  }

  async #scan(base: string): Promise<string[]> {
    const match = `${globLiteral(base)}*`;
    const keys = new Set<string>(); // a scan may tell a key twice
    let cursor = "0";
    do {
      const page = await this.#within(this.#client.scan(cursor, { MATCH: match, COUNT: SCAN_COUNT }));
      for (const key of page.keys) keys.add(key);
      cursor = page.cursor;
    } while (cursor !== "0");
    return [...keys];
  }

  map(name: string): SharedMap {
    checkKey(name);
    return new RedisMap(this.#commands, name, this.#self);
  }

  async lock(key: string, ttlMs: number): Promise<Lock | null> {
    checkKey(key);
    const owner = crypto.randomUUID();
    // One counter for all locks: it never forgets, and does not grow with them.
    const keys = [`${this.#prefix}lock:${key}`, `${this.#prefix}fence`];
    const run = async (script: string): Promise<number> =>
      Number(await this.#within(this.#client.eval(script, { keys, arguments: [owner, String(ttlMs)] })));
    let token = await run(TAKE);
    if (token === 0) return null;
    return {
      get token() {
        return token;
      },
      renew: async () => {
        const next = await run(RENEW);
        if (next !== 0) token = next;
        return next !== 0;
      },
      release: async () => {
        await run(RELEASE);
      },
    };
  }

  async publish(topic: string, message: string): Promise<void> {
    checkKey(topic);
    await this.#within(this.#client.publish(this.#channel(topic), message));
  }

  async subscribe(topic: string, listener: (message: string) => void): Promise<Unsubscribe> {
    checkKey(topic);
    return await this.#subscribe(this.#channel(topic), listener);
  }

  async #subscribe(channel: string, listener: (message: string) => void): Promise<Unsubscribe> {
    // One function for each subscription: the client tells subscriptions apart by it.
    const own = (message: string): void => listener(message);
    await this.#within(this.#listening.subscribe(channel, own));
    return async () => {
      if (this.#listening.isReady) await this.#within(this.#listening.unsubscribe(channel, own));
    };
  }

  async close(): Promise<void> {
    for (const client of [this.#client, this.#listening]) if (client.isOpen) client.destroy();
  }

  #value(key: string): string {
    return `${this.#prefix}value:${key}`;
  }

  #channel(topic: string): string {
    return `${this.#prefix}topic:${topic}`;
  }

  /** The client gives commands no time-out once they are written: a server that hangs would hang us. */
  async #within<T>(work: Promise<T>): Promise<T> {
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => reject(new Error("Redis did not answer in time")), this.#timeoutMs);
    try {
      return await Promise.race([work, promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function newClient(url: string, timeoutMs: number, onError: (error: Error) => void): RedisClient {
  const client: RedisClient = createClient({
    url,
    // Commands fail at once while there is no connection: whoever asks has its own way of trying again.
    disableOfflineQueue: true,
    socket: {
      connectTimeout: timeoutMs,
      reconnectStrategy: (retries) => Math.min(RECONNECT_MAX_MS, RECONNECT_STEP_MS * (retries + 1)),
    },
  });
  client.on("error", onError);
  return client;
}

/** A text as a pattern of MATCH that means only itself. */
const globLiteral = (text: string): string => text.replace(/[*?[\]\\]/g, "\\$&");
