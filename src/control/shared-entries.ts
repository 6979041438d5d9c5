// What holds for a time and must outlive the process, such as bans: kept in the state that the configuration names, and
// shared with the machines that use the same. While it cannot be reached, everything goes on here and is told later.
import type { Log } from "../observe/log.ts";
import { openState, type StateSettings } from "../state/open-state.ts";
import type { Entry, SharedMap } from "../state/shared-map.ts";
import type { SharedState } from "../state/shared-state.ts";

/** How often it is tried again to reach the state, and looked for changes that nobody has told. */
const LOOK_EVERY_MS = 1000;
/** Changes gather for so long: a flood of them is written together. */
const GATHER_MS = 50;
/** Entries of one kind that wait for the state: as many as each kind holds. */
const WAITING_MAX = 100_000;
/** After a connection was lost all is read again, and once more when what hears of changes has surely come back too. */
const SECOND_LOAD_MS = 10_000;
/** Says which store it is: one that was emptied begins anew. */
const MARKER = "control/entries";

/** Entries of one kind, as they are in this process. */
export interface Entries {
  readonly name: string;
  /** All that hold. */
  entries(): Entry[];
  /** Others have put these, or taken those without a value back. */
  receive(entries: readonly Entry[]): void;
  /** What has changed since the last time, where nobody tells: asked for when it can be written. */
  changes?(): readonly Entry[];
}

interface Part {
  readonly kind: Entries;
  /** What the state is to be told. */
  readonly waiting: Map<string, Entry>;
  /** What was heard of while all was read. */
  readonly heard: Set<string>;
}

interface Open {
  readonly state: SharedState;
  readonly maps: ReadonlyMap<Part, SharedMap>;
}

export class SharedEntries {
  readonly #log: Log;
  readonly #parts: readonly Part[];
  #where = "null";
  #settings: StateSettings | null = null;
  #open: Open | null = null;
  #marker: string | null = null;
  /** What others have changed may have been missed. */
  #isBehind = false;
  #timer: NodeJS.Timeout | null = null;
  #soon: NodeJS.Timeout | null = null;
  #later: NodeJS.Timeout | null = null;
  #isTroubled = false;
  #working: Promise<void> = Promise.resolve();

  constructor(log: Log, kinds: readonly Entries[]) {
    this.#log = log;
    this.#parts = kinds.map((kind) => ({ kind, waiting: new Map(), heard: new Set() }));
  }

