// What was changed by requests, or purged by its address, as far as the disk tier has to know of it after a restart: a
// table of counters like that of changes.ts, in memory that all threads share and in a file beside the segments. A
// record remembers the count of its address from before its answer was asked for; with another one it holds no more.
//
// A change is in the file, that is with the system, before the client that made it has its answer: a process that is
// killed behind that leaves nothing that comes back. When the disk has it too: disk-sync.ts.
import { closeSync, openSync, writeSync } from "node:fs";
import { KeyHash } from "../engines/storage/key-hash.ts";

/**
 * Entries of the disk tier live for days. With a hundred addresses changed in a second, an entry lives three hours
 * until one of them shares its counter. They take 4 MB.
 */
const COUNTERS = 1 << 20;
export const CHANGES_BYTES: number = COUNTERS * Int32Array.BYTES_PER_ELEMENT;

export class DiskChanges {
  readonly #counters: Int32Array;
  readonly #hash: KeyHash;
  readonly #path: string;
  readonly #word = Buffer.alloc(Int32Array.BYTES_PER_ELEMENT);
  #fd = -1;

  /** All threads must have the same memory and seed; `path` is the file of the table. */
  constructor(memory: SharedArrayBuffer, seed: bigint, path: string) {
    this.#counters = new Int32Array(memory);
    this.#hash = new KeyHash(seed);
    this.#path = path;
  }

  static memory(): SharedArrayBuffer {
    return new SharedArrayBuffer(CHANGES_BYTES);
  }

  /** How often something has changed behind the address: as a whole number of 32 bits. */
  count(address: string): number {
    return Atomics.load(this.#counters, this.#slotOf(address));
  }

  /** What is behind the address has changed. False: that cannot be kept, and nothing on the disk can be trusted any more. */
  change(address: string): boolean {
    const slot = this.#slotOf(address);
    let count = Atomics.add(this.#counters, slot, 1) + 1;
    try {
      if (this.#fd < 0) this.#fd = openSync(this.#path, "r+");
      // Another thread may have written an older count over a newer one: who sees a newer one writes again.
      for (let written = count - 1; written !== count; count = Atomics.load(this.#counters, slot)) {
        this.#word.writeInt32LE(count | 0);
        writeSync(this.#fd, this.#word, 0, this.#word.length, slot * this.#word.length);
        written = count;
      }
      return true;
    } catch {
      return false;
    }
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #slotOf(address: string): number {
    this.#hash.of(address);
    return this.#hash.low & (COUNTERS - 1);
  }
}
