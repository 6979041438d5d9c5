// Many short waits of about the same length on one system timer, more exact than the timer wheel. An item that need not
// be told any more stays until its time has come, so waits should be short.

interface Waiting<T> {
  readonly item: T;
  readonly at: number;
}

export class DelayLine<T> {
  readonly #due: (item: T) => void;
  readonly #now: () => number;
  #waiting: Waiting<T>[] = [];
  #first = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** `now` is a monotonic clock in milliseconds. */
  constructor(due: (item: T) => void, now: () => number) {
    this.#due = due;
    this.#now = now;
  }

  /** Tells of the item in `ms` milliseconds, or when all that were added before have been told of. */
  add(item: T, ms: number): void {
    this.#waiting.push({ item, at: this.#now() + ms });
    if (this.#timer === null) this.#arm();
  }

  #arm(): void {
    const first = this.#waiting[this.#first];
    if (first === undefined) return;
    this.#timer = setTimeout(() => this.#tell(), Math.max(0, first.at - this.#now()));
  }

  #tell(): void {
    this.#timer = null;
    const now = this.#now();
    while (this.#first < this.#waiting.length && this.#waiting[this.#first]!.at <= now) {
      const { item } = this.#waiting[this.#first]!;
      this.#first += 1;
      this.#due(item);
    }
    // What was told of is let go in one piece, so that a long line is not moved for each item.
    if (this.#first * 2 >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first);
      this.#first = 0;
    }
    if (this.#timer === null) this.#arm();
  }
}
