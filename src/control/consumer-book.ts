// The consumers that the admin API keeps: written down first (consumer-store.ts), then put into the table that threads
// read (auth/consumers/table.ts), then told to other machines (consumer-sync.ts).
import { join } from "node:path";
import { configuredConsumers, type Known } from "../auth/consumers/consumers.ts";
import type { CredentialEntry } from "../auth/consumers/entries.ts";
import { TableWriter } from "../auth/consumers/table-writer.ts";
import { CompileError } from "../config/compile-error.ts";
import type { Config, PolicyConfig } from "../config/schema.ts";
import type { ConsumersConfig } from "../config/schema-consumers.ts";
import { wallClock } from "../core/clock.ts";
import type { Log } from "../observe/log.ts";
import type { StateSettings } from "../state/open-state.ts";
import {
  type ConsumerRecord,
  type Content,
  entriesOf,
  isNewer,
  RECORD_CHARS_MAX,
  type Settings,
} from "./consumer-record.ts";
import { ConsumerStore } from "./consumer-store.ts";
import { ConsumerSync, type OwnConsumers } from "./consumer-sync.ts";

/** Half a gigabyte of shared memory (measured: docs/consumers.md), and some seconds at every start. */
const CONSUMERS_MAX = 1_000_000;
/** How often it is looked whether another process has changed the file. */
const LOOK_EVERY_MS = 500;
/** Another process may change the same consumer at the same time, but not again and again. */
const WRITES_MAX = 3;
const NOTHING = new SharedArrayBuffer(0);
const SYNCED = "synced";

/** What becomes of a change. */
export type Edit =
  | { readonly kind: "done"; readonly record: ConsumerRecord; readonly others: "none" | "told" | "later" }
  /** Somebody else has changed the consumer; `version` is the one that there is now. */
  | { readonly kind: "stale"; readonly version: number }
  | { readonly kind: "absent" }
  /** It cannot be so: `status` as HTTP has it, and which key is to blame. */
  | { readonly kind: "refused"; readonly status: 409 | 422; readonly why: string; readonly path: string };

export const refusedEdit = (status: 409 | 422, why: string, path = ""): Edit => ({
  kind: "refused",
  status,
  why,
  path,
});

/** From what there is (null for nobody) to what there is to be (null: removed), or why not. */
export type Change = (before: Content | null, record: ConsumerRecord | null) => Content | null | Edit;

interface Open {
  readonly file: string | null;
  readonly store: ConsumerStore;
  readonly table: TableWriter;
}

/** A store that is ready, not in use yet. */
export interface PreparedConsumers {
  readonly memory: SharedArrayBuffer;
  commit(state: StateSettings | null): Promise<void>;
}

/** Whether anything of a configuration is about consumers. */
function namesConsumers({ consumers, defaults, routes }: Config): boolean {
  const asks = ({ auth }: PolicyConfig): boolean =>
    auth !== undefined &&
    auth !== false &&
    [auth].flat().some(({ consumers: mode, apiKey, basic, signature, mtls }) => {
      return mode !== undefined || [apiKey, basic, signature, mtls].some((kind) => kind?.consumers === true);
    });
  return consumers !== undefined || asks(defaults) || routes.some(asks);
}

export class ConsumerBook implements OwnConsumers {
  readonly #log: Log;
  readonly #changed: (memory: SharedArrayBuffer) => void;
  readonly #now: () => number;
  #open: Open | null = null;
  #ready: Open | null = null;
  #configured: ConsumersConfig = {};
  #byDigest: ReadonlyMap<string, Known> = new Map();
  #sync: ConsumerSync | null = null;
  #where = "null";
  #timer: NodeJS.Timeout | null = null;

  /** `changed` gets the memory that threads are to read from then on. */
  constructor(log: Log, changed: (memory: SharedArrayBuffer) => void, now: () => number = wallClock) {
    this.#log = log;
    this.#changed = changed;
    this.#now = now;
  }

