// What limits share beyond this process, as the supervisor runs it: what a machine has in hand of limits is taken from
// the state of all machines (engines/rate-limit/leases.ts), quotas of one machine are written to its files, and both are
// counted under one seed, so that a client's key is the same everywhere and after a restart.
import { createHash, randomBytes } from "node:crypto";
import { monotonic, wallClock } from "../core/clock.ts";
import { type LeaseSettings, Leases, refusedUntil, type Wanted } from "../engines/rate-limit/leases.ts";
import { periodOf, QuotaTable } from "../engines/rate-limit/quota.ts";
import type { Log } from "../observe/log.ts";
import { openState, type StateSettings } from "../state/open-state.ts";
import type { Ask, Grant } from "../state/shared-counters.ts";
import type { SharedState } from "../state/shared-state.ts";
import { type Part, TableFile } from "../state/table-file.ts";
import type { Memories } from "./shared.ts";

/** How often it is looked whether threads want more: what the first requests of a busy client may wait. */
const ASK_EVERY_MS = 5;
/** Asked for at a time: more wait for the next, so that the server and this thread have time for others. */
const ASKS_MAX = 512;
/** How long the store may take to answer. */
const ANSWER_MS = 500;
/** Hands that nobody uses are given back, and the store looked for again, this often. */
const LOOK_EVERY_MS = 1000;
/** Quotas are written this often: what a client may get beyond one where the process is killed. */
const KEEP_EVERY_MS = 50;
/** Others may have given back something of a quota. */
const QUOTA_RETRY_MS = 1000;
const DAY_MS = 86_400_000;
const SEED = "limits/seed";
const SEED_BYTES = 8;

export interface LimitsOptions {
  readonly log: Log;
  /** There is another seed. */
  readonly onSeed: (seed: SharedArrayBuffer) => void;
  /** The store can no longer be reached. */
  readonly onOutage: () => void;
}

/** A limit that is shared, under the name by which all machines know it. */
interface Table {
  readonly name: string;
  readonly leases: Leases;
  readonly settings: LeaseSettings;
  /** What is in hand by slot, as it was at the last look. */
  readonly hands: Map<number, Hand>;
}
interface Hand {
  readonly key: string;
  readonly tag: number;
  readonly most: number;
  readonly step: number;
  seen: number;
}
interface Question {
  readonly table: Table;
  readonly wanted: Wanted;
  readonly key: string;
}

export class SharedLimits {
  /** Eight bytes; nothing where every process has its own. */
  seed = new SharedArrayBuffer(0);
  readonly #options: LimitsOptions;
  #settings: StateSettings | null = null;
  #where = "";
  #state: SharedState | null = null;
  #tables = new Map<SharedArrayBuffer, Table>();
  #quotas = new Map<SharedArrayBuffer, TableFile>();
  #asking: NodeJS.Timeout | null = null;
  #looking: NodeJS.Timeout | null = null;
  #keeping: NodeJS.Timeout | null = null;
  #isWriting = false;
  #isBusy = false;
  #isAway = false;
  #working: Promise<void> = Promise.resolve();

  constructor(options: LimitsOptions) {
    this.#options = options;
  }

  /** Follows a configuration. Resolves when the state has been looked for, whether it could be reached or not. */
  async follow(settings: StateSettings | null, memories: Memories): Promise<void> {
    const names = [...memories.keys()];
    const wanted = settings?.kind === "redis" ? "lease " : "quota ";
    const isUsed = settings !== null && names.some((name) => name.startsWith(wanted));
    const where = isUsed ? JSON.stringify(settings) : "";
    if (where !== this.#where) {
      await this.stop();
      this.#where = where;
      this.#settings = isUsed ? settings : null;
    }
    if (!isUsed) return;
    this.#takeTables(memories);
    await this.#look();
    this.#looking ??= setInterval(() => void this.#look(), LOOK_EVERY_MS);
    this.#looking.unref();
    this.#keeping ??= setInterval(() => void this.#keepNow(), KEEP_EVERY_MS);
    this.#keeping.unref();
  }

