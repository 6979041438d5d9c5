// What the parts of the state in Redis share: the connection, and how commands are sent over it.
import type { createClient } from "redis";
import type { Unsubscribe } from "./shared-state.ts";

/** A connection to the server. */
export type RedisClient = ReturnType<typeof createClient>;

/** What the parts of the state do with the server. */
export interface RedisCommands {
  readonly client: RedisClient;
  /** Put before every key and channel. */
  readonly prefix: string;
  /** Rejects where the server takes too long. */
  readonly within: <T>(work: Promise<T>) => Promise<T>;
  /** Every key that begins with `base`. */
  readonly scan: (base: string) => Promise<string[]>;
  readonly subscribe: (channel: string, listener: (message: string) => void) => Promise<Unsubscribe>;
}
