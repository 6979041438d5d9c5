// What filters of all threads share (pipeline/shared.ts): memory that the supervisor makes and keeps from one
// configuration to the next, and a clock.
import { monotonic, turnTime, wallClock } from "../core/clock.ts";
import { IpMap } from "../core/ip-map.ts";
import { InFlight } from "../engines/rate-limit/in-flight.ts";
import type { ProxyEvent } from "../pipeline/events.ts";
import type { KeyBook } from "../pipeline/key-book.ts";
import type { KeyAnswer, KeyQuestion } from "../pipeline/own-keys.ts";
import {
  type AddressList,
  type Ban,
  type BanList,
  type LineSink,
  type Live,
  type Shared,
  type SharedCounter,
  type Tick,
  UNSHARED,
} from "../pipeline/shared.ts";
import type { Board } from "../upstream/board.ts";

/** Memory by name. */
export type Memories = ReadonlyMap<string, SharedArrayBuffer>;

/** What compiling a configuration has named. */
interface Gathered {
  readonly gathered: Memories;
  /** Who is banned, by rule. */
  readonly banLists: ReadonlyMap<string, BanList>;
}

/** Room for the notes of so many threads at least: more may be started by a reload. */
const THREADS_MIN = 16;

/** The memory of a configuration: what it has in common with the one before is taken over. Made by the supervisor. */
export class SharedMemories {
  /** That of the configuration in use. */
  #memories: Memories = new Map();

  get memories(): Memories {
    return this.#memories;
  }

  /** For compiling a configuration, which names what it needs; `commit` with what has gathered there. */
  prepare(threads: number, secret: Uint8Array): Shared & Gathered {
    const gathered = new Map<string, SharedArrayBuffer>();
    const banLists = new Map<string, BanList>();
    return {
      ...UNSHARED,
      gathered,
      banLists,
      seed: seedOf(secret),
      onBans: (rule, list) => void banLists.set(rule, list),
      memory: (name, bytes) => {
        const memory = this.#memories.get(name) ?? gathered.get(name) ?? new SharedArrayBuffer(bytes);
        gathered.set(name, memory);
        return memory;
      },
      threads: Math.max(threads, THREADS_MIN),
      now: monotonic,
      wallNow: wallClock,
    };
  }

  commit(gathered: Memories): void {
    this.#memories = gathered;
  }

  /** The thread with this number is gone: what it had under way is over. */
  forget(thread: number): void {
    for (const [name, memory] of this.#memories) if (name.startsWith("in-flight ")) InFlight.forget(memory, thread);
  }
}

/**
 * The clock of the board, which all threads see, in between of its ticks. Each thread's own clock runs as fast, but
 * began at another time; how far apart they are shows best when a tick is seen with the least delay.
 */
export class SharedClock {
  readonly #board: Board;
  #seen = 0;
  #aheadMs = Number.NEGATIVE_INFINITY;

  constructor(board: Board) {
    this.#board = board;
  }

  now(): number {
    const own = turnTime();
    const shared = this.#board.now;
    if (shared !== this.#seen) {
      this.#seen = shared;
      const aheadMs = shared - own;
      if (aheadMs > this.#aheadMs) this.#aheadMs = aheadMs;
    }
    return own + this.#aheadMs;
  }
}

/** The name of what is denied at run time. */
export const DENIED = "addresses denied at run time";

/** What is made of memory in this thread, and made anew when that is replaced. It outlives plans. */
export class LiveMemories {
  readonly #memories = new Map<string, SharedArrayBuffer>();
  readonly #lives = new Map<string, LiveMemory<unknown>>();

