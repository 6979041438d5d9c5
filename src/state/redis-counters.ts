// Rates and quotas in Redis or Valkey, by one script: GCRA on the server's clock, so that those of machines may differ.
import { createHash } from "node:crypto";
import type { RedisCommands } from "./redis-commands.ts";
import type { Ask, Grant, SharedCounters } from "./shared-counters.ts";

/** Keys of one run of the script: a server is busy for half a millisecond with these. */
const ASKS_MAX = 128;
/** How many numbers and words stand for one key. */
const WORDS = 6;

/**
 * KEYS: the counters. ARGV, six for each: kind, step, most, cost, more, give. Two numbers for each: granted, level.
 * A rate's value is the time at which its burst is whole again, in microseconds of the server.
 */
const TAKE = `local time = redis.call("TIME")
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local out = {}
for i = 1, #KEYS do
  local at = (i - 1) * ${WORDS}
  local step, most = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local cost, more, give = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
  local value = tonumber(redis.call("GET", KEYS[i]) or 0) or 0
  local rate = ARGV[at + 1] == "rate"
  local each = 1
  local level = value
  if rate then
    each = step
    level = value - now
  end
  level = math.max(0, level - give * each)
  local room = math.floor((most - level) / each + 0.000001)
  local granted = 0
  if room >= cost then granted = cost + math.min(more, math.floor((room - cost) / 2)) end
  level = level + granted * each
  if granted > 0 or give ~= 0 then
    if level <= 0 then
      redis.call("DEL", KEYS[i])
    elseif rate then
      redis.call("SET", KEYS[i], string.format("%.2f", now + level), "PX", math.ceil(level / 1000) + 1)
    else
      redis.call("SET", KEYS[i], string.format("%.0f", level), "PX", math.ceil(step))
    end
  end
  out[2 * i - 1] = granted
  out[2 * i] = math.ceil(level)
end
return out`;
const TAKE_SHA = createHash("sha1").update(TAKE).digest("hex");

export class RedisCounters implements SharedCounters {
  readonly #redis: RedisCommands;

  constructor(redis: RedisCommands) {
    this.#redis = redis;
  }

  async take(asks: readonly Ask[]): Promise<Grant[]> {
    const parts: Promise<Grant[]>[] = [];
    for (let at = 0; at < asks.length; at += ASKS_MAX) parts.push(this.#run(asks.slice(at, at + ASKS_MAX)));
    return (await Promise.all(parts)).flat();
  }

  async #run(asks: readonly Ask[]): Promise<Grant[]> {
    const options = {
      keys: asks.map(({ key }) => `${this.#redis.prefix}count:${key}`),
      arguments: asks.flatMap(({ kind, step, most, cost, more, give }) => [
        kind,
        ...[step, most, cost, more, give].map(String),
      ]),
    };
    const { client } = this.#redis;
    const answer = await this.#redis.within(
      client.evalSha(TAKE_SHA, options).catch((error: Error) => {
        // The server has been started anew, or nobody has told it the script yet.
        if (!error.message.startsWith("NOSCRIPT")) throw error;
        return client.eval(TAKE, options);
      }),
    );
    const numbers = answer as readonly number[];
    return asks.map((_, i) => ({ granted: Number(numbers[2 * i]), level: Number(numbers[2 * i + 1]) }));
  }
}
