// Which keys were looked for lately, as far as a small table remembers: what was found on the disk is worth a place in
// memory when it is found again soon. Whoever is asked for once in a while stays where it is, and pushes out nothing.

/** Most answers with what belongs to them are no smaller: so many have room in memory, and are worth remembering. */
const ENTRY_BYTES = 16_384;
/** 4 MB. */
const SLOTS_MAX = 1 << 20;
const SLOTS_MIN = 64;

export class Seen {
  readonly #prints: Int32Array;

  /** For a memory of so many bytes. A key that falls on the slot of another takes its place. */
  constructor(bytes: number) {
    let slots = SLOTS_MIN;
    while (slots < SLOTS_MAX && slots * ENTRY_BYTES < bytes) slots *= 2;
    this.#prints = new Int32Array(slots);
  }

  /** Whether a key was noted lately. */
  has(low: number, high: number): boolean {
    return this.#prints[low & (this.#prints.length - 1)] === (high | 0);
  }

  /** Notes a key by its hash. Whether it was there already. */
  note(low: number, high: number): boolean {
    const slot = low & (this.#prints.length - 1);
    const print = high | 0;
    if (this.#prints[slot] === print) return true;
    this.#prints[slot] = print;
    return false;
  }
}