  #takeTables(memories: Memories): void {
    const settings = this.#settings;
    const tables = new Map<SharedArrayBuffer, Table>();
    const quotas = new Map<SharedArrayBuffer, TableFile>();
    for (const [name, memory] of memories) {
      if (settings?.kind === "redis" && name.startsWith("lease ")) {
        const leases = new Leases(memory);
        const made = { name: digest(name), leases, settings: leases.settings, hands: new Map() };
        tables.set(memory, this.#tables.get(memory) ?? made);
      } else if (settings?.kind === "files" && name.startsWith("quota "))
        quotas.set(memory, this.#quotas.get(memory) ?? new TableFile(settings.folder, digest(name)));
    }
    this.#tables = tables;
    this.#quotas = quotas;
    if (this.#state !== null) this.#serve();
  }

  #look(): Promise<void> {
    this.#working = this.#working.then(() => this.#lookNow()).catch((error: Error) => this.#troubled(error));
    return this.#working;
  }

  async #lookNow(): Promise<void> {
    if (this.#settings === null) return;
    const isNew = this.#state === null;
    this.#state ??= await this.#open(this.#settings);
    // A store that has been emptied would give the next machine another seed.
    if (isNew || this.#settings.kind === "redis") await this.#agree(this.#state);
    if (this.#isAway) this.#options.log.info("limits are shared again");
    this.#isAway = false;
    this.#serve();
    for (const [memory, file] of this.#quotas) await this.#restored(memory, file);
    this.#returnIdle();
  }

  /** Between two looks; what cannot be written now is tried with the next one. */
  async #keepNow(): Promise<void> {
    if (this.#isWriting || this.#quotas.size === 0 || this.#isAway) return;
    this.#isWriting = true;
    this.#working = this.#working.then(() => this.#keep()).catch((error: Error) => this.#troubled(error));
    await this.#working;
    this.#isWriting = false;
  }

  #open(settings: StateSettings): Promise<SharedState> {
    const timed = settings.kind === "redis" ? { ...settings, timeoutMs: ANSWER_MS } : settings;
    return openState(timed, () => {}); // each command that fails says so itself
  }

  /** Finds out the seed, or says which it is from now on. A store that has lost it gets it again. */
  async #agree(state: SharedState): Promise<void> {
    let text = await state.get(SEED);
    if (text === null) {
      const lock = await state.lock(SEED, ANSWER_MS);
      if (lock === null) throw new Error("another machine is about to agree on how limits are counted");
      try {
        text = await state.get(SEED);
        if (text === null) {
          text = this.seed.byteLength > 0 ? hexOf(this.seed) : randomBytes(SEED_BYTES).toString("hex");
          await state.set(SEED, text);
        }
      } finally {
        await lock.release();
      }
    }
    if (text === hexOf(this.seed)) return;
    const seed = new SharedArrayBuffer(SEED_BYTES);
    new Uint8Array(seed).set(Buffer.from(text, "hex").subarray(0, SEED_BYTES));
    this.seed = seed;
    this.#options.onSeed(seed);
  }

  #serve(): void {
    const isShared = this.#state !== null && !this.#isAway;
    for (const { leases } of this.#tables.values()) leases.isServed = isShared;
    if (this.#tables.size === 0 || this.#asking !== null) return;
    this.#asking = setInterval(() => void this.#ask(), ASK_EVERY_MS);
    this.#asking.unref();
  }

  async #ask(): Promise<void> {
    if (this.#isBusy || this.#isAway) return;
    const questions: Question[] = [];
    for (const table of this.#tables.values())
      for (const wanted of table.leases.wanted(ASKS_MAX - questions.length))
        questions.push({ table, wanted, key: keyOf(table, wanted.key) });
    if (questions.length === 0) return;
    this.#isBusy = true;
    try {
      const asks = questions.map(({ table, wanted, key }) =>
        askOf(table, { ...wanted, key }, wanted.cost, wanted.more, -wanted.owed),
      );
      const grants = await this.#take(asks);
      for (const [at, question] of questions.entries()) this.#granted(question, grants[at]!);
    } catch (error) {
      for (const { table, wanted } of questions) table.leases.failed(wanted);
      this.#troubled(error as Error);
    } finally {
      this.#isBusy = false;
    }
  }

  async #take(asks: readonly Ask[]): Promise<Grant[]> {
    const counters = this.#state?.counters ?? null;
    if (counters === null) throw new Error("there is no state");
    return await counters.take(asks);
  }

  #granted({ table, wanted, key }: Question, { granted, level }: Grant): void {
    const { kind, cost } = table.settings;
    const { step } = wanted;
    const most = mostOf(kind, wanted);
    const isRate = kind === "rate";
    const left = Math.max(0, Math.floor(isRate ? (most - level) / step : most - level));
    const waitMs = isRate ? (level + (cost - most) * step) / 1000 : QUOTA_RETRY_MS;
    const until = granted > 0 ? null : refusedUntil(monotonic(), waitMs);
    if (!table.leases.grant(wanted, granted, left, isRate ? level / 1000 : 0, until)) {
      if (granted > 0) this.#giveBack([askOf(table, { ...wanted, key }, 0, 0, granted)]);
    } else if (granted > 0) table.hands.set(wanted.slot, { key, tag: wanted.tag, most: wanted.most, step, seen: -1 });
  }

  /** Hands that have not changed since the last look. */
  #returnIdle(): void {
    const back: Ask[] = [];
    for (const table of this.#tables.values()) {
      for (const [slot, hand] of table.hands) {
        const now = table.leases.handOf(slot, hand.tag);
        if (now === hand.seen || now === 0) {
          table.hands.delete(slot);
          const count = table.leases.reclaim(slot, hand.tag);
          if (count > 0) back.push(askOf(table, hand, 0, 0, count));
        } else hand.seen = now;
      }
    }
    if (back.length > 0) this.#giveBack(back);
  }

  /** What cannot be given back is lost until it wears off: nobody gets too much. */
  #giveBack(asks: readonly Ask[]): void {
    this.#take(asks).catch((error: Error) => this.#troubled(error));
  }

