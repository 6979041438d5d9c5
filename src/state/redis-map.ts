// A shared map in Redis or Valkey: a value for each entry, which the server forgets by itself, and a channel for
// changes.
import { wallClock } from "../core/clock.ts";
import type { RedisCommands } from "./redis-commands.ts";
import { type Entry, entryOfText, type SharedMap, textOfEntry } from "./shared-map.ts";

/** Entries written or read at a time: a server is busy for about a millisecond with these. */
const BATCH = 500;

export class RedisMap implements SharedMap {
  readonly #redis: RedisCommands;
  readonly #base: string;
  readonly #channel: string;
  readonly #self: string;

  /** `self` tells our own entries from those of others. */
  constructor(redis: RedisCommands, name: string, self: string) {
    this.#redis = redis;
    this.#base = `${redis.prefix}map:${name}:`;
    this.#channel = `${redis.prefix}changes:${name}`;
    this.#self = self;
  }

  async load(): Promise<Entry[]> {
    const { client, scan, within } = this.#redis;
    const keys = await scan(this.#base);
    const found: Entry[] = [];
    for (let at = 0; at < keys.length; at += BATCH) {
      const texts = await within(client.mGet(keys.slice(at, at + BATCH)));
      for (const text of texts) {
        const entry = text === null ? null : (entryOfText(text)?.entry ?? null);
        if (entry !== null && entry.value !== null && entry.untilMs > wallClock()) found.push(entry);
      }
    }
    return found;
  }

  async get(key: string): Promise<Entry | null> {
    const text = await this.#redis.within(this.#redis.client.get(this.#base + key));
    const entry = text === null ? null : (entryOfText(text)?.entry ?? null);
    return entry === null || entry.value === null || entry.untilMs <= wallClock() ? null : entry;
  }

  async put(entries: readonly Entry[]): Promise<void> {
    for (let at = 0; at < entries.length; at += BATCH) await this.#put(entries.slice(at, at + BATCH));
  }

  async #put(entries: readonly Entry[]): Promise<void> {
    const { client, within } = this.#redis;
    const now = wallClock();
    const texts: string[] = [];
    const written = entries.map((entry) => {
      const { key, value, untilMs } = entry;
      const text = textOfEntry(entry, this.#self);
      texts.push(text);
      if (value === null || untilMs <= now) return client.del(this.#base + key);
      const expiration = Number.isFinite(untilMs) ? { type: "PX" as const, value: Math.ceil(untilMs - now) } : null;
      return client.set(this.#base + key, text, expiration === null ? {} : { expiration });
    });
    await within(Promise.all([...written, client.publish(this.#channel, texts.join("\n"))]));
  }

  follow(listener: (entries: readonly Entry[]) => void): Promise<() => Promise<void>> {
    return this.#redis.subscribe(this.#channel, (message) => {
      const entries = message.split("\n").flatMap((line) => {
        const found = entryOfText(line);
        return found === null || found.by === this.#self ? [] : [found.entry];
      });
      if (entries.length > 0) listener(entries);
    });
  }
}
