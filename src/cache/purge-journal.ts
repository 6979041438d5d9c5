// Purges that reach every machine: an ordered journal in the state that they share. Whoever was away reads on where it
// stopped; whoever was away for longer than the journal goes back forgets all that it has.
import type { Lock, SharedState } from "../state/shared-state.ts";
import type { Purge } from "./purge.ts";

const JOURNAL = "cache/purges";
/** Says how far the journal goes, so that looking costs one small value. */
const LAST = "cache/purges/last";
const TOPIC = "cache/purges";
const LOCK = "cache/purges/writer";

/** What a machine may miss before it forgets everything, together with the next limit. */
const PURGES_MAX = 1000;
/** The journal is read and written as a whole: this much takes some milliseconds. */
const JOURNAL_CHARS_MAX = 262_144;
/** Purges that wait until the store can be reached again; beyond, one of everything stands for them. */
const WAITING_MAX = 1000;
/** A machine that dies while it writes holds up the others for so long. */
const LOCK_MS = 5000;
const LOCK_WAIT_MS = 50;
const LOCK_TRIES = 40;

const ALL: Purge = { kind: "all", value: "", soft: false };

/** Where a machine stands: the name of a journal, and the number of the last purge in it that was carried out. */
export interface Position {
  readonly journal: string;
  readonly number: number;
}

interface Noted {
  readonly purge: Purge;
  /** The machine that it comes from, which has carried it out. */
  readonly by: string;
}

interface Journal {
  readonly journal: string;
  /** The number of the first purge that is still there; they are counted from 1. */
  readonly first: number;
  readonly purges: readonly Noted[];
}

export interface PurgeJournalOptions {
  readonly state: SharedState;
  /** Where this machine stood when it stored what it has; null when that is not known, and all of it is forgotten. */
  readonly position: Position | null;
  /** Carries out a purge here. */
  readonly apply: (purge: Purge) => Promise<unknown>;
  /** All up to here has been carried out. */
  readonly onPosition: (position: Position) => void;
  readonly onTrouble: (error: Error) => void;
  readonly onSuccess: () => void;
}

export class PurgeJournal {
  readonly #options: PurgeJournalOptions;
  readonly #self = crypto.randomUUID();
  #position: Position | null;
  /** Purges that the others have not been told of. */
  #waiting: Purge[] = [];
  #working: Promise<void> = Promise.resolve();

  constructor(options: PurgeJournalOptions) {
    this.#options = options;
    this.#position = options.position;
  }

  /** Where the journal of a store ends, for a machine that has nothing stored. */
  static async end(state: SharedState): Promise<Position> {
    return positionOf(await state.get(LAST));
  }

  /** Hears of purges from now on; the result ends that. Rejects when the store cannot be reached. */
  follow(): Promise<() => Promise<void>> {
    return this.#options.state.subscribe(TOPIC, () => void this.look());
  }

