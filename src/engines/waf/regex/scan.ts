// A search that goes on in a later step.

/** A set of states, as a row of an automaton stands for it. */
export interface RowContent {
  readonly members: Uint16Array;
  /** The kind of the symbol that led there. */
  readonly kind: number;
}

/** Of one transaction, which searches one value at a time. */
export class Scan {
  /** The next byte. */
  at = 0;
  /** What an automaton knows of those before; null while none waits. */
  content: RowContent | null = null;
  /** The automaton has found that there may be a match, and the backtracker waits, which took so many steps. */
  tries = false;
  steps = 0;

  get waits(): boolean {
    return this.tries || this.content !== null;
  }

  /** Of the backtracker. */
  wait(at: number, steps: number): void {
    this.tries = true;
    this.at = at;
    this.steps = steps;
  }

  clear(): void {
    this.tries = false;
    this.content = null;
  }
}
