// Many short waits of about the same length on one system timer, more exact than the timer wheel. A place in the line
// is kept until its time has come, an item only as long as somebody wants it told.

/** An item that waits; null once it need not be told any more. */
export interface Delayed<T> {
  item: T | null;
  readonly at: number;
}

export class DelayLine<T> {
  readonly #due: (item: T) => void;
  readonly #now: () => number;
  #waiting: Delayed<T>[] = [];
  #first = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** `now` is a monotonic clock in milliseconds. */
  constructor(due: (item: T) => void, now: () => number) {
    this.#due = due;
    this.#now = now;
  }

  /**
   * Tells of the item in `ms` milliseconds, or when all that were added before have been told of. Who does not want
   * that any more sets the `item` of what is returned to null.
   */
  add(item: T, ms: number): Delayed<T> {
    const delayed = { item, at: this.#now() + ms };
    this.#waiting.push(delayed);
    if (this.#timer === null) this.#arm();
    return delayed;
  }

  #arm(): void {
    const first = this.#waiting[this.#first];
    if (first === undefined) return;
    this.#timer = setTimeout(() => this.#tell(), Math.max(0, first.at - this.#now()));
    this.#timer.unref();
  }

  #tell(): void {
    this.#timer = null;
    const now = this.#now();
    while (this.#first < this.#waiting.length && this.#waiting[this.#first]!.at <= now) {
      const { item } = this.#waiting[this.#first]!;
      this.#first += 1;
      if (item !== null) this.#due(item);
    }
    // What was told of is let go in one piece, so that a long line is not moved for each item.
    if (this.#first * 2 >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    if (this.#timer === null) this.#arm();
  }
}
