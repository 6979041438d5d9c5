// A column after a chain of transformations: each value is made once, and looked at once for what can match it at all.
import type { Step } from "../rules/steps.ts";
import { work } from "../work.ts";
import type { Known, KnownValues } from "./known.ts";
import type { Column, Derived } from "./values.ts";

// What a value costs of which all is known.
const WORK_OF_SCAN = 30;

/** Pairs that were used by the transaction, to be cleared after it: a request touches few of all. */
export type Touched = Pair[];

export class Pair implements Derived {
  readonly #column: Column;
  readonly #parent: Pair | null;
  readonly #step: Step | null;
  readonly #values: KnownValues;
  readonly #touched: Touched;
  readonly #known: Known[] = [];
  #allClasses = 0;
  #scanned = 0;
  /** The bits of all values together: which operators can match one of them. */
  readonly union: Uint32Array;
  /** The pair that has the values of this one, after `advance`: an earlier one of the chain where its steps change none. */
  resolved: Pair = this;
  /** For how many entries `resolved` was found. */
  #resolvedCount = 0;
  #isTouched = false;

  /** @param parent the pair of the chain without its last step; null for values as they came */
  constructor(column: Column, parent: Pair | null, step: Step | null, values: KnownValues, touched: Touched) {
    this.#column = column;
    this.#parent = parent;
    this.#step = step;
    this.#values = values;
    this.#touched = touched;
    this.union = new Uint32Array(values.words);
    column.pairs.push(this);
  }

  /** Makes `resolved` up to date. False when the work of this step is done before: then it is to be called again. */
  advance(): boolean {
    const count = this.#column.keys.length;
    if (this.#resolvedCount === count) return true;
    if (!this.#isTouched) {
      this.#isTouched = true;
      this.#touched.push(this);
    }
    if (this.#parent === null) {
      if (!this.#take(count)) return false;
      this.resolved = this;
    } else {
      if (!this.#parent.advance()) return false;
      const base = this.#parent.resolved;
      if ((base.#allClasses & this.#step!.trigger) === 0) this.resolved = base;
      else {
        if (!this.#make(base, count)) return false;
        this.resolved = this;
      }
    }
    this.#resolvedCount = count;
    return true;
  }

  get empty(): boolean {
    return this.#column.keys.length === 0;
  }

  /** A value of a resolved pair. */
  known(index: number): Known {
    return this.#known[index]!;
  }

  /** Finds out for all values of a resolved pair which operators can match them. False when it is to be called again. */
  scan(): boolean {
    const known = this.#known;
    const { union } = this;
    for (let index = this.#scanned; index < known.length; index += 1) {
      if (work.left <= 0) return false;
      const each = known[index]!;
      work.left -= WORK_OF_SCAN;
      this.#values.look(each);
      const { bits, row } = each;
      for (let word = 0; word < union.length; word += 1) union[word] = union[word]! | bits[row + word]!;
      this.#scanned = index + 1;
    }
    return true;
  }

  clear(): void {
    this.#resolvedCount = 0;
    this.#isTouched = false;
    // Most pairs stand for an earlier one of their chain, and have made nothing.
    if (this.#known.length === 0) return;
    this.#known.length = 0;
    this.#allClasses = 0;
    if (this.#scanned === 0) return;
    this.#scanned = 0;
    this.union.fill(0);
  }

  #take(count: number): boolean {
    for (let index = this.#known.length; index < count; index += 1) {
      if (work.left <= 0) return false;
      this.#add(this.#values.of(this.#column.values[index]!));
    }
    return true;
  }

  #make(base: Pair, count: number): boolean {
    const step = this.#step!;
    for (let index = this.#known.length; index < count; index += 1) {
      if (work.left <= 0) return false;
      const known = base.#known[index]!;
      this.#add((known.classes & step.trigger) === 0 ? known : this.#values.after(known, step));
    }
    return true;
  }

  #add(known: Known): void {
    this.#known.push(known);
    this.#allClasses |= known.classes;
  }
}

/** Pairs that several rules look at together: whether an operator can match any value of them is known at once. */
export class PairGroup {
  readonly #pairs: readonly Pair[];
  readonly #union: Uint32Array;
  /** The phase for which the union was made: values do not change while its rules run. */
  #made = 0;
  /** How many pairs the union has, while it is made. */
  #united = 0;

  constructor(pairs: readonly Pair[]) {
    this.#pairs = pairs;
    this.#union = new Uint32Array(pairs[0]!.union.length);
  }

  /** Makes the union. False when the work of this step is done before: then it is to be called again. */
  advance(phase: number): boolean {
    return this.#made === phase || this.#unite(phase);
  }

  /** After `advance`. */
  mayMatch(word: number, mask: number): boolean {
    return (this.#union[word]! & mask) !== 0;
  }

  /** Before the first phase of a transaction. */
  clear(): void {
    this.#made = 0;
    this.#united = 0;
  }

  #unite(phase: number): boolean {
    const union = this.#union;
    if (this.#united === 0) union.fill(0);
    for (let at = this.#united; at < this.#pairs.length; at += 1) {
      const pair = this.#pairs[at]!;
      if (!pair.empty) {
        if (!pair.advance() || !pair.resolved.scan()) return false;
        const other = pair.resolved.union;
        for (let word = 0; word < union.length; word += 1) union[word] = union[word]! | other[word]!;
      }
      this.#united = at + 1;
    }
    this.#united = 0;
    this.#made = phase;
    return true;
  }
}
