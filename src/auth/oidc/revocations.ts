// Which sessions have been ended before their time, for all threads: a table in shared memory, looked at whenever it
// has changed since a session was last looked up. An entry is about a session, a session of the provider, or a person.

import { SpinLock, tagOf } from "./memory-records.ts";
import type { Session } from "./session.ts";

/** Sessions ended early that are remembered at a time, 24 bytes each; beyond them those that end first make room. */
const ENTRIES = 65_536;
const WAYS = 8;
/** Clocks of threads differ by a millisecond or two, and a session may be ended as soon as it has begun. */
const CLOCKS_MS = 10;
const ENTRY_BYTES = 24;
/** Lock, and how often the table has changed. */
const BEGIN = 8;

/** What is ended, as text: it is hashed. */
export interface Revocation {
  /** A browser has told of it, and anybody could have: it must not drive out what is certain. */
  readonly heard?: true;
  readonly what: string;
  /** Those that began until then: of one session by its name, its end. */
  readonly at: number;
  /** When no such session can be left. */
  readonly until: number;
}

export const bySession = (id: string): string => `session ${id}`;
export const bySid = (issuer: string, sid: string): string => `sid ${issuer} ${sid}`;
export const bySubject = (issuer: string, subject: string): string => `sub ${issuer} ${subject}`;

/** All entries that would end a session. */
export function keysOf({ id, issuer, sid, subject }: Session): readonly string[] {
  const keys = [bySession(id), bySubject(issuer, subject)];
  return sid === "" ? keys : [...keys, bySid(issuer, sid)];
}

export class Revocations {
  readonly #ints: Int32Array;
  readonly #view: DataView;
  readonly #lock: SpinLock;
  readonly #now: () => number;
  readonly #salt: string;

  /**
   * `now` in milliseconds since 1970. `salt` is the same in all threads, and secret: nobody else is to know which
   * entries share a bucket, and so which would have others give way.
   */
  constructor(memory: SharedArrayBuffer, now: () => number, salt: string) {
    this.#ints = new Int32Array(memory.byteLength === 0 ? new SharedArrayBuffer(Revocations.bytes) : memory);
    this.#view = new DataView(this.#ints.buffer);
    this.#lock = new SpinLock(this.#ints, 0);
    this.#now = now;
    this.#salt = salt;
  }

  static readonly bytes: number = BEGIN + ENTRIES * ENTRY_BYTES;

  /** Another number whenever something was added. */
  get generation(): number {
    return Atomics.load(this.#ints, 1);
  }

  /** False when it was there already. */
  add({ what, at, until }: Revocation): boolean {
    const [low, high] = this.#tagOf(what);
    this.#lock.take();
    try {
      const known = this.#find(low, high);
      if (known >= 0 && this.#view.getFloat64(known + 8, true) >= at) return false;
      const entry = known >= 0 ? known : this.#room(low);
      const view = this.#view;
      view.setFloat64(entry + 16, 0, true); // those who look meanwhile see nothing, and look again
      view.setInt32(entry, low, true);
      view.setInt32(entry + 4, high, true);
      view.setFloat64(entry + 8, at, true);
      view.setFloat64(entry + 16, until, true);
      Atomics.add(this.#ints, 1, 1);
      return true;
    } finally {
      this.#lock.free();
    }
  }

  /** Whether one of these has been ended, of those that began at `createdAt`. */
  has(keys: readonly string[], createdAt: number): boolean {
    for (const key of keys) {
      const [low, high] = this.#tagOf(key);
      const entry = this.#find(low, high);
      if (entry >= 0 && createdAt <= this.#view.getFloat64(entry + 8, true) + CLOCKS_MS) return true;
    }
    return false;
  }

  #tagOf(what: string): ReturnType<typeof tagOf> {
    return tagOf(`${this.#salt} ${what}`);
  }

  #find(low: number, high: number): number {
    const view = this.#view;
    for (let way = 0; way < WAYS; way += 1) {
      const entry = entryOf(low, way);
      if (view.getInt32(entry, true) !== low || view.getInt32(entry + 4, true) !== high) continue;
      if (view.getFloat64(entry + 16, true) > this.#now()) return entry;
    }
    return -1;
  }

  #room(low: number): number {
    let first = entryOf(low, 0);
    for (let way = 1; way < WAYS; way += 1) {
      const entry = entryOf(low, way);
      if (this.#view.getFloat64(entry + 16, true) < this.#view.getFloat64(first + 16, true)) first = entry;
    }
    return first;
  }
}

const entryOf = (low: number, way: number): number =>
  BEGIN + (((low >>> 0) % (ENTRIES / WAYS)) * WAYS + way) * ENTRY_BYTES;
