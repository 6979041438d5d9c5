// The values of one transaction: columns, and the entries of them that rules choose.

/** What is made of a column. */
export interface Derived {
  clear(): void;
}

/** Entries in the order in which they came. Collections only grow; a single value may be replaced. */
export class Column {
  readonly keys: string[];
  readonly values: string[];
  /** For each entry, the number of its name among those that rules choose by; 0 for all others. */
  readonly atoms: number[] = [];
  readonly #atomOf: ReadonlyMap<string, number> | null;
  readonly pairs: Derived[] = [];
  readonly views: Derived[] = [];

  /** @param named of the column whose keys are the values of this one */
  constructor(atomOf: ReadonlyMap<string, number> | null, named: Column | null) {
    this.keys = named === null ? [] : named.keys;
    this.values = named === null ? [] : named.keys;
    this.#atomOf = atomOf;
  }

  add(key: string, value: string): void {
    this.keys.push(key);
    this.values.push(value);
  }

  /** Makes this the only value. */
  set(value: string): void {
    if (this.keys.length > 0) {
      for (let at = 0; at < this.pairs.length; at += 1) this.pairs[at]!.clear();
      this.clear();
    }
    this.keys.push("");
    this.values.push(value);
  }

  /** The number of an entry's name. */
  atom(index: number): number {
    const { atoms } = this;
    while (atoms.length <= index) {
      atoms.push(this.#atomOf === null ? 0 : (this.#atomOf.get(this.keys[atoms.length]!.toLowerCase()) ?? 0));
    }
    return atoms[index]!;
  }

  /** Forgets all entries. What was made of them is cleared by whoever knows it. */
  clear(): void {
    this.keys.length = 0;
    this.values.length = 0;
    this.atoms.length = 0;
    for (let at = 0; at < this.views.length; at += 1) this.views[at]!.clear();
  }
}

/** Says which entries of a column belong to a view. Compiled with the rules. */
export interface ViewSpec {
  readonly column: number;
  /** The atom that entries must have; 0 for any. */
  readonly atom: number;
  /** The expression that names must match. */
  readonly regex: { test(input: string): boolean } | null;
  readonly exceptAtoms: readonly number[];
  readonly exceptRegexes: readonly { test(input: string): boolean }[];
}

/** Chosen entries of a column, found when they are first asked for. */
export class View implements Derived {
  readonly indexes: number[] = [];
  readonly #spec: ViewSpec;
  readonly #column: Column;
  #seen = 0;

  constructor(spec: ViewSpec, column: Column) {
    this.#spec = spec;
    this.#column = column;
    column.views.push(this);
  }

  /** Looks at the entries that have come since. */
  update(): void {
    const count = this.#column.keys.length;
    for (; this.#seen < count; this.#seen += 1) {
      if (this.#accepts(this.#seen)) this.indexes.push(this.#seen);
    }
  }

  clear(): void {
    this.indexes.length = 0;
    this.#seen = 0;
  }

  #accepts(index: number): boolean {
    const spec = this.#spec;
    if (spec.atom !== 0) {
      if (this.#column.atom(index) !== spec.atom) return false;
    } else if (spec.regex !== null && !spec.regex.test(this.#column.keys[index]!)) return false;
    const { exceptAtoms, exceptRegexes } = spec;
    for (let at = 0; at < exceptAtoms.length; at += 1) {
      if (this.#column.atom(index) === exceptAtoms[at]) return false;
    }
    for (let at = 0; at < exceptRegexes.length; at += 1) {
      if (exceptRegexes[at]!.test(this.#column.keys[index]!)) return false;
    }
    return true;
  }
}
