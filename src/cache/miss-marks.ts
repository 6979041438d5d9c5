// Keys whose answers may not be stored: requests for them go to the server at once, and do not wait for each other to
// find out the same again ("hit for miss").

/** A server may change its mind: after this time one request finds out anew. */
const MARK_MS = 60_000;
/** Keys that are remembered, twice: some 200 bytes each. */
const MARKS_MAX = 10_000;

export class MissMarks {
  #young = new Map<string, number>();
  /** Those before them, so that forgetting costs nothing. */
  #old = new Map<string, number>();

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  /** `now` in milliseconds. */
  add(key: string, now: number): void {
    if (this.#young.size >= MARKS_MAX) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, now + MARK_MS);
  }

  has(key: string, now: number): boolean {
    const until = this.#young.get(key) ?? this.#old.get(key);
    if (until === undefined) return false;
    if (until > now) return true;
    this.delete(key);
    return false;
  }

  delete(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }
}
