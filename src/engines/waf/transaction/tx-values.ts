// The collection TX: what rules remember. Names that stand in the rules have places of their own, found at load.

/** The names of TX that occur in the rules of a set. The first ten are captures: `0` to `9`. */
export class TxNames {
  readonly #places = new Map<string, number>();
  readonly names: string[] = [];

  constructor() {
    for (let digit = 0; digit <= 9; digit += 1) this.place(String(digit));
  }

  /** The place of a name, which is made when it is new; only to be called at load. */
  place(name: string): number {
    const lower = name.toLowerCase();
    const known = this.#places.get(lower);
    if (known !== undefined) return known;
    const place = this.names.length;
    this.names.push(lower);
    this.#places.set(lower, place);
    return place;
  }

  /** The place of a name that was made while a request ran; -1 when the rules do not know it. */
  find(lower: string): number {
    return this.#places.get(lower) ?? -1;
  }
}

// Names that a request makes up (`tx.counter_%{MATCHED_VAR_NAME}`) are as many as its arguments; more than twice the
// usual limit of arguments are a set of rules gone wrong.
const MADE_MAX = 2048;

export class TxValues {
  /** By place; null where nothing was set. */
  readonly placed: (string | null)[];
  readonly #names: TxNames;
  #made: Map<string, string> | null = null;

  constructor(names: TxNames) {
    this.#names = names;
    this.placed = names.names.map(() => null);
  }

  /** @param lower the name in lower case */
  get(lower: string): string | null {
    const place = this.#names.find(lower);
    if (place >= 0) return this.placed[place]!;
    return this.#made?.get(lower) ?? null;
  }

  /** Sets a value, or removes it with null. */
  set(lower: string, value: string | null): void {
    const place = this.#names.find(lower);
    if (place >= 0) this.placed[place] = value;
    else if (value === null) this.#made?.delete(lower);
    else {
      this.#made ??= new Map();
      if (this.#made.size < MADE_MAX || this.#made.has(lower)) this.#made.set(lower, value);
    }
  }

  /** Adds all values that are set, with their names. */
  addTo(found: { add(key: string, value: string): void }): void {
    for (let place = 0; place < this.placed.length; place += 1) {
      const value = this.placed[place]!;
      if (value !== null) found.add(this.#names.names[place]!, value);
    }
    if (this.#made !== null) for (const [name, value] of this.#made) found.add(name, value);
  }

  clear(): void {
    this.placed.fill(null);
    this.#made = null;
  }
}