  set(name: string, memory: SharedArrayBuffer): void {
    if (this.#memories.get(name) === memory) return;
    this.#memories.set(name, memory);
    this.#lives.get(name)?.set(memory);
  }

  live<T>(name: string, read: (memory: SharedArrayBuffer) => T): Live<T> {
    const known = this.#lives.get(name) as LiveMemory<T> | undefined;
    if (known !== undefined) return known;
    const made = new LiveMemory(read, this.#memories.get(name) ?? new SharedArrayBuffer(0));
    this.#lives.set(name, made as LiveMemory<unknown>);
    return made;
  }

  addresses(name: string): AddressList {
    const map = this.live(name, (memory) => new IpMap(memory));
    return { find: (ip) => map.current.find(ip) };
  }

  /** Forgets what the configuration does not name any more. */
  keep(names: Memories): void {
    for (const name of this.#memories.keys()) {
      if (names.has(name)) continue;
      this.#memories.delete(name);
      this.#lives.delete(name);
    }
  }
}

class LiveMemory<T> implements Live<T> {
  current: T;
  readonly #read: (memory: SharedArrayBuffer) => T;

  constructor(read: (memory: SharedArrayBuffer) => T, memory: SharedArrayBuffer) {
    this.#read = read;
    this.current = read(memory);
  }
  set(memory: SharedArrayBuffer): void {
    this.current = this.#read(memory);
  }
}

/** What is secret is no worse a seed for that. */
export const seedOf = (secret: Uint8Array): bigint => Buffer.from(secret).readBigUInt64LE();

/** How filters of a thread are heard. */
export type Tellers = Pick<
  Shared,
  "count" | "tell" | "event" | "lines" | "ban" | "handOver" | "keys" | "namesOf" | "addressesOf" | "usageOf" | "ownKeys"
>;

/** One thread's side for one plan. */
export class ThreadShared implements Shared {
  readonly thread: number;
  readonly threads = THREADS_MIN;
  readonly seed: bigint;
  readonly secret: Uint8Array;
  readonly memories: Memories;
  /** The files that its filters append to. */
  readonly files = new Set<string>();
  readonly #lives: LiveMemories;
  readonly #clock: SharedClock;
  readonly #tellers: Tellers;
  readonly #ticks: Tick[] = [];
  readonly #starts: (() => void)[] = [];
  readonly #ends: (() => void)[] = [];
  #tickedAt: number;

  constructor(
    memories: Memories,
    lives: LiveMemories,
    thread: number,
    secret: Uint8Array,
    clock: SharedClock,
    tellers: Tellers,
  ) {
    this.#tellers = tellers;
    this.memories = memories;
    this.#lives = lives;
    this.thread = thread;
    this.seed = seedOf(secret);
    this.secret = secret;
    this.#clock = clock;
    this.#tickedAt = clock.now();
  }

  /** A configuration that the thread has read by itself may be newer than the supervisor's: then it counts alone. */
  memory(name: string, bytes: number): SharedArrayBuffer {
    return this.memories.get(name) ?? new SharedArrayBuffer(bytes);
  }
  addresses(file: string): AddressList {
    return this.#lives.addresses(`addresses ${file}`);
  }
  live<T>(name: string, read: (memory: SharedArrayBuffer) => T): Live<T> {
    return this.#lives.live(name, read);
  }
  now(): number {
    return this.#clock.now();
  }
  wallNow(): number {
    // The system's own, as threads compare what they have written down, to the millisecond.
    return wallClock();
  }
  count(name: SharedCounter, labels: readonly string[]): void {
    this.#tellers.count(name, labels);
  }
  tell(message: string, fields: Readonly<Record<string, string | number>>): void {
    this.#tellers.tell(message, fields);
  }
  event(event: ProxyEvent): void {
    this.#tellers.event(event);
  }
  lines(path: string): LineSink {
    this.files.add(path);
    return this.#tellers.lines(path);
  }
  handOver(what: object): void {
    this.#tellers.handOver(what);
  }
  ban(ban: Ban): void {
    this.#tellers.ban(ban);
  }
  get keys(): KeyBook {
    return this.#tellers.keys;
  }
  /** The supervisor changes what lies in shared memory (SharedMemories). */
  onBans(): void {}
  namesOf(ip: string): Promise<readonly string[] | null> {
    return this.#tellers.namesOf(ip);
  }
  addressesOf(name: string, family: 4 | 6): Promise<readonly string[] | null> {
    return this.#tellers.addressesOf(name, family);
  }
  usageOf(kind: "user" | "consumer", subject: string): Promise<readonly object[]> {
    return this.#tellers.usageOf(kind, subject);
  }
  ownKeys(question: KeyQuestion): Promise<KeyAnswer> {
    return this.#tellers.ownKeys(question);
  }
  onTick(tick: Tick): void {
    this.#ticks.push(tick);
  }
  onStart(start: () => void): void {
    this.#starts.push(start);
  }
  onEnd(end: () => void): void {
    this.#ends.push(end);
  }

  /** The plan that was compiled with it comes into use. */
  start(): void {
    for (const start of this.#starts.splice(0)) start();
  }
  /** The plan that was compiled with it is no longer in use. */
  end(): void {
    for (const end of this.#ends.splice(0)) end();
  }

  /** What is to be done now and then; `first` where it is this thread that looks after what is shared. */
  tick(first: boolean): void {
    const now = this.#clock.now();
    if (first) for (const each of this.#ticks) each.tick(now, now - this.#tickedAt);
    this.#tickedAt = now;
  }
}
