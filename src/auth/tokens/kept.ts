// What belongs to a thread and not to one plan: keys that were fetched, tokens that were verified. Routes with the same
// settings share it, and a reload that keeps the settings keeps it too.

/** Things by what they were made of, for as long as a plan uses them. */
export class Kept<T extends object> {
  readonly #byKey = new Map<string, WeakRef<T>>();
  readonly #gone = new FinalizationRegistry<string>((key) => {
    // Another one may have taken the place since.
    if (this.#byKey.get(key)?.deref() === undefined) this.#byKey.delete(key);
  });

  /** The one that was made of `settings`, or one that is made now. */
  of(settings: unknown, make: () => T): T {
    const key = JSON.stringify(settings);
    const known = this.#byKey.get(key)?.deref();
    if (known !== undefined) return known;
    const made = make();
    this.#byKey.set(key, new WeakRef(made));
    this.#gone.register(made, key);
    return made;
  }
}
