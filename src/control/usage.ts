// Metering as the supervisor runs it: twice a second it takes what threads have counted (engines/usage) and writes it down,
// so that a process that is killed loses a second's worth at most. One object for the whole process.
import { join } from "node:path";
import { usageSettings } from "../config/plan-defaults.ts";
import type { Config } from "../config/schema.ts";
import type { UsageConfig } from "../config/schema-plans.ts";
import { wallClock } from "../core/clock.ts";
import { COUNTS, REQUESTS, type Series, UsageTable } from "../engines/usage/table.ts";
import type { Log } from "../observe/log.ts";
import type { QuotaNotice } from "../pipeline/events.ts";
import { usageMemories } from "./compile-usage.ts";
import type { Memories } from "./shared.ts";
import { itemOf, type UsageItem } from "./usage-formats.ts";
import { UsageNotices } from "./usage-notices.ts";
import { type Addition, type UsageQuery, type UsageRow, UsageStore } from "./usage-store.ts";

/** A kill may lose no more than a second's worth, however busy this thread is. */
const TAKE_EVERY_MS = 500;
const SWEEP_EVERY_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** What consumers are told of themselves, and how many rows of that. */
const OWN_DAYS = 31;
const OWN_MAX = 1000;
/** Exchanges may still end that began with a configuration that had other tables. */
const FORMER_MS = 600_000;

/** A table that is read, and what was read of it so far. */
interface Watched {
  readonly table: UsageTable;
  readonly versions: Int32Array;
  readonly series: (Series | null)[];
  readonly counts: Float64Array;
  /** When it is no longer looked at; 0 while it is in use. */
  until: number;
}

interface Change {
  readonly watched: Watched;
  readonly row: number;
  readonly counts: Float64Array;
}

export class Usage {
  readonly #log: Log;
  #settings: UsageConfig | null = null;
  #store: UsageStore | null = null;
  #path: string | null = null;
  /** Of a configuration that is being made ready, or never was used. */
  #prepared: UsageStore | null = null;
  #notices: UsageNotices | null = null;
  readonly #tables = new Map<SharedArrayBuffer, Watched>();
  #timer: NodeJS.Timeout | null = null;
  #sweptAt = 0;
  #failures = 0;
  readonly #read = new Float64Array(COUNTS);

  constructor(log: Log) {
    this.#log = log;
  }

