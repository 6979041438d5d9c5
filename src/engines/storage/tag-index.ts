// Which entries have a tag, for purges by tag: they cost what the tag's entries cost, not what the store holds.

/** Tags of one entry; a larger set is refused. CDNs take 16 KB of tags, which is some 1,000 of them. */
export const TAGS_MAX = 1000;

export class TagIndex {
  readonly #keys = new Map<string, Set<string>>();
  readonly #tags = new Map<string, readonly string[]>();
  readonly #tiesMax: number;
  #ties = 0;

  /** `tiesMax`: ties of an entry to a tag that are kept, over all entries. One takes some 100 bytes, as measured. */
  constructor(tiesMax: number) {
    this.#tiesMax = tiesMax;
  }

  /**
   * Ties the entry to these tags alone. False when there is no room: then it has none, and should not be stored, as no
   * purge would find it.
   */
  set(key: string, tags: readonly string[]): boolean {
    this.delete(key);
    if (tags.length === 0) return true;
    const distinct = [...new Set(tags)];
    if (distinct.length > TAGS_MAX || this.#ties + distinct.length > this.#tiesMax) return false;
    this.#tags.set(key, distinct);
    this.#ties += distinct.length;
    for (const tag of distinct) {
      const keys = this.#keys.get(tag);
      if (keys === undefined) this.#keys.set(tag, new Set([key]));
      else keys.add(key);
    }
    return true;
  }

  /** Forgets an entry that is stored no longer. */
  delete(key: string): void {
    const tags = this.#tags.get(key);
    if (tags === undefined) return;
    this.#tags.delete(key);
    this.#ties -= tags.length;
    for (const tag of tags) {
      const keys = this.#keys.get(tag)!;
      keys.delete(key);
      if (keys.size === 0) this.#keys.delete(tag);
    }
  }

  /** The entries that have the tag. Entries may be deleted during the walk. */
  keysOf(tag: string): Iterable<string> {
    return this.#keys.get(tag) ?? [];
  }

  clear(): void {
    this.#keys.clear();
    this.#tags.clear();
    this.#ties = 0;
  }

  get ties(): number {
    return this.#ties;
  }
}
