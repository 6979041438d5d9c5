// What is known of a value: the bytes that occur in it, what transformations make of it, and which operators can match
// it at all. Most values of a request were in the last one too, so what was found out is kept for the next.
import type { Prefilter } from "../rules/prefilter.ts";
import type { Step } from "../rules/steps.ts";
import type { Triggers } from "../rules/triggers.ts";
import { laidOut } from "../transformations/scratch.ts";
import { work } from "../work.ts";

/**
 * Values that are kept, by their hash: one takes the place of another. With what is made of them they take up to a
 * kilobyte each, so that a thread has some two megabytes for each set of rules.
 */
const KEPT_MAX = 2048;
/** Longer values seldom come again. */
const LENGTH_MAX = 256;
/** Rows of bits that are made at a time. As long as one of them is kept, all are. */
const ROWS = 16;
const NO_BITS = new Uint32Array(0);

// What is done for a byte, and for a value.
const WORK_TO_CLASSIFY = 2;
const WORK_TO_TRANSFORM = 8;
const WORK_TO_LOOK = 4;
const WORK_OF_VALUE = 100;

/** A value. What is known of it depends on nothing else, so all who have the same value share it. */
export class Known {
  readonly value: string;
  /** The classes of bytes that occur in it, see Triggers. */
  readonly classes: number;
  /** What steps made of it. */
  made: Made | null = null;
  /** Where its bits are: 1 for each operator that may match it. Of those that ran and did not, the bits are cleared. */
  bits: Uint32Array = NO_BITS;
  /** -1 until it is looked at. */
  row = -1;

  constructor(value: string, classes: number) {
    this.value = value;
    this.classes = classes;
  }

  mayMatch(word: number, mask: number): boolean {
    return (this.bits[this.row + word]! & mask) !== 0;
  }

  /** An operator that depends on the value alone did not match it, and never will. */
  doesNotMatch(word: number, mask: number): void {
    const at = this.row + word;
    this.bits[at] = this.bits[at]! & ~mask;
  }
}

/** A step and its value: a list, as few values have more than three. */
interface Made {
  readonly step: Step;
  readonly known: Known;
  readonly next: Made | null;
}

/** The values of all transactions over one set of rules, those of requests or of responses. */
export class KnownValues {
  readonly #triggers: Triggers;
  readonly #prefilter: Prefilter | null;
  readonly #kept: (Known | null)[];
  #rows = NO_BITS;
  #row = 0;

  /** @param prefilter null to know nothing in advance, and to keep nothing */
  constructor(triggers: Triggers, prefilter: Prefilter | null) {
    this.#triggers = triggers;
    this.#prefilter = prefilter;
    this.#kept = new Array<Known | null>(prefilter === null ? 0 : KEPT_MAX).fill(null);
  }

  /** How many numbers of 32 bits a row of bits has. */
  get words(): number {
    return this.#prefilter === null ? 0 : this.#prefilter.words;
  }

  of(value: string): Known {
    if (value.length > LENGTH_MAX || this.#prefilter === null) return this.#make(value);
    const slot = hashOf(value) & (KEPT_MAX - 1);
    const kept = this.#kept[slot]!;
    if (kept !== null && kept.value === value) return kept;
    // A copy, as a piece of a body keeps all of that body.
    const made = this.#make(laidOut(value).latin1Slice(0, value.length));
    this.#kept[slot] = made;
    return made;
  }

  /** The value after a step that may change it. */
  after(known: Known, step: Step): Known {
    for (let made = known.made; made !== null; made = made.next) if (made.step === step) return made.known;
    work.left -= known.value.length * WORK_TO_TRANSFORM;
    const value = step.apply(known.value);
    const after = value === known.value ? known : this.#make(value);
    known.made = { step, known: after, next: known.made };
    return after;
  }

  /** Finds out which operators may match a value; there has to be a prefilter. */
  look(known: Known): void {
    if (known.row >= 0) return;
    const prefilter = this.#prefilter!;
    const { words } = prefilter;
    if (this.#row + words > this.#rows.length) {
      this.#rows = new Uint32Array(words * ROWS);
      this.#row = 0;
    }
    work.left -= known.value.length * WORK_TO_LOOK;
    prefilter.candidates(known.value, this.#rows, this.#row);
    known.bits = this.#rows;
    known.row = this.#row;
    this.#row += words;
  }

  #make(value: string): Known {
    work.left -= WORK_OF_VALUE + value.length * WORK_TO_CLASSIFY;
    return new Known(value, this.#triggers.classesOf(value));
  }
}

function hashOf(value: string): number {
  let hash = value.length;
  for (let at = 0; at < value.length; at += 1) hash = Math.imul(hash ^ value.charCodeAt(at), 0x01000193);
  return hash ^ (hash >>> 15);
}