  /** Tells the others of a purge that has been carried out here. False when they will hear of it later. */
  async add(purge: Purge): Promise<boolean> {
    if (this.#waiting.length >= WAITING_MAX) this.#waiting = [ALL];
    this.#waiting.push(purge);
    await this.look();
    return !this.#waiting.includes(purge);
  }

  /** Carries out what is new, and tells what waits. Messages may be lost, so somebody calls it now and then. Never rejects. */
  look(): Promise<void> {
    const { onTrouble, onSuccess } = this.#options;
    this.#working = this.#working
      .then(() => this.#look())
      .then(onSuccess)
      .catch((error: Error) => onTrouble(error));
    return this.#working;
  }

  async #look(): Promise<void> {
    await this.#catchUp();
    if (this.#waiting.length > 0) await this.#tell();
  }

  async #catchUp(): Promise<void> {
    const { state, apply } = this.#options;
    const last = positionOf(await state.get(LAST));
    const before = this.#position;
    if (before !== null && before.journal === last.journal && before.number === last.number) return;
    const journal = journalOf(await state.get(JOURNAL));
    const end = journal === null ? last : endOf(journal);
    if (before === null || isTooFar(before, journal)) await apply(ALL);
    else for (const purge of since(before, journal!, this.#self)) await apply(purge);
    this.#stand(end);
  }

  /** Adds what waits to the journal. It stays waiting until that is done. */
  async #tell(): Promise<void> {
    const { state } = this.#options;
    const lock = await take(state);
    try {
      const told = [...this.#waiting];
      const before = journalOf(await state.get(JOURNAL)) ?? { journal: crypto.randomUUID(), first: 1, purges: [] };
      const added = told.map((purge): Noted => ({ purge, by: this.#self }));
      const journal = trimmed({ ...before, purges: [...before.purges, ...added] });
      await state.set(JOURNAL, JSON.stringify(journal));
      await state.set(LAST, textOf(endOf(journal)));
      this.#waiting = this.#waiting.slice(told.length);
    } finally {
      await lock.release();
    }
    await state.publish(TOPIC, "added");
    await this.#catchUp(); // others may have added some just before
  }

  #stand(position: Position): void {
    this.#position = position;
    this.#options.onPosition(position);
  }
}

async function take(state: SharedState): Promise<Lock> {
  for (let tries = 0; tries < LOCK_TRIES; tries += 1) {
    const lock = await state.lock(LOCK, LOCK_MS);
    if (lock !== null) return lock;
    await new Promise((resolve) => setTimeout(resolve, LOCK_WAIT_MS));
  }
  throw new Error("another machine writes purges all the time");
}

const endOf = ({ journal, first, purges }: Journal): Position => ({ journal, number: first + purges.length - 1 });

/** Whether purges may be missing between this position and what is left of the journal. */
function isTooFar({ journal, number }: Position, now: Journal | null): boolean {
  if (now === null) return true;
  // A journal that is new to us has forgotten nothing while its first purge is there, and before it there was none.
  if (journal !== now.journal) return journal !== "" || now.first > 1;
  return number < now.first - 1;
}

function since({ journal, number }: Position, now: Journal, self: string): Purge[] {
  const from = journal === now.journal ? number + 1 - now.first : 0;
  return now.purges.slice(from).flatMap(({ purge, by }) => (by === self ? [] : [purge]));
}

/** The journal with as many of its last purges as there is room for. */
function trimmed({ journal, first, purges }: Journal): Journal {
  let kept = Math.min(purges.length, PURGES_MAX);
  let chars = 0;
  for (let at = 1; at <= kept; at += 1) {
    chars += JSON.stringify(purges.at(-at)).length + 1;
    if (chars > JOURNAL_CHARS_MAX && at > 1) kept = at - 1;
  }
  const gone = purges.length - kept;
  return { journal, first: first + gone, purges: purges.slice(gone) };
}

/** A position as text: `journal number`. */
export const textOf = ({ journal, number }: Position): string => `${journal} ${number}`;

/** The position that a text says; where no journal has begun when there is none. */
export function positionOf(text: string | null): Position {
  const [journal = "", number = ""] = (text ?? "").split(" ");
  return journal === "" || !/^\d+$/.test(number) ? { journal: "", number: 0 } : { journal, number: Number(number) };
}

function journalOf(text: string | null): Journal | null {
  try {
    const value: unknown = JSON.parse(text ?? "null");
    return isJournal(value) ? value : null;
  } catch {
    return null;
  }
}

function isJournal(value: unknown): value is Journal {
  if (typeof value !== "object" || value === null) return false;
  const { journal, first, purges } = value as Partial<Record<keyof Journal, unknown>>;
  return typeof journal === "string" && typeof first === "number" && Array.isArray(purges) && purges.every(isNoted);
}

const KINDS: ReadonlySet<unknown> = new Set(["url", "prefix", "tag", "all"]);

function isNoted(value: unknown): value is Noted {
  if (typeof value !== "object" || value === null) return false;
  const { purge, by } = value as Partial<Record<keyof Noted, unknown>>;
  if (typeof by !== "string" || typeof purge !== "object" || purge === null) return false;
  const { kind, value: what, soft } = purge as Partial<Record<keyof Purge, unknown>>;
  return KINDS.has(kind) && typeof what === "string" && typeof soft === "boolean";
}
