// A column after a chain of transformations: each value is made once, and looked at once for what can match it at all.
import type { Prefilter } from "../rules/prefilter.ts";
import type { Step } from "../rules/steps.ts";
import type { Triggers } from "../rules/triggers.ts";
import type { Column, Derived } from "./values.ts";

// More numbers than these are given back after the transaction: few requests have that many different values.
const KEPT_NUMBERS = 65_536;

const KEPT_VALUES = 4096;

/** Rows of bits of the prefilters. Row 0 has none, for the values that nothing can match. */
export class BitPool {
  data: Uint32Array = new Uint32Array(1024);
  #used = 0;

  /** Makes room for a row of `words` numbers and tells where it is; it is taken by `take`. */
  free(words: number): number {
    if (this.#used === 0) this.#used = words;
    if (this.#used + words > this.data.length) {
      const grown = new Uint32Array(Math.max(this.data.length * 2, this.#used + words));
      grown.set(this.data);
      this.data = grown;
    }
    return this.#used;
  }

  take(words: number): void {
    this.#used += words;
  }

  clear(): void {
    if (this.data.length > KEPT_NUMBERS) this.data = new Uint32Array(1024);
    else if (this.#used > 0) this.data.fill(0, 0, this.#used);
    this.#used = 0;
  }
}

/** Pairs that were used by the transaction, to be cleared after it: a request touches few of all. */
export type Touched = Pair[];

export class Pair implements Derived {
  readonly #column: Column;
  readonly #parent: Pair | null;
  readonly #step: Step | null;
  readonly #triggers: Triggers;
  readonly #prefilter: Prefilter | null;
  readonly #pool: BitPool;
  readonly #touched: Touched;
  readonly #values: string[];
  /** Of each value, the classes of bytes that occur in it; as many as were made. */
  #classes = new Int32Array(4);
  #made = 0;
  #allClasses = 0;
  /** Of each value, where its bits are; 0 for none. As many as were scanned. */
  #rows = new Int32Array(4);
  #scanned = 0;
  /** The bits of all values together: which operators can match one of them. */
  readonly union: Uint32Array;
  #resolved: Pair = this;
  /** For how many entries `#resolved` was found. */
  #resolvedCount = 0;

  /** @param parent the pair of the chain without its last step; null for values as they came */
  constructor(
    column: Column,
    parent: Pair | null,
    step: Step | null,
    triggers: Triggers,
    prefilter: Prefilter | null,
    pool: BitPool,
    touched: Touched,
  ) {
    this.#column = column;
    this.#parent = parent;
    this.#step = step;
    this.#triggers = triggers;
    this.#prefilter = prefilter;
    this.#pool = pool;
    this.#touched = touched;
    this.#values = parent === null ? column.values : [];
    this.union = new Uint32Array(prefilter === null ? 0 : prefilter.words);
    column.pairs.push(this);
  }

  /** The pair that has the values of this one, up to date: an earlier one of the chain when its last steps change none. */
  resolve(): Pair {
    const count = this.#column.keys.length;
    if (this.#resolvedCount === count) return this.#resolved;
    if (this.#resolvedCount === 0) this.#touched.push(this);
    this.#resolvedCount = count;
    this.#resolved = this;
    if (this.#parent === null) this.#classify(count);
    else {
      const base = this.#parent.resolve();
      if ((base.#allClasses & this.#step!.trigger) === 0) this.#resolved = base;
      else this.#make(base, count);
    }
    return this.#resolved;
  }

  get empty(): boolean {
    return this.#column.keys.length === 0;
  }

  /** A value of a resolved pair. */
  value(index: number): string {
    return this.#values[index]!;
  }

  /** Finds out for all values of a resolved pair which operators can match them. */
  scan(): void {
    const count = this.#made;
    if (this.#scanned === count) return;
    if (this.#rows.length < count) this.#rows = grown(this.#rows, count);
    const rows = this.#rows;
    const base = this.#parent === null ? null : this.#parent.resolve();
    if (base !== null) base.scan();
    for (let index = this.#scanned; index < count; index += 1) {
      const value = this.#values[index]!;
      const row = base !== null && base.#values[index] === value ? base.#rows[index]! : this.#look(value);
      rows[index] = row;
      if (row !== 0) this.#unite(row);
    }
    this.#scanned = count;
  }

  /** Whether an operator can match one of the values at all, after `scan`. */
  mayMatch(index: number, word: number, mask: number): boolean {
    const row = this.#rows[index]!;
    return row !== 0 && (this.#pool.data[row + word]! & mask) !== 0;
  }

  clear(): void {
    this.#resolvedCount = 0;
    // Most pairs stand for an earlier one of their chain, and have made nothing.
    if (this.#made === 0) return;
    this.#made = 0;
    this.#allClasses = 0;
    if (this.#parent !== null) this.#values.length = 0;
    if (this.#scanned === 0) return;
    this.#scanned = 0;
    this.union.fill(0);
    if (this.#rows.length > KEPT_VALUES) this.#rows = new Int32Array(4);
    if (this.#classes.length > KEPT_VALUES) this.#classes = new Int32Array(4);
  }

  #classify(count: number): void {
    if (this.#classes.length < count) this.#classes = grown(this.#classes, count);
    for (let index = this.#made; index < count; index += 1) {
      const found = this.#triggers.classesOf(this.#values[index]!);
      this.#classes[index] = found;
      this.#allClasses |= found;
    }
    this.#made = count;
  }

  #make(base: Pair, count: number): void {
    const step = this.#step!;
    const values = this.#values;
    if (this.#classes.length < count) this.#classes = grown(this.#classes, count);
    for (let index = this.#made; index < count; index += 1) {
      const value = base.#values[index]!;
      let classes = base.#classes[index]!;
      let made = value;
      if ((classes & step.trigger) !== 0) {
        made = step.apply(value);
        if (made !== value) classes = this.#triggers.classesOf(made);
      }
      values.push(made);
      this.#classes[index] = classes;
      this.#allClasses |= classes;
    }
    this.#made = count;
  }

  #look(value: string): number {
    const prefilter = this.#prefilter!;
    const row = this.#pool.free(prefilter.words);
    if (!prefilter.candidates(value, this.#pool.data, row)) return 0;
    this.#pool.take(prefilter.words);
    return row;
  }

  #unite(row: number): void {
    const { union } = this;
    const { data } = this.#pool;
    for (let word = 0; word < union.length; word += 1) union[word] = union[word]! | data[row + word]!;
  }
}

function grown(numbers: Int32Array<ArrayBuffer>, count: number): Int32Array<ArrayBuffer> {
  const more = new Int32Array(Math.max(numbers.length * 2, count));
  more.set(numbers);
  return more;
}

/** Pairs that several rules look at together: whether an operator can match any value of them is known at once. */
export class PairGroup {
  readonly #pairs: readonly Pair[];
  readonly #union: Uint32Array;
  /** The phase for which the union was made: values do not change while its rules run. */
  #made = 0;

  constructor(pairs: readonly Pair[]) {
    this.#pairs = pairs;
    this.#union = new Uint32Array(pairs[0]!.union.length);
  }

  mayMatch(phase: number, word: number, mask: number): boolean {
    if (this.#made !== phase) this.#unite(phase);
    return (this.#union[word]! & mask) !== 0;
  }

  /** Before the first phase of a transaction. */
  clear(): void {
    this.#made = 0;
  }

  #unite(phase: number): void {
    const union = this.#union;
    union.fill(0);
    for (let at = 0; at < this.#pairs.length; at += 1) {
      const pair = this.#pairs[at]!;
      if (pair.empty) continue;
      const resolved = pair.resolve();
      resolved.scan();
      for (let word = 0; word < union.length; word += 1) union[word] = union[word]! | resolved.union[word]!;
    }
    this.#made = phase;
  }
}