  /**
   * Resolves when what was kept holds here, or the state cannot be reached. `isNew` is for a kind that holds nothing
   * yet of what was kept. Never rejects.
   */
  async follow(settings: StateSettings | null, isNew: boolean): Promise<void> {
    const where = JSON.stringify(settings);
    if (where === this.#where) {
      if (!isNew || settings === null) return;
      this.#isBehind = true;
      await this.#look();
      return;
    }
    await this.stop();
    this.#where = where;
    this.#settings = settings;
    if (settings === null) return;
    this.#marker = null;
    this.#isBehind = true;
    // What holds here is told to a store that is new to us.
    for (const part of this.#parts) for (const entry of part.kind.entries()) part.waiting.set(entry.key, entry);
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
    await this.#look();
  }

  /** Something has begun, changed or ended here. */
  changed(name: string, entry: Entry): void {
    const part = this.#parts.find(({ kind }) => kind.name === name);
    if (this.#settings === null || part === undefined) return;
    if (part.waiting.size >= WAITING_MAX && !part.waiting.has(entry.key)) return;
    part.waiting.set(entry.key, entry);
    this.#soon ??= setTimeout(() => void this.#look(), GATHER_MS).unref();
  }

  /** Resolves when what was changed before is kept, or cannot be now. */
  kept(): Promise<void> {
    return this.#settings === null ? Promise.resolve() : this.#look();
  }

  #look(): Promise<void> {
    this.#working = this.#working.then(() => this.#lookNow()).catch((error: Error) => this.#troubled(error));
    return this.#working;
  }

  async #lookNow(): Promise<void> {
    if (this.#soon !== null) clearTimeout(this.#soon);
    this.#soon = null;
    if (this.#settings === null) return;
    this.#open ??= await this.#begin(this.#settings);
    const { state, maps } = this.#open;
    if (this.#isBehind) {
      const isSame = await this.#compareMarker(state);
      for (const [part, map] of maps) await this.#load(part, map, isSame);
      this.#isBehind = false;
    }
    for (const [part, map] of maps) {
      for (const entry of part.kind.changes?.() ?? []) part.waiting.set(entry.key, entry);
      await tell(part, map);
    }
    if (this.#isTroubled) this.#log.info("bans and denied addresses are kept and shared again");
    this.#isTroubled = false;
  }

  async #begin(settings: StateSettings): Promise<Open> {
    const state = await openState(settings, (error) => this.#troubled(error));
    try {
      const maps = new Map<Part, SharedMap>();
      for (const part of this.#parts) {
        const map = state.map(part.kind.name);
        maps.set(part, map);
        await map.follow((entries) => this.#hear(part, entries));
      }
      return { state, maps };
    } catch (error) {
      await state.close();
      throw error;
    }
  }

  /** What has just been changed here is newer than what others said before they heard of it. */
  #hear({ kind, waiting, heard }: Part, entries: readonly Entry[]): void {
    if (this.#isBehind) for (const { key } of entries) heard.add(key);
    kind.receive(entries.filter(({ key }) => !waiting.has(key)));
  }

  /** Whether it is the store that was read before, with all that was written to it. */
  async #compareMarker(state: SharedState): Promise<boolean> {
    let marker = await state.get(MARKER);
    if (marker === null) {
      marker = crypto.randomUUID();
      await state.set(MARKER, marker);
    }
    const isSame = marker === this.#marker;
    if (!isSame && this.#marker !== null)
      for (const { kind, waiting } of this.#parts) for (const entry of kind.entries()) waiting.set(entry.key, entry);
    this.#marker = marker;
    return isSame;
  }

  /** What others have taken back while they were not heard is not in the same store any more. */
  async #load({ kind, waiting, heard }: Part, map: SharedMap, isSame: boolean): Promise<void> {
    heard.clear();
    const found = await map.load();
    const news = found.filter(({ key }) => !heard.has(key) && !waiting.has(key));
    if (isSame) {
      const keys = new Set(found.map(({ key }) => key));
      for (const { key } of kind.entries())
        if (!keys.has(key) && !heard.has(key) && !waiting.has(key)) news.push({ key, value: null, untilMs: 0 });
    }
    heard.clear();
    kind.receive(news);
  }

  #troubled(error: Error): void {
    if (!this.#isTroubled)
      this.#log.warn("bans and denied addresses hold, but are not kept or shared", { error: error.message });
    this.#isTroubled = true;
    this.#isBehind = true;
    this.#later ??= setTimeout(() => {
      this.#later = null;
      this.#isBehind = true;
    }, SECOND_LOAD_MS).unref();
  }

  async stop(): Promise<void> {
    if (!this.#isTroubled) await this.#look(); // what has gathered is written
    for (const timer of [this.#timer, this.#soon, this.#later]) if (timer !== null) clearTimeout(timer);
    this.#timer = null;
    this.#soon = null;
    this.#later = null;
    this.#settings = null;
    this.#where = "null";
    await this.#working;
    await this.#open?.state.close();
    this.#open = null;
  }
}

async function tell({ waiting }: Part, map: SharedMap): Promise<void> {
  if (waiting.size === 0) return;
  const told = [...waiting.values()];
  await map.put(told);
  // One that has changed meanwhile waits on.
  for (const entry of told) if (waiting.get(entry.key) === entry) waiting.delete(entry.key);
}
