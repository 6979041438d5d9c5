// What filters that count share with the other threads: memory under names, and one clock.
import type { ProxyEvent } from "./events.ts";
import { type KeyBook, NO_KEYS } from "./key-book.ts";
import { type KeyAnswer, type KeyQuestion, NO_KEY_ANSWER } from "./own-keys.ts";

/** Something to be done now and then beside the requests. */
export interface Tick {
  /** About ten times a second, in one thread alone where it is about shared memory. */
  tick(nowMs: number, sinceMs: number): void;
}

/** Networks; live: what was added a moment ago is there. */
export interface AddressList {
  /** One more than the prefix length of the most specific one that holds the address; 0 for none. */
  find(ip: string): number;
}

/** Something that is made of memory that may be replaced at any time. */
export interface Live<T> {
  readonly current: T;
}

/** Counters of what filters do now and then (observe/metric-table.ts). */
export type SharedCounter =
  | "sluice_llm_failures_total"
  | "sluice_llm_redactions_total"
  | "sluice_csp_reports_total"
  | "sluice_bans_total"
  | "sluice_waf_matches_total"
  | "sluice_validation_failures_total"
  | "sluice_deprecated_requests_total"
  | "sluice_graphql_requests_total"
  | "sluice_aggregate_failures_total"
  | "sluice_idempotency_total"
  | "sluice_coalesced_total"
  | "sluice_shed_total"
  | "sluice_tagging_blocked_total"
  | "sluice_auth_total";

/** A file that lines are appended to. */
export interface LineSink {
  /** Takes a line without its end, of less than 64 KB. Never waits; what the disk cannot take is lost and told of. */
  write(line: string): void;
}

/** A ban that a filter has made. */
export interface Ban {
  /** Names the rule: the same after a restart, and on all machines with the same configuration. */
  readonly rule: string;
  readonly route: string;
  /** `everywhere`: the address, which is all of the key, is denied on all routes of all threads. */
  readonly scope: "everywhere" | "route";
  /** By what the rule counts, and the values (pipeline/request-key.ts). */
  readonly key: readonly (readonly [part: string, value: string])[];
  readonly forMs: number;
  readonly why: string;
}

/** Who is banned by a rule, to be changed from outside of it. */
export interface BanList {
  /** Bans whoever has these values for so long, unless he is banned already. */
  add(values: readonly string[], ms: number): void;
  /** Ends the ban, and forgets what led to it. */
  lift(values: readonly string[]): void;
}

/** The name of the seed, eight bytes, under which keys of limits are the same on all machines; empty without one. */
export const LIMIT_SEED = "seed of limits";

export interface Shared {
  /**
   * Memory under this name, `bytes` long, zeros at first; all threads get the same. It stays as long as every
   * configuration asks for it. In plans that are only looked at it is empty.
   */
  memory(name: string, bytes: number): SharedArrayBuffer;
  /** The list in a file that the configuration names. */
  addresses(file: string): AddressList;
  /** What `read` makes of the memory under this name, now and whenever it is replaced. The name says what is made. */
  live<T>(name: string, read: (memory: SharedArrayBuffer) => T): Live<T>;
  /** The number of this thread, from 0, and for how many of them there should be room. */
  readonly thread: number;
  readonly threads: number;
  /** Secret, and the same in all threads: hashes are seeded with it. */
  readonly seed: bigint;
  /** Secret, and the same in all threads until the program ends. */
  readonly secret: Uint8Array;
  /** Milliseconds on a clock that all threads share. */
  now(): number;
  /** Milliseconds since 1970. */
  wallNow(): number;
  /** Counts something that happens seldom enough for its series to be looked up each time. */
  count(name: SharedCounter, labels: readonly string[]): void;
  /** A line of the log. Whoever calls it on behalf of clients bounds how often. */
  tell(message: string, fields: Readonly<Record<string, string | number>>): void;
  /** Tells those who watch. Whoever calls it on behalf of clients bounds how often. */
  event(event: ProxyEvent): void;
  /** The file with this path, which all threads append to. Throws an Error when it cannot be opened. */
  lines(path: string): LineSink;
  /** Tells of a ban, so that it is shown, kept and shared with other machines; one everywhere holds in a moment. */
  ban(ban: Ban): void;
  /** Has bans of this rule changed in `list` where others make or lift them. */
  onBans(rule: string, list: BanList): void;
  /** Keys of requests that are carried out once, and the answers that are kept. */
  readonly keys: KeyBook;
  /** Hands events of pages over to the thread that keeps them (tagging/messages.ts). Never waits. */
  handOver(what: object): void;
  /** The names of an address, and the addresses of a name, by the DNS; null when it gives no answer. */
  namesOf(ip: string): Promise<readonly string[] | null>;
  addressesOf(name: string, family: 4 | 6): Promise<readonly string[] | null>;
  /** What somebody has used in the last days, by day and route, as it is written down; empty where nothing is metered. */
  usageOf(kind: "user" | "consumer", subject: string): Promise<readonly object[]>;
  /** What becomes of a consumer's wish about his own keys. */
  ownKeys(question: KeyQuestion): Promise<KeyAnswer>;
  /** Has the first thread call it for as long as the plan is in use. */
  onTick(tick: Tick): void;
  /** Has it called in each thread when the plan comes into use; never in plans that are only looked at. */
  onStart(start: () => void): void;
  /** Has it called once the plan, which was in use, is no longer: what was opened for it is closed. */
  onEnd(end: () => void): void;
}

/** What an exchange holds until it has ended, whatever way it ends. */
export interface Held {
  leave(): void;
  readonly next: Held | null;
}

/** A place of a table that counts what is under way. */
export class HeldPlace implements Held {
  readonly next: Held | null;
  readonly #table: { leave(place: number): void };
  readonly #place: number;

  constructor(table: { leave(place: number): void }, place: number, next: Held | null) {
    this.#table = table;
    this.#place = place;
    this.next = next;
  }

  leave(): void {
    this.#table.leave(this.#place);
  }
}

/** A list with nobody in it. */
export const NO_ADDRESSES: AddressList = { find: () => 0 };
const NOTHING = new SharedArrayBuffer(0);
const NO_LINES: LineSink = { write() {} };

/** For plans that are only looked at. */
export const UNSHARED: Shared = {
  memory: () => NOTHING,
  addresses: () => NO_ADDRESSES,
  live: (_name, read) => ({ current: read(NOTHING) }),
  thread: 0,
  threads: 1,
  seed: 0n,
  secret: new Uint8Array(32),
  now: () => 0,
  wallNow: () => 0,
  count() {},
  tell() {},
  event() {},
  lines: () => NO_LINES,
  ban() {},
  handOver() {},
  keys: NO_KEYS,
  onBans() {},
  namesOf: async () => null,
  addressesOf: async () => null,
  usageOf: async () => [],
  ownKeys: async () => NO_KEY_ANSWER,
  onTick() {},
  onStart() {},
  onEnd() {},
};
