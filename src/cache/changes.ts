// What was changed by requests to any worker: a table of counters in memory that all of them share. An answer remembers
// the count of its address from before it was asked for; with another one it holds no more, in whichever worker it
// lies. Addresses share counters, so that now and then an answer is fetched again for nothing.
import { KeyHash } from "../engines/storage/key-hash.ts";

/**
 * With a hundred changes a second, one of these many counters changes every 40 minutes: longer than most answers are
 * fresh. They take 1 MB.
 */
const COUNTERS = 262_144;

/** Behind them, one that counts purges. */
const PURGES = COUNTERS;

/** The counter of an address, how it stood, and the purges that there had been. */
export interface Stamp {
  readonly slot: number;
  readonly count: number;
  readonly purges: number;
  /** How often something had changed behind the address as the disk tier knows it; 0 without one. */
  readonly disk: number;
}

/** Where changes are kept beyond the end of the process. */
export interface KeptChanges {
  changesOf(address: string): number;
  change(address: string): void;
}

export class Changes {
  readonly #counters: Int32Array;
  readonly #hash: KeyHash;
  /** Null without a disk tier. */
  kept: KeptChanges | null = null;

  /** All threads must have the same memory and seed. */
  constructor(memory: SharedArrayBuffer, seed: bigint) {
    this.#counters = new Int32Array(memory);
    this.#hash = new KeyHash(seed);
  }

  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer((COUNTERS + 1) * Int32Array.BYTES_PER_ELEMENT);
  }

  /** For what is about to be fetched. */
  stamp(address: string): Stamp {
    const slot = this.#slotOf(address);
    const purges = Atomics.load(this.#counters, PURGES);
    const disk = this.kept?.changesOf(address) ?? 0;
    return { slot, count: Atomics.load(this.#counters, slot), purges, disk };
  }

  /** A purge begins, which reaches one worker after the other. */
  static purge(memory: SharedArrayBuffer): void {
    Atomics.add(new Int32Array(memory), PURGES, 1);
  }

  /** Whether no worker can give this to one that a purge has reached already. */
  isUnpurged({ purges }: Stamp): boolean {
    return Atomics.load(this.#counters, PURGES) === purges;
  }

  /** Whether nothing has changed since. */
  holds({ slot, count }: Stamp): boolean {
    return Atomics.load(this.#counters, slot) === count;
  }

  /** What is behind the address has changed. */
  change(address: string): void {
    Atomics.add(this.#counters, this.#slotOf(address), 1);
    this.kept?.change(address);
  }

  #slotOf(address: string): number {
    this.#hash.of(address);
    return this.#hash.low & (COUNTERS - 1);
  }
}