  get memory(): SharedArrayBuffer {
    return this.#open?.table.memory ?? NOTHING;
  }
  /** Whether there is a place to keep them. */
  get isOpen(): boolean {
    return this.#open !== null;
  }
  get size(): number {
    return this.#open?.table.size ?? 0;
  }
  /** Those of the configuration. */
  get configured(): ConsumersConfig {
    return this.#configured;
  }

  /**
   * Opens what a configuration needs, in `folder`, or in memory for null. Throws an Error that says why it cannot be
   * used.
   */
  prepare(config: Config, folder: string | null): PreparedConsumers {
    const file = folder === null ? null : join(folder, "consumers.sqlite");
    const wanted = namesConsumers(config);
    const isSame = wanted ? this.#open !== null && this.#open.file === file : this.#open === null;
    this.#drop();
    const next = isSame ? this.#open : wanted ? this.#read(file) : null;
    if (!isSame) this.#ready = next;
    return {
      get memory() {
        return next?.table.memory ?? NOTHING;
      },
      commit: (state) => this.#use(config, next, wanted ? state : null),
    };
  }

  /** One that was made ready and never used. */
  #drop(): void {
    this.#ready?.store.close();
    this.#ready = null;
  }

  #read(file: string | null): Open {
    let store: ConsumerStore;
    try {
      store = new ConsumerStore(file, this.#now());
    } catch (error) {
      throw new Error(`consumers cannot be kept in ${file}: ${(error as Error).message}`);
    }
    const table = new TableWriter((memory) => {
      if (this.#open?.table === table) this.#changed(memory);
    });
    for (const record of store.all()) this.#put(table, record);
    return { file, store, table };
  }

  async #use({ consumers = {} }: Config, next: Open | null, state: StateSettings | null): Promise<void> {
    this.#configured = consumers;
    this.#byDigest = configuredConsumers(consumers).byDigest;
    const isNew = next !== this.#open;
    if (isNew) {
      const before = this.#open;
      this.#open = next;
      this.#ready = null;
      if (this.#timer !== null) clearInterval(this.#timer);
      this.#timer = next === null ? null : setInterval(() => this.#look(), LOOK_EVERY_MS).unref();
      before?.store.close();
    }
    // A thread may have got what was in use when its configuration was made ready.
    this.#changed(this.memory);
    // Files are for the processes of one machine, which have the store together already.
    const shared = state?.kind === "redis" ? state : null;
    const where = JSON.stringify(shared);
    if (where === this.#where && !isNew) return;
    await this.#sync?.stop();
    this.#where = where;
    this.#sync = shared === null ? null : new ConsumerSync(this.#log, shared, this, this.#now);
    await this.#sync?.look();
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#sync?.stop();
    this.#sync = null;
    this.#where = "null";
    this.#drop();
    this.#open?.store.close();
    this.#open = null;
  }

  /** What other processes have written. */
  #look(): void {
    if (this.#open === null) return;
    const { store, table } = this.#open;
    try {
      for (const record of store.news()) this.#put(table, record);
    } catch (error) {
      this.#log.error("consumers cannot be read", { error: (error as Error).message });
    }
  }

  #put(table: TableWriter, record: ConsumerRecord): void {
    try {
      const [consumer, credentials] = entriesOf(record);
      if (consumer === null) table.remove(record.name);
      else table.put(consumer, credentials);
    } catch (error) {
      // Of another version, or damaged: nobody gets in with it.
      if (!(error instanceof CompileError)) throw error;
      table.remove(record.name);
      this.#log.error("a consumer cannot be used", { consumer: record.name, error: error.message });
    }
  }

  // ——— the admin API

  /** Those behind a name, in the order of their names, whose names begin so. */
  page(after: string, prefix: string, limit: number): ConsumerRecord[] {
    return this.#open?.store.page(after, prefix, limit) ?? [];
  }

  /** Null for nobody, and for one who was removed. */
  find(name: string): ConsumerRecord | null {
    const record = this.get(name);
    return record?.content == null ? null : record;
  }

  /** What is said of a consumer; null for nobody, and for one of the configuration. */
  readonly said = (name: string): Settings | null => this.find(name)?.content?.settings ?? null;

  /** Changes a consumer, unless he is not of this version any more; null for whatever version. */
  async edit(name: string, version: number | null, change: Change): Promise<Edit> {
    const lock = (await this.#sync?.begin(name)) ?? null;
    try {
      for (let tries = 1; ; tries += 1) {
        const edit = this.#tryEdit(name, version, change);
        if (edit !== null) return edit.kind === "done" ? await this.#told(edit) : edit;
        if (tries === WRITES_MAX) return { kind: "stale", version: this.get(name)?.version ?? 0 };
      }
    } finally {
      await lock?.release().catch(() => undefined); // it ends by itself
    }
  }

  async #told(edit: Extract<Edit, { kind: "done" }>): Promise<Edit> {
    return this.#sync === null ? edit : { ...edit, others: await this.#sync.tell(edit.record) };
  }

  /** Null: another process has just changed the same consumer. */
  #tryEdit(name: string, version: number | null, change: Change): Edit | null {
    if (this.#open === null) return { kind: "absent" };
    const { store, table } = this.#open;
    const record = store.get(name);
    const before = record?.content ?? null;
    if (version !== null && version !== (before === null ? 0 : record!.version))
      return { kind: "stale", version: before === null ? 0 : record!.version };
    const content = change(before, record);
    if (content !== null && "kind" in content) return content;
    if (content === null && before === null) return { kind: "absent" };
    const next = { name, version: (record?.version ?? 0) + 1, changedAt: this.#now(), content };
    const problem = this.#problem(table, next, before === null);
    if (problem !== null) return problem;
    if (!store.write(next, record?.version ?? 0)) return null;
    this.#put(table, next);
    return { kind: "done", record: next, others: "none" };
  }

  #problem(table: TableWriter, record: ConsumerRecord, isNew: boolean): Edit | null {
    if (isNew && table.size >= CONSUMERS_MAX) return refusedEdit(409, `there are ${CONSUMERS_MAX} consumers already`);
    if (JSON.stringify(record.content).length > RECORD_CHARS_MAX)
      return refusedEdit(422, `a consumer takes ${RECORD_CHARS_MAX} characters at most`);
    let credentials: CredentialEntry[];
    try {
      [, credentials] = entriesOf(record);
    } catch (error) {
      if (error instanceof CompileError) return refusedEdit(422, error.message, error.path.slice(1).join("."));
      throw error;
    }
    const seen = new Set<string>();
    for (const { kind, digest } of credentials) {
      const key = `${kind}${Buffer.from(digest).latin1Slice()}`;
      if (seen.has(key)) return refusedEdit(409, "this consumer has the same credential already");
      seen.add(key);
      const owner = this.#byDigest.get(key)?.consumer.name ?? table.ownerOf(digest, kind);
      if (owner !== null && (owner !== record.name || this.#byDigest.has(key)))
        return refusedEdit(409, `consumer "${owner}" has the same credential`);
    }
    return null;
  }

  // ——— what machines share

  *all(): Generator<ConsumerRecord> {
    if (this.#open !== null) yield* this.#open.store.every();
  }

  get(name: string): ConsumerRecord | null {
    return this.#open?.store.get(name) ?? null;
  }

  receive(records: readonly ConsumerRecord[]): readonly ConsumerRecord[] {
    if (this.#open === null) return [];
    const { store, table } = this.#open;
    const newer: ConsumerRecord[] = [];
    store.together(() => {
      for (const record of records) {
        const own = store.get(record.name);
        if (!isNewer(record, own)) {
          if (own !== null && isNewer(own, record)) newer.push(own);
          continue;
        }
        store.put(record);
        this.#put(table, record);
      }
    });
    return newer;
  }

  get syncedAt(): number {
    return this.#open?.store.mark(SYNCED) ?? 0;
  }
  set syncedAt(at: number) {
    // A minute is exact enough for something that counts in months.
    if (this.#open !== null && Math.abs(at - this.syncedAt) > 60_000) this.#open.store.setMark(SYNCED, at);
  }
}
