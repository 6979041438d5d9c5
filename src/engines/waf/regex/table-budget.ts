// The memory that the tables of all automata of a thread may take together. What requests can make grow is bounded by
// what they all have, not by how many patterns there are.

/** Tables of one automaton, which are made again from nothing when they are wanted. */
export interface Tables {
  /** What they take, roughly. */
  readonly bytes: number;
  forget(): void;
}

/** Ordinary requests need less than one megabyte of tables with the Core Rule Set. */
const BYTES_MAX = 16 * 1024 * 1024;

/** Where even the least that all need is too much, it is looked again when they have grown by a quarter. */
const AGAIN = 1.25;

/** So much of the maximum may be left, so that there is room for some time. */
const LEFT = 0.75;

export class TableBudget {
  readonly #bytesMax: number;
  readonly #left: number;
  /** What all tables take, those of rules that are no longer used included until the next count. */
  #bytes = 0;
  #all: WeakRef<Tables>[] = [];
  /** From so many bytes on it is looked who has too many: more than the maximum, where the least of all are more. */
  #limit: number;

  constructor(bytesMax = BYTES_MAX) {
    this.#bytesMax = bytesMax;
    this.#limit = bytesMax;
    this.#left = bytesMax * LEFT;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(tables: Tables): void {
    this.#all.push(new WeakRef(tables));
  }

  /**
   * Notes that some tables have grown, or have become smaller. If all are too large then, those that hold more than
   * their share forget what they know, but not the ones that have grown: they are in use.
   */
  grow(by: Tables, bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.#limit) this.#free(by);
  }

  #free(by: Tables): void {
    // Those that forget say that they are smaller now.
    this.#limit = Number.POSITIVE_INFINITY;
    let living = this.#count();
    const isOver = this.#bytes > this.#bytesMax;
    // The share of those that are left becomes smaller each time.
    for (let before = Number.POSITIVE_INFINITY; isOver && this.#bytes > this.#left && this.#bytes < before; ) {
      before = this.#bytes;
      const share = before / living.length;
      for (const tables of living) if (tables !== by && tables.bytes >= share) tables.forget();
      living = this.#count();
    }
    this.#limit = this.#bytesMax;
    if (isOver && this.#bytes > this.#left) this.#limit = Math.max(this.#limit, this.#bytes * AGAIN);
  }

  #count(): Tables[] {
    const living: Tables[] = [];
    this.#all = this.#all.filter((reference) => {
      const tables = reference.deref();
      if (tables !== undefined) living.push(tables);
      return tables !== undefined;
    });
    this.#bytes = living.reduce((sum, tables) => sum + tables.bytes, 0);
    return living;
  }
}

/** Of this thread. */
export const tableBudget: TableBudget = new TableBudget();
