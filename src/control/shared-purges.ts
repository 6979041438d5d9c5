// Purges of several machines, as the supervisor runs them: the journal (cache/purge-journal.ts) in the state that the
// configuration names, and what to do while that cannot be reached.
import { rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { PURGES_FILE } from "../cache/disk-folder.ts";
import type { Purge } from "../cache/purge.ts";
import { type Position, PurgeJournal, positionOf, textOf } from "../cache/purge-journal.ts";
import type { Config } from "../config/schema.ts";
import type { Log } from "../observe/log.ts";
import { openState, type StateSettings } from "../state/open-state.ts";
import type { SharedState } from "../state/shared-state.ts";

/** Messages may be lost: the journal is looked at this often, at the price of one small value. */
const LOOK_EVERY_MS = 2000;

/** What became of a purge on other machines: there are none; they have been told; they will be. */
export type Others = "none" | "told" | "later";

/** The state in use, once it could be opened. */
interface Open {
  readonly state: SharedState;
  readonly journal: PurgeJournal;
}

export class SharedPurges {
  readonly #log: Log;
  readonly #apply: (purge: Purge) => Promise<unknown>;
  #where = "";
  #settings: StateSettings | null = null;
  #open: Open | null = null;
  /** What others are to be told of once the state can be opened. */
  #waiting: Purge[] = [];
  /** Where it is kept how far purges have been carried out, beside what is stored on the disk. */
  #file: string | null = null;
  #isFirst = true;
  #timer: NodeJS.Timeout | null = null;
  #isTroubled = false;
  #working: Promise<void> = Promise.resolve();

  /** `apply` carries out a purge in all workers. */
  constructor(log: Log, apply: (purge: Purge) => Promise<unknown>) {
    this.#log = log;
    this.#apply = apply;
  }

  /**
   * Follows a configuration; `disk` is the folder in which answers outlive the process, if there is one. Resolves when
   * purges of others are heard of, those missed meanwhile included, or the state cannot be reached.
   */
  async follow(config: Config, disk: string | null): Promise<void> {
    const settings = settingsOf(config);
    const where = JSON.stringify([settings, disk]);
    if (where === this.#where) return;
    await this.stop();
    this.#where = where;
    this.#settings = settings;
    this.#file = disk === null ? null : join(disk, PURGES_FILE);
    if (settings === null) return;
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS);
    this.#timer.unref();
    await this.#look();
  }

  /** Tells the others of a purge that has been carried out here. */
  async tell(purge: Purge): Promise<Others> {
    if (this.#settings === null) return "none";
    await this.#look();
    if (this.#open !== null) return (await this.#open.journal.add(purge)) ? "told" : "later";
    this.#waiting.push(purge);
    return "later";
  }

  #look(): Promise<void> {
    this.#working = this.#working.then(() => this.#lookNow()).catch((error: Error) => this.#troubled(error));
    return this.#working;
  }

  async #lookNow(): Promise<void> {
    if (this.#settings === null) return;
    this.#open ??= await this.#begin(this.#settings);
    const { journal } = this.#open;
    while (this.#waiting.length > 0) await journal.add(this.#waiting.shift()!);
    await journal.look();
  }

  async #begin(settings: StateSettings): Promise<Open> {
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    const state = await openState(settings, (error) => this.#troubled(error));
    try {
      const journal = new PurgeJournal({
        state,
        position: await this.#startAt(state, isFirst),
        apply: this.#apply,
        onPosition: (position) => this.#keep(position),
        onSuccess: () => this.#recovered(),
        onTrouble: (error) => this.#troubled(error),
      });
      await journal.follow();
      return { state, journal };
    } catch (error) {
      await state.close();
      throw error;
    }
  }

  /**
   * What is on the disk is from where its file says. With nothing stored yet there is nothing to forget; but what was
   * stored before the state could be reached may have been purged meanwhile.
   */
  async #startAt(state: SharedState, isFirst: boolean): Promise<Position | null> {
    const text = this.#file === null ? null : await readFile(this.#file, "utf8").catch(() => null);
    if (text !== null) return positionOf(text);
    return isFirst && this.#file === null ? PurgeJournal.end(state) : null;
  }

  /** A file that cannot be written makes the next start forget more than it has to. */
  #keep(position: Position): void {
    if (this.#file === null) return;
    try {
      writeFileSync(this.#file, textOf(position));
    } catch (error) {
      this.#log.warn("it cannot be kept how far purges have been carried out", { error: String(error) });
      rmSync(this.#file, { force: true });
    }
  }

  #troubled(error: Error): void {
    if (!this.#isTroubled) this.#log.warn("purges of other machines are not heard of", { error: error.message });
    this.#isTroubled = true;
  }

  #recovered(): void {
    if (this.#isTroubled) this.#log.info("purges of other machines are heard of again");
    this.#isTroubled = false;
  }

  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#settings = null;
    await this.#working;
    await this.#open?.state.close();
    this.#open = null;
  }
}

/** Where the machines meet: null where the configuration names nothing that several could share, or has no cache. */
function settingsOf({ cluster, storage, routes, defaults }: Config): StateSettings | null {
  const isCached = defaults?.cache !== undefined || routes.some(({ cache }) => cache !== undefined && cache !== false);
  if (!isCached) return null;
  if (cluster !== undefined) return { kind: "redis", url: cluster.redis, prefix: cluster.prefix };
  return storage === undefined ? null : { kind: "files", folder: join(storage, "state") };
}
