// The large bodies of the disk tier as the thread that writes knows them: which there are, whether their records are
// still the ones that count, and which of them goes first. Oldest first, but one that was used meanwhile goes on for a
// round.
import { readdirSync } from "node:fs";
import { isLargeName, LARGE_ENDING } from "./disk-folder.ts";
import { largeFooter, removeLarge } from "./large-file.ts";

export interface LargeEntry {
  readonly name: string;
  readonly bytes: number;
  readonly low: number;
  readonly high: number;
  /** Where its record was when it was last looked for, so that this need not be read again. */
  segment: number;
  offset: number;
}

const SWEEP_MS = 1000;

/** What the index says of them. */
export interface LargeUses {
  /** Whether the record that counts leads to this body. */
  isNeeded(entry: LargeEntry): boolean;
  /** Whether it was used since this was last asked. */
  wasUsed(entry: LargeEntry): boolean;
}

export class LargeFiles {
  readonly #folder: string;
  readonly #uses: LargeUses;
  readonly #entries = new Map<string, LargeEntry>();
  bytes = 0;
  #lastSweep = 0;

  constructor(folder: string, uses: LargeUses) {
    this.#folder = folder;
    this.#uses = uses;
  }

  /** Takes in what a start finds; damaged files are removed. */
  load(): void {
    for (const file of readdirSync(this.#folder).filter(isLargeName)) {
      const name = file.slice(0, -LARGE_ENDING.length);
      const footer = largeFooter(this.#folder, name);
      if (footer === null) removeLarge(this.#folder, name);
      else this.add({ name, bytes: footer.bytes, low: footer.low, high: footer.high, segment: 0, offset: 0 });
    }
  }

  add(entry: LargeEntry): void {
    if (this.#entries.has(entry.name)) return;
    this.#entries.set(entry.name, entry);
    this.bytes += entry.bytes;
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0;
  }

  /** Sweeps when that was not done for a while: a body that is no longer needed may take room for so long. */
  sweepSometimes(now: number): void {
    if (now - this.#lastSweep < SWEEP_MS) return;
    this.#lastSweep = now;
    this.sweep();
  }

  /** Removes those to which no record points any more. */
  sweep(): void {
    for (const entry of this.#entries.values()) if (!this.#uses.isNeeded(entry)) this.#remove(entry);
  }

  /** Removes the oldest, or the first that was not used. Its record leads to nothing then, which a reader finds out. */
  evict(): void {
    let rounds = this.#entries.size;
    for (const entry of this.#entries.values()) {
      rounds -= 1;
      if (rounds >= 0 && this.#uses.wasUsed(entry)) {
        this.#entries.delete(entry.name); // to the end
        this.#entries.set(entry.name, entry);
        continue;
      }
      this.#remove(entry);
      return;
    }
  }

  #remove(entry: LargeEntry): void {
    this.#entries.delete(entry.name);
    this.bytes -= entry.bytes;
    removeLarge(this.#folder, entry.name);
  }
}
