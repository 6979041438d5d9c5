// Consumers on several machines: each has all of them in a store of its own (consumer-store.ts), and they meet in the
// shared state. Of two records of one name the newer one holds, on all machines alike. While the state cannot be
// reached, each goes on with what it has, and tells the others later.
import type { Log } from "../observe/log.ts";
import { openState, type StateSettings } from "../state/open-state.ts";
import type { Entry, SharedMap } from "../state/shared-map.ts";
import type { Lock, SharedState } from "../state/shared-state.ts";
import { type ConsumerRecord, REMOVED_MS, recordOfText, textOfRecord } from "./consumer-record.ts";

/** How often it is tried again to reach the state. */
const LOOK_EVERY_MS = 1000;
/** After a connection was lost all is read again, and once more when what hears of changes has surely come back too. */
const SECOND_LOAD_MS = 10_000;
/** Changes of one consumer by two machines at a time: the second one waits for so long. */
const LOCK_MS = 3000;
const LOCK_TRIES = 20;
const LOCK_WAIT_MS = 50;
/** How long an answer of the admin API waits for the state. */
const KEPT_MS = 2000;
/** Written at a time. */
const BATCH = 500;

/** The consumers of this machine. */
export interface OwnConsumers {
  /** All, removed ones included. */
  all(): Iterable<ConsumerRecord>;
  get(name: string): ConsumerRecord | null;
  /** Others have these: those that are newer hold from now on. Answers with own ones that are newer than theirs. */
  receive(records: readonly ConsumerRecord[]): readonly ConsumerRecord[];
  /** When this machine last had all that others had, in milliseconds since 1970; 0 for never. */
  syncedAt: number;
}

interface Open {
  readonly state: SharedState;
  readonly map: SharedMap;
}

export class ConsumerSync {
  readonly #log: Log;
  readonly #own: OwnConsumers;
  readonly #now: () => number;
  readonly #settings: StateSettings;
  readonly #waiting = new Map<string, ConsumerRecord>();
  #open: Open | null = null;
  #isBehind = true;
  #isTroubled = false;
  readonly #timer: NodeJS.Timeout;
  #later: NodeJS.Timeout | null = null;
  #working: Promise<void> = Promise.resolve();

  constructor(log: Log, settings: StateSettings, own: OwnConsumers, now: () => number) {
    this.#log = log;
    this.#settings = settings;
    this.#own = own;
    this.#now = now;
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS);
    this.#timer.unref();
  }

  /** Something has changed here. Resolves to whether others have been told, or will be once they can be. */
  async tell(record: ConsumerRecord): Promise<"told" | "later"> {
    this.#waiting.set(record.name, record);
    await Promise.race([this.look(), Bun.sleep(KEPT_MS)]);
    return this.#waiting.get(record.name) === record ? "later" : "told";
  }

  /**
   * Before a change here: what others have is known, and nobody else changes the same consumer. Null where the state
   * cannot be reached, or is held up: then the newer of two changes holds.
   */
  async begin(name: string): Promise<Lock | null> {
    if (this.#open === null || this.#isBehind) return null;
    const { state, map } = this.#open;
    try {
      for (let tries = 0; tries < LOCK_TRIES; tries += 1) {
        const lock = await state.lock(`consumers/lock/${name}`, LOCK_MS);
        if (lock === null) {
          await Bun.sleep(LOCK_WAIT_MS);
          continue;
        }
        const entry = await map.get(name);
        if (entry !== null) this.#receive([entry]);
        return lock;
      }
    } catch (error) {
      this.#troubled(error as Error);
    }
    return null;
  }

  /** Resolves when everybody knows what this machine knows, and the other way, or that cannot be now. */
  look(): Promise<void> {
    this.#working = this.#working.then(() => this.#lookNow()).catch((error: Error) => this.#troubled(error));
    return this.#working;
  }

  async #lookNow(): Promise<void> {
    this.#open ??= await this.#begin();
    const { map } = this.#open;
    if (this.#isBehind) {
      this.#isBehind = false; // what goes wrong meanwhile says so again
      await this.#load(map);
    }
    if (this.#waiting.size > 0) {
      const told = [...this.#waiting.values()];
      await map.put(told.map(entryOf));
      for (const record of told) if (this.#waiting.get(record.name) === record) this.#waiting.delete(record.name);
    }
    this.#own.syncedAt = this.#now();
    if (this.#isTroubled) this.#log.info("consumers are shared with other machines again");
    this.#isTroubled = false;
  }

  async #begin(): Promise<Open> {
    const state = await openState(this.#settings, (error) => this.#troubled(error));
    try {
      const map = state.map("consumers");
      await map.follow((entries) => this.#receive(entries));
      return { state, map };
    } catch (error) {
      await state.close();
      throw error;
    }
  }

  /** Takes what is newer there, and puts what is newer here. */
  async #load(map: SharedMap): Promise<void> {
    const entries = await map.load();
    const theirs = new Map(entries.map(({ key, value }) => [key, value]));
    this.#receive(entries);
    // Somebody who was away for longer than removals are remembered cannot tell what was removed meanwhile.
    const isStale = this.#own.syncedAt > 0 && this.#own.syncedAt < this.#now() - REMOVED_MS && theirs.size > 0;
    const gone: ConsumerRecord[] = [];
    let batch: Entry[] = [];
    for (const record of this.#own.all()) {
      const there = theirs.get(record.name);
      if (there === undefined && isStale) {
        if (record.content !== null) gone.push(removedNow(record, this.#now()));
        continue;
      }
      // What was newer there has been taken over already.
      if (there === textOfRecord(record)) continue;
      batch.push(entryOf(record));
      if (batch.length < BATCH) continue;
      await map.put(batch);
      batch = [];
    }
    if (batch.length > 0) await map.put(batch);
    if (gone.length > 0) this.#own.receive(gone);
  }

  #receive(entries: readonly Entry[]): void {
    const records = entries.flatMap(({ key, value }) => (value === null ? [] : (recordOfText(key, value) ?? [])));
    // Where somebody has written over what is newer here, it is told again.
    for (const record of this.#own.receive(records)) this.#waiting.set(record.name, record);
  }

  #troubled(error: Error): void {
    if (!this.#isTroubled)
      this.#log.warn("consumers hold as they are known here, and changes are not shared", { error: error.message });
    this.#isTroubled = true;
    this.#isBehind = true;
    this.#later ??= setTimeout(() => {
      this.#later = null;
      this.#isBehind = true;
    }, SECOND_LOAD_MS).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#later !== null) clearTimeout(this.#later);
    await this.#working;
    await this.#open?.state.close();
    this.#open = null;
  }
}

const removedNow = ({ name, version }: ConsumerRecord, now: number): ConsumerRecord => ({
  ...{ name, version: version + 1, changedAt: now, content: null },
});

const entryOf = (record: ConsumerRecord): Entry => ({
  key: record.name,
  value: textOfRecord(record),
  untilMs: record.content === null ? record.changedAt + REMOVED_MS : Number.POSITIVE_INFINITY,
});
