// The rule by which single checks become "up" and "down".

export interface Thresholds {
  /** Good checks in a row that bring a server back. */
  readonly healthy: number;
  /** Failed checks in a row that take it out. */
  readonly unhealthy: number;
}

/** What the checks of one server came to. */
export class Tally {
  /** What is told about the server; null while nothing is. */
  up: boolean | null;
  /** Checks in a row that went like the last one. */
  inARow = 0;
  #last: boolean | null = null;

  constructor(up: boolean | null) {
    this.up = up;
  }

  /**
   * Takes in one check. Returns whether `up` has changed. Of a server that nothing is known of, the first good check
   * says enough: it may be in use already, or somebody waits for it.
   */
  record(good: boolean, { healthy, unhealthy }: Thresholds): boolean {
    this.inARow = good === this.#last ? this.inARow + 1 : 1;
    this.#last = good;
    if (good === this.up) return false;
    const needed = good ? (this.up === null ? 1 : healthy) : unhealthy;
    if (this.inARow < needed) return false;
    this.up = good;
    return true;
  }
}