  /** Opens the store of a configuration, where it is another one. Throws an Error for one that cannot be used. */
  prepare(config: Config): UsageStore | null {
    if (this.#prepared !== this.#store) this.#prepared?.close();
    this.#prepared = null;
    const settings = usageSettings(config);
    if (settings === null) return null;
    const path = pathOf(settings, config);
    this.#prepared = this.#store !== null && path === this.#path ? this.#store : new UsageStore(path);
    return this.#prepared;
  }

  /** Follows a configuration: `store` is what `prepare` gave. */
  commit(config: Config, store: UsageStore | null, memories: Memories): void {
    const settings = usageSettings(config);
    if (store !== this.#store) {
      this.#take(); // what was counted belongs to the one before
      this.#notices?.stop();
      this.#store?.close();
      this.#notices = store === null ? null : new UsageNotices(this.#log, store);
    }
    this.#store = store;
    this.#settings = settings;
    this.#path = settings === null ? null : pathOf(settings, config);
    this.#notices?.use(settings?.webhooks ?? []);
    this.#watch(usageMemories(memories));
    if (store === null) return this.#end();
    this.#timer ??= setInterval(() => this.#take(), TAKE_EVERY_MS);
    this.#timer.unref();
  }

  #watch(memories: readonly SharedArrayBuffer[]): void {
    for (const [memory, watched] of this.#tables)
      watched.until = memories.includes(memory) ? 0 : watched.until || wallClock() + FORMER_MS;
    for (const memory of memories) {
      if (this.#tables.has(memory)) continue;
      const table = new UsageTable(memory);
      const { room } = table;
      const series = Array.from<Series | null>({ length: room }).fill(null);
      const counts = new Float64Array(room * COUNTS);
      this.#tables.set(memory, { table, versions: new Int32Array(room), series, counts, until: 0 });
    }
  }

  /** So much of a quota is used. False where that was told before. */
  notice(notice: QuotaNotice): boolean {
    return this.#notices?.tell(notice) ?? false;
  }

  /** Takes what was counted since the last time. */
  #take(): void {
    const store = this.#store;
    if (store === null) return;
    const now = wallClock();
    const changes: Change[] = [];
    for (const [memory, watched] of this.#tables) {
      this.#look(watched, changes);
      if (watched.until !== 0 && now > watched.until) this.#tables.delete(memory);
    }
    try {
      if (changes.length > 0) store.add(changes.map(additionOf), now);
      for (const change of changes) settle(change);
      if (this.#failures > 0) this.#log.info("usage is written again");
      this.#failures = 0;
      this.#sweep(store, now);
    } catch (error) {
      // Nothing is lost: it is all still to be taken.
      store.forgetIds();
      this.#failures += 1;
      if (this.#failures === 1)
        this.#log.error("usage cannot be written; it is tried again", { error: (error as Error).message });
    }
  }

  #sweep(store: UsageStore, now: number): void {
    if (this.#settings === null || now - this.#sweptAt < SWEEP_EVERY_MS) return;
    this.#sweptAt = now;
    store.sweep(now, this.#settings.keep);
  }

  #look(watched: Watched, changes: Change[]): void {
    const { table, versions, series, counts } = watched;
    const { size } = table;
    for (let row = 0; row < size; row += 1) {
      const version = table.version(row);
      if (version % 2 === 1) continue; // it is being given to another series
      if (version !== versions[row]) {
        const now = table.series(row);
        if (table.version(row) !== version) continue;
        versions[row] = version;
        series[row] = now;
        counts.fill(0, row * COUNTS, (row + 1) * COUNTS);
      }
      if (table.requests(row) === counts[row * COUNTS + REQUESTS]) continue;
      table.read(row, this.#read, 0);
      if (table.version(row) !== version) continue;
      changes.push({ watched, row, counts: this.#read.slice() });
    }
  }

  /** What was used, what was counted this moment included. Null where nothing is metered. */
  query(query: UsageQuery): UsageRow[] | null {
    this.#take();
    return this.#store?.query(query) ?? null;
  }

  /** What somebody has used in the last days, by day and route, for himself. */
  of(kind: "user" | "consumer", subject: string): readonly UsageItem[] {
    const to = wallClock();
    const from = to - OWN_DAYS * DAY_MS;
    const query = { from, to, by: "day", group: ["route"], kind, subject, route: null, limit: OWN_MAX } as const;
    return this.#store?.query(query).slice(0, OWN_MAX).map(itemOf) ?? [];
  }

  #end(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#tables.clear();
  }

  /** Takes what is left; nobody counts any more. */
  stop(): void {
    this.#take();
    this.#end();
    this.#notices?.stop();
    this.#store?.close();
    if (this.#prepared !== this.#store) this.#prepared?.close();
    this.#notices = null;
    this.#store = null;
    this.#prepared = null;
  }
}

const pathOf = ({ path }: UsageConfig, { storage }: Config): string | null =>
  path ?? (storage === undefined ? null : join(storage, "usage.sqlite"));

/** What a row has beyond what was taken of it. */
function additionOf({ watched, row, counts }: Change): Addition {
  const before = watched.counts.subarray(row * COUNTS, (row + 1) * COUNTS);
  return { series: watched.series[row]!, counts: counts.map((count, i) => count - before[i]!) };
}

/** It is written down. */
function settle({ watched, row, counts }: Change): void {
  watched.counts.set(counts, row * COUNTS);
  watched.table.taken(row, counts[REQUESTS]!);
}
