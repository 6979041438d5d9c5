// What machines (or processes of one machine) share: certificates, locks, purges, bans and limits use the same few
// operations. Two makers: files (the default, one machine) and Redis or Valkey (many).
import type { SharedCounters } from "./shared-counters.ts";
import type { SharedMap } from "./shared-map.ts";

/** Keys are paths of visible ASCII such as `acme/certificate/example.com`, at most this long. */
const KEY_LENGTH_MAX = 512;

export interface SharedState {
  /** The value, or null when there is none or its time is over. */
  get(key: string): Promise<string | null>;
  /** Replaces the value at once and as a whole: readers see the old one or the new one. */
  set(key: string, value: string, options?: SetOptions): Promise<void>;
  /** Does nothing when there is no value. */
  delete(key: string): Promise<void>;
  /** All keys that begin with `prefix`, sorted. It reads everything: for starts and rare work. */
  list(prefix: string): Promise<string[]>;
  /**
   * Takes a lock for `ttlMs`, or resolves to null at once when somebody else holds it. One that is neither renewed nor
   * released, because its owner died, is free when its time is over.
   */
  lock(key: string, ttlMs: number): Promise<Lock | null>;
  /** Tells every subscriber, on this machine and others, this one included. Nothing is kept for those who come later. */
  publish(topic: string, message: string): Promise<void>;
  /**
   * Resolves once messages arrive; the result ends it. A message may be lost while the connection to the store is, so a
   * subscriber must be able to find out by itself what it missed.
   */
  subscribe(topic: string, listener: (message: string) => void): Promise<Unsubscribe>;
  /** The map of that name. It is one object for each call: keep it. */
  map(name: string): SharedMap;
  /** Null where there is nobody to share them with. */
  readonly counters: SharedCounters | null;
  /** Ends connections and subscriptions. Locks that are held stay held until their time is over. */
  close(): Promise<void>;
}

export interface SetOptions {
  /** The value is gone after this; without it, it stays. */
  readonly ttlMs?: number;
}

export type Unsubscribe = () => Promise<void>;

/** Mutual exclusion for a time. Who may be paused for longer than that checks `token` where it writes. */
export interface Lock {
  /** Fencing token: whoever takes or renews the lock later has a greater one. */
  readonly token: number;
  /** Holds it for another `ttlMs` from now. False when it is lost: somebody else may already work. */
  renew(): Promise<boolean>;
  /** Frees it, unless it is lost already. */
  release(): Promise<void>;
}

/**
 * Refuses what not every store can keep.
 *
 * @throws TypeError
 */
export function checkKey(key: string): void {
  if (key.length === 0 || key.length > KEY_LENGTH_MAX || !/^[\x21-\x7e]+$/.test(key))
    throw new TypeError(`not a key of the shared state: ${JSON.stringify(key.slice(0, 80))}`);
}