  /** What was counted before the start, or before the limit was taken out of the configuration. */
  async #restored(memory: SharedArrayBuffer, file: TableFile): Promise<void> {
    if (new Int32Array(memory, 0, 1)[0] !== 0) return;
    const kept = await file.read(QuotaTable.keptBytes(memory));
    if (kept !== null) QuotaTable.restore(memory, kept);
  }

  async #keep(): Promise<void> {
    for (const [memory, file] of this.#quotas) {
      const parts: Part[] = [];
      QuotaTable.changes(memory, (offset, bytes) => parts.push({ offset, bytes }));
      if (parts.length === 0) continue;
      try {
        await file.write(joined(parts));
      } catch (error) {
        QuotaTable.mark(memory);
        throw error;
      }
    }
  }

  #troubled(error: Error): void {
    if (this.#settings === null) return; // it is being closed
    if (!this.#isAway) {
      this.#options.onOutage();
      this.#options.log.warn("limits are not shared: the state cannot be used", { error: error.message });
    }
    this.#isAway = true;
    for (const { leases } of this.#tables.values()) leases.isServed = false;
  }

  async stop(): Promise<void> {
    for (const timer of [this.#asking, this.#looking, this.#keeping]) if (timer !== null) clearInterval(timer);
    this.#asking = null;
    this.#looking = null;
    this.#keeping = null;
    await this.#working;
    if (this.#state !== null && !this.#isAway) await this.#leave().catch((error: Error) => this.#troubled(error));
    for (const { leases } of this.#tables.values()) leases.isServed = false;
    this.#tables = new Map();
    this.#quotas = new Map();
    this.#settings = null;
    this.#where = "";
    this.#isAway = false;
    await this.#state?.close();
    this.#state = null;
  }

  /** Writes what has changed, and gives back what is in hand. */
  async #leave(): Promise<void> {
    await this.#keep();
    const back: Ask[] = [];
    for (const table of this.#tables.values())
      for (const [slot, hand] of table.hands) {
        const count = table.leases.reclaim(slot, hand.tag);
        if (count > 0) back.push(askOf(table, hand, 0, 0, count));
      }
    if (back.length > 0) await this.#take(back);
  }
}

/** Copies of the parts, those that lie one behind the other in one piece. */
function joined(parts: readonly Part[]): Part[] {
  const found: { offset: number; pieces: Uint8Array[]; end: number }[] = [];
  for (const { offset, bytes } of parts) {
    const last = found.at(-1);
    if (last?.end === offset) last.pieces.push(bytes);
    else found.push({ offset, pieces: [bytes], end: offset });
    found.at(-1)!.end += bytes.length;
  }
  return found.map(({ offset, pieces }) => ({ offset, bytes: Buffer.concat(pieces) }));
}

const digest = (name: string): string => createHash("sha256").update(name).digest("hex").slice(0, 24);
const hexOf = (seed: SharedArrayBuffer): string => Buffer.from(seed).toString("hex");

/** The machines meet a few dozen times a second: a burst shorter than that would go to waste. */
const BURST_MS = 50;
const mostOf = (kind: LeaseSettings["kind"], { step, most }: Pick<LeaseSettings, "step" | "most">): number =>
  kind === "rate" ? Math.max(most, Math.ceil((BURST_MS * 1000) / step)) : most;

/** A day or month counts for itself. */
const keyOf = ({ name, settings: { kind } }: Table, key: string): string =>
  kind === "rate" ? `${name}:${key}` : `${name}:${periodOf(kind, wallClock())[0]}:${key}`;

/** What is asked of one key, whose limit is its own or the table's. */
function askOf(
  { settings: { kind } }: Table,
  own: Pick<Hand, "key" | "most" | "step">,
  cost: number,
  more: number,
  give: number,
): Ask {
  const { key, step } = own;
  const most = mostOf(kind, own);
  if (kind === "rate") return { key, kind: "rate", step, most: most * step, cost, more, give };
  const [, endsMs] = periodOf(kind, wallClock());
  return { key, kind: "quota", step: endsMs - wallClock() + DAY_MS, most, cost, more, give };
}
