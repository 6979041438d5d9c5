// Which stream sends next when they compete (RFC 9218 §10): lower urgency first; within one, those that are only useful
// as a whole one after the other in the order of their ids, then those that are useful in parts, a frame each in turn.

/** What the schedule needs of a stream; `next` and `previous` are its own. */
export interface Scheduled {
  readonly id: number;
  /** 0 (first) to 7. */
  urgency: number;
  incremental: boolean;
  scheduled: boolean;
  next: Scheduled | null;
  previous: Scheduled | null;
}

export const URGENCIES = 8;
export const URGENCY_DEFAULT = 3;

/** The lines in the order of their turn: for each urgency those not incremental, then the incremental ones. */
const LINES = URGENCIES * 2;

export class Schedule<S extends Scheduled> {
  // Made at first use: a connection without anything that waits has none.
  #heads: (Scheduled | null)[] | null = null;
  #tails: (Scheduled | null)[] = [];
  /** One bit for each line that is not empty. */
  #busy = 0;

  get empty(): boolean {
    return this.#busy === 0;
  }

  /** Whose turn it is; null when nobody waits. */
  first(): S | null {
    if (this.#busy === 0) return null;
    return this.#heads![31 - Math.clz32(this.#busy & -this.#busy)] as S;
  }

  add(stream: S): void {
    if (stream.scheduled) return;
    if (this.#heads === null) {
      this.#heads = new Array<Scheduled | null>(LINES).fill(null);
      this.#tails = new Array<Scheduled | null>(LINES).fill(null);
    }
    stream.scheduled = true;
    const line = lineOf(stream);
    let after: Scheduled | null = this.#tails[line] ?? null;
    if (!stream.incremental) while (after !== null && after.id > stream.id) after = after.previous;
    this.#link(stream, line, after);
  }

  remove(stream: S): void {
    if (!stream.scheduled) return;
    stream.scheduled = false;
    const line = lineOf(stream);
    const { next, previous } = stream;
    if (previous === null) this.#heads![line] = next;
    else previous.next = next;
    if (next === null) this.#tails[line] = previous;
    else next.previous = previous;
    stream.next = null;
    stream.previous = null;
    if (this.#heads![line] === null) this.#busy &= ~(1 << line);
  }

  /** The stream has sent a frame: another one of its kind has its turn. */
  sent(stream: S): void {
    if (!stream.scheduled || !stream.incremental || stream.next === null) return;
    this.remove(stream);
    this.add(stream);
  }

  /** Changes a stream's priority, whether it waits or not. */
  change(stream: S, urgency: number, incremental: boolean): void {
    const waits = stream.scheduled;
    this.remove(stream);
    stream.urgency = urgency;
    stream.incremental = incremental;
    if (waits) this.add(stream);
  }

  #link(stream: Scheduled, line: number, after: Scheduled | null): void {
    const heads = this.#heads!;
    const before = after === null ? heads[line]! : after.next;
    stream.previous = after;
    stream.next = before;
    if (after === null) heads[line] = stream;
    else after.next = stream;
    if (before === null) this.#tails[line] = stream;
    else before.previous = stream;
    this.#busy |= 1 << line;
  }
}

const lineOf = (stream: Scheduled): number => stream.urgency * 2 + (stream.incremental ? 1 : 0);
